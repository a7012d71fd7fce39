/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The typed values of a resource: as written, inherited, or drbdx's own. */
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>

#include "config-fixture.h"

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

static void few_al_extents_are_raised(void **state)
{
	assert_int_equal(load_r(*state, RESOURCE("net { " SECRET " } syncer { al-extents 6; }"))->al_extents,
			 67);
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
		WITH_FOLDER(few_al_extents_are_raised),
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
