#include "kernels/opcase.h"

/* dim: elements */
enum { GRAD = 1, ACCUMULATE = 2 };

static const rs_opcase MSE[] = {
    {.name = "one", .dim = {1}, .flags = GRAD},
    {.name = "odd", .dim = {77}, .flags = GRAD},
    {.name = "no_grad", .dim = {1003}},
    {.name = "segments", .dim = {100003}, .flags = GRAD},
    {.name = "inplace", .dim = {20011}, .flags = GRAD, .alias = "grad=p"},
    {.name = "latent", .dim = {1297920}, .flags = GRAD, .large = true},
};

/* The sum is exact to double: its length does not count. */
static void make_mse(rs_opplan *p, const rs_opcase *c)
{
    rs_mse_args *a = (rs_mse_args *)p->args;
    rs_op_out(p, "loss", &a->loss, 0, RS_SHAPE(1));
    if (c->flags & GRAD)
        rs_op_branch(rs_op_out(p, "grad", &a->grad, 0, RS_SHAPE(c->dim[0])));
    rs_op_branch(rs_op_in(p, "p", &a->p, 0, RS_SHAPE(c->dim[0])));
    rs_op_stream(rs_op_in(p, "t", &a->t, 0, RS_SHAPE(c->dim[0])));
}

static double loss_mse(const void *args)
{
    rs_mse_args a = *(const rs_mse_args *)args;
    double loss = 0;
    a.loss.data = &loss;
    a.grad = (rs_tensor){0};
    rs_ref_mse(&a);
    return loss;
}

RS_OPSPEC_REF(mse)
const rs_opspec rs_opspec_mse = {
    .op = "mse",
    .cases = MSE,
    .n = RS_COUNT_OF(MSE),
    .make = make_mse,
    .ref = ref_mse,
    .option = {"grad"},
    .loss = loss_mse,
    .grad = {{"grad", "p"}},
};

static const rs_opcase SUMSQ[] = {
    {.name = "one", .dim = {1}},
    {.name = "odd", .dim = {77}},
    {.name = "accumulate", .dim = {1003}, .flags = ACCUMULATE},
    {.name = "segments", .dim = {100003}},
    {.name = "gradients", .dim = {20000000}, .large = true},
};

static void make_sumsq(rs_opplan *p, const rs_opcase *c)
{
    rs_sumsq_args *a = (rs_sumsq_args *)p->args;
    a->accumulate = c->flags & ACCUMULATE;
    rs_op_out_acc(p, a->accumulate, "out", &a->out, 0, RS_SHAPE(1))->steps = 2;
    rs_op_in(p, "x", &a->x, 0, RS_SHAPE(c->dim[0]));
    if (a->accumulate)
        rs_op_feature(p, "accumulate");
}

RS_OPSPEC_REF(sumsq)
const rs_opspec rs_opspec_sumsq = {
    .op = "sumsq",
    .cases = SUMSQ,
    .n = RS_COUNT_OF(SUMSQ),
    .make = make_sumsq,
    .ref = ref_sumsq,
    .option = {"accumulate"},
};
