/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Would `xl migrate` of this guest to that host succeed?
 *
 * xl asks nobody before it suspends the guest: what is wrong with a disk at the destination shows when its
 * nodes are made, with the guest already standing still.  Everything is asked here while it still runs.
 *
 * The host's shell gets `migrate_questions` on its stdin, so that nothing needs quoting on its way through
 * xl's sshcommand and a login shell that may not be a POSIX one.  It answers in parts:
 *
 *	@drbdx NAME
 *	(stdout and stderr of a command)
 *	@drbdx = EXIT-STATUS
 *
 * What stands before the first part is the login shell's own.
 */
#define _GNU_SOURCE
#include "ctl/migrate_judge.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

#include "backend/control.h"
#include "ctl/document.h"

#define SCRIPT	  "/etc/xen/scripts/block-drbdx"
#define NOT_FOUND 127 /* a shell's exit status for a command that is not there */

const char migrate_questions[] = "part() {\n"
				 "	echo \"@drbdx $1\"\n"
				 "	shift\n"
				 "	\"$@\" </dev/null 2>&1\n"
				 "	printf '\\n@drbdx = %d\\n' $?\n"
				 "}\n"
				 "part status backend-ctl --timeout 5 status --json\n"
				 "part script test -x " SCRIPT "\n"
				 "part memory xl info free_memory\n"
				 "part domains xl list\n";

/* ---- findings ---- */

static void __attribute__((format(printf, 3, 4)))
find(struct findings *f, enum finding_class class, const char *fmt, ...)
{
	struct finding *bigger = realloc(f->list, (f->n + 1) * sizeof(*f->list));
	char *words;
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = vasprintf(&words, fmt, ap);
	va_end(ap);
	if (!bigger || r < 0)
		abort(); /* a finding that is lost would let a migration begin */
	f->list = bigger;
	f->list[f->n++] = (struct finding){ class, words };
}

enum finding_class findings_worst(const struct findings *f)
{
	enum finding_class worst = FINDING_GOOD;

	for (size_t i = 0; i < f->n; i++)
		if (f->list[i].class > worst)
			worst = f->list[i].class;
	return worst;
}

void findings_free(struct findings *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->list[i].words);
	free(f->list);
	*f = (struct findings){ 0 };
}

static const char *or_unknown(const char *words)
{
	return words ? words : "not known";
}

/* ---- the guest's disks ---- */

typedef void disk_fn(const struct migration *m, const json_t *resource, const json_t *device, void *ctx);

/* Calls fn for each disk of the guest that belongs to a resource; returns how many there were. */
static unsigned int for_disks(const struct migration *m, disk_fn *fn, void *ctx)
{
	const json_t *resource, *device;
	unsigned int n = 0;
	size_t i, k;

	json_array_foreach(json_object_get(m->document, "resources"), i, resource) {
		json_array_foreach(json_object_get(resource, "devices"), k, device) {
			if (number(device, NULL, "domid") != m->domid)
				continue;
			n++;
			fn(m, resource, device, ctx);
		}
	}
	return n;
}

static const char *name_of(const json_t *resource)
{
	return or_unknown(text(resource, NULL, "name"));
}

static const char *peer_of(const json_t *resource)
{
	return or_unknown(text(resource, "connection", "peer_host"));
}

static bool is_connected(const json_t *resource)
{
	return equals(text(resource, "connection", "state"), "Connected");
}

/* ---- here ---- */

static void judge_connection(const json_t *r, const char *place, const char *partner, struct findings *out)
{
	const char *refused = text(r, NULL, "refused"), *why = text(r, "connection", "why");

	if (refused)
		find(out, FINDING_REFUSED, "%s on %s: the two nodes may not replicate: %s", name_of(r), place,
		     refused);
	else if (!is_connected(r))
		find(out, FINDING_REFUSED,
		     "%s on %s: not connected with %s (%s%s%s); see there and here: backend-ctl status",
		     name_of(r), place, partner, or_unknown(text(r, "connection", "state")), why ? ": " : "",
		     why ? why : "");
}

/* One good copy is enough, for two nodes that are connected: whoever has the guest reads what it lacks from the other. */
static void judge_data(const json_t *r, const char *place, const char *partner, struct findings *out)
{
	const char *here = text(r, "disk", "state"), *there = text(r, "peer_disk", "state"), *why = text(r, "disk", "why");
	bool good = equals(here, "UpToDate"), partner_good = equals(there, "UpToDate");

	if (good && partner_good)
		return;
	if (!good && !partner_good)
		find(out, FINDING_REFUSED, "%s on %s: the disk is %s%s%s, and that of %s is %s; see there: backend-ctl status",
		     name_of(r), place, or_unknown(here), why ? ": " : "", why ? why : "", partner, or_unknown(there));
	else
		find(out, FINDING_WARNING,
		     "%s on %s: the disk %s is %s: until the resync is done, only one copy is whole; see there: backend-ctl "
		     "status",
		     name_of(r), place, good ? "of its partner" : "there", or_unknown(good ? there : here));
}

/* What holds on either host. Is it worth to look further? */
static bool judge_resource(const json_t *r, const char *place, const char *partner, struct findings *out)
{
	const char *refused = text(r, NULL, "config_refused"), *frozen = text(r, "frozen", "reason");

	if (!is_true(r, "up")) {
		if (refused)
			find(out, FINDING_REFUSED, "%s on %s: not served, because of its configuration: %s",
			     name_of(r), place, refused);
		else
			find(out, FINDING_REFUSED, "%s on %s: it is down; there: backend-ctl up %s",
			     name_of(r), place, name_of(r));
		return false;
	}
	judge_connection(r, place, partner, out);
	if (is_connected(r)) /* else it is refused already */
		judge_data(r, place, partner, out);
	if (frozen && is_connected(r)) /* else it is said already */
		find(out, FINDING_REFUSED, "%s on %s: I/O is frozen: %s", name_of(r), place, frozen);
	return is_connected(r);
}

static void judge_disk(const struct migration *m, const json_t *r, const json_t *device, void *ctx)
{
	const char *here = or_unknown(text(m->document, NULL, "host")), *token = text(r, "token", "state");
	const char *dev = or_unknown(text(device, NULL, "dev"));
	struct findings *out = ctx;

	if (!judge_resource(r, here, peer_of(r), out))
		return;
	if (!equals(token, "held"))
		find(out, FINDING_REFUSED,
		     "%s: the right to write is not on %s (token: %s); see: backend-ctl status", name_of(r),
		     here, or_unknown(token));
	if (!equals(text(r, "guest", "attachment"), "Active") || !is_true(device, "ring"))
		find(out, FINDING_REFUSED,
		     "%s: the guest does not use its disk %s (attachment: %s, frontend: %s); let it connect, "
		     "or detach the disk: xl block-detach %s %s",
		     name_of(r), dev, or_unknown(text(r, "guest", "attachment")),
		     or_unknown(text(device, NULL, "frontend_state")), m->guest, dev);
}

static unsigned int judge_unassigned(const struct migration *m, struct findings *out)
{
	const json_t *device;
	unsigned int n = 0;
	size_t i;

	json_array_foreach(json_object_get(m->document, "unassigned_devices"), i, device) {
		if (number(device, NULL, "domid") != m->domid)
			continue;
		n++;
		find(out, FINDING_REFUSED,
		     "%s: no such resource is configured on this host, and it is disk %s of %s; see: "
		     "backend-ctl check",
		     or_unknown(text(device, NULL, "resource")), or_unknown(text(device, NULL, "dev")),
		     m->guest);
	}
	return n;
}

static bool judge_schema(const json_t *document, const char *place, struct findings *out)
{
	if (json_is_integer(json_object_get(document, "schema")) &&
	    number(document, NULL, "schema") == CONTROL_SCHEMA)
		return true;
	find(out, FINDING_REFUSED,
	     "drbdxd on %s (version %s) speaks schema %lld of the status, and this backend-ctl %d: install "
	     "the same version of drbdx on both hosts, and restart drbdxd",
	     place, or_unknown(text(document, NULL, "version")), number(document, NULL, "schema"),
	     CONTROL_SCHEMA);
	return false;
}

/* What keeps a daemon from making or taking away any disk at all. */
static void judge_xenstore(const json_t *document, const char *place, struct findings *out)
{
	const char *problem = text(document, NULL, "xenstored_problem");

	if (problem)
		find(out, FINDING_REFUSED, "drbdxd on %s: xenstore: %s", place, problem);
}

void judge_here(const struct migration *m, struct findings *out)
{
	const char *here = or_unknown(text(m->document, NULL, "host"));
	unsigned int n;

	if (!judge_schema(m->document, here, out))
		return;
	judge_xenstore(m->document, here, out);
	n = for_disks(m, judge_disk, out) + judge_unassigned(m, out);
	if (n < m->disks)
		find(out, FINDING_REFUSED,
		     "drbdxd on %s knows %u of the %u drbdx disks that xenstore has for %s; see: backend-ctl "
		     "status",
		     here, n, m->disks, m->guest);
}

/* ---- the answer's parts ---- */

struct part {
	char *text;
	int status; /* exit status of the command */
};

/* False: it is not there, or not complete. */
static bool part_take(const char *answer, const char *name, struct part *part)
{
	static const char mark[] = "\n@drbdx = ";
	char begin[32], *rest;
	const char *at, *end;

	snprintf(begin, sizeof(begin), "@drbdx %s\n", name);
	at = strstr(answer, begin);
	if (!at)
		return false;
	at += strlen(begin);
	end = strstr(at, mark);
	if (!end)
		return false;
	part->status = (int)strtol(end + strlen(mark), &rest, 10);
	if (*rest != '\n')
		return false;
	part->text = strndup(at, (size_t)(end - at));
	if (!part->text)
		abort();
	return true;
}

/* Cuts the text to its first line that says something. */
static const char *first_line(char *text)
{
	static const char prefix[] = "backend-ctl: ";

	text += strspn(text, "\n");
	text[strcspn(text, "\n")] = 0;
	if (!strncmp(text, prefix, strlen(prefix)))
		text += strlen(prefix);
	return *text ? text : "it says nothing";
}

/* ---- there ---- */

struct there {
	const struct migration *m;
	const json_t *document; /* the host's */
	const char *host;	/* its own name, where it is known */
	struct findings *out;
};

/* Is it a host that can have the disk at all? */
static bool judge_partner(const struct there *t, const json_t *r)
{
	if (equals(t->host, peer_of(r)))
		return true;
	find(t->out, FINDING_REFUSED,
	     "%s is %s, but the partner of %s is %s: the guest can be migrated only to there", t->m->host,
	     t->host, name_of(r), peer_of(r));
	return false;
}

static const json_t *find_resource(const json_t *document, const char *name)
{
	const json_t *r;
	size_t i;

	json_array_foreach(json_object_get(document, "resources"), i, r)
		if (equals(text(r, NULL, "name"), name))
			return r;
	return NULL;
}

static void judge_disk_there(const struct migration *m, const json_t *ours, const json_t *device, void *ctx)
{
	const struct there *t = ctx;
	const json_t *theirs = find_resource(t->document, name_of(ours));
	const char *here = or_unknown(text(m->document, NULL, "host")), *who = text(theirs, "guest", "who");

	(void)device;
	if (!judge_partner(t, ours))
		return;
	if (!theirs) {
		find(t->out, FINDING_REFUSED,
		     "%s on %s: no such resource is configured; see there: backend-ctl check", name_of(ours),
		     t->host);
		return;
	}
	judge_resource(theirs, t->host, here, t->out);
	if (json_is_object(json_object_get(theirs, "guest")))
		find(t->out, FINDING_REFUSED,
		     "%s on %s: it is attached there, to %s (%s); destroy or detach that first",
		     name_of(ours), t->host, or_unknown(who),
		     or_unknown(text(theirs, "guest", "attachment")));
}

static void judge_document(struct there *t)
{
	if (!judge_schema(t->document, t->host, t->out))
		return;
	judge_xenstore(t->document, t->host, t->out);
	for_disks(t->m, judge_disk_there, t);
}

/* The status document in what backend-ctl printed, or NULL after a finding that says why there is none. */
static json_t *take_document(const struct there *t, struct part *part)
{
	const char *brace = strchr(part->text, '{');
	json_t *document = NULL;

	if (part->status == NOT_FOUND) {
		find(t->out, FINDING_REFUSED, "%s has no backend-ctl: install drbdx there, of this version",
		     t->host);
		return NULL;
	}
	if (part->status) {
		find(t->out, FINDING_FAILED, "%s: backend-ctl status: %s", t->host, first_line(part->text));
		return NULL;
	}
	if (brace)
		document = json_loads(brace, JSON_DISABLE_EOF_CHECK, NULL);
	if (text(document, NULL, "host"))
		return document;
	json_decref(document);
	find(t->out, FINDING_FAILED,
	     "%s: its backend-ctl does not print a status document: install the same version of drbdx on "
	     "both hosts",
	     t->host);
	return NULL;
}

static void judge_script(const struct there *t, const struct part *part)
{
	if (part->status)
		find(t->out, FINDING_REFUSED, "%s has no executable " SCRIPT ": install drbdx there",
		     t->host);
}

static bool judge_xen(const struct there *t, struct part *part)
{
	if (part->status == NOT_FOUND)
		find(t->out, FINDING_REFUSED, "%s has no xl in its PATH: is it a Xen Dom0?", t->host);
	else if (part->status)
		find(t->out, FINDING_REFUSED, "%s: Xen does not answer: xl info: %s", t->host,
		     first_line(part->text));
	return !part->status;
}

/* What Xen needs for a domain on top of its memory (page tables, shadow) is about two pages per MiB, and some
 * for each processor. Xen may have memory that is not free: xl shrinks Dom0 if it may. So this only warns. */
static void judge_memory(const struct there *t, const struct part *part)
{
	uint64_t need_mib = t->m->memory_kib / 1024, free_mib;
	const char *colon = strrchr(part->text, ':'), *digits = colon ? colon + 1 : part->text;
	char *end;

	free_mib = strtoull(digits, &end, 10);
	if (end == digits || !need_mib)
		return;
	need_mib += need_mib / 64 + 16;
	if (free_mib < need_mib)
		find(t->out, FINDING_WARNING,
		     "%s has %" PRIu64 " MiB free, and %s needs about %" PRIu64
		     " MiB: it works only if xl can shrink Dom0 there (autoballoon in xl.conf)",
		     t->host, free_mib, t->m->guest, need_mib);
}

static void trim_end(char *line)
{
	char *end = line + strlen(line);

	while (end > line && end[-1] == ' ')
		*--end = 0;
}

/* The name in a line of `xl list`, cut out of it: it may have blanks, the five columns after it (ID, memory,
 * processors, state, time) have none. NULL: the line is of no domain. */
static char *listed_name(char *line)
{
	char *column = NULL;

	for (int i = 0; i < 5; i++) {
		trim_end(line);
		column = strrchr(line, ' ');
		if (!column)
			return NULL;
		*column++ = 0;
	}
	trim_end(line);
	return column[strspn(column, "0123456789")] ? NULL : line;
}

static void judge_domain(const struct there *t, const char *name)
{
	size_t n = strlen(t->m->guest);

	if (strncmp(name, t->m->guest, n))
		return;
	if (!name[n])
		find(t->out, FINDING_REFUSED,
		     "%s already has a domain named %s; if it is not needed, there: xl destroy %s", t->host,
		     name, name);
	else if (equals(name + n, "--incoming"))
		find(t->out, FINDING_REFUSED,
		     "%s has a domain %s, left over by a migration that failed; if none is under way, "
		     "there: xl destroy %s",
		     t->host, name, name);
}

static void judge_domains(const struct there *t, struct part *part)
{
	char *rest = part->text, *line, *name;

	while ((line = strsep(&rest, "\n"))) {
		name = listed_name(line);
		if (name)
			judge_domain(t, name);
	}
}

/* What was asked, in the words of the one who waits. */
static const struct {
	const char *name, *question;
} parts[] = {
	{ "status", "backend-ctl status" },
	{ "script", "test -x " SCRIPT },
	{ "memory", "xl info free_memory" },
	{ "domains", "xl list" },
};
enum { STATUS, HOTPLUG, MEMORY, DOMAINS, PARTS };

/* Takes the parts up to the first that is missing; returns how many. */
static size_t take_parts(const char *answer, struct part *part)
{
	size_t n = 0;

	while (n < PARTS && part_take(answer, parts[n].name, &part[n]))
		n++;
	return n;
}

/* The domains are those that Xen knows, so they are not asked for twice where it does not answer. */
static void judge_parts(const struct there *t, struct part *part, size_t n)
{
	if (n > HOTPLUG)
		judge_script(t, &part[HOTPLUG]);
	if (n <= MEMORY || !judge_xen(t, &part[MEMORY]))
		return;
	judge_memory(t, &part[MEMORY]);
	if (n > DOMAINS)
		judge_domains(t, &part[DOMAINS]);
}

static void judge_end(const struct there *t, const char *answer, size_t n, const char *ended)
{
	if (!strstr(answer, "@drbdx "))
		find(t->out, FINDING_FAILED, "%s does not answer: %s", t->m->host, ended);
	else if (n < PARTS)
		find(t->out, FINDING_FAILED, "%s does not answer to '%s': %s", t->host, parts[n].question,
		     ended);
}

void judge_there(const struct migration *m, const char *answer, const char *ended, struct findings *out)
{
	struct there t = { .m = m, .host = m->host, .out = out };
	struct part part[PARTS];
	size_t n = take_parts(answer, part);
	json_t *document = n > STATUS ? take_document(&t, &part[STATUS]) : NULL;

	if (document) {
		t.document = document;
		t.host = text(document, NULL, "host");
	}
	if (document && equals(t.host, text(m->document, NULL, "host"))) {
		find(out, FINDING_REFUSED,
		     "%s is this very host: a migration within one host is not available in this version",
		     m->host);
	} else {
		if (document)
			judge_document(&t);
		judge_parts(&t, part, n);
		judge_end(&t, answer, n, ended);
	}
	for (size_t i = 0; i < n; i++)
		free(part[i].text);
	json_decref(document);
}

/* ---- and if nothing is in the way ---- */

static void good_disk(const struct migration *m, const json_t *r, const json_t *device, void *ctx)
{
	(void)m;
	find(ctx, FINDING_GOOD, "%s (%s): %s can take it over", name_of(r),
	     or_unknown(text(device, NULL, "dev")), peer_of(r));
}

void judge_good(const struct migration *m, struct findings *out)
{
	for_disks(m, good_disk, out);
}
