#include "kernels/act/act_ref.h"
#include "kernels/opcase.h"

void rs_ref_act_fwd(const rs_act_fwd_args *a)
{
    for (int64_t i = 0; i < rs_tensor_count(a->x); i++)
        rs_f64(a->y)[i] = rs_ref_act_of(rs_f64(a->x)[i], a->act);
}

void rs_ref_act_bwd(const rs_act_bwd_args *a)
{
    for (int64_t i = 0; i < rs_tensor_count(a->x); i++)
        rs_f64(a->dx)[i] = rs_f64(a->dy)[i] * rs_ref_slope_of(rs_f64(a->x)[i], a->act);
}

void rs_ref_glu_fwd(const rs_glu_fwd_args *a)
{
    for (int64_t i = 0; i < rs_tensor_count(a->a); i++)
        rs_f64(a->y)[i] = rs_ref_act_of(rs_f64(a->a)[i], a->act) * rs_f64(a->b)[i];
}
