// store: torch zip files: real and synthetic ones, hostile pickles and ZIPs, the common weights
// interface.
#include <stdio.h>
#include <string.h>

#include "base/fsio.h"
#include "base/hash.h"
#include "harness/test.h"
#include "store/safetensors.h"
#include "store/torchzip.h"
#include "store/weights_file.h"

/* ---- a growing byte string, a pickle and a ZIP in it ---- */

typedef struct bytes {
    uint8_t *p;
    size_t n, cap;
} bytes;

static void put(bytes *b, const void *data, size_t n)
{
    b->p = rs_arena_grow(t_arena(), b->p, &b->cap, b->n + n + 1, 1);
    if (n)
        memcpy(b->p + b->n, data, n);
    b->n += n;
}

static void put_le(bytes *b, uint64_t v, int n)
{
    uint8_t le[16] = {0};
    for (int i = 0; i < 8; i++)
        le[i] = (uint8_t)(v >> (8 * i));
    put(b, le, (size_t)n);
}

static void put_s(bytes *b, const char *s)
{
    put(b, s, strlen(s));
}

#define OPS(b, ...) put((b), (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void pk_string(bytes *b, const char *s)
{
    OPS(b, 'X');
    put_le(b, strlen(s), 4);
    put_s(b, s);
}

static void pk_ints(bytes *b, int n, const int *v)
{
    OPS(b, '(');
    for (int i = 0; i < n; i++) {
        OPS(b, 'J');
        put_le(b, (uint64_t)(int64_t)v[i], 4);
    }
    OPS(b, 't');
}

typedef struct pk_tensor {
    const char *type, *key; /* "FloatStorage", "0" */
    int elements, offset, ndim;
    int shape[6], stride[6];
} pk_tensor;

/* torch._utils._rebuild_tensor_v2((persistent storage), offset, shape, stride, False,
 * OrderedDict()) */
static void pk_rebuild(bytes *b, const pk_tensor *t)
{
    put_s(b, "ctorch._utils\n_rebuild_tensor_v2\n((");
    pk_string(b, "storage");
    put_s(b, "ctorch\n");
    put_s(b, t->type);
    put_s(b, "\n");
    pk_string(b, t->key);
    pk_string(b, "cpu");
    OPS(b, 'J');
    put_le(b, (uint64_t)(int64_t)t->elements, 4);
    put_s(b, "tQJ");
    put_le(b, (uint64_t)(int64_t)t->offset, 4);
    pk_ints(b, t->ndim, t->shape);
    pk_ints(b, t->ndim, t->stride);
    OPS(b, 0x89);
    put_s(b, "ccollections\nOrderedDict\n)RtR");
}

static bytes pk_begin(void)
{
    bytes b = {0};
    OPS(&b, 0x80, 2);
    return b;
}

typedef struct zip_file {
    bytes body, dir;
    int n, method, flags;
    bool zip64;
} zip_file;

static void zip_add(zip_file *z, const char *name, const void *data, size_t n)
{
    size_t at = z->body.n;
    put_le(&z->body, 0x04034b50, 4);
    put_le(&z->body, 0, 6);
    put_le(&z->body, 0, 8);
    put_le(&z->body, n, 4);
    put_le(&z->body, n, 4);
    size_t used = at + 30 + strlen(name), pad = (64 - used % 64) % 64;
    put_le(&z->body, strlen(name), 2);
    put_le(&z->body, pad, 2);
    put_s(&z->body, name);
    for (size_t i = 0; i < pad; i++)
        OPS(&z->body, 'Z');
    put(&z->body, data, n);
    bytes *d = &z->dir;
    put_le(d, 0x02014b50, 4);
    put_le(d, 0, 4);
    put_le(d, (uint64_t)z->flags, 2);
    put_le(d, (uint64_t)z->method, 2);
    put_le(d, 0, 8);
    put_le(d, z->zip64 ? UINT32_MAX : n, 4);
    put_le(d, z->zip64 ? UINT32_MAX : n, 4);
    put_le(d, strlen(name), 2);
    put_le(d, z->zip64 ? 28 : 0, 2);
    put_le(d, 0, 10);
    put_le(d, z->zip64 ? UINT32_MAX : at, 4);
    put_s(d, name);
    if (z->zip64) {
        put_le(d, 1, 2);
        put_le(d, 24, 2);
        put_le(d, n, 8);
        put_le(d, n, 8);
        put_le(d, at, 8);
    }
    z->n++;
}

static bytes zip_bytes(zip_file *z)
{
    size_t dir_at = z->body.n, end_at;
    put(&z->body, z->dir.p, z->dir.n);
    end_at = z->body.n;
    if (z->zip64) {
        put_le(&z->body, 0x06064b50, 4);
        put_le(&z->body, 44, 8);
        put_le(&z->body, 0, 8);
        put_le(&z->body, 0, 4);
        put_le(&z->body, (uint64_t)z->n, 8);
        put_le(&z->body, (uint64_t)z->n, 8);
        put_le(&z->body, z->dir.n, 8);
        put_le(&z->body, dir_at, 8);
        put_le(&z->body, 0x07064b50, 4);
        put_le(&z->body, 0, 4);
        put_le(&z->body, end_at, 8);
        put_le(&z->body, 1, 4);
    }
    put_le(&z->body, 0x06054b50, 4);
    put_le(&z->body, 0, 4);
    put_le(&z->body, z->zip64 ? 0xffff : (uint64_t)z->n, 2);
    put_le(&z->body, z->zip64 ? 0xffff : (uint64_t)z->n, 2);
    put_le(&z->body, z->zip64 ? UINT32_MAX : z->dir.n, 4);
    put_le(&z->body, z->zip64 ? UINT32_MAX : dir_at, 4);
    put_le(&z->body, 0, 2);
    return z->body;
}

static char *save(const char *name, bytes b)
{
    char *path = rs_path_join(t_arena(), t_tmpdir(), name);
    T_OK(rs_write_file_atomic(path, b.p, b.n));
    return path;
}

enum { STORAGE = 6 };
static const float k_values[STORAGE] = {0, 1, 2, 3, 4, 5};

/* A file around this pickle with a six-element fp32 storage "0". */
static char *save_pickle(const char *name, bytes pickle)
{
    zip_file z = {0};
    zip_add(&z, "archive/data.pkl", pickle.p, pickle.n);
    zip_add(&z, "archive/byteorder", "little", 6);
    zip_add(&z, "archive/data/0", k_values, sizeof k_values);
    zip_add(&z, "archive/version", "3\n", 2);
    return save(name, zip_bytes(&z));
}

/* ---- good files ---- */

/* OrderedDict with a nested dict, a parameter, a transposed view, a scalar, a number, and
 * _metadata. */
static bytes nested_pickle(void)
{
    const pk_tensor plain = {"FloatStorage", "0", STORAGE, 0, 2, {2, 3}, {3, 1}};
    const pk_tensor turned = {"FloatStorage", "0", STORAGE, 0, 2, {3, 2}, {1, 3}};
    const pk_tensor scalar = {"FloatStorage", "0", STORAGE, 5, 0, {0}, {0}};
    bytes b = pk_begin();
    put_s(&b, "ccollections\nOrderedDict\nq");
    OPS(&b, 0);
    put_s(&b, ")Rq");
    OPS(&b, 1);
    put_s(&b, "(");
    pk_string(&b, "a.weight");
    pk_rebuild(&b, &plain);
    pk_string(&b, "b");
    put_s(&b, "}(");
    pk_string(&b, "t");
    pk_rebuild(&b, &turned);
    pk_string(&b, "p");
    put_s(&b, "ctorch._utils\n_rebuild_parameter\n(");
    pk_rebuild(&b, &plain);
    OPS(&b, 0x88, 'h', 0);
    put_s(&b, ")RtRu");
    pk_string(&b, "list");
    put_s(&b, "](");
    pk_rebuild(&b, &scalar);
    OPS(&b, 'K', 7, 'e');
    pk_string(&b, "step");
    OPS(&b, 0x8a, 1, 0xff);
    put_s(&b, "u}");
    pk_string(&b, "_metadata");
    put_s(&b, "}sb.");
    return b;
}

static void check_nested(const char *path)
{
    rs_weights_file *w = NULL;
    rs_tensor t;
    T_OK(rs_weights_file_open(&w, path));
    T_EQ_I(rs_weights_file_count(w), 4);
    T_EQ_S(rs_weights_file_name(w, 1), "b.t");
    T_OK(rs_weights_file_get(&t, w, "a.weight", RS_SHAPE(2, 3)));
    T_CHECK(memcmp(t.data, k_values, sizeof k_values) == 0);
    T_OK(rs_weights_file_get(&t, w, "b.t", RS_SHAPE(3, 2)));
    const float turned[] = {0, 3, 1, 4, 2, 5};
    T_CHECK(memcmp(t.data, turned, sizeof turned) == 0 && rs_tensor_contiguous(t));
    T_OK(rs_weights_file_get(&t, w, "b.p", RS_SHAPE(2, 3)));
    T_OK(rs_weights_file_get(&t, w, "list.0", RS_SHAPE(1)));
    T_CHECK(rs_f32(t)[0] == 5.0f);
    T_CHECK(rs_weights_file_at(w, 0)->data == rs_weights_file_find(w, "b.p")->data);
    T_CHECK(!rs_weights_file_find(w, "step") && !rs_weights_file_find(w, "b"));
    T_FAILS(rs_weights_file_get(&t, w, "b.t", RS_SHAPE(2, 3)), MODEL,
            "tensor 'b.t' is F32[3,2], expected F32[2,3]");
    T_FAILS(rs_weights_file_get(&t, w, "c", RS_SHAPE(2, 3)), MODEL, "missing tensor 'c'");
    T_EQ_I(rs_weights_file_file_count(w), 1);
    T_EQ_S(rs_weights_file_file(w, 0), path);
    rs_weights_file_close(&w);
    T_CHECK(!w);
}

static void t_nested_dicts_parameters_and_strides(void)
{
    check_nested(save_pickle("n.pth", nested_pickle()));
}

static void t_integer_keys_are_names(void)
{
    const pk_tensor plain = {"FloatStorage", "0", STORAGE, 0, 1, {6}, {1}};
    bytes b = pk_begin();
    put_s(&b, "}(");
    OPS(&b, 0x8a, 1, 0xfe); /* LONG1 -2 */
    pk_rebuild(&b, &plain);
    OPS(&b, 0x8a, 2, 0x00, 0x80); /* LONG1 -32768 */
    pk_rebuild(&b, &plain);
    OPS(&b, 'J', 0xff, 0xff, 0xff, 0xff); /* BININT -1 */
    pk_rebuild(&b, &plain);
    OPS(&b, 'M', 0x00, 0x80); /* BININT2 32768 */
    pk_rebuild(&b, &plain);
    put_s(&b, "u.");
    rs_torchzip *z = NULL;
    T_OK(rs_torchzip_open(&z, save_pickle("i.pth", b)));
    T_EQ_I(rs_torchzip_count(z), 4);
    for (int i = 0; i < 4; i++)
        T_EQ_S(rs_torchzip_name(z, i), ((const char *[]){"-2", "-32768", "-1", "32768"})[i]);
    rs_torchzip_close(&z);
}

static void t_zip64_directory(void)
{
    bytes pickle = nested_pickle();
    zip_file z = {.zip64 = true};
    zip_add(&z, "model/data.pkl", pickle.p, pickle.n);
    zip_add(&z, "model/data/0", k_values, sizeof k_values);
    check_nested(save("z.pth", zip_bytes(&z)));
}

static void t_every_storage_type(void)
{
    static const struct {
        const char *type;
        rs_dtype dtype;
    } types[] = {
        {"FloatStorage", RS_DTYPE_F32}, {"BFloat16Storage", RS_DTYPE_BF16},
        {"HalfStorage", RS_DTYPE_F16},  {"DoubleStorage", RS_DTYPE_F64},
        {"LongStorage", RS_DTYPE_I64},  {"IntStorage", RS_DTYPE_I32},
        {"ByteStorage", RS_DTYPE_U8},   {"BoolStorage", RS_DTYPE_BOOL},
    };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        int n = (int)(sizeof k_values / rs_dtype_size(types[i].dtype));
        bytes b = pk_begin();
        pk_rebuild(&b, &(pk_tensor){types[i].type, "0", n, 1, 1, {n - 1}, {1}});
        put_s(&b, ".");
        rs_torchzip *z = NULL;
        T_OK(rs_torchzip_open(&z, save_pickle("t.pt", b)));
        T_EQ_I(rs_torchzip_count(z), 1);
        T_EQ_S(rs_torchzip_name(z, 0), "tensor");
        const rs_tensor *t = rs_torchzip_find(z, "tensor");
        size_t size = rs_dtype_size(types[i].dtype);
        T_CHECK(t->dtype == types[i].dtype && t->shape[0] == n - 1);
        T_CHECK(memcmp(t->data, (const char *)k_values + size, sizeof k_values - size) == 0);
        rs_torchzip_close(&z);
    }
}

/* Real normalised Wan2.1 latents, against Python's own ZIP reader. */
static void t_real_latents(void)
{
    if (!t_shared_data())
        rs_test_skip("no shared data");
    const char *path =
        rs_arena_printf(t_arena(), "%s/latents/wan_latents_bf16.pth", t_shared_data());
    if (!rs_path_exists(path))
        rs_test_skip("no %s", path);
    rs_weights_file *w = NULL;
    rs_tensor t;
    T_OK(rs_weights_file_open(&w, path));
    T_EQ_I(rs_weights_file_count(w), 1);
    T_OK(rs_weights_file_get(&t, w, "tensor", RS_SHAPE(1, 16, 16, 40, 64)));
    T_EQ_I(t.dtype, RS_DTYPE_BF16);
    rs_hash h;
    char hex[RS_HASH_HEX], *text;
    rs_hash_init(&h);
    rs_hash_update(&h, t.data, rs_tensor_bytes(t));
    rs_hash_final_hex(&h, hex);
    const uint16_t *v = t.data;
    char want[RS_HASH_HEX + 64];
    snprintf(want, sizeof want, "%s %u %u %u\n", hex, v[0], v[123456], v[655359]);
    static const char program[] = "import sys,zipfile,struct,hashlib as h\n"
                                  "z=zipfile.ZipFile(sys.argv[1]);d=z.read([n for n in "
                                  "z.namelist() if n[-7:]==\"/data/0\"][0])\n"
                                  "u=struct.unpack(\"<655360H\",d)\n"
                                  "print(h.sha256(d).hexdigest(),u[0],u[123456],u[655359])";
    int rc = t_shell(&text, "python3 -c '%s' %s", program, path);
    if (rc == 127)
        rs_test_skip("no python3");
    T_EQ_S(text, want);
    rs_weights_file_close(&w);
}

static void t_folders_and_contents_pick_the_format(void)
{
    rs_weights_file *w = NULL;
    T_FAILS(rs_weights_file_open(&w, t_tmpdir()), IO, "no *.safetensors, *.pth or *.pt");
    char *pth = save_pickle("one.pth", nested_pickle());
    check_nested(pth);
    T_OK(rs_weights_file_open(&w, t_tmpdir()));
    T_EQ_S(rs_weights_file_path(w), pth);
    rs_weights_file_close(&w);
    check_nested(save_pickle("named.safetensors", nested_pickle())); /* content, not name */
    rs_tensor_list l = {0};
    rs_tensor_list_add(&l, t_arena(), "x", rs_tensor_new(t_arena(), RS_SHAPE(2)));
    T_OK(rs_remove_tree(rs_path_join(t_arena(), t_tmpdir(), "named.safetensors")));
    char *st = rs_path_join(t_arena(), t_tmpdir(), "model.safetensors");
    T_OK(rs_safetensors_write(st, &l, NULL, 0));
    T_OK(rs_weights_file_open(&w, t_tmpdir())); /* safetensors win */
    T_EQ_S(rs_weights_file_file(w, 0), st);
    T_CHECK(rs_weights_file_find(w, "x"));
    T_EQ_S(rs_weights_file_name(w, 0), "x");
    T_EQ_I(rs_weights_file_at(w, 0)->shape[0], 2);
    rs_weights_file_close(&w);
    T_OK(rs_remove_tree(st));
    save_pickle("two.pt", nested_pickle());
    T_FAILS(rs_weights_file_open(&w, t_tmpdir()), FORMAT, "several *.pth or *.pt files");
    T_FAILS(rs_weights_file_open(&w, "/nonexistent.pth"), IO, "/nonexistent.pth: cannot open");
}

/* ---- bad files ---- */

#define LIT(s) (s), sizeof(s) - 1
static const struct bad_pickle {
    const char *what, *code;
    size_t n;
    const char *want;
} bad_pickles[] = {
    {"empty", LIT(""), "not a pickle of protocol 2 to 5"},
    {"protocol 0 text", LIT("I1\n."), "not a pickle of protocol 2 to 5"},
    {"no STOP", LIT("\x80\x02}"), "byte 3: pickle ends early"},
    {"cut string", LIT("\x80\x02X\xff\xff\xff\xff"), "byte 2: pickle ends early"},
    {"cut 8-byte string", LIT("\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff"), "ends early"},
    {"cut global",
     LIT("\x80\x02"
         "cos"),
     "pickle ends early"},
    {"unknown opcode", LIT("\x80\x02\xf7."), "byte 2: opcode 0xf7 is not supported"},
    {"executes a command",
     LIT("\x80\x02"
         "cposix\nsystem\n(X\x04\0\0\0truetR."),
     "byte 2: 'posix.system' has no place in a tensor file"},
    {"executes through the stack", LIT("\x80\x04\x8c\x02os\x8c\x06system\x93."),
     "'os.system' has no"},
    {"instance opcode", LIT("\x80\x02(ios\nsystem\n."), "opcode 0x69 is not supported"},
    {"memo slot never filled", LIT("\x80\x02h\x05."), "byte 2: memo slot 5 is empty"},
    {"memo slot out of range", LIT("\x80\x02}r\xff\xff\xff\x7f."),
     "memo slot 2147483647 is out of"},
    {"memo of nothing", LIT("\x80\x02q\x01."), "stack underflow"},
    {"underflow", LIT("\x80\x02R."), "stack underflow"},
    {"tuple underflow", LIT("\x80\x02N\x87."), "stack underflow"},
    {"pop below a mark", LIT("\x80\x02N(0."), "stack underflow"},
    {"no mark", LIT("\x80\x02Nt."), "no mark on the stack"},
    {"mark left", LIT("\x80\x02N(."), "values at the end"},
    {"two values left", LIT("\x80\x02NN."), "2 values at the end"},
    {"items of a number", LIT("\x80\x02K\x01(NNu."), "items for something that is no dict"},
    {"key without value", LIT("\x80\x02}(Nu."), "dict with a key and no value"},
    {"call of a number", LIT("\x80\x02K\x01)R."), "bad call"},
    {"OrderedDict of pairs",
     LIT("\x80\x02"
         "ccollections\nOrderedDict\n]\x85R."),
     "bad call of"},
    {"storage called",
     LIT("\x80\x02"
         "ctorch\nFloatStorage\n)R."),
     "bad call of 'torch.FloatStorage'"},
    {"persistent id of a number", LIT("\x80\x02K\x01Q."), "bad persistent id"},
    {"tensor of nothing",
     LIT("\x80\x02"
         "ctorch._utils\n_rebuild_tensor_v2\n)R."),
     "bad arguments of"},
    {"parameter of nothing",
     LIT("\x80\x02"
         "ctorch._utils\n_rebuild_parameter\n)R."),
     "bad arguments"},
    {"number of 16 bytes",
     LIT("\x80\x02\x8a\x10"
         "0123456789abcdef."),
     "integer of 16 bytes"},
    {"contains itself", LIT("\x80\x02}q\x01X\x01\0\0\0ah\x01s."), "nested deeper than"},
};

static void t_bad_pickles_say_why(void)
{
    for (size_t i = 0; i < sizeof bad_pickles / sizeof bad_pickles[0]; i++) {
        const struct bad_pickle *c = &bad_pickles[i];
        bytes b = {0};
        put(&b, c->code, c->n);
        char *path = save_pickle("bad.pth", b);
        rs_weights_file *w = NULL;
        rs_status st = rs_weights_file_open(&w, path);
        const char *m = rs_error_message();
        T_CHECKF(st == RS_FORMAT && !w, "%s: %s %s", c->what, rs_status_name(st), m);
        T_CHECKF(strstr(m, c->want), "%s: \"%s\" lacks \"%s\"", c->what, m, c->want);
        T_CHECKF(strstr(m, path) == m, "%s: \"%s\" does not name the file", c->what, m);
    }
}

static void t_bad_tensors_say_why(void)
{
    static const struct {
        pk_tensor t;
        const char *want;
    } bad[] = {
        {{"FloatStorage", "9", 6, 0, 1, {6}, {1}}, "storage 'data/9' is missing"},
        {{"FloatStorage", "0", 7, 0, 1, {6}, {1}}, "has 24 bytes, expected 7 x 4"},
        {{"FloatStorage", "0", -6, 0, 1, {6}, {1}}, "has 24 bytes, expected -6 x 4"},
        {{"DoubleStorage", "0", 6, 0, 1, {6}, {1}}, "has 24 bytes, expected 6 x 8"},
        {{"FloatStorage", "0", 6, 1, 1, {6}, {1}}, "lies outside its storage of 6 elements"},
        {{"FloatStorage", "0", 6, -1, 1, {6}, {1}}, "lies outside its storage"},
        {{"FloatStorage", "0", 6, 0, 1, {3}, {3}}, "lies outside its storage"},
        {{"FloatStorage", "0", 6, 0, 5, {0, 2147483647, 2147483647, 9, 9}, {1, 1, 1}}, NULL},
        {{"FloatStorage", "0", 6, 0, 2, {2147483647, 2147483647}, {0, 0}}, "(expanded tensor)"},
        {{"FloatStorage", "0", 6, 0, 1, {-6}, {1}}, "no list of counts"},
        {{"FloatStorage", "0", 6, 0, 1, {6}, {-1}}, "no list of counts"},
        {{"FloatStorage", "0", 6, 0, 6, {1, 1, 1, 1, 1, 6}, {6, 6, 6, 6, 6, 1}}, "6 dimensions"},
        {{"ComplexFloatStorage", "0", 3, 0, 1, {3}, {1}}, "'torch.ComplexFloatStorage'"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        bytes b = pk_begin();
        put_s(&b, "}");
        pk_string(&b, "x.w");
        pk_rebuild(&b, &bad[i].t);
        put_s(&b, "s.");
        rs_weights_file *w = NULL;
        rs_status st = rs_weights_file_open(&w, save_pickle("bad.pth", b));
        if (!bad[i].want) { /* an empty tensor of large dimensions is fine */
            T_CHECKF(st == RS_OK, "%s", rs_error_message());
            rs_weights_file_close(&w);
            continue;
        }
        rs_test_expect_fail(__FILE__, __LINE__, bad[i].want, st, RS_FORMAT, bad[i].want);
    }
}

static void t_repeated_names_and_sharing_bombs(void)
{
    const pk_tensor plain = {"FloatStorage", "0", STORAGE, 0, 1, {6}, {1}};
    rs_weights_file *w = NULL;
    bytes b = pk_begin();
    put_s(&b, "}(");
    pk_string(&b, "a.b");
    pk_rebuild(&b, &plain);
    pk_string(&b, "a");
    put_s(&b, "}");
    pk_string(&b, "b");
    pk_rebuild(&b, &plain);
    put_s(&b, "su.");
    T_FAILS(rs_weights_file_open(&w, save_pickle("r.pth", b)), FORMAT,
            "two tensors are named 'a.b'");
    b = pk_begin(); /* 13 levels of lists that hold the level below 13 times */
    put_s(&b, "]q");
    OPS(&b, 0);
    for (uint8_t level = 1; level < 14; level++) {
        put_s(&b, "](");
        for (int i = 0; i < 13; i++)
            OPS(&b, 'h', (uint8_t)(level - 1));
        OPS(&b, 'e', 'q', level);
    }
    OPS(&b, 'h', 13, '.');
    /* the lists left on the stack are one error; end with only the last one */
    b.n -= 3;
    OPS(&b, 0x86);
    for (int i = 0; i < 12; i++)
        OPS(&b, 0x86);
    OPS(&b, '.');
    T_FAILS(rs_weights_file_open(&w, save_pickle("s.pth", b)), FORMAT, "more than 1048576 values");
}

static void t_bad_zips_say_why(void)
{
    rs_weights_file *w = NULL;
    bytes pickle = nested_pickle();
    zip_file deflated = {.method = 8}, locked = {.flags = 1}, none = {0}, big = {0}, twice = {0};
    zip_add(&deflated, "a/data.pkl", pickle.p, pickle.n);
    T_FAILS(rs_weights_file_open(&w, save("d.pth", zip_bytes(&deflated))), FORMAT,
            "entry 'a/data.pkl' is compressed");
    zip_add(&locked, "a/data.pkl", pickle.p, pickle.n);
    T_FAILS(rs_weights_file_open(&w, save("e.pth", zip_bytes(&locked))), FORMAT, "is encrypted");
    zip_add(&none, "a/b/data.pkl", pickle.p, pickle.n);
    T_FAILS(rs_weights_file_open(&w, save("n.pth", zip_bytes(&none))), FORMAT, "no data.pkl");
    zip_add(&big, "a/data.pkl", pickle.p, pickle.n);
    zip_add(&big, "a/byteorder", "big", 3);
    T_FAILS(rs_weights_file_open(&w, save("b.pth", zip_bytes(&big))), FORMAT, "not little-endian");
    zip_add(&twice, "a/data.pkl", pickle.p, pickle.n);
    zip_add(&twice, "a/data.pkl", pickle.p, pickle.n);
    T_FAILS(rs_weights_file_open(&w, save("t.pth", zip_bytes(&twice))), FORMAT, "two entries are");
    bytes legacy = {0};
    put(&legacy, LIT("\x80\x02\x8a\x0al\xfc\x9c\x46\xf9 j\xa8P\x19."));
    T_FAILS(rs_weights_file_open(&w, save("l.pth", legacy)), FORMAT, "legacy torch format");
    T_FAILS(rs_weights_file_open(&w, save("empty.pth", (bytes){0})), FORMAT, "no ZIP directory");
}

/* Whatever is cut or flipped, the reader ends with OK or one FORMAT line, and never reads outside
 * (asan). */
static void t_cut_and_flipped_bytes(void)
{
    char *path = save_pickle("n.pth", nested_pickle()), *all;
    size_t n;
    T_OK(rs_read_file(&all, &n, t_arena(), path));
    for (size_t k = 0; k < n; k += 5) {
        rs_weights_file *w = NULL;
        char *cut = save("cut.pth", (bytes){(uint8_t *)all, k, 0});
        T_FAILS(rs_weights_file_open(&w, cut), FORMAT, "cut.pth: ");
    }
    int failed = 0;
    for (size_t k = 0; k < n; k++) {
        rs_weights_file *w = NULL;
        char keep = all[k];
        all[k] = (char)(keep ^ (char)(1 << (k % 8)));
        rs_status st = rs_weights_file_open(&w, save("flip.pth", (bytes){(uint8_t *)all, n, 0}));
        T_CHECKF(st == RS_OK || st == RS_FORMAT, "byte %zu: %s", k, rs_error_message());
        failed += st != RS_OK;
        rs_weights_file_close(&w);
        all[k] = keep;
    }
    T_CHECK(failed > 400);
}

static const rs_test_case cases[] = {
    T_CASE(t_nested_dicts_parameters_and_strides),
    T_CASE(t_integer_keys_are_names),
    T_CASE(t_zip64_directory),
    T_CASE(t_every_storage_type),
    T_CASE(t_real_latents),
    T_CASE(t_folders_and_contents_pick_the_format),
    T_CASE(t_bad_pickles_say_why),
    T_CASE(t_bad_tensors_say_why),
    T_CASE(t_repeated_names_and_sharing_bombs),
    T_CASE(t_bad_zips_say_why),
    T_CASE(t_cut_and_flipped_bytes),
};
RS_TEST_MAIN(cases)
