/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * metadata-verbs.test.c: create-md, dump-md, restore-md, wipe-md and show-gi as shipped, on files, without a
 * daemon. What they print is compared with tests/golden/metadata/.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "backend/metadata.h"

#define GOLDEN "tests/golden/metadata/"
#define OUTPUT 65536
#define MIB    (1ull << 20)

static char program[PATH_MAX], dir[64], out[OUTPUT], why[400];
static struct metadata_geometry slot;

/* The words with the directory, whose name is different each time, as DIR. */
static void tidy(void)
{
	char *at;

	while ((at = strstr(out, dir))) {
		memcpy(at, "DIR", 3);
		memmove(at + 3, at + strlen(dir), strlen(at + strlen(dir)) + 1);
	}
}

__attribute__((format(printf, 1, 2))) static int run(const char *fmt, ...)
{
	char words[PATH_MAX + 600], command[2 * PATH_MAX + 1200];
	FILE *pipe;
	va_list ap;
	int r;

	va_start(ap, fmt);
	vsnprintf(words, sizeof(words), fmt, ap);
	va_end(ap);
	snprintf(command, sizeof(command), "cd %s && '%s' --socket %s/sock -c %s/conf %s 2>&1", dir, program,
		 dir, dir, words);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	out[fread(out, 1, OUTPUT - 1, pipe)] = 0;
	r = pclose(pipe);
	assert_true(WIFEXITED(r));
	tidy();
	return WEXITSTATUS(r);
}

#define RUN(status, ...)                                      \
	do {                                                  \
		int got_ = run(__VA_ARGS__);                  \
		if (got_ != (status))                         \
			fail_msg("status %d: %s", got_, out); \
	} while (0)

static void says(const char *words)
{
	if (!strstr(out, words))
		fail_msg("'%s' is not in: %s", words, out);
}

static const char *file(const char *name)
{
	static char path[120];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void make_file(const char *name, uint64_t bytes)
{
	int fd = open(file(name), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	close(fd);
}

static void write_host(FILE *f, const char *name, const char *last, const char *meta)
{
	fprintf(f, "on %s { device minor 0; address 10.0.0.%s:7700; disk %s/disk; meta-disk %s%s%s; }\n",
		name, last, dir, strcmp(meta, "internal") ? dir : "", strcmp(meta, "internal") ? "/" : "",
		meta);
}

static void configure(const char *name, const char *meta)
{
	FILE *f = fopen(file("conf"), "we");
	struct utsname uts;

	assert_non_null(f);
	uname(&uts);
	fprintf(f,
		"resource %s {\nnet { cram-hmac-alg sha256; shared-secret \"a secret of some length\"; }\n",
		name);
	write_host(f, uts.nodename, "1", meta);
	write_host(f, "the-other-host", "2", meta);
	fputs("}\n", f);
	fclose(f);
}

static int setup(void **state)
{
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 32);

	(void)state;
	program[n < 0 ? 0 : n] = 0;
	strcat(dirname(program), "/../../backend-ctl");
	strcpy(dir, "/tmp/drbdx-verbs.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	make_file("disk", 1024 * MIB);
	make_file("meta", 256 * MIB);
	configure("my-domu-disk", "meta[1]");
	return metadata_geometry(METADATA_INDEXED, 1, 256 * MIB, 1024 * MIB, 512, &slot, why, sizeof(why));
}

static int teardown(void **state)
{
	char command[100];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static void compare_with(const char *name)
{
	char path[200], golden[OUTPUT];
	FILE *f;

	snprintf(path, sizeof(path), GOLDEN "%s", name);
	if (getenv("UPDATE_GOLDEN")) {
		f = fopen(path, "we");
		assert_non_null(f);
		fputs(out, f);
		fclose(f);
	}
	f = fopen(path, "re");
	if (!f)
		fail_msg("%s is missing; UPDATE_GOLDEN=1 writes it", path);
	golden[fread(golden, 1, sizeof(golden) - 1, f)] = 0;
	fclose(f);
	assert_string_equal(out, golden);
}

static struct superblock sample(void)
{
	return (struct superblock){
		.sequence = 41,
		.name = "my-domu-disk",
		.device_uuid = { 1, 2, 3, [15] = 255 },
		.flags = SB_CONSISTENT | SB_CRASHED | SB_FORCED,
		.token = TOKEN_HELD,
		.epoch = 9,
		.base = 8,
		.reservation = 0x77,
		.gen = { 0x1122334455667788, 2, { 3, 0 } },
		.agreed = { .sectors = 1024 * MIB / 512 - 5,
			    .block_size = 512,
			    .max_segments = 256,
			    .ring_order = 4,
			    .queues = 1 },
		.full_from = METADATA_NO_FULL,
		.al_extents = 1237,
	};
}

static void put(uint64_t offset, const void *bytes, size_t length)
{
	int fd = open(file("meta"), O_RDWR | O_CLOEXEC);

	assert_int_equal(pwrite(fd, bytes, length, (off_t)offset), length);
	close(fd);
}

static void write_sb(struct superblock *sb)
{
	int fd = open(file("meta"), O_RDWR | O_CLOEXEC);

	assert_int_equal(metadata_write(fd, &slot, sb, why, sizeof(why)), 0);
	close(fd);
}

static struct superblock read_sb(void)
{
	int fd = open(file("meta"), O_RDONLY | O_CLOEXEC);
	struct superblock sb;

	if (metadata_read(fd, &slot, &sb, why, sizeof(why)))
		fail_msg("%s", why);
	close(fd);
	return sb;
}

/* Blocks 3 to 9, one run over the end of the first page, and the last, partial block of the disk. */
static void write_bits(void)
{
	uint32_t last = (1024 * MIB / 512 - 5 - 1) / 8; /* the last block */

	put(slot.bitmap, (const uint8_t[]){ 0xf8, 0x03 }, 2);
	put(slot.bitmap + 4095, (const uint8_t[]){ 0xc0, 0x01 }, 2);
	put(slot.bitmap + last / 8, (const uint8_t[]){ (uint8_t)(1 << last % 8) }, 1);
}

static void created_metadata_can_be_shown_and_wiped(void **state)
{
	(void)state;
	RUN(0, "create-md my-domu-disk");
	compare_with("create.txt");
	RUN(0, "show-gi my-domu-disk");
	compare_with("show-gi-new.txt");
	RUN(11, "create-md my-domu-disk");
	says("--force");
	RUN(0, "create-md --force --assume-clean my-domu-disk");
	RUN(0, "wipe-md my-domu-disk");
	RUN(11, "wipe-md my-domu-disk");
	says("no metadata of drbdx");
	RUN(11, "show-gi my-domu-disk");
	RUN(11, "dump-md my-domu-disk");
}

static void outdate_without_a_daemon(void **state)
{
	static const struct {
		uint32_t flags;
		enum token token;
		uint64_t parted; /* the partner's generation, if this node went on alone */
		int status;
		const char *words;
	} rows[] = {
		{ SB_CONSISTENT | SB_PEER_OUTDATED, TOKEN_NONE, 0, 17, "the-other-host is outdated, or was powered off" },
		{ SB_CONSISTENT, TOKEN_NONE, 2, 0, "marked as outdated, while it is down" },
		{ SB_CONSISTENT, TOKEN_HELD, 0, 0, "marked as outdated" },
		{ SB_CONSISTENT | SB_IN_USE, TOKEN_HELD, 0, 0, "marked as outdated" },
		{ SB_CONSISTENT | SB_OUTDATED, TOKEN_NONE, 0, 0, "marked as outdated" },
		{ SB_CONSISTENT, TOKEN_HELD, 2, 17, "this node has data that the-other-host lacks" },
		{ 0, TOKEN_NONE, 0, 5, "not even outdated" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct superblock sb = sample();

		sb.flags = rows[i].flags;
		sb.token = rows[i].token;
		sb.gen.bitmap = rows[i].parted;
		write_sb(&sb);
		RUN(rows[i].status, "outdate my-domu-disk");
		says(rows[i].words);
		sb.flags = rows[i].status ? rows[i].flags : (rows[i].flags | SB_OUTDATED) & ~SB_PEER_OUTDATED;
		assert_int_equal(read_sb().flags, sb.flags);
	}
	RUN(0, "wipe-md --force my-domu-disk");
	RUN(11, "outdate my-domu-disk");
	says("no metadata of drbdx");
	RUN(10, "outdate tpyo");
}

static void show_gi_says_what_the_flags_mean(void **state)
{
	struct superblock sb = sample();

	(void)state;
	write_sb(&sb);
	RUN(0, "show-gi my-domu-disk");
	compare_with("show-gi.txt");
}

static void a_dump_is_text(void **state)
{
	struct superblock sb = sample();

	(void)state;
	write_sb(&sb);
	write_bits();
	RUN(0, "dump-md my-domu-disk");
	compare_with("dump.txt");
}

/* Each word that begins a line of a dump is in the document. */
static void the_document_has_every_key_of_a_dump(void **state)
{
	char text[OUTPUT], key[40], *section, *line, *rest;
	struct superblock sb = sample();
	FILE *f = fopen("docs/METADATA.md", "re");

	(void)state;
	assert_non_null(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = 0;
	fclose(f);
	section = strstr(text, "\n## Dump\n");
	assert_non_null(section);
	write_sb(&sb);
	write_bits();
	RUN(0, "dump-md my-domu-disk");
	for (line = strtok_r(out, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		if (sscanf(line, " %39[a-z0-9-]", key) == 1 && !strstr(section, key))
			fail_msg("docs/METADATA.md, Dump, lacks '%s'", key);
}

static void a_dump_can_be_restored(void **state)
{
	struct superblock sb = sample(), back;
	char *first;

	(void)state;
	write_sb(&sb);
	write_bits();
	RUN(0, "dump-md my-domu-disk | tee dump");
	first = strdup(out);
	RUN(0, "wipe-md my-domu-disk");
	RUN(11, "restore-md my-domu-disk dump"); /* it says that the token was here */
	says("right to write");
	RUN(0, "restore-md --force my-domu-disk dump");
	back = read_sb();
	assert_true(back.sequence > sb.sequence);
	RUN(0, "dump-md my-domu-disk | sed 's/^sequence .*/sequence %d;/'", (int)sb.sequence);
	assert_string_equal(out, first);
	/* what is there now is newer */
	RUN(0, "restore-md --force my-domu-disk dump");
	assert_true(read_sb().sequence > back.sequence);
	free(first);
}

static void a_log_is_restored_with_its_extents(void **state)
{
	(void)state;
	RUN(0, "create-md --assume-clean my-domu-disk");
	RUN(0, "dump-md my-domu-disk | sed '/slots/a\\\textents 7 0 255 100;' >dump; cat dump");
	RUN(0, "restore-md --force my-domu-disk dump");
	RUN(0, "dump-md my-domu-disk | grep extents | tr -d ';' | tr ' \\t' '\\n\\n' | grep . | sort | tr "
	       "'\\n' ' '");
	assert_string_equal(out, "0 100 255 7 extents ");
}

static void a_log_that_counts_must_be_readable(void **state)
{
	struct superblock sb = sample();

	(void)state;
	write_sb(&sb); /* and no log */
	RUN(0, "dump-md my-domu-disk");
	sb.flags |= SB_IN_USE;
	write_sb(&sb);
	RUN(11, "dump-md my-domu-disk");
	says("the activity log cannot be read");
}

/* What is out of sync anyway has no bits: its pages may hold anything. */
static void a_full_sync_hides_the_pages_behind_it(void **state)
{
	struct superblock sb = sample();

	(void)state;
	sb.full_from = 32768 * 8;
	write_sb(&sb);
	write_bits();
	RUN(0, "dump-md my-domu-disk | tee dump");
	says("full-from 262144;");
	says("out-of-sync 32766 2;");
	assert_null(strstr(out, "262143"));
	RUN(0, "show-gi my-domu-disk");
	says("everything from sector 262144 on is out of sync");
	RUN(0, "wipe-md my-domu-disk");
	RUN(0, "restore-md --force my-domu-disk dump");
	assert_true(read_sb().full_from == 262144);
}

static void a_sum_is_made_anew(void **state)
{
	struct superblock sb = sample();

	(void)state;
	RUN(0, "create-md --assume-clean my-domu-disk");
	sb = read_sb();
	assert_int_equal(sb.bitmap_bits, 0);
	RUN(0, "dump-md my-domu-disk | sed 's/first block.*/&\\n\\tout-of-sync 5 10;/' >dump; cat dump");
	RUN(0, "restore-md --force my-domu-disk dump");
	sb = read_sb();
	assert_true(sb.flags & SB_BITMAP_SUMMED);
	assert_int_equal(sb.bitmap_bits, 10);
	assert_true(sb.bitmap_digest);
	/* what the text does not have is not there afterwards */
	RUN(0, "dump-md my-domu-disk | sed '/out-of-sync/d' >dump; cat dump");
	RUN(0, "restore-md --force my-domu-disk dump");
	assert_int_equal(read_sb().bitmap_bits, 0);
	RUN(0, "dump-md my-domu-disk");
	assert_null(strstr(out, "out-of-sync"));
}

static void a_dump_moves_to_other_places(void **state)
{
	struct superblock sb = sample();
	char *first;

	(void)state;
	write_sb(&sb);
	write_bits();
	RUN(0, "dump-md my-domu-disk | tee dump");
	first = strdup(strstr(out, "device-uuid"));
	*strstr(first, "sequence") = 0;
	make_file("flexible", 68 * 1024);
	configure("my-domu-disk", "flexible");
	RUN(11, "show-gi my-domu-disk");
	RUN(0, "restore-md --force my-domu-disk dump");
	RUN(0, "dump-md my-domu-disk");
	says("layout flexible;");
	says(first);
	says("out-of-sync 32766 3;");
	/* on a disk that has no room for the guest's and the metadata */
	configure("my-domu-disk", "internal");
	RUN(11, "restore-md --force my-domu-disk dump");
	says("there is room for");
	free(first);
}

static void a_damaged_copy_is_healed_and_two_are_refused(void **state)
{
	struct superblock sb = sample();
	int fd;

	(void)state;
	write_sb(&sb);
	put(slot.copy[0] + 100, "damage", 6);
	RUN(0, "dump-md my-domu-disk");
	put(slot.copy[1] + 100, "damage", 6);
	RUN(0, "dump-md my-domu-disk");
	put(slot.copy[0] + 100, "damage", 6);
	put(slot.copy[1] + 100, "damage", 6);
	RUN(11, "dump-md my-domu-disk");
	says("copy A: damaged metadata");
	says("copy B: damaged metadata");
	RUN(11, "show-gi my-domu-disk");
	RUN(11, "create-md my-domu-disk");
	says("damaged");
	RUN(11, "wipe-md my-domu-disk");
	says("--force");
	RUN(0, "wipe-md --force my-domu-disk");
	/* looking heals nothing */
	write_sb(&sb);
	put(slot.copy[0] + 100, "damage", 6);
	RUN(0, "show-gi my-domu-disk");
	fd = open(file("meta"), O_RDONLY | O_CLOEXEC);
	assert_int_equal(pread(fd, out, 6, (off_t)slot.copy[0] + 100), 6);
	assert_memory_equal(out, "damage", 6);
	close(fd);
}

static void what_somebody_has_is_only_looked_at(void **state)
{
	struct superblock sb = sample();
	int fd;

	(void)state;
	write_sb(&sb);
	fd = open(file("disk"), O_RDWR | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	RUN(11, "dump-md my-domu-disk");
	says("in use");
	RUN(11, "wipe-md my-domu-disk");
	RUN(11, "create-md --force my-domu-disk");
	RUN(0, "show-gi my-domu-disk");
	RUN(0, "dump-md --force my-domu-disk >dump; cat dump");
	says("snapshot;");
	close(fd);
	RUN(0, "wipe-md my-domu-disk");
	RUN(11, "restore-md --force my-domu-disk dump");
	says("cannot be restored");
}

static void metadata_in_use_are_never_replaced(void **state)
{
	struct superblock sb = sample();

	(void)state;
	write_sb(&sb);
	RUN(0, "dump-md my-domu-disk >dump");
	sb.flags |= SB_IN_USE;
	write_sb(&sb);
	RUN(11, "create-md --force my-domu-disk");
	says("in use by a guest");
	RUN(11, "wipe-md --force my-domu-disk");
	RUN(11, "restore-md --force my-domu-disk dump");
	assert_int_equal(read_sb().epoch, 9);
}

static void anothers_metadata_are_left_alone(void **state)
{
	(void)state;
	RUN(0, "create-md my-domu-disk");
	configure("swap", "meta[1]");
	RUN(11, "show-gi swap");
	says("'my-domu-disk'");
	RUN(11, "dump-md swap");
	RUN(11, "dump-md --force swap");
	RUN(11, "wipe-md --force swap");
	RUN(11, "create-md --force swap");
}

static void internal_metadata_say_how_long_the_guests_disk_is(void **state)
{
	(void)state;
	configure("my-domu-disk", "internal");
	RUN(0, "create-md --assume-clean my-domu-disk");
	compare_with("create-internal.txt");
	RUN(0, "help >/dev/null; '%s' check %s/conf", program, dir);
	says("no problem");
	RUN(0, "dump-md my-domu-disk");
	says("layout internal;");
	RUN(0, "wipe-md my-domu-disk");
	RUN(0, "create-md --assume-clean my-domu-disk"); /* nothing is left of the old ones */
}

static void a_host_without_a_section_is_told_the_name_that_is_looked_for(void **state)
{
	char command[200];
	struct utsname uts;

	(void)state;
	uname(&uts);
	snprintf(command, sizeof(command), "sed -i 's/^on %s /on another-host /' %s/conf", uts.nodename, dir);
	assert_int_equal(system(command), 0);
	snprintf(command, sizeof(command), "no resource has a section for this host: 'on %s' is looked for", uts.nodename);
	RUN(10, "create-md all");
	says(command);
	RUN(10, "show-gi all");
	RUN(0, "help >/dev/null; '%s' check %s/conf", program, dir);
	says(command);
}

/* Two resources have them from `common`. */
static void check_with_handlers(const char *text)
{
	struct utsname uts;
	FILE *f;

	uname(&uts);
	make_file("disk2", 1024 * MIB);
	configure("my-domu-disk", "meta[1]");
	f = fopen(file("conf"), "ae");
	assert_non_null(f);
	fprintf(f,
		"common { handlers { %s } }\nresource swap { net { cram-hmac-alg sha256; shared-secret \"a secret of some length\"; }\n"
		"on %s { device minor 1; address 10.0.0.1:7701; disk %s/disk2; meta-disk %s/meta[0]; }\n"
		"on the-other-host { device minor 1; address 10.0.0.2:7701; disk %s/disk2; meta-disk %s/meta[0]; } }\n",
		text, uts.nodename, dir, dir, dir, dir);
	fclose(f);
	RUN(0, "help >/dev/null; '%s' check %s/conf", program, dir);
}

static void a_handler_that_cannot_be_run_is_warned_about(void **state)
{
	char text[400];

	(void)state;
	check_with_handlers("split-brain \"/no/such/program root\";");
	says("warning: resource my-domu-disk: handler split-brain cannot be run: /no/such/program: No such file");
	assert_null(strstr(out, "resource swap: handler")); /* once is enough */
	snprintf(text, sizeof(text), "fence-peer %s/disk;", dir);
	check_with_handlers(text);
	says("/disk: Permission denied");
	snprintf(text, sizeof(text), "fence-peer %s;", dir);
	check_with_handlers(text);
	says("handler fence-peer cannot be run");
	says("it is no file");
	check_with_handlers("split-brain \"/bin/true root\"; pri-lost \"no-path; exit 1\"; fence-peer \"/no/such-$HOST arg\";");
	assert_null(strstr(out, "cannot be run"));
}

static void large_disks_need_flexible_metadata(void **state)
{
	(void)state;
	make_file("disk", 4096ull * 1024 * MIB);
	RUN(11, "create-md my-domu-disk");
	says("just under 4 TiB");
	make_file("flexible", 128 * MIB + 36 * 1024);
	configure("my-domu-disk", "flexible");
	RUN(0, "create-md my-domu-disk");
	make_file("flexible", 128 * MIB);
	RUN(11, "create-md my-domu-disk");
	says("at least 131108 KiB; this one has 131072 KiB");
}

static void bad_texts_are_refused_by_line(void **state)
{
	static const struct {
		const char *edit, *words;
	} bad[] = {
		{ "$d", "'end;' is missing" },
		{ "1d", "line 1: this is no dump" },
		{ "1s/-2/-1/", "line 1: version \"drbdx-1\" is not known" },
		{ "s/^epoch.*//", "'epoch' is missing" },
		{ "s/^epoch.*/&\\n&/", "a second 'epoch'" },
		{ "s/^epoch.*/epoch 99999999999999999999;/", "'epoch' is no number" },
		{ "s/^epoch.*/epoch -1;/", "'epoch' is no number" },
		{ "s/^epoch.*/epoch 1/", "does not end in ';'" },
		{ "s/ring-order.*/ring-order 256;/", "'ring-order' is no number" },
		{ "s/^base.*/base 10;/", "base is above the epoch" },
		{ "s/^flags.*/flags funny;/", "unknown flag 'funny'" },
		{ "s/^token.*/token mine;/", "unknown token" },
		{ "s/^device-uuid.*/device-uuid 12;/", "32 hexadecimal" },
		{ "s/^disk-sectors.*/disk-sectors 4194304;/", "room for 2097152" },
		{ "s/^resource.*/resource \"swap\";/", "dump of resource 'swap'" },
		{ "s/full-from.*/full-from never;/", "neither a sector nor" },
		{ "s/slots.*/slots 3;/", "number of slots is out of range" },
		{ "s/slots.*/slots 8;\\nextents 1 2 3 4 5 6 7 8 9;/", "more extents" },
		{ "s/slots.*/&\\nextents 256;/", "no such extent" },
		{ "s/out-of-sync 3 .*/&\\nout-of-sync 9 1;/", "must ascend" },
		{ "s/out-of-sync 3 .*/out-of-sync 3 300000;/", "only 262144 blocks" },
		{ "s/^generations {/generators {/", "'generators {' is not expected" },
		{ "$a more", "something follows" },
	};
	struct superblock sb = sample();

	(void)state;
	write_sb(&sb);
	write_bits();
	RUN(0, "dump-md my-domu-disk >dump");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		run("help >/dev/null; sed '%s' dump >bad", bad[i].edit);
		RUN(11, "restore-md --force my-domu-disk bad");
		says(bad[i].words);
	}
	assert_int_equal(read_sb().sequence, sb.sequence);
	RUN(20, "restore-md --force my-domu-disk nowhere");
	says("nowhere: No such file");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(created_metadata_can_be_shown_and_wiped),
		T(outdate_without_a_daemon),
		T(show_gi_says_what_the_flags_mean),
		T(a_dump_is_text),
		T(the_document_has_every_key_of_a_dump),
		T(a_dump_can_be_restored),
		T(a_log_is_restored_with_its_extents),
		T(a_log_that_counts_must_be_readable),
		T(a_full_sync_hides_the_pages_behind_it),
		T(a_sum_is_made_anew),
		T(a_dump_moves_to_other_places),
		T(a_damaged_copy_is_healed_and_two_are_refused),
		T(what_somebody_has_is_only_looked_at),
		T(metadata_in_use_are_never_replaced),
		T(anothers_metadata_are_left_alone),
		T(internal_metadata_say_how_long_the_guests_disk_is),
		T(a_host_without_a_section_is_told_the_name_that_is_looked_for),
		T(a_handler_that_cannot_be_run_is_warned_about),
		T(large_disks_need_flexible_metadata),
		T(bad_texts_are_refused_by_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
