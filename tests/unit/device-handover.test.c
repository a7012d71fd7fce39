/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a device does for the hand-over of its guest: who arrives, who is asked for, the guest's other disks.
 */
#include "device-fixture.h"

#include "backend/domain.h"
#include "backend/vbd.h"

/* ---- the domain ---- */

static struct {
	unsigned int asked;
	uint32_t domid;
	int rc;
	const char *why;
} domain;

int domain_suspended(uint32_t domid, char *why, size_t why_size)
{
	domain.asked++;
	domain.domid = domid;
	snprintf(why, why_size, "%s", domain.why ? domain.why : "");
	return domain.rc;
}

static int start_over(void **state)
{
	memset(&domain, 0, sizeof(domain));
	return setup(state);
}

static const uint8_t uuid_of_web1[UUID_BYTES] = { 0x9b, 0x3f, 0x2e, 0x2c, 0, 0, 0x40, 0,
						  0x80, 0,    0,    0,	  0, 0, 0,    1 };

static void partner_asks(const uint8_t *uuid)
{
	fake.events->look_suspended(fake.events_ctx, 4711, uuid);
}

static void assert_answered(int rc, const char *words)
{
	assert_int_equal(fake.suspended.n, 1);
	assert_true(fake.suspended.query == 4711);
	assert_int_equal(fake.suspended.rc, rc);
	if (!strstr(fake.suspended.why, words))
		fail_msg("\"%s\" does not say \"%s\"", fake.suspended.why, words);
}

/* ---- names and uuids ---- */

static void uuids_are_read_with_and_without_dashes(void **state)
{
	uint8_t uuid[UUID_BYTES];

	(void)state;
	assert_true(uuid_parse("9b3f2e2c-0000-4000-8000-000000000001", uuid));
	assert_memory_equal(uuid, uuid_of_web1, UUID_BYTES);
	memset(uuid, 0, sizeof(uuid));
	assert_true(uuid_parse("9B3F2E2C000040008000000000000001", uuid));
	assert_memory_equal(uuid, uuid_of_web1, UUID_BYTES);
}

static void what_is_no_uuid_is_none(void **state)
{
	static const char *const texts[] = {
		"",
		"-",
		"9b3f2e2c-0000-4000-8000-00000000000",
		"9b3f2e2c-0000-4000-8000-0000000000010",
		"9b3f2e2c-0000-4000-8000-00000000000g",
		"9b3f2e2c--0000-4000-8000-000000000001",
		"9-b3f2e2c000040008000000000000001",
		"9b3f2e2c-0000-4000-8000-000000000001-",
	};
	uint8_t uuid[UUID_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (uuid_parse(texts[i], uuid))
			fail_msg("\"%s\" was taken for a uuid", texts[i]);
}

static void only_the_name_that_xl_gives_is_incoming(void **state)
{
	(void)state;
	assert_true(name_is_incoming("web1--incoming"));
	assert_false(name_is_incoming("web1"));
	assert_false(name_is_incoming("--incoming"));
	assert_false(name_is_incoming("web1--incoming2"));
	assert_false(name_is_incoming("web1-incoming"));
	assert_false(name_is_incoming(""));
}

static void a_guest_that_is_started_claims(void **state)
{
	(void)state;
	attached_device();
	assert_false(fake.asked.claimant.incoming);
	assert_int_equal(fake.asked.domid, 3);
	assert_memory_equal(fake.asked.claimant.uuid, uuid_of_web1, UUID_BYTES);
}

static void a_guest_that_arrives_reserves(void **state)
{
	(void)state;
	create_directory("w");
	xf_write("/local/domain/3/name", "web1--incoming");
	start();
	add();
	assert_true(fake.asked.claimant.incoming);
	assert_memory_equal(fake.asked.claimant.uuid, uuid_of_web1, UUID_BYTES);
	assert_string_equal(fake.who, "guest web1--incoming (uuid 9b3f2e2c-0000-4000-8000-000000000001)");
}

static void a_guest_without_a_uuid_has_none(void **state)
{
	static const uint8_t none[UUID_BYTES];

	(void)state;
	create_directory("w");
	xf_write("/local/domain/3/vm", "/vm/not-a-uuid");
	start();
	add();
	assert_memory_equal(fake.asked.claimant.uuid, none, UUID_BYTES);
}

/* ---- the partner wants the guest ---- */

static void a_suspended_guest_of_the_same_uuid_may_go(void **state)
{
	(void)state;
	served_device();
	partner_asks(uuid_of_web1);
	assert_answered(0, "");
	assert_int_equal(domain.asked, 1);
	assert_int_equal(domain.domid, 3);
}

static void what_the_domain_says_is_passed_on(void **state)
{
	(void)state;
	served_device();
	domain.rc = -EBUSY;
	domain.why = "domain 3 is not suspended";
	partner_asks(uuid_of_web1);
	assert_answered(-EBUSY, "domain 3 is not suspended");
}

static void another_uuid_is_refused_without_a_look_at_the_domain(void **state)
{
	uint8_t other[UUID_BYTES];

	(void)state;
	memcpy(other, uuid_of_web1, sizeof(other));
	other[UUID_BYTES - 1] ^= 1;
	served_device();
	partner_asks(other);
	assert_answered(-EBUSY, "guest web1, which is another virtual machine");
	assert_int_equal(domain.asked, 0);
}

/* Two guests without a uuid are not the same one. */
static void no_uuid_is_nobodys(void **state)
{
	static const uint8_t none[UUID_BYTES];

	(void)state;
	create_directory("w");
	xf_write("/local/domain/3/vm", "");
	start();
	add();
	answer(CALL_CLAIM, 0, "");
	hotplug_done();
	partner_asks(none);
	assert_answered(-EBUSY, "another virtual machine");
	assert_int_equal(domain.asked, 0);
}

static void while_xenstored_is_away_the_partner_is_told_to_try_again(void **state)
{
	(void)state;
	served_device();
	xf_die();
	pass(1100);
	partner_asks(uuid_of_web1);
	assert_answered(-EAGAIN, "xenstored does not answer");
	assert_int_equal(domain.asked, 0);
}

static void a_device_that_is_being_released_does_not_answer(void **state)
{
	const struct resource_events *handlers;
	void *ctx;

	(void)state;
	served_device();
	handlers = fake.events;
	ctx = fake.events_ctx;
	toolstack_removes();
	handlers->look_suspended(ctx, 4711, uuid_of_web1);
	assert_int_equal(fake.suspended.n, 0);
}

/* ---- several disks ---- */

static struct resource second, third;

static struct resource *find_three(void *ctx, const char *name)
{
	(void)ctx;
	if (!strcmp(name, "second"))
		return &second;
	return !strcmp(name, "third") ? &third : find_resource(NULL, name);
}

static void directory_of(unsigned int domid, unsigned int devid, const char *resource)
{
	char be[64], fe[64], node[128];

	snprintf(be, sizeof(be), "backend/vbd/%u/%u", domid, devid);
	snprintf(fe, sizeof(fe), "/local/domain/%u/device/vbd/%u", domid, devid);
#define NODE(dir, key, value) (snprintf(node, sizeof(node), "%s/%s", dir, key), xf_write(node, value))
	NODE(fe, "state", "1");
	NODE(be, "frontend-id", domid == 3 ? "3" : "4");
	NODE(be, "frontend", fe);
	NODE(be, "params", resource);
	NODE(be, "script", "/etc/xen/scripts/block-drbdx");
	NODE(be, "online", "1");
	NODE(be, "mode", "w");
	NODE(be, "state", "1");
#undef NODE
}

static void add_granted(const char *path)
{
	device_add(devices, path, on_reply, NULL);
	answer(CALL_CLAIM, 0, "");
}

/* Domain 3 has "my-domu-disk" and "second", domain 4 has "third". */
static void three_disks(void)
{
	char why[256];

	memset(&second, 0, sizeof(second));
	memset(&third, 0, sizeof(third));
	second.features = third.features = fake.features;
	create_directory("w");
	directory_of(3, 51730, "second");
	directory_of(4, 51714, "third");
	assert_int_equal(devices_new(find_three, NULL, &devices, why, sizeof(why)), 0);
	now = devices_deadline_ms(devices);
	events();
	add_granted(BE_PATH);
	add_granted("backend/vbd/3/51730");
	add_granted("backend/vbd/4/51714");
}

static void the_guests_other_disks_are_told_that_it_runs(void **state)
{
	(void)state;
	three_disks();
	fake.events->used(fake.events_ctx);
	assert_int_equal(second.sibling_used, 1);
	assert_int_equal(fake.sibling_used, 0);	 /* not itself */
	assert_int_equal(third.sibling_used, 0); /* not another guest */
}

static void the_guests_other_disks_are_told_that_this_copy_is_stale(void **state)
{
	(void)state;
	three_disks();
	fake.events->outdated(fake.events_ctx, "the guest was resumed on dom0_1");
	assert_int_equal(second.outdated, 1);
	assert_int_equal(fake.outdated, 0);
	assert_int_equal(third.outdated, 0);
	for (size_t i = 0; i < 3; i++) {
		struct device_status s[3];

		assert_int_equal(devices_status(devices, s, 3), 3);
		if (s[i].domid == 3 && s[i].devid == 51714)
			assert_string_equal(s[i].why, "the guest was resumed on dom0_1");
	}
}

static void a_disk_that_is_being_released_is_told_nothing(void **state)
{
	(void)state;
	three_disks();
	xf_write("backend/vbd/3/51730/online", "0");
	xf_write("backend/vbd/3/51730/state", "5");
	events();
	assert_int_equal(fake.count[CALL_RELEASE], 1); /* all calls are counted there */
	fake.events->used(fake.events_ctx);
	fake.events->outdated(fake.events_ctx, "stale");
	assert_int_equal(second.sibling_used, 0);
	assert_int_equal(second.outdated, 0);
}

/* ---- a copy that is stale ---- */

static void a_stale_ring_is_refused_in_words_and_stays_unconnected(void **state)
{
	(void)state;
	attached_device();
	frontend_keys("8", "9");
	frontend_to("3");
	answer(CALL_CONNECT, -ESTALE, "this copy of the guest is stale");
	events();
	assert_string_equal(status().why, "this copy of the guest is stale");
	assert_non_null(strstr(xf_get(ERROR_NODE), "this copy of the guest is stale"));
	assert_string_not_equal(xf_get(BE "state"), "4");
	pass(30000);
	assert_int_equal(fake.count[CALL_CONNECT], 1); /* nothing will change: the log is quiet */
}

#define T(f) cmocka_unit_test_setup_teardown(f, start_over, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(uuids_are_read_with_and_without_dashes),
		T(what_is_no_uuid_is_none),
		T(only_the_name_that_xl_gives_is_incoming),
		T(a_guest_that_is_started_claims),
		T(a_guest_that_arrives_reserves),
		T(a_guest_without_a_uuid_has_none),
		T(a_suspended_guest_of_the_same_uuid_may_go),
		T(what_the_domain_says_is_passed_on),
		T(another_uuid_is_refused_without_a_look_at_the_domain),
		T(no_uuid_is_nobodys),
		T(while_xenstored_is_away_the_partner_is_told_to_try_again),
		T(a_device_that_is_being_released_does_not_answer),
		T(the_guests_other_disks_are_told_that_it_runs),
		T(the_guests_other_disks_are_told_that_this_copy_is_stale),
		T(a_disk_that_is_being_released_is_told_nothing),
		T(a_stale_ring_is_refused_in_words_and_stays_unconnected),
	};

	return cmocka_run_group_tests_name("device-handover", tests, NULL, NULL);
}
