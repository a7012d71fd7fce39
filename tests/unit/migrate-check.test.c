/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What migrate-check finds, from two status documents and what else the other host answers. The document of
 * this host is tests/golden/status/connected.json, which status.test holds to be the daemon's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "ctl/call.c"
#include "ctl/migrate_judge.c"
#include "ctl/remote.c"

#define RESOURCE "my-domu-disk"

/* ---- two hosts: a guest that may migrate from dom0_1 to dom0_2 ---- */

static struct migration m;
static json_t *here, *there;
static struct findings found;
static const char *domains, *memory, *noise;
static int script_status;

static const char the_domains[] =
	"Name                                        ID   Mem VCPUs\tState\tTime(s)\n"
	"Domain-0                                     0   900     1     r-----      12.3\n"
	"other                                        1   112     1     -b----       0.9\n";

/* The member at `path` ("connection.state") of an object. */
static void set(json_t *object, const char *path, const char *value)
{
	const char *dot = strchr(path, '.');
	json_t *outer = object;
	char first[64];

	if (dot) {
		snprintf(first, sizeof(first), "%.*s", (int)(dot - path), path);
		outer = json_object_get(object, first);
		path = dot + 1;
	}
	assert_true(json_is_object(outer));
	assert_non_null(json_object_get(outer, path)); /* a key of the document */
	assert_int_equal(0, json_object_set_new(outer, path, json_loads(value, JSON_DECODE_ANY, NULL)));
}

static json_t *resource_of(json_t *document, size_t n)
{
	return json_array_get(json_object_get(document, "resources"), n);
}

static void make_there(void)
{
	json_t *r;
	size_t i;

	there = json_deep_copy(here);
	set(there, "host", "\"dom0_2\"");
	json_array_foreach(json_object_get(there, "resources"), i, r) {
		set(r, "connection.peer_host", "\"dom0_1\"");
		set(r, "guest", "null");
		set(r, "devices", "[]");
		set(r, "token.state", "\"none\"");
		set(r, "role", "\"Secondary\"");
	}
}

/* With so many disks: my-domu-disk on xvda2, second on xvdb. */
static void healthy(unsigned int disks)
{
	json_t *second;

	here = json_load_file("tests/golden/status/connected.json", 0, NULL);
	assert_non_null(here);
	if (disks == 2) {
		second = json_deep_copy(resource_of(here, 0));
		set(second, "name", "\"second\"");
		set(json_array_get(json_object_get(second, "devices"), 0), "dev", "\"xvdb\"");
		json_array_append_new(json_object_get(here, "resources"), second);
	}
	make_there();
	domains = the_domains;
	memory = "600\n";
	noise = "";
	script_status = 0;
	m = (struct migration){ .document = here,
				.guest = "web1",
				.domid = 5,
				.disks = disks,
				.memory_kib = 512 * 1024,
				.host = "root@192.168.0.54" };
}

static void done(void)
{
	findings_free(&found);
	json_decref(here);
	json_decref(there);
}

/* What the other host's shell writes. */
static char *answer(void)
{
	char *document = json_dumps(there, JSON_INDENT(2)), *text;

	assert_int_not_equal(-1, asprintf(&text,
					  "%s@drbdx status\n%s\n\n@drbdx = 0\n"
					  "@drbdx script\n\n@drbdx = %d\n"
					  "@drbdx memory\n%s\n@drbdx = 0\n"
					  "@drbdx domains\n%s\n@drbdx = 0\n",
					  noise, document, script_status, memory, domains));
	free(document);
	return text;
}

static void judge_text(const char *text)
{
	judge_here(&m, &found);
	judge_there(&m, text, "'ssh h sh' ended with exit status 255", &found);
}

static void judge(void)
{
	char *text = answer();

	judge_text(text);
	free(text);
}

static void print_found(void)
{
	for (size_t i = 0; i < found.n; i++)
		print_message("  %d: %s\n", found.list[i].class, found.list[i].words);
}

/* Is there a finding of this class with these words? */
static void assert_found(enum finding_class class, const char *words)
{
	for (size_t i = 0; i < found.n; i++)
		if (found.list[i].class == class && strstr(found.list[i].words, words))
			return;
	print_found();
	fail_msg("not found: %s", words);
}

static void assert_findings(size_t n)
{
	if (n != found.n)
		print_found();
	assert_int_equal(n, found.n);
}

/* ---- the tests ---- */

static void all_is_well(void **state)
{
	(void)state;
	healthy(2);
	noise = "Welcome to dom0_2!\n";
	judge();
	assert_findings(0);
	judge_good(&m, &found);
	assert_int_equal(FINDING_GOOD, findings_worst(&found));
	assert_findings(2);
	assert_string_equal(RESOURCE " (xvda2): dom0_2 can take it over", found.list[0].words);
	assert_string_equal("second (xvdb): dom0_2 can take it over", found.list[1].words);
	done();
}

static void what_is_wrong_with_a_disk_on_either_host_is_refused_in_words(void **state)
{
	enum { HERE, THERE };
	static const struct {
		int side;
		const char *path, *value, *words;
	} cases[] = {
		{ HERE, "up", "false", RESOURCE " on dom0_1: it is down; there: backend-ctl up " RESOURCE },
		{ HERE, "connection.state", "\"Disconnected\"",
		  "on dom0_1: not connected with dom0_2 (Disconnected)" },
		{ HERE, "connection.state", "\"Settling\"",
		  "on dom0_1: not connected with dom0_2 (Settling)" },
		{ HERE, "connection.state", "null", "on dom0_1: not connected with dom0_2 (not known)" },
		{ HERE, "refused", "\"split brain\"",
		  "on dom0_1: the two nodes may not replicate: split brain" },
		{ HERE, "token.state", "\"given\"", "the right to write is not on dom0_1 (token: given)" },
		{ HERE, "token", "null", "the right to write is not on dom0_1 (token: not known)" },
		{ HERE, "frozen", "{\"reason\": \"no memory\"}", "on dom0_1: I/O is frozen: no memory" },
		{ HERE, "guest", "null", "does not use its disk xvda2 (attachment: not known" },
		{ HERE, "guest.attachment", "\"Claimed\"", "(attachment: Claimed, frontend: Connected)" },
		{ THERE, "up", "false", RESOURCE " on dom0_2: it is down; there: backend-ctl up " RESOURCE },
		{ THERE, "connection.state", "\"HelloSent\"",
		  "on dom0_2: not connected with dom0_1 (HelloSent)" },
		{ THERE, "refused", "\"other size\"",
		  "on dom0_2: the two nodes may not replicate: other size" },
		{ THERE, "frozen", "{\"reason\": \"no space\"}", "on dom0_2: I/O is frozen: no space" },
		{ THERE, "guest", "{\"who\": \"guest web1--incoming\", \"attachment\": \"Claimed\"}",
		  "on dom0_2: it is attached there, to guest web1--incoming (Claimed)" },
		{ THERE, "name", "\"renamed\"", RESOURCE " on dom0_2: no such resource is configured" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		healthy(2);
		set(resource_of(cases[i].side == HERE ? here : there, 0), cases[i].path, cases[i].value);
		judge();
		assert_found(FINDING_REFUSED, cases[i].words);
		assert_findings(1); /* the other disk is well, and nothing is said twice */
		done();
	}
}

static void why_comes_with_the_state(void **state)
{
	(void)state;
	healthy(1);
	set(resource_of(here, 0), "connection.state", "\"Disconnected\"");
	set(resource_of(here, 0), "connection.why", "\"nothing heard of dom0_2\"");
	set(resource_of(there, 0), "up", "false");
	set(resource_of(there, 0), "config_refused", "\"/etc/drbdx.d/r.res:7: meta-disk internal\"");
	judge();
	assert_found(FINDING_REFUSED, "(Disconnected: nothing heard of dom0_2); see there and here");
	assert_found(FINDING_REFUSED,
		     "on dom0_2: not served, because of its configuration: /etc/drbdx.d/r.res:7:");
	assert_findings(2);
	done();
}

static void a_cut_connection_is_not_said_as_frozen_too(void **state)
{
	(void)state;
	healthy(1);
	set(resource_of(here, 0), "connection.state", "\"Disconnected\"");
	set(resource_of(here, 0), "frozen", "{\"reason\": \"the partner is not connected\"}");
	set(resource_of(here, 0), "peer_disk.state", "null");
	judge();
	assert_found(FINDING_REFUSED, "not connected with dom0_2");
	assert_findings(1);
	done();
}

static void a_ring_that_is_not_attached_is_refused(void **state)
{
	json_t *device;

	(void)state;
	healthy(1);
	device = json_array_get(json_object_get(resource_of(here, 0), "devices"), 0);
	set(device, "ring", "false");
	set(device, "frontend_state", "\"Initialising\"");
	judge();
	assert_found(FINDING_REFUSED, "frontend: Initialising); let it connect, or detach the disk: xl "
				      "block-detach web1 xvda2");
	assert_findings(1);
	done();
}

static void only_the_partner_of_every_disk_is_accepted(void **state)
{
	(void)state;
	healthy(2);
	set(there, "host", "\"dom0_3\"");
	judge();
	assert_found(FINDING_REFUSED,
		     "root@192.168.0.54 is dom0_3, but the partner of " RESOURCE " is dom0_2");
	assert_found(FINDING_REFUSED, "root@192.168.0.54 is dom0_3, but the partner of second is dom0_2");
	assert_findings(2);
	done();

	healthy(2);
	set(resource_of(here, 1), "connection.peer_host", "\"dom0_3\"");
	judge();
	assert_found(FINDING_REFUSED, "root@192.168.0.54 is dom0_2, but the partner of second is dom0_3");
	assert_findings(1);
	done();
}

static void this_very_host_is_refused_and_nothing_else_said(void **state)
{
	(void)state;
	healthy(1);
	json_decref(there);
	there = json_deep_copy(here);
	domains = "web1    5   512     1     -b----       1.0\n";
	judge();
	assert_found(FINDING_REFUSED, "root@192.168.0.54 is this very host");
	assert_findings(1);
	done();
}

static void disks_that_no_resource_or_no_daemon_knows_are_refused(void **state)
{
	(void)state;
	healthy(1);
	m.disks = 2;
	judge();
	assert_found(FINDING_REFUSED, "drbdxd on dom0_1 knows 1 of the 2 drbdx disks");
	assert_findings(1);
	done();

	healthy(1);
	m.disks = 2;
	set(here, "unassigned_devices",
	    "[{\"domid\": 5, \"dev\": \"xvdc\", \"resource\": \"tpyo\"}, {\"domid\": 6, \"resource\": "
	    "\"x\"}]");
	judge();
	assert_found(FINDING_REFUSED,
		     "tpyo: no such resource is configured on this host, and it is disk xvdc of web1");
	assert_findings(1);
	done();
}

static void disks_of_other_guests_do_not_matter(void **state)
{
	json_t *r, *device;

	(void)state;
	healthy(2);
	m.disks = 1;
	r = resource_of(here, 1);
	device = json_array_get(json_object_get(r, "devices"), 0);
	set(device, "domid", "6");
	set(r, "up", "false");
	set(r, "connection.peer_host", "\"dom0_3\"");
	judge();
	assert_findings(0);
	judge_good(&m, &found);
	assert_findings(1);
	done();
}

static void a_schema_that_is_not_known_is_refused_on_either_host(void **state)
{
	static const char *const values[] = { "1", "3", "0", "\"2\"", "null" };

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		healthy(1);
		set(there, "schema", values[i]);
		judge();
		assert_found(FINDING_REFUSED, "drbdxd on dom0_2 (version VERSION) speaks schema");
		assert_findings(1);
		done();
		healthy(1);
		set(here, "schema", values[i]);
		judge_here(&m, &found);
		assert_found(FINDING_REFUSED, "drbdxd on dom0_1 (version VERSION) speaks schema");
		assert_findings(1);
		done();
	}
}

static void xenstored_that_does_not_answer_is_refused_on_either_host(void **state)
{
	(void)state;
	healthy(1);
	set(here, "xenstored_problem", "\"gone for 12 s\"");
	set(there, "xenstored_problem", "\"gone for 13 s\"");
	judge();
	assert_found(FINDING_REFUSED, "drbdxd on dom0_1: xenstore: gone for 12 s");
	assert_found(FINDING_REFUSED, "drbdxd on dom0_2: xenstore: gone for 13 s");
	assert_findings(2);
	done();
}

static void a_host_without_drbdx_or_xen_is_said_to_be_so(void **state)
{
	(void)state;
	healthy(1);
	judge_text("@drbdx status\nsh: 4: backend-ctl: not found\n\n@drbdx = 127\n"
		   "@drbdx script\n\n@drbdx = 1\n"
		   "@drbdx memory\nsh: 4: xl: not found\n\n@drbdx = 127\n"
		   "@drbdx domains\nsh: 4: xl: not found\n\n@drbdx = 127\n");
	assert_found(FINDING_REFUSED, "root@192.168.0.54 has no backend-ctl: install drbdx there");
	assert_found(FINDING_REFUSED, "root@192.168.0.54 has no executable /etc/xen/scripts/block-drbdx");
	assert_found(FINDING_REFUSED, "root@192.168.0.54 has no xl");
	assert_findings(3);
	done();
}

static void a_host_whose_daemon_or_xen_does_not_answer_says_why(void **state)
{
	(void)state;
	healthy(1);
	judge_text("@drbdx status\nbackend-ctl: drbdxd is not running\nmore\n\n@drbdx = 20\n"
		   "@drbdx script\n\n@drbdx = 0\n"
		   "@drbdx memory\nlibxl: error: cannot open\n\n@drbdx = 1\n"
		   "@drbdx domains\n\n@drbdx = 1\n");
	assert_found(FINDING_FAILED, "root@192.168.0.54: backend-ctl status: drbdxd is not running");
	assert_found(FINDING_REFUSED, "Xen does not answer: xl info: libxl: error: cannot open");
	assert_findings(2);
	assert_null(strstr(found.list[0].words, "more"));
	done();
}

static void another_backend_ctl_is_said_to_be_another_version(void **state)
{
	static const char *const texts[] = { "", "RESOURCE ROLE", "{", "{}", "{\"host\": 5}", "[1]" };
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		healthy(1);
		snprintf(text, sizeof(text),
			 "@drbdx status\n%s\n\n@drbdx = 0\n@drbdx script\n\n@drbdx = 0\n"
			 "@drbdx memory\n999\n@drbdx = 0\n@drbdx domains\n\n@drbdx = 0\n",
			 texts[i]);
		judge_text(text);
		assert_found(FINDING_FAILED, "install the same version of drbdx on both hosts");
		assert_findings(1);
		done();
	}
}

static void words_around_the_document_do_no_harm(void **state)
{
	char *text, *with;

	(void)state;
	healthy(1);
	text = answer();
	assert_int_not_equal(
		-1, asprintf(&with, "@drbdx status\nwarning: locale\n%s", text + strlen("@drbdx status\n")));
	judge_text(with);
	assert_findings(0);
	free(text);
	free(with);
	done();
}

static void names_that_would_be_in_the_way_are_refused(void **state)
{
	static const struct {
		const char *line, *words;
	} cases[] = {
		{ "web1                     7   512     1     -b----       1.0",
		  "already has a domain named web1;" },
		{ "web1--incoming           7   512     1     --p---       0.0",
		  "there: xl destroy web1--incoming" },
		{ "web12                    7   512     1     -b----       1.0", NULL },
		{ "web                      7   512     1     -b----       1.0", NULL },
		{ "web1--migratedaway       7   512     1     -b----       1.0", NULL },
		{ "a web1                   7   512     1     -b----       1.0", NULL },
		{ "web1 a                   7   512     1     -b----       1.0", NULL },
		{ "web1 -- xenstore trouble", NULL },
		{ "web1", NULL },
	};
	char text[1024];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		healthy(1);
		snprintf(text, sizeof(text), "%s%s\n", the_domains, cases[i].line);
		domains = text;
		judge();
		assert_findings(cases[i].words ? 1 : 0);
		if (cases[i].words)
			assert_found(FINDING_REFUSED, cases[i].words);
		done();
	}
}

static void little_memory_is_a_warning(void **state)
{
	static const struct {
		const char *answer;
		uint64_t guest_kib;
		size_t findings;
	} cases[] = {
		{ "536\n", 512 * 1024, 0 }, /* 512 + 8 + 16 */
		{ "535\n", 512 * 1024, 1 },
		{ "free_memory            : 535\n", 512 * 1024, 1 },
		{ "1\n", 0, 0 },
		{ "not a number\n", 512 * 1024, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		healthy(1);
		memory = cases[i].answer;
		m.memory_kib = cases[i].guest_kib;
		judge();
		assert_findings(cases[i].findings);
		if (cases[i].findings)
			assert_found(FINDING_WARNING,
				     "dom0_2 has 535 MiB free, and web1 needs about 536 MiB");
		assert_true(findings_worst(&found) <= FINDING_WARNING);
		done();
	}
}

static void the_script_has_to_be_there(void **state)
{
	(void)state;
	healthy(1);
	script_status = 1;
	judge();
	assert_found(FINDING_REFUSED, "dom0_2 has no executable /etc/xen/scripts/block-drbdx");
	assert_findings(1);
	done();
}

/* Wherever an answer is cut off, it is never taken for a good one. */
static void an_answer_that_ends_early_is_no_answer(void **state)
{
	size_t length;
	char *text;

	(void)state;
	healthy(1);
	text = answer();
	length = strlen(text);
	done();
	for (size_t n = 0; n < length; n++) {
		char *cut = strndup(text, n);

		healthy(1);
		judge_text(cut);
		assert_int_equal(FINDING_FAILED, findings_worst(&found));
		assert_found(FINDING_FAILED, "'ssh h sh' ended with exit status 255");
		assert_findings(1);
		free(cut);
		done();
	}
	healthy(1);
	judge_text("This account is not available.\n");
	assert_found(FINDING_FAILED,
		     "root@192.168.0.54 does not answer: 'ssh h sh' ended with exit status 255");
	done();
	free(text);
}

static void the_answer_that_is_missing_is_named(void **state)
{
	char *text, *at;

	(void)state;
	healthy(1);
	text = answer();
	at = strstr(text, "@drbdx domains");
	*at = 0;
	judge_text(text);
	assert_found(FINDING_FAILED, "dom0_2 does not answer to 'xl list'");
	free(text);
	done();
}

static void a_refusal_weighs_more_than_no_answer(void **state)
{
	(void)state;
	healthy(1);
	set(resource_of(here, 0), "up", "false");
	judge_text("");
	assert_findings(2);
	assert_int_equal(FINDING_REFUSED, findings_worst(&found));
	done();
}

/* ---- the command ---- */

/* Runs `sh -c "exec COMMAND # host sh"`: what follows the '#' is not seen. */
static char *run(const char *command, uint64_t bound_ms, char *ended, size_t size)
{
	char *output;

	assert_int_equal(0, remote_run(command, "host", "echo \"$1\"; pwd", call_now_ms() + bound_ms, &output,
				       ended, size));
	return output;
}

static void the_script_goes_to_the_stdin_of_a_shell(void **state)
{
	char ended[256], *output;

	(void)state;
	output = run("cat #", 20000, ended, sizeof(ended));
	assert_string_equal("echo \"$1\"; pwd", output);
	free(output);
	/* As ssh does: the host first, then the words of the command. */
	assert_int_equal(0, remote_run("sh -c 'echo \"$1\"; shift; exec \"$@\"' ssh", "'my host'",
				       "echo one; exit 3", call_now_ms() + 20000, &output, ended,
				       sizeof(ended)));
	assert_string_equal("my host\none\n", output);
	assert_non_null(strstr(ended, "ended with exit status 3"));
	free(output);
}

static void how_the_command_ended_is_said(void **state)
{
	char ended[256], *output;

	(void)state;
	output = run("sh -c 'exit 255' #", 20000, ended, sizeof(ended));
	assert_string_equal("", output);
	assert_non_null(strstr(ended, "host sh' ended with exit status 255"));
	free(output);
	output = run("sh -c 'kill -9 $$' #", 20000, ended, sizeof(ended));
	assert_non_null(strstr(ended, "was ended by signal 9"));
	free(output);
}

static void a_command_that_hangs_is_ended(void **state)
{
	uint64_t begin = call_now_ms();
	char ended[256], *output;

	(void)state;
	output = run("sh -c 'echo one; exec sleep 1000' #", 300, ended, sizeof(ended));
	assert_string_equal("one\n", output);
	assert_non_null(strstr(ended, "took too long"));
	free(output);
	output = run("sh -c 'exec >&-; exec sleep 1000' #", 300, ended, sizeof(ended));
	free(output);
	assert_true(call_now_ms() - begin < 20000);
}

static void end_in_order(int signal)
{
	(void)signal;
	_exit(7);
}

/* A process that does this at SIGTERM, and nothing else. */
static pid_t idle(void (*at_term)(int))
{
	int ready[2];
	pid_t pid;
	char c;

	assert_int_equal(0, pipe(ready));
	pid = fork();
	if (!pid) {
		signal(SIGTERM, at_term);
		close(ready[0]);
		close(ready[1]);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(0, read(ready[0], &c, 1));
	close(ready[0]);
	return pid;
}

/* ssh gives the terminal its echo back when it is told to end. */
static void ending_is_asked_for_before_it_is_forced(void **state)
{
	int status;

	(void)state;
	status = finish(idle(end_in_order), 0);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	status = finish(idle(SIG_IGN), 0);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void much_is_read_and_too_much_is_not(void **state)
{
	char ended[256], *output;

	(void)state;
	output = run("head -c 1000000 /dev/zero | tr '\\0' x #", 20000, ended, sizeof(ended));
	assert_int_equal(1000000, strlen(output));
	free(output);
	output = run("yes #", 60000, ended, sizeof(ended));
	assert_true(strlen(output) < OUTPUT_MAX + 65536);
	assert_non_null(strstr(ended, "took too long"));
	free(output);
}

/* What the script writes is what is parsed; here by a host that has none of the programs. */
static void the_questions_are_answered_in_the_form_that_is_read(void **state)
{
	char ended[256], *output;
	struct part part[PARTS];

	(void)state;
	assert_true(strlen(migrate_questions) < 4096);
	assert_int_equal(0, remote_run("env PATH=/nowhere /bin/sh #", "host", migrate_questions,
				       call_now_ms() + 20000, &output, ended, sizeof(ended)));
	assert_int_equal(PARTS, take_parts(output, part));
	assert_int_equal(NOT_FOUND, part[STATUS].status);
	assert_int_equal(NOT_FOUND, part[MEMORY].status);
	assert_int_equal(NOT_FOUND, part[DOMAINS].status);
	for (size_t i = 0; i < PARTS; i++)
		free(part[i].text);
	free(output);
}

static void one_good_copy_is_enough(void **state)
{
	(void)state;
	healthy(2);
	set(resource_of(here, 0), "peer_disk.state", "\"Inconsistent\"");
	set(resource_of(there, 0), "disk.state", "\"Inconsistent\"");
	judge();
	assert_found(FINDING_WARNING, "on dom0_1: the disk of its partner is Inconsistent: until the resync is done, only one copy");
	assert_found(FINDING_WARNING, "on dom0_2: the disk there is Inconsistent");
	assert_true(findings_worst(&found) <= FINDING_WARNING);
	done();
	healthy(2);
	set(resource_of(here, 0), "disk.state", "\"Diskless\"");
	set(resource_of(here, 0), "peer_disk.state", "\"Inconsistent\"");
	judge();
	assert_found(FINDING_REFUSED, "on dom0_1: the disk is Diskless, and that of dom0_2 is Inconsistent");
	done();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_is_well),
		cmocka_unit_test(what_is_wrong_with_a_disk_on_either_host_is_refused_in_words),
		cmocka_unit_test(why_comes_with_the_state),
		cmocka_unit_test(a_cut_connection_is_not_said_as_frozen_too),
		cmocka_unit_test(a_ring_that_is_not_attached_is_refused),
		cmocka_unit_test(only_the_partner_of_every_disk_is_accepted),
		cmocka_unit_test(this_very_host_is_refused_and_nothing_else_said),
		cmocka_unit_test(disks_that_no_resource_or_no_daemon_knows_are_refused),
		cmocka_unit_test(disks_of_other_guests_do_not_matter),
		cmocka_unit_test(a_schema_that_is_not_known_is_refused_on_either_host),
		cmocka_unit_test(xenstored_that_does_not_answer_is_refused_on_either_host),
		cmocka_unit_test(a_host_without_drbdx_or_xen_is_said_to_be_so),
		cmocka_unit_test(a_host_whose_daemon_or_xen_does_not_answer_says_why),
		cmocka_unit_test(another_backend_ctl_is_said_to_be_another_version),
		cmocka_unit_test(words_around_the_document_do_no_harm),
		cmocka_unit_test(names_that_would_be_in_the_way_are_refused),
		cmocka_unit_test(little_memory_is_a_warning),
		cmocka_unit_test(the_script_has_to_be_there),
		cmocka_unit_test(an_answer_that_ends_early_is_no_answer),
		cmocka_unit_test(the_answer_that_is_missing_is_named),
		cmocka_unit_test(a_refusal_weighs_more_than_no_answer),
		cmocka_unit_test(the_script_goes_to_the_stdin_of_a_shell),
		cmocka_unit_test(how_the_command_ended_is_said),
		cmocka_unit_test(a_command_that_hangs_is_ended),
		cmocka_unit_test(ending_is_asked_for_before_it_is_forced),
		cmocka_unit_test(much_is_read_and_too_much_is_not),
		cmocka_unit_test(the_questions_are_answered_in_the_form_that_is_read),
		cmocka_unit_test(one_good_copy_is_enough),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
