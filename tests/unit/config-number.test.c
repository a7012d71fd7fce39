/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Numbers with units mean what drbd.conf says they mean. */
#include "config-fixture.h"
#include "config/number.h"

static void is(const char *text, enum number_unit unit, uint64_t expected)
{
	uint64_t value;

	assert_true(number_parse(text, unit, &value));
	assert_int_equal(value, expected);
}

static void is_none(const char *text)
{
	uint64_t value;

	assert_false(number_parse(text, UNIT_ONE, &value));
}

static void without_a_unit_it_counts_the_options_unit(void **state)
{
	(void)state;
	is("60", UNIT_ONE, 60);
	is("10240", UNIT_KIB, 10240);
	is("3", UNIT_SECTOR, 3);
	is("0", UNIT_ONE, 0);
}

static void units_are_powers_of_1024_and_sectors(void **state)
{
	(void)state;
	is("1K", UNIT_ONE, 1024);
	is("1M", UNIT_ONE, 1048576);
	is("1g", UNIT_ONE, 1073741824);
	is("2s", UNIT_ONE, 1024);
	is("10M", UNIT_KIB, 10240);
	is("10m", UNIT_KIB, 10240);
	is("4k", UNIT_SECTOR, 8);
	is("10G", UNIT_SECTOR, 20971520);
}

static void what_does_not_divide_is_rounded_up(void **state)
{
	(void)state;
	is("3s", UNIT_KIB, 2);
	is("1s", UNIT_KIB, 1);
}

static void other_texts_are_no_numbers(void **state)
{
	(void)state;
	is_none("");
	is_none("K");
	is_none("10MB");
	is_none("1.5M");
	is_none("-1");
	is_none("+1");
	is_none(" 1");
	is_none("0x10");
	is_none("10T");
}

static void what_does_not_fit_64_bits_is_no_number(void **state)
{
	(void)state;
	is("18446744073709551615", UNIT_ONE, UINT64_MAX);
	is_none("18446744073709551616");
	is_none("18446744073709551615K");
	is_none("99999999999999999999999999");
}

static void a_plain_number_has_no_unit_and_a_limit(void **state)
{
	uint64_t value;

	(void)state;
	assert_true(number_plain("31", 31, &value));
	assert_int_equal(value, 31);
	assert_false(number_plain("32", 31, &value));
	assert_false(number_plain("1K", 99999, &value));
	assert_false(number_plain("", 9, &value));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_unit_it_counts_the_options_unit),
		cmocka_unit_test(units_are_powers_of_1024_and_sectors),
		cmocka_unit_test(what_does_not_divide_is_rounded_up),
		cmocka_unit_test(other_texts_are_no_numbers),
		cmocka_unit_test(what_does_not_fit_64_bits_is_no_number),
		cmocka_unit_test(a_plain_number_has_no_unit_and_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
