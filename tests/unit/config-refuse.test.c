/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What has no meaning is an error with its file and line, and nothing is loaded. */
#include "config-fixture.h"

#define SECRET_64 "0123456789012345678901234567890123456789012345678901234567890abc"
#define LONG_129 SECRET_64 SECRET_64 "x"
#define LONG_256 SECRET_64 SECRET_64 SECRET_64 SECRET_64
#define MINUS_DEVICE "disk /dev/vg/r; address 10.0.0.1:7700; meta-disk internal;"
#define MINUS_DISK "device minor 0; address 10.0.0.1:7700; meta-disk internal;"
#define MINUS_ADDRESS "device minor 0; disk /dev/vg/r; meta-disk internal;"
#define MINUS_META "device minor 0; disk /dev/vg/r; address 10.0.0.1:7700;"
#define R_FULL "device minor 0; disk /dev/vg/r; address 10.0.0.1:7700; meta-disk internal;"

static const struct config_case cases[] = {
	/* words */
	{ "a byte order mark", "\357\273\277" NET(""), 1, "byte order mark" },
	{ "a C++ comment", "// no\n" NET(""), 1, "but got '//'" },
	{ "a C++ comment in a section", RESOURCE("net {\n// not a comment\n}"), 3, "Parse error" },
	{ "a missing semicolon", RESOURCE("net {\ntimeout 60\n}"), 4, "';' expected, but got '}'" },
	{ "two semicolons", RESOURCE("net {\ntimeout 60;;\n}"), 3, "but got ';'" },
	{ "a blank before the unit", RESOURCE("syncer {\nrate 10 M;\n}"), 3, "Parse error" },
	{ "a unit of two letters", RESOURCE("syncer {\nrate 10MB;\n}"), 3, "is a number" },
	{ "a fraction", RESOURCE("syncer {\nrate 1.5M;\n}"), 3, "is a number" },
	{ "a star", NET("timeout *;"), 2, "but got '*'" },
	{ "a bare name of 129 characters", "resource " LONG_129 " { }\n", 1, "string too long" },
	{ "a quoted string of 256 characters", RESOURCE("handlers {\nsplit-brain \"" LONG_256 "\"; }"), 3,
	  "string too long" },
	{ "a newline inside quotes", RESOURCE("handlers {\nsplit-brain \"a\nb\"; }"), 3,
	  "must end on its line" },
	{ "handler arguments without quotes", RESOURCE("handlers {\nsplit-brain /bin/a root; }"), 3,
	  "Parse error" },
	/* numbers and values */
	{ "timeout 0", NET("timeout 0;"), 2, "timeout 0 is out of range [1..600]" },
	{ "timeout 601", NET("timeout 601;"), 2, "timeout 601 is out of range [1..600]" },
	{ "a number larger than 64 bits", NET("timeout 99999999999999999999;"), 2, "is a number" },
	{ "a negative number", NET("timeout -1;"), 2, "is a number" },
	{ "a size that overflows with its unit", DISK("size 99999999999999G;"), 3, "is a number" },
	{ "minor-count 0", "global { minor-count 0; }\n" NET(""), 1, "out of range" },
	{ "an option without its value", NET("timeout;"), 2, "timeout needs a value" },
	{ "an unknown option", NET("time-out 60;"), 2, "'time-out' is no option of section 'net'" },
	{ "an option of another section", NET("on-io-error detach;"), 2,
	  "'on-io-error' is no option of section 'net' (but of 'disk')" },
	{ "an unknown handler", RESOURCE("handlers {\nsplitbrain /bin/true; }"), 3, "'splitbrain'" },
	{ "an empty handler", RESOURCE("handlers {\nsplit-brain \"\"; }"), 3, "is empty" },
	{ "an unknown option of global", "global {\nusage no; }\n" NET(""), 2, "'usage'" },
	{ "usage-count maybe", "global {\nusage-count maybe; }\n" NET(""), 2,
	  "usage-count is one of yes|no|ask" },
	{ "protocol D", RESOURCE("protocol D;"), 2, "protocol is one of A|B|C" },
	{ "protocol D in net", NET("protocol D;"), 2, "protocol is one of" },
	{ "no- and a value", DISK("no-disk-barrier yes;"), 3, "no-disk-barrier takes no value" },
	{ "a switch that is maybe", DISK("use-bmbv maybe;"), 3, "use-bmbv is yes or no" },
	{ "no- before what is no switch", NET("no-timeout;"), 2, "'no-timeout' is no option" },
	{ "an unknown policy", NET("after-sb-0pri discard;"), 2, "after-sb-0pri is one of" },
	{ "quorum 33", RESOURCE("options {\nquorum 33; }"), 3, "quorum is off" },
	{ "an unknown word after a value", NET("timeout 60 seconds;"), 2, "Parse error" },
	{ "after an unknown resource", RESOURCE("syncer {\nafter q; }"), 3, "after: there is no resource 'q'" },
	{ "resync-after itself", DISK("resync-after r;"), 3, "resync-after: resource 'r' after itself" },
	/* authentication */
	{ "a secret of 64 characters",
	  RESOURCE("net { cram-hmac-alg sha1;\nshared-secret \"" SECRET_64 "\"; }"), 3,
	  "shared-secret has 64 characters" },
	{ "an empty secret", RESOURCE("net { cram-hmac-alg sha1;\nshared-secret \"\"; }"), 3, "is empty" },
	{ "an unknown digest for authentication", RESOURCE("net {\ncram-hmac-alg sha9; shared-secret x; }"),
	  3, "'sha9'" },
	{ "a checksum for authentication", RESOURCE("net {\ncram-hmac-alg crc32c; shared-secret x; }"), 3,
	  "'crc32c'" },
	{ "a digest of any length for authentication",
	  RESOURCE("net {\ncram-hmac-alg shake128; shared-secret x; }"), 3, "'shake128'" },
	{ "a secret without a digest", RESOURCE("net {\nshared-secret x; }"), 3,
	  "shared-secret without a cram-hmac-alg" },
	{ "a digest without a secret", RESOURCE("net {\ncram-hmac-alg sha1; }"), 3,
	  "cram-hmac-alg without a shared-secret" },
	{ "an unknown verify-alg", NET("verify-alg sha9;"), 2, "verify-alg 'sha9'" },
	{ "an unknown csums-alg in syncer", RESOURCE("syncer {\ncsums-alg sha9; }"), 3, "csums-alg 'sha9'" },
	{ "an unknown data-integrity-alg", NET("data-integrity-alg crc33;"), 2,
	  "data-integrity-alg 'crc33'" },
	/* twice */
	{ "two net sections", RESOURCE("net { " SECRET " }\nnet { }"), 3, "already a section 'net'" },
	{ "two global sections", "global { }\nglobal { }\n" NET(""), 2, "already a section 'global'" },
	{ "two common sections", "common { }\ncommon { }\n" NET(""), 2, "already a section 'common'" },
	{ "two resources of one name",
	  NET("") "resource r { net { " SECRET " }\n"
		  "on alpha { device minor 1; disk /dev/vg/s; address 10.0.0.1:7701; meta-disk internal; }\n"
		  "on beta { device minor 1; disk /dev/vg/s; address 10.0.0.2:7701; meta-disk internal; } "
		  "}\n",
	  6, "conflicting use of resource name 'r'" },
	{ "two resources with one minor",
	  TWO(R_FULL, "device minor 0; disk /dev/vg/s; address 10.0.0.1:7701; meta-disk internal;"), 8,
	  "conflicting use of device minor 0 on alpha: first used at" },
	{ "two resources with one device name",
	  TWO("device /dev/drbd_x minor 0; disk /dev/vg/r; address 10.0.0.1:7700; meta-disk internal;",
	      "device /dev/drbd_x minor 1; disk /dev/vg/s; address 10.0.0.1:7701; meta-disk internal;"),
	  8, "conflicting use of device '/dev/drbd_x' on alpha" },
	{ "two resources with one port",
	  TWO(R_FULL, "device minor 1; disk /dev/vg/s; address 10.0.0.1:7700; meta-disk internal;"), 8,
	  "conflicting use of address '10.0.0.1:7700' of alpha" },
	{ "two resources with one disk",
	  TWO(R_FULL, "device minor 1; disk /dev/vg/r; address 10.0.0.1:7701; meta-disk internal;"), 8,
	  "conflicting use of disk '/dev/vg/r' on alpha" },
	{ "two resources with one metadata slot",
	  TWO("device minor 0; disk /dev/vg/r; address 10.0.0.1:7700; meta-disk /dev/vg/m[3];",
	      "device minor 1; disk /dev/vg/s; address 10.0.0.1:7701; meta-disk /dev/vg/m[3];"),
	  8, "conflicting use of meta-disk '/dev/vg/m[3]' on alpha" },
	{ "a slot of a device that is another's as a whole",
	  TWO("device minor 0; disk /dev/vg/r; address 10.0.0.1:7700; meta-disk /dev/vg/m;",
	      "device minor 1; disk /dev/vg/s; address 10.0.0.1:7701; meta-disk /dev/vg/m[3];"),
	  8, "conflicting use of meta-disk '/dev/vg/m' on alpha" },
	{ "metadata on another's data disk",
	  TWO(R_FULL, "device minor 1; disk /dev/vg/s; address 10.0.0.1:7701; meta-disk /dev/vg/r[0];"), 8,
	  "as a data disk and for metadata" },
	{ "metadata on its own data disk", ON_ALPHA(MINUS_META " meta-disk /dev/vg/r;"), 2,
	  "as a data disk and for metadata" },
	{ "one disk inherited by two resources",
	  "resource r { disk /dev/vg/r; device minor 0; meta-disk internal; net { " SECRET " }\n"
	  "on alpha { address 10.0.0.1:1; } on beta { address 10.0.0.2:1; } }\n"
	  "resource s { disk /dev/vg/r; device minor 1; meta-disk internal; net { " SECRET " }\n"
	  "on alpha { address 10.0.0.1:2; } on beta { address 10.0.0.2:2; } }\n",
	  3, "conflicting use of disk '/dev/vg/r' on alpha" },
	{ "one host twice",
	  "resource r { net { " SECRET " }\n" ALPHA
	  "on alpha { device minor 1; disk /dev/vg/s; address 10.0.0.2:7701; meta-disk internal; } }\n",
	  3, "conflicting use of host 'alpha' in one resource" },
	{ "both hosts with one address",
	  "resource r { net { " SECRET " }\n" ALPHA
	  "on beta { device minor 0; disk /dev/vg/r; address 10.0.0.1:7700; meta-disk internal; } }\n",
	  3, "the same address and port" },
	{ "disk twice in a host", ON_ALPHA(R_FULL " disk /dev/vg/x;"), 2, "already a 'disk'" },
	{ "device twice in a host", ON_ALPHA(R_FULL " device minor 3;"), 2, "already a 'device'" },
	{ "address in a floating section",
	  "resource r { net { " SECRET " }\nfloating 127.0.0.1:7700 { address 10.0.0.1:7700; "
	  "device minor 0; disk /dev/vg/r; meta-disk internal; }\n" BETA "}\n",
	  2, "already a 'address'" },
	/* what a host must have */
	{ "no device", ON_ALPHA(MINUS_DEVICE), 2, "'device' keyword missing" },
	{ "no disk", ON_ALPHA(MINUS_DISK), 2, "'disk' keyword missing" },
	{ "no address", ON_ALPHA(MINUS_ADDRESS), 2, "'address' keyword missing" },
	{ "no meta-disk", ON_ALPHA(MINUS_META), 2, "'meta-disk' keyword missing" },
	{ "no disk on the other host",
	  "resource r { net { " SECRET " }\n" ALPHA
	  "on beta { device minor 0; address 10.0.0.2:7700; meta-disk internal; } }\n",
	  3, "'disk' keyword missing" },
	{ "a host name as an address", ON_ALPHA(MINUS_ADDRESS " address alpha:7700;"), 2,
	  "'alpha' is no address of a host" },
	{ "port 0", ON_ALPHA(MINUS_ADDRESS " address 10.0.0.1:0;"), 2, "port 0 is out of range" },
	{ "port 70000", ON_ALPHA(MINUS_ADDRESS " address 10.0.0.1:70000;"), 2, "port 70000 is out of range" },
	{ "address 10.0.0.256", ON_ALPHA(MINUS_ADDRESS " address 10.0.0.256:7700;"), 2,
	  "is no address of a host" },
	{ "address 0.0.0.0", ON_ALPHA(MINUS_ADDRESS " address 0.0.0.0:7700;"), 2, "is no address of a host" },
	{ "an IPv6 address without brackets", ON_ALPHA(MINUS_ADDRESS " address ipv6 fd00::1:7700;"), 2,
	  "Parse error" },
	{ "an IPv6 address called ipv4", ON_ALPHA(MINUS_ADDRESS " address ipv4 [fd00::1]:7700;"), 2,
	  "is no address family of" },
	{ "an unknown address family", ON_ALPHA(MINUS_ADDRESS " address ipx 10.0.0.1:7700;"), 2,
	  "'ipx' is no address family" },
	{ "device /dev/foo", ON_ALPHA(MINUS_DEVICE " device /dev/foo minor 0;"), 2,
	  "must start with /dev/drbd" },
	{ "device /dev/drbdx", ON_ALPHA(MINUS_DEVICE " device /dev/drbdx minor 0;"), 2,
	  "start with /dev/drbd_" },
	{ "device /dev/drbd_x without a minor", ON_ALPHA(MINUS_DEVICE " device /dev/drbd_x;"), 2,
	  "needs 'minor'" },
	{ "the minor before the device", ON_ALPHA(MINUS_DEVICE " device minor 0 /dev/drbd0;"), 2,
	  "Parse error" },
	{ "a minor that is too large", ON_ALPHA(MINUS_DEVICE " device minor 1048576;"), 2,
	  "minor 1048576 is out of range" },
	{ "a meta-disk index with a unit", ON_ALPHA(MINUS_META " meta-disk /dev/vg/m[1M];"), 2,
	  "meta-disk index 1M" },
	{ "an index of internal metadata", ON_ALPHA(MINUS_META " meta-disk internal[0];"), 2,
	  "meta-disk is internal" },
	{ "a volume number that is too large", ON_ALPHA(R_FULL " volume 65536 { }"), 2,
	  "volume number 65536" },
	/* structure */
	{ "a bare number as a resource name", "resource 0 { }\n", 1, "but got '0'" },
	{ "a bare keyword as a resource name", "resource disk { }\n", 1, "but got 'disk'" },
	{ "an empty resource name", "resource \"\" { }\n", 1, "needs a name" },
	{ "a pattern without quotes", "include drbd.d/*.res;\n" NET(""), 1, "but got '*'" },
	{ "include inside a resource", RESOURCE("include \"x\";"), 2, "but got 'include'" },
	{ "include of a missing file", "include \"missing.conf\";\n" NET(""), 1,
	  "Failed to open include file" },
	{ "include of a folder", "include \"/etc\";\n" NET(""), 1, "no regular file" },
	{ "include of a device", "include \"/dev/zero\";\n" NET(""), 1, "no regular file" },
	{ "include of itself", "include \"drbdx.conf\";\n" NET(""), 1, "include loop" },
	{ "a section that does not end", "resource r {\nnet {\n", 3, "but got 'end of file'" },
	{ "a skip section that does not end", "skip {\n{ }\n", 3, "'skip' does not end" },
	{ "skip without braces", "skip ;\n", 1, "'{' expected after 'skip'" },
	{ "a closing brace too many", NET("") "}\n", 6, "but got '}'" },
	{ "a host in common", "common {\n" ALPHA "}\n" NET(""), 2, "not allowed in common" },
	{ "a disk path in common", "common {\ndisk /dev/vg/r;\n}\n" NET(""), 2, "not allowed in common" },
	{ "an unknown statement in a resource", RESOURCE("devices minor 0;"), 2, "but got 'devices'" },
	{ "an unknown section", "resources r { }\n", 1, "but got 'resources'" },
};

static void is_an_error_with_its_line(void **state)
{
	const struct config_case *c = *state;
	const struct config_resource *r;
	void *fixture;
	struct fixture *f;

	setup(&fixture);
	f = fixture;
	assert_int_equal(load(f, c->config), -EINVAL);
	expect_message(f, CONFIG_ERROR, c->line, c->text);
	assert_int_equal(config_resources(f->config, &r), 0);
	assert_null(config_find(f->config, "r"));
	teardown(&fixture);
}

int main(void)
{
	return run_cases("config-refuse", cases, sizeof(cases) / sizeof(cases[0]), is_an_error_with_its_line);
}
