/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * backend-ctl: what an administrator tells and asks drbdxd.  The table of verbs below drives dispatch, usage
 * and help.
 */
#define _GNU_SOURCE
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "backend/control.h"
#include "ctl/call.h"
#include "ctl/ctl.h"

#ifndef DRBDX_VERSION
#define DRBDX_VERSION "0.1.0"
#endif
#define TIMEOUT_SECONDS 10u
#define HOST_TIMEOUT_SECONDS 60u	/* of what asks another host: somebody may have to enter a password; and of upgrade */

enum {
	TAKES_JSON = 1, TAKES_CONFIG = 2, TAKES_DAEMON = 4, TAKES_CLEAN = 8, TAKES_HOST = 16, TAKES_FORCE = 32,
	TAKES_OVERWRITE = 64, TAKES_CLEAR = 128, TAKES_DISCARD = 256,
	WAITS = 512,	/* as long as it takes, or --timeout */
	WORKS = 1024,	/* no option either: the verb takes its time */
	TAKES_BOOT = 2048,
};
#define TAKES_VOLUMES (TAKES_CONFIG | TAKES_DAEMON)	/* the daemon is asked what is up */

static const struct verb {
	const char *name, *operands;
	unsigned int options;		/* TAKES_… */
	size_t least, most;		/* operands */
	int (*run)(const struct ctl *ctl);
	const char *help;
} verbs[] = {
	{ "status", "[RES…] [--json]", TAKES_JSON | TAKES_DAEMON, 0, SIZE_MAX, verb_status,
	  "shows every resource, and in words what needs attention" },
	{ "up", "RES…|all", TAKES_DAEMON, 1, SIZE_MAX, verb_up,
	  "reads the configuration again and starts serving" },
	{ "down", "RES…|all", TAKES_DAEMON, 1, SIZE_MAX, verb_passed_on,
	  "stops serving; refused while a guest has the disk" },
	{ "primary", "[--force] RES…|all", TAKES_DAEMON | TAKES_FORCE | TAKES_OVERWRITE, 1, SIZE_MAX, verb_primary,
	  "the role follows the guest; with --force: this node's data count, whatever the partner has" },
	{ "new-current-uuid", "--clear-bitmap RES…|all", TAKES_DAEMON | TAKES_CLEAR, 1, SIZE_MAX, verb_new_current_uuid,
	  "the two volumes of a new pair are the same: no first resync" },
	{ "connect", "[--discard-my-data] RES…|all", TAKES_DAEMON | TAKES_DISCARD, 1, SIZE_MAX, verb_connect,
	  "connects by itself; with --discard-my-data: what this node wrote alone may be thrown away, this once" },
	{ "wait-connect", "[--at-boot] [--timeout SECONDS] RES…|all", TAKES_DAEMON | TAKES_BOOT | WAITS, 1, SIZE_MAX, verb_wait_connect,
	  "waits until the partner is connected, or the time of wfc-timeout is over; with --at-boot: only where the start of a guest would wait" },
	{ "invalidate", "RES…|all", TAKES_DAEMON, 1, SIZE_MAX, verb_passed_on,
	  "this node's data are worthless: all of them are copied from the partner" },
	{ "invalidate-remote", "RES…|all", TAKES_DAEMON, 1, SIZE_MAX, verb_passed_on,
	  "the partner's data are worthless: all of this node's are copied to it" },
	{ "outdate", "RES…|all", TAKES_VOLUMES, 1, SIZE_MAX, verb_outdate,
	  "the partner has newer data: no guest starts here before the two have met; works without the daemon" },
	{ "detach", "[--force] RES…|all", TAKES_DAEMON | TAKES_FORCE, 1, SIZE_MAX, verb_passed_on,
	  "gives the local disk up; the partner's is used" },
	{ "attach", "RES…|all", TAKES_DAEMON, 1, SIZE_MAX, verb_passed_on,
	  "opens a disk again that failed or was detached" },
	{ "suspend-io", "RES…|all", TAKES_DAEMON, 1, SIZE_MAX, verb_passed_on,
	  "finishes what the guest has asked for, then holds its I/O" },
	{ "resume-io", "RES…|all", TAKES_DAEMON, 1, SIZE_MAX, verb_passed_on, "lets the guest's I/O go on" },
	{ "pause-sync", "RES…|all", TAKES_DAEMON, 1, SIZE_MAX, verb_passed_on, "holds the resync" },
	{ "resume-sync", "RES…|all", TAKES_DAEMON, 1, SIZE_MAX, verb_passed_on, "lets the resync go on" },
	{ "resize", "[--assume-clean] RES…|all", TAKES_DAEMON | TAKES_CLEAN, 1, SIZE_MAX, verb_passed_on,
	  "both volumes were enlarged: so is the disk, under its guest, and what is new is copied" },
	{ "upgrade", "", TAKES_DAEMON | WORKS, 0, 0, verb_upgrade,
	  "the installed drbdxd takes the running one's place, under the guests; refused while one of them migrates" },
	{ "create-md", "[--assume-clean] [--force] RES…|all", TAKES_VOLUMES | TAKES_CLEAN | TAKES_FORCE, 1,
	  SIZE_MAX, verb_create_md, "writes new metadata; works without the daemon" },
	{ "show-gi", "RES…|all", TAKES_VOLUMES, 1, SIZE_MAX, verb_show_gi,
	  "shows the generations and flags that are on disk" },
	{ "dump-md", "[--force] RES", TAKES_VOLUMES | TAKES_FORCE, 1, 1, verb_dump_md,
	  "prints the metadata as text" },
	{ "restore-md", "[--force] RES FILE", TAKES_VOLUMES | TAKES_FORCE, 2, 2, verb_restore_md,
	  "writes metadata that dump-md has printed" },
	{ "wipe-md", "[--force] RES…|all", TAKES_VOLUMES | TAKES_FORCE, 1, SIZE_MAX, verb_wipe_md,
	  "removes metadata" },
	{ "check", "[FILE]", TAKES_CONFIG, 0, 1, verb_check,
	  "reads the configuration and says everything that is wrong with it" },
	{ "migrate-check", "[-s SSHCOMMAND] DOMAIN HOST", TAKES_DAEMON | TAKES_HOST, 2, 2, verb_migrate_check,
	  "says what would make 'xl migrate' of the guest fail, while it still runs" },
};
#define VERBS (sizeof(verbs) / sizeof(verbs[0]))

enum { OPT_JSON = 256, OPT_TIMEOUT, OPT_SOCKET, OPT_ASSUME_CLEAN, OPT_FORCE, OPT_OVERWRITE, OPT_CLEAR, OPT_DISCARD, OPT_BOOT };
static const struct option long_options[] = {
	{ "config-file", required_argument, NULL, 'c' },
	{ "socket", required_argument, NULL, OPT_SOCKET },
	{ "timeout", required_argument, NULL, OPT_TIMEOUT },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "assume-clean", no_argument, NULL, OPT_ASSUME_CLEAN },
	{ "force", no_argument, NULL, OPT_FORCE },
	{ "overwrite-data-of-peer", no_argument, NULL, OPT_OVERWRITE }, /* DRBD 8.3's spelling of --force */
	{ "clear-bitmap", no_argument, NULL, OPT_CLEAR },
	{ "discard-my-data", no_argument, NULL, OPT_DISCARD },
	{ "at-boot", no_argument, NULL, OPT_BOOT },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ 0 },
};

struct arguments {
	struct ctl ctl;
	unsigned int given;		/* TAKES_… of the options that were given */
	unsigned int timeout;		/* seconds, 0: the verb's own */
	bool help, version;
};

void ctl_error(const char *fmt, ...)
{
	va_list ap;

	fputs("backend-ctl: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < VERBS; i++)
		if (!strcmp(verbs[i].name, name))
			return &verbs[i];
	ctl_error("unknown verb '%s'; 'backend-ctl help' lists them", name);
	return NULL;
}

static void print_usage(FILE *out)
{
	fputs("Usage: backend-ctl [OPTIONS] VERB [RESOURCE…]\n\nVerbs:\n", out);
	for (size_t i = 0; i < VERBS; i++)
		fprintf(out, "  %s %s\n        %s\n", verbs[i].name, verbs[i].operands, verbs[i].help);
	fputs("  help [VERB]\n        this text\n\nOptions:\n", out);
	fprintf(out, "  -c, --config-file FILE  instead of %s (check, create-md and the like)\n"
		"  -s SSHCOMMAND           as xl migrate's, instead of ssh (migrate-check)\n"
		"      --timeout SECONDS   bound on the wait for the daemon (%u; migrate-check, upgrade: %u), or for the partner "
		"(wait-connect)\n"
		"      --socket PATH       the daemon's control socket, instead of %s\n"
		"      --json              status: JSON, schema %d\n"
		"  -h, --help\n  -V, --version\n\n"
		"Exit status: 0 done, 1 usage, 10 configuration invalid, 11 refused, 20 the daemon does not "
		"answer or the system failed;\noutdate: 5 the data are not even outdated, 17 they are the newest; wait-connect: 5 the time is over.\n"
		"See backend-ctl(8).\n",
		CONFIG_PATH, TIMEOUT_SECONDS, HOST_TIMEOUT_SECONDS, CONTROL_SOCKET, CONTROL_SCHEMA);
}

static int print_help(const struct arguments *a)
{
	const struct verb *verb;

	if (!a->ctl.n_names) {
		print_usage(stdout);
		return EXIT_DONE;
	}
	verb = find_verb(a->ctl.names[0]);
	if (!verb)
		return EXIT_USAGE;
	printf("Usage: backend-ctl %s %s\n%s\n", verb->name, verb->operands, verb->help);
	return EXIT_DONE;
}

static bool parse_timeout(const char *text, unsigned int *seconds)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || !n || n > 3600) {
		ctl_error("--timeout %s: 1 to 3600 seconds are meant", text);
		return false;
	}
	*seconds = (unsigned int)n;
	return true;
}

static bool take_option(struct arguments *a, int option)
{
	switch (option) {
	case 'c': a->ctl.config_path = optarg; a->given |= TAKES_CONFIG; return true;
	case 's': a->ctl.ssh_command = optarg; a->given |= TAKES_HOST; return true;
	case OPT_SOCKET: a->ctl.socket_path = optarg; a->given |= TAKES_DAEMON; return true;
	case OPT_TIMEOUT: a->given |= TAKES_DAEMON; return parse_timeout(optarg, &a->timeout);
	case OPT_JSON: a->ctl.json = true; a->given |= TAKES_JSON; return true;
	case OPT_ASSUME_CLEAN: a->ctl.assume_clean = true; a->given |= TAKES_CLEAN; return true;
	case OPT_FORCE: a->ctl.force = true; a->given |= TAKES_FORCE; return true;
	case OPT_OVERWRITE: a->ctl.force = true; a->given |= TAKES_OVERWRITE; return true;
	case OPT_CLEAR: a->ctl.clear_bitmap = true; a->given |= TAKES_CLEAR; return true;
	case OPT_DISCARD: a->ctl.discard_my_data = true; a->given |= TAKES_DISCARD; return true;
	case OPT_BOOT: a->ctl.at_boot = true; a->given |= TAKES_BOOT; return true;
	case 'h': a->help = true; return true;
	case 'V': a->version = true; return true;
	default: return false;		/* getopt has said it */
	}
}

/* DRBD's tools are called as `TOOL -- --option VERB RES`, too: the "--" says nothing here, since no operand
 * begins with '-'. */
static int drop_dashes(int argc, char **argv)
{
	int n = 0;

	for (int i = 0; i < argc; i++)
		if (!i || strcmp(argv[i], "--"))
			argv[n++] = argv[i];
	argv[n] = NULL;
	return n;
}

static bool parse(struct arguments *a, int argc, char **argv)
{
	int option;

	argc = drop_dashes(argc, argv);
	while ((option = getopt_long(argc, argv, "c:s:hV", long_options, NULL)) != -1)
		if (!take_option(a, option))
			return false;
	a->ctl.names = argv + optind;
	a->ctl.n_names = (size_t)(argc - optind);
	return true;
}

static int run_verb(struct arguments *a, const struct verb *verb)
{
	if (a->given & ~verb->options) {
		ctl_error("an option that '%s' does not have; usage: backend-ctl %s %s", verb->name,
			  verb->name, verb->operands);
		return EXIT_USAGE;
	}
	if (a->ctl.n_names < verb->least || a->ctl.n_names > verb->most) {
		ctl_error("usage: backend-ctl %s %s", verb->name, verb->operands);
		return EXIT_USAGE;
	}
	a->ctl.deadline_ms = UINT64_MAX;
	if (!a->timeout && !(verb->options & WAITS))
		a->timeout = verb->options & (TAKES_HOST | WORKS) ? HOST_TIMEOUT_SECONDS : TIMEOUT_SECONDS;
	if (a->timeout)
		a->ctl.deadline_ms = call_now_ms() + a->timeout * 1000ull;
	return verb->run(&a->ctl);
}

int main(int argc, char **argv)
{
	struct arguments a = {
		.ctl = { .config_path = CONFIG_PATH, .socket_path = CONTROL_SOCKET, .ssh_command = "ssh" },
	};
	const struct verb *verb;
	const char *name;

	if (!parse(&a, argc, argv))
		return EXIT_USAGE;
	if (a.version) {
		printf("backend-ctl (drbdx) %s\n", DRBDX_VERSION);
		return EXIT_DONE;
	}
	if (!a.ctl.n_names && !a.help) {
		print_usage(stderr);
		return EXIT_USAGE;
	}
	name = a.ctl.n_names ? a.ctl.names[0] : "help";
	if (!a.help) {
		a.ctl.names++;
		a.ctl.n_names--;
	}
	if (a.help || !strcmp(name, "help"))
		return print_help(&a);
	verb = find_verb(name);
	a.ctl.verb = name;
	return verb ? run_verb(&a, verb) : EXIT_USAGE;
}
