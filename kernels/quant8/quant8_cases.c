#include "kernels/opcase.h"

/* dim: M K, pad of x. value: scale of x, 1 where 0. */
static const rs_opcase CASES[] = {
    {.name = "one", .dim = {1, 1}},
    {.name = "odd", .dim = {37, 53}},
    {.name = "ld", .dim = {5, 72, 8}},
    {.name = "small", .dim = {9, 80}, .value = {1e-30}},
    {.name = "large", .dim = {9, 80}, .value = {1e30}},
    {.name = "wide", .dim = {3, 5120}},
    {.name = "wider", .dim = {2, 17000}},
    {.name = "x_5120", .dim = {20280, 5120}, .large = true},
    {.name = "x_13824", .dim = {20280, 13824}, .large = true},
};

static void make(rs_opplan *p, const rs_opcase *c)
{
    rs_quant8_args *a = (rs_quant8_args *)p->args;
    const int64_t *d = c->dim;
    rs_op_out(p, "y", &a->y, 0, RS_SHAPE(d[0], d[1]));
    a->y.dtype = RS_DTYPE_U8;
    rs_op_out(p, "scale", &a->scale, 0, RS_SHAPE(d[0]));
    rs_optensor *x = rs_op_branch(rs_op_in(p, "x", &a->x, d[2], RS_SHAPE(d[0], d[1])));
    x->scale = c->value[0] != 0 ? c->value[0] : 1;
}

RS_OPSPEC_REF(quant8)
const rs_opspec rs_opspec_quant8 = {
    .op = "quant8",
    .cases = CASES,
    .n = RS_COUNT_OF(CASES),
    .make = make,
    .ref = ref_quant8,
};
