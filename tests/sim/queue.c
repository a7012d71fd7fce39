/* SPDX-License-Identifier: GPL-2.0-or-later */
/* queue.c: random numbers (xoshiro256**, seeded by splitmix64), and the events in the order of virtual
 * time. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/sim.h"

void *sim_memory(size_t count, size_t size)
{
	void *p = calloc(count, size);

	if (!p) {
		fputs("sim: out of memory\n", stderr);
		exit(2);
	}
	return p;
}

/* ---- random numbers ---- */

static uint64_t splitmix(uint64_t *x)
{
	uint64_t z = *x += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

void random_seed(struct random *r, uint64_t seed)
{
	for (int i = 0; i < 4; i++)
		r->s[i] = splitmix(&seed);
}

static uint64_t rotate(uint64_t x, int k)
{
	return x << k | x >> (64 - k);
}

uint64_t random_next(struct random *r)
{
	uint64_t *s = r->s, result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate(s[3], 45);
	return result;
}

uint64_t sim_random(struct sim *s, uint64_t below)
{
	return below ? random_next(s->draw) % below : 0;
}

uint64_t sim_between(struct sim *s, uint64_t low, uint64_t high)
{
	return low + sim_random(s, high - low + 1);
}

bool sim_chance(struct sim *s, unsigned int in1000)
{
	return sim_random(s, 1000) < in1000;
}

uint64_t sim_between_apart(struct sim *s, uint64_t low, uint64_t high)
{
	return low + random_next(&s->apart) % (high - low + 1);
}

bool sim_chance_apart(struct sim *s, unsigned int in1000)
{
	return random_next(&s->apart) % 1000 < in1000;
}

uint64_t sim_between_fencing(struct sim *s, uint64_t low, uint64_t high)
{
	return low + random_next(&s->fencing) % (high - low + 1);
}

bool sim_chance_fencing(struct sim *s, unsigned int in1000)
{
	return random_next(&s->fencing) % 1000 < in1000;
}

uint64_t sim_between_discards(struct sim *s, uint64_t low, uint64_t high)
{
	return low + random_next(&s->discards) % (high - low + 1);
}

bool sim_chance_discards(struct sim *s, unsigned int in1000)
{
	return random_next(&s->discards) % 1000 < in1000;
}

uint64_t sim_between_secure(struct sim *s, uint64_t low, uint64_t high)
{
	return low + random_next(&s->secure) % (high - low + 1);
}

bool sim_chance_secure(struct sim *s, unsigned int in1000)
{
	return random_next(&s->secure) % 1000 < in1000;
}

/* ---- events: a binary heap by (time, order of insertion) ---- */

static bool before(const struct event *a, const struct event *b)
{
	return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void swap(struct event *a, struct event *b)
{
	struct event t = *a;

	*a = *b;
	*b = t;
}

/* The caller fills in a, b, p of the event returned: it is where it belongs already, for these do not move
 * it. */
struct event *sim_at(struct sim *s, uint64_t at, void (*run)(struct sim *, struct event *), struct node *n)
{
	size_t i = s->heap_used++;

	if (s->heap_used > s->heap_room) {
		s->heap_room = s->heap_room ? s->heap_room * 2 : 256;
		s->heap = realloc(s->heap, s->heap_room * sizeof(*s->heap));
		if (!s->heap)
			abort();
	}
	s->heap[i] = (struct event){
		.at = at, .order = s->order++, .run = run, .node = n, .life = n ? n->life : 0
	};
	while (i && before(&s->heap[i], &s->heap[(i - 1) / 2])) {
		swap(&s->heap[i], &s->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	return &s->heap[i];
}

struct event *sim_in(struct sim *s, uint64_t delay, void (*run)(struct sim *, struct event *), struct node *n)
{
	return sim_at(s, s->now + delay, run, n);
}

void sim_mortal(struct event *e)
{
	e->mortal = true;
}

static void sink(struct sim *s)
{
	for (size_t i = 0;;) {
		size_t least = i, l = 2 * i + 1, r = 2 * i + 2;

		if (l < s->heap_used && before(&s->heap[l], &s->heap[least]))
			least = l;
		if (r < s->heap_used && before(&s->heap[r], &s->heap[least]))
			least = r;
		if (least == i)
			return;
		swap(&s->heap[i], &s->heap[least]);
		i = least;
	}
}

/* Runs the next event that is due by `until`; false if there is none. */
bool sim_step(struct sim *s, uint64_t until)
{
	struct event e;

	if (!s->heap_used || s->heap[0].at > until)
		return false;
	e = s->heap[0];
	s->heap[0] = s->heap[--s->heap_used];
	sink(s);
	s->now = e.at;
	s->events++;
	if (!e.mortal || (e.node->life == e.life))
		e.run(s, &e);
	free(e.p);
	if (e.node)
		node_at_rest(e.node);
	return true;
}

void sim_drop_events(struct sim *s)
{
	while (s->heap_used)
		free(s->heap[--s->heap_used].p);
	free(s->heap);
	s->heap = NULL;
	s->heap_room = 0;
}
