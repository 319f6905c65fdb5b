// SPDX-License-Identifier: MIT
/* Which files of a directory are served, under which paths, and what is refused. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "files.h"
#include "mime.h"
#include "target.h"

static char root[64], reason[1024];

static void shell(const char *command)
{
	char line[512];

	snprintf(line, sizeof(line), "cd '%s' && %s", root, command);
	assert_int_equal(system(line), 0);
}

static int set_up(void **state)
{
	(void)state;
	strcpy(root, "/tmp/files_cache-XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int tear_down(void **state)
{
	char line[128];

	(void)state;
	snprintf(line, sizeof(line), "rm -rf '%s'", root);
	return system(line);
}

static struct sc_files *open_all(void **ret_bodies)
{
	struct sc_files *files;

	if (sc_files_open(root, &files, reason, sizeof(reason)))
		fail_msg("%s", reason);
	*ret_bodies = aligned_alloc(SC_FILES_ALIGN, sc_files_bytes(files));
	if (sc_files_load(files, *ret_bodies, reason, sizeof(reason)))
		fail_msg("%s", reason);
	return files;
}

static const struct sc_file *find(const struct sc_files *files, const char *path)
{
	return sc_files_find(files, path, strlen(path));
}

static void test_what_is_found(void **state)
{
	static const struct {
		const char *path;
		const char *body; /* NULL: not found */
	} cases[] = {
		{ "/a.txt", "a\n" },
		{ "/sub/deep/b.css", "b\n" },
		{ "/with space", "s\n" },
		{ "/empty", "" },
		{ "/index.html", "i\n" },
		{ "/", "i\n" },
		{ "/sub/index.html", "j\n" },
		{ "/sub/", "j\n" },
		{ "/sub", NULL },
		{ "/sub/deep/", NULL },
		{ "/a.tx", NULL },
		{ "/a.txt/", NULL },
		{ "/A.txt", NULL },
		{ "a.txt", NULL },
		{ "", NULL },
		{ "//a.txt", NULL },
		{ "/sub/../a.txt", NULL },
		{ "/.hidden", NULL },
		{ "/.git/config", NULL },
		{ "/link.txt", NULL },
		{ "/linked/passwd", NULL },
		{ "/pipe", NULL },
	};
	struct sc_files *files;
	void *bodies;

	(void)state;
	shell("mkdir -p sub/deep .git && echo a >a.txt && echo b >sub/deep/b.css && echo s >'with space' && : >empty &&"
	      "echo i >index.html && echo j >sub/index.html && echo h >.hidden && echo g >.git/config &&"
	      "ln -s a.txt link.txt && ln -s /etc linked && mkfifo pipe");
	files = open_all(&bodies);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct sc_file *file = find(files, cases[i].path);

		if (!cases[i].body) {
			assert_null(file);
			continue;
		}
		assert_non_null(file);
		assert_int_equal(file->body_len, strlen(cases[i].body));
		assert_memory_equal(file->body, cases[i].body, file->body_len);
		assert_int_equal((uintptr_t)file->body % (file->body_len ? SC_FILES_ALIGN : 1), 0);
	}
	assert_string_equal(find(files, "/sub/deep/b.css")->head,
			    "Content-Type: text/css; charset=utf-8\r\nContent-Length: 2\r\n");
	assert_ptr_equal(find(files, "/")->body, find(files, "/index.html")->body);
	sc_files_free(files);
	free(bodies);
}

static void test_root_may_end_in_slashes_or_be_a_link(void **state)
{
	struct sc_files *files;
	char path[128];

	(void)state;
	shell("mkdir real && echo a >real/a.txt && ln -s real link");
	for (int i = 0; i < 3; i++) {
		static const char *const names[] = { "real///", "link", "link/" };

		snprintf(path, sizeof(path), "%s/%s", root, names[i]);
		assert_int_equal(sc_files_open(path, &files, reason, sizeof(reason)), 0);
		assert_non_null(find(files, "/a.txt"));
		sc_files_free(files);
	}
}

static void test_empty_directory(void **state)
{
	struct sc_files *files;
	void *bodies;

	(void)state;
	files = open_all(&bodies);
	assert_null(find(files, "/"));
	assert_true(sc_files_bytes(files) > 0);
	sc_files_free(files);
	free(bodies);
}

static void test_many_files(void **state)
{
	struct sc_files *files;
	void *bodies;
	char path[32], body[32];

	(void)state;
	shell("i=0; while [ $i -lt 2000 ]; do echo $i >$i; i=$((i + 1)); done");
	files = open_all(&bodies);
	for (int i = 0; i < 2000; i++) {
		const struct sc_file *file;

		snprintf(path, sizeof(path), "/%d", i);
		snprintf(body, sizeof(body), "%d\n", i);
		file = find(files, path);
		assert_non_null(file);
		assert_int_equal(file->body_len, strlen(body));
		assert_memory_equal(file->body, body, file->body_len);
	}
	sc_files_free(files);
	free(bodies);
}

static void assert_refused(const char *path, int err, const char *text)
{
	struct sc_files *files;

	assert_int_equal(sc_files_open(path, &files, reason, sizeof(reason)), err);
	if (!strstr(reason, text) || !strstr(reason, path))
		fail_msg("\"%s\" tells nothing of \"%s\" and \"%s\"", reason, text, path);
}

static void test_roots_refused(void **state)
{
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/none", root);
	assert_refused(path, -ENOENT, "No such file or directory");
	shell("echo x >file");
	snprintf(path, sizeof(path), "%s/file", root);
	assert_refused(path, -ENOTDIR, "not a directory");
}

static void test_bounds(void **state)
{
	(void)state;
	shell("truncate -s 300M one two");
	assert_refused(root, -EFBIG, "exceed 512 MiB");
	shell("rm one two; d=.; i=0; while [ $i -lt 34 ]; do d=$d/d; i=$((i + 1)); done; mkdir -p $d");
	assert_refused(root, -ELOOP, "more than 32 levels");
	shell("rm -r d; d=$(printf '%0100d' 0); mkdir -p $d/$d && : >$d/$d/$(printf '%053d' 0)");
	assert_refused(root, -ENAMETOOLONG, "more than 255 bytes");
}

static void test_change_between_listing_and_reading(void **state)
{
	static const char *const changes[] = { "echo more >>a.txt", "echo x >a.txt" };
	struct sc_files *files;
	char bodies[4 * SC_FILES_ALIGN];

	(void)state;
	for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
		shell("echo hello >a.txt");
		assert_int_equal(sc_files_open(root, &files, reason, sizeof(reason)), 0);
		shell(changes[i]);
		assert_int_equal(sc_files_load(files, bodies, reason, sizeof(reason)), -ESTALE);
		assert_non_null(strstr(reason, "a.txt: changed while it was read"));
		sc_files_free(files);
	}
	shell("echo hello >a.txt");
	assert_int_equal(sc_files_open(root, &files, reason, sizeof(reason)), 0);
	shell("rm a.txt && ln -s /etc/passwd a.txt");
	assert_int_equal(sc_files_load(files, bodies, reason, sizeof(reason)), -ELOOP);
	sc_files_free(files);
	sc_files_free(NULL);
}

static void test_content_types(void **state)
{
	(void)state;
	assert_string_equal(sc_mime_type("/a.html"), "text/html; charset=utf-8");
	assert_string_equal(sc_mime_type("/a.b/c.PNG"), "image/png");
	assert_string_equal(sc_mime_type("/a.html.gz"), "application/gzip");
	assert_string_equal(sc_mime_type("/a.b/c"), "application/octet-stream");
	assert_string_equal(sc_mime_type("/none"), "application/octet-stream");
	assert_string_equal(sc_mime_type("/a."), "application/octet-stream");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_what_is_found),
		TEST(test_root_may_end_in_slashes_or_be_a_link),
		TEST(test_empty_directory),
		TEST(test_many_files),
		TEST(test_roots_refused),
		TEST(test_bounds),
		TEST(test_change_between_listing_and_reading),
		cmocka_unit_test(test_content_types),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
