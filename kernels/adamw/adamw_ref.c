#include <math.h>

#include "kernels/opcase.h"

void rs_ref_adamw(const rs_adamw_args *a)
{
    double lr = (double)a->lr, b1 = (double)a->beta1, b2 = (double)a->beta2, k = (double)a->step;
    for (int64_t i = 0; i < rs_tensor_count(a->p); i++) {
        double *p = rs_f64(a->p) + i, *m = rs_f64(a->m) + i, *v = rs_f64(a->v) + i;
        double g = rs_f64(a->g)[i] * (double)a->grad_scale;
        *p *= 1 - lr * (double)a->weight_decay;
        *m = b1 * *m + (1 - b1) * g;
        *v = b2 * *v + (1 - b2) * g * g;
        double m_hat = *m / (1 - pow(b1, k)), v_hat = *v / (1 - pow(b2, k));
        *p -= lr * m_hat / (sqrt(v_hat) + (double)a->eps);
    }
}
