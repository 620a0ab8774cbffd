// store: HDF5 archives: round trips, damage, atomic publishing, independent readers.
#include <hdf5.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fsio.h"
#include "base/hash.h"
#include "harness/test.h"
#include "store/archive.h"
#include "store/schema_names.h"

static char *temp_path(const char *name)
{
    return rs_path_join(t_arena(), t_tmpdir(), name);
}

static rs_archive *create(const char *name)
{
    rs_archive *a = NULL;
    T_OK(rs_archive_create(&a, temp_path(name)));
    return a;
}

static rs_archive *reopen(rs_archive *a)
{
    rs_archive *b = NULL;
    char *path = rs_arena_strdup(t_arena(), rs_archive_path(a));
    T_OK(rs_archive_commit(&a));
    T_CHECK(!a);
    T_OK(rs_archive_open(&b, path));
    return b;
}

/* Any bytes: every bit pattern must survive, NaN payloads included. */
static rs_tensor pattern(rs_dtype dtype, int ndim, const int64_t *shape)
{
    rs_tensor t = rs_tensor_of(NULL, dtype, ndim, shape);
    size_t n = rs_tensor_bytes(t);
    uint8_t *p = rs_arena_alloc(t_arena(), n, 1);
    for (size_t i = 0; i < n; i++)
        p[i] = dtype == RS_DTYPE_BOOL ? (uint8_t)(i % 3 == 0) : (uint8_t)(i * 167 + i / 251 * 13);
    t.data = p;
    return t;
}

static bool same_tensor(rs_tensor a, rs_tensor b)
{
    return a.dtype == b.dtype && rs_tensor_same_shape(a, b) &&
           memcmp(a.data, b.data, rs_tensor_bytes(a)) == 0;
}

static void expect_no_objects(void)
{
    T_EQ_I(H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL), 0);
}

/* ---- round trips ---- */

static void t_every_type_small_and_chunked(void)
{
    static const int deflate[] = {0, 1};
    rs_archive *a = create("t.h5");
    rs_tensor small[RS_DTYPE_COUNT], large[RS_DTYPE_COUNT], out;
    for (int i = 0; i < RS_DTYPE_COUNT; i++) {
        small[i] = pattern((rs_dtype)i, RS_SHAPE(3, 5, 2));
        large[i] = pattern((rs_dtype)i, RS_SHAPE(7, 300, 5));
        char *s = rs_arena_printf(t_arena(), "/small/%s", rs_dtype_name((rs_dtype)i));
        char *l = rs_arena_printf(t_arena(), "/large/deep/%s", rs_dtype_name((rs_dtype)i));
        T_OK(rs_archive_write_tensor(a, s, small[i], 0));
        T_OK(rs_archive_write_tensor(a, l, large[i], deflate[i % 2]));
        T_OK(rs_archive_read_tensor(&out, t_arena(), a, l)); /* before the commit, too */
        T_CHECK(same_tensor(out, large[i]));
    }
    a = reopen(a);
    for (int i = 0; i < RS_DTYPE_COUNT; i++) {
        char *s = rs_arena_printf(t_arena(), "/small/%s", rs_dtype_name((rs_dtype)i));
        char *l = rs_arena_printf(t_arena(), "/large/deep/%s", rs_dtype_name((rs_dtype)i));
        T_OK(rs_archive_read_tensor(&out, t_arena(), a, s));
        T_CHECKF(same_tensor(out, small[i]), "%s", s);
        T_OK(rs_archive_read_tensor(&out, t_arena(), a, l));
        T_CHECKF(same_tensor(out, large[i]), "%s", l);
        T_OK(rs_archive_tensor_info(&out, a, l));
        T_CHECK(!out.data && out.dtype == (rs_dtype)i && out.shape[1] == 300);
        T_EQ_I(rs_archive_kind_of(a, l), RS_ARCHIVE_TENSOR);
    }
    rs_archive_close(&a);
    T_CHECK(!a);
    expect_no_objects();
}

static void t_strided_rows_empty_and_big_chunks(void)
{
    rs_archive *a = create("t.h5");
    rs_tensor wide = pattern(RS_DTYPE_F32, RS_SHAPE(50, 60)), out;
    rs_tensor cols = rs_tensor_cols_view(wide, 7, 40);
    rs_tensor frames = pattern(RS_DTYPE_U8, RS_SHAPE(5, 480, 832, 3));
    rs_tensor none = rs_tensor_of(NULL, RS_DTYPE_F32, RS_SHAPE(0, 4));
    T_OK(rs_archive_write_tensor(a, "/cols", cols, 0));
    rs_tensor deep =
        pattern(RS_DTYPE_BF16, RS_SHAPE(6, 5, 200)); /* strided rows in three dimensions */
    deep.shape[2] = 150;
    T_CHECK(!rs_tensor_contiguous(deep));
    T_OK(rs_archive_write_tensor(a, "/deep", deep, 0));
    T_OK(rs_archive_write_tensor(a, "/frames", frames, RS_ARCHIVE_DEFLATE));
    T_OK(rs_archive_write_tensor(a, "/none", none, 0));
    a = reopen(a);
    T_OK(rs_archive_read_tensor(&out, t_arena(), a, "/cols"));
    T_CHECK(out.shape[0] == 50 && out.shape[1] == 33 && rs_tensor_contiguous(out));
    for (int64_t i = 0; i < 50; i++)
        T_CHECK(memcmp(rs_f32(out) + i * 33, rs_f32(cols) + i * cols.ld, 33 * 4) == 0);
    T_OK(rs_archive_read_tensor(&out, t_arena(), a, "/deep"));
    for (int64_t i = 0; i < 30; i++)
        T_CHECK(memcmp((uint16_t *)out.data + i * 150, (uint16_t *)deep.data + i * 200, 300) == 0);
    T_OK(rs_archive_read_tensor(&out, t_arena(), a, "/frames"));
    T_CHECK(same_tensor(out, frames));
    T_OK(rs_archive_read_tensor(&out, t_arena(), a, "/none"));
    T_CHECK(out.ndim == 2 && out.shape[0] == 0 && out.shape[1] == 4);
    rs_archive_close(&a);
}

static void t_slices_of_the_first_index(void)
{
    rs_archive *a = create("t.h5");
    rs_tensor t = pattern(RS_DTYPE_BF16, RS_SHAPE(9, 40, 30)),
              line = pattern(RS_DTYPE_I64, RS_SHAPE(9));
    rs_tensor out;
    T_OK(rs_archive_write_tensor(a, "/x/t", t, 1));
    T_OK(rs_archive_write_tensor(a, "/x/line", line, 0));
    a = reopen(a);
    for (int64_t lo = 0; lo <= 9; lo += 3) {
        T_OK(rs_archive_read_slice(&out, t_arena(), a, "/x/t", lo, 9));
        T_CHECK(same_tensor(out, rs_tensor_slice(t, lo, 9)));
        T_OK(rs_archive_read_slice(&out, t_arena(), a, "/x/line", 0, lo));
        T_CHECK(same_tensor(out, rs_tensor_slice(line, 0, lo)) && out.ld == lo);
    }
    T_FAILS(rs_archive_read_slice(&out, t_arena(), a, "/x/t", 3, 10), FORMAT,
            "/x/t: range 3..10 of 9");
    T_FAILS(rs_archive_read_slice(&out, t_arena(), a, "/x/t", 3, 2), FORMAT, "range 3..2 of 9");
    T_FAILS(rs_archive_read_slice(&out, t_arena(), a, "/x/t", -1, 2), FORMAT, "range -1..2 of 9");
    T_FAILS(rs_archive_read_slice(&out, t_arena(), a, "/x/t", 0, -1), FORMAT, "range ends at -1");
    rs_archive_close(&a);
}

static void t_attributes_and_texts(void)
{
    rs_archive *a = create("t.h5");
    char *s, *long_text = rs_arena_alloc(t_arena(), 100001, 1);
    memset(long_text, 'x', 100000);
    int64_t i;
    double f;
    T_OK(rs_archive_make_group(a, "/g/h"));
    T_OK(rs_archive_make_group(a, "/g/h"));
    T_OK(rs_archive_set_string(a, "/g/h", "s", "h\xc3\xa4user"));
    T_OK(rs_archive_set_string(a, "/g/h", "s", "once more"));
    T_OK(rs_archive_set_string(a, "/g/h", "empty", ""));
    T_OK(rs_archive_set_i64(a, "/g/h", "i", INT64_MIN));
    T_OK(rs_archive_set_f64(a, "/g/h", "f", 0.1));
    T_OK(rs_archive_write_text(a, "/g/long", long_text));
    T_OK(rs_archive_write_text(a, "/g/none", ""));
    T_FAILS(rs_archive_set_i64(a, "/no/where", "i", 1), IO, "/no/where: ");
    T_FAILS(rs_archive_write_text(a, "/g/long", "again"), IO, "/g/long: ");
    T_OK(rs_archive_set_string(a, "/g", "long", long_text));
    a = reopen(a);
    T_OK(rs_archive_get_string(&s, t_arena(), a, "/g/h", "s"));
    T_EQ_S(s, "once more");
    T_OK(rs_archive_get_string(&s, t_arena(), a, "/g/h", "empty"));
    T_EQ_S(s, "");
    T_OK(rs_archive_get_i64(&i, a, "/g/h", "i"));
    T_CHECK(i == INT64_MIN);
    T_OK(rs_archive_get_f64(&f, a, "/g/h", "f"));
    T_CHECK(f == 0.1);
    T_OK(rs_archive_read_text(&s, t_arena(), a, "/g/long"));
    T_EQ_S(s, long_text);
    T_OK(rs_archive_read_text(&s, t_arena(), a, "/g/none"));
    T_EQ_S(s, "");
    T_OK(rs_archive_get_string(&s, t_arena(), a, "/g", "long"));
    T_EQ_S(s, long_text);
    T_OK(rs_archive_get_as_text(&s, t_arena(), a, "/g/h", "f"));
    T_EQ_S(s, "0.1");
    T_OK(rs_archive_get_as_text(&s, t_arena(), a, "/", RS_ATTR_VERSION));
    T_EQ_S(s, "1");
    T_OK(rs_archive_get_as_text(&s, t_arena(), a, "/g/h", "s"));
    T_EQ_S(s, "once more");
    char **names;
    T_OK(rs_archive_list_attributes(&names, &i, t_arena(), a, "/g/h"));
    T_CHECK(i == 4 && strcmp(names[0], "empty") == 0 && strcmp(names[3], "s") == 0);
    T_CHECK(rs_archive_has(a, "/g/h", "i") && !rs_archive_has(a, "/g/h", "j"));
    T_CHECK(!rs_archive_has(a, "/x/y", "j"));
    T_FAILS(rs_archive_get_i64(&i, a, "/g/h", "j"), FORMAT, "/g/h: attribute 'j' is missing");
    T_FAILS(rs_archive_get_i64(&i, a, "/g/h", "s"), FORMAT, "attribute 's' is not an integer");
    T_FAILS(rs_archive_get_f64(&f, a, "/g/h", "s"), FORMAT, "attribute 's' is not a number");
    T_FAILS(rs_archive_get_string(&s, t_arena(), a, "/g/h", "f"), FORMAT, "'f' is not a string");
    T_FAILS(rs_archive_read_text(&s, t_arena(), a, "/g/h"), FORMAT, "/g/h: ");
    T_FAILS(rs_archive_read_text(&s, t_arena(), a, "/g/x"), FORMAT, "t.h5: /g/x: missing");
    rs_archive_close(&a);
    expect_no_objects();
}

static void t_listing_and_kinds(void)
{
    rs_archive *a = create("t.h5");
    rs_tensor x = pattern(RS_DTYPE_U8, RS_SHAPE(2));
    T_OK(rs_archive_write_tensor(a, "/z/b", x, 0));
    T_OK(rs_archive_write_text(a, "/z/a", "t"));
    T_OK(rs_archive_make_group(a, "/z/c"));
    T_OK(rs_archive_link(a, "/z/d", "gone.h5", "/"));
    a = reopen(a);
    char **names;
    int64_t n;
    T_OK(rs_archive_list(&names, &n, t_arena(), a, "/z"));
    T_EQ_I(n, 4);
    static const rs_archive_kind kinds[] = {RS_ARCHIVE_TEXT, RS_ARCHIVE_TENSOR, RS_ARCHIVE_GROUP,
                                            RS_ARCHIVE_NONE};
    for (int i = 0; i < 4; i++) {
        T_EQ_S(names[i], ((const char *[]){"a", "b", "c", "d"})[i]);
        T_EQ_I(rs_archive_kind_of(a, rs_arena_printf(t_arena(), "/z/%s", names[i])), kinds[i]);
    }
    T_CHECK(rs_archive_exists(a, "/") && rs_archive_exists(a, "/z/c"));
    T_CHECK(!rs_archive_exists(a, "/z/d") && !rs_archive_exists(a, "/y/c"));
    T_CHECK(!rs_archive_exists(a, "/z/b/below"));
    T_FAILS(rs_archive_list(&names, &n, t_arena(), a, "/nothing"), FORMAT, "t.h5: /nothing: ");
    rs_archive_close(&a);
}

static void t_copies_and_links_between_archives(void)
{
    rs_archive *a = create("a.h5");
    rs_tensor x = pattern(RS_DTYPE_F32, RS_SHAPE(40, 50)), out;
    T_OK(rs_archive_write_tensor(a, "/stages/motion/adapter/m/A", x, 0));
    T_OK(rs_archive_set_i64(a, "/stages/motion", "step", 5));
    a = reopen(a);
    rs_archive *b = create("b.h5");
    T_OK(rs_archive_copy(b, "/old/motion", a, "/stages/motion"));
    T_FAILS(rs_archive_copy(b, "/old/x", a, "/stages/x"), FORMAT, "a.h5: /stages/x: missing");
    T_FAILS(rs_archive_copy(b, "/old/motion", a, "/stages/motion"), IO, "b.h5: /old/motion: ");
    T_OK(rs_archive_link(b, "/videos/a", "a.h5", "/"));
    rs_archive_close(&a);
    b = reopen(b);
    int64_t step;
    T_OK(rs_archive_get_i64(&step, b, "/old/motion", "step"));
    T_EQ_I(step, 5);
    T_OK(rs_archive_read_tensor(&out, t_arena(), b, "/old/motion/adapter/m/A"));
    T_CHECK(same_tensor(out, x));
    T_OK(rs_archive_read_tensor(&out, t_arena(), b, "/videos/a/stages/motion/adapter/m/A"));
    T_CHECK(same_tensor(out, x));
    rs_archive_close(&b);
    expect_no_objects();
}

static void t_tables(void)
{
    static const rs_column columns[] = {{RS_COL_VIDEO, RS_COLUMN_STRING},
                                        {RS_COL_BYTES, RS_COLUMN_I64},
                                        {RS_COL_SECONDS, RS_COLUMN_F64},
                                        {RS_COL_REASON, RS_COLUMN_STRING}};
    const rs_cell cells[] = {
        {.s = "car"},        {.i = -1},        {.f = 0.1}, {.s = NULL},
        {.s = "b\xc3\xa4r"}, {.i = INT64_MAX}, {.f = NAN}, {.s = "no disk left"}};
    const rs_table t = {columns, 4, cells, 2}, none = {columns, 4, NULL, 0};
    rs_archive *a = create("catalog.h5");
    T_OK(rs_archive_write_table(a, RS_DATA_JOBS, &t));
    T_OK(rs_archive_write_table(a, "/none", &none));
    a = reopen(a);
    rs_table r;
    T_EQ_I(rs_archive_kind_of(a, RS_DATA_JOBS), RS_ARCHIVE_TABLE);
    T_OK(rs_archive_read_table(&r, t_arena(), a, RS_DATA_JOBS));
    T_CHECK(r.n_rows == 2 && r.n_columns == 4);
    for (int i = 0; i < 4; i++) {
        T_EQ_S(r.columns[i].name, columns[i].name);
        T_EQ_I(r.columns[i].type, columns[i].type);
    }
    T_EQ_S(r.cells[0].s, "car");
    T_EQ_S(r.cells[3].s, "");
    T_EQ_S(r.cells[4].s, "b\xc3\xa4r");
    T_EQ_S(r.cells[7].s, "no disk left");
    T_CHECK(r.cells[1].i == -1 && r.cells[5].i == INT64_MAX && r.cells[2].f == 0.1);
    T_CHECK(isnan(r.cells[6].f));
    T_OK(rs_archive_read_table(&r, t_arena(), a, "/none"));
    T_CHECK(r.n_rows == 0 && r.n_columns == 4);
    T_FAILS(rs_archive_read_table(&r, t_arena(), a, "/"), FORMAT, "catalog.h5");
    rs_archive_close(&a);
}

/* A catalog of more videos than links fit in an object header that is quick to search. */
static void t_many_links(void)
{
    enum { N = 6000 };
    char **names;
    int64_t n;
    rs_archive *a = create("many.h5");
    T_OK(rs_archive_make_group(a, RS_GROUP_VIDEOS));
    for (int i = N - 1; i >= 0; i--)
        T_OK(rs_archive_link(a, rs_arena_printf(t_arena(), RS_GROUP_VIDEOS "/v%05d", i), "x.h5",
                             "/"));
    a = reopen(a);
    T_OK(rs_archive_list(&names, &n, t_arena(), a, RS_GROUP_VIDEOS));
    T_EQ_I(n, N);
    T_EQ_S(names[0], "v00000");
    T_EQ_S(names[N - 1], rs_arena_printf(t_arena(), "v%05d", N - 1));
    rs_archive_close(&a);
}

static void t_equal_content_gives_equal_bytes(void)
{
    char *bytes[2];
    size_t n[2];
    for (int k = 0; k < 2; k++) {
        rs_archive *a = create(k ? "b.h5" : "a.h5");
        T_OK(rs_archive_set_string(a, "/", RS_ATTR_KIND, RS_KIND_VIDEO));
        T_OK(rs_archive_write_text(a, "/provenance/config", "name: x\n"));
        T_OK(rs_archive_write_tensor(a, "/source/frames", pattern(RS_DTYPE_U8, RS_SHAPE(9, 64, 64)),
                                     1));
        T_OK(rs_archive_commit(&a));
        T_OK(rs_read_file(&bytes[k], &n[k], t_arena(), temp_path(k ? "b.h5" : "a.h5")));
        if (k == 0)
            usleep(1100000); /* HDF5's time stamps have seconds */
    }
    T_CHECK(n[0] == n[1] && memcmp(bytes[0], bytes[1], n[0]) == 0);
}

/* ---- damage ---- */

static char *sample_archive(const char *name)
{
    rs_archive *a = create(name);
    T_OK(
        rs_archive_write_tensor(a, "/source/frames", pattern(RS_DTYPE_U8, RS_SHAPE(9, 64, 64)), 1));
    T_OK(rs_archive_write_tensor(a, "/source/x", pattern(RS_DTYPE_F32, RS_SHAPE(50, 50)), 0));
    T_OK(rs_archive_write_text(a, "/provenance/config", "name: x\n"));
    T_OK(rs_archive_commit(&a));
    return temp_path(name);
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
    T_FAILS(rs_archive_open(&a, temp_path("none.h5")), IO, "none.h5: cannot open: No such file");
    T_FAILS(rs_archive_open(&a, t_tmpdir()), IO, "not a regular file");
    T_FAILS(rs_archive_create(&a, "/nonexistent/x.h5"), IO, "/nonexistent/x.h5: ");
    hid_t f = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    H5Fclose(f);
    T_FAILS(rs_archive_open(&a, path), FORMAT, "an HDF5 file, but not a reshoot archive");
    a = create("v.h5");
    T_OK(rs_archive_set_i64(a, "/", RS_ATTR_VERSION, 2));
    T_OK(rs_archive_commit(&a));
    T_FAILS(rs_archive_open(&a, temp_path("v.h5")), FORMAT,
            "of version 2, this program reads version 1");
    expect_no_objects();
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
    char *path = sample_archive("s.h5"), *bad = temp_path("bad.h5"), *bytes;
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
    expect_no_objects();
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
    rs_archive *a = create("s.h5");
    T_OK(rs_archive_write_text(a, "/half", "way"));
    T_OK(rs_read_file(&after, &m, t_arena(), path));
    T_CHECK(n == m && memcmp(before, after, n) == 0);
    rs_archive_abandon(&a);
    T_CHECK(!a);
    rs_archive_abandon(&a);
    t_shell(&out, "ls -A %s", t_tmpdir());
    T_EQ_S(out, "s.h5\n");
    expect_no_objects();
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
            st = rs_archive_write_tensor(a, "/x", pattern(RS_DTYPE_F32, RS_SHAPE(1000, 100)), 0);
        bool good = st == RS_IO && strstr(rs_error_message(), "s.h5: /x: File too large");
        rs_archive_abandon(&a);
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

/* ---- independent readers ---- */

static void t_h5py_reads_the_same(void)
{
    char *out;
    if (t_shell(&out, "/usr/bin/python3 -c 'import h5py, numpy'") != 0)
        rs_test_skip("no h5py for /usr/bin/python3");
    static const rs_column columns[] = {{"video", RS_COLUMN_STRING}, {"seconds", RS_COLUMN_F64}};
    const rs_cell cells[] = {{.s = "car"}, {.f = 1.5}, {.s = "tree"}, {.f = -2}};
    const rs_table table = {columns, 2, cells, 2};
    rs_archive *a = create("a.h5");
    uint16_t h[] = {0x3c00, 0xc000, 0x7bff, 0x0001}, b[] = {0x3f80, 0xc000, 0x7f7f, 0x0080};
    T_OK(rs_archive_write_tensor(a, "/f16", rs_tensor_of(h, RS_DTYPE_F16, RS_SHAPE(4)), 0));
    T_OK(rs_archive_write_tensor(a, "/bf16", rs_tensor_of(b, RS_DTYPE_BF16, RS_SHAPE(2, 2)), 0));
    rs_tensor frames = pattern(RS_DTYPE_U8, RS_SHAPE(5, 32, 48, 3));
    T_OK(rs_archive_write_tensor(a, "/source/frames", frames, 1));
    T_OK(rs_archive_write_tensor(a, "/f32", rs_tensor_new(t_arena(), RS_SHAPE(60, 60)), 0));
    T_OK(rs_archive_write_tensor(a, "/bool", pattern(RS_DTYPE_BOOL, RS_SHAPE(4)), 0));
    T_OK(rs_archive_write_text(a, "/provenance/config", "name: h\xc3\xa4user\n"));
    T_OK(rs_archive_write_table(a, "/jobs", &table));
    T_OK(rs_archive_set_f64(a, "/source", "fps", 12.5));
    T_OK(rs_archive_commit(&a));
    a = create("catalog.h5");
    T_OK(rs_archive_link(a, "/videos/a", "a.h5", "/"));
    T_OK(rs_archive_commit(&a));
    unsigned sum = 0;
    for (size_t i = 0; i < rs_tensor_bytes(frames); i++)
        sum += ((uint8_t *)frames.data)[i] * (unsigned)(i % 7 + 1);
    static const char program[] =
        "import h5py, numpy as np, sys\n"
        "f = h5py.File(sys.argv[1] + \"/catalog.h5\")[\"videos/a\"]\n"
        "print(f.attrs[\"format\"].decode(), f.attrs[\"version\"], f[\"source\"].attrs[\"fps\"])\n"
        "print([float(x) for x in f[\"f16\"][:]], f[\"f16\"].dtype)\n"
        "print(f[\"bf16\"][:].astype(\"f8\").tolist())\n"
        "x = f[\"source/frames\"]\n"
        "for d in x, f[\"f32\"]: print(d.shape, d.dtype, d.fletcher32, d.shuffle, d.compression)\n"
        "v = x[:].ravel().astype(\"i8\")\n"
        "print((v * (np.arange(v.size) % 7 + 1)).sum())\n"
        "print(f[\"bool\"][:].tolist(), f[\"provenance/config\"][()].decode().strip())\n"
        "print([(r[\"video\"].decode(), r[\"seconds\"]) for r in f[\"jobs\"][:]])\n";
    T_EQ_I(t_shell(&out, "PYTHONIOENCODING=utf-8 /usr/bin/python3 -c '%s' %s", program, t_tmpdir()),
           0);
    char *want = rs_arena_printf(
        t_arena(),
        "reshoot archive 1 12.5\n"
        "[1.0, -2.0, 65504.0, 5.960464477539063e-08] float16\n"
        "[[1.0, -2.0], [3.3895313892515355e+38, 1.1754943508222875e-38]]\n"
        "(5, 32, 48, 3) uint8 True False gzip\n(60, 60) float32 True True None\n%u\n"
        "[True, False, False, True] name: h\xc3\xa4user\n"
        "[('car', 1.5), ('tree', -2.0)]\n",
        sum);
    T_EQ_S(out, want);
}

static void t_h5dump_reads_the_same(void)
{
    char *out;
    if (t_shell(&out, "h5dump --version") != 0)
        rs_test_skip("no h5dump");
    rs_archive *a = create("a.h5");
    float x[] = {1.5f, -2.25f};
    T_OK(rs_archive_write_tensor(a, "/x", rs_tensor_of(x, RS_DTYPE_F32, RS_SHAPE(2)), 0));
    T_OK(rs_archive_commit(&a));
    T_EQ_I(t_shell(&out, "h5dump -d /x %s", temp_path("a.h5")), 0);
    T_CHECKF(strstr(out, "(0): 1.5, -2.25") && strstr(out, "H5T_IEEE_F32LE"), "%s", out);
}

static const rs_test_case cases[] = {
    T_CASE(t_every_type_small_and_chunked),
    T_CASE(t_strided_rows_empty_and_big_chunks),
    T_CASE(t_slices_of_the_first_index),
    T_CASE(t_attributes_and_texts),
    T_CASE(t_listing_and_kinds),
    T_CASE(t_copies_and_links_between_archives),
    T_CASE(t_tables),
    T_CASE(t_many_links),
    T_CASE(t_equal_content_gives_equal_bytes),
    T_CASE(t_foreign_and_truncated_files_say_so),
    T_CASE(t_flipped_bytes_are_found),
    T_CASE(t_missing_chunks_are_not_zeros),
    T_CASE(t_nothing_appears_before_commit),
    T_CASE(t_killed_writer_leaves_a_whole_archive),
    T_CASE(t_full_disk_is_an_error),
    T_CASE(t_h5py_reads_the_same),
    T_CASE(t_h5dump_reads_the_same),
};
RS_TEST_MAIN(cases)
