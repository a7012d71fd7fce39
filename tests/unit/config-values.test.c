/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The typed values of a resource: as written, inherited, or drbdx's own. */
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>

#include "backend/actlog.h"
#include "config-fixture.h"
#include "config/option.h"

static const struct config_resource *load_r(struct fixture *f, const char *text)
{
	const struct config_resource *r;

	if (load(f, text))
		print_messages(f);
	assert_int_equal(f->rc, 0);
	r = config_find(f->config, "r");
	assert_non_null(r);
	return r;
}

static void defaults_notice_a_dead_peer_in_a_second_and_a_half(void **state)
{
	const struct config_resource *r = load_r(*state, NET(""));

	assert_int_equal(r->ping_int_ms + r->ping_timeout_ms, 1500);
	assert_int_equal(r->timeout_ms, 6000);
	assert_int_equal(r->connect_int_ms, 500);
	assert_int_equal(r->ko_count, 7);
	assert_int_equal(r->al_extents, 1237);
	assert_int_equal(r->on_io_error, CONFIG_DETACH);
	assert_false(r->ping_int_set || r->ping_timeout_set || r->timeout_set || r->connect_int_set ||
		     r->ko_count_set);
	assert_false(r->al_extents_set || r->on_io_error_set);
}

static void the_users_values_win_and_are_marked(void **state)
{
	const struct config_resource *r = load_r(
		*state, RESOURCE("net { " SECRET
				 " ping-int 11; ping-timeout 12; timeout 13; connect-int 14; ko-count 0; }"
				 "disk { on-io-error pass_on; al-extents 3389; }"));

	assert_int_equal(r->ping_int_ms, 11000);
	assert_int_equal(r->ping_timeout_ms, 1200);
	assert_int_equal(r->timeout_ms, 1300);
	assert_int_equal(r->connect_int_ms, 14000);
	assert_int_equal(r->ko_count, 0);
	assert_int_equal(r->al_extents, 3389);
	assert_int_equal(r->on_io_error, CONFIG_PASS_ON);
	assert_true(r->ping_int_set && r->ping_timeout_set && r->timeout_set && r->connect_int_set &&
		    r->ko_count_set);
	assert_true(r->al_extents_set && r->on_io_error_set);
}

static void the_resource_wins_over_common_option_by_option(void **state)
{
	const struct config_resource *r = load_r(
		*state, "common { net { " SECRET
			" timeout 50; ko-count 3; } disk { on-io-error call-local-io-error; } }\n" RESOURCE(
				"net { timeout 40; }"));

	assert_int_equal(r->timeout_ms, 4000);
	assert_int_equal(r->ko_count, 3);
	assert_string_equal(r->shared_secret, "0123456789abcdef");
	assert_string_equal(r->cram_hmac_alg, "sha256");
	assert_int_equal(r->on_io_error, CONFIG_CALL_LOCAL_IO_ERROR);
}

static void common_after_the_resource_counts_too(void **state)
{
	assert_int_equal(load_r(*state, NET("") "common { net { timeout 50; } }\n")->timeout_ms, 5000);
}

static void the_last_of_two_values_counts(void **state)
{
	assert_int_equal(load_r(*state, NET("timeout 40; timeout 30;"))->timeout_ms, 3000);
}

static void al_extents_of_syncer_count(void **state)
{
	assert_int_equal(
		load_r(*state, RESOURCE("net { " SECRET " } syncer { al-extents 257; }"))->al_extents, 257);
}

static void few_and_many_al_extents_are_moved_to_what_the_log_can_do(void **state)
{
	assert_int_equal(CONFIG_AL_EXTENTS_MIN, ACTLOG_EXTENTS_MIN);
	assert_int_equal(CONFIG_AL_EXTENTS_MAX, ACTLOG_EXTENTS_MAX);
	assert_int_equal(load_r(*state, DISK("al-extents 6;"))->al_extents, 7);
	assert_int_equal(load_r(*state, DISK("al-extents 7;"))->al_extents, 7);
	assert_int_equal(load_r(*state, DISK("al-extents 5000;"))->al_extents, 5000);
	assert_int_equal(load_r(*state, DISK("al-extents 5001;"))->al_extents, 5000);
}

static void defaults_of_degraded_operation(void **state)
{
	const struct config_resource *r = load_r(*state, NET(""));
	int i;

	assert_int_equal(r->after_sb_0pri, CONFIG_0PRI_DISCONNECT);
	assert_int_equal(r->after_sb_1pri, CONFIG_1PRI_DISCONNECT);
	assert_int_equal(r->after_sb_2pri, CONFIG_2PRI_DISCONNECT);
	assert_int_equal(r->rr_conflict, CONFIG_RR_DISCONNECT);
	assert_false(r->always_asbp || r->csums_after_crash_only || r->resync_rate_set ||
		     r->c_plan_ahead_set);
	assert_null(r->after_sb_discard);
	assert_int_equal(r->fencing, CONFIG_DONT_CARE);
	assert_int_equal(r->disk_timeout_ms, 0);
	assert_int_equal(r->resync_rate_kib, 250);
	assert_int_equal(r->c_plan_ahead_ms, 2000);
	assert_int_equal(r->c_delay_target_ms, 100);
	assert_int_equal(r->c_fill_target_sectors, 0);
	assert_int_equal(r->c_max_rate_kib, 102400);
	assert_int_equal(r->c_min_rate_kib, 4096);
	assert_null(r->csums_alg);
	assert_null(r->resync_after);
	for (i = 0; i < CONFIG_HANDLER_COUNT; i++)
		assert_null(r->handlers[i]);
}

/* By default no time decides about data (P2). */
static void waiting_for_the_partner(void **state)
{
	const struct config_resource *r = load_r(*state, NET(""));

	assert_int_equal(r->wfc_timeout_s, 0);
	assert_int_equal(r->degr_wfc_timeout_s, 0);
	assert_int_equal(r->on_wfc_timeout, CONFIG_REFUSE_START);
	r = load_r(*state, "common { startup { wfc-timeout 15; degr-wfc-timeout 300000; on-wfc-timeout force-primary; } }\n" RESOURCE(
				   "net { " SECRET " } startup { wfc-timeout 20; }"));
	assert_int_equal(r->wfc_timeout_s, 20);
	assert_int_equal(r->degr_wfc_timeout_s, 300000);
	assert_int_equal(r->on_wfc_timeout, CONFIG_FORCE_PRIMARY);
	assert_int_equal(load_r(*state, RESOURCE("net { " SECRET " } startup { on-wfc-timeout refuse; }"))->on_wfc_timeout, CONFIG_REFUSE_START);
}

/* Not DRBD's default: a guest is frozen rather than given an error. */
static void without_data_a_guest_is_frozen(void **state)
{
	assert_int_equal(load_r(*state, NET(""))->on_no_data_accessible, CONFIG_SUSPEND_IO);
}

static void every_word_of_a_choice_is_its_own_value(void **state)
{
	static const struct {
		const char *text;
		size_t member;
		unsigned value;
	} cases[] = {
#define CASE(text, member, value) { text, offsetof(struct config_resource, member), value }
		CASE("net { after-sb-0pri disconnect; }", after_sb_0pri, CONFIG_0PRI_DISCONNECT),
		CASE("net { after-sb-0pri discard-younger-primary; }", after_sb_0pri,
		     CONFIG_0PRI_DISCARD_YOUNGER_PRIMARY),
		CASE("net { after-sb-0pri discard-older-primary; }", after_sb_0pri,
		     CONFIG_0PRI_DISCARD_OLDER_PRIMARY),
		CASE("net { after-sb-0pri discard-zero-changes; }", after_sb_0pri,
		     CONFIG_0PRI_DISCARD_ZERO_CHANGES),
		CASE("net { after-sb-0pri discard-least-changes; }", after_sb_0pri,
		     CONFIG_0PRI_DISCARD_LEAST_CHANGES),
		CASE("net { after-sb-0pri discard-remote; }", after_sb_0pri, CONFIG_0PRI_DISCARD_HOST),
		CASE("net { after-sb-1pri disconnect; }", after_sb_1pri, CONFIG_1PRI_DISCONNECT),
		CASE("net { after-sb-1pri consensus; }", after_sb_1pri, CONFIG_1PRI_CONSENSUS),
		CASE("net { after-sb-1pri discard-secondary; }", after_sb_1pri,
		     CONFIG_1PRI_DISCARD_SECONDARY),
		CASE("net { after-sb-1pri call-pri-lost-after-sb; }", after_sb_1pri,
		     CONFIG_1PRI_CALL_PRI_LOST),
		CASE("net { after-sb-1pri violently-as0p; }", after_sb_1pri, CONFIG_1PRI_VIOLENTLY),
		CASE("net { after-sb-2pri disconnect; }", after_sb_2pri, CONFIG_2PRI_DISCONNECT),
		CASE("net { after-sb-2pri call-pri-lost-after-sb; }", after_sb_2pri,
		     CONFIG_2PRI_CALL_PRI_LOST),
		CASE("net { after-sb-2pri violently-as0p; }", after_sb_2pri, CONFIG_2PRI_VIOLENTLY),
		CASE("net { rr-conflict disconnect; }", rr_conflict, CONFIG_RR_DISCONNECT),
		CASE("net { rr-conflict call-pri-lost; }", rr_conflict, CONFIG_RR_CALL_PRI_LOST),
		CASE("net { rr-conflict violently; }", rr_conflict, CONFIG_RR_VIOLENTLY),
		CASE("net { rr-conflict retry-connect; }", rr_conflict, CONFIG_RR_RETRY_CONNECT),
		CASE("net { rr-conflict auto-discard; }", rr_conflict, CONFIG_RR_AUTO_DISCARD),
		CASE("disk { on-io-error pass_on; }", on_io_error, CONFIG_PASS_ON),
		CASE("disk { on-io-error call-local-io-error; }", on_io_error, CONFIG_CALL_LOCAL_IO_ERROR),
		CASE("disk { on-io-error detach; }", on_io_error, CONFIG_DETACH),
		CASE("options { on-no-data-accessible io-error; }", on_no_data_accessible, CONFIG_IO_ERROR),
		CASE("options { on-no-data-accessible suspend-io; }", on_no_data_accessible,
		     CONFIG_SUSPEND_IO),
		CASE("syncer { on-no-data-accessible io-error; }", on_no_data_accessible, CONFIG_IO_ERROR),
		CASE("net { fencing dont-care; }", fencing, CONFIG_DONT_CARE),
		CASE("net { fencing resource-only; }", fencing, CONFIG_RESOURCE_ONLY),
		CASE("net { fencing resource-and-stonith; }", fencing, CONFIG_RESOURCE_AND_STONITH),
		CASE("disk { fencing resource-and-stonith; }", fencing, CONFIG_RESOURCE_AND_STONITH),
#undef CASE
	};
	char text[1000];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct config_resource *r;

		snprintf(text, sizeof(text), "common { net { %s } }\nresource r { %s\n%s%s}\n", SECRET,
			 cases[i].text, ALPHA, BETA);
		r = load_r(*state, text);
		if (*(const unsigned *)(const void *)((const char *)r + cases[i].member) != cases[i].value)
			fail_msg("%s", cases[i].text);
	}
}

static void expect_discard(struct fixture *f, const char *policy, const char *here, const char *there)
{
	static const char *const hosts[] = { "alpha", "beta" };
	const char *expected[] = { here, there };
	char text[1000];
	int i;

	snprintf(text, sizeof(text), "common { net { %s after-sb-0pri %s; } }\nresource r {\n%s%s}\n", SECRET,
		 policy, ALPHA, BETA);
	put(f, "drbdx.conf", text);
	for (i = 0; i < 2; i++) {
		const struct config_resource *r;

		assert_int_equal(load_as(f, "drbdx.conf", hosts[i]), 0);
		r = config_find(f->config, "r");
		assert_int_equal(r->after_sb_0pri, CONFIG_0PRI_DISCARD_HOST);
		assert_string_equal(r->after_sb_discard->name, expected[i]);
		assert_true(r->after_sb_discard == r->self || r->after_sb_discard == r->peer);
	}
}

static void whose_data_is_discarded_is_told_by_the_host(void **state)
{
	expect_discard(*state, "discard-local", "alpha", "beta");
	expect_discard(*state, "discard-remote", "beta", "alpha");
	expect_discard(*state, "discard-node-alpha", "alpha", "alpha");
	expect_discard(*state, "discard-node-beta", "beta", "beta");
	expect_discard(*state, "discard-node-BETA.example.org", "beta", "beta");
}

static void a_host_that_is_not_there_cannot_be_discarded(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(load(f, NET("after-sb-0pri discard-node-gamma;")), -EINVAL);
	expect_message(f, CONFIG_ERROR, 2,
		       "after-sb-0pri discard-node-gamma: resource 'r' has no host 'gamma'");
}

static void switches_of_net_are_read(void **state)
{
	assert_true(load_r(*state, NET("always-asbp;"))->always_asbp);
	assert_false(load_r(*state, NET("always-asbp no;"))->always_asbp);
	assert_true(load_r(*state, NET("csums-after-crash-only yes;"))->csums_after_crash_only);
}

static void expect_resync_values(const struct config_resource *r)
{
	assert_int_equal(r->resync_rate_kib, 10240);
	assert_true(r->resync_rate_set && r->c_plan_ahead_set);
	assert_int_equal(r->c_plan_ahead_ms, 700);
	assert_int_equal(r->c_delay_target_ms, 300);
	assert_int_equal(r->c_fill_target_sectors, 8);
	assert_int_equal(r->c_max_rate_kib, 51200);
	assert_int_equal(r->c_min_rate_kib, 1024);
	assert_string_equal(r->csums_alg, "sha1");
	assert_int_equal(r->al_extents, 257);
}

#define CONTROLLER "c-plan-ahead 7; c-delay-target 3; c-fill-target 4k; c-max-rate 50M; c-min-rate 1M;"

static void both_spellings_of_resync_options_are_one(void **state)
{
	expect_resync_values(
		load_r(*state, RESOURCE("net { " SECRET " csums-alg sha1; }"
					"disk { resync-rate 10M; al-extents 257; " CONTROLLER " }")));
	expect_resync_values(load_r(*state, RESOURCE("net { " SECRET " } syncer { csums-alg sha1; rate 10M; "
						     "al-extents 257; " CONTROLLER " }")));
}

/* A `syncer` in the resource beats `disk` in common; in one body the later one counts, whatever its section.
 */
static void the_resource_wins_in_the_old_spelling_too(void **state)
{
	const struct config_resource *r = load_r(
		*state, "common { net { " SECRET
			" } disk { al-extents 100; resync-rate 1M; c-max-rate 1M; } }\n" RESOURCE(
				"syncer { al-extents 200; rate 2M; } disk { resync-rate 3M; }"));

	assert_int_equal(r->al_extents, 200);
	assert_int_equal(r->resync_rate_kib, 3072);
	assert_int_equal(r->c_max_rate_kib, 1024);
	r = load_r(*state, RESOURCE("net { " SECRET " } disk { resync-rate 3M; } syncer { rate 2M; }"));
	assert_int_equal(r->resync_rate_kib, 2048);
}

/* DRBD 8.3's `rate` is the rate, 8.4's resync-rate is what its controller begins with. */
static void a_rate_alone_is_a_fixed_one(void **state)
{
	const struct config_resource *r = load_r(*state, RESOURCE("net { " SECRET " } syncer { rate 10M; }"));

	assert_int_equal(r->c_plan_ahead_ms, 0);
	assert_false(r->c_plan_ahead_set);
	r = load_r(*state, RESOURCE("net { " SECRET " } syncer { rate 10M; c-fill-target 0; }"));
	assert_int_equal(r->c_plan_ahead_ms, 2000);
	r = load_r(*state, RESOURCE("net { " SECRET " } syncer { rate 10M; c-plan-ahead 0; }"));
	assert_int_equal(r->c_plan_ahead_ms, 0);
	assert_true(r->c_plan_ahead_set);
	assert_int_equal(load_r(*state, DISK("resync-rate 10M;"))->c_plan_ahead_ms, 0);
	assert_int_equal(load_r(*state, DISK("resync-rate 10M; c-min-rate 1M;"))->c_plan_ahead_ms, 0);
	assert_int_equal(load_r(*state, DISK("resync-rate 10M; c-max-rate 20M;"))->c_plan_ahead_ms, 2000);
}

static void an_empty_digest_is_none(void **state)
{
	assert_null(load_r(*state, NET("csums-alg \"\";"))->csums_alg);
}

static void a_disk_timeout_is_in_tenths_of_a_second(void **state)
{
	assert_int_equal(load_r(*state, DISK("disk-timeout 30;"))->disk_timeout_ms, 3000);
}

#define AFTER(text_r, text_s)                                                                       \
	"common { net { " SECRET " } }\n"                                                           \
	"resource r { " text_r "\n" ALPHA BETA "}\nresource s { " text_s "\n"                       \
	"on alpha { device minor 1; disk /dev/vg/s; address 10.0.0.1:7701; meta-disk internal; }\n" \
	"on beta { device minor 1; disk /dev/vg/s; address 10.0.0.2:7701; meta-disk internal; } }\n"

static void a_resource_is_resynced_after_another(void **state)
{
	assert_string_equal(load_r(*state, AFTER("syncer { after s; }", ""))->resync_after, "s");
	assert_string_equal(load_r(*state, AFTER("disk { resync-after \"s/0\"; }", ""))->resync_after, "s");
	assert_null(load_r(*state, AFTER("disk { resync-after \"-1\"; }", ""))->resync_after);
	assert_null(load_r(*state, AFTER("", "disk { resync-after r; }"))->resync_after);
}

static void resources_that_would_wait_for_each_other_are_an_error(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(load(f, AFTER("syncer { after s; }", "disk { resync-after r; }")), -EINVAL);
	expect_message(f, CONFIG_ERROR, 2,
		       "after s: they go in a circle, so resource 'r' would wait for itself");
	expect_message(f, CONFIG_ERROR, 6, "resync-after r: they go in a circle");
}

/* Each handler that may be written reaches the daemon under its own name. */
static void every_handler_is_kept(void **state)
{
	char text[1000];
	int id, i;

	for (id = 0; id < OPTION_COUNT; id++) {
		const char *name = option_table[id].name;
		const struct config_resource *r;

		if (option_table[id].section != SECTION_HANDLERS)
			continue;
		snprintf(text, sizeof(text),
			 "common { net { %s } }\nresource r { handlers { %s \"run %s\"; }\n%s%s}\n", SECRET,
			 name, name, ALPHA, BETA);
		r = load_r(*state, text);
		for (i = 0; i < CONFIG_HANDLER_COUNT; i++) {
			bool alias = i == CONFIG_FENCE_PEER && !strcmp(name, "outdate-peer");

			if (!alias && strcmp(config_handler_name((enum config_handler)i), name))
				assert_null(r->handlers[i]);
			else if (!r->handlers[i] || strcmp(r->handlers[i] + 4, name))
				fail_msg("%s is not kept", name);
		}
	}
	assert_string_equal(config_handler_name(CONFIG_FENCE_PEER), "fence-peer");
	assert_string_equal(config_handler_name(CONFIG_DISCONNECTED), "disconnected");
}

static void handlers_of_common_are_inherited_one_by_one(void **state)
{
	const struct config_resource *r = load_r(
		*state, "common { net { " SECRET
			" } handlers { pri-lost a; split-brain b; outdate-peer c; } }\n" RESOURCE(
				"handlers { split-brain d; }"));

	assert_string_equal(r->handlers[CONFIG_PRI_LOST], "a");
	assert_string_equal(r->handlers[CONFIG_SPLIT_BRAIN], "d");
	assert_string_equal(r->handlers[CONFIG_FENCE_PEER], "c");
}

static void a_quoted_secret_keeps_its_characters(void **state)
{
	assert_string_equal(
		load_r(*state,
		       RESOURCE("net { cram-hmac-alg SHA1; shared-secret \"a \\\"b\\\" \\\\ # c;{}\"; }"))
			->shared_secret,
		"a \"b\" \\ # c;{}");
}

static void self_and_peer_are_told_apart_by_name(void **state)
{
	struct fixture *f = *state;
	const struct config_resource *r = load_r(f, NET(""));
	const struct sockaddr_in *in = (const struct sockaddr_in *)&r->peer->addr;

	assert_string_equal(r->self->name, "alpha");
	assert_string_equal(r->peer->name, "beta");
	assert_int_equal(in->sin_family, AF_INET);
	assert_int_equal(ntohs(in->sin_port), 7700);
	assert_int_equal(ntohl(in->sin_addr.s_addr), 0x0a000002);
	assert_int_equal(r->peer->addr_len, sizeof(*in));
	assert_int_equal(load_as(f, "drbdx.conf", "beta"), 0);
	assert_string_equal(config_find(f->config, "r")->self->name, "beta");
	assert_string_equal(config_find(f->config, "r")->peer->name, "alpha");
}

static void case_and_domain_of_the_host_name_do_not_matter(void **state)
{
	struct fixture *f = *state;

	put(f, "drbdx.conf", NET(""));
	assert_int_equal(load_as(f, "drbdx.conf", "Alpha.example.org"), 0);
	assert_string_equal(config_find(f->config, "r")->self->name, "alpha");
	assert_int_equal(load_as(f, "drbdx.conf", "alphabet"), 0);
	assert_null(config_find(f->config, "r"));
}

static void the_exact_host_name_is_preferred(void **state)
{
	const struct config_resource *r =
		load_r(*state, "resource r { net { " SECRET " }\n"
			       "on ALPHA { device minor 0; disk /dev/vg/x; address 10.0.0.2:7700; meta-disk "
			       "internal; }\n" ALPHA "}\n");

	assert_string_equal(r->self->disk, "/dev/vg/r");
	assert_string_equal(r->peer->disk, "/dev/vg/x");
}

static void a_floating_section_is_this_hosts_by_its_address(void **state)
{
	const struct config_resource *r;

	if (!if_nametoindex("lo"))
		skip();
	r = load_r(*state,
		   "resource r { net { " SECRET " } device minor 4; disk /dev/vg/r; meta-disk internal;\n"
		   "floating 192.0.2.7:7700; floating ipv4 127.0.0.1:7701; }\n");
	assert_string_equal(r->self->name, "127.0.0.1:7701");
	assert_string_equal(r->peer->name, "192.0.2.7:7700");
	assert_int_equal(r->self->minor, 4);
}

static void ipv6_addresses_carry_their_port(void **state)
{
	const struct config_resource *r =
		load_r(*state, "resource r { net { " SECRET " } disk /dev/vg/r; device minor 0; "
			       "meta-disk internal; on alpha { address ipv6 [fd00::1]:7788; } on beta { "
			       "address [fd00::2]:7789; } }\n");
	const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)&r->peer->addr;

	assert_int_equal(in->sin6_family, AF_INET6);
	assert_int_equal(ntohs(in->sin6_port), 7789);
	assert_int_equal(in->sin6_addr.s6_addr[15], 2);
	assert_int_equal(r->peer->addr_len, sizeof(*in));
}

static void a_link_local_address_has_its_interface(void **state)
{
	const struct config_resource *r;

	if (!if_nametoindex("lo"))
		skip();
	r = load_r(*state,
		   "resource r { net { " SECRET " } disk /dev/vg/r; device minor 0; meta-disk internal;\n"
		   "on alpha { address ipv6 [fe80::1%lo]:1; } on beta { address ipv6 [fe80::2%lo]:1; } }\n");
	assert_int_equal(((const struct sockaddr_in6 *)&r->peer->addr)->sin6_scope_id, if_nametoindex("lo"));
}

static void the_statements_of_the_resource_are_inherited_one_by_one(void **state)
{
	const struct config_resource *r =
		load_r(*state, "resource r { net { " SECRET " }\n"
			       "device /dev/drbd7; disk /dev/vg/r; meta-disk /dev/vg/m[2];\n"
			       "on alpha { address 10.0.0.1:1; disk /dev/vg/other; }\n"
			       "on beta { address 10.0.0.2:1; meta-disk internal; device minor 8; } }\n");

	assert_string_equal(r->self->disk, "/dev/vg/other");
	assert_string_equal(r->self->meta_disk, "/dev/vg/m");
	assert_int_equal(r->self->meta_index, 2);
	assert_int_equal(r->self->minor, 7);
	assert_string_equal(r->self->device, "/dev/drbd7");
	assert_string_equal(r->peer->disk, "/dev/vg/r");
	assert_null(r->peer->meta_disk);
	assert_int_equal(r->peer->meta_index, CONFIG_META_INTERNAL);
	assert_int_equal(r->peer->minor, 8);
}

static void devices_get_their_full_name(void **state)
{
	const struct config_resource *r =
		load_r(*state, "resource r { net { " SECRET " } disk /dev/vg/r; meta-disk internal;\n"
			       "on alpha { address 10.0.0.1:1; device drbd_web minor 9; } on beta { address "
			       "10.0.0.2:1; device drbd3; } }\n");

	assert_string_equal(r->self->device, "/dev/drbd_web");
	assert_int_equal(r->self->minor, 9);
	assert_string_equal(r->peer->device, "/dev/drbd3");
	assert_int_equal(r->peer->minor, 3);
}

static void meta_disk_without_an_index_is_flexible(void **state)
{
	const struct config_resource *r =
		load_r(*state, "resource r { net { " SECRET " } disk /dev/vg/r; device minor 0;\n"
			       "on alpha { address 10.0.0.1:1; meta-disk /dev/vg/m; } on beta { address "
			       "10.0.0.2:1; flexible-meta-disk /dev/vg/n; } }\n");

	assert_int_equal(r->self->meta_index, CONFIG_META_FLEXIBLE);
	assert_string_equal(r->self->meta_disk, "/dev/vg/m");
	assert_int_equal(r->peer->meta_index, CONFIG_META_FLEXIBLE);
}

static void a_resource_knows_where_it_was_written(void **state)
{
	const struct config_resource *r = load_r(*state, "\n\n" NET(""));

	assert_int_equal(r->line, 3);
	assert_non_null(strstr(r->file, "/drbdx.conf"));
}

static void resources_keep_the_order_of_the_file(void **state)
{
	struct fixture *f = *state;
	const struct config_resource *r;

	assert_int_equal(
		load(f, TWO("device minor 0; disk /dev/vg/r; address 10.0.0.1:7700; meta-disk internal;",
			    "device minor 1; disk /dev/vg/s; address 10.0.0.1:7701; meta-disk internal;")),
		0);
	assert_int_equal(config_resources(f->config, &r), 2);
	assert_string_equal(r[0].name, "r");
	assert_string_equal(r[1].name, "s");
	assert_ptr_equal(config_find(f->config, "s"), &r[1]);
	assert_null(config_find(f->config, "t"));
}

static void two_slots_of_one_device_are_two_resources(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(
		load(f,
		     TWO("device minor 0; disk /dev/vg/r; address 10.0.0.1:7700; meta-disk /dev/vg/m[0];",
			 "device minor 1; disk /dev/vg/s; address 10.0.0.1:7701; meta-disk /dev/vg/m[1];")),
		0);
	assert_int_equal(config_find(f->config, "s")->self->meta_index, 1);
}

static void an_empty_file_is_a_configuration_of_nothing(void **state)
{
	struct fixture *f = *state;
	const struct config_resource *r;
	const struct config_message *m;

	assert_int_equal(load(f, ""), 0);
	assert_int_equal(config_resources(f->config, &r), 0);
	assert_int_equal(config_messages(f->config, &m), 0);
}

static void freeing_nothing_is_fine(void **state)
{
	(void)state;
	config_free(NULL);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FOLDER(defaults_notice_a_dead_peer_in_a_second_and_a_half),
		WITH_FOLDER(the_users_values_win_and_are_marked),
		WITH_FOLDER(the_resource_wins_over_common_option_by_option),
		WITH_FOLDER(common_after_the_resource_counts_too),
		WITH_FOLDER(the_last_of_two_values_counts),
		WITH_FOLDER(al_extents_of_syncer_count),
		WITH_FOLDER(few_and_many_al_extents_are_moved_to_what_the_log_can_do),
		WITH_FOLDER(defaults_of_degraded_operation),
		WITH_FOLDER(without_data_a_guest_is_frozen),
		WITH_FOLDER(waiting_for_the_partner),
		WITH_FOLDER(every_word_of_a_choice_is_its_own_value),
		WITH_FOLDER(whose_data_is_discarded_is_told_by_the_host),
		WITH_FOLDER(a_host_that_is_not_there_cannot_be_discarded),
		WITH_FOLDER(switches_of_net_are_read),
		WITH_FOLDER(both_spellings_of_resync_options_are_one),
		WITH_FOLDER(the_resource_wins_in_the_old_spelling_too),
		WITH_FOLDER(a_rate_alone_is_a_fixed_one),
		WITH_FOLDER(an_empty_digest_is_none),
		WITH_FOLDER(a_disk_timeout_is_in_tenths_of_a_second),
		WITH_FOLDER(a_resource_is_resynced_after_another),
		WITH_FOLDER(resources_that_would_wait_for_each_other_are_an_error),
		WITH_FOLDER(every_handler_is_kept),
		WITH_FOLDER(handlers_of_common_are_inherited_one_by_one),
		WITH_FOLDER(a_quoted_secret_keeps_its_characters),
		WITH_FOLDER(self_and_peer_are_told_apart_by_name),
		WITH_FOLDER(case_and_domain_of_the_host_name_do_not_matter),
		WITH_FOLDER(the_exact_host_name_is_preferred),
		WITH_FOLDER(a_floating_section_is_this_hosts_by_its_address),
		WITH_FOLDER(ipv6_addresses_carry_their_port),
		WITH_FOLDER(a_link_local_address_has_its_interface),
		WITH_FOLDER(the_statements_of_the_resource_are_inherited_one_by_one),
		WITH_FOLDER(devices_get_their_full_name),
		WITH_FOLDER(meta_disk_without_an_index_is_flexible),
		WITH_FOLDER(a_resource_knows_where_it_was_written),
		WITH_FOLDER(resources_keep_the_order_of_the_file),
		WITH_FOLDER(two_slots_of_one_device_are_two_resources),
		WITH_FOLDER(an_empty_file_is_a_configuration_of_nothing),
		cmocka_unit_test(freeing_nothing_is_fine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
