#include "kernels/opcase.h"

/* dim: rows of a part, columns, rank, parts, pairs of a part, segments, pad of x or y and low.
 * value: beta. The rank of pair p is R + p. */
enum { M, K, R, PARTS, EACH, SEGMENTS, PAD };
enum { TALL = 1, BF16 = 2, GAP = 4 /* the second pair is left out */ };

static const char *const LOW[] = {"low0", "low1", "low2", "low3"},
                         *const F[] = {"f0", "f1", "f2", "f3"},
                         *const G[] = {"g0", "g1", "g2", "g3"};

#define COMMON                                                                                     \
    {.name = "one", .dim = {1, 1, 1, 1, 1, 1}}, {.name = "odd", .dim = {37, 53, 5, 1, 1, 2}},      \
        {.name = "odd_tall", .dim = {37, 53, 5, 1, 1, 2, 3}, .flags = TALL},                       \
        {.name = "pairs", .dim = {70, 96, 4, 1, 3, 8}, .flags = BF16},                             \
        {.name = "pairs_tall", .dim = {70, 96, 16, 1, 3, 4}, .flags = BF16 | TALL},                \
        {.name = "parts", .dim = {67, 136, 7, 2, 2, 8, 8}, .flags = BF16 | GAP},                   \
        {.name = "parts_tall", .dim = {67, 136, 7, 4, 1, 8}, .flags = BF16 | TALL | GAP},          \
        {.name = "rank_16", .dim = {200, 200, 16, 2, 1, 8}, .flags = BF16},                        \
        {.name = "rank_16_tall", .dim = {200, 200, 16, 2, 1, 8}, .flags = BF16 | TALL},            \
        {.name = "rank_64", .dim = {65, 128, 64, 1, 1, 2}, .flags = BF16},                         \
        {.name = "rank_90", .dim = {65, 128, 90, 1, 1, 2}, .flags = BF16},                         \
        {.name = "narrow", .dim = {5, 20, 3, 1, 1, 8}, .flags = BF16},                             \
        {.name = "w_1536", .dim = {1024, 1536, 16, 1, 1, 8}, .flags = BF16, .large = true},        \
        {.name = "w_1536_tall",                                                                    \
         .dim = {1024, 1536, 16, 1, 1, 8},                                                         \
         .flags = BF16 | TALL,                                                                     \
         .large = true},                                                                           \
        {.name = "w_5120_qkv", .dim = {20280, 5120, 16, 1, 3, 8}, .flags = BF16, .large = true},   \
    {                                                                                              \
        .name = "w_5120_tall", .dim = {20280, 5120, 16, 1, 1, 8}, .flags = BF16 | TALL,            \
        .large = true                                                                              \
    }

static const rs_opcase CASES[] = {COMMON};
static const rs_opcase UP_CASES[] = {
    COMMON,
    {.name = "added", .dim = {67, 136, 7, 2, 2, 1}, .value = {1}, .flags = BF16 | GAP},
    {.name = "halved", .dim = {37, 53, 5, 1, 1, 1}, .value = {0.5}},
    {.name = "added_1536",
     .dim = {1024, 1536, 16, 1, 1, 8},
     .value = {1},
     .flags = BF16 | TALL,
     .large = true},
};

static bool left_out(const rs_opcase *c, int p)
{
    return p == 1 && (c->flags & GAP);
}

static void factor(rs_opplan *p, const rs_opcase *c, const char *name, rs_tensor *f, int i,
                   bool out)
{
    const int64_t *d = c->dim;
    int64_t r = d[R] + i, pad = out ? 0 : i;
    int64_t rows = c->flags & TALL ? d[K] : r, cols = c->flags & TALL ? r : d[K];
    rs_optensor *t = out ? rs_op_out(p, name, f, pad, RS_SHAPE(rows, cols))
                         : rs_op_in(p, name, f, pad, RS_SHAPE(rows, cols));
    t->reduction = (double)d[M];
    t->steps = 8;
}

static void features(rs_opplan *p, const rs_opcase *c)
{
    if (c->dim[PARTS] > 1)
        rs_op_feature(p, "parts");
    if (c->dim[EACH] > 1)
        rs_op_feature(p, "each");
    if (c->flags & TALL)
        rs_op_feature(p, "tall");
    if (c->flags & BF16)
        rs_op_feature(p, "bf16");
    if (c->value[0] != 0)
        rs_op_feature(p, "beta");
    if (c->dim[SEGMENTS] > 1)
        rs_op_feature(p, "segments");
}

static void make_down(rs_opplan *p, const rs_opcase *c)
{
    rs_lora_down_args *a = (rs_lora_down_args *)p->args;
    const int64_t *d = c->dim;
    a->parts = (int)d[PARTS];
    a->each = (int)d[EACH];
    a->tall = c->flags & TALL;
    a->bf16 = c->flags & BF16;
    rs_op_branch(rs_op_in(p, "x", &a->x, d[PAD], RS_SHAPE(d[PARTS] * d[M], d[K])));
    for (int i = 0; i < a->parts * a->each; i++) {
        if (left_out(c, i))
            continue;
        a->scale[i] = 0.5f + (float)i;
        rs_optensor *t =
            rs_op_branch(rs_op_out(p, LOW[i], &a->low[i], d[PAD], RS_SHAPE(d[M], d[R] + i)));
        t->reduction = (double)d[K];
        factor(p, c, F[i], &a->f[i], i, false);
    }
    features(p, c);
}

static void make_up(rs_opplan *p, const rs_opcase *c)
{
    rs_lora_up_args *a = (rs_lora_up_args *)p->args;
    const int64_t *d = c->dim;
    a->parts = (int)d[PARTS];
    a->each = (int)d[EACH];
    a->tall = c->flags & TALL;
    a->bf16 = c->flags & BF16;
    a->beta = (float)c->value[0];
    rs_optensor *y = rs_op_branch(
        rs_op_out_acc(p, a->beta != 0, "y", &a->y, d[PAD], RS_SHAPE(d[PARTS] * d[M], d[K])));
    y->reduction = (double)((d[R] + 2) * d[EACH]);
    /* where gemm makes it pair by pair, y is rounded as many times */
    y->steps = 8;
    for (int i = 0; i < a->parts * a->each; i++) {
        if (left_out(c, i))
            continue;
        rs_op_branch(rs_op_in(p, LOW[i], &a->low[i], d[PAD], RS_SHAPE(d[M], d[R] + i)));
        factor(p, c, F[i], &a->f[i], i, false);
    }
    features(p, c);
}

static void make_grad(rs_opplan *p, const rs_opcase *c)
{
    rs_lora_grad_args *a = (rs_lora_grad_args *)p->args;
    const int64_t *d = c->dim;
    a->parts = (int)d[PARTS];
    a->each = (int)d[EACH];
    a->tall = c->flags & TALL;
    a->bf16 = c->flags & BF16;
    a->segments = (int)d[SEGMENTS];
    for (int i = 0; i <= a->segments; i++)
        a->at[i] = d[M] * i / a->segments;
    rs_op_branch(rs_op_in(p, "x", &a->x, d[PAD], RS_SHAPE(d[PARTS] * d[M], d[K])));
    for (int i = 0; i < a->parts * a->each; i++) {
        if (left_out(c, i))
            continue;
        rs_op_branch(rs_op_in(p, LOW[i], &a->low[i], d[PAD], RS_SHAPE(d[M], d[R] + i)));
        factor(p, c, G[i], &a->g[i], i, true);
    }
    if (a->segments > 1) /* scratch: what it holds afterwards is nobody's business */
        rs_op_inout(p, "work", &a->work, 0, RS_SHAPE(1, 3 * d[K] * (d[R] + 3)))->scratch = true;
    features(p, c);
}

static double flops(const rs_opcase *c)
{
    const int64_t *d = c->dim;
    double sum = 0;
    for (int64_t i = 0; i < d[PARTS] * d[EACH]; i++)
        sum += 2.0 * (double)d[M] * (double)d[K] * (double)(d[R] + i);
    return sum;
}

RS_OPSPEC_REF(lora_down)
const rs_opspec rs_opspec_lora_down = {
    .op = "lora_down",
    .cases = CASES,
    .n = RS_COUNT_OF(CASES),
    .make = make_down,
    .ref = ref_lora_down,
    .flops = flops,
    .option = {"parts", "each", "tall", "bf16"},
};

RS_OPSPEC_REF(lora_up)
const rs_opspec rs_opspec_lora_up = {
    .op = "lora_up",
    .cases = UP_CASES,
    .n = RS_COUNT_OF(UP_CASES),
    .make = make_up,
    .ref = ref_lora_up,
    .flops = flops,
    .option = {"parts", "each", "tall", "bf16", "beta"},
};

RS_OPSPEC_REF(lora_grad)
const rs_opspec rs_opspec_lora_grad = {
    .op = "lora_grad",
    .cases = CASES,
    .n = RS_COUNT_OF(CASES),
    .make = make_grad,
    .ref = ref_lora_grad,
    .flops = flops,
    .option = {"parts", "each", "tall", "bf16", "segments", "work"},
};
