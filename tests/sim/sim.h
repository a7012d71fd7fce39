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
 *   vguest.c  the guest: its ring, reads, writes and flushes that overlap; suspended, copied, resumed
 *   vdevice.c   the guest's disk on one node: claim, attach, release; the record that outlives the daemon
 *   migration.c   the toolstack: guests are started, migrated in every way that can go wrong, destroyed
 *   oracle.c  what must hold (P1, P2, P3, P7); the first violation ends the schedule
 *   lineage.c   which copy of a guest descends from which, and which one may still run
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

#include "backend/attachment.h"
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
	X(STALE,	"stale",	"a copy of a guest runs only if no other one has gone on since") \
	X(BACK,		"back",		"the token returns to a guest that was handed over only unused") \
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
	X(ONE_SUPERBLOCK,	"one-superblock") \
	X(ALWAYS_SUSPENDED,	"always-suspended") \
	X(OLD_LOOK,		"old-look") \
	X(UUID_IGNORED,		"uuid-ignored") \
	X(QUIET_UNREPORTED,	"quiet-unreported") \
	X(RESUMED_UNREPORTED,	"resumed-unreported") \
	X(RECORD_LOST,		"record-lost") \
	X(RECORD_TOO_NEW,	"record-too-new") \
	X(HOLD_IGNORED,		"hold-ignored") \
	X(MARK_FORGOTTEN,	"mark-forgotten") \
	X(RAISED_GIVE,		"raised-give") \
	X(SILENT_END,		"silent-end") \
	X(SIBLING_UNSAID,	"sibling-unsaid") \
	X(OLD_GRANT,		"old-grant")
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
#define VNET_REMEMBERED 12u
struct connection {
	uint64_t id;			/* 0 = unused */
	/* the last hand-over packets that each side sent, which may be repeated; and how many there were */
	struct packet last[SIM_NODES][VNET_REMEMBERED];
	unsigned int remembered[SIM_NODES];
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
void vnet_repeat(struct node *n);	/* a hand-over packet that it sent on this connection */
void vnet_node_died(struct node *n);

/* ---- the guest (vguest.c) ---- */
enum life { LIFE_PAUSED, LIFE_RUNNING, LIFE_SUSPENDED };
struct guest_op {
	struct request req;
	bool used;			/* the guest waits for it */
	bool consumed;			/* by the backend */
	bool answered;			/* the guest was suspended and has not seen it */
	unsigned int branch;		/* the copy that put it into the ring (lineage.c) */
	uint64_t order;			/* requests put before it */
	uint64_t write;			/* the write's number, 0 for reads and flushes */
	uint64_t sector;		/* as the guest meant it (a mutant changes req.sector) */
	uint64_t put, at;		/* when it was put into the ring, when it was consumed */
	uint64_t floor[SIM_REQUEST_SECTORS];	/* reads: nothing older may be returned */
	/* flushes: the newest acknowledged write of each sector at submission */
	uint64_t snapshot[SIM_VOLUME_MAX];
	uint8_t *data;
};
struct ring {
	uint32_t prod, cons;
	unsigned int slot[SIM_GUEST_SLOTS];	/* the requests between cons and prod */
	bool attached;			/* by the present daemon */
	bool held, told;		/* told: that something lies beyond the mark */
	uint32_t mark;
};
/* What a copy of the guest knows, as of the moment when it was suspended: the requests without an answer. */
struct image {
	uint64_t vm, fresh_starts;
	unsigned int branch, count;	/* the branch that was suspended */
	struct image_request {
		enum request_op op;
		bool preflush;
		uint64_t sector;
		uint32_t sectors;
	} request[SIM_GUEST_SLOTS];
};
void vguest_connected(struct node *n);	/* the ring is attached: by the first daemon, or by a later one */
void vguest_serve(struct node *n);	/* the backend looks at the ring */
void vguest_serve_soon(struct node *n);
void vguest_look(struct node *n);	/* the resume action */
void vguest_completed(struct node *n, struct guest_op *op, int rc);
void vguest_suspend(struct node *n, struct image *out);
void vguest_resume(struct node *n);
void vguest_gone(struct node *n);	/* what was not consumed is forgotten */
bool vguest_waits(const struct node *n);	/* something lies in the ring that may be consumed */
bool vguest_quiet(const struct node *n);

/* ---- its disk (vdevice.c) ---- */
enum attach {
	ATTACH_NONE,
	ATTACH_CLAIMING,	/* `add` is under way */
	ATTACH_CLAIMED,		/* the domain is paused, or its frontend was refused */
	ATTACH_ACTIVATING,	/* the frontend connects */
	ATTACH_ACTIVE,		/* the ring is attached */
	ATTACH_ORPHAN,		/* the daemon has ended, the domain is still there */
	ATTACH_RELEASING,
};
struct guest {
	enum attach attach;
	char who[64];
	/* the domain */
	uint64_t vm;			/* which virtual machine; in its uuid */
	unsigned int serial;		/* domains that this host had */
	enum life life;
	bool incoming;			/* named --incoming */
	bool connecting;		/* its frontend has begun to connect (state 3 or 4) */
	bool started;			/* it has seen a backend: the image's requests are in the ring */
	bool outdated;			/* another disk of this copy was found to be overtaken */
	bool refused;			/* activate was answered with -ESTALE */
	uint64_t suspended_at, running_at;
	unsigned int branch;
	struct image image;		/* of an arriving copy */
	struct ring ring;
	/* what the daemon remembers, and what it wrote to /run */
	struct attachment_record record, file;
	bool filed, left;		/* left: of an earlier daemon, not settled yet */
	bool adopting, hold_at_mark;
	unsigned int depth, inflight, lifetime;
	/* leaving: submits nothing more; stalled: waits for the resume action */
	bool leaving, stalled;
	bool next;			/* a claim was made while the last guest is being released */
	char next_who[64];
	/* a second claim on the same node was made and is to be answered -EBUSY */
	bool busy_asked;
	/* since the claim the link was whole and the partner served a guest, or nothing stood in the way */
	bool witnessed, fair;
	uint64_t idle_since;		/* when the last attachment ended */
	int claim_rc;
	/* how often in a row it was not served although nothing was wrong */
	unsigned int idle_checks;
	uint64_t claims, answered, think;
	struct guest_op op[SIM_GUEST_SLOTS];
};
void vdevice_claim(struct node *n, const struct image *image);	/* NULL: a guest is started */
void vdevice_claim_next(struct node *n);
void vdevice_ask_twice(struct node *n);
void vdevice_unpause(struct node *n);
void vdevice_activate(struct node *n);
void vdevice_leave(struct node *n, bool destroy);
void vdevice_destroy(struct node *n);
void vdevice_disturbed(struct sim *s);	/* a fault: claims under way may fail for it */
void vdevice_claimed(struct node *n, int rc, const char *why);
void vdevice_activated(struct node *n, int rc, const char *why);
void vdevice_released(struct node *n);
void vdevice_record(struct node *n, const struct attachment *a);
void vdevice_hold(struct node *n);
void vdevice_unhold(struct node *n);
void vdevice_look_suspended(struct node *n, uint64_t query, const uint8_t *uuid);
void vdevice_booted(struct node *n);
void vdevice_park(struct node *n);	/* an orderly stop: nothing is in flight any more */
void vdevice_daemon_died(struct node *n, bool power, bool primary);
bool vdevice_may_go_on(const struct node *n);

/* ---- the toolstack (migration.c) ---- */
struct migration {
	uint64_t serial;		/* of the present or last one */
	bool running, adding;
	bool must_succeed;		/* nothing goes wrong, and the copy is to be started */
	int source;
	unsigned int domain[SIM_NODES];	/* serials; the destination's is 0 until it is created */
	unsigned int pending;		/* actions to come */
	struct image image;
};
void migration_start(struct sim *s);
void migration_begin(struct node *source);
void migration_added(struct node *n, int rc);
void migration_shock(struct sim *s);	/* the toolstack does something at this very moment */
bool migration_settled(struct sim *s);	/* nothing is left half done */

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
	bool stopping;			/* it has yielded or will be parked, and will go */
	bool parked;
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
	X(STOP,		"daemon stopped in good order") \
	X(AMBUSH,	"something at a chosen point")
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
	unsigned int repeat;		/* hand-over packets that are repeated, in 1000 */
	bool calm;			/* guests that often have nothing to do: tokens stay unused */
	unsigned int slow;		/* nodes whose disk or metadata is slow or fails now */
	unsigned int weight[FAULT_COUNT];
	struct { bool armed; enum point point; unsigned int arg, skip, action; } ambush;
};
void plan_make(struct sim *s);
void plan_start(struct sim *s);
void plan_stop(struct sim *s);		/* no more faults; everything heals */
bool plan_restart(struct node *n);	/* the daemon, in good order; false: not now */
void plan_point(struct node *n, enum point point, unsigned int arg);

/* ---- what has been written (oracle.c) ---- */
struct written { uint64_t sector, epoch; uint32_t sectors; bool acknowledged; };
#define NO_BRANCH 0u
struct branch {
	unsigned int parent;		/* NO_BRANCH: started, not copied */
	bool executed;			/* a request of it or of a descendant */
	bool in_place;			/* the parent was resumed where it was */
	bool resumed;			/* the guest went on from here where it was */
	bool copy_ran;			/* a copy of it was started */
};
struct history {
	struct written *write;		/* by number, 1… in order of submission */
	uint64_t writes, room;
	uint64_t floor[SIM_VOLUME_MAX];		/* the newest acknowledged write of a sector */
	uint64_t flushed[SIM_VOLUME_MAX];	/* the newest one that an answered flush covers */
	uint64_t seen[SIM_VOLUME_MAX];		/* the newest one acknowledged or read */
	uint64_t epoch;			/* the highest epoch in which a request ran, */
	int epoch_node;			/* and where */
	struct branch *branch;		/* from 1 */
	unsigned int branches, branch_room, head;	/* head: the branch that executed last */
	uint64_t fresh_starts, vms;
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
void oracle_attachment(struct node *n, const char *from, const char *to);	/* it changes */
void oracle_words(struct sim *s);	/* status says why something waits */
void oracle_volumes(struct sim *s, const char *when);	/* what a power cut of both would leave */
void oracle_replicas(struct sim *s, const char *when);
void oracle_monitor(struct sim *s);

/* ---- copies of a guest (lineage.c) ---- */
unsigned int lineage_start(struct sim *s);	/* a guest that was started */
unsigned int lineage_branch(struct sim *s, unsigned int parent);
/* May this copy go on: has nothing been executed since that it does not know? */
bool lineage_current(const struct sim *s, unsigned int branch);
void lineage_execute(struct node *n, unsigned int branch);
/* Was the copy on this node overtaken, or may it be taken for that? */
bool lineage_overtaken(const struct node *n);

/* ---- the whole ---- */
struct line { uint64_t at; int node; const char *what; uint64_t a, b, c; char text[112]; };
struct totals {
	uint64_t schedules, events, guest_ops, faults, primaries, fault[FAULT_COUNT];
	uint64_t delivered[PACKET_ENDED + 1], lost[PACKET_ENDED + 1], late[PACKET_ENDED + 1];
	uint64_t repeated[PACKET_ENDED + 1];
	uint64_t states[CONNECTION_STATE_COUNT], attachments[ATTACHMENT_STATE_COUNT];
	uint64_t claims, granted, refused, activations;
	/* hand-overs: begun, reserved, refused, the copy is served, undone, the token came back; guests
	 * that an orderly stop left, and that a later daemon adopted */
	uint64_t migrations, reserved, reserve_refused, completed, undone, back, adopted, parked;
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
	struct migration migration;
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
