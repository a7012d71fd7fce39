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

static char asked[4096]; /* what it heard last */
static char *answer;	 /* a line, NULL: take the question and never answer */

static void *serve(void *arg)
{
	char line[4096];
	int fd = accept(listen_fd, NULL, NULL);
	ssize_t n = recv(fd, asked, sizeof(asked) - 1, 0);

	(void)arg;
	asked[n > 0 ? n : 0] = 0;
	if (n > 0 && answer) {
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
	st.open = true;
	st.core.disk = st.core.peer_disk = DISK_UP_TO_DATE;
	st.core.out_of_sync_known = true;
	st.core.superblock.al_extents = 1237;
	st.core.log_used = 12;
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
	st.core.superblock.discard_unit = 16;
	st.core.superblock.discard_secure = 1;
	st.core.discards = 7;
	st.core.discarded_sectors = 40960;
	st.core.reads = 100;
	st.core.writes = 200;
	st.core.written_sectors = 1600;
	st.ring.consumed = 303;
}

static void no_guest(void)
{
	st.core.attachment = ATTACHMENT_NONE;
	st.core.who[0] = 0;
	st.core.superblock.flags &= ~SB_IN_USE;
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
	st.core.peer_disk = DISK_UNKNOWN;
	strcpy(st.core.why, "nothing heard of dom0_2 for 1500 ms");
	strcpy(st.core.frozen, "the local disk is not up to date, and the partner dom0_2 is not connected");
	st.core.frozen_since_ms = st.now_ms - 74000;
	st.core.queued = 32;
	add(doc, true);
	check("frozen", doc);
}

/* The ways in which a migration may be left half done: docs/HANDOVER.md, section 6. */
static void each_state_of_a_migration_says_who_has_the_disk_and_the_way_out(void **state)
{
	json_t *doc = document(NULL);

	(void)state;
	healthy();
	cfg.name = "source";
	st.core.superblock.reservation = 7;
	add(doc, true);
	cfg.name = "given-away";
	st.core.superblock.token = TOKEN_GIVEN;
	st.core.superblock.reservation = 0;
	st.core.attachment = ATTACHMENT_HANDED_OVER;
	add(doc, true);
	cfg.name = "destination";
	st.core.superblock.token = TOKEN_NONE;
	st.core.attachment = ATTACHMENT_RESERVED;
	strcpy(st.core.who, "guest web1--incoming (xvda2)");
	add(doc, true);
	cfg.name = "arrived-paused";
	st.core.superblock.token = TOKEN_HELD;
	add(doc, true);
	check("migration", doc);
}

static void alone_says_since_when_and_what_differs(void **state)
{
	json_t *doc = document(NULL);

	(void)state;
	healthy();
	st.core.connection = CONNECTION_DISCONNECTED;
	st.core.connection_since_ms = st.now_ms - 754000;
	st.core.peer_disk = DISK_UNKNOWN;
	st.core.alone = true;
	st.core.superblock.gen = (struct generations){ 0x1234567890abcdefull, 0xfedcba9876543210ull, { 0 } };
	st.core.out_of_sync = 10240;
	strcpy(st.core.why, "cannot connect: Connection refused");
	add(doc, true);
	cfg.name = "without-guest";
	no_guest();
	add(doc, true);
	cfg.name = "split-brain";
	st.core.connection = CONNECTION_REFUSED;
	strcpy(st.core.why, "split brain: dom0_1 and dom0_2 have both changed their data since they met last");
	add(doc, true);
	check("alone", doc);
}

static void waiting(const char *name, bool starting, uint64_t ms, bool force)
{
	healthy();
	cfg.name = name;
	no_guest();
	if (starting) {
		st.core.attachment = ATTACHMENT_CLAIMING;
		strcpy(st.core.who, "guest my-domu");
	}
	st.core.connection = CONNECTION_DISCONNECTED;
	st.core.disk = DISK_CONSISTENT;
	strcpy(st.disk_state, "Consistent");
	st.core.peer_disk = DISK_UNKNOWN;
	st.core.superblock.token = TOKEN_NONE;
	strcpy(st.core.why, "cannot connect: No route to host");
	st.core.awaited = force ? "force-primary" : "refuse";
	st.core.awaited_ms = ms;
	st.core.awaited_degraded = starting;
}

static void a_partner_that_is_awaited_says_for_how_long_and_what_then(void **state)
{
	json_t *doc = document(NULL);

	(void)state;
	waiting("nobody-starts", false, 11500, false);
	add(doc, true);
	waiting("starts", true, 40000, false);
	add(doc, true);
	waiting("starts-by-force", true, 1, true);
	add(doc, true);
	waiting("over", false, 0, true);
	add(doc, true);
	waiting("certain", false, 5000, false);
	st.core.awaited = "start";
	st.core.superblock.token = TOKEN_HELD;
	add(doc, true);
	waiting("forced", false, 0, true);
	st.core.awaited = NULL;
	st.core.superblock.token = TOKEN_HELD;
	st.core.superblock.epoch = 5;
	st.core.superblock.flags |= SB_FORCED | SB_FORCED_BY_WAIT;
	add(doc, true);
	check("awaited", doc);
}

static void fencing(enum fence_state state, const char *why)
{
	healthy();
	st.core.connection = CONNECTION_DISCONNECTED;
	st.core.peer_disk = DISK_UNKNOWN;
	st.core.fence = state;
	st.core.fence_since_ms = st.now_ms - 75000;
	st.core.fence_why = why;
	strcpy(st.core.why, "cannot connect: Connection refused");
}

static void fencing_says_how_far_it_is_and_since_when(void **state)
{
	json_t *doc = document(NULL);

	(void)state;
	fencing(FENCE_ASKED, "");
	add(doc, true);
	cfg.name = "second";
	fencing(FENCE_FAILED, "the handler did not end in time");
	cfg.name = "second";
	strcpy(st.core.frozen, "the partner dom0_2 is not connected, and it could not be fenced: the handler did not end in time");
	st.core.frozen_since_ms = st.now_ms - 80000;
	add(doc, true);
	fencing(FENCE_DONE, "the partner was powered off");
	cfg.name = "third";
	st.core.superblock.flags |= SB_PEER_OUTDATED;
	st.core.peer_disk = DISK_OUTDATED;
	add(doc, true);
	check("fencing", doc);
}

static void errors_of_a_guest_without_a_disk_say_why_and_since_when(void **state)
{
	json_t *doc = document(NULL);

	(void)state;
	healthy();
	st.core.connection = CONNECTION_DISCONNECTED;
	st.core.disk = DISK_DISKLESS;
	st.core.peer_disk = DISK_UNKNOWN;
	strcpy(st.disk_state, "Diskless");
	strcpy(st.core.failing, "the local disk has failed, and the partner dom0_2 is not connected");
	st.core.failing_since_ms = st.now_ms - 61000;
	add(doc, true);
	check("failing", doc);
}

/* A daemon was killed under its guest, and the next one waits for the partner. */
static void what_an_earlier_daemon_left_is_said_until_it_is_finished(void **state)
{
	json_t *doc = document(NULL);

	(void)state;
	healthy();
	st.core.superblock.flags |= SB_CRASHED;
	st.left_requests = 12;
	st.left_since_ms = st.now_ms - 2400;
	st.ring.again = 3;
	add(doc, true);
	cfg.name = "second";
	st.left_requests = 1;
	st.core.connection = CONNECTION_DISCONNECTED;
	strcpy(st.core.why, "nothing heard of dom0_2 for 1500 ms");
	strcpy(st.core.frozen, "the partner dom0_2 is not connected; the guest goes on alone in a moment");
	st.core.frozen_since_ms = st.now_ms - 2000;
	add(doc, true);
	check("recovery", doc);
}

static void refused_and_forced_say_the_way_out(void **state)
{
	json_t *doc = document(NULL);

	(void)state;
	healthy();
	no_guest();
	st.core.connection = CONNECTION_REFUSED;
	st.core.superblock.flags |= SB_CRASHED | SB_FORCED | SB_MIXED;
	st.core.peer_disk = DISK_UNKNOWN;
	strcpy(st.core.why, "split brain: dom0_1 and dom0_2 have both changed their data since they met last");
	add(doc, true);
	check("refused", doc);
}

/* What it would cost is said beside the command. */
static void forcing_a_copy_that_is_behind_says_what_is_lost(void **state)
{
	static const struct { const char *name; enum disk_state disk; uint32_t flags; } copies[] = {
		{ "outdated", DISK_OUTDATED, SB_CONSISTENT | SB_OUTDATED },
		{ "mixture", DISK_INCONSISTENT, 0 },
	};
	json_t *doc = document(NULL);

	(void)state;
	for (size_t i = 0; i < sizeof(copies) / sizeof(copies[0]); i++) {
		healthy();
		no_guest();
		cfg.name = copies[i].name;
		st.core.connection = CONNECTION_DISCONNECTED;
		st.core.peer_disk = DISK_UNKNOWN;
		st.core.disk = copies[i].disk;
		strcpy(st.disk_state, disk_state_name(copies[i].disk));
		st.core.superblock.flags = copies[i].flags;
		st.core.superblock.token = TOKEN_NONE;
		strcpy(st.core.why, "cannot connect: Connection refused");
		add(doc, true);
	}
	check("behind", doc);
}

static void resyncing(enum sync_state sync)
{
	healthy();
	st.core.sync = sync;
	st.core.sync_total = 20971520;
	st.core.out_of_sync = 11492392;
	st.core.sync_since_ms = st.now_ms - 60000;
	st.core.copied_sectors = st.core.sync_total - st.core.out_of_sync;
}

static void the_target_of_a_resync_says_what_it_is_worth(void **state)
{
	json_t *doc = document(NULL);

	(void)state;
	resyncing(SYNC_STATE_TARGET);
	st.core.superblock.flags &= ~SB_CONSISTENT;
	st.core.disk = DISK_INCONSISTENT;
	strcpy(st.disk_state, "Inconsistent");
	add(doc, true);
	check("target", doc);
}

static void a_paused_source_says_how_it_goes_on(void **state)
{
	json_t *doc = document(NULL);

	(void)state;
	resyncing(SYNC_STATE_PAUSED_SOURCE);
	strcpy(st.core.held, "it waits for the resync of my-domu-root (resync-after)");
	st.core.held_since_ms = st.now_ms - 65000;
	st.core.peer_disk = DISK_INCONSISTENT;
	st.core.suspended = true;
	add(doc, true);
	check("paused", doc);
}

static void a_resync_that_would_be_held_is_said_before_there_is_one(void **state)
{
	json_t *doc = document(NULL);

	(void)state;
	healthy();
	st.core.sync_paused = true;
	add(doc, true);
	check("sync-paused", doc);
}

static void a_new_pair_asks_whose_data_count(void **state)
{
	json_t *doc = document(NULL);

	(void)state;
	healthy();
	no_guest();
	st.core.superblock.flags = 0;
	st.core.superblock.full_from = 0;
	st.core.out_of_sync = st.core.superblock.agreed.sectors;
	st.core.disk = st.core.peer_disk = DISK_INCONSISTENT;
	strcpy(st.disk_state, "Inconsistent");
	add(doc, true);
	check("new", doc);
}

static void without_its_disk_a_guest_runs_on_the_partners(void **state)
{
	json_t *doc = document(NULL);

	(void)state;
	healthy();
	st.core.disk = DISK_DISKLESS;
	st.core.superblock.flags = SB_OUTDATED;
	strcpy(st.disk_state, "Diskless");
	st.hung = 3;
	st.hung_ms = 42000;
	strcpy(st.disk_why, "3 requests of the detached disk /dev/vg0/my-domu-disk have not ended for 42 s");
	add(doc, true);
	cfg.name = "second";
	healthy();
	cfg.name = "second";
	st.core.peer_disk = DISK_DISKLESS;
	add(doc, true);
	cfg.name = "third";
	no_guest();
	st.core.superblock.flags |= SB_OUTDATED;
	st.core.disk = DISK_OUTDATED;
	st.core.peer_disk = DISK_UNKNOWN;
	st.core.connection = CONNECTION_DISCONNECTED;
	st.core.superblock.token = TOKEN_NONE;
	strcpy(st.disk_state, "Outdated");
	add(doc, true);
	check("diskless", doc);
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
			assert_string_equal("backend-ctl: r0: words\n", out);
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
		"dump-md r0 r1",
		"restore-md r0",
		"wipe-md",
		"show-gi --force r0",
		"check a b",
		"status --force",
		"check --json",
		"up -c /x r0",
		"--timeout 0 status",
		"--timeout x status",
		"status --assume-clean",
		"help nonsense",
		"primary",
		"outdate --force r0",
		"new-current-uuid r0",
		"primary --clear-bitmap r0",
		"connect --force r0",
		"create-md --overwrite-data-of-peer r0",
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
	assert_int_equal(10, run("-- --force create-md r0 -c /nonexistent/conf", out));
	assert_non_null(strstr(out, "/nonexistent/conf: "));
}

#define RESOURCE(name, up, state, disk, awaited) \
	"{\"name\":\"" name "\",\"up\":" up ",\"connection\":{\"state\":\"" state "\",\"why\":\"because\",\"peer_host\":\"dom0_2\"}," \
	"\"disk\":{\"state\":\"" disk "\"},\"awaited\":" awaited "}"
#define ANSWER(resources) "{\"ok\":true,\"resources\":[" resources "]}\n"
#define AWAITED(left, then) "{\"option\":\"wfc-timeout\",\"left_seconds\":" left ",\"then\":\"" then "\"}"

/* A boot waits for what the start of a guest would wait for, and ends in any case. */
static void wait_connect_at_boot_waits_for_no_more_than_a_guest_would(void **state)
{
	static const struct {
		const char *resources;
		int status;
		const char *out;
	} cases[] = {
		{ "", 0, "" },
		{ RESOURCE("r0", "true", "Connecting", "UpToDate", "null"), 0, "" }, /* for ever: not here */
		{ RESOURCE("r0", "true", "Connecting", "UpToDate", AWAITED("9", "start")), 0, "" },
		{ RESOURCE("r0", "true", "Connecting", "UpToDate", AWAITED("9", "fence")), 0, "" },
		{ RESOURCE("r0", "true", "Connecting", "Consistent", AWAITED("0", "refuse")), 5,
		  "backend-ctl: r0: the partner dom0_2 is not connected (because), and the wait is over (wfc-timeout)\n" },
		{ RESOURCE("r0", "false", "", "", "null") "," RESOURCE("r1", "true", "Connecting", "Consistent", AWAITED("0", "force-primary")), 11,
		  "backend-ctl: r0: it is down: 'backend-ctl up r0' starts it\n"
		  "backend-ctl: r1: the partner dom0_2 is not connected (because), and the wait is over (wfc-timeout)\n" },
	};
	char out[OUTPUT], answer_line[2048];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(answer_line, sizeof(answer_line), ANSWER("%s"), cases[i].resources);
		assert_int_equal(cases[i].status, run_against(answer_line, "wait-connect --at-boot all", out));
		assert_string_equal(cases[i].out, out);
	}
}

#define ONE(up, state, awaited) ANSWER(RESOURCE("r0", up, state, "", awaited))

static void wait_connect_ends_with_the_connection_or_with_the_wait(void **state)
{
	static const struct {
		const char *words, *answer;
		int status;
		const char *out;
	} cases[] = {
		{ "wait-connect r0", ONE("true", "Connected", "null"), 0, "" },
		{ "wait-connect all", ONE("true", "Connected", "null"), 0, "" },
		{ "wait-connect r0", ONE("true", "StandAlone", "null"), 11, "backend-ctl: r0: the two nodes refuse each other: because\n" },
		{ "wait-connect r0", ONE("false", "", "null"), 11, "backend-ctl: r0: it is down: 'backend-ctl up r0' starts it\n" },
		{ "wait-connect r0", ONE("true", "Connecting", "{\"option\":\"degr-wfc-timeout\",\"left_seconds\":0,\"then\":\"refuse\"}"), 5,
		  "backend-ctl: r0: the partner dom0_2 is not connected (because), and the wait is over (degr-wfc-timeout)\n" },
	};
	char out[OUTPUT];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(cases[i].status, run_against((char *)cases[i].answer, cases[i].words, out));
		assert_string_equal(cases[i].out, out);
	}
	assert_int_equal(10, run_against((char *)cases[0].answer, "wait-connect nosuch", out));
	assert_non_null(strstr(out, "no resource 'nosuch' is configured on this host"));
}

static void what_a_resource_is_told_goes_to_the_daemon(void **state)
{
	static const struct {
		const char *words, *request;
	} cases[] = {
		{ "primary --force r0", "\"verb\":\"primary\",\"resource\":\"r0\",\"force\":true}" },
		{ "-- --overwrite-data-of-peer primary r0", "\"verb\":\"primary\",\"resource\":\"r0\",\"force\":true}" },
		{ "new-current-uuid --clear-bitmap r0",
		  "\"verb\":\"new-current-uuid\",\"resource\":\"r0\",\"clear_bitmap\":true}" },
		{ "connect --discard-my-data r0", "\"verb\":\"connect\",\"resource\":\"r0\",\"discard_my_data\":true}" },
		{ "-- --discard-my-data connect r0", "\"verb\":\"connect\",\"resource\":\"r0\",\"discard_my_data\":true}" },
		{ "invalidate r0", "\"verb\":\"invalidate\",\"resource\":\"r0\"}" },
		{ "invalidate-remote r0", "\"verb\":\"invalidate-remote\",\"resource\":\"r0\"}" },
		{ "detach r0", "\"verb\":\"detach\",\"resource\":\"r0\"}" },
		{ "detach --force r0", "\"verb\":\"detach\",\"resource\":\"r0\",\"force\":true}" },
		{ "attach r0", "\"verb\":\"attach\",\"resource\":\"r0\"}" },
		{ "suspend-io r0", "\"verb\":\"suspend-io\",\"resource\":\"r0\"}" },
		{ "resume-io r0", "\"verb\":\"resume-io\",\"resource\":\"r0\"}" },
		{ "pause-sync r0", "\"verb\":\"pause-sync\",\"resource\":\"r0\"}" },
		{ "resize r0", "\"verb\":\"resize\",\"resource\":\"r0\"}" },
		{ "resize --assume-clean r0", "\"verb\":\"resize\",\"resource\":\"r0\",\"assume_clean\":true}" },
		{ "-- --assume-clean resize r0", "\"verb\":\"resize\",\"resource\":\"r0\",\"assume_clean\":true}" },
		{ "resume-sync r0", "\"verb\":\"resume-sync\",\"resource\":\"r0\"}" },
	};
	char out[OUTPUT];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(0, run_against("{\"ok\":true,\"note\":\"as it was\"}\n", cases[i].words, out));
		assert_string_equal("r0: as it was\n", out);
		if (!strstr(asked, cases[i].request))
			fail_msg("%s: %s", cases[i].words, asked);
	}
}

/* DRBD's scripts call them before a guest is started, or after a restart: here it happens by itself. */
static void what_happens_by_itself_is_said_in_words(void **state)
{
	json_t *doc = document(NULL);
	char *compact, *line, out[OUTPUT];

	(void)state;
	healthy();
	add(doc, true);
	compact = json_dumps(doc, JSON_COMPACT);
	assert_int_not_equal(-1, asprintf(&line, "%s\n", compact));
	assert_int_equal(0, run_against(line, "primary my-domu-disk", out));
	assert_non_null(strstr(out, "the role follows the guest"));
	assert_int_equal(10, run_against(line, "primary tpyo", out));
	assert_int_equal(0, run_against(line, "connect my-domu-disk", out));
	assert_non_null(strstr(out, "connects by itself"));
	free(compact);
	free(line);
	json_decref(doc);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_is_well),
		TEST(frozen_says_why_and_since_when),
		TEST(each_state_of_a_migration_says_who_has_the_disk_and_the_way_out),
		TEST(alone_says_since_when_and_what_differs),
		TEST(a_partner_that_is_awaited_says_for_how_long_and_what_then),
		TEST(fencing_says_how_far_it_is_and_since_when),
		TEST(errors_of_a_guest_without_a_disk_say_why_and_since_when),
		TEST(what_an_earlier_daemon_left_is_said_until_it_is_finished),
		TEST(refused_and_forced_say_the_way_out),
		TEST(forcing_a_copy_that_is_behind_says_what_is_lost),
		TEST(the_target_of_a_resync_says_what_it_is_worth),
		TEST(a_paused_source_says_how_it_goes_on),
		TEST(a_resync_that_would_be_held_is_said_before_there_is_one),
		TEST(a_new_pair_asks_whose_data_count),
		TEST(without_its_disk_a_guest_runs_on_the_partners),
		TEST(down_refused_by_the_file_and_no_xenstore),
		TEST(nothing_is_configured),
		TEST(a_terminal_is_safe_from_a_guests_name),
		TEST(refusals_have_their_exit_status),
		TEST(a_daemon_that_does_not_answer_is_waited_for_with_a_bound),
		TEST(no_daemon_says_how_to_start_it),
		TEST(a_resource_that_is_not_there_is_an_error),
		TEST(wrong_usage_is_status_1),
		TEST(drbds_order_of_words_is_understood),
		TEST(wait_connect_ends_with_the_connection_or_with_the_wait),
		TEST(wait_connect_at_boot_waits_for_no_more_than_a_guest_would),
		TEST(what_a_resource_is_told_goes_to_the_daemon),
		TEST(what_happens_by_itself_is_said_in_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
