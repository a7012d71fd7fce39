/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What drbdx does not do is never passed over: asking for more durability or security than there is refuses
 * the resource, asking for less is not followed, and everything else is said once.
 */
#include "config-fixture.h"

#define GOOD_S \
	"resource s { net { " SECRET " }\n" \
	"on alpha { device minor 1; disk /dev/vg/s; address 10.0.0.1:7701; meta-disk internal; }\n" \
	"on beta { device minor 1; disk /dev/vg/s; address 10.0.0.2:7701; meta-disk internal; } }\n"
#define FULL(host, address) \
	"on " host " { device minor 0; disk /dev/vg/r; address " address "; meta-disk internal; }\n"

/* Resource r is refused by what is on `line`; resource s of the same file is served. */
static const struct config_case refused[] = {
	{ "data-integrity-alg", NET("data-integrity-alg crc32c;"), 2,
	  "data-integrity-alg crc32c: checksums of the data" },
	{ "tls", NET("tls yes;"), 2, "encrypted" },
	{ "quorum", RESOURCE("options { quorum majority; }"), 2, "quorum" },
	{ "quorum of a number", RESOURCE("options { quorum 2; }"), 2, "quorum" },
	{ "quorum-minimum-redundancy", RESOURCE("options { quorum-minimum-redundancy all; }"), 2, "quorum" },
	{ "a smaller size", DISK("size 10G;"), 3, "size" },
	{ "three hosts", RESOURCE(FULL("gamma", "10.0.0.3:7700")), 1, "it has 3 hosts" },
	{ "one host", "resource r { net { " SECRET " }\n" ALPHA "}\n", 1, "no section for a partner" },
	{ "two volumes",
	  "resource r {\non alpha { address 10.0.0.1:7700; volume 0 { device minor 0; disk /dev/vg/r; "
	  "meta-disk internal; }\n"
	  "volume 1 { device minor 3; disk /dev/vg/t; meta-disk internal; } }\n" BETA "}\n",
	  3, "more than one volume" },
	{ "a stacked resource",
	  "resource r { net { " SECRET
	  " }\nstacked-on-top-of s { device minor 10; address 10.0.0.9:1; }\n" ALPHA "}\n",
	  2, "it is stacked on 's'" },
	{ "a proxy section", RESOURCE("proxy { memlimit 100M; plugin { zlib level 9; } }"), 2, "Proxy" },
	{ "a proxy of a host",
	  "resource r {\n" ALPHA "on beta { device minor 0; disk /dev/vg/r; address 10.0.0.2:7700; "
	  "meta-disk internal;\nproxy on p { inside 10.0.0.8:1; outside 10.0.0.9:1; } } }\n",
	  4, "Proxy" },
	{ "a connection section",
	  RESOURCE("connection { host alpha address 10.0.0.1:7700; host beta; path { } }"), 2,
	  "'connection'" },
	{ "a mesh of three", RESOURCE("connection-mesh {\nhosts alpha beta gamma; }"), 3, "has 3 hosts" },
	{ "address family sdp",
	  "resource r {\non alpha { device minor 0; disk /dev/vg/r;\naddress sdp 10.0.0.1:7700; "
	  "meta-disk internal; }\n" BETA "}\n",
	  3, "address family sdp" },
	{ "IPv4 to IPv6",
	  "resource r {\n" ALPHA
	  "on beta { device minor 0; disk /dev/vg/r; address ipv6 [fd00::2]:7700; meta-disk internal; } }\n",
	  3, "IPv6" },
	{ "an interface that is not here",
	  "resource r {\non alpha { device minor 0; disk /dev/vg/r;\n"
	  "address ipv6 [fe80::1%nowhere0]:7700; meta-disk internal; }\n" BETA "}\n",
	  3, "'nowhere0'" },
	{ "a node without a disk",
	  "resource r {\n" ALPHA "on beta { device minor 0;\ndisk none; address 10.0.0.2:7700; "
	  "meta-disk internal; } }\n",
	  4, "without a disk" },
	{ "a relative path",
	  "resource r {\non alpha { device minor 0; disk vg/r; address 10.0.0.1:7700; meta-disk internal; "
	  "}\n" BETA "}\n",
	  2, "no absolute path" },
	{ "a template file", RESOURCE("template-file \"x\";"), 2, "'template-file'" },
	{ "a name that is no file name", "resource \"a/b\" {\n" ALPHA BETA "}\n", 1, "its name has a slash" },
	{ "two sections that are this host's",
	  "resource r { net { " SECRET " }\n" FULL("ALPHA", "10.0.0.1:7700")
		  FULL("alpha.example.org", "10.0.0.2:7700") "}\n",
	  3, "two of its sections" },
	{ "the form of drbdsetup show", RESOURCE("_remote_host { address 10.0.0.1:1; }"), 2,
	  "'_remote_host'" },
};

static void one_is_refused_the_other_served(void **state)
{
	const struct config_case *c = *state;
	const struct config_resource *r;
	void *fixture;
	struct fixture *f;
	char text[4096], where[64];

	setup(&fixture);
	f = fixture;
	snprintf(text, sizeof(text), "%s%s", c->config, GOOD_S);
	if (load(f, text) != 0)
		print_messages(f);
	assert_int_equal(f->rc, 0);
	assert_int_equal(config_resources(f->config, &r), 2);
	assert_non_null(r[0].refused);
	snprintf(where, sizeof(where), "drbdx.conf:%u: ", c->line);
	assert_non_null(strstr(r[0].refused, where));
	assert_non_null(strstr(r[0].refused, c->text));
	expect_message(f, CONFIG_WARNING, c->line, "is not served: ");
	assert_null(r[1].refused);
	assert_string_equal(r[1].self->disk, "/dev/vg/s");
	teardown(&fixture);
}

/* Said at `line`, and the resource is served. */
static const struct config_case said[] = {
	{ "protocol A is run as C", RESOURCE("protocol A;"), 2, "protocol: run as protocol C" },
	{ "protocol b is run as C", NET("protocol b;"), 2, "protocol: run as protocol C" },
	{ "allow-two-primaries", NET("allow-two-primaries;"), 2, "not needed" },
	{ "use-bmbv", DISK("use-bmbv;"), 3, "use-bmbv: no effect" },
	{ "no-disk-barrier", DISK("no-disk-barrier;"), 3, "no-disk-barrier: no effect" },
	{ "no-disk-flushes", DISK("no-disk-flushes;"), 3, "no-disk-flushes: read, not followed" },
	{ "md-flushes no", DISK("md-flushes no;"), 3, "md-flushes: read, not followed" },
	{ "no-disk-drain", DISK("no-disk-drain;"), 3, "no-disk-drain: read, not followed" },
	{ "on-congestion pull-ahead", NET("on-congestion pull-ahead;"), 2,
	  "on-congestion: read, not followed" },
	{ "rs-discard-granularity", DISK("rs-discard-granularity 65536;"), 3, "a resync writes zeroes" },
	{ "discard-zeroes-if-aligned no", DISK("discard-zeroes-if-aligned no;"), 3, "reads as zeroes on both nodes" },
	{ "discard-zeroes-if-aligned yes", DISK("discard-zeroes-if-aligned yes;"), 3, "reads as zeroes on both nodes" },
	{ "disable-write-same no", DISK("disable-write-same no;"), 3, "write-same is not offered" },
	{ "discard-granularity", DISK("discard-granularity 4096;"), 3, "the larger of the units" },
	{ "no-al-updates", DISK("al-updates no;"), 3, "the activity log is always kept" },
	{ "rr-conflict violently", NET("rr-conflict violently;"), 2, "rr-conflict violently is not followed: data never change under" },
	{ "rr-conflict auto-discard", NET("rr-conflict auto-discard;"), 2, "it is for protocol A" },
	{ "rr-conflict call-pri-lost without a handler", NET("rr-conflict call-pri-lost;"), 2, "without a handler pri-lost" },
	{ "fence-peer without fencing", RESOURCE("handlers { fence-peer /bin/true; }"), 2,
	  "resource 'r': fence-peer is never run: fencing is dont-care" },
	{ "outdate-peer without fencing", RESOURCE("handlers { outdate-peer /bin/true; }"), 2,
	  "resource 'r': outdate-peer is never run: fencing is dont-care" },
	{ "resource-only without a handler", DISK("fencing resource-only;"), 3,
	  "resource 'r': fencing resource-only without a handler fence-peer: the partner is never fenced, so that no guest is started" },
	{ "resource-and-stonith in net without a handler", NET("fencing resource-and-stonith;"), 2,
	  "so that a guest that loses it is frozen until a person says 'backend-ctl resume-io'" },
	{ "a wfc-timeout longer than xl's", RESOURCE("startup { wfc-timeout 28; }"), 2,
	  "wfc-timeout 28 is longer than xl waits for a disk: the start of a guest ends after 27 s" },
	{ "a degr-wfc-timeout longer than xl's", RESOURCE("startup { wfc-timeout 15;\ndegr-wfc-timeout 60; }"), 3, "degr-wfc-timeout 60 is longer" },
	{ "outdated-wfc-timeout", RESOURCE("startup { outdated-wfc-timeout 15; }"), 2, "a partner that is known to be outdated is not waited for" },
	{ "wait-after-sb", RESOURCE("startup { wait-after-sb; }"), 2, "wait-after-sb: not followed" },
	{ "on-wfc-timeout force-primary", RESOURCE("startup { wfc-timeout 15;\non-wfc-timeout force-primary; }"), 3,
	  "resource 'r': on-wfc-timeout force-primary: a guest is started without the partner when the wait is over, also if that has newer data" },
	{ "on-wfc-timeout force-primary without a time", RESOURCE("startup { on-wfc-timeout force-primary; }"), 2,
	  "has no effect: without wfc-timeout and degr-wfc-timeout the partner is waited for for ever" },
	{ "on-wfc-timeout force-primary with fencing",
	  RESOURCE("net { fencing resource-only; }\nhandlers { fence-peer /bin/a; }\nstartup { wfc-timeout 15; on-wfc-timeout force-primary; }"), 4,
	  "has no effect with fencing: fence-peer decides" },
	{ "become-primary-on", RESOURCE("startup { become-primary-on both; }"), 2,
	  "the role follows the guest" },
	{ "timeout and ko-count", NET("timeout 50; ko-count 4;"), 2,
	  "timeout, ko-count (line 2): not acted upon yet" },
	{ "max-buffers", NET("max-buffers 2048;"), 2, "not acted upon" },
	{ "minor-count", "global { minor-count 128; }\n" NET(""), 1, "no effect" },
	{ "ignore-on", RESOURCE("ignore-on gamma;"), 2, "ignore-on: no effect" },
	{ "node-id",
	  "resource r {\n" BETA
	  "on alpha { device minor 0; disk /dev/vg/r; address 10.0.0.1:7700; meta-disk internal;\n"
	  "node-id 1; } }\n",
	  4, "node-id: no effect" },
	{ "few al-extents", DISK("al-extents 6;"), 3, "al-extents 6 is raised to 7" },
	{ "many al-extents", RESOURCE("syncer { al-extents 6433; }"), 2,
	  "al-extents 6433 is lowered to 5000" },
	{ "a timeout longer than ping-int", NET("timeout 60; ping-int 5;"), 2,
	  "should be shorter than ping-int" },
	{ "an option twice", DISK("on-io-error detach;\non-io-error pass_on;"), 4, "'on-io-error' again" },
	{ "global after a resource", NET("") "global { }\n", 6, "should come before" },
	{ "no authentication", RESOURCE(""), 1, "no cram-hmac-alg" },
	{ "a short secret", RESOURCE("net { cram-hmac-alg sha1; shared-secret x; }"), 2, "can be guessed" },
	{ "a short secret in common",
	  "common { net { cram-hmac-alg sha1;\nshared-secret x; } }\n" RESOURCE(""), 2, "can be guessed" },
};

static void is_said_and_served(void **state)
{
	const struct config_case *c = *state;
	const struct config_message *m;
	const struct config_resource *r;
	size_t i, n, at_line = 0;
	void *fixture;
	struct fixture *f;

	setup(&fixture);
	f = fixture;
	assert_int_equal(load(f, c->config), 0);
	assert_int_equal(config_resources(f->config, &r), 1);
	assert_null(r->refused);
	n = config_messages(f->config, &m);
	for (i = 0; i < n; i++)
		at_line += m[i].line == c->line && strstr(m[i].text, c->text);
	if (at_line != 1)
		print_messages(f);
	assert_int_equal(at_line, 1);
	teardown(&fixture);
}

/* Values that ask for nothing else than what drbdx does: not a word. */
static const struct config_case silent[] = {
	{ .name = "protocol C", .config = RESOURCE("protocol C; net { " SECRET " }") },
	{ .name = "no two primaries", .config = NET("allow-two-primaries no;") },
	{ .name = "flushes", .config = DISK("disk-flushes yes; md-flushes; disk-drain yes; use-bmbv no;") },
	{ .name = "disconnect",
	  .config = NET("after-sb-0pri disconnect; after-sb-1pri disconnect; rr-conflict disconnect;") },
	{ .name = "no fencing, no TLS",
	  .config = NET("fencing dont-care; tls no; data-integrity-alg \"\";") },
	{ .name = "fencing and its handlers",
	  .config = RESOURCE("net { " SECRET " fencing resource-only; } handlers { fence-peer /bin/a; unfence-peer /bin/b; }") },
	{ .name = "on-no-data-accessible", .config = RESOURCE("net { " SECRET " } options { on-no-data-accessible io-error; }") },
	{ .name = "rr-conflict retry-connect", .config = NET("rr-conflict retry-connect;") },
	{ .name = "rr-conflict call-pri-lost",
	  .config = RESOURCE("net { " SECRET " rr-conflict call-pri-lost; } handlers { pri-lost /bin/a; }") },
	{ .name = "no quorum", .config = RESOURCE("net { " SECRET " } options { quorum off; }") },
	{ .name = "time limits", .config = NET("ping-int 10; connect-int 10; ping-timeout 5;") },
	{ .name = "detach, al-extents", .config = DISK("on-io-error detach; al-extents 257; al-updates yes;") },
	{ .name = "wfc-timeout",
	  .config = RESOURCE("net { " SECRET " } startup { wfc-timeout 27; degr-wfc-timeout 15; on-wfc-timeout refuse; outdated-wfc-timeout 0; }") },
	{ .name = "usage-count no", .config = "global { usage-count no; }\n" NET("") },
};

static void needs_no_words(void **state)
{
	const struct config_case *c = *state;
	void *fixture;
	struct fixture *f;

	setup(&fixture);
	f = fixture;
	assert_int_equal(load(f, c->config), 0);
	if (count_messages(f, CONFIG_NOTE))
		print_messages(f);
	assert_int_equal(count_messages(f, CONFIG_NOTE), 0);
	teardown(&fixture);
}

static void a_resource_can_undo_what_common_asks_for(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(
		load(f, "common { net { data-integrity-alg md5; } }\n" NET("data-integrity-alg \"\";") GOOD_S), 0);
	assert_null(config_find(f->config, "r")->refused);
	assert_non_null(
		strstr(config_find(f->config, "s")->refused, "drbdx.conf:1: data-integrity-alg md5: "));
}

static void the_same_is_said_once_for_many_resources(void **state)
{
	struct fixture *f = *state;
	const struct config_message *m;

	assert_int_equal(load(f, "common { disk { discard-granularity 4096; use-bmbv;\nno-disk-barrier; } }\n" NET("") GOOD_S),
			 0);
	assert_int_equal(config_messages(f->config, &m), 2);
	expect_message(f, CONFIG_NOTE, 1, "discard-granularity: ");
	expect_message(f, CONFIG_NOTE, 1, "use-bmbv, no-disk-barrier (lines 1-2): ");
}

static void what_is_wrong_in_common_is_said_once_for_many_resources(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(load(f, "common { net { cram-hmac-alg sha1; } }\n" RESOURCE(
					 "") "resource s {\n"
					     "on alpha { device minor 1; disk /dev/vg/s; address 10.0.0.1:1; "
					     "meta-disk internal; }\n"
					     "on beta { device minor 1; disk /dev/vg/s; address 10.0.0.2:1; "
					     "meta-disk internal; } }\n"),
			 -EINVAL);
	assert_int_equal(count_messages(f, CONFIG_ERROR), 1);
	expect_message(f, CONFIG_ERROR, 1, "cram-hmac-alg without a shared-secret");
}

static void what_common_cannot_have_is_not_passed_over(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(load(f, "common { proxy { memlimit 100M; } }\n" NET("")), 0);
	expect_message(f, CONFIG_WARNING, 1, "no effect in common: it uses DRBD Proxy");
	assert_null(config_find(f->config, "r")->refused);
}

static void of_two_values_the_one_that_asks_for_more_refuses(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(load(f, NET("data-integrity-alg md5; data-integrity-alg \"\";")), 0);
	assert_non_null(config_find(f->config, "r")->refused);
}

static void resources_of_other_hosts_are_not_talked_about(void **state)
{
	struct fixture *f = *state;
	const struct config_message *m;

	put(f, "drbdx.conf", DISK("size 10G; use-bmbv;"));
	assert_int_equal(load_as(f, "drbdx.conf", "gamma"), 0);
	assert_int_equal(config_messages(f->config, &m), 1);
	expect_message(f, CONFIG_WARNING, 1, "no resource has a section for this host, 'gamma'");
}

static void messages_do_not_go_on_without_end(void **state)
{
	struct fixture *f = *state;
	const struct config_message *m;
	char *text = calloc(1, 64 * 1000);
	int i;

	strcpy(text, "resource r { net {\n");
	for (i = 0; i < 2000; i++)
		strcat(text, "bogus 1;\n");
	assert_int_equal(load(f, text), -EINVAL);
	assert_int_equal(config_messages(f->config, &m), 200);
	assert_non_null(strstr(m[199].text, "too many messages"));
	assert_int_equal(m[199].severity, CONFIG_ERROR);
	free(text);
}

static void a_message_prints_as_file_line_text(void **state)
{
	static const char *const expected[] = { "f:3: note: a\n", "f:3: warning: a\n", "f:3: a\n" };
	struct config_message m = { .file = (char *)"f", .line = 3, .text = (char *)"a" };
	char line[64];
	FILE *to;
	int i;

	(void)state;
	for (i = 0; i < 3; i++) {
		m.severity = (enum config_severity)i;
		to = fmemopen(line, sizeof(line), "w");
		config_message_print(to, &m);
		fclose(to);
		assert_string_equal(line, expected[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_resource_can_undo_what_common_asks_for, setup, teardown),
		cmocka_unit_test_setup_teardown(the_same_is_said_once_for_many_resources, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_wrong_in_common_is_said_once_for_many_resources,
						setup, teardown),
		cmocka_unit_test_setup_teardown(what_common_cannot_have_is_not_passed_over, setup, teardown),
		cmocka_unit_test_setup_teardown(of_two_values_the_one_that_asks_for_more_refuses, setup,
						teardown),
		cmocka_unit_test_setup_teardown(resources_of_other_hosts_are_not_talked_about, setup,
						teardown),
		cmocka_unit_test_setup_teardown(messages_do_not_go_on_without_end, setup, teardown),
		cmocka_unit_test(a_message_prints_as_file_line_text),
	};
	int failed = 0;

	failed += run_cases("config-refused-resource", refused, sizeof(refused) / sizeof(refused[0]),
			    one_is_refused_the_other_served);
	failed += run_cases("config-said", said, sizeof(said) / sizeof(said[0]), is_said_and_served);
	failed += run_cases("config-silent", silent, sizeof(silent) / sizeof(silent[0]), needs_no_words);
	failed += cmocka_run_group_tests(tests, NULL, NULL);
	return failed;
}
