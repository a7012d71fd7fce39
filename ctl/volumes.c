/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * volumes.c: opens what the verbs work on that need no daemon; and the one that only looks: check.
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

#include "ctl/call.h"
#include "ctl/volumes.h"

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

/* ---- what runs ---- */

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

bool volumes_up(const struct scene *scene, const char *name)
{
	const json_t *r;
	size_t i;

	json_array_foreach(json_object_get(scene->status, "resources"), i, r) {
		const char *other = json_string_value(json_object_get(r, "name"));

		if (other && !strcmp(other, name))
			return json_is_true(json_object_get(r, "up"));
	}
	return false;
}

/* Does a running resource keep another slot of this metadata volume? Then its exclusive claim is no
 * stranger's. */
static bool shared_with_running(const struct scene *scene, const char *meta_disk)
{
	const struct config_resource *list;
	size_t n = config_resources(scene->config, &list);

	for (size_t i = 0; i < n; i++)
		if (list[i].self && list[i].self->meta_disk && !strcmp(list[i].self->meta_disk, meta_disk) &&
		    volumes_up(scene, list[i].name))
			return true;
	return false;
}

/* ---- opening ---- */

/* Opens the metadata volume, exclusively unless a running resource keeps it for another slot. */
static int claim_metadata(const struct scene *scene, const char *path, struct claim *claim, char *why)
{
	int rc = claim_open(path, true, claim, why, WORDS);

	if (rc != -EBUSY || !shared_with_running(scene, path))
		return rc;
	claim->fd = open(path, O_RDWR | O_CLOEXEC);
	if (claim->fd < 0) {
		snprintf(why, WORDS, "%s: %s", path, strerror(errno));
		return -errno;
	}
	claim->bytes = ctl_volume_bytes(claim->fd);
	return 0;
}

static int look_at(const char *path, struct claim *c, char *why)
{
	int block_size = 512;

	c->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (c->fd < 0) {
		snprintf(why, WORDS, "%s: %s: create or activate it (vgchange -ay), or correct the configuration", path, strerror(errno));
		return -errno;
	}
	if (!is_volume(c->fd)) {
		snprintf(why, WORDS, "%s is neither a block device nor a regular file: correct the configuration", path);
		return -ENOTBLK;
	}
	if (ioctl(c->fd, BLKSSZGET, &block_size))
		block_size = 512; /* a file */
	c->bytes = ctl_volume_bytes(c->fd);
	c->block_size = (uint32_t)block_size;
	return 0;
}

/* The metadata of a disk that is open. */
static int locate(const struct config_host *self, struct volumes *v, char *why)
{
	uint64_t sectors = v->data.bytes / v->data.block_size * (v->data.block_size / 512);
	int rc = metadata_geometry(metadata_layout_of(self->meta_index), self->meta_index, v->meta.bytes,
				   v->data.bytes, v->data.block_size, &v->geometry, why, WORDS);

	v->sectors = sectors < v->geometry.data_sectors_max ? sectors : v->geometry.data_sectors_max;
	return rc;
}

static void begin(struct volumes *v, const struct config_resource *res, bool looking)
{
	*v = (struct volumes){ .data.fd = -1,
			       .meta.fd = -1,
			       .looking = looking,
			       .internal = res->self->meta_index == CONFIG_META_INTERNAL };
}

int volumes_claim(const struct scene *scene, const struct config_resource *res, struct volumes *v, char *why)
{
	int rc;

	begin(v, res, false);
	rc = claim_open(res->self->disk, false, &v->data, why, WORDS);
	if (!rc && v->internal)
		v->meta = v->data;
	else if (!rc)
		rc = claim_metadata(scene, res->self->meta_disk, &v->meta, why);
	return rc ? rc : locate(res->self, v, why);
}

int volumes_look(const struct config_resource *res, struct volumes *v, char *why)
{
	int rc;

	begin(v, res, true);
	rc = look_at(res->self->disk, &v->data, why);
	if (!rc && v->internal)
		v->meta = v->data;
	else if (!rc)
		rc = look_at(res->self->meta_disk, &v->meta, why);
	return rc ? rc : locate(res->self, v, why);
}

static void close_one(struct claim *c, bool looking)
{
	if (looking && c->fd >= 0)
		close(c->fd);
	else if (!looking)
		claim_close(c);
}

void volumes_close(struct volumes *v)
{
	if (!v->internal)
		close_one(&v->meta, v->looking);
	close_one(&v->data, v->looking);
	v->data.fd = v->meta.fd = -1;
}

const char *volumes_place(const struct volumes *v, const struct config_resource *res, char *words,
			  size_t size)
{
	switch (v->geometry.layout) {
	case METADATA_INDEXED:
		snprintf(words, size, "%s of %s", v->geometry.place, res->self->meta_disk);
		break;
	case METADATA_FLEXIBLE:
		snprintf(words, size, "%s", res->self->meta_disk);
		break;
	case METADATA_INTERNAL:
		snprintf(words, size, "the end of %s", res->self->disk);
		break;
	}
	return words;
}

int volumes_failed(const struct config_resource *res, int rc, const char *why)
{
	ctl_error("%s: %s%s", res->name, *why ? why : strerror(-rc),
		  rc == -EEXIST ? "; --force overrides this" : "");
	switch (rc) {
	case -EBUSY:
	case -EEXIST:
	case -EINVAL:
	case -ENOSPC:
	case -EFBIG:
	case -ENODATA:
	case -EBADMSG:
	case -EPROTONOSUPPORT:
		return EXIT_REFUSED;
	}
	return EXIT_FAILED;
}

/* ---- every resource that is named ---- */

typedef int one_fn(const struct scene *scene, const struct config_resource *res);

static int try_one(const struct scene *scene, const struct config_resource *res, one_fn *one)
{
	if (!res->refused && res->self)
		return one(scene, res);
	ctl_error("%s: %s", res->name, res->refused ? res->refused : "it has no section for this host ('on HOST')");
	return EXIT_CONFIG;
}

static int try_named(const struct scene *scene, const char *name, one_fn *one)
{
	const struct config_resource *res = config_find(scene->config, name);

	if (res)
		return try_one(scene, res, one);
	ctl_error("no resource '%s' is configured on this host: 'backend-ctl check' lists those that are", name);
	return EXIT_CONFIG;
}

/* Most often a host name that is written otherwise. */
static void no_section(char *words, const char *path)
{
	struct utsname uts;

	uname(&uts);
	snprintf(words, WORDS, "%s: no resource has a section for this host: 'on %s' is looked for (uname -n)", path, uts.nodename);
}

static int try_all(const struct scene *scene, one_fn *one)
{
	const struct config_resource *list;
	size_t n = config_resources(scene->config, &list);
	int worst = EXIT_DONE, r;
	char words[WORDS];

	if (!n) {
		no_section(words, scene->ctl->config_path);
		ctl_error("%s", words);
		return EXIT_CONFIG;
	}
	for (size_t i = 0; i < n; i++) {
		r = try_one(scene, &list[i], one);
		worst = worst ? worst : r;
	}
	return worst;
}

int volumes_each(const struct ctl *ctl, size_t names, one_fn *one)
{
	struct config *config = NULL;
	struct scene scene = { .ctl = ctl };
	json_t *status = NULL;
	int worst = ctl_config(ctl, CONFIG_ERROR, &config), r;

	if (!worst) {
		scene.config = config;
		scene.status = status = running(ctl);
		if (ctl_all(ctl))
			worst = try_all(&scene, one);
		else
			for (size_t i = 0; i < names; i++) {
				r = try_named(&scene, ctl->names[i], one);
				worst = worst ? worst : r;
			}
	}
	json_decref(status);
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

static void describe_metadata(const struct config_resource *res, const struct volumes *v)
{
	char why[WORDS] = "", words[2 * WORDS], place[WORDS];
	struct superblock sb;
	int rc = metadata_read(v->meta.fd, &v->geometry, &sb, why, sizeof(why));

	if (rc) {
		snprintf(words, sizeof(words), "no metadata yet (%s)", *why ? why : strerror(-rc));
		complain(res, "note: ", words);
	} else if (strcmp(sb.name, res->name)) {
		snprintf(words, sizeof(words), "%s belongs to the resource '%s': correct meta-disk",
			 volumes_place(v, res, place, sizeof(place)), sb.name);
		complain(res, "warning: ", words);
	}
}

/* The disk itself has been looked at. */
static unsigned int check_metadata(const struct config_resource *res)
{
	char why[WORDS] = "", words[2 * WORDS] = "";
	struct volumes v;
	int rc = volumes_look(res, &v, why);

	if (rc) {
		snprintf(words, sizeof(words), "meta-disk %s: %s",
			 res->self->meta_disk ? res->self->meta_disk : "internal", why);
		complain(res, "", words);
	} else {
		describe_metadata(res, &v);
	}
	volumes_close(&v);
	return rc != 0;
}

/* The program of a handler's command line, if that begins with an absolute path that the shell takes as it stands. */
static bool handler_program(const char *command, char *out, size_t size)
{
	size_t n = strcspn(command, " \t");

	if (*command != '/' || n >= size || strcspn(command, "\"'`$\\;&|<>(){}[]*?~#") < n)
		return false;
	memcpy(out, command, n);
	out[n] = '\0';
	return true;
}

/* What was said of an earlier resource, which has it from the same `common`. */
static bool said_before(const struct config_resource *list, const struct config_resource *res, unsigned int handler)
{
	for (; list < res; list++)
		if (!list->refused && list->handlers[handler] && !strcmp(list->handlers[handler], res->handlers[handler]))
			return true;
	return false;
}

/* Otherwise it is found out when the handler is needed. */
static void check_handlers(const struct config_resource *list, const struct config_resource *res)
{
	char program[WORDS], words[2 * WORDS];
	struct stat st;

	for (unsigned int i = 0; i < CONFIG_HANDLER_COUNT; i++) {
		const char *problem = NULL;

		if (!res->handlers[i] || !handler_program(res->handlers[i], program, sizeof(program)) || said_before(list, res, i))
			continue;
		if (stat(program, &st) || (S_ISREG(st.st_mode) && access(program, X_OK)))
			problem = strerror(errno);
		else if (!S_ISREG(st.st_mode))
			problem = "it is no file";
		if (!problem)
			continue;
		snprintf(words, sizeof(words), "handler %s cannot be run: %s: %s: install it, or correct the line", config_handler_name(i), program,
			 problem);
		complain(res, "warning: ", words);
	}
}

static unsigned int check_one(const struct config_resource *list, const struct config_resource *res)
{
	unsigned int problems;
	char slot[16] = "";
	uint64_t bytes;

	if (res->refused) {
		fprintf(stderr, "resource %s is not served: %s\n", res->name, res->refused);
		return 1;
	}
	check_handlers(list, res);
	problems = check_data(res, &bytes);
	if (!problems)
		problems = check_metadata(res);
	if (res->self->meta_index >= 0)
		snprintf(slot, sizeof(slot), "[%d]", res->self->meta_index);
	printf("%s: minor %u, disk %s (%" PRIu64 " MiB), metadata %s%s, partner %s\n", res->name,
	       res->self->minor, res->self->disk, bytes >> 20,
	       res->self->meta_disk ? res->self->meta_disk : "internal", slot, res->peer->name);
	return problems;
}

static int check_resources(const struct config *config, const char *path)
{
	const struct config_resource *list;
	size_t n = config_resources(config, &list);
	unsigned int problems = 0;
	char words[WORDS];

	for (size_t i = 0; i < n; i++)
		problems += check_one(list, &list[i]);
	if (!n) {
		no_section(words, path);
		puts(words);
	} else if (problems) {
		printf("%s: %zu resource%s, %u problem%s\n", path, n, n == 1 ? "" : "s", problems,
		       problems == 1 ? "" : "s");
	} else {
		printf("%s: %zu resource%s, no problem\n", path, n, n == 1 ? "" : "s");
	}
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
