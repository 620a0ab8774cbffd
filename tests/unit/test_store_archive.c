// store: HDF5 archives: round trips, independent readers.
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/fsio.h"
#include "harness/archives.h"
#include "harness/test.h"
#include "store/archive.h"
#include "store/schema_names.h"

/* ---- round trips ---- */

static void t_every_type_small_and_chunked(void)
{
    static const int deflate[] = {0, 1};
    rs_archive *a = t_archive_create("t.h5");
    rs_tensor small[RS_DTYPE_COUNT], large[RS_DTYPE_COUNT], out;
    for (int i = 0; i < RS_DTYPE_COUNT; i++) {
        small[i] = t_pattern((rs_dtype)i, RS_SHAPE(3, 5, 2));
        large[i] = t_pattern((rs_dtype)i, RS_SHAPE(7, 300, 5));
        char *s = rs_arena_printf(t_arena(), "/small/%s", rs_dtype_name((rs_dtype)i));
        char *l = rs_arena_printf(t_arena(), "/large/deep/%s", rs_dtype_name((rs_dtype)i));
        T_OK(rs_archive_write_tensor(a, s, small[i], 0));
        T_OK(rs_archive_write_tensor(a, l, large[i], deflate[i % 2]));
        T_OK(rs_archive_read_tensor(&out, t_arena(), a, l)); /* before the commit, too */
        T_CHECK(t_same_tensor(out, large[i]));
    }
    a = t_archive_reopen(a);
    for (int i = 0; i < RS_DTYPE_COUNT; i++) {
        char *s = rs_arena_printf(t_arena(), "/small/%s", rs_dtype_name((rs_dtype)i));
        char *l = rs_arena_printf(t_arena(), "/large/deep/%s", rs_dtype_name((rs_dtype)i));
        T_OK(rs_archive_read_tensor(&out, t_arena(), a, s));
        T_CHECKF(t_same_tensor(out, small[i]), "%s", s);
        T_OK(rs_archive_read_tensor(&out, t_arena(), a, l));
        T_CHECKF(t_same_tensor(out, large[i]), "%s", l);
        T_OK(rs_archive_tensor_info(&out, a, l));
        T_CHECK(!out.data && out.dtype == (rs_dtype)i && out.shape[1] == 300);
        T_EQ_I(rs_archive_kind_of(a, l), RS_ARCHIVE_TENSOR);
    }
    rs_archive_close(&a);
    T_CHECK(!a);
    t_no_hdf5_objects();
}

static void t_strided_rows_empty_and_big_chunks(void)
{
    rs_archive *a = t_archive_create("t.h5");
    rs_tensor wide = t_pattern(RS_DTYPE_F32, RS_SHAPE(50, 60)), out;
    rs_tensor cols = rs_tensor_cols_view(wide, 7, 40);
    rs_tensor frames = t_pattern(RS_DTYPE_U8, RS_SHAPE(5, 480, 832, 3));
    rs_tensor none = rs_tensor_of(NULL, RS_DTYPE_F32, RS_SHAPE(0, 4));
    T_OK(rs_archive_write_tensor(a, "/cols", cols, 0));
    rs_tensor deep =
        t_pattern(RS_DTYPE_BF16, RS_SHAPE(6, 5, 200)); /* strided rows in three dimensions */
    deep.shape[2] = 150;
    T_CHECK(!rs_tensor_contiguous(deep));
    T_OK(rs_archive_write_tensor(a, "/deep", deep, 0));
    T_OK(rs_archive_write_tensor(a, "/frames", frames, RS_ARCHIVE_DEFLATE));
    T_OK(rs_archive_write_tensor(a, "/none", none, 0));
    a = t_archive_reopen(a);
    T_OK(rs_archive_read_tensor(&out, t_arena(), a, "/cols"));
    T_CHECK(out.shape[0] == 50 && out.shape[1] == 33 && rs_tensor_contiguous(out));
    for (int64_t i = 0; i < 50; i++)
        T_CHECK(memcmp(rs_f32(out) + i * 33, rs_f32(cols) + i * cols.ld, 33 * 4) == 0);
    T_OK(rs_archive_read_tensor(&out, t_arena(), a, "/deep"));
    for (int64_t i = 0; i < 30; i++)
        T_CHECK(memcmp((uint16_t *)out.data + i * 150, (uint16_t *)deep.data + i * 200, 300) == 0);
    T_OK(rs_archive_read_tensor(&out, t_arena(), a, "/frames"));
    T_CHECK(t_same_tensor(out, frames));
    T_OK(rs_archive_read_tensor(&out, t_arena(), a, "/none"));
    T_CHECK(out.ndim == 2 && out.shape[0] == 0 && out.shape[1] == 4);
    rs_archive_close(&a);
}

static void t_slices_of_the_first_index(void)
{
    rs_archive *a = t_archive_create("t.h5");
    rs_tensor t = t_pattern(RS_DTYPE_BF16, RS_SHAPE(9, 40, 30)),
              line = t_pattern(RS_DTYPE_I64, RS_SHAPE(9));
    rs_tensor out;
    T_OK(rs_archive_write_tensor(a, "/x/t", t, 1));
    T_OK(rs_archive_write_tensor(a, "/x/line", line, 0));
    a = t_archive_reopen(a);
    for (int64_t lo = 0; lo <= 9; lo += 3) {
        T_OK(rs_archive_read_slice(&out, t_arena(), a, "/x/t", lo, 9));
        T_CHECK(t_same_tensor(out, rs_tensor_slice(t, lo, 9)));
        T_OK(rs_archive_read_slice(&out, t_arena(), a, "/x/line", 0, lo));
        T_CHECK(t_same_tensor(out, rs_tensor_slice(line, 0, lo)) && out.ld == lo);
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
    rs_archive *a = t_archive_create("t.h5");
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
    a = t_archive_reopen(a);
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
    t_no_hdf5_objects();
}

static void t_listing_and_kinds(void)
{
    rs_archive *a = t_archive_create("t.h5");
    rs_tensor x = t_pattern(RS_DTYPE_U8, RS_SHAPE(2));
    T_OK(rs_archive_write_tensor(a, "/z/b", x, 0));
    T_OK(rs_archive_write_text(a, "/z/a", "t"));
    T_OK(rs_archive_make_group(a, "/z/c"));
    T_OK(rs_archive_link(a, "/z/d", "gone.h5", "/"));
    a = t_archive_reopen(a);
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
    rs_archive *a = t_archive_create("a.h5");
    rs_tensor x = t_pattern(RS_DTYPE_F32, RS_SHAPE(40, 50)), out;
    T_OK(rs_archive_write_tensor(a, "/stages/motion/adapter/m/A", x, 0));
    T_OK(rs_archive_set_i64(a, "/stages/motion", "step", 5));
    a = t_archive_reopen(a);
    rs_archive *b = t_archive_create("b.h5");
    T_OK(rs_archive_copy(b, "/old/motion", a, "/stages/motion"));
    T_FAILS(rs_archive_copy(b, "/old/x", a, "/stages/x"), FORMAT, "a.h5: /stages/x: missing");
    T_FAILS(rs_archive_copy(b, "/old/motion", a, "/stages/motion"), IO, "b.h5: /old/motion: ");
    T_OK(rs_archive_link(b, "/videos/a", "a.h5", "/"));
    rs_archive_close(&a);
    b = t_archive_reopen(b);
    int64_t step;
    T_OK(rs_archive_get_i64(&step, b, "/old/motion", "step"));
    T_EQ_I(step, 5);
    T_OK(rs_archive_read_tensor(&out, t_arena(), b, "/old/motion/adapter/m/A"));
    T_CHECK(t_same_tensor(out, x));
    T_OK(rs_archive_read_tensor(&out, t_arena(), b, "/videos/a/stages/motion/adapter/m/A"));
    T_CHECK(t_same_tensor(out, x));
    rs_archive_close(&b);
    t_no_hdf5_objects();
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
    rs_archive *a = t_archive_create("catalog.h5");
    T_OK(rs_archive_write_table(a, RS_DATA_JOBS, &t));
    T_OK(rs_archive_write_table(a, "/none", &none));
    a = t_archive_reopen(a);
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
    rs_archive *a = t_archive_create("many.h5");
    T_OK(rs_archive_make_group(a, RS_GROUP_VIDEOS));
    for (int i = N - 1; i >= 0; i--)
        T_OK(rs_archive_link(a, rs_arena_printf(t_arena(), RS_GROUP_VIDEOS "/v%05d", i), "x.h5",
                             "/"));
    a = t_archive_reopen(a);
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
        rs_archive *a = t_archive_create(k ? "b.h5" : "a.h5");
        T_OK(rs_archive_set_string(a, "/", RS_ATTR_KIND, RS_KIND_VIDEO));
        T_OK(rs_archive_write_text(a, "/provenance/config", "name: x\n"));
        T_OK(rs_archive_write_tensor(a, "/source/frames",
                                     t_pattern(RS_DTYPE_U8, RS_SHAPE(9, 64, 64)), 1));
        T_OK(rs_archive_commit(&a));
        T_OK(rs_read_file(&bytes[k], &n[k], t_arena(), t_archive_path(k ? "b.h5" : "a.h5")));
        if (k == 0)
            usleep(1100000); /* HDF5's time stamps have seconds */
    }
    T_CHECK(n[0] == n[1] && memcmp(bytes[0], bytes[1], n[0]) == 0);
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
    rs_archive *a = t_archive_create("a.h5");
    uint16_t h[] = {0x3c00, 0xc000, 0x7bff, 0x0001}, b[] = {0x3f80, 0xc000, 0x7f7f, 0x0080};
    T_OK(rs_archive_write_tensor(a, "/f16", rs_tensor_of(h, RS_DTYPE_F16, RS_SHAPE(4)), 0));
    T_OK(rs_archive_write_tensor(a, "/bf16", rs_tensor_of(b, RS_DTYPE_BF16, RS_SHAPE(2, 2)), 0));
    rs_tensor frames = t_pattern(RS_DTYPE_U8, RS_SHAPE(5, 32, 48, 3));
    T_OK(rs_archive_write_tensor(a, "/source/frames", frames, 1));
    T_OK(rs_archive_write_tensor(a, "/f32", rs_tensor_new(t_arena(), RS_SHAPE(60, 60)), 0));
    T_OK(rs_archive_write_tensor(a, "/bool", t_pattern(RS_DTYPE_BOOL, RS_SHAPE(4)), 0));
    T_OK(rs_archive_write_text(a, "/provenance/config", "name: h\xc3\xa4user\n"));
    T_OK(rs_archive_write_table(a, "/jobs", &table));
    T_OK(rs_archive_set_f64(a, "/source", "fps", 12.5));
    T_OK(rs_archive_commit(&a));
    a = t_archive_create("catalog.h5");
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
    rs_archive *a = t_archive_create("a.h5");
    float x[] = {1.5f, -2.25f};
    T_OK(rs_archive_write_tensor(a, "/x", rs_tensor_of(x, RS_DTYPE_F32, RS_SHAPE(2)), 0));
    T_OK(rs_archive_commit(&a));
    T_EQ_I(t_shell(&out, "h5dump -d /x %s", t_archive_path("a.h5")), 0);
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
    T_CASE(t_h5py_reads_the_same),
    T_CASE(t_h5dump_reads_the_same),
};
RS_TEST_MAIN(cases)
