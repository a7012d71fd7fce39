/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest's discard, in pieces (discard.c). */
#include "tests/unit/core-fixture.h"

#define EXTENT 64u

/* What went over the wire to beta. */
static struct { unsigned int discards, secure, data, most; uint32_t sectors; } sent;

static void small_extents(struct replicate_config *cfg)
{
	cfg->extent_sectors = EXTENT;
	cfg->offer.discard = 1;
	cfg->offer.discard_unit = 12;
}

static void older(struct replicate_config *cfg)
{
	small_extents(cfg);
	cfg->extent_sectors = SECTORS;
	if (!strcmp(cfg->self_host, "beta"))
		cfg->offer.discard = cfg->offer.discard_unit = 0;
}

static void secure(struct replicate_config *cfg)
{
	small_extents(cfg);
	cfg->offer.discard_secure = 1;
}

static void errors(struct replicate_config *cfg)
{
	small_extents(cfg);
	cfg->detach = false;
	cfg->io_error = true;
}

static void whole_extents(struct replicate_config *cfg)
{
	small_extents(cfg);
	cfg->extent_sectors = SECTORS;
	cfg->detach = false;
}

/* One event after the other, and what of them is a packet that changes beta's data. */
static void run_counting(void)
{
	while (first_event != last_event) {
		const struct event *e = &events[first_event % EVENTS];

		if (e->what == EVENT_PACKET && e->node == beta && e->packet.type == PACKET_DISCARD) {
			sent.discards++;
			sent.secure += e->packet.discard.secure;
			sent.sectors += e->packet.discard.sectors;
			sent.most = e->packet.discard.sectors > sent.most ? e->packet.discard.sectors : sent.most;
		} else if (e->what == EVENT_PACKET && e->node == beta && e->packet.type == PACKET_DATA &&
			   (e->packet.data.id & 0xffff) >= REQUESTS_MAX + COPIES_MAX) {
			assert_int_equal(e->payload[0], 0);
			assert_memory_equal(e->payload, e->payload + 1, e->packet.payload - 1);
			assert_int_equal(e->packet.data.sector, sent.sectors);
			sent.data++;
			sent.sectors += e->packet.data.sectors;
			sent.most = e->packet.data.sectors > sent.most ? e->packet.data.sectors : sent.most;
		}
		happen();
	}
}

static struct request *submit_discard(struct node *n, unsigned int tag, uint64_t sector, uint32_t sectors, bool secure)
{
	struct request *req = &n->guest[tag];

	assert_false(n->busy[tag]);
	replicate_request(n->core, now_ms);
	run();
	assert_true(replicate_request(n->core, now_ms));
	free(req->data);
	*req = (struct request){ .tag = (uint16_t)tag, .op = REQUEST_DISCARD, .sector = sector, .sectors = sectors, .secure = secure };
	n->busy[tag] = true;
	n->answered[tag] = 1;
	memset(&sent, 0, sizeof(sent));
	replicate_submit(n->core, req, now_ms);
	return req;
}

/* `held`: nothing happens yet. */
static void discard(struct node *n, unsigned int tag, uint64_t sector, uint32_t sectors, bool held)
{
	submit_discard(n, tag, sector, sectors, false);
	if (!held)
		run_counting();
}

/* Until it is answered, or nothing happens any more without time. */
static void erase(struct node *n, unsigned int tag, uint64_t sector, uint32_t sectors)
{
	alpha->erased = beta->erased = alpha->discarded = beta->discarded = 0;
	submit_discard(n, tag, sector, sectors, true);
	run_counting();
	wait_ms(1);
}

static void submit(struct node *n, unsigned int tag, enum request_op op, uint64_t sector)
{
	n->guest[tag].op = op;
	n->guest[tag].sector = sector;
	n->guest[tag].sectors = 8;
	n->busy[tag] = true;
	n->answered[tag] = 1;
	replicate_submit(n->core, &n->guest[tag], now_ms);
}

static void it_is_answered_once_when_its_last_piece_is_done(void **state)
{
	(void)state;
	pair_new(small_extents);
	start(alpha);
	discard(alpha, 0, 40, 20 * EXTENT, false);
	assert_int_equal(alpha->answered[0], 0);
	assert_int_equal(sent.discards, 21); /* 24 sectors up to the first boundary, 19 extents, and what is left */
	assert_int_equal(sent.sectors, 20 * EXTENT);
	assert_int_equal(sent.most, EXTENT);
	assert_int_equal(sent.data, 0);
	assert_int_equal(status_of(alpha).discards, 1);
	assert_int_equal(status_of(alpha).discarded_sectors, 20 * EXTENT);
	assert_int_equal(status_of(alpha).out_of_sync, 0);
	assert_int_equal(status_of(beta).peer_writes, 0);
}

static void pieces_that_are_under_way_are_few(void **state)
{
	(void)state;
	pair_new(small_extents);
	start(alpha);
	discard(alpha, 0, 0, 40 * EXTENT, true);
	assert_int_equal(status_of(alpha).logging, PIECES_MAX);
	submit(alpha, 1, REQUEST_WRITE, 60 * EXTENT); /* and another request's extent finds a place */
	run_counting();
	assert_int_equal(alpha->answered[0], 0);
	assert_int_equal(alpha->answered[1], 0);
	assert_int_equal(sent.discards, 40);
}

static void what_overlaps_it_waits_for_all_of_it(void **state)
{
	(void)state;
	pair_new(small_extents);
	start(alpha);
	assert_true(request(alpha, 2, REQUEST_WRITE, 0)); /* the first extent is in the log */
	beta->disk_hangs = true;
	discard(alpha, 0, 0, EXTENT, false);
	submit(alpha, 1, REQUEST_WRITE, 8);
	submit(alpha, 3, REQUEST_READ, 16);
	submit(alpha, 4, REQUEST_READ, EXTENT);
	run();
	assert_true(alpha->busy[0] && alpha->busy[1] && alpha->busy[3]);
	assert_int_equal(alpha->at_disk[3], 0);
	assert_false(alpha->busy[4]);
	assert_int_equal(status_of(alpha).queued, 2);
	disk_ends(beta, 0);
	assert_int_equal(alpha->answered[0], 0);
	assert_int_equal(alpha->answered[1], 0);
	assert_int_equal(alpha->answered[3], 0);
}

static void it_waits_for_what_it_overlaps(void **state)
{
	(void)state;
	pair_new(small_extents);
	start(alpha);
	beta->disk_hangs = true;
	assert_true(request(alpha, 1, REQUEST_WRITE, 3 * EXTENT));
	discard(alpha, 0, 0, 4 * EXTENT, false);
	assert_int_equal(sent.discards, 0);
	assert_int_equal(status_of(alpha).queued, 1);
	disk_ends(beta, 0);
	assert_int_equal(alpha->answered[0], 0);
}

static void a_partner_that_knows_no_discard_is_sent_zeroes(void **state)
{
	(void)state;
	pair_new(older);
	start(alpha);
	assert_int_equal(alpha->sb.discard_unit, 0);
	discard(alpha, 0, 0, SECTORS, false); /* one extent, two packets, and a window of one */
	assert_int_equal(alpha->answered[0], 0);
	assert_int_equal(sent.discards, 0);
	assert_int_equal(sent.data, 2);
	assert_int_equal(sent.most, REQUEST_SECTORS_MAX);
	assert_int_equal(sent.sectors, SECTORS);
}

/* What it has acknowledged of a piece before counts for nothing on the next connection. */
static void a_piece_that_was_interrupted_is_sent_again_from_its_beginning(void **state)
{
	(void)state;
	pair_new(older);
	start(alpha);
	assert_true(request(alpha, 1, REQUEST_WRITE, 0));
	beta->disk_hangs = true;
	discard(alpha, 0, 0, SECTORS, false);
	assert_int_equal(sent.sectors, REQUEST_SECTORS_MAX);
	replicate_disk_done(beta->core, beta->hanging[--beta->hanging_count], 0, now_ms);
	run_counting();
	assert_int_equal(sent.sectors, SECTORS);
	replicate_partner_restarts(alpha->core, 3000, now_ms); /* so it is waited for */
	cut();
	beta->disk_hangs = false;
	replicate_disk_done(beta->core, beta->hanging[--beta->hanging_count], 0, now_ms);
	run();
	memset(&sent, 0, sizeof(sent));
	linked = true;
	connection++;
	replicate_connected(alpha->core, now_ms);
	replicate_connected(beta->core, now_ms);
	run_counting();
	assert_int_equal(sent.sectors, SECTORS);
	assert_int_equal(alpha->answered[0], 0);
}

static void what_the_partner_lacks_is_marked(void **state)
{
	(void)state;
	pair_new(small_extents);
	start(alpha);
	discard(alpha, 0, EXTENT, 3 * EXTENT, true);
	while (!status_of(alpha).local_pending)
		happen();
	assert_true(alpha->busy[0]);
	cut(); /* on its way to the partner */
	run();
	wait_ms(5000); /* it goes on alone */
	assert_int_equal(alpha->answered[0], 0);
	assert_int_equal(status_of(alpha).out_of_sync, 3 * EXTENT);
	discard(alpha, 0, 10 * EXTENT, EXTENT, false); /* alone already */
	assert_int_equal(alpha->answered[0], 0);
	assert_int_equal(status_of(alpha).out_of_sync, 4 * EXTENT);
	join();
	wait_ms(1000);
	assert_int_equal(status_of(alpha).out_of_sync, 0);
}

static void without_a_disk_the_partner_does_it_and_marks_it(void **state)
{
	(void)state;
	pair_new(small_extents);
	start(alpha);
	detach(alpha);
	discard(alpha, 0, 0, 2 * EXTENT, false);
	assert_int_equal(alpha->answered[0], 0);
	assert_int_equal(sent.discards, 2);
	assert_int_equal(status_of(beta).out_of_sync, 2 * EXTENT);
}

static void it_is_given_up_with_its_guest(void **state)
{
	(void)state;
	pair_new(small_extents);
	start(alpha);
	beta->disk_hangs = true;
	discard(alpha, 0, 0, 40 * EXTENT, true);
	for (int i = 0; i < 40; i++) /* some of it is on its way */
		if (first_event != last_event)
			happen();
	submit(alpha, 1, REQUEST_WRITE, 0);
	release(alpha);
	assert_true(alpha->busy[0]);
	assert_false(alpha->busy[1]);
	cut();
	disk_goes_on(beta);
	join();
	wait_ms(6000);
	assert_int_equal(alpha->answered[0], -ECANCELED);
	assert_true(status_of(alpha).attachment == ATTACHMENT_NONE);
}

static void an_error_ends_it_once_and_is_the_guests(void **state)
{
	(void)state;
	pair_new(errors);
	start(alpha);
	assert_true(request(alpha, 1, REQUEST_WRITE, 0));
	cut();
	alpha->disk_fails = true;
	discard(alpha, 0, 0, 40 * EXTENT, false);
	wait_ms(6000);
	assert_int_equal(alpha->answered[0], -EIO);
	assert_int_equal(status_of(alpha).local_pending, 0);
	assert_true(status_of(alpha).out_of_sync >= PIECES_MAX * EXTENT);
}

/* A piece may be larger than what OUT_OF_SYNC can name at once. */
static void one_that_our_disk_fails_is_the_partners_and_is_marked_on_both(void **state)
{
	(void)state;
	pair_new(whole_extents);
	start(alpha);
	assert_true(request(alpha, 1, REQUEST_WRITE, 0));
	alpha->disk_fails = true;
	discard(alpha, 0, 0, SECTORS, false);
	wait_ms(5000); /* that our disk is inconsistent is durable first */
	assert_int_equal(alpha->answered[0], 0);
	assert_int_equal(status_of(alpha).connection, CONNECTION_CONNECTED);
	assert_int_equal(status_of(alpha).disk, DISK_INCONSISTENT);
	assert_int_equal(status_of(alpha).out_of_sync, SECTORS);
	assert_int_equal(status_of(beta).out_of_sync, SECTORS);
	alpha->disk_fails = false;
	wait_ms(20000);
	assert_int_equal(status_of(alpha).disk, DISK_UP_TO_DATE);
	assert_int_equal(status_of(beta).out_of_sync, 0);
}

static void both_offer_it_or_nobody_is_offered_it(void **state)
{
	(void)state;
	pair_new(small_extents);
	assert_int_equal(alpha->sb.discard_unit, 12);
	assert_int_equal(beta->sb.discard_unit, 12);
	assert_int_equal(alpha->sb.agreed.discard, 0); /* nothing that an older program would hold against its partner */
	crash(beta, false);
	beta->cfg.offer.discard_unit = 16; /* another disk */
	boot(beta);
	join();
	assert_int_equal(alpha->sb.discard_unit, 16);
	assert_int_equal(beta->sb.discard_unit, 16);
	crash(beta, false);
	beta->cfg.offer.discard_unit = 0;
	boot(beta);
	join();
	assert_int_equal(alpha->sb.discard_unit, 0);
	assert_int_equal(beta->sb.discard_unit, 0);
}

/* ---- secure ones ---- */

static void a_secure_one_is_done_when_both_disks_have_erased_all_of_it(void **state)
{
	(void)state;
	pair_new(secure);
	start(alpha);
	erase(alpha, 0, 40, 20 * EXTENT);
	assert_int_equal(alpha->answered[0], 0);
	assert_int_equal(sent.discards, 21);
	assert_int_equal(sent.secure, 21);
	assert_int_equal(alpha->erased, 20 * EXTENT);
	assert_int_equal(beta->erased, 20 * EXTENT);
	discard(alpha, 0, 0, 2 * EXTENT, false); /* an ordinary one beside it */
	assert_int_equal(alpha->answered[0], 0);
	assert_int_equal(sent.secure, 0);
	assert_int_equal(beta->erased, 20 * EXTENT);
}

/* So that disk-timeout is about one erasure. */
static void secure_pieces_are_done_one_at_a_time(void **state)
{
	(void)state;
	pair_new(secure);
	start(alpha);
	beta->disk_hangs = true;
	submit_discard(alpha, 0, 0, 4 * EXTENT, true);
	submit_discard(alpha, 1, 10 * EXTENT, 4 * EXTENT, true);
	run();
	assert_int_equal(beta->hanging_count, 1);
	assert_int_equal(status_of(alpha).peer_pending, 1);
	discard(alpha, 2, 20 * EXTENT, 4 * EXTENT, false); /* others need not wait for them */
	assert_int_equal(beta->hanging_count, 5);
	disk_goes_on(beta);
	for (unsigned int i = 0; i < 3; i++)
		assert_false(alpha->busy[i]);
	assert_int_equal(alpha->erased, 8 * EXTENT);
}

/* The data are the same on both, whichever could not erase them; only the guest hears of it. */
static void a_disk_that_does_not_erase_is_an_error_for_the_guest_and_nothing_else(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		pair_new(secure);
		start(alpha);
		nodes[i].erase_rc = -EIO;
		erase(alpha, 0, 0, 3 * EXTENT);
		assert_int_equal(alpha->answered[0], -EIO);
		assert_int_equal(alpha->discarded, EXTENT); /* and no more is begun */
		assert_int_equal(beta->discarded, EXTENT);
		assert_int_equal(nodes[!i].erased, EXTENT);
		assert_int_equal(status_of(alpha).out_of_sync, 0);
		assert_int_equal(status_of(alpha).discards, 0);
		assert_true(status_of(alpha).disk == DISK_UP_TO_DATE && status_of(beta).disk == DISK_UP_TO_DATE);
		nodes[i].erase_rc = 0;
		erase(alpha, 0, 0, 3 * EXTENT);
		assert_int_equal(alpha->answered[0], 0);
		pair_free(state);
	}
	pair_new(secure);
}

/* What is not there cannot be erased: the data stay, for another try. */
static void without_the_partner_a_secure_one_is_refused_and_nothing_is_done(void **state)
{
	(void)state;
	pair_new(secure);
	start(alpha);
	cut();
	submit(alpha, 1, REQUEST_WRITE, 0);
	run();
	wait_ms(5000);
	assert_int_equal(alpha->answered[1], 0); /* it goes on alone */
	erase(alpha, 0, 0, 3 * EXTENT);
	assert_int_equal(alpha->answered[0], -EIO);
	assert_int_equal(alpha->discarded, 0);
	alpha->disk_hangs = true;
	submit(alpha, 1, REQUEST_WRITE, 0);
	run();
	submit_discard(alpha, 0, 0, 3 * EXTENT, true); /* behind another request */
	submit(alpha, 2, REQUEST_WRITE, 8);
	disk_ends(alpha, 0);
	wait_ms(1);
	assert_int_equal(alpha->answered[0], -EIO);
	assert_int_equal(alpha->answered[2], 0);
	assert_int_equal(alpha->discarded, 0);
	assert_int_equal(status_of(alpha).out_of_sync, 16);
	join();
	erase(alpha, 0, 0, 3 * EXTENT);
	assert_int_equal(alpha->answered[0], 0);
	assert_int_equal(beta->erased, 3 * EXTENT);
}

/* It may be erased already, and not zeroed. */
static void what_an_earlier_daemon_may_have_begun_is_discarded_even_if_it_cannot_be_erased(void **state)
{
	(void)state;
	pair_new(secure);
	start(alpha);
	cut();
	submit(alpha, 1, REQUEST_WRITE, 0);
	run();
	wait_ms(5000);
	alpha->discarded = alpha->erased = 0;
	submit_discard(alpha, 0, 0, EXTENT, true);
	run();
	wait_ms(1);
	assert_int_equal(alpha->answered[0], -EIO);
	assert_int_equal(alpha->discarded, 0);
	alpha->guest[0] = (struct request){ .op = REQUEST_DISCARD, .sectors = EXTENT, .secure = true, .again = true };
	alpha->busy[0] = true;
	replicate_submit(alpha->core, &alpha->guest[0], now_ms);
	run();
	assert_int_equal(alpha->answered[0], -EIO);
	assert_int_equal(alpha->discarded, EXTENT);
	assert_int_equal(status_of(alpha).out_of_sync, EXTENT);
}

static void without_our_disk_a_secure_one_is_refused(void **state)
{
	(void)state;
	pair_new(secure);
	start(alpha);
	detach(alpha);
	erase(alpha, 0, 0, 2 * EXTENT);
	assert_int_equal(alpha->answered[0], -EIO);
	assert_int_equal(beta->discarded, 0);
}

/* Nothing that is lost on the way to the partner was erased there. */
static void a_secure_one_whose_partner_goes_meanwhile_ends_with_an_error_and_is_marked(void **state)
{
	(void)state;
	pair_new(secure);
	start(alpha);
	assert_true(request(alpha, 1, REQUEST_WRITE, 0)); /* the extent is in the log */
	beta->disk_hangs = true;
	erase(alpha, 0, 0, EXTENT);
	assert_true(alpha->busy[0]);
	assert_int_equal(alpha->erased, EXTENT);
	cut();
	run();
	wait_ms(5000);
	assert_int_equal(alpha->answered[0], -EIO);
	assert_int_equal(status_of(alpha).out_of_sync, EXTENT);
	disk_goes_on(beta);
}

/* Sent again, as it was. */
static void a_secure_one_goes_on_with_the_next_connection(void **state)
{
	(void)state;
	pair_new(secure);
	start(alpha);
	assert_true(request(alpha, 1, REQUEST_WRITE, 0));
	beta->disk_hangs = true;
	erase(alpha, 0, 0, EXTENT);
	replicate_partner_restarts(alpha->core, 3000, now_ms);
	cut();
	disk_goes_on(beta);
	linked = true;
	connection++;
	replicate_connected(alpha->core, now_ms);
	replicate_connected(beta->core, now_ms);
	memset(&sent, 0, sizeof(sent));
	run_counting();
	assert_int_equal(sent.secure, 1);
	assert_int_equal(alpha->answered[0], 0);
}

/* The guest was offered them when both could. */
static void beside_a_disk_that_cannot_erase_a_secure_one_is_refused(void **state)
{
	(void)state;
	pair_new(secure);
	start(alpha);
	crash(beta, false);
	beta->cfg.offer.discard_secure = 0; /* another disk */
	boot(beta);
	join();
	erase(alpha, 0, 0, EXTENT);
	assert_int_equal(alpha->answered[0], -EIO);
	assert_int_equal(alpha->discarded | beta->discarded, 0);
}

/* A daemon that finds its guest does not know what its partner can: the guest waits for the partner, and hears no error for that. */
static void before_the_partner_is_known_a_secure_one_waits_for_it(void **state)
{
	const struct claimant g1 = { .who = "guest g1" };

	(void)state;
	for (int able = 0; able < 2; able++) {
		pair_new(secure);
		start(alpha);
		assert_true(request(alpha, 1, REQUEST_WRITE, 0));
		crash(alpha, false);
		boot(alpha);
		beta->cfg.offer.discard_secure = (uint8_t)able;
		crash(beta, false);
		boot(beta);
		replicate_adopt(alpha->core, &g1, &alpha->kept, now_ms);
		replicate_activate(alpha->core, g1.who, true, now_ms);
		run();
		erase(alpha, 0, 0, EXTENT);
		assert_true(alpha->busy[0]);
		join();
		run_counting();
		assert_int_equal(alpha->answered[0], able ? 0 : -EIO);
		assert_int_equal(beta->erased, able ? EXTENT : 0);
		assert_int_equal(beta->discarded, EXTENT);
		assert_int_equal(status_of(alpha).out_of_sync, 0);
		pair_free(state);
	}
	pair_new(secure);
}

static void both_can_erase_or_nobody_is_offered_it(void **state)
{
	(void)state;
	pair_new(secure);
	assert_int_equal(alpha->sb.discard_secure, 1);
	assert_int_equal(beta->sb.discard_secure, 1);
	assert_int_equal(alpha->sb.agreed.discard_secure, 0);
	crash(beta, false);
	beta->cfg.offer.discard_secure = 0;
	boot(beta);
	join();
	assert_int_equal(alpha->sb.discard_secure, 0);
	assert_int_equal(beta->sb.discard_secure, 0);
	assert_int_equal(alpha->sb.discard_unit, 12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(it_is_answered_once_when_its_last_piece_is_done, pair_free),
		cmocka_unit_test_teardown(pieces_that_are_under_way_are_few, pair_free),
		cmocka_unit_test_teardown(what_overlaps_it_waits_for_all_of_it, pair_free),
		cmocka_unit_test_teardown(it_waits_for_what_it_overlaps, pair_free),
		cmocka_unit_test_teardown(a_partner_that_knows_no_discard_is_sent_zeroes, pair_free),
		cmocka_unit_test_teardown(a_piece_that_was_interrupted_is_sent_again_from_its_beginning, pair_free),
		cmocka_unit_test_teardown(what_the_partner_lacks_is_marked, pair_free),
		cmocka_unit_test_teardown(without_a_disk_the_partner_does_it_and_marks_it, pair_free),
		cmocka_unit_test_teardown(it_is_given_up_with_its_guest, pair_free),
		cmocka_unit_test_teardown(an_error_ends_it_once_and_is_the_guests, pair_free),
		cmocka_unit_test_teardown(one_that_our_disk_fails_is_the_partners_and_is_marked_on_both, pair_free),
		cmocka_unit_test_teardown(both_offer_it_or_nobody_is_offered_it, pair_free),
		cmocka_unit_test_teardown(a_secure_one_is_done_when_both_disks_have_erased_all_of_it, pair_free),
		cmocka_unit_test_teardown(secure_pieces_are_done_one_at_a_time, pair_free),
		cmocka_unit_test_teardown(a_disk_that_does_not_erase_is_an_error_for_the_guest_and_nothing_else, pair_free),
		cmocka_unit_test_teardown(without_the_partner_a_secure_one_is_refused_and_nothing_is_done, pair_free),
		cmocka_unit_test_teardown(what_an_earlier_daemon_may_have_begun_is_discarded_even_if_it_cannot_be_erased, pair_free),
		cmocka_unit_test_teardown(without_our_disk_a_secure_one_is_refused, pair_free),
		cmocka_unit_test_teardown(a_secure_one_whose_partner_goes_meanwhile_ends_with_an_error_and_is_marked, pair_free),
		cmocka_unit_test_teardown(a_secure_one_goes_on_with_the_next_connection, pair_free),
		cmocka_unit_test_teardown(beside_a_disk_that_cannot_erase_a_secure_one_is_refused, pair_free),
		cmocka_unit_test_teardown(before_the_partner_is_known_a_secure_one_waits_for_it, pair_free),
		cmocka_unit_test_teardown(both_can_erase_or_nobody_is_offered_it, pair_free),
	};

	return cmocka_run_group_tests_name("discard", tests, NULL, NULL);
}
