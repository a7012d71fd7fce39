/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * overlap.h: which requests in flight touch these sectors?  An interval tree over `struct
 * request` (its `overlap` and `overlap_end` members).
 *
 * Insert, remove and each step of a search cost O(log n) in the number of requests in flight.
 */
#ifndef DRBDX_BACKEND_OVERLAP_H
#define DRBDX_BACKEND_OVERLAP_H

#include <stdint.h>

#include "backend/request.h"

RB_HEAD(overlap_tree, request);

void overlap_init(struct overlap_tree *tree);
/* req->sector, sectors (> 0) and id must not change while it is in */
void overlap_insert(struct overlap_tree *tree, struct request *req);
void overlap_remove(struct overlap_tree *tree, struct request *req);

/* The first request, in order of (sector, id), that shares a sector with [sector, sector +
 * sectors); NULL if none. `after`: the one found before, or NULL. */
struct request *overlap_next(struct overlap_tree *tree, struct request *after, uint64_t sector,
			     uint32_t sectors);

#endif
