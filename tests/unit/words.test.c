/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Each command, and each start and arrival of a guest, in each state that a pair may be in at night, with the longest names: whatever is
 * refused, and whatever freezes a guest, names a way out. The words of a meeting that is refused are settle.test.c's and property/generation.test.c's.
 */
#include "backend/resource.h"
#include "core-fixture.h"
#include "words.h"

#define WHO "guest " TEN("a-long-guest-name") " (uuid 01234567-89ab-4def-8123-456789abcdef)"

static_assert(sizeof(LONGEST_RESOURCE) == METADATA_NAME_MAX + 1, "resource");
static_assert(sizeof(LONGEST_HOST_A) == WIRE_HOST + 1 && sizeof(LONGEST_HOST_B) == WIRE_HOST + 1, "hosts");

static void with_long_names(struct replicate_config *cfg)
{
	bool first = cfg->first;

	cfg->name = LONGEST_RESOURCE;
	cfg->self_host = first ? LONGEST_HOST_A : LONGEST_HOST_B;
	cfg->peer_host = first ? LONGEST_HOST_B : LONGEST_HOST_A;
}

static void with_fencing(struct replicate_config *cfg)
{
	with_long_names(cfg);
	cfg->fencing = FENCING_RESOURCE_AND_STONITH;
	cfg->handlers = 0;
}

static void with_errors(struct replicate_config *cfg)
{
	with_long_names(cfg);
	cfg->io_error = true;
}

static void with_disk_timeout(struct replicate_config *cfg)
{
	with_long_names(cfg);
	cfg->disk_timeout_ms = 1000;
}

static void with_leftovers(struct replicate_config *cfg)
{
	with_long_names(cfg);
	cfg->left = true;
}

static void claim_as(struct node *n, bool incoming)
{
	struct claimant c = { .who = WHO, .incoming = incoming };

	n->claimed = 1;
	replicate_claim(n->core, &c, now_ms);
	run();
}

static void guest_on(struct node *n)
{
	claim_as(n, false);
	assert_int_equal(n->claimed, 0);
	replicate_activate(n->core, WHO, true, now_ms);
	run();
}

/* ---- the states ---- */

static void met(void)
{
	pair_new(with_long_names);
}

static void parted(void)
{
	met();
	cut();
	run();
}

static void parted_and_started_anew(void)
{
	parted();
	for (int i = 0; i < 2; i++) {
		crash(&nodes[i], true);
		boot(&nodes[i]);
	}
	wait_ms(5000);
}

static void guest(void)
{
	met();
	guest_on(alpha);
	assert_true(request(alpha, 0, REQUEST_WRITE, 0));
}

static void guest_not_connected_yet(void)
{
	met();
	claim_as(alpha, false);
}

static void guest_alone(void)
{
	guest();
	cut();
	request(alpha, 1, REQUEST_WRITE, 8);
	wait_ms(3000);
	assert_true(status_of(alpha).alone);
}

static void guest_that_went_alone_is_gone(void)
{
	guest_alone();
	release(alpha);
}

static void guest_frozen_for_fencing(void)
{
	pair_new(with_fencing);
	guest_on(alpha);
	assert_true(request(alpha, 0, REQUEST_WRITE, 0));
	cut();
	request(alpha, 1, REQUEST_WRITE, 8);
	wait_ms(3000);
	assert_true(status_of(alpha).frozen[0]);
}

static void invalidated(struct node *n)
{
	assert_int_equal(command(n, COMMAND_PAUSE_SYNC), 0);
	assert_int_equal(command(n, COMMAND_INVALIDATE), 0);
	join();
}

static void resync(void)
{
	guest();
	invalidated(beta);
}

/* beta, the target, has lost its source. */
static void resync_interrupted(void)
{
	resync();
	cut();
	wait_ms(10000);
}

/* A write is on its way to the partner when the cable is cut. */
static void write_and_cut(struct node *n)
{
	struct request *req = &n->guest[2];

	assert_true(request(n, 1, REQUEST_READ, 8));
	req->op = REQUEST_WRITE;
	req->sectors = 8;
	n->busy[req->tag] = true;
	replicate_submit(n->core, req, now_ms);
	cut();
	run();
}

/* The guest's own copy is being made whole, and the partner is lost with what it lacks. */
static void guest_frozen_on_a_mixture(void)
{
	guest();
	invalidated(alpha);
	write_and_cut(alpha);
	wait_ms(3000);
	assert_true(status_of(alpha).frozen[0]);
}

static void guest_gets_errors(void)
{
	pair_new(with_errors);
	guest_on(alpha);
	assert_true(request(alpha, 0, REQUEST_WRITE, 0));
	invalidated(alpha);
	write_and_cut(alpha);
	wait_ms(10000);
	assert_true(status_of(alpha).failing[0]);
}

static void last_writes_wait(void)
{
	guest_frozen_on_a_mixture();
	release(alpha);
	assert_int_equal(status_of(alpha).attachment, ATTACHMENT_RELEASING);
}

static void detached_here(void)
{
	guest();
	detach(alpha);
}

static void detached_there(void)
{
	guest();
	detach(beta);
}

static void detached_and_parted(void)
{
	detached_here();
	cut();
	run();
}

/* Each said so before it had heard of the other, and neither is taken back by itself. */
static void both_detached(void)
{
	guest();
	replicate_command(alpha->core, COMMAND_DETACH_FORCE, now_ms);
	replicate_command(beta->core, COMMAND_DETACH_FORCE, now_ms);
	run();
	join();
	assert_int_equal(status_of(alpha).connection, CONNECTION_REFUSED);
}

static void the_only_good_disk_hangs(void)
{
	pair_new(with_disk_timeout);
	guest_on(alpha);
	cut();
	alpha->disk_hangs = true;
	assert_true(request(alpha, 0, REQUEST_READ, 0));
	wait_ms(2000);
	assert_true(status_of(alpha).frozen[0]);
}

static void detached_and_the_disk_hangs(void)
{
	guest();
	alpha->disk_hangs = true;
	assert_true(request(alpha, 1, REQUEST_READ, 8));
	alpha->commanded = 1;
	replicate_command(alpha->core, COMMAND_DETACH, now_ms);
	run();
	join();
	assert_int_equal(status_of(alpha).disk, DISK_DISKLESS);
}

static void io_held(void)
{
	guest();
	assert_int_equal(command(alpha, COMMAND_SUSPEND_IO), 0);
}

static void io_being_held(void)
{
	guest_frozen_on_a_mixture();
	alpha->commanded = 1;
	replicate_command(alpha->core, COMMAND_SUSPEND_IO, now_ms);
	run();
}

static void split_brain(void)
{
	guest_that_went_alone_is_gone();
	assert_int_equal(command(beta, COMMAND_PROMOTE), 0);
	join();
	assert_int_equal(status_of(alpha).connection, CONNECTION_REFUSED);
}

static void split_brain_with_guests(void)
{
	guest_alone();
	assert_int_equal(command(beta, COMMAND_PROMOTE), 0);
	guest_on(beta);
	assert_true(request(beta, 0, REQUEST_WRITE, 16));
	join();
	assert_int_equal(status_of(alpha).connection, CONNECTION_REFUSED);
}

static void outdated(void)
{
	parted();
	assert_int_equal(command(beta, COMMAND_OUTDATE), 0);
}

static void stopping(void)
{
	met();
	replicate_yield(alpha->core, now_ms);
	replicate_yield(beta->core, now_ms);
	run();
}

static void looking_for_leftovers(void)
{
	pair_new(with_leftovers);
}

static void new_pair(bool connected)
{
	now_ms = 100000;
	first_event = last_event = connection = 0;
	linked = false;
	for (int i = 0; i < 2; i++) {
		node_configure(&nodes[i]);
		with_long_names(&nodes[i].cfg);
		nodes[i].sb.flags = SB_JUST_CREATED;
		nodes[i].sb.full_from = 0;
		boot(&nodes[i]);
	}
	if (connected)
		join();
}

static void never_met(void)
{
	new_pair(false);
}

static void nobodys_data_count(void)
{
	new_pair(true);
}

static const struct state {
	const char *name;
	void (*make)(void);
} states[] = {
#define S(f) { #f, f }
	S(met), S(parted), S(parted_and_started_anew), S(guest), S(guest_not_connected_yet), S(guest_alone), S(guest_that_went_alone_is_gone),
	S(guest_frozen_for_fencing), S(resync), S(resync_interrupted), S(guest_frozen_on_a_mixture), S(guest_gets_errors), S(last_writes_wait), S(detached_here), S(detached_there),
	S(detached_and_parted), S(both_detached), S(the_only_good_disk_hangs), S(io_held), S(io_being_held), S(split_brain), S(split_brain_with_guests), S(outdated),
	S(stopping), S(looking_for_leftovers), S(never_met), S(nobodys_data_count),
#undef S
};
#define STATES (sizeof(states) / sizeof(states[0]))

static const char *const command_names[] = {
#define X(name, what) #name,
	COMMANDS(X)
#undef X
};

static const char *place(const struct state *s, const char *what, int node)
{
	static char text[160];

	snprintf(text, sizeof(text), "%s, %s on %s", s->name, what, node ? "beta" : "alpha");
	return text;
}

/* ---- what is refused in them ---- */

static void every_command_that_is_refused_names_a_way_out(void **state)
{
	unsigned int refused = 0, done = 0;

	for (size_t i = 0; i < STATES; i++)
		for (int c = 0; c < COMMAND_COUNT; c++)
			for (int n = 0; n < 2; n++) {
				states[i].make();
				if (command(&nodes[n], (enum command)c) < 0) {
					has_way_out(place(&states[i], command_names[c], n), nodes[n].words, REPLICATE_TEXT);
					refused++;
				} else {
					done++;
				}
				pair_free(state);
			}
	assert_true(refused > 150 && done > 150);
}

static void every_start_or_arrival_that_is_refused_names_a_way_out(void **state)
{
	unsigned int refused = 0, granted = 0;

	for (size_t i = 0; i < STATES; i++)
		for (int incoming = 0; incoming < 2; incoming++)
			for (int n = 0; n < 2; n++) {
				states[i].make();
				claim_as(&nodes[n], incoming);
				wait_ms(20000); /* P7: it is answered by then */
				if (nodes[n].claimed < 0) {
					has_way_out(place(&states[i], incoming ? "an arrival" : "a start", n), nodes[n].words,
						    RESOURCE_TEXT);
					refused++;
				} else {
					assert_int_equal(nodes[n].claimed, 0);
					granted++;
				}
				pair_free(state);
			}
	assert_true(refused > 40 && granted > 5);
}

static void whatever_freezes_or_fails_a_guest_says_how_it_goes_on(void **state)
{
	unsigned int frozen = 0, failing = 0;

	for (size_t i = 0; i < STATES; i++) {
		states[i].make();
		for (int n = 0; n < 2; n++) {
			struct replicate_status s = status_of(&nodes[n]);

			if (s.frozen[0])
				has_way_out(place(&states[i], "frozen", n), s.frozen, REPLICATE_TEXT);
			if (s.failing[0])
				has_way_out(place(&states[i], "errors", n), s.failing, REPLICATE_TEXT);
			frozen += s.frozen[0] != 0;
			failing += s.failing[0] != 0;
		}
		pair_free(state);
	}
	assert_true(frozen > 4 && failing);
}

/* What the partner may not be told in a packet (WIRE_TEXT) is said where it is read. */
static void the_partners_refusal_is_not_cut_off(void **state)
{
	guest();
	claim_as(beta, false);
	assert_int_equal(beta->claimed, -EBUSY);
	says(beta->words, LONGEST_RESOURCE ": in use on " LONGEST_HOST_A " by guest a-long");
	says(beta->words, ": shut it down there, or migrate it here");
	pair_free(state);
	io_held();
	claim_as(beta, true);
	assert_int_equal(beta->claimed, -EBUSY);
	says(beta->words, "'backend-ctl resume-io " LONGEST_RESOURCE "' there");
}

static void resume_io_overtakes_a_suspend_io_that_waits(void **state)
{
	(void)state;
	io_being_held();
	assert_int_equal(alpha->commanded, 1);
	assert_int_equal(command(alpha, COMMAND_DETACH), -EBUSY);
	says(alpha->words, "suspend-io still waits");
	assert_int_equal(command(alpha, COMMAND_RESUME_IO), 0);
	assert_false(status_of(alpha).suspended);
	assert_int_equal(command(alpha, COMMAND_PAUSE_SYNC), 0);
}

static void detach_by_force_overtakes_a_detach_that_waits(void **state)
{
	(void)state;
	detached_and_the_disk_hangs();
	assert_int_equal(alpha->commanded, 1);
	assert_int_equal(command(alpha, COMMAND_DETACH), -EBUSY);
	says(alpha->words, "detach still waits for what the disk has");
	assert_true(alpha->busy[1]);
	assert_int_equal(command(alpha, COMMAND_DETACH_FORCE), 0);
	assert_false(alpha->busy[1]); /* the partner has answered it */
	assert_int_equal(alpha->answered[1], 0);
}

/* "Shut the guest down" is all that a refused meeting asks for where its guest would lose. */
static void a_refused_meeting_is_tried_anew_when_the_guest_is_gone(void **state)
{
	(void)state;
	split_brain_with_guests();
	assert_true(linked);
	release(beta);
	assert_false(linked); /* and the transport connects again */
	join();
	assert_int_equal(status_of(beta).connection, CONNECTION_REFUSED);
	release(beta);
	assert_true(linked); /* nobody has gone since */
}

static bool is_mixed(const struct node *n)
{
	return n->sb.flags & SB_MIXED;
}

static void a_mixture_that_a_person_makes_count_is_called_so_until_the_two_have_the_same(void **state)
{
	(void)state;
	resync_interrupted();
	claim_as(beta, false);
	wait_ms(20000);
	assert_int_equal(beta->claimed, -ETIMEDOUT);
	says(beta->words, "this node's copy is a mixture of old and new");
	crash(alpha, true);
	assert_int_equal(command(beta, COMMAND_PROMOTE), 0);
	says(beta->words, "they are a mixture of old and new");
	assert_true(is_mixed(beta));
	crash(beta, true);
	boot(beta);
	assert_true(is_mixed(beta));
	boot(alpha);
	join();
	assert_int_equal(command(beta, COMMAND_RESUME_SYNC), 0);
	wait_ms(60000);
	assert_int_equal(status_of(alpha).out_of_sync, 0);
	assert_int_equal(status_of(beta).connection, CONNECTION_CONNECTED);
	assert_false(is_mixed(alpha) || is_mixed(beta));
}

static void old_data_that_a_person_makes_count_are_called_so(void **state)
{
	(void)state;
	outdated();
	assert_int_equal(command(beta, COMMAND_PROMOTE), 0);
	says(beta->words, "the newer ones of " LONGEST_HOST_A " are given up");
	assert_false(is_mixed(beta));
}

static void the_data_of_a_new_pair_are_no_mixture(void **state)
{
	(void)state;
	nobodys_data_count();
	assert_int_equal(command(alpha, COMMAND_PROMOTE), 0);
	assert_string_equal(alpha->words, "");
	assert_false(is_mixed(alpha));
}

static void discard_my_data_is_refused_under_a_guest_and_needless_where_the_two_agree(void **state)
{
	(void)state;
	split_brain_with_guests();
	assert_int_equal(command(beta, COMMAND_DISCARD), -EBUSY);
	says(beta->words, "shut that guest down first");
	assert_true(linked);
	release(beta);
	join();
	assert_int_equal(command(beta, COMMAND_DISCARD), 0);
	says(beta->words, "is given up when the two meet");
	join();
	assert_int_equal(status_of(beta).connection, CONNECTION_CONNECTED);
	assert_int_equal(command(beta, COMMAND_DISCARD), 0);
	says(beta->words, "nothing to be done");
	assert_true(linked);
}

/* discard-younger-primary names beta. */
static void the_younger_loses(struct replicate_config *cfg)
{
	with_long_names(cfg);
	cfg->after_sb.zero = AFTER_SB_0PRI_DISCARD_YOUNGER_PRIMARY;
}

static void both_wrote_alone(void (*configure)(struct replicate_config *cfg))
{
	pair_new(configure);
	guest_on(alpha);
	cut();
	request(alpha, 1, REQUEST_WRITE, 8);
	wait_ms(3000);
	release(alpha);
	assert_int_equal(command(beta, COMMAND_PROMOTE), 0);
	guest_on(beta);
	assert_true(request(beta, 0, REQUEST_WRITE, 16));
	release(beta);
}

static void discard_my_data_comes_before_the_policies(void **state)
{
	uint64_t generation;

	(void)state;
	both_wrote_alone(the_younger_loses);
	generation = status_of(beta).superblock.gen.current;
	assert_int_equal(command(alpha, COMMAND_DISCARD), 0);
	join();
	assert_int_equal(status_of(alpha).connection, CONNECTION_CONNECTED);
	wait_ms(60000);
	assert_true(status_of(alpha).superblock.gen.current == generation);
}

static void a_guest_that_is_started_ends_discard_my_data(void **state)
{
	(void)state;
	both_wrote_alone(with_long_names);
	assert_int_equal(command(alpha, COMMAND_DISCARD), 0);
	guest_on(alpha);
	release(alpha);
	join();
	assert_int_equal(status_of(alpha).connection, CONNECTION_REFUSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_command_that_is_refused_names_a_way_out),
		cmocka_unit_test(every_start_or_arrival_that_is_refused_names_a_way_out),
		cmocka_unit_test(whatever_freezes_or_fails_a_guest_says_how_it_goes_on),
		cmocka_unit_test_teardown(the_partners_refusal_is_not_cut_off, pair_free),
		cmocka_unit_test_teardown(resume_io_overtakes_a_suspend_io_that_waits, pair_free),
		cmocka_unit_test_teardown(detach_by_force_overtakes_a_detach_that_waits, pair_free),
		cmocka_unit_test_teardown(a_refused_meeting_is_tried_anew_when_the_guest_is_gone, pair_free),
		cmocka_unit_test_teardown(a_mixture_that_a_person_makes_count_is_called_so_until_the_two_have_the_same, pair_free),
		cmocka_unit_test_teardown(old_data_that_a_person_makes_count_are_called_so, pair_free),
		cmocka_unit_test_teardown(discard_my_data_is_refused_under_a_guest_and_needless_where_the_two_agree, pair_free),
		cmocka_unit_test_teardown(discard_my_data_comes_before_the_policies, pair_free),
		cmocka_unit_test_teardown(a_guest_that_is_started_ends_discard_my_data, pair_free),
		cmocka_unit_test_teardown(the_data_of_a_new_pair_are_no_mixture, pair_free),
	};

	(void)start, (void)handled; /* of the fixture */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
