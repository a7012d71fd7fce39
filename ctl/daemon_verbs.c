/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The verbs that ask the daemon: status, up, down, and those that are passed on to a resource.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "ctl/call.h"
#include "ctl/ctl.h"

bool ctl_all(const struct ctl *ctl)
{
	return ctl->n_names == 1 && !strcmp(ctl->names[0], "all");
}

/* The daemon's class of an error as an exit status. */
static int exit_status(const char *code)
{
	static const struct {
		const char *code;
		int status;
	} table[] = {
		{ "usage", EXIT_USAGE },
		{ "invalid", EXIT_CONFIG },
		{ "unknown", EXIT_CONFIG },
		{ "refused", EXIT_REFUSED },
		{ "primary", EXIT_PRIMARY },
		{ "worse", EXIT_WORSE },
	};

	for (size_t i = 0; code && i < sizeof(table) / sizeof(table[0]); i++)
		if (!strcmp(table[i].code, code))
			return table[i].status;
	return EXIT_FAILED;
}

/* `about`: the resource that is asked about, which the daemon's words do not name; NULL: none, or all. */
static int ask(const struct ctl *ctl, json_t *request, const char *about, json_t **reply)
{
	char why[512] = "";
	const char *words;
	int fd, rc, status;

	*reply = NULL;
	fd = call_open(ctl->socket_path, ctl->deadline_ms, why, sizeof(why));
	if (fd < 0) {
		json_decref(request);
		ctl_error("%s", why);
		return EXIT_FAILED;
	}
	rc = call_request(fd, request, ctl->deadline_ms, reply, why, sizeof(why));
	close(fd);
	if (rc) {
		ctl_error("%s", why);
		return EXIT_FAILED;
	}
	if (json_is_true(json_object_get(*reply, "ok")))
		return EXIT_DONE;
	words = json_string_value(json_object_get(*reply, "error"));
	ctl_error("%s%s%s", about ? about : "", about ? ": " : "", words ? words : "drbdxd refused without a word: see journalctl -u drbdxd");
	status = exit_status(json_string_value(json_object_get(*reply, "code")));
	json_decref(*reply);
	*reply = NULL;
	return status;
}

int ctl_ask(const struct ctl *ctl, json_t *request, json_t **reply)
{
	return ask(ctl, request, NULL, reply);
}

static const char *resource_name(const json_t *resource)
{
	const char *name = json_string_value(json_object_get(resource, "name"));

	return name ? name : "";
}

static bool named(const struct ctl *ctl, const char *name)
{
	for (size_t i = 0; i < ctl->n_names; i++)
		if (!strcmp(ctl->names[i], name))
			return true;
	return false;
}

int ctl_keep_named(const struct ctl *ctl, json_t *document)
{
	json_t *resources = json_object_get(document, "resources");
	size_t kept;

	for (size_t i = json_array_size(resources); i-- > 0;)
		if (!named(ctl, resource_name(json_array_get(resources, i))))
			json_array_remove(resources, i);
	kept = json_array_size(resources);
	for (size_t i = 0; i < ctl->n_names; i++) {
		bool found = false;

		for (size_t k = 0; k < kept && !found; k++)
			found = !strcmp(resource_name(json_array_get(resources, k)), ctl->names[i]);
		if (!found) {
			ctl_error("no resource '%s' is configured on this host: 'backend-ctl check' lists those that are", ctl->names[i]);
			return EXIT_CONFIG;
		}
	}
	return EXIT_DONE;
}

/* The answer without the "ok" of the control protocol: that is the exit status here. */
static void print_json(json_t *document)
{
	json_object_del(document, "ok");
	json_dumpf(document, stdout, JSON_INDENT(2));
	putchar('\n');
}

int verb_status(const struct ctl *ctl)
{
	json_t *document;
	int status = ctl_ask(ctl, json_pack("{s:s}", "verb", "status"), &document);

	if (status)
		return status;
	if (ctl->n_names && !ctl_all(ctl))
		status = ctl_keep_named(ctl, document);
	if (!status && ctl->json)
		print_json(document);
	else if (!status)
		render_status(stdout, document);
	json_decref(document);
	return status;
}

/* Takes the request's reference. What the daemon has to say beyond "done" is printed. */
static int ask_about(const struct ctl *ctl, json_t *request, const char *name)
{
	const char *note;
	json_t *reply;
	int status = ask(ctl, request, name, &reply);

	note = status ? NULL : json_string_value(json_object_get(reply, "note"));
	if (note)
		printf("%s: %s\n", name ? name : "all", note);
	json_decref(reply);
	return status;
}

int ctl_ask_for(const struct ctl *ctl, const char *verb, const char *name)
{
	json_t *request = json_pack("{s:s, s:s?}", "verb", verb, "resource", name);

	if (ctl->force)
		json_object_set_new(request, "force", json_true());
	if (ctl->assume_clean)
		json_object_set_new(request, "assume_clean", json_true());
	if (ctl->clear_bitmap)
		json_object_set_new(request, "clear_bitmap", json_true());
	if (ctl->discard_my_data)
		json_object_set_new(request, "discard_my_data", json_true());
	return ask_about(ctl, request, name);
}

/* Goes on after an error, so that one resource does not keep the others; the first error is
 * the exit status. */
static int for_names(const struct ctl *ctl, const char *verb)
{
	int worst = EXIT_DONE;

	for (size_t i = 0; i < ctl->n_names; i++) {
		int status = ctl_ask_for(ctl, verb, ctl->names[i]);

		worst = worst ? worst : status;
	}
	return worst;
}

/* "all": those that are up, the last one first. */
static int for_all_up(const struct ctl *ctl, const char *verb)
{
	json_t *document, *resources;
	int worst = ctl_ask(ctl, json_pack("{s:s}", "verb", "status"), &document);

	if (worst)
		return worst;
	resources = json_object_get(document, "resources");
	for (size_t i = json_array_size(resources); i-- > 0;) {
		const json_t *resource = json_array_get(resources, i);
		int status = EXIT_DONE;

		if (json_is_true(json_object_get(resource, "up")))
			status = ctl_ask_for(ctl, verb, resource_name(resource));
		worst = worst ? worst : status;
	}
	json_decref(document);
	return worst;
}

int verb_up(const struct ctl *ctl)
{
	return ctl_all(ctl) ? ctl_ask_for(ctl, "up", NULL) : for_names(ctl, "up");
}

int verb_passed_on(const struct ctl *ctl)
{
	return ctl_all(ctl) ? for_all_up(ctl, ctl->verb) : for_names(ctl, ctl->verb);
}

/* What happens by itself here, and has a verb in DRBD: fine, if there are such resources. */
static int nothing_to_do(const struct ctl *ctl, const char *words)
{
	json_t *document;
	int status = ctl_ask(ctl, json_pack("{s:s}", "verb", "status"), &document);

	if (status)
		return status;
	if (!ctl_all(ctl))
		status = ctl_keep_named(ctl, document);
	if (!status)
		printf("Nothing to be done: %s\n", words);
	json_decref(document);
	return status;
}

int verb_primary(const struct ctl *ctl)
{
	if (ctl->force)
		return verb_passed_on(ctl);
	return nothing_to_do(ctl, "the role follows the guest. A node becomes Primary when the guest is started on it, or arrives.\n"
				  "If that is refused because it is not known whose data are the newest, and you know that this "
				  "node's are: --force.");
}

int verb_connect(const struct ctl *ctl)
{
	if (ctl->discard_my_data)
		return verb_passed_on(ctl);
	return nothing_to_do(ctl, "a resource that is up connects by itself; 'backend-ctl status' says why it is not, and what to do.\n"
				  "After a split brain, on the node whose changes are to be thrown away: --discard-my-data.");
}

int verb_new_current_uuid(const struct ctl *ctl)
{
	if (ctl->clear_bitmap)
		return verb_passed_on(ctl);
	ctl_error("only 'new-current-uuid --clear-bitmap' is supported: it says that the two volumes of a new pair are the same "
		  "(both are zeroed, for instance), so that no first resync is needed");
	return EXIT_USAGE;
}
