/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * handler.h: the commands of drbd.conf's section `handlers`: which there are, with what environment they
 * run, what their ends mean, and the two messages between the daemon (handlers.c) and the process that
 * runs them (handler_helper.c).  Pure: no I/O, no clock, no allocation.
 */
#ifndef DRBDX_BACKEND_HANDLER_H
#define DRBDX_BACKEND_HANDLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* X(symbol, name in drbd.conf, does its exit status count?, when it is run) */
/* clang-format off */
#define HANDLERS(X) \
	X(PRI_ON_INCON_DEGR, "pri-on-incon-degr", false, "Primary, and no copy in reach is up to date") \
	X(PRI_LOST_AFTER_SB, "pri-lost-after-sb", false, "split brain was resolved against this node, a Primary") \
	X(PRI_LOST, "pri-lost", false, "Primary, and should become the target of a resync (rr-conflict call-pri-lost)") \
	X(INITIAL_SPLIT_BRAIN, "initial-split-brain", false, "split brain was found, before a policy is tried") \
	X(SPLIT_BRAIN, "split-brain", false, "split brain was found, and no policy resolves it") \
	X(FENCE_PEER, "fence-peer", true, "the partner is lost, and must not become Primary with its old data") \
	X(UNFENCE_PEER, "unfence-peer", false, "both copies are up to date again") \
	X(LOCAL_IO_ERROR, "local-io-error", false, "the local disk failed") \
	X(BEFORE_RESYNC_TARGET, "before-resync-target", true, "a resync is about to overwrite this node's copy") \
	X(AFTER_RESYNC_TARGET, "after-resync-target", false, "this node's copy is up to date after a resync") \
	X(BEFORE_RESYNC_SOURCE, "before-resync-source", true, "a resync is about to read this node's copy") \
	X(OUT_OF_SYNC, "out-of-sync", false, "an online verify has found differences") \
	X(QUORUM_LOST, "quorum-lost", false, "too few nodes are left") \
	X(DISCONNECTED, "disconnected", false, "the connection to the partner has ended")
/* clang-format on */

enum handler {
#define HANDLER_SYMBOL(symbol, name, counts, when) HANDLER_##symbol,
	HANDLERS(HANDLER_SYMBOL)
#undef HANDLER_SYMBOL
		HANDLER_COUNT
};

const char *handler_name(enum handler h);
const char *handler_when(enum handler h);
bool handler_status_counts(enum handler h);
/* By the name in drbd.conf; "outdate-peer" is DRBD's older name of fence-peer. HANDLER_COUNT: none. */
enum handler handler_find(const char *name);

/* ---- what a handler is asked to do ---- */

struct handler_volume {
	unsigned number, minor;
	const char *disk; /* the local volume, NULL if there is none */
};

struct handler_node {
	const char *name;		     /* as in drbd.conf's `on` */
	int id;				     /* DRBD 9's node-id, -1: none */
	const struct sockaddr_storage *addr; /* of the replication */
};

/* Everything is the caller's, and read before the call returns. */
struct handler_request {
	enum handler handler;
	const char *command;  /* a line for /bin/sh -c */
	const char *resource; /* its name */
	const char *config;   /* the file that drbdxd has read */
	const struct handler_volume *volumes;
	size_t n_volumes;
	struct handler_node self, peer;
	const char *connection;	   /* connection state, NULL: left out */
	uint64_t up_to_date_nodes; /* bit N: the node with id N, 0: left out */
	uint64_t limit_ms;	   /* HANDLER_LIMIT_MS if 0 */
};

#define HANDLER_LIMIT_MS 600000u

/* 0, or -EINVAL with words. */
int handler_check(const struct handler_request *rq, char *why, size_t why_size);

/* ---- messages: one SEQPACKET datagram each, between two processes of one program ---- */

#define HANDLER_TEXT_BYTES 16384u
#define HANDLER_ENV_MAX	   128u
#define HANDLER_OUTPUT	   512u

/* Daemon to helper: text is the command, then n_env strings NAME=value, each with its NUL. */
struct handler_start {
	uint32_t id;
	uint32_t n_env;
	char text[HANDLER_TEXT_BYTES];
};

/* The message and its length, or -E2BIG: more than the two bounds above. */
int handler_start_encode(const struct handler_request *rq, uint32_t id, struct handler_start *out);
/* Checks a received message; `env` (HANDLER_ENV_MAX + 1) then points into it and ends in NULL. -EINVAL */
int handler_start_decode(struct handler_start *in, size_t bytes, char **env);

/* clang-format off */
#define HANDLER_ENDS(X) \
	X(EXITED)  /* code: exit status */ \
	X(KILLED)  /* code: signal */ \
	X(FAILED)  /* code: errno; it was not started */ \
	/* the rest is said by the daemon, never by the helper */ \
	X(TIMED_OUT) /* code: seconds; it is still running */ \
	X(QUEUED)  /* code: seconds; too many others are running, it was not started */ \
	X(LOST)    /* the helper is gone: nobody knows */
/* clang-format on */
enum handler_end {
#define HANDLER_END_SYMBOL(symbol) HANDLER_##symbol,
	HANDLER_ENDS(HANDLER_END_SYMBOL)
#undef HANDLER_END_SYMBOL
};

/* Helper to daemon; also what the caller is told. */
struct handler_result {
	uint32_t id;
	int32_t end; /* enum handler_end */
	int32_t code;
	char output[HANDLER_OUTPUT]; /* the end of what it wrote to stdout and stderr, ends in NUL */
};

bool handler_result_valid(const struct handler_result *in, size_t bytes);
static inline bool handler_succeeded(const struct handler_result *r)
{
	return r->end == HANDLER_EXITED && r->code == 0;
}
/* "exit code 1: no room in vg0": how it ended and the last line that it wrote. */
void handler_result_words(const struct handler_result *r, char *out, size_t size);

/* ---- the end of what a handler writes ---- */

struct handler_tail {
	size_t used;
	char text[HANDLER_OUTPUT - 1];
};

void handler_tail_add(struct handler_tail *t, const char *text, size_t bytes);

/* ---- fence-peer ---- */

/* X(symbol, words): what fence-peer has found out. PEER_INCONSISTENT and FENCED_* keep the partner from becoming Primary. */
/* clang-format off */
#define FENCE_VERDICTS(X) \
	X(PEER_INCONSISTENT, "the partner's copy is inconsistent") \
	X(FENCED_OUTDATED, "the partner has marked its copy as outdated") \
	X(FENCED_UNREACHABLE, "the partner is unreachable, and taken as outdated, for this copy is up to date") \
	X(UNREACHABLE, "the partner is unreachable, and this copy is not up to date either") \
	X(PEER_IS_PRIMARY, "the partner is Primary: this copy is the outdated one") \
	X(FENCED_STONITHED, "the partner was powered off") \
	X(BROKEN, "the handler is broken: it gave no answer that fence-peer can give (3 to 7); see the log (journalctl -u drbdxd)") \
	X(LATE, "the handler did not end in time; see the log (journalctl -u drbdxd)") \
	X(NOT_RUN, "the handler could not be run; see the log (journalctl -u drbdxd)")
/* clang-format on */
enum fence_verdict {
#define FENCE_SYMBOL(symbol, words) FENCE_##symbol,
	FENCE_VERDICTS(FENCE_SYMBOL)
#undef FENCE_SYMBOL
};

enum fence_verdict handler_fence_verdict(const struct handler_result *r, bool up_to_date);
const char *handler_fence_words(enum fence_verdict v);

#endif
