/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * migrate-check: what would make `xl migrate` fail, while the guest still runs.  This file finds the guest,
 * asks our daemon and the host, and prints; migrate_judge.c judges.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/call.h"
#include "ctl/ctl.h"
#include "ctl/document.h"
#include "ctl/migrate_judge.h"
#include "ctl/remote.h"
#include "xenstore/store.h"

#define SCRIPT	  "block-drbdx"
#define DOMID_MAX 0x7fefu /* DOMID_FIRST_RESERVED - 1 */
#define NAME_SIZE 256u

struct guest {
	char name[NAME_SIZE];
	unsigned int domid, disks;
	uint64_t memory_kib; /* 0: not known */
};

/* ---- the guest: from xenstore, since one without drbdx disks may migrate also when our daemon is away ----
 */

static void xenstored_hangs(int signal)
{
	static const char words[] = "backend-ctl: xenstored does not answer: see whether it runs, and try again\n";
	ssize_t r = write(STDERR_FILENO, words, sizeof(words) - 1);

	(void)signal;
	(void)r;
	_exit(EXIT_FAILED);
}

static bool read_domain(struct store *s, uint64_t domid, struct guest *g)
{
	char dir[STORE_PATH];

	snprintf(dir, sizeof(dir), "/local/domain/%llu", (unsigned long long)domid);
	if (store_read(s, dir, "name", g->name, sizeof(g->name)))
		return false;
	g->domid = (unsigned int)domid;
	if (store_number(s, dir, "memory/target", 0, UINT64_MAX, &g->memory_kib))
		g->memory_kib = 0;
	return true;
}

/* As xl reads it: digits alone are a domid, anything else is a name. */
static bool find_domain(struct store *s, const char *domain, struct guest *g)
{
	unsigned int n = 0;
	bool found = false;
	uint64_t domid;
	char **ids;

	if (!domain[strspn(domain, "0123456789")])
		return !store_decimal(domain, strlen(domain), 0, DOMID_MAX, &domid) &&
		       read_domain(s, domid, g);
	ids = store_list(s, "/local/domain", &n);
	for (unsigned int i = 0; i < n && !found; i++)
		found = !store_decimal(ids[i], strlen(ids[i]), 0, DOMID_MAX, &domid) &&
			read_domain(s, domid, g) && !strcmp(g->name, domain);
	free(ids);
	return found;
}

static bool is_ours(struct store *s, const char *dir, const char *devid)
{
	char key[64], script[STORE_PATH];
	const char *slash;

	snprintf(key, sizeof(key), "%.40s/script", devid);
	if (store_read(s, dir, key, script, sizeof(script)))
		return false;
	slash = strrchr(script, '/');
	return !strcmp(slash ? slash + 1 : script, SCRIPT);
}

static void count_disks(struct store *s, struct guest *g)
{
	static const char *const kinds[] = { "vbd", "vbd3" };

	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		char dir[STORE_PATH], **devids;
		unsigned int n;

		snprintf(dir, sizeof(dir), "/local/domain/0/backend/%s/%u", kinds[k], g->domid);
		devids = store_list(s, dir, &n);
		for (unsigned int i = 0; i < n; i++)
			g->disks += is_ours(s, dir, devids[i]);
		free(devids);
	}
}

/* An exit status; words have been printed unless it is EXIT_DONE. */
static int look_up(const struct ctl *ctl, const char *domain, struct guest *g)
{
	struct store *s;
	int rc, status = EXIT_DONE;

	signal(SIGALRM, xenstored_hangs);
	alarm((unsigned int)((ctl->deadline_ms - call_now_ms()) / 1000 + 1));
	rc = store_open(&s);
	if (rc) {
		ctl_error("xenstored does not answer (%s): see whether it runs, and try again", strerror(-rc));
		return EXIT_FAILED;
	}
	if (find_domain(s, domain, g)) {
		count_disks(s, g);
	} else {
		ctl_error("there is no domain %s on this host; see: xl list", domain);
		status = EXIT_REFUSED;
	}
	if (store_broken(s)) {
		ctl_error("the connection to xenstored broke: try again");
		status = EXIT_FAILED;
	}
	store_close(s);
	alarm(0);
	return status;
}

/* ---- findings ---- */

static const char *prefix(enum finding_class class)
{
	return class == FINDING_GOOD	  ? ""
	       : class == FINDING_WARNING ? "backend-ctl: warning: "
					  : "backend-ctl: ";
}

/* Prints those from the `first` on. */
static void print_findings(const struct findings *f, size_t first)
{
	for (size_t i = first; i < f->n; i++) {
		FILE *out = f->list[i].class == FINDING_GOOD ? stdout : stderr;

		fputs(prefix(f->list[i].class), out);
		print_safe(out, f->list[i].words);
		fputc('\n', out);
	}
}

static int exit_status(const struct findings *f)
{
	switch (findings_worst(f)) {
	case FINDING_REFUSED:
		return EXIT_REFUSED;
	case FINDING_FAILED:
		return EXIT_FAILED;
	default:
		return EXIT_DONE;
	}
}

/* What is wrong here is said before the host is asked, which may take its time. */
static int judge(const struct ctl *ctl, const struct migration *m)
{
	struct findings findings = { 0 };
	char ended[512], *answer;
	size_t said;
	int rc, status;

	judge_here(m, &findings);
	print_findings(&findings, 0);
	said = findings.n;
	rc = remote_run(ctl->ssh_command, m->host, migrate_questions, ctl->deadline_ms, &answer, ended,
			sizeof(ended));
	if (rc) {
		ctl_error("cannot run '%s': %s", ctl->ssh_command, strerror(-rc));
		findings_free(&findings);
		return EXIT_FAILED;
	}
	judge_there(m, answer, ended, &findings);
	status = exit_status(&findings);
	if (!status)
		judge_good(m, &findings);
	print_findings(&findings, said);
	findings_free(&findings);
	free(answer);
	return status;
}

int verb_migrate_check(const struct ctl *ctl)
{
	struct guest g = { 0 };
	json_t *document;
	int status;

	if (!*ctl->ssh_command) {
		ctl_error("-s '': for xl HOST is then a command line of its own, and no host that could be "
			  "asked");
		return EXIT_USAGE;
	}
	status = look_up(ctl, ctl->names[0], &g);
	if (status || !g.disks)
		return status;
	status = ctl_ask(ctl, json_pack("{s:s}", "verb", "status"), &document);
	if (status)
		return status;
	status = judge(ctl, &(struct migration){ .document = document,
						 .guest = g.name,
						 .domid = g.domid,
						 .disks = g.disks,
						 .memory_kib = g.memory_kib,
						 .host = ctl->names[1] });
	json_decref(document);
	return status;
}
