#include <math.h>
#include <string.h>

#include "base/log.h"
#include "base/rng.h"
#include "comm/agree.h"
#include "diffusion/flow.h"
#include "train/train.h"

/* The step as one rank takes it; a loss that is not finite may be seen by some ranks only. */
static rs_status step_local(rs_denoiser *m, rs_adapter *a, const rs_train_item *item,
                            const rs_denoiser_cond *cond, rs_tensor noise, float sigma,
                            const rs_optim_opts *o, int64_t step, float *loss, double *grad_norm)
{
    rs_status st = RS_OK;
    int64_t n = rs_tensor_count(item->x0);
    float *pair = rs_alloc((size_t)n * 2, sizeof *pair);
    rs_tensor x_t = rs_tensor_of(pair, RS_DTYPE_F32, item->x0.ndim, item->x0.shape);
    rs_tensor target = rs_tensor_of(pair + n, RS_DTYPE_F32, item->x0.ndim, item->x0.shape);
    rs_flow_pair(rs_f32(x_t), rs_f32(target), rs_f32(item->x0), rs_f32(noise), sigma, n);
    RS_TRY_OUT(rs_denoiser_loss_grad(m, loss, (rs_tensor){0}, x_t, 1000.0f * sigma, target, cond));
    if (!isfinite(*loss)) {
        st = RS_FAIL(NUMERIC, "loss is not finite at step %lld", (long long)step);
        goto out;
    }
    RS_TRY_OUT(rs_optim_step(a, o, step, grad_norm));
out:
    rs_dealloc(pair);
    return st;
}

static rs_status agree(const rs_denoiser *m, rs_status mine)
{
    rs_comm *lane = rs_denoiser_lane(m);
    return lane ? rs_comm_agree(lane, mine) : mine;
}

rs_status rs_train_step(rs_denoiser *m, rs_adapter *a, const rs_train_item *item,
                        const rs_denoiser_cond *cond, rs_tensor noise, float sigma,
                        const rs_optim_opts *o, int64_t step, float *loss, double *grad_norm)
{
    return agree(m, step_local(m, a, item, cond, noise, sigma, o, step, loss, grad_norm));
}

/* What the loop holds for the size it is bound to. */
typedef struct session {
    const rs_train_loop *l;
    rs_denoiser *m;
    rs_denoiser_cond **conds; /* per item, NULL until first used */
    int64_t bound[4];
} session;

static void drop_conds(session *s)
{
    for (int64_t i = 0; i < s->l->n_items; i++)
        rs_denoiser_cond_destroy(&s->conds[i]);
}

/* Bind to the item's latent size and encode its condition, unless that is already so. */
static rs_status ready(session *s, int64_t i)
{
    const rs_train_item *item = &s->l->items[i];
    if (memcmp(s->bound, item->x0.shape, sizeof s->bound) != 0) {
        drop_conds(s);
        RS_TRY(
            rs_denoiser_bind(s->m, item->x0.shape[1], item->x0.shape[2], item->x0.shape[3], true));
        memcpy(s->bound, item->x0.shape, sizeof s->bound);
    }
    if (!s->conds[i])
        RS_TRY(rs_denoiser_cond_create(&s->conds[i], s->m, item->y, item->text, item->image));
    return RS_OK;
}

static rs_status one_step(session *s, rs_adapter *a, int64_t k, float *loss, double *norm)
{
    const rs_train_loop *l = s->l;
    int64_t i = l->order[k];
    RS_ASSERT(i >= 0 && i < l->n_items);
    RS_TRY(ready(s, i));
    const rs_train_item *item = &l->items[i];
    rs_rng time = rs_rng_stream(l->seed, l->job, RS_RNG_TRAIN_TIME, (uint32_t)k);
    rs_rng draw = rs_rng_stream(l->seed, l->job, RS_RNG_TRAIN_NOISE, (uint32_t)k);
    rs_tensor noise = item->x0;
    noise.data = rs_alloc((size_t)rs_tensor_count(item->x0), sizeof(float));
    rs_rng_fill_normal(rs_f32(noise), &draw, 0, rs_tensor_count(noise));
    rs_status st = rs_train_step(s->m, a, item, s->conds[i], noise, rs_rng_uniform(&time, 0),
                                 &l->optim, k + 1, loss, norm);
    rs_dealloc(noise.data);
    return st;
}

/* Has any rank been asked to stop? Signals do not reach all in the same step. */
static rs_status asked_to_stop(bool *stop, const rs_train_loop *l, rs_comm *lane)
{
    int64_t asked = l->stop && l->stop(l->ctx);
    if (lane)
        RS_TRY(rs_comm_allreduce(&asked, lane, &asked, 1, RS_COMM_I64, RS_COMM_MAX, "stop"));
    *stop = asked != 0;
    return RS_OK;
}

static rs_status after_step(const rs_train_loop *l, const rs_denoiser *m, int64_t done, bool *stop)
{
    RS_TRY(asked_to_stop(stop, l, rs_denoiser_lane(m)));
    *stop = *stop && done < l->steps;
    bool due = l->checkpoint_every > 0 && done % l->checkpoint_every == 0 && done < l->steps;
    if ((due || *stop) && l->save)
        return agree(m, l->save(l->ctx, done));
    return RS_OK;
}

/* The frozen adapters, then the trained one. */
static rs_status apply_adapters(const rs_train_loop *l, rs_denoiser *m, rs_adapter *a)
{
    int n = l->n_frozen;
    rs_adapter **all = rs_alloc((size_t)n + 1, sizeof *all);
    float *weights = rs_alloc((size_t)n + 1, sizeof *weights);
    for (int i = 0; i < n; i++) {
        all[i] = l->frozen[i];
        weights[i] = l->frozen_weights[i];
    }
    all[n] = a;
    weights[n] = 1.0f;
    rs_status st = rs_denoiser_set_adapters(m, all, weights, n + 1);
    rs_dealloc(all);
    rs_dealloc(weights);
    return st;
}

rs_status rs_train_run(const rs_train_loop *l, rs_denoiser *m, rs_adapter *a, float *losses,
                       int64_t *step)
{
    rs_status st = RS_OK;
    session s = {.l = l, .m = m, .conds = rs_alloc((size_t)l->n_items + 1, sizeof *s.conds)};
    rs_denoiser_join(m);
    RS_TRY_OUT(apply_adapters(l, m, a));
    while (*step < l->steps) {
        double norm = 0, begin = rs_now();
        RS_TRY_OUT(one_step(&s, a, *step, &losses[*step], &norm));
        rs_train_progress p = {.step = *step + 1,
                               .steps = l->steps,
                               .item = l->order[*step],
                               .loss = losses[*step],
                               .grad_norm = norm,
                               .seconds = rs_now() - begin};
        ++*step;
        if (l->report)
            l->report(l->ctx, &p);
        bool stop;
        RS_TRY_OUT(after_step(l, m, *step, &stop));
        if (stop) {
            st = RS_FAIL(STOPPED, "stopped after step %lld of %lld", (long long)*step,
                         (long long)l->steps);
            goto out;
        }
    }
out:
    rs_denoiser_leave(m);
    drop_conds(&s);
    rs_dealloc(s.conds);
    return st;
}
