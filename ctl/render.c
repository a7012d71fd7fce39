/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The status for people: a table, and below it in words whatever needs attention (frozen, refused, alone, out of
 * sync, down …), with its reason, its age and the way out.
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

static const char *const columns[] = { "RESOURCE", "ROLE",  "CONNECTION", "DISK", "PEER DISK",
				       "RESYNC",   "EPOCH", "IN FLIGHT",  "GUEST" };
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

/* "SyncTarget 45.2%" */
static const char *resync_cell(const json_t *r, char *out, size_t size)
{
	const char *state = text(r, "resync", "state");
	const json_t *percent = member(r, "resync", "done_percent");

	if (!state || !json_is_number(percent))
		return state;
	snprintf(out, size, "%s %.1f%%", state, json_number_value(percent));
	return out;
}

static void add_line(struct libscols_table *table, const json_t *r)
{
	struct libscols_line *line = scols_table_new_line(table, NULL);
	long long in_flight = number(r, "in_flight", "queued") + number(r, "in_flight", "logging") +
			      number(r, "in_flight", "local") + number(r, "in_flight", "peer");
	char progress[64];

	if (!line)
		return;
	set_cell(line, 0, text(r, NULL, "name"));
	set_cell(line, 1, text(r, NULL, "role"));
	set_cell(line, 2, connection_word(r));
	set_cell(line, 3, text(r, "disk", "state"));
	set_cell(line, 4, text(r, "peer_disk", "state"));
	set_cell(line, 5, resync_cell(r, progress, sizeof(progress)));
	set_number(line, 6, member(r, "token", "epoch"), number(r, "token", "epoch"));
	set_number(line, 7, member(r, "in_flight", "queued"), in_flight);
	set_cell(line, 8, text(r, "guest", "who"));
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
		scols_table_new_column(table, columns[i], 0, i == 6 || i == 7 ? SCOLS_FL_RIGHT : 0);
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

static void note_recovery(struct notes *notes, const json_t *r)
{
	long long requests = number(r, "recovery", "requests");

	if (!requests)
		return;
	begin(notes);
	fprintf(notes->out, "%lld request%s that an earlier drbdxd left unanswered %s being finished, for ", requests,
		requests == 1 ? "" : "s", requests == 1 ? "is" : "are");
	print_age(notes->out, number(r, "recovery", "age_seconds"));
	fputs(".\n", notes->out);
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
	} else if (equals(attachment, "Reserved") && equals(text(r, "token", "state"), "held")) {
		begin(notes); /* xl migrate -p */
		print_safe(notes->out, who);
		fputs(" has arrived from ", notes->out);
		print_safe(notes->out, peer);
		sentence(notes, " and has the disk, but has not run here yet.");
		way_out(notes, "If it is paused and no migration is under way, xl unpause lets it go on.");
	} else if (equals(attachment, "Reserved")) {
		begin(notes);
		print_safe(notes->out, who);
		fputs(" is arriving from ", notes->out);
		print_safe(notes->out, peer);
		sentence(notes, ", which has the disk until it runs here.");
		way_out(notes, "If no migration is under way, it was left behind: if the guest goes on at its source, xl destroy this copy; if it does "
			       "not (suspended, or lost with its host), xl unpause lets this one go on.");
	} else if (text(r, NULL, "reservation")) {
		begin(notes);
		fputs("reserved for a guest that arrives on ", notes->out);
		print_safe(notes->out, peer);
		sentence(notes, "; if it goes on here instead, its first request ends that.");
		way_out(notes, "If no migration is under way and the guest is suspended here: xl unpause its copy there, then xl destroy it here.");
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
		"; in flight: %lld at the local disk, %lld at the partner, %lld behind an older write, %lld before the activity "
		"log.\n",
		number(r, "in_flight", "local"), number(r, "in_flight", "peer"),
		number(r, "in_flight", "queued"), number(r, "in_flight", "logging"));
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
	fputs(equals(state, "StandAlone") ? "the two nodes may not replicate, for " : "not connected with ",
	      notes->out);
	if (!equals(state, "StandAlone")) {
		print_safe(notes->out, peer ? peer : "the partner");
		fputs(address ? " (" : "", notes->out);
		print_safe(notes->out, address ? address : "");
		fputs(address ? ") for " : " for ", notes->out);
	}
	print_age(notes->out, number(r, "connection", "age_seconds"));
	fputs(": ", notes->out);
	sentence(notes, why ? why : text(r, "connection", "meaning"));
	if (equals(state, "Connecting") && is_unheard(why))
		way_out(notes, "Is drbdxd running there, and this resource up? Does the network carry the "
			       "address and port?");
	if (why && strstr(why, "protocol error"))
		way_out(notes, "It connects again by itself. If this comes again: install the same version of drbdx on both hosts, and keep "
			       "what journalctl -u drbdxd says.");
	if (!equals(state, "StandAlone") && equals(text(r, "token", "state"), "none") && number(r, "token", "epoch")) {
		way_out(notes,
			"The partner has the right to write: a guest can be started here when it answers.");
		if (equals(text(r, "disk", "state"), "Inconsistent"))
			return; /* note_disk_state() says what that would mean */
		fprintf(notes->out, "    If it is lost, and certainly runs no guest%s: backend-ctl primary --force ",
			equals(text(r, "disk", "state"), "Outdated") ? ", and its newer data are lost" : "");
		sentence(notes, notes->name);
	}
}

/* ---- the two copies ---- */

static void print_amount(FILE *out, long long bytes)
{
	if (bytes >= 10ll << 30)
		fprintf(out, "%lld GiB", bytes >> 30);
	else if (bytes >= 10ll << 20)
		fprintf(out, "%lld MiB", bytes >> 20);
	else
		fprintf(out, "%lld KiB", bytes >> 10);
}

static bool has_flag(const json_t *r, const char *name)
{
	const json_t *flag;
	size_t i;

	json_array_foreach(json_object_get(r, "superblock_flags"), i, flag)
		if (equals(json_string_value(flag), name))
			return true;
	return false;
}

static const char *peer_name(const json_t *r)
{
	const char *peer = text(r, "connection", "peer_host");

	return peer ? peer : "the partner";
}

static void print_out_of_sync(FILE *out, const json_t *r)
{
	if (member(r, "out_of_sync", "certain") && !json_is_true(member(r, "out_of_sync", "certain")))
		fputs("at least ", out);
	print_amount(out, number(r, "out_of_sync", "bytes"));
}

static void note_failing(struct notes *notes, const json_t *r)
{
	const char *reason = text(r, "failing", "reason");

	if (!reason)
		return;
	begin(notes);
	fputs("the guest's I/O has been ending with errors for ", notes->out);
	print_age(notes->out, number(r, "failing", "age_seconds"));
	fputs(": ", notes->out);
	sentence(notes, reason);
	way_out(notes, "That is 'on-no-data-accessible io-error'. It is done again when a disk is back; the guest may have to be restarted.");
}

static void note_alone(struct notes *notes, const json_t *r)
{
	bool guest = text(r, "guest", "who");

	if (!json_is_object(json_object_get(r, "alone")))
		return;
	begin(notes);
	fputs(guest ? "the guest goes on without " : "this node went on without ", notes->out);
	print_safe(notes->out, peer_name(r));
	fputs(" for ", notes->out);
	print_age(notes->out, number(r, "alone", "age_seconds"));
	fputs(" (generation ", notes->out);
	print_safe(notes->out, text(r, "alone", "generation"));
	fputs("); ", notes->out);
	print_out_of_sync(notes->out, r);
	sentence(notes, " are out of sync.");
	if (equals(text(r, "connection", "state"), "StandAlone"))
		way_out(notes, "Nothing is copied while the two nodes may not replicate.");
	else if (guest)
		way_out(notes, "This is the only copy that is up to date; what differs is copied when the partner is back.");
	else
		way_out(notes, "What differs is copied when the partner is back, unless a guest has run there since, too: that is a split brain.");
}

/* What it would mean if the other node died now. */
static void note_resync(struct notes *notes, const json_t *r)
{
	const char *state = text(r, "resync", "state");
	bool target = equals(state, "SyncTarget") || equals(state, "PausedSyncT");
	const char *held = text(member(r, "resync", "held"), NULL, "reason");

	if (!state)
		return;
	begin(notes);
	print_out_of_sync(notes->out, r);
	fputs(" are to be copied ", notes->out);
	if (!equals(state, "WFBitMap")) {
		fputs(target ? "from " : "to ", notes->out);
		print_safe(notes->out, peer_name(r));
	} else {
		fputs("between the two", notes->out);
	}
	if (number(r, "resync", "speed_bytes_per_second")) {
		fputs("; ", notes->out);
		print_amount(notes->out, number(r, "resync", "speed_bytes_per_second"));
		fputs("/s, about ", notes->out);
		print_age(notes->out, number(r, "resync", "estimate_seconds"));
		fputs(" to go", notes->out);
	}
	if (held) {
		fputs("; held for ", notes->out);
		print_age(notes->out, number(member(r, "resync", "held"), NULL, "age_seconds"));
		fputs(": ", notes->out);
		print_safe(notes->out, held);
	}
	sentence(notes, ".");
	if (target)
		way_out(notes, "Until then this copy is a mixture of old and new: if the partner's were lost now, this one could not "
			       "be used.");
	else if (!equals(state, "WFBitMap"))
		way_out(notes, "Until then this is the only copy that can be used.");
}

/* Where the guest is frozen for it, note_frozen() says what to do. */
static void note_fencing(struct notes *notes, const json_t *r)
{
	const char *state = text(r, "fencing", "state"), *why = text(r, "fencing", "why");

	if (!state)
		return;
	begin(notes);
	if (equals(state, "running")) {
		fputs("fence-peer has been running for ", notes->out);
		print_age(notes->out, number(r, "fencing", "age_seconds"));
		fputs(", to fence ", notes->out);
		print_safe(notes->out, peer_name(r));
		sentence(notes, ".");
		return;
	}
	print_safe(notes->out, peer_name(r));
	fputs(equals(state, "done") ? " counts as fenced: " : " is not fenced: ", notes->out);
	print_safe(notes->out, why);
	sentence(notes, ".");
}

/* Of interest when somebody wants to start a guest here. */
static void note_awaited(struct notes *notes, const json_t *r)
{
	const char *option = text(r, "awaited", "option"), *then = text(r, "awaited", "then");
	long long left = number(r, "awaited", "left_seconds");
	bool starting = equals(text(r, "guest", "attachment"), "Claiming");

	if (!option || equals(then, "start") || equals(then, "fence") || (text(r, "guest", "who") && !starting))
		return;
	begin(notes);
	if (starting)
		fputs("a guest is being started, and waits for the partner", notes->out);
	else
		fputs("whether the partner has newer data is not known: a guest that is started waits for it", notes->out);
	if (left)
		fprintf(notes->out, ", for %lld s more (%s), and is then ", left, option);
	else
		fprintf(notes->out, " no longer (%s is over), and is ", option);
	sentence(notes, equals(then, "force-primary") ? "let go on alone, by force (on-wfc-timeout)." : "refused.");
}

static void note_forced(struct notes *notes, const json_t *r)
{
	if (!has_flag(r, "forced") || equals(text(r, "connection", "state"), "Connected"))
		return;
	begin(notes);
	fprintf(notes->out, "epoch %lld was forced %s.\n", number(r, "token", "epoch"),
		has_flag(r, "forced_by_wait") ? "because of 'on-wfc-timeout force-primary': a guest was started when the wait for the partner was over" :
						"by a person ('primary --force')");
	way_out(notes, "If the partner has written since the two met last, its changes and this node's contradict each other: that "
		       "is a split brain, and is said when they meet.");
}

static void note_mixed(struct notes *notes, const json_t *r)
{
	if (!has_flag(r, "mixed"))
		return;
	begin(notes);
	sentence(notes, "the data were a mixture of old and new when a person said that they count ('primary --force').");
	way_out(notes, "The guest's file systems and data may be damaged: check them.");
}

static void note_crashed(struct notes *notes, const json_t *r)
{
	if (!has_flag(r, "crashed"))
		return;
	begin(notes);
	sentence(notes, "this node died while it served a guest; what it was writing to is compared with the partner's copy when the "
			"two meet.");
}

static void note_suspended(struct notes *notes, const json_t *r)
{
	if (!is_true(r, "io_suspended") || text(r, "frozen", "reason"))
		return;
	begin(notes);
	fputs("I/O is held by 'suspend-io', also that of a guest that is started now.\n    It goes on with: backend-ctl resume-io ",
	      notes->out);
	sentence(notes, notes->name);
}

/* What holds a resync is said with it. */
static void note_sync_paused(struct notes *notes, const json_t *r)
{
	if (!is_true(r, "sync_paused") || text(r, "resync", "state"))
		return;
	begin(notes);
	fputs("a resync, should there be one, is held by 'pause-sync'.\n    Let it go on with: backend-ctl resume-sync ", notes->out);
	sentence(notes, notes->name);
}

/* Why the local disk is not usable, and how it becomes so. */
static void note_disk_state(struct notes *notes, const json_t *r, const char *state)
{
	const char *peer = text(r, "peer_disk", "state");

	if (equals(state, "Diskless")) {
		if (text(r, "guest", "who")) { /* whose ring only a new daemon takes over */
			way_out(notes, "When it is repaired or replaced: systemctl restart drbdxd (a pause for the guests), or, when the guest has left:");
			fputs("        backend-ctl attach ", notes->out);
		} else {
			fputs("    When it is repaired or replaced: backend-ctl attach ", notes->out);
		}
		sentence(notes, notes->name);
	} else if (equals(state, "Outdated")) {
		way_out(notes, "The partner has newer data; they are copied when the two meet.");
	} else if (equals(text(r, "connection", "state"), "StandAlone")) {
		return; /* the refusal says what to do */
	} else if (equals(state, "Inconsistent") && (equals(peer, "Inconsistent") || has_flag(r, "just_created"))) {
		way_out(notes, "Nobody has said whose data count. On the node whose data do, when the two are connected:");
		fputs("        backend-ctl primary --force ", notes->out);
		sentence(notes, notes->name);
		fputs("    If both volumes are the same (zeroed, for instance): backend-ctl new-current-uuid --clear-bitmap ",
		      notes->out);
		sentence(notes, notes->name);
	} else if (equals(state, "Inconsistent")) {
		way_out(notes, "What it lacks is copied from the partner when the two are connected.");
		fputs("    If the partner is lost for good, certainly runs no guest, and a mixture of old and new will do: backend-ctl primary --force ", notes->out);
		sentence(notes, notes->name);
	}
}

static void note_disk(struct notes *notes, const json_t *r)
{
	const char *state = text(r, "disk", "state"), *why = text(r, "disk", "why"),
		   *error = text(r, "disk", "error");

	if (why && (equals(state, "UpToDate") || equals(state, "Consistent") || text(r, "resync", "state"))) {
		begin(notes);
		fputs("the local disk: ", notes->out);
		sentence(notes, why);
	}
	if (state && !equals(state, "UpToDate") && !equals(state, "Consistent") && !text(r, "resync", "state")) {
		begin(notes);
		fputs(!equals(state, "Diskless") ? "the local disk is " :
		      equals(text(r, "connection", "state"), "Connected") ? "the local disk has failed or is detached; the partner's is used" :
									    "the local disk has failed or is detached",
		      notes->out);
		print_safe(notes->out, equals(state, "Diskless") ? "" : state);
		fputs(why ? ": " : "", notes->out);
		sentence(notes, why ? why : ".");
		note_disk_state(notes, r, state);
	}
	if (equals(text(r, "peer_disk", "state"), "Diskless")) {
		begin(notes);
		fputs("the disk of ", notes->out);
		print_safe(notes->out, peer_name(r));
		sentence(notes, " has failed or is detached: what is written is on this node only.");
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
	note_failing(notes, r);
	note_recovery(notes, r);
	note_hand_over(notes, r);
	note_waiting(notes, r);
	note_alone(notes, r);
	note_fencing(notes, r);
	note_connection(notes, r);
	note_awaited(notes, r);
	note_resync(notes, r);
	note_disk(notes, r);
	note_crashed(notes, r);
	note_forced(notes, r);
	note_mixed(notes, r);
	note_suspended(notes, r);
	note_sync_paused(notes, r);
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
