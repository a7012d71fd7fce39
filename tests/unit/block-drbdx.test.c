/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * block-drbdx as libxl runs it, with a xenstore of a few nodes and a daemon of one thread.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <cmocka.h>

#include "ctl/call.c"
int block_drbdx(int argc, char **argv);
#define main block_drbdx
#include "hotplug/block-drbdx.c"
#undef main

#define DEVICE "backend/vbd/5/51714"

/* ---- xenstore: the nodes of one device ---- */

static struct {
	bool exists;			/* its directory */
	int conflicts;			/* transactions that fail before one succeeds */
	bool in_transaction;
	char status[64], error[512];	/* committed */
	char new_status[64], new_error[512];
	char log[256];			/* the order of what was written and asked */
} store;

static void log_event(const char *what)
{
	size_t n = strlen(store.log);

	assert_true(n + strlen(what) + 2 <= sizeof(store.log));
	sprintf(store.log + n, "%s ", what);
}

struct xs_handle *xs_open(unsigned long flags)
{
	(void)flags;
	return (struct xs_handle *)&store;
}

void xs_close(struct xs_handle *xs)
{
	(void)xs;
}

xs_transaction_t xs_transaction_start(struct xs_handle *xs)
{
	(void)xs;
	assert_false(store.in_transaction);
	store.in_transaction = true;
	store.new_status[0] = store.new_error[0] = 0;
	return 7;
}

bool xs_transaction_end(struct xs_handle *xs, xs_transaction_t t, bool abort)
{
	(void)xs;
	assert_true(store.in_transaction && t == 7);
	store.in_transaction = false;
	if (abort)
		return true;
	if (store.conflicts) {
		store.conflicts--;
		errno = EAGAIN;
		return false;
	}
	strcpy(store.status, store.new_status);
	strcpy(store.error, store.new_error);
	log_event(store.status);
	return true;
}

void *xs_read(struct xs_handle *xs, xs_transaction_t t, const char *path, unsigned int *len)
{
	(void)xs;
	*len = 1;
	if (t == XBT_NULL) {
		assert_string_equal(DEVICE "/hotplug-status", path);
		return store.status[0] ? strdup(store.status) : NULL;
	}
	assert_int_equal(7, t);
	assert_string_equal(DEVICE "/frontend", path);
	errno = ENOENT;
	return store.exists ? strdup("x") : NULL;
}

bool xs_write(struct xs_handle *xs, xs_transaction_t t, const char *path, const void *data, unsigned int len)
{
	(void)xs;
	assert_int_equal(7, t);
	assert_true(len < 512);
	if (!strcmp(path, DEVICE "/hotplug-status"))
		memcpy(store.new_status, data, len + 1);
	else if (!strcmp(path, DEVICE "/hotplug-error"))
		memcpy(store.new_error, data, len + 1);
	else
		fail_msg("%s is none of ours", path);
	return true;
}

/* ---- the daemon: answers its questions in turn, then closes ---- */

static char dir[64], socket_path[96];
static int listen_fd;
static const char *answers[4];

static void *serve(void *arg)
{
	char line[4096];
	int fd = accept(listen_fd, NULL, NULL);

	(void)arg;
	for (size_t i = 0; answers[i]; i++) {
		ssize_t r = recv(fd, line, sizeof(line) - 1, 0);

		if (r <= 0)
			break;
		line[r] = 0;
		log_event(strstr(line, "add-done") ? "add-done" : strstr(line, "remove") ? "remove" : "add");
		if (!strstr(line, "add-done"))
			assert_non_null(strstr(line, DEVICE));
		if (send(fd, answers[i], strlen(answers[i]), MSG_NOSIGNAL) < 0)
			break;
	}
	close(fd);
	return NULL;
}

static int run(const char *verb)
{
	char *argv[] = { (char *)"block-drbdx", (char *)verb, NULL };
	int status = block_drbdx(2, argv);

	alarm(0);
	return status;
}

static int run_with(const char *verb, const char *first, const char *second)
{
	pthread_t thread;
	int status;

	answers[0] = first;
	answers[1] = second;
	assert_int_equal(0, pthread_create(&thread, NULL, serve, NULL));
	status = run(verb);
	pthread_join(thread, NULL);
	return status;
}

static int setup(void **state)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	(void)state;
	memset(&store, 0, sizeof(store));
	memset(answers, 0, sizeof(answers));
	store.exists = true;
	strcpy(dir, "/tmp/drbdx-hotplug.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(socket_path, sizeof(socket_path), "%s/sock", dir);
	strcpy(addr.sun_path, socket_path);
	listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setenv("DRBDX_CONTROL_SOCKET", socket_path, 1);
	setenv("XENBUS_PATH", DEVICE, 1);
	return bind(listen_fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(listen_fd, 4);
}

static int teardown(void **state)
{
	(void)state;
	close(listen_fd);
	unlink(socket_path);
	return rmdir(dir);
}

#define OK "{\"ok\":true}\n"
#define NO "{\"ok\":false,\"code\":\"refused\",\"error\":\"guest web1 has the disk\"}\n"

static void a_granted_add_publishes_it_and_then_says_done(void **state)
{
	(void)state;
	assert_int_equal(0, run_with("add", OK, OK));
	assert_string_equal("connected", store.status);
	assert_string_equal("", store.error);
	assert_string_equal("add connected add-done ", store.log);
}

static void a_refusal_reaches_the_user(void **state)
{
	(void)state;
	assert_int_equal(1, run_with("add", NO, NULL));
	assert_string_equal("error", store.status);
	assert_string_equal("guest web1 has the disk", store.error);
}

static void no_daemon_reaches_the_user(void **state)
{
	(void)state;
	close(listen_fd);
	assert_int_equal(1, run("add"));
	assert_string_equal("error", store.status);
	assert_non_null(strstr(store.error, "drbdxd is not running"));
	assert_non_null(strstr(store.error, "systemctl start drbdxd"));
}

static void a_daemon_that_ends_before_it_answers_is_an_error(void **state)
{
	(void)state;
	assert_int_equal(1, run_with("add", NULL, NULL));
	assert_string_equal("error", store.status);
}

static void a_daemon_that_ends_before_add_done_is_an_error(void **state)
{
	(void)state;
	assert_int_equal(1, run_with("add", OK, NULL));
	assert_string_equal("error", store.status);
	assert_string_equal("add connected error ", store.log);
}

static void a_device_that_has_gone_is_not_brought_back(void **state)
{
	(void)state;
	store.exists = false;
	assert_int_equal(1, run_with("add", OK, NULL));
	assert_string_equal("", store.status);
	assert_string_equal("add ", store.log);
}

static void a_second_add_of_the_same_device_changes_nothing(void **state)
{
	(void)state;
	strcpy(store.status, "connected");
	assert_int_equal(0, run_with("add", OK, OK));
	assert_string_equal("connected", store.status);
	assert_int_equal(1, run_with("add", NO, NULL));
	assert_int_equal(1, run_with("add", OK, NULL));
	close(listen_fd);
	assert_int_equal(1, run("add"));
	assert_string_equal("connected", store.status);
	assert_string_equal("", store.error);
}

static void an_add_beside_another_one_writes_nothing(void **state)
{
	(void)state;
	assert_int_equal(1, run_with("add", "{\"ok\":false,\"code\":\"adding\",\"error\":\"try again\"}\n", NULL));
	assert_string_equal("add ", store.log);
}

static void a_transaction_that_meets_another_one_is_tried_again(void **state)
{
	(void)state;
	store.conflicts = 3;
	assert_int_equal(0, run_with("add", OK, OK));
	assert_string_equal("connected", store.status);
}

static void remove_always_succeeds(void **state)
{
	(void)state;
	assert_int_equal(0, run_with("remove", OK, NULL));
	assert_string_equal("remove ", store.log);
	assert_int_equal(0, run_with("remove", NO, NULL));
	close(listen_fd);
	assert_int_equal(0, run("remove"));
	assert_string_equal("", store.status);
}

static void wrong_usage_is_refused(void **state)
{
	(void)state;
	assert_int_equal(1, run("online"));
	unsetenv("XENBUS_PATH");
	assert_int_equal(1, run("add"));
	setenv("XENBUS_PATH", "", 1);
	assert_int_equal(1, run("remove"));
	assert_string_equal("", store.log);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_granted_add_publishes_it_and_then_says_done),
		TEST(a_refusal_reaches_the_user),
		TEST(no_daemon_reaches_the_user),
		TEST(a_daemon_that_ends_before_it_answers_is_an_error),
		TEST(a_daemon_that_ends_before_add_done_is_an_error),
		TEST(a_device_that_has_gone_is_not_brought_back),
		TEST(a_second_add_of_the_same_device_changes_nothing),
		TEST(an_add_beside_another_one_writes_nothing),
		TEST(a_transaction_that_meets_another_one_is_tried_again),
		TEST(remove_always_succeeds),
		TEST(wrong_usage_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
