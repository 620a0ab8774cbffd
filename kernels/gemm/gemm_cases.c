#include "kernels/opcase.h"

/* dim: M N K, then pads of y, a, b, rank of terms, parts. value: alpha, beta. */
enum { M, N, K, PAD_Y, PAD_A, PAD_B, R, PARTS };
enum { ALPHA, BETA };
enum {
    TRANS_A = 1,
    TRANS_B = 2,
    BIAS = 4,
    PRE = 8,
    GELU = 16,
    GELU_ERF = 32,
    SILU = 64,
    BF16 = 128,   /* operands rounded to bf16 */
    A_BF16 = 256, /* stored in bf16 */
    B_BF16 = 512,
    GAP = 1024,   /* the second part has no term */
    SLOPE = 2048, /* times the activation's slope */
    RES = 4096,
    GATE = 8192,
    Y_BF16 = 16384, /* stored in bf16 */
};

static const rs_opcase CASES[] = {
    {.name = "one", .dim = {1, 1, 1}},
    {.name = "nn_tiny", .dim = {3, 5, 4}},
    {.name = "nn_odd", .dim = {37, 53, 29}},
    {.name = "tn_odd", .dim = {37, 53, 29}, .flags = TRANS_A},
    {.name = "nt_odd", .dim = {37, 53, 29}, .flags = TRANS_B},
    {.name = "tt_odd", .dim = {37, 53, 29}, .flags = TRANS_A | TRANS_B},
    {.name = "nn_ld", .dim = {33, 49, 17, 3, 5, 7}},
    {.name = "tn_ld", .dim = {33, 49, 17, 3, 5, 7}, .flags = TRANS_A},
    {.name = "nt_ld", .dim = {33, 49, 17, 3, 5, 7}, .flags = TRANS_B},
    {.name = "tt_ld", .dim = {33, 49, 17, 3, 5, 7}, .flags = TRANS_A | TRANS_B},
    {.name = "vector_row", .dim = {1, 301, 257}, .flags = TRANS_B | BIAS},
    {.name = "vector_column", .dim = {301, 1, 257}, .flags = TRANS_B},
    {.name = "outer", .dim = {65, 67, 1}},
    {.name = "alpha_beta", .dim = {40, 70, 33, 2}, .value = {0.75, -0.5}, .flags = TRANS_B},
    {.name = "beta_one", .dim = {130, 100, 520}, .value = {0, 1}},
    {.name = "bias", .dim = {40, 70, 33}, .flags = TRANS_B | BIAS},
    {.name = "all", .dim = {45, 71, 33, 1, 2, 3}, .value = {2, 1}, .flags = BIAS | PRE | SILU},
    {.name = "gelu_pre", .dim = {50, 96, 64}, .flags = TRANS_B | BIAS | PRE | GELU},
    {.name = "gelu_erf", .dim = {50, 97, 64}, .flags = TRANS_B | BIAS | GELU_ERF},
    {.name = "silu", .dim = {1, 96, 64}, .flags = TRANS_B | BIAS | SILU},
    {.name = "pre_only", .dim = {9, 10, 11, 4}, .flags = PRE},
    {.name = "lora_down", .dim = {260, 16, 384}, .flags = TRANS_B},
    {.name = "lora_grad", .dim = {16, 384, 260}, .flags = TRANS_A},
    {.name = "term_nt", .dim = {37, 53, 29, 0, 0, 0, 4, 1}, .flags = TRANS_B | BIAS},
    {.name = "term_nn", .dim = {37, 53, 29, 1, 2, 3, 5, 1}, .value = {0.5, 1}},
    {.name = "terms_nt",
     .dim = {39, 53, 29, 1, 2, 3, 6, 3},
     .flags = TRANS_B | BIAS | GELU | PRE | GAP},
    {.name = "terms_nn", .dim = {604, 97, 29, 0, 0, 0, 17, 4}, .flags = GAP},
    {.name = "terms_bf16",
     .dim = {604, 97, 61, 0, 0, 0, 16, 4},
     .flags = BF16 | B_BF16 | TRANS_B | BIAS},
    {.name = "terms_nn_bf16", .dim = {74, 97, 61, 0, 0, 0, 7, 2}, .flags = BF16 | B_BF16},
    {.name = "dgelu", .dim = {50, 96, 64, 0, 0, 0}, .flags = SLOPE | GELU},
    {.name = "dgelu_beta", .dim = {37, 53, 29, 3}, .value = {0.5, 1}, .flags = SLOPE | GELU},
    {.name = "dgelu_terms",
     .dim = {604, 97, 61, 0, 0, 0, 16, 4},
     .flags = SLOPE | GELU | BF16 | B_BF16 | GAP},
    {.name = "dgelu_erf", .dim = {45, 71, 33}, .flags = SLOPE | GELU_ERF | TRANS_B | BIAS},
    {.name = "dsilu", .dim = {9, 96, 64}, .flags = SLOPE | SILU},
    {.name = "term_wide", .dim = {9, 10, 11, 0, 0, 0, 900, 1}, .flags = BF16},
    {.name = "res", .dim = {37, 53, 29, 2}, .flags = TRANS_B | RES},
    {.name = "gate", .dim = {37, 53, 29}, .flags = TRANS_B | BIAS | RES | GATE},
    {.name = "gate_place", .dim = {45, 71, 33, 3}, .flags = BIAS | RES | GATE, .alias = "y=res"},
    {.name = "gates",
     .dim = {39, 53, 29, 1, 2, 3, 0, 3},
     .flags = TRANS_B | BIAS | RES | GATE,
     .alias = "y=res"},
    {.name = "gates_terms",
     .dim = {604, 417, 29, 0, 0, 0, 17, 4},
     .value = {2},
     .flags = TRANS_B | GAP | RES | GATE},
    {.name = "gates_bf16",
     .dim = {1032, 97, 61, 0, 0, 0, 16, 2},
     .flags = BF16 | B_BF16 | TRANS_B | BIAS | RES | GATE,
     .alias = "y=res"},
    {.name = "res_all",
     .dim = {45, 71, 33, 1, 2, 3},
     .value = {2, 1},
     .flags = BIAS | PRE | SILU | RES | GATE},
    {.name = "narrow", .dim = {37, 53, 29, 3}, .flags = TRANS_B | BIAS | Y_BF16},
    {.name = "narrow_gelu",
     .dim = {530, 600, 65},
     .flags = BF16 | B_BF16 | TRANS_B | BIAS | PRE | GELU | Y_BF16},
    {.name = "nn_bf16", .dim = {37, 53, 29}, .flags = BF16},
    {.name = "tn_bf16", .dim = {37, 53, 29}, .flags = BF16 | TRANS_A},
    {.name = "nt_bf16", .dim = {37, 53, 29}, .flags = BF16 | TRANS_B},
    {.name = "tt_bf16", .dim = {37, 53, 29}, .flags = BF16 | TRANS_A | TRANS_B},
    {.name = "nn_bf16_b", .dim = {33, 49, 17, 3, 5, 7}, .flags = BF16 | B_BF16},
    {.name = "nt_bf16_b", .dim = {33, 49, 67, 3, 5, 7}, .flags = BF16 | B_BF16 | TRANS_B},
    {.name = "nn_bf16_ab", .dim = {9, 95, 66, 3, 5, 8}, .flags = BF16 | A_BF16 | B_BF16},
    {.name = "nt_bf16_ab", .dim = {9, 95, 34, 3, 5, 7}, .flags = BF16 | A_BF16 | B_BF16 | TRANS_B},
    {.name = "tn_bf16_a", .dim = {33, 49, 35, 3, 5, 7}, .flags = BF16 | A_BF16 | TRANS_A},
    {.name = "one_bf16", .dim = {1, 1, 1}, .flags = BF16},
    {.name = "row_bf16", .dim = {1, 301, 257}, .flags = BF16 | B_BF16 | TRANS_B | BIAS},
    {.name = "column_bf16", .dim = {301, 1, 257}, .flags = BF16 | TRANS_B},
    {.name = "wide_nn", .dim = {37, 53, 29, 1, 2, 3}, .flags = A_BF16 | B_BF16},
    {.name = "wide_tn", .dim = {37, 53, 29, 1, 2, 3}, .flags = A_BF16 | B_BF16 | TRANS_A},
    {.name = "wide_nt", .dim = {37, 53, 29, 1, 2, 3}, .flags = B_BF16 | TRANS_B | BIAS},
    {.name = "wide_tt", .dim = {37, 53, 29}, .flags = A_BF16 | B_BF16 | TRANS_A | TRANS_B},
    {.name = "wide_blocks", .dim = {530, 600, 1100}, .flags = B_BF16 | TRANS_B},
    {.name = "lora_down_bf16", .dim = {260, 16, 384}, .flags = BF16 | TRANS_B},
    {.name = "lora_grad_bf16", .dim = {16, 384, 260}, .flags = BF16 | TRANS_A},
    {.name = "blocks_nt_bf16",
     .dim = {530, 600, 1700},
     .flags = BF16 | B_BF16 | TRANS_B | BIAS | GELU | PRE},
    {.name = "blocks_nn_bf16", .dim = {530, 600, 1701}, .value = {0, 1}, .flags = BF16 | B_BF16},
    {.name = "blocks_tn_bf16", .dim = {530, 100, 1701}, .flags = BF16 | TRANS_A},
    {.name = "blocks_nt", .dim = {530, 600, 1100}, .flags = TRANS_B | BIAS | GELU | PRE},
    {.name = "blocks_nn", .dim = {530, 600, 1100}},
    {.name = "fwd_384", .dim = {1024, 384, 384}, .flags = TRANS_B | BIAS, .large = true},
    {.name = "dgrad_384", .dim = {1024, 384, 384}, .large = true},
    {.name = "ffn_384",
     .dim = {1024, 1536, 384},
     .flags = TRANS_B | BIAS | GELU | PRE,
     .large = true},
    {.name = "fwd_1536_m256", .dim = {256, 1536, 1536}, .flags = TRANS_B | BIAS, .large = true},
    {.name = "fwd_1536_m1024", .dim = {1024, 1536, 1536}, .flags = TRANS_B | BIAS, .large = true},
    {.name = "fwd_1536_m4096", .dim = {4096, 1536, 1536}, .flags = TRANS_B | BIAS, .large = true},
    {.name = "dgrad_1536", .dim = {1024, 1536, 1536}, .large = true},
    {.name = "ffn_1536",
     .dim = {1024, 6144, 1536},
     .flags = TRANS_B | BIAS | GELU | PRE,
     .large = true},
    {.name = "lora_down_1536", .dim = {1024, 16, 1536}, .flags = TRANS_B, .large = true},
    {.name = "lora_up_1536",
     .dim = {1024, 1536, 16},
     .value = {1, 1},
     .flags = TRANS_B,
     .large = true},
    {.name = "lora_grad_1536", .dim = {16, 1536, 1024}, .flags = TRANS_A, .large = true},
    {.name = "fwd_384_bf16",
     .dim = {1024, 384, 384},
     .flags = BF16 | B_BF16 | TRANS_B | BIAS,
     .large = true},
    {.name = "dgrad_384_bf16", .dim = {1024, 384, 384}, .flags = BF16 | B_BF16, .large = true},
    {.name = "fwd_1536_bf16",
     .dim = {1024, 1536, 1536},
     .flags = BF16 | B_BF16 | TRANS_B | BIAS,
     .large = true},
    {.name = "fwd_1536_m4096_bf16",
     .dim = {4096, 1536, 1536},
     .flags = BF16 | B_BF16 | TRANS_B | BIAS,
     .large = true},
    {.name = "dgrad_1536_bf16", .dim = {1024, 1536, 1536}, .flags = BF16 | B_BF16, .large = true},
    {.name = "ffn_1536_bf16",
     .dim = {1024, 6144, 1536},
     .flags = BF16 | B_BF16 | TRANS_B | BIAS | GELU | PRE,
     .large = true},
    {.name = "dgelu_1536_bf16",
     .dim = {1024, 6144, 1536},
     .flags = BF16 | B_BF16 | SLOPE | GELU,
     .large = true},
    {.name = "fwd_1536_wide",
     .dim = {1024, 1536, 1536},
     .flags = B_BF16 | TRANS_B | BIAS,
     .large = true},
    {.name = "lora_down_1536_bf16",
     .dim = {1024, 16, 1536},
     .flags = BF16 | TRANS_B,
     .large = true},
    {.name = "lora_up_1536_bf16",
     .dim = {1024, 1536, 16},
     .value = {1, 1},
     .flags = BF16 | TRANS_B,
     .large = true},
    {.name = "lora_1536_bf16",
     .dim = {1024, 1536, 1536, 0, 0, 0, 16, 1},
     .flags = BF16 | B_BF16 | TRANS_B | BIAS,
     .large = true},
    {.name = "gate_1536_bf16",
     .dim = {1024, 1536, 1536},
     .flags = BF16 | B_BF16 | TRANS_B | BIAS | RES | GATE,
     .large = true},
    {.name = "lora_grad_1536_bf16",
     .dim = {16, 1536, 1024},
     .flags = BF16 | TRANS_A,
     .large = true},
    {.name = "fwd_5120_bf16",
     .dim = {1024, 5120, 5120},
     .flags = BF16 | B_BF16 | TRANS_B | BIAS,
     .large = true},
    {.name = "dgrad_5120_bf16", .dim = {1024, 5120, 5120}, .flags = BF16 | B_BF16, .large = true},
    {.name = "fwd_5120_m256", .dim = {256, 5120, 5120}, .flags = TRANS_B | BIAS, .large = true},
    {.name = "fwd_5120_m1024", .dim = {1024, 5120, 5120}, .flags = TRANS_B | BIAS, .large = true},
    {.name = "dgrad_5120", .dim = {1024, 5120, 5120}, .large = true},
};

static void make_terms(rs_opplan *p, rs_gemm_args *g, const rs_opcase *c)
{
    static const char *const TA[] = {"ta0", "ta1", "ta2", "ta3"}, *const TB[] = {"tb0", "tb1",
                                                                                 "tb2", "tb3"};
    const int64_t *d = c->dim;
    g->parts = (int)d[PARTS];
    for (int i = 0; i < g->parts && d[R] > 0; i++) {
        if (i == 1 && (c->flags & GAP))
            continue;
        rs_op_in(p, TA[i], &g->ta[i], i, RS_SHAPE(d[M] / g->parts, d[R]));
        if (g->trans_b)
            rs_op_in(p, TB[i], &g->tb[i], 2 * i, RS_SHAPE(d[N], d[R]));
        else
            rs_op_in(p, TB[i], &g->tb[i], 2 * i, RS_SHAPE(d[R], d[N]));
    }
    if (g->parts > 1)
        rs_op_feature(p, "parts");
}

static void make_residual(rs_opplan *p, rs_gemm_args *g, const rs_opcase *c)
{
    const int64_t *d = c->dim;
    if (c->flags & RES)
        rs_op_in(p, "res", &g->res, d[PAD_Y], RS_SHAPE(d[M], d[N]));
    if (c->flags & GATE)
        rs_op_in(p, "gate", &g->gate, 3, RS_SHAPE(rs_max_i64(1, d[PARTS]), d[N]));
}

static void make(rs_opplan *p, const rs_opcase *c)
{
    rs_gemm_args *g = (rs_gemm_args *)p->args;
    const int64_t *d = c->dim;
    g->trans_a = c->flags & TRANS_A;
    g->trans_b = c->flags & TRANS_B;
    g->bf16 = c->flags & BF16;
    g->alpha = (float)c->value[ALPHA];
    g->beta = (float)c->value[BETA];
    g->act = c->flags & GELU       ? RS_ACT_GELU_TANH
             : c->flags & GELU_ERF ? RS_ACT_GELU_ERF
             : c->flags & SILU     ? RS_ACT_SILU
                                   : RS_ACT_NONE;
    rs_optensor *y = rs_op_out_acc(p, g->beta != 0, "y", &g->y, d[PAD_Y], RS_SHAPE(d[M], d[N]));
    y->reduction = (double)(d[K] + d[R]);
    y->steps = g->act == RS_ACT_NONE ? 4 : 8;
    if (g->trans_a)
        rs_op_in(p, "a", &g->a, d[PAD_A], RS_SHAPE(d[K], d[M]));
    else
        rs_op_in(p, "a", &g->a, d[PAD_A], RS_SHAPE(d[M], d[K]));
    if (g->trans_b)
        rs_op_in(p, "b", &g->b, d[PAD_B], RS_SHAPE(d[N], d[K]));
    else
        rs_op_in(p, "b", &g->b, d[PAD_B], RS_SHAPE(d[K], d[N]));
    if (c->flags & Y_BF16)
        g->y.dtype = RS_DTYPE_BF16;
    if (c->flags & A_BF16)
        g->a.dtype = RS_DTYPE_BF16;
    if (c->flags & B_BF16)
        g->b.dtype = RS_DTYPE_BF16;
    if (c->flags & BIAS)
        rs_op_in(p, "bias", &g->bias, 0, RS_SHAPE(d[N]));
    if (c->flags & PRE)
        rs_op_out(p, "pre", &g->pre, 0, RS_SHAPE(d[M], d[N]))->reduction = (double)(d[K] + d[R]);
    if (c->flags & SLOPE)
        rs_op_in(p, "act_at", &g->act_at, 0, RS_SHAPE(d[M], d[N]))->scale = 3;
    make_terms(p, g, c);
    make_residual(p, g, c);
    static const char *const ACTS[] = {"", "gelu_tanh", "gelu_erf", "silu"};
    if (g->act != RS_ACT_NONE)
        rs_op_feature(p, ACTS[g->act]);
    if (g->trans_a)
        rs_op_feature(p, "trans_a");
    if (g->trans_b)
        rs_op_feature(p, "trans_b");
    if (g->bf16)
        rs_op_feature(p, "bf16");
    if (g->y.dtype == RS_DTYPE_BF16)
        rs_op_feature(p, "stored_y");
    if (g->a.dtype == RS_DTYPE_BF16)
        rs_op_feature(p, "stored_a");
    if (g->b.dtype == RS_DTYPE_BF16)
        rs_op_feature(p, "stored_b");
    if (g->alpha != 0)
        rs_op_feature(p, "alpha");
    if (g->beta != 0)
        rs_op_feature(p, "beta");
}

/* Rows at the start, middle and end. */
static bool part(int i, void *args)
{
    rs_gemm_args *g = args;
    int64_t m = rs_tensor_rows(g->y), lo = i == 0 ? 0 : i == 1 ? m / 2 - 1 : m - 3, hi = lo + 3;
    if (i > 2)
        return false;
    g->y = rs_tensor_rows_view(g->y, lo, hi);
    g->a = g->trans_a ? rs_tensor_cols_view(g->a, lo, hi) : rs_tensor_rows_view(g->a, lo, hi);
    if (rs_has(g->ta[0]))
        g->ta[0] = rs_tensor_rows_view(g->ta[0], lo, hi);
    if (rs_has(g->pre))
        g->pre = rs_tensor_rows_view(g->pre, lo, hi);
    if (rs_has(g->act_at))
        g->act_at = rs_tensor_rows_view(g->act_at, lo, hi);
    if (rs_has(g->res))
        g->res = rs_tensor_rows_view(g->res, lo, hi);
    return true;
}

static double flops(const rs_opcase *c)
{
    return 2.0 * (double)c->dim[M] * (double)c->dim[N] * (double)(c->dim[K] + c->dim[R]);
}

RS_OPSPEC_REF(gemm)
const rs_opspec rs_opspec_gemm = {
    .op = "gemm",
    .cases = CASES,
    .n = RS_COUNT_OF(CASES),
    .make = make,
    .ref = ref_gemm,
    .part = part,
    .flops = flops,
    .option = {"bias", "pre", "trans_a", "trans_b", "alpha", "beta", "gelu_tanh", "gelu_erf",
               "silu", "bf16", "stored_a", "stored_b", "ta0", "tb0", "parts", "act_at", "res",
               "gate", "stored_y"},
};
