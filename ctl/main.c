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
#define HOST_TIMEOUT_SECONDS 60u	/* of what asks another host: somebody may have to enter a password */

enum { TAKES_JSON = 1, TAKES_CONFIG = 2, TAKES_DAEMON = 4, TAKES_CREATE = 8, TAKES_HOST = 16 };

static const struct verb {
	const char *name, *operands;
	unsigned int options;		/* TAKES_… */
	size_t least, most;		/* operands */
	int (*run)(const struct ctl *ctl);
	const char *help;
} verbs[] = {
	{ "status", "[RES…] [--json]", TAKES_JSON | TAKES_DAEMON, 0, SIZE_MAX, verb_status,
	  "shows every resource, and in words what is frozen, refused or unclean" },
	{ "up", "RES…|all", TAKES_DAEMON, 1, SIZE_MAX, verb_up,
	  "reads the configuration again and starts serving" },
	{ "down", "RES…|all", TAKES_DAEMON, 1, SIZE_MAX, verb_down,
	  "stops serving; refused while a guest has the disk" },
	{ "create-md", "[--assume-clean] [--force] RES…|all", TAKES_CONFIG | TAKES_DAEMON | TAKES_CREATE, 1,
	  SIZE_MAX, verb_create_md, "writes new metadata; works without the daemon" },
	{ "check", "[FILE]", TAKES_CONFIG, 0, 1, verb_check,
	  "reads the configuration and says everything that is wrong with it" },
	{ "migrate-check", "[-s SSHCOMMAND] DOMAIN HOST", TAKES_DAEMON | TAKES_HOST, 2, 2, verb_migrate_check,
	  "says what would make 'xl migrate' of the guest fail, while it still runs" },
};
#define VERBS (sizeof(verbs) / sizeof(verbs[0]))

enum { OPT_JSON = 256, OPT_TIMEOUT, OPT_SOCKET, OPT_ASSUME_CLEAN, OPT_FORCE };
static const struct option long_options[] = {
	{ "config-file", required_argument, NULL, 'c' },
	{ "socket", required_argument, NULL, OPT_SOCKET },
	{ "timeout", required_argument, NULL, OPT_TIMEOUT },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "assume-clean", no_argument, NULL, OPT_ASSUME_CLEAN },
	{ "force", no_argument, NULL, OPT_FORCE },
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
	fprintf(out, "  -c, --config-file FILE  instead of %s (create-md, check)\n"
		"  -s SSHCOMMAND           as xl migrate's, instead of ssh (migrate-check)\n"
		"      --timeout SECONDS   bound on the wait for the daemon (%u; migrate-check: %u)\n"
		"      --socket PATH       the daemon's control socket, instead of %s\n"
		"      --json              status: JSON, schema %d\n"
		"  -h, --help\n  -V, --version\n\n"
		"Exit status: 0 done, 1 usage, 10 configuration invalid, 11 refused, 20 the daemon does not "
		"answer or the system failed.\n"
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
	case OPT_ASSUME_CLEAN: a->ctl.assume_clean = true; a->given |= TAKES_CREATE; return true;
	case OPT_FORCE: a->ctl.force = true; a->given |= TAKES_CREATE; return true;
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
	if (!a->timeout)
		a->timeout = verb->options & TAKES_HOST ? HOST_TIMEOUT_SECONDS : TIMEOUT_SECONDS;
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
	return verb ? run_verb(&a, verb) : EXIT_USAGE;
}
