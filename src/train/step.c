/* One optimiser step. */
#include <math.h>

#include "comm/agree.h"
#include "diffusion/flow.h"
#include "train/train_priv.h"

void rs_train_sample_make(rs_denoiser_sample *sample, const rs_train_item *item, rs_tensor noise,
                          float sigma)
{
    int64_t n = rs_tensor_count(item->x0);
    float *pair = rs_alloc((size_t)n * 2, sizeof *pair);
    sample->x = rs_tensor_of(pair, RS_DTYPE_F32, item->x0.ndim, item->x0.shape);
    sample->target = rs_tensor_of(pair + n, RS_DTYPE_F32, item->x0.ndim, item->x0.shape);
    sample->t = 1000.0f * sigma;
    rs_flow_pair(rs_f32(sample->x), rs_f32(sample->target), rs_f32(item->x0), rs_f32(noise), sigma,
                 n);
}

void rs_train_sample_free(rs_denoiser_sample *sample)
{
    rs_dealloc(sample->x.data);
    sample->x = sample->target = (rs_tensor){0};
}

rs_status rs_train_finish(rs_adapter *a, const rs_optim_opts *o, int64_t step, float loss,
                          double *grad_norm)
{
    if (!isfinite(loss))
        return RS_FAIL(NUMERIC, "loss is not finite at step %lld", (long long)step);
    return rs_optim_step(a, o, step, grad_norm);
}

rs_status rs_train_agree(const rs_denoiser *m, rs_status mine)
{
    rs_comm *lane = rs_denoiser_lane(m);
    return lane ? rs_comm_agree(lane, mine) : mine;
}

/* The step as one rank takes it; a loss that is not finite may be seen by some ranks only. */
static rs_status step_local(rs_denoiser *m, rs_adapter *a, rs_denoiser_sample *s,
                            const rs_optim_opts *o, int64_t step, float *loss, double *grad_norm)
{
    RS_TRY(rs_denoiser_loss_grad(m, loss, (rs_tensor){0}, s->x, s->t, s->target, s->cond));
    return rs_train_finish(a, o, step, *loss, grad_norm);
}

rs_status rs_train_step(rs_denoiser *m, rs_adapter *a, const rs_train_item *item,
                        const rs_denoiser_cond *cond, rs_tensor noise, float sigma,
                        const rs_optim_opts *o, int64_t step, float *loss, double *grad_norm)
{
    rs_denoiser_sample s = {.cond = cond};
    rs_train_sample_make(&s, item, noise, sigma);
    rs_status st = rs_train_agree(m, step_local(m, a, &s, o, step, loss, grad_norm));
    rs_train_sample_free(&s);
    return st;
}
