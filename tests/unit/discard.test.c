/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest's discard, in pieces (discard.c). */
#include "tests/unit/core-fixture.h"

#define EXTENT 64u

/* What went over the wire to beta. */
static struct { unsigned int discards, data, most; uint32_t sectors; } sent;

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

static void errors(struct replicate_config *cfg)
{
	small_extents(cfg);
	cfg->detach = false;
	cfg->io_error = true;
}

/* One event after the other, and what of them is a packet that changes beta's data. */
static void run_counting(void)
{
	while (first_event != last_event) {
		const struct event *e = &events[first_event % EVENTS];

		if (e->what == EVENT_PACKET && e->node == beta && e->packet.type == PACKET_DISCARD) {
			sent.discards++;
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

/* `held`: nothing happens yet. */
static struct request *discard(struct node *n, unsigned int tag, uint64_t sector, uint32_t sectors, bool held)
{
	struct request *req = &n->guest[tag];

	assert_false(n->busy[tag]);
	replicate_request(n->core, now_ms);
	run();
	assert_true(replicate_request(n->core, now_ms));
	free(req->data);
	*req = (struct request){ .tag = (uint16_t)tag, .op = REQUEST_DISCARD, .sector = sector, .sectors = sectors };
	n->busy[tag] = true;
	n->answered[tag] = 1;
	memset(&sent, 0, sizeof(sent));
	replicate_submit(n->core, req, now_ms);
	if (!held)
		run_counting();
	return req;
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
		cmocka_unit_test_teardown(both_offer_it_or_nobody_is_offered_it, pair_free),
	};

	return cmocka_run_group_tests_name("discard", tests, NULL, NULL);
}
