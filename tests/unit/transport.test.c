/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport.test.c: two partners over loopback, and what comes between them.
 */
#include "tests/unit/transport-fixture.h"

static uint8_t payload[1u << 20];

static struct packet data_packet(uint64_t id, uint64_t sector, uint32_t sectors)
{
	return (struct packet) {
		.type = PACKET_DATA,
		.payload = sectors * 512,
		.data = { .id = id, .epoch = 1, .sector = sector, .sectors = sectors },
	};
}

static void send_data(struct node *n, uint64_t id, uint32_t sectors)
{
	struct packet p = data_packet(id, id * 8, sectors);
	struct request req = { .data = payload };

	transport_send(n->t, &p, &req);
}

static void send_simple(struct node *n, enum packet_type type)
{
	struct packet p = { .type = type, .ack.id = 5 };

	transport_send(n->t, &p, NULL);
}

static void pair_up(void)
{
	node_start(&world.a);
	node_start(&world.b);
	run_until(world.a.connected && world.b.connected);
}

static void two_nodes_connect(void **state)
{
	char text[200];

	(void)state;
	pair_up();
	assert_string_equal(world.a.problem, "");
	assert_string_equal(world.b.problem, "");
	transport_describe(world.b.t, text, sizeof(text));
	assert_non_null(strstr(text, "127.0.0.1:"));
	assert_non_null(strstr(text, "alpha"));
}

static void two_nodes_with_the_same_secret_connect(void **state)
{
	(void)state;
	world.a.cfg.alg = "sha256";
	world.b.cfg.alg = "SHA256";
	world.a.cfg.secret = world.b.cfg.secret = "secret";
	pair_up();
}

static void it_does_not_matter_who_starts_first(void **state)
{
	(void)state;
	node_start(&world.b);
	run_until(strstr(world.b.problem, "cannot connect to 127.0.0.1"));
	assert_non_null(strstr(world.b.problem, "refused"));
	node_start(&world.a);
	run_until(world.a.connected && world.b.connected);
	assert_string_equal(world.b.problem, "");
}

static void wrong_secret_is_refused_in_words_on_both_sides(void **state)
{
	(void)state;
	world.a.cfg.alg = world.b.cfg.alg = "sha1";
	world.a.cfg.secret = "secret";
	world.b.cfg.secret = "Secret";
	node_start(&world.a);
	node_start(&world.b);
	run_until(strstr(world.a.problem, "wrong secret") &&
		  strstr(world.b.problem, "alpha refused: wrong secret"));
	run_for(200);		/* further attempts */
	assert_non_null(strstr(world.a.problem, "wrong secret"));
	assert_non_null(strstr(world.b.problem, "wrong secret"));
	assert_int_equal(world.a.connected + world.b.connected, 0);
}

static void a_secret_on_one_side_only_is_refused_in_words(void **state)
{
	(void)state;
	world.b.cfg.alg = "sha1";
	world.b.cfg.secret = "secret";
	node_start(&world.a);
	node_start(&world.b);
	run_until(strstr(world.a.problem, "beta has a shared-secret, alpha has none") &&
		  strstr(world.b.problem, "beta has a shared-secret, alpha has none"));
	assert_int_equal(world.a.connected + world.b.connected, 0);
}

static void different_digests_are_refused_in_words(void **state)
{
	(void)state;
	world.a.cfg.alg = "sha1";
	world.b.cfg.alg = "sha256";
	world.a.cfg.secret = world.b.cfg.secret = "secret";
	node_start(&world.a);
	node_start(&world.b);
	run_until(strstr(world.a.problem, "cram-hmac-alg differs") &&
		  strstr(world.b.problem, "cram-hmac-alg differs"));
	assert_int_equal(world.a.connected + world.b.connected, 0);
}

static void wrong_resource_is_refused_in_words(void **state)
{
	(void)state;
	world.b.cfg.resource = "swap";
	node_start(&world.a);
	node_start(&world.b);
	run_until(strstr(world.a.problem, "'swap'") && strstr(world.b.problem, "'swap'") &&
		  strstr(world.b.problem, "'disk'"));
	assert_int_equal(world.a.connected + world.b.connected, 0);
}

static void a_version_out_of_range_is_refused_in_words(void **state)
{
	struct packet p = { .type = PACKET_INTRO,
			    .intro = {
				    .version_min = WIRE_VERSION_MAX + 1, .version_max = WIRE_VERSION_MAX + 2, .resource = "disk", .host = "raw" } };
	struct raw r;

	(void)state;
	node_start(&world.a);
	raw_connect(&r);
	raw_send(&r, &p);
	run_until(raw_got(&r, PACKET_REFUSE));
	assert_non_null(strstr(r.last.text.text, "versions"));
	assert_non_null(strstr(r.last.text.text, "backend-ctl upgrade"));
	run_until(strstr(world.a.problem, "versions"));
	close(r.fd);
}

static void versions(struct node *n, uint16_t min, uint16_t max)
{
	n->cfg.version_min = min;
	n->cfg.version_max = max;
}

/* The later one is spoken by both as soon as both know it; a test's versions say nothing new. */
static void the_highest_version_that_both_know_is_spoken(void **state)
{
	static const struct { uint16_t a_min, a_max, b_min, b_max, spoken; } pairs[] = {
		{ 5, 7, 5, 6, 6 }, { 5, 6, 5, 7, 6 }, { 6, 7, 4, 6, 6 }, { 3, 9, 4, 4, 4 }, { 8, 8, 8, 8, 8 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		versions(&world.a, pairs[i].a_min, pairs[i].a_max);
		versions(&world.b, pairs[i].b_min, pairs[i].b_max);
		world.a.put_at_once = world.b.put_at_once = true;
		world.a.packets = world.b.packets = 0;
		world.a.connected = world.a.disconnected = world.b.connected = world.b.disconnected = 0;
		pair_up();
		assert_int_equal(transport_version(world.a.t), pairs[i].spoken);
		assert_int_equal(transport_version(world.b.t), pairs[i].spoken);
		send_data(&world.a, 1, 8);
		send_data(&world.b, 2, 8);
		run_until(world.a.packets == 1 && world.b.packets == 1);
		node_stop(&world.a);
		node_stop(&world.b);
	}
}

/* Whichever is the older one, both sides say on which host something has to be installed. */
static void no_common_version_is_refused_in_words_that_name_the_older_host(void **state)
{
	(void)state;
	versions(&world.a, 7, 8);
	versions(&world.b, 5, 6);
	node_start(&world.a);
	node_start(&world.b);
	run_until(strstr(world.a.problem, "drbdx on beta, too") && strstr(world.b.problem, "drbdx on beta, too"));
	assert_non_null(strstr(world.a.problem, "versions 7 to 8"));
	assert_non_null(strstr(world.a.problem, "5 to 6"));
	node_stop(&world.a);
	versions(&world.a, 3, 4);
	node_start(&world.a);
	run_until(strstr(world.a.problem, "drbdx on alpha, too") && strstr(world.b.problem, "drbdx on alpha, too"));
	assert_int_equal(world.a.connected + world.b.connected, 0);
	assert_int_equal(transport_version(world.a.t), 0);
}

static void a_packet_in_another_version_than_the_one_spoken_closes_the_connection(void **state)
{
	struct packet p = { .type = PACKET_PING };
	struct raw r;

	(void)state;
	versions(&world.a, WIRE_VERSION_MIN, WIRE_VERSION_MAX + 1); /* it knows that one, but it was not agreed on */
	node_start(&world.a);
	raw_authenticate(&r);
	r.version = WIRE_VERSION_MAX + 1;
	raw_send(&r, &p);
	r.version = 0;
	run_until(world.a.disconnected == 1);
	assert_non_null(strstr(world.a.why, "another version than is spoken"));
	close(r.fd);
}

static void a_partner_is_told_that_another_program_takes_this_ones_place(void **state)
{
	(void)state;
	for (uint16_t version = 5; version <= 6; version++) {
		versions(&world.a, 5, version);
		world.a.events[0] = world.b.events[0] = '\0';
		world.a.restarts_ms = world.b.restarts_ms = 0;
		world.a.connected = world.a.disconnected = world.b.connected = world.b.disconnected = 0;
		pair_up();
		transport_restarting(world.a.t, 2500);
		run_until(transport_flushed(world.a.t));
		node_stop(&world.a);
		run_until(world.b.disconnected == 1);
		/* before anything is done because it is gone; and an older one is not told what it would not understand */
		assert_string_equal(world.b.events, version == 5 ? "up down " : "up restarts down ");
		assert_int_equal(world.b.restarts_ms, version == 5 ? 0 : 2500);
		assert_non_null(strstr(world.b.why, "the test is over"));
		node_stop(&world.b);
	}
}

/* Of this connection only. */
static void that_a_partner_is_back_soon_is_forgotten_with_the_connection(void **state)
{
	(void)state;
	pair_up();
	transport_restarting(world.a.t, 2500);
	run_until(transport_flushed(world.a.t));
	transport_disconnect(world.a.t, "once");
	run_until(world.b.disconnected == 1 && world.b.connected == 2 && world.a.connected == 2);
	transport_disconnect(world.a.t, "twice");
	run_until(world.b.disconnected == 2);
	assert_int_equal(strncmp(world.b.events, "up restarts down up down ", 25), 0);
}

static void an_unknown_digest_is_refused_at_the_start(void **state)
{
	struct node *n = &world.a;
	char why[200] = "";

	(void)state;
	n->cfg.alg = "rot13";
	n->cfg.secret = "secret";
	n->area = aligned_alloc(POOL_PAGE, POOL_BYTES);
	assert_int_equal(pool_new(n->area, POOL_BYTES, &n->pool), 0);
	assert_int_equal(
		transport_new(&n->cfg, world.loop, n->pool, WINDOW, &node_ops, n, &n->t, why, sizeof(why)),
		-EINVAL);
	assert_non_null(strstr(why, "rot13"));
	pool_free(n->pool);
	free(n->area);
}

static void a_missing_own_address_is_named(void **state)
{
	(void)state;
	world.a.cfg.self = address("127.0.0.1", world.port);
	world.b.cfg.self = address("192.0.2.1", world.port);	/* connects: 192.0.2.1 is above 127.0.0.1 */
	node_start(&world.b);
	run_until(strstr(world.b.problem, "this host does not have its configured address 192.0.2.1"));
	node_stop(&world.b);
	node_config(&world.b, "192.0.2.1", "198.51.100.1", "beta");	/* listens */
	node_start(&world.b);
	run_until(strstr(world.b.problem, "this host does not have its configured address 192.0.2.1"));
}

static void packets_arrive_in_order_with_their_payload(void **state)
{
	(void)state;
	pair_up();
	memset(payload, 0x5a, sizeof(payload));
	world.b.check = true;
	world.b.expected = 0x5a;
	send_data(&world.a, 1, 8);
	send_simple(&world.a, PACKET_FLUSH);
	send_data(&world.a, 3, 1);
	run_until(world.b.nkept == 3);
	assert_int_equal(world.b.kept[0]->op, REQUEST_WRITE);
	assert_int_equal(world.b.kept[0]->sector, 8);
	assert_int_equal(world.b.kept[0]->sectors, 8);
	assert_int_equal(world.b.kept[1]->op, REQUEST_FLUSH);
	assert_null(world.b.kept[1]->data);
	assert_int_equal(world.b.kept[2]->sector, 24);
	assert_int_not_equal(world.b.kept[0]->tag, world.b.kept[2]->tag);
	send_simple(&world.b, PACKET_ACK);
	run_until(world.a.packets == 1);
	assert_int_equal(world.a.last.type, PACKET_ACK);
}

static void maximal_payloads_arrive_whole(void **state)
{
	(void)state;
	pair_up();
	world.b.check = world.b.put_at_once = true;
	for (uint64_t id = 1; id <= 20; id++) {
		memset(payload, (int)id, sizeof(payload));
		world.b.expected = (uint8_t)id;
		send_data(&world.a, id, 2048);
		run_until(world.b.packets == id);
	}
}

static void many_packets_of_one_turn_arrive(void **state)
{
	(void)state;
	pair_up();
	world.b.put_at_once = true;
	for (unsigned int i = 0; i < 500; i++)
		send_data(&world.a, i, 8);
	run_until(world.b.packets == 500);
	assert_int_equal(world.b.last.data.id, 499);
	assert_int_equal(world.a.disconnected, 0);
}

static void both_directions_at_once(void **state)
{
	(void)state;
	pair_up();
	world.a.put_at_once = world.b.put_at_once = true;
	for (unsigned int i = 0; i < 40; i++) {
		send_data(&world.a, i, 2048);
		send_data(&world.b, i, 2048);
	}
	run_until(world.a.packets == 40 && world.b.packets == 40);
}

static void a_byte_at_a_time_is_fast_enough(void **state)
{
	uint8_t bytes[WIRE_HEADER + WIRE_BODY_MAX];
	struct packet p = data_packet(1, 8, 1);
	struct raw r;
	size_t length;

	(void)state;
	node_start(&world.a);
	raw_authenticate(&r);
	world.a.check = true;
	world.a.expected = 3;
	length = wire_encode(&p, WIRE_VERSION_MAX, r.tx++, bytes);
	for (size_t i = 0; i < length; i++) {
		raw_bytes(&r, bytes + i, 1);
		turn();
	}
	for (size_t i = 0; i < 512; i++) {
		raw_bytes(&r, "\3", 1);
		turn();
	}
	run_until(world.a.nkept == 1);
	assert_int_equal(world.a.kept[0]->sector, 8);
	close(r.fd);
}

static void a_stranger_from_another_address_is_turned_away(void **state)
{
	struct raw r;

	(void)state;
	pair_up();
	raw_connect_from(&r, "127.0.0.3");
	run_until(raw_look(&r));
	assert_int_equal(r.rx, 0);	/* not even an INTRO */
	send_simple(&world.b, PACKET_ACK);
	run_until(world.a.packets == 1);
	assert_int_equal(world.a.disconnected, 0);
	close(r.fd);
}

static void garbage_costs_only_its_own_connection(void **state)
{
	struct raw r;

	(void)state;
	pair_up();
	raw_connect(&r);
	memset(payload, 0xff, sizeof(payload));
	raw_bytes(&r, payload, 4000);
	run_until(raw_look(&r));
	assert_int_equal(r.count[PACKET_REFUSE], 1);
	close(r.fd);
	send_simple(&world.b, PACKET_ACK);
	run_until(world.a.packets == 1);
	assert_int_equal(world.a.disconnected, 0);
}

static void one_without_the_secret_does_not_displace_the_live_connection(void **state)
{
	struct packet wrong = { .type = PACKET_AUTH, .auth.mac_length = 32 };
	struct raw r;

	(void)state;
	world.a.cfg.alg = world.b.cfg.alg = "sha256";
	world.a.cfg.secret = world.b.cfg.secret = "secret";
	pair_up();
	raw_connect(&r);
	raw_intro(&r);
	run_until(raw_got(&r, PACKET_INTRO));
	raw_send(&r, &wrong);
	run_until(raw_look(&r));
	assert_int_equal(r.count[PACKET_REFUSE], 1);
	assert_int_equal(r.count[PACKET_AUTH], 0);	/* the listener showed no proof */
	close(r.fd);
	assert_int_equal(world.a.disconnected, 0);
	assert_string_equal(world.a.problem, "");
}

static void data_before_authentication_is_refused(void **state)
{
	struct packet p = data_packet(1, 8, 8);
	struct raw r;

	(void)state;
	node_start(&world.a);
	raw_connect(&r);
	raw_intro(&r);
	raw_send(&r, &p);
	run_until(raw_look(&r));
	assert_int_equal(r.count[PACKET_REFUSE], 1);
	assert_non_null(strstr(r.last.text.text, "DATA came during the handshake"));
	assert_int_equal(world.a.connected + world.a.packets, 0);
	close(r.fd);
}

static void a_silent_handshake_is_bounded(void **state)
{
	struct raw r;
	uint64_t before;

	(void)state;
	node_start(&world.a);
	raw_connect(&r);
	before = now_ms();
	run_until(raw_got(&r, PACKET_REFUSE));
	assert_in_range(now_ms() - before, 900, 5000);
	run_until(strstr(world.a.problem, "handshake"));
	close(r.fd);
}

static void an_older_unfinished_handshake_makes_way(void **state)
{
	struct raw old, new;

	(void)state;
	node_start(&world.a);
	raw_connect(&old);
	run_until(raw_got(&old, PACKET_INTRO));
	raw_authenticate(&new);
	run_until(raw_look(&old));
	assert_int_equal(world.a.connected, 1);
	close(old.fd);
	close(new.fd);
}

static void a_newer_connection_of_the_partner_replaces_the_live_one(void **state)
{
	struct packet p = data_packet(1, 8, 2048);
	struct raw old, new;

	(void)state;
	node_start(&world.a);
	raw_authenticate(&old);
	raw_send(&old, &p);
	raw_bytes(&old, payload, 1000);		/* a request is being filled */
	run_for(50);
	raw_authenticate(&new);
	assert_string_equal(world.a.events, "up down up ");
	assert_non_null(strstr(world.a.why, "replaced"));
	run_until(raw_look(&old));
	assert_int_equal(world.a.packets, 0);
	p = (struct packet) { .type = PACKET_ACK };
	raw_send(&new, &p);
	run_until(world.a.packets == 1);
	close(old.fd);
	close(new.fd);
}

static void a_vanished_partner_is_noticed_in_time(void **state)
{
	uint64_t before;
	struct raw r;

	(void)state;
	node_start(&world.a);
	raw_authenticate(&r);
	run_for(600);
	raw_vanish(&r);
	before = now_ms();
	run_until(world.a.disconnected == 1);
	assert_in_range(now_ms() - before, 900, 5000);
	assert_non_null(strstr(world.a.why, "nothing heard of raw"));
	close(r.fd);
}

static void a_partner_that_only_acknowledges_is_not_dropped(void **state)
{
	struct raw r;

	(void)state;
	node_start(&world.a);
	raw_authenticate(&r);
	run_for(2500);
	assert_int_equal(world.a.disconnected, 0);
	assert_true(raw_got(&r, PACKET_PING));
	close(r.fd);
}

static void a_quiet_pair_stays_connected(void **state)
{
	(void)state;
	pair_up();
	run_for(2200);
	assert_int_equal(world.a.disconnected + world.b.disconnected, 0);
}

static void a_flood_of_pings_is_answered_but_not_stored(void **state)
{
	struct packet p = { .type = PACKET_PING };
	struct raw r;

	(void)state;
	node_start(&world.a);
	raw_authenticate(&r);
	for (unsigned int i = 0; i < 20000; i++) {
		p.ping.cookie = i;
		raw_send(&r, &p);
	}
	run_until(raw_got(&r, PACKET_PONG) && r.last.type == PACKET_PONG && r.last.ping.cookie == 19999);
	assert_int_equal(world.a.disconnected, 0);
	close(r.fd);
}

static void more_requests_than_the_window_close_the_connection(void **state)
{
	struct packet p = { .type = PACKET_FLUSH };
	struct raw r;

	(void)state;
	node_start(&world.a);
	raw_authenticate(&r);
	for (unsigned int i = 0; i < WINDOW + 1; i++)
		raw_send(&r, &p);
	run_until(world.a.disconnected == 1);
	assert_int_equal(world.a.packets, WINDOW);
	assert_non_null(strstr(world.a.why, "window"));
	run_until(raw_got(&r, PACKET_REFUSE));
	close(r.fd);
}

static void a_discard_takes_no_buffer_and_gives_none_back(void **state)
{
	struct packet p = { .type = PACKET_DISCARD, .discard = { .id = 1, .sectors = DISCARD_SECTORS_MAX } };
	struct raw r;

	(void)state;
	node_start(&world.a);
	raw_authenticate(&r);
	raw_send(&r, &p);
	run_until(world.a.nkept == 1);
	assert_int_equal(world.a.kept[0]->op, REQUEST_DISCARD);
	assert_int_equal(world.a.kept[0]->sectors, DISCARD_SECTORS_MAX);
	assert_null(world.a.kept[0]->data);
	put_oldest(&world.a);
	p = data_packet(2, 0, 2048);
	raw_send(&r, &p);
	raw_bytes(&r, payload, sizeof(payload));
	run_until(world.a.nkept == 1 || world.a.disconnected);
	assert_int_equal(world.a.disconnected, 0);
	close(r.fd);
}

static void more_bytes_than_the_pool_close_the_connection(void **state)
{
	struct packet p = data_packet(1, 0, 2048);
	struct raw r;

	(void)state;
	node_start(&world.a);
	raw_authenticate(&r);
	for (unsigned int i = 0; i < POOL_BYTES / sizeof(payload); i++) {
		raw_send(&r, &p);
		raw_bytes(&r, payload, sizeof(payload));
	}
	run_until(world.a.nkept == POOL_BYTES / sizeof(payload));
	p = data_packet(9, 0, 1);
	raw_send(&r, &p);
	run_until(world.a.disconnected == 1);
	assert_non_null(strstr(world.a.why, "window"));
	close(r.fd);
}

static void a_fragmented_pool_delays_but_drops_nothing(void **state)
{
	struct packet p;
	struct raw r;

	(void)state;
	node_start(&world.a);
	raw_authenticate(&r);
	p = data_packet(1, 0, 1);
	raw_send(&r, &p);
	raw_bytes(&r, payload, 512);		/* takes a page of the first MiB */
	for (uint64_t id = 2; id <= 4; id++) {
		p = data_packet(id, 0, 2048);
		raw_send(&r, &p);
		raw_bytes(&r, payload, sizeof(payload));
	}
	p = data_packet(5, 0, 1280);		/* 640 KiB: there is room, but no block of 1 MiB */
	raw_send(&r, &p);
	raw_bytes(&r, payload, 1280 * 512);
	run_until(world.a.nkept == 4);
	run_for(100);
	assert_int_equal(world.a.packets, 4);
	put_oldest(&world.a);
	run_until(world.a.packets == 5);
	assert_int_equal(world.a.disconnected, 0);
	assert_int_equal(world.a.last.data.id, 5);
	close(r.fd);
}

static void a_repeated_packet_closes_the_connection(void **state)
{
	struct packet p = { .type = PACKET_ACK };
	struct raw r;

	(void)state;
	node_start(&world.a);
	raw_authenticate(&r);
	raw_send(&r, &p);
	r.tx--;
	raw_send(&r, &p);
	run_until(world.a.disconnected == 1);
	assert_int_equal(world.a.packets, 1);
	assert_non_null(strstr(world.a.why, "was due"));
	close(r.fd);
}

static void a_packet_that_the_owner_refuses_closes_the_connection(void **state)
{
	struct packet p = data_packet(1, 0, 8);
	struct raw r;

	(void)state;
	node_start(&world.a);
	world.a.refuse_packets = true;
	raw_authenticate(&r);
	raw_send(&r, &p);
	raw_bytes(&r, payload, 4096);
	run_until(world.a.disconnected == 1 && raw_got(&r, PACKET_REFUSE));
	close(r.fd);
}

static void disconnect_tells_the_partner_why_and_it_comes_back(void **state)
{
	(void)state;
	pair_up();
	send_data(&world.a, 1, 2048);
	transport_disconnect(world.a.t, "the disks differ in size");
	assert_int_equal(world.a.disconnected, 0);	/* not from within the call */
	run_until(world.a.disconnected == 1 && world.b.disconnected == 1);
	assert_string_equal(world.a.why, "the disks differ in size");
	assert_string_equal(world.b.why, "alpha refused: the disks differ in size");
	run_until(world.a.connected == 2 && world.b.connected == 2);
}

static void a_partner_that_closes_is_reported_and_comes_back(void **state)
{
	(void)state;
	pair_up();
	node_stop(&world.b);
	run_until(world.a.disconnected == 1);
	assert_non_null(strstr(world.a.why, "beta refused: the test is over"));
	node_start(&world.b);
	run_until(world.a.connected == 2);
}

/* Its guest waits for that. */
static void a_partner_that_is_started_again_is_met_soon_whatever_connect_int_says(void **state)
{
	(void)state;
	world.a.cfg.retry_ms = world.b.cfg.retry_ms = 60000;
	world.a.cfg.quick_ms = world.b.cfg.quick_ms = 2000;
	pair_up();
	run_for(2100); /* the loss counts, not the start */
	for (unsigned int i = 1; i <= 2; i++) {
		struct node *killed = i == 1 ? &world.a : &world.b, *other = i == 1 ? &world.b : &world.a;
		unsigned int connected = other->connected, disconnected = other->disconnected;

		node_stop(killed);
		run_until(other->disconnected > disconnected);
		run_for(200); /* nobody is there: refused, more than once */
		node_start(killed);
		run_until(other->connected > connected);
	}
}

static void a_partner_that_does_not_read_does_not_block_the_end(void **state)
{
	struct raw r;

	(void)state;
	node_start(&world.a);
	raw_authenticate(&r);
	for (unsigned int i = 0; i < 16; i++)
		send_data(&world.a, i, 2048);
	run_for(50);
	transport_disconnect(world.a.t, "enough");
	run_until(world.a.disconnected == 1);
	close(r.fd);
}

static void nothing_is_sent_without_a_connection(void **state)
{
	(void)state;
	node_start(&world.a);
	send_simple(&world.a, PACKET_ACK);
	transport_disconnect(world.a.t, "nobody is there");
	run_for(60);
	assert_string_equal(world.a.events, "");
}

static void ipv6_works_as_well(void **state)
{
	struct sockaddr_in6 one = { .sin6_family = AF_INET6,
				    .sin6_addr = IN6ADDR_LOOPBACK_INIT,
				    .sin6_port = htons(world.port) };
	struct sockaddr_in6 two = one;

	(void)state;
	two.sin6_port = htons(world.port + 1 ? world.port + 1 : 1);
	memcpy(&world.a.cfg.self, &one, sizeof(one));
	memcpy(&world.a.cfg.peer, &two, sizeof(two));
	memcpy(&world.b.cfg.self, &two, sizeof(two));
	memcpy(&world.b.cfg.peer, &one, sizeof(one));
	world.a.cfg.self_len = world.a.cfg.peer_len = world.b.cfg.self_len = world.b.cfg.peer_len =
		sizeof(one);
	assert_true(transport_is_first(&world.a.cfg));
	assert_false(transport_is_first(&world.b.cfg));
	pair_up();
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(two_nodes_connect),
		T(two_nodes_with_the_same_secret_connect),
		T(it_does_not_matter_who_starts_first),
		T(wrong_secret_is_refused_in_words_on_both_sides),
		T(a_secret_on_one_side_only_is_refused_in_words),
		T(different_digests_are_refused_in_words),
		T(wrong_resource_is_refused_in_words),
		T(a_version_out_of_range_is_refused_in_words),
		T(the_highest_version_that_both_know_is_spoken),
		T(no_common_version_is_refused_in_words_that_name_the_older_host),
		T(a_packet_in_another_version_than_the_one_spoken_closes_the_connection),
		T(a_partner_is_told_that_another_program_takes_this_ones_place),
		T(that_a_partner_is_back_soon_is_forgotten_with_the_connection),
		T(an_unknown_digest_is_refused_at_the_start),
		T(a_missing_own_address_is_named),
		T(packets_arrive_in_order_with_their_payload),
		T(maximal_payloads_arrive_whole),
		T(many_packets_of_one_turn_arrive),
		T(both_directions_at_once),
		T(a_byte_at_a_time_is_fast_enough),
		T(a_stranger_from_another_address_is_turned_away),
		T(garbage_costs_only_its_own_connection),
		T(one_without_the_secret_does_not_displace_the_live_connection),
		T(data_before_authentication_is_refused),
		T(a_silent_handshake_is_bounded),
		T(an_older_unfinished_handshake_makes_way),
		T(a_newer_connection_of_the_partner_replaces_the_live_one),
		T(a_vanished_partner_is_noticed_in_time),
		T(a_partner_that_only_acknowledges_is_not_dropped),
		T(a_quiet_pair_stays_connected),
		T(a_flood_of_pings_is_answered_but_not_stored),
		T(more_requests_than_the_window_close_the_connection),
		T(a_discard_takes_no_buffer_and_gives_none_back),
		T(more_bytes_than_the_pool_close_the_connection),
		T(a_fragmented_pool_delays_but_drops_nothing),
		T(a_repeated_packet_closes_the_connection),
		T(a_packet_that_the_owner_refuses_closes_the_connection),
		T(disconnect_tells_the_partner_why_and_it_comes_back),
		T(a_partner_that_closes_is_reported_and_comes_back),
		T(a_partner_that_is_started_again_is_met_soon_whatever_connect_int_says),
		T(a_partner_that_does_not_read_does_not_block_the_end),
		T(nothing_is_sent_without_a_connection),
		T(ipv6_works_as_well),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
