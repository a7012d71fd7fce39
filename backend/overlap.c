/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * overlap.c: an interval tree: a red-black tree ordered by (sector, id) in which every node
 * knows the highest end of its subtree.
 *
 * Invariant: req->overlap_end == max(end of req, overlap_end of its children).  The tree macros call
 * RB_AUGMENT where they move nodes; before an insertion and after a removal the path to the root is brought up to date here.
 */
#include "backend/overlap.h"

#include <stddef.h>

static uint64_t end_of(const struct request *req)
{
	return req->sector + req->sectors;
}

static void recompute(struct request *req)
{
	const struct request *left = req->overlap.rbe_left, *right = req->overlap.rbe_right;
	uint64_t end = end_of(req);

	if (left && left->overlap_end > end)
		end = left->overlap_end;
	if (right && right->overlap_end > end)
		end = right->overlap_end;
	req->overlap_end = end;
}

static int compare(const struct request *a, const struct request *b)
{
	if (a->sector != b->sector)
		return a->sector < b->sector ? -1 : 1;
	return a->id < b->id ? -1 : a->id > b->id;
}

#undef RB_AUGMENT
#define RB_AUGMENT(req) recompute(req)
RB_GENERATE_INTERNAL(overlap_tree, request, overlap, compare, static __attribute__((unused)))

static void recompute_to_root(struct request *req)
{
	for (; req; req = RB_PARENT(req, overlap))
		recompute(req);
}

void overlap_init(struct overlap_tree *tree)
{
	RB_INIT(tree);
}

/* The ends are right before the tree is balanced, on the way down: balancing recomputes the nodes that it moves, from their children. */
void overlap_insert(struct overlap_tree *tree, struct request *req)
{
	struct request *parent = NULL, **link = &RB_ROOT(tree);

	req->overlap_end = end_of(req);
	while (*link) {
		parent = *link;
		if (parent->overlap_end < req->overlap_end)
			parent->overlap_end = req->overlap_end;
		link = compare(req, parent) < 0 ? &RB_LEFT(parent, overlap) : &RB_RIGHT(parent, overlap);
	}
	RB_SET(req, parent, overlap);
	*link = req;
	overlap_tree_RB_INSERT_COLOR(tree, req);
}

void overlap_remove(struct overlap_tree *tree, struct request *req)
{
	/* The lowest node whose subtree changes is the parent of the node that is unlinked:
	 * req itself, or its successor when req has two children. */
	struct request *unlinked = req, *lowest;

	if (RB_LEFT(req, overlap) && RB_RIGHT(req, overlap))
		unlinked = RB_NEXT(overlap_tree, tree, req);
	lowest = RB_PARENT(unlinked, overlap);
	if (lowest == req)
		lowest = unlinked;
	RB_REMOVE(overlap_tree, tree, req);
	recompute_to_root(lowest);
}

/* The leftmost request of the subtree that overlaps [start, end). */
static struct request *leftmost(struct request *req, uint64_t start, uint64_t end)
{
	while (req && req->overlap_end > start) {
		struct request *left = RB_LEFT(req, overlap);

		if (left && left->overlap_end > start) {
			/* if nothing there begins before `end`, neither does anything right of it */
			req = left;
			continue;
		}
		if (req->sector >= end)
			return NULL;
		if (end_of(req) > start)
			return req;
		req = RB_RIGHT(req, overlap);
	}
	return NULL;
}

struct request *overlap_next(struct overlap_tree *tree, struct request *after, uint64_t sector,
			     uint32_t sectors)
{
	uint64_t end = sector + sectors;
	struct request *req = after, *found;

	if (!req)
		return leftmost(RB_ROOT(tree), sector, end);
	for (;;) {
		struct request *child;

		found = leftmost(RB_RIGHT(req, overlap), sector, end);
		if (found)
			return found;
		do { /* up to the first ancestor of which this was the left subtree */
			child = req;
			req = RB_PARENT(req, overlap);
			if (!req)
				return NULL;
		} while (RB_RIGHT(req, overlap) == child);
		if (req->sector >= end)
			return NULL;
		if (end_of(req) > sector)
			return req;
	}
}
