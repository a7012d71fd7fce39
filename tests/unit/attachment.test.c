/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The record of an attachment outlives the daemon; whatever else is in its place is ignored. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* /run/drbdx, in a folder of this test's own. */
static char root[] = "/tmp/drbdx-attachment.XXXXXX";

static const char *here(const char *path, int which)
{
	static char out[2][128];

	assert_int_equal(strncmp(path, "/run/drbdx/", 11), 0);
	snprintf(out[which], sizeof(out[which]), "%s/%s", root, path + 11);
	return out[which];
}

static FILE *fopen_here(const char *path, const char *mode)
{
	return fopen(here(path, 0), mode);
}

static int rename_here(const char *from, const char *to)
{
	return rename(here(from, 0), here(to, 1));
}

static int unlink_here(const char *path)
{
	return unlink(here(path, 0));
}

#define fopen  fopen_here
#define rename rename_here
#define unlink unlink_here
#include "backend/attachment.c"
#undef fopen
#undef rename
#undef unlink

#define MINOR 7u

static const struct attachment nothing;

static void put(const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/minor-%u.attachment", root, MINOR);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void text_of(char *out, size_t size)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/minor-%u.attachment", root, MINOR);
	f = fopen(path, "r");
	assert_non_null(f);
	out[fread(out, 1, size - 1, f)] = 0;
	fclose(f);
}

static unsigned int files(void)
{
	DIR *d = opendir(root);
	struct dirent *e;
	unsigned int n = 0;

	assert_non_null(d);
	while ((e = readdir(d)))
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static int make_root(void **state)
{
	(void)state;
	strcpy(root, "/tmp/drbdx-attachment.XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
	(void)state;
	attachment_forget(MINOR, &nothing);
	return rmdir(root);
}

static const struct attachment_record full = {
	.attached = true,
	.domid = 31234,
	.core = { .served = UINT64_MAX,
		  .reserved = 0xfedcba9876543210u,
		  .handed_over = true,
		  .stale = false,
		  .confirmed = UINT64_MAX - 1,
		  .known = true },
	.held = true,
	.mark = UINT32_MAX,
};

static void assert_same(const struct attachment_record *a, const struct attachment_record *b)
{
	assert_int_equal(a->attached, b->attached);
	assert_int_equal(a->domid, b->domid);
	assert_true(a->core.served == b->core.served);
	assert_true(a->core.reserved == b->core.reserved);
	assert_int_equal(a->core.handed_over, b->core.handed_over);
	assert_int_equal(a->core.stale, b->core.stale);
	assert_true(a->core.confirmed == b->core.confirmed);
	assert_int_equal(a->core.known, b->core.known);
	assert_int_equal(a->held, b->held);
	assert_int_equal(a->mark, b->mark);
	assert_int_equal(a->others, b->others);
	assert_memory_equal(a->more_marks, b->more_marks, sizeof(a->more_marks));
	assert_int_equal(a->secure, b->secure);
}

/* So that one that knows only one queue does not go on with it: it has another version then, and only then. */
static void a_record_of_several_queues_has_their_marks(void **state)
{
	struct attachment_record several = full, r;
	char text[400];

	(void)state;
	attachment_write(MINOR, &full);
	text_of(text, sizeof(text));
	assert_memory_equal(text, "version 3 ", 10);
	for (unsigned int others = 1; others < QUEUES_MAX; others++) {
		several.others = others;
		several.more_marks[others - 1] = UINT32_MAX - others;
		attachment_write(MINOR, &several);
		text_of(text, sizeof(text));
		assert_memory_equal(text, "version 4 ", 10);
		assert_int_equal(attachment_read(MINOR, &r), 0);
		assert_same(&r, &several);
	}
	attachment_write(MINOR, &full);
	assert_int_equal(attachment_read(MINOR, &r), 0);
	assert_same(&r, &full);
}

/* A program that would ignore the flag of a secure discard must not go on with that guest: so the version says it. */
static void that_secure_discards_were_offered_is_remembered(void **state)
{
	struct attachment_record secure = full, r;
	char text[400];

	(void)state;
	secure.secure = true;
	for (unsigned int others = 0; others < QUEUES_MAX; others++) {
		secure.others = others;
		attachment_write(MINOR, &secure);
		text_of(text, sizeof(text));
		assert_memory_equal(text, "version 5 ", 10);
		assert_int_equal(attachment_read(MINOR, &r), 0);
		assert_same(&r, &secure);
		text[8] = '6';
		put(text);
		assert_int_equal(attachment_read(MINOR, &r), -EINVAL);
	}
}

static void queues_that_cannot_be_are_ignored(void **state)
{
#define HEAD "version 4 domid 1 served 2 reserved 0 handed_over 0 stale 0 held 0 mark 0 confirmed 0 known 1"
	static const char *const texts[] = { HEAD "\n", HEAD " others 0 marks 1 2 3\n", HEAD " others 4 marks 1 2 3\n",
					     HEAD " others 2 marks 1 2\n", HEAD " others -1 marks 1 2 3\n" };
	struct attachment_record r;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		put(texts[i]);
		assert_int_equal(attachment_read(MINOR, &r), -EINVAL);
	}
	put(HEAD " others 3 marks 1 2 3\n");
	assert_int_equal(attachment_read(MINOR, &r), 0);
	assert_int_equal(r.more_marks[2], 3);
#undef HEAD
}

/* Of Domain 0 itself: a program that takes the number 0 for nobody's must not read it. */
static void a_record_of_domain_0_has_a_version_of_its_own(void **state)
{
#define HEAD(domid) "version 6 domid " domid " served 2 reserved 0 handed_over 0 stale 0 held 0 mark 0 confirmed 0 known 1 others 0 marks 0 0 0"
	static const char *const texts[] = { HEAD("0") "\n", HEAD("1") " secure 0\n", HEAD("0") " secure 2\n", HEAD("0") " secure x\n" };
	struct attachment_record r;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		put(texts[i]);
		assert_int_equal(attachment_read(MINOR, &r), -EINVAL);
	}
	put(HEAD("0") " secure 1\n");
	assert_int_equal(attachment_read(MINOR, &r), 0);
	assert_true(r.attached && r.secure);
	assert_int_equal(r.domid, 0);
#undef HEAD
}

static void a_record_is_read_as_it_was_written(void **state)
{
	struct attachment_record r;

	(void)state;
	attachment_write(MINOR, &full);
	assert_int_equal(attachment_read(MINOR, &r), 0);
	assert_same(&r, &full);
	assert_int_equal(files(), 1);
}

/* Every field by itself, so that none is written in another one's place. */
static void no_field_is_another_ones(void **state)
{
	const struct attachment_record records[] = {
		{ .attached = true, .domid = 1 }, { .core.served = 1 },
		{ .attached = true }, /* Domain 0 */
		{ .attached = true, .secure = true },
		{ .attached = true, .others = 2, .more_marks = { 7, 8 } },
		{ .core.reserved = 16 }, { .core.handed_over = true },
		{ .core.stale = true },	 { .held = true },
		{ .mark = 1 },
		{ .core.confirmed = 1 }, { .core.known = true },
	};
	struct attachment_record r;

	(void)state;
	for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
		attachment_write(MINOR, &records[i]);
		assert_int_equal(attachment_read(MINOR, &r), 0);
		assert_same(&r, &records[i]);
	}
}

static void the_record_of_another_resource_is_not_read(void **state)
{
	struct attachment_record r;

	(void)state;
	attachment_write(MINOR, &full);
	assert_int_equal(attachment_read(MINOR + 1, &r), -ENOENT);
	assert_int_equal(r.domid, 0);
}

static void a_record_that_was_forgotten_is_not_there(void **state)
{
	struct attachment_record r;

	(void)state;
	attachment_write(MINOR, &full);
	attachment_forget(MINOR, &nothing);
	assert_int_equal(attachment_read(MINOR, &r), -ENOENT);
	assert_int_equal(files(), 0);
	attachment_forget(MINOR, &nothing);
}

/* It is of the host and of the token, not of the guest that has left. */
static void what_was_confirmed_outlives_the_guest(void **state)
{
	static const struct attachment_record left[] = {
		{ .core = { .confirmed = UINT64_MAX - 1, .known = true } },
		{ .core = { .known = true } },
		{ .core = { .confirmed = 1 } },
	};
	struct attachment_record r;

	(void)state;
	for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++) {
		struct attachment core = full.core;

		core.confirmed = left[i].core.confirmed;
		core.known = left[i].core.known;
		attachment_write(MINOR, &full);
		attachment_forget(MINOR, &core);
		assert_int_equal(attachment_read(MINOR, &r), 0);
		assert_same(&r, &left[i]);
	}
}

static void a_torn_record_is_ignored(void **state)
{
	struct attachment_record r;
	char text[512], torn[512];

	(void)state;
	attachment_write(MINOR, &full);
	text_of(text, sizeof(text));
	/* Short of the last number: what is before it does not make a record. */
	for (size_t n = 0; n <= (size_t)(strrchr(text, ' ') - text); n++) {
		snprintf(torn, sizeof(torn), "%.*s", (int)n, text);
		put(torn);
		assert_int_equal(attachment_read(MINOR, &r), -EINVAL);
	}
}

static void a_foreign_file_is_ignored(void **state)
{
	static const char *const texts[] = {
		"",
		"\n",
		"domid 5\n",
		"version\n",
		"hello world, this is not ours\n",
		"version one domid 5",
		"version 3 domid 5 served x reserved 0 handed_over 0 stale 0 held 0 mark 0 confirmed 0 known 0\n",
		"version 3 domid 5 served 1 reserved 0 stale 0 handed_over 0 held 0 mark 0 confirmed 0 known 0\n",
	};
	struct attachment_record r;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		put(texts[i]);
		assert_int_equal(attachment_read(MINOR, &r), -EINVAL);
	}
}

static void a_record_of_another_version_is_ignored(void **state)
{
	static const char *const versions[] = { "0", "1", "2", "33" };
	struct attachment_record r;
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
		snprintf(text, sizeof(text),
			 "version %s domid 5 served 1 reserved 0 handed_over 0 stale 0 held 0 mark "
			 "0 confirmed 0 known 0\n",
			 versions[i]);
		put(text);
		assert_int_equal(attachment_read(MINOR, &r), -EINVAL);
	}
}

/* To the letter: a program that does not read this cannot take a host over from the first release. */
static void what_a_release_wrote_is_read(void **state)
{
	struct attachment_record r;

	(void)state;
	put("version 3 domid 5 served 7 reserved deadbeefcafe handed_over 1 stale 0 held 1 mark 4294967295 confirmed 6 known 1\n");
	assert_int_equal(attachment_read(MINOR, &r), 0);
	assert_int_equal(r.domid, 5);
	assert_int_equal(r.core.served, 7);
	assert_int_equal(r.core.reserved, 0xdeadbeefcafe);
	assert_true(r.core.handed_over);
	assert_false(r.core.stale);
	assert_true(r.held);
	assert_int_equal(r.mark, UINT32_MAX);
	assert_int_equal(r.core.confirmed, 6);
	assert_true(r.core.known);
}

static void what_cannot_be_read_is_named_in_words(void **state)
{
	struct attachment_record r;
	char why[200] = "";

	(void)state;
	put("version 4 domid 5 served 7 and more\n");
	assert_int_equal(attachment_look(MINOR, &r, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "is not a record that this drbdxd knows (versions 3 to 6)"));
	attachment_forget(MINOR, &(struct attachment){ .known = false });
	assert_int_equal(attachment_look(MINOR, &r, why, sizeof(why)), -ENOENT);
	assert_non_null(strstr(why, "No such file"));
}

/* The old one would say something that is no longer true. */
static void a_record_that_cannot_be_written_leaves_none(void **state)
{
	struct attachment_record r;
	char path[128];

	(void)state;
	attachment_write(MINOR, &full);
	snprintf(path, sizeof(path), "%s/minor-%u.attachment.new", root, MINOR);
	assert_int_equal(symlink("/nowhere/at/all", path), 0);
	attachment_write(MINOR, &(struct attachment_record){ .attached = true, .domid = 5 });
	assert_int_equal(attachment_read(MINOR, &r), -ENOENT);
	assert_int_equal(files(), 0);
}

/* Before it is served, and when it was handed over or overtaken, nothing is unanswered in the ring, or nobody waits for it. */
static void only_what_was_served_here_needs_a_table(void **state)
{
	(void)state;
	assert_true(attachment_needs_table(&(struct attachment_record){ .domid = 5, .core.served = 3, .held = true }));
	assert_false(attachment_needs_table(&(struct attachment_record){ .domid = 5, .core.reserved = 3 }));
	assert_false(attachment_needs_table(
		&(struct attachment_record){ .domid = 5, .core.served = 3, .core.handed_over = true }));
	assert_false(attachment_needs_table(&(struct attachment_record){ .domid = 5, .core.served = 3, .core.stale = true }));
}

#define T(name) cmocka_unit_test_setup_teardown(name, make_root, remove_root)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_record_is_read_as_it_was_written),
		T(a_record_of_several_queues_has_their_marks),
		T(queues_that_cannot_be_are_ignored),
		T(that_secure_discards_were_offered_is_remembered),
		T(a_record_of_domain_0_has_a_version_of_its_own),
		T(no_field_is_another_ones),
		T(the_record_of_another_resource_is_not_read),
		T(a_record_that_was_forgotten_is_not_there),
		T(what_was_confirmed_outlives_the_guest),
		T(a_torn_record_is_ignored),
		T(a_foreign_file_is_ignored),
		T(a_record_of_another_version_is_ignored),
		T(what_a_release_wrote_is_read),
		T(what_cannot_be_read_is_named_in_words),
		T(a_record_that_cannot_be_written_leaves_none),
		T(only_what_was_served_here_needs_a_table),
	};

	return cmocka_run_group_tests_name("attachment", tests, NULL, NULL);
}
