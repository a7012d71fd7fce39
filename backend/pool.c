/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pool.c: a buddy allocator whose bookkeeping lives beside the buffers, never inside them
 *
 * Invariants
 *  1. Every page belongs to exactly one block; a block of order k is 2^k pages and starts at a multiple of
 *     2^k.
 *  2. Only the first page of a block carries its order; `head` of every other page is NOT_A_HEAD.
 *  3. A free block is on the free list of its order and on no other list.
 *  4. Two free buddies of the same order below ORDER_MAX never exist: they have been merged.
 *  5. `free_pages` is the sum of the free blocks.
 *
 * By 4, a pool from which nothing is taken consists of free 1 MiB blocks: one maximal request always fits
 * then. What is in a free buffer may still be read by nobody: under AddressSanitizer free blocks are
 * poisoned.
 */
#include "backend/pool.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define POOL_POISON 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOL_POISON 1
#endif
#endif
#ifdef POOL_POISON
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(addr, size) ((void)(addr), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(addr, size) ((void)(addr), (void)(size))
#endif

#define ORDER_MAX 8u			/* 1 MiB */
#define NIL UINT32_MAX
#define NOT_A_HEAD 0xffu
#define HEAD_FREE 0x80u			/* with the order in the low bits */

struct page {
	uint32_t next, prev;		/* in the free list; valid in the head of a free block */
	uint8_t head;			/* NOT_A_HEAD, or the order, with HEAD_FREE if free */
};

struct pool {
	uint8_t *area;
	uint32_t pages, free_pages;
	uint32_t first[ORDER_MAX + 1];	/* free lists by order */
	struct page page[];
};

static void list_push(struct pool *pool, uint32_t index, unsigned int order)
{
	struct page *p = &pool->page[index];

	p->head = (uint8_t)(HEAD_FREE | order);
	p->prev = NIL;
	p->next = pool->first[order];
	if (p->next != NIL)
		pool->page[p->next].prev = index;
	pool->first[order] = index;
}

static void list_remove(struct pool *pool, uint32_t index, unsigned int order)
{
	struct page *p = &pool->page[index];

	if (p->prev != NIL)
		pool->page[p->prev].next = p->next;
	else
		pool->first[order] = p->next;
	if (p->next != NIL)
		pool->page[p->next].prev = p->prev;
	p->head = NOT_A_HEAD;
}

static uint8_t *page_address(const struct pool *pool, uint32_t index)
{
	return pool->area + (size_t)index * POOL_PAGE;
}

int pool_new(void *area, size_t bytes, struct pool **out)
{
	size_t pages = bytes / POOL_PAGE;
	struct pool *pool;
	uint32_t i;

	if (!area || (uintptr_t)area % POOL_PAGE || !bytes || bytes % POOL_ALLOC_MAX || pages >= NIL)
		return -EINVAL;
	pool = malloc(sizeof(*pool) + pages * sizeof(pool->page[0]));
	if (!pool)
		return -ENOMEM;
	pool->area = area;
	pool->pages = pool->free_pages = (uint32_t)pages;
	for (i = 0; i <= ORDER_MAX; i++)
		pool->first[i] = NIL;
	for (i = 0; i < pool->pages; i++)
		pool->page[i] = (struct page){ .next = NIL, .prev = NIL, .head = NOT_A_HEAD };
	for (i = pool->pages; i; i -= 1u << ORDER_MAX)
		list_push(pool, i - (1u << ORDER_MAX), ORDER_MAX);
	ASAN_POISON_MEMORY_REGION(area, bytes);
	*out = pool;
	return 0;
}

void pool_free(struct pool *pool)
{
	if (!pool)
		return;
	assert(pool->free_pages == pool->pages);
	ASAN_UNPOISON_MEMORY_REGION(pool->area, (size_t)pool->pages * POOL_PAGE);
	free(pool);
}

static unsigned int order_of(size_t bytes)
{
	unsigned int order = 0;

	while (((size_t)POOL_PAGE << order) < bytes)
		order++;
	return order;
}

void *pool_get(struct pool *pool, size_t bytes)
{
	unsigned int order, from;
	uint32_t index;

	if (!bytes || bytes > POOL_ALLOC_MAX)
		return NULL;
	order = order_of(bytes);
	for (from = order; from <= ORDER_MAX && pool->first[from] == NIL; from++)
		;
	if (from > ORDER_MAX)
		return NULL;
	index = pool->first[from];
	list_remove(pool, index, from);
	while (from > order) {		/* keep the lower half, free the upper one */
		from--;
		list_push(pool, index + (1u << from), from);
	}
	pool->page[index].head = (uint8_t)order;
	pool->free_pages -= 1u << order;
	ASAN_UNPOISON_MEMORY_REGION(page_address(pool, index), (size_t)POOL_PAGE << order);
	return page_address(pool, index);
}

/* The page index of a buffer that pool_get() returned and nobody has put back yet. */
static uint32_t taken_index(const struct pool *pool, const void *buffer)
{
	uintptr_t offset = (uintptr_t)buffer - (uintptr_t)pool->area;

	assert((uintptr_t)buffer >= (uintptr_t)pool->area);
	assert(offset < (uintptr_t)pool->pages * POOL_PAGE && offset % POOL_PAGE == 0);
	assert(pool->page[offset / POOL_PAGE].head <= ORDER_MAX);
	return (uint32_t)(offset / POOL_PAGE);
}

void pool_put(struct pool *pool, void *buffer)
{
	unsigned int order;
	uint32_t index, buddy;

	if (!buffer)
		return;
	index = taken_index(pool, buffer);
	order = pool->page[index].head;
	pool->free_pages += 1u << order;
	ASAN_POISON_MEMORY_REGION(buffer, (size_t)POOL_PAGE << order);
	pool->page[index].head = NOT_A_HEAD;
	for (; order < ORDER_MAX; order++) {
		buddy = index ^ (1u << order);
		if (pool->page[buddy].head != (HEAD_FREE | order))
			break;
		list_remove(pool, buddy, order);
		if (buddy < index)
			index = buddy;
	}
	list_push(pool, index, order);
}

size_t pool_free_bytes(const struct pool *pool)
{
	return (size_t)pool->free_pages * POOL_PAGE;
}
