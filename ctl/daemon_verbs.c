/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The verbs that ask the daemon: status, up, down.
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
	};

	for (size_t i = 0; code && i < sizeof(table) / sizeof(table[0]); i++)
		if (!strcmp(table[i].code, code))
			return table[i].status;
	return EXIT_FAILED;
}

int ctl_ask(const struct ctl *ctl, json_t *request, json_t **reply)
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
	ctl_error("%s", words ? words : "the daemon refused without a word");
	status = exit_status(json_string_value(json_object_get(*reply, "code")));
	json_decref(*reply);
	*reply = NULL;
	return status;
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

/* Leaves only the resources that were asked for. */
static int keep_named(const struct ctl *ctl, json_t *document)
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
			ctl_error("no resource '%s' is configured on this host", ctl->names[i]);
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
		status = keep_named(ctl, document);
	if (!status && ctl->json)
		print_json(document);
	else if (!status)
		render_status(stdout, document);
	json_decref(document);
	return status;
}

static int ask_for(const struct ctl *ctl, const char *verb, const char *name)
{
	json_t *reply;
	int status = ctl_ask(ctl, json_pack("{s:s, s:s?}", "verb", verb, "resource", name), &reply);

	json_decref(reply);
	return status;
}

/* Goes on after an error, so that one resource does not keep the others; the first error is
 * the exit status. */
static int for_names(const struct ctl *ctl, const char *verb)
{
	int worst = EXIT_DONE;

	for (size_t i = 0; i < ctl->n_names; i++) {
		int status = ask_for(ctl, verb, ctl->names[i]);

		worst = worst ? worst : status;
	}
	return worst;
}

int verb_up(const struct ctl *ctl)
{
	return ctl_all(ctl) ? ask_for(ctl, "up", NULL) : for_names(ctl, "up");
}

int verb_down(const struct ctl *ctl)
{
	json_t *document, *resources;
	int worst;

	if (!ctl_all(ctl))
		return for_names(ctl, "down");
	worst = ctl_ask(ctl, json_pack("{s:s}", "verb", "status"), &document);
	if (worst)
		return worst;
	resources = json_object_get(document, "resources");
	for (size_t i = json_array_size(resources); i-- > 0;) {
		const json_t *resource = json_array_get(resources, i);
		int status = EXIT_DONE;

		if (json_is_true(json_object_get(resource, "up")))
			status = ask_for(ctl, "down", resource_name(resource));
		worst = worst ? worst : status;
	}
	json_decref(document);
	return worst;
}
