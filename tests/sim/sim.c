/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sim.c: the command.
 *
 *   sim [--seed N] [--seeds N] [--seconds S] [--mutant NAME] [--trace] [--coverage] [--self-test DIR]
 *
 * Runs schedules from seed N on, until there were --seeds of them or --seconds have passed; every 64th one
 * twice, to see that it is reproducible.  The exit code is 0 if no oracle objected, 1 if one did, 2 for a
 * usage error.  --self-test runs every mutant that DIR describes and succeeds if each is found by an oracle
 * that its file names.
 */
#include <dirent.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/sim/sim.h"

#define MUTANT_SEEDS 400u /* a planted bug that so many schedules do not find is a failure of the simulator \
			   */

struct options {
	uint64_t seed, seeds, seconds;
	enum mutant mutant;
	bool trace, coverage;
	const char *self_test;
};

static double seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static const char *option_mutant(const struct sim *s, char *out, size_t size)
{
	snprintf(out, size, "%s%s", s->mutant ? " --mutant " : "", s->mutant ? mutant_name(s->mutant) : "");
	return out;
}

static void report(const struct sim *s, const char *program)
{
	char m[64];

	printf("sim: VIOLATION of '%s', seed %" PRIu64 ", event %" PRIu64 ", after %.6f s: %s\n",
	       oracle_name(s->oracle), s->seed, s->events, (double)s->now / SIM_SECOND, s->violation);
	if (!s->trace) {
		printf("the last %u lines of the trace (time, node, what):\n", SIM_TRACE);
		sim_print_trace(s);
	}
	printf("to see it again: %s --seed %" PRIu64 " --seeds 1 --trace%s\n", program, s->seed,
	       option_mutant(s, m, sizeof(m)));
}

static bool reproducible(struct sim *s, const struct options *o)
{
	uint64_t first = s->hash;
	struct totals t = { 0 };

	sim_schedule(s, s->seed, o->mutant, false, &t);
	if (s->hash == first)
		return true;
	printf("sim: seed %" PRIu64 " took another course the second time\n", s->seed);
	return false;
}

static void print_coverage(const struct totals *t)
{
	static const char *const fault[] = {
#define X(id, name) [FAULT_##id] = name,
		FAULTS(X)
#undef X
	};

	for (int i = 0; i < FAULT_COUNT; i++)
		printf("  fault %-32s %10" PRIu64 "\n", fault[i], t->fault[i]);
	for (unsigned int i = PACKET_HELLO; i <= PACKET_ENDED; i++)
		printf("  packet %-14s arrived %10" PRIu64 "  lost %8" PRIu64 "  late %8" PRIu64
		       "  repeated %8" PRIu64 "\n",
		       packet_name(i), t->delivered[i], t->lost[i], t->late[i], t->repeated[i]);
	for (int i = 0; i < CONNECTION_STATE_COUNT; i++)
		printf("  connection %-16s entered %10" PRIu64 "\n", connection_state_name(i), t->states[i]);
	for (int i = 0; i < ATTACHMENT_STATE_COUNT; i++)
		printf("  attachment %-16s entered %10" PRIu64 "\n", attachment_state_name(i),
		       t->attachments[i]);
	printf("  migrations %" PRIu64 ": reserved %" PRIu64 ", refused %" PRIu64 ", completed %" PRIu64
	       ", undone %" PRIu64 "; tokens back %" PRIu64 "; guests parked %" PRIu64 ", adopted %" PRIu64
	       "\n",
	       t->migrations, t->reserved, t->reserve_refused, t->completed, t->undone, t->back, t->parked,
	       t->adopted);
	printf("  claims %" PRIu64 ": granted %" PRIu64 ", refused %" PRIu64 "; activations %" PRIu64
	       "; Primaries that died %" PRIu64 "\n",
	       t->claims, t->granted, t->refused, t->activations, t->primaries);
}

static int run(const struct options *o, const char *program)
{
	static struct sim s;
	struct totals t = { 0 };
	double start = seconds_now();

	for (uint64_t seed = o->seed;; seed++) {
		if (o->seeds ? seed - o->seed >= o->seeds : seconds_now() - start >= (double)o->seconds)
			break;
		if (o->seconds && seconds_now() - start >= (double)o->seconds)
			break;
		sim_schedule(&s, seed, o->mutant, o->trace, &t);
		if (s.failed) {
			report(&s, program);
			return 1;
		}
		if (seed % 64 == 0 && !reproducible(&s, o))
			return 1;
	}
	if (o->coverage)
		print_coverage(&t);
	printf("sim: %" PRIu64 " schedules, %" PRIu64 " events, %" PRIu64 " guest operations, %" PRIu64
	       " hand-overs, %" PRIu64 " faults, 0 violations, %.1f s\n",
	       t.schedules, t.events, t.guest_ops, t.completed, t.faults, seconds_now() - start);
	return 0;
}

/* ---- self-test ---- */

/* The value of "key: value" in the file, without the newline; false if it has none. */
static bool field(FILE *f, const char *key, char *out, size_t size)
{
	char line[512];
	size_t length = strlen(key);

	rewind(f);
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, key, length) || strncmp(line + length, ": ", 2))
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(out, size, "%s", line + length + 2);
		return true;
	}
	return false;
}

/* `list` holds names between spaces. */
static bool listed(const char *list, const char *name)
{
	size_t length = strlen(name);

	for (const char *at = list; (at = strstr(at, name)); at += length)
		if ((at == list || at[-1] == ' ') && (!at[length] || at[length] == ' '))
			return true;
	return false;
}

static bool hunt(const char *name, const char *oracles)
{
	static struct sim s;
	struct totals t = { 0 };
	double start = seconds_now();
	int m = mutant_find(name);

	if (m <= MUTANT_NONE) {
		printf("not ok - %s: there is no such mutant\n", name);
		return false;
	}
	for (uint64_t seed = 1; seed <= MUTANT_SEEDS; seed++) {
		sim_schedule(&s, seed, m, false, &t);
		if (!s.failed)
			continue;
		printf("%s - %s: found by '%s', seed %" PRIu64 ", event %" PRIu64 ", %.1f s: %s\n",
		       listed(oracles, oracle_name(s.oracle)) ? "ok" : "not ok", name, oracle_name(s.oracle),
		       seed, s.events, seconds_now() - start, s.violation);
		return listed(oracles, oracle_name(s.oracle));
	}
	printf("not ok - %s: not found in %u schedules\n", name, MUTANT_SEEDS);
	return false;
}

static bool hunt_file(const char *directory, const char *file)
{
	char path[512], name[64] = "", oracles[256] = "";
	bool ok;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", directory, file);
	f = fopen(path, "r");
	ok = f && field(f, "name", name, sizeof(name)) && field(f, "oracle", oracles, sizeof(oracles));
	if (f)
		fclose(f);
	if (!ok)
		printf("not ok - %s: no name or no oracle in it\n", path);
	return ok && hunt(name, oracles);
}

static int self_test(const char *directory)
{
	struct dirent **files;
	int n = scandir(directory, &files, NULL, alphasort), found = 0, lost = 0;

	for (int i = 0; i < n; i++) {
		if (files[i]->d_name[0] != '.') {
			if (hunt_file(directory, files[i]->d_name))
				found++;
			else
				lost++;
		}
		free(files[i]);
	}
	if (n >= 0)
		free(files);
	printf("sim: %d planted bugs found, %d not; %d in the program\n", found, lost, MUTANT_COUNT - 1);
	return found == MUTANT_COUNT - 1 && !lost ? 0 : 1;
}

/* ---- command line ---- */

static void usage(const char *program)
{
	fprintf(stderr,
		"usage: %s [--seed N] [--seeds N] [--seconds S] [--mutant NAME] [--trace] [--coverage] "
		"[--self-test DIR]\n"
		"mutants:",
		program);
	for (int m = MUTANT_NONE + 1; m < MUTANT_COUNT; m++)
		fprintf(stderr, " %s", mutant_name(m));
	fputc('\n', stderr);
	exit(2);
}

static uint64_t number(const char *text, const char *program)
{
	char *end;
	uint64_t v = strtoull(text, &end, 0);

	if (*end || end == text)
		usage(program);
	return v;
}

static void set(struct options *o, int c, const char *program)
{
	int m;

	switch (c) {
	case 's':
		o->seed = number(optarg, program);
		break;
	case 'n':
		o->seeds = number(optarg, program);
		break;
	case 'S':
		o->seconds = number(optarg, program);
		break;
	case 'm':
		m = mutant_find(optarg);
		if (m < 0)
			usage(program);
		o->mutant = m;
		break;
	case 't':
		o->trace = true;
		break;
	case 'c':
		o->coverage = true;
		break;
	case 'T':
		o->self_test = optarg;
		break;
	default:
		usage(program);
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seed", required_argument, NULL, 's' },      { "seeds", required_argument, NULL, 'n' },
		{ "seconds", required_argument, NULL, 'S' },   { "mutant", required_argument, NULL, 'm' },
		{ "trace", no_argument, NULL, 't' },	       { "coverage", no_argument, NULL, 'c' },
		{ "self-test", required_argument, NULL, 'T' }, { 0 },
	};
	struct options o = { .seed = 1 };
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
		set(&o, c, argv[0]);
	if (optind < argc)
		usage(argv[0]);
	if (!o.seeds && !o.seconds)
		o.seeds = o.seed == 1 ? 1000 : 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	return o.self_test ? self_test(o.self_test) : run(&o, argv[0]);
}
