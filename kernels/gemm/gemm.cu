/* Moves M*K + K*N + M*N elements once and makes 2*M*N*K operations: the floor is the larger of both
 * times, for the products of a 14B model the operations' (bf16 on tensor cores).
 *
 * cuBLASLt makes what its alignment and epilogues allow: F32 by F32 to F32, or bf16 operands to
 * either type. Operands of another type are converted into the workspace first (factors of
 * adapters, rows of latents; whole weights never: they are bf16 where the model is). A bias is
 * rounded to bf16 where y is bf16, as cuBLASLt takes it in y's type only; biases of a bf16
 * checkpoint lose nothing. GELU and its slope go with the product where y is bf16 and the library
 * has an algorithm for that; else, and in fp32, whose functions are exact, they are a second pass
 * over y. gemm_own.cuh makes the rest.
 * Neither choice depends on M, so a row's bits do not. */
#include "kernels/cuda/blas.h"
#include "base/fp8.h"
#include "base/num.h"
#include "kernels/cuda/ops.h"
#include "kernels/gemm/gemm_own.cuh"

enum : size_t { SIDE_BYTES = 16u << 20, BIAS_BYTES = 512u << 10 };
static_assert(RS_BLAS_SCRATCH + 2 * SIDE_BYTES + BIAS_BYTES <= RS_BLAS_WORKSPACE, "room for all");

/* ---- small kernels around the product ---- */

static __global__ void convert_kernel(void *y, bool y_bf16, const void *x, bool x_bf16, int64_t ldx,
                                      int64_t rows, int64_t cols)
{
    int64_t n = rows * cols, step = (int64_t)gridDim.x * blockDim.x;
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step)
        gemm_set(y, i, y_bf16, gemm_get(x, i / cols * ldx + i % cols, x_bf16));
}

/* v = y; pre = v; y = act(v), or v act'(act_at) */
static __global__ void finish_kernel(gemm_end o)
{
    int64_t n = o.m * o.n, step = (int64_t)gridDim.x * blockDim.x;
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step) {
        int64_t at = i / o.n * o.ldy + i % o.n;
        float v = gemm_get(o.y, at, o.y_bf16);
        if (o.pre)
            gemm_set(o.pre, i, o.pre_bf16, v);
        if (o.act != RS_ACT_NONE)
            gemm_set(o.y, at, o.y_bf16, gemm_act(v, o, i));
    }
}

static bool is_bf16(rs_tensor t)
{
    return t.dtype == RS_DTYPE_BF16;
}

static void convert(rs_cuctx *c, void *y, rs_dtype type, const void *x, rs_dtype from, int64_t ldx,
                    int64_t rows, int64_t cols)
{
    rs_launch(c, "gemm", convert_kernel, dim3(rs_blocks(rows * cols, 1024)), dim3(256), 0, y,
              type == RS_DTYPE_BF16, x, from == RS_DTYPE_BF16, ldx, rows, cols);
}

/* ---- plan of one call ---- */

/* Operands that are both stored in bf16 are multiplied exactly either way. */
static bool bf16_operands(const rs_gemm_args *g)
{
    return g->bf16 || (is_bf16(g->a) && is_bf16(g->b));
}

static gemm_end end_of(const rs_gemm_args *g)
{
    gemm_end o = {};
    o.y = g->y.data;
    o.pre = rs_has(g->pre) ? g->pre.data : nullptr;
    o.act_at = rs_has(g->act_at) ? g->act_at.data : nullptr;
    o.bias = rs_has(g->bias) ? (const float *)g->bias.data : nullptr;
    o.res = rs_has(g->res) ? (const float *)g->res.data : nullptr;
    o.gate = rs_has(g->gate) ? (const float *)g->gate.data : nullptr;
    o.rows_of_gate = rs_max_i64(1, rs_tensor_rows(g->y) / (g->parts > 0 ? g->parts : 1));
    o.ldres = g->res.ld;
    o.ldgate = g->gate.ld;
    o.ldy = g->y.ld;
    o.m = rs_tensor_rows(g->y);
    o.n = rs_tensor_cols(g->y);
    o.k = g->trans_a ? rs_tensor_rows(g->a) : rs_tensor_cols(g->a);
    o.alpha = g->alpha == 0 ? 1.0f : g->alpha;
    o.beta = g->beta;
    o.act = g->act;
    o.y_bf16 = is_bf16(g->y);
    o.pre_bf16 = rs_has(g->pre) && is_bf16(g->pre);
    o.round = bf16_operands(g);
    return o;
}

static gemm_side side_of(rs_tensor t, bool trans)
{
    gemm_side s = {t.data, trans ? 1 : t.ld, trans ? t.ld : 1, is_bf16(t)};
    return s;
}

static gemm_terms terms_of(const rs_gemm_args *g)
{
    gemm_terms t = {};
    for (int p = 0; p < g->parts || p < 1; p++) {
        if (!rs_has(g->ta[p]))
            continue;
        t.parts = p + 1;
        t.rows = rs_tensor_rows(g->y) / (g->parts > 0 ? g->parts : 1);
        t.rank[p] = rs_tensor_cols(g->ta[p]);
        t.a[p] = side_of(g->ta[p], false);
        t.b[p] = side_of(g->tb[p], !g->trans_b);
    }
    return t;
}

static void run_own(rs_cuctx *c, const rs_gemm_args *g)
{
    gemm_end o = end_of(g);
    gemm_terms t = terms_of(g);
    gemm_side a = side_of(g->a, g->trans_a), b = side_of(g->b, !g->trans_b);
    if (o.n <= 16)
        gemm_launch<128, 16, 4, 2>(c, a, b, o, t);
    else if (o.m <= 16)
        gemm_launch<16, 128, 2, 4>(c, a, b, o, t);
    else
        gemm_launch<64, 64, 4, 4>(c, a, b, o, t);
}

/* GELU and its slope go with the product, everything else behind it. */
static bool fused(const rs_gemm_args *g)
{
    return g->act == RS_ACT_GELU_TANH && is_bf16(g->y) && (!rs_has(g->pre) || is_bf16(g->pre)) &&
           !(rs_has(g->act_at) && rs_has(g->bias));
}

/* What cuBLASLt can end a product with, given the types. */
static bool can_end(const rs_gemm_args *g, rs_dtype type)
{
    if (is_bf16(g->y))
        return type == RS_DTYPE_BF16 && (g->act == RS_ACT_NONE || fused(g) || rs_has(g->act_at)) &&
               (!rs_has(g->pre) || is_bf16(g->pre));
    return true;
}

/* The product as cuBLASLt gets it, all operands converted; addresses of what will be in the
 * workspace are those of the workspace, which is aligned. */
static rs_blas_product product_of(rs_cuctx *c, const rs_gemm_args *g, rs_dtype type, bool fuse)
{
    gemm_end o = end_of(g);
    char *side = (char *)c->workspace + RS_BLAS_SCRATCH;
    rs_blas_product p = {};
    p.m = o.m;
    p.n = o.n;
    p.k = o.k;
    p.a = g->a.dtype == type ? g->a.data : side;
    p.b = g->b.dtype == type ? g->b.data : side + SIDE_BYTES;
    p.y = o.y;
    p.lda = g->a.dtype == type ? g->a.ld : rs_tensor_cols(g->a);
    p.ldb = g->b.dtype == type ? g->b.ld : rs_tensor_cols(g->b);
    p.ldy = o.ldy;
    p.type = type;
    p.out = g->y.dtype;
    p.trans_a = g->trans_a;
    p.trans_b = g->trans_b;
    p.alpha = o.alpha;
    p.beta = o.beta;
    p.bias = o.bias && o.y_bf16 ? side + 2 * SIDE_BYTES : (const void *)o.bias;
    p.gelu = fuse && !o.act_at;
    p.pre = p.gelu ? o.pre : nullptr;
    p.slope_at = fuse ? o.act_at : nullptr;
    return p;
}

/* Rows [lo,hi) of op(t), as a tensor like t. */
static rs_tensor part(rs_tensor t, bool as_columns, int64_t lo, int64_t hi)
{
    return as_columns ? rs_tensor_cols_view(t, lo, hi) : rs_tensor_rows_view(t, lo, hi);
}

/* Rows of op(t) that are converted at a time: all where nothing is. */
static int64_t step_of(rs_tensor t, rs_dtype type, int64_t rows, int64_t k)
{
    int64_t fit = (int64_t)SIDE_BYTES / (rs_max_i64(k, 1) * (int64_t)rs_dtype_size(type));
    return t.dtype == type || rows <= fit ? rows : fit / 64 * 64;
}

/* What a fused product leaves to a second pass. */
static void finish(rs_cuctx *c, const rs_gemm_args *g)
{
    gemm_end o = end_of(g);
    if (o.pre || o.act != RS_ACT_NONE)
        rs_launch(c, "gemm", finish_kernel, dim3(rs_blocks(o.m * o.n, 1024)), dim3(256), 0, o);
}

static void run_blas(rs_cuctx *c, const rs_gemm_args *g, rs_dtype type, bool fuse)
{
    rs_blas_product p = product_of(c, g, type, fuse);
    if (p.a != g->a.data)
        convert(c, (void *)p.a, type, g->a.data, g->a.dtype, g->a.ld, rs_tensor_rows(g->a),
                rs_tensor_cols(g->a));
    if (p.b != g->b.data)
        convert(c, (void *)p.b, type, g->b.data, g->b.dtype, g->b.ld, rs_tensor_rows(g->b),
                rs_tensor_cols(g->b));
    if (rs_has(g->bias) && p.bias != g->bias.data)
        convert(c, (void *)p.bias, RS_DTYPE_BF16, g->bias.data, RS_DTYPE_F32, p.n, 1, p.n);
    rs_blas_run(c, &p);
    if (!fuse)
        finish(c, g);
}

/* By pieces of b (columns of y) and a (rows of y), where they are converted. */
static void run_pieces(rs_cuctx *c, const rs_gemm_args *g, rs_dtype type, bool fuse, int64_t step_m,
                       int64_t step_n)
{
    int64_t m = rs_tensor_rows(g->y), n = rs_tensor_cols(g->y);
    for (int64_t n0 = 0; n0 < n; n0 += step_n)
        for (int64_t m0 = 0; m0 < m; m0 += step_m) {
            int64_t n1 = rs_min_i64(n, n0 + step_n), m1 = rs_min_i64(m, m0 + step_m);
            rs_gemm_args x = *g;
            x.y = rs_tensor_cols_view(rs_tensor_rows_view(g->y, m0, m1), n0, n1);
            x.a = part(g->a, g->trans_a, m0, m1);
            x.b = part(g->b, !g->trans_b, n0, n1);
            if (rs_has(g->bias))
                x.bias = rs_tensor_cols_view(g->bias, n0, n1);
            if (rs_has(g->pre))
                x.pre = rs_tensor_rows_view(g->pre, m0, m1);
            if (rs_has(g->act_at))
                x.act_at = rs_tensor_rows_view(g->act_at, m0, m1);
            run_blas(c, &x, type, fuse);
        }
}

/* ---- b in 8 bits ---- */

/* Columns [first,first+cols) of a matrix of e4m3 with a scale per row, as bf16. */
static __global__ void widen8_kernel(__nv_bfloat16 *y, const uint8_t *b, const float *scale,
                                     int64_t ld, int64_t first, int64_t rows, int64_t cols)
{
    int64_t n = rows * cols, step = (int64_t)gridDim.x * blockDim.x * 4;
    for (int64_t i = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) * 4; i < n; i += step) {
        int64_t row = i / cols;
        uint32_t w = *reinterpret_cast<const uint32_t *>(b + row * ld + first + i % cols);
        float s = scale[row], v[4];
        for (int e = 0; e < 4; e++) {
            uint32_t u = w >> 8 * e & 0xffu, mag = u & 0x7fu;
            /* as fp32 with the exponent of e4m3, then 2^120 larger; exact, NaN apart */
            v[e] = __uint_as_float(mag << 20) * 0x1p120f * s;
            v[e] = u & 0x80u ? -v[e] : v[e];
        }
        __nv_bfloat162 *to = reinterpret_cast<__nv_bfloat162 *>(y + i);
        to[0] = __floats2bfloat162_rn(v[0], v[1]);
        to[1] = __floats2bfloat162_rn(v[2], v[3]);
    }
}

/* Rows [m0,m1) of y = a b^T: a's to 8 bits in the workspace, then one product. */
static void run_rows8(rs_cuctx *c, const rs_gemm_args *g, int64_t m0, int64_t m1, bool fuse)
{
    rs_gemm_args x = *g;
    char *side = (char *)c->workspace + RS_BLAS_SCRATCH;
    int64_t rows = m1 - m0, k = rs_tensor_cols(g->a);
    const int64_t shape[2] = {rows, k};
    x.y = rs_tensor_rows_view(g->y, m0, m1);
    x.a = rs_tensor_rows_view(g->a, m0, m1);
    if (rs_has(g->pre))
        x.pre = rs_tensor_rows_view(g->pre, m0, m1);
    rs_quant8_args q = {};
    q.x = x.a;
    q.y = rs_tensor_of(side, RS_DTYPE_U8, 2, shape);
    q.scale = rs_tensor_of(rs_fp8_scales(q.y), RS_DTYPE_F32, 1, shape);
    rs_cuda_quant8(c, &q);
    x.a = q.y;
    rs_blas_product p = product_of(c, &x, RS_DTYPE_U8, fuse);
    p.scale_a = (const float *)q.scale.data;
    p.scale_b = rs_fp8_scales(g->b);
    if (m0 == 0 && rs_has(g->bias))
        convert(c, (void *)p.bias, RS_DTYPE_BF16, g->bias.data, RS_DTYPE_F32, p.n, 1, p.n);
    rs_blas_run(c, &p);
    if (!fuse)
        finish(c, &x);
}

/* y = a b: b widened, as many columns as fit at a time into the second side; an a of fp32 is
 * converted for each of them. Ends in a second pass. */
static void run_widened(rs_cuctx *c, const rs_gemm_args *g)
{
    int64_t k = rs_tensor_rows(g->b), n = rs_tensor_cols(g->b);
    char *side = (char *)c->workspace + RS_BLAS_SCRATCH + SIDE_BYTES;
    int64_t step_m = step_of(g->a, RS_DTYPE_BF16, rs_tensor_rows(g->a), k);
    int64_t pieces = rs_ceil_div(n * k * 2, (int64_t)SIDE_BYTES);
    int64_t step = rs_ceil_div(rs_ceil_div(n, pieces), 64) * 64;
    for (int64_t n0 = 0; n0 < n; n0 += step) {
        rs_gemm_args x = *g;
        int64_t n1 = rs_min_i64(n, n0 + step);
        const int64_t shape[2] = {k, n1 - n0};
        rs_launch(c, "gemm", widen8_kernel, dim3(rs_blocks(k * (n1 - n0), 4096)), dim3(256), 0,
                  (__nv_bfloat16 *)side, (const uint8_t *)g->b.data, rs_fp8_scales(g->b), n, n0, k,
                  n1 - n0);
        x.b = rs_tensor_of(side, RS_DTYPE_BF16, 2, shape);
        x.y = rs_tensor_cols_view(g->y, n0, n1);
        x.act = RS_ACT_NONE;
        x.act_at = rs_tensor();
        run_pieces(c, &x, RS_DTYPE_BF16, false, step_m, n1 - n0);
    }
    finish(c, g);
}

static void run_fp8(rs_cuctx *c, const rs_gemm_args *g)
{
    int64_t m = rs_tensor_rows(g->y), k = rs_tensor_cols(g->a);
    int64_t fit = (2 * (int64_t)SIDE_BYTES - 64) / (k + 4) / 64 * 64;
    RS_ASSERT(terms_of(g).parts == 0 && fit > 0);
    if (!g->trans_b) {
        RS_ASSERT(!rs_has(g->pre) && !rs_has(g->bias));
        run_widened(c, g);
        return;
    }
    rs_blas_product p = product_of(c, g, RS_DTYPE_U8, fused(g));
    bool fuse = fused(g) && rs_blas_has(c, &p);
    for (int64_t m0 = 0; m0 < m; m0 += fit)
        run_rows8(c, g, m0, rs_min_i64(m, m0 + fit), fuse);
}

void rs_cuda_gemm(rs_cuctx *c, const rs_gemm_args *g)
{
    gemm_end o = end_of(g);
    if (g->b.dtype == RS_DTYPE_U8 && o.m > 0) {
        run_fp8(c, g);
        return;
    }
    rs_dtype type = o.round ? RS_DTYPE_BF16 : RS_DTYPE_F32;
    if (o.m == 0 || o.n == 0)
        return;
    int64_t step_m = step_of(g->a, type, o.m, o.k), step_n = step_of(g->b, type, o.n, o.k);
    /* pre and act_at have no columns of their own */
    bool whole = step_n == o.n || (!rs_has(g->pre) && !rs_has(g->act_at));
    rs_blas_product p = product_of(c, g, type, fused(g));
    if (o.k == 0 || o.res || terms_of(g).parts > 0 || !can_end(g, type) || !whole || step_m == 0 ||
        step_n == 0 || (o.n * 2 > (int64_t)BIAS_BYTES && o.y_bf16) || !rs_blas_takes(&p))
        run_own(c, g);
    else
        run_pieces(c, g, type, fused(g) && rs_blas_has(c, &p), step_m, step_n);
}
