/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Others come and go: xenstored, xen-blkback, an earlier daemon. */
#include "device-fixture.h"

static void xenstored_back(void)
{
	xf.down = false;
	pass(1000);
}

static void a_served_disk_stays_while_xenstored_is_away(void **state)
{
	(void)state;
	served_device();
	xf_die();
	pass(1100);				/* the ping finds out */
	assert_int_equal(devices_fd(devices), -1);
	assert_non_null(devices_problem(devices));
	assert_true(devices_deadline_ms(devices) <= now + 500);
	pass(5000);
	assert_true(status().ring);
	assert_int_equal(fake.count[CALL_DISCONNECT], 0);
	assert_int_equal(fake.count[CALL_RELEASE], 0);
	xenstored_back();
	assert_null(devices_problem(devices));
	assert_true(devices_fd(devices) >= 0);
	assert_string_equal(xf_get(BE "state"), "4");
	assert_int_equal(fake.count[CALL_CONNECT], 1);
	toolstack_removes();			/* the watches are there again */
	answer(CALL_RELEASE, 0, "");
	assert_string_equal(xf_get(BE "state"), "6");
}

static void a_larger_disk_is_seen_when_xenstored_is_back(void **state)
{
	(void)state;
	served_device();
	xf_die();
	pass(1100);
	fake.features.sectors = 4096;
	fake.events->resized(fake.events_ctx);
	assert_string_equal(xf_get(BE "sectors"), "2048");
	xenstored_back();
	assert_string_equal(xf_get(BE "sectors"), "4096");
	assert_string_equal(xf_get(BE "state"), "4");
	assert_int_equal(fake.count[CALL_CONNECT], 1);
}

static void what_happened_while_xenstored_was_away_is_seen_afterwards(void **state)
{
	(void)state;
	served_device();
	xf_die();
	pass(1100);
	xf_write(FE "state", "6");
	xenstored_back();
	assert_int_equal(fake.count[CALL_DISCONNECT], 1);
	answer(CALL_DISCONNECT, 0, "");
	assert_string_equal(xf_get(BE "state"), "6");
}

static void a_disk_created_while_xenstored_was_away_is_found(void **state)
{
	(void)state;
	start();
	xf_die();
	pass(1100);
	create_directory("w");
	xenstored_back();
	assert_string_equal(xf_get(BE "state"), "2");
}

static void a_disk_removed_while_xenstored_was_away_is_released(void **state)
{
	(void)state;
	served_device();
	xf_die();
	pass(1100);
	xf_rm(BE_PATH);
	xenstored_back();
	answer(CALL_RELEASE, 0, "");
	events();
	assert_int_equal(devices_status(devices, NULL, 0), 0);
}

static void a_state_that_could_not_be_written_is_written_later(void **state)
{
	(void)state;
	attached_device();
	frontend_keys("8", "9");
	frontend_to("3");
	xf_die();
	answer(CALL_CONNECT, 0, "");
	pass(1100);
	assert_string_equal(xf_get(BE "state"), "2");
	xenstored_back();
	assert_string_equal(xf_get(BE "state"), "4");
	assert_string_equal(xf_get(BE "sectors"), "2048");
}

static void an_undo_while_xenstored_is_away_is_written_later(void **state)
{
	(void)state;
	create_directory("w");
	start();
	add();
	answer(CALL_CLAIM, 0, "");
	xf_write(BE "hotplug-status", "connected");
	xf_die();
	device_add_undo(devices, BE_PATH);
	answer(CALL_RELEASE, 0, "");
	pass(1100);
	xenstored_back();
	assert_string_equal(xf_get(BE "hotplug-status"), "error");
	frontend_keys("8", "9");
	frontend_to("3");
	assert_int_equal(fake.count[CALL_CLAIM], 1);
	assert_int_equal(fake.count[CALL_CONNECT], 0);
}

static void an_undo_after_xenstored_was_found_away_is_written_later(void **state)
{
	(void)state;
	create_directory("w");
	start();
	add();
	answer(CALL_CLAIM, 0, "");
	xf_write(BE "hotplug-status", "connected");
	xf_die();
	pass(1100);
	device_add_undo(devices, BE_PATH);
	answer(CALL_RELEASE, 0, "");
	xenstored_back();
	assert_string_equal(xf_get(BE "hotplug-status"), "error");
}

static void add_is_refused_in_words_while_xenstored_is_away(void **state)
{
	(void)state;
	create_directory("w");
	start();
	xf_die();
	pass(1100);
	add();
	assert_true(reply[0].rc < 0);
	assert_non_null(strstr(reply[0].why, "xenstored"));
}

static void an_answer_while_xenstored_is_away_is_not_lost(void **state)
{
	(void)state;
	create_directory("w");
	start();
	add();
	xf_die();
	answer(CALL_CLAIM, 0, "");
	assert_int_equal(reply[0].rc, 0);
	pass(1100);
	xenstored_back();
	hotplug_done();
	frontend_keys("8", "9");
	frontend_to("3");
	assert_int_equal(fake.count[CALL_CONNECT], 1);
}

static void a_xenstored_that_lost_its_contents_takes_no_disk_away(void **state)
{
	(void)state;
	served_device();
	xf_die();
	pass(1100);
	xf_clear(&xf.tree);
	xenstored_back();
	pass(5000);
	assert_non_null(devices_problem(devices));
	assert_true(status().ring);
	assert_int_equal(fake.count[CALL_RELEASE], 0);
	device_remove(devices, BE_PATH, on_reply, (void *)1);	/* the way out */
	answer(CALL_RELEASE, 0, "");
	assert_int_equal(reply[1].rc, 0);
	pass(1000);
	assert_int_equal(devices_status(devices, NULL, 0), 0);
	assert_null(devices_problem(devices));
}

static void the_daemon_may_start_before_xenstored(void **state)
{
	(void)state;
	xf.down = true;
	create_directory("w");
	start();
	assert_non_null(devices_problem(devices));
	xenstored_back();
	assert_string_equal(xf_get(BE "state"), "2");
	assert_null(devices_problem(devices));
}

static void a_xenstored_that_dies_at_any_call_does_no_harm(void **state)
{
	(void)state;
	for (unsigned int at = 1; at < 120; at++) {
		setup(NULL);
		fake.automatic = true;
		create_directory("w");
		start();
		xf_die();			/* die now, come back, die a bit later each time */
		pass(1100);
		xenstored_back();
		add();
		xf_write(BE "hotplug-status", "connected");
		device_add_done(devices, BE_PATH);
		frontend_keys("8", "9");
		xf_write(FE "state", "3");
		for (unsigned int i = 0; i < at && xf.first; i++)
			devices_event(devices);
		xf_die();
		pass(1100);
		xenstored_back();
		pass(1000);
		assert_string_equal(xf_get(BE "state"), "4");
		teardown(NULL);
	}
}

/* ---- xen-blkback ---- */

static void xen_blkback_is_unbound_before_state_2_is_ours(void **state)
{
	(void)state;
	blkback.loaded = blkback.held = true;
	create_directory("w");
	xf_write(BE "state", "2");
	xf_write(BE "multi-queue-max-queues", "4");
	xf_write(BE "feature-persistent", "1");
	start();
	assert_int_equal(blkback.unbinds, 1);
	assert_string_equal(xf_get(BE "state"), "2");
	assert_string_equal(xf_get(BE "multi-queue-max-queues"), "1");
	assert_string_equal(xf_get(BE "feature-persistent"), "0");
}

static void a_loaded_xen_blkback_gets_a_moment_to_probe(void **state)
{
	(void)state;
	blkback.loaded = true;
	start();
	create_directory("w");
	events();
	assert_string_equal(xf_get(BE "state"), "1");
	assert_true(devices_deadline_ms(devices) <= now + 100);
	blkback.held = true;
	pass(100);
	assert_int_equal(blkback.unbinds, 1);
	assert_string_equal(xf_get(BE "state"), "2");
}

static void a_xen_blkback_that_does_not_probe_is_not_waited_for_long(void **state)
{
	(void)state;
	blkback.loaded = true;
	start();
	create_directory("w");
	events();
	pass(1500);
	assert_string_equal(xf_get(BE "state"), "2");
}

static void a_device_that_cannot_be_unbound_is_not_published_and_tried_again(void **state)
{
	(void)state;
	blkback.loaded = blkback.held = true;
	blkback.rc = -EPERM;
	create_directory("w");
	start();
	assert_string_equal(xf_get(BE "state"), "1");
	assert_string_equal(status().why, "cannot unbind");
	blkback.rc = 0;
	pass(2000);
	assert_string_equal(xf_get(BE "state"), "2");
}

static void a_running_guest_that_talked_to_xen_blkback_is_taken_over(void **state)
{
	(void)state;
	blkback.loaded = blkback.held = true;
	create_directory("w");
	xf_write(BE "state", "2");
	frontend_keys("8", "9");
	xf_write(FE "feature-persistent", "1");
	xf_write(FE "state", "3");
	fake.automatic = true;
	start();
	add();
	xf_write(BE "feature-persistent", "1");
	hotplug_done();
	assert_string_equal(xf_get(BE "state"), "4");
	assert_string_equal(xf_get(BE "feature-persistent"), "0");
	assert_int_equal(fake.count[CALL_CONNECT], 1);
}

static void xen_blkback_loaded_again_is_driven_off_a_served_disk(void **state)
{
	(void)state;
	served_device();
	blkback.loaded = blkback.held = true;
	xf_write(BE "multi-queue-max-queues", "4");
	xf_write(BE "state", "2");
	events();
	assert_int_equal(blkback.unbinds, 1);
	assert_string_equal(xf_get(BE "state"), "4");
	assert_string_equal(xf_get(BE "multi-queue-max-queues"), "1");
	xf_write(BE "state", "5");		/* and its last word */
	events();
	pass(1000);
	assert_string_equal(xf_get(BE "state"), "4");
	assert_int_equal(fake.count[CALL_DISCONNECT], 0);
}

static void xen_blkback_that_holds_the_device_without_a_trace_is_found(void **state)
{
	(void)state;
	attached_device();
	blkback.loaded = blkback.held = true;
	xf_write(BE "feature-persistent", "1");
	xf_write(BE "state", "2");
	events();
	pass(1000);
	assert_int_equal(blkback.unbinds, 1);
	assert_string_equal(xf_get(BE "feature-persistent"), "0");
}

/* ---- an earlier daemon ---- */

static void left_behind(const char *be, const char *fe)
{
	create_directory("w");
	xf_write(BE "state", be);
	xf_write(BE "hotplug-status", "connected");
	frontend_keys("8", "9");
	xf_write(FE "state", fe);
	fake.served = !strcmp(be, "4");
}

/* Of the same domain id, even: its `add` failed while there was no daemon. */
static void a_new_guest_is_not_taken_for_the_one_that_an_earlier_daemon_served(void **state)
{
	(void)state;
	create_directory("w");
	start();
	assert_false(devices_have(devices, "my-domu-disk", 3));
	fake.automatic = true;
	add();
	hotplug_done();
	assert_int_equal(fake.count[CALL_CLAIM], 1);
	assert_false(devices_have(devices, "my-domu-disk", 3));
}

static void a_granted_disk_is_claimed_again_after_a_restart(void **state)
{
	(void)state;
	left_behind("2", "3");
	fake.automatic = true;
	start();
	assert_int_equal(fake.count[CALL_CLAIM], 1);
	assert_string_equal(xf_get(BE "state"), "4");
}

static void a_served_disk_of_an_earlier_daemon_waits_for_the_resource(void **state)
{
	(void)state;
	left_behind("4", "4");
	start();
	answer(CALL_CLAIM, -EUCLEAN, "unclean: the daemon died while the disk was in use");
	assert_string_equal(xf_get(BE "state"), "4");
	assert_non_null(strstr(status().why, "unclean"));
	assert_int_equal(fake.count[CALL_CONNECT], 0);
	fake.automatic = true;
	pass(6000);
	assert_int_equal(fake.count[CALL_CLAIM], 2);
	assert_int_equal(fake.count[CALL_CONNECT], 1);
	assert_true(status().ring);
}

static void a_ring_of_which_nobody_knows_what_is_unanswered_is_never_served_again(void **state)
{
	(void)state;
	left_behind("4", "4");
	fake.not_servable = true;
	fake.automatic = true;
	start();
	pass(20000);
	assert_int_equal(fake.count[CALL_CLAIM], 0);
	assert_non_null(strstr(status().why, "no table"));
	assert_non_null(strstr(status().why, "xl destroy"));
	assert_true(devices_have(devices, "my-domu-disk", 3)); /* the token stays here until it is destroyed */
	remove_directory();
	assert_false(devices_have(devices, "my-domu-disk", 3));
}

static void a_disk_that_was_granted_but_never_connected_is_claimed_whatever_happened(void **state)
{
	(void)state;
	left_behind("2", "1");
	fake.not_servable = true;
	fake.automatic = true;
	start();
	assert_int_equal(fake.count[CALL_CLAIM], 1);
}

static void a_disk_that_an_earlier_daemon_did_not_grant_is_not_claimed(void **state)
{
	(void)state;
	left_behind("2", "3");
	xf_write(BE "hotplug-status", "error");
	start();
	pass(10000);
	assert_int_equal(fake.count[CALL_CLAIM], 0);
}

static void a_disk_closing_at_a_restart_is_closed(void **state)
{
	(void)state;
	left_behind("4", "4");
	xf_write(BE "online", "0");
	xf_write(BE "state", "5");
	start();
	assert_string_equal(xf_get(BE "state"), "6");
	assert_int_equal(fake.count[CALL_CLAIM], 0);
}

static void a_daemon_that_ends_leaves_its_devices_as_they_are(void **state)
{
	(void)state;
	served_device();
	devices_free(devices);
	devices = NULL;
	assert_string_equal(xf_get(BE "state"), "4");
	assert_int_equal(fake.count[CALL_RELEASE], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_served_disk_stays_while_xenstored_is_away),
		TEST(a_larger_disk_is_seen_when_xenstored_is_back),
		TEST(what_happened_while_xenstored_was_away_is_seen_afterwards),
		TEST(a_disk_created_while_xenstored_was_away_is_found),
		TEST(a_disk_removed_while_xenstored_was_away_is_released),
		TEST(a_state_that_could_not_be_written_is_written_later),
		TEST(an_undo_while_xenstored_is_away_is_written_later),
		TEST(an_undo_after_xenstored_was_found_away_is_written_later),
		TEST(add_is_refused_in_words_while_xenstored_is_away),
		TEST(an_answer_while_xenstored_is_away_is_not_lost),
		TEST(a_xenstored_that_lost_its_contents_takes_no_disk_away),
		TEST(the_daemon_may_start_before_xenstored),
		cmocka_unit_test(a_xenstored_that_dies_at_any_call_does_no_harm),
		TEST(xen_blkback_is_unbound_before_state_2_is_ours),
		TEST(a_loaded_xen_blkback_gets_a_moment_to_probe),
		TEST(a_xen_blkback_that_does_not_probe_is_not_waited_for_long),
		TEST(a_device_that_cannot_be_unbound_is_not_published_and_tried_again),
		TEST(a_running_guest_that_talked_to_xen_blkback_is_taken_over),
		TEST(xen_blkback_loaded_again_is_driven_off_a_served_disk),
		TEST(xen_blkback_that_holds_the_device_without_a_trace_is_found),
		TEST(a_new_guest_is_not_taken_for_the_one_that_an_earlier_daemon_served),
		TEST(a_granted_disk_is_claimed_again_after_a_restart),
		TEST(a_served_disk_of_an_earlier_daemon_waits_for_the_resource),
		TEST(a_disk_that_an_earlier_daemon_did_not_grant_is_not_claimed),
		TEST(a_ring_of_which_nobody_knows_what_is_unanswered_is_never_served_again),
		TEST(a_disk_that_was_granted_but_never_connected_is_claimed_whatever_happened),
		TEST(a_disk_closing_at_a_restart_is_closed),
		TEST(a_daemon_that_ends_leaves_its_devices_as_they_are),
	};

	return cmocka_run_group_tests_name("device-away", tests, NULL, NULL);
}
