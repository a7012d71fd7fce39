/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The files in config/examples are read as they are, with exactly the words of
 * tests/golden/config/examples.expected; drbdx.conf.5 describes every option. Runs in the top folder of the
 * source.
 */
#include "config-fixture.h"
#include "config/option.h"

#define EXAMPLE "config/examples/drbdx.conf"
#define EXPECTED "tests/golden/config/examples.expected"
#define MANUAL "docs/man/drbdx.conf.5"

static char *contents(const char *path)
{
	FILE *file = fopen(path, "r");
	char *text = NULL;
	size_t len = 0;

	if (!file)
		fail_msg("cannot open %s", path);
	if (getdelim(&text, &len, 0, file) < 0)
		fail_msg("cannot read %s", path);
	fclose(file);
	return text;
}

static void each_host_finds_itself_and_its_partner(void **state)
{
	static const char *const hosts[] = { "dom0_1", "dom0_2" };
	const struct config_resource *r;
	struct config *config;
	int i, j;

	(void)state;
	for (i = 0; i < 2; i++) {
		assert_int_equal(config_load(EXAMPLE, hosts[i], &config), 0);
		assert_int_equal(config_resources(config, &r), 2);
		for (j = 0; j < 2; j++) {
			assert_null(r[j].refused);
			assert_string_equal(r[j].self->name, hosts[i]);
			assert_string_equal(r[j].peer->name, hosts[!i]);
			assert_int_equal(r[j].self->minor, j);
			assert_string_equal(r[j].self->meta_disk, "/dev/vg0/drbd-meta-data");
			assert_int_equal(r[j].self->meta_index, j);
			assert_string_equal(r[j].cram_hmac_alg, "sha1");
			assert_string_equal(r[j].shared_secret, "secret");
			assert_int_equal(r[j].on_io_error, CONFIG_DETACH);
		}
		assert_string_equal(r[0].name, "my-domu-disk");
		assert_string_equal(r[0].self->disk, "/dev/vg0/my-domu-disk");
		config_free(config);
	}
}

static void what_is_not_acted_upon_is_said_in_a_dozen_lines(void **state)
{
	char *said = NULL, *expected = contents(EXPECTED);
	const struct config_message *m;
	struct config *config;
	size_t len, i, n;
	FILE *to;

	(void)state;
	assert_int_equal(config_load(EXAMPLE, "dom0_1", &config), 0);
	to = open_memstream(&said, &len);
	n = config_messages(config, &m);
	for (i = 0; i < n; i++)
		config_message_print(to, &m[i]);
	fclose(to);
	assert_string_equal(said, expected);
	assert_true(n <= 12);
	config_free(config);
	free(said);
	free(expected);
}

static void the_manual_has_every_option(void **state)
{
	char *manual = contents(MANUAL), item[128];
	int id, missing = 0;

	(void)state;
	for (id = 0; id < OPTION_COUNT; id++) {
		snprintf(item, sizeof(item), "\n.It Cm %s", option_table[id].name);
		if (!strstr(manual, item)) {
			print_error("%s has no item for %s\n", MANUAL, option_table[id].name);
			missing++;
		}
	}
	free(manual);
	assert_int_equal(missing, 0);
}

static void every_option_has_sense(void **state)
{
	int id;

	(void)state;
	for (id = 0; id < OPTION_COUNT; id++) {
		const struct option_info *info = &option_table[id];

		assert_true(info->min <= info->max);
		assert_true(info->kind != KIND_NUMBER || info->max > 0);
		assert_true((info->kind == KIND_ENUM || info->kind == KIND_PROTOCOL) ==
			    (info->values != NULL));
	}
}

/* What drbdx does by itself must itself be a value that may be written. */
static void every_normal_value_is_a_value(void **state)
{
	struct arena arena = { 0 };
	jmp_buf unwind;
	int id;

	(void)state;
	assert_int_equal(setjmp(unwind), 0);
	arena.unwind = &unwind;
	for (id = 0; id < OPTION_COUNT; id++) {
		const char *value = option_table[id].normal;
		uint64_t number;

		if (!value)
			continue;
		if (option_check(&arena, (enum option_id)id, false, &value, &number))
			fail_msg("%s %s", option_table[id].name, value);
		assert_true(option_is_normal((enum option_id)id, value));
	}
	arena_dispose(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_host_finds_itself_and_its_partner),
		cmocka_unit_test(what_is_not_acted_upon_is_said_in_a_dozen_lines),
		cmocka_unit_test(the_manual_has_every_option),
		cmocka_unit_test(every_option_has_sense),
		cmocka_unit_test(every_normal_value_is_a_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
