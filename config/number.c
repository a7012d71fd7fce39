/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Numbers with a unit: "10M", "3s", "4096". Pure. */
#include "config/number.h"

#include <stddef.h>

static uint64_t factor(char unit)
{
	switch (unit) {
	case 'k':
	case 'K':
		return 1ULL << 10;
	case 'm':
	case 'M':
		return 1ULL << 20;
	case 'g':
	case 'G':
		return 1ULL << 30;
	case 's':
		return 512;
	default:
		return 0;
	}
}

/* The end of the digits, or NULL when there are none or too many for 64 bits. */
static const char *digits(const char *text, uint64_t *value)
{
	const char *p = text;

	*value = 0;
	for (; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(*value, 10, value) ||
		    __builtin_add_overflow(*value, (uint64_t)(*p - '0'), value))
			return NULL;
	}
	return p == text ? NULL : p;
}

bool number_parse(const char *text, enum number_unit unit, uint64_t *value)
{
	const char *end = digits(text, value);
	uint64_t bytes;

	if (!end)
		return false;
	if (!*end)
		return true;
	if (end[1] || !factor(*end) || __builtin_mul_overflow(*value, factor(*end), &bytes))
		return false;
	*value = bytes / unit + (bytes % unit != 0);
	return true;
}

bool number_plain(const char *text, uint64_t max, uint64_t *value)
{
	const char *end = digits(text, value);

	return end && !*end && *value <= max;
}
