/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A test frontend: guest, load generator, hostile guest, and libxl's part. See usage() below for the words.
 *
 * "guest" is one process for one disk of a guest. It listens on a unix socket for one-line commands, answers
 * each with one line of JSON, and serves new commands while a load runs in the background.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "frontend.h"
#include "hostile.h"
#include "load.h"
#include "move.h"
#include "toolstack.h"

static const char usage_text[] =
"blkfront-sim: Xen's tools and a guest's disk, for a simulated host\n"
"\n"
"The toolstack, as libxl (exit status 0 or 1, reasons on stderr):\n"
"  attach  --domid D --devid V --resource NAME [--script block-drbdx] [--kind vbd|vbd3] [--name N]\n"
"          [--uuid U] [--dev xvda2] [--readonly] [--cdrom] [--pv]\n"
"                            create the domain if need be, write the nodes, run the script\n"
"  detach  --domid D --devid V [--kind K] [--script S] [--auto|--force]\n"
"  destroy --domid D         kill the guest, remove its devices by force, then the domain\n"
"  domain  --domid D create|suspend|resume|rename NAME\n"
"                            suspend: Xen then reports SHUTDOWN_suspend for it\n"
"  holdings                  pages that are mapped, ports and event channel handles of domain 0; all watches\n"
"  wait    PATH STATE MILLISECONDS\n"
"                            until a xenstore node has this value (-1: is gone)\n"
"\n"
"The guest:\n"
"  guest   --domid D --devid V --control SOCKET [--model FILE] [--seed N] [--depth N] [--segments N]\n"
"          [--ring-order 0..4] [--queues 1..4] [--ring-keys new|old|order0] [--num-ring-pages] [--protocol S|none]\n"
"          [--no-indirect] [--style linux|jump4|grub|netbsd] [--timeout MS] [--background] [--no-connect]\n"
"                            protocol: x86_64-abi, x86_32-abi, arm-abi; its ring is as that says\n"
"          [--state FILE]    one that was suspended elsewhere: it goes on, and asks again for all that it has\n"
"                            no answer for\n"
"  ctl     SOCKET [--timeout MS] COMMAND...\n"
"                            print the answer; exit status 0 if it says \"ok\":true\n"
"  check-volume --model FILE --volume FILE\n"
"                            is every byte in a volume what the guest may see?\n"
"\n"
"Commands of a guest:\n"
"  write N, read N, mixed N, flush [N], discard [N], verify\n"
"                            do it and answer with the results\n"
"  start write|read|mixed    in the background\n"
"  stop                      wait for what is under way, and answer with the results\n"
"  suspend FILE              as a guest that Xen has suspended: nothing is issued, no answer is seen; its\n"
"                            state is saved (its --model belongs to it)\n"
"  resume                    go on with the same ring\n"
"  status                    the results so far\n"
"  set KEY VALUE             size (sectors, 0: any), range FIRST:SECTORS, sequential 0|1,\n"
"                            offset 0..7 (sectors; data begin there in their first page),\n"
"                            flush N (one of N operations of a mixed load), flush-after N (writes, where a load only\n"
"                            writes), depth N (so many at once, of --depth),\n"
"                            barrier N (one of N writes is one), discard N (likewise, up to 10 MiB long),\n"
"                            secure 0|1 (its discards are, where that is offered),\n"
"                            rate N (requests a second, 0: as many as go),\n"
"                            queues N (from the next connection on)\n"
"  raw-discard SECTOR:SECTORS:FLAG\n"
"                            whatever it is; the answer has its status, which is 0, -1 or -2 (not supported)\n"
"  close, connect, reconnect through the states of the frontend\n"
"  measure N                 latencies of the next N requests of a load that runs\n"
"  hostile NAME|list         what a hostile guest does\n"
"  attack NAME               the same again and again, until the next command, which is stop\n"
"  script FILE               commands from a file, one a line, until one is not ok\n"
"  quit, die                 orderly; or like a guest that crashes\n"
"SIGTERM: stop, verify, print the answer on stdout, quit (exit status 0 if all was well).\n";

struct options {
	struct disk disk;
	struct fe_config fe;
	const char *control, *model, *volume, *state;
	uint64_t seed;
	int timeout_ms;
	enum remove_force force;
	bool background, no_connect;
	int rest;			/* index of the first argument that is no option */
};

/* The guest process. */

struct guest {
	struct frontend fe;
	struct load load;
	const struct options *opt;
	int listener;
	int waiting;			/* the client that waits for the job's end, or -1 */
	char command[COMMAND_MAX];	/* that it gave */
	int measuring;			/* the client that waits for `measured` latencies, or -1 */
	uint64_t measured;
	char *attacked;			/* what the last attack came to, until stop has told it */
	bool quit, verify_and_quit;
	int exit_status;
};

static volatile sig_atomic_t terminated;

static void on_sigterm(int sig)
{
	(void)sig;
	terminated = 1;
}

static int socket_at(const char *path, bool serve)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(a.sun_path)) {
		errno = fd < 0 ? errno : ENAMETOOLONG;
		return -1;
	}
	strcpy(a.sun_path, path);
	if (serve)
		unlink(path);
	if (serve ? bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 8)
		  : connect(fd, (struct sockaddr *)&a, sizeof(a))) {
		close(fd);
		return -1;
	}
	return fd;
}

static void answer_and_free(int fd, char *json)
{
	char *line = fmt("%s\n", json);

	if (fd >= 0 && send(fd, line, strlen(line), MSG_NOSIGNAL) < 0)
		perror("blkfront-sim: answer");
	if (fd >= 0)
		close(fd);
	free(line);
	free(json);
}

static char *simple_answer(const char *what, int rc)
{
	return fmt("{\"ok\":%s,\"command\":\"%s\",\"error\":\"%s\"}", rc < 0 ? "false" : "true", what,
		   rc < 0 ? strerror(-rc) : "");
}

static void job_start(struct guest *g, int client, const char *cmd, enum job_kind job, uint64_t n)
{
	load_start(&g->load, job, n);
	snprintf(g->command, sizeof(g->command), "%s", cmd);
	g->waiting = client;
}

static void measure_end(struct guest *g, const char *what)
{
	answer_and_free(g->measuring, load_json(&g->load, what));
	g->measuring = -1;
}

static void job_end(struct guest *g)
{
	char *json = load_json(&g->load, g->command);

	g->exit_status |= !load_ok(&g->load);
	g->load.job = JOB_NONE;
	if (g->measuring >= 0)
		measure_end(g, "stopped");
	if (g->verify_and_quit && !strcmp(g->command, "verify")) {
		puts(json);
		g->quit = true;
	}
	answer_and_free(g->waiting, json);
	g->waiting = -1;
}

static int command_set(struct guest *g, const char *key, const char *value)
{
	struct load *l = &g->load;
	unsigned long long first, n;

	if (!strcmp(key, "range") && sscanf(value, "%llu:%llu", &first, &n) == 2 && n &&
	    first + n <= g->fe.sectors - LOAD_SCRATCH) {
		l->first = first;
		l->sectors = n;
	} else if (!strcmp(key, "size")) {
		l->size = (uint32_t)atoi(value);
	} else if (!strcmp(key, "offset") && (unsigned)atoi(value) < SECTORS_PER_PAGE) {
		g->fe.offset = (uint32_t)atoi(value);
	} else if (!strcmp(key, "depth") && (unsigned)atoi(value) - 1 < g->fe.cfg.depth) {
		g->fe.most = (unsigned)atoi(value);
	} else if (!strcmp(key, "sequential")) {
		l->sequential = atoi(value);
	} else if (!strcmp(key, "flush")) {
		l->flush_every = (unsigned)atoi(value);
	} else if (!strcmp(key, "flush-after")) {
		l->flush_after = (unsigned)atoi(value);
	} else if (!strcmp(key, "barrier")) {
		l->barrier_every = (unsigned)atoi(value);
	} else if (!strcmp(key, "discard")) {
		l->discard_every = (unsigned)atoi(value);
	} else if (!strcmp(key, "secure")) {
		l->secure = atoi(value);
	} else if (!strcmp(key, "rate")) {
		l->every_ns = atoi(value) > 0 ? 1000000000 / atoi(value) : 0;
	} else if (!strcmp(key, "queues") && (unsigned)atoi(value) - 1 < FE_QUEUES_MAX) {
		g->fe.cfg.queues = (unsigned)atoi(value);
	} else {
		return -EINVAL;
	}
	return 0;
}

static int command_connect(struct guest *g)
{
	int rc = fe_connect(&g->fe, g->opt->timeout_ms);

	if (rc == 0 && !g->load.model.h)
		rc = load_init(&g->load, &g->fe, g->opt->model, g->opt->seed);
	return rc;
}

static int command_reconnect(struct guest *g)
{
	int rc = fe_close(&g->fe, g->opt->timeout_ms);

	if (rc < 0)
		return rc;
	fe_set_state(&g->fe, 1);
	rc = fe_wait_backend(&g->fe, 1u << 2, g->opt->timeout_ms);
	return rc < 0 ? rc : command_connect(g);
}

static const struct {
	const char *word;
	enum job_kind job;
} job_words[] = {
	{ "write", JOB_WRITE }, { "read", JOB_READ }, { "mixed", JOB_MIXED }, { "verify", JOB_VERIFY },
	{ "flush", JOB_FLUSH }, { "discard", JOB_DISCARD },
};

static enum job_kind job_of_word(const char *word)
{
	for (unsigned i = 0; i < sizeof(job_words) / sizeof(job_words[0]); i++)
		if (!strcmp(word, job_words[i].word))
			return job_words[i].job;
	return JOB_NONE;
}

/* Past the model: it is for what must be refused, or changes nothing. */
static char *raw_discard(struct guest *g, const char *arg)
{
	unsigned long long sector, sectors;
	struct blkif_request slot = { 0 };
	struct blkif_request_discard d;
	unsigned int flag, seen = g->fe.raw_count;
	int64_t end = now_ns() + 10000000000ll;
	int status;

	if (sscanf(arg, "%llu:%llu:%u", &sector, &sectors, &flag) != 3 || !g->fe.connected)
		return simple_answer("raw-discard", -EINVAL);
	d = (struct blkif_request_discard){ .operation = BLKIF_OP_DISCARD, .flag = (uint8_t)flag, .id = 0xd15ca4d0000003ff,
					    .sector_number = sector, .nr_sectors = sectors };
	memcpy(&slot, &d, sizeof(d));
	g->fe.raw = true;
	fe_raw_put(&g->fe, &slot);
	fe_push(&g->fe);
	while (g->fe.raw_count == seen && now_ns() < end && g->fe.connected)
		fe_wait(&g->fe, -1, 50);
	g->fe.raw = false;
	if (g->fe.raw_count == seen)
		return simple_answer("raw-discard", -ETIMEDOUT);
	status = g->fe.raw_rsp[seen % RAW_MAX].status;
	return fmt("{\"ok\":true,\"command\":\"raw-discard\",\"status\":%d}", status);
}

/* The gap to the next answer counts, wherever that comes from. */
static int command_suspend(struct guest *g, const char *path)
{
	if (!g->fe.connected || g->fe.suspended)
		return -EINVAL;
	g->fe.suspended = g->load.paused = true;
	return move_save(&g->load, g->command, path);
}

/* Commands that may come while a load runs. True if it was one. */
static bool run_any_time(struct guest *g, int client, const char *verb, const char *arg)
{
	if (!strcmp(verb, "status")) {
		answer_and_free(client, load_json(&g->load, "status"));
	} else if (!strcmp(verb, "suspend")) {
		answer_and_free(client, simple_answer(verb, command_suspend(g, arg)));
	} else if (!strcmp(verb, "resume")) {
		g->fe.suspended = false;
		answer_and_free(client, simple_answer(verb, 0));
	} else if (!strcmp(verb, "measure") && g->load.job && g->measuring < 0) {
		load_measure(&g->load);
		g->measured = strtoull(arg, NULL, 10);
		g->measuring = client;
	} else if (!strcmp(verb, "stop") && g->attacked) {
		answer_and_free(client, g->attacked);
		g->attacked = NULL;
	} else if (!strcmp(verb, "stop") && g->load.job) {
		if (g->waiting >= 0)
			answer_and_free(g->waiting, simple_answer("stopped by another client", -ECANCELED));
		g->waiting = client;
		load_stop(&g->load);
	} else if (!strcmp(verb, "die")) {
		unlink(g->opt->control);
		answer_and_free(client, simple_answer(verb, 0));
		_exit(0);
	} else {
		return false;
	}
	return true;
}

static void run_idle(struct guest *g, int client, const char *verb, const char *arg, const char *arg2)
{
	enum job_kind job = job_of_word(verb);
	uint64_t n = arg[0] ? strtoull(arg, NULL, 10) : 1;
	int rc = -EINVAL;

	if (!strcmp(verb, "start") && (job = job_of_word(arg)) != JOB_NONE) {
		job_start(g, -1, arg, job, FOREVER);
		rc = 0;
	} else if (job) {
		job_start(g, client, verb, job, n);
		return;
	} else if (!strcmp(verb, "set")) {
		rc = command_set(g, arg, arg2);
	} else if (!strcmp(verb, "close")) {
		rc = fe_close(&g->fe, g->opt->timeout_ms);
	} else if (!strcmp(verb, "connect")) {
		rc = command_connect(g);
	} else if (!strcmp(verb, "reconnect")) {
		rc = command_reconnect(g);
	} else if (!strcmp(verb, "raw-discard")) {
		answer_and_free(client, raw_discard(g, arg));
		return;
	} else if (!strcmp(verb, "hostile")) {
		answer_and_free(client, hostile_run(&g->load, fmt("%s%s%s", arg, *arg2 ? " " : "", arg2), -1));
		return;
	} else if (!strcmp(verb, "attack")) {
		answer_and_free(client, simple_answer(verb, 0));
		free(g->attacked);
		g->attacked = hostile_run(&g->load, fmt("%s%s%s", arg, *arg2 ? " " : "", arg2), g->listener);
		return;
	} else if (!strcmp(verb, "quit")) {
		rc = g->fe.connected ? fe_close(&g->fe, g->opt->timeout_ms) : 0;
		g->quit = true;
	}
	answer_and_free(client, simple_answer(verb, rc));
}

static void run_command(struct guest *g, int client, char *line)
{
	char verb[32] = "", arg[4096] = "", arg2[64] = "";

	sscanf(line, "%31s %4095s %63s", verb, arg, arg2);
	if (run_any_time(g, client, verb, arg))
		return;
	if (g->load.job)
		answer_and_free(client, simple_answer(verb, -EBUSY));
	else if (!g->load.model.h && strcmp(verb, "connect") && strcmp(verb, "quit"))
		answer_and_free(client, simple_answer(verb, -ENOTCONN));
	else
		run_idle(g, client, verb, arg, arg2);
}

static void client_accept(struct guest *g)
{
	int fd = accept4(g->listener, NULL, NULL, SOCK_CLOEXEC);
	char line[4200];
	ssize_t n;

	if (fd < 0)
		return;
	n = read(fd, line, sizeof(line) - 1);
	if (n <= 0) {
		close(fd);
		return;
	}
	line[n] = '\0';
	run_command(g, fd, line);
}

static void terminate(struct guest *g)
{
	terminated = 0;
	g->verify_and_quit = true;
	load_stop(&g->load);
}

static void guest_loop(struct guest *g)
{
	while (!g->quit) {
		if (terminated)
			terminate(g);
		if (load_follow(&g->load, g->opt->model) < 0) {
			perror("blkfront-sim: the model cannot grow");
			exit(1);
		}
		if (g->load.job && !load_issue(&g->load))
			job_end(g);
		if (!g->load.job && g->verify_and_quit && !g->quit) {
			job_start(g, -1, "verify", JOB_VERIFY, 1);
			continue;
		}
		if (g->measuring >= 0 && g->load.res.lat.count >= g->measured)
			measure_end(g, "measure");
		if (!g->quit && fe_wait(&g->fe, g->listener, load_pause_ms(&g->load, 200)))
			client_accept(g);
	}
}

/* The parent of a background guest waits for one byte: connected, or the exit of its child. */
static int detach_from_parent(bool background)
{
	int p[2];
	char c;
	pid_t pid;

	if (!background)
		return -1;
	if (pipe(p) < 0 || (pid = fork()) < 0)
		exit(1);
	if (pid > 0) {
		close(p[1]);
		exit(read(p[0], &c, 1) == 1 ? 0 : 1);
	}
	close(p[0]);
	setsid();
	return p[1];
}

/* A copy of a guest has the shape of the original; only its domain is another one. */
static int read_state(struct options *o, struct move *m)
{
	int rc = move_read(m, o->state);

	if (rc < 0)
		return rc;
	m->cfg.domid = o->fe.domid;
	m->cfg.devid = o->fe.devid;
	o->fe = m->cfg;
	return 0;
}

static void go_on(struct guest *g, struct move *m)
{
	move_resume(m, &g->load);
	memcpy(g->command, m->command, sizeof(g->command));
}

static int guest_main(struct options *o)
{
	struct guest g = { .opt = o, .waiting = -1, .measuring = -1 };
	struct sigaction sa = { .sa_handler = on_sigterm };
	int ready = detach_from_parent(o->background);
	struct move move;
	int rc = o->state ? read_state(o, &move) : 0;

	sigaction(SIGTERM, &sa, NULL);
	if (rc == 0)
		rc = fe_init(&g.fe, &o->fe);
	g.listener = rc < 0 ? -1 : socket_at(o->control, true);
	if (rc == 0 && g.listener < 0)
		rc = -errno;
	if (rc == 0 && !o->no_connect)
		rc = command_connect(&g);
	if (rc == 0 && o->state)
		go_on(&g, &move);
	if (rc < 0) {
		char *why = g.fe.be_path ? be_error(&g.fe) : NULL;

		fprintf(stderr, "blkfront-sim: guest %u disk %u: %s (backend state %d%s%s)\n", o->fe.domid,
			o->fe.devid, strerror(-rc), g.fe.be_state, why ? ": " : "", why ? why : "");
		return 1;
	}
	if (ready >= 0) {
		if (write(ready, "x", 1) < 0 || !freopen("/dev/null", "r", stdin))
			return 1;
		close(ready);
	}
	guest_loop(&g);
	unlink(o->control);
	return g.exit_status;
}

/* ctl */

static int ctl_one(const char *path, const char *line, int timeout_ms)
{
	int fd = socket_at(path, false);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char buf[8192];
	size_t got = 0;
	ssize_t n = 1;

	if (fd < 0 || send(fd, line, strlen(line), MSG_NOSIGNAL) < 0) {
		fprintf(stderr, "blkfront-sim: %s: %s\n", path, strerror(errno));
		return 1;
	}
	while (n > 0 && got < sizeof(buf) - 1) {
		if (poll(&p, 1, timeout_ms) <= 0) {
			fprintf(stderr, "blkfront-sim: %s: no answer to \"%s\" in %d ms\n", path, line,
				timeout_ms);
			close(fd);
			return 1;
		}
		n = read(fd, buf + got, sizeof(buf) - 1 - got);
		got += n > 0 ? (size_t)n : 0;
	}
	buf[got] = '\0';
	close(fd);
	fputs(buf, stdout);
	fflush(stdout);
	return strncmp(buf, "{\"ok\":true", 10) != 0;
}

static int ctl_script(const char *path, const char *file, int timeout_ms)
{
	FILE *f = fopen(file, "r");
	char line[4096];
	int rc = 0;

	if (!f) {
		perror(file);
		return 1;
	}
	while (rc == 0 && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n#")] = '\0';
		if (line[strspn(line, " \t")])
			rc = ctl_one(path, line, timeout_ms);
	}
	fclose(f);
	return rc;
}

static int ctl_main(const struct options *o, int argc, char **argv)
{
	char line[4096] = "";

	if (argc - o->rest < 2) {
		fputs(usage_text, stderr);
		return 2;
	}
	for (int i = o->rest + 1; i < argc; i++) {
		strncat(line, i > o->rest + 1 ? " " : "", sizeof(line) - strlen(line) - 1);
		strncat(line, argv[i], sizeof(line) - strlen(line) - 1);
	}
	if (!strcmp(argv[o->rest + 1], "script") && argc - o->rest == 3)
		return ctl_script(argv[o->rest], argv[o->rest + 2], o->timeout_ms);
	return ctl_one(argv[o->rest], line, o->timeout_ms);
}

/* A volume, without daemon and ring, against what the guest knows. */
static int check_volume(const struct options *o)
{
	struct model m;
	uint8_t buf[SECTOR * 256];
	uint64_t bad = 0, written = 0;
	int fd = o->volume ? open(o->volume, O_RDONLY | O_CLOEXEC) : -1;
	int rc = o->model ? model_open(&m, o->model, 0, 0) : -EINVAL;

	if (fd < 0 || rc < 0) {
		fprintf(stderr, "blkfront-sim: check-volume: %s\n", strerror(rc < 0 ? -rc : errno));
		return 1;
	}
	for (uint64_t s = 0; s + LOAD_SCRATCH < m.h->sectors; s++) {
		const char *why;

		if (s % 256 == 0 && pread(fd, buf, sizeof(buf), (off_t)(s * SECTOR)) < (ssize_t)SECTOR)
			why = "cannot be read";
		else
			why = model_check(&m, s, buf + s % 256 * SECTOR, m.floor[s]);
		written += m.hi[s] != 0;
		if (why && !bad++)
			fprintf(stderr, "%s: sector %llu: %s\n", o->volume, (unsigned long long)s, why);
	}
	printf("{\"ok\":%s,\"command\":\"check-volume\",\"sectors\":%llu,\"written\":%llu,\"bad\":%llu}\n",
	       bad ? "false" : "true", (unsigned long long)m.h->sectors, (unsigned long long)written,
	       (unsigned long long)bad);
	return bad != 0;
}

/* The toolstack's words. */

static int domain_main(const struct options *o, struct xs_handle *xs, const char *verb, const char *arg)
{
	uint16_t domid = (uint16_t)o->disk.domid;
	int rc = -EINVAL;

	if (!strcmp(verb, "create"))
		return domain_create(xs, &o->disk);
	if (!strcmp(verb, "suspend"))
		rc = sim_domain_shutdown(domid, 1 + 2);		/* SHUTDOWN_suspend is 2 */
	else if (!strcmp(verb, "resume"))
		rc = sim_domain_shutdown(domid, 0);
	else if (!strcmp(verb, "rename") && arg)
		rc = node_write(xs, XBT_NULL, fmt("/local/domain/%u/name", domid), arg) ? 0 : -errno;
	if (rc < 0)
		fprintf(stderr, "blkfront-sim: domain %u %s: %s\n", domid, verb, strerror(-rc));
	return rc < 0;
}

/* oxenstored's own words for the watches: one a line. */
static int print_holdings(struct xs_handle *xs)
{
	char *watches = xs_control_command(xs, "watches", NULL, 0);
	unsigned mapped, ports, handles;

	if (!watches) {
		perror("blkfront-sim: xenstored does not tell its watches");
		return 1;
	}
	sim_holdings(0, &mapped, &ports, &handles);
	printf("mapped pages %u\nports %u\nevent channel handles %u\n%s\n", mapped, ports, handles, watches);
	free(watches);
	return 0;
}

static int toolstack_main(const char *verb, const struct options *o, int argc, char **argv)
{
	struct xs_handle *xs = xs_open(0);

	if (!xs) {
		perror("blkfront-sim: xenstore");
		return 1;
	}
	if (!strcmp(verb, "attach"))
		return domain_create(xs, &o->disk) || disk_attach(xs, &o->disk);
	if (!strcmp(verb, "detach"))
		return disk_remove(xs, &o->disk, o->force);
	if (!strcmp(verb, "destroy"))
		return domain_destroy(xs, o->disk.domid);
	if (!strcmp(verb, "domain") && argc > o->rest)
		return domain_main(o, xs, argv[o->rest], argc > o->rest + 1 ? argv[o->rest + 1] : NULL);
	if (!strcmp(verb, "holdings"))
		return print_holdings(xs);
	if (!strcmp(verb, "wait") && argc == o->rest + 3)
		return wait_for_state(argv[o->rest], atoi(argv[o->rest + 1]), atoi(argv[o->rest + 2])) < 0;
	fputs(usage_text, stderr);
	return 2;
}

enum {
	OPT_DOMID = 256, OPT_DEVID, OPT_RESOURCE, OPT_SCRIPT, OPT_KIND, OPT_NAME, OPT_UUID, OPT_DEV,
	OPT_READONLY, OPT_CDROM, OPT_PV, OPT_AUTO, OPT_FORCE, OPT_CONTROL, OPT_MODEL, OPT_SEED, OPT_DEPTH,
	OPT_SEGMENTS, OPT_RING_ORDER, OPT_RING_KEYS, OPT_NUM_RING_PAGES, OPT_PROTOCOL, OPT_NO_INDIRECT,
	OPT_STYLE, OPT_TIMEOUT, OPT_BACKGROUND, OPT_NO_CONNECT, OPT_VOLUME, OPT_STATE, OPT_QUEUES,
};

static const struct option long_options[] = {
	{ "domid", 1, 0, OPT_DOMID },
	{ "devid", 1, 0, OPT_DEVID },
	{ "resource", 1, 0, OPT_RESOURCE },
	{ "script", 1, 0, OPT_SCRIPT },
	{ "kind", 1, 0, OPT_KIND },
	{ "name", 1, 0, OPT_NAME },
	{ "uuid", 1, 0, OPT_UUID },
	{ "dev", 1, 0, OPT_DEV },
	{ "readonly", 0, 0, OPT_READONLY },
	{ "cdrom", 0, 0, OPT_CDROM },
	{ "pv", 0, 0, OPT_PV },
	{ "auto", 0, 0, OPT_AUTO },
	{ "force", 0, 0, OPT_FORCE },
	{ "control", 1, 0, OPT_CONTROL },
	{ "model", 1, 0, OPT_MODEL },
	{ "seed", 1, 0, OPT_SEED },
	{ "depth", 1, 0, OPT_DEPTH },
	{ "segments", 1, 0, OPT_SEGMENTS },
	{ "ring-order", 1, 0, OPT_RING_ORDER },
	{ "ring-keys", 1, 0, OPT_RING_KEYS },
	{ "num-ring-pages", 0, 0, OPT_NUM_RING_PAGES },
	{ "protocol", 1, 0, OPT_PROTOCOL },
	{ "no-indirect", 0, 0, OPT_NO_INDIRECT },
	{ "style", 1, 0, OPT_STYLE },
	{ "timeout", 1, 0, OPT_TIMEOUT },
	{ "background", 0, 0, OPT_BACKGROUND },
	{ "no-connect", 0, 0, OPT_NO_CONNECT },
	{ "volume", 1, 0, OPT_VOLUME },
	{ "state", 1, 0, OPT_STATE },
	{ "queues", 1, 0, OPT_QUEUES },
	{ 0, 0, 0, 0 },
};

static bool option_style(struct options *o, const char *s)
{
	static const char *const names[] = { "linux", "jump4", "grub", "netbsd" };

	for (unsigned i = 0; i < 4; i++)
		if (!strcmp(s, names[i])) {
			o->fe.style = (enum style)i;
			return true;
		}
	return false;
}

static bool option_ring_keys(struct options *o, const char *s)
{
	o->fe.old_keys = !strcmp(s, "old");
	o->fe.order0_ring_ref = !strcmp(s, "order0");
	return o->fe.old_keys || o->fe.order0_ring_ref || !strcmp(s, "new");
}

static bool option_of_disk(struct options *o, int opt, const char *arg)
{
	switch (opt) {
	case OPT_DOMID:
		o->disk.domid = o->fe.domid = (unsigned)atoi(arg);
		return true;
	case OPT_DEVID:
		o->disk.devid = o->fe.devid = (unsigned)atoi(arg);
		return true;
	case OPT_RESOURCE: o->disk.resource = arg; return true;
	case OPT_SCRIPT: o->disk.script = arg; return true;
	case OPT_KIND: o->disk.kind = arg; return true;
	case OPT_NAME: o->disk.name = arg; return true;
	case OPT_UUID: o->disk.uuid = arg; return true;
	case OPT_DEV: o->disk.dev = arg; return true;
	case OPT_READONLY: o->disk.readonly = true; return true;
	case OPT_CDROM: o->disk.readonly = o->disk.cdrom = true; return true; /* as xl: a CD cannot be written */
	case OPT_PV: o->disk.pv = true; return true;
	case OPT_AUTO: o->force = REMOVE_AUTO; return true;
	case OPT_FORCE: o->force = REMOVE_FORCE; return true;
	default: return false;
	}
}

static bool option_of_guest(struct options *o, int opt, const char *arg)
{
	switch (opt) {
	case OPT_CONTROL: o->control = arg; return true;
	case OPT_MODEL: o->model = arg; return true;
	case OPT_VOLUME: o->volume = arg; return true;
	case OPT_STATE: o->state = arg; return true;
	case OPT_SEED: o->seed = strtoull(arg, NULL, 0); return true;
	case OPT_DEPTH: o->fe.depth = (unsigned)atoi(arg); return o->fe.depth >= 1 && o->fe.depth <= 512;
	case OPT_SEGMENTS: o->fe.max_segs = (unsigned)atoi(arg); return o->fe.max_segs - 1 < SEGS_MAX;
	case OPT_RING_ORDER: o->fe.ring_order = (unsigned)atoi(arg); return o->fe.ring_order <= 4;
	case OPT_QUEUES: o->fe.queues = (unsigned)atoi(arg); return o->fe.queues - 1 < FE_QUEUES_MAX;
	case OPT_RING_KEYS: return option_ring_keys(o, arg);
	case OPT_NUM_RING_PAGES: o->fe.num_ring_pages = true; return true;
	case OPT_PROTOCOL:
		snprintf(o->fe.protocol, sizeof(o->fe.protocol), "%s", strcmp(arg, "none") ? arg : "");
		return true;
	case OPT_NO_INDIRECT: o->fe.no_indirect = true; return true;
	case OPT_STYLE: return option_style(o, arg);
	case OPT_TIMEOUT: o->timeout_ms = atoi(arg); return o->timeout_ms > 0;
	case OPT_BACKGROUND: o->background = true; return true;
	case OPT_NO_CONNECT: o->no_connect = true; return true;
	default: return false;
	}
}

static bool parse_options(struct options *o, int argc, char **argv)
{
	int opt;

	*o = (struct options){
		.disk = { .kind = "vbd", .script = "block-drbdx", .devid = 51714 },
		.fe = { .devid = 51714,
			.old_keys = true,
			.protocol = "x86_64-abi",
			.depth = 16,
			.max_segs = 32 },
		.timeout_ms = 30000,
		.seed = 1,
	};
	optind = 2;
	while ((opt = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		if (!option_of_disk(o, opt, optarg) && !option_of_guest(o, opt, optarg))
			return false;
	o->rest = optind;
	return true;
}

int main(int argc, char **argv)
{
	struct options o;

	if (argc < 2 || !parse_options(&o, argc, argv)) {
		fputs(usage_text, stderr);
		return 2;
	}
	if (!strcmp(argv[1], "guest") && o.control)
		return guest_main(&o);
	if (!strcmp(argv[1], "ctl"))
		return ctl_main(&o, argc, argv);
	if (!strcmp(argv[1], "check-volume"))
		return check_volume(&o);
	if (!strcmp(argv[1], "attach") && !o.disk.resource) {
		fprintf(stderr, "blkfront-sim: attach needs --resource\n");
		return 2;
	}
	return toolstack_main(argv[1], &o, argc, argv);
}
