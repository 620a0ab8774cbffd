#include "kernels/opcase.h"

void rs_ref_gate_add(const rs_gate_add_args *a)
{
    int64_t c = rs_tensor_cols(a->x);
    for (int64_t i = 0; i < rs_tensor_count(a->x); i++)
        rs_f64(a->y)[i] =
            rs_f64(a->x)[i] + (rs_has(a->gate) ? rs_f64(a->gate)[i % c] : 1) * rs_f64(a->o)[i];
}

void rs_ref_gate_mul(const rs_gate_mul_args *a)
{
    int64_t c = rs_tensor_cols(a->x);
    for (int64_t i = 0; i < rs_tensor_count(a->x); i++)
        rs_f64(a->y)[i] = rs_f64(a->x)[i] * rs_f64(a->gate)[i % c];
}
