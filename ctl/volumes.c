/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The verbs that look at the configuration and the volumes themselves: create-md and check.  Both work
 * without the daemon.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "backend/claim.h"
#include "backend/metadata.h"
#include "ctl/call.h"
#include "ctl/ctl.h"

#define WORDS 512u

int ctl_config(const struct ctl *ctl, enum config_severity least, struct config **out)
{
	const struct config_message *messages;
	struct utsname uts;
	size_t n;
	int rc;

	uname(&uts);
	rc = config_load(ctl->config_path, uts.nodename, out);
	if (!*out) {
		ctl_error("%s: %s", ctl->config_path, strerror(-rc));
		return EXIT_FAILED;
	}
	n = config_messages(*out, &messages);
	for (size_t i = 0; i < n; i++)
		if (messages[i].severity >= least)
			config_message_print(stderr, &messages[i]);
	return rc ? EXIT_CONFIG : EXIT_DONE;
}

uint64_t ctl_volume_bytes(int fd)
{
	uint64_t bytes = 0;
	struct stat st;

	if (fstat(fd, &st))
		return 0;
	if (S_ISREG(st.st_mode))
		return (uint64_t)st.st_size;
	if (S_ISBLK(st.st_mode) && ioctl(fd, BLKGETSIZE64, &bytes))
		return 0;
	return bytes;
}

static bool is_volume(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode));
}

/* ---- create-md ---- */

/* What runs now, asked without a word on stderr: a daemon that is not there is fine. NULL: none answers. */
static json_t *running(const struct ctl *ctl)
{
	char why[WORDS];
	json_t *reply = NULL;
	int fd = call_open(ctl->socket_path, ctl->deadline_ms, why, sizeof(why));

	if (fd < 0)
		return NULL;
	if (!call_request(fd, json_pack("{s:s}", "verb", "status"), ctl->deadline_ms, &reply, why,
			  sizeof(why)))
		reply = json_is_true(json_object_get(reply, "ok")) ? reply : NULL;
	close(fd);
	return reply;
}

static bool is_up(const json_t *status, const char *name)
{
	const json_t *r;
	size_t i;

	json_array_foreach(json_object_get(status, "resources"), i, r) {
		const char *other = json_string_value(json_object_get(r, "name"));

		if (other && !strcmp(other, name))
			return json_is_true(json_object_get(r, "up"));
	}
	return false;
}

/* Does a running resource keep another slot of this metadata volume? Then its exclusive claim is no
 * stranger's. */
static bool shared_with_running(const struct config *config, const json_t *status, const char *meta_disk)
{
	const struct config_resource *list;
	size_t n = config_resources(config, &list);

	for (size_t i = 0; i < n; i++)
		if (list[i].self && list[i].self->meta_disk && !strcmp(list[i].self->meta_disk, meta_disk) &&
		    is_up(status, list[i].name))
			return true;
	return false;
}

/* Opens the metadata volume, exclusively unless a running resource keeps it for another slot. */
static int open_metadata(const struct config *config, const json_t *status, const char *path,
			 struct claim *claim, char *why, size_t why_size)
{
	int rc = claim_open(path, true, claim, why, why_size);

	if (rc != -EBUSY || !shared_with_running(config, status, path))
		return rc;
	claim->fd = open(path, O_RDWR | O_CLOEXEC);
	if (claim->fd >= 0)
		return 0;
	snprintf(why, why_size, "%s: %s", path, strerror(errno));
	return -errno;
}

/* Words, or NULL if the slot lies inside the volume. */
static const char *slot_problem(int fd, const struct config_host *self, char *words, size_t size)
{
	uint64_t need = ((uint64_t)self->meta_index + 1) * METADATA_SLOT_BYTES, have = ctl_volume_bytes(fd);

	if (have >= need)
		return NULL;
	snprintf(words, size, "slot [%d] needs %" PRIu64 " MiB in %s, which has %" PRIu64 " MiB",
		 self->meta_index, need >> 20, self->meta_disk, have >> 20);
	return words;
}

static int write_metadata(const struct ctl *ctl, const struct config *config, const json_t *status,
			  const struct config_resource *res, char *why)
{
	struct claim data = { .fd = -1 }, meta = { .fd = -1 };
	const struct config_host *self = res->self;
	int rc;

	/* nobody may have it; its content is not touched */
	rc = claim_open(self->disk, false, &data, why, WORDS);
	if (!rc)
		rc = open_metadata(config, status, self->meta_disk, &meta, why, WORDS);
	if (!rc)
		rc = metadata_create(meta.fd, self->meta_index, res->name, ctl->assume_clean, ctl->force, why,
				     WORDS);
	claim_close(&meta);
	claim_close(&data);
	return rc;
}

static int create_one(const struct ctl *ctl, const struct config *config, const json_t *status,
		      const struct config_resource *res)
{
	const struct config_host *self = res->self;
	char why[WORDS] = "";
	int rc;

	if (res->refused || !self || self->meta_index < 0 || !self->meta_disk) {
		ctl_error("%s: %s", res->name,
			  res->refused ? res->refused
				       : "only an external slot, meta-disk DEVICE[N], is supported");
		return EXIT_CONFIG;
	}
	if (is_up(status, res->name)) {
		ctl_error("%s: it is up; take it down first: backend-ctl down %s", res->name, res->name);
		return EXIT_REFUSED;
	}
	rc = write_metadata(ctl, config, status, res, why);
	if (rc) {
		ctl_error("%s: %s", res->name, *why ? why : strerror(-rc));
		return rc == -EBUSY || rc == -EINVAL || rc == -ENOSPC ? EXIT_REFUSED : EXIT_FAILED;
	}
	printf("%s: metadata written to %s[%d]\n", res->name, self->meta_disk, self->meta_index);
	return EXIT_DONE;
}

static int create_named(const struct ctl *ctl, const struct config *config, const json_t *status,
			const char *name)
{
	const struct config_resource *res = config_find(config, name);

	if (res)
		return create_one(ctl, config, status, res);
	ctl_error("no resource '%s' is configured on this host", name);
	return EXIT_CONFIG;
}

static int create_wanted(const struct ctl *ctl, const struct config *config, const json_t *status)
{
	const struct config_resource *list;
	size_t n = config_resources(config, &list);
	int worst = EXIT_DONE, r;

	if (!ctl_all(ctl)) {
		for (size_t i = 0; i < ctl->n_names; i++) {
			r = create_named(ctl, config, status, ctl->names[i]);
			worst = worst ? worst : r;
		}
		return worst;
	}
	for (size_t i = 0; i < n; i++) {
		r = create_one(ctl, config, status, &list[i]);
		worst = worst ? worst : r;
	}
	return worst;
}

int verb_create_md(const struct ctl *ctl)
{
	struct config *config = NULL;
	json_t *status;
	int worst;

	if (!ctl->assume_clean) {
		ctl_error("nothing was written. This version has no resynchronisation yet, so a pair can "
			  "only begin with two volumes that are\n"
			  "identical, byte for byte. Make them so (on both hosts `dd if=/dev/zero "
			  "of=VOLUME`, or copy one over the other while\n"
			  "neither is in use), then run on both hosts:\n"
			  "    backend-ctl create-md --assume-clean %s",
			  ctl->n_names == 1 ? ctl->names[0] : "RESOURCE…");
		return EXIT_REFUSED;
	}
	worst = ctl_config(ctl, CONFIG_ERROR, &config);
	if (!worst) {
		status = running(ctl);
		worst = create_wanted(ctl, config, status);
		json_decref(status);
	}
	config_free(config);
	return worst;
}

/* ---- check ---- */

static void complain(const struct config_resource *res, const char *kind, const char *words)
{
	fprintf(stderr, "%s:%u: %sresource %s: %s\n", res->file, res->line, kind, res->name, words);
}

/* 1 for a problem that was printed, 0 otherwise. */
static unsigned int check_data(const struct config_resource *res, uint64_t *bytes)
{
	int fd = open(res->self->disk, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char words[WORDS] = "";

	*bytes = 0;
	if (fd < 0)
		snprintf(words, sizeof(words), "disk %s: %s", res->self->disk, strerror(errno));
	else if (!is_volume(fd))
		snprintf(words, sizeof(words), "disk %s is neither a block device nor a regular file",
			 res->self->disk);
	else if ((*bytes = ctl_volume_bytes(fd)) < 4096)
		snprintf(words, sizeof(words), "disk %s has only %" PRIu64 " bytes", res->self->disk, *bytes);
	if (fd >= 0)
		close(fd);
	if (*words)
		complain(res, "", words);
	return *words != 0;
}

static void describe_metadata(const struct config_resource *res, int fd)
{
	char why[WORDS] = "", words[2 * WORDS];
	struct superblock sb;
	int rc = metadata_read(fd, res->self->meta_index, &sb, why, sizeof(why));

	if (rc) {
		snprintf(words, sizeof(words), "no metadata yet (%s); see create-md",
			 *why ? why : strerror(-rc));
		complain(res, "note: ", words);
	} else if (strcmp(sb.name, res->name)) {
		snprintf(words, sizeof(words), "%s[%d] belongs to the resource '%s'", res->self->meta_disk,
			 res->self->meta_index, sb.name);
		complain(res, "warning: ", words);
	}
}

static unsigned int check_metadata(const struct config_resource *res)
{
	const struct config_host *self = res->self;
	char words[WORDS] = "";
	int fd;

	if (self->meta_index < 0 || !self->meta_disk) {
		complain(res, "", "only an external slot, meta-disk DEVICE[N], is supported");
		return 1;
	}
	fd = open(self->meta_disk, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		snprintf(words, sizeof(words), "meta-disk %s: %s", self->meta_disk, strerror(errno));
	else if (!is_volume(fd))
		snprintf(words, sizeof(words), "meta-disk %s is neither a block device nor a regular file",
			 self->meta_disk);
	else
		slot_problem(fd, self, words, sizeof(words));
	if (*words)
		complain(res, "", words);
	else
		describe_metadata(res, fd);
	if (fd >= 0)
		close(fd);
	return *words != 0;
}

static unsigned int check_one(const struct config_resource *res)
{
	unsigned int problems;
	uint64_t bytes;

	if (res->refused) {
		fprintf(stderr, "resource %s is not served: %s\n", res->name, res->refused);
		return 1;
	}
	problems = check_data(res, &bytes) + check_metadata(res);
	printf("%s: minor %u, disk %s (%" PRIu64 " MiB), metadata %s[%d], partner %s\n", res->name,
	       res->self->minor, res->self->disk, bytes >> 20,
	       res->self->meta_disk ? res->self->meta_disk : "internal", res->self->meta_index,
	       res->peer->name);
	return problems;
}

static int check_resources(const struct config *config, const char *path)
{
	const struct config_resource *list;
	size_t n = config_resources(config, &list);
	unsigned int problems = 0;

	for (size_t i = 0; i < n; i++)
		problems += check_one(&list[i]);
	if (!n)
		printf("%s: no resource has a section for this host\n", path);
	else if (problems)
		printf("%s: %zu resource%s, %u problem%s\n", path, n, n == 1 ? "" : "s", problems,
		       problems == 1 ? "" : "s");
	else
		printf("%s: %zu resource%s, no problem\n", path, n, n == 1 ? "" : "s");
	return problems ? EXIT_CONFIG : EXIT_DONE;
}

int verb_check(const struct ctl *ctl)
{
	struct ctl with_file = *ctl;
	struct config *config = NULL;
	int status;

	if (ctl->n_names)
		with_file.config_path = ctl->names[0];
	status = ctl_config(&with_file, CONFIG_NOTE, &config);
	if (!status)
		status = check_resources(config, with_file.config_path);
	config_free(config);
	return status;
}
