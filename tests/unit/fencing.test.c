/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The partner is fenced before a guest goes on without it (backend/fence.c, docs/DEGRADED.md section 4): each answer of fence-peer, when it is
 * asked, and what it is good for; and a partner that leaves in good order, which need not be fenced (backend/leave.c).
 */
#include "core-fixture.h"

#define SOON_MS 2000u /* after which a partner that is lost is fenced */

static void resource_only(struct replicate_config *cfg)
{
	cfg->fencing = FENCING_RESOURCE_ONLY;
}

static void stonith(struct replicate_config *cfg)
{
	cfg->fencing = FENCING_RESOURCE_AND_STONITH;
}

static void stonith_without_handler(struct replicate_config *cfg)
{
	cfg->fencing = FENCING_RESOURCE_AND_STONITH;
	cfg->handlers = 0;
}

/* alpha's guest has written, and beta is lost. */
static void lose_beta(void (*configure)(struct replicate_config *cfg))
{
	pair_new(configure);
	start(alpha);
	assert_true(request(alpha, 0, REQUEST_WRITE, 0));
	assert_false(alpha->busy[0]);
	cut();
	run();
}

static bool frozen(struct node *n)
{
	return status_of(n).frozen[0];
}

/* What each verdict does to a guest that is frozen, and what stays on disk. */
static void each_verdict_under_stonith(void **state)
{
	static const struct {
		enum fence_verdict verdict;
		bool goes_on, for_good, outdated;
	} rows[] = {
		{ FENCE_PEER_INCONSISTENT, true, true, false },	   { FENCE_FENCED_OUTDATED, true, true, false },
		{ FENCE_FENCED_UNREACHABLE, true, false, false },  { FENCE_UNREACHABLE, false, false, false },
		{ FENCE_PEER_IS_PRIMARY, false, false, true },	   { FENCE_FENCED_STONITHED, true, true, false },
		{ FENCE_BROKEN, false, false, false },		   { FENCE_LATE, false, false, false },
		{ FENCE_NOT_RUN, false, false, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		lose_beta(stonith);
		assert_false(request(alpha, 0, REQUEST_READ, 0)); /* not even a read */
		says(status_of(alpha).frozen, "its fencing begins in a moment");
		wait_ms(SOON_MS);
		assert_int_equal(alpha->handler[HANDLER_FENCE_PEER], 1);
		says(status_of(alpha).frozen, "its fencing is under way");
		says(status_of(alpha).frozen, "backend-ctl resume-io r0");
		assert_int_equal(status_of(alpha).fence_since_ms, now_ms);
		handled(alpha, rows[i].verdict);
		assert_int_equal(status_of(alpha).fence, rows[i].goes_on ? FENCE_DONE : FENCE_FAILED);
		says(status_of(alpha).fence_why, handler_fence_words(rows[i].verdict));
		assert_int_equal(request(alpha, 0, REQUEST_WRITE, 8), rows[i].goes_on);
		assert_int_equal(!alpha->busy[0], true);
		assert_int_equal(status_of(alpha).alone, rows[i].goes_on);
		assert_int_equal(!!(alpha->sb.flags & SB_PEER_OUTDATED), rows[i].for_good);
		assert_int_equal(!!(alpha->sb.flags & SB_OUTDATED), rows[i].outdated);
		if (!rows[i].goes_on)
			says(status_of(alpha).frozen, handler_fence_words(rows[i].verdict));
		wait_ms(60000);
		assert_int_equal(alpha->handler[HANDLER_FENCE_PEER], 1);
		pair_free(NULL);
	}
	pair_new(NULL); /* for the teardown */
}

static void a_write_in_flight_is_answered_only_when_the_partner_is_fenced(void **state)
{
	(void)state;
	pair_new(stonith);
	start(alpha);
	assert_true(request(alpha, 0, REQUEST_WRITE, 0));
	linked = false; /* packets are lost, nobody knows yet */
	assert_true(request(alpha, 1, REQUEST_WRITE, 16));
	linked = true;
	cut();
	wait_ms(60000);
	assert_true(alpha->busy[1]);
	handled(alpha, FENCE_FENCED_STONITHED);
	assert_false(alpha->busy[1]);
	assert_int_equal(alpha->answered[1], 0);
	assert_true(alpha->sb.gen.bitmap);
}

static void resource_only_lets_the_guest_go_on_while_the_handler_runs(void **state)
{
	(void)state;
	lose_beta(resource_only);
	assert_true(request(alpha, 0, REQUEST_WRITE, 8));
	assert_false(alpha->busy[0]);
	wait_ms(SOON_MS);
	assert_int_equal(alpha->handler[HANDLER_FENCE_PEER], 1);
	assert_int_equal(status_of(alpha).fence, FENCE_ASKED);
	assert_false(frozen(alpha));
	handled(alpha, FENCE_FENCED_OUTDATED);
	assert_true(alpha->sb.flags & SB_PEER_OUTDATED);
	assert_int_equal(status_of(alpha).peer_disk, DISK_OUTDATED);
}

static void an_idle_guest_has_its_partner_fenced_too(void **state)
{
	(void)state;
	lose_beta(resource_only);
	wait_ms(SOON_MS - 1);
	assert_int_equal(alpha->handler[HANDLER_FENCE_PEER], 0);
	wait_ms(1);
	assert_int_equal(alpha->handler[HANDLER_FENCE_PEER], 1);
	assert_int_equal(beta->handler[HANDLER_FENCE_PEER], 0);
}

static void without_a_guest_nobody_is_fenced(void **state)
{
	(void)state;
	lose_beta(stonith);
	release(alpha);
	wait_ms(60000);
	assert_int_equal(alpha->handler[HANDLER_FENCE_PEER] + beta->handler[HANDLER_FENCE_PEER], 0);
	pair_free(NULL);
	lose_beta(NULL); /* dont-care */
	wait_ms(60000);
	assert_int_equal(alpha->handler[HANDLER_FENCE_PEER], 0);
	assert_true(request(alpha, 0, REQUEST_WRITE, 8));
}

static void a_partner_that_is_soon_back_is_not_fenced(void **state)
{
	(void)state;
	lose_beta(stonith);
	wait_ms(SOON_MS - 1);
	join();
	assert_true(request(alpha, 0, REQUEST_WRITE, 8));
	wait_ms(60000);
	assert_int_equal(alpha->handler[HANDLER_FENCE_PEER], 0);
	assert_int_equal(alpha->handler[HANDLER_UNFENCE_PEER], 0);
}

/* Not even if it begins to meet us again and again. */
static void a_partner_that_never_gets_as_far_as_ready_is_fenced(void **state)
{
	(void)state;
	lose_beta(stonith);
	for (int i = 0; i < 4; i++) {
		wait_ms(SOON_MS / 4);
		linked = true;
		connection++;
		replicate_connected(alpha->core, now_ms);
		cut();
	}
	run();
	assert_int_equal(alpha->handler[HANDLER_FENCE_PEER], 1);
}

static void no_handler_is_a_failure_in_words(void **state)
{
	(void)state;
	lose_beta(stonith_without_handler);
	wait_ms(SOON_MS);
	says(status_of(alpha).frozen, "no handler fence-peer is configured");
	assert_int_equal(command(alpha, COMMAND_RESUME_IO), 0);
	says(alpha->words, "the partner was not fenced");
	assert_true(request(alpha, 0, REQUEST_WRITE, 8));
	assert_false(alpha->busy[0]);
}

static void an_answer_that_comes_after_the_partner_is_about_nothing(void **state)
{
	(void)state;
	lose_beta(stonith);
	wait_ms(SOON_MS);
	join();
	handled(alpha, FENCE_PEER_IS_PRIMARY);
	assert_int_equal(status_of(alpha).fence, FENCE_NOT_YET);
	assert_false(alpha->sb.flags & (SB_OUTDATED | SB_PEER_OUTDATED));
	assert_true(request(alpha, 0, REQUEST_WRITE, 8));
}

/* The old answer must not pass for the new one: the partner is alive and connected since. */
static void an_answer_to_an_earlier_loss_is_not_one_to_this(void **state)
{
	(void)state;
	lose_beta(stonith);
	wait_ms(SOON_MS);
	join();
	cut();
	wait_ms(SOON_MS);
	assert_int_equal(status_of(alpha).fence, FENCE_ASKED);
	assert_int_equal(alpha->handler[HANDLER_FENCE_PEER], 1); /* it still runs */
	handled(alpha, FENCE_FENCED_STONITHED);
	assert_int_equal(status_of(alpha).fence, FENCE_ASKED);
	assert_int_equal(alpha->handler[HANDLER_FENCE_PEER], 2);
	assert_false(request(alpha, 0, REQUEST_WRITE, 8));
	handled(alpha, FENCE_FENCED_STONITHED);
	assert_true(request(alpha, 0, REQUEST_WRITE, 8));
}

/* READY has left: the partner may count itself as met, and may promote itself again. */
/* The two have judged by what was durable before. */
static void an_answer_while_the_two_are_meeting_leaves_nothing_behind(void **state)
{
	static const enum fence_verdict answers[] = { FENCE_PEER_IS_PRIMARY, FENCE_FENCED_OUTDATED };

	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		pair_new(resource_only);
		start(alpha);
		cut();
		run();
		assert_true(request(alpha, 0, REQUEST_WRITE, 0)); /* alone: beta has to write before its READY */
		wait_ms(SOON_MS);
		claim(beta);
		linked = true;
		connection++;
		for (int k = 0; k < 2; k++)
			replicate_connected(nodes[k].core, now_ms);
		while (status_of(beta).connection != CONNECTION_SETTLING)
			happen();
		assert_int_equal(status_of(beta).fence, FENCE_ASKED);
		handled(beta, answers[i]);
		assert_int_equal(status_of(beta).connection, CONNECTION_CONNECTED);
		assert_false(beta->sb.flags & (SB_OUTDATED | SB_PEER_OUTDATED));
		assert_int_equal(status_of(beta).fence, FENCE_NOT_YET);
		pair_free(NULL);
	}
	pair_new(NULL); /* for the teardown */
}

static void a_meeting_that_breaks_after_ready_undoes_the_fencing(void **state)
{
	(void)state;
	lose_beta(stonith);
	wait_ms(SOON_MS);
	handled(alpha, FENCE_FENCED_UNREACHABLE);
	linked = true;
	connection++;
	replicate_connected(alpha->core, now_ms);
	replicate_connected(beta->core, now_ms);
	while (first_event != last_event && status_of(beta).connection != CONNECTION_CONNECTED)
		happen();
	assert_int_equal(status_of(beta).connection, CONNECTION_CONNECTED);
	cut();
	run();
	assert_false(request(alpha, 0, REQUEST_WRITE, 8));
	wait_ms(SOON_MS);
	assert_int_equal(alpha->handler[HANDLER_FENCE_PEER], 2);
}

static void unfence_follows_a_resync_or_a_meeting_without_one(void **state)
{
	(void)state;
	lose_beta(stonith);
	wait_ms(SOON_MS);
	handled(alpha, FENCE_FENCED_STONITHED);
	join(); /* nothing was written */
	assert_int_equal(alpha->handler[HANDLER_UNFENCE_PEER], 1);
	assert_false(alpha->sb.flags & SB_PEER_OUTDATED);
	cut();
	wait_ms(SOON_MS);
	handled(alpha, FENCE_FENCED_STONITHED);
	assert_true(request(alpha, 0, REQUEST_WRITE, 8));
	join();
	wait_ms(5000);
	assert_int_equal(status_of(alpha).sync, SYNC_STATE_OFF);
	assert_int_equal(alpha->handler[HANDLER_UNFENCE_PEER], 2);
	assert_int_equal(beta->handler[HANDLER_UNFENCE_PEER], 0);
}

/* ---- a guest is started without the partner ---- */

static void a_start_where_the_guest_did_not_run(void **state)
{
	(void)state;
	lose_beta(resource_only);
	crash(alpha, true);
	wait_ms(SOON_MS);
	claim(beta);
	assert_int_equal(beta->claimed, 1);
	assert_int_equal(beta->handler[HANDLER_FENCE_PEER], 1);
	handled(beta, FENCE_FENCED_STONITHED);
	assert_int_equal(beta->claimed, 0);
	assert_int_equal(beta->sb.token, TOKEN_HELD);
	assert_int_equal(beta->sb.epoch, alpha->sb.epoch + 2);
	assert_int_not_equal(beta->sb.gen.current, alpha->sb.gen.current);
	assert_false(beta->sb.flags & SB_FORCED);
	replicate_activate(beta->core, "guest g1", true, now_ms);
	run();
	assert_true(request(beta, 0, REQUEST_WRITE, 0));
	assert_false(beta->busy[0]);
	boot(alpha);
	join();
	wait_ms(5000);
	assert_int_equal(alpha->sb.token, TOKEN_NONE);
	assert_int_equal(status_of(alpha).disk, DISK_UP_TO_DATE);
}

static void a_start_is_refused_at_once_when_fencing_fails_and_asks_again_next_time(void **state)
{
	(void)state;
	lose_beta(resource_only);
	crash(alpha, true);
	wait_ms(SOON_MS);
	claim(beta);
	handled(beta, FENCE_BROKEN);
	assert_int_equal(beta->claimed, -EPERM);
	says(beta->words, "could not be fenced: the handler is broken");
	says(beta->words, "'backend-ctl primary --force r0'");
	claim(beta);
	assert_int_equal(beta->claimed, 1);
	assert_int_equal(beta->handler[HANDLER_FENCE_PEER], 2);
	wait_ms(12000);
	assert_int_equal(beta->claimed, -ETIMEDOUT);
	says(beta->words, "has been running for 12 s: try again");
	handled(beta, FENCE_FENCED_OUTDATED); /* too late for that guest, not for the next */
	claim(beta);
	assert_int_equal(beta->claimed, 0);
	assert_int_equal(beta->handler[HANDLER_FENCE_PEER], 2);
}

static void a_start_while_the_partner_is_primary_outdates_this_copy(void **state)
{
	(void)state;
	lose_beta(resource_only);
	wait_ms(SOON_MS);
	claim(beta);
	handled(beta, FENCE_PEER_IS_PRIMARY);
	assert_int_equal(beta->claimed, -EPERM);
	assert_true(beta->sb.flags & SB_OUTDATED);
	claim(beta);
	wait_ms(12000);
	assert_int_equal(beta->claimed, -ETIMEDOUT);
	says(beta->words, "this node's copy is outdated");
	says(beta->words, "'backend-ctl primary --force r0'");
	assert_int_equal(beta->handler[HANDLER_FENCE_PEER], 1);
}

static void only_who_met_the_partner_since_its_host_was_started_may_promote_itself(void **state)
{
	(void)state;
	lose_beta(resource_only);
	crash(beta, true);
	boot(beta);
	wait_ms(5000);
	claim(beta);
	wait_ms(12000);
	assert_int_equal(beta->handler[HANDLER_FENCE_PEER], 0);
	assert_int_equal(beta->claimed, -ETIMEDOUT);
	crash(beta, false); /* a daemon that is restarted knows */
	beta->kept.known = true;
	boot(beta);
	wait_ms(5000);
	claim(beta);
	assert_int_equal(beta->handler[HANDLER_FENCE_PEER], 1);
}

static void a_claim_right_after_the_daemons_start_is_looked_at_again(void **state)
{
	(void)state;
	lose_beta(NULL);
	release(alpha);
	crash(alpha, false);
	boot(alpha);
	claim(alpha);
	assert_int_equal(alpha->claimed, 1); /* the connection has its time */
	wait_ms(3000);
	assert_int_equal(alpha->claimed, 0);
}

static void the_certain_holder_fences_before_a_start(void **state)
{
	(void)state;
	lose_beta(resource_only);
	release(alpha);
	wait_ms(SOON_MS);
	claim(alpha);
	assert_int_equal(alpha->claimed, 1);
	assert_int_equal(alpha->handler[HANDLER_FENCE_PEER], 1);
	handled(alpha, FENCE_LATE);
	assert_int_equal(alpha->claimed, -EPERM);
	assert_int_equal(command(alpha, COMMAND_PROMOTE), 0);
	says(alpha->words, "counts as fenced");
	start(alpha);
	assert_true(request(alpha, 0, REQUEST_WRITE, 8));
}

static void what_was_fenced_for_good_survives_the_host(void **state)
{
	static const struct {
		enum fence_verdict verdict;
		bool granted;
	} rows[] = { { FENCE_FENCED_OUTDATED, true }, { FENCE_FENCED_UNREACHABLE, false } };
	uint64_t epoch;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		lose_beta(stonith);
		wait_ms(SOON_MS);
		handled(alpha, rows[i].verdict);
		assert_true(request(alpha, 0, REQUEST_WRITE, 8));
		epoch = alpha->sb.epoch;
		crash(alpha, true);
		boot(alpha);
		wait_ms(5000);
		claim(alpha);
		assert_int_equal(alpha->sb.epoch, epoch); /* it need not promote itself */
		assert_int_equal(alpha->claimed, rows[i].granted ? 0 : 1);
		assert_int_equal(status_of(alpha).disk, rows[i].granted ? DISK_UP_TO_DATE : DISK_CONSISTENT);
		assert_int_equal(alpha->handler[HANDLER_FENCE_PEER], 1);
		pair_free(NULL);
	}
	pair_new(NULL);
}

/* On a node that is not the certain holder: it may be said for something else, and whoever starts a guest there later has said nothing. */
static void resume_io_promotes_nobody(void **state)
{
	(void)state;
	lose_beta(stonith);
	assert_int_equal(command(beta, COMMAND_RESUME_IO), 0);
	assert_int_equal(status_of(beta).fence, FENCE_NOT_YET);
	wait_ms(SOON_MS);
	claim(beta);
	assert_int_equal(beta->claimed, 1);
	assert_int_equal(beta->handler[HANDLER_FENCE_PEER], 1);
	assert_int_equal(beta->sb.token, TOKEN_NONE);
}

static void a_forced_promotion_needs_no_handler(void **state)
{
	(void)state;
	lose_beta(stonith);
	crash(alpha, true);
	wait_ms(SOON_MS);
	assert_int_equal(command(beta, COMMAND_PROMOTE), 0);
	start(beta);
	assert_true(request(beta, 0, REQUEST_WRITE, 0));
	assert_false(beta->busy[0]);
	assert_int_equal(beta->handler[HANDLER_FENCE_PEER], 0);
}

/* ---- outdate ---- */

static void outdate_knows_who_has_the_newest_data(void **state)
{
	(void)state;
	lose_beta(NULL);
	assert_int_equal(command(alpha, COMMAND_OUTDATE), -ETXTBSY);
	says(alpha->words, "in use on alpha by guest g1");
	assert_int_equal(command(beta, COMMAND_OUTDATE), 0);
	assert_true(beta->sb.flags & SB_OUTDATED);
	assert_false(beta->kept.known);
	assert_int_equal(command(beta, COMMAND_OUTDATE), 0);
	says(beta->words, "already");
	assert_true(request(alpha, 0, REQUEST_WRITE, 8));
	release(alpha);
	assert_int_equal(command(alpha, COMMAND_OUTDATE), -ETXTBSY);
	says(alpha->words, "it went on alone");
	join();
	wait_ms(5000);
	assert_false(beta->sb.flags & SB_OUTDATED);
	assert_int_equal(command(beta, COMMAND_OUTDATE), -EISCONN);
	cut();
	assert_int_equal(command(alpha, COMMAND_OUTDATE), 0); /* an idle holder has nothing that the partner lacks */
	claim(beta);
	assert_int_equal(command(beta, COMMAND_OUTDATE), -EAGAIN); /* two starts at once must not outdate each other */
}

/* Also when neither node has a guest any more, and none has written. */
static void the_two_do_not_outdate_each_other(void **state)
{
	(void)state;
	lose_beta(stonith);
	wait_ms(SOON_MS);
	release(alpha);
	assert_int_equal(command(alpha, COMMAND_OUTDATE), -EAGAIN);
	says(alpha->words, "its partner is being fenced");
	handled(alpha, FENCE_FENCED_OUTDATED);
	assert_true(alpha->sb.flags & SB_PEER_OUTDATED);
	assert_int_equal(alpha->sb.gen.bitmap, 0);
	assert_int_equal(command(alpha, COMMAND_OUTDATE), -ETXTBSY);
	says(alpha->words, "beta is outdated");
	assert_false(alpha->sb.flags & SB_OUTDATED);
}

static void an_inconsistent_copy_is_not_even_outdated(void **state)
{
	(void)state;
	pair_new(NULL);
	assert_int_equal(command(alpha, COMMAND_PAUSE_SYNC), 0);
	assert_int_equal(command(beta, COMMAND_INVALIDATE), 0);
	join();
	cut();
	run();
	assert_false(beta->sb.flags & SB_CONSISTENT);
	assert_int_equal(command(beta, COMMAND_OUTDATE), -ENODATA);
}

/* It lacks what the partner has, whose copy is the only good one: to say "Primary" would have that outdated. */
static void a_guest_without_a_good_disk_is_not_said_to_have_the_newest_data(void **state)
{
	(void)state;
	pair_new(stonith);
	start(alpha);
	detach(alpha);
	assert_true(request(alpha, 0, REQUEST_WRITE, 0));
	cut();
	run();
	assert_int_equal(command(alpha, COMMAND_OUTDATE), -EBUSY);
	says(alpha->words, "in use on alpha by guest g1, without a disk here that is up to date");
}

/* Its metadata still say that it is good, and so would a daemon that opens it again. */
static void a_disk_that_was_detached_is_outdated_for_good(void **state)
{
	(void)state;
	pair_new(stonith);
	start(alpha);
	beta->disk_fails = true;
	assert_true(request(alpha, 0, REQUEST_WRITE, 0));
	cut();
	run();
	assert_int_equal(status_of(beta).disk, DISK_DISKLESS);
	assert_true(beta->sb.flags & SB_CONSISTENT);
	assert_int_equal(command(beta, COMMAND_OUTDATE), 0);
	assert_true(beta->sb.flags & SB_OUTDATED);
	crash(beta, false);
	boot(beta);
	assert_int_equal(status_of(beta).disk, DISK_OUTDATED);
}

/* ---- the partner leaves in good order (D20) ---- */

static void stonith_with_snapshots(struct replicate_config *cfg)
{
	stonith(cfg);
	cfg->handlers |= 1u << HANDLER_BEFORE_RESYNC_TARGET | 1u << HANDLER_BEFORE_RESYNC_SOURCE;
}

/* A guest runs on alpha, and has written. */
static void pair_in_use(void (*configure)(struct replicate_config *cfg))
{
	pair_new(configure);
	start(alpha);
	assert_true(request(alpha, 0, REQUEST_WRITE, 0));
}

/* Its daemon is told to end. */
static void leave(struct node *n)
{
	replicate_yield(n->core, now_ms);
}

/* The daemon has ended in good order, and its connection with it. */
static void gone(struct node *n)
{
	run();
	assert_false(replicate_leaving(n->core));
	crash(n, false);
}

/* The next of the packets that are on their way. */
static bool on_its_way(enum packet_type type)
{
	for (unsigned int i = first_event; i != last_event; i++)
		if (events[i % EVENTS].what == EVENT_PACKET && events[i % EVENTS].packet.type == type)
			return true;
	return false;
}

static void until_on_its_way(enum packet_type type)
{
	while (!on_its_way(type)) {
		assert_true(first_event != last_event);
		happen();
	}
}

static bool outdated(const struct node *n)
{
	return n->sb.flags & SB_OUTDATED;
}

static bool partner_outdated(const struct node *n)
{
	return n->sb.flags & SB_PEER_OUTDATED;
}

/* As if the partner had said it. */
static int hear(struct node *n, enum packet_type type, uint64_t epoch)
{
	struct packet p = { .type = type };
	int rc;

	p.used.epoch = epoch;
	rc = replicate_packet(n->core, &p, NULL, now_ms);
	run();
	return rc;
}

static void meet_again(struct node *n)
{
	boot(n);
	join();
	wait_ms(5000);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(status_of(&nodes[i]).disk, DISK_UP_TO_DATE);
		assert_int_equal(status_of(&nodes[i]).peer_disk, DISK_UP_TO_DATE);
		assert_int_equal(status_of(&nodes[i]).sync, SYNC_STATE_OFF);
		assert_int_equal(status_of(&nodes[i]).fence, FENCE_NOT_YET);
		assert_false(nodes[i].sb.flags & (SB_OUTDATED | SB_PEER_OUTDATED));
		assert_true(nodes[i].kept.known);
	}
}

static void a_partner_that_leaves_in_good_order_is_not_fenced(void **state)
{
	void (*const policies[])(struct replicate_config *cfg) = { resource_only, stonith };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		pair_in_use(policies[i]);
		leave(beta);
		gone(beta);
		assert_true(outdated(beta) && partner_outdated(alpha));
		assert_false(beta->kept.known);
		assert_int_equal(status_of(alpha).fence, FENCE_DONE);
		says(status_of(alpha).fence_why, "it left in good order, and is outdated");
		assert_int_equal(status_of(alpha).peer_disk, DISK_OUTDATED);
		assert_false(frozen(alpha));
		assert_true(request(alpha, 0, REQUEST_WRITE, 8)); /* at once */
		assert_false(alpha->busy[0]);
		wait_ms(60000);
		assert_int_equal(alpha->handler[HANDLER_FENCE_PEER], 0);
		meet_again(beta);
		cut(); /* that was about that end, and no other */
		assert_int_equal(!request(alpha, 0, REQUEST_WRITE, 8), policies[i] == stonith);
		wait_ms(SOON_MS);
		assert_int_equal(alpha->handler[HANDLER_FENCE_PEER], 1);
		pair_free(NULL);
	}
	pair_new(NULL);
}

static void it_says_so_when_its_copy_is_durably_outdated_and_not_before(void **state)
{
	(void)state;
	pair_in_use(stonith);
	leave(beta);
	assert_true(replicate_leaving(beta->core)); /* the daemon waits for that */
	assert_false(on_its_way(PACKET_LEAVING));
	while (!outdated(beta)) {
		assert_false(on_its_way(PACKET_LEAVING));
		happen();
	}
	assert_true(on_its_way(PACKET_LEAVING));
	assert_false(replicate_leaving(beta->core));
}

/* As a partner that is killed. */
static void a_partner_whose_farewell_is_lost_is_fenced(void **state)
{
	(void)state;
	pair_in_use(stonith);
	leave(beta);
	until_on_its_way(PACKET_LEAVING);
	crash(beta, false);
	assert_true(outdated(beta));
	assert_false(partner_outdated(alpha));
	assert_false(request(alpha, 0, REQUEST_WRITE, 8));
	wait_ms(SOON_MS);
	assert_int_equal(alpha->handler[HANDLER_FENCE_PEER], 1);
	handled(alpha, FENCE_FENCED_OUTDATED);
	assert_true(request(alpha, 0, REQUEST_WRITE, 8));
	meet_again(beta);
}

static void without_fencing_nobody_outdates_itself(void **state)
{
	(void)state;
	pair_in_use(NULL);
	leave(beta);
	assert_false(replicate_leaving(beta->core));
	run();
	assert_false(outdated(beta) || partner_outdated(alpha));
}

static void alpha_has_no_disk(void)
{
	detach(alpha);
}

static void beta_has_no_disk(void)
{
	detach(beta);
}

static void beta_is_a_target(void)
{
	assert_int_equal(command(alpha, COMMAND_PAUSE_SYNC), 0);
	assert_int_equal(command(beta, COMMAND_INVALIDATE), 0);
	join();
}

static void alpha_is_a_target(void)
{
	assert_int_equal(command(alpha, COMMAND_PAUSE_SYNC), 0);
	assert_int_equal(command(alpha, COMMAND_INVALIDATE), 0);
	join();
}

static void a_guest_arrives_at_beta(void)
{
	struct claimant c = { .who = "guest g1--incoming", .incoming = true };

	beta->claimed = 1;
	replicate_claim(beta->core, &c, now_ms); /* RESERVING: alpha looks at its guest for ever */
	run();
}

static void a_guest_is_left_on_beta(void)
{
	a_guest_arrives_at_beta();
	replicate_park(beta->core, now_ms);
	run();
}

static void they_are_not_connected(void)
{
	cut();
	run();
}

/* Who has not the only good copy, and nothing to come back to: but for each of these. */
static void a_copy_that_may_be_needed_is_not_outdated(void **state)
{
	void (*const reasons[])(void) = { alpha_has_no_disk,	   beta_has_no_disk,	    beta_is_a_target,	   alpha_is_a_target,
					  a_guest_arrives_at_beta, a_guest_is_left_on_beta, they_are_not_connected };

	(void)state;
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		pair_in_use(stonith);
		reasons[i]();
		leave(beta);
		assert_false(replicate_leaving(beta->core));
		run();
		assert_false(outdated(beta) || partner_outdated(alpha));
		pair_free(NULL);
	}
	pair_new(NULL);
}

/* What they judge by in a meeting does not change. */
static void a_meeting_is_finished_first(void **state)
{
	(void)state;
	pair_in_use(stonith);
	cut();
	run();
	linked = true;
	connection++;
	replicate_connected(alpha->core, now_ms);
	replicate_connected(beta->core, now_ms);
	while (status_of(beta).connection != CONNECTION_SETTLING)
		happen();
	leave(beta);
	assert_false(replicate_leaving(beta->core));
	while (status_of(beta).connection != CONNECTION_CONNECTED) {
		assert_false(outdated(beta));
		happen();
	}
	run();
	assert_true(outdated(beta) && partner_outdated(alpha));
}

/* The connection is lost and made again before the daemon has ended. */
static void who_meets_again_while_it_leaves_says_it_again(void **state)
{
	(void)state;
	pair_in_use(stonith);
	leave(beta);
	run();
	cut();
	run();
	linked = true;
	connection++;
	replicate_connected(alpha->core, now_ms);
	replicate_connected(beta->core, now_ms);
	while (status_of(alpha).connection != CONNECTION_CONNECTED || status_of(beta).connection != CONNECTION_CONNECTED)
		happen();
	assert_false(outdated(beta) || partner_outdated(alpha));
	gone(beta);
	assert_true(outdated(beta) && partner_outdated(alpha));
}

/* alpha, which has the token and no guest, is told to end. */
static void leave_as_holder(void)
{
	leave(alpha);
	until_on_its_way(PACKET_GIVE);
	while (!on_its_way(PACKET_TAKEN)) {
		assert_true(replicate_leaving(alpha->core));
		assert_false(outdated(alpha));
		happen();
	}
	assert_int_equal(beta->sb.token, TOKEN_HELD);
	gone(alpha);
	assert_true(outdated(alpha) && partner_outdated(beta));
}

static void an_idle_holder_gives_the_token_and_outdates_itself_when_that_was_taken(void **state)
{
	(void)state;
	pair_new(stonith);
	leave_as_holder();
	start(beta); /* whose partner need not be fenced for that */
	assert_true(request(beta, 0, REQUEST_WRITE, 0));
	assert_false(beta->busy[0]);
	wait_ms(60000);
	assert_int_equal(beta->handler[HANDLER_FENCE_PEER], 0);
	meet_again(alpha);
	assert_int_equal(alpha->sb.token, TOKEN_NONE);
}

/* TAKEN of an earlier GIVE is not this one's. */
static void also_one_whose_token_has_gone_to_and_fro(void **state)
{
	(void)state;
	pair_new(stonith);
	start(beta);
	release(beta); /* without a request, which would say USED */
	start(alpha);
	release(alpha);
	leave_as_holder();
}

/* It would be that of a copy that is outdated. */
static void who_has_heard_of_it_gives_the_token_no_more(void **state)
{
	(void)state;
	pair_new(stonith);
	leave(beta);
	run();
	assert_true(partner_outdated(alpha));
	leave(alpha);
	while (first_event != last_event) {
		assert_false(on_its_way(PACKET_GIVE));
		happen();
	}
	gone(alpha);
	assert_int_equal(alpha->sb.token, TOKEN_HELD);
	assert_false(outdated(alpha));
}

/* Neither waits for the other for ever, and whatever is cut off where, one of the two copies stays good. */
static void two_that_leave_at_once_are_never_both_outdated(void **state)
{
	unsigned int ends[2] = { 0 };

	(void)state;
	for (unsigned int first = 0; first < 2; first++)
		for (unsigned int between = 0; between < 24; between++)
			for (unsigned int after = 0; after < 24; after++)
				for (unsigned int lost = 0; lost < 2; lost++) {
					pair_new(stonith);
					leave(&nodes[first]);
					for (unsigned int i = 0; i < between && first_event != last_event; i++)
						happen();
					leave(&nodes[!first]);
					for (unsigned int i = 0; i < after && first_event != last_event; i++)
						happen();
					for (int i = 0; i < 2 && lost; i++) { /* nothing that is under way becomes durable */
						replicate_free(nodes[i].core);
						nodes[i].core = NULL;
					}
					cut();
					run();
					for (int i = 0; i < 2 && !lost; i++)
						crash(&nodes[i], false);
					assert_false(outdated(alpha) && outdated(beta));
					ends[outdated(alpha) || outdated(beta)]++;
					boot(alpha);
					meet_again(beta);
					assert_true((alpha->sb.token == TOKEN_HELD) != (beta->sb.token == TOKEN_HELD));
					pair_free(NULL);
				}
	assert_true(ends[0] && ends[1]);
	pair_new(NULL);
}

/* The holder was told to leave, too, and its token is on its way here. */
static void who_gets_the_token_while_it_leaves_has_the_good_copy(void **state)
{
	(void)state;
	pair_new(stonith);
	leave(beta);
	until_on_its_way(PACKET_LEAVING);
	leave(alpha);
	until_on_its_way(PACKET_GIVE);
	assert_true(outdated(beta));
	while (beta->sb.token != TOKEN_HELD) {
		assert_false(partner_outdated(alpha)); /* LEAVING came when the token was not there any more */
		happen();
	}
	assert_false(outdated(beta));
	assert_true(beta->kept.known);
}

/* A partner that asks for it after all: who gives the token away takes nobody for outdated. */
static void giving_the_token_undoes_it_in_the_same_write(void **state)
{
	struct packet want = { .type = PACKET_WANT };

	(void)state;
	pair_new(stonith);
	leave(beta);
	until_on_its_way(PACKET_LEAVING);
	run();
	assert_true(partner_outdated(alpha));
	want.want.nonce = 1;
	assert_int_equal(replicate_packet(alpha->core, &want, NULL, now_ms), 0);
	while (alpha->sb.token != TOKEN_GIVEN) {
		assert_true(partner_outdated(alpha));
		happen();
	}
	assert_false(partner_outdated(alpha));
	assert_int_equal(status_of(alpha).fence, FENCE_NOT_YET);
	while (beta->sb.token != TOKEN_HELD)
		happen();
	assert_false(outdated(beta));
}

static void stonith_with_disk_timeout(struct replicate_config *cfg)
{
	stonith(cfg);
	cfg->disk_timeout_ms = 1000;
}

/* Else a later daemon would find there that the token is certain. */
static void metadata_that_hang_and_say_that_the_partner_is_outdated_are_not_given_up(void **state)
{
	struct packet want = { .type = PACKET_WANT };

	(void)state;
	pair_new(stonith_with_disk_timeout);
	leave(beta);
	until_on_its_way(PACKET_LEAVING);
	run();
	assert_true(partner_outdated(alpha));
	alpha->metadata_hang = true;
	want.want.nonce = 1;
	assert_int_equal(replicate_packet(alpha->core, &want, NULL, now_ms), 0);
	wait_ms(30000);
	join();
	wait_ms(30000);
	assert_true(partner_outdated(alpha) && alpha->sb.token == TOKEN_HELD);
	assert_int_not_equal(beta->sb.token, TOKEN_HELD);
	assert_true(status_of(alpha).metadata_ms >= 60000);
}

/* Its disk fails a read in that moment: the copy over there is the only one that has the block. */
static void a_copy_that_is_needed_in_the_last_moment_is_good_again(void **state)
{
	struct request *req = &alpha->guest[1];

	(void)state;
	pair_in_use(stonith);
	alpha->disk_fails = true;
	*req = (struct request){ .tag = 1, .data = req->data, .op = REQUEST_READ, .sector = 8, .sectors = 8 };
	alpha->busy[1] = true;
	replicate_submit(alpha->core, req, now_ms);
	leave(beta);
	until_on_its_way(PACKET_LEAVING);
	assert_true(outdated(beta) && on_its_way(PACKET_OUT_OF_SYNC));
	run();
	assert_false(outdated(beta) || partner_outdated(alpha));
	assert_int_equal(alpha->answered[1], 0);
}

static void what_is_said_wrongly_or_again_changes_nothing(void **state)
{
	uint64_t epoch;

	(void)state;
	pair_in_use(stonith);
	epoch = alpha->sb.epoch;
	assert_int_equal(hear(alpha, PACKET_LEAVING, epoch + 1), 0);
	assert_int_equal(hear(alpha, PACKET_LEAVING, epoch - 1), 0);
	assert_int_equal(hear(alpha, PACKET_TAKEN, epoch), 0);
	assert_int_equal(status_of(alpha).fence, FENCE_NOT_YET);
	assert_int_equal(hear(alpha, PACKET_LEAVING, epoch), 0);
	wait_ms(1000);
	assert_int_equal(hear(alpha, PACKET_LEAVING, epoch), 0); /* again */
	assert_int_equal(status_of(alpha).fence_since_ms, now_ms - 1000);
	assert_int_equal(hear(beta, PACKET_TAKEN, epoch), 0);
	assert_int_equal(hear(beta, PACKET_LEAVING, epoch), -EPROTO);
	assert_int_equal(status_of(alpha).connection, CONNECTION_DISCONNECTED);
	pair_free(NULL);
	pair_in_use(stonith); /* ours is no copy to go on with */
	alpha_has_no_disk();
	assert_int_equal(hear(alpha, PACKET_LEAVING, alpha->sb.epoch), 0);
	assert_false(partner_outdated(alpha));
	pair_free(NULL);
	pair_new(stonith); /* the token of another epoch was taken */
	leave(alpha);
	until_on_its_way(PACKET_GIVE);
	assert_int_equal(replicate_packet(alpha->core, &(struct packet){ .type = PACKET_TAKEN, .used.epoch = epoch }, NULL, now_ms), 0);
	while (!on_its_way(PACKET_TAKEN)) {
		assert_false(outdated(alpha));
		happen();
	}
}

/* Nothing was written: nothing is copied, and no snapshot is taken for it. */
static void meeting_again_runs_the_resyncs_handlers_only_if_there_is_something_to_copy(void **state)
{
	(void)state;
	pair_in_use(stonith_with_snapshots);
	leave(beta);
	gone(beta);
	wait_ms(5000);
	meet_again(beta);
	assert_int_equal(beta->handler[HANDLER_BEFORE_RESYNC_TARGET] + alpha->handler[HANDLER_BEFORE_RESYNC_SOURCE], 0);
	assert_int_equal(alpha->handler[HANDLER_UNFENCE_PEER], 1);
	leave(beta);
	gone(beta);
	assert_true(request(alpha, 0, REQUEST_WRITE, 8));
	boot(beta);
	join();
	assert_int_equal(beta->handler[HANDLER_BEFORE_RESYNC_TARGET], 1);
	replicate_handled(beta->core, HANDLER_BEFORE_RESYNC_TARGET, true, FENCE_BROKEN, now_ms);
	run();
	assert_int_equal(alpha->handler[HANDLER_BEFORE_RESYNC_SOURCE], 1);
}

static void a_guest_is_started_without_the_partner_that_has_left_also_after_a_start_of_the_host(void **state)
{
	(void)state;
	pair_new(stonith);
	leave(beta);
	gone(beta);
	crash(alpha, true);
	boot(alpha);
	wait_ms(5000);
	start(alpha);
	assert_true(request(alpha, 0, REQUEST_WRITE, 0));
	assert_int_equal(alpha->handler[HANDLER_FENCE_PEER], 0);
}

static void who_has_left_does_not_come_back_as_the_newest(void **state)
{
	(void)state;
	pair_in_use(stonith);
	leave(beta);
	gone(beta);
	boot(beta);
	wait_ms(5000);
	claim(beta);
	wait_ms(12000);
	assert_int_equal(beta->claimed, -ETIMEDOUT);
	says(beta->words, "this node's copy is outdated");
	assert_int_equal(beta->handler[HANDLER_FENCE_PEER], 0);
}

#define TEST(name) cmocka_unit_test_teardown(name, pair_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_verdict_under_stonith),
		TEST(a_write_in_flight_is_answered_only_when_the_partner_is_fenced),
		TEST(resource_only_lets_the_guest_go_on_while_the_handler_runs),
		TEST(an_idle_guest_has_its_partner_fenced_too),
		TEST(without_a_guest_nobody_is_fenced),
		TEST(a_partner_that_is_soon_back_is_not_fenced),
		TEST(a_partner_that_never_gets_as_far_as_ready_is_fenced),
		TEST(no_handler_is_a_failure_in_words),
		TEST(an_answer_that_comes_after_the_partner_is_about_nothing),
		TEST(an_answer_to_an_earlier_loss_is_not_one_to_this),
		TEST(an_answer_while_the_two_are_meeting_leaves_nothing_behind),
		TEST(a_meeting_that_breaks_after_ready_undoes_the_fencing),
		TEST(unfence_follows_a_resync_or_a_meeting_without_one),
		TEST(a_start_where_the_guest_did_not_run),
		TEST(a_start_is_refused_at_once_when_fencing_fails_and_asks_again_next_time),
		TEST(a_start_while_the_partner_is_primary_outdates_this_copy),
		TEST(only_who_met_the_partner_since_its_host_was_started_may_promote_itself),
		TEST(a_claim_right_after_the_daemons_start_is_looked_at_again),
		TEST(the_certain_holder_fences_before_a_start),
		TEST(what_was_fenced_for_good_survives_the_host),
		TEST(resume_io_promotes_nobody),
		TEST(a_forced_promotion_needs_no_handler),
		TEST(outdate_knows_who_has_the_newest_data),
		TEST(the_two_do_not_outdate_each_other),
		TEST(an_inconsistent_copy_is_not_even_outdated),
		TEST(a_guest_without_a_good_disk_is_not_said_to_have_the_newest_data),
		TEST(a_disk_that_was_detached_is_outdated_for_good),
		TEST(a_partner_that_leaves_in_good_order_is_not_fenced),
		TEST(it_says_so_when_its_copy_is_durably_outdated_and_not_before),
		TEST(a_partner_whose_farewell_is_lost_is_fenced),
		TEST(without_fencing_nobody_outdates_itself),
		TEST(a_copy_that_may_be_needed_is_not_outdated),
		TEST(a_meeting_is_finished_first),
		TEST(who_meets_again_while_it_leaves_says_it_again),
		TEST(an_idle_holder_gives_the_token_and_outdates_itself_when_that_was_taken),
		TEST(also_one_whose_token_has_gone_to_and_fro),
		TEST(who_has_heard_of_it_gives_the_token_no_more),
		TEST(two_that_leave_at_once_are_never_both_outdated),
		TEST(who_gets_the_token_while_it_leaves_has_the_good_copy),
		TEST(giving_the_token_undoes_it_in_the_same_write),
		TEST(metadata_that_hang_and_say_that_the_partner_is_outdated_are_not_given_up),
		TEST(a_copy_that_is_needed_in_the_last_moment_is_good_again),
		TEST(what_is_said_wrongly_or_again_changes_nothing),
		TEST(meeting_again_runs_the_resyncs_handlers_only_if_there_is_something_to_copy),
		TEST(a_guest_is_started_without_the_partner_that_has_left_also_after_a_start_of_the_host),
		TEST(who_has_left_does_not_come_back_as_the_newest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
