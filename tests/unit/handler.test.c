/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * handler.c, handlers.c and handler_helper.c: what a handler gets, how it is run, and what its end means.
 *
 * Handlers that have to last wait for a FIFO, so nothing here depends on time but the bound of a failure.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/handler_helper.h"
#include "backend/handlers.h"
#include "config/option.h"

#define BOUND_MS 20000
#define MAX	 128

/* ---- requests ---- */

static char why[256];
static struct sockaddr_storage mine, theirs, mine6, theirs6;

static struct sockaddr_storage address(int family, const char *text)
{
	struct sockaddr_storage a = { .ss_family = (sa_family_t)family };

	if (family == AF_INET)
		inet_pton(family, text, &((struct sockaddr_in *)&a)->sin_addr);
	else
		inet_pton(family, text, &((struct sockaddr_in6 *)&a)->sin6_addr);
	return a;
}

static const struct handler_volume one_volume = { 0, 7, "/dev/vg0/disk" };

static struct handler_request request(enum handler h, const char *resource, const char *command)
{
	return (struct handler_request){
		.handler = h,
		.command = command,
		.resource = resource,
		.config = "/etc/drbdx.conf",
		.volumes = &one_volume,
		.n_volumes = 1,
		.self = { "dom0_1", -1, &mine },
		.peer = { "dom0_2", -1, &theirs },
	};
}

/* ---- what is pure ---- */

static void every_handler_of_drbd_conf_is_known_by_its_name(void **state)
{
	int options = 0;

	(void)state;
	for (int id = 0; id < OPTION_COUNT; id++) {
		if (option_table[id].section != SECTION_HANDLERS)
			continue;
		options++;
		if (handler_find(option_table[id].name) == HANDLER_COUNT)
			fail_msg("%s", option_table[id].name);
	}
	assert_int_equal(options, HANDLER_COUNT + 1); /* outdate-peer is fence-peer */
	assert_int_equal(handler_find("outdate-peer"), HANDLER_FENCE_PEER);
	assert_int_equal(handler_find("fence"), HANDLER_COUNT);
	for (enum handler h = 0; h < HANDLER_COUNT; h++) {
		assert_int_equal(handler_find(handler_name(h)), h);
		assert_true(strlen(handler_when(h)) > 10);
	}
}

static void only_fencing_and_what_precedes_a_resync_can_say_no(void **state)
{
	(void)state;
	for (enum handler h = 0; h < HANDLER_COUNT; h++)
		assert_int_equal(handler_status_counts(h), h == HANDLER_FENCE_PEER ||
								   h == HANDLER_BEFORE_RESYNC_TARGET ||
								   h == HANDLER_BEFORE_RESYNC_SOURCE);
}

static void assert_environment(const struct handler_request *rq, const char *const *expected)
{
	static struct handler_start m;
	char *env[HANDLER_ENV_MAX + 1];
	int n = handler_start_encode(rq, 1, &m), i;

	assert_true(n > 0);
	assert_int_equal(handler_start_decode(&m, (size_t)n, env), 0);
	assert_string_equal(m.text, rq->command);
	for (i = 0; expected[i]; i++) {
		assert_non_null(env[i]);
		assert_string_equal(env[i], expected[i]);
	}
	assert_null(env[i]);
}

static const char *const drbd8_environment[] = {
	"HOME=/",
	"TERM=linux",
	"PATH=/sbin:/usr/sbin:/bin:/usr/bin",
	"DRBD_CONF=/etc/drbdx.conf",
	"DRBD_RESOURCE=r0",
	"DRBD_VOLUME=0",
	"DRBD_MINOR=7",
	"DRBD_LL_DISK=/dev/vg0/disk",
	"DRBD_BACKING_DEV=/dev/vg0/disk",
	"DRBD_MINOR_0=7",
	"DRBD_BACKING_DEV_0=/dev/vg0/disk",
	"DRBD_PEER=dom0_2",
	"DRBD_PEERS=dom0_2",
	"DRBD_PEER_AF=ipv4",
	"DRBD_PEER_ADDRESS=192.0.2.2",
	"DRBD_MY_AF=ipv4",
	"DRBD_MY_ADDRESS=192.0.2.1",
	NULL,
};

static void the_environment_is_that_of_drbd_8_4(void **state)
{
	struct handler_request rq = request(HANDLER_SPLIT_BRAIN, "r0", "notify.sh root");

	(void)state;
	assert_environment(&rq, drbd8_environment);
}

static void volumes_node_ids_and_ipv6_are_told_as_in_drbd_9(void **state)
{
	static const struct handler_volume volumes[] = { { 0, 7, "/dev/vg0/disk" }, { 3, 8, NULL } };
	static const char *const expected[] = {
		"HOME=/",
		"TERM=linux",
		"PATH=/sbin:/usr/sbin:/bin:/usr/bin",
		"DRBD_CONF=/etc/drbdx.conf",
		"DRBD_RESOURCE=r0",
		"DRBD_VOLUME=0 3",
		"DRBD_MINOR=7 8",
		"DRBD_LL_DISK=/dev/vg0/disk none",
		"DRBD_MINOR_0=7",
		"DRBD_BACKING_DEV_0=/dev/vg0/disk",
		"DRBD_MINOR_3=8",
		"DRBD_BACKING_DEV_3=none",
		"DRBD_PEER=dom0_2",
		"DRBD_PEERS=dom0_2",
		"DRBD_PEER_AF=ipv6",
		"DRBD_PEER_ADDRESS=2001:db8::2",
		"DRBD_PEER_NODE_ID=1",
		"DRBD_NODE_ID_1=dom0_2",
		"DRBD_MY_AF=ipv6",
		"DRBD_MY_ADDRESS=2001:db8::1",
		"DRBD_MY_NODE_ID=0",
		"DRBD_NODE_ID_0=dom0_1",
		"DRBD_CSTATE=Connecting",
		"UP_TO_DATE_NODES=0x00000001",
		NULL,
	};
	struct handler_request rq = request(HANDLER_FENCE_PEER, "r0", "crm-fence-peer.9.sh");

	(void)state;
	rq.volumes = volumes;
	rq.n_volumes = 2;
	rq.self = (struct handler_node){ "dom0_1", 0, &mine6 };
	rq.peer = (struct handler_node){ "dom0_2", 1, &theirs6 };
	rq.connection = "Connecting";
	rq.up_to_date_nodes = 1;
	assert_environment(&rq, expected);
}

static void what_does_not_fit_into_a_message_is_refused(void **state)
{
	static struct handler_volume many[HANDLER_ENV_MAX];
	static char longest[HANDLER_TEXT_BYTES + 1];
	static struct handler_start m;
	char *env[HANDLER_ENV_MAX + 1];
	struct handler_request rq = request(HANDLER_SPLIT_BRAIN, "r0", longest);
	size_t fits = 0;
	int n;

	(void)state;
	memset(longest, 'x', HANDLER_TEXT_BYTES);
	assert_int_equal(handler_start_encode(&rq, 1, &m), -E2BIG);
	while ((n = handler_start_encode(&rq, 1, &m)) == -E2BIG)
		longest[HANDLER_TEXT_BYTES - ++fits] = '\0';
	assert_int_equal(n, sizeof(m)); /* to the last byte */
	assert_int_equal(handler_start_decode(&m, (size_t)n, env), 0);
	rq.command = "true";
	rq.volumes = many;
	for (rq.n_volumes = 1; (n = handler_start_encode(&rq, 1, &m)) > 0; rq.n_volumes++)
		assert_int_equal(handler_start_decode(&m, (size_t)n, env), 0);
	assert_int_equal(n, -E2BIG);
	assert_true(rq.n_volumes > 50);
}

static void a_request_that_lacks_something_is_refused_in_words(void **state)
{
	const struct handler_request good = request(HANDLER_SPLIT_BRAIN, "r0", "true");
	struct handler_request rq = good;

	(void)state;
	assert_int_equal(handler_check(&rq, why, sizeof(why)), 0);
#define LACKING(change, word)                                                    \
	do {                                                                     \
		rq = good;                                                       \
		change;                                                          \
		assert_int_equal(handler_check(&rq, why, sizeof(why)), -EINVAL); \
		assert_non_null(strstr(why, word));                              \
	} while (0)
	LACKING(rq.handler = HANDLER_COUNT, "handler of drbd.conf");
	LACKING(rq.command = "", "command");
	LACKING(rq.command = NULL, "command");
	LACKING(rq.resource = NULL, "resource");
	LACKING(rq.config = NULL, "file");
	LACKING(rq.peer.name = NULL, "names and addresses");
	LACKING(rq.self.addr = NULL, "names and addresses");
	LACKING(rq.n_volumes = 0, "volume");
#undef LACKING
}

static void a_damaged_message_is_refused(void **state)
{
	struct handler_request rq = request(HANDLER_SPLIT_BRAIN, "r0", "notify.sh root");
	static struct handler_start m, copy;
	char *env[HANDLER_ENV_MAX + 1];
	size_t n = (size_t)handler_start_encode(&rq, 1, &m);
	char *name = strstr(m.text + strlen(m.text) + 1, "HOME");

	(void)state;
	for (size_t bytes = 0; bytes < n; bytes++) {
		/* its own memory, so that a read beyond it is seen */
		struct handler_start *cut = malloc(bytes ? bytes : 1);

		memcpy(cut, &m, bytes);
		assert_int_equal(handler_start_decode(bytes >= 8 ? cut : &copy, bytes, env), -EINVAL);
		free(cut);
	}
	assert_int_equal(handler_start_decode(&m, sizeof(m) + 1, env), -EINVAL);
	for (uint32_t wrong = 0; wrong < 200; wrong++) {
		copy = m;
		copy.n_env = wrong;
		if (wrong != m.n_env)
			assert_int_equal(handler_start_decode(&copy, n, env), -EINVAL);
	}
	copy = m;
	copy.text[0] = '\0';
	assert_int_equal(handler_start_decode(&copy, n, env), -EINVAL);
	*name = '=';
	assert_int_equal(handler_start_decode(&m, n, env), -EINVAL);
	memcpy(name, "HO-E", 4);
	assert_int_equal(handler_start_decode(&m, n, env), -EINVAL);
}

static void a_damaged_result_is_refused(void **state)
{
	struct handler_result r = { .id = 1, .end = HANDLER_EXITED };

	(void)state;
	assert_true(handler_result_valid(&r, sizeof(r)));
	assert_false(handler_result_valid(&r, sizeof(r) - 1));
	r.end = HANDLER_TIMED_OUT; /* the daemon's own word */
	assert_false(handler_result_valid(&r, sizeof(r)));
	r.end = -1;
	assert_false(handler_result_valid(&r, sizeof(r)));
	r.end = HANDLER_KILLED;
	memset(r.output, 'x', sizeof(r.output));
	assert_false(handler_result_valid(&r, sizeof(r)));
}

static void an_end_is_told_with_the_last_line_of_the_output(void **state)
{
	static const struct {
		struct handler_result r;
		const char *words;
	} cases[] = {
		{ { 0, HANDLER_EXITED, 0, "" }, "exit code 0" },
		{ { 0, HANDLER_EXITED, 4, "trying\nthe partner is outdated\n\n" },
		  "exit code 4: the partner is outdated" },
		{ { 0, HANDLER_EXITED, 1, "no newline" }, "exit code 1: no newline" },
		{ { 0, HANDLER_EXITED, 1, "\n \n" }, "exit code 1" },
		{ { 0, HANDLER_KILLED, SIGKILL, "so far\n" }, "killed by signal 9 (Killed): so far" },
		{ { 0, HANDLER_FAILED, ENOMEM, "" }, "it could not be started: Cannot allocate memory" },
		{ { 0, HANDLER_TIMED_OUT, 600, "" },
		  "still running after 600 s, and left alone: see why it does not end" },
		{ { 0, HANDLER_QUEUED, 600, "" },
		  "not started within 600 s, for too many other handlers do not end" },
		{ { 0, HANDLER_LOST, 0, "" },
		  "how it ended is not known, for the process that runs handlers is gone: restart drbdxd to "
		  "have "
		  "handlers again" },
	};
	char words[HANDLER_OUTPUT + 160];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		handler_result_words(&cases[i].r, words, sizeof(words));
		assert_string_equal(words, cases[i].words);
	}
	assert_true(handler_succeeded(&cases[0].r));
	assert_false(handler_succeeded(&cases[1].r));
	assert_false(handler_succeeded(&cases[8].r));
}

static void of_the_output_the_end_is_kept(void **state)
{
	char all[3 * HANDLER_OUTPUT];
	const size_t sizes[] = { 1, 7, sizeof(((struct handler_tail *)0)->text), sizeof(all) };

	(void)state;
	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (char)('a' + i % 26);
	for (size_t s = 0; s < 4; s++) {
		struct handler_tail t = { 0 };
		size_t at = 0;

		while (at < sizeof(all)) {
			size_t n = sizes[s] < sizeof(all) - at ? sizes[s] : sizeof(all) - at;

			handler_tail_add(&t, all + at, n);
			at += n;
		}
		assert_int_equal(t.used, sizeof(t.text));
		assert_memory_equal(t.text, all + sizeof(all) - t.used, t.used);
	}
}

static void fence_peer_exit_codes_mean_what_they_mean_to_drbd(void **state)
{
	struct handler_result r = { .end = HANDLER_EXITED };

	(void)state;
	for (r.code = 0; r.code < 256; r.code++) {
		enum fence_verdict if_old = handler_fence_verdict(&r, false);
		enum fence_verdict if_new = handler_fence_verdict(&r, true);
		enum fence_verdict expected = r.code == 3   ? FENCE_PEER_INCONSISTENT
					      : r.code == 4 ? FENCE_FENCED_OUTDATED
					      : r.code == 5 ? FENCE_FENCED_UNREACHABLE
					      : r.code == 6 ? FENCE_PEER_IS_PRIMARY
					      : r.code == 7 ? FENCE_FENCED_STONITHED
							    : FENCE_BROKEN;

		assert_int_equal(if_new, expected);
		assert_int_equal(if_old, r.code == 5 ? FENCE_UNREACHABLE : expected);
	}
	for (enum fence_verdict v = 0; v <= FENCE_NOT_RUN; v++)
		assert_true(strlen(handler_fence_words(v)) > 10);
	r.code = 4; /* no exit code at all, whatever the number is */
	for (r.end = HANDLER_KILLED; r.end <= HANDLER_LOST; r.end++)
		assert_int_equal(handler_fence_verdict(&r, true), r.end == HANDLER_KILLED      ? FENCE_BROKEN
								  : r.end == HANDLER_TIMED_OUT ? FENCE_LATE
											       : FENCE_NOT_RUN);
}

/* ---- processes ---- */

static struct handlers *handlers;
static char folder[64], fifo[80], told[80], file[80];
static uint64_t now;
static pid_t helper;

struct answer {
	enum handler handler;
	int times;
	struct handler_result r;
};
static struct answer answers[MAX];
static size_t n_answers;

static void on_answer(void *ctx, enum handler h, const struct handler_result *r)
{
	struct answer *a = ctx;

	a->handler = h;
	a->times++;
	a->r = *r;
	n_answers++;
}

/* Handles what comes until `n` answers are there. */
static void wait_answers(size_t n)
{
	while (n_answers < n) {
		struct pollfd fd = { .fd = handlers_fd(handlers), .events = handlers_events(handlers) };

		if (poll(&fd, 1, BOUND_MS) <= 0)
			fail_msg("%zu answers, not %zu", n_answers, n);
		handlers_dispatch(handlers, now);
	}
}

static int run_as(size_t i, enum handler h, const char *resource, const char *command)
{
	struct handler_request rq = request(h, resource, command);

	return handlers_run(handlers, &rq, on_answer, &answers[i], now, why, sizeof(why));
}

/* One handler to its end. */
static const struct handler_result *run(const char *command)
{
	size_t n = n_answers;

	assert_int_equal(run_as(0, HANDLER_FENCE_PEER, "r0", command), 0);
	assert_int_equal(n_answers, n); /* never from within the call */
	wait_answers(n + 1);
	return &answers[0].r;
}

/* Opened for both ends, so that it neither blocks nor ends. */
static int open_fifo(const char *path)
{
	return open(path, O_RDWR | O_CLOEXEC);
}

/* A line that comes through the FIFO `told`. */
static void assert_told(int fd, const char *expected)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char line[64] = "";

	assert_int_equal(poll(&p, 1, BOUND_MS), 1);
	assert_true(read(fd, line, sizeof(line) - 1) > 0);
	assert_string_equal(line, expected);
}

static int left_open = -1; /* until the handlers are gone */

static int setup(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/handler.XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(fifo, sizeof(fifo), "%s/fifo", folder);
	snprintf(told, sizeof(told), "%s/told", folder);
	snprintf(file, sizeof(file), "%s/file", folder);
	memset(answers, 0, sizeof(answers));
	n_answers = 0;
	now = 1000;
	if (mkfifo(fifo, 0600) || mkfifo(told, 0600) || handlers_start(NULL, &handlers))
		return -1;
	helper = (pid_t)atoi(run("echo $PPID")->output);
	memset(answers, 0, sizeof(answers));
	n_answers = 0;
	return helper > 1 ? 0 : -1;
}

/* The helper ends by itself when its daemon and all handlers are gone; a test that hangs here has failed. */
static int teardown(void **state)
{
	int status;

	(void)state;
	handlers_stop(handlers);
	unlink(fifo);
	unlink(told);
	unlink(file);
	if (waitpid(helper, &status, 0) != helper)
		return -1;
	if (left_open >= 0)
		close(left_open);
	left_open = -1;
	return rmdir(folder);
}

static void a_handler_gets_this_environment_and_no_more(void **state)
{
	char command[128], got[4096] = "", *p = got;
	int fd, n;

	(void)state;
	setenv("DRBDX_OF_THE_DAEMON", "1", 1);
	snprintf(command, sizeof(command), "cat /proc/$$/environ >%s; true", file);
	assert_int_equal(run(command)->code, 0);
	fd = open(file, O_RDONLY | O_CLOEXEC);
	n = (int)read(fd, got, sizeof(got) - 1);
	close(fd);
	for (int i = 0; drbd8_environment[i]; p += strlen(p) + 1, i++)
		assert_string_equal(p, drbd8_environment[i]);
	assert_ptr_equal(p, got + n);
}

static void a_handler_inherits_no_descriptor(void **state)
{
	int before = open("/dev/zero", O_RDONLY), late;

	(void)state;
	/* A daemon that was forked with open descriptors, and opened more since; none of them closes by
	 * itself. */
	handlers_stop(handlers);
	assert_int_equal(waitpid(helper, NULL, 0), helper);
	assert_int_equal(handlers_start(NULL, &handlers), 0);
	late = open("/dev/zero", O_RDONLY);
	helper = (pid_t)atoi(run("echo $PPID")->output);
	assert_string_equal(run("ls /proc/$$/fd; true")->output, "0\n1\n2\n");
	assert_string_equal(run("readlink /proc/$$/fd/0; true")->output, "/dev/null\n");
	/* Nor does the helper keep one: null, null, stderr, the socket, the pipe and the process of this
	 * handler. */
	assert_string_equal(run("ls /proc/$PPID/fd | wc -l; true")->output, "6\n");
	close(before);
	close(late);
}

static void a_handler_starts_like_a_process_of_its_own(void **state)
{
	unsigned long blocked = 1, ignored = 1;
	sigset_t set, old;

	(void)state;
	handlers_stop(handlers);
	assert_int_equal(waitpid(helper, NULL, 0), helper);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, &old);
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(handlers_start(NULL, &handlers), 0);
	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, &old, NULL);
	helper = (pid_t)atoi(run("echo $PPID")->output);
	assert_int_equal(sscanf(run("exec grep -E 'Sig(Blk|Ign)' /proc/self/status")->output, "SigBlk: %lx SigIgn: %lx",
				&blocked, &ignored),
			 2);
	assert_int_equal(blocked, 0);
	/* but for the two that belong to the C library, which make(1) may leave ignored and nobody can set */
	assert_int_equal(ignored & ~(3ul << 31), 0);
	assert_string_equal(run("pwd; umask")->output, "/\n0022\n");
	/* its own session: field 6 of stat */
	assert_int_equal(run("set -- $(cat /proc/$$/stat); [ $6 = $$ ]; exit $?")->code, 0);
}

static void exit_codes_and_signals_are_told(void **state)
{
	const int codes[] = { 0, 1, 3, 4, 5, 6, 7, 127, 255 };
	char command[32];

	(void)state;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		snprintf(command, sizeof(command), "exit %d", codes[i]);
		assert_int_equal(run(command)->end, HANDLER_EXITED);
		assert_int_equal(answers[0].r.code, codes[i]);
		assert_int_equal(answers[0].handler, HANDLER_FENCE_PEER);
	}
	assert_int_equal(run("echo so far; kill -9 $$")->end, HANDLER_KILLED);
	assert_int_equal(answers[0].r.code, SIGKILL);
	assert_string_equal(answers[0].r.output, "so far\n");
	assert_int_equal(run("/no/such/script root")->code, 127);
	assert_non_null(strstr(answers[0].r.output, "/no/such/script"));
}

static void output_is_read_to_its_end_and_its_end_is_kept(void **state)
{
	(void)state;
	assert_string_equal(run("echo out; echo err >&2")->output, "out\nerr\n");
	/* far more than a pipe holds */
	run("head -c 1000000 /dev/zero; echo; echo the end; exit 3");
	assert_int_equal(answers[0].r.code, 3);
	assert_int_equal(strlen(answers[0].r.output), HANDLER_OUTPUT - 1);
	assert_non_null(strstr(answers[0].r.output, "\nthe end\n"));
}

static void a_process_left_in_the_background_delays_nothing_and_may_go_on_writing(void **state)
{
	char command[300];
	int in = open_fifo(fifo), out = open_fifo(told);

	(void)state;
	snprintf(command, sizeof(command),
		 "exec 3<%s; (read x <&3; head -c 200000 /dev/zero; echo alive >%s) & echo left it; exit 3",
		 fifo, told);
	assert_int_equal(run(command)->code, 3);
	assert_string_equal(answers[0].r.output, "left it\n");
	/* It is no handler that runs: the next one may. */
	assert_int_equal(run("exit 4")->code, 4);
	assert_int_equal(write(in, "\n", 1), 1);
	assert_told(out, "alive\n");
	close(in);
	close(out);
}

static void more_leftovers_than_there_is_room_for_make_room(void **state)
{
	int in = open_fifo(fifo);
	char command[300];

	(void)state;
	snprintf(command, sizeof(command), "exec 3<%s; (read x <&3) & exit 3", fifo);
	for (int i = 0; i < 80; i++)
		assert_int_equal(run(command)->code, 3);
	for (int i = 0; i < 80; i++)
		assert_int_equal(write(in, "\n", 1), 1);
	close(in);
}

static void two_handlers_for_one_thing_do_not_run_at_once(void **state)
{
	char command[128];
	int in = open_fifo(fifo);

	(void)state;
	snprintf(command, sizeof(command), "read x <%s; exit 4", fifo);
	assert_int_equal(run_as(0, HANDLER_FENCE_PEER, "r0", command), 0);
	now += 5000;
	assert_int_equal(run_as(1, HANDLER_FENCE_PEER, "r0", "exit 1"), -EALREADY);
	assert_non_null(strstr(why, "fence-peer"));
	assert_non_null(strstr(why, "5 s ago is still running"));
	/* another handler, and another resource */
	assert_int_equal(run_as(2, HANDLER_SPLIT_BRAIN, "r0", "exit 5"), 0);
	assert_int_equal(run_as(3, HANDLER_FENCE_PEER, "r1", "exit 6"), 0);
	wait_answers(2);
	assert_int_equal(answers[2].r.code, 5);
	assert_int_equal(answers[3].r.code, 6);
	assert_int_equal(answers[0].times, 0);
	assert_int_equal(write(in, "\n", 1), 1);
	wait_answers(3);
	assert_int_equal(answers[0].r.code, 4);
	assert_int_equal(answers[1].times, 0);
	close(in);
}

static void a_handler_that_takes_too_long_is_a_failure_in_words_and_left_alone(void **state)
{
	char command[300], words[HANDLER_OUTPUT + 160];
	int in = open_fifo(fifo), out = open_fifo(told);
	struct handler_request rq;

	(void)state;
	snprintf(command, sizeof(command), "read x <%s; echo alive >%s; exit 4", fifo, told);
	rq = request(HANDLER_FENCE_PEER, "r0", command);
	rq.limit_ms = 30000;
	assert_int_equal(handlers_run(handlers, &rq, on_answer, &answers[0], now, why, sizeof(why)), 0);
	assert_int_equal(handlers_deadline_ms(handlers), now + 30000);
	now += 29999;
	handlers_dispatch(handlers, now);
	assert_int_equal(n_answers, 0);
	now += 1;
	handlers_dispatch(handlers, now);
	assert_int_equal(n_answers, 1);
	assert_int_equal(answers[0].r.end, HANDLER_TIMED_OUT);
	handler_result_words(&answers[0].r, words, sizeof(words));
	assert_non_null(strstr(words, "still running after 30 s"));
	assert_int_equal(handler_fence_verdict(&answers[0].r, true), FENCE_LATE);
	/* Nothing more to wait for; but while it runs, a second one does not. */
	assert_true(handlers_deadline_ms(handlers) == UINT64_MAX);
	assert_int_equal(run_as(1, HANDLER_FENCE_PEER, "r0", "exit 4"), -EALREADY);
	assert_int_equal(write(in, "\n", 1), 1);
	assert_told(out, "alive\n");
	/* Its late end is no second answer, and makes room for the next one. */
	while (run_as(1, HANDLER_FENCE_PEER, "r0", "exit 7") == -EALREADY) {
		struct pollfd fd = { .fd = handlers_fd(handlers), .events = POLLIN };

		assert_int_equal(poll(&fd, 1, BOUND_MS), 1);
		handlers_dispatch(handlers, now);
	}
	wait_answers(2);
	assert_int_equal(answers[1].r.code, 7);
	assert_int_equal(answers[0].times, 1);
	close(in);
	close(out);
}

static void messages_that_hang_leave_room_for_fencing(void **state)
{
	char command[128], resource[16];
	int in = open_fifo(fifo), timed_out = 0, queued = 0;

	(void)state;
	snprintf(command, sizeof(command), "read x <%s", fifo);
	for (size_t i = 0; i < 40; i++) {
		snprintf(resource, sizeof(resource), "r%zu", i);
		assert_int_equal(run_as(i, HANDLER_SPLIT_BRAIN, resource, command), 0);
	}
	assert_int_equal(run_as(40, HANDLER_FENCE_PEER, "r0", "exit 4"), 0);
	wait_answers(1);
	assert_int_equal(answers[40].r.code, 4);
	assert_int_equal(run_as(41, HANDLER_SPLIT_BRAIN, "r39", "true"), -EALREADY);
	assert_non_null(strstr(why, "waits for others"));
	/* What waits for room has the same bound as what runs. */
	now += HANDLER_LIMIT_MS;
	handlers_dispatch(handlers, now);
	assert_int_equal(n_answers, 41);
	for (size_t i = 0; i < 40; i++) {
		timed_out += answers[i].r.end == HANDLER_TIMED_OUT;
		queued += answers[i].r.end == HANDLER_QUEUED;
		assert_int_equal(answers[i].times, 1);
	}
	assert_int_equal(timed_out, HANDLERS_RUNNING / 2);
	assert_int_equal(queued, 40 - HANDLERS_RUNNING / 2);
	for (size_t i = 0; i < HANDLERS_RUNNING / 2; i++)
		assert_int_equal(write(in, "\n", 1), 1);
	left_open = in; /* a shell that opens it only now would wait for a writer for ever */
}

static void a_hundred_requests_are_each_answered_once(void **state)
{
	char command[64], resource[16];

	(void)state;
	for (size_t i = 0; i < 100; i++) {
		snprintf(resource, sizeof(resource), "r%zu", i);
		snprintf(command, sizeof(command), "echo number %zu; exit %zu", i, i);
		assert_int_equal(run_as(i, HANDLER_FENCE_PEER, resource, command), 0);
	}
	wait_answers(100);
	for (size_t i = 0; i < 100; i++) {
		snprintf(command, sizeof(command), "number %zu\n", i);
		assert_int_equal(answers[i].times, 1);
		assert_int_equal(answers[i].r.code, i);
		assert_string_equal(answers[i].r.output, command);
	}
	assert_true(handlers_deadline_ms(handlers) == UINT64_MAX);
}

static void when_the_helper_is_killed_the_daemon_lives_and_says_so(void **state)
{
	char command[300], words[HANDLER_OUTPUT + 160];
	int in = open_fifo(fifo), out = open_fifo(told);

	(void)state;
	snprintf(command, sizeof(command), "echo begun >%s; read x <%s; echo alive >%s", told, fifo, told);
	assert_int_equal(run_as(0, HANDLER_FENCE_PEER, "r0", command), 0);
	assert_told(out, "begun\n");
	kill(helper, SIGKILL);
	wait_answers(1);
	assert_int_equal(answers[0].r.end, HANDLER_LOST);
	handler_result_words(&answers[0].r, words, sizeof(words));
	assert_non_null(strstr(words, "restart drbdxd"));
	assert_int_equal(handler_fence_verdict(&answers[0].r, true), FENCE_NOT_RUN);
	assert_int_equal(handlers_fd(handlers), -1);
	assert_int_equal(run_as(1, HANDLER_SPLIT_BRAIN, "r1", "true"), -EPIPE);
	assert_non_null(strstr(why, "restart drbdxd"));
	handlers_dispatch(handlers, now); /* does nothing */
	assert_int_equal(n_answers, 1);
	/* the handler itself was not ended */
	assert_int_equal(write(in, "\n", 1), 1);
	assert_told(out, "alive\n");
	close(in);
	close(out);
}

static void when_the_daemon_ends_its_handlers_go_on_and_then_the_helper_ends(void **state)
{
	char command[300];
	int in = open_fifo(fifo), out = open_fifo(told);
	siginfo_t end;

	(void)state;
	snprintf(command, sizeof(command), "echo begun >%s; read x <%s; echo to nobody; echo alive >%s", told,
		 fifo, told);
	assert_int_equal(run_as(0, HANDLER_BEFORE_RESYNC_TARGET, "r0", command), 0);
	assert_told(out, "begun\n");
	handlers_stop(handlers);
	handlers = NULL;
	assert_int_equal(write(in, "\n", 1), 1);
	assert_told(out, "alive\n"); /* not killed by SIGPIPE before */
	assert_int_equal(waitid(P_PID, (id_t)helper, &end, WEXITED | WNOWAIT), 0); /* teardown takes it */
	assert_true(end.si_code == CLD_EXITED && end.si_status == 0);
	assert_int_equal(n_answers, 0);
	close(in);
	close(out);
}

static void a_helper_that_stands_still_does_not_hold_up_the_daemon(void **state)
{
	static char command[12000];
	char resource[16];

	(void)state;
	memset(command, 'x', sizeof(command) - 1);
	memcpy(command, "exit 4 #", 8);
	kill(helper, SIGSTOP);
	for (size_t i = 0; i < HANDLERS_RUNNING; i++) {
		snprintf(resource, sizeof(resource), "r%zu", i);
		assert_int_equal(run_as(i, HANDLER_FENCE_PEER, resource, command), 0);
	}
	/* the socket is full, and that did not block */
	assert_int_equal(handlers_events(handlers), POLLIN | POLLOUT);
	kill(helper, SIGCONT);
	wait_answers(HANDLERS_RUNNING);
	for (size_t i = 0; i < HANDLERS_RUNNING; i++)
		assert_int_equal(answers[i].r.code, 4);
	assert_int_equal(handlers_events(handlers), POLLIN);
}

/* As the service manager does it: a process for whoever connects, with the connection as its input. */
static pid_t listen_like_a_service(const char *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	pid_t pid;

	strcpy(at.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 1), 0);
	pid = fork();
	if (pid == 0) {
		dup2(accept(fd, NULL, NULL), STDIN_FILENO);
		handler_helper_run(STDIN_FILENO);
	}
	close(fd);
	return pid;
}

static void a_helper_that_the_service_manager_starts_is_used(void **state)
{
	pid_t service;

	(void)state;
	handlers_stop(handlers);
	assert_int_equal(waitpid(helper, NULL, 0), helper);
	service = listen_like_a_service(file);
	assert_int_equal(handlers_start(file, &handlers), 0);
	helper = (pid_t)atoi(run("echo $PPID")->output);
	assert_int_equal(helper, service);
	assert_string_equal(run("readlink /proc/$$/fd/0; ls /proc/$$/fd; true")->output,
			    "/dev/null\n0\n1\n2\n");
}

static void where_nobody_listens_a_helper_is_forked(void **state)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	(void)state;
	for (int i = 0; i < 2; i++) { /* without the socket, and with a dead one */
		handlers_stop(handlers);
		assert_int_equal(waitpid(helper, NULL, 0), helper);
		assert_int_equal(handlers_start(file, &handlers), 0);
		helper = (pid_t)atoi(run("echo $PPID")->output);
		assert_int_equal(run("exit 4")->code, 4);
		strcpy(at.sun_path, file);
		if (i == 0)
			assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	}
	close(fd);
}

static void ask_again(void *ctx, enum handler h, const struct handler_result *r)
{
	on_answer(ctx, h, r);
	assert_int_equal(run_as(1, HANDLER_FENCE_PEER, "r0", "exit 5"), 0);
}

static void a_reply_may_ask_for_the_same_handler_again(void **state)
{
	struct handler_request rq = request(HANDLER_FENCE_PEER, "r0", "exit 1");

	(void)state;
	assert_int_equal(handlers_run(handlers, &rq, ask_again, &answers[0], now, why, sizeof(why)), 0);
	wait_answers(2);
	assert_int_equal(answers[0].r.code, 1);
	assert_int_equal(answers[1].r.code, 5);
}

static void a_request_that_cannot_be_sent_is_refused_in_words(void **state)
{
	static char command[HANDLER_TEXT_BYTES];

	(void)state;
	assert_int_equal(run_as(0, HANDLER_FENCE_PEER, "r0", ""), -EINVAL);
	assert_non_null(strstr(why, "command"));
	memset(command, 'x', sizeof(command) - 1);
	assert_int_equal(run_as(0, HANDLER_FENCE_PEER, "r0", command), -E2BIG);
	assert_non_null(strstr(why, "too long"));
	assert_true(handlers_deadline_ms(handlers) == UINT64_MAX);
	assert_int_equal(run("exit 4")->code, 4);
}

int main(void)
{
#define PROCESS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_handler_of_drbd_conf_is_known_by_its_name),
		cmocka_unit_test(only_fencing_and_what_precedes_a_resync_can_say_no),
		cmocka_unit_test(the_environment_is_that_of_drbd_8_4),
		cmocka_unit_test(volumes_node_ids_and_ipv6_are_told_as_in_drbd_9),
		cmocka_unit_test(what_does_not_fit_into_a_message_is_refused),
		cmocka_unit_test(a_request_that_lacks_something_is_refused_in_words),
		cmocka_unit_test(a_damaged_message_is_refused),
		cmocka_unit_test(a_damaged_result_is_refused),
		cmocka_unit_test(an_end_is_told_with_the_last_line_of_the_output),
		cmocka_unit_test(of_the_output_the_end_is_kept),
		cmocka_unit_test(fence_peer_exit_codes_mean_what_they_mean_to_drbd),
		PROCESS_TEST(a_handler_gets_this_environment_and_no_more),
		PROCESS_TEST(a_handler_inherits_no_descriptor),
		PROCESS_TEST(a_handler_starts_like_a_process_of_its_own),
		PROCESS_TEST(exit_codes_and_signals_are_told),
		PROCESS_TEST(output_is_read_to_its_end_and_its_end_is_kept),
		PROCESS_TEST(a_process_left_in_the_background_delays_nothing_and_may_go_on_writing),
		PROCESS_TEST(more_leftovers_than_there_is_room_for_make_room),
		PROCESS_TEST(two_handlers_for_one_thing_do_not_run_at_once),
		PROCESS_TEST(a_handler_that_takes_too_long_is_a_failure_in_words_and_left_alone),
		PROCESS_TEST(messages_that_hang_leave_room_for_fencing),
		PROCESS_TEST(a_hundred_requests_are_each_answered_once),
		PROCESS_TEST(when_the_helper_is_killed_the_daemon_lives_and_says_so),
		PROCESS_TEST(when_the_daemon_ends_its_handlers_go_on_and_then_the_helper_ends),
		PROCESS_TEST(a_helper_that_stands_still_does_not_hold_up_the_daemon),
		PROCESS_TEST(a_helper_that_the_service_manager_starts_is_used),
		PROCESS_TEST(where_nobody_listens_a_helper_is_forked),
		PROCESS_TEST(a_reply_may_ask_for_the_same_handler_again),
		PROCESS_TEST(a_request_that_cannot_be_sent_is_refused_in_words),
	};

	mine = address(AF_INET, "192.0.2.1");
	theirs = address(AF_INET, "192.0.2.2");
	mine6 = address(AF_INET6, "2001:db8::1");
	theirs6 = address(AF_INET6, "2001:db8::2");
	prctl(PR_SET_CHILD_SUBREAPER, 1); /* a helper, which is nobody's child else, can be waited for */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
