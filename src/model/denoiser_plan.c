/* What a denoiser will hold and compute, without doing it. */
#include "base/num.h"
#include "model/component.h"
#include "model/denoiser_priv.h"

/* ---- what training keeps ---- */

void rs_denoiser_set_kept(rs_denoiser *m, rs_kept kept)
{
    m->opts.kept = kept;
}

rs_kept rs_denoiser_kept(const rs_denoiser *m)
{
    rs_kept k = {.store = rs_max_i64(1, rs_min_i64(m->opts.kept.store, m->info.blocks))};
    k.attention = rs_max_i64(0, rs_min_i64(m->opts.kept.attention, m->info.blocks - k.store));
    k.offload = m->opts.kept.offload;
    return k;
}

rs_block_policy rs_kept_policy(const rs_kept *k, int64_t blocks, int64_t i)
{
    if (i >= blocks - k->store)
        return RS_BLOCK_STORE;
    return i >= blocks - k->store - k->attention ? RS_BLOCK_ATTENTION : RS_BLOCK_RECOMPUTE;
}

/* ---- floating-point operations ---- */

void rs_flops_add(rs_flops *sum, rs_flops f)
{
    sum->gemm += f.gemm;
    sum->attention += f.attention;
    sum->attention_bwd += f.attention_bwd;
}

double rs_flops_total(rs_flops f)
{
    return f.gemm + f.attention + f.attention_bwd;
}

rs_flops rs_denoiser_flops(const rs_denoiser *m, int64_t F, int64_t H, int64_t W, int64_t text_rows,
                           int64_t image_rows, bool training)
{
    rs_flops sum = {0};
    rs_dims dims = rs_denoiser_dims(m, F, H, W, training);
    const rs_family *f = m->family;
    int L = (int)m->info.blocks;
#define COUNT(what, i)                                                                             \
    f->count(&sum, m->state, &dims, &m->loras[(int64_t)(i)*f->n_targets], text_rows, image_rows,   \
             what, i)
    COUNT(RS_COUNT_ENDS, 0);
    for (int i = 0; i < L; i++)
        COUNT(RS_COUNT_FORWARD, i);
    if (!training)
        return sum;
    COUNT(RS_COUNT_ENDS_BWD, 0);
    for (int i = m->first_trained; i < L; i++) {
        if (rs_kept_policy(&dims.kept, L, i) != RS_BLOCK_STORE)
            COUNT(RS_COUNT_AGAIN, i);
        COUNT(i > m->first_trained ? RS_COUNT_BACKWARD : RS_COUNT_BACKWARD_LOWEST, i);
    }
#undef COUNT
    return sum;
}

/* ---- bytes ---- */

bool rs_denoiser_described(const rs_denoiser *m)
{
    return m->opts.describe;
}

void rs_denoiser_expect_image_rows(rs_denoiser *m, int64_t rows)
{
    m->dims.image_rows = rs_max_i64(m->dims.image_rows, rows);
}

size_t rs_denoiser_cond_bytes(const rs_denoiser *m, int64_t F, int64_t H, int64_t W,
                              int64_t text_rows, int64_t image_rows)
{
    rs_carver plan = {0};
    void *cond = rs_alloc(1, m->family->cond_size);
    if (m->info.cond_channels > 0)
        (void)rs_carve(&plan, RS_DTYPE_F32, RS_SHAPE(m->info.cond_channels, F, H, W));
    m->family->bind_cond(m->state, cond, &plan, m->dims.activation, text_rows,
                         m->info.image_dim > 0 ? image_rows : 0);
    rs_dealloc(cond);
    return plan.used;
}

rs_layout_sizes rs_denoiser_weight_sizes(const rs_denoiser *m)
{
    return rs_layout_bytes(&m->layout);
}

rs_status rs_denoiser_files(rs_weight_files *out, const rs_denoiser *m, const char *model_dir)
{
    rs_component part = {0};
    rs_arena *a = rs_arena_create();
    rs_status st = rs_component_open(&part, a, model_dir, RS_COMPONENT_TRANSFORMER);
    if (st == RS_OK)
        st = rs_weights_look(out, m->dev, part.weights, &m->layout);
    rs_component_close(&part);
    rs_arena_destroy(&a);
    return st;
}
