/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * upgrade_check.c: drbdxd --check: could this program go on where the running one is?  Everything that it would read at its start is
 * read, by the same functions, and nothing is written or claimed.
 *
 * What stands in the way only of a resource that nobody uses is in the way of the running program, too, sooner or later, and is not the upgrade's
 * business, unless it is a matter of versions.
 */
#include "backend/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/attachment.h"
#include "backend/inflight.h"
#include "backend/loop.h"
#include "backend/metadata.h"

#define WORDS 600u
#define TRIES 5	/* the running program may be writing the copy that is being read */

struct check {
	FILE *out;
	unsigned int problems;
};

static void problem(struct check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void problem(struct check *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(c->out, fmt, ap);
	va_end(ap);
	fputc('\n', c->out);
	c->problems++;
}

/* ---- disk and metadata ---- */

struct volume {
	int fd;
	uint64_t bytes;
	int block_size;
};

static int open_volume(const char *path, struct volume *v, char *why, size_t why_size)
{
	struct stat st;
	int rc = 0;

	v->block_size = 512;
	v->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (v->fd < 0 || fstat(v->fd, &st))
		rc = -errno;
	else if (S_ISREG(st.st_mode))
		v->bytes = (uint64_t)st.st_size;
	else if (!S_ISBLK(st.st_mode))
		rc = -ENOTBLK;
	else if (ioctl(v->fd, BLKGETSIZE64, &v->bytes) || ioctl(v->fd, BLKSSZGET, &v->block_size))
		rc = -errno;
	if (rc)
		snprintf(why, why_size, "%s: %s", path, strerror(-rc));
	return rc;
}

static int read_superblock(const struct config_host *self, const struct volume *data, const struct volume *meta, struct superblock *sb,
			   char *why, size_t why_size)
{
	struct metadata_geometry g;
	int rc = metadata_geometry(metadata_layout_of(self->meta_index), self->meta_index, meta->bytes, data->bytes,
				   (uint32_t)data->block_size, &g, why, why_size);

	for (int i = 0; !rc && i < TRIES; i++) {
		rc = metadata_read(meta->fd, &g, sb, why, why_size); /* read-only: nothing is healed */
		if (rc != -EBADMSG)
			break;
		rc = i + 1 < TRIES ? 0 : rc;
	}
	return rc;
}

static int look_at_storage(const struct config_resource *res, char *why, size_t why_size)
{
	struct volume data = { .fd = -1 }, meta = { .fd = -1 };
	struct superblock sb;
	int rc = open_volume(res->self->disk, &data, why, why_size);

	if (!rc && res->self->meta_disk)
		rc = open_volume(res->self->meta_disk, &meta, why, why_size);
	if (!rc)
		rc = read_superblock(res->self, &data, res->self->meta_disk ? &meta : &data, &sb, why, why_size);
	if (!rc && strcmp(sb.name, res->name)) {
		snprintf(why, why_size, "its metadata belong to resource %s", sb.name);
		rc = -EINVAL;
	}
	if (data.fd >= 0)
		close(data.fd);
	if (meta.fd >= 0)
		close(meta.fd);
	return rc;
}

/* ---- the guest that would be gone on with ---- */

/* False: nobody is attached, or the record cannot be read, which is said. */
static bool look_at_guest(struct check *c, const struct config_resource *res)
{
	struct attachment_record record;
	char why[WORDS] = "";
	int rc = attachment_look(res->self->minor, &record, why, sizeof(why));

	if (rc == -ENOENT)
		return false;
	if (rc) {
		problem(c, "%s: %s", res->name, why);
		return false;
	}
	if (!record.attached)
		return false;
	if (attachment_needs_table(&record) && inflight_look(res->self->minor, record.others + 1, res->name, record.domid, why, sizeof(why)))
		problem(c, "%s: what its guest waits for could not be told: %s", res->name, why);
	return true;
}

static void check_resource(struct check *c, const struct config_resource *res)
{
	char why[WORDS] = "";
	bool guest;
	int rc;

	if (!res->self)
		return;
	guest = look_at_guest(c, res);
	if (res->refused) {
		if (guest)
			problem(c, "%s, which a guest uses, would not be served: %s", res->name, res->refused);
		return;
	}
	rc = look_at_storage(res, why, sizeof(why));
	if (rc && (guest || rc == -EPROTONOSUPPORT))
		problem(c, "%s: %s", res->name, *why ? why : strerror(-rc));
}

/* ---- everything ---- */

static const struct config_resource *with_minor(const struct config *config, unsigned int minor)
{
	const struct config_resource *all;
	size_t n = config_resources(config, &all);

	for (size_t i = 0; i < n; i++)
		if (all[i].self && all[i].self->minor == minor)
			return &all[i];
	return NULL;
}

/* Guests of resources that the file no longer has. */
static void check_attachments(struct check *c, const struct config *config)
{
	struct attachment_record record;
	char why[WORDS];
	unsigned int minor;
	glob_t found;

	if (glob(ATTACHMENT_PATTERN, 0, NULL, &found))
		return;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		if (sscanf(strrchr(found.gl_pathv[i], '/'), "/minor-%u.", &minor) != 1 || with_minor(config, minor))
			continue;
		if (!attachment_look(minor, &record, why, sizeof(why)) && record.attached)
			problem(c, "domain %u uses the resource with minor %u, which the configuration no longer has", record.domid, minor);
	}
	globfree(&found);
}

static void check_config(struct check *c, const char *path, const char *host)
{
	const struct config_resource *all;
	const struct config_message *m;
	struct config *config = NULL;
	int rc = config_load(path, host, &config);
	size_t n = config ? config_messages(config, &m) : 0;

	if (rc && !n)
		problem(c, "%s: %s", path, strerror(-rc));
	for (size_t i = 0; i < n; i++)
		if (m[i].severity == CONFIG_ERROR && m[i].line)
			problem(c, "%s:%u: %s", m[i].file, m[i].line, m[i].text);
		else if (m[i].severity == CONFIG_ERROR)
			problem(c, "%s: %s", m[i].file, m[i].text);
	if (!rc) {
		check_attachments(c, config);
		n = config_resources(config, &all);
		for (size_t i = 0; i < n; i++)
			check_resource(c, &all[i]);
	}
	config_free(config);
}

unsigned int upgrade_check(const char *config, const char *host, FILE *out)
{
	struct check c = { .out = out };
	struct loop *probe;
	int rc = loop_new(8, NULL, 0, &probe);

	if (rc)
		problem(&c, "%s (%s)", loop_requirement(rc), strerror(-rc));
	else
		loop_free(probe);
	check_config(&c, config, host);
	return c.problems;
}
