/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The status for people: a table, and below it in words whatever is frozen, refused, unclean or down, with
 * its reason, its age and the way out.
 */
#include <libsmartcols.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/ctl.h"
#include "ctl/document.h"

#define SLOW_MILLISECONDS 2000 /* a request this old is worth a line in the status */

static void print_age(FILE *out, long long seconds)
{
	if (seconds >= 86400)
		fprintf(out, "%lld d %lld h", seconds / 86400, seconds % 86400 / 3600);
	else if (seconds >= 3600)
		fprintf(out, "%lld h %lld min", seconds / 3600, seconds % 3600 / 60);
	else if (seconds >= 60)
		fprintf(out, "%lld min %lld s", seconds / 60, seconds % 60);
	else
		fprintf(out, "%lld s", seconds);
}

/* ---- the table ---- */

static const char *const columns[] = { "RESOURCE",  "ROLE",  "CONNECTION", "DISK",
				       "PEER DISK", "EPOCH", "IN FLIGHT",  "GUEST" };
enum { COLUMNS = sizeof(columns) / sizeof(columns[0]) };

static void set_cell(struct libscols_line *line, size_t column, const char *value)
{
	scols_line_set_data(line, column, value && *value ? value : "-");
}

static void set_number(struct libscols_line *line, size_t column, const json_t *value, long long n)
{
	char digits[32];

	snprintf(digits, sizeof(digits), "%lld", n);
	set_cell(line, column, json_is_integer(value) ? digits : NULL);
}

static const char *connection_word(const json_t *r)
{
	if (!is_true(r, "up"))
		return text(r, NULL, "config_refused") ? "refused" : "down";
	return text(r, "connection", "state");
}

static void add_line(struct libscols_table *table, const json_t *r)
{
	struct libscols_line *line = scols_table_new_line(table, NULL);
	long long in_flight = number(r, "in_flight", "queued") + number(r, "in_flight", "local") +
			      number(r, "in_flight", "peer");

	if (!line)
		return;
	set_cell(line, 0, text(r, NULL, "name"));
	set_cell(line, 1, text(r, NULL, "role"));
	set_cell(line, 2, connection_word(r));
	set_cell(line, 3, text(r, "disk", "state"));
	set_cell(line, 4, text(r, "peer_disk", "state"));
	set_number(line, 5, member(r, "token", "epoch"), number(r, "token", "epoch"));
	set_number(line, 6, member(r, "in_flight", "queued"), in_flight);
	set_cell(line, 7, text(r, "guest", "who"));
}

static void print_table(FILE *out, const json_t *resources)
{
	struct libscols_table *table = scols_new_table();
	const json_t *r;
	size_t i;

	if (!table)
		return;
	scols_table_set_stream(table, out);
	for (i = 0; i < COLUMNS; i++)
		scols_table_new_column(table, columns[i], 0, i == 5 || i == 6 ? SCOLS_FL_RIGHT : 0);
	json_array_foreach(resources, i, r)
		add_line(table, r);
	scols_print_table(table);
	scols_unref_table(table);
}

/* ---- the words ---- */

struct notes {
	FILE *out;
	const char *name;
	size_t n;
};

static void begin(struct notes *notes)
{
	fputs(notes->n++ ? "" : "\n", notes->out);
	print_safe(notes->out, notes->name);
	fputs(": ", notes->out);
}

static void sentence(struct notes *notes, const char *words)
{
	print_safe(notes->out, words);
	fputc('\n', notes->out);
}

static void way_out(struct notes *notes, const char *words)
{
	fputs("    ", notes->out);
	sentence(notes, words);
}

static void note_config(struct notes *notes, const json_t *r)
{
	const char *refused = text(r, NULL, "config_refused");

	begin(notes);
	if (refused) {
		fputs("not served, because of its configuration: ", notes->out);
		sentence(notes, refused);
		fputs("    Change the file, then: backend-ctl up ", notes->out);
		sentence(notes, notes->name);
	} else {
		fputs("down.\n    To serve it: backend-ctl up ", notes->out);
		sentence(notes, notes->name);
	}
}

static void note_frozen(struct notes *notes, const json_t *r)
{
	const char *reason = text(r, "frozen", "reason");

	if (!reason)
		return;
	begin(notes);
	fputs("the guest's I/O is frozen for ", notes->out);
	print_age(notes->out, number(r, "frozen", "age_seconds"));
	fputs(": ", notes->out);
	sentence(notes, reason);
	if (!equals(text(r, "guest", "attachment"), "Releasing") &&
	    !equals(text(r, "guest", "attachment"), "Stale"))
		way_out(notes, "The guest sees no error; it goes on by itself when the reason is gone.");
}

/* docs/HANDOVER.md, section 6. */
static void note_hand_over(struct notes *notes, const json_t *r)
{
	const char *attachment = text(r, "guest", "attachment"), *peer = text(r, "connection", "peer_host");
	const char *who = text(r, "guest", "who");

	if (!peer || !who)
		return;
	if (equals(attachment, "HandedOver")) {
		begin(notes);
		print_safe(notes->out, who);
		fputs(" was handed over to ", notes->out);
		print_safe(notes->out, peer);
		sentence(notes, " and is still attached here.");
		way_out(notes, "When the migration is complete, xl destroys it here. If the migration has failed, destroy "
			       "one of the two (xl destroy).");
	} else if (equals(attachment, "Reserved")) {
		begin(notes);
		print_safe(notes->out, who);
		fputs(" is arriving from ", notes->out);
		print_safe(notes->out, peer);
		sentence(notes, ", which has the disk until it runs here.");
		way_out(notes, "If no migration is under way, it was left behind: xl destroy it; the guest is at its source.");
	} else if (text(r, NULL, "reservation")) {
		begin(notes);
		fputs("reserved for a guest that arrives on ", notes->out);
		print_safe(notes->out, peer);
		sentence(notes, "; if it goes on here instead, its first request ends that.");
	}
}

/* Slow is not frozen, but nothing waits without being seen (P7). */
static void note_waiting(struct notes *notes, const json_t *r)
{
	long long oldest = number(r, "in_flight", "oldest_age_milliseconds");

	if (oldest < SLOW_MILLISECONDS || text(r, "frozen", "reason"))
		return;
	begin(notes);
	fputs("the oldest request waits for ", notes->out);
	print_age(notes->out, oldest / 1000);
	fprintf(notes->out,
		"; in flight: %lld at the local disk, %lld at the partner, %lld behind an older write.\n",
		number(r, "in_flight", "local"), number(r, "in_flight", "peer"),
		number(r, "in_flight", "queued"));
}

/* Nothing but silence from the other side: neither it nor this host has said what is wrong. */
static bool is_unheard(const char *why)
{
	static const char *const silent[] = { "nothing heard", "cannot connect", "has not connected",
					      "reset by peer", "closed the connection" };

	for (size_t i = 0; why && i < sizeof(silent) / sizeof(silent[0]); i++)
		if (strstr(why, silent[i]))
			return true;
	return !why;
}

static void note_connection(struct notes *notes, const json_t *r)
{
	const char *state = text(r, "connection", "state"), *why = text(r, "connection", "why");
	const char *peer = text(r, "connection", "peer_host"),
		   *address = text(r, "connection", "peer_address");

	if (!state || equals(state, "Connected"))
		return;
	begin(notes);
	fputs(equals(state, "Refused") ? "the two nodes may not replicate, for " : "not connected with ",
	      notes->out);
	if (!equals(state, "Refused")) {
		print_safe(notes->out, peer ? peer : "the partner");
		fputs(address ? " (" : "", notes->out);
		print_safe(notes->out, address ? address : "");
		fputs(address ? ") for " : " for ", notes->out);
	}
	print_age(notes->out, number(r, "connection", "age_seconds"));
	fputs(": ", notes->out);
	sentence(notes, why ? why : text(r, "connection", "meaning"));
	if (equals(state, "Disconnected") && is_unheard(why))
		way_out(notes, "Is drbdxd running there, and this resource up? Does the network carry the "
			       "address and port?");
	if (!equals(state, "Refused") && equals(text(r, "token", "state"), "none") &&
	    number(r, "token", "epoch"))
		way_out(notes,
			"The partner has the right to write: a guest can be started here when it answers.");
}

/* To be followed literally. */
static void note_repair(struct notes *notes, const json_t *r)
{
	const char *path = text(r, "disk", "path"), *peer = text(r, "connection", "peer_host");

	way_out(notes,
		"The two copies may differ in the writes that were in flight when a host or daemon died.");
	way_out(notes, "Way out in this version:");
	way_out(notes,
		"  1. destroy the guest that used it, if it is still there: it cannot go on (xl destroy)");
	fputs("      2. on both hosts: backend-ctl down ", notes->out);
	sentence(notes, notes->name);
	fputs("      3. decide which volume is right, and copy it over the other one; from here, for "
	      "example:\n",
	      notes->out);
	fputs("         dd if=", notes->out);
	print_safe(notes->out, path ? path : "VOLUME");
	fputs(" bs=1M | ssh ", notes->out);
	print_safe(notes->out, peer ? peer : "PARTNER");
	sentence(notes, " dd of=ITS-VOLUME bs=1M conv=fsync");
	fputs("      4. on both hosts: backend-ctl create-md --assume-clean --force ", notes->out);
	sentence(notes, notes->name);
	fputs("      5. on both hosts: backend-ctl up ", notes->out);
	sentence(notes, notes->name);
}

static void note_disk(struct notes *notes, const json_t *r)
{
	const char *state = text(r, "disk", "state"), *why = text(r, "disk", "why"),
		   *error = text(r, "disk", "error");

	if (state && !equals(state, "UpToDate")) {
		begin(notes);
		fputs("the local disk is ", notes->out);
		print_safe(notes->out, state);
		fputs(why ? ": " : "", notes->out);
		sentence(notes, why ? why : ".");
	}
	if (equals(state, "Unclean") || equals(text(r, "peer_disk", "state"), "Unclean")) {
		if (equals(state, "UpToDate")) {
			begin(notes);
			sentence(notes, "the partner's disk is Unclean.");
		}
		note_repair(notes, r);
	}
	if (error) {
		begin(notes);
		fputs("the local disk fails and is tried again: ", notes->out);
		sentence(notes, error);
	}
}

static void note_devices(struct notes *notes, const json_t *devices)
{
	const json_t *d;
	size_t i;

	json_array_foreach(devices, i, d) {
		const char *why = text(d, NULL, "why"), *backend = text(d, NULL, "backend_state"),
			   *frontend = text(d, NULL, "frontend_state");

		if (!why)
			continue;
		begin(notes);
		print_safe(notes->out, text(d, NULL, "path") ? text(d, NULL, "path") : "device");
		fprintf(notes->out, " (backend %s, frontend %s): ", backend ? backend : "?",
			frontend ? frontend : "?");
		sentence(notes, why);
	}
}

static void note_resource(struct notes *notes, const json_t *r)
{
	notes->name = text(r, NULL, "name") ? text(r, NULL, "name") : "?";
	if (!is_true(r, "up")) {
		note_config(notes, r);
		return;
	}
	note_frozen(notes, r);
	note_hand_over(notes, r);
	note_waiting(notes, r);
	note_connection(notes, r);
	note_disk(notes, r);
	note_devices(notes, json_object_get(r, "devices"));
}

void render_status(FILE *out, const json_t *document)
{
	const json_t *resources = json_object_get(document, "resources"), *r;
	const char *problem = text(document, NULL, "xenstored_problem");
	struct notes notes = { .out = out };
	size_t i;

	if (json_array_size(resources))
		print_table(out, resources);
	else
		fputs("No resource is configured on this host.\n", out);
	json_array_foreach(resources, i, r)
		note_resource(&notes, r);
	notes.name = "xenstore";
	if (problem) {
		begin(&notes);
		sentence(&notes, problem);
	}
	note_devices(&notes, json_object_get(document, "unassigned_devices"));
}
