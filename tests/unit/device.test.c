/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A device from its directory to state 4 and back, as toolstack, guest and block-drbdx drive it. */
#include <unistd.h>

#include "device-fixture.h"

#include "backend/statistics.h"

static void state_2_comes_at_once_and_with_the_features(void **state)
{
	(void)state;
	start();
	create_directory("w");
	events();
	assert_string_equal(xf_get(BE "state"), "2");
	assert_string_equal(xf_get(BE "feature-flush-cache"), "1");
	assert_string_equal(xf_get(BE "feature-max-indirect-segments"), "256");
	assert_string_equal(xf_get(BE "max-ring-page-order"), "4");
	assert_string_equal(xf_get(BE "multi-queue-max-queues"), "1");
	assert_string_equal(xf_get(BE "feature-persistent"), "0");
	assert_string_equal(xf_get(BE "feature-discard"), "0");
	assert_string_equal(xf_get(BE "feature-barrier"), "1");
	assert_false(xf_exists(BE "discard-granularity"));
	assert_false(xf_exists(BE "physical-device"));
	assert_int_equal(fake.count[CALL_CLAIM], 0);
}

static void discards_are_offered_in_the_unit_that_both_nodes_have(void **state)
{
	(void)state;
	create_directory("w");
	fake.features.discard = 1;
	fake.features.discard_unit = 16;
	start();
	assert_string_equal(xf_get(BE "feature-discard"), "1");
	assert_string_equal(xf_get(BE "discard-granularity"), "65536");
	assert_string_equal(xf_get(BE "discard-alignment"), "0");
	assert_string_equal(xf_get(BE "discard-secure"), "0");
}

static void secure_discards_are_offered_where_both_nodes_can(void **state)
{
	(void)state;
	create_directory("w");
	fake.features.discard = 1;
	fake.features.discard_unit = 16;
	fake.features.discard_secure = 1;
	start();
	assert_string_equal(xf_get(BE "discard-secure"), "1");
}

static void the_unit_of_discards_is_a_block_at_least(void **state)
{
	(void)state;
	create_directory("w");
	fake.features.discard_unit = 9;
	fake.features.block_size = 4096;
	start();
	assert_string_equal(xf_get(BE "discard-granularity"), "4096");
}

static void discards_are_not_offered_to_a_guest_that_only_reads_or_is_not_to_have_them(void **state)
{
	(void)state;
	create_directory("r");
	fake.features.discard_unit = 12;
	start();
	assert_string_equal(xf_get(BE "feature-discard"), "0");
	teardown(state);
	setup(state);
	create_directory("w");
	xf_write(BE "discard-enable", "0");
	fake.features.discard_unit = 12;
	start();
	assert_string_equal(xf_get(BE "feature-discard"), "0");
	assert_false(xf_exists(BE "discard-granularity"));
}

static void a_disk_of_an_unknown_resource_gets_state_2_and_add_refuses_it(void **state)
{
	(void)state;
	create_directory("w");
	xf_write(BE "params", "nobodys-disk");
	start();
	assert_string_equal(xf_get(BE "state"), "2");
	add();
	assert_int_equal(reply[0].rc, -ENOENT);
	assert_non_null(strstr(reply[0].why, "nobodys-disk"));
}

static void a_disk_with_another_script_is_left_alone(void **state)
{
	(void)state;
	create_directory("w");
	xf_write(BE "script", "/etc/xen/scripts/block");
	start();
	assert_string_equal(xf_get(BE "state"), "1");
	assert_int_equal(devices_status(devices, NULL, 0), 0);
	add();
	assert_int_equal(reply[0].rc, -ENODEV);
}

static void a_script_whose_name_only_ends_like_ours_is_not_ours(void **state)
{
	(void)state;
	create_directory("w");
	xf_write(BE "script", "/etc/xen/scripts/my-block-drbdx");
	start();
	assert_int_equal(devices_status(devices, NULL, 0), 0);
}

#define BE3 "backend/vbd3/3/51714/"
#define BE3_PATH "backend/vbd3/3/51714"

static void create_vbd3(void)
{
	xf_write(FE "state", "1");
	xf_write(BE3 "frontend", FE_PATH);
	xf_write(BE3 "frontend-id", "3");
	xf_write(BE3 "params", "aio:drbdx:my-domu-disk");
	xf_write(BE3 "script", "/etc/xen/scripts/block-drbdx");
	xf_write(BE3 "online", "1");
	xf_write(BE3 "mode", "w");
	xf_write(BE3 "state", "1");
	events();
}

static void a_vbd3_is_served_too(void **state)
{
	(void)state;
	start();
	create_vbd3();
	assert_string_equal(xf_get(BE3 "state"), "2");
	assert_string_equal(status().resource, "my-domu-disk");
}

static void a_vbd3_stays_in_state_1_until_xentop_can_see_it(void **state)
{
	(void)state;
	vbd3_unseen = true;
	start();
	create_vbd3();
	assert_string_equal(xf_get(BE3 "state"), "1");
	now = devices_deadline_ms(devices); /* soon */
	pass(0);
	assert_string_equal(xf_get(BE3 "state"), "1");
	vbd3_unseen = false;
	now = devices_deadline_ms(devices);
	pass(0);
	assert_string_equal(xf_get(BE3 "state"), "2");
}

static void a_vbd3_that_never_comes_to_the_bus_is_served_all_the_same(void **state)
{
	(void)state;
	vbd3_unseen = true;
	start();
	create_vbd3();
	pass(1100);
	assert_string_equal(xf_get(BE3 "state"), "2");
}

static void xentop_is_told_where_a_vbd3_is_counted_once_it_is_connected(void **state)
{
	char root[] = "/tmp/device.XXXXXX", directory[40];

	(void)state;
	assert_non_null(mkdtemp(root));
	snprintf(directory, sizeof(directory), "%s/statistics", root);
	statistics_start(directory, root);
	start();
	create_vbd3();
	device_add(devices, BE3_PATH, on_reply, NULL);
	answer(CALL_CLAIM, 0, "");
	xf_write(BE3 "hotplug-status", "connected");
	device_add_done(devices, BE3_PATH);
	events();
	assert_false(xf_exists(BE3 "kthread-pid"));
	frontend_keys("8", "9");
	frontend_to("3");
	assert_true(fake.counted);
	assert_int_equal(fake.devid, 51714);
	answer(CALL_CONNECT, 0, "");
	events();
	assert_string_equal(xf_get(BE3 "state"), "4");
	assert_int_equal(atol(xf_get(BE3 "kthread-pid")), getpid());
	statistics_end();
	assert_int_equal(rmdir(directory), 0);
	assert_int_equal(rmdir(root), 0);
}

static void a_vbd_is_not_counted_for_xentop(void **state)
{
	(void)state;
	served_device();
	assert_false(fake.counted);
	assert_false(xf_exists(BE "kthread-pid"));
}

static void a_frontend_in_another_domain_is_not_followed(void **state)
{
	(void)state;
	create_directory("w");
	xf_write(BE "frontend", "/local/domain/4/device/vbd/51714");
	start();
	assert_int_equal(devices_status(devices, NULL, 0), 0);
	assert_string_equal(xf_get(BE "state"), "1");
}

static void add_names_the_guest(void **state)
{
	(void)state;
	attached_device();
	assert_string_equal(fake.who, "guest web1 (uuid 9b3f2e2c-0000-4000-8000-000000000001)");
	assert_string_equal(status().guest, "web1");
}

static void add_works_before_the_watch_arrived(void **state)
{
	(void)state;
	start();
	create_directory("w");
	add();
	answer(CALL_CLAIM, 0, "");
	assert_int_equal(reply[0].calls, 1);
	assert_int_equal(reply[0].rc, 0);
	events();
	assert_string_equal(xf_get(BE "state"), "2");
}

static void add_with_a_path_of_another_shape_is_refused(void **state)
{
	static const char *const paths[] = {
		"",
		"backend",
		"backend/vbd/3",
		"backend/vbd/3/51714/",
		"backend/vbd/3/51714/state",
		"/local/domain/0/backend/vbd/3/51714",
		"backend/qdisk/3/51714",
		"backend/vbd/03/51714",
		"backend/vbd/-3/51714",
		"backend/vbd/3/4294967296",
		"backend/vbd/40000/1",
		"backend//vbd/3/51714",
		"backend/vbd/3/../3/51714",
	};

	(void)state;
	create_directory("w");
	start();
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		reply[0].rc = 0;
		device_add(devices, paths[i], on_reply, NULL);
		assert_int_equal(reply[0].rc, -ENODEV);
		device_add_done(devices, paths[i]);
		device_add_undo(devices, paths[i]);
	}
	assert_int_equal(fake.count[CALL_CLAIM], 0);
}

static void a_refusal_reaches_the_user_in_words(void **state)
{
	(void)state;
	create_directory("w");
	start();
	add();
	answer(CALL_CLAIM, -EBUSY, "guest db1 on dom0_2 has it");
	assert_int_equal(reply[0].rc, -EBUSY);
	assert_string_equal(reply[0].why, "guest db1 on dom0_2 has it");
	assert_string_equal(status().why, "guest db1 on dom0_2 has it");
	frontend_keys("8", "9");
	frontend_to("3");
	assert_int_equal(fake.count[CALL_CONNECT], 0);
}

static void a_second_add_succeeds_and_the_first_one_stands_whatever_becomes_of_it(void **state)
{
	(void)state;
	attached_device();
	reply[1].rc = 1;
	device_add(devices, BE_PATH, on_reply, (void *)1);
	assert_int_equal(reply[1].rc, 0);
	device_add_undo(devices, BE_PATH);
	assert_int_equal(fake.count[CALL_CLAIM], 1);
	assert_int_equal(fake.count[CALL_RELEASE], 0);
	assert_string_equal(xf_get(BE "hotplug-status"), "connected");
}

static void a_second_add_while_the_first_is_under_way_is_told_so(void **state)
{
	(void)state;
	create_directory("w");
	start();
	add();
	device_add(devices, BE_PATH, on_reply, (void *)1);
	assert_int_equal(reply[1].rc, -EALREADY);
	answer(CALL_CLAIM, 0, "");
	device_add(devices, BE_PATH, on_reply, (void *)1);
	assert_int_equal(reply[1].rc, -EALREADY);
	assert_int_equal(fake.count[CALL_CLAIM], 1);
	assert_int_equal(fake.count[CALL_RELEASE], 0);
}

static void a_mode_that_is_neither_r_nor_w_is_refused(void **state)
{
	(void)state;
	create_directory("x");
	start();
	add();
	assert_int_equal(reply[0].rc, -EINVAL);
}

static void a_guest_is_served_only_after_add_done_and_hotplug_status(void **state)
{
	(void)state;
	create_directory("w");
	start();
	frontend_keys("8", "9");
	frontend_to("3");
	add();
	events();
	assert_int_equal(fake.count[CALL_CONNECT], 0);
	answer(CALL_CLAIM, 0, "");
	events();
	assert_int_equal(fake.count[CALL_CONNECT], 0);
	xf_write(BE "hotplug-status", "connected");
	events();
	assert_int_equal(fake.count[CALL_CONNECT], 0);
	device_add_done(devices, BE_PATH);
	assert_int_equal(fake.count[CALL_CONNECT], 1);
	assert_string_equal(xf_get(BE "state"), "2");
	answer(CALL_CONNECT, 0, "");
	assert_string_equal(xf_get(BE "state"), "4");
}

static void add_done_without_hotplug_status_does_not_connect(void **state)
{
	(void)state;
	create_directory("w");
	start();
	add();
	answer(CALL_CLAIM, 0, "");
	device_add_done(devices, BE_PATH);
	frontend_keys("8", "9");
	frontend_to("3");
	assert_int_equal(fake.count[CALL_CONNECT], 0);
}

static void state_4_comes_with_the_geometry(void **state)
{
	(void)state;
	served_device();
	assert_string_equal(xf_get(BE "sectors"), "2048");
	assert_string_equal(xf_get(BE "sector-size"), "512");
	assert_string_equal(xf_get(BE "physical-sector-size"), "512");
	assert_string_equal(xf_get(BE "info"), "0");
	assert_int_equal(fake.ring.domid, 3);
	assert_int_equal(fake.ring.ref[0], 8);
	assert_int_equal(fake.ring.port, 9);
	assert_true(status().ring);
	assert_string_equal(status().why, "");
}

static void a_read_only_disk_is_attached_and_announced_read_only(void **state)
{
	(void)state;
	create_directory("r");
	start();
	fake.automatic = true;
	add();
	hotplug_done();
	frontend_keys("8", "9");
	frontend_to("3");
	assert_true(fake.read_only);
	assert_string_equal(xf_get(BE "info"), "4");
	assert_string_equal(xf_get(BE "state"), "4");
}

static void a_cd_rom_is_announced_as_one(void **state)
{
	(void)state;
	create_directory("r");
	xf_write(BE "device-type", "cdrom");
	start();
	fake.automatic = true;
	add();
	hotplug_done();
	frontend_keys("8", "9");
	frontend_to("3");
	assert_true(fake.read_only);
	assert_string_equal(xf_get(BE "info"), "5");
}

static void a_second_reader_is_told_that_there_is_one_guest_at_a_time(void **state)
{
	(void)state;
	create_directory("r");
	start();
	add();
	answer(CALL_CLAIM, -EBUSY, "in use on dom0_2 by guest web2");
	assert_int_equal(reply[0].rc, -EBUSY);
	assert_string_equal(reply[0].why,
			    "in use on dom0_2 by guest web2; a disk has one guest at a time on both hosts, also one that is only read");
}

static void a_frontend_may_go_to_4_directly(void **state)
{
	(void)state;
	attached_device();
	frontend_keys("8", "9");
	frontend_to("4");
	assert_int_equal(fake.count[CALL_CONNECT], 1);
	answer(CALL_CONNECT, 0, "");
	assert_string_equal(xf_get(BE "state"), "4");
}

static void domain_0_may_be_the_frontend(void **state)
{
	(void)state;
	fake.automatic = true;
	start();
	xf_write("device/vbd/51712/state", "1");
	xf_write("backend/vbd/0/51712/frontend", "/local/domain/0/device/vbd/51712");
	xf_write("backend/vbd/0/51712/frontend-id", "0");
	xf_write("backend/vbd/0/51712/params", "my-domu-disk");
	xf_write("backend/vbd/0/51712/script", "/etc/xen/scripts/block-drbdx");
	xf_write("backend/vbd/0/51712/mode", "w");
	xf_write("backend/vbd/0/51712/online", "1");
	xf_write("backend/vbd/0/51712/state", "1");
	events();
	device_add(devices, "backend/vbd/0/51712", on_reply, NULL);
	xf_write("backend/vbd/0/51712/hotplug-status", "connected");
	device_add_done(devices, "backend/vbd/0/51712");
	xf_write("device/vbd/51712/ring-ref", "8");
	xf_write("device/vbd/51712/event-channel", "9");
	xf_write("device/vbd/51712/protocol", "x86_64-abi");
	xf_write("device/vbd/51712/state", "3");
	events();
	assert_string_equal(xf_get("backend/vbd/0/51712/state"), "4");
}

static void the_same_ring_again_is_ignored(void **state)
{
	(void)state;
	served_device();
	frontend_to("3");
	frontend_to("4");
	assert_int_equal(fake.count[CALL_CONNECT], 1);
	assert_int_equal(fake.count[CALL_DISCONNECT], 0);
}

static void the_disk_is_larger(void)
{
	fake.features.sectors = 4096;
	fake.events->resized(fake.events_ctx);
}

static void a_running_guest_sees_that_its_disk_is_larger(void **state)
{
	(void)state;
	served_device();
	the_disk_is_larger();
	assert_string_equal(xf_get(BE "sectors"), "4096");
	assert_string_equal(xf_get(BE "state"), "4");
	assert_int_equal(fake.count[CALL_DISCONNECT], 0);
	assert_string_equal(status().why, "");
}

static void a_guest_that_connects_later_sees_the_larger_disk_then(void **state)
{
	(void)state;
	attached_device();
	the_disk_is_larger();
	assert_string_equal(xf_get(BE "state"), "2");
	assert_false(xf_exists(BE "sectors"));
	frontend_keys("8", "9");
	frontend_to("3");
	answer(CALL_CONNECT, 0, "");
	assert_string_equal(xf_get(BE "sectors"), "4096");
}

static void another_ring_replaces_the_old_one(void **state)
{
	(void)state;
	served_device();
	frontend_keys("80", "9");
	frontend_to("3");
	assert_int_equal(fake.count[CALL_DISCONNECT], 1);
	assert_int_equal(fake.count[CALL_CONNECT], 1);
	answer(CALL_DISCONNECT, 0, "");
	assert_int_equal(fake.count[CALL_CONNECT], 2);
	assert_int_equal(fake.ring.ref[0], 80);
	answer(CALL_CONNECT, 0, "");
	assert_string_equal(xf_get(BE "state"), "4");
}

/* A 32-bit kernel after a 64-bit one: its slots lie elsewhere. */
static void another_protocol_on_the_same_pages_is_another_ring(void **state)
{
	(void)state;
	served_device();
	xf_write(FE "protocol", "x86_32-abi");
	frontend_to("3");
	assert_int_equal(fake.count[CALL_DISCONNECT], 1);
	answer(CALL_DISCONNECT, 0, "");
	assert_int_equal(fake.count[CALL_CONNECT], 2);
	assert_int_equal(fake.ring.abi, SLOT_X86_32);
	answer(CALL_CONNECT, 0, "");
	assert_string_equal(xf_get(BE "state"), "4");
}

static void state_6_waits_until_the_ring_is_unmapped(void **state)
{
	(void)state;
	served_device();
	frontend_to("5");
	assert_string_equal(xf_get(BE "state"), "5");
	assert_int_equal(fake.count[CALL_DISCONNECT], 0);
	frontend_to("6");
	assert_string_equal(xf_get(BE "state"), "5");
	answer(CALL_DISCONNECT, 0, "");
	assert_string_equal(xf_get(BE "state"), "6");
	assert_int_equal(fake.count[CALL_RELEASE], 0);
}

static void a_closed_guest_may_open_again(void **state)
{
	(void)state;
	fake.automatic = true;
	create_directory("w");
	start();
	add();
	hotplug_done();
	frontend_keys("8", "9");
	frontend_to("3");
	frontend_to("6");
	assert_string_equal(xf_get(BE "state"), "6");
	frontend_to("1");
	assert_string_equal(xf_get(BE "state"), "2");
	frontend_to("3");
	assert_string_equal(xf_get(BE "state"), "4");
	assert_int_equal(fake.count[CALL_CLAIM], 1);
}

static void state_5_is_answered_although_never_connected(void **state)
{
	(void)state;
	create_directory("w");
	start();
	frontend_to("5");
	assert_string_equal(xf_get(BE "state"), "5");
	frontend_to("6");
	assert_string_equal(xf_get(BE "state"), "6");
	frontend_to("1");
	assert_string_equal(xf_get(BE "state"), "2");
}

static void a_frontend_without_directory_is_closed(void **state)
{
	(void)state;
	served_device();
	xf_rm(FE_PATH);
	events();
	answer(CALL_DISCONNECT, 0, "");
	assert_string_equal(xf_get(BE "state"), "6");
}

static void a_removed_disk_reaches_6_although_the_frontend_does_nothing(void **state)
{
	(void)state;
	served_device();
	toolstack_removes();
	assert_string_equal(xf_get(BE "state"), "5");
	answer(CALL_RELEASE, 0, "");
	assert_string_equal(xf_get(BE "state"), "6");
	remove_directory();
	assert_int_equal(devices_status(devices, NULL, 0), 0);
	assert_false(xf_exists(BE_PATH));
}

static void a_disk_that_never_connected_reaches_6_at_once(void **state)
{
	(void)state;
	create_directory("w");
	start();
	toolstack_removes();
	assert_string_equal(xf_get(BE "state"), "6");
	remove_directory();
	assert_int_equal(devices_status(devices, NULL, 0), 0);
}

static void remove_answers_when_the_resource_is_released(void **state)
{
	(void)state;
	served_device();
	toolstack_removes();
	device_remove(devices, BE_PATH, on_reply, (void *)1);
	assert_int_equal(reply[1].calls, 0);
	answer(CALL_RELEASE, 0, "");
	assert_int_equal(reply[1].calls, 1);
	assert_int_equal(reply[1].rc, 0);
	device_remove(devices, BE_PATH, on_reply, (void *)1);
	assert_int_equal(reply[1].calls, 2);
	assert_int_equal(reply[1].rc, 0);
	assert_int_equal(fake.count[CALL_RELEASE], 1);
}

static void remove_sees_what_the_watch_has_not_told_yet(void **state)
{
	(void)state;
	served_device();
	xf_write(BE "online", "0");
	xf_write(BE "state", "5");
	device_remove(devices, BE_PATH, on_reply, (void *)1);
	answer(CALL_RELEASE, 0, "");
	assert_int_equal(reply[1].rc, 0);
	assert_string_equal(xf_get(BE "state"), "6");
}

static void remove_of_a_disk_in_use_is_refused(void **state)
{
	(void)state;
	served_device();
	device_remove(devices, BE_PATH, on_reply, (void *)1);
	assert_int_equal(reply[1].rc, -EBUSY);
	assert_int_equal(fake.count[CALL_RELEASE], 0);
}

static void remove_of_an_unknown_disk_succeeds(void **state)
{
	(void)state;
	start();
	device_remove(devices, BE_PATH, on_reply, (void *)1);
	assert_int_equal(reply[1].calls, 1);
	assert_int_equal(reply[1].rc, 0);
}

static void a_killed_add_leaves_nothing_that_a_guest_could_use(void **state)
{
	(void)state;
	create_directory("w");
	start();
	add();
	answer(CALL_CLAIM, 0, "");
	xf_write(BE "hotplug-status", "connected");
	frontend_keys("8", "9");
	frontend_to("3");
	device_add_undo(devices, BE_PATH);
	events();
	assert_string_equal(xf_get(BE "hotplug-status"), "error");
	answer(CALL_RELEASE, 0, "");
	device_add_done(devices, BE_PATH);
	frontend_to("4");
	pass(10000);
	assert_int_equal(fake.count[CALL_CONNECT], 0);
	assert_string_equal(xf_get(BE "state"), "2");
}

static void add_killed_before_its_answer_is_answered_once_and_released(void **state)
{
	(void)state;
	create_directory("w");
	start();
	add();
	device_add_undo(devices, BE_PATH);
	assert_int_equal(reply[0].calls, 0);
	answer(CALL_CLAIM, -ECANCELED, "cancelled");
	assert_int_equal(reply[0].calls, 1);
	answer(CALL_RELEASE, 0, "");
	assert_string_equal(xf_get(BE "hotplug-status"), "error");
	add();					/* and it can be tried again */
	answer(CALL_CLAIM, 0, "");
	hotplug_done();
	frontend_keys("8", "9");
	frontend_to("3");
	assert_int_equal(fake.count[CALL_CONNECT], 1);
}

static void a_claim_granted_after_the_undo_is_not_kept(void **state)
{
	(void)state;
	create_directory("w");
	start();
	add();
	device_add_undo(devices, BE_PATH);
	answer(CALL_CLAIM, 0, "");
	assert_int_equal(reply[0].rc, -ECANCELED);
	device_add(devices, BE_PATH, on_reply, (void *)1);
	assert_int_equal(reply[1].rc, -EBUSY);
	answer(CALL_RELEASE, 0, "");
	device_add_done(devices, BE_PATH);
	xf_write(BE "hotplug-status", "connected");
	frontend_keys("8", "9");
	frontend_to("3");
	assert_int_equal(fake.count[CALL_CONNECT], 0);
}

static void undo_after_done_changes_nothing(void **state)
{
	(void)state;
	served_device();
	device_add_undo(devices, BE_PATH);
	assert_int_equal(fake.count[CALL_RELEASE], 0);
	assert_string_equal(xf_get(BE "hotplug-status"), "connected");
}

/* The frontend closes while its ring is being attached; the answers come in either order. */
static void an_attach_that_is_taken_back_waits_for_both_answers(void **state)
{
	(void)state;
	for (int order = 0; order < 2; order++) {
		setup(NULL);
		attached_device();
		frontend_keys("8", "9");
		frontend_to("3");
		frontend_to("6");
		assert_int_equal(fake.count[CALL_DISCONNECT], 1);
		answer(order ? CALL_CONNECT : CALL_DISCONNECT, 0, "");
		events();
		assert_string_equal(xf_get(BE "state"), "2");
		answer(order ? CALL_DISCONNECT : CALL_CONNECT, 0, "");
		assert_string_equal(xf_get(BE "state"), "6");
		assert_false(status().ring);
		fake.mapped = false;
		teardown(NULL);
	}
}

static void a_ring_that_cannot_be_attached_is_tried_again(void **state)
{
	(void)state;
	attached_device();
	frontend_keys("8", "9");
	frontend_to("3");
	answer(CALL_CONNECT, -ENXIO, "grant 8 of domain 3 cannot be mapped");
	assert_string_equal(xf_get(BE "state"), "2");
	assert_non_null(strstr(xf_get(ERROR_NODE), "grant 8"));
	events();
	assert_int_equal(fake.count[CALL_CONNECT], 1);
	pass(2000);
	assert_int_equal(fake.count[CALL_CONNECT], 2);
	answer(CALL_CONNECT, 0, "");
	assert_string_equal(xf_get(BE "state"), "4");
	assert_false(xf_exists(ERROR_NODE));
	assert_false(xf_exists("error/backend/vbd/3"));	/* nor anything else of this domain */
	assert_string_equal(status().why, "");
}

static void a_hostile_ring_costs_the_guest_its_disk(void **state)
{
	(void)state;
	served_device();
	fake.mapped = false;
	fake.events->ring_broken(fake.events_ctx, "req_prod jumped");
	assert_string_equal(xf_get(BE "state"), "5");
	assert_non_null(strstr(xf_get(ERROR_NODE), "req_prod jumped"));
	assert_int_equal(fake.count[CALL_CONNECT], 1);
	frontend_to("6");
	assert_string_equal(xf_get(BE "state"), "6");
	frontend_to("1");
	frontend_to("3");
	assert_int_equal(fake.count[CALL_CONNECT], 2);
}

static void a_late_write_does_not_bring_a_removed_directory_back(void **state)
{
	(void)state;
	attached_device();
	frontend_keys("8", "9");
	frontend_to("3");
	xf_rm(BE_PATH);
	answer(CALL_CONNECT, 0, "");
	events();
	assert_false(xf_exists(BE_PATH));
	answer(CALL_RELEASE, 0, "");
	assert_int_equal(devices_status(devices, NULL, 0), 0);
}

static void remove_in_commit(void)
{
	xf_rm(BE_PATH);
}

static void a_directory_removed_while_state_4_is_written_stays_removed(void **state)
{
	(void)state;
	attached_device();
	frontend_keys("8", "9");
	frontend_to("3");
	xf.before_commit = remove_in_commit;
	answer(CALL_CONNECT, 0, "");
	events();
	assert_false(xf_exists(BE_PATH));
	answer(CALL_RELEASE, 0, "");
	assert_int_equal(devices_status(devices, NULL, 0), 0);
}

static void a_directory_made_again_between_two_looks_is_another_device(void **state)
{
	(void)state;
	served_device();
	xf_rm(BE_PATH);
	xf_rm(FE_PATH);
	create_directory("w");
	events();
	assert_int_equal(fake.count[CALL_RELEASE], 1);
	answer(CALL_RELEASE, 0, "");
	pass(1000);
	assert_string_equal(xf_get(BE "state"), "2");
	assert_int_equal(devices_status(devices, NULL, 0), 1);
	frontend_keys("8", "9");
	frontend_to("3");
	assert_int_equal(fake.count[CALL_CONNECT], 1);	/* not before its own add */
}

static void two_disks_do_not_touch_each_other(void **state)
{
	(void)state;
	served_device();
	xf_write("/local/domain/5/device/vbd/51712/state", "1");
	xf_write("backend/vbd/5/51712/frontend", "/local/domain/5/device/vbd/51712");
	xf_write("backend/vbd/5/51712/frontend-id", "5");
	xf_write("backend/vbd/5/51712/params", "my-domu-disk");
	xf_write("backend/vbd/5/51712/script", "block-drbdx");
	xf_write("backend/vbd/5/51712/mode", "w");
	xf_write("backend/vbd/5/51712/state", "1");
	events();
	assert_int_equal(devices_status(devices, NULL, 0), 2);
	xf_write("backend/vbd/5/51712/online", "0");
	xf_write("backend/vbd/5/51712/state", "5");
	events();
	assert_string_equal(xf_get("backend/vbd/5/51712/state"), "6");
	assert_string_equal(xf_get(BE "state"), "4");
	assert_int_equal(fake.count[CALL_RELEASE], 0);
}

/* The directory vanishes after each step of a start; nothing stays behind and every answer comes once. */
static void a_directory_that_vanishes_at_any_step_is_forgotten(void **state)
{
	(void)state;
	for (int at = 0; at <= 6; at++) {
		setup(NULL);
		start();
		create_directory("w");
		if (at > 0)
			events();
		if (at > 1)
			add();
		if (at > 2)
			answer(CALL_CLAIM, 0, "");
		if (at > 3)
			hotplug_done();
		if (at > 4) {
			frontend_keys("8", "9");
			frontend_to("3");
		}
		if (at > 5)
			answer(CALL_CONNECT, 0, "");
		remove_directory();
		if (fake.call[CALL_CLAIM].pending)
			answer(CALL_CLAIM, 0, "");
		if (fake.call[CALL_CONNECT].pending)
			answer(CALL_CONNECT, -ECANCELED, "cancelled");
		if (fake.call[CALL_RELEASE].pending)
			answer(CALL_RELEASE, 0, "");
		events();
		assert_int_equal(devices_status(devices, NULL, 0), 0);
		assert_int_equal(fake.count[CALL_RELEASE], at > 1);
		assert_int_equal(reply[0].calls, at > 1);
		assert_int_equal(xf.nwatch, 3);
		assert_false(xf_exists(BE_PATH));
		teardown(NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(state_2_comes_at_once_and_with_the_features),
		TEST(discards_are_offered_in_the_unit_that_both_nodes_have),
		TEST(secure_discards_are_offered_where_both_nodes_can),
		TEST(the_unit_of_discards_is_a_block_at_least),
		TEST(discards_are_not_offered_to_a_guest_that_only_reads_or_is_not_to_have_them),
		TEST(a_disk_of_an_unknown_resource_gets_state_2_and_add_refuses_it),
		TEST(a_disk_with_another_script_is_left_alone),
		TEST(a_script_whose_name_only_ends_like_ours_is_not_ours),
		TEST(a_vbd3_is_served_too),
		TEST(a_vbd3_stays_in_state_1_until_xentop_can_see_it),
		TEST(a_vbd3_that_never_comes_to_the_bus_is_served_all_the_same),
		TEST(xentop_is_told_where_a_vbd3_is_counted_once_it_is_connected),
		TEST(a_vbd_is_not_counted_for_xentop),
		TEST(a_frontend_in_another_domain_is_not_followed),
		TEST(add_names_the_guest),
		TEST(add_works_before_the_watch_arrived),
		TEST(add_with_a_path_of_another_shape_is_refused),
		TEST(a_refusal_reaches_the_user_in_words),
		TEST(a_second_add_succeeds_and_the_first_one_stands_whatever_becomes_of_it),
		TEST(a_second_add_while_the_first_is_under_way_is_told_so),
		TEST(a_mode_that_is_neither_r_nor_w_is_refused),
		TEST(a_guest_is_served_only_after_add_done_and_hotplug_status),
		TEST(add_done_without_hotplug_status_does_not_connect),
		TEST(state_4_comes_with_the_geometry),
		TEST(a_read_only_disk_is_attached_and_announced_read_only),
		TEST(a_cd_rom_is_announced_as_one),
		TEST(a_second_reader_is_told_that_there_is_one_guest_at_a_time),
		TEST(a_frontend_may_go_to_4_directly),
		TEST(domain_0_may_be_the_frontend),
		TEST(the_same_ring_again_is_ignored),
		TEST(a_running_guest_sees_that_its_disk_is_larger),
		TEST(a_guest_that_connects_later_sees_the_larger_disk_then),
		TEST(another_ring_replaces_the_old_one),
		TEST(another_protocol_on_the_same_pages_is_another_ring),
		TEST(state_6_waits_until_the_ring_is_unmapped),
		TEST(a_closed_guest_may_open_again),
		TEST(state_5_is_answered_although_never_connected),
		TEST(a_frontend_without_directory_is_closed),
		TEST(a_removed_disk_reaches_6_although_the_frontend_does_nothing),
		TEST(a_disk_that_never_connected_reaches_6_at_once),
		TEST(remove_answers_when_the_resource_is_released),
		TEST(remove_sees_what_the_watch_has_not_told_yet),
		TEST(remove_of_a_disk_in_use_is_refused),
		TEST(remove_of_an_unknown_disk_succeeds),
		TEST(a_killed_add_leaves_nothing_that_a_guest_could_use),
		TEST(add_killed_before_its_answer_is_answered_once_and_released),
		TEST(a_claim_granted_after_the_undo_is_not_kept),
		TEST(undo_after_done_changes_nothing),
		cmocka_unit_test(an_attach_that_is_taken_back_waits_for_both_answers),
		TEST(a_ring_that_cannot_be_attached_is_tried_again),
		TEST(a_hostile_ring_costs_the_guest_its_disk),
		TEST(a_late_write_does_not_bring_a_removed_directory_back),
		TEST(a_directory_removed_while_state_4_is_written_stays_removed),
		TEST(a_directory_made_again_between_two_looks_is_another_device),
		TEST(two_disks_do_not_touch_each_other),
		cmocka_unit_test(a_directory_that_vanishes_at_any_step_is_forgotten),
	};

	return cmocka_run_group_tests_name("device", tests, NULL, NULL);
}
