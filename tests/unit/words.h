/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every refusal owes the person who reads it at night: a way out, also with the longest names, and none of it cut off.
 */
#ifndef DRBDX_TESTS_WORDS_H
#define DRBDX_TESTS_WORDS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define TEN(c)		 c c c c c c c c c c
#define LONGEST_RESOURCE TEN("my-domu-disk") "resource" /* METADATA_NAME_MAX */
#define LONGEST_HOST_A	 TEN("alpha") TEN("a") "alph" /* WIRE_HOST */
#define LONGEST_HOST_B	 TEN("bravo") TEN("b") "brav"

/* A command stands in quotes; what is to be waited for, done or not done is said in one of these. */
static inline bool names_way_out(const char *text)
{
	static const char *const ways[] = { "'backend-ctl ", "'xl ", "'systemctl ",  "try again",	     "trying again",
					    "wait for",	     "shut ", "start the guest", "nothing is to be done", "migrate ",  "let the two connect" };

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (strstr(text, ways[i]))
			return true;
	return false;
}

/* No command is cut off; no text fills its buffer of `room` bytes. */
static inline bool is_whole(const char *text, size_t room)
{
	static const char *const commands[] = { "'backend-ctl ", "'xl ", "'systemctl " };

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		for (const char *p = text; (p = strstr(p, commands[i])); p++)
			if (!strchr(p + 1, '\''))
				return false;
	return strlen(text) < room - 1;
}

static inline void has_way_out(const char *where, const char *text, size_t room)
{
	if (!names_way_out(text))
		fail_msg("%s: no way out in: %s", where, text);
	if (!is_whole(text, room))
		fail_msg("%s: cut off: %s", where, text);
}

#endif
