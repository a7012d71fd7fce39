/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * No disk has the guest's data: it is frozen, or, with on-no-data-accessible io-error, gets an error, and nothing that was acknowledged
 * suffers (docs/DEGRADED.md, D18).
 */
#include "core-fixture.h"

#define CERTAIN_MS 2000u /* after which a connection that was lost counts as lost */

static void io_error(struct replicate_config *cfg)
{
	cfg->io_error = true;
}

static void io_error_pass_on(struct replicate_config *cfg)
{
	cfg->io_error = true;
	cfg->detach = false;
}

static void io_error_and_stonith(struct replicate_config *cfg)
{
	cfg->io_error = true;
	cfg->fencing = FENCING_RESOURCE_AND_STONITH;
}

static void io_error_and_disk_timeout(struct replicate_config *cfg)
{
	cfg->io_error = true;
	cfg->disk_timeout_ms = 1000;
	cfg->extent_sectors = 1024;
}

/* alpha's guest runs on beta's disk. */
static void diskless(void (*configure)(struct replicate_config *cfg))
{
	pair_new(configure);
	start(alpha);
	assert_true(request(alpha, 0, REQUEST_WRITE, 0));
	detach(alpha);
	assert_int_equal(status_of(alpha).disk, DISK_DISKLESS);
	assert_true(request(alpha, 0, REQUEST_WRITE, 0));
	assert_int_equal(alpha->answered[0], 0);
}

static bool marked(struct node *n)
{
	return status_of(n).out_of_sync;
}

static void by_default_the_guest_is_frozen_and_sees_no_error(void **state)
{
	(void)state;
	diskless(NULL);
	cut();
	wait_ms(600000);
	assert_false(request(alpha, 0, REQUEST_READ, 0));
	says(status_of(alpha).frozen, "the local disk has failed or is detached, and the partner beta is not connected");
	assert_string_equal(status_of(alpha).failing, "");
	join();
	assert_true(request(alpha, 0, REQUEST_READ, 0));
	assert_int_equal(alpha->answered[0], 0);
}

static void errors_begin_when_the_loss_is_certain_and_end_with_it(void **state)
{
	(void)state;
	diskless(io_error);
	linked = false; /* the request is lost on its way */
	assert_true(request(alpha, 0, REQUEST_WRITE, 0));
	assert_true(request(alpha, 1, REQUEST_READ, 64));
	assert_true(request(alpha, 2, REQUEST_FLUSH, 0));
	assert_true(request(alpha, 3, REQUEST_WRITE, 0)); /* behind the first one */
	linked = true;
	cut();
	wait_ms(CERTAIN_MS - 1);
	for (int i = 0; i < 4; i++)
		assert_true(alpha->busy[i]);
	says(status_of(alpha).frozen, "the local disk has failed");
	wait_ms(1);
	for (int i = 0; i < 4; i++) {
		assert_false(alpha->busy[i]);
		assert_int_equal(alpha->answered[i], -EIO);
	}
	assert_string_equal(status_of(alpha).frozen, "");
	says(status_of(alpha).failing, "the local disk has failed or is detached, and the partner beta is not connected");
	assert_int_equal(status_of(alpha).failing_since_ms, now_ms);
	assert_true(request(alpha, 0, REQUEST_WRITE, 0)); /* a new one, too, but not from within its submission */
	assert_true(alpha->busy[0]);
	wait_ms(1);
	assert_int_equal(alpha->answered[0], -EIO);
	join();
	assert_string_equal(status_of(alpha).failing, "");
	for (int i = 0; i < 4; i++) {
		assert_true(request(alpha, (unsigned int)i, i == 2 ? REQUEST_FLUSH : i ? REQUEST_WRITE : REQUEST_READ, 8));
		assert_int_equal(alpha->answered[i], 0);
	}
}

static void a_disk_that_fails_while_the_partner_is_good_is_no_error(void **state)
{
	(void)state;
	pair_new(io_error);
	start(alpha);
	alpha->disk_fails = true;
	assert_true(request(alpha, 0, REQUEST_WRITE, 0));
	run();
	assert_true(alpha->busy[0]); /* it waits for the meeting without that disk */
	join();
	wait_ms(5000);
	assert_int_equal(alpha->answered[0], 0);
	assert_int_equal(status_of(alpha).disk, DISK_DISKLESS);
	assert_string_equal(status_of(alpha).failing, "");
}

/* The target of a resync, Primary, with one block left to be copied: its own disk has the write, the source may or may not. */
static void a_write_that_failed_is_out_of_sync(void **state)
{
	uint64_t before;

	(void)state;
	pair_new(io_error_pass_on);
	start(alpha);
	assert_true(request(alpha, 0, REQUEST_WRITE, 0));
	assert_int_equal(command(alpha, COMMAND_PAUSE_SYNC), 0);
	alpha->disk_fails = true;
	assert_true(request(alpha, 0, REQUEST_READ, 64)); /* healed from the partner's, when the resync goes on */
	assert_int_equal(alpha->answered[0], 0);
	alpha->disk_fails = false;
	assert_int_equal(status_of(alpha).disk, DISK_INCONSISTENT);
	before = status_of(alpha).out_of_sync;
	linked = false;
	assert_true(request(alpha, 1, REQUEST_WRITE, 512));
	linked = true;
	cut();
	wait_ms(CERTAIN_MS);
	assert_int_equal(alpha->answered[1], -EIO);
	assert_true(status_of(alpha).out_of_sync > before);
	assert_true(request(alpha, 1, REQUEST_WRITE, 1024)); /* never begun: nothing differs for that */
	before = status_of(alpha).out_of_sync;
	wait_ms(1);
	assert_int_equal(alpha->answered[1], -EIO);
	join();
	assert_int_equal(command(alpha, COMMAND_RESUME_SYNC), 0);
	wait_ms(5000);
	assert_int_equal(status_of(alpha).disk, DISK_UP_TO_DATE);
	assert_int_equal(status_of(alpha).out_of_sync, 0);
	assert_true(status_of(alpha).copied_sectors >= before);
}

/* The only disk fails a request: that one fails, the disk is still used. */
static void what_the_only_disk_fails_is_an_error(void **state)
{
	(void)state;
	pair_new(io_error);
	start(alpha);
	assert_true(request(alpha, 0, REQUEST_WRITE, 0));
	cut();
	run();
	alpha->disk_fails = true;
	assert_true(request(alpha, 0, REQUEST_READ, 0));
	assert_int_equal(alpha->answered[0], -EIO);
	assert_true(request(alpha, 1, REQUEST_WRITE, 8));
	assert_int_equal(alpha->answered[1], -EIO);
	assert_true(marked(alpha));
	assert_true(request(alpha, 2, REQUEST_FLUSH, 0));
	assert_int_equal(alpha->answered[2], -EIO);
	alpha->disk_fails = false;
	assert_true(request(alpha, 0, REQUEST_READ, 0));
	assert_int_equal(alpha->answered[0], 0);
}

/* In the moment in which the partner is away, and the guest waits for its fencing: it comes back, so nothing failed, and both have the write. */
static void what_the_disk_failed_while_the_partner_was_away_is_tried_again_when_it_is_back(void **state)
{
	struct request *req = &alpha->guest[1];

	(void)state;
	pair_new(io_error_and_stonith);
	start(alpha);
	assert_true(request(alpha, 0, REQUEST_WRITE, 0));
	*req = (struct request){ .tag = 1, .op = REQUEST_WRITE, .sector = 8, .sectors = 8, .data = req->data };
	alpha->busy[1] = true;
	alpha->answered[1] = 1;
	replicate_submit(alpha->core, req, now_ms);
	alpha->disk_fails = true;
	cut();
	run();
	assert_true(alpha->busy[1]);
	alpha->disk_fails = false;
	join();
	assert_true(alpha->busy[1]); /* the disk has not been asked again yet */
	wait_ms(5000);
	assert_int_equal(alpha->answered[1], 0);
	assert_int_equal(status_of(alpha).disk_error, 0);
	assert_int_equal(status_of(alpha).out_of_sync, 0);
	assert_int_equal(status_of(alpha).disk, DISK_UP_TO_DATE);
}

static void by_default_what_the_only_disk_fails_is_tried_again(void **state)
{
	(void)state;
	pair_new(NULL);
	start(alpha);
	assert_true(request(alpha, 0, REQUEST_WRITE, 0));
	cut();
	run();
	alpha->disk_fails = true;
	assert_true(request(alpha, 0, REQUEST_READ, 0));
	wait_ms(5000);
	assert_true(alpha->busy[0]);
	alpha->disk_fails = false;
	wait_ms(1000);
	assert_int_equal(alpha->answered[0], 0);
}

static void what_neither_disk_can_read_is_an_error(void **state)
{
	(void)state;
	diskless(io_error);
	beta->disk_fails = true;
	assert_true(request(alpha, 0, REQUEST_READ, 0));
	assert_int_equal(alpha->answered[0], -EIO);
	beta->disk_fails = false;
	assert_true(request(alpha, 0, REQUEST_READ, 0));
	assert_int_equal(alpha->answered[0], 0);
}

/* A disk that another one has overtaken is not read, even if that would work. */
static void an_outdated_disk_is_not_read(void **state)
{
	(void)state;
	pair_new(io_error_and_stonith);
	start(alpha);
	assert_true(request(alpha, 0, REQUEST_WRITE, 0));
	cut();
	wait_ms(CERTAIN_MS);
	handled(alpha, FENCE_PEER_IS_PRIMARY);
	assert_true(request(alpha, 0, REQUEST_READ, 0));
	wait_ms(1);
	assert_int_equal(alpha->answered[0], -EIO);
	says(status_of(alpha).failing, "the partner is Primary");
}

static void a_guest_that_waits_for_fencing_gets_no_error(void **state)
{
	(void)state;
	pair_new(io_error_and_stonith);
	start(alpha);
	assert_true(request(alpha, 0, REQUEST_WRITE, 0));
	linked = false;
	assert_true(request(alpha, 1, REQUEST_WRITE, 16));
	linked = true;
	cut();
	wait_ms(60000);
	assert_true(alpha->busy[1]);
	assert_false(request(alpha, 0, REQUEST_READ, 0));
	handled(alpha, FENCE_FENCED_STONITHED);
	assert_int_equal(alpha->answered[1], 0);
}

/* The partner has never heard of it, and the metadata were given up: the log on the medium still says so to a later daemon. */
static void a_write_that_failed_is_out_of_sync_also_if_the_metadata_are_lost(void **state)
{
	(void)state;
	pair_new(io_error_and_disk_timeout);
	start(alpha);
	assert_true(request(alpha, 0, REQUEST_WRITE, 0));
	linked = false; /* it is on alpha's disk alone */
	assert_true(request(alpha, 1, REQUEST_WRITE, 16));
	alpha->log_hangs = true;
	assert_true(request(alpha, 2, REQUEST_WRITE, 2048)); /* its extent cannot be logged */
	alpha->log_hangs = false;
	linked = true;
	wait_ms(1000);
	assert_int_equal(status_of(alpha).disk, DISK_DISKLESS);
	wait_ms(CERTAIN_MS);
	assert_int_equal(alpha->answered[1], -EIO);
	release(alpha);
	join();
	assert_true(alpha->sb.flags & SB_IN_USE);
	crash(alpha, false);
	boot(alpha);
	join();
	wait_ms(5000);
	assert_int_equal(status_of(alpha).disk, DISK_UP_TO_DATE);
	assert_true(status_of(alpha).copied_sectors + status_of(beta).copied_sectors >= 8);
}

/* Its ring was looked at in vain while they were meeting: it is looked at again. */
static void a_meeting_that_comes_to_nothing_is_over_for_the_guest(void **state)
{
	unsigned int before;

	(void)state;
	diskless(io_error);
	cut();
	wait_ms(CERTAIN_MS);
	assert_true(request(alpha, 0, REQUEST_READ, 0));
	wait_ms(1);
	assert_int_equal(alpha->answered[0], -EIO);
	replicate_connected(alpha->core, now_ms);
	assert_false(request(alpha, 0, REQUEST_READ, 0));
	before = alpha->resumed;
	replicate_disconnected(alpha->core, "the link is cut", now_ms);
	assert_true(alpha->resumed > before);
}

static void a_guest_that_is_gone_leaves_nothing_behind(void **state)
{
	(void)state;
	diskless(io_error);
	linked = false;
	assert_true(request(alpha, 0, REQUEST_WRITE, 0));
	linked = true;
	cut();
	release(alpha);
	assert_int_equal(status_of(alpha).attachment, ATTACHMENT_RELEASING);
	wait_ms(CERTAIN_MS);
	assert_int_equal(status_of(alpha).attachment, ATTACHMENT_NONE);
}

static unsigned int told(const struct node *n)
{
	return n->handler[HANDLER_PRI_ON_INCON_DEGR];
}

/* The handler may reboot this host. */
static void pri_on_incon_degr_is_run_once_when_the_loss_is_certain(void **state)
{
	(void)state;
	diskless(NULL); /* nor for the meeting without that disk */
	for (unsigned int loss = 0; loss < 2; loss++) {
		cut();
		wait_ms(CERTAIN_MS - 1);
		assert_int_equal(told(alpha), loss);
		wait_ms(1);
		assert_int_equal(told(alpha), loss + 1);
		wait_ms(600000);
		assert_int_equal(told(alpha), loss + 1);
		join();
		assert_int_equal(told(alpha), loss + 1);
	}
	assert_int_equal(told(beta), 0);
}

/* Forced, so that whose the token is has to be settled first; a moment's freeze. */
static void pri_on_incon_degr_is_not_run_while_the_two_meet(void **state)
{
	(void)state;
	pair_new(NULL);
	start(alpha);
	assert_true(request(alpha, 0, REQUEST_WRITE, 0));
	crash(alpha, true);
	wait_ms(60000);
	assert_int_equal(command(beta, COMMAND_PROMOTE), 0);
	start(beta);
	assert_true(request(beta, 0, REQUEST_WRITE, 0));
	boot(alpha);
	join();
	wait_ms(60000);
	assert_int_equal(status_of(alpha).disk, DISK_UP_TO_DATE);
	assert_int_equal(told(beta), 0);
}

static void pri_on_incon_degr_is_run_with_errors_too(void **state)
{
	(void)state;
	diskless(io_error);
	cut();
	wait_ms(600000);
	assert_int_equal(told(alpha), 1);
	release(alpha);
	assert_int_equal(told(alpha), 1);
}

static void pri_on_incon_degr_is_run_when_the_partners_disk_is_not_good_either(void **state)
{
	(void)state;
	diskless(NULL);
	crash(beta, true);
	beta->sb.flags &= ~(uint32_t)SB_CONSISTENT;
	boot(beta);
	join();
	assert_int_equal(status_of(alpha).connection, CONNECTION_REFUSED);
	wait_ms(CERTAIN_MS);
	assert_int_equal(told(alpha), 1);
}

#define TEST(name) cmocka_unit_test_teardown(name, pair_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(by_default_the_guest_is_frozen_and_sees_no_error),
		TEST(errors_begin_when_the_loss_is_certain_and_end_with_it),
		TEST(a_disk_that_fails_while_the_partner_is_good_is_no_error),
		TEST(a_write_that_failed_is_out_of_sync),
		TEST(what_the_only_disk_fails_is_an_error),
		TEST(what_the_disk_failed_while_the_partner_was_away_is_tried_again_when_it_is_back),
		TEST(by_default_what_the_only_disk_fails_is_tried_again),
		TEST(what_neither_disk_can_read_is_an_error),
		TEST(an_outdated_disk_is_not_read),
		TEST(a_guest_that_waits_for_fencing_gets_no_error),
		TEST(a_write_that_failed_is_out_of_sync_also_if_the_metadata_are_lost),
		TEST(a_meeting_that_comes_to_nothing_is_over_for_the_guest),
		TEST(a_guest_that_is_gone_leaves_nothing_behind),
		TEST(pri_on_incon_degr_is_run_once_when_the_loss_is_certain),
		TEST(pri_on_incon_degr_is_not_run_while_the_two_meet),
		TEST(pri_on_incon_degr_is_run_with_errors_too),
		TEST(pri_on_incon_degr_is_run_when_the_partners_disk_is_not_good_either),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
