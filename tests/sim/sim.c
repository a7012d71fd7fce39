/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sim.c: the command.
 *
 *   sim [--seed N] [--seeds N] [--count N] [--seconds S] [--jobs N] [--mutant NAME] [--trace] [--coverage] [--complete FILE]
 *       [--plain] [--skip KIND:NUMBERS] [--self-test DIR]
 *
 * Runs schedules from seed N on, until there were --seeds of them, --count of them counted (200 guest operations, 3 faults,
 * quiescent), or --seconds have passed; every 64th one twice, to see that it is reproducible.  --jobs processes share the seeds.
 * The last line says which seeds were run, so that a long run can be cut in pieces.  --complete: it fails if there is a packet or a
 * state that no schedule has been through, but for those that FILE lists.  A failure is shrunk (shrink.c); --skip leaves out what that search
 * found that could be left out.  --plain: none of them has fencing, on-no-data-accessible io-error or discards, which draw from streams of
 * their own.  The exit code is 0 if no oracle objected, 1 if one did, 2 for a
 * usage error.  --self-test runs every mutant that DIR describes and succeeds if each is found by an oracle
 * that its file names.
 */
#include <dirent.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/sim.h"

#define MUTANT_SEEDS 4000u /* a planted bug that so many schedules do not find is a failure of the simulator \
			   */

#define JOBS_MAX     64u
#define PROGRESS     10000u /* counted schedules between two lines that tell of them */

struct options {
	uint64_t seed, seeds, count, seconds, jobs;
	enum mutant mutant;
	bool trace, coverage, plain;
	struct cuts cuts;
	const char *complete, *self_test;
};

static double seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct schedule schedule_of(const struct options *o, uint64_t seed)
{
	return (struct schedule){ .seed = seed, .mutant = o->mutant, .trace = o->trace, .plain = o->plain, .cuts = &o->cuts };
}

/* With --trace it is a person who looks at one schedule, which is not changed. */
static void report(struct sim *s, const struct options *o, const char *program)
{
	struct schedule what = schedule_of(o, s->seed);

	printf("sim: VIOLATION of '%s', seed %" PRIu64 ", event %" PRIu64 ", after %.6f s: %s\n",
	       oracle_name(s->oracle), s->seed, s->events, (double)s->now / SIM_SECOND, s->violation);
	if (o->trace)
		return;
	printf("to see all of it: %s --seed %" PRIu64 " --seeds 1 --trace", program, s->seed);
	if (o->mutant)
		printf(" --mutant %s", mutant_name(o->mutant));
	if (o->plain)
		printf(" --plain");
	cut_print(&o->cuts);
	putchar('\n');
	shrink(s, &what, program);
}

static bool reproducible(struct sim *s, const struct options *o)
{
	struct schedule again = schedule_of(o, s->seed);
	uint64_t first = s->hash;
	struct totals t = { 0 };

	again.trace = false;
	sim_schedule(s, &again, &t);
	if (s->hash == first)
		return true;
	printf("sim: seed %" PRIu64 " took another course the second time\n", s->seed);
	return false;
}

static void print_totals(const struct options *o, const struct totals *t, double seconds)
{
	printf("sim: %" PRIu64 " schedules, of which %" PRIu64 " count (200 guest operations, 3 faults, quiescent), %" PRIu64 " events, %" PRIu64 " guest operations, %" PRIu64
	       " hand-overs, %" PRIu64 " faults, 0 violations, %.1f s; seeds %" PRIu64 "-%" PRIu64 "\n",
	       t->schedules, t->counted, t->events, t->guest_ops, t->completed, t->faults, seconds, o->seed, t->last_seed);
}

static bool enough(const struct options *o, const struct totals *t, uint64_t seed, double seconds)
{
	return (o->seeds && seed - o->seed >= o->seeds) || (o->count && t->counted >= o->count) ||
	       (o->seconds && seconds >= (double)o->seconds);
}

/* Every jobs'th seed, from o->seed + job on. False: an oracle objected. */
static bool run_part(const struct options *o, unsigned int job, struct totals *t, const char *program)
{
	static struct sim s;
	double start = seconds_now();
	uint64_t told = 0;

	for (uint64_t seed = o->seed + job; !enough(o, t, seed, seconds_now() - start); seed += o->jobs) {
		struct schedule what = schedule_of(o, seed);

		sim_schedule(&s, &what, t);
		if (s.failed) {
			report(&s, o, program);
			return false;
		}
		if (seed % 64 == job && !reproducible(&s, o))
			return false;
		t->last_seed = seed;
		if (t->counted / PROGRESS > told) {
			told = t->counted / PROGRESS;
			printf("sim: job %u: seed %" PRIu64 ", %" PRIu64 " counted, %.0f s\n", job, seed, t->counted,
			       seconds_now() - start);
		}
	}
	return true;
}

static void add(struct totals *to, const struct totals *from)
{
	uint64_t *out = (uint64_t *)to, last = to->last_seed > from->last_seed ? to->last_seed : from->last_seed;
	const uint64_t *in = (const uint64_t *)from;

	for (size_t i = 0; i < sizeof(*to) / sizeof(*out); i++)
		out[i] += in[i];
	to->last_seed = last;
}

/* A process of its own, which sends its totals and ends; what it has to say of a violation it says itself. */
static pid_t begin_job(const struct options *o, unsigned int job, int *out, const char *program)
{
	struct totals t = { 0 };
	int fd[2];
	pid_t pid;

	fflush(stdout);
	if (pipe(fd) || (pid = fork()) < 0) {
		perror("sim: cannot start a job");
		exit(2);
	}
	if (pid) {
		close(fd[1]);
		*out = fd[0];
		return pid;
	}
	close(fd[0]);
	_exit(run_part(o, job, &t, program) && write(fd[1], &t, sizeof(t)) == sizeof(t) ? 0 : 1);
}

static bool end_job(int fd, pid_t pid, struct totals *sum)
{
	struct totals t;
	size_t got = 0;
	ssize_t n;

	while (got < sizeof(t) && (n = read(fd, (char *)&t + got, sizeof(t) - got)) > 0)
		got += (size_t)n;
	close(fd);
	waitpid(pid, NULL, 0);
	if (got < sizeof(t))
		return false;
	add(sum, &t);
	return true;
}

static bool run_jobs(const struct options *o, struct totals *t, const char *program)
{
	struct options part = *o;
	pid_t pid[JOBS_MAX];
	int fd[JOBS_MAX];
	bool good = true;

	part.count = (o->count + o->jobs - 1) / o->jobs;
	for (unsigned int i = 0; i < o->jobs; i++)
		pid[i] = begin_job(&part, i, &fd[i], program);
	for (unsigned int i = 0; i < o->jobs; i++)
		good &= end_job(fd[i], pid[i], t);
	return good;
}

static int run(const struct options *o, const char *program)
{
	struct totals t = { 0 };
	double start = seconds_now();

	if (!(o->jobs > 1 ? run_jobs(o, &t, program) : run_part(o, 0, &t, program)))
		return 1;
	if (o->coverage)
		coverage_print(&t);
	print_totals(o, &t, seconds_now() - start);
	return o->complete && !coverage_complete(&t, o->complete);
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
		sim_schedule(&s, &(struct schedule){ .seed = seed, .mutant = m }, &t);
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
		"usage: %s [--seed N] [--seeds N] [--count N] [--seconds S] [--jobs N] [--mutant NAME] [--trace] "
		"[--coverage] [--complete FILE] [--plain] [--skip KIND:NUMBERS] [--self-test DIR]\n"
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
	case 'C':
		o->count = number(optarg, program);
		break;
	case 'j':
		o->jobs = number(optarg, program);
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
	case 'f':
		o->complete = optarg;
		break;
	case 'p':
		o->plain = true;
		break;
	case 'k':
		if (!cut_parse(&o->cuts, optarg))
			usage(program);
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
		{ "self-test", required_argument, NULL, 'T' }, { "count", required_argument, NULL, 'C' },
		{ "jobs", required_argument, NULL, 'j' },     { "complete", required_argument, NULL, 'f' },
		{ "skip", required_argument, NULL, 'k' },      { "plain", no_argument, NULL, 'p' },
		{ 0 },
	};
	struct options o = { .seed = 1, .jobs = 1 };
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
		set(&o, c, argv[0]);
	if (optind < argc || !o.jobs || o.jobs > JOBS_MAX)
		usage(argv[0]);
	if (!o.seeds && !o.seconds && !o.count)
		o.seeds = o.seed == 1 ? 1000 : 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	return o.self_test ? self_test(o.self_test) : run(&o, argv[0]);
}
