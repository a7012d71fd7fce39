/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A disk becomes larger under its guest: what both nodes know of it, whatever ends in the middle (backend/resize.c).
 */
#include "core-fixture.h"

#define LARGER 8200u /* the last page, and the last but one, are partial */

/* Pages of 512 sectors: what is new has pages of its own. */
static void small_pages(struct replicate_config *cfg)
{
	cfg->page_blocks = 64;
}

static void volumes(uint64_t a, uint64_t b)
{
	alpha->volume = a;
	beta->volume = b;
}

/* The bitmap's pages beyond the end of the disk may hold anything. */
static void pair_of(void (*pages)(struct replicate_config *cfg))
{
	pair_new(pages);
	volumes(LARGER, LARGER);
	for (unsigned int page = pages ? SECTORS / 512 : 1; page < PAGES; page++) {
		memset(alpha->pages[page], 0xff, BITMAP_PAGE);
		memset(beta->pages[page], 0xff, BITMAP_PAGE);
	}
}

static void pair_to_grow(void)
{
	pair_of(small_pages);
}

static uint64_t sectors_of(const struct node *n)
{
	assert_int_equal(status_of(n).superblock.agreed.sectors, n->sb.agreed.sectors);
	return n->sb.agreed.sectors;
}

static void both_have(uint64_t sectors)
{
	assert_int_equal(sectors_of(alpha), sectors);
	assert_int_equal(sectors_of(beta), sectors);
}

static void in_sync(void)
{
	wait_ms(5000);
	for (int i = 0; i < 2; i++) {
		struct replicate_status s = status_of(&nodes[i]);

		assert_int_equal(s.connection, CONNECTION_CONNECTED);
		assert_int_equal(s.disk, DISK_UP_TO_DATE);
		assert_int_equal(s.peer_disk, DISK_UP_TO_DATE);
		assert_int_equal(s.sync, SYNC_STATE_OFF);
		assert_int_equal(s.out_of_sync, 0);
		assert_true(nodes[i].sb.full_from == METADATA_NO_FULL);
		assert_true(s.attachment != ATTACHMENT_NONE || s.superblock.flags & SB_BITMAP_SUMMED);
	}
}

/* Of what is new one of the two has got every block of the other. */
static void was_copied(uint64_t from, uint64_t to)
{
	for (uint64_t block = from / 8; block < (to + 7) / 8; block++)
		if (!alpha->written[block] && !beta->written[block])
			fail_msg("block %llu was not copied", (unsigned long long)block);
}

static bool nothing_was_written(const struct node *n)
{
	for (unsigned int i = 0; i < BLOCKS; i++)
		if (n->written[i])
			return false;
	return true;
}

static void refused(struct node *n, enum command c, const char *words)
{
	assert_true(command(n, c) < 0);
	says(n->words, words);
	assert_true(first_event == last_event);
	assert_int_equal(status_of(n).connection, linked ? CONNECTION_CONNECTED : CONNECTION_DISCONNECTED);
}

/* ---- it grows ---- */

static void both_know_and_what_is_new_is_copied(void **state)
{
	(void)state;
	pair_to_grow();
	start(alpha);
	assert_int_equal(command(alpha, COMMAND_RESIZE), 0);
	says(alpha->words, "8200 sectors");
	both_have(LARGER);
	in_sync();
	was_copied(SECTORS, LARGER);
	assert_false(beta->written[0]);
	assert_true(nothing_was_written(alpha));
	assert_true(request(alpha, 0, REQUEST_WRITE, LARGER - 8));
	assert_int_equal(alpha->answered[0], 0);
	assert_true(beta->written[(LARGER - 8) / 8]);
}

static void the_lesser_of_both_volumes_counts(void **state)
{
	(void)state;
	pair_to_grow();
	volumes(LARGER, 6000);
	assert_int_equal(command(alpha, COMMAND_RESIZE), 0);
	both_have(6000);
	volumes(LARGER, LARGER);
	in_sync();
	assert_int_equal(command(alpha, COMMAND_RESIZE), 0);
	both_have(LARGER);
	in_sync();
	was_copied(SECTORS, LARGER);
}

static void within_the_last_page(void **state)
{
	(void)state;
	pair_of(NULL);
	volumes(SECTORS + 8, SECTORS + 8);
	assert_int_equal(command(alpha, COMMAND_RESIZE), 0);
	both_have(SECTORS + 8);
	in_sync();
	was_copied(SECTORS, SECTORS + 8);
	assert_false(beta->written[SECTORS / 8 - 1]);
}

static void assumed_to_be_the_same_nothing_is_copied(void **state)
{
	(void)state;
	pair_to_grow();
	start(alpha);
	assert_int_equal(command(alpha, COMMAND_RESIZE_CLEAN), 0);
	assert_int_equal(status_of(beta).disk, DISK_UP_TO_DATE);
	both_have(LARGER);
	in_sync();
	assert_true(nothing_was_written(alpha) && nothing_was_written(beta));
}

/* Before that its guest could write there. */
static void the_holder_is_the_last_to_know(void **state)
{
	(void)state;
	pair_to_grow();
	replicate_command(alpha->core, COMMAND_RESIZE, now_ms);
	while (first_event != last_event) {
		assert_true(alpha->sb.agreed.sectors <= beta->sb.agreed.sectors);
		happen();
	}
	both_have(LARGER);
}

/* A node that would be alone with a hole in its data must not be started on. */
static void what_is_new_is_not_whole_before_it_is_copied(void **state)
{
	(void)state;
	pair_to_grow();
	assert_int_equal(command(alpha, COMMAND_PAUSE_SYNC), 0);
	assert_int_equal(command(alpha, COMMAND_RESIZE), 0);
	assert_int_equal(status_of(beta).disk, DISK_INCONSISTENT);
	assert_int_equal(status_of(alpha).peer_disk, DISK_INCONSISTENT);
	assert_int_equal(status_of(alpha).sync, SYNC_STATE_PAUSED_SOURCE);
	assert_int_equal(status_of(beta).sync, SYNC_STATE_PAUSED_TARGET);
	assert_int_equal(status_of(alpha).out_of_sync, LARGER - SECTORS);
	assert_int_equal(status_of(beta).out_of_sync, LARGER - SECTORS);
	assert_int_equal(command(alpha, COMMAND_RESUME_SYNC), 0);
	in_sync();
}

/* ---- and it does not ---- */

static void what_stands_in_the_way_is_said(void **state)
{
	(void)state;
	pair_to_grow();
	refused(beta, COMMAND_RESIZE, "run 'backend-ctl resize r0' there");
	refused(beta, COMMAND_RESIZE_CLEAN, "run 'backend-ctl resize --assume-clean r0' there");
	volumes(SECTORS, LARGER);
	refused(alpha, COMMAND_RESIZE, "alpha has not become larger");
	volumes(SECTORS - 8, LARGER);
	refused(alpha, COMMAND_RESIZE, "alpha has become smaller");
	volumes(LARGER, SECTORS);
	refused(alpha, COMMAND_RESIZE, "on beta: the volume has 4096 sectors (2 MiB), not more than before");
	volumes(LARGER, LARGER);
	beta->cannot_grow = "its metadata are internal";
	refused(alpha, COMMAND_RESIZE, "on beta: its metadata are internal");
	beta->cannot_grow = NULL;
	alpha->cannot_grow = "its metadata are internal";
	refused(alpha, COMMAND_RESIZE, "on alpha: its metadata are internal");
	alpha->cannot_grow = NULL;
	cut();
	refused(alpha, COMMAND_RESIZE, "beta is not connected");
	both_have(SECTORS);
	join();
	assert_int_equal(command(alpha, COMMAND_RESIZE), 0);
}

static void both_have_to_be_up_to_date(void **state)
{
	(void)state;
	pair_to_grow();
	assert_int_equal(command(alpha, COMMAND_PAUSE_SYNC), 0);
	assert_int_equal(command(beta, COMMAND_INVALIDATE), 0);
	join();
	refused(alpha, COMMAND_RESIZE, "on alpha a resync is under way");
	assert_int_equal(command(alpha, COMMAND_RESUME_SYNC), 0);
	in_sync();
	detach(beta);
	refused(alpha, COMMAND_RESIZE, "on beta the disk is not up to date");
	both_have(SECTORS);
}

static void a_lost_connection_is_an_answer(void **state)
{
	(void)state;
	pair_to_grow();
	alpha->commanded = 1;
	replicate_command(alpha->core, COMMAND_RESIZE, now_ms);
	cut();
	run();
	assert_int_equal(alpha->commanded, -ENOTCONN);
	says(alpha->words, "try again");
	join();
	both_have(SECTORS);
	assert_int_equal(command(alpha, COMMAND_RESIZE), 0);
	in_sync();
}

/* ---- whatever ends in the middle ---- */

enum end { END_CUT, END_ALPHA, END_BETA, END_BOTH, ENDS };

static void end_so(enum end end)
{
	cut();
	if (end == END_ALPHA || end == END_BOTH)
		crash(alpha, true);
	if (end == END_BETA || end == END_BOTH)
		crash(beta, true);
	run();
	for (int i = 0; i < 2; i++)
		if (!nodes[i].core) {
			nodes[i].cfg.offer.sectors = nodes[i].volume; /* it is measured when it is opened */
			boot(&nodes[i]);
		}
}

/* True: it had ended before. */
static bool ends_after(void (*pages)(struct replicate_config *cfg), unsigned int steps, enum end end, bool clean, bool guest)
{
	bool over;

	pair_of(pages);
	if (guest)
		start(alpha);
	replicate_command(alpha->core, clean ? COMMAND_RESIZE_CLEAN : COMMAND_RESIZE, now_ms);
	for (unsigned int i = 0; i < steps && first_event != last_event; i++)
		happen();
	over = first_event == last_event;
	end_so(end);
	for (int i = 0; i < 5 && (!linked || status_of(alpha).connection != CONNECTION_CONNECTED); i++)
		join();
	assert_int_equal(sectors_of(alpha), sectors_of(beta));
	in_sync();
	if (!clean && sectors_of(alpha) > SECTORS)
		was_copied(SECTORS, LARGER);
	if (sectors_of(alpha) == SECTORS) { /* what has not happened can be done */
		assert_int_equal(command(alpha, COMMAND_RESIZE), 0);
		in_sync();
	}
	both_have(LARGER);
	pair_free(NULL);
	return over;
}

static void at_each_step(enum end end, bool guest)
{
	for (int one_page = 0; one_page < 2; one_page++)
		for (int clean = 0; clean < 2; clean++)
			for (unsigned int steps = 0; !ends_after(one_page ? NULL : small_pages, steps, end, clean, guest); steps++)
				assert_true(steps < 1000);
}

static void both_have_one_size_and_the_same_data(void **state)
{
	(void)state;
	for (int end = 0; end < ENDS; end++)
		at_each_step((enum end)end, false);
	pair_new(NULL);
}

static void under_a_guest_that_goes_on_alone(void **state)
{
	(void)state;
	at_each_step(END_CUT, true);
	at_each_step(END_BETA, true);
	pair_new(NULL);
}

/* The same write that makes it part of the disk marks what is new: no page of the bitmap is waited for. */
static void no_page_of_the_bitmap_is_needed_for_that(void **state)
{
	(void)state;
	for (int one_page = 0; one_page < 2; one_page++) {
		pair_of(one_page ? NULL : small_pages);
		assert_int_equal(command(alpha, COMMAND_PAUSE_SYNC), 0);
		alpha->log_hangs = beta->log_hangs = true;
		assert_int_equal(command(alpha, COMMAND_RESIZE), 0);
		both_have(LARGER);
		alpha->log_hangs = beta->log_hangs = false;
		end_so(END_BOTH);
		join();
		in_sync();
		was_copied(SECTORS, LARGER);
		pair_free(NULL);
	}
	pair_new(NULL);
}

/* The partner has the larger size, and its volume is not that large any more when it is back: nothing is written beyond its end. */
static void a_volume_that_is_too_small_again_is_refused(void **state)
{
	(void)state;
	pair_to_grow();
	replicate_command(alpha->core, COMMAND_RESIZE, now_ms);
	while (beta->sb.agreed.sectors == SECTORS)
		happen();
	crash(alpha, true);
	run();
	alpha->cfg.offer.sectors = SECTORS;
	boot(alpha);
	join();
	assert_int_equal(status_of(alpha).connection, CONNECTION_REFUSED);
	says(status_of(alpha).why, "the disk on alpha offers less than is needed (4096 of 8200 sectors");
	says(status_of(beta).why, "the disk on alpha offers less than is needed");
	assert_int_equal(sectors_of(alpha), SECTORS);
}

/* ---- a volume that is larger than its partner's from the beginning ---- */

static void unequal_and_new(struct replicate_config *cfg)
{
	cfg->page_blocks = 64;
	cfg->offer.sectors = cfg->first ? LARGER : SECTORS;
}

static void what_a_larger_volume_has_beyond_the_disk_is_let_alone(void **state)
{
	(void)state;
	now_ms = 100000;
	pair_new(unequal_and_new);
	assert_int_equal(status_of(alpha).connection, CONNECTION_REFUSED); /* declared identical, and they are not */
	for (int i = 0; i < 2; i++) {
		crash(&nodes[i], true);
		nodes[i].sb.flags &= ~(SB_CONSISTENT | SB_BITMAP_SUMMED);
		nodes[i].sb.full_from = 0;
	}
	boot(alpha);
	boot(beta);
	join();
	both_have(SECTORS);
	assert_int_equal(command(alpha, COMMAND_PROMOTE), 0);
	join();
	in_sync();
	was_copied(0, SECTORS);
	for (unsigned int block = SECTORS / 8; block < BLOCKS; block++)
		assert_false(alpha->written[block] || beta->written[block]);
	volumes(LARGER, LARGER);
	assert_int_equal(command(alpha, COMMAND_RESIZE), 0);
	in_sync();
	was_copied(SECTORS, LARGER);
}

/* ---- a volume that is not what was agreed on any more ---- */

static void no_guest_is_started_on(uint64_t sectors, uint32_t block_size, const char *words)
{
	pair_new(NULL);
	crash(beta, false);
	crash(alpha, false);
	alpha->cfg.offer.sectors = sectors;
	alpha->cfg.offer.block_size = block_size;
	boot(alpha);
	wait_ms(20000); /* the partner is not there: that would be said otherwise */
	claim(alpha);
	assert_int_equal(alpha->claimed, -EPERM);
	says(alpha->words, words);
	says(alpha->words, "restore its size or kind, then 'backend-ctl down r0' and 'backend-ctl up r0'");
	assert_int_equal(command(alpha, COMMAND_PROMOTE), 0); /* a person may say whose data count, but not what is not there */
	claim(alpha);
	assert_int_equal(alpha->claimed, -EPERM);
	pair_free(NULL);
}

static void no_guest_is_started_on_a_volume_with_less_than_was_agreed(void **state)
{
	(void)state;
	no_guest_is_started_on(SECTORS - 8, 512, "agreed on 4096 sectors and blocks of 512 bytes, and its volume has 4088 sectors");
	no_guest_is_started_on(SECTORS, 4096, "blocks of 512 bytes, and its volume has 4096 sectors and blocks of 4096 bytes");
	pair_new(NULL);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_teardown(f, pair_free)
	const struct CMUnitTest tests[] = {
		TEST(both_know_and_what_is_new_is_copied),
		TEST(the_lesser_of_both_volumes_counts),
		TEST(within_the_last_page),
		TEST(assumed_to_be_the_same_nothing_is_copied),
		TEST(the_holder_is_the_last_to_know),
		TEST(what_is_new_is_not_whole_before_it_is_copied),
		TEST(what_stands_in_the_way_is_said),
		TEST(both_have_to_be_up_to_date),
		TEST(a_lost_connection_is_an_answer),
		TEST(both_have_one_size_and_the_same_data),
		TEST(under_a_guest_that_goes_on_alone),
		TEST(no_page_of_the_bitmap_is_needed_for_that),
		TEST(a_volume_that_is_too_small_again_is_refused),
		TEST(what_a_larger_volume_has_beyond_the_disk_is_let_alone),
		TEST(no_guest_is_started_on_a_volume_with_less_than_was_agreed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
