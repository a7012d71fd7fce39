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
 *   vmeta.c   the metadata: two superblock copies, activity log, bitmap; and what they say is out of sync
 *   vnet.c    connections: packets in order, lost at a cut, which each side notices at its own time
 *   vguest.c  the guest: its ring, reads, writes and flushes that overlap; suspended, copied, resumed
 *   fencer.c  fence-peer as a correct script does it: it outdates the partner, or cuts its power, and says what is so
 *   vdevice.c   the guest's disk on one node: claim, attach, release; the record that outlives the daemon
 *   migration.c   the toolstack: guests are started, migrated in every way that can go wrong, destroyed
 *   oracle.c  what must hold (P1, P2, P3, P7); the first violation ends the schedule
 *   shrink.c  from a schedule that fails to a short one that fails likewise
 *   cost.c    what a resync may copy
 *   coverage.c   what the schedules have been through, and what they ought to have been through
 *   truth.c   what the data are: timelines, which fork where a person forces it; what may not be lost or come back
 *   admin.c   the administrator: commands under faults, and what brings a broken pair together in the end
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

#include "backend/actlog.h"
#include "backend/attachment.h"
#include "backend/bitmap.h"
#include "backend/metadata.h"
#include "backend/replicate.h"
#include "backend/request.h"
#include "backend/wire.h"

#define SIM_NODES 2
#define SIM_GUEST_SLOTS 32u		/* guest requests in flight on one node */
#define SIM_PEER_SLOTS 32u		/* the largest receive window, in requests */
#define SIM_REQUEST_BLOCKS 8u		/* the largest request of a guest */
#define SIM_COPY_SECTORS 16u		/* the largest copy of a resync */
#define SIM_REQUEST_SECTORS 64u		/* the largest request of all but a discard */
#define SIM_DISCARD_SECTORS 256u	/* the largest discard: several extents */
#define SIM_VOLUME_MAX 1024u		/* sectors of the largest volume */
#define SIM_PAGE_BLOCKS 64u		/* bits of a page of the bitmap */
#define SIM_PAGES (SIM_VOLUME_MAX / BITMAP_BLOCK_SECTORS / SIM_PAGE_BLOCKS)
#define SIM_EXTENT_SECTORS 64u
#define SIM_TRACE 120u			/* lines that a violation shows */
#define SIM_MS 1000ul			/* virtual time is in microseconds */
#define SIM_SECOND 1000000ul
#define PACKET_LAST PACKET_NOT_ERASED
#define PACKET_LAST_DRAWN PACKET_LEAVING	/* that every schedule may choose: DISCARD and NOT_ERASED are chosen by what draws from s->discards and s->secure */
#define FENCING_COUNT (FENCING_RESOURCE_AND_STONITH + 1)
#define FENCE_VERDICT_COUNT (FENCE_NOT_RUN + 1)

struct sim;
struct node;

/* ---- oracles: the names that a mutant's file may expect ---- */
#define ORACLES(X) \
	X(DURABLE,	"durable",	"P1: an acknowledged write is on both disks, or the one without it is known to lack it") \
	X(MARKS,	"marks",	"P1: blocks that differ are out of sync for whoever reads the metadata now") \
	X(READ,		"read",		"a read returns nothing older than what was acknowledged or read") \
	X(REPLICAS,	"replicas",	"P3: nothing in flight: both volumes are identical") \
	X(WRITER,	"writer",	"P2: one node executes; one token; an epoch runs on one node") \
	X(ORDER,	"order",	"P3: overlapping writes: one order, each once, the guest's bytes") \
	X(FLUSH,	"flush",	"P1: an answered flush has flushed both disks") \
	X(LIVENESS,	"liveness",	"P7: nothing waits for ever or in silence; claims have a bound") \
	X(GUEST_ERROR,	"guest-error",	"the guest sees an error only with io-error, where no disk can do what it wants, and of a secure discard, where one of the two cannot") \
	X(STALE,	"stale",	"a copy of a guest runs only if no other one has gone on since") \
	X(BACK,		"back",		"the token returns to a guest that was handed over only unused") \
	X(REFUSED,	"refused",	"two nodes refuse each other only for what a person or a broken disk did") \
	X(COST,		"cost",		"a resync copies what was marked, and little else") \
	X(CONTRACT,	"contract",	"the core and its surroundings keep to replicate.h and wire.h") \
	X(ERASED,	"erased",	"a secure discard that was acknowledged has left nothing on either disk")
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
	X(LEFT_FORGOTTEN,	"left-forgotten") \
	X(RECORD_TOO_NEW,	"record-too-new") \
	X(HOLD_IGNORED,		"hold-ignored") \
	X(MARK_FORGOTTEN,	"mark-forgotten") \
	X(RAISED_GIVE,		"raised-give") \
	X(SILENT_END,		"silent-end") \
	X(SIBLING_UNSAID,	"sibling-unsaid") \
	X(OLD_GRANT,		"old-grant") \
	X(PAGE_DROPPED,		"page-dropped") \
	X(PAGE_EARLY,		"page-early") \
	X(LOG_DROPPED,		"log-dropped") \
	X(LOG_EARLY,		"log-early") \
	X(MARKS_LOST,		"marks-lost") \
	X(IN_USE_EARLY,		"in-use-early") \
	X(CRASH_FORGOTTEN,	"crash-forgotten") \
	X(GENERATION_LOST,	"generation-lost") \
	X(CONSISTENT_EARLY,	"consistent-early") \
	X(FULL_FROM_EARLY,	"full-from-early") \
	X(DIGEST_FORGED,	"digest-forged") \
	X(IN_SYNC_IGNORED,	"in-sync-ignored") \
	X(BITMAP_IGNORED,	"bitmap-ignored") \
	X(STALE_READ,		"stale-read") \
	X(RESTART_UNHEARD,	"restart-unheard") \
	X(LATE_COPY,		"late-copy") \
	X(CONFIRMED_KEPT,	"confirmed-kept") \
	X(DISKLESS_IGNORED,	"diskless-ignored") \
	X(SAME_FORGED,		"same-forged") \
	X(ZEROES_SKIPPED,	"zeroes-skipped") \
	X(FULL_EVERY_START,	"full-every-start") \
	X(SAME_IGNORED,		"same-ignored") \
	X(GOOD_COPY_FIRST,	"good-copy-first") \
	X(DAMAGE_UNSEEN,	"damage-unseen") \
	X(HUNG_FORGOTTEN,	"hung-forgotten") \
	X(HUNG_BUFFER,		"hung-buffer") \
	X(VERDICT_EARLY,	"verdict-early") \
	X(UNREACHABLE_LIE,	"unreachable-lie") \
	X(KNOWN_KEPT,		"known-kept") \
	X(PEER_OUTDATED_KEPT,	"peer-outdated-kept") \
	X(OUTDATED_LOST,	"outdated-lost") \
	X(STONITH_IGNORED,	"stonith-ignored") \
	X(IO_ERROR_EARLY,	"io-error-early") \
	X(IO_ERROR_IGNORED,	"io-error-ignored") \
	X(DISCARD_SKIPPED,	"discard-skipped") \
	X(DISCARD_PARTIAL,	"discard-partial") \
	X(DISCARD_LATE,		"discard-late") \
	X(ERASE_SKIPPED,	"erase-skipped") \
	X(NOT_ERASED_IGNORED,	"not-erased-ignored") \
	X(SECURE_UNSENT,	"secure-unsent") \
	X(SECURE_FORGOTTEN,	"secure-forgotten")
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
	uint64_t *durable_id, *cached_id;	/* the write that each of their sectors is from (truth_identify) */
	bool *dirty;			/* cached differs from durable, per sector */
	/* writes are durable when done; otherwise only a flush makes them so */
	bool dsync;
	uint64_t latency, errors;	/* microseconds; errors in 1000 requests */
	bool hangs;			/* nothing takes effect, until it goes on */
	bool broken;			/* everything fails, until the disk is repaired */
	bool full;			/* a thin volume: writes of sectors that were never written fail */
	/* per sector: unreadable until it is written; unwritable until the disk is repaired; of a thin volume */
	bool *unreadable, *unwritable, *allocated;
	bool *remnant;			/* per sector: something that was written there has not been erased since */
	uint64_t life;			/* power cuts so far */
	/* when the last flush to be finished was submitted; how many */
	uint64_t flush_started, flushes;
	struct vdisk_op *ops;		/* at the device */
	unsigned int inflight;
};
int vdisk_init(struct vdisk *d, struct node *n, uint64_t sectors, bool dsync);
void vdisk_replace(struct vdisk *d, uint64_t write);
bool vdisk_sound(const struct vdisk *d);
void vdisk_dispose(struct vdisk *d);
void vdisk_submit(struct vdisk *d, struct request *req);
bool vdisk_abandon(struct vdisk *d, struct request *req);
bool vdisk_busy(const struct vdisk *d);	/* the device has something, also of a dead daemon, or given up */
void vdisk_power_cut(struct vdisk *d);	/* what was not durable is lost, kept or torn */
/* the daemon was killed: the kernel finishes what it has, nobody hears of it */
void vdisk_orphan(struct vdisk *d);

/* ---- the metadata (vmeta.c) ---- */
#define VMETA_LANES 3u			/* writes of the log, writes and reads of the bitmap */
struct vmeta_lane {
	struct metadata_op *op;		/* NULL: idle */
	uint8_t data[ACTLOG_BLOCK];	/* of a write, as submitted */
};
struct vmeta {
	struct node *node;
	uint8_t copy[2][METADATA_BLOCK];
	uint8_t writing[METADATA_BLOCK];
	int step;			/* 0 idle, 1 the first copy is being written, 2 the second one */
	int target;			/* the copy that is being written */
	uint64_t latency, sequence;
	unsigned int errors;		/* in 1000 writes */
	bool failed;			/* the last write: it is tried again after a pause */
	bool hangs;
	struct superblock durable;	/* what a restart would find now */
	uint8_t log[ACTLOG_BLOCKS * ACTLOG_BLOCK];
	uint8_t bitmap[SIM_PAGES][BITMAP_PAGE];
	/* a bit was flipped in this page (-1: none), the daemon has read it since, and has written none since it was started */
	int flipped;
	bool flip_read, page_written;
	/* what vmeta_out_of_sync() says of it, while `told` */
	bool told, marked[SIM_VOLUME_MAX / BITMAP_BLOCK_SECTORS];
	struct vmeta_lane lane[VMETA_LANES];
};
void vmeta_init(struct vmeta *m, struct node *n, const struct superblock *sb);
void vmeta_write(struct vmeta *m, const struct superblock *sb);
void vmeta_submit(struct vmeta *m, struct metadata_op *op);
void vmeta_crash(struct vmeta *m, bool power);
bool vmeta_outdate(struct vmeta *m);	/* as backend-ctl without a daemon; false: it cannot be written now */
bool vmeta_flip_copy(struct vmeta *m);	/* a bit of one superblock copy, both being whole; false: not now */
bool vmeta_flip_page(struct vmeta *m);	/* a bit of the bitmap is set, while the superblock says what that adds up to */
void vmeta_booted(struct vmeta *m);
/* What a daemon that starts now takes for out of sync: one flag a block of BITMAP_BLOCK_SECTORS. */
const bool *vmeta_out_of_sync(struct vmeta *m);
bool vmeta_marked(const struct vmeta *m, uint64_t block);	/* by its bitmap, whatever the log says */
void vmeta_logged(const struct vmeta *m, bool *marked);	/* blocks of the extents in the log; all, if it is torn */
bool vmeta_still(const struct vmeta *m);	/* no write of bitmap or superblock is under way */

/* ---- connections (vnet.c) ---- */
#define VNET_CONNECTIONS 16u		/* remembered; the newest counts */
#define VNET_REMEMBERED 12u
#define VNET_SAID 48u			/* packets that are known again (coverage.c) */
struct said { enum packet_type type; uint64_t id, subject; };
struct connection {
	uint64_t id;			/* 0 = unused */
	/* the last hand-over packets that each side sent, which may be repeated; and how many there were */
	struct packet last[SIM_NODES][VNET_REMEMBERED];
	unsigned int remembered[SIM_NODES];
	struct said said[SIM_NODES][VNET_SAID];
	unsigned int sayings[SIM_NODES];
	bool cut, closing[SIM_NODES];	/* closing: this side's core has asked for the end */
	bool repeated;			/* some packet came twice at once: either side may close it for that */
	uint64_t late;			/* until when a packet is on its way that was held up */
	bool carries[SIM_NODES];	/* packets from this side still arrive */
	uint64_t depart[SIM_NODES], arrive[SIM_NODES];	/* times of the last packet from this side */
	uint64_t sent[SIM_NODES], received[SIM_NODES];	/* sequence numbers, by sender and by receiver */
};
struct vnet {
	bool up, trying;
	uint64_t delay;			/* longest delay of a packet, microseconds */
	uint64_t last;			/* id of the newest connection */
	unsigned int announcing;	/* sides that have not heard of the newest connection yet */
	struct connection c[VNET_CONNECTIONS];
};
void vnet_start(struct sim *s);
void vnet_try(struct sim *s);
void vnet_send(struct node *n, const struct packet *p, struct request *req);
void vnet_close(struct node *n, const char *why);
void vnet_restarting(struct node *n, uint32_t within_ms); /* the transport's own RESTARTING */
void vnet_cut(struct sim *s);		/* the present connection ends; each side notices in its own time */
void vnet_cut_half(struct sim *s, int silent);	/* packets from this node do not arrive any more; the other's do */
bool vnet_whole(struct sim *s);
void vnet_repeat(struct node *n);	/* a hand-over packet that it sent on this connection */
bool vnet_repeated(struct node *n);	/* something on its connection came twice */
bool vnet_closing(struct node *n);
void vnet_node_died(struct node *n);

/* ---- the guest (vguest.c) ---- */
enum life { LIFE_PAUSED, LIFE_RUNNING, LIFE_SUSPENDED };
struct guest_op {
	struct request req;
	bool used;			/* the guest waits for it */
	bool consumed;			/* by the backend */
	bool left;			/* by an earlier daemon, which was killed: to be executed (again), */
	bool again;			/* and that has begun */
	bool answered;			/* the guest was suspended and has not seen it */
	bool apart;			/* consumed while the partner was not connected, or answered without it */
	/* our disk has failed it, and then the partner was not connected; so has the partner's */
	bool failed_here, failed_apart, failed_there;
	bool secure;			/* a discard after which neither disk may have anything left of what was there, */
	bool not_erased;		/* and a disk could not erase that */
	unsigned int branch;		/* the copy that put it into the ring (lineage.c) */
	uint64_t order;			/* requests put before it */
	uint64_t write;			/* the write's number, 0 for reads and flushes */
	uint64_t sector;		/* as the guest meant it (a mutant changes req.sector) */
	uint64_t put, at;		/* when it was put into the ring, when it was consumed */
	uint64_t floor[SIM_REQUEST_SECTORS];	/* reads: nothing older may be returned */
	uint64_t seen[SIM_REQUEST_SECTORS];	/* nor older than this, should the writes fail that it waits for */
	/* flushes: the newest acknowledged write of each sector of the volume at submission */
	uint64_t *snapshot;
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
		bool secure;
	} request[SIM_GUEST_SLOTS];
};
void vguest_connected(struct node *n);	/* the ring is attached: by the first daemon, or by a later one */
void vguest_serve(struct node *n);	/* the backend looks at the ring */
void vguest_serve_soon(struct node *n);
void vguest_look(struct node *n);	/* the resume action */
void vguest_completed(struct node *n, struct guest_op *op, int rc);
/* A disk has failed this request: ours; or the partner's, by its id. */
void vguest_disk_failed(struct node *n, const struct request *req);
void vguest_partner_failed(struct node *n, uint64_t id);
/* A disk could not erase: ours; or the partner's, and req is NULL. */
void vguest_not_erased(struct node *n, const struct request *req);
void vguest_suspend(struct node *n, struct image *out);
void vguest_resume(struct node *n);
void vguest_daemon_died(struct node *n); /* what was consumed is left to the next one */
void vguest_parted(struct node *n);	/* it goes on without the partner */
void vguest_gone(struct node *n);	/* what was not consumed is forgotten */
bool vguest_waits(const struct node *n);	/* something lies in the ring that may be consumed */
bool vguest_quiet(const struct node *n);
uint64_t vguest_enough(const struct sim *s);	/* answers after which a guest is taken to be served */

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
	unsigned int sibling;		/* the domain that is about to use another disk, by its serial */
	struct image image;		/* of an arriving copy */
	struct ring ring;
	/* what the daemon remembers, and what it wrote to /run */
	struct attachment_record record, file;
	bool filed, left;		/* left: of an earlier daemon, not settled yet */
	bool adopting, adopt_due, hold_at_mark;
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
void vdevice_daemon_died(struct node *n, bool power);
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
void migration_sibling_ready(struct node *n);	/* another disk of this guest is used now */
void migration_shock(struct sim *s);	/* the toolstack does something at this very moment */
bool migration_settled(struct sim *s);	/* nothing is left half done */

/* ---- one host (node.c) ---- */
struct peer_op { struct request req; bool used, charged; uint8_t *data; };
struct script;				/* a fence-peer that runs (fencer.c) */
struct node {
	struct sim *sim;
	int index;
	bool up;
	uint64_t life;			/* crashes so far */
	bool off;			/* the host is: it has lost its power, and was not started since */
	uint64_t power_cuts;
	struct replicate *core;
	struct replicate_config cfg;
	struct replicate_status status;	/* after the last call of the core */
	struct vdisk disk;
	struct vmeta meta;
	struct guest guest;
	struct peer_op peer[SIM_PEER_SLOTS + 1];	/* the last one carries READ_DATA, which needs no window */
	uint64_t connection;		/* id of the connection that the core knows of, 0 = none */
	uint64_t confirmed;		/* in /run: the epoch that is certainly ours since the host was started */
	bool proved;			/* that the token is here, since the host was started: met, or forced (R12) */
	bool known;			/* in /run, too: a meeting was finished since then */
	bool commanding;		/* a person's command is under way */
	enum command command;		/* the last one */
	bool sync_paused;
	bool given_up;			/* a person has said that what it wrote alone may be thrown away */
	bool flip;			/* a bit of its bitmap flips as soon as it is down, if that can be noticed */
	bool unwritten;			/* it has no disk, and its superblock could not be written */
	bool forgot;			/* it died before it could be, and has not met the partner since */
	uint64_t spoken;		/* when status said last why the guest's I/O waits */
	uint64_t lone_since;		/* for how long its guest could go on alone, and does not */
	uint64_t armed, ticked, ticks;	/* timer */
	bool stopping;			/* it has yielded or will be parked, and will go */
	bool parked;
	uint64_t stopped_at;		/* since when it is stopping */
	/* RESTARTING came on the present connection, or had come on the last one: then the partner is waited for until so long, and the data
	 * are those of this generation until then. */
	uint32_t back_within_ms;
	uint64_t promised_until, promised_gen;
	/* What is so of the partner's fencing since this node sent READY last (oracle.c): fence-peer, LEAVING or our superblock has told that it
	 * was fenced; a person has said that the guest may go on; this node has begun a generation of its own although the partner might
	 * be promoted, which a policy allows. */
	bool told, overruled, lone;
	uint64_t overtaken_by;		/* a token of an older epoch counts no more: the partner was promoted, this node being fenced */
	struct script *asked_by;	/* the partner's, whose 'backend-ctl outdate' is the command under way */
	unsigned int fencing;		/* fence-peers that this daemon has asked for, and that have not been answered */
	bool fenced;			/* one was run, and unfence-peer was not since */
	uint64_t parted_ms;		/* when it lost a connection on which it had sent READY */
	uint64_t found_ms;		/* a daemon that has started looks for its partner until then; 0: they have met */
	bool ready_sent;		/* on the present connection */
	uint64_t unasked_since;		/* for how long its guest wants the partner fenced, and nobody has begun */
};
void node_superblock_new(struct node *n, struct superblock *out);
int node_init(struct sim *s, int index, const struct superblock *sb);
void node_dispose(struct node *n);
void node_boot(struct node *n);
bool node_may_die(const struct node *n);
void node_sent(struct node *n, enum packet_type type, struct request *req);
void node_command(struct node *n, enum command c);
bool node_diskless(const struct node *n);
const struct superblock *node_superblock(const struct node *n);
void node_crash(struct node *n, bool power, uint64_t downtime);
void node_stop(struct node *n);
void node_upgrade(struct node *n);
void node_power_off(struct node *n, uint64_t downtime);	/* also while no daemon runs there */
void node_replace(struct node *n);	/* another disk, and metadata created anew */
void node_settle(struct node *n);	/* after every call of the core */
void node_at_rest(struct node *n);	/* after every event: if the core is at rest, a tick does nothing */
void node_connected(struct node *n, uint64_t connection);
void node_disconnected(struct node *n, const char *why);
void node_receive(struct node *n, struct packet *p, uint8_t *payload);
void node_disk_done(struct node *n, struct request *req, int rc);
struct node *node_peer(const struct node *n);

/* ---- its partner is fenced (fencer.c) ---- */
#define SCRIPTS(X) \
	X(OUTDATE,	"tells the partner's backend-ctl, by another network, that its copy is outdated") \
	X(POWER,	"cuts the partner's power") \
	X(BOTH,		"the first; if that fails, the second")
enum script_kind {
#define X(id, what) SCRIPT_##id,
	SCRIPTS(X)
#undef X
	SCRIPT_COUNT
};
void fencer_run(struct node *n);	/* the core asks for fence-peer */
void fencer_outdated(struct node *n, int rc);	/* 'outdate', which the partner's fence-peer has given here, is answered */
void fencer_daemon_died(struct node *n);	/* it will not be */

/* ---- the fault plan (plan.c) ---- */
#define FAULTS(X) \
	X(CUT,		"cut link") \
	X(CUT_LONG,	"cut link for seconds") \
	X(HALF,		"one direction of the link dies") \
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
	X(DISK_BROKEN,	"disk that fails for good") \
	X(SECTORS,	"sectors that cannot be read") \
	X(UNWRITABLE,	"sectors that cannot be written") \
	X(DISK_FULL,	"thin volume that is full") \
	X(HANG,		"disk that hangs") \
	X(FLIP_COPY,	"bit flipped in a superblock copy") \
	X(FLIP_PAGE,	"bit flipped in a page of the bitmap") \
	X(CRASH_BOTH,	"power cut of both hosts") \
	X(COMMAND,	"a person's command") \
	X(FORCE,	"promotion by force") \
	X(REPLACE,	"disk replaced, metadata created anew") \
	X(PACKET,	"a packet lost, late or twice") \
	X(AMBUSH,	"something at a chosen point")
enum fault {
#define X(id, name) FAULT_##id,
	FAULTS(X)
#undef X
	FAULT_COUNT
};
#define POINTS(X) \
	X(SENT,			"a packet is sent") \
	X(RECEIVED,		"a packet was received") \
	X(SUPERBLOCK,		"a superblock write begins") \
	X(SUPERBLOCK_HALF,	"one copy is written") \
	X(SUPERBLOCK_DONE,	"both are") \
	X(DISK,			"a request goes to the disk") \
	X(LOG,			"the log is written") \
	X(PAGE,			"the bitmap is read or written")
enum point {
#define X(id, what) POINT_##id,
	POINTS(X)
#undef X
	POINT_COUNT
};
#define AMBUSHES(X) \
	X(CUT,		"cut") \
	X(POWER,	"power cut") \
	X(KILL,		"kill") \
	X(PEER_POWER,	"its power") \
	X(PEER_KILL,	"it is killed") \
	X(REPEAT,	"repeat") \
	X(TOOLSTACK,	"toolstack") \
	X(STOP,		"stop")
enum ambush {
#define X(id, what) AMBUSH_##id,
	AMBUSHES(X)
#undef X
	AMBUSH_COUNT
};
enum cruelty { CRUELTY_NONE, CRUELTY_LOSE, CRUELTY_DELAY, CRUELTY_REPEAT, CRUELTY_COUNT };
enum ending { END_QUIET, END_PRIMARY, END_BOTH };
struct plan {
	bool stopped;
	enum ending ending;
	/* volumes with a volatile cache: only flushed writes count, no crash before the end */
	bool cache;
	/* brief: it goes on until so much has happened, in a time that is as short as it can be; else for `duration` at least */
	bool brief;
	uint64_t goal_ops, goal_faults;
	uint64_t duration, gap;
	uint64_t net_delay, disk_latency, sb_latency;	/* when nothing is slow */
	unsigned int repeat;		/* hand-over packets that are repeated, in 1000 */
	bool calm;			/* guests that often have nothing to do: tokens stay unused */
	unsigned int slow;		/* nodes whose disk or metadata is slow or fails now */
	bool virgin, same;		/* the pair was created without a word about its data; which are equal */
	bool detach;			/* on-io-error detach */
	bool wfc_force;			/* on-wfc-timeout force-primary */
	bool csums;			/* csums-alg on both nodes */
	bool upgrades;			/* of the daemons that are stopped, some are replaced by another program */
	bool discards, older;		/* guests discard; to nodes that know no DISCARD */
	bool secure;			/* some of it securely; */
	int unable;			/* to a node whose disk cannot erase, by its index, -1: none; */
	unsigned int erase_errors;	/* and disks fail to, in 1000 times */
	bool hangs;			/* disks hang in this schedule, and there may be a disk-timeout */
	struct after_sb after_sb;
	enum fencing fencing[SIM_NODES];
	bool io_error[SIM_NODES];	/* on-no-data-accessible io-error */
	bool fenced;			/* some node has fencing, */
	uint32_t handlers[SIM_NODES];	/* and these handlers */
	enum script_kind script;
	bool persistent;		/* the script asks again where 'outdate' says "try again" */
	bool apart;			/* the faults end, and the link stays cut for a while */
	unsigned int outages;		/* how much longer hosts and links are down than without fencing, which takes seconds to be begun */
	unsigned int weight[FAULT_COUNT];
	struct { bool armed; enum point point; unsigned int arg, skip; enum ambush action; } ambush;
	struct { enum packet_type type; enum cruelty cruelty; unsigned int skip; } prey;	/* cruelty NONE: nothing */
};
void plan_make(struct sim *s);
void plan_start(struct sim *s);
bool plan_fulfilled(struct sim *s);	/* so much has happened that the schedule counts */
void plan_kill_primary(struct sim *s);	/* as soon as there is one that may die */
void plan_stop(struct sim *s);		/* no more faults; everything heals */
bool plan_restart(struct node *n);	/* the daemon, in good order; false: not now */
void plan_point(struct node *n, enum point point, unsigned int arg);
void plan_booting(struct node *n);
enum cruelty plan_prey(struct node *n, enum packet_type type);	/* what happens to a packet that it sends now */

/* ---- what has been written (truth.c) ---- */
struct written {
	uint64_t sector;
	uint32_t sectors;
	uint64_t order;			/* among all that were consumed; 0: not consumed */
	uint64_t epoch;
	unsigned int timeline;
	bool acknowledged;
};
/* One history of the data.  A promotion by force begins another one, for the promoted node need not have what
 * the other one has; when the two meet, one of them ends. */
#define NO_TIMELINE 0u
struct timeline {
	uint64_t newest;		/* its newest generation */
	bool left;			/* a node that was on it was promoted by force */
	uint64_t began;			/* the epoch in which the guest that executes now began to; it may rise under it */
	uint64_t epoch;			/* the highest epoch in which a request ran, */
	int epoch_node;			/* and where */
	/* whom the truth was taken over from last: the guest that executes now */
	int node;
	unsigned int serial;
	/* Of what was consumed up to here only `base` is left. */
	uint64_t horizon, base[SIM_VOLUME_MAX];
	uint64_t floor[SIM_VOLUME_MAX];		/* the newest acknowledged write of a sector */
	uint64_t flushed[SIM_VOLUME_MAX];	/* the newest one that an answered flush covers */
	uint64_t seen[SIM_VOLUME_MAX];		/* the newest one acknowledged or read */
	/* What the guest is served from has a write there that nobody was told of and nobody has read, and may be ahead of the other disk, which has
	 * `behind`: that may be the newest still. */
	bool ahead[SIM_VOLUME_MAX];
	uint64_t behind[SIM_VOLUME_MAX];
	unsigned int head;		/* the branch that executed last */
};
struct generation_of { uint64_t generation; unsigned int timeline; };
#define NO_BRANCH 0u
struct branch {
	unsigned int parent;		/* NO_BRANCH: started, not copied */
	bool executed;			/* a request of it or of a descendant */
	bool in_place;			/* the parent was resumed where it was */
	bool resumed;			/* the guest went on from here where it was */
	bool copy_ran;			/* a copy of it was started */
};
struct history {
	struct written *write;		/* by number, 1… */
	uint64_t writes, room;
	uint64_t consumed;
	struct timeline **timeline;	/* from 1 */
	unsigned int timelines;
	struct generation_of *generation;
	unsigned int generations;
	/* what a person or a broken disk did, after which two nodes may refuse each other */
	bool forced, excused;
	bool forgot;			/* a node died whose metadata could not be written: a hand-over may have been lost with it */
	struct branch *branch;		/* from 1 */
	unsigned int branches, branch_room;
	uint64_t fresh_starts, vms;
};
uint64_t truth_write(struct sim *s, uint64_t sector, uint32_t sectors);
void truth_fill(uint8_t *data, uint64_t write, uint64_t sector, uint32_t sectors);
/* The number of the write that the bytes are from; UINT64_MAX: nobody has written them there. */
uint64_t truth_identify(const struct sim *s, const uint8_t *data, uint64_t sector);
uint64_t truth_on_disk(const struct node *n, uint64_t sector);	/* after a power cut */
void truth_identify_all(const struct sim *s, const uint8_t *data, uint64_t sector, uint32_t sectors, uint64_t *ids);
uint64_t truth_order(const struct sim *s, uint64_t write);
bool truth_older(const struct sim *s, uint64_t a, uint64_t b);
unsigned int truth_timeline(const struct node *n);	/* by its superblock; NO_TIMELINE: created anew */
struct timeline *truth_of_disk(const struct node *n);	/* by that; NULL: none */
struct timeline *truth_of(const struct node *n);	/* of what it serves: its own disk's, or the partner's if it has none */
bool truth_valid(const struct node *n, const struct timeline *t, uint64_t sector, uint64_t write);
void truth_superblock(struct node *n, const struct superblock *before);	/* what is durable has changed */
void truth_execute(struct node *n, struct guest_op *op);	/* a guest's request is consumed */
bool truth_newest(const struct node *n);	/* it says that it has all that was acknowledged */
void truth_check_durable(struct sim *s, const char *when);
void truth_check_marks(struct sim *s, uint64_t sector, uint64_t sectors, const char *when);
void truth_dispose(struct sim *s);
void oracle_submitted(struct node *n, struct guest_op *op);
void oracle_completed(struct node *n, struct guest_op *op, int rc);
/* `ids` of the sectors that are being written */
void oracle_at_disk(struct vdisk *d, uint64_t sector, const uint64_t *ids, uint32_t sectors, bool copy);
void oracle_superblocks(struct sim *s);
void oracle_state(struct node *n);
void oracle_claimed(struct node *n, int rc, const char *why);
void oracle_attachment(struct node *n, const char *from, const char *to);	/* it changes */
void oracle_words(struct sim *s);	/* status says why something waits */
void oracle_crash(struct sim *s, const char *when);	/* what is on the disks is all that there is */
bool oracle_nothing_marked(struct sim *s);	/* by the metadata on disk */
void oracle_replicas(struct sim *s, const char *when);
void oracle_monitor(struct sim *s);
void oracle_handler(struct node *n, enum handler h);	/* the core runs it */
void oracle_alone(struct node *n);	/* it has begun a generation of its own, durably, for its guest goes on without the partner */
void oracle_promoted(struct node *n, bool newest);	/* without the partner and without a person, durably; newest: its data were */
bool oracle_fenced(const struct node *n);	/* the partner will not be promoted before the two meet */

/* ---- copies of a guest (lineage.c) ---- */
unsigned int lineage_start(struct sim *s);	/* a guest that was started */
unsigned int lineage_branch(struct sim *s, unsigned int parent);
/* May this copy go on: has nothing been executed since that it does not know? */
bool lineage_current(const struct node *n, unsigned int branch);
bool lineage_unserved(const struct node *n); /* its requests wait for a partner that is away, of which it may not have heard yet */
void lineage_execute(struct node *n, unsigned int branch);
void lineage_again(struct node *n);	/* a request that counts as executed already, but must not be any more if it was overtaken */
/* Was the copy on this node overtaken, or may it be taken for that? */
bool lineage_overtaken(const struct node *n);

/* ---- the administrator (admin.c) ---- */
bool admin_command(struct node *n);	/* some command, now; false: not now */
bool admin_force(struct node *n);
void admin_answered(struct node *n, int rc, const char *why);
void admin_start(struct sim *s);	/* the faults are over: he looks after the pair until it is whole */
bool admin_content(struct sim *s);	/* nothing is left for him to do */
bool admin_lets_go(struct node *n);	/* a guest that waits for its partner's fencing, if status says so and no guest runs there */

/* ---- what a resync may copy (cost.c) ---- */
struct cost {
	bool dirty[SIM_VOLUME_MAX / BITMAP_BLOCK_SECTORS];
	/* to this node's disk, since it met its partner last, or the block was made dirty */
	uint8_t copied[SIM_NODES][SIM_VOLUME_MAX / BITMAP_BLOCK_SECTORS];
	bool doubt;			/* a read or write has failed: what is compared may not be what is there */
};
void cost_start(struct sim *s);
void cost_met(struct node *n);
void cost_dirty(struct sim *s, uint64_t sector, uint64_t sectors);
void cost_dirty_all(struct sim *s);
void cost_clean(struct sim *s, uint64_t sector, uint64_t sectors);	/* if both agree about it now */
void cost_generation(struct node *n, const struct generations *before); /* what it was before */
void cost_died(struct node *n);
void cost_failed(struct node *n, uint64_t sector, uint64_t sectors);	/* its disk, there */
void cost_copied(struct node *n, uint64_t sector, uint64_t sectors, bool changes);

/* ---- what was seen (coverage.c) ---- */
#define ROLES(X) \
	X(SECONDARY,	"Secondary",	"without the token") \
	X(GIVER,	"giver",	"the token is on its way to the partner") \
	X(HOLDER,	"holder",	"the token is here, and no guest is served") \
	X(PRIMARY,	"Primary",	"the token is here, and a guest is served") \
	X(TOKENLESS,	"tokenless",	"a guest is served without the token")
enum role {
#define X(name, text, what) ROLE_##name,
	ROLES(X)
#undef X
	ROLE_COUNT
};
struct totals;
void coverage_sent(struct sim *s, struct connection *c, const struct connection *before, int side, const struct packet *p);
void coverage_state(struct totals *t, const struct replicate_status *is);
void coverage_print(const struct totals *t);
bool coverage_complete(const struct totals *t, const char *path);	/* but for what that file lists */

/* ---- what is left out of a schedule (shrink.c) ---- */
#define CUTS(X) \
	X(FAULTS,	"faults",	"strikes of the fault plan") \
	X(TOOLSTACK,	"toolstack",	"looks of the toolstack at its guests") \
	X(REQUESTS,	"requests",	"that the guests make")
enum cut {
#define X(id, name, what) CUT_##id,
	CUTS(X)
#undef X
	CUT_KINDS
};
struct cuts {
	bool *skip[CUT_KINDS];		/* by number; what is beyond `room` is not cut */
	uint64_t room[CUT_KINDS];
};
bool cut_parse(struct cuts *c, const char *text);
void cut_add(struct cuts *c, enum cut kind, uint64_t from, uint64_t to, bool skip);
void cut_print(const struct cuts *c);
void cut_free(struct cuts *c);
bool cut_next(struct sim *s, enum cut kind);
void cut_end(struct sim *s);

/* ---- the whole ---- */
/* Which schedule. */
struct schedule {
	uint64_t seed;
	enum mutant mutant;
	bool trace;			/* print every line as it comes */
	bool plain;			/* neither fencing nor on-no-data-accessible io-error nor discards are drawn */
	const struct cuts *cuts;	/* NULL: nothing is left out */
};
void shrink(struct sim *s, const struct schedule *what, const char *program);

#define FENCED(X) \
	X(fenced_promotions,	"promotions of a node whose partner is fenced") \
	X(forks,		"of them, of a node that lacks what its partner did before (resource-only)") \
	X(shot,			"hosts whose power fence-peer has cut") \
	X(outdated_offline,	"copies outdated where no daemon runs") \
	X(left_in_order,	"partners that were told of a farewell, and go on") \
	X(unfenced,		"unfence-peer") \
	X(let_go,		"frozen guests that a person let go") \
	X(errors,		"requests that a guest got an error for (io-error)")

struct line { uint64_t at; int node; const char *what; uint64_t a, b, c; char text[112]; };
/* Nothing but numbers of 64 bits, which are added up over the processes of a run (sim.c). */
struct totals {
	uint64_t schedules, counted, last_seed, ambush[POINT_COUNT][AMBUSH_COUNT];
	uint64_t events, guest_ops, faults, primaries, fault[FAULT_COUNT];
	uint64_t delivered[PACKET_LAST + 1], lost[PACKET_LAST + 1], late[PACKET_LAST + 1];
	/* twice: in one connection; refused_twice: it was closed for that; again: in the next one */
	uint64_t twice[PACKET_LAST + 1], refused_twice[PACKET_LAST + 1], again[PACKET_LAST + 1];
	uint64_t state[ROLE_COUNT][CONNECTION_STATE_COUNT][DISK_STATE_COUNT][DISK_STATE_COUNT];
	uint64_t command[COMMAND_COUNT], command_done[COMMAND_COUNT];
	/* schedules whose guests discard, of them those whose nodes know no DISCARD; discards answered, of them those of several pieces */
	uint64_t discarding, discarding_older, discards, discards_long;
	uint64_t erasing, erased, not_erased;	/* schedules with secure ones; these done on both disks, and ended with an error */
	uint64_t hangs, abandoned, late_writes, metadata_hung;	/* disks that hung; requests given up, those of them that landed */
	/* by policy: states entered, what fence-peer said; and what is counted once */
	uint64_t fence[FENCING_COUNT][FENCE_STATE_COUNT], verdict[FENCING_COUNT][FENCE_VERDICT_COUNT];
#define X(field, name) uint64_t field;
	FENCED(X)
#undef X
	uint64_t copied, alone, resyncs, crashed, timelines, discarded, log_writes, page_writes;
	uint64_t states[CONNECTION_STATE_COUNT], attachments[ATTACHMENT_STATE_COUNT], syncs[SYNC_STATE_COUNT];
	uint64_t claims, granted, refused, activations;
	/* hand-overs: begun, reserved, refused, the copy is served, undone, the token came back; guests
	 * that an orderly stop left, and that a later daemon adopted; requests that a killed one left */
	uint64_t migrations, reserved, reserve_refused, completed, undone, back, adopted, parked, upgraded, executed_again;
};
struct sim {
	uint64_t seed, now, order, events, hash;
	enum mutant mutant;
	bool plain;
	bool trace;
	struct random random, core_random, own_random;
	struct random fencing;		/* likewise, for schedules with fencing or io-error */
	struct random apart;		/* for what only schedules with disks that hang draw: the others are not changed by it */
	struct random discards;		/* likewise, for schedules whose guests discard, */
	struct random secure;		/* and those whose guests do so securely */
	struct random *draw;		/* where sim_random() takes from: the first, or own_random */
	const struct cuts *cuts;
	uint64_t numbered[CUT_KINDS];	/* so far */
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
	uint32_t largest;		/* sectors of the largest request */
	uint64_t faults, guest_ops;
	uint64_t ops_before;		/* guest_ops at the last fault */
	uint64_t primaries;		/* that died */
	bool quiescent;			/* it has ended, and all was well */
	struct line line[SIM_TRACE];
	uint64_t lines;
	bool failed;
	enum oracle oracle;
	char violation[1280];
	struct cost cost;
	unsigned int advice;		/* how often the administrator has tried to bring the two together */
	unsigned int scripts;		/* fence-peers that run */
};

uint64_t sim_random(struct sim *s, uint64_t below);			/* 0 … below - 1; 0 if below is 0 */
uint64_t sim_between(struct sim *s, uint64_t low, uint64_t high);	/* both included */
bool sim_chance(struct sim *s, unsigned int in1000);
uint64_t sim_between_apart(struct sim *s, uint64_t low, uint64_t high);	/* from s->apart */
bool sim_chance_apart(struct sim *s, unsigned int in1000);
uint64_t sim_between_fencing(struct sim *s, uint64_t low, uint64_t high);	/* from s->fencing */
bool sim_chance_fencing(struct sim *s, unsigned int in1000);
uint64_t sim_between_discards(struct sim *s, uint64_t low, uint64_t high);	/* from s->discards */
bool sim_chance_discards(struct sim *s, unsigned int in1000);
uint64_t sim_between_secure(struct sim *s, uint64_t low, uint64_t high);	/* from s->secure */
bool sim_chance_secure(struct sim *s, unsigned int in1000);
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
void sim_schedule(struct sim *s, const struct schedule *what, struct totals *t);
void sim_print_trace(const struct sim *s);
void *sim_memory(size_t count, size_t size);	/* zeroed; exits when there is none */

#endif
