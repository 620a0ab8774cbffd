/* Layouts and weight streams: names, prefixes, shapes, slices, types and homes. */
#include <stdio.h>
#include <string.h>

#include "base/fsio.h"
#include "base/rng.h"
#include "harness/test.h"
#include "store/safetensors.h"
#include "weights/files.h"
#include "weights/stream.h"

enum { BLOCKS = 5, IN = 24, OUT = 40, BIG = 70001 };
enum { G_EMBED, G_NORM, G_ODD, G_TABLE };
enum { B_Q = 0, B_K = 2, B_GAMMA = 4, B_BIG = 5 };

static rs_layout layout(void)
{
    static const rs_weight_row rows[] = {
        {.slot = G_EMBED,
         .block = -1,
         .diffusers = "embed.weight",
         .original = "emb.w",
         .ndim = 2,
         .shape = {6, IN}},
        {.slot = G_NORM, .block = -1, .diffusers = "norm.gamma", .ndim = 4, .shape = {8, 1, 1, 1}},
        {.slot = G_ODD, .block = -1, .diffusers = "odd", .ndim = 1, .shape = {3}, .optional = true},
        {.slot = G_TABLE,
         .block = -1,
         .diffusers = "table",
         .ndim = 2,
         .shape = {9, 4},
         .raw = true},
        {.slot = B_GAMMA,
         .diffusers = "blocks.%d.g",
         .original = "layers.%d.g",
         .ndim = 1,
         .shape = {5}},
        {.slot = B_BIG, .diffusers = "blocks.%d.big", .ndim = 1, .shape = {BIG}},
    };
    rs_arena *a = t_arena();
    rs_layout l = {.blocks = BLOCKS};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        rs_layout_add(&l, a, rows[i]);
    rs_layout_add_linear(&l, a, 0, B_Q, "blocks.%d.q", "layers.%d.qk", OUT, IN);
    rs_layout_add_linear(&l, a, 0, B_K, "blocks.%d.k", "layers.%d.qk", OUT, IN);
    for (int64_t i = 0; i < l.n; i++) {
        rs_weight_row *r = &l.rows[i];
        if (r->original && strstr(r->original, "qk")) {
            r->original_rows[0] = r->slot >= B_K ? OUT : 0;
            r->original_rows[1] = r->original_rows[0] + OUT;
        }
    }
    return l;
}

/* Adds one tensor of the fill rule, rounded to `type`. */
static void add(rs_tensor_list *list, const char *prefix, const char *name, rs_dtype type, int ndim,
                const int64_t *shape)
{
    rs_arena *a = t_arena();
    rs_tensor f = rs_tensor_new(a, ndim, shape), t = f;
    int64_t n = rs_tensor_count(f);
    rs_fill_rule(rs_f32(f), name, 0, n, 1.0, 0.0);
    if (type != RS_DTYPE_F32) {
        t.data = rs_arena_alloc(a, (size_t)n, rs_dtype_size(type));
        t.dtype = type;
        rs_convert_from_f32(t.data, type, f.data, n);
    }
    rs_tensor_list_add(list, a, rs_arena_printf(a, "%s%s", prefix, name), t);
}

#define ADD(list, prefix, name, type, ...) add(list, prefix, name, type, RS_SHAPE(__VA_ARGS__))

static void add_linear(rs_tensor_list *l, const char *prefix, const char *module, rs_dtype type,
                       int64_t rows)
{
    rs_arena *a = t_arena();
    ADD(l, prefix, rs_arena_printf(a, "%s.weight", module), type, rows, IN);
    ADD(l, prefix, rs_arena_printf(a, "%s.bias", module), type, rows);
}

static rs_tensor_list tensors(const char *prefix, rs_dtype type, bool original)
{
    rs_arena *a = t_arena();
    rs_tensor_list l = {0};
    ADD(&l, prefix, original ? "emb.w" : "embed.weight", type, 6, IN);
    ADD(&l, prefix, "norm.gamma", type, 8);
    ADD(&l, prefix, "table", type, 9, 4);
    ADD(&l, prefix, "stranger", type, 2, 2);
    for (int b = 0; b < BLOCKS; b++) {
        if (original) {
            add_linear(&l, prefix, rs_arena_printf(a, "layers.%d.qk", b), type, 2 * OUT);
        } else {
            add_linear(&l, prefix, rs_arena_printf(a, "blocks.%d.q", b), type, OUT);
            add_linear(&l, prefix, rs_arena_printf(a, "blocks.%d.k", b), type, OUT);
        }
        ADD(&l, prefix, rs_arena_printf(a, "%s.%d.g", original ? "layers" : "blocks", b), type, 5,
            1);
        ADD(&l, prefix, rs_arena_printf(a, "blocks.%d.big", b), type, BIG);
    }
    return l;
}

static const char *write_file(const rs_tensor_list *l)
{
    const char *path = rs_path_join(t_arena(), t_tmpdir(), "model.safetensors");
    T_OK(rs_safetensors_write(path, l, NULL, 0));
    return path;
}

static rs_precision g_precision;

static rs_device *open_device(void)
{
    rs_device *d;
    rs_device_opts o = {.backend = t_backend(), .threads = 2, .precision = g_precision};
    T_OK(rs_device_open(&d, &o));
    return d;
}

static void round_to(float *x, rs_dtype type, int64_t n)
{
    void *stored = rs_arena_alloc(t_arena(), (size_t)n, rs_dtype_size(type));
    rs_convert_from_f32(stored, type, x, n);
    rs_convert_to_f32(x, stored, type, n);
}

/* The values that the rule gives to `name` from element `first` on, rounded to the file's type and
 * then to that in memory: matrices of a bf16 file, and with bf16 of an fp16 file, are bf16. */
static void expect(rs_device *d, rs_tensor t, const char *name, int64_t first, rs_dtype file,
                   bool matrix)
{
    rs_arena *a = t_arena();
    int64_t n = rs_tensor_count(t);
    bool narrow = file == RS_DTYPE_BF16 || (rs_device_precision(d) == RS_PRECISION_BF16 &&
                                            (file == RS_DTYPE_F16 || !rs_device_host_memory(d)));
    rs_dtype held = matrix && narrow ? RS_DTYPE_BF16 : RS_DTYPE_F32;
    float *want = RS_NEW(a, float, n), *got = RS_NEW(a, float, n);
    void *raw = rs_arena_alloc(a, (size_t)n, rs_dtype_size(held));
    T_CHECKF(t.dtype == held, "%s is %s", name, rs_dtype_name(t.dtype));
    rs_fill_rule(want, name, (uint64_t)first, n, 1.0, 0.0);
    round_to(want, file, n);
    round_to(want, held, n);
    rs_device_get(d, raw, t.data, rs_tensor_bytes(t));
    rs_convert_to_f32(got, raw, held, n);
    T_CHECKF(memcmp(got, want, (size_t)n * sizeof *got) == 0, "%s differs", name);
}

static void expect_block(rs_device *d, rs_wstream *w, int b, rs_dtype type, bool original)
{
    const rs_tensor *s;
    char name[64];
    T_OK(rs_wstream_acquire(w, b, &s));
    snprintf(name, sizeof name, original ? "layers.%d.qk.weight" : "blocks.%d.k.weight", b);
    T_CHECK(s[B_K].ndim == 2 && s[B_K].shape[0] == OUT && s[B_K].shape[1] == IN);
    expect(d, s[B_K], name, original ? OUT * IN : 0, type, true);
    snprintf(name, sizeof name, original ? "layers.%d.qk.bias" : "blocks.%d.q.bias", b);
    expect(d, s[B_Q + 1], name, 0, type, false);
    snprintf(name, sizeof name, "blocks.%d.big", b);
    expect(d, s[B_BIG], name, 0, type, false);
    T_CHECK(s[B_GAMMA].ndim == 1);
    rs_wstream_release(w, b);
}

static void check_walk(rs_dtype type, rs_weight_home home, const char *prefix, bool original)
{
    rs_layout l = layout();
    rs_tensor_list list = tensors(prefix, type, original);
    const char *path = write_file(&list);
    rs_device *d = open_device();
    size_t before = rs_device_bytes(d);
    rs_wstream *w;
    T_OK(rs_wstream_open(&w, d, path, &l, home));
    T_CHECK(rs_wstream_original(w) == original);
    const rs_tensor *g = rs_wstream_globals(w);
    expect(d, g[G_EMBED], original ? "emb.w" : "embed.weight", 0, type, false);
    T_CHECK(!rs_has(g[G_ODD]) && g[G_NORM].ndim == 4);
    T_CHECK(g[G_TABLE].dtype == type && g[G_TABLE].shape[0] == 9);
    for (int b = 0; b < BLOCKS; b++) {
        rs_wstream_prefetch(w, b + 1);
        expect_block(d, w, b, type, original);
    }
    for (int b = BLOCKS - 1; b >= 0; b--) {
        rs_wstream_prefetch(w, b - 1);
        expect_block(d, w, b, type, original);
    }
    rs_wstream_close(&w);
    T_EQ_I(rs_device_bytes(d), before);
    rs_device_destroy(&d);
}

/* Ops that were given a block read it, however far the host is ahead of them: what they copy is
 * what another home has. */
static void t_host_ring_waits_for_ops(void)
{
    enum { USES = 2 * BLOCKS };
    rs_layout l = layout();
    rs_tensor_list list = tensors("", RS_DTYPE_F32, false);
    const char *path = write_file(&list);
    rs_device *d = open_device();
    rs_wstream *w[2];
    const rs_tensor *s;
    T_OK(rs_wstream_open(&w[0], d, path, &l, RS_HOME_RESIDENT));
    T_OK(rs_wstream_open(&w[1], d, path, &l, RS_HOME_HOST));
    T_OK(rs_wstream_acquire(w[0], 0, &s));
    size_t bytes = rs_tensor_bytes(s[B_BIG]);
    rs_wstream_release(w[0], 0);
    void *seen[2];
    char *host[2];
    for (int k = 0; k < 2; k++) {
        T_OK(rs_device_alloc(d, &seen[k], bytes * USES));
        for (int u = 0; u < USES; u++) {
            int b = u < BLOCKS ? u : USES - 1 - u;
            T_OK(rs_wstream_acquire(w[k], b, &s));
            rs_wstream_prefetch(w[k], u + 1 < BLOCKS ? u + 1 : USES - 2 - u);
            rs_device_copy(d, (char *)seen[k] + bytes * (size_t)u, s[B_BIG].data, bytes);
            rs_wstream_release(w[k], b);
        }
        host[k] = rs_arena_alloc(t_arena(), bytes, USES);
        rs_device_get(d, host[k], seen[k], bytes * USES);
    }
    T_CHECK(memcmp(host[0], host[1], bytes * USES) == 0);
    T_OK(rs_device_check(d));
    rs_wstream_close(&w[0]);
    rs_wstream_close(&w[1]);
    rs_device_destroy(&d);
}

static void t_homes_and_types(void)
{
    static const rs_dtype types[] = {RS_DTYPE_F32, RS_DTYPE_BF16, RS_DTYPE_F16};
    for (int i = 0; i < 6; i++) {
        g_precision = i < 3 ? RS_PRECISION_FP32 : RS_PRECISION_BF16;
        check_walk(types[i % 3], RS_HOME_RESIDENT, "", false);
        check_walk(types[i % 3], RS_HOME_MAPPED, "", false);
        check_walk(types[i % 3], RS_HOME_HOST, "", false);
        check_walk(types[i % 3], RS_HOME_AUTO, "", false);
    }
    g_precision = RS_PRECISION_FP32;
}

static void t_original_names_and_slices(void)
{
    check_walk(RS_DTYPE_F32, RS_HOME_MAPPED, "", true);
    check_walk(RS_DTYPE_BF16, RS_HOME_MAPPED, "", true);
}

static void t_prefix(void)
{
    check_walk(RS_DTYPE_F32, RS_HOME_AUTO, "model.diffusion_model.", true);
    check_walk(RS_DTYPE_BF16, RS_HOME_AUTO, "transformer.", false);
}

/* What is planned from headers is what a stream holds; without files the layout is all there is. */
static void t_files_say_what_a_stream_holds(void)
{
    static const rs_dtype k_types[] = {RS_DTYPE_F32, RS_DTYPE_BF16, RS_DTYPE_F32, RS_DTYPE_F16};
    rs_layout l = layout();
    rs_layout_sizes s = rs_layout_bytes(&l);
    rs_device *d = open_device();
    rs_weight_files f;
    rs_wstream *w;
    for (int k = 0; k < 4; k++) {
        rs_tensor_list list = tensors("", k_types[k], false);
        for (int64_t i = 0; k == 2 && i < list.n; i++) /* mixed: norms in half precision */
            if (strstr(list.items[i].name, ".g"))
                list.items[i] = tensors("", RS_DTYPE_BF16, false).items[i];
        const char *path = write_file(&list);
        T_OK(rs_weights_look(&f, d, path, &l));
        T_CHECK(f.present && f.in_place == (k != 3) && f.stored > 0);
        T_OK(rs_wstream_open(&w, d, path, &l, RS_HOME_MAPPED));
        T_EQ_I(f.mapped, rs_wstream_bytes(w));
        T_EQ_I(f.mapped, f.outside + 2 * f.block);
        /* a gang's image is in the files' types; small tensors are padded */
        T_CHECK(k % 2 == 1 ? f.image < s.block * 6 / 10 : f.image <= s.block);
        T_CHECK(f.image >= s.block / 2 && (k != 0 || f.image == s.block));
        rs_wstream_close(&w);
        T_OK(rs_wstream_open(&w, d, path, &l, RS_HOME_RESIDENT));
        size_t odd = 64, half = (size_t)BLOCKS * 2 * OUT * IN * 2; /* not there; of matrices */
        T_EQ_I(f.whole, rs_wstream_bytes(w));
        T_EQ_I(f.whole, s.outside - odd + BLOCKS * s.block - (k == 1 ? half : 0));
        rs_wstream_close(&w);
    }
    const char *empty = rs_path_join(t_arena(), t_tmpdir(), "empty");
    T_OK(rs_make_dirs(empty));
    T_OK(rs_weights_look(&f, d, empty, &l));
    T_CHECK(!f.present && f.in_place && f.stored == 0);
    T_EQ_I(f.mapped, s.outside + 2 * (s.block - (size_t)2 * OUT * IN * sizeof(float)));
    T_EQ_I(f.whole, s.outside + BLOCKS * (s.block - (size_t)2 * OUT * IN * 2));
    rs_device_destroy(&d);
}

static void t_auto_home(void)
{
    rs_layout l = layout();
    rs_device *d = open_device();
    rs_wstream *w;
    rs_tensor_list list = tensors("", RS_DTYPE_F32, false);
    T_OK(rs_wstream_open(&w, d, write_file(&list), &l, RS_HOME_AUTO));
    T_EQ_I(rs_wstream_home(w), RS_HOME_MAPPED);
    T_EQ_I(rs_wstream_bytes(w), 0);
    rs_wstream_close(&w);
    list = tensors("", RS_DTYPE_BF16, false);
    T_OK(rs_wstream_open(&w, d, write_file(&list), &l, RS_HOME_AUTO));
    T_EQ_I(rs_wstream_home(w), RS_HOME_MAPPED);
    rs_wstream_close(&w);
    list = tensors("", RS_DTYPE_F16, false);
    T_OK(rs_wstream_open(&w, d, write_file(&list), &l, RS_HOME_AUTO));
    T_EQ_I(rs_wstream_home(w), RS_HOME_RESIDENT);
    T_CHECK(rs_wstream_bytes(w) >= (size_t)(rs_layout_block_params(&l) * BLOCKS) * sizeof(float));
    rs_wstream_close(&w);
    rs_device_destroy(&d);
}

static void t_two_held(void)
{
    rs_layout l = layout();
    rs_device *d = open_device();
    rs_wstream *w;
    const rs_tensor *a, *b, *again;
    rs_tensor_list list = tensors("", RS_DTYPE_BF16, false);
    T_OK(rs_wstream_open(&w, d, write_file(&list), &l, RS_HOME_MAPPED));
    T_OK(rs_wstream_acquire(w, 1, &a));
    T_OK(rs_wstream_acquire(w, 3, &b));
    rs_wstream_prefetch(w, 2);
    T_OK(rs_wstream_acquire(w, 1, &again));
    T_CHECK(a == again && a != b);
    expect(d, a[B_BIG], "blocks.1.big", 0, RS_DTYPE_BF16, false);
    expect(d, b[B_BIG], "blocks.3.big", 0, RS_DTYPE_BF16, false);
    rs_wstream_release(w, 1);
    rs_wstream_release(w, 1);
    rs_wstream_release(w, 3);
    rs_wstream_close(&w);
    rs_device_destroy(&d);
}

static void replace(rs_tensor_list *l, const char *name, const char *with, rs_dtype type)
{
    for (int64_t i = 0; i < l->n; i++) {
        if (strcmp(l->items[i].name, name) == 0) {
            l->items[i].name = with;
            l->items[i].t.dtype = type;
            return;
        }
    }
    T_CHECKF(false, "no tensor %s", name);
}

static void t_errors_name_file_and_tensor(void)
{
    rs_layout l = layout();
    rs_device *d = open_device();
    rs_wstream *w = NULL;
    rs_tensor_list list = tensors("", RS_DTYPE_F32, false);
    replace(&list, "blocks.4.k.bias", "blocks.4.k.lost", RS_DTYPE_F32);
    const char *path = write_file(&list);
    T_FAILS(rs_wstream_open(&w, d, path, &l, RS_HOME_AUTO), MODEL,
            "\"blocks.4.k.bias\" is missing");
    T_CHECK(strstr(rs_error_message(), path) && w == NULL);
    list = tensors("", RS_DTYPE_F32, false);
    replace(&list, "norm.gamma", "norm.gamma", RS_DTYPE_I32);
    T_FAILS(rs_wstream_open(&w, d, write_file(&list), &l, RS_HOME_AUTO), MODEL, "weights must be");
    l.rows[4].shape[0]++;
    list = tensors("", RS_DTYPE_F32, false);
    T_FAILS(rs_wstream_open(&w, d, write_file(&list), &l, RS_HOME_AUTO), MODEL,
            "\"blocks.0.g\" is F32[5,1]");
    T_CHECK(strstr(rs_error_message(), "F32[6]"));
    T_EQ_I(rs_device_bytes(d), 0);
    rs_device_destroy(&d);
}

static void t_counts(void)
{
    rs_layout l = layout();
    T_EQ_I(l.block_slots, 6);
    T_EQ_I(l.global_slots, 4);
    T_EQ_I(rs_layout_block_params(&l), 2 * (OUT * IN + OUT) + 5 + BIG);
    T_EQ_I(rs_layout_params(&l), 6 * IN + 8 + 3 + 36 + BLOCKS * rs_layout_block_params(&l));
}

static const rs_test_case k_cases[] = {
    T_CASE(t_counts),
    T_CASE(t_host_ring_waits_for_ops),
    T_CASE(t_homes_and_types),
    T_CASE(t_original_names_and_slices),
    T_CASE(t_prefix),
    T_CASE(t_files_say_what_a_stream_holds),
    T_CASE(t_auto_home),
    T_CASE(t_two_held),
    T_CASE(t_errors_name_file_and_tensor),
};
RS_TEST_MAIN(k_cases)
