/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libdrbdx-xl.so, preloaded into xl: lets an unmodified xl read `drbdx:my-domu-disk,xvda2,w`.
 *
 * xl reads disk strings with libxlutil's xlu_disk_parse(), which knows no prefix `drbdx:`. This definition
 * comes first, rewrites the prefix to what xl does know (`format=raw,script=block-drbdx,`) and hands
 * everything on. With the format given, the next positional word is the device name, which is what `drbd:`
 * means there, too. It is unversioned and touches neither structure, so one binary serves every Xen release.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "drbdx:"
#define MEANING "format=raw,script=block-drbdx,"
#define SHIM "libdrbdx-xl.so"

typedef int parse_fn(void *config, int nspecs, const char *const *specs, void *disk);

int xlu_disk_parse(void *config, int nspecs, const char *const *specs, void *disk);

/* The name after a leading `drbdx:`, NULL if `spec` does not begin with it. */
static const char *after_prefix(const char *spec)
{
	spec += strspn(spec, " \t");
	return strncmp(spec, PREFIX, strlen(PREFIX)) ? NULL : spec + strlen(PREFIX);
}

/* The first word of the specification as xl knows it; the caller's to free. NULL: no memory. */
static char *rewrite(const char *name)
{
	char *spec = malloc(strlen(MEANING) + strlen(name) + 1);

	if (spec)
		strcpy(stpcpy(spec, MEANING), name);
	return spec;
}

/* xlu_disk_parse() returns 0 or a positive errno. */
static int parse_rewritten(parse_fn *real, void *config, int nspecs, const char *const *specs, void *disk,
			   const char *name)
{
	const char **copy = calloc((size_t)nspecs, sizeof(*copy));
	char *first = rewrite(name);
	int r = ENOMEM;

	if (copy && first) {
		memcpy(copy, specs, (size_t)nspecs * sizeof(*copy));
		copy[0] = first;
		r = real(config, nspecs, copy, disk);
	}
	free(first);
	free(copy);
	return r;
}

int xlu_disk_parse(void *config, int nspecs, const char *const *specs, void *disk)
{
	parse_fn *real = (parse_fn *)dlsym(RTLD_NEXT, "xlu_disk_parse");
	const char *name = nspecs > 0 && specs && specs[0] ? after_prefix(specs[0]) : NULL;

	if (!real) {
		fprintf(stderr, "%s: libxlutil has no xlu_disk_parse: write format=raw,script=block-drbdx, instead of drbdx:, and run xl.distrib\n", SHIM);
		return ENOSYS;
	}
	return name ? parse_rewritten(real, config, nspecs, specs, disk, name)
		    : real(config, nspecs, specs, disk);
}

/* Takes this library out of a LD_PRELOAD list (words separated by ':' or blanks), in place; what else is in
 * it stays. */
static void strip_preload(char *list)
{
	char *out = list, *word, *rest = NULL;
	char *copy = strdup(list);

	if (!copy)
		return;
	for (word = strtok_r(copy, ": ", &rest); word; word = strtok_r(NULL, ": ", &rest)) {
		const char *base = strrchr(word, '/');

		if (!strcmp(base ? base + 1 : word, SHIM))
			continue;
		if (out != list)
			*out++ = ':';
		out = stpcpy(out, word);
	}
	*out = 0;
	free(copy);
}

/*
 * What xl starts (hotplug scripts, ssh, device models) does not need this library. Only xl itself may drop
 * it: on Debian a shell script stands between
 * the wrapper and xl, and has to hand it on.
 */
__attribute__((constructor)) static void keep_from_children(void)
{
	const char *now = getenv("LD_PRELOAD");
	char *list;

	if (!now || strcmp(program_invocation_short_name, "xl"))
		return;
	list = strdup(now);
	if (!list)
		return;
	strip_preload(list);
	if (*list)
		setenv("LD_PRELOAD", list, 1);
	else
		unsetenv("LD_PRELOAD");
	free(list);
}
