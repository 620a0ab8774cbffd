// store: safetensors reading, strict checks of bad files, writing, shards and indices.
#include <stdio.h>
#include <string.h>

#include "base/fsio.h"
#include "harness/test.h"
#include "store/safetensors.h"

static char *temp_path(const char *name)
{
    return rs_path_join(t_arena(), t_tmpdir(), name);
}

/* A file with this header text (its length may be overruled) and `data` bytes 0, 1, 2, ... */
static char *make_file(const char *name, const char *header, int64_t length, size_t data)
{
    char *path = temp_path(name);
    size_t n = strlen(header);
    char *bytes = rs_arena_alloc(t_arena(), 8 + n + data, 1);
    uint64_t claim = length < 0 ? n : (uint64_t)length;
    memcpy(bytes, &claim, 8);
    memcpy(bytes + 8, header, n);
    for (size_t i = 0; i < data; i++)
        bytes[8 + n + i] = (char)i;
    T_OK(rs_write_file_atomic(path, bytes, 8 + n + data));
    return path;
}

static rs_tensor_list sample_tensors(void)
{
    rs_arena *a = t_arena();
    rs_tensor_list l = {0};
    rs_tensor x = rs_tensor_new(a, RS_SHAPE(3, 4));
    for (int i = 0; i < 12; i++)
        rs_f32(x)[i] = (float)i * 0.5f;
    uint8_t *u = rs_arena_memdup(a, (uint8_t[]){7, 8, 9}, 3);
    uint16_t *h = rs_arena_memdup(a, (uint16_t[]){0x3f80, 0x4000}, 4);
    int64_t *q = rs_arena_memdup(a, (int64_t[]){-1}, 8);
    rs_tensor_list_add(&l, a, "z.weight", x);
    rs_tensor_list_add(&l, a, "a.flags", rs_tensor_of(u, RS_DTYPE_U8, RS_SHAPE(3)));
    rs_tensor_list_add(&l, a, "cols", rs_tensor_cols_view(x, 1, 3));
    rs_tensor_list_add(&l, a, "half", rs_tensor_of(h, RS_DTYPE_BF16, RS_SHAPE(1, 2, 1)));
    rs_tensor_list_add(&l, a, "empty", rs_tensor_of(NULL, RS_DTYPE_F32, RS_SHAPE(0, 4)));
    rs_tensor_list_add(&l, a, "n", rs_tensor_of(q, RS_DTYPE_I64, RS_SHAPE(1)));
    return l;
}

static void check_sample(const rs_safetensors *s)
{
    rs_tensor t;
    T_EQ_I(rs_safetensors_count(s), 6);
    T_OK(rs_safetensors_get(&t, s, "z.weight", RS_SHAPE(3, 4)));
    for (int i = 0; i < 12; i++)
        T_CHECK(rs_f32(t)[i] == (float)i * 0.5f);
    T_OK(rs_safetensors_get(&t, s, "cols", RS_SHAPE(3, 2)));
    const float cols[] = {0.5f, 1.0f, 2.5f, 3.0f, 4.5f, 5.0f};
    T_CHECK(memcmp(t.data, cols, sizeof cols) == 0 && t.ld == 2);
    T_OK(rs_safetensors_get(&t, s, "half", RS_SHAPE(1, 2, 1)));
    T_CHECK(t.dtype == RS_DTYPE_BF16 && ((uint16_t *)t.data)[1] == 0x4000);
    T_OK(rs_safetensors_get(&t, s, "n", RS_SHAPE(1)));
    T_CHECK((uintptr_t)t.data % 8 == 0 && *(int64_t *)t.data == -1);
    T_OK(rs_safetensors_get(&t, s, "empty", RS_SHAPE(0, 4)));
    T_CHECK(((uint8_t *)rs_safetensors_find(s, "a.flags")->data)[2] == 9);
    T_CHECK(!rs_safetensors_find(s, "nothing"));
}

static void t_write_then_read(void)
{
    char *path = temp_path("x.safetensors");
    rs_tensor_list l = sample_tensors();
    const rs_meta meta[] = {{"format", "pt"}, {"note", "line\n\"quoted\""}};
    T_OK(rs_safetensors_write(path, &l, meta, 2));
    rs_safetensors *s = NULL;
    T_OK(rs_safetensors_open(&s, path));
    check_sample(s);
    T_EQ_S(rs_safetensors_name(s, 0), "z.weight");
    T_EQ_S(rs_safetensors_metadata(s, "note"), "line\n\"quoted\"");
    T_CHECK(!rs_safetensors_metadata(s, "none"));
    T_EQ_I(rs_safetensors_metadata_count(s), 2);
    T_EQ_S(rs_safetensors_metadata_at(s, 0).value, "pt");
    T_EQ_I((uintptr_t)rs_safetensors_at(s, 0)->data % 8, 0);
    T_EQ_I(rs_safetensors_file_count(s), 1);
    T_EQ_S(rs_safetensors_file(s, 0), path);
    rs_safetensors_close(&s);
    T_CHECK(!s);
    char *again = temp_path("y.safetensors"), *p, *q;
    size_t n, m;
    T_OK(rs_safetensors_write(again, &l, meta, 2));
    T_OK(rs_read_file(&p, &n, t_arena(), path));
    T_OK(rs_read_file(&q, &m, t_arena(), again));
    T_CHECK(n == m && memcmp(p, q, n) == 0);
}

static void t_written_data_begin_at_multiples_of_8(void)
{
    char *path = temp_path("x.safetensors"), name[16] = "";
    for (size_t i = 0; i < 9; i++) {
        name[i] = 'n';
        rs_tensor_list l = {0};
        rs_tensor_list_add(&l, t_arena(), name, rs_tensor_new(t_arena(), RS_SHAPE(2)));
        T_OK(rs_safetensors_write(path, &l, NULL, 0));
        char *bytes;
        size_t n;
        uint64_t header;
        T_OK(rs_read_file(&bytes, &n, t_arena(), path));
        memcpy(&header, bytes, 8);
        T_EQ_I(header % 8, 0);
        T_EQ_I(n, 8 + header + 8);
    }
}

static void t_get_names_both_shapes(void)
{
    char *path = temp_path("x.safetensors");
    rs_tensor_list l = sample_tensors();
    T_OK(rs_safetensors_write(path, &l, NULL, 0));
    rs_safetensors *s = NULL;
    T_OK(rs_safetensors_open(&s, path));
    rs_tensor t;
    T_FAILS(rs_safetensors_get(&t, s, "z.weight", RS_SHAPE(4, 3)), MODEL,
            "x.safetensors: tensor 'z.weight' is F32[3,4], expected F32[4,3]");
    T_FAILS(rs_safetensors_get(&t, s, "z.weight", RS_SHAPE(12)), MODEL, "expected F32[12]");
    T_FAILS(rs_safetensors_get(&t, s, "z.bias", RS_SHAPE(4)), MODEL,
            "x.safetensors: missing tensor 'z.bias'");
    rs_safetensors_close(&s);
}

#define X(offsets, shape)                                                                          \
    "{\"x\":{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":" offsets "}}"
#define TWO(a, b)                                                                                  \
    "{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":" a                                  \
    "},\"y\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":" b "}}"

static const struct bad_file {
    const char *what, *header;
    int64_t length; /* header length claimed, -1: the right one */
    size_t data;
    const char *want;
} bad_files[] = {
    {"header longer than the file", "{}", 1000, 0, "header length 1000 exceeds the file"},
    {"absurd header length", "{}", INT64_MAX, 0, "exceeds the file"},
    {"cut header", X("[0,8]", "[2]"), 20, 8, "header:1:"},
    {"no JSON", "hello!!!", -1, 0, "header:1:"},
    {"header is a list", "[]", -1, 0, "header is not a JSON object"},
    {"header has trailing bytes", "{} {}", -1, 0, "header:1:"},
    {"entry is a number", "{\"x\":3}", -1, 0, "tensor 'x': header entry is not an object"},
    {"no dtype", "{\"x\":{\"shape\":[2],\"data_offsets\":[0,8]}}", -1, 8, "x.dtype: missing"},
    {"dtype is a number", "{\"x\":{\"dtype\":4,\"shape\":[2],\"data_offsets\":[0,8]}}", -1, 8,
     "x.dtype: expected a string"},
    {"unknown dtype", "{\"x\":{\"dtype\":\"F8_E4M3\",\"shape\":[8],\"data_offsets\":[0,8]}}", -1, 8,
     "tensor 'x': unknown dtype 'F8_E4M3'"},
    {"no shape", "{\"x\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", -1, 8, "x.shape: missing"},
    {"negative dimension", X("[0,8]", "[-2]"), -1, 8, "tensor 'x': negative dimension -2"},
    {"fractional dimension", X("[0,8]", "[2.0]"), -1, 8, "x.shape[0]: expected an integer"},
    {"six dimensions", X("[0,8]", "[1,1,1,1,1,2]"), -1, 8, "tensor 'x': 6 dimensions, at most 5"},
    {"overflowing shape", X("[0,8]", "[4294967296,4294967296]"), -1, 8, "shape overflows"},
    {"dimension over 64 bits", X("[0,8]", "[99999999999999999999]"), -1, 8, "too big"},
    {"no offsets", "{\"x\":{\"dtype\":\"F32\",\"shape\":[2]}}", -1, 8, "data_offsets: missing"},
    {"three offsets", X("[0,4,8]", "[2]"), -1, 8, "tensor 'x': data_offsets is not a pair"},
    {"negative offset", X("[-8,0]", "[2]"), -1, 8, "tensor 'x': bad data_offsets [-8, 0]"},
    {"reversed offsets", X("[8,0]", "[2]"), -1, 8, "tensor 'x': bad data_offsets [8, 0]"},
    {"offsets past the end", X("[0,8]", "[2]"), -1, 7, "end at 8 but the file has 7 bytes"},
    {"size is not shape x dtype", X("[0,8]", "[3]"), -1, 8, "F32[3] needs 12 bytes"},
    {"overlap", TWO("[0,8]", "[4,12]"), -1, 12, "tensor 'y' overlaps tensor 'x'"},
    {"same range twice", TWO("[0,8]", "[0,8]"), -1, 8, "overlaps tensor"},
    {"hole", TWO("[0,8]", "[12,20]"), -1, 20, "tensor 'y': 4 unused bytes before its data"},
    {"hole at the start", X("[4,12]", "[2]"), -1, 12, "tensor 'x': 4 unused bytes before"},
    {"trailing data", X("[0,8]", "[2]"), -1, 9, "1 unused bytes after the last tensor"},
    {"duplicate name",
     "{\"x\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
     "\"x\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}",
     -1, 2, "duplicate object key"},
    {"metadata is a list", "{\"__metadata__\":[]}", -1, 0, "__metadata__ is not an object"},
    {"metadata value is a number", "{\"__metadata__\":{\"a\":1}}", -1, 0,
     "__metadata__.a: expected a string"},
};

static void t_bad_files_say_why(void)
{
    for (size_t i = 0; i < sizeof bad_files / sizeof bad_files[0]; i++) {
        const struct bad_file *b = &bad_files[i];
        char *path = make_file("bad.safetensors", b->header, b->length, b->data);
        rs_safetensors *s = NULL;
        rs_status st = rs_safetensors_open(&s, path);
        const char *m = rs_error_message();
        T_CHECKF(st == RS_FORMAT && !s, "%s: %s", b->what, rs_status_name(st));
        T_CHECKF(strstr(m, b->want), "%s: \"%s\" lacks \"%s\"", b->what, m, b->want);
        T_CHECKF(strstr(m, path) == m, "%s: \"%s\" does not name the file", b->what, m);
    }
    rs_safetensors *s = NULL;
    T_OK(rs_write_file_atomic(temp_path("short.safetensors"), "1234567", 7));
    T_FAILS(rs_safetensors_open(&s, temp_path("short.safetensors")), FORMAT,
            "7 bytes are too short");
    T_OK(rs_write_file_atomic(temp_path("none.safetensors"), "", 0));
    T_FAILS(rs_safetensors_open(&s, temp_path("none.safetensors")), FORMAT,
            "0 bytes are too short");
    T_FAILS(rs_safetensors_open(&s, temp_path("missing.safetensors")), IO, "cannot open");
    T_FAILS(rs_safetensors_open(&s, t_tmpdir()), FORMAT, "several *.safetensors");
    T_FAILS(rs_safetensors_open(&s, "/dev/null"), IO, "/dev/null: not a regular file");
}

static void t_every_truncation_is_an_error(void)
{
    char *path = temp_path("x.safetensors"), *cut = temp_path("cut.safetensors"), *bytes;
    rs_tensor_list l = sample_tensors();
    T_OK(rs_safetensors_write(path, &l, NULL, 0));
    size_t n;
    T_OK(rs_read_file(&bytes, &n, t_arena(), path));
    for (size_t k = 0; k < n; k += 3) {
        FILE *f = fopen(cut, "wb");
        T_CHECK(f && fwrite(bytes, 1, k, f) == k && fclose(f) == 0);
        rs_safetensors *s = NULL;
        T_FAILS(rs_safetensors_open(&s, cut), FORMAT, "cut.safetensors: ");
    }
}

static void t_scalars_and_misaligned_data_are_readable(void)
{
    const char *header = "{\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]},"
                         "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[1,9]}}";
    char *path = make_file("odd.safetensors", header, -1, 9);
    rs_safetensors *s = NULL;
    T_OK(rs_safetensors_open(&s, path));
    rs_tensor a, b;
    T_OK(rs_safetensors_get(&a, s, "a", RS_SHAPE(1)));
    T_OK(rs_safetensors_get(&b, s, "b", RS_SHAPE(2)));
    const uint8_t want[] = {1, 2, 3, 4, 5, 6, 7, 8};
    T_CHECK((uintptr_t)b.data % 4 == 0 && memcmp(b.data, want, 8) == 0);
    rs_safetensors_close(&s);
}

static void t_shards_and_index(void)
{
    rs_tensor_list l = sample_tensors();
    const rs_meta meta[] = {{"format", "pt"}};
    rs_safetensors *s = NULL;
    T_OK(rs_safetensors_write_sharded(t_tmpdir(), "diffusion_pytorch_model", &l, meta, 1, 50));
    T_OK(rs_safetensors_open(&s, t_tmpdir()));
    check_sample(s);
    T_EQ_I(rs_safetensors_file_count(s), 2);
    T_CHECK(
        strstr(rs_safetensors_file(s, 1), "diffusion_pytorch_model-00002-of-00002.safetensors"));
    T_EQ_S(rs_safetensors_metadata(s, "format"), "pt");
    rs_safetensors_close(&s);
    T_OK(rs_safetensors_write_sharded(t_tmpdir(), "diffusion_pytorch_model", &l, meta, 1, 1000));
    T_OK(rs_safetensors_open(&s, t_tmpdir()));
    T_EQ_I(rs_safetensors_file_count(s), 1);
    rs_safetensors_close(&s);
}

static void t_bad_indices_say_why(void)
{
    static const struct {
        const char *index, *want;
        rs_status st;
    } bad[] = {
        {"{}", "weight_map: missing", RS_FORMAT},
        {"{\"weight_map\": {}}", "weight_map is empty", RS_FORMAT},
        {"{\"weight_map\": {\"x\": \"gone.safetensors\"}}", "missing file gone.safetensors", RS_IO},
        {"{\"weight_map\": {\"x\": 3}}", "weight_map.x: expected a string", RS_FORMAT},
        {"{\"weight_map\": {\"x\": \"../p.safetensors\"}}", "bad file name", RS_FORMAT},
        {"{\"weight_map\": {\"y\": \"p.safetensors\"}}", "'y' is not in p.safetensors", RS_FORMAT},
        {"{\"weight_map\": {\"x\": \"p.safetensors\", \"y\": \"q.safetensors\"}}",
         "q.safetensors: tensor 'x' is also in p.safetensors", RS_FORMAT},
        {"{\"weight_map\": ", "index.json:1:", RS_FORMAT},
    };
    make_file("p.safetensors", X("[0,8]", "[2]"), -1, 8);
    make_file("q.safetensors", TWO("[0,8]", "[8,16]"), -1, 16);
    char *index = temp_path("model.safetensors.index.json");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        rs_safetensors *s = NULL;
        T_OK(rs_write_file_atomic(index, bad[i].index, strlen(bad[i].index)));
        rs_test_expect_fail(__FILE__, __LINE__, bad[i].index,
                            rs_safetensors_open(&s, i % 2 ? index : t_tmpdir()), bad[i].st,
                            bad[i].want);
    }
}

static void t_bad_writes_leave_nothing(void)
{
    rs_arena *a = t_arena();
    rs_tensor_list l = {0};
    rs_tensor_list_add(&l, a, "x", rs_tensor_new(a, RS_SHAPE(2)));
    rs_tensor_list_add(&l, a, "x", rs_tensor_new(a, RS_SHAPE(2)));
    T_FAILS(rs_safetensors_write(temp_path("d.safetensors"), &l, NULL, 0), INPUT,
            "two tensors are named 'x'");
    l.items[1].name = "__metadata__";
    T_FAILS(rs_safetensors_write(temp_path("d.safetensors"), &l, NULL, 0), INPUT, "__metadata__");
    l.n = 1;
    T_FAILS(rs_safetensors_write("/nonexistent/d.safetensors", &l, NULL, 0), IO, "/nonexistent/d");
    T_FAILS(rs_safetensors_write("/dev/full/d.safetensors", &l, NULL, 0), IO, "/dev/full/d");
    char *out;
    t_shell(&out, "ls -A %s | wc -l", t_tmpdir());
    T_EQ_S(out, "0\n");
}

static const rs_test_case cases[] = {
    T_CASE(t_write_then_read),
    T_CASE(t_written_data_begin_at_multiples_of_8),
    T_CASE(t_get_names_both_shapes),
    T_CASE(t_bad_files_say_why),
    T_CASE(t_every_truncation_is_an_error),
    T_CASE(t_scalars_and_misaligned_data_are_readable),
    T_CASE(t_shards_and_index),
    T_CASE(t_bad_indices_say_why),
    T_CASE(t_bad_writes_leave_nothing),
};
RS_TEST_MAIN(cases)
