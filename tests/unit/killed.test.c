/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * killed.test.c: the core of a daemon that starts under the guest of one that was killed (docs/RESTART.md, HANDOVER.md R11): what is
 * on disk says that the guest is there, until it is there or known to be gone.
 */
#include "tests/unit/core-fixture.h"

static const struct claimant g1 = { .who = "guest g1" };

/* A guest writes on alpha, and alpha's daemon is killed with that write in flight. */
static void kill_under_a_guest(void)
{
	pair_new(NULL);
	start(alpha);
	assert_true(request(alpha, 0, REQUEST_WRITE, 0));
	run();
	assert_true(alpha->sb.flags & SB_IN_USE);
	assert_true(request(alpha, 1, REQUEST_WRITE, 8));
	crash(alpha, false);
	alpha->cfg.left = true;
	boot(alpha);
	assert_true(alpha->sb.flags & SB_CRASHED);
}

static void adopt(void)
{
	alpha->claimed = alpha->activated = 1;
	replicate_adopt(alpha->core, &g1, &alpha->kept, now_ms);
	run();
	assert_int_equal(alpha->claimed, 0);
	replicate_activate(alpha->core, g1.who, true, now_ms);
	run();
	assert_int_equal(alpha->activated, 0);
}

/* Its log covers what the dead daemon had in flight, and what the guest will write as soon as it is found. */
static void while_its_guest_is_looked_for_the_disk_stays_in_use(void **state)
{
	(void)state;
	kill_under_a_guest();
	wait_ms(60000);
	assert_true(alpha->sb.flags & SB_IN_USE);
	adopt();
	assert_true(replicate_ready(alpha->core)); /* without a write of the metadata */
	assert_int_equal(first_event, last_event);
	assert_true(request(alpha, 1, REQUEST_WRITE, 8));
	join();
	assert_false(alpha->busy[1]);
	assert_int_equal(alpha->answered[1], 0);
	assert_true(alpha->sb.flags & SB_IN_USE);
}

static void when_its_guest_is_known_to_be_gone_it_is_not_in_use(void **state)
{
	(void)state;
	kill_under_a_guest();
	replicate_nobody_left(alpha->core, now_ms);
	run();
	assert_false(alpha->sb.flags & SB_IN_USE);
	assert_true(alpha->sb.flags & SB_CRASHED);
}

/* The guest was another one than the record's, or its record was written late: whatever led there. */
static void nothing_is_executed_while_the_disk_is_being_put_out_of_use(void **state)
{
	(void)state;
	kill_under_a_guest();
	replicate_nobody_left(alpha->core, now_ms); /* the write that ends SB_IN_USE is under way */
	while (first_event == last_event || events[first_event % EVENTS].what != EVENT_SUPERBLOCK)
		happen();
	assert_false(events[first_event % EVENTS].sb.flags & SB_IN_USE);
	alpha->claimed = alpha->activated = 1;
	replicate_adopt(alpha->core, &g1, &alpha->kept, now_ms);
	replicate_activate(alpha->core, g1.who, true, now_ms);
	assert_int_equal(alpha->activated, 0);
	assert_true(alpha->sb.flags & SB_IN_USE);
	assert_false(replicate_ready(alpha->core));
	assert_false(replicate_request(alpha->core, now_ms));
	run();
	assert_true(alpha->sb.flags & SB_IN_USE);
	assert_true(replicate_ready(alpha->core));
}

/* Another disk of the guest is not used before it is certain that this one's token is still here (HANDOVER.md R10, R12). */
static void a_sibling_waits_until_the_token_is_certain(void **state)
{
	(void)state;
	kill_under_a_guest();
	alpha->kept.confirmed = 0; /* the record is of a moment when it was not */
	crash(alpha, false);
	alpha->cfg.confirmed = 0;
	boot(alpha);
	adopt();
	replicate_sibling_used(alpha->core, now_ms);
	wait_ms(10000);
	assert_int_equal(alpha->sibling, 1);
	join();
	assert_int_equal(alpha->sibling, 0);
}

/* ---- a guest whose data do not count any more ---- */

/* Its partner was promoted by force, and it is found again in the middle of their meeting: alpha's HELLO did not tell of it. */
static void a_write_is_left_behind(bool at_disk)
{
	kill_under_a_guest();
	assert_int_equal(command(beta, COMMAND_PROMOTE), 0);
	beta->metadata_hang = true;
	join();
	assert_int_equal(status_of(alpha).connection, CONNECTION_SETTLING);
	adopt();
	alpha->disk_hangs = at_disk;
	assert_true(request(alpha, 1, REQUEST_WRITE, 64));
	assert_int_equal(alpha->answered[1], 1);
	superblock_ends(beta);
	assert_int_equal(status_of(alpha).attachment, ATTACHMENT_STALE);
}

/* Nothing of it was answered or reached the partner (the fixture would have complained of a packet that is refused). */
static void copied_over(void)
{
	assert_int_equal(alpha->answered[1], -ECANCELED);
	assert_int_equal(status_of(alpha).connection, CONNECTION_CONNECTED);
	wait_ms(1000);
	assert_int_equal(status_of(alpha).disk, DISK_UP_TO_DATE);
	assert_true(status_of(beta).copied_sectors + status_of(beta).same_sectors >= 8);
	assert_int_equal(status_of(alpha).out_of_sync, 0);
}

static void a_write_that_waits_for_the_partner_is_not_sent(void **state)
{
	(void)state;
	a_write_is_left_behind(false);
	copied_over();
}

/* It must not land over what is copied there. */
static void the_meeting_waits_for_a_write_that_the_disk_has(void **state)
{
	(void)state;
	a_write_is_left_behind(true);
	assert_int_equal(status_of(alpha).connection, CONNECTION_SETTLING);
	assert_int_equal(status_of(beta).connection, CONNECTION_SETTLING);
	assert_int_equal(alpha->answered[1], 1);
	disk_ends(alpha, 0);
	copied_over();
}

static void nor_is_a_write_answered_that_the_disk_fails(void **state)
{
	(void)state;
	a_write_is_left_behind(true);
	disk_ends(alpha, -EIO);
	copied_over();
}

#define T(name) cmocka_unit_test_teardown(name, pair_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(while_its_guest_is_looked_for_the_disk_stays_in_use),
		T(when_its_guest_is_known_to_be_gone_it_is_not_in_use),
		T(nothing_is_executed_while_the_disk_is_being_put_out_of_use),
		T(a_sibling_waits_until_the_token_is_certain),
		T(a_write_that_waits_for_the_partner_is_not_sent),
		T(the_meeting_waits_for_a_write_that_the_disk_has),
		T(nor_is_a_write_answered_that_the_disk_fails),
	};

	return cmocka_run_group_tests_name("killed", tests, NULL, NULL);
}
