/* Paths, whole-file reads and atomic writes, and what each refuses. */
#include "test_util.h"

#include "exaconn/file.h"

#include <dirent.h>
#include <sys/stat.h>

static int entries(const char *folder) {
    int n = 0;
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static void joins_paths(void **state) {
    char out[EXA_PATH_BYTES];
    char *deep = calloc(1, EXA_PATH_BYTES + 1);
    (void)state;
    assert_ok(exa_path_join(out, "a", "b"));
    assert_string_equal(out, "a/b");
    assert_ok(exa_path_join(out, "a/", "b"));
    assert_string_equal(out, "a/b");
    assert_ok(exa_path_join(out, "/", "/b"));
    assert_string_equal(out, "/b");
    assert_ok(exa_path_join(out, "", "b"));
    assert_string_equal(out, "b");
    assert_ok(exa_path_join(out, out, "c"));
    assert_string_equal(out, "b/c");
    memset(deep, 'x', EXA_PATH_BYTES - 3);
    assert_ok(exa_path_join(out, deep, "b"));
    memset(deep, 'x', EXA_PATH_BYTES - 2);
    assert_fails(EXA_ERR_RANGE, "path longer", exa_path_join(out, deep, "b"));
    assert_string_equal(exa_path_basename("/a/b.h5"), "b.h5");
    assert_string_equal(exa_path_basename("b.h5"), "b.h5");
    assert_string_equal(exa_path_basename("/a/"), "");
    free(deep);
}

static void makes_directories(void **state) {
    char *folder = test_make_folder(), path[EXA_PATH_BYTES], file[EXA_PATH_BYTES];
    (void)state;
    assert_ok(exa_path_join(path, folder, "a//b/c/"));
    assert_false(exa_file_exists(path));
    assert_ok(exa_file_make_directories(path));
    assert_ok(exa_file_make_directories(path));
    assert_true(exa_file_is_directory(path));
    assert_ok(exa_path_join(file, folder, "a/file"));
    assert_ok(exa_file_write_atomic(file, "x", 1));
    assert_true(exa_file_exists(file));
    assert_false(exa_file_is_directory(file));
    assert_fails(EXA_ERR_IO, "in the way", exa_file_make_directories(file));
    assert_ok(exa_path_join(path, file, "below"));
    assert_fails(EXA_ERR_IO, "file", exa_file_make_directories(path));
    assert_fails(EXA_ERR_RANGE, "empty", exa_file_make_directories(""));
    test_remove_folder(folder);
}

static void reads_whole_files(void **state) {
    char *folder = test_make_folder(), path[EXA_PATH_BYTES], *data;
    size_t size;
    (void)state;
    assert_ok(exa_path_join(path, folder, "f"));
    assert_ok(exa_file_write_atomic(path, "hello\0you", 9));
    assert_ok(exa_file_read_all(path, 9, &data, &size));
    assert_int_equal(size, 9);
    assert_memory_equal(data, "hello\0you", 10);
    free(data);
    assert_fails(EXA_ERR_RANGE, "9 bytes, more than the 8", exa_file_read_all(path, 8, &data, &size));
    assert_ok(exa_file_write_atomic(path, "", 0));
    assert_ok(exa_file_read_all(path, 0, &data, &size));
    assert_int_equal(size, 0);
    assert_int_equal(data[0], 0);
    free(data);
    assert_fails(EXA_ERR_IO, "folder", exa_file_read_all(folder, 100, &data, &size));
    assert_fails(EXA_ERR_IO, "No such file", exa_file_read_all("/nonexistent/f", 100, &data, &size));
    /* Files that do not know their size (/proc), and one without an end. */
    assert_ok(exa_file_read_all("/proc/self/status", 1 << 20, &data, &size));
    assert_true(size > 100 && strlen(data) == size);
    free(data);
    assert_fails(EXA_ERR_RANGE, "more than the 100000", exa_file_read_all("/dev/zero", 100000, &data, &size));
    test_remove_folder(folder);
}

static void writes_atomically(void **state) {
    char *folder = test_make_folder(), path[EXA_PATH_BYTES], other[EXA_PATH_BYTES], *data;
    size_t size;
    (void)state;
    assert_ok(exa_path_join(path, folder, "f"));
    assert_ok(exa_file_write_atomic(path, "old", 3));
    assert_ok(exa_file_write_atomic(path, "newer", 5));
    assert_ok(exa_file_read_all(path, 100, &data, &size));
    assert_string_equal(data, "newer");
    free(data);
    assert_int_equal(entries(folder), 1);
    /* A rename that cannot work takes its temporary file along. */
    assert_ok(exa_path_join(other, folder, "d"));
    assert_int_equal(mkdir(other, 0777), 0);
    assert_fails(EXA_ERR_IO, "cannot rename", exa_file_write_atomic(other, "x", 1));
    assert_int_equal(entries(folder), 2);
    assert_fails(EXA_ERR_IO, "cannot create", exa_file_write_atomic("/nonexistent/f", "x", 1));
    assert_ok(exa_file_temporary_name(other, path));
    assert_non_null(strstr(other, "/f.tmp-"));
    assert_fails(EXA_ERR_IO, "to sync it", exa_file_commit(other, path));
    test_remove_folder(folder);
}

static void reports_a_full_disk(void **state) {
    (void)state;
    if (access("/dev/full", W_OK) != 0) skip();
    char *folder = test_make_folder(), path[EXA_PATH_BYTES], temporary[EXA_PATH_BYTES];
    assert_ok(exa_path_join(path, folder, "f"));
    assert_ok(exa_file_temporary_name(temporary, path));
    assert_int_equal(symlink("/dev/full", temporary), 0);
    assert_fails(EXA_ERR_IO, "No space left", exa_file_write_atomic(path, "x", 1));
    assert_int_equal(entries(folder), 0);
    test_remove_folder(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(joins_paths), cmocka_unit_test(makes_directories),
                                       cmocka_unit_test(reads_whole_files), cmocka_unit_test(writes_atomically),
                                       cmocka_unit_test(reports_a_full_disk)};
    return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
