// store: HDF5 archives: damage, atomic publishing.
#include <hdf5.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fsio.h"
#include "base/hash.h"
#include "harness/archives.h"
#include "harness/test.h"
#include "store/archive.h"
#include "store/schema_names.h"

/* ---- damage ---- */

static char *sample_archive(const char *name)
{
    rs_archive *a = t_archive_create(name);
    T_OK(rs_archive_write_tensor(a, "/source/frames", t_pattern(RS_DTYPE_U8, RS_SHAPE(9, 64, 64)),
                                 1));
    T_OK(rs_archive_write_tensor(a, "/source/x", t_pattern(RS_DTYPE_F32, RS_SHAPE(50, 50)), 0));
    T_OK(rs_archive_write_text(a, "/provenance/config", "name: x\n"));
    T_OK(rs_archive_commit(&a));
    return t_archive_path(name);
}

static void write_plain(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");
    T_CHECK(f && fwrite(data, 1, n, f) == n && fclose(f) == 0);
}

static void t_foreign_and_truncated_files_say_so(void)
{
    rs_archive *a = NULL;
    char *path = sample_archive("s.h5"), *bytes;
    size_t n;
    T_OK(rs_read_file(&bytes, &n, t_arena(), path));
    T_OK(rs_write_file_atomic(path, bytes, n - 100));
    T_FAILS(rs_archive_open(&a, path), FORMAT, "s.h5: truncated file");
    T_OK(rs_write_file_atomic(path, bytes, 100));
    T_FAILS(rs_archive_open(&a, path), FORMAT, "s.h5: ");
    T_OK(rs_write_file_atomic(path, "hello", 5));
    T_FAILS(rs_archive_open(&a, path), FORMAT, "s.h5: not an HDF5 file");
    T_OK(rs_write_file_atomic(path, "", 0));
    T_FAILS(rs_archive_open(&a, path), FORMAT, "s.h5: not an HDF5 file");
    T_FAILS(rs_archive_open(&a, t_archive_path("none.h5")), IO,
            "none.h5: cannot open: No such file");
    T_FAILS(rs_archive_open(&a, t_tmpdir()), IO, "not a regular file");
    T_FAILS(rs_archive_create(&a, "/nonexistent/x.h5"), IO, "/nonexistent/x.h5: ");
    hid_t f = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    H5Fclose(f);
    T_FAILS(rs_archive_open(&a, path), FORMAT, "an HDF5 file, but not a reshoot archive");
    a = t_archive_create("v.h5");
    T_OK(rs_archive_set_i64(a, "/", RS_ATTR_VERSION, 2));
    T_OK(rs_archive_commit(&a));
    T_FAILS(rs_archive_open(&a, t_archive_path("v.h5")), FORMAT,
            "of version 2, this program reads version 1");
    t_no_hdf5_objects();
}

/* Everything in an archive as one hash; the first failure ends it. */
static rs_status hash_object(rs_hash *h, const rs_archive *a, const char *object);

static rs_status hash_members(rs_hash *h, const rs_archive *a, const char *group)
{
    char **names = NULL;
    int64_t n = 0;
    RS_TRY(rs_archive_list(&names, &n, t_arena(), a, group));
    for (int64_t i = 0; i < n; i++) {
        rs_hash_string(h, names[i]);
        const char *slash = group[1] ? "/" : "";
        RS_TRY(hash_object(h, a, rs_arena_printf(t_arena(), "%s%s%s", group, slash, names[i])));
    }
    return RS_OK;
}

static rs_status hash_object(rs_hash *h, const rs_archive *a, const char *object)
{
    char **names = NULL, *text = NULL;
    int64_t n = 0;
    rs_tensor t = {0};
    RS_TRY(rs_archive_list_attributes(&names, &n, t_arena(), a, object));
    for (int64_t i = 0; i < n; i++) {
        RS_TRY(rs_archive_get_as_text(&text, t_arena(), a, object, names[i]));
        rs_hash_string(h, text);
    }
    switch (rs_archive_kind_of(a, object)) {
    case RS_ARCHIVE_GROUP:
        return hash_members(h, a, object);
    case RS_ARCHIVE_TENSOR:
        RS_TRY(rs_archive_read_tensor(&t, t_arena(), a, object));
        rs_hash_update(h, t.data, rs_tensor_bytes(t));
        return RS_OK;
    case RS_ARCHIVE_TEXT:
        RS_TRY(rs_archive_read_text(&text, t_arena(), a, object));
        rs_hash_string(h, text);
        return RS_OK;
    default:
        return RS_FAIL(FORMAT, "%s: %s: of no known kind", rs_archive_path(a), object);
    }
}

static rs_status hash_archive(char hex[RS_HASH_HEX], const char *path)
{
    rs_archive *a = NULL;
    rs_status st = RS_OK;
    rs_hash h;
    rs_hash_init(&h);
    RS_TRY_OUT(rs_archive_open(&a, path));
    RS_TRY_OUT(hash_object(&h, a, "/"));
    rs_hash_final_hex(&h, hex);
out:
    rs_archive_close(&a);
    return st;
}

/* A flipped byte is found, or lies where nothing is kept. */
static void t_flipped_bytes_are_found(void)
{
    char *path = sample_archive("s.h5"), *bad = t_archive_path("bad.h5"), *bytes;
    char want[RS_HASH_HEX], got[RS_HASH_HEX];
    size_t n;
    int data = 0, refused = 0, tries = 0;
    T_OK(hash_archive(want, path));
    T_OK(rs_read_file(&bytes, &n, t_arena(), path));
    for (size_t k = 0; k < n; k += 31, tries++) {
        rs_arena_mark m = rs_arena_get_mark(t_arena());
        bytes[k] = (char)~bytes[k];
        write_plain(bad, bytes, n);
        bytes[k] = (char)~bytes[k];
        rs_status st = hash_archive(got, bad);
        T_CHECKF(st == RS_OK || st == RS_FORMAT, "byte %zu: %s", k, rs_error_message());
        T_CHECKF(st != RS_OK || strcmp(got, want) == 0, "byte %zu changed something unnoticed", k);
        refused += st != RS_OK;
        data += st != RS_OK && strstr(rs_error_message(), "Fletcher32") != NULL;
        rs_arena_release(t_arena(), m);
    }
    T_CHECKF(data > tries / 2 && refused > data, "%d of %d by fletcher32, %d in all", data, tries,
             refused);
    t_no_hdf5_objects();
}

static void t_missing_chunks_are_not_zeros(void)
{
    char *path = sample_archive("s.h5");
    hid_t f = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    hid_t plan = H5Pcreate(H5P_DATASET_CREATE),
          space = H5Screate_simple(2, (hsize_t[]){50, 50}, NULL);
    H5Pset_chunk(plan, 2, (hsize_t[]){10, 50});
    hid_t d = H5Dcreate2(f, "/holes", H5T_IEEE_F32LE, space, H5P_DEFAULT, plan, H5P_DEFAULT);
    float row[500] = {1};
    hid_t memory = H5Screate_simple(2, (hsize_t[]){10, 50}, NULL);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, (hsize_t[]){0, 0}, NULL, (hsize_t[]){10, 50}, NULL);
    T_CHECK(H5Dwrite(d, H5T_IEEE_F32LE, memory, space, H5P_DEFAULT, row) >= 0);
    H5Dclose(d);
    hid_t big = H5Screate_simple(2, (hsize_t[]){1u << 30, 1u << 30}, NULL);
    d = H5Dcreate2(f, "/huge", H5T_IEEE_F32LE, big, H5P_DEFAULT, plan, H5P_DEFAULT);
    H5Dclose(d);
    H5Sclose(big);
    H5Sclose(memory);
    H5Sclose(space);
    H5Pclose(plan);
    H5Fclose(f);
    rs_archive *a = NULL;
    rs_tensor t;
    T_OK(rs_archive_open(&a, path));
    T_FAILS(rs_archive_read_tensor(&t, t_arena(), a, "/holes"), FORMAT,
            "/holes: 4 of 5 chunks are missing");
    T_FAILS(rs_archive_read_tensor(&t, t_arena(), a, "/huge"), FORMAT,
            "/huge: 0 bytes cannot hold F32[");
    T_FAILS(rs_archive_read_tensor(&t, t_arena(), a, "/provenance/config"), FORMAT, "not a tensor");
    T_FAILS(rs_archive_read_tensor(&t, t_arena(), a, "/source"), FORMAT, "s.h5: /source: ");
    rs_archive_close(&a);
}

/* ---- publishing ---- */

static void t_nothing_appears_before_commit(void)
{
    char *path = sample_archive("s.h5"), *before, *after, *out;
    size_t n, m;
    T_OK(rs_read_file(&before, &n, t_arena(), path));
    rs_archive *a = t_archive_create("s.h5");
    T_OK(rs_archive_write_text(a, "/half", "way"));
    T_OK(rs_read_file(&after, &m, t_arena(), path));
    T_CHECK(n == m && memcmp(before, after, n) == 0);
    rs_archive_abandon(&a);
    T_CHECK(!a);
    rs_archive_abandon(&a);
    t_shell(&out, "ls -A %s", t_tmpdir());
    T_EQ_S(out, "s.h5\n");
    t_no_hdf5_objects();
}

/* kill -9 while publishing: the old archive or the new one; leftovers are swept. */
static void t_killed_writer_leaves_a_whole_archive(void)
{
    char *path = sample_archive("s.h5"), *out;
    for (int round = 0; round < 5; round++) {
        pid_t pid = fork();
        T_CHECK(pid >= 0);
        if (pid == 0) {
            for (;;)
                sample_archive("s.h5");
        }
        usleep(30000 + 7000 * (unsigned)round);
        kill(pid, SIGKILL);
        int rc;
        T_CHECK(waitpid(pid, &rc, 0) == pid && WIFSIGNALED(rc));
        rs_archive *a = NULL;
        rs_tensor t;
        T_OK(rs_archive_open(&a, path));
        T_OK(rs_archive_read_tensor(&t, t_arena(), a, "/source/x"));
        rs_archive_close(&a);
        T_OK(rs_atomic_sweep(t_tmpdir(), NULL));
        t_shell(&out, "ls -A %s", t_tmpdir());
        T_EQ_S(out, "s.h5\n");
    }
}

/* A full disk (a limit on file sizes) in a child, as HDF5 cannot close such a file for good: an
 * error, the old archive stays, no temporary. */
static void t_full_disk_is_an_error(void)
{
    char *path = sample_archive("s.h5"), *before, *after, *out;
    size_t n, m;
    T_OK(rs_read_file(&before, &n, t_arena(), path));
    pid_t pid = fork();
    T_CHECK(pid >= 0);
    if (pid == 0) {
        struct rlimit small = {100000, 100000};
        rs_archive *a = NULL;
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &small);
        rs_status st = rs_archive_create(&a, path);
        if (st == RS_OK)
            st = rs_archive_write_tensor(a, "/x", t_pattern(RS_DTYPE_F32, RS_SHAPE(1000, 100)), 0);
        if (st == RS_OK)
            st = rs_archive_commit(&a);
        bool good = st == RS_IO && strstr(rs_error_message(), "s.h5: write failed: File too large");
        _exit(good ? 0 : 1);
    }
    int rc;
    T_CHECK(waitpid(pid, &rc, 0) == pid);
    T_CHECKF(WIFEXITED(rc) && WEXITSTATUS(rc) == 0, "child ended with %d", rc);
    T_OK(rs_read_file(&after, &m, t_arena(), path));
    T_CHECK(n == m && memcmp(before, after, n) == 0);
    t_shell(&out, "ls -A %s", t_tmpdir());
    T_EQ_S(out, "s.h5\n");
}

/* Writes an archive where files may not grow beyond `bytes`; 0: as it must be, whatever failed. */
static int write_where_little_fits(const char *path, rlim_t bytes)
{
    struct rlimit small = {bytes, bytes};
    rs_archive *a = NULL;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    rs_status st = rs_archive_create(&a, path);
    for (int i = 0; i < 4 && st == RS_OK; i++)
        st = rs_archive_write_tensor(a, rs_arena_printf(t_arena(), "/x%d", i),
                                     t_pattern(RS_DTYPE_F32, RS_SHAPE(50, 50)), 0);
    if (st == RS_OK)
        st = rs_archive_commit(&a);
    rs_archive_abandon(&a);
    return st == RS_OK ? 2 : st == RS_IO ? 0 : 1;
}

/* Wherever the disk is full: at the begin, in the middle, when all is written out at the close. */
static void t_a_disk_that_fills_up_anywhere_is_an_error(void)
{
    const char *path = t_archive_path("s.h5");
    int failed = 0, written = 0;
    for (rlim_t bytes = 500; bytes < 60000; bytes += 1500) {
        int rc;
        pid_t pid = fork();
        if (pid == 0)
            _exit(write_where_little_fits(path, bytes));
        T_CHECK(waitpid(pid, &rc, 0) == pid);
        T_CHECKF(WIFEXITED(rc) && WEXITSTATUS(rc) != 1, "at %d bytes: %d", (int)bytes, rc);
        failed += WEXITSTATUS(rc) == 0;
        written += WEXITSTATUS(rc) == 2;
        T_CHECK(rs_path_exists(path) == (WEXITSTATUS(rc) == 2));
        T_CHECK(!written || failed); /* what fits is written, and nothing fails behind it */
        char *out;
        t_shell(&out, "ls -A %s | grep -v '^s.h5$'", t_tmpdir());
        T_EQ_S(out, "");
        t_shell(NULL, "rm -f %s", path);
    }
    T_CHECKF(failed > 20 && written > 3, "%d failed, %d written", failed, written);
}

static const rs_test_case cases[] = {
    T_CASE(t_foreign_and_truncated_files_say_so),
    T_CASE(t_flipped_bytes_are_found),
    T_CASE(t_missing_chunks_are_not_zeros),
    T_CASE(t_nothing_appears_before_commit),
    T_CASE(t_killed_writer_leaves_a_whole_archive),
    T_CASE(t_full_disk_is_an_error),
    T_CASE(t_a_disk_that_fills_up_anywhere_is_an_error),
};
RS_TEST_MAIN(cases)
