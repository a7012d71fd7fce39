/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sim.h: the deterministic simulator: two cores (backend/replicate.c, the very objects of the daemon) on
 * virtual disks, virtual metadata, a virtual network and a virtual guest, from one seed.
 *
 *   sim.c     command line, self-test of the mutants, totals
 *   schedule.c  one schedule from start to end, trace
 *   queue.c   events by virtual time, random numbers
 *   plan.c    which faults happen when (the fault plan), and ambushes at chosen points of the protocol
 *   node.c    one host: the actions of the core (struct replicate_ops), crash and restart
 *   vdisk.c   the volume: latency, reordering, errors that heal, what a power cut loses or tears
 *   vmeta.c   the two superblock copies
 *   vnet.c    connections: packets in order, lost at a cut, which each side notices at its own time
 *   vguest.c  attach and detach, reads, writes and flushes that overlap
 *   oracle.c  what must hold (P1, P2, P3, P7); the first violation ends the schedule
 *   mutant.c  planted bugs, run-time switches; mutants/ says what each breaks and which oracle must find it
 *
 * Rules that keep a schedule reproducible: no wall clock, no address, no uninitialised byte ever reaches a
 * decision; every choice comes from sim_random(); events at the same time run in the order in which they were
 * queued.
 */
#ifndef DRBDX_TESTS_SIM_SIM_H
#define DRBDX_TESTS_SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/metadata.h"
#include "backend/replicate.h"
#include "backend/request.h"
#include "backend/wire.h"

#define SIM_NODES 2
#define SIM_GUEST_SLOTS 32u		/* guest requests in flight on one node */
#define SIM_PEER_SLOTS 32u		/* the largest receive window, in requests */
#define SIM_REQUEST_SECTORS 64u		/* the largest request */
#define SIM_REQUEST_BYTES (SIM_REQUEST_SECTORS * SECTOR_SIZE)
#define SIM_VOLUME_MAX 1024u		/* sectors of the largest volume */
#define SIM_TRACE 60u			/* lines that a violation shows */
#define SIM_MS 1000ul			/* virtual time is in microseconds */
#define SIM_SECOND 1000000ul

struct sim;
struct node;

/* ---- oracles: the names that a mutant's file may expect ---- */
#define ORACLES(X) \
	X(DURABLE,	"durable",	"P1: an acknowledged write is durable on both disks") \
	X(READ,		"read",		"a read returns nothing older than what was acknowledged or read") \
	X(REPLICAS,	"replicas",	"P3: nothing in flight: both volumes are identical") \
	X(WRITER,	"writer",	"P2: one node executes; one token; an epoch runs on one node") \
	X(ORDER,	"order",	"P3: overlapping writes: one order, each once, the guest's bytes") \
	X(FLUSH,	"flush",	"P1: an answered flush has flushed both disks") \
	X(LIVENESS,	"liveness",	"P7: nothing waits for ever or in silence; claims have a bound") \
	X(GUEST_ERROR,	"guest-error",	"the guest never sees an error") \
	X(UNCLEAN,	"unclean",	"a Primary that died is refused in words, and only that") \
	X(CONTRACT,	"contract",	"the core and its surroundings keep to replicate.h and wire.h")
enum oracle {
#define X(id, name, what) ORACLE_##id,
	ORACLES(X)
#undef X
	ORACLE_COUNT
};

/* ---- mutants (mutant.c) ---- */
#define MUTANTS(X) \
	X(NONE,			"none") \
	X(LOST_ACK,		"lost-acknowledgement") \
	X(EARLY_COMPLETE,	"early-complete") \
	X(SWAPPED_OVERLAP,	"swapped-overlap") \
	X(DOUBLE_APPLY,		"double-apply") \
	X(EARLY_FLUSH,		"early-flush") \
	X(TWO_WRITERS,		"two-writers") \
	X(FORGED_GIVE,		"forged-give") \
	X(DROPPED_ACK,		"dropped-ack") \
	X(DROPPED_RESUME,	"dropped-resume") \
	X(CHANGED_PAGE,		"changed-page") \
	X(NO_IN_USE,		"no-in-use") \
	X(ERROR_TO_GUEST,	"error-to-guest") \
	X(NO_DSYNC,		"no-dsync") \
	X(NO_FLUSH,		"no-flush") \
	X(ONE_SUPERBLOCK,	"one-superblock")
enum mutant {
#define X(id, name) MUTANT_##id,
	MUTANTS(X)
#undef X
	MUTANT_COUNT
};
const char *mutant_name(enum mutant m);
int mutant_find(const char *name);		/* -1: unknown */

/* ---- events ---- */
struct event {
	uint64_t at, order;
	void (*run)(struct sim *s, struct event *e);
	struct node *node;
	/* the node's life in which it was queued; ignored in a later one if `mortal` */
	uint64_t life;
	bool mortal;
	uint64_t a, b;
	void *p;		/* owned by the event, freed after run() unless that set it to NULL */
};

struct random { uint64_t s[4]; };
void random_seed(struct random *r, uint64_t seed);
uint64_t random_next(struct random *r);

/* ---- the volume (vdisk.c) ---- */
struct vdisk_op;
struct vdisk {
	struct node *node;
	uint64_t sectors;
	uint8_t *durable, *cached;	/* what a power cut leaves; what a read sees */
	bool *dirty;			/* cached differs from durable, per sector */
	/* writes are durable when done; otherwise only a flush makes them so */
	bool dsync;
	uint64_t latency, errors;	/* microseconds; errors in 1000 requests */
	uint64_t life;			/* power cuts so far */
	/* when the last flush to be finished was submitted; how many */
	uint64_t flush_started, flushes;
	struct vdisk_op *ops;		/* at the device */
	unsigned int inflight;
};
int vdisk_init(struct vdisk *d, struct node *n, uint64_t sectors, bool dsync);
void vdisk_dispose(struct vdisk *d);
void vdisk_submit(struct vdisk *d, struct request *req);
void vdisk_power_cut(struct vdisk *d);	/* what was not durable is lost, kept or torn */
/* the daemon was killed: the kernel finishes what it has, nobody hears of it */
void vdisk_orphan(struct vdisk *d);

/* ---- the metadata (vmeta.c) ---- */
struct vmeta {
	struct node *node;
	uint8_t copy[2][METADATA_BLOCK];
	uint8_t writing[METADATA_BLOCK];
	int step;			/* 0 idle, 1 the first copy is being written, 2 the second one */
	int target;			/* the copy that is being written */
	uint64_t latency, sequence;
	unsigned int errors;		/* in 1000 writes */
	struct superblock durable;	/* what a restart would find now */
	uint32_t writing_flags;		/* of the superblock being written */
};
void vmeta_init(struct vmeta *m, struct node *n, const struct superblock *sb);
void vmeta_write(struct vmeta *m, const struct superblock *sb);
void vmeta_crash(struct vmeta *m, bool power);

/* ---- connections (vnet.c) ---- */
#define VNET_CONNECTIONS 16u		/* remembered; the newest counts */
struct connection {
	uint64_t id;			/* 0 = unused */
	bool cut, closing[SIM_NODES];	/* closing: this side's core has asked for the end */
	bool carries[SIM_NODES];	/* packets from this side still arrive */
	uint64_t depart[SIM_NODES], arrive[SIM_NODES];	/* times of the last packet from this side */
	uint64_t sent[SIM_NODES], received[SIM_NODES];	/* sequence numbers, by sender and by receiver */
};
struct vnet {
	bool up;
	uint64_t delay;			/* longest delay of a packet, microseconds */
	uint64_t last;			/* id of the newest connection */
	unsigned int announcing;	/* sides that have not heard of the newest connection yet */
	struct connection c[VNET_CONNECTIONS];
};
void vnet_start(struct sim *s);
void vnet_send(struct node *n, const struct packet *p, struct request *req);
void vnet_close(struct node *n, const char *why);
void vnet_cut(struct sim *s);		/* the present connection ends; each side notices in its own time */
bool vnet_whole(struct sim *s);
void vnet_node_died(struct node *n);

/* ---- the guest (vguest.c) ---- */
enum attach {
	ATTACH_NONE, ATTACH_CLAIMING, ATTACH_CLAIMED, ATTACH_ACTIVATING, ATTACH_ACTIVE, ATTACH_RELEASING,
};
struct guest_op {
	struct request req;
	bool used;
	uint64_t write;			/* the write's number, 0 for reads and flushes */
	uint64_t sector;		/* as the guest meant it (a mutant changes req.sector) */
	uint64_t at;			/* when it was submitted */
	uint64_t floor[SIM_REQUEST_SECTORS];	/* reads: nothing older may be returned */
	/* flushes: the newest acknowledged write of each sector at submission */
	uint64_t snapshot[SIM_VOLUME_MAX];
	uint8_t *data;
};
struct guest {
	enum attach attach;
	char who[64];
	unsigned int serial, depth, inflight, lifetime;
	/* leaving: submits nothing more; stalled: waits for the resume action */
	bool leaving, stalled;
	bool next;			/* a claim was made while the last guest is being released */
	char next_who[64];
	/* a second claim on the same node was made and is to be answered -EBUSY */
	bool busy_asked;
	bool witnessed;			/* since the claim the link was whole and the partner had a guest, */
	bool fair;			/* or it had none and nothing was slow */
	uint64_t idle_since;		/* when the last attachment ended */
	int claim_rc;
	/* how often in a row the core was not ready although nothing was wrong */
	unsigned int idle_checks;
	uint64_t claims, answered, think;
	struct guest_op op[SIM_GUEST_SLOTS];
};
void vguest_disturbed(struct sim *s);	/* a fault: claims under way may fail for it */
void vguest_start(struct node *n);
void vguest_died(struct node *n);
void vguest_claim(struct node *n);
void vguest_release(struct node *n);
void vguest_leave(struct node *n, bool destroy);
void vguest_resume(struct node *n);
void vguest_completed(struct node *n, struct guest_op *op, int rc);
void vguest_claimed(struct node *n, int rc, const char *why);
void vguest_activated(struct node *n, int rc, const char *why);
void vguest_released(struct node *n);

/* ---- one host (node.c) ---- */
struct peer_op { struct request req; bool used; uint8_t *data; };
struct node {
	struct sim *sim;
	int index;
	bool up;
	uint64_t life;			/* crashes so far */
	struct replicate *core;
	struct replicate_config cfg;
	struct replicate_status status;	/* after the last call of the core */
	struct vdisk disk;
	struct vmeta meta;
	struct guest guest;
	struct peer_op peer[SIM_PEER_SLOTS];
	uint64_t connection;		/* id of the connection that the core knows of, 0 = none */
	uint64_t armed, ticked, ticks;	/* timer */
	bool stopping;			/* it has yielded and will go */
};
int node_init(struct sim *s, int index, const struct superblock *sb);
void node_dispose(struct node *n);
void node_boot(struct node *n);
bool node_may_die(const struct node *n);
void node_crash(struct node *n, bool power, uint64_t downtime);
void node_stop(struct node *n);
void node_settle(struct node *n);	/* after every call of the core */
void node_connected(struct node *n, uint64_t connection);
void node_disconnected(struct node *n, const char *why);
void node_receive(struct node *n, const struct packet *p, const uint8_t *payload);
void node_disk_done(struct node *n, struct request *req, int rc);
struct node *node_peer(const struct node *n);

/* ---- the fault plan (plan.c) ---- */
#define FAULTS(X) \
	X(CUT,		"cut link") \
	X(CUT_LONG,	"cut link for seconds") \
	X(NET_SLOW,	"slow network") \
	X(CRASH,	"host power cut") \
	X(KILL,		"daemon killed") \
	X(SB_SLOW,	"slow superblock") \
	X(SB_ERROR,	"superblock write error") \
	X(DISK_ERROR,	"disk errors that heal") \
	X(DISK_SLOW,	"slow disk") \
	X(RIVAL,	"claim on the other node") \
	X(DESTROY,	"guest destroyed") \
	X(STOP,		"daemon stopped (token yielded)") \
	X(AMBUSH,	"cut or crash at a chosen point")
enum fault {
#define X(id, name) FAULT_##id,
	FAULTS(X)
#undef X
	FAULT_COUNT
};
enum point {
	POINT_SENT, POINT_RECEIVED, POINT_SUPERBLOCK, POINT_SUPERBLOCK_HALF, POINT_SUPERBLOCK_DONE,
	POINT_DISK,
};
enum ending { END_QUIET, END_PRIMARY, END_BOTH };
struct plan {
	bool stopped;
	enum ending ending;
	/* volumes with a volatile cache: only flushed writes count, no crash before the end */
	bool cache;
	uint64_t duration, gap;
	uint64_t net_delay, disk_latency, sb_latency;	/* when nothing is slow */
	unsigned int slow;		/* nodes whose disk or metadata is slow or fails now */
	unsigned int weight[FAULT_COUNT];
	struct { bool armed; enum point point; unsigned int arg, skip, action; } ambush;
};
void plan_make(struct sim *s);
void plan_start(struct sim *s);
void plan_stop(struct sim *s);		/* no more faults; everything heals */
void plan_point(struct node *n, enum point point, unsigned int arg);

/* ---- what has been written (oracle.c) ---- */
struct written { uint64_t sector; uint32_t sectors; bool acknowledged; };
struct history {
	struct written *write;		/* by number, 1… in order of submission */
	uint64_t writes, room;
	uint64_t floor[SIM_VOLUME_MAX];		/* the newest acknowledged write of a sector */
	uint64_t flushed[SIM_VOLUME_MAX];	/* the newest one that an answered flush covers */
	uint64_t seen[SIM_VOLUME_MAX];		/* the newest one acknowledged or read */
	uint64_t epoch;			/* the highest epoch in which a request ran, */
	int epoch_node;			/* and where */
	bool primary_died;
};
void oracle_fill(uint8_t *data, uint64_t write, uint64_t sector, uint32_t sectors);
uint64_t oracle_write(struct sim *s, uint64_t sector, uint32_t sectors);
void oracle_submitted(struct node *n, struct guest_op *op);
void oracle_completed(struct node *n, struct guest_op *op, int rc);
void oracle_at_disk(struct vdisk *d, uint64_t sector, const uint8_t *data, uint32_t sectors);
void oracle_superblocks(struct sim *s);
void oracle_state(struct node *n);
void oracle_claimed(struct node *n, int rc, const char *why);
void oracle_words(struct sim *s);	/* status says why something waits */
void oracle_volumes(struct sim *s, const char *when);	/* what a power cut of both would leave */
void oracle_replicas(struct sim *s, const char *when);
void oracle_monitor(struct sim *s);

/* ---- the whole ---- */
struct line { uint64_t at; int node; const char *what; uint64_t a, b, c; char text[112]; };
struct totals {
	uint64_t schedules, events, guest_ops, faults, primaries, fault[FAULT_COUNT];
	uint64_t delivered[32], lost[32], states[CONNECTION_STATE_COUNT];
	uint64_t claims, granted, refused, activations;
};
struct sim {
	uint64_t seed, now, order, events, hash;
	enum mutant mutant;
	bool trace;
	struct random random, core_random;
	struct event *heap;
	size_t heap_used, heap_room;
	struct node node[SIM_NODES];
	struct vnet net;
	struct plan plan;
	struct history history;
	struct totals *totals;
	uint64_t volume;		/* sectors */
	uint32_t block;			/* sectors of a block: 1 or 8 */
	uint64_t faults, guest_ops;
	struct line line[SIM_TRACE];
	uint64_t lines;
	bool failed;
	enum oracle oracle;
	char violation[512];
};

uint64_t sim_random(struct sim *s, uint64_t below);			/* 0 … below - 1; 0 if below is 0 */
uint64_t sim_between(struct sim *s, uint64_t low, uint64_t high);	/* both included */
bool sim_chance(struct sim *s, unsigned int in1000);
struct event *sim_at(struct sim *s, uint64_t at, void (*run)(struct sim *, struct event *), struct node *n);
struct event *sim_in(struct sim *s, uint64_t delay, void (*run)(struct sim *, struct event *),
		     struct node *n);
/* The event returned by sim_at() is to be filled in before the next call; sim_mortal() makes it die with
 * the node's present life. */
void sim_mortal(struct event *e);
bool sim_step(struct sim *s, uint64_t until);
void sim_drop_events(struct sim *s);
void sim_note(struct sim *s, const struct node *n, const char *what, uint64_t a, uint64_t b, uint64_t c);
void sim_say(struct sim *s, const struct node *n, const char *what, const char *text);
void sim_violate(struct sim *s, enum oracle o, const char *format, ...) __attribute__((format(printf, 3, 4)));
const char *oracle_name(enum oracle o);
uint64_t sim_ms(const struct sim *s);
bool sim_is(const struct sim *s, enum mutant m);
void sim_schedule(struct sim *s, uint64_t seed, enum mutant m, bool trace, struct totals *t);
void sim_print_trace(const struct sim *s);
void *sim_memory(size_t count, size_t size);	/* zeroed; exits when there is none */

#endif
