/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the text comes from: files and what they include.
 *
 * A path is relative to the folder of the file that names it. A quoted path may be a pattern, and then may
 * match nothing. Each file is read once (a second time is said and left out), so what can be read is bounded
 * by what is on the disk; a file that includes itself, directly or not, is an error, as are more than ten
 * files inside each other.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/tree.h"

#define DEPTH_MAX 10
#define FILE_BYTES_MAX (4 << 20)

struct file_seen {
	struct file_seen *next;
	dev_t dev;
	ino_t ino;
	unsigned depth; /* while it is being read: 1 the first file, 2 what it includes; 0 afterwards */
};

static unsigned current_depth(const struct config *config)
{
	const struct file_seen *seen;
	unsigned depth = 0;

	for (seen = config->files; seen; seen = seen->next) {
		if (seen->depth > depth)
			depth = seen->depth;
	}
	return depth;
}

static struct file_seen *find_seen(struct config *config, const struct stat *st)
{
	struct file_seen *seen;

	for (seen = config->files; seen; seen = seen->next) {
		if (seen->dev == st->st_dev && seen->ino == st->st_ino)
			break;
	}
	return seen;
}

/* NULL when the file is not to be read; why has been said at `at`. */
static struct file_seen *begin_file(struct config *config, const struct location *at, const char *path,
				    const struct stat *st)
{
	struct file_seen *seen = find_seen(config, st);

	if (seen && seen->depth) {
		config_say(config, CONFIG_ERROR, at, "include loop: '%s' is being read already", path);
		return NULL;
	}
	if (seen) {
		config_say(config, CONFIG_NOTE, at, "'%s' has been read already, it is not read again", path);
		return NULL;
	}
	if (current_depth(config) == DEPTH_MAX) {
		config_say(config, CONFIG_ERROR, at, "'%s' would be the eleventh file inside another", path);
		return NULL;
	}
	seen = arena_alloc(&config->arena, sizeof(*seen));
	seen->dev = st->st_dev;
	seen->ino = st->st_ino;
	seen->depth = current_depth(config) + 1;
	seen->next = config->files;
	config->files = seen;
	return seen;
}

/* Reads `fd` to its end into `text`, which has room for `size`; the bytes read, or a negative errno. */
static ssize_t read_all(int fd, char *text, size_t size)
{
	size_t done = 0;
	ssize_t r = 1;

	while (done < size && r != 0) {
		r = read(fd, text + done, size - done);
		if (r < 0 && errno != EINTR)
			return -errno;
		if (r > 0)
			done += (size_t)r;
	}
	return (ssize_t)done;
}

/* Opens a file into config->open_file. What is no regular file of bearable size is not opened, or closed
 * again. */
static bool open_file(struct config *config, const struct location *at, const char *path, struct stat *st)
{
	const char *what = at->line ? "include file" : "file";

	config->open_file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (config->open_file < 0 || fstat(config->open_file, st) < 0) {
		config_say(config, CONFIG_ERROR, at, "Failed to open %s '%s': %s", what, path,
			   strerror(errno));
	} else if (!S_ISREG(st->st_mode)) {
		config_say(config, CONFIG_ERROR, at, "Failed to open %s '%s': no regular file", what, path);
	} else if (st->st_size > FILE_BYTES_MAX) {
		config_say(config, CONFIG_ERROR, at, "'%s' is larger than 4 MiB", path);
	} else {
		return true;
	}
	return false;
}

static void close_file(struct config *config)
{
	if (config->open_file >= 0)
		close(config->open_file);
	config->open_file = -1;
}

static void read_file(struct config *config, const struct location *at, const char *path)
{
	struct file_seen *seen = NULL;
	char *text = NULL;
	ssize_t len = 0;
	struct stat st;

	if (open_file(config, at, path, &st))
		seen = begin_file(config, at, path, &st);
	if (seen) {
		text = arena_alloc(&config->arena, (size_t)st.st_size + 2);
		len = read_all(config->open_file, text, (size_t)st.st_size);
	}
	close_file(config);
	config->broken |= config->failed && (!seen || len < 0);
	if (len < 0)
		config_say(config, CONFIG_ERROR, at, "Failed to read '%s': %s", path, strerror((int)-len));
	else if (seen)
		source_parse(config, path, text, (size_t)len);
	if (seen)
		seen->depth = 0;
}

static char *beside(struct config *config, const char *file, const char *path)
{
	const char *slash = strrchr(file, '/');

	if (*path == '/' || !slash)
		return arena_strdup(&config->arena, path);
	return arena_printf(&config->arena, "%.*s/%s", (int)(slash - file), file, path);
}

/* The names that a pattern matches, in alphabetical order. */
static struct name *expand(struct config *config, const struct location *at, const char *pattern)
{
	struct name *names = NULL;
	size_t i;
	int r;

	r = glob(pattern, 0, NULL, &config->found);
	config->has_found = true;
	if (r != 0 && r != GLOB_NOMATCH)
		config_say(config, CONFIG_ERROR, at, "Failed to look for include files '%s'", pattern);
	for (i = r == 0 ? config->found.gl_pathc : 0; i > 0; i--)
		names = tree_name(config, at, arena_strdup(&config->arena, config->found.gl_pathv[i - 1]),
				  names);
	source_dispose(config);
	return names;
}

void source_include(struct config *config, const struct location *at, const char *path)
{
	const char *full = beside(config, at->file, path);
	const struct name *name;

	if (!path[strcspn(path, "*?[")]) {
		read_file(config, at, full);
		return;
	}
	for (name = expand(config, at, full); name; name = name->next)
		read_file(config, at, name->text);
}

void source_first(struct config *config, const char *path)
{
	struct location at = { .file = path, .line = 0 };

	read_file(config, &at, path);
}

void source_dispose(struct config *config)
{
	if (config->has_found)
		globfree(&config->found);
	config->has_found = false;
	close_file(config);
}
