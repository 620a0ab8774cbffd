#include <math.h>

#include "kernels/opcase.h"

/* dim: Sq Sk N D, then the pad of every (S, N*D) tensor, count of the last key. */
enum { SQ, SK, HEADS, D, PAD, COUNT };
enum { LSE = 1, BIAS = 2, ACCUMULATE = 4, NO_DKV = 8, SHARP = 16, NEGATIVE = 32, BF16 = 64 };

static const rs_opcase FWD[] = {
    {.name = "one", .dim = {1, 1, 1, 2}, .flags = LSE},
    {.name = "tiny", .dim = {5, 3, 2, 4}, .flags = LSE},
    {.name = "one_key", .dim = {70, 1, 1, 8}},
    {.name = "one_query", .dim = {1, 300, 3, 16}, .flags = LSE},
    {.name = "odd", .dim = {67, 131, 2, 10}, .flags = LSE},
    {.name = "d6_ld", .dim = {33, 45, 3, 6, 7}, .flags = LSE},
    {.name = "d40", .dim = {130, 129, 2, 40}, .flags = LSE},
    {.name = "d80", .dim = {257, 257, 1, 80}, .flags = LSE},
    {.name = "d126", .dim = {129, 260, 1, 126, 2}, .flags = LSE},
    {.name = "d128", .dim = {260, 300, 2, 128}, .flags = LSE},
    {.name = "d64_blocks", .dim = {513, 640, 2, 64}},
    {.name = "bias", .dim = {37, 37, 3, 64}, .flags = BIAS | LSE},
    {.name = "bias_long", .dim = {200, 290, 2, 16, 3}, .flags = BIAS},
    {.name = "accumulate", .dim = {140, 257, 2, 32, 5}, .flags = ACCUMULATE | LSE},
    {.name = "sharp", .dim = {140, 257, 2, 32}, .flags = SHARP | LSE},
    {.name = "negative_scale", .dim = {70, 210, 2, 24}, .flags = NEGATIVE | LSE},
    {.name = "self_1024_d32", .dim = {1024, 1024, 12, 32}, .flags = LSE, .large = true},
    {.name = "padding", .dim = {140, 21, 2, 32, 5, 492}, .flags = LSE},
    {.name = "padding_tiles", .dim = {33, 385, 1, 16, 0, 2}, .flags = LSE},
    {.name = "padding_only", .dim = {40, 1, 2, 8, 0, 512}, .flags = LSE | ACCUMULATE},
    {.name = "padding_bias", .dim = {37, 200, 3, 10, 0, 7}, .flags = BIAS | LSE},
    {.name = "self_1024_d64", .dim = {1024, 1024, 6, 64}, .flags = LSE, .large = true},
    {.name = "self_1024_d128", .dim = {1024, 1024, 12, 128}, .flags = LSE, .large = true},
    {.name = "self_4096_d64", .dim = {4096, 4096, 6, 64}, .flags = LSE, .large = true},
    {.name = "self_4096_d128", .dim = {4096, 4096, 6, 128}, .flags = LSE, .large = true},
    {.name = "self_1head_d128", .dim = {2048, 2048, 1, 128}, .flags = LSE, .large = true},
    {.name = "cross_512", .dim = {1024, 512, 12, 128}, .flags = LSE, .large = true},
    {.name = "bf16_one", .dim = {1, 1, 1, 2}, .flags = BF16 | LSE, .rounds = true},
    {.name = "bf16_one_key", .dim = {70, 1, 1, 8}, .flags = BF16, .rounds = true},
    {.name = "bf16_odd", .dim = {67, 131, 2, 10}, .flags = BF16 | LSE, .rounds = true},
    {.name = "bf16_d6_ld", .dim = {33, 45, 3, 6, 7}, .flags = BF16 | LSE, .rounds = true},
    {.name = "bf16_d40", .dim = {130, 129, 2, 40}, .flags = BF16 | LSE, .rounds = true},
    {.name = "bf16_d126", .dim = {129, 260, 1, 126, 2}, .flags = BF16 | LSE, .rounds = true},
    {.name = "bf16_d128", .dim = {260, 300, 2, 128}, .flags = BF16 | LSE, .rounds = true},
    {.name = "bf16_d64", .dim = {513, 640, 2, 64}, .flags = BF16, .rounds = true},
    {.name = "bf16_d32",
     .dim = {140, 385, 2, 32, 5},
     .flags = BF16 | ACCUMULATE | LSE,
     .rounds = true},
    {.name = "bf16_bias", .dim = {37, 200, 3, 64}, .flags = BF16 | BIAS | LSE, .rounds = true},
    {.name = "bf16_sharp", .dim = {140, 257, 2, 32}, .flags = BF16 | SHARP | LSE, .rounds = true},
    {.name = "bf16_negative",
     .dim = {70, 210, 2, 24},
     .flags = BF16 | NEGATIVE | LSE,
     .rounds = true},
    {.name = "bf16_padding", .dim = {33, 385, 1, 16, 0, 492}, .flags = BF16 | LSE, .rounds = true},
    {.name = "bf16_1024_d32",
     .dim = {1024, 1024, 12, 32},
     .flags = BF16 | LSE,
     .large = true,
     .rounds = true},
    {.name = "bf16_1024_d64",
     .dim = {1024, 1024, 6, 64},
     .flags = BF16 | LSE,
     .large = true,
     .rounds = true},
    {.name = "bf16_1024_d128",
     .dim = {1024, 1024, 12, 128},
     .flags = BF16 | LSE,
     .large = true,
     .rounds = true},
    {.name = "bf16_4096_d32",
     .dim = {4096, 4096, 12, 32},
     .flags = BF16 | LSE,
     .large = true,
     .rounds = true},
    {.name = "bf16_4096_d64",
     .dim = {4096, 4096, 6, 64},
     .flags = BF16 | LSE,
     .large = true,
     .rounds = true},
    {.name = "bf16_4096_d128",
     .dim = {4096, 4096, 6, 128},
     .flags = BF16 | LSE,
     .large = true,
     .rounds = true},
    {.name = "bf16_1head_d128",
     .dim = {2048, 2048, 1, 128},
     .flags = BF16 | LSE,
     .large = true,
     .rounds = true},
};

static const rs_opcase BWD[] = {
    {.name = "one", .dim = {1, 1, 1, 2}},
    {.name = "tiny", .dim = {5, 3, 2, 4}},
    {.name = "one_key", .dim = {70, 1, 1, 8}},
    {.name = "one_query", .dim = {1, 300, 3, 16}},
    {.name = "odd", .dim = {67, 131, 2, 10}},
    {.name = "d6_ld", .dim = {33, 45, 3, 6, 7}},
    {.name = "d40", .dim = {130, 129, 2, 40}},
    {.name = "d80", .dim = {257, 257, 1, 80}},
    {.name = "d126", .dim = {129, 260, 1, 126, 2}},
    {.name = "d128", .dim = {260, 300, 2, 128}},
    {.name = "one_head_long", .dim = {300, 1100, 1, 64}},
    {.name = "many_heads", .dim = {40, 50, 26, 8}},
    {.name = "accumulate", .dim = {140, 257, 2, 32, 5}, .flags = ACCUMULATE},
    {.name = "accumulate_only_dq", .dim = {140, 257, 2, 32}, .flags = ACCUMULATE | NO_DKV},
    {.name = "only_dq", .dim = {140, 257, 2, 32}, .flags = NO_DKV},
    {.name = "sharp", .dim = {140, 257, 2, 32}, .flags = SHARP},
    {.name = "self_1024_d32", .dim = {1024, 1024, 12, 32}, .large = true},
    {.name = "padding", .dim = {140, 21, 2, 32, 5, 492}},
    {.name = "padding_tiles", .dim = {33, 385, 1, 16, 0, 2}},
    {.name = "padding_only_dq", .dim = {100, 193, 2, 8, 0, 320}, .flags = ACCUMULATE | NO_DKV},
    {.name = "self_1024_d64", .dim = {1024, 1024, 6, 64}, .large = true},
    {.name = "self_1024_d128", .dim = {1024, 1024, 12, 128}, .large = true},
    {.name = "self_4096_d64", .dim = {4096, 4096, 6, 64}, .large = true},
    {.name = "self_4096_d128", .dim = {4096, 4096, 6, 128}, .large = true},
    {.name = "self_1head_d128", .dim = {2048, 2048, 1, 128}, .large = true},
    {.name = "cross_512", .dim = {1024, 512, 12, 128}, .flags = NO_DKV, .large = true},
    {.name = "bf16_one", .dim = {1, 1, 1, 2}, .flags = BF16, .rounds = true},
    {.name = "bf16_one_query", .dim = {1, 300, 3, 16}, .flags = BF16, .rounds = true},
    {.name = "bf16_odd", .dim = {67, 131, 2, 10}, .flags = BF16, .rounds = true},
    {.name = "bf16_d6_ld", .dim = {33, 45, 3, 6, 7}, .flags = BF16, .rounds = true},
    {.name = "bf16_d40", .dim = {130, 129, 2, 40}, .flags = BF16, .rounds = true},
    {.name = "bf16_d126", .dim = {129, 260, 1, 126, 2}, .flags = BF16, .rounds = true},
    {.name = "bf16_d128", .dim = {260, 300, 2, 128}, .flags = BF16, .rounds = true},
    {.name = "bf16_one_head_long", .dim = {300, 1100, 1, 64}, .flags = BF16, .rounds = true},
    {.name = "bf16_many_heads", .dim = {40, 50, 26, 8}, .flags = BF16, .rounds = true},
    {.name = "bf16_accumulate",
     .dim = {140, 257, 2, 32, 5},
     .flags = BF16 | ACCUMULATE,
     .rounds = true},
    {.name = "bf16_only_dq",
     .dim = {141, 257, 2, 32},
     .flags = BF16 | ACCUMULATE | NO_DKV,
     .rounds = true},
    {.name = "bf16_sharp", .dim = {140, 257, 2, 32}, .flags = BF16 | SHARP, .rounds = true},
    {.name = "bf16_padding", .dim = {33, 385, 1, 16, 0, 2}, .flags = BF16, .rounds = true},
    {.name = "bf16_1024_d32",
     .dim = {1024, 1024, 12, 32},
     .flags = BF16,
     .large = true,
     .rounds = true},
    {.name = "bf16_1024_d64",
     .dim = {1024, 1024, 6, 64},
     .flags = BF16,
     .large = true,
     .rounds = true},
    {.name = "bf16_1024_d128",
     .dim = {1024, 1024, 12, 128},
     .flags = BF16,
     .large = true,
     .rounds = true},
    {.name = "bf16_4096_d32",
     .dim = {4096, 4096, 12, 32},
     .flags = BF16,
     .large = true,
     .rounds = true},
    {.name = "bf16_4096_d64",
     .dim = {4096, 4096, 6, 64},
     .flags = BF16,
     .large = true,
     .rounds = true},
    {.name = "bf16_4096_d128",
     .dim = {4096, 4096, 6, 128},
     .flags = BF16,
     .large = true,
     .rounds = true},
    {.name = "bf16_1head_d128",
     .dim = {2048, 2048, 1, 128},
     .flags = BF16,
     .large = true,
     .rounds = true},
};

/* sharp: scores far above 1, so that the maximum must be subtracted and rescaled. */
static float scale_of(const rs_opcase *c)
{
    float s = 1;
    while (s * s * (float)c->dim[D] > 1)
        s *= 0.5f;
    return c->flags & SHARP ? 16 : c->flags & NEGATIVE ? -2 * s : 2 * s;
}

/* An operand that is rounded to bf16 on its way (P, dS), in roundings of fp32. */
static const double k_bf16_steps = 1 << 16;
/* Beside such operands exp may err by 1.6e-4, without a bias: the logarithm of a sum over keys by
 * that over the root of how many keys it amounts to. Not where a maximum is needed. */
static double bf16_exp_steps(const rs_opcase *c)
{
    double count = (double)rs_max_i64(1, c->dim[COUNT]), others = (double)(c->dim[SK] - 1);
    double keys = (count + others) * (count + others) / (count * count + others);
    return c->flags & (SHARP | BIAS) ? 0 : 1.6e-4 / 0x1p-24 / sqrt(keys);
}

/* Roundings: score (sum of D terms, then exp, whose relative error is the score's absolute error),
 * sums over keys or queries. */
static void exactness(rs_optensor *t, const rs_opcase *c, int64_t summed)
{
    double score = fabs((double)scale_of(c)) * (double)c->dim[D] / 3;
    t->steps = 8 + score;
    t->reduction = (double)(summed + c->dim[D]);
}

static void make_fwd(rs_opplan *p, const rs_opcase *c)
{
    rs_attention_fwd_args *a = (rs_attention_fwd_args *)p->args;
    int64_t sq = c->dim[SQ], sk = c->dim[SK], n = c->dim[HEADS], w = n * c->dim[D];
    int64_t pad = c->dim[PAD];
    a->heads = n;
    a->scale = scale_of(c);
    a->o_accumulate = c->flags & ACCUMULATE;
    a->last_key_count = c->dim[COUNT];
    a->bf16 = c->flags & BF16;
    rs_optensor *o =
        rs_op_branch(rs_op_out_acc(p, a->o_accumulate, "o", &a->o, pad, RS_SHAPE(sq, w)));
    exactness(o, c, sk);
    if (a->bf16)
        o->steps += k_bf16_steps;
    if (c->flags & LSE) {
        rs_optensor *lse = rs_op_out(p, "lse", &a->lse, pad, RS_SHAPE(n, sq));
        exactness(lse, c, sk);
        if (a->bf16)
            lse->steps += bf16_exp_steps(c);
    }
    rs_op_branch(rs_op_in(p, "q", &a->q, pad, RS_SHAPE(sq, w)));
    rs_op_branch(rs_op_in(p, "k", &a->k, 2 * pad, RS_SHAPE(sk, w)));
    rs_op_branch(rs_op_in(p, "v", &a->v, 3 * pad, RS_SHAPE(sk, w)));
    if (c->flags & BIAS)
        rs_op_in(p, "bias_rel", &a->bias_rel, 0, RS_SHAPE(n, sq + sk - 1));
    if (a->o_accumulate)
        rs_op_feature(p, "o_accumulate");
    if (a->last_key_count > 1)
        rs_op_feature(p, "last_key_count");
    if (a->bf16)
        rs_op_feature(p, "bf16");
}

static double flops_fwd(const rs_opcase *c)
{
    return 4.0 * (double)(c->dim[SQ] * c->dim[SK]) * (double)(c->dim[HEADS] * c->dim[D]);
}

static rs_tensor block(rs_tensor t, int64_t lo, int64_t hi, int64_t c0, int64_t c1)
{
    return rs_has(t) ? rs_tensor_cols_view(rs_tensor_rows_view(t, lo, hi), c0, c1) : t;
}

static rs_tensor span(rs_tensor t, int64_t lo, int64_t hi)
{
    if (!rs_has(t))
        return t;
    rs_tensor flat = rs_tensor_reshape(t, 1, &(int64_t){rs_tensor_count(t)});
    return rs_tensor_slice(flat, lo, hi);
}

/* Three queries of one head: first, middle and last. */
static bool part_fwd(int i, void *args)
{
    rs_attention_fwd_args *a = args;
    int64_t sq = rs_tensor_rows(a->q), sk = rs_tensor_rows(a->k);
    int64_t d = rs_tensor_cols(a->q) / a->heads;
    int64_t head = i * (a->heads - 1) / 2, lo = i * (sq - 3) / 2, hi = lo + 3, c0 = head * d;
    if (i > 2)
        return false;
    a->q = block(a->q, lo, hi, c0, c0 + d);
    a->o = block(a->o, lo, hi, c0, c0 + d);
    a->k = block(a->k, 0, sk, c0, c0 + d);
    a->v = block(a->v, 0, sk, c0, c0 + d);
    a->lse = span(a->lse, head * sq + lo, head * sq + hi);
    int64_t first = head * (sq + sk - 1) + sq - hi;
    a->bias_rel = span(a->bias_rel, first, first + sk + 2);
    a->heads = 1;
    return true;
}

RS_OPSPEC_REF(attention_fwd)
const rs_opspec rs_opspec_attention_fwd = {
    .op = "attention_fwd",
    .cases = FWD,
    .n = RS_COUNT_OF(FWD),
    .make = make_fwd,
    .ref = ref_attention_fwd,
    .part = part_fwd,
    .flops = flops_fwd,
    .option = {"lse", "bias_rel", "o_accumulate", "last_key_count", "bf16"},
};

/* dS = P (dP - D), and D is nearly dP of a key that has most of the weight: the roundings of both
 * count as many times as all keys outweigh the others. */
static void exactness_bwd(rs_optensor *t, const rs_opcase *c, int64_t summed)
{
    exactness(t, c, summed);
    if (c->flags & BF16)
        t->steps += k_bf16_steps;
    if (c->dim[COUNT] > 1)
        t->steps += 2.0 * (double)(c->dim[COUNT] + c->dim[SK] - 1) / (double)(c->dim[SK] - 1);
}

static void make_bwd(rs_opplan *p, const rs_opcase *c)
{
    rs_attention_bwd_args *a = (rs_attention_bwd_args *)p->args;
    int64_t sq = c->dim[SQ], sk = c->dim[SK], n = c->dim[HEADS], w = n * c->dim[D];
    int64_t pad = c->dim[PAD];
    a->heads = n;
    a->scale = scale_of(c);
    a->dq_accumulate = c->flags & ACCUMULATE;
    a->bf16 = c->flags & BF16;
    a->last_key_count = c->dim[COUNT];
    exactness_bwd(
        rs_op_branch(rs_op_out_acc(p, a->dq_accumulate, "dq", &a->dq, pad, RS_SHAPE(sq, w))), c,
        sk);
    if (!(c->flags & NO_DKV)) {
        exactness_bwd(rs_op_branch(rs_op_out(p, "dk", &a->dk, 2 * pad, RS_SHAPE(sk, w))), c, sq);
        exactness_bwd(rs_op_branch(rs_op_out(p, "dv", &a->dv, 3 * pad, RS_SHAPE(sk, w))), c, sq);
    }
    rs_op_branch(rs_op_in(p, "d_o", &a->d_o, 4 * pad, RS_SHAPE(sq, w)));
    rs_op_branch(rs_op_in(p, "o", &a->o, pad, RS_SHAPE(sq, w)));
    rs_op_in(p, "lse", &a->lse, pad, RS_SHAPE(n, sq));
    rs_op_branch(rs_op_in(p, "q", &a->q, pad, RS_SHAPE(sq, w)));
    rs_op_branch(rs_op_in(p, "k", &a->k, 2 * pad, RS_SHAPE(sk, w)));
    rs_op_branch(rs_op_in(p, "v", &a->v, 3 * pad, RS_SHAPE(sk, w)));
    if (a->dq_accumulate)
        rs_op_feature(p, "dq_accumulate");
    if (a->last_key_count > 1)
        rs_op_feature(p, "last_key_count");
    if (a->bf16)
        rs_op_feature(p, "bf16");
}

/* The forward's arguments of a backward case. */
static rs_attention_fwd_args forward_of(const rs_attention_bwd_args *a)
{
    return (rs_attention_fwd_args){.o = a->o,
                                   .lse = a->lse,
                                   .q = a->q,
                                   .k = a->k,
                                   .v = a->v,
                                   .heads = a->heads,
                                   .last_key_count = a->last_key_count,
                                   .scale = a->scale};
}

/* o and lse are those of q, k and v. For large cases any finite values do: the formulas hold for
 * them too. */
static void prepare_bwd(const rs_opcase *c, void *args)
{
    const rs_attention_bwd_args *a = args;
    rs_attention_fwd_args f = forward_of(a);
    if (!c->large) {
        rs_ref_attention_fwd(&f);
        return;
    }
    for (int64_t i = 0; i < rs_tensor_count(a->lse); i++)
        rs_f64(a->lse)[i] = (double)(i % 5) + 7;
}

/* sum(d_o * forward) with o and lse made anew. */
static double loss_bwd(const void *args)
{
    const rs_attention_bwd_args *a = args;
    rs_attention_fwd_args f = forward_of(a);
    rs_arena *tmp = rs_arena_create();
    f.lse = (rs_tensor){0};
    f.o.data = rs_arena_alloc(tmp, (size_t)(rs_tensor_rows(a->o) * a->o.ld), sizeof(double));
    rs_ref_attention_fwd(&f);
    double sum = 0;
    for (int64_t i = 0; i < rs_tensor_rows(f.o); i++)
        for (int64_t j = 0; j < rs_tensor_cols(f.o); j++)
            sum += rs_f64(f.o)[i * f.o.ld + j] * rs_f64(a->d_o)[i * a->d_o.ld + j];
    rs_arena_destroy(&tmp);
    return sum;
}

/* Parts 0-2: three queries of one head (dq); parts 3-5: three keys (dk, dv). */
static bool part_bwd(int i, void *args)
{
    rs_attention_bwd_args *a = args;
    int64_t sq = rs_tensor_rows(a->q), sk = rs_tensor_rows(a->k);
    int64_t d = rs_tensor_cols(a->q) / a->heads, third = i % 3;
    bool keys = i > 2;
    if (i > 5 || (keys && !rs_has(a->dk)))
        return false;
    int64_t head = third * (a->heads - 1) / 2, c0 = head * d, c1 = c0 + d;
    int64_t q0 = keys ? 0 : third * (sq - 3) / 2, q1 = keys ? sq : q0 + 3;
    int64_t k0 = keys ? third * (sk - 3) / 2 : 0, k1 = keys ? k0 + 3 : sk;
    rs_tensor none = {0};
    a->dq = keys ? none : block(a->dq, q0, q1, c0, c1);
    a->dk = keys ? block(a->dk, k0, k1, c0, c1) : none;
    a->dv = keys ? block(a->dv, k0, k1, c0, c1) : none;
    a->q = block(a->q, q0, q1, c0, c1);
    a->o = block(a->o, q0, q1, c0, c1);
    a->d_o = block(a->d_o, q0, q1, c0, c1);
    a->k = block(a->k, k0, k1, c0, c1);
    a->v = block(a->v, k0, k1, c0, c1);
    a->lse = span(a->lse, head * sq + q0, head * sq + q1);
    a->heads = 1;
    return true;
}

static double flops_bwd(const rs_opcase *c)
{
    double gemms = c->flags & NO_DKV ? 3 : 5;
    return gemms / 2 * flops_fwd(c);
}

RS_OPSPEC_REF(attention_bwd)
const rs_opspec rs_opspec_attention_bwd = {
    .op = "attention_bwd",
    .cases = BWD,
    .n = RS_COUNT_OF(BWD),
    .make = make_bwd,
    .ref = ref_attention_bwd,
    .prepare = prepare_bwd,
    .part = part_bwd,
    .flops = flops_bwd,
    .option = {"dk", "dv", "dq_accumulate", "last_key_count", "bf16"},
    .loss = loss_bwd,
    .grad = {{"dq", "q"}, {"dk", "k"}, {"dv", "v"}},
};
