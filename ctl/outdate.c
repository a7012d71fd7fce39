/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The verb that a partner's fence-peer runs: outdate. A resource that is up is told by the daemon; of one that is down, or where no
 * daemon runs, the metadata are written here, under the claim that a daemon would need.
 *
 * Its exit statuses are those that fence handlers know of drbdadm: 5 the copy is not even outdated, 17 it is the newest one.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backend/attachment.h"
#include "ctl/volumes.h"

/* A guest whose daemon is being restarted still counts as attached. */
static bool guest_attached(const struct config_resource *res)
{
	struct attachment_record record;

	return !attachment_read(res->self->minor, &record) && record.attached && !record.core.handed_over && !record.core.stale;
}

/* As command.c's outdate_disk(): an exit status, EXIT_DONE: it may be outdated. */
static int judge(const struct config_resource *res, const struct superblock *sb)
{
	if (guest_attached(res) && sb->token != TOKEN_HELD) { /* it has not run here yet: not these data need be the newest */
		ctl_error("%s: a guest is arriving here, and its daemon does not answer: start that (systemctl start drbdxd), and try again", res->name);
		return EXIT_REFUSED;
	}
	if (guest_attached(res) && (!(sb->flags & SB_CONSISTENT) || sb->flags & SB_OUTDATED)) { /* the partner's copy may be the only good one */
		ctl_error("%s: a guest is attached here, without a disk that is up to date, and its daemon does not answer: start that (systemctl start "
			  "drbdxd), or destroy the guest", res->name);
		return EXIT_REFUSED;
	}
	if (guest_attached(res)) {
		ctl_error("%s: a guest is attached here, and its daemon does not answer: start that (systemctl start drbdxd), or destroy the guest", res->name);
		return EXIT_PRIMARY;
	}
	if (sb->flags & SB_PEER_OUTDATED) {
		ctl_error("%s: %s is outdated, or was powered off, so the data that count are here: let the two connect", res->name, res->peer->name);
		return EXIT_PRIMARY;
	}
	if (sb->token == TOKEN_HELD && sb->gen.bitmap) {
		ctl_error("%s: this node has data that %s lacks: it went on alone; let the two connect, and they are copied there", res->name, res->peer->name);
		return EXIT_PRIMARY;
	}
	if (!(sb->flags & SB_CONSISTENT) || sb->flags & SB_JUST_CREATED) {
		ctl_error("%s: the data here are not even outdated, they are inconsistent: nothing is to be done", res->name);
		return EXIT_WORSE;
	}
	return EXIT_DONE;
}

static int outdate_metadata(const struct config_resource *res, const struct volumes *v)
{
	char why[WORDS] = "";
	struct superblock sb;
	int rc = metadata_read(v->meta.fd, &v->geometry, &sb, why, WORDS), status;

	if (!rc && strcmp(sb.name, res->name))
		rc = metadata_of_another(&v->geometry, sb.name, why, WORDS);
	if (rc)
		return volumes_failed(res, rc, why);
	status = judge(res, &sb);
	if (status || sb.flags & SB_OUTDATED)
		return status;
	sb.flags = (sb.flags | SB_OUTDATED) & ~SB_PEER_OUTDATED;
	rc = metadata_write(v->meta.fd, &v->geometry, &sb, why, WORDS);
	return rc ? volumes_failed(res, rc, why) : EXIT_DONE;
}

static int outdate_one(const struct scene *scene, const struct config_resource *res)
{
	char why[WORDS] = "";
	struct volumes v;
	int rc, status;

	if (volumes_up(scene, res->name))
		return ctl_ask_for(scene->ctl, "outdate", res->name);
	rc = volumes_claim(scene, res, &v, why);
	status = rc ? volumes_failed(res, rc, why) : outdate_metadata(res, &v);
	volumes_close(&v);
	if (!status)
		printf("%s: marked as outdated, while it is down\n", res->name);
	return status;
}

int verb_outdate(const struct ctl *ctl)
{
	return volumes_each(ctl, ctl->n_names, outdate_one);
}
