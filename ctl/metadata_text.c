/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * metadata_text.c: metadata as text. One table of numbers drives printing and parsing, so that what is
 * printed can be read.
 *
 * The text is lines: "key value;", "section {", "}", and comments after '#'. Each key stands once. "end;" is
 * the last line, so that a text cut short is noticed.
 */
#include "ctl/metadata_text.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define HEADER	      "version \"drbdx-2\""
#define BLOCK_SECTORS BITMAP_BLOCK_SECTORS
#define KEY_MAX	      32u

const struct text_flag text_flags[] = {
	{ SB_JUST_CREATED, "just-created", "the two nodes have never met", "the two nodes have met" },
	{ SB_CONSISTENT, "consistent", "the data are usable as a whole",
	  "the data are usable only after a resync" },
	{ SB_IN_USE, "in-use", "a guest is attached, or this host died while one was",
	  "no guest is attached" },
	{ SB_CRASHED, "crashed",
	  "this host died while a guest was attached, and has not met its partner since",
	  "this host has not died with a guest" },
	{ SB_OUTDATED, "outdated", "the partner has newer data", "no newer data are known of" },
	{ SB_BITMAP_SUMMED, "bitmap-summed", "the bitmap on disk is as its sum says",
	  "the bitmap is being changed" },
	{ SB_FORCED, "forced", "the present epoch was forced by a person, or by on-wfc-timeout (forced-by-wait)",
	  "the present epoch was not forced" },
	{ SB_PEER_OUTDATED, "peer-outdated", "the partner was outdated or powered off since the two met, or left in good order",
	  "the partner was not fenced since the two met" },
	{ SB_MIXED, "mixed", "a person said that the data count when they were a mixture of old and new",
	  "no mixture of old and new was declared usable" },
	{ SB_FORCED_BY_WAIT, "forced-by-wait", "the present epoch was forced by on-wfc-timeout",
	  "the present epoch was not forced by on-wfc-timeout" },
	{ 0, NULL, NULL, NULL },
};

/* ---- the numbers ---- */

enum section { TOP, GENERATIONS, AGREED, LOG, BITMAP, SECTIONS };
static const char *const section_names[SECTIONS] = { "", "generations", "agreed", "activity-log", "bitmap" };

static const struct number {
	enum section section;
	const char *key;
	size_t offset, size; /* in struct metadata_text */
	bool hex;
} numbers[] = {
#define N(section, key, field, hex)                                     \
	{                                                               \
		section, key, offsetof(struct metadata_text, field),    \
			sizeof(((struct metadata_text *)0)->field), hex \
	}
	N(TOP, "disk-sectors", sectors, false),
	N(TOP, "sequence", sb.sequence, false),
	N(TOP, "epoch", sb.epoch, false),
	N(TOP, "base", sb.base, false),
	N(TOP, "reservation", sb.reservation, true),
	N(GENERATIONS, "current", sb.gen.current, true),
	N(GENERATIONS, "bitmap", sb.gen.bitmap, true),
	N(GENERATIONS, "history-0", sb.gen.history[0], true),
	N(GENERATIONS, "history-1", sb.gen.history[1], true),
	N(AGREED, "sectors", sb.agreed.sectors, false),
	N(AGREED, "block-size", sb.agreed.block_size, false),
	N(AGREED, "max-segments", sb.agreed.max_segments, false),
	N(AGREED, "ring-order", sb.agreed.ring_order, false),
	N(AGREED, "queues", sb.agreed.queues, false),
	N(AGREED, "discard", sb.agreed.discard, false),
	N(LOG, "slots", sb.al_extents, false),
	N(BITMAP, "bits", sb.bitmap_bits, false),
	N(BITMAP, "digest", sb.bitmap_digest, true),
#undef N
};
#define NUMBERS (sizeof(numbers) / sizeof(numbers[0]))

static uint64_t get_number(const struct metadata_text *t, const struct number *n)
{
	const uint8_t *p = (const uint8_t *)t + n->offset;
	uint64_t u64;
	uint32_t u32;
	uint16_t u16;

	switch (n->size) {
	case 8:
		memcpy(&u64, p, 8);
		return u64;
	case 4:
		memcpy(&u32, p, 4);
		return u32;
	case 2:
		memcpy(&u16, p, 2);
		return u16;
	default:
		return *p;
	}
}

static bool put_number(struct metadata_text *t, const struct number *n, uint64_t value)
{
	uint8_t *p = (uint8_t *)t + n->offset;
	uint32_t u32 = (uint32_t)value;
	uint16_t u16 = (uint16_t)value;

	if (n->size < 8 && value >> (8 * n->size))
		return false;
	switch (n->size) {
	case 8:
		memcpy(p, &value, 8);
		break;
	case 4:
		memcpy(p, &u32, 4);
		break;
	case 2:
		memcpy(p, &u16, 2);
		break;
	default:
		*p = (uint8_t)value;
	}
	return true;
}

/* ---- printing ---- */

static void print_numbers(FILE *out, const struct metadata_text *t, enum section section)
{
	for (const struct number *n = numbers; n < numbers + NUMBERS; n++) {
		if (n->section != section)
			continue;
		fprintf(out, n->hex ? "%s%s 0x%016" PRIx64 ";\n" : "%s%s %" PRIu64 ";\n",
			section == TOP ? "" : "\t", n->key, get_number(t, n));
	}
}

static void print_head(FILE *out, const struct superblock *sb)
{
	static const char *const layouts[] = { "indexed", "flexible", "internal" };

	fprintf(out, HEADER ";\nresource \"%s\";\nlayout %s;\ndevice-uuid ", sb->name, layouts[sb->layout]);
	for (size_t i = 0; i < sizeof(sb->device_uuid); i++)
		fprintf(out, "%02x", sb->device_uuid[i]);
	fputs(";\nflags", out);
	for (const struct text_flag *f = text_flags; f->name; f++)
		if (sb->flags & f->flag)
			fprintf(out, " %s", f->name);
	fprintf(out, "%s;\ntoken %s;\n", sb->flags ? "" : " none", token_name(sb->token));
}

/* Runs that meet at a page's end are one run. */
static void print_bitmap(FILE *out, const struct metadata_text *t)
{
	uint64_t from = 0, run = 0, blocks = 0, at;
	uint32_t sectors, page;

	fputs("\t# first block of 4 KiB, and how many\n", out);
	while (from < t->sectors &&
	       (at = bitmap_next(t->bitmap, from, UINT32_MAX, &sectors, &page)) != BITMAP_NONE && sectors) {
		if (blocks && at == (run + blocks) * BLOCK_SECTORS) {
			blocks += (sectors + BLOCK_SECTORS - 1) / BLOCK_SECTORS;
		} else {
			if (blocks)
				fprintf(out, "\tout-of-sync %" PRIu64 " %" PRIu64 ";\n", run, blocks);
			run = at / BLOCK_SECTORS;
			blocks = (sectors + BLOCK_SECTORS - 1) / BLOCK_SECTORS;
		}
		from = at + sectors;
	}
	if (blocks)
		fprintf(out, "\tout-of-sync %" PRIu64 " %" PRIu64 ";\n", run, blocks);
}

static void print_full_from(FILE *out, const struct superblock *sb)
{
	if (sb->full_from == METADATA_NO_FULL)
		fputs("\tfull-from none;\n", out);
	else
		fprintf(out, "\tfull-from %" PRIu64 ";\n", sb->full_from);
}

static void open_section(FILE *out, const struct metadata_text *t, enum section section)
{
	fprintf(out, "%s {\n", section_names[section]);
	print_numbers(out, t, section);
}

void metadata_text_print(FILE *out, const struct metadata_text *t)
{
	print_head(out, &t->sb);
	if (t->snapshot)
		fputs("# The resource was up: parts may be older than others, and restore-md refuses "
		      "this.\nsnapshot;\n",
		      out);
	print_numbers(out, t, TOP);
	open_section(out, t, GENERATIONS);
	fputs("}\n", out);
	open_section(out, t, AGREED);
	fputs("}\n", out);
	open_section(out, t, LOG);
	for (uint32_t i = 0; i < t->n_extents; i++)
		fprintf(out, "%s%" PRIu32 "%s", i % 10 ? " " : "\textents ", t->extents[i],
			i % 10 == 9 || i + 1 == t->n_extents ? ";\n" : "");
	fputs("}\n", out);
	open_section(out, t, BITMAP);
	print_full_from(out, &t->sb);
	print_bitmap(out, t);
	fputs("}\nend;\n", out);
}

/* ---- parsing ---- */

struct parser {
	struct metadata_text *t;
	enum section section;
	uint32_t seen;	   /* numbers, by their index */
	uint32_t sections; /* entered */
	bool header, resource, layout, uuid, flags, token, full_from, end;
	uint64_t next_block; /* runs ascend */
	char *why;
	size_t why_size;
	unsigned int line;
};
_Static_assert(NUMBERS <= 32, "bits of seen");

__attribute__((format(printf, 2, 3))) static int wrong(struct parser *p, const char *fmt, ...)
{
	va_list ap;
	int n = snprintf(p->why, p->why_size, "line %u: ", p->line);

	va_start(ap, fmt);
	if (n > 0 && (size_t)n < p->why_size)
		vsnprintf(p->why + n, p->why_size - (size_t)n, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

/* A number at *text, which moves behind it and what blanks follow. */
static bool take_number(const char **text, uint64_t *value)
{
	char *end;

	if (!isdigit((unsigned char)**text))
		return false;
	errno = 0;
	*value = strtoull(*text, &end, strncmp(*text, "0x", 2) ? 10 : 16);
	if (errno || (*end && *end != ' '))
		return false;
	*text = end + strspn(end, " ");
	return true;
}

static int parse_number(struct parser *p, const struct number *n, const char *value)
{
	uint32_t bit = 1u << (n - numbers);
	uint64_t v;

	if (p->seen & bit)
		return wrong(p, "a second '%s'", n->key);
	if (!take_number(&value, &v) || *value || !put_number(p->t, n, v))
		return wrong(p, "'%s' is no number that fits here", n->key);
	p->seen |= bit;
	return 0;
}

static bool seen(const struct parser *p, const char *key, enum section section)
{
	for (size_t i = 0; i < NUMBERS; i++)
		if (numbers[i].section == section && !strcmp(numbers[i].key, key))
			return p->seen & 1u << i;
	return false;
}

static int parse_resource(struct parser *p, const char *value)
{
	size_t n = strlen(value);

	if (n < 3 || value[0] != '"' || value[n - 1] != '"' || n - 2 > METADATA_NAME_MAX)
		return wrong(p, "the resource's name is not in quotes, or too long");
	snprintf(p->t->sb.name, sizeof(p->t->sb.name), "%.*s", (int)(n - 2), value + 1);
	return 0;
}

static int parse_layout(struct parser *p, const char *value)
{
	/* said for the reader: what is restored gets the layout of the place where it goes */
	if (strcmp(value, "indexed") && strcmp(value, "flexible") && strcmp(value, "internal"))
		return wrong(p, "unknown layout '%s'", value);
	return 0;
}

static int parse_uuid(struct parser *p, const char *value)
{
	uint8_t *uuid = p->t->sb.device_uuid;
	size_t size = sizeof(p->t->sb.device_uuid);
	unsigned int byte;

	if (strlen(value) != 2 * size || strspn(value, "0123456789abcdefABCDEF") != 2 * size)
		return wrong(p, "the device-uuid must have %zu hexadecimal digits", 2 * size);
	for (size_t i = 0; i < size; i++) {
		sscanf(value + 2 * i, "%2x", &byte);
		uuid[i] = (uint8_t)byte;
	}
	return 0;
}

static int parse_flags(struct parser *p, const char *value)
{
	const struct text_flag *f;
	size_t n;

	if (!strcmp(value, "none"))
		return 0;
	for (; *value; value += n + strspn(value + n, " ")) {
		n = strcspn(value, " ");
		for (f = text_flags; f->name; f++)
			if (strlen(f->name) == n && !memcmp(f->name, value, n))
				break;
		if (!f->name)
			return wrong(p, "unknown flag '%.*s'", (int)n, value);
		p->t->sb.flags |= f->flag;
	}
	return 0;
}

static int parse_token(struct parser *p, const char *value)
{
	for (enum token token = TOKEN_NONE; token <= TOKEN_GIVEN; token++)
		if (!strcmp(value, token_name(token))) {
			p->t->sb.token = token;
			return 0;
		}
	return wrong(p, "unknown token '%s'", value);
}

static int parse_extents(struct parser *p, const char *value)
{
	struct metadata_text *t = p->t;
	uint64_t extents = (t->sectors + ACTLOG_EXTENT_SECTORS - 1) / ACTLOG_EXTENT_SECTORS, v;

	if (!seen(p, "slots", LOG))
		return wrong(p, "'slots' has to come before 'extents'");
	do {
		if (!take_number(&value, &v) || v >= extents)
			return wrong(p, "there is no such extent: the disk has %" PRIu64, extents);
		if (t->n_extents >= t->sb.al_extents || t->n_extents >= ACTLOG_EXTENTS_MAX)
			return wrong(p, "more extents than the log has slots");
		t->extents[t->n_extents++] = (uint32_t)v;
	} while (*value);
	return 0;
}

static int parse_full_from(struct parser *p, const char *value)
{
	if (!strcmp(value, "none"))
		p->t->sb.full_from = METADATA_NO_FULL;
	else if (!take_number(&value, &p->t->sb.full_from) || *value)
		return wrong(p, "'full-from' is neither a sector nor 'none'");
	return 0;
}

static int parse_run(struct parser *p, const char *value)
{
	uint64_t blocks = (p->t->sectors + BLOCK_SECTORS - 1) / BLOCK_SECTORS, first, n;

	if (!take_number(&value, &first) || !take_number(&value, &n) || *value || !n)
		return wrong(p, "'out-of-sync FIRST COUNT;' is meant");
	if (first >= blocks || n > blocks - first)
		return wrong(p, "the disk has only %" PRIu64 " blocks", blocks);
	if (first < p->next_block)
		return wrong(p, "the runs of the bitmap must ascend");
	p->next_block = first + n;
	bitmap_set(p->t->bitmap, first * BLOCK_SECTORS,
		   p->next_block == blocks ? p->t->sectors - first * BLOCK_SECTORS : n * BLOCK_SECTORS);
	return 0;
}

static int parse_snapshot(struct parser *p, const char *value)
{
	p->t->snapshot = true;
	return *value ? wrong(p, "'snapshot' has no value") : 0;
}

static int parse_end(struct parser *p, const char *value)
{
	p->end = true;
	return *value ? wrong(p, "'end' has no value") : 0;
}

static int parse_version(struct parser *p, const char *value)
{
	return strcmp(value, &HEADER[strlen("version ")]) ? wrong(p, "version %s is not known", value) : 0;
}

static const struct word {
	enum section section;
	const char *key;
	int (*parse)(struct parser *p, const char *value);
	size_t once; /* offset of the parser's bool, 0: any number of them */
} words[] = {
	{ TOP, "version", parse_version, offsetof(struct parser, header) },
	{ TOP, "resource", parse_resource, offsetof(struct parser, resource) },
	{ TOP, "layout", parse_layout, offsetof(struct parser, layout) },
	{ TOP, "device-uuid", parse_uuid, offsetof(struct parser, uuid) },
	{ TOP, "flags", parse_flags, offsetof(struct parser, flags) },
	{ TOP, "token", parse_token, offsetof(struct parser, token) },
	{ TOP, "snapshot", parse_snapshot, 0 },
	{ TOP, "end", parse_end, 0 },
	{ LOG, "extents", parse_extents, 0 },
	{ BITMAP, "full-from", parse_full_from, offsetof(struct parser, full_from) },
	{ BITMAP, "out-of-sync", parse_run, 0 },
};
#define WORD_COUNT (sizeof(words) / sizeof(words[0]))

static int parse_word(struct parser *p, const struct word *w, const char *value)
{
	bool *once = (bool *)((char *)p + w->once);

	if (w->once && *once)
		return wrong(p, "a second '%s'", w->key);
	if (w->once)
		*once = true;
	return w->parse(p, value);
}

static int parse_statement(struct parser *p, const char *key, const char *value)
{
	if (!p->header && strcmp(key, "version"))
		return wrong(p, "this is no dump of metadata: it does not begin with '%s;'", HEADER);
	for (size_t i = 0; i < NUMBERS; i++)
		if (numbers[i].section == p->section && !strcmp(numbers[i].key, key))
			return parse_number(p, &numbers[i], value);
	for (size_t i = 0; i < WORD_COUNT; i++)
		if (words[i].section == p->section && !strcmp(words[i].key, key))
			return parse_word(p, &words[i], value);
	return wrong(p, "unknown word '%s'", key);
}

static int enter(struct parser *p, const char *name)
{
	struct bitmap_config cfg = { .sectors = p->t->sectors,
				     .page_blocks = BITMAP_PAGE_BLOCKS,
				     .full_from = BITMAP_NONE,
				     .empty = true };
	enum section s;

	for (s = GENERATIONS; s < SECTIONS && strcmp(section_names[s], name); s++)
		;
	if (p->section != TOP || s == SECTIONS || p->sections & 1u << s)
		return wrong(p, "'%s {' is not expected here", name);
	if (!seen(p, "disk-sectors", TOP) || cfg.sectors == 0 || cfg.sectors > 1ull << 41)
		return wrong(p, "a disk-sectors of 1 to 2^41 has to come first");
	p->section = s;
	p->sections |= 1u << s;
	if (s == BITMAP && bitmap_new(&cfg, &p->t->bitmap))
		return wrong(p, "not enough memory for the bitmap");
	return 0;
}

static int parse_line(struct parser *p, char *line)
{
	char *end, *value;

	line += strspn(line, " \t");
	for (end = line + strlen(line); end > line && isspace((unsigned char)end[-1]);)
		*--end = '\0';
	if (!*line || *line == '#')
		return 0;
	if (p->end)
		return wrong(p, "something follows 'end;'");
	if (!strcmp(line, "}")) {
		if (p->section == TOP)
			return wrong(p, "no section is open");
		p->section = TOP;
		return 0;
	}
	if (end - line > 2 && !strcmp(end - 2, " {")) {
		end[-2] = '\0';
		return enter(p, line);
	}
	if (end[-1] != ';')
		return wrong(p, "the line does not end in ';'");
	end[-1] = '\0';
	value = line + strcspn(line, " ");
	if (*value)
		*value++ = '\0';
	return parse_statement(p, line, value);
}

static int check_complete(struct parser *p)
{
	if (!p->end || p->section != TOP)
		return wrong(p, "the text ends too early: 'end;' is missing");
	for (size_t i = 0; i < NUMBERS; i++)
		if (!(p->seen & 1u << i))
			return wrong(p, "'%s' is missing in %s", numbers[i].key,
				     numbers[i].section == TOP ? "the text"
							       : section_names[numbers[i].section]);
	for (size_t i = 0; i < WORD_COUNT; i++)
		if (words[i].once && !*(bool *)((char *)p + words[i].once))
			return wrong(p, "'%s' is missing", words[i].key);
	return 0;
}

int metadata_text_parse(FILE *in, struct metadata_text *t, char *why, size_t why_size)
{
	struct parser p = { .t = t, .why = why, .why_size = why_size };
	char *line = NULL;
	size_t room = 0;
	int rc = 0;

	memset(t, 0, sizeof(*t));
	while (!rc && getline(&line, &room, in) >= 0) {
		p.line++;
		rc = parse_line(&p, line);
	}
	free(line);
	if (!rc && ferror(in))
		return wrong(&p, "the file cannot be read");
	return rc ? rc : check_complete(&p);
}

void metadata_text_dispose(struct metadata_text *t)
{
	bitmap_free(t->bitmap);
	t->bitmap = NULL;
}
