/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a guest knows about its disk. Every 512-byte sector that it writes says which write it belongs to:
 * seed, sector, sequence number, and filler that follows from these. Sequence numbers grow over the whole
 * disk.
 *
 * For each sector the model keeps the newest write issued (hi) and the oldest that may still be seen (floor):
 *  - a write that is acknowledged makes all older ones impossible, except those that were under way together
 * with it;
 *  - a write without an answer may be seen or not, until a later read has seen it or not (model_settle).
 * A discard is a write of zeroes with a number of its own: the newest one is kept, for zeroes do not say which one they are from.
 * It can live in a file, so that another process, on another host, can verify what this one wrote.
 */
#ifndef TESTS_XEN_SIM_MODEL_H
#define TESTS_XEN_SIM_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SECTOR 512u

struct model_header {
	uint64_t magic, seed, sectors;
	uint64_t next_seq;
};

struct model {
	struct model_header *h;
	uint32_t *floor, *hi, *discarded;	/* by sector */
};

/*
 * path NULL: in memory only. sectors 0: as in the file. 0 or a negative errno (-EPROTO: a file of another
 * disk).
 */
int model_open(struct model *m, const char *path, uint64_t sectors, uint64_t seed);
/* The disk is larger: nothing was written to what is new. model_open() does that with a file that is smaller than the disk. */
int model_grow(struct model *m, const char *path, uint64_t sectors);

void sector_fill(uint8_t *buf, uint64_t seed, uint64_t sector, uint64_t seq);

/* The sequence number that a sector carries, 0 if it is all zeroes; -1 if it is neither. */
int64_t sector_seq(const uint8_t *buf, uint64_t seed, uint64_t sector);

/*
 * May this content be read there? floor: what model->floor was when the read was issued. A reason, or NULL if
 * it may.
 */
const char *model_check(const struct model *m, uint64_t sector, const uint8_t *buf, uint32_t floor);

/* Nothing is under way and this was read: nothing else may be read from now on. */
void model_settle(struct model *m, uint64_t sector, const uint8_t *buf);

#endif
