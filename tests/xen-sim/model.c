/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a guest knows about its disk; see model.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model.h"

#define MODEL_MAGIC	0x6c65646f6d6b6c62ull
#define STAMP_MAGIC	0x706d617473787264ull

static size_t model_size(uint64_t sectors)
{
	return sizeof(struct model_header) + sectors * 3 * sizeof(uint32_t);
}

static void model_use(struct model *m, void *p, uint64_t sectors)
{
	m->h = p;
	m->floor = (uint32_t *)(m->h + 1);
	m->hi = m->floor + sectors;
	m->discarded = m->hi + sectors;
}

static int model_map(struct model *m, int fd, uint64_t sectors, uint64_t seed, bool fresh)
{
	void *p = mmap(NULL, model_size(sectors), PROT_READ | PROT_WRITE,
		       fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	model_use(m, p, sectors);
	if (fresh) {
		m->h->seed = seed;
		m->h->sectors = sectors;
		m->h->magic = MODEL_MAGIC;
	}
	return 0;
}

int model_open(struct model *m, const char *path, uint64_t sectors, uint64_t seed)
{
	struct model_header h;
	struct stat st;
	int fd, rc = 0;
	bool fresh;

	if (!path)
		return model_map(m, -1, sectors, seed, true);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	fresh = st.st_size == 0;
	if (fresh && ftruncate(fd, (off_t)model_size(sectors)) < 0)
		rc = -errno;
	if (!fresh) {
		if (pread(fd, &h, sizeof(h), 0) != sizeof(h) || h.magic != MODEL_MAGIC ||
		    (sectors && h.sectors > sectors) || (uint64_t)st.st_size != model_size(h.sectors))
			rc = -EPROTO;
	}
	if (rc == 0)
		rc = model_map(m, fd, fresh ? sectors : h.sectors, seed, fresh);
	close(fd);
	return rc == 0 && sectors > m->h->sectors ? model_grow(m, path, sectors) : rc;
}

/* Each array but the first moves behind the longer one before it, the last one first. */
static void stretch(struct model *m, uint64_t old, uint64_t sectors)
{
	for (int i = 2; i >= 0; i--) {
		uint32_t *to = m->floor + i * sectors;

		memmove(to, m->floor + i * old, old * sizeof(*to));
		memset(to + old, 0, (sectors - old) * sizeof(*to));
	}
	model_use(m, m->h, sectors);
	m->h->sectors = sectors;
}

int model_grow(struct model *m, const char *path, uint64_t sectors)
{
	uint64_t old = m->h->sectors;
	struct model_header *before = m->h;
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1, rc;

	if (path && (fd < 0 || ftruncate(fd, (off_t)model_size(sectors)) < 0))
		return -errno;
	rc = model_map(m, fd, sectors, before->seed, false);
	if (fd >= 0)
		close(fd);
	if (rc < 0)
		return rc;
	if (!path)
		memcpy(m->h, before, model_size(old));
	munmap(before, model_size(old));
	stretch(m, old, sectors);
	return 0;
}

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

void sector_fill(uint8_t *buf, uint64_t seed, uint64_t sector, uint64_t seq)
{
	uint64_t w[SECTOR / 8] = { STAMP_MAGIC, seed, sector, seq };
	uint64_t x = mix(seed ^ mix(sector ^ mix(seq)));

	for (unsigned i = 4; i < SECTOR / 8; i++)
		w[i] = x = x * 6364136223846793005ull + 1442695040888963407ull;
	memcpy(buf, w, SECTOR);
}

int64_t sector_seq(const uint8_t *buf, uint64_t seed, uint64_t sector)
{
	static const uint8_t zero[SECTOR];
	uint8_t want[SECTOR];
	uint64_t w[4];

	memcpy(w, buf, sizeof(w));
	if (w[0] != STAMP_MAGIC)
		return memcmp(buf, zero, SECTOR) ? -1 : 0;
	if (w[1] != seed || w[2] != sector || w[3] == 0)
		return -1;
	sector_fill(want, seed, sector, w[3]);
	return memcmp(buf, want, SECTOR) ? -1 : (int64_t)w[3];
}

/* The number of the write, or of the newest discard, that this is from. */
static int64_t seen(const struct model *m, uint64_t sector, const uint8_t *buf)
{
	int64_t seq = sector_seq(buf, m->h->seed, sector);

	return seq ? seq : m->discarded[sector];
}

const char *model_check(const struct model *m, uint64_t sector, const uint8_t *buf, uint32_t floor)
{
	int64_t seq = seen(m, sector, buf);

	if (seq < 0)
		return "not what any write put there";
	if (seq < floor)
		return "older than the last acknowledged write";
	if (seq > m->hi[sector])
		return "from a write that was not issued";
	return NULL;
}

void model_settle(struct model *m, uint64_t sector, const uint8_t *buf)
{
	int64_t seq = seen(m, sector, buf);

	if (seq >= 0)
		m->floor[sector] = m->hi[sector] = (uint32_t)seq;
}
