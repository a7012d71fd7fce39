/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control socket, with the devices, the daemon's state and the resources played by this file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <cmocka.h>

#include <jansson.h>

#include "backend/control.h"
#include "backend/daemon.h"
#include "backend/log.h"
#include "backend/upgrade.h"

#define PATH "backend/vbd/5/51714"

/* ---- the daemon's other parts ---- */

static struct fakes {
	char calls[4096]; /* what control.c called, in order */
	bool hold;	  /* answers wait for answer_held() */
	int rc;		  /* the answer */
	const char *why;
	struct {
		resource_reply_fn *reply;
		void *ctx;
	} held[8];
	size_t n_held;
	struct {
		resource_status_fn *reply;
		void *ctx;
	} held_status[8];
	size_t n_held_status;
	struct config_resource resources[3];
	bool up[3];
	size_t n_resources;
	struct device_status devices[3];
	size_t n_devices;
	const char *problem;
	struct resource_status status;
} fake;

static void note(const char *verb, const char *what)
{
	size_t n = strlen(fake.calls);

	snprintf(fake.calls + n, sizeof(fake.calls) - n, "%s %s\n", verb, what);
}

static void answer(resource_reply_fn *reply, void *ctx)
{
	if (!fake.hold) {
		reply(ctx, fake.rc, fake.why);
		return;
	}
	fake.held[fake.n_held].reply = reply;
	fake.held[fake.n_held++].ctx = ctx;
}

static void answer_held(void)
{
	size_t n = fake.n_held;

	fake.n_held = 0;
	for (size_t i = 0; i < n; i++)
		fake.held[i].reply(fake.held[i].ctx, fake.rc, fake.why);
}

void device_add(struct devices *d, const char *path, resource_reply_fn *reply, void *ctx)
{
	(void)d;
	note("add", path);
	answer(reply, ctx);
}

void device_add_done(struct devices *d, const char *path)
{
	(void)d;
	note("done", path);
}

void device_add_undo(struct devices *d, const char *path)
{
	(void)d;
	note("undo", path);
}

void device_remove(struct devices *d, const char *path, resource_reply_fn *reply, void *ctx)
{
	(void)d;
	note("remove", path);
	answer(reply, ctx);
}

size_t devices_status(const struct devices *d, struct device_status *out, size_t max)
{
	(void)d;
	memcpy(out, fake.devices, sizeof(out[0]) * (fake.n_devices < max ? fake.n_devices : max));
	return fake.n_devices;
}

const char *devices_problem(const struct devices *d)
{
	(void)d;
	return fake.problem;
}

const struct config_resource *daemon_each(struct daemon_state *d, size_t i, struct resource **running)
{
	(void)d;
	if (i >= fake.n_resources)
		return NULL;
	*running = fake.up[i] ? (struct resource *)&fake.resources[i] : NULL;
	return &fake.resources[i];
}

int daemon_up(struct daemon_state *d, const char *name, char *why, size_t why_size)
{
	(void)d;
	note("up", name ? name : "(all)");
	snprintf(why, why_size, "%s", fake.why ? fake.why : "");
	return fake.rc;
}

void daemon_down(struct daemon_state *d, const char *name, resource_reply_fn *reply, void *ctx)
{
	(void)d;
	note("down", name);
	answer(reply, ctx);
}

void daemon_attach(struct daemon_state *d, const char *name, resource_reply_fn *reply, void *ctx)
{
	(void)d;
	note("attach", name);
	answer(reply, ctx);
}

struct resource *daemon_find(struct daemon_state *d, const char *name)
{
	(void)d;
	for (size_t i = 0; i < fake.n_resources; i++)
		if (fake.up[i] && !strcmp(fake.resources[i].name, name))
			return (struct resource *)&fake.resources[i];
	return NULL;
}

void resource_command(struct resource *r, enum command command, resource_reply_fn *reply, void *ctx)
{
	static const char *const names[] = {
#define X(name, what) #name,
		COMMANDS(X)
#undef X
	};

	note(names[command], ((const struct config_resource *)r)->name);
	answer(reply, ctx);
}

void resource_status(struct resource *r, resource_status_fn *reply, void *ctx)
{
	(void)r;
	if (!fake.hold) {
		reply(ctx, &fake.status);
		return;
	}
	fake.held_status[fake.n_held_status].reply = reply;
	fake.held_status[fake.n_held_status++].ctx = ctx;
}

/* ---- the client's side ---- */

static char dir[64], socket_path[96];
static struct control *ctl;

static void step(int timeout_ms)
{
	struct pollfd fds[64];
	size_t n = control_pollfds(ctl, fds, 64);

	if (poll(fds, n, timeout_ms) > 0)
		control_events(ctl, fds, n);
}

/* Everything that control.c can do now has been done. */
static void settle(void)
{
	for (;;) {
		struct pollfd fds[64];
		size_t n = control_pollfds(ctl, fds, 64);

		if (poll(fds, n, 0) <= 0)
			return;
		control_events(ctl, fds, n);
	}
}

static int client(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", socket_path);
	assert_int_equal(0, connect(fd, (struct sockaddr *)&addr, sizeof(addr)));
	settle();
	return fd;
}

static void say(int fd, const char *line)
{
	assert_int_equal((ssize_t)strlen(line), send(fd, line, strlen(line), MSG_NOSIGNAL));
	settle();
}

/* The next line that comes; the daemon goes on meanwhile. */
static json_t *hear(int fd)
{
	static char line[1 << 20];
	size_t n = 0;
	json_t *reply;

	for (int idle = 0; idle < 500;) {
		ssize_t r = recv(fd, line + n, 1, MSG_DONTWAIT);

		if (r < 0) {
			step(10);
			idle++;
			continue;
		}
		if (!r)
			break;
		if (line[n++] == '\n')
			break;
	}
	reply = json_loadb(line, n, 0, NULL);
	assert_non_null(reply);
	return reply;
}

static bool closed(int fd)
{
	char byte;

	settle();
	return recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

static bool silent(int fd)
{
	char byte;

	settle();
	return recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static void expect_ok(int fd)
{
	json_t *reply = hear(fd);

	assert_true(json_is_true(json_object_get(reply, "ok")));
	json_decref(reply);
}

static void expect_error(int fd, const char *code, const char *words)
{
	json_t *reply = hear(fd);

	assert_true(json_is_false(json_object_get(reply, "ok")));
	assert_string_equal(code, json_string_value(json_object_get(reply, "code")));
	assert_non_null(strstr(json_string_value(json_object_get(reply, "error")), words));
	json_decref(reply);
}

static int setup(void **state)
{
	char why[200] = "";

	(void)state;
	memset(&fake, 0, sizeof(fake));
	log_set_level(LOG_ERROR);
	strcpy(dir, "/tmp/drbdx-control.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(socket_path, sizeof(socket_path), "%s/run/control.sock", dir);
	return control_new(socket_path, NULL, NULL, &ctl, why, sizeof(why));
}

static int teardown(void **state)
{
	char sub[80];

	(void)state;
	control_free(ctl);
	ctl = NULL;
	unlink(socket_path);
	snprintf(sub, sizeof(sub), "%s/run", dir);
	rmdir(sub);
	return rmdir(dir);
}

/* ---- lines ---- */

static void words_come_back_for_a_line_that_is_no_json(void **state)
{
	int fd = client();

	(void)state;
	say(fd, "hello\n");
	expect_error(fd, "usage", "not a JSON object");
	say(fd, "[1]\n");
	expect_error(fd, "usage", "JSON object");
	say(fd, "{\"verb\":\"add\",\"verb\":\"remove\"}\n");
	expect_error(fd, "usage", "duplicate");
	say(fd, "{\"verb\":7}\n");
	expect_error(fd, "usage", "\"verb\"");
	say(fd, "{\"verb\":\"format-disk\"}\n");
	expect_error(fd, "usage", "unknown verb");
	say(fd, "{\"verb\":\"add\"}\n");
	expect_error(fd, "usage", "\"path\"");
	assert_string_equal("", fake.calls);
	close(fd);
}

static void a_line_may_come_in_pieces(void **state)
{
	int fd = client();

	(void)state;
	say(fd, "{\"verb\":\"rem");
	assert_true(silent(fd));
	say(fd, "ove\",\"path\":\"" PATH "\"}\n");
	expect_ok(fd);
	assert_string_equal("remove " PATH "\n", fake.calls);
	close(fd);
}

static void the_last_line_may_lack_its_newline(void **state)
{
	int fd = client();

	(void)state;
	say(fd, "{\"verb\":\"up\"}");
	shutdown(fd, SHUT_WR);
	expect_ok(fd);
	assert_true(closed(fd));
	assert_string_equal("up (all)\n", fake.calls);
	close(fd);
}

static void an_endless_line_costs_the_connection(void **state)
{
	int fd = client();
	char *line = malloc(70000);

	(void)state;
	memset(line, ' ', 70000);
	for (size_t sent = 0; sent < 70000;) {
		ssize_t r = send(fd, line + sent, 70000 - sent, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (r < 0 && errno != EAGAIN)
			break;
		sent += r > 0 ? (size_t)r : 0;
		settle();
	}
	free(line);
	expect_error(fd, "usage", "65536");
	settle();
	assert_int_equal(1, (control_pollfds(ctl, (struct pollfd[64]){ 0 }, 64)));
	close(fd);
}

static void lines_are_answered_in_their_order(void **state)
{
	int fd = client();

	(void)state;
	fake.hold = true;
	say(fd, "{\"verb\":\"remove\",\"path\":\"a\"}\n{\"verb\":\"nonsense\"}\n{\"verb\":\"remove\","
		"\"path\":\"b\"}\n");
	assert_true(silent(fd));
	assert_string_equal("remove a\n", fake.calls);
	answer_held();
	expect_ok(fd);
	expect_error(fd, "usage", "unknown verb");
	assert_string_equal("remove a\nremove b\n", fake.calls);
	answer_held();
	expect_ok(fd);
	close(fd);
}

/* ---- add ---- */

static void add_and_add_done(void **state)
{
	int fd = client();

	(void)state;
	say(fd, "{\"verb\":\"add\",\"path\":\"" PATH "\"}\n");
	expect_ok(fd);
	say(fd, "{\"verb\":\"add-done\"}\n");
	expect_ok(fd);
	close(fd);
	settle();
	assert_string_equal("add " PATH "\ndone " PATH "\n", fake.calls);
}

static void an_end_without_add_done_takes_the_grant_back_once(void **state)
{
	int fd = client();

	(void)state;
	say(fd, "{\"verb\":\"add\",\"path\":\"" PATH "\"}\n");
	expect_ok(fd);
	close(fd);
	settle();
	settle();
	assert_string_equal("add " PATH "\nundo " PATH "\n", fake.calls);
}

static void a_half_closed_connection_takes_the_grant_back(void **state)
{
	int fd = client();

	(void)state;
	say(fd, "{\"verb\":\"add\",\"path\":\"" PATH "\"}\n");
	shutdown(fd, SHUT_WR);
	expect_ok(fd);
	settle();
	assert_string_equal("add " PATH "\nundo " PATH "\n", fake.calls);
	close(fd);
}

static void add_done_counts_when_the_caller_has_gone_meanwhile(void **state)
{
	int fd = client();

	(void)state;
	say(fd, "{\"verb\":\"add\",\"path\":\"" PATH "\"}\n");
	expect_ok(fd);
	assert_true(send(fd, "{\"verb\":\"add-done\"}\n", 20, 0) == 20);
	close(fd);
	settle();
	assert_string_equal("add " PATH "\ndone " PATH "\n", fake.calls);
}

static void a_grant_for_a_caller_that_has_gone_is_taken_back(void **state)
{
	int fd = client();

	(void)state;
	fake.hold = true;
	say(fd, "{\"verb\":\"add\",\"path\":\"" PATH "\"}\n");
	close(fd);
	settle();
	assert_string_equal("add " PATH "\n", fake.calls);
	answer_held();
	assert_string_equal("add " PATH "\nundo " PATH "\n", fake.calls);
}

static void a_refusal_for_a_caller_that_has_gone_leaves_nothing(void **state)
{
	int fd = client();

	(void)state;
	fake.hold = true;
	fake.rc = -EBUSY;
	say(fd, "{\"verb\":\"add\",\"path\":\"" PATH "\"}\n");
	close(fd);
	settle();
	answer_held();
	assert_string_equal("add " PATH "\n", fake.calls);
}

static void a_refused_add_has_the_words_and_no_grant(void **state)
{
	int fd = client();

	(void)state;
	fake.rc = -EBUSY;
	fake.why = "guest web1 has the disk";
	say(fd, "{\"verb\":\"add\",\"path\":\"" PATH "\"}\n");
	expect_error(fd, "refused", "guest web1 has the disk");
	say(fd, "{\"verb\":\"add-done\"}\n");
	expect_error(fd, "usage", "without a granted add");
	close(fd);
	settle();
	assert_string_equal("add " PATH "\n", fake.calls);
}

static void one_device_is_added_by_one_caller_at_a_time(void **state)
{
	int first = client(), second = client();

	(void)state;
	fake.hold = true;
	say(first, "{\"verb\":\"add\",\"path\":\"" PATH "\"}\n");
	say(second, "{\"verb\":\"add\",\"path\":\"" PATH "\"}\n");
	expect_error(second, "adding", "another block-drbdx");
	answer_held();
	expect_ok(first);
	say(second, "{\"verb\":\"add\",\"path\":\"" PATH "\"}\n");
	expect_error(second, "adding", "another block-drbdx");
	close(second);
	say(first, "{\"verb\":\"add-done\"}\n");
	expect_ok(first);
	close(first);
	settle();
	assert_string_equal("add " PATH "\ndone " PATH "\n", fake.calls);
}

static void disks_of_one_guest_are_added_side_by_side(void **state)
{
	int first = client(), second = client();

	(void)state;
	fake.hold = true;
	say(first, "{\"verb\":\"add\",\"path\":\"backend/vbd/5/1\"}\n");
	say(second, "{\"verb\":\"add\",\"path\":\"backend/vbd/5/2\"}\n");
	answer_held();
	expect_ok(second);
	expect_ok(first);
	close(first);
	say(second, "{\"verb\":\"add-done\"}\n");
	expect_ok(second);
	close(second);
	settle();
	assert_string_equal(
		"add backend/vbd/5/1\nadd backend/vbd/5/2\nundo backend/vbd/5/1\ndone backend/vbd/5/2\n",
		fake.calls);
}

/* ---- up, down, status ---- */

static void add_resource(const char *name, bool up)
{
	fake.resources[fake.n_resources].name = name;
	fake.up[fake.n_resources++] = up;
}

static void down_of_an_unknown_resource_is_an_error(void **state)
{
	int fd = client();

	(void)state;
	add_resource("r0", true);
	say(fd, "{\"verb\":\"down\",\"resource\":\"r1\"}\n");
	expect_error(fd, "unknown", "no resource");
	say(fd, "{\"verb\":\"down\",\"resource\":\"r0\"}\n");
	expect_ok(fd);
	assert_string_equal("down r0\n", fake.calls);
	close(fd);
}

static void each_command_goes_to_its_resource(void **state)
{
	static const struct {
		const char *request, *call;
	} cases[] = {
		{ "\"verb\":\"primary\",\"force\":true", "PROMOTE r0\n" },
		{ "\"verb\":\"outdate\"", "OUTDATE r0\n" },
		{ "\"verb\":\"invalidate\"", "INVALIDATE r0\n" },
		{ "\"verb\":\"invalidate-remote\"", "INVALIDATE_REMOTE r0\n" },
		{ "\"verb\":\"new-current-uuid\",\"clear_bitmap\":true", "CLEAR_BITMAP r0\n" },
		{ "\"verb\":\"connect\",\"discard_my_data\":true", "DISCARD r0\n" },
		{ "\"verb\":\"detach\"", "DETACH r0\n" },
		{ "\"verb\":\"detach\",\"force\":true", "DETACH_FORCE r0\n" },
		{ "\"verb\":\"attach\"", "attach r0\n" },
		{ "\"verb\":\"suspend-io\"", "SUSPEND_IO r0\n" },
		{ "\"verb\":\"resume-io\"", "RESUME_IO r0\n" },
		{ "\"verb\":\"pause-sync\"", "PAUSE_SYNC r0\n" },
		{ "\"verb\":\"resize\"", "RESIZE r0\n" },
		{ "\"verb\":\"resize\",\"assume_clean\":true", "RESIZE_CLEAN r0\n" },
		{ "\"verb\":\"resume-sync\"", "RESUME_SYNC r0\n" },
	};
	int fd = client();
	char line[256];

	(void)state;
	add_resource("r0", true);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fake.calls[0] = 0;
		snprintf(line, sizeof(line), "{%s,\"resource\":\"r0\"}\n", cases[i].request);
		say(fd, line);
		expect_ok(fd);
		assert_string_equal(cases[i].call, fake.calls);
	}
	close(fd);
}

/* What a verb would say without its option is not there; and there is nobody to say it to. */
static void a_command_that_makes_no_sense_reaches_nobody(void **state)
{
	int fd = client();

	(void)state;
	add_resource("r0", true);
	add_resource("r1", false);
	say(fd, "{\"verb\":\"primary\",\"resource\":\"r0\"}\n");
	expect_error(fd, "usage", "the role follows the guest");
	say(fd, "{\"verb\":\"primary\",\"resource\":\"r0\",\"force\":1}\n");
	expect_error(fd, "usage", "force");
	say(fd, "{\"verb\":\"new-current-uuid\",\"resource\":\"r0\"}\n");
	expect_error(fd, "usage", "clear_bitmap");
	say(fd, "{\"verb\":\"connect\",\"resource\":\"r0\"}\n");
	expect_error(fd, "usage", "connects by itself");
	say(fd, "{\"verb\":\"outdate\",\"resource\":\"r1\"}\n");
	expect_error(fd, "refused", "down");
	say(fd, "{\"verb\":\"attach\",\"resource\":\"tpyo\"}\n");
	expect_error(fd, "unknown", "no resource");
	say(fd, "{\"verb\":\"outdate\"}\n");
	expect_error(fd, "usage", "resource");
	assert_string_equal("", fake.calls);
	close(fd);
}

static void the_cores_words_reach_the_caller(void **state)
{
	static const int refused[] = { -EBUSY, -EPERM, -EAGAIN, -EEXIST, -EISCONN, -ENOTCONN };
	int fd = client();

	(void)state;
	add_resource("r0", true);
	fake.why = "a guest uses it";
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		fake.rc = refused[i];
		say(fd, "{\"verb\":\"primary\",\"resource\":\"r0\",\"force\":true}\n");
		expect_error(fd, "refused", "a guest uses it");
	}
	fake.rc = -ETXTBSY; /* a partner's fence-peer has to know */
	say(fd, "{\"verb\":\"outdate\",\"resource\":\"r0\"}\n");
	expect_error(fd, "primary", "a guest uses it");
	fake.rc = -ENODATA;
	say(fd, "{\"verb\":\"outdate\",\"resource\":\"r0\"}\n");
	expect_error(fd, "worse", "a guest uses it");
	fake.rc = -ETIMEDOUT;
	say(fd, "{\"verb\":\"suspend-io\",\"resource\":\"r0\"}\n");
	expect_error(fd, "failed", "a guest uses it");
	close(fd);
}

static void a_command_survives_that_its_caller_leaves(void **state)
{
	int fd = client();

	(void)state;
	add_resource("r0", true);
	fake.hold = true;
	say(fd, "{\"verb\":\"suspend-io\",\"resource\":\"r0\"}\n");
	settle();
	close(fd);
	settle();
	answer_held();
	settle();
	assert_string_equal("SUSPEND_IO r0\n", fake.calls);
}

static void up_says_what_is_wrong_with_the_file(void **state)
{
	int fd = client();

	(void)state;
	fake.rc = -EINVAL;
	fake.why = "/etc/drbdx.conf:3: what";
	say(fd, "{\"verb\":\"up\",\"resource\":\"r0\"}\n");
	expect_error(fd, "invalid", "drbdx.conf:3");
	assert_string_equal("up r0\n", fake.calls);
	close(fd);
}

static void status_waits_for_every_resource(void **state)
{
	int fd = client();
	json_t *reply;

	(void)state;
	add_resource("r0", true);
	add_resource("r1", false);
	add_resource("r2", true);
	fake.hold = true;
	say(fd, "{\"verb\":\"status\"}\n");
	assert_int_equal(2, fake.n_held_status);
	fake.held_status[1].reply(fake.held_status[1].ctx, &fake.status);
	assert_true(silent(fd));
	fake.held_status[0].reply(fake.held_status[0].ctx, &fake.status);
	reply = hear(fd);
	assert_int_equal(CONTROL_SCHEMA, json_integer_value(json_object_get(reply, "schema")));
	assert_int_equal(3, json_array_size(json_object_get(reply, "resources")));
	assert_true(
		json_is_false(json_object_get(json_array_get(json_object_get(reply, "resources"), 1), "up")));
	json_decref(reply);
	close(fd);
}

static void status_survives_that_its_caller_leaves(void **state)
{
	int fd = client();

	(void)state;
	add_resource("r0", true);
	fake.hold = true;
	say(fd, "{\"verb\":\"status\"}\n");
	close(fd);
	settle();
	fake.held_status[0].reply(fake.held_status[0].ctx, &fake.status);
	settle();
}

static void what_a_guest_chose_cannot_spoil_the_status(void **state)
{
	int fd = client();
	json_t *reply;

	(void)state;
	add_resource("r0", true);
	strcpy(fake.status.core.who, "guest \xff\xfe\x1b[2J");
	fake.status.core.attachment = ATTACHMENT_ACTIVE;
	say(fd, "{\"verb\":\"status\"}\n");
	reply = hear(fd);
	assert_string_equal(
		"guest ?\?\x1b[2J",
		json_string_value(json_object_get(
			json_object_get(json_array_get(json_object_get(reply, "resources"), 0), "guest"),
			"who")));
	json_decref(reply);
	close(fd);
}

/* ---- the socket ---- */

static void many_callers_and_one_too_many(void **state)
{
	int fds[33];

	(void)state;
	for (size_t i = 0; i < 32; i++)
		fds[i] = client();
	fds[32] = client();
	expect_error(fds[32], "failed", "too many");
	for (size_t i = 0; i < 32; i++) {
		say(fds[i], "{\"verb\":\"up\"}\n");
		expect_ok(fds[i]);
	}
	for (size_t i = 0; i < 33; i++)
		close(fds[i]);
	settle();
	fds[0] = client();
	say(fds[0], "{\"verb\":\"up\"}\n");
	expect_ok(fds[0]);
	close(fds[0]);
}

static void a_slow_reader_gets_its_answer_in_the_end(void **state)
{
	static char name[3][200];
	int fd = client(), small = 1;

	(void)state;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	for (size_t i = 0; i < 3; i++) {
		memset(name[i], 'a' + (int)i, sizeof(name[i]) - 1);
		add_resource(name[i], true);
	}
	for (int i = 0; i < 200; i++)
		assert_true(send(fd, "{\"verb\":\"status\"}\n", 18, MSG_NOSIGNAL) == 18);
	for (int i = 0; i < 200; i++)
		json_decref(hear(fd));
	close(fd);
}

static void the_socket_is_for_root_alone(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(0, stat(socket_path, &st));
	assert_int_equal(0600, st.st_mode & 0777);
}

static void a_dead_daemons_socket_is_replaced_a_living_ones_is_not(void **state)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct control *second = NULL;
	char why[200] = "", stale[128];
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	assert_int_equal(-EADDRINUSE, control_new(socket_path, NULL, NULL, &second, why, sizeof(why)));
	assert_non_null(strstr(why, "another drbdxd"));
	snprintf(stale, sizeof(stale), "%s/run/stale", dir);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/run/stale", dir);
	assert_int_equal(0, bind(fd, (struct sockaddr *)&addr, sizeof(addr)));
	close(fd);
	assert_int_equal(0, control_new(stale, NULL, NULL, &second, why, sizeof(why)));
	control_free(second);
	assert_int_equal(-1, access(stale, F_OK));
}

static void a_file_in_the_way_is_left_alone(void **state)
{
	struct control *second = NULL;
	char why[200] = "", path[128];
	FILE *f;

	(void)state;
	snprintf(path, sizeof(path), "%s/run/file", dir);
	f = fopen(path, "w");
	fclose(f);
	assert_int_equal(-EEXIST, control_new(path, NULL, NULL, &second, why, sizeof(why)));
	assert_int_equal(0, unlink(path));
}

static void an_answer_after_the_end_is_harmless(void **state)
{
	int fd = client();

	(void)state;
	fake.hold = true;
	say(fd, "{\"verb\":\"add\",\"path\":\"" PATH "\"}\n");
	control_free(ctl);
	ctl = NULL;
	answer_held();
	assert_string_equal("add " PATH "\n", fake.calls);
	close(fd);
}

/* ---- upgrade ---- */

static struct upgrade program = { .program = "/bin/true", .config = "/etc/drbdx.conf" };

static int begin(void *ctx, char *why, size_t why_size)
{
	(void)ctx;
	note("begin", "");
	snprintf(why, why_size, "%s", fake.why ? fake.why : "");
	return fake.rc;
}

static void two_resources(void)
{
	control_set_upgrade(ctl, &program, begin, NULL);
	fake.resources[0].name = "r0";
	fake.resources[1].name = "r1";
	fake.n_resources = 2;
	fake.up[0] = fake.up[1] = true;
	fake.status.open = true;
}

static void an_upgrade_is_begun_when_every_resource_allows_it(void **state)
{
	int fd = client();
	json_t *reply;

	(void)state;
	two_resources();
	fake.hold = true;
	say(fd, "{\"verb\":\"upgrade\"}\n");
	assert_int_equal(2, fake.n_held_status);
	fake.held_status[0].reply(fake.held_status[0].ctx, &fake.status);
	assert_string_equal("", fake.calls);
	fake.held_status[1].reply(fake.held_status[1].ctx, &fake.status);
	assert_string_equal("begin \n", fake.calls);
	expect_ok(fd);
	fake.hold = false;
	say(fd, "{\"verb\":\"upgrade\",\"prepare\":true}\n");
	reply = hear(fd);
	assert_string_equal("/bin/true", json_string_value(json_object_get(reply, "program")));
	assert_string_equal("/etc/drbdx.conf", json_string_value(json_object_get(reply, "config")));
	assert_non_null(json_object_get(reply, "version"));
	json_decref(reply);
	assert_string_equal("begin \n", fake.calls); /* only asked */
	close(fd);
}

static void what_is_in_the_way_of_an_upgrade_is_said(void **state)
{
	int fd = client(), other = client();
	static const char request[] = "{\"verb\":\"upgrade\"}\n";

	(void)state;
	say(fd, request);
	expect_error(fd, "failed", "systemctl restart drbdxd");
	two_resources();
	fake.status.core.suspended = true;
	say(fd, request);
	expect_error(fd, "refused", "r0: its guest's I/O is held by suspend-io");
	fake.status.core.suspended = false;
	fake.problem = "xenstored is away";
	say(fd, request);
	expect_error(fd, "refused", "xenstored does not answer");
	fake.problem = NULL;
	say(other, "{\"verb\":\"add\",\"path\":\"" PATH "\"}\n");
	expect_ok(other);
	say(fd, request);
	expect_error(fd, "refused", "a guest's disk is just being given to it");
	say(other, "{\"verb\":\"add-done\"}\n");
	expect_ok(other);
	strcpy(program.program, "/none");
	say(fd, request);
	expect_error(fd, "refused", "/none cannot be executed: No such file");
	strcpy(program.program, "/bin/true");
	fake.calls[0] = '\0';
	fake.rc = -ESHUTDOWN;
	fake.why = "drbdxd is being stopped";
	say(fd, request);
	expect_error(fd, "stopping", "drbdxd is being stopped");
	assert_string_equal("begin \n", fake.calls);
	close(fd);
	close(other);
}

/* An add that is under way is not told apart from one that is granted. */
static void an_add_under_way_is_in_the_way_of_an_upgrade(void **state)
{
	int fd = client(), other = client();

	(void)state;
	two_resources();
	fake.hold = true;
	say(other, "{\"verb\":\"add\",\"path\":\"" PATH "\"}\n");
	fake.hold = false;
	say(fd, "{\"verb\":\"upgrade\"}\n");
	expect_error(fd, "refused", "a guest's disk is just being given to it");
	answer_held();
	close(fd);
	close(other);
}

static void an_upgrade_that_nobody_waits_for_any_more_is_not_begun(void **state)
{
	int fd = client();

	(void)state;
	two_resources();
	fake.hold = true;
	say(fd, "{\"verb\":\"upgrade\"}\n");
	close(fd);
	settle();
	for (size_t i = 0; i < fake.n_held_status; i++)
		fake.held_status[i].reply(fake.held_status[i].ctx, &fake.status);
	assert_string_equal("", fake.calls);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(words_come_back_for_a_line_that_is_no_json),
		TEST(a_line_may_come_in_pieces),
		TEST(the_last_line_may_lack_its_newline),
		TEST(an_endless_line_costs_the_connection),
		TEST(lines_are_answered_in_their_order),
		TEST(add_and_add_done),
		TEST(an_end_without_add_done_takes_the_grant_back_once),
		TEST(a_half_closed_connection_takes_the_grant_back),
		TEST(add_done_counts_when_the_caller_has_gone_meanwhile),
		TEST(a_grant_for_a_caller_that_has_gone_is_taken_back),
		TEST(a_refusal_for_a_caller_that_has_gone_leaves_nothing),
		TEST(a_refused_add_has_the_words_and_no_grant),
		TEST(one_device_is_added_by_one_caller_at_a_time),
		TEST(disks_of_one_guest_are_added_side_by_side),
		TEST(down_of_an_unknown_resource_is_an_error),
		TEST(each_command_goes_to_its_resource),
		TEST(a_command_that_makes_no_sense_reaches_nobody),
		TEST(the_cores_words_reach_the_caller),
		TEST(a_command_survives_that_its_caller_leaves),
		TEST(up_says_what_is_wrong_with_the_file),
		TEST(status_waits_for_every_resource),
		TEST(status_survives_that_its_caller_leaves),
		TEST(what_a_guest_chose_cannot_spoil_the_status),
		TEST(many_callers_and_one_too_many),
		TEST(a_slow_reader_gets_its_answer_in_the_end),
		TEST(the_socket_is_for_root_alone),
		TEST(a_dead_daemons_socket_is_replaced_a_living_ones_is_not),
		TEST(a_file_in_the_way_is_left_alone),
		TEST(an_answer_after_the_end_is_harmless),
		TEST(an_upgrade_is_begun_when_every_resource_allows_it),
		TEST(what_is_in_the_way_of_an_upgrade_is_said),
		TEST(an_add_under_way_is_in_the_way_of_an_upgrade),
		TEST(an_upgrade_that_nobody_waits_for_any_more_is_not_begun),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
