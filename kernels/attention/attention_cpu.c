/* Attention on the CPU: flash style on 64x64 tiles of scores, one task per (head, query block)
 * forward and per head backward. */
#include <cblas.h>
#include <math.h>

#include "base/num.h"
#include "kernels/cpu/cpu_ops.h"

enum { TILE = 64 };

typedef struct fwd_job {
    rs_kctx *k;
    const rs_attention_fwd_args *a;
    int64_t sq, sk, d, blocks;
} fwd_job;

static void gemm(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, int64_t m, int64_t n, int64_t k,
                 float alpha, const float *a, int64_t lda, const float *b, int64_t ldb, float beta,
                 float *c, int64_t ldc)
{
    cblas_sgemm(CblasRowMajor, ta, tb, rs_i32(m), rs_i32(n), rs_i32(k), alpha, a, rs_i32(lda), b,
                rs_i32(ldb), beta, c, rs_i32(ldc));
}

/* Scores of one tile -> exp(s - new maximum); rescales what was summed before. */
static void softmax_rows(float *s, int64_t mb, int64_t nb, float *top, float *sum, float *acc,
                         int64_t d)
{
    for (int64_t i = 0; i < mb; i++) {
        float *row = s + i * TILE, high = top[i];
        for (int64_t j = 0; j < nb; j++)
            high = row[j] > high ? row[j] : high;
        float keep = expf(top[i] - high), add = 0;
        for (int64_t j = 0; j < nb; j++) {
            row[j] = expf(row[j] - high);
            add += row[j];
        }
        top[i] = high;
        sum[i] = sum[i] * keep + add;
        for (int64_t c = 0; c < d; c++)
            acc[i * d + c] *= keep;
    }
}

static void fwd_block(void *arg, int64_t task, int thread)
{
    const fwd_job *t = arg;
    const rs_attention_fwd_args *a = t->a;
    int64_t head = task / t->blocks, i0 = task % t->blocks * TILE, d = t->d, c0 = head * d;
    int64_t mb = rs_min_i64(TILE, t->sq - i0);
    float *s = rs_scratch(t->k, thread, (size_t)(TILE * (TILE + d + 2)) * sizeof(float));
    float *acc = s + TILE * TILE, *top = acc + TILE * d, *sum = top + TILE;
    const float *q = rs_f32(a->q) + i0 * a->q.ld + c0;
    for (int64_t i = 0; i < mb; i++) {
        top[i] = -INFINITY;
        sum[i] = 0;
    }
    for (int64_t i = 0; i < mb * d; i++)
        acc[i] = 0;
    for (int64_t j0 = 0; j0 < t->sk; j0 += TILE) {
        int64_t nb = rs_min_i64(TILE, t->sk - j0);
        gemm(CblasNoTrans, CblasTrans, mb, nb, d, a->scale, q, a->q.ld,
             rs_f32(a->k) + j0 * a->k.ld + c0, a->k.ld, 0, s, TILE);
        if (rs_has(a->bias_rel)) {
            const float *bias = rs_f32(a->bias_rel) + head * (t->sq + t->sk - 1);
            for (int64_t i = 0; i < mb; i++)
                for (int64_t j = 0; j < nb; j++)
                    s[i * TILE + j] += bias[j0 + j - (i0 + i) + t->sq - 1];
        }
        softmax_rows(s, mb, nb, top, sum, acc, d);
        gemm(CblasNoTrans, CblasNoTrans, mb, d, nb, 1, s, TILE, rs_f32(a->v) + j0 * a->v.ld + c0,
             a->v.ld, 1, acc, d);
    }
    for (int64_t i = 0; i < mb; i++) {
        float *o = rs_f32(a->o) + (i0 + i) * a->o.ld + c0, inv = 1.0f / sum[i];
        for (int64_t c = 0; c < d; c++)
            o[c] = acc[i * d + c] * inv + (a->o_accumulate ? o[c] : 0);
        if (rs_has(a->lse))
            rs_f32(a->lse)[head * t->sq + i0 + i] = top[i] + logf(sum[i]);
    }
}

void rs_cpu_attention_fwd(rs_kctx *k, const rs_attention_fwd_args *a)
{
    fwd_job t = {.k = k, .a = a, .sq = rs_tensor_rows(a->q), .sk = rs_tensor_rows(a->k)};
    t.d = rs_tensor_cols(a->q) / a->heads;
    t.blocks = rs_ceil_div(t.sq, TILE);
    rs_parallel(k, a->heads * t.blocks, fwd_block, &t);
}

typedef struct bwd_job {
    rs_kctx *k;
    const rs_attention_bwd_args *a;
    int64_t sq, sk, d;
} bwd_job;

static void zero_rows(float *p, int64_t ld, int64_t rows, int64_t cols)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++)
            p[i * ld + j] = 0;
}

/* s <- P and dp <- dS of one tile; delta = rowsum(dO*O). */
static void tile_gradient(float *s, float *dp, const float *lse, const float *delta, int64_t mb,
                          int64_t nb)
{
    for (int64_t i = 0; i < mb; i++)
        for (int64_t j = 0; j < nb; j++) {
            float p = expf(s[i * TILE + j] - lse[i]);
            s[i * TILE + j] = p;
            dp[i * TILE + j] = p * (dp[i * TILE + j] - delta[i]);
        }
}

static void row_delta(const rs_attention_bwd_args *a, int64_t i0, int64_t mb, int64_t c0, int64_t d,
                      float *delta)
{
    for (int64_t i = 0; i < mb; i++) {
        const float *x = rs_f32(a->d_o) + (i0 + i) * a->d_o.ld + c0;
        const float *y = rs_f32(a->o) + (i0 + i) * a->o.ld + c0;
        double sum = 0;
        for (int64_t c = 0; c < d; c++)
            sum += (double)x[c] * (double)y[c];
        delta[i] = (float)sum;
    }
}

static void bwd_tile(const bwd_job *t, int64_t c0, int64_t i0, int64_t j0, const float *lse,
                     float *delta, float *s, float *dp)
{
    const rs_attention_bwd_args *a = t->a;
    int64_t d = t->d, mb = rs_min_i64(TILE, t->sq - i0), nb = rs_min_i64(TILE, t->sk - j0);
    const float *q = rs_f32(a->q) + i0 * a->q.ld + c0, *k = rs_f32(a->k) + j0 * a->k.ld + c0;
    const float *d_o = rs_f32(a->d_o) + i0 * a->d_o.ld + c0;
    gemm(CblasNoTrans, CblasTrans, mb, nb, d, a->scale, q, a->q.ld, k, a->k.ld, 0, s, TILE);
    gemm(CblasNoTrans, CblasTrans, mb, nb, d, 1, d_o, a->d_o.ld, rs_f32(a->v) + j0 * a->v.ld + c0,
         a->v.ld, 0, dp, TILE);
    tile_gradient(s, dp, lse, delta, mb, nb);
    gemm(CblasNoTrans, CblasNoTrans, mb, d, nb, a->scale, dp, TILE, k, a->k.ld, 1,
         rs_f32(a->dq) + i0 * a->dq.ld + c0, a->dq.ld);
    if (!rs_has(a->dk))
        return;
    gemm(CblasTrans, CblasNoTrans, nb, d, mb, a->scale, dp, TILE, q, a->q.ld, 1,
         rs_f32(a->dk) + j0 * a->dk.ld + c0, a->dk.ld);
    gemm(CblasTrans, CblasNoTrans, nb, d, mb, 1, s, TILE, d_o, a->d_o.ld, 1,
         rs_f32(a->dv) + j0 * a->dv.ld + c0, a->dv.ld);
}

static void bwd_head(void *arg, int64_t head, int thread)
{
    const bwd_job *t = arg;
    const rs_attention_bwd_args *a = t->a;
    int64_t d = t->d, c0 = head * d;
    float *s = rs_scratch(t->k, thread, (size_t)(TILE * (2 * TILE + 1)) * sizeof(float));
    float *dp = s + TILE * TILE, *delta = dp + TILE * TILE;
    if (!a->dq_accumulate)
        zero_rows(rs_f32(a->dq) + c0, a->dq.ld, t->sq, d);
    if (rs_has(a->dk)) {
        zero_rows(rs_f32(a->dk) + c0, a->dk.ld, t->sk, d);
        zero_rows(rs_f32(a->dv) + c0, a->dv.ld, t->sk, d);
    }
    for (int64_t i0 = 0; i0 < t->sq; i0 += TILE) {
        row_delta(a, i0, rs_min_i64(TILE, t->sq - i0), c0, d, delta);
        for (int64_t j0 = 0; j0 < t->sk; j0 += TILE)
            bwd_tile(t, c0, i0, j0, rs_f32(a->lse) + head * t->sq + i0, delta, s, dp);
    }
}

void rs_cpu_attention_bwd(rs_kctx *k, const rs_attention_bwd_args *a)
{
    bwd_job t = {.k = k, .a = a, .sq = rs_tensor_rows(a->q), .sk = rs_tensor_rows(a->k)};
    t.d = rs_tensor_cols(a->q) / a->heads;
    rs_parallel(k, a->heads, bwd_head, &t);
}
