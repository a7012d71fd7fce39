/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * handlers.c: the daemon's side of the helper process: what is asked for, what runs, and what takes too
 * long.
 *
 *   handlers_run() -> QUEUED -- pump() --> RUNNING -- on_result(): reply --> gone
 *                       |                     | expire(): reply TIMED_OUT
 *                       | expire(): reply     v
 *                       v QUEUED            LATE -- on_result(): logged only --> gone
 *                     gone
 *
 * Invariants
 *  1. One job for each pair of resource and handler, LATE ones included: a second fence-peer beside one
 *     that hangs would make two answers to one question. So the list is bounded by the configuration.
 *  2. Each job is replied to once: it leaves the list, or becomes LATE, before its reply is called; so a
 *     reply may call handlers_run().
 *  3. A handler that takes too long is left alone (handler_helper.c, invariant 3) and counted as a
 *     failure. The answer that comes late is never used: whoever asked has gone on since.
 *  4. There is one helper in a daemon's life. When it is gone there are no handlers until drbdxd is
 * restarted: a fork now would hand it this process's disks (P6). Everything under way is replied to as LOST.
 */
#include "backend/handlers.h"

#include <bsd/string.h>
#include <bsd/sys/queue.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/handler_helper.h"
#include "backend/log.h"

_Static_assert(HANDLERS_RUNNING < HANDLER_HELPER_JOBS, "the helper has room for all that run");

enum job_state { JOB_QUEUED, JOB_RUNNING, JOB_LATE };

struct job {
	enum job_state state;
	enum handler handler;
	uint32_t id;
	char *resource;
	uint64_t asked_ms, limit_ms;
	handlers_reply_fn *reply;
	void *ctx;
	struct handler_start *message; /* until it is sent */
	size_t bytes;
	TAILQ_ENTRY(job) link;
};

struct handlers {
	int fd;
	uint32_t last_id;
	bool blocked; /* the socket is full; pump() goes on when it is not */
	TAILQ_HEAD(, job) jobs;
};

/* ---- jobs ---- */

static void free_job(struct job *j)
{
	free(j->message);
	free(j->resource);
	free(j);
}

static void remove_job(struct handlers *h, struct job *j)
{
	TAILQ_REMOVE(&h->jobs, j, link);
	free_job(j);
}

static struct job *find(struct handlers *h, const char *resource, enum handler handler)
{
	struct job *j;

	TAILQ_FOREACH(j, &h->jobs, link)
		if (j->handler == handler && !strcmp(j->resource, resource))
			return j;
	return NULL;
}

static struct job *find_id(struct handlers *h, uint32_t id)
{
	struct job *j;

	TAILQ_FOREACH(j, &h->jobs, link)
		if (j->id == id && j->state != JOB_QUEUED)
			return j;
	return NULL;
}

static unsigned running(const struct handlers *h)
{
	const struct job *j;
	unsigned n = 0;

	TAILQ_FOREACH(j, &h->jobs, link)
		n += j->state != JOB_QUEUED;
	return n;
}

static uint64_t deadline(const struct job *j)
{
	return j->state == JOB_LATE ? UINT64_MAX : j->asked_ms + j->limit_ms;
}

static void log_result(const struct job *j, const struct handler_result *r, const char *remark)
{
	char words[HANDLER_OUTPUT + 160];

	handler_result_words(r, words, sizeof(words));
	log_line(r->end == HANDLER_EXITED ? LOG_NOTICE : LOG_WARN, j->resource, "handler %s%s: %s",
		 handler_name(j->handler), remark, words);
}

/* `late`: it stays in the list until its process has ended. */
static void answer(struct handlers *h, struct job *j, const struct handler_result *r, bool late)
{
	handlers_reply_fn *reply = j->reply;
	enum handler handler = j->handler;
	void *ctx = j->ctx;

	log_result(j, r, "");
	if (late)
		j->state = JOB_LATE;
	else
		remove_job(h, j);
	reply(ctx, handler, r);
}

/* ---- to the helper ---- */

static struct job *next_to_send(struct handlers *h)
{
	unsigned n = running(h);
	struct job *j;

	TAILQ_FOREACH(j, &h->jobs, link)
		if (j->state == JOB_QUEUED &&
		    n < (handler_status_counts(j->handler) ? HANDLERS_RUNNING : HANDLERS_RUNNING / 2))
			return j;
	return NULL;
}

static void pump(struct handlers *h)
{
	struct job *j;

	h->blocked = false;
	while (h->fd >= 0 && (j = next_to_send(h))) {
		if (send(h->fd, j->message, j->bytes, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
			/* Any other error is the helper's end, which handlers_dispatch() finds and answers.
			 */
			h->blocked = errno == EAGAIN;
			return;
		}
		j->state = JOB_RUNNING;
		log_notice(j->resource, "handler %s (%s) is run: %s", handler_name(j->handler),
			   handler_when(j->handler), j->message->text);
		free(j->message);
		j->message = NULL;
	}
}

static struct job *new_job(struct handlers *h, const struct handler_request *rq)
{
	struct job *j = calloc(1, sizeof(*j));
	int n;

	if (!j)
		return NULL;
	j->resource = strdup(rq->resource);
	j->message = malloc(sizeof(*j->message));
	if (!j->resource || !j->message) {
		free_job(j);
		return NULL;
	}
	j->id = ++h->last_id ? h->last_id : ++h->last_id; /* 0 is none */
	n = handler_start_encode(rq, j->id, j->message);
	j->bytes = n < 0 ? 0 : (size_t)n;
	j->handler = rq->handler;
	j->limit_ms = rq->limit_ms ? rq->limit_ms : HANDLER_LIMIT_MS;
	return j;
}

/* 0, or why nothing can be run, in words. */
static int refuse(struct handlers *h, const struct handler_request *rq, uint64_t now_ms, char *why,
		  size_t why_size)
{
	int rc = handler_check(rq, why, why_size);
	const struct job *j;

	if (rc)
		return rc;
	if (h->fd < 0) {
		snprintf(why, why_size,
			 "handler %s is not run: the process that runs handlers is gone; restart drbdxd to "
			 "have "
			 "handlers again",
			 handler_name(rq->handler));
		return -EPIPE;
	}
	j = find(h, rq->resource, rq->handler);
	if (!j)
		return 0;
	snprintf(why, why_size,
		 "handler %s is not run: the one that was asked for %llu s ago %s; see why it does not end",
		 handler_name(rq->handler), (unsigned long long)(now_ms - j->asked_ms) / 1000,
		 j->state == JOB_QUEUED ? "waits for others to end" : "is still running");
	return -EALREADY;
}

int handlers_run(struct handlers *h, const struct handler_request *rq, handlers_reply_fn *reply, void *ctx,
		 uint64_t now_ms, char *why, size_t why_size)
{
	int rc = refuse(h, rq, now_ms, why, why_size);
	struct job *j;

	if (rc)
		return rc;
	j = new_job(h, rq);
	if (!j) {
		snprintf(why, why_size, "handler %s is not run: out of memory", handler_name(rq->handler));
		return -ENOMEM;
	}
	if (!j->bytes) {
		free_job(j);
		snprintf(why, why_size, "handler %s is not run: command and environment are too long",
			 handler_name(rq->handler));
		return -E2BIG;
	}
	j->reply = reply;
	j->ctx = ctx;
	j->asked_ms = now_ms;
	TAILQ_INSERT_TAIL(&h->jobs, j, link);
	pump(h);
	return 0;
}

/* ---- from the helper ---- */

static void on_result(struct handlers *h, const struct handler_result *r)
{
	struct job *j = find_id(h, r->id);

	if (!j)
		return;
	if (j->state == JOB_RUNNING) {
		answer(h, j, r, false);
		return;
	}
	log_result(j, r, " has ended too late, which changes nothing");
	remove_job(h, j);
}

static void lose(struct handlers *h)
{
	struct handler_result r = { .end = HANDLER_LOST };
	struct job *j;

	log_error(NULL,
		  "the process that runs handlers is gone: no handler is run until drbdxd is restarted");
	close(h->fd);
	h->fd = -1;
	h->blocked = false;
	/* Nobody will tell when these end. */
	while ((j = TAILQ_FIRST(&h->jobs))) {
		if (j->state == JOB_LATE)
			remove_job(h, j);
		else
			answer(h, j, &r, false);
	}
}

static void receive(struct handlers *h)
{
	struct handler_result r;
	ssize_t n;

	while (h->fd >= 0) {
		n = recv(h->fd, &r, sizeof(r), MSG_DONTWAIT | MSG_TRUNC);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n > 0 && handler_result_valid(&r, (size_t)n))
			on_result(h, &r);
		else
			lose(h);
	}
}

static struct job *expired(struct handlers *h, uint64_t now_ms)
{
	struct job *j;

	TAILQ_FOREACH(j, &h->jobs, link)
		if (deadline(j) <= now_ms)
			return j;
	return NULL;
}

static void expire(struct handlers *h, uint64_t now_ms)
{
	struct job *j;

	while ((j = expired(h, now_ms))) {
		bool runs = j->state == JOB_RUNNING;
		struct handler_result r = { .end = runs ? HANDLER_TIMED_OUT : HANDLER_QUEUED,
					    .code = (int)((now_ms - j->asked_ms) / 1000) };

		answer(h, j, &r, runs);
	}
}

int handlers_fd(const struct handlers *h)
{
	return h->fd;
}

short handlers_events(const struct handlers *h)
{
	return h->blocked ? POLLIN | POLLOUT : POLLIN;
}

uint64_t handlers_deadline_ms(const struct handlers *h)
{
	uint64_t first = UINT64_MAX;
	const struct job *j;

	TAILQ_FOREACH(j, &h->jobs, link)
		if (deadline(j) < first)
			first = deadline(j);
	return first;
}

void handlers_dispatch(struct handlers *h, uint64_t now_ms)
{
	receive(h);
	expire(h, now_ms);
	pump(h);
}

/* ---- birth and end ---- */

/* *fd: our end of the socket. The helper is init's child: it may outlive this program, whose process goes on with a newer one
 * (upgrade.c) that would not know whom to wait for. */
static int fork_helper(int *fd)
{
	int pair[2], rc = 0, status = 0;
	pid_t pid, helper;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	pid = fork();
	if (pid == 0) {
		helper = fork();
		if (helper == 0)
			handler_helper_run(pair[1]);
		_exit(helper < 0 ? errno : 0);
	}
	if (pid < 0)
		rc = -errno;
	else if (waitpid(pid, &status, 0) == pid && status)
		rc = WIFEXITED(status) ? -WEXITSTATUS(status) : -ECHILD;
	close(pair[1]);
	*fd = pair[0];
	if (rc)
		close(pair[0]);
	return rc;
}

/* *fd: the connection; -ENOENT: there is no such socket */
static int connect_helper(const char *path, int *fd)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int rc = 0;

	if (strlcpy(to.sun_path, path, sizeof(to.sun_path)) >= sizeof(to.sun_path))
		return -ENAMETOOLONG;
	*fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (*fd < 0)
		return -errno;
	if (connect(*fd, (struct sockaddr *)&to, sizeof(to))) {
		rc = -errno;
		close(*fd);
	}
	return rc;
}

int handlers_start(const char *path, struct handlers **out)
{
	struct handlers *h = calloc(1, sizeof(*h));
	int rc = -ENOENT;

	if (!h)
		return -ENOMEM;
	if (path)
		rc = connect_helper(path, &h->fd);
	if (rc && rc != -ENOENT)
		log_warn(NULL,
			 "handlers run inside of the sandbox of drbdxd, where LVM and mail may fail: %s "
			 "cannot be "
			 "connected to: %s; see whether drbdx-handlers.socket is active",
			 path, strerror(-rc));
	if (rc)
		rc = fork_helper(&h->fd);
	if (rc) {
		free(h);
		return rc;
	}
	TAILQ_INIT(&h->jobs);
	*out = h;
	return 0;
}

void handlers_stop(struct handlers *h)
{
	struct job *j;

	if (!h)
		return;
	while ((j = TAILQ_FIRST(&h->jobs)))
		remove_job(h, j);
	if (h->fd >= 0)
		close(h->fd);
	free(h);
}
