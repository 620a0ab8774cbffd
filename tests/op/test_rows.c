/* What lanes of ranks rely on: the bits of a token's row do not depend on which other rows are
 * computed with it, those of a head not on the other heads, and sums over tokens not on what lies
 * in front of or behind them. */
#include <string.h>

#include "base/rng.h"
#include "device/device.h"
#include "harness/test.h"

enum { S = 611, D = 96, R = 5, FFN = 200, HEADS = 8, KEYS = 23 };

/* Odd cuts, single rows, and halves. */
static const int64_t k_cuts[] = {0, 1, 8, 77, 305, 306, 499, S};
enum { CUTS = sizeof k_cuts / sizeof k_cuts[0] - 1 };

static rs_device *open_device(int threads)
{
    rs_device *d = NULL;
    T_OK(rs_device_open(&d, &(rs_device_opts){.threads = threads}));
    return d;
}

static rs_tensor filled(const char *name, int64_t rows, int64_t cols)
{
    rs_tensor t = rs_tensor_new(t_arena(), RS_SHAPE(rows, cols));
    rs_fill_rule(rs_f32(t), name, 0, rows * cols, 2, 0);
    return t;
}

static rs_tensor vector(const char *name, int64_t n)
{
    return rs_tensor_reshape(filled(name, 1, n), RS_SHAPE(n));
}

static rs_tensor matrix(int64_t rows, int64_t cols)
{
    return rs_tensor_new(t_arena(), RS_SHAPE(rows, cols));
}

static void same_bits(const char *what, rs_tensor got, rs_tensor want)
{
    T_CHECK(rs_tensor_rows(got) == rs_tensor_rows(want) &&
            rs_tensor_cols(got) == rs_tensor_cols(want));
    for (int64_t i = 0; i < rs_tensor_rows(got); i++)
        for (int64_t j = 0; j < rs_tensor_cols(got); j++)
            T_CHECKF(memcmp(rs_f32(got) + i * got.ld + j, rs_f32(want) + i * want.ld + j, 4) == 0,
                     "%s: other bits at [%lld,%lld]", what, (long long)i, (long long)j);
}

/* Rows [lo,hi) of what every op of a block makes, into y. */
typedef void rows_fn(rs_device *d, rs_tensor y, int64_t lo, int64_t hi);

static rs_tensor cut(rs_tensor t, int64_t lo, int64_t hi)
{
    return rs_tensor_rows_view(t, lo, hi);
}

static void linear(rs_device *d, rs_tensor y, int64_t lo, int64_t hi)
{
    RS_OP(d, gemm, .y = y, .a = cut(filled("x", S, D), lo, hi), .b = filled("w", D, D),
          .trans_b = true, .bias = vector("b", D), .act = RS_ACT_GELU_TANH);
}

static void linear_back(rs_device *d, rs_tensor y, int64_t lo, int64_t hi)
{
    RS_OP(d, gemm, .y = y, .a = cut(filled("g", S, FFN), lo, hi), .b = filled("w2", FFN, D));
    RS_OP(d, gemm, .y = y, .a = cut(filled("h", S, R), lo, hi), .b = filled("a", R, D),
          .alpha = 0.3f, .beta = 1.0f);
}

static rs_tensor bf16(rs_tensor t)
{
    rs_tensor h = t;
    h.dtype = RS_DTYPE_BF16;
    h.data = rs_arena_alloc(t_arena(), (size_t)rs_tensor_count(t), 2);
    rs_convert_from_f32(h.data, h.dtype, t.data, rs_tensor_count(t));
    return h;
}

/* More than one block of K, and a LoRA term in the same pass. */
static void linear_bf16(rs_device *d, rs_tensor y, int64_t lo, int64_t hi)
{
    enum { IN = 1601 };
    RS_OP(d, gemm, .y = y, .a = cut(filled("wide", S, IN), lo, hi), .b = bf16(filled("w3", D, IN)),
          .trans_b = true, .bf16 = true, .bias = vector("b", D),
          .ta = {cut(filled("h", S, R), lo, hi)}, .tb = {filled("up", D, R)},
          .act = RS_ACT_GELU_TANH);
}

static void linear_back_bf16(rs_device *d, rs_tensor y, int64_t lo, int64_t hi)
{
    RS_OP(d, gemm, .y = y, .a = cut(filled("g", S, FFN), lo, hi), .b = bf16(filled("w2", FFN, D)),
          .bf16 = true, .ta = {cut(filled("h", S, R), lo, hi)}, .tb = {filled("a", R, D)});
}

static void linear_wide(rs_device *d, rs_tensor y, int64_t lo, int64_t hi)
{
    RS_OP(d, gemm, .y = y, .a = cut(filled("x", S, D), lo, hi), .b = bf16(filled("w", D, D)),
          .trans_b = true, .ta = {cut(filled("h", S, R), lo, hi)}, .tb = {filled("up", D, R)});
}

static void norms(rs_device *d, rs_tensor y, int64_t lo, int64_t hi)
{
    rs_tensor x = cut(filled("x", S, D), lo, hi), g = cut(filled("g", S, D), lo, hi);
    RS_OP(d, layernorm_fwd, .y = y, .x = x, .scale = vector("m", D), .shift = vector("s", D),
          .eps = 1e-6f);
    RS_OP(d, layernorm_bwd, .dx = y, .dy = g, .x = x, .scale = vector("m", D), .eps = 1e-6f,
          .accumulate = true);
    RS_OP(d, rmsnorm_fwd, .y = y, .x = y, .weight = vector("m", D), .eps = 1e-6f);
    RS_OP(d, rmsnorm_bwd, .dx = y, .dy = y, .x = x, .weight = vector("m", D), .eps = 1e-6f);
}

static void elements(rs_device *d, rs_tensor y, int64_t lo, int64_t hi)
{
    rs_tensor x = cut(filled("x", S, D), lo, hi), g = cut(filled("g", S, D), lo, hi);
    RS_OP(d, act_fwd, .y = y, .x = x, .act = RS_ACT_GELU_TANH);
    RS_OP(d, act_bwd, .dx = y, .dy = y, .x = x, .act = RS_ACT_GELU_TANH);
    RS_OP(d, gate_add, .y = y, .x = y, .o = g, .gate = vector("m", D));
    RS_OP(d, gate_mul, .y = y, .x = y, .gate = vector("m", D));
}

static void rope(rs_device *d, rs_tensor y, int64_t lo, int64_t hi)
{
    rs_tensor f = rs_tensor_new(t_arena(), RS_SHAPE(13, 2, 2)), h = f, w = f;
    h = rs_tensor_new(t_arena(), RS_SHAPE(1, 2, 2));
    w = rs_tensor_new(t_arena(), RS_SHAPE(47, 2, 2));
    rs_rope_table(f);
    rs_rope_table(h);
    rs_rope_table(w);
    RS_OP(d, rope_fwd, .y = y, .x = cut(filled("x", S, D), lo, hi), .table_f = f, .table_h = h,
          .table_w = w, .heads = HEADS, .first = lo);
}

/* Queries [lo,hi): output, then gradients of the query, to few keys and to all tokens. */
static void attention(rs_device *d, rs_tensor y, int64_t lo, int64_t hi, int64_t keys)
{
    rs_tensor q = cut(filled("q", S, D), lo, hi), d_o = cut(filled("g", S, D), lo, hi);
    rs_tensor k = filled("k", keys, D), v = filled("v", keys, D);
    rs_tensor o = matrix(hi - lo, D), lse = matrix(HEADS, hi - lo);
    RS_OP(d, attention_fwd, .o = o, .lse = lse, .q = q, .k = k, .v = v, .heads = HEADS,
          .last_key_count = 3, .scale = 0.3f);
    RS_OP(d, attention_bwd, .dq = y, .dk = matrix(keys, D), .dv = matrix(keys, D), .d_o = d_o,
          .o = o, .lse = lse, .q = q, .k = k, .v = v, .heads = HEADS, .last_key_count = 3,
          .scale = 0.3f);
    RS_OP(d, gate_add, .y = y, .x = y, .o = o);
}

static void attention_few(rs_device *d, rs_tensor y, int64_t lo, int64_t hi)
{
    attention(d, y, lo, hi, KEYS);
}

static void attention_all(rs_device *d, rs_tensor y, int64_t lo, int64_t hi)
{
    attention(d, y, lo, hi, S);
}

/* bf16: every 37th query is long enough to need a maximum, its neighbours are not. */
static void attention_bf16(rs_device *d, rs_tensor y, int64_t lo, int64_t hi)
{
    rs_tensor all = filled("q", S, D), lse = matrix(HEADS, hi - lo);
    for (int64_t i = 0; i < S; i += 37)
        for (int64_t j = 0; j < D; j++)
            rs_f32(all)[i * D + j] *= 100;
    rs_tensor q = cut(all, lo, hi), k = filled("k", S, D), v = filled("v", S, D);
    rs_tensor o = matrix(hi - lo, D), d_o = cut(filled("g", S, D), lo, hi);
    RS_OP(d, attention_fwd, .o = o, .lse = lse, .q = q, .k = k, .v = v, .heads = HEADS,
          .last_key_count = 3, .scale = 0.3f, .bf16 = true);
    RS_OP(d, attention_bwd, .dq = y, .dk = matrix(S, D), .dv = matrix(S, D), .d_o = d_o, .o = o,
          .lse = lse, .q = q, .k = k, .v = v, .heads = HEADS, .last_key_count = 3, .scale = 0.3f,
          .bf16 = true);
    RS_OP(d, gate_add, .y = y, .x = y, .o = o);
}

static void check_rows(const char *what, rows_fn *fn)
{
    for (int threads = 1; threads <= 3; threads += 2) {
        rs_device *d = open_device(threads);
        rs_tensor whole = matrix(S, D), parts = matrix(S, D);
        fn(d, whole, 0, S);
        for (int i = 0; i < CUTS; i++)
            fn(d, cut(parts, k_cuts[i], k_cuts[i + 1]), k_cuts[i], k_cuts[i + 1]);
        same_bits(what, parts, whole);
        rs_device_destroy(&d);
    }
}

static void t_rows_do_not_see_each_other(void)
{
    check_rows("linear", linear);
    check_rows("gradient of a linear", linear_back);
    check_rows("linear of bf16 operands", linear_bf16);
    check_rows("gradient of a linear of bf16 operands", linear_back_bf16);
    check_rows("linear of bf16 weights", linear_wide);
    check_rows("norms", norms);
    check_rows("elements", elements);
    check_rows("rope", rope);
    check_rows("attention to few keys", attention_few);
    check_rows("attention to all tokens", attention_all);
    check_rows("attention with bf16", attention_bf16);
}

typedef struct attended {
    rs_tensor o, lse, dq, dk, dv;
} attended;

/* Heads [lo,hi) of HEADS, in tensors of their own. */
static attended attend_heads(rs_device *d, int64_t lo, int64_t hi)
{
    int64_t w = D / HEADS * (hi - lo);
    const char *const names[] = {"q", "k", "v", "g"};
    rs_tensor in[4];
    for (int i = 0; i < 4; i++) {
        in[i] = matrix(S, w);
        RS_OP(d, copy, .y = in[i],
              .x = rs_tensor_cols_view(filled(names[i], S, D), D / HEADS * lo, D / HEADS * hi));
    }
    attended a = {matrix(S, w), matrix(hi - lo, S), matrix(S, w), matrix(S, w), matrix(S, w)};
    RS_OP(d, attention_fwd, .o = a.o, .lse = a.lse, .q = in[0], .k = in[1], .v = in[2],
          .heads = hi - lo, .scale = 0.3f);
    RS_OP(d, attention_bwd, .dq = a.dq, .dk = a.dk, .dv = a.dv, .d_o = in[3], .o = a.o,
          .lse = a.lse, .q = in[0], .k = in[1], .v = in[2], .heads = hi - lo, .scale = 0.3f);
    return a;
}

/* With several threads a head's keys are shared out where there are few heads, with one they are
 * not: the order of the sums is the same. */
static void t_heads_do_not_see_each_other(void)
{
    rs_device *one = open_device(1), *three = open_device(3);
    attended whole = attend_heads(one, 0, HEADS);
    for (int64_t n = 1; n <= HEADS; n *= 2)
        for (int64_t lo = 0; lo < HEADS; lo += n) {
            attended part = attend_heads(lo % (2 * n) ? one : three, lo, lo + n);
            int64_t c0 = D / HEADS * lo, c1 = D / HEADS * (lo + n);
            same_bits("o", part.o, rs_tensor_cols_view(whole.o, c0, c1));
            same_bits("lse", part.lse, cut(whole.lse, lo, lo + n));
            same_bits("dq", part.dq, rs_tensor_cols_view(whole.dq, c0, c1));
            same_bits("dk", part.dk, rs_tensor_cols_view(whole.dk, c0, c1));
            same_bits("dv", part.dv, rs_tensor_cols_view(whole.dv, c0, c1));
        }
    rs_device_destroy(&one);
    rs_device_destroy(&three);
}

/* Gradients of factors and of context keys over a segment, wherever it lies in memory. */
static void t_sums_over_rows_see_only_these(void)
{
    rs_device *d = open_device(2);
    rs_tensor g = filled("g", S, D), h = filled("h", S, R), whole = matrix(D, R), alone = whole;
    alone = matrix(D, R);
    rs_tensor gc = matrix(S - 77, D), hc = matrix(S - 77, R);
    RS_OP(d, copy, .y = gc, .x = cut(g, 77, S));
    RS_OP(d, copy, .y = hc, .x = cut(h, 77, S));
    RS_OP(d, gemm, .y = whole, .a = cut(g, 77, S), .b = cut(h, 77, S), .trans_a = true,
          .alpha = 0.7f);
    RS_OP(d, gemm, .y = alone, .a = gc, .b = hc, .trans_a = true, .alpha = 0.7f);
    same_bits("factor", alone, whole);
    rs_device_destroy(&d);
}

static const rs_test_case cases[] = {
    T_CASE(t_rows_do_not_see_each_other),
    T_CASE(t_heads_do_not_see_each_other),
    T_CASE(t_sums_over_rows_see_only_these),
};
RS_TEST_MAIN(cases)
