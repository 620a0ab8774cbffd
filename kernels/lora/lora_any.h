/* The thin products made of gemm, pair by pair: what the CPU runs, and CUDA where its own kernels
 * do not apply. C and C++. */
#ifndef RS_KERNELS_LORA_LORA_ANY_H
#define RS_KERNELS_LORA_LORA_ANY_H

#include <string.h>

#include "kernels/gate/gate.h"
#include "kernels/gemm/gemm.h"
#include "kernels/lora/lora.h"

/* A backend's ops. */
typedef struct rs_lora_calls {
    void *k;
    void (*gemm)(void *k, const rs_gemm_args *a);
    void (*add)(void *k, const rs_gate_add_args *a);
    void (*zero)(void *k, void *p, size_t bytes);
} rs_lora_calls;

static inline rs_tensor rs_lora_part(rs_tensor x, int parts, int i)
{
    int64_t m = rs_tensor_rows(x) / parts;
    return rs_tensor_rows_view(x, m * i, m * i + m);
}

static inline void rs_lora_any_down(const rs_lora_calls *b, const rs_lora_down_args *a, int part)
{
    for (int p = part * a->each; p < part * a->each + a->each; p++) {
        rs_gemm_args g;
        if (!rs_has(a->low[p]))
            continue;
        memset(&g, 0, sizeof g);
        g.y = a->low[p];
        g.a = rs_lora_part(a->x, a->parts, part);
        g.b = a->f[p];
        g.trans_b = !a->tall;
        g.alpha = a->scale[p];
        g.bf16 = a->bf16;
        b->gemm(b->k, &g);
    }
}

/* A part without pairs is a product without terms. */
static inline void rs_lora_any_up(const rs_lora_calls *b, const rs_lora_up_args *a, int part)
{
    float beta = a->beta;
    rs_tensor y = rs_lora_part(a->y, a->parts, part);
    for (int p = part * a->each; p < part * a->each + a->each; p++) {
        rs_gemm_args g;
        if (!rs_has(a->low[p]))
            continue;
        memset(&g, 0, sizeof g);
        g.y = y;
        g.a = a->low[p];
        g.b = a->f[p];
        g.trans_b = a->tall;
        g.beta = beta;
        g.bf16 = a->bf16;
        b->gemm(b->k, &g);
        beta = 1;
    }
    int64_t rows = rs_tensor_rows(y), cols = rs_tensor_cols(y);
    for (int64_t i = 0; beta == 0 && i < rows; i++)
        b->zero(b->k, (char *)y.data + (size_t)(i * y.ld) * rs_dtype_size(y.dtype),
                (size_t)cols * rs_dtype_size(y.dtype));
}

/* Segments [lo,hi) of one pair into g; x is its part. */
static inline void rs_lora_any_sum(const rs_lora_calls *b, const rs_lora_grad_args *a, int p,
                                   rs_tensor x, int lo, int hi, rs_tensor g, float *work)
{
    if (hi - lo == 1 && a->at[hi] == a->at[lo]) {
        b->zero(b->k, g.data, rs_tensor_bytes(g));
    } else if (hi - lo == 1) {
        rs_tensor rows = rs_tensor_rows_view(x, a->at[lo], a->at[hi]);
        rs_tensor low = rs_tensor_rows_view(a->low[p], a->at[lo], a->at[hi]);
        rs_gemm_args m;
        memset(&m, 0, sizeof m);
        m.y = g;
        m.a = a->tall ? rows : low;
        m.b = a->tall ? low : rows;
        m.trans_a = true;
        m.bf16 = a->bf16;
        b->gemm(b->k, &m);
    } else {
        int mid = (lo + hi) / 2;
        int64_t n = rs_tensor_count(g);
        const int64_t flat[2] = {1, n};
        rs_tensor right = g;
        right.data = work;
        rs_lora_any_sum(b, a, p, x, lo, mid, g, work + n);
        rs_lora_any_sum(b, a, p, x, mid, hi, right, work + n);
        rs_gate_add_args s;
        memset(&s, 0, sizeof s);
        s.y = rs_tensor_of(g.data, RS_DTYPE_F32, 2, flat);
        s.x = s.y;
        s.o = rs_tensor_of(work, RS_DTYPE_F32, 2, flat);
        b->add(b->k, &s);
    }
}

static inline void rs_lora_any_grad(const rs_lora_calls *b, const rs_lora_grad_args *a, int part)
{
    rs_tensor x = rs_lora_part(a->x, a->parts, part);
    for (int p = part * a->each; p < part * a->each + a->each; p++)
        if (rs_has(a->low[p]))
            rs_lora_any_sum(b, a, p, x, 0, a->segments, a->g[p], (float *)a->work.data);
}

#endif
