/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * grant.c: grant copies in batches
 *
 * Why copies and not mappings: one copy gives both replicas the same bytes (P3), and no page of the guest is
 * pinned by a slow disk or peer.
 *
 * What a result means:
 *  - Every status is set to an error before the call: a copy may return success without having done anything
 *    (XSA-318), and a call that fails half way leaves the rest untouched.
 *  - When the call itself fails, every copy of that call counts as failed, whatever its status says: Linux
 *    marks a segment as good when it has been accepted, before the hypervisor has copied it.
 *  - GNTST_eagain (a page paged out) has been retried by the kernel already and counts as an error.
 *
 * A segment crosses no page on either side: the guest's by what blkif.c accepts, ours by splitting here.
 * Linux would split the local side itself; other implementations of the call need not.
 */
#include "backend/grant.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <xengnttab.h>

#include "backend/log.h"

struct grant {
	xengnttab_handle *handle;	/* opened with O_CLOEXEC by the library */
	uint32_t domid;
	unsigned int queued;
	struct grant_counters counters;
	bool *failed[GRANT_BATCH_MAX];
	xengnttab_grant_copy_segment_t segment[GRANT_BATCH_MAX];
};

int grant_open(uint32_t domid, struct grant **out)
{
	struct grant *grant = calloc(1, sizeof(*grant));
	int rc;

	if (!grant)
		return -ENOMEM;
	grant->domid = domid;
	grant->handle = xengnttab_open(log_toollog(), 0);
	if (!grant->handle) {
		rc = errno ? -errno : -EIO;
		free(grant);
		return rc;
	}
	*out = grant;
	return 0;
}

void grant_close(struct grant *grant)
{
	if (!grant)
		return;
	assert(!grant->queued);
	xengnttab_close(grant->handle);
	free(grant);
}

void *grant_map(struct grant *grant, const uint32_t *refs, unsigned int count)
{
	uint32_t copy[64];		/* the library's argument is not const */
	void *address;

	assert(count && count <= sizeof(copy) / sizeof(copy[0]));
	memcpy(copy, refs, count * sizeof(copy[0]));
	address = xengnttab_map_domain_grant_refs(grant->handle, count, grant->domid, copy,
						  PROT_READ | PROT_WRITE);
	/* A handler spawned later must not keep a guest's page mapped. The kernel does it by itself for PV;
	 * an error changes nothing for us. */
	if (address)
		(void)madvise(address, (size_t)count * GRANT_PAGE, MADV_DONTFORK);
	return address;
}

void grant_unmap(struct grant *grant, void *address, unsigned int count)
{
	if (address && xengnttab_unmap(grant->handle, address, count))
		log_error(NULL, "domain %u: cannot unmap %u ring pages: %s", grant->domid, count,
			  strerror(errno));
}

/* The next free segment, its status preset. */
static xengnttab_grant_copy_segment_t *segment_new(struct grant *grant, uint32_t len, bool *failed)
{
	xengnttab_grant_copy_segment_t *seg;

	if (grant->queued == GRANT_BATCH_MAX)
		grant_flush(grant);
	seg = &grant->segment[grant->queued];
	memset(seg, 0, sizeof(*seg));
	seg->len = (uint16_t)len;
	seg->status = GNTST_general_error;
	grant->failed[grant->queued++] = failed;
	return seg;
}

static uint32_t to_page_end(const void *local, uint32_t len)
{
	uint32_t room = GRANT_PAGE - (uint32_t)((uintptr_t)local % GRANT_PAGE);

	return len < room ? len : room;
}

void grant_from_guest(struct grant *grant, uint32_t ref, uint32_t offset, void *local, uint32_t len,
		      bool *failed)
{
	xengnttab_grant_copy_segment_t *seg;
	uint8_t *at = local;
	uint32_t part;

	assert(len && offset < GRANT_PAGE && len <= GRANT_PAGE - offset);
	for (; len; len -= part, offset += part, at += part) {
		part = to_page_end(at, len);
		seg = segment_new(grant, part, failed);
		seg->flags = GNTCOPY_source_gref;
		seg->source.foreign.ref = ref;
		seg->source.foreign.offset = (uint16_t)offset;
		seg->source.foreign.domid = (uint16_t)grant->domid;
		seg->dest.virt = at;
	}
}

void grant_to_guest(struct grant *grant, uint32_t ref, uint32_t offset, void *local, uint32_t len,
		    bool *failed)
{
	xengnttab_grant_copy_segment_t *seg;
	uint8_t *at = local;
	uint32_t part;

	assert(len && offset < GRANT_PAGE && len <= GRANT_PAGE - offset);
	for (; len; len -= part, offset += part, at += part) {
		part = to_page_end(at, len);
		seg = segment_new(grant, part, failed);
		seg->flags = GNTCOPY_dest_gref;
		seg->source.virt = at;
		seg->dest.foreign.ref = ref;
		seg->dest.foreign.offset = (uint16_t)offset;
		seg->dest.foreign.domid = (uint16_t)grant->domid;
	}
}

void grant_flush(struct grant *grant)
{
	unsigned int i;
	int r;

	if (!grant->queued)
		return;
	r = xengnttab_grant_copy(grant->handle, grant->queued, grant->segment);
	for (i = 0; i < grant->queued; i++)
		if (r < 0 || grant->segment[i].status != GNTST_okay)
			*grant->failed[i] = true;
	grant->counters.copies += grant->queued;
	grant->counters.batches++;
	grant->queued = 0;
}

void grant_counters(const struct grant *grant, struct grant_counters *out)
{
	*out = grant->counters;
}
