/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inflight.test.c: a ring whose daemon dies: at each store that it makes, and again while the next one goes on (docs/RESTART.md)
 *
 * The daemon is ring.c with an owner that executes requests on a disk in memory, in an order that the core allows: requests that
 * overlap one after the other, all else in any order.  Its death is a jump out of the middle of ring.c; what is left is the table,
 * the guest's memory, and the disk.  The guest keeps books: each request has one answer, each read shows what it may show, no
 * write is executed after its answer.
 */
#define INFLIGHT_DIE_HERE() die_here()
static void die_here(void);

#include <fcntl.h>
#include <setjmp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The memory of a process goes with it. */
#define MEMORY_MAX 64
static void *memory[MEMORY_MAX];

static void *process_calloc(size_t n, size_t size)
{
	unsigned int i = 0;

	while (memory[i])
		i++;
	return memory[i] = calloc(n, size);
}

static void process_free(void *p)
{
	for (unsigned int i = 0; p && i < MEMORY_MAX; i++)
		if (memory[i] == p)
			memory[i] = NULL;
	free(p);
}

#define calloc process_calloc
#define free   process_free
#include "backend/grant.c"
#define refuse refuse_ring
#include "backend/ring.c"
#undef refuse
#undef calloc
#undef free

/* /run/drbdx, in a folder of this test's own. */
static const char *here(const char *path);
static int open_here(const char *path, int flags, ...)
{
	return open(here(path), flags, 0600);
}

static int unlink_here(const char *path)
{
	return unlink(here(path));
}

#define open   open_here
#define unlink unlink_here
#include "backend/inflight.c"
#undef open
#undef unlink

#include "ring-fake.h"
#include "tests/property/random.h"
#include "tests/unit/document.h"

/* ---- the world ---- */

#define BLOCKS	 12u /* of a page each; a write has one number for all of them */
#define SECTORS	 8u
#define WISHES	 4096u

struct wish { /* a request of the guest: its id is its index here, its data pages are its own */
	uint8_t op;
	bool asked, answered, bad, indirect, written;
	uint32_t block, blocks, page;
	uint32_t floor[BLOCKS]; /* of a read: what was answered when it was asked for */
};

static struct world {
	struct wish wish[WISHES];
	unsigned int wishes, answers, deaths;
	uint32_t disk[BLOCKS];	   /* the write that is on it; 0: none */
	uint32_t newest[BLOCKS];   /* the last write that was asked for, */
	uint32_t certain[BLOCKS];  /* and the last one that was answered */
	RING_IDX start;
	unsigned int order;
	struct {
		struct request *req;
		bool begun;
	} job[RING_SLOTS_MAX]; /* the owner's, in the order of submission */
	unsigned int jobs, done;
} world;

static jmp_buf death;
static bool mortal;
static uint64_t steps, steps_left; /* until it dies */

static void die_here(void)
{
	if (!mortal)
		return;
	steps++;
	if (!steps_left--)
		longjmp(death, 1);
}

static uint32_t page_of(uint32_t id)
{
	return id % 64 * 17; /* the ring has fewer slots: one request at a time has it; the last one is for indirect segments */
}

static uint32_t *guest_word(uint32_t page)
{
	return (uint32_t *)(fake.data + (size_t)page * PAGE);
}

/* ---- the owner ---- */

static void job_submit(void *ctx, struct request *req)
{
	(void)ctx;
	die_here();
	assert_true(!req->barrier || !world.jobs); /* nothing beside a barrier */
	for (unsigned int i = 0; i < world.jobs; i++) {
		assert_ptr_not_equal(world.job[i].req, req);
		assert_false(world.job[i].req->barrier);
	}
	gate_enter(&fake.gate, req);
	world.job[world.jobs].req = req;
	world.job[world.jobs++].begun = false;
}

static bool job_overlaps(const struct request *a, const struct request *b)
{
	return a->sector < b->sector + b->sectors && b->sector < a->sector + a->sectors &&
	       (a->op == REQUEST_WRITE || b->op == REQUEST_WRITE);
}

/* Nothing older that it overlaps, but for reads that are under way. */
static bool job_may_begin(unsigned int at)
{
	for (unsigned int i = 0; i < at; i++)
		if (world.job[i].req->op == REQUEST_WRITE && job_overlaps(world.job[i].req, world.job[at].req))
			return false;
	return true;
}

static bool writes(const struct wish *w)
{
	return w->op == BLKIF_OP_WRITE || w->op == BLKIF_OP_WRITE_BARRIER;
}

static void write_block(uint32_t block, uint32_t id)
{
	assert_true(writes(&world.wish[id]));
	assert_false(world.wish[id].answered);		  /* never repeated */
	assert_true(id >= world.certain[block]);	  /* nor later than what it overlaps and is answered */
	world.disk[block] = id;
}

static void job_begin(unsigned int at)
{
	struct request *req = world.job[at].req;

	world.job[at].begun = true;
	for (uint32_t i = 0; i < req->sectors / SECTORS; i++) {
		uint32_t *word = (uint32_t *)(req->data + (size_t)i * PAGE), block = (uint32_t)(req->sector / SECTORS) + i;

		if (req->op == REQUEST_WRITE)
			write_block(block, *word);
		else
			*word = world.disk[block];
		die_here();
	}
}

static void job_end(unsigned int at)
{
	struct request *req = world.job[at].req;

	for (world.jobs--; at < world.jobs; at++)
		world.job[at] = world.job[at + 1];
	gate_leave(&fake.gate, req);
	ring_complete(fake.ring, req, 0);
}

static bool job_ready(void *ctx, const struct request *next)
{
	(void)ctx;
	return fake.ready_left != 0 && gate_opens(&fake.gate, fake.ring, next);
}

static void job_broken(void *ctx, const char *why)
{
	(void)ctx;
	fail_msg("%s", why);
}

static void job_resumed(void *ctx)
{
	(void)ctx;
	fake.resumed++;
}

static const struct ring_ops job_ops = { job_ready, job_submit, job_broken, job_resumed };

/* ---- the guest ---- */

static uint32_t ask(uint8_t op, uint32_t block, uint32_t blocks, bool bad, bool indirect)
{
	uint32_t id = ++world.wishes, page = page_of(id);
	struct wish *w = &world.wish[id];
	blkif_request_t *r;

	assert_true(id < WISHES);
	*w = (struct wish){ .op = op, .asked = true, .bad = bad, .indirect = indirect, .block = block, .blocks = blocks, .page = page };
	for (uint32_t i = 0; i < blocks; i++) {
		*guest_word(page + i) = writes(w) ? id : UINT32_MAX;
		w->floor[i] = world.certain[block + i];
		if (writes(w) && !bad)
			world.newest[block + i] = id;
	}
	if (indirect) {
		guest_put_indirect(op, (uint64_t)block * SECTORS, (uint16_t)blocks, page, page + 16);
		r = guest_made();
	} else {
		r = guest_put(op, (uint64_t)block * SECTORS, (uint8_t)blocks, page);
	}
	r->id = (uint64_t)id << 32 | 0xabcd;
	if (bad)
		r->sector_number = UINT64_MAX;
	return id;
}

/* There is room in the ring, and nobody uses its pages. */
static bool may_ask(void)
{
	uint32_t id = world.wishes + 1;

	return id < WISHES && !RING_FULL(&fake.front) && (id <= 64 || world.wish[id - 64].answered);
}

static void answered_read(const struct wish *w)
{
	for (uint32_t i = 0; i < w->blocks; i++) {
		uint32_t seen = *guest_word(w->page + i);

		assert_true(seen >= w->floor[i] && seen <= world.newest[w->block + i]);
		assert_true(!seen || writes(&world.wish[seen]));
	}
}

/* Of its answers a barrier's comes after all that it was asked after, and before all that came later. */
static void in_order(uint32_t id)
{
	bool barrier = world.wish[id].op == BLKIF_OP_WRITE_BARRIER && !world.wish[id].bad;

	for (uint32_t i = 1; i < id; i++)
		assert_true(world.wish[i].answered || (!barrier && (world.wish[i].op != BLKIF_OP_WRITE_BARRIER || world.wish[i].bad)));
}

static void see_answers(void)
{
	while (guest_responses()) {
		blkif_response_t rsp = guest_take();
		struct wish *w = &world.wish[rsp.id >> 32];

		assert_int_equal(rsp.id & 0xffffffff, 0xabcd);
		assert_true(w->asked && !w->answered); /* once */
		assert_int_equal(rsp.operation, w->op);
		assert_int_equal(rsp.status, w->bad ? BLKIF_RSP_ERROR : BLKIF_RSP_OKAY);
		w->answered = true;
		world.answers++;
		if (w->op == BLKIF_OP_READ && !w->bad)
			answered_read(w);
		in_order((uint32_t)(rsp.id >> 32));
		for (uint32_t i = 0; writes(w) && !w->bad && i < w->blocks; i++)
			if (world.certain[w->block + i] < rsp.id >> 32)
				world.certain[w->block + i] = (uint32_t)(rsp.id >> 32);
	}
}

/* ---- life and death ---- */

static void start_world(unsigned int order, RING_IDX start)
{
	memset(&world, 0, sizeof(world));
	world.order = order;
	world.start = start;
	fake.gate = (struct gate){ 0 };
	fake_pool(2);
	fake_front(order, start);
	memset(fake.table, 0, sizeof(*fake.table));
	memcpy(fake.table->magic, magic, sizeof(magic));
	fake.table->version = INFLIGHT_VERSION;
	fake.ready_left = UINT32_MAX;
	fake.on_copy = die_here;
}

static int attach_order(unsigned int order)
{
	struct ring_params params = { .domid = DOMID, .order = (uint8_t)order, .abi = (uint8_t)fake_abi, .port = GUEST_PORT };

	for (unsigned int i = 0; i < 16; i++)
		params.ref[i] = RING_REF + i;
	return ring_attach(&params, &disk_limits, fake.pool, fake.table, &job_ops, &fake, &fake.ring, fake.why, sizeof(fake.why));
}

/* The process is gone, and what the kernel had for it. */
static void bury(void)
{
	for (unsigned int i = 0; i < MEMORY_MAX; i++) {
		free(memory[i]);
		memory[i] = NULL;
	}
	if (fake.evtchn_open)
		close(fake.evtchn.fd);
	fake.gnttab_open = fake.evtchn_open = fake.mapped = fake.bound = fake.masked = false;
	fake.ring = NULL;
	free(fake.pool);
	fake.pool = NULL;
	assert_int_equal(pool_new(fake.area, 2 * MIB, &fake.pool), 0);
	world.jobs = 0;
	fake.gate = (struct gate){ 0 };
	world.deaths++;
}

/* K0, from outside. */
static void table_holds(void)
{
	RING_IDX rsp_prod = fake.front.sring->rsp_prod;
	struct inflight_left left;
	char why[200] = "";

	if (!fake.table->serving)
		return;
	assert_int_equal(check(fake.table, why, sizeof(why)), 0);
	collect(fake.table, rsp_prod, &left);
	assert_int_equal(left.count, (uint32_t)fake.table->req_cons - rsp_prod);
	for (unsigned int i = 0; i < left.count; i++) {
		const struct wish *w = &world.wish[fake.table->entry[left.tag[i]].slot.id >> 32];

		if (!w->indirect) /* its id is elsewhere */
			assert_true(w->asked && !w->answered);
	}
}

/* Runs `life` until it ends (true) or dies after so many steps. */
static bool live(void (*life)(void), uint64_t after)
{
	volatile bool alive = false;

	mortal = true;
	steps = 0;
	steps_left = after;
	if (!setjmp(death)) {
		life();
		alive = true;
	}
	mortal = false;
	if (!alive)
		bury();
	table_holds();
	return alive;
}

static void work_to_the_end(void)
{
	do {
		while (ring_run(fake.ring))
			;
		for (unsigned int i = world.jobs; i--;) /* the last ones first */
			if (job_may_begin(i)) {
				if (!world.job[i].begun)
					job_begin(i);
				job_end(i);
			}
		ring_push(fake.ring);
		see_answers();
	} while (world.jobs || ring_in_flight(fake.ring) || ring_left(fake.ring) || world.answers < world.wishes);
}

static void next_daemon(void)
{
	assert_int_equal(attach_order(world.order), 0);
	work_to_the_end();
}

static void everything_is_right(void)
{
	assert_int_equal(world.answers, world.wishes);
	for (uint32_t b = 0; b < BLOCKS; b++)
		assert_int_equal(world.disk[b], world.newest[b]);
	assert_int_equal(ring_in_flight(fake.ring), 0);
	for (unsigned int tag = 0; tag < REQUESTS_MAX; tag++)
		assert_int_equal(fake.table->entry[tag].state, INFLIGHT_FREE);
	assert_int_equal(pool_free_bytes(fake.pool), 2 * MIB);
}

static void end_world(void)
{
	everything_is_right();
	ring_detach(fake.ring, false);
	fake.ring = NULL;
	assert_int_equal(fake.table->serving, 0);
	pool_free(fake.pool);
	free(fake.area);
	fake.pool = NULL;
	fake.area = NULL;
}

/* ---- at every store ---- */

/* Overlapping writes, reads between, a flush, a bad one, one with many segments; answered in two lots, neither in ring order. */
static void a_short_life(void)
{
	assert_int_equal(attach_order(world.order), 0);
	ask(BLKIF_OP_WRITE, 0, 3, false, false);
	ask(BLKIF_OP_WRITE, 5, 1, false, false);
	ask(BLKIF_OP_READ, 2, 2, false, false);
	ask(BLKIF_OP_WRITE, 2, 2, false, false);
	ask(BLKIF_OP_FLUSH_DISKCACHE, 0, 0, false, false);
	ask(BLKIF_OP_WRITE_BARRIER, 3, 2, false, false);
	ask(BLKIF_OP_WRITE, 7, 1, true, false);
	guest_push();
	while (ring_run(fake.ring))
		;
	for (unsigned int i = world.jobs; i--;) /* some, the last ones first */
		if (i % 2 && job_may_begin(i)) {
			job_begin(i);
			job_end(i);
		}
	ring_push(fake.ring);
	see_answers();
	ask(BLKIF_OP_WRITE, 5, 1, false, false);
	ask(BLKIF_OP_WRITE, 0, 12, false, true);
	ask(BLKIF_OP_WRITE_BARRIER, 0, 0, false, false);
	ask(BLKIF_OP_READ, 0, 10, false, false);
	guest_push();
	work_to_the_end();
}

static RING_IDX const starts[] = { 0, UINT32_MAX, UINT32_MAX - 3, UINT32_MAX - 7 };

static void it_may_die_at_every_store(void **state)
{
	(void)state;
	for (size_t s = 0; s < sizeof(starts) / sizeof(starts[0]); s++) {
		uint64_t places = 0;

		for (uint64_t k = 0; !places; k++) {
			start_world(0, starts[s]);
			if (live(a_short_life, k)) {
				places = steps;
			} else {
				/* What it had not put into the ring yet, the guest does not miss. */
				while (world.wishes < 11)
					ask(BLKIF_OP_WRITE, world.wishes % 7, 1, false, false);
				guest_push();
				assert_true(live(next_daemon, UINT64_MAX));
			}
			end_world();
		}
		assert_true(places > 100);
	}
}

static void the_next_one_may_die_at_every_store_too(void **state)
{
	const uint64_t step = fake_abi == SLOT_X86_32 ? 7 : 1; /* the stores are the same: now and then is enough */
	uint64_t most = 0;
	bool done = false;

	(void)state;
	for (uint64_t k = 0; !done; k += step) {
		uint64_t places = 0;

		for (uint64_t j = 0; !done && !places; j++) {
			start_world(0, UINT32_MAX - 4);
			if (live(a_short_life, k)) {
				done = true;
			} else {
				guest_push();
				if (live(next_daemon, j))
					places = steps + 1;
				else
					assert_true(live(next_daemon, UINT64_MAX));
			}
			end_world();
		}
		most = places > most ? places : most;
	}
	assert_true(most > 100);
}

/* ---- by chance ---- */

static void a_random_life(void)
{
	unsigned int turns = pick(40);

	if (!fake.ring)
		assert_int_equal(attach_order(world.order), 0);
	while (turns--) {
		fake.ready_left = one_in(6) ? 0 : UINT32_MAX;
		for (unsigned int n = pick(8); n; n--) {
			uint32_t block = pick(BLOCKS), room = BLOCKS - block;
			bool indirect = one_in(4);
			uint32_t blocks = 1 + pick(indirect || room < 4 ? room : 4);

			if (!may_ask())
				break;
			ask(one_in(3) ? BLKIF_OP_READ : BLKIF_OP_WRITE, block, blocks, one_in(20), indirect);
		}
		if (one_in(10) && may_ask())
			ask(BLKIF_OP_FLUSH_DISKCACHE, 0, 0, false, false);
		if (one_in(6) && may_ask()) {
			uint32_t blocks = pick(3);

			ask(BLKIF_OP_WRITE_BARRIER, pick(BLOCKS - 1), blocks, blocks && one_in(8), false);
		}
		guest_push();
		ring_run(fake.ring);
		for (unsigned int n = pick(12); n && world.jobs; n--) {
			unsigned int i = pick(world.jobs);

			if (!world.job[i].begun && job_may_begin(i))
				job_begin(i);
			else if (world.job[i].begun)
				job_end(i);
		}
		if (one_in(2))
			ring_push(fake.ring);
		if (one_in(2))
			see_answers();
	}
}

static void whatever_is_in_flight_it_may_die_again_and_again(void **state)
{
	unsigned int deaths = 0;

	(void)state;
	random_begin();
	for (unsigned int run = 0; run < 300; run++) {
		start_world(pick(2), one_in(2) ? UINT32_MAX - pick(200) : pick(1000));
		for (unsigned int lives = 1 + pick(12); lives; lives--) {
			live(a_random_life, one_in(4) ? UINT64_MAX : pick(400));
			if (fake.ring && one_in(2)) { /* killed from outside */
				bury();
				table_holds();
			}
		}
		fake.ready_left = UINT32_MAX;
		guest_push();
		if (fake.ring)
			bury();
		assert_true(live(next_daemon, UINT64_MAX));
		deaths += world.deaths;
		end_world();
	}
	print_message("%u deaths\n", deaths);
	assert_true(deaths > 500);
}

/* ---- what may be told from a table ---- */

/* Three requests in flight, one of them executed but not seen; `seen` answered before. */
static void left_behind(unsigned int seen)
{
	start_world(0, 100);
	assert_int_equal(attach_order(0), 0);
	for (unsigned int i = 0; i < seen; i++)
		ask(BLKIF_OP_WRITE, i % BLOCKS, 1, false, false);
	guest_push();
	if (seen)
		work_to_the_end();
	for (unsigned int i = 0; i < 3; i++)
		ask(BLKIF_OP_WRITE, i, 1, false, false);
	guest_push();
	while (ring_run(fake.ring))
		;
	bury();
}

static void put_away(void)
{
	if (fake.ring)
		ring_detach(fake.ring, false);
	fake.ring = NULL;
	pool_free(fake.pool);
	free(fake.area);
	fake.pool = NULL;
	fake.area = NULL;
}

static void requests_are_executed_again_in_ring_order_before_new_ones(void **state)
{
	(void)state;
	left_behind(5);
	ask(BLKIF_OP_WRITE, 3, 1, false, false);
	guest_push();
	assert_int_equal(attach_order(0), 0);
	assert_int_equal(ring_left(fake.ring), 3);
	fake.ready_left = 0;
	assert_false(ring_run(fake.ring));
	assert_int_equal(world.jobs, 0);
	assert_int_equal(ring_in_flight(fake.ring), 0); /* nothing that anybody would have to wait for */
	fake.ready_left = UINT32_MAX;
	assert_true(ring_run(fake.ring));
	assert_int_equal(world.jobs, 4);
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(*(uint32_t *)world.job[i].req->data, 6 + i);
	work_to_the_end();
	assert_int_equal(ring_left(fake.ring), 0);
	end_world();
}

static void a_small_pool_finishes_them_one_after_the_other(void **state)
{
	void *taken[64];
	unsigned int n = 0;

	(void)state;
	left_behind(5);
	while (pool_free_bytes(fake.pool) > PAGE && n < 64)
		taken[n++] = pool_get(fake.pool, pool_free_bytes(fake.pool) > MIB ? MIB : pool_free_bytes(fake.pool) / 2);
	ask(BLKIF_OP_FLUSH_DISKCACHE, 0, 0, false, false); /* needs no room, and comes last all the same */
	guest_push();
	assert_int_equal(attach_order(0), 0);
	for (unsigned int i = 0; i < 3; i++) {
		assert_true(ring_run(fake.ring));
		assert_int_equal(world.jobs, i < 2 ? 1 : 2);
		assert_int_equal(*(uint32_t *)world.job[0].req->data, 6 + i);
		job_begin(0);
		job_end(0);
	}
	work_to_the_end();
	while (n)
		pool_put(fake.pool, taken[--n]);
	end_world();
}

static void a_held_ring_is_quiet_only_when_they_are_answered(void **state)
{
	(void)state;
	left_behind(5);
	assert_int_equal(attach_order(0), 0);
	ring_hold_at(fake.ring, 108);
	assert_int_equal(ring_mark(fake.ring), 108);
	assert_false(ring_quiet(fake.ring));
	work_to_the_end();
	assert_true(ring_quiet(fake.ring));
	assert_int_equal(fake.resumed, 0);
	ask(BLKIF_OP_WRITE, 3, 1, false, false);
	guest_push();
	while (ring_run(fake.ring))
		;
	assert_int_equal(fake.resumed, 1);
	assert_int_equal(world.jobs, 0);
	ring_unhold(fake.ring);
	work_to_the_end();
	end_world();
}

static void a_revoked_grant_costs_an_error(void **state)
{
	(void)state;
	left_behind(5);
	fake.dead_ref = DATA_REF + page_of(7);
	world.wish[7].bad = true;
	world.newest[1] = 2;
	assert_true(live(next_daemon, UINT64_MAX));
	end_world();
}

static void a_daemon_that_leaves_the_ring_to_another_keeps_the_table(void **state)
{
	(void)state;
	left_behind(5);
	assert_int_equal(attach_order(0), 0);
	while (ring_run(fake.ring))
		;
	assert_int_equal(ring_in_flight(fake.ring), 3);
	assert_true(ring_detach(fake.ring, true)); /* stopped, and not finished in time */
	for (unsigned int i = world.jobs; i--;)
		ring_complete(fake.ring, world.job[i].req, 0);
	fake.ring = NULL;
	world.jobs = 0;
	assert_int_equal(fake.table->serving, 1);
	table_holds();
	assert_true(live(next_daemon, UINT64_MAX));
	ring_detach(fake.ring, true); /* and this one has finished: any version may go on */
	fake.ring = NULL;
	assert_int_equal(fake.table->serving, 0);
	fake.table->version = 77;
	assert_int_equal(check(fake.table, fake.why, sizeof(fake.why)), 0);
	fake.table->version = INFLIGHT_VERSION;
	assert_true(live(next_daemon, UINT64_MAX));
	end_world();
}

static void a_ring_that_is_given_up_leaves_an_idle_table(void **state)
{
	(void)state;
	left_behind(5);
	assert_int_equal(attach_order(0), 0);
	fake.ready_left = 0;
	assert_false(ring_detach(fake.ring, false));
	assert_int_equal(fake.table->serving, 0);
	fake.ring = NULL;
	put_away();
}

/* ---- a table that is not this ring's ---- */

static void expect_refused(const char *words)
{
	char why[300] = "";

	fake.why[0] = 0;
	assert_int_equal(attach_order(0), -ESTALE);
	snprintf(why, sizeof(why), "%s", fake.why);
	if (!strstr(why, words))
		fail_msg("'%s' does not say '%s'", why, words);
	assert_false(fake.gnttab_open || fake.evtchn_open || fake.mapped || fake.bound);
	fake.ring = NULL;
}

static struct inflight_entry *left_entry(unsigned int at)
{
	struct inflight_left left;

	collect(fake.table, fake.front.sring->rsp_prod, &left);
	assert_true(at < left.count);
	return &fake.table->entry[left.tag[at]];
}

static void a_damaged_table_is_refused_in_words(void **state)
{
	(void)state;
#define DAMAGE(what, words)                                                                                          \
	do {                                                                                                         \
		left_behind(5);                                                                                      \
		struct inflight_table *t = fake.table;                                                               \
		struct inflight_entry *e = left_entry(0), *f = left_entry(1);                                        \
		(void)f, (void)e, (void)t;                                                                                 \
		what;                                                                                                \
		expect_refused(words);                                                                               \
		put_away();                                                                                          \
	} while (0)
	DAMAGE(t->magic[0] = 'x', "not a table of requests in flight");
	DAMAGE(t->version = 2, "version 2, and this drbdxd knows version 1");
	DAMAGE(t->serving = 2, "header is damaged");
	DAMAGE(t->order = 5, "header is damaged");
	DAMAGE(t->abi = 2, "header is damaged");
	DAMAGE(t->others = 4, "header is damaged");
	DAMAGE((t->others = 1, t->queue = 2), "header is damaged");
	DAMAGE(t->zero = 1, "header is damaged");
	DAMAGE(t->room[3847] = 1, "header is damaged");
	DAMAGE(memset(t->resource, 'x', sizeof(t->resource)), "header is damaged");
	DAMAGE(t->domid++, "of domain 8");
	DAMAGE(e->state = 3, " is damaged");
	DAMAGE(t->entry[40].state = INFLIGHT_TAKEN, "entry 40 is damaged");
	DAMAGE(e->request = t->req_cons + 32, " is damaged");
	DAMAGE((e->request = t->req_cons, e->state = INFLIGHT_ANSWERING), " is damaged");
	DAMAGE(t->req_cons++, "does not fit");
	DAMAGE(e->state = INFLIGHT_FREE, "does not fit");
	DAMAGE((e->state = INFLIGHT_ANSWERING, e->response = 105 + 32), "does not fit");
	DAMAGE((e->state = INFLIGHT_ANSWERING, e->response = 105 - 33), "does not fit");
	DAMAGE((e->state = f->state = INFLIGHT_ANSWERING, e->response = f->response = 105), "does not fit");
	DAMAGE(e->request = f->request, "does not fit");
#undef DAMAGE
}

static void a_guest_that_changes_its_indices_meanwhile_is_refused_or_fooled_but_not_served_twice(void **state)
{
	(void)state;
	for (RING_IDX rsp = 80; rsp < 130; rsp++)
		for (RING_IDX req = 80; req < 150; req++) {
			int rc;

			left_behind(5);
			fake.front.sring->rsp_prod = rsp;
			fake.front.sring->req_prod = req;
			rc = attach_order(0);
			if (!rc) {
				assert_int_equal(rsp, 105);
				assert_true(req >= 108 && req <= 137);
				assert_int_equal(ring_left(fake.ring), 3);
			} else {
				fake.ring = NULL;
				assert_true(rc == -ESTALE || rc == -EPROTO);
			}
			put_away();
		}
}

/* kexec, or a guest that was resumed without its old rings. */
static void a_new_ring_of_the_guest_is_served_from_its_beginning(void **state)
{
	(void)state;
	for (unsigned int how = 0; how < 6; how++) {
		left_behind(5);
		fake_front(0, how == 3 ? 0 : 50 * how);
		if (how == 0)
			fake.table->port++;
		else if (how == 1)
			fake.table->ref[0]++;
		else if (how == 2)
			fake.table->order = 1; /* and the same page, in which nothing is answered, is how 3 */
		else if (how == 4)
			fake.table->abi ^= 1; /* a kernel of the other layout */
		else if (how == 5)
			fake.table->others = 3; /* another number of queues */
		ask(BLKIF_OP_WRITE, 3, 1, false, false);
		guest_push();
		assert_int_equal(attach_order(0), 0);
		assert_int_equal(ring_left(fake.ring), 0);
		while (ring_run(fake.ring))
			;
		assert_int_equal(world.jobs, 1);
		assert_int_equal(*(uint32_t *)world.job[0].req->data, 9);
		assert_int_equal(fake.table->req_cons, fake.front.req_prod_pvt);
		assert_int_equal(fake.table->order, 0);
		assert_int_equal(fake.table->abi, fake_abi);
		assert_int_equal(fake.table->port, GUEST_PORT);
		ring_complete(fake.ring, world.job[0].req, 0);
		ring_push(fake.ring);
		world.jobs = 0;
		put_away();
	}
}

/* It dies before the first answer of a ring's life. */
static void a_young_ring_is_not_taken_for_a_new_one(void **state)
{
	(void)state;
	start_world(0, 0);
	assert_int_equal(attach_order(0), 0);
	ask(BLKIF_OP_WRITE, 1, 1, false, false);
	guest_push();
	ring_run(fake.ring);
	bury();
	assert_int_equal(attach_order(0), 0);
	assert_int_equal(ring_left(fake.ring), 1);
	work_to_the_end();
	end_world();
}

/* The oldest request waits while 2^32 others come and go. */
static void a_request_older_than_32_bits_last_is_still_the_first(void **state)
{
	(void)state;
	left_behind(5);
	for (unsigned int i = 0; i < 32; i++)
		if (fake.table->entry[i].state == INFLIGHT_TAKEN && fake.table->entry[i].request > 105)
			fake.table->entry[i].request += 1ull << 32;
	fake.table->req_cons += 1ull << 32;
	assert_int_equal(attach_order(0), 0);
	while (ring_run(fake.ring))
		;
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(*(uint32_t *)world.job[i].req->data, 6 + i);
	work_to_the_end();
	end_world();
}

static void no_damage_makes_it_fall_over(void **state)
{
	unsigned int attached = 0;

	(void)state;
	random_begin();
	for (unsigned int run = 0; run < 5000; run++) {
		uint8_t *at = (uint8_t *)fake.table;

		left_behind(5);
		for (unsigned int n = 1 + pick(4); n; n--) {
			size_t where = one_in(2) ? pick(240) : INFLIGHT_HEADER + pick(8 * 128);

			at[where] = one_in(2) ? (uint8_t)pick(256) : (uint8_t)(at[where] ^ 1u << pick(8));
		}
		fake.why[0] = 0;
		if (attach_order(0)) {
			assert_true(fake.why[0]);
			fake.ring = NULL;
		} else {
			attached++;
			for (int i = 0; i < 4; i++)
				ring_run(fake.ring);
			assert_true(ring_in_flight(fake.ring) <= 32);
			for (unsigned int i = 0; i < world.jobs; i++)
				ring_complete(fake.ring, world.job[i].req, -EIO);
			ring_push(fake.ring);
		}
		world.jobs = 0;
		put_away();
	}
	assert_true(attached && attached < 20000);
}

/* ---- the file ---- */

static char root[64];

static const char *here(const char *path)
{
	static char out[128];

	assert_int_equal(strncmp(path, "/run/drbdx/", 11), 0);
	snprintf(out, sizeof(out), "%s/%s", root, path + 11);
	return out;
}

static int make_root(void **state)
{
	(void)state;
	strcpy(root, "/tmp/drbdx-inflight.XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
	(void)state;
	inflight_forget(3, 0);
	return rmdir(root);
}

static const struct ring_params ring_of_5 = { .domid = 5, .order = 1, .ref = { 8, 9 }, .port = 7 };

static struct inflight_table *serve(void)
{
	struct inflight_table *t = inflight_open(3, 0, "r0", false);

	assert_non_null(t);
	assert_int_equal(t->serving, 0);
	inflight_begin(t, &ring_of_5, 1000);
	t->entry[2].request = 1000;
	inflight_set_state(&t->entry[2], INFLIGHT_TAKEN);
	inflight_consume(t);
	return t;
}

static int look(const char *resource, uint32_t domid, const char *words)
{
	char why[400] = "";
	int rc = inflight_look(3, 1, resource, domid, why, sizeof(why));

	if (rc && !strstr(why, words))
		fail_msg("'%s' does not say '%s'", why, words);
	if (rc)
		assert_non_null(strstr(why, "/run/drbdx/minor-3.inflight: "));
	return rc;
}

static void the_file_outlives_the_process(void **state)
{
	struct inflight_table *t = serve();
	struct inflight_left left;
	char why[200];

	(void)state;
	inflight_close(t);
	assert_int_equal(look("r0", 5, ""), 0);
	t = inflight_open(3, 0, "r0", true);
	assert_int_equal(inflight_recover(t, &ring_of_5, 1000, 1001, &left, why, sizeof(why)), 0);
	assert_int_equal(left.count, 1);
	assert_int_equal(left.tag[0], 2);
	assert_int_equal(left.req_cons, 1001);
	inflight_close(t);
	t = inflight_open(3, 0, "r0", false); /* another guest */
	assert_int_equal(t->serving, 0);
	assert_int_equal(t->entry[2].state, INFLIGHT_FREE);
	inflight_close(t);
}

static void a_file_that_cannot_be_gone_on_with_is_refused_in_words(void **state)
{
	struct inflight_table *t;
	FILE *f;

	(void)state;
	assert_int_equal(look("r0", 5, "No such file"), -ENOENT);
	t = serve();
	assert_int_equal(look("r1", 5, "of resource r0"), -EINVAL);
	assert_int_equal(look("r0", 6, "of domain 5"), -EINVAL);
	t->version = 9;
	assert_int_equal(look("r0", 5, "version 9"), -EINVAL);
	t->serving = 0; /* an idle one may be of any version, and of anybody */
	assert_int_equal(look("r1", 6, ""), 0);
	inflight_close(t);
	f = fopen(here("/run/drbdx/minor-3.inflight"), "w");
	fputs("not ours", f);
	fclose(f);
	assert_int_equal(look("r0", 5, "not a table"), -EINVAL);
	t = inflight_open(3, 0, "r0", true);
	assert_int_equal(t->serving, 0);
	assert_string_equal(t->resource, "r0");
	inflight_close(t);
	assert_int_equal(look("r0", 5, ""), 0);
}

/* A store into a page that has no room would kill the daemon, and then all others. */
static void the_file_has_all_its_room(void **state)
{
	struct stat st;

	(void)state;
	inflight_close(inflight_open(3, 0, "r0", false));
	assert_int_equal(stat(here("/run/drbdx/minor-3.inflight"), &st), 0);
	assert_int_equal(st.st_size, sizeof(struct inflight_table));
	assert_true((size_t)st.st_blocks * 512 >= sizeof(struct inflight_table));
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void without_a_file_the_guest_is_served_and_a_later_daemon_finds_none(void **state)
{
	struct inflight_table *t;

	(void)state;
	assert_int_equal(symlink("/nowhere/at/all", here("/run/drbdx/minor-3.inflight")), 0);
	t = serve();
	inflight_close(t);
	assert_int_equal(look("r0", 5, "No such file"), -ENOENT);
}

static void the_document_has_the_fields_of_the_code(void **state)
{
#define F(type, field) { #field, offsetof(struct type, field), sizeof(((struct type *)0)->field) }
	static const struct layout_field header[] = {
		F(inflight_table, magic), F(inflight_table, version), F(inflight_table, serving), F(inflight_table, resource),
		F(inflight_table, domid), F(inflight_table, order), F(inflight_table, port), F(inflight_table, zero),
		F(inflight_table, ref), F(inflight_table, req_cons), F(inflight_table, abi), F(inflight_table, queue),
		F(inflight_table, others), F(inflight_table, room), { 0 },
	};
	static const struct layout_field entry[] = {
		F(inflight_entry, slot), F(inflight_entry, request), F(inflight_entry, response), F(inflight_entry, state), { 0 },
	};
#undef F
	char *text = document_read("docs/RESTART.md");

	(void)state;
	document_compare(text, "### Header", header);
	document_compare(text, "### Entry", entry);
	assert_non_null(strstr(text, "512 entries follow, from 4096 on"));
	assert_int_equal(sizeof(struct inflight_table), 4096 + 512 * 128);
	free(text);
}

static int setup(void **state)
{
	return fake_setup(state);
}

static int teardown(void **state)
{
	(void)state;
	if (fake.ring || fake.pool || fake.area)
		return -1;
	return fake_teardown(state);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define FILE_TEST(name) cmocka_unit_test_setup_teardown(name, make_root, remove_root)

static int all_tests(const char *name)
{
	const struct CMUnitTest tests[] = {
		T(it_may_die_at_every_store),
		T(the_next_one_may_die_at_every_store_too),
		T(whatever_is_in_flight_it_may_die_again_and_again),
		T(requests_are_executed_again_in_ring_order_before_new_ones),
		T(a_small_pool_finishes_them_one_after_the_other),
		T(a_held_ring_is_quiet_only_when_they_are_answered),
		T(a_revoked_grant_costs_an_error),
		T(a_daemon_that_leaves_the_ring_to_another_keeps_the_table),
		T(a_ring_that_is_given_up_leaves_an_idle_table),
		T(a_damaged_table_is_refused_in_words),
		T(a_guest_that_changes_its_indices_meanwhile_is_refused_or_fooled_but_not_served_twice),
		T(a_new_ring_of_the_guest_is_served_from_its_beginning),
		T(a_young_ring_is_not_taken_for_a_new_one),
		T(a_request_older_than_32_bits_last_is_still_the_first),
		T(no_damage_makes_it_fall_over),
		FILE_TEST(the_file_outlives_the_process),
		FILE_TEST(a_file_that_cannot_be_gone_on_with_is_refused_in_words),
		FILE_TEST(the_file_has_all_its_room),
		FILE_TEST(without_a_file_the_guest_is_served_and_a_later_daemon_finds_none),
		FILE_TEST(the_document_has_the_fields_of_the_code),
	};

	return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
	return run_with_each_abi(all_tests, "inflight");
}
