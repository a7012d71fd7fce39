/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A disk that is given up while it fails: nothing that it could not do stands in the way of a guest that goes on with the partner's
 * (docs/DEGRADED.md, section 5).
 */
#include "core-fixture.h"

static void pass_on(struct replicate_config *cfg)
{
	cfg->detach = false;
}

static void the_partners_writes_that_a_disk_has_failed_are_forgotten_with_it(void **state)
{
	(void)state;
	pair_new(pass_on);
	start(alpha);
	beta->disk_fails = true;
	assert_true(request(alpha, 0, REQUEST_WRITE, 0));
	wait_ms(5000);
	assert_true(alpha->busy[0]); /* it is tried again and again */
	assert_int_equal(command(beta, COMMAND_DETACH), 0);
	join();
	wait_ms(5000);
	assert_false(alpha->busy[0]);
	assert_int_equal(status_of(beta).disk_error, 0);
	release(alpha);
	start(beta);
	assert_true(request(beta, 0, REQUEST_READ, 0));
	assert_int_equal(beta->answered[0], 0);
}

/* ---- both at the same moment, each for the other's ---- */

static void holder_is(struct node *n)
{
	pair_new(NULL);
	start(n);
	assert_true(request(n, 0, REQUEST_WRITE, 0));
	assert_int_equal(n->answered[0], 0);
}

static void detach_is_asked_for(struct node *n)
{
	n->commanded = 1;
	replicate_command(n->core, COMMAND_DETACH, now_ms);
}

static void submit(struct node *n, unsigned int tag, enum request_op op, uint64_t sector)
{
	struct request *req = &n->guest[tag];

	assert_true(replicate_request(n->core, now_ms));
	req->op = op;
	req->sector = sector;
	req->sectors = op == REQUEST_FLUSH ? 0 : 8;
	n->busy[tag] = true;
	n->answered[tag] = 1;
	replicate_submit(n->core, req, now_ms);
}

/* The node that takes its disk back, or finds that it cannot, closes the connection. */
static void meet(void)
{
	run();
	for (int i = 0; i < 10 && !linked; i++)
		join();
	assert_true(linked);
}

static void one_disk(struct node *with, struct node *without)
{
	assert_int_equal(status_of(with).connection, CONNECTION_CONNECTED);
	assert_int_equal(status_of(with).disk, DISK_UP_TO_DATE);
	assert_int_equal(status_of(with).peer_disk, DISK_DISKLESS);
	assert_int_equal(status_of(without).disk, DISK_DISKLESS);
	assert_int_equal(status_of(without).peer_disk, DISK_UP_TO_DATE);
}

static void goes_on(struct node *holder)
{
	assert_string_equal(status_of(holder).frozen, "");
	assert_true(request(holder, 7, REQUEST_WRITE, 512));
	assert_int_equal(holder->answered[7], 0);
	assert_true(request(holder, 7, REQUEST_READ, 0));
	assert_int_equal(holder->answered[7], 0);
}

static void the_holders_disk_is_taken_back(struct node *first, struct node *second, struct node *holder)
{
	struct node *other = holder == alpha ? beta : alpha;

	holder_is(holder);
	detach_is_asked_for(first);
	detach_is_asked_for(second);
	meet();
	one_disk(holder, other);
	assert_int_equal(holder->commanded, -EPERM);
	says(holder->words, "alpha");
	says(holder->words, "gave their disks up at the same moment, and that of");
	says(holder->words, "try again when");
	assert_int_equal(other->commanded, 0);
	assert_int_equal(holder->handler[HANDLER_PRI_ON_INCON_DEGR], 0);
	goes_on(holder);
	assert_int_equal(holder->at_disk[7], 2);
	crash(other, false); /* it is opened again: what was written meanwhile is copied to it */
	boot(other);
	join();
	wait_ms(5000);
	assert_int_equal(status_of(other).disk, DISK_UP_TO_DATE);
	assert_int_equal(status_of(holder).out_of_sync, 0);
}

static void of_two_disks_that_are_given_up_at_once_the_holders_is_taken_back(void **state)
{
	(void)state;
	the_holders_disk_is_taken_back(alpha, beta, alpha);
	pair_free(NULL);
	the_holders_disk_is_taken_back(beta, alpha, alpha);
	pair_free(NULL);
	the_holders_disk_is_taken_back(alpha, beta, beta);
	pair_free(NULL);
	the_holders_disk_is_taken_back(beta, alpha, beta);
}

static void also_without_a_guest(void **state)
{
	(void)state;
	pair_new(NULL);
	detach_is_asked_for(beta);
	detach_is_asked_for(alpha);
	meet();
	one_disk(alpha, beta);
	start(beta);
	assert_true(request(beta, 0, REQUEST_WRITE, 0));
	assert_int_equal(beta->answered[0], 0);
}

/* At the disk, at the partner, in the log's queue, behind another one: all of them end, and on that disk. */
static void what_was_in_flight_is_done_on_the_disk_that_was_taken_back(void **state)
{
	(void)state;
	holder_is(alpha);
	submit(alpha, 1, REQUEST_WRITE, 0);    /* its extent is in the log */
	submit(alpha, 2, REQUEST_WRITE, 4);    /* behind that one */
	submit(alpha, 3, REQUEST_READ, 8);     /* behind that one */
	submit(alpha, 4, REQUEST_FLUSH, 0);
	submit(alpha, 5, REQUEST_READ, 1024);
	detach_is_asked_for(alpha);
	detach_is_asked_for(beta);
	meet();
	one_disk(alpha, beta);
	for (unsigned int tag = 1; tag <= 5; tag++) {
		assert_false(alpha->busy[tag]);
		assert_int_equal(alpha->answered[tag], 0);
		assert_true(alpha->at_disk[tag] > 0);
	}
	assert_true(status_of(alpha).out_of_sync > 0);
	goes_on(alpha);
}

static void small_extents(struct replicate_config *cfg)
{
	cfg->extent_sectors = 64;
}

static void what_waited_for_the_log_waits_for_it_again(void **state)
{
	(void)state;
	pair_new(small_extents);
	start(alpha);
	assert_true(request(alpha, 0, REQUEST_WRITE, 0));
	submit(alpha, 1, REQUEST_WRITE, 640);
	submit(alpha, 2, REQUEST_WRITE, 1280); /* not in the transaction that is being written */
	assert_int_equal(status_of(alpha).logging, 2);
	detach_is_asked_for(alpha);
	detach_is_asked_for(beta);
	run();
	assert_int_equal(alpha->at_disk[1] + alpha->at_disk[2], 0);
	linked = true;
	connection++;
	replicate_connected(alpha->core, now_ms);
	replicate_connected(beta->core, now_ms);
	while (first_event != last_event) {
		happen();
		for (unsigned int tag = 1; tag <= 2; tag++) /* its extent stays in the log while it is at the disk */
			assert_true(!alpha->at_disk[tag] || !alpha->busy[tag] || alpha->guest[tag].flags & REQUEST_LOGGED);
	}
	meet();
	one_disk(alpha, beta);
	assert_int_equal(alpha->answered[1], 0);
	assert_int_equal(alpha->at_disk[1], 1);
	assert_int_equal(alpha->answered[2], 0);
	assert_int_equal(status_of(alpha).log_used, 3);
}

static void a_disk_that_has_failed_is_not_taken_back_but_the_other_one_is(void **state)
{
	(void)state;
	holder_is(alpha);
	alpha->disk_fails = true;
	submit(alpha, 1, REQUEST_WRITE, 0);
	detach_is_asked_for(beta);
	meet();
	one_disk(beta, alpha);
	assert_int_equal(beta->commanded, -EPERM);
	assert_int_equal(alpha->answered[1], 0);
	goes_on(alpha);
	assert_int_equal(alpha->at_disk[7], 0);
}

/* The failure comes after the word. */
static void a_disk_that_fails_what_it_still_had_is_not_taken_back(void **state)
{
	(void)state;
	holder_is(alpha);
	alpha->disk_fails = true;
	submit(alpha, 1, REQUEST_WRITE, 0);
	detach_is_asked_for(alpha);
	detach_is_asked_for(beta);
	meet();
	one_disk(beta, alpha);
	assert_int_equal(alpha->commanded, 0);
	assert_int_equal(beta->commanded, -EPERM);
	goes_on(alpha);
}

static void with_disk_timeout(struct replicate_config *cfg)
{
	cfg->disk_timeout_ms = 3000;
}

static void a_disk_that_hangs_is_not_taken_back_but_the_other_one_is(void **state)
{
	(void)state;
	pair_new(with_disk_timeout);
	start(alpha);
	assert_true(request(alpha, 0, REQUEST_WRITE, 0));
	alpha->disk_hangs = true;
	submit(alpha, 1, REQUEST_WRITE, 0);
	now_ms += 3000;
	replicate_tick(alpha->core, now_ms);
	detach_is_asked_for(beta);
	meet();
	one_disk(beta, alpha);
	assert_int_equal(alpha->answered[1], 0);
	goes_on(alpha);
}

/* Without disk-timeout nothing says that it hangs; but a person who gives up a disk that does not end what it has will know why. */
static void nor_is_one_that_was_slow_when_it_was_given_up(void **state)
{
	(void)state;
	holder_is(alpha);
	alpha->disk_hangs = true;
	submit(alpha, 1, REQUEST_WRITE, 0);
	now_ms += 1500;
	detach_is_asked_for(alpha);
	detach_is_asked_for(beta);
	meet();
	one_disk(beta, alpha);
	wait_ms(20000);
	assert_int_equal(alpha->commanded, 0);
	assert_int_equal(alpha->answered[1], 0);
}

static void if_both_have_failed_the_guest_waits_in_words_until_one_is_opened_again(void **state)
{
	(void)state;
	holder_is(alpha);
	alpha->disk_hangs = beta->disk_hangs = true;
	submit(alpha, 1, REQUEST_WRITE, 0);
	replicate_command(alpha->core, COMMAND_DETACH_FORCE, now_ms);
	replicate_command(beta->core, COMMAND_DETACH_FORCE, now_ms);
	meet();
	wait_ms(600000);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(status_of(&nodes[i]).disk, DISK_DISKLESS);
		assert_int_equal(status_of(&nodes[i]).connection, CONNECTION_REFUSED);
		says(status_of(&nodes[i]).why, "the disks on both nodes have failed or are detached");
		says(status_of(&nodes[i]).why, "'backend-ctl attach r0' there opens it");
	}
	says(status_of(alpha).frozen, "'backend-ctl status r0' says why, and what to do");
	assert_true(alpha->busy[1]);
	assert_int_equal(alpha->handler[HANDLER_PRI_ON_INCON_DEGR], 1);
	beta->disk_hangs = false;
	crash(beta, false);
	boot(beta);
	join();
	one_disk(beta, alpha);
	assert_false(alpha->busy[1]);
	assert_int_equal(alpha->answered[1], 0);
	goes_on(alpha);
}

/* ---- or the partner goes ---- */

static void a_disk_is_taken_back_when_the_partner_is_lost_before_the_two_have_met_without_it(void **state)
{
	(void)state;
	holder_is(alpha);
	detach_is_asked_for(alpha);
	run();
	assert_false(linked);
	wait_ms(1999);
	assert_int_equal(alpha->commanded, 1);
	assert_int_equal(status_of(alpha).disk, DISK_DISKLESS);
	assert_true(status_of(alpha).returnable);
	says(status_of(alpha).frozen, "the local disk has failed or is detached");
	wait_ms(1);
	assert_int_equal(alpha->commanded, -EPERM);
	says(alpha->words, "the connection with beta was lost");
	assert_int_equal(status_of(alpha).disk, DISK_UP_TO_DATE);
	assert_int_equal(alpha->handler[HANDLER_PRI_ON_INCON_DEGR], 0);
	goes_on(alpha);
	join();
	wait_ms(5000);
	assert_int_equal(status_of(beta).disk, DISK_UP_TO_DATE);
}

static void nor_after_detach_force(void **state)
{
	(void)state;
	holder_is(alpha);
	alpha->disk_hangs = true;
	submit(alpha, 1, REQUEST_WRITE, 0);
	detach_is_asked_for(alpha);
	run();
	assert_true(status_of(alpha).returnable);
	assert_int_equal(command(alpha, COMMAND_DETACH_FORCE), 0);
	assert_false(status_of(alpha).returnable);
	wait_ms(60000);
	assert_int_equal(status_of(alpha).disk, DISK_DISKLESS);
	join();
	one_disk(beta, alpha);
	assert_int_equal(alpha->answered[1], 0);
}

static void one_that_has_failed_is_not(void **state)
{
	(void)state;
	holder_is(alpha);
	alpha->disk_fails = true;
	submit(alpha, 1, REQUEST_WRITE, 0);
	run();
	assert_false(linked);
	wait_ms(600000);
	assert_int_equal(status_of(alpha).disk, DISK_DISKLESS);
	assert_false(status_of(alpha).returnable);
	assert_true(alpha->busy[1]);
	join();
	assert_int_equal(alpha->answered[1], 0);
}

static void nor_is_one_without_which_the_two_have_met(void **state)
{
	(void)state;
	holder_is(alpha);
	detach(alpha);
	assert_true(request(alpha, 1, REQUEST_WRITE, 0));
	assert_false(status_of(alpha).returnable);
	cut();
	wait_ms(600000);
	assert_int_equal(status_of(alpha).disk, DISK_DISKLESS);
	join();
	one_disk(beta, alpha);
}

/* The superblock is being written when detach is said, and the partner is lost before that has ended. */
static void a_partner_that_is_lost_before_the_disk_is_given_up_keeps_it(void **state)
{
	(void)state;
	pair_new(NULL);
	claim(alpha);
	replicate_activate(alpha->core, "guest g1", true, now_ms);
	assert_true(!replicate_request(alpha->core, now_ms)); /* its first one: what it needs is being made durable */
	detach_is_asked_for(alpha);
	assert_int_equal(alpha->commanded, 1);
	cut();
	run();
	assert_int_equal(alpha->commanded, -EPERM);
	says(alpha->words, "not connected");
	assert_int_equal(status_of(alpha).disk, DISK_UP_TO_DATE);
}

/* A superblock that failed to be written may be on disk all the same: here one that says that every block is there. */
static void what_a_failed_superblock_may_say_is_not_contradicted_by_an_answer(void **state)
{
	(void)state;
	pair_new(pass_on);
	start(alpha);
	alpha->disk_fails = true;
	assert_true(request(alpha, 0, REQUEST_WRITE, 0));
	wait_ms(1500);
	assert_int_equal(alpha->answered[0], 0);
	assert_int_equal(status_of(alpha).disk, DISK_INCONSISTENT);
	alpha->disk_fails = false;
	alpha->metadata_hang = true;
	wait_ms(20000);
	assert_true(alpha->hanging_sb.flags & SB_CONSISTENT); /* the block was copied back, and that is being noted */
	alpha->disk_hangs = true;
	assert_true(request(alpha, 1, REQUEST_WRITE, 64));
	replicate_superblock_done(alpha->core, -EIO, now_ms);
	disk_ends(alpha, -EIO);
	assert_int_equal(alpha->answered[1], 1);
	alpha->metadata_hang = false;
	wait_ms(5000);
	assert_int_equal(alpha->answered[1], 0);
}

#define TEST(name) cmocka_unit_test_teardown(name, pair_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_partners_writes_that_a_disk_has_failed_are_forgotten_with_it),
		TEST(of_two_disks_that_are_given_up_at_once_the_holders_is_taken_back),
		TEST(also_without_a_guest),
		TEST(what_was_in_flight_is_done_on_the_disk_that_was_taken_back),
		TEST(what_waited_for_the_log_waits_for_it_again),
		TEST(a_disk_that_has_failed_is_not_taken_back_but_the_other_one_is),
		TEST(a_disk_that_fails_what_it_still_had_is_not_taken_back),
		TEST(a_disk_that_hangs_is_not_taken_back_but_the_other_one_is),
		TEST(nor_is_one_that_was_slow_when_it_was_given_up),
		TEST(if_both_have_failed_the_guest_waits_in_words_until_one_is_opened_again),
		TEST(a_disk_is_taken_back_when_the_partner_is_lost_before_the_two_have_met_without_it),
		TEST(one_that_has_failed_is_not),
		TEST(nor_after_detach_force),
		TEST(nor_is_one_without_which_the_two_have_met),
		TEST(a_partner_that_is_lost_before_the_disk_is_given_up_keeps_it),
		TEST(what_a_failed_superblock_may_say_is_not_contradicted_by_an_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
