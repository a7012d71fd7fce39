/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Numbers with a unit, as drbd.conf writes them. */
#ifndef DRBDX_CONFIG_NUMBER_H
#define DRBDX_CONFIG_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

/* What a number without a unit counts, and what the parsed value is stored in: 1 = the bare number. */
enum number_unit { UNIT_ONE = 1, UNIT_SECTOR = 512, UNIT_KIB = 1024 };

/*
 * DIGITS[unit], unit one of K M G (2^10, 2^20, 2^30, either case) and s (512 bytes). The result is in
 * `unit`s, rounded up. False when the text is no such number, or does not fit 64 bits.
 */
bool number_parse(const char *text, enum number_unit unit, uint64_t *value);

/* DIGITS only, at most `max`. */
bool number_plain(const char *text, uint64_t max, uint64_t *value);

#endif
