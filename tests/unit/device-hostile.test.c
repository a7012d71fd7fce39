/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a guest may do to its own directory: H9, H10, H16, H17 and H18 of the hazards that other backends fell
 * into. */
#include "device-fixture.h"

/* A fresh device whose guest then shows these keys; NULL: the key is absent. */
static void show(const char *key, const char *value, unsigned int len)
{
	char path[128];

	attached_device();
	frontend_keys("8", "9");
	snprintf(path, sizeof(path), FE "%s", key);
	if (value)
		xf_write_raw(path, value, len);
	else
		xf_rm(path);
	frontend_to("3");
}

static void refused(const char *key, const char *value, unsigned int len)
{
	setup(NULL);
	show(key, value, len);
	if (fake.count[CALL_CONNECT] || !*xf_get(ERROR_NODE) || strcmp(xf_get(BE "state"), "5"))
		fail_msg("%s = \"%.20s\" (%u bytes) was not refused: state %s, error \"%s\"", key,
			 value ? value : "(none)", len, xf_get(BE "state"), xf_get(ERROR_NODE));
	assert_true(strlen(status().why) > 10);
	frontend_to("6");			/* the guest may close and try again */
	frontend_to("1");
	assert_string_equal(xf_get(BE "state"), "2");
	assert_false(xf_exists(ERROR_NODE));
	teardown(NULL);
}

static void each_key_is_a_strict_number_in_range(void **state)
{
	static const char *const keys[] = { "ring-ref", "event-channel" };
	static const char *const values[] = {
		"",   "-1", "4294967296",	    "0x10",	" 1",  "1 ", "+1",
		"01", "0",  "18446744073709551617", "\xc2\xb2", "one",
	};
	static char big[1 << 20];

	(void)state;
	memset(big, '1', sizeof(big));
	for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++) {
		for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
			refused(keys[k], values[i], (unsigned int)strlen(values[i]));
		refused(keys[k], NULL, 0);
		refused(keys[k], "1\0002", 3);
		refused(keys[k], "1\n", 2);
		refused(keys[k], big, sizeof(big));
	}
	refused("event-channel", "131072", 6);
}

static void served_in(const char *protocol, enum slot_abi abi)
{
	setup(NULL);
	show("protocol", protocol, protocol ? (unsigned int)strlen(protocol) : 0);
	assert_int_equal(fake.count[CALL_CONNECT], 1);
	assert_int_equal(fake.ring.abi, abi);
	answer(CALL_CONNECT, 0, "");
	assert_string_equal(xf_get(BE "state"), "4");
	teardown(NULL);
}

static void the_known_protocols_are_served_and_no_others(void **state)
{
	(void)state;
	served_in("x86_64-abi", SLOT_X86_64);
	served_in("x86_32-abi", SLOT_X86_32);
	served_in("arm-abi", SLOT_X86_64);
#if defined(__x86_64__) || defined(__i386__)
	served_in(NULL, SLOT_X86_32); /* older than the key */
#endif
	refused("protocol", "", 0);
	refused("protocol", "x86_64-abi ", 11);
	refused("protocol", "x86_32", 6);
	refused("protocol", "native", 6);
	refused("protocol", "x86_32-abi-and-more-than-there-is-room-for", 42);
}

static void a_hostile_ring_order_is_refused(void **state)
{
	static const char *const values[] = {"5",  "20",	 "31",	       "32", "64",
					     "-1", "4294967295", "4294967296", "",   "a"};

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		refused("ring-page-order", values[i], (unsigned int)strlen(values[i]));
	refused("ring-page-order", "1", 1);		/* and no ring-ref1 */
	refused("num-ring-pages", "3", 1);
	refused("num-ring-pages", "32", 2);
	refused("num-ring-pages", "0", 1);
}

static void more_queues_than_were_agreed_on_are_refused_with_the_way_out(void **state)
{
	(void)state;
	refused("multi-queue-num-queues", "0", 1);
	refused("multi-queue-num-queues", "65536", 5);
	refused("multi-queue-num-queues", "65535", 5);
	refused("multi-queue-num-queues", "x", 1);
	setup(NULL);
	show("multi-queue-num-queues", "4", 1);
	assert_non_null(strstr(xf_get(ERROR_NODE), "max_queues=1"));
	teardown(NULL);
	setup(NULL);
	show("multi-queue-num-queues", "1", 1);
	assert_int_equal(fake.count[CALL_CONNECT], 1);
	assert_int_equal(fake.rings.count, 1);
	teardown(NULL);
}

/* A guest with `n` queues, one page each; the same key of one of them may be something else. */
static void show_queues(unsigned int n, const char *key, const char *value)
{
	char path[128], text[16];

	setup(NULL);
	fake.features.queues = 4;
	attached_device();
	xf_write(FE "protocol", "x86_64-abi");
	snprintf(text, sizeof(text), "%u", n);
	xf_write(FE "multi-queue-num-queues", text);
	for (unsigned int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), FE "queue-%u/ring-ref", i);
		snprintf(text, sizeof(text), "%u", 100 + i);
		xf_write(path, text);
		snprintf(path, sizeof(path), FE "queue-%u/event-channel", i);
		snprintf(text, sizeof(text), "%u", 10 + i);
		xf_write(path, text);
	}
	if (key) {
		snprintf(path, sizeof(path), FE "%s", key);
		if (value)
			xf_write(path, value);
		else
			xf_rm(path);
	}
	frontend_to("3");
}

static void up_to_four_queues_are_served(void **state)
{
	(void)state;
	for (unsigned int n = 2; n <= 4; n++) {
		show_queues(n, NULL, NULL);
		assert_string_equal(xf_get(BE "multi-queue-max-queues"), "4");
		assert_int_equal(fake.count[CALL_CONNECT], 1);
		assert_int_equal(fake.rings.count, n);
		for (unsigned int i = 0; i < n; i++) {
			const struct ring_params *ring = &fake.rings.ring[i];

			assert_int_equal(ring->domid, 3);
			assert_int_equal(ring->queue, i);
			assert_int_equal(ring->others, n - 1);
			assert_int_equal(ring->order, 0);
			assert_int_equal(ring->ref[0], 100 + i);
			assert_int_equal(ring->port, 10 + i);
		}
		answer(CALL_CONNECT, 0, "");
		assert_string_equal(xf_get(BE "state"), "4");
		frontend_to("3"); /* the same again */
		assert_int_equal(fake.count[CALL_DISCONNECT], 0);
		xf_write(FE "queue-1/event-channel", "99");
		frontend_to("4");
		assert_int_equal(fake.count[CALL_DISCONNECT], 1);
		teardown(NULL);
	}
}

static void another_number_of_queues_is_another_set_of_rings(void **state)
{
	(void)state;
	show_queues(4, NULL, NULL);
	answer(CALL_CONNECT, 0, "");
	xf_write(FE "multi-queue-num-queues", "2");
	frontend_to("3");
	assert_int_equal(fake.count[CALL_DISCONNECT], 1);
	answer(CALL_DISCONNECT, 0, "");
	assert_int_equal(fake.rings.count, 2);
	answer(CALL_CONNECT, 0, "");
	teardown(NULL);
}

/* H18 */
static void a_queue_that_cannot_be_is_refused_in_words(void **state)
{
	static const struct { unsigned int n; const char *key, *value, *words; } t[] = {
		{ 5, NULL, NULL, "5 queues" },
		{ 2, "queue-1/ring-ref", NULL, "no queue-1/ring-ref" },
		{ 4, "queue-3/event-channel", NULL, "no queue-3/event-channel" },
		{ 4, "queue-0/ring-ref", "0", "queue-0/ring-ref is not a number" },
		{ 4, "queue-2/event-channel", "-1", "queue-2/event-channel is not a number" },
		{ 4, "queue-3/ring-ref", "101", "queue-3 has a ring page of queue-1" },
		{ 4, "queue-2/event-channel", "10", "queue-2 has the event channel of queue-0" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		show_queues(t[i].n, t[i].key, t[i].value);
		assert_int_equal(fake.count[CALL_CONNECT], 0);
		if (!strstr(xf_get(ERROR_NODE), t[i].words))
			fail_msg("'%s' does not say '%s'", xf_get(ERROR_NODE), t[i].words);
		assert_string_equal(xf_get(BE "state"), "5");
		teardown(NULL);
	}
}

static void add_refuses_a_guest_that_agreed_on_several_queues(void **state)
{
	(void)state;
	create_directory("w");
	start();
	frontend_keys("8", "9");
	xf_write(FE "multi-queue-num-queues", "2");
	frontend_to("3");
	assert_string_equal(xf_get(BE "state"), "2");	/* libxl waits for just this */
	add();
	assert_int_equal(reply[0].rc, -EOPNOTSUPP);
	assert_non_null(strstr(reply[0].why, "2 queues"));
}

static void both_spellings_of_the_ring_are_read(void **state)
{
	static const struct { const char *order, *pages; int first_plain, expect; } t[] = {
		{ "0", NULL, 0, 0 }, { "0", NULL, 1, 0 }, { NULL, NULL, 0, 0 }, { NULL, NULL, 1, 0 },
		{ "2", NULL, 0, 2 }, { NULL, "4", 0, 2 }, { "4", "2", 0, 4 }, { NULL, "1", 1, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		setup(NULL);
		attached_device();
		xf_write(FE "protocol", "x86_64-abi");
		xf_write(FE "event-channel", "9");
		if (t[i].first_plain)
			xf_write(FE "ring-ref", "100");
		else
			for (int r = 0; r < 1 << t[i].expect; r++) {
				char path[64], value[16];

				snprintf(path, sizeof(path), FE "ring-ref%d", r);
				snprintf(value, sizeof(value), "%d", 100 + r);
				xf_write(path, value);
			}
		if (t[i].order)
			xf_write(FE "ring-page-order", t[i].order);
		if (t[i].pages)
			xf_write(FE "num-ring-pages", t[i].pages);
		frontend_to("3");
		assert_int_equal(fake.count[CALL_CONNECT], 1);
		assert_int_equal(fake.ring.order, t[i].expect);
		for (unsigned int r = 0; r < 1u << t[i].expect; r++)
			assert_int_equal(fake.ring.ref[r], 100 + r);
		teardown(NULL);
	}
}

static void a_state_that_is_none_gets_words_and_the_disk_goes_on(void **state)
{
	static const char *const values[] = { "7", "8", "9", "-4", "4 ", "0x4", "", "connected" };

	(void)state;
	served_device();
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		frontend_to(values[i]);
		assert_string_equal(xf_get(BE "state"), "4");
		assert_true(*xf_get(ERROR_NODE));
	}
	assert_int_equal(fake.count[CALL_DISCONNECT], 0);
	frontend_to("4");
	assert_true(status().ring);
}

static void a_storm_of_writes_costs_a_few_looks(void **state)
{
	(void)state;
	served_device();
	unsigned int calls = xf.calls;
	for (int i = 0; i < 100000; i++)
		xf_write(FE "state", i % 2 ? "4" : "3");
	events();
	assert_true(xf.events_queued >= 100000);
	assert_true(xf.calls - calls < 100000 + 1000);	/* one a watch event, and the looks */
	assert_int_equal(fake.count[CALL_DISCONNECT], 0);
	assert_string_equal(xf_get(BE "state"), "4");
}

/* Any state after any other, any ring, answers late or early: never two rings, never 6 over a mapped ring,
 * and in the end it works. */
static void a_frontend_that_toggles_at_random_ends_well(void **state)
{
	static const char *const states[] = { "0", "1", "2", "3", "4", "5", "6", "7", "x" };
	static const int order[] = { CALL_CONNECT, CALL_DISCONNECT };

	(void)state;
	for (unsigned int seed = 1; seed <= 200; seed++) {
		setup(NULL);
		srandom(seed);
		attached_device();
		frontend_keys("8", "9");
		for (int i = 0; i < 100; i++) {
			long dice = random() % 10;

			if (dice < 6)
				xf_write(FE "state", states[random() % 9]);
			else if (dice == 6)
				xf_write(FE "ring-ref", random() % 2 ? "8" : "80");
			else if (dice == 7)
				xf_write(FE "event-channel", random() % 4 ? "9" : "junk");
			else
				for (int c = 0; c < 2; c++)
					if (fake.call[order[c]].pending)
						answer(order[c],
						       order[c] == CALL_CONNECT && !(random() % 4) ? -ENXIO
												   : 0,
						       "answer");
			if (random() % 3)
				events();
			if (!strcmp(xf_get(BE "state"), "6"))
				assert_false(fake.mapped);
		}
		fake.automatic = true;
		for (int c = 0; c < 2; c++)
			if (fake.call[order[c]].pending)
				answer(order[c], 0, "");
		frontend_keys("8", "9");
		frontend_to("6");
		frontend_to("1");
		pass(5000);
		frontend_to("3");
		assert_string_equal(xf_get(BE "state"), "4");
		assert_true(fake.mapped);
		toolstack_removes();
		assert_string_equal(xf_get(BE "state"), "6");
		assert_false(fake.mapped);
		teardown(NULL);
	}
}

static void someone_who_keeps_changing_our_state_gets_no_loop_from_us(void **state)
{
	(void)state;
	served_device();
	unsigned int calls = xf.calls;
	for (int i = 0; i < 1000; i++) {
		xf_write(BE "state", "2");
		events();
	}
	assert_true(xf.calls - calls < 1000 * 40);
	pass(1000);
	assert_string_equal(xf_get(BE "state"), "4");
	assert_true(status().ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_key_is_a_strict_number_in_range),
		cmocka_unit_test(the_known_protocols_are_served_and_no_others),
		cmocka_unit_test(a_hostile_ring_order_is_refused),
		cmocka_unit_test(more_queues_than_were_agreed_on_are_refused_with_the_way_out),
		cmocka_unit_test(up_to_four_queues_are_served),
		cmocka_unit_test(another_number_of_queues_is_another_set_of_rings),
		cmocka_unit_test(a_queue_that_cannot_be_is_refused_in_words),
		TEST(add_refuses_a_guest_that_agreed_on_several_queues),
		cmocka_unit_test(both_spellings_of_the_ring_are_read),
		TEST(a_state_that_is_none_gets_words_and_the_disk_goes_on),
		TEST(a_storm_of_writes_costs_a_few_looks),
		cmocka_unit_test(a_frontend_that_toggles_at_random_ends_well),
		TEST(someone_who_keeps_changing_our_state_gets_no_loop_from_us),
	};

	return cmocka_run_group_tests_name("device-hostile", tests, NULL, NULL);
}
