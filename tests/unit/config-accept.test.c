/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every form of drbd.conf that DRBD users write is read without an error, and the resource is served. */
#include "config-fixture.h"

#define SECRET_63 "0123456789012345678901234567890123456789012345678901234567890ab"
#define MINUS_DEVICE "disk /dev/vg/r; address 10.0.0.1:7700; meta-disk internal;"
#define MINUS_ADDRESS "device minor 0; disk /dev/vg/r; meta-disk internal;"
#define MINUS_META "device minor 0; disk /dev/vg/r; address 10.0.0.1:7700;"
#define IPV6_BETA \
	"on beta { device minor 0; disk /dev/vg/r; address ipv6 [fd00::2]:7700; meta-disk internal; }\n"

static const struct config_case cases[] = {
	{ .name = "a plain resource", .config = NET("") },
	{ .name = "an empty section", .config = RESOURCE("net { " SECRET " }\ndisk {}\nstartup { }") },
	{ .name = "a quoted number", .config = RESOURCE("net { " SECRET " }\nsyncer { rate \"10M\"; }") },
	{ .name = "a lower case unit", .config = RESOURCE("net { " SECRET " }\nsyncer { rate 10m; }") },
	{ .name = "a number without a unit",
	  .config = RESOURCE("net { " SECRET " }\nsyncer { rate 10240; }") },
	{ .name = "CRLF line ends", .config = "resource r {\r\n net { " SECRET " }\r\n" ALPHA BETA "}\r\n" },
	{ .name = "a comment at the end without a newline", .config = NET("") "# the end" },
	{ .name = "UTF-8 in a comment", .config = "# d\303\251j\303\240 vu\n" NET("") },
	{ .name = "a quoted keyword as a name",
	  .config = "resource \"disk\" { net { " SECRET " }\n" ALPHA BETA "}\n" },
	{ .name = "a quoted number as a name",
	  .config = "resource \"0\" { net { " SECRET " }\n" ALPHA BETA "}\n" },
	{ .name = "a quoted name with a blank",
	  .config = "resource \"a b\" { net { " SECRET " }\n" ALPHA BETA "}\n" },
	{ .name = "a quoted host",
	  .config = "resource r { net { " SECRET " }\non \"alpha\" { " MINUS_DEVICE
		    " device minor 0; }\n" BETA "}\n" },
	{ .name = "hosts with a dot and a dash",
	  .config = "resource r { net { " SECRET " }\n" ALPHA
		    "on be-ta.example.org { device minor 0; disk /dev/vg/r; address 10.0.0.2:7700; meta-disk "
		    "internal; } }\n" },
	{ .name = "two hosts in one section",
	  .config = "resource r { net { " SECRET " }\non gamma alpha { " MINUS_DEVICE
		    " device minor 0; }\n" BETA "}\n" },
	{ .name = "statements of the resource are inherited",
	  .config = "resource r { net { " SECRET " } device /dev/drbd0; disk /dev/vg/r; meta-disk internal;\n"
		    "on alpha { address 10.0.0.1:7700; } on beta { address 10.0.0.2:7700; } }\n" },
	{ .name = "floating with a body",
	  .config = "resource r { net { " SECRET " }\n"
		    "floating 127.0.0.1:7700 { device minor 0; disk /dev/vg/r; meta-disk internal; }\n"
		    "floating ipv4 192.0.2.7:7700 { device minor 0; disk /dev/vg/r; meta-disk internal; } "
		    "}\n" },
	{ .name = "floating that inherits everything",
	  .config = "resource r { net { " SECRET " } device minor 0; disk /dev/vg/r; meta-disk internal;\n"
		    "floating 127.0.0.1:7700; floating 192.0.2.7:7700; }\n" },
	{ .name = "one volume",
	  .config = "resource r { net { " SECRET " }\n"
		    "on alpha { address 10.0.0.1:7700; volume 0 { device minor 0; disk /dev/vg/r; meta-disk "
		    "internal; } }\n"
		    "on beta { address 10.0.0.2:7700; volume 0 { device minor 0; disk /dev/vg/r; meta-disk "
		    "internal; } } }\n" },
	{ .name = "one volume of the resource",
	  .config = "resource r { net { " SECRET " }\n"
		    "volume 1 { device minor 0; disk /dev/vg/r; meta-disk internal; disk { on-io-error "
		    "detach; } }\n"
		    "on alpha { address 10.0.0.1:7700; } on beta { address 10.0.0.2:7700; } }\n" },
	{ .name = "meta-disk with a blank before the index",
	  .config = ON_ALPHA(MINUS_META " meta-disk /dev/vg/m [0];") },
	{ .name = "meta-disk with an index", .config = ON_ALPHA(MINUS_META " meta-disk /dev/vg/m[0];") },
	{ .name = "meta-disk without an index", .config = ON_ALPHA(MINUS_META " meta-disk /dev/vg/m;") },
	{ .name = "flexible-meta-disk", .config = ON_ALPHA(MINUS_META " flexible-meta-disk /dev/vg/m;") },
	{ .name = "flexible-meta-disk internal",
	  .config = ON_ALPHA(MINUS_META " flexible-meta-disk internal;") },
	{ .name = "device drbd0", .config = ON_ALPHA(MINUS_DEVICE " device drbd0;") },
	{ .name = "device /dev/drbd0", .config = ON_ALPHA(MINUS_DEVICE " device /dev/drbd0;") },
	{ .name = "device with a name and a minor",
	  .config = ON_ALPHA(MINUS_DEVICE " device /dev/drbd_x minor 0;") },
	{ .name = "device with a number and a minor",
	  .config = ON_ALPHA(MINUS_DEVICE " device /dev/drbd0 minor 0;") },
	{ .name = "device with a minor only", .config = ON_ALPHA(MINUS_DEVICE " device minor 0;") },
	{ .name = "address ipv4", .config = ON_ALPHA(MINUS_ADDRESS " address ipv4 10.0.0.1:7700;") },
	{ .name = "address with blanks", .config = ON_ALPHA(MINUS_ADDRESS " address 10.0.0.1 : 7700;") },
	{ .name = "address ipv6",
	  .config = "resource r { net { " SECRET " }\non alpha { " MINUS_ADDRESS
		    " address ipv6 [fd00::1]:7700; }\n" IPV6_BETA "}\n" },
	{ .name = "address ipv6 without the word",
	  .config = "resource r { net { " SECRET " }\non alpha { " MINUS_ADDRESS
		    " address [::ffff:10.0.0.1]:7700; }\n" IPV6_BETA "}\n" },
	{ .name = "escaped quotes in a handler",
	  .config = RESOURCE("net { " SECRET " }\nhandlers { split-brain \"echo \\\"a b\\\" | wall\"; }") },
	{ .name = "a bare path as a handler",
	  .config = RESOURCE("net { " SECRET
			     " }\nhandlers { fence-peer /usr/lib/drbd/fence.sh; outdate-peer /bin/true; }") },
	{ .name = "protocol in lower case", .config = RESOURCE("protocol c;\nnet { " SECRET " }") },
	{ .name = "protocol in net", .config = NET("protocol C;") },
	{ .name = "a switch with yes", .config = DISK("disk-flushes yes;") },
	{ .name = "a switch with no", .config = DISK("disk-flushes no;") },
	{ .name = "a switch with no- before it", .config = DISK("no-disk-flushes; no-disk-drain;") },
	{ .name = "any switch with no- before it", .config = NET("no-tcp-cork; no-allow-two-primaries;") },
	{ .name = "a pattern that matches nothing", .config = "include \"nothing.d/*.res\";\n" NET("") },
	{ .name = "skip with braces inside",
	  .config = "skip {\n resource x { net { a } \"}\" # }\n } }\nskip resource x { \303 { ; } }\n" NET(
		  "") },
	{ .name = "skip inside a resource", .config = RESOURCE("skip { net { } }\nnet { " SECRET " }") },
	{ .name = "a bare secret",
	  .config = RESOURCE("net { cram-hmac-alg sha1; shared-secret abcdefghijklmnop; }") },
	{ .name = "a secret of 63 characters",
	  .config = RESOURCE("net { cram-hmac-alg sha1; shared-secret \"" SECRET_63 "\"; }") },
	{ .name = "few al-extents", .config = RESOURCE("net { " SECRET " }\nsyncer { al-extents 6; }") },
	{ .name = "few al-extents in disk", .config = DISK("al-extents 66;") },
	{ .name = "global after a resource", .config = NET("") "global { usage-count no; }\n" },
	{ .name = "usage-count yes",
	  .config = "global { usage-count yes; disable-ip-verification; }\n" NET("") },
	{ .name = "_is_default after a value", .config = NET("timeout 60 _is_default;") },
	{ .name = "a required version of the module",
	  .config = "require-drbd-module-version-ge 9.0.16;\n" NET("") },
	{ .name = "a mesh of two",
	  .config = RESOURCE("connection-mesh { hosts alpha beta; net { " SECRET " } }") },
	{ .name = "node-id", .config = ON_ALPHA(MINUS_DEVICE " device minor 0; node-id 0;") },
	{ .name = "a striping policy that begins with a number",
	  .config = DISK("read-balancing 32K-striping;") },
	{ .name = "discard-node-HOST", .config = NET("after-sb-0pri discard-node-alpha;") },
	{ .name = "crc32c for comparing", .config = NET("verify-alg crc32c; csums-alg md5;") },
	{ .name = "fencing dont-care", .config = DISK("fencing dont-care;") },
	{ .name = "fencing dont-care in net", .config = NET("fencing dont-care;") },
	{ .name = "a resource in one line",
	  .config = "resource r{net{" SECRET
		    "}on alpha{device minor 0;disk /dev/vg/r;address 10.0.0.1:7700;meta-disk internal;}"
		    "on beta{device minor 0;disk /dev/vg/r;address 10.0.0.2:7700;meta-disk internal;}}" },
	{ .name = "what drbdadm 8.4 dump writes",
	  .config = "# resource r on alpha: not ignored, not stacked\n# defined at /etc/drbd.d/r.res:1\n"
		    "resource r {\n    on alpha {\n        volume 0 {\n            device       /dev/drbd0 "
		    "minor 0;\n"
		    "            disk         /dev/vg/r;\n            meta-disk    /dev/vg/m [ 0 ];\n        "
		    "}\n"
		    "        address          ipv4 10.0.0.1:7700;\n    }\n"
		    "    on beta {\n        volume 0 {\n            device       /dev/drbd0 minor 0;\n"
		    "            disk         /dev/vg/r;\n            meta-disk    /dev/vg/m [ 0 ];\n        "
		    "}\n"
		    "        address          ipv4 10.0.0.2:7700;\n    }\n"
		    "    net {\n        cram-hmac-alg    sha1;\n        shared-secret    0123456789abcdef;\n"
		    "        allow-two-primaries yes;\n    }\n    disk {\n        resync-rate      "
		    "\"10M\";\n    }\n}\n" },
};

static void is_read_and_served(void **state)
{
	const struct config_case *c = *state;
	const struct config_resource *r;
	void *fixture;
	struct fixture *f;

	setup(&fixture);
	f = fixture;
	if (load(f, c->config) != 0)
		print_messages(f);
	assert_int_equal(f->rc, 0);
	assert_int_equal(config_resources(f->config, &r), 1);
	if (r->refused)
		fail_msg("refused: %s", r->refused);
	assert_string_equal(r->self->disk, "/dev/vg/r");
	assert_string_equal(r->peer->disk, "/dev/vg/r");
	assert_non_null(r->shared_secret);
	teardown(&fixture);
}

int main(void)
{
	return run_cases("config-accept", cases, sizeof(cases) / sizeof(cases[0]), is_read_and_served);
}
