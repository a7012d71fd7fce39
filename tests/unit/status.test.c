/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What `backend-ctl status` shows, from fixed states, against tests/golden/status/: NAME.json is the daemon's
 * document, NAME.txt what a person reads.
 * The program is the built one; this file plays the daemon on a socket. GOLDEN=write writes the files anew.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <libgen.h>
#include <limits.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "backend/control_status.h"

#define GOLDEN "tests/golden/status/"
#define OUTPUT 65536u

static char program[PATH_MAX], dir[64], socket_path[96];
static int listen_fd = -1;

/* ---- the daemon ---- */

static char *answer; /* a line, NULL: take the question and never answer */

static void *serve(void *arg)
{
	char line[4096];
	int fd = accept(listen_fd, NULL, NULL);

	(void)arg;
	if (recv(fd, line, sizeof(line), 0) > 0 && answer) {
		if (send(fd, answer, strlen(answer), MSG_NOSIGNAL) < 0)
			perror("send");
	}
	while (recv(fd, line, sizeof(line), 0) > 0) /* until the program ends */
		;
	close(fd);
	return NULL;
}

/* Runs backend-ctl with the words of `words`; returns its exit status, with stdout and stderr in `out`. */
static int run(const char *words, char *out)
{
	char command[PATH_MAX + 512];
	FILE *pipe;
	size_t n;
	int r;

	snprintf(command, sizeof(command), "'%s' --socket '%s' %s 2>&1", program, socket_path, words);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	n = fread(out, 1, OUTPUT - 1, pipe);
	out[n] = 0;
	r = pclose(pipe);
	assert_true(WIFEXITED(r));
	return WEXITSTATUS(r);
}

static int run_against(char *line, const char *words, char *out)
{
	pthread_t thread;
	int status;

	answer = line;
	assert_int_equal(0, pthread_create(&thread, NULL, serve, NULL));
	status = run(words, out);
	pthread_join(thread, NULL);
	return status;
}

static int setup(void **state)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 32);

	(void)state;
	if (n < 0)
		return -1;
	program[n] = 0;
	strcat(dirname(program), "/../../backend-ctl");
	strcpy(dir, "/tmp/drbdx-status.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(socket_path, sizeof(socket_path), "%s/sock", dir);
	strcpy(addr.sun_path, socket_path);
	listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return bind(listen_fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(listen_fd, 4);
}

static int teardown(void **state)
{
	(void)state;
	close(listen_fd);
	unlink(socket_path);
	return rmdir(dir);
}

/* ---- states ---- */

static struct config_host self_host, peer_host;
static struct config_resource cfg;
static struct resource_status st;

static void healthy(void)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&peer_host.addr;

	memset(&st, 0, sizeof(st));
	self_host = (struct config_host){ .name = "dom0_1",
					  .disk = "/dev/vg0/my-domu-disk",
					  .meta_disk = "/dev/vg0/drbd-meta-data",
					  .minor = 0 };
	peer_host = (struct config_host){ .name = "dom0_2" };
	in->sin_family = AF_INET;
	in->sin_port = htons(7700);
	inet_pton(AF_INET, "192.168.0.54", &in->sin_addr);
	cfg = (struct config_resource){ .name = "my-domu-disk",
					.file = "/etc/drbdx.d/my-domu.res",
					.line = 1,
					.self = &self_host,
					.peer = &peer_host };
	st.now_ms = 1000000;
	strcpy(st.disk_state, "UpToDate");
	strcpy(st.core.who, "guest web1 (xvda2)");
	st.core.connection = CONNECTION_CONNECTED;
	st.core.connection_since_ms = 1000000 - 7322000 / 10;
	st.core.attachment = ATTACHMENT_ACTIVE;
	strcpy(st.core.superblock.name, "my-domu-disk");
	st.core.superblock.token = TOKEN_HELD;
	st.core.superblock.epoch = st.core.superblock.base = 3;
	st.core.superblock.gen.current = 0xfedcba9876543210ull;
	st.core.superblock.flags = SB_CONSISTENT | SB_IN_USE;
	st.core.superblock.agreed = (struct features){ .sectors = 20971520,
						       .block_size = 512,
						       .max_segments = 256 };
	st.core.peer_known = true;
	st.core.peer.flags = SB_CONSISTENT;
	st.core.peer.offer = st.core.superblock.agreed;
	st.core.local_pending = 2;
	st.core.peer_pending = 1;
	st.core.oldest_ms = 4;
	st.core.reads = 100;
	st.core.writes = 200;
	st.core.written_sectors = 1600;
	st.ring.consumed = 303;
}

static struct device_status a_device(const char *path, const char *resource, const char *why)
{
	struct device_status d = {
		.domid = 5, .devid = 51714, .backend_state = 4, .frontend_state = 4, .ring = true
	};

	snprintf(d.path, sizeof(d.path), "%s", path);
	snprintf(d.resource, sizeof(d.resource), "%s", resource);
	snprintf(d.why, sizeof(d.why), "%s", why);
	strcpy(d.guest, "web1");
	strcpy(d.dev, "xvda2");
	return d;
}

/* The document with a version that does not change. */
static json_t *document(const char *problem)
{
	json_t *doc = control_status_new("dom0_1", problem);

	assert_non_null(doc);
	json_object_set_new(doc, "version", json_string("VERSION"));
	return doc;
}

static void add(json_t *doc, bool up)
{
	json_t *entry = control_status_add(doc, &cfg);

	assert_non_null(entry);
	if (up)
		control_status_fill(entry, &st);
}

/* ---- comparison ---- */

static void compare(const char *name, const char *suffix, const char *text)
{
	char path[256], golden[OUTPUT] = "";
	bool write = getenv("GOLDEN") && !strcmp(getenv("GOLDEN"), "write");
	FILE *f;

	snprintf(path, sizeof(path), GOLDEN "%s.%s", name, suffix);
	f = fopen(path, write ? "w" : "r");
	if (!f)
		fail_msg("%s cannot be opened", path);
	if (write)
		fputs(text, f);
	else
		golden[fread(golden, 1, sizeof(golden) - 1, f)] = 0;
	fclose(f);
	if (!write)
		assert_string_equal(golden, text);
}

/* Takes the document. */
static void check(const char *name, json_t *doc)
{
	char *compact = json_dumps(doc, JSON_COMPACT), *line, *pretty, out[OUTPUT];

	assert_int_not_equal(-1, asprintf(&line, "%s\n", compact));
	assert_int_equal(0, run_against(line, "status", out));
	compare(name, "txt", out);
	assert_int_equal(0, run_against(line, "status --json", out));
	compare(name, "json", out);
	json_object_del(doc, "ok");
	pretty = json_dumps(doc, JSON_INDENT(2));
	assert_true(!strncmp(pretty, out, strlen(pretty)));
	free(compact);
	free(line);
	free(pretty);
	json_decref(doc);
}

static void all_is_well(void **state)
{
	json_t *doc = document(NULL);
	struct device_status d = a_device("backend/vbd/5/51714", "my-domu-disk", "");

	(void)state;
	healthy();
	add(doc, true);
	control_status_devices(doc, &d, 1);
	check("connected", doc);
}

static void frozen_says_why_and_since_when(void **state)
{
	json_t *doc = document(NULL);

	(void)state;
	healthy();
	st.core.connection = CONNECTION_DISCONNECTED;
	st.core.connection_since_ms = st.now_ms - 75000;
	strcpy(st.core.why, "nothing heard of dom0_2 for 1500 ms");
	strcpy(st.core.frozen, "the partner is not connected, and nothing is acknowledged from one copy");
	st.core.frozen_since_ms = st.now_ms - 74000;
	st.core.queued = 32;
	add(doc, true);
	check("frozen", doc);
}

static void unclean_and_refused_say_the_way_out(void **state)
{
	json_t *doc = document(NULL);

	(void)state;
	healthy();
	st.core.attachment = ATTACHMENT_NONE;
	st.core.who[0] = 0;
	st.core.connection = CONNECTION_REFUSED;
	st.core.superblock.flags = SB_CONSISTENT | SB_UNCLEAN;
	strcpy(st.core.why, "this node died while a guest used the disk");
	strcpy(st.disk_state, "Unclean");
	strcpy(st.disk_why, "a guest was attached when the daemon died");
	add(doc, true);
	check("unclean", doc);
}

static void down_refused_by_the_file_and_no_xenstore(void **state)
{
	json_t *doc = document("xenstored does not answer since 12 s");
	struct device_status d[2] = {
		a_device("backend/vbd/7/51712", "my-domu-disk",
			 "the frontend waits: block-drbdx has not attached the disk"),
		a_device("backend/vbd/8/51712", "tpyo", "no resource of that name is up here"),
	};

	(void)state;
	healthy();
	st.core.attachment = ATTACHMENT_NONE;
	st.core.who[0] = 0;
	add(doc, true);
	cfg.name = "second";
	self_host.minor = 1;
	add(doc, false);
	cfg.name = "third";
	cfg.refused = "/etc/drbdx.d/third.res:7: meta-disk internal is not supported yet";
	cfg.self = cfg.peer = NULL;
	add(doc, false);
	d[0].ring = d[1].ring = false;
	d[0].backend_state = d[1].backend_state = 2;
	d[0].frontend_state = 3;
	control_status_devices(doc, d, 2);
	check("down", doc);
}

static void nothing_is_configured(void **state)
{
	(void)state;
	check("empty", document(NULL));
}

static void a_terminal_is_safe_from_a_guests_name(void **state)
{
	json_t *doc = document(NULL);
	char *compact, *line, out[OUTPUT];

	(void)state;
	healthy();
	strcpy(st.core.who, "guest \x1b[2J");
	strcpy(st.core.frozen, "because \x1b[2J\r");
	add(doc, true);
	compact = json_dumps(doc, JSON_COMPACT);
	assert_int_not_equal(-1, asprintf(&line, "%s\n", compact));
	assert_int_equal(0, run_against(line, "status", out));
	assert_null(strchr(out, '\x1b'));
	assert_null(strchr(out, '\r'));
	free(compact);
	free(line);
	json_decref(doc);
}

/* ---- exit statuses ---- */

static void refusals_have_their_exit_status(void **state)
{
	static const struct {
		const char *answer;
		int status;
	} cases[] = {
		{ "{\"ok\":true}\n", 0 },
		{ "{\"ok\":false,\"code\":\"usage\",\"error\":\"words\"}\n", 1 },
		{ "{\"ok\":false,\"code\":\"invalid\",\"error\":\"words\"}\n", 10 },
		{ "{\"ok\":false,\"code\":\"unknown\",\"error\":\"words\"}\n", 10 },
		{ "{\"ok\":false,\"code\":\"refused\",\"error\":\"words\"}\n", 11 },
		{ "{\"ok\":false,\"code\":\"failed\",\"error\":\"words\"}\n", 20 },
		{ "{\"ok\":false,\"code\":\"stopping\",\"error\":\"words\"}\n", 20 },
		{ "nonsense\n", 20 },
	};
	char out[OUTPUT];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(cases[i].status, run_against((char *)cases[i].answer, "down r0", out));
		if (strstr(cases[i].answer, "words"))
			assert_string_equal("backend-ctl: words\n", out);
	}
}

static void a_daemon_that_does_not_answer_is_waited_for_with_a_bound(void **state)
{
	char out[OUTPUT];

	(void)state;
	assert_int_equal(20, run_against(NULL, "--timeout 1 up r0", out));
	assert_non_null(strstr(out, "did not answer in time"));
}

static void no_daemon_says_how_to_start_it(void **state)
{
	char out[OUTPUT];

	(void)state;
	close(listen_fd);
	assert_int_equal(20, run("status", out));
	assert_non_null(strstr(out, "systemctl start drbdxd"));
}

static void a_resource_that_is_not_there_is_an_error(void **state)
{
	char *compact, *line, out[OUTPUT];
	json_t *doc = document(NULL);

	(void)state;
	healthy();
	add(doc, true);
	compact = json_dumps(doc, JSON_COMPACT);
	assert_int_not_equal(-1, asprintf(&line, "%s\n", compact));
	assert_int_equal(10, run_against(line, "status tpyo", out));
	assert_int_equal(0, run_against(line, "status my-domu-disk", out));
	free(compact);
	free(line);
	json_decref(doc);
}

static void wrong_usage_is_status_1(void **state)
{
	static const char *const words[] = {
		"",
		"nonsense",
		"--nonsense status",
		"up",
		"down",
		"create-md",
		"check a b",
		"status --force",
		"check --json",
		"up -c /x r0",
		"--timeout 0 status",
		"--timeout x status",
		"status --assume-clean",
		"help nonsense",
	};
	char out[OUTPUT];

	(void)state;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (run(words[i], out) != 1)
			fail_msg("backend-ctl %s: %s", words[i], out);
}

static void drbds_order_of_words_is_understood(void **state)
{
	char out[OUTPUT];

	(void)state;
	assert_int_equal(0, run_against("{\"ok\":true}\n", "-- down r0", out));
	assert_int_equal(0, run_against("{\"ok\":true}\n", "down -- r0", out));
	assert_int_equal(0, run_against("{\"ok\":true}\n", "down r0 --timeout 5", out));
	assert_int_equal(11, run("-- --force create-md r0", out));
	assert_non_null(strstr(out, "identical"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_is_well),
		TEST(frozen_says_why_and_since_when),
		TEST(unclean_and_refused_say_the_way_out),
		TEST(down_refused_by_the_file_and_no_xenstore),
		TEST(nothing_is_configured),
		TEST(a_terminal_is_safe_from_a_guests_name),
		TEST(refusals_have_their_exit_status),
		TEST(a_daemon_that_does_not_answer_is_waited_for_with_a_bound),
		TEST(no_daemon_says_how_to_start_it),
		TEST(a_resource_that_is_not_there_is_an_error),
		TEST(wrong_usage_is_status_1),
		TEST(drbds_order_of_words_is_understood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
