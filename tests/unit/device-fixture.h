/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * device-fixture.h: devices of a host with a fake xenstore, a fake resource layer whose answers the test
 * gives when it likes, and a fake xen-blkback.
 */
#ifndef DRBDX_TESTS_DEVICE_FIXTURE_H
#define DRBDX_TESTS_DEVICE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "backend/device.h"
#include "backend/takeover.h"
#include "xenstore-fake.h"

/* ---- the resource ---- */

enum { CALL_CLAIM, CALL_RELEASE, CALL_CONNECT, CALL_DISCONNECT, CALLS };

struct call { bool pending; resource_reply_fn *reply; void *ctx; };

struct resource {
	struct call call[CALLS];
	unsigned int count[CALLS];
	char who[256];
	struct resource_claim asked;	/* the last claim */
	struct { unsigned int n; uint64_t query; int rc; char why[RESOURCE_TEXT]; } suspended;
	unsigned int sibling_used, guest_ready, outdated;
	struct ring_params ring;	/* of the first queue */
	struct ring_set rings;
	bool read_only, mapped, claimed, counted;
	uint32_t devid;
	const struct resource_events *events;
	void *events_ctx;
	bool automatic;		/* answers at once, with 0 */
	struct features features;
	bool served, not_servable; /* an earlier daemon published state 4; what it left unanswered is not known */
};

static struct resource fake;

static inline void answer(int which, int rc, const char *why)
{
	struct call c = fake.call[which];

	assert_true(c.pending);
	fake.call[which].pending = false;
	if (which == CALL_CLAIM)
		fake.claimed = !rc;
	if (which == CALL_CONNECT)
		fake.mapped = !rc;
	if (which == CALL_DISCONNECT || which == CALL_RELEASE)
		fake.mapped = false;
	if (which == CALL_RELEASE)
		fake.claimed = false;
	c.reply(c.ctx, rc, why);
}

static inline void ask(int which, resource_reply_fn *reply, void *ctx)
{
	assert_false(fake.call[which].pending);
	fake.call[which] = (struct call){ true, reply, ctx };
	fake.count[which]++;
	if (fake.automatic)
		answer(which, 0, "");
}

void resource_claim(struct resource *r, const struct resource_claim *claim, resource_reply_fn *reply, void *ctx)
{
	assert_false(r->claimed);
	snprintf(r->who, sizeof(r->who), "%s", claim->claimant.who);
	r->asked = *claim;
	r->events = claim->events;
	r->events_ctx = ctx;
	ask(CALL_CLAIM, reply, ctx);
}

void resource_suspended(struct resource *r, uint64_t query, int rc, const char *why)
{
	r->suspended.n++;
	r->suspended.query = query;
	r->suspended.rc = rc;
	snprintf(r->suspended.why, sizeof(r->suspended.why), "%s", why);
}

void resource_sibling_used(struct resource *r, const void *holder, resource_reply_fn *reply, void *ctx)
{
	(void)holder;
	r->sibling_used++;
	reply(ctx, 0, "");
}

void resource_guest_ready(struct resource *r, const void *holder)
{
	(void)holder;
	r->guest_ready++;
}

void resource_outdate(struct resource *r, const void *holder, const char *why)
{
	(void)why;
	(void)holder;
	r->outdated++;
}

void resource_release(struct resource *r, resource_reply_fn *reply, void *ctx)
{
	(void)r;
	ask(CALL_RELEASE, reply, ctx);
}

void resource_ring_connect(struct resource *r, const struct resource_connection *c, resource_reply_fn *reply,
			   void *ctx)
{
	assert_true(r->claimed);
	assert_false(r->mapped);		/* never two rings */
	r->ring = c->rings.ring[0];
	r->rings = c->rings;
	r->read_only = c->read_only;
	r->counted = c->statistics;
	r->devid = c->devid;
	ask(CALL_CONNECT, reply, ctx);
}

void resource_ring_disconnect(struct resource *r, resource_reply_fn *reply, void *ctx)
{
	(void)r;
	ask(CALL_DISCONNECT, reply, ctx);
}

void resource_features(const struct resource *r, struct features *out)
{
	*out = r->features;
}

int resource_left_servable(const struct resource *r, uint32_t domid, bool served, char *why, size_t why_size)
{
	assert_int_equal(domid, 3);
	assert_int_equal(served, r->served);
	if (r->not_servable)
		snprintf(why, why_size, "no table");
	return r->not_servable ? -ENOENT : 0;
}

const char *resource_name(const struct resource *r)
{
	(void)r;
	return "my-domu-disk";
}

static inline struct resource *find_resource(void *ctx, const char *name)
{
	(void)ctx;
	return strcmp(name, "my-domu-disk") ? NULL : &fake;
}

/* ---- xen-blkback ---- */

static struct { bool loaded, held; unsigned int unbinds; int rc; } blkback;
static bool vbd3_unseen; /* a vbd3 is not on the bus yet */

enum takeover_host takeover_check(char *why, size_t size)
{
	snprintf(why, size, "test");
	return blkback.loaded ? TAKEOVER_LOADED : TAKEOVER_NO_BUS;
}

bool takeover_loaded(void)
{
	return blkback.loaded;
}

bool takeover_held(uint32_t domid, uint32_t devid)
{
	(void)domid;
	(void)devid;
	return blkback.held;
}

bool takeover_vbd3_seen(uint32_t domid, uint32_t devid)
{
	(void)domid;
	(void)devid;
	return !vbd3_unseen;
}

int takeover_unbind(uint32_t domid, uint32_t devid, char *why, size_t size)
{
	(void)domid;
	(void)devid;
	if (blkback.rc) {
		snprintf(why, size, "cannot unbind");
		return blkback.rc;
	}
	blkback.unbinds += blkback.held;
	blkback.held = false;
	return 0;
}

/* ---- the host ---- */

#define BE "backend/vbd/3/51714/"
#define BE_PATH "backend/vbd/3/51714"
#define FE "/local/domain/3/device/vbd/51714/"
#define FE_PATH "/local/domain/3/device/vbd/51714"
#define ERROR_NODE "error/backend/vbd/3/51714/error"

static struct devices *devices;
static uint64_t now;
static struct { int calls, rc; char why[512]; } reply[2];

static inline void on_reply(void *ctx, int rc, const char *why)
{
	int i = ctx != NULL;

	reply[i].calls++;
	reply[i].rc = rc;
	snprintf(reply[i].why, sizeof(reply[i].why), "%s", why);
}

static inline void events(void)
{
	for (int i = 0; i < 100 && xf.first; i++)
		devices_event(devices);
}

static inline void pass(uint64_t ms)
{
	now += ms;
	devices_tick(devices, now);
	events();
}

static inline void start(void)
{
	char why[256] = "";

	assert_int_equal(devices_new(find_resource, NULL, &devices, why, sizeof(why)), 0);
	now = devices_deadline_ms(devices);
	events();
}

/* As libxl does, before anybody reacts. */
static inline void create_directory(const char *mode)
{
	xf_write(FE "state", "1");
	xf_write(FE "backend", "/local/domain/0/" BE_PATH);
	xf_write(FE "device-type", "disk");
	xf_write("/local/domain/3/name", "web1");
	xf_write("/local/domain/3/vm", "/vm/9b3f2e2c-0000-4000-8000-000000000001");
	xf_write(BE "frontend", FE_PATH);
	xf_write(BE "frontend-id", "3");
	xf_write(BE "params", "my-domu-disk");
	xf_write(BE "script", "/etc/xen/scripts/block-drbdx");
	xf_write(BE "online", "1");
	xf_write(BE "dev", "xvda2");
	xf_write(BE "mode", mode);
	xf_write(BE "device-type", "disk");
	xf_write(BE "state", "1");
}

static inline void remove_directory(void)
{
	xf_rm(BE_PATH);
	xf_rm(FE_PATH);
	events();
}

static inline void frontend_keys(const char *ref, const char *port)
{
	xf_write(FE "ring-ref", ref);
	xf_write(FE "event-channel", port);
	xf_write(FE "protocol", "x86_64-abi");
}

static inline void frontend_to(const char *state)
{
	xf_write(FE "state", state);
	events();
}

static inline void add(void)
{
	device_add(devices, BE_PATH, on_reply, NULL);
}

static inline void hotplug_done(void)
{
	xf_write(BE "hotplug-status", "connected");
	device_add_done(devices, BE_PATH);
	events();
}

static inline void toolstack_removes(void)
{
	xf_write(BE "online", "0");
	xf_write(BE "state", "5");
	events();
}

/* A device at state 2 whose `add` was granted. */
static inline void attached_device(void)
{
	create_directory("w");
	start();
	add();
	answer(CALL_CLAIM, 0, "");
	assert_int_equal(reply[0].rc, 0);
	hotplug_done();
}

/* … and whose guest is being served. */
static inline void served_device(void)
{
	attached_device();
	frontend_keys("8", "9");
	frontend_to("3");
	answer(CALL_CONNECT, 0, "");
	events();
	frontend_to("4");
	assert_string_equal(xf_get(BE "state"), "4");
}

static inline struct device_status status(void)
{
	struct device_status s;

	assert_int_equal(devices_status(devices, &s, 1), 1);
	return s;
}

static inline int setup(void **state)
{
	(void)state;
	memset(&fake, 0, sizeof(fake));
	fake.features = (struct features){
		.sectors = 2048, .block_size = 512, .max_segments = 256, .ring_order = 4, .queues = 1};
	memset(&blkback, 0, sizeof(blkback));
	vbd3_unseen = false;
	memset(reply, 0, sizeof(reply));
	xf_reset();
	xf_write("/local", "");
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	devices_free(devices);
	devices = NULL;
	for (int i = 0; i < CALLS; i++)
		if (fake.call[i].pending)
			answer(i, -ESHUTDOWN, "the daemon stops");
	xf_reset();
	return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
