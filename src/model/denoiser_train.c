/* The training pass: forward, loss, backward, of one sample or of several that share the walk over
 * the weights. */
#include "base/num.h"
#include "model/denoiser_priv.h"

/* Every sample's rows at the begin of the stream. */
static void begin(rs_denoiser *m, const rs_denoiser_sample *samples, rs_tensor h)
{
    const rs_tensor *globals = rs_wstream_globals(m->weights);
    for (int k = 0; k < m->dims.samples; k++)
        m->family->begin(m->state, m->dev, globals, k, rs_denoiser_sample_of(m, h, k),
                         rs_denoiser_sample_of(m, m->latent, k), samples[k].t,
                         samples[k].cond->encoded);
}

/* Blocks below the first trained one run in place; of the others every input is kept, and of their
 * activations what their policy says. */
static rs_status forward_kept(rs_denoiser *m, const rs_walk *w, const rs_denoiser_sample *samples)
{
    int L = (int)m->info.blocks, first = w->first_trained;
    rs_tensor h = rs_denoiser_stream_at(m, first);
    rs_offload_begin(m);
    rs_offload_may_write_input(m, first);
    begin(m, samples, h);
    for (int i = 0; i < first; i++)
        RS_TRY(rs_denoiser_run_block(m, w, i, i + 1, h, h, RS_PASS_PLAIN));
    rs_denoiser_keep(m, first);
    rs_offload_wrote_input(m, first);
    for (int i = first; i < L; i++) {
        rs_offload_may_write(m, i);
        RS_TRY(rs_denoiser_run_block(m, w, i, i + 1 < L ? i + 1 : L - 2,
                                     rs_denoiser_stream_at(m, i + 1), rs_denoiser_stream_at(m, i),
                                     RS_PASS_KEEP));
        rs_denoiser_keep(m, i + 1);
        rs_offload_wrote(m, i);
    }
    return RS_OK;
}

/* Velocity and loss of every sample, and the gradient of its rows at the end of the stream. */
static void ends(rs_denoiser *m)
{
    const rs_tensor *globals = rs_wstream_globals(m->weights);
    rs_tensor last = rs_denoiser_stream_at(m, m->info.blocks), gradient = rs_denoiser_gradient(m);
    for (int k = 0; k < m->dims.samples; k++) {
        rs_tensor h = rs_denoiser_sample_of(m, last, k), dx = rs_denoiser_sample_of(m, gradient, k);
        rs_tensor v = rs_denoiser_sample_of(m, m->v, k), dv = rs_denoiser_sample_of(m, m->dv, k);
        m->family->end(m->state, m->dev, globals, k, v, h);
        RS_OP(m->dev, mse, .loss = rs_denoiser_sample_of(m, m->loss, k), .grad = dv, .p = v,
              .t = rs_denoiser_sample_of(m, m->target, k));
        m->family->end_bwd(m->state, m->dev, globals, k, dx, dv, h);
    }
    rs_offload_ended(m);
}

static rs_status backward(rs_denoiser *m, const rs_walk *walk)
{
    int L = (int)m->info.blocks, first = walk->first_trained;
    rs_tensor dx = rs_denoiser_gradient(m), none = {0};
    for (int i = L - 1; i >= first; i--) {
        const rs_tensor *w;
        const rs_lora_terms *loras =
            &walk->loras[(int64_t)i * m->family->n_targets * m->dims.samples];
        rs_offload_read(m, i);
        rs_tensor x = rs_denoiser_recall(m, i);
        RS_TRY(rs_wstream_acquire(m->weights, i, &w));
        rs_wstream_prefetch(m->weights, i > first ? i - 1 : 0);
        if (i > first)
            rs_offload_ahead(m, i - 1);
        if (rs_kept_policy(&m->dims.kept, L, i) != RS_BLOCK_STORE)
            m->family->block_fwd(m->state, m->dev, i, w, loras, none, x, walk->conds,
                                 RS_PASS_RECOMPUTE);
        m->family->block_bwd(m->state, m->dev, i, w, loras, dx, x, walk->conds, i > first);
        rs_offload_done(m, i);
        rs_wstream_release(m->weights, i);
        if (m->dims.samples == 1)
            rs_denoiser_sum_gradients(m, loras);
    }
    return RS_OK;
}

static rs_status there_and_back(rs_denoiser *m, const rs_walk *w, const rs_denoiser_sample *samples)
{
    RS_TRY(forward_kept(m, w, samples));
    ends(m);
    return backward(m, w);
}

static rs_status walk_samples(rs_denoiser *m, const rs_walk *w, rs_denoiser_sample *samples)
{
    for (int k = 0; k < m->dims.samples; k++) {
        rs_denoiser_put(m, rs_denoiser_sample_of(m, m->latent, k), samples[k].x);
        rs_denoiser_put(m, rs_denoiser_sample_of(m, m->target, k), samples[k].target);
    }
    RS_TRY(rs_wstream_begin(m->weights, w->first_trained));
    rs_status st = there_and_back(m, w, samples);
    rs_wstream_end(m->weights);
    RS_TRY(st);
    RS_TRY(rs_denoiser_finish(m));
    for (int k = 0; k < m->dims.samples; k++) {
        rs_denoiser_sample *s = &samples[k];
        rs_device_get(m->dev, &s->loss, rs_denoiser_sample_of(m, m->loss, k).data, sizeof s->loss);
        if (rs_has(s->v))
            rs_device_get(m->dev, s->v.data, rs_denoiser_sample_of(m, m->v, k).data,
                          rs_tensor_bytes(s->v));
    }
    return RS_OK;
}

static rs_status check_sample(rs_denoiser *m, const rs_denoiser_sample *s)
{
    RS_TRY(rs_denoiser_check_pass(m, "x", s->x, s->cond));
    RS_TRY(rs_denoiser_check_pass(m, "target", s->target, s->cond));
    if (rs_has(s->v))
        RS_TRY(rs_denoiser_check_pass(m, "v", s->v, s->cond));
    return rs_denoiser_wake(m);
}

static void check_bound(const rs_denoiser *m, int n)
{
    RS_ASSERTF(m->bound && m->dims.training, "denoiser: not bound for training");
    RS_ASSERTF(m->dims.samples == n, "denoiser: bound for %d samples, not %d", m->dims.samples, n);
}

rs_status rs_denoiser_loss_grad(rs_denoiser *m, float *loss, rs_tensor v, rs_tensor x, float t,
                                rs_tensor target, const rs_denoiser_cond *cond)
{
    rs_denoiser_sample s = {.x = x, .target = target, .v = v, .t = t, .cond = cond};
    const void *encoded = cond->encoded;
    rs_walk w = {.loras = m->loras, .conds = &encoded, .first_trained = m->first_trained};
    check_bound(m, 1);
    RS_ASSERTF(m->trainable,
               "denoiser: training needs one trainable adapter, the last, of weight 1");
    RS_TRY(rs_lane_agree(&m->lane, check_sample(m, &s)));
    RS_TRY(rs_lane_agree(&m->lane, walk_samples(m, &w, &s)));
    *loss = s.loss;
    return RS_OK;
}

/* ---- samples with adapters of their own ---- */

static void check_apart(const rs_denoiser_sample *samples, int n)
{
    for (int k = 0; k < n; k++)
        for (int i = 0; i < k; i++)
            RS_ASSERTF(samples[k].adapters[samples[k].n_adapters - 1] !=
                           samples[i].adapters[samples[i].n_adapters - 1],
                       "denoiser: samples %d and %d train the same adapter", i, k);
}

/* The samples' terms side by side. The walk goes back as far as any sample needs. */
static rs_status make_walk(rs_walk *w, rs_arena *a, rs_denoiser *m,
                           const rs_denoiser_sample *samples, int n)
{
    int64_t rows = m->info.blocks * m->family->n_targets, rank = 0;
    rs_lora_terms *loras = RS_NEW(a, rs_lora_terms, rows * n);
    const void **conds = RS_NEW(a, const void *, n);
    *w = (rs_walk){.loras = loras, .conds = conds, .first_trained = (int)m->info.blocks};
    for (int k = 0; k < n; k++) {
        const rs_denoiser_sample *s = &samples[k];
        rs_lora_set set;
        RS_TRY(check_sample(m, s));
        RS_TRY(rs_lora_set_make(&set, a, m, s->adapters, s->weights, s->n_adapters));
        RS_ASSERTF(set.trainable,
                   "denoiser: training needs one trainable adapter, the last, of weight 1");
        for (int64_t i = 0; i < rows; i++)
            loras[i * n + k] = set.loras[i];
        conds[k] = s->cond->encoded;
        rank = rs_max_i64(rank, set.rank);
        if (set.first_trained < w->first_trained)
            w->first_trained = set.first_trained;
    }
    return rs_denoiser_grow_rank(m, rank);
}

rs_status rs_denoiser_loss_grad_many(rs_denoiser *m, rs_denoiser_sample *samples, int n)
{
    rs_status st = RS_OK;
    rs_walk w;
    check_bound(m, n);
    check_apart(samples, n);
    rs_arena *a = rs_arena_create();
    RS_TRY_OUT(rs_lane_agree(&m->lane, make_walk(&w, a, m, samples, n)));
    RS_TRY_OUT(rs_lane_agree(&m->lane, walk_samples(m, &w, samples)));
out:
    rs_arena_destroy(&a);
    return st;
}
