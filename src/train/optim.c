#include <math.h>

#include "train/train.h"

/* Sums of squares of every gradient into one device array, one copy back, total in double. */
static rs_status grad_sumsq(rs_adapter *a, double *total)
{
    int64_t n = 2 * a->n;
    rs_tensor all = a->sums;
    for (int64_t i = 0; i < a->n; i++) {
        RS_OP(a->dev, sumsq, .out = rs_tensor_slice(all, 2 * i, 2 * i + 1), .x = a->items[i].ga);
        RS_OP(a->dev, sumsq, .out = rs_tensor_slice(all, 2 * i + 1, 2 * i + 2),
              .x = a->items[i].gb);
    }
    float *host = rs_alloc((size_t)n, sizeof *host);
    rs_device_get(a->dev, host, all.data, (size_t)n * sizeof *host);
    *total = 0;
    for (int64_t i = 0; i < n; i++)
        *total += (double)host[i];
    rs_dealloc(host);
    return rs_device_check(a->dev);
}

static void update(rs_device *d, const rs_optim_opts *o, int64_t step, float scale, rs_tensor p,
                   rs_tensor m, rs_tensor v, rs_tensor g)
{
    RS_OP(d, adamw, .p = p, .m = m, .v = v, .g = g, .lr = (float)o->lr, .beta1 = (float)o->beta1,
          .beta2 = (float)o->beta2, .eps = (float)o->eps, .weight_decay = (float)o->weight_decay,
          .grad_scale = scale, .step = step);
}

rs_status rs_optim_step(rs_adapter *a, const rs_optim_opts *o, int64_t step, double *grad_norm)
{
    double sumsq;
    RS_TRY(grad_sumsq(a, &sumsq));
    double norm = sqrt(sumsq);
    if (!isfinite(norm))
        return RS_FAIL(NUMERIC, "gradient norm is not finite at step %lld", (long long)step);
    double scale = o->grad_clip > 0 ? o->grad_clip / (norm + 1e-6) : 1.0;
    float clip = scale < 1.0 ? (float)scale : 1.0f;
    for (int64_t i = 0; i < a->n; i++) {
        rs_lora *l = &a->items[i];
        update(a->dev, o, step, clip, l->a, l->ma, l->va, l->ga);
        update(a->dev, o, step, clip, l->b, l->mb, l->vb, l->gb);
    }
    *grad_norm = norm;
    return rs_device_check(a->dev);
}
