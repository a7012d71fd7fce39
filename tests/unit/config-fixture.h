/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the tests of config/ share: files in a folder of their own, loaded as host "alpha", and words to say
 * what is expected. */
#ifndef DRBDX_TESTS_CONFIG_FIXTURE_H
#define DRBDX_TESTS_CONFIG_FIXTURE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/config.h"

/* A resource that is right: two hosts; the texts that tests vary come before or inside. */
#define SECRET "cram-hmac-alg sha256; shared-secret \"0123456789abcdef\";"
#define ALPHA "on alpha { device minor 0; disk /dev/vg/r; address 10.0.0.1:7700; meta-disk internal; }\n"
#define BETA "on beta { device minor 0; disk /dev/vg/r; address 10.0.0.2:7700; meta-disk internal; }\n"
#define RESOURCE(text) "resource r {\n" text "\n" ALPHA BETA "}\n"
#define NET(text) RESOURCE("net { " SECRET " " text " }")
#define DISK(text) RESOURCE("net { " SECRET " }\ndisk { " text " }")
/* Host alpha's section with one statement instead of another; `text` is on line 2. */
#define ON_ALPHA(text) "resource r { net { " SECRET " }\non alpha { " text " }\n" BETA "}\n"
#define TWO(text_r, text_s) \
	"resource r {\nnet { " SECRET " }\non alpha { " text_r " }\n" BETA "}\n" \
	"resource s {\nnet { " SECRET " }\non alpha { " text_s " }\n" \
	"on beta { device minor 1; disk /dev/vg/s; address 10.0.0.2:7701; meta-disk internal; }\n}\n"

struct fixture {
	char folder[64];
	struct config *config;
	int rc;
};

__attribute__((unused)) static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->folder, "/tmp/drbdx-config-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	*state = f;
	return 0;
}

__attribute__((unused)) static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];

	config_free(f->config);
	snprintf(command, sizeof(command), "rm -r '%s'", f->folder);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

__attribute__((unused)) static void put_bytes(struct fixture *f, const char *name, const void *bytes,
					      size_t len)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", f->folder, name);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
}

__attribute__((unused)) static void put(struct fixture *f, const char *name, const char *text)
{
	put_bytes(f, name, text, strlen(text));
}

__attribute__((unused)) static int load_as(struct fixture *f, const char *name, const char *hostname)
{
	char path[256];

	config_free(f->config);
	snprintf(path, sizeof(path), "%s/%s", f->folder, name);
	f->rc = config_load(path, hostname, &f->config);
	assert_non_null(f->config);
	return f->rc;
}

__attribute__((unused)) static int load(struct fixture *f, const char *text)
{
	put(f, "drbdx.conf", text);
	return load_as(f, "drbdx.conf", "alpha");
}

__attribute__((unused)) static void print_messages(const struct fixture *f)
{
	const struct config_message *m;
	size_t i, n = config_messages(f->config, &m);

	for (i = 0; i < n; i++)
		config_message_print(stderr, &m[i]);
}

/* The message at a line of a file that contains a text; line 0: at any line. */
__attribute__((unused)) static const struct config_message *find_message(const struct fixture *f,
									 enum config_severity severity,
									 const char *file, unsigned line,
									 const char *text)
{
	const struct config_message *m;
	size_t i, n = config_messages(f->config, &m);

	for (i = 0; i < n; i++) {
		if (m[i].severity == severity && (!line || m[i].line == line) && strstr(m[i].text, text) &&
		    !strcmp(strrchr(m[i].file, '/') + 1, file))
			return &m[i];
	}
	return NULL;
}

__attribute__((unused)) static size_t count_messages(const struct fixture *f, enum config_severity at_least)
{
	const struct config_message *m;
	size_t i, count = 0, n = config_messages(f->config, &m);

	for (i = 0; i < n; i++)
		count += m[i].severity >= at_least;
	return count;
}

__attribute__((unused)) static void expect_message(const struct fixture *f, enum config_severity severity,
						   unsigned line, const char *text)
{
	if (find_message(f, severity, "drbdx.conf", line, text))
		return;
	print_messages(f);
	fail_msg("no message at line %u with '%s'", line, text);
}

/* One case of a table: `line` and `text` of the message that is expected. */
struct config_case {
	const char *name;
	const char *config;
	unsigned line;
	const char *text;
};

/* Runs each case of a table as a test of its own name. */
__attribute__((unused)) static int run_cases(const char *group, const struct config_case *cases, size_t count,
					     CMUnitTestFunction test)
{
	struct CMUnitTest *tests = calloc(count, sizeof(*tests));
	size_t i;
	int r;

	for (i = 0; i < count; i++)
		tests[i] = (struct CMUnitTest){ cases[i].name, test, NULL, NULL, (void *)&cases[i] };
	r = _cmocka_run_group_tests(group, tests, count, NULL, NULL);
	free(tests);
	return r;
}

#endif
