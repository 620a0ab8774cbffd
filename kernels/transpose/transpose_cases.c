#include "kernels/opcase.h"

/* dim: rows and columns of x */
static const rs_opcase CASES[] = {
    {.name = "one", .dim = {1, 1}},
    {.name = "row", .dim = {1, 77}},
    {.name = "column", .dim = {77, 1}},
    {.name = "odd", .dim = {37, 53}},
    {.name = "tiles", .dim = {64, 48}},
    {.name = "rgb_in", .dim = {3, 5443}},
    {.name = "rgb_out", .dim = {5443, 3}},
    {.name = "latent", .dim = {16, 700}},
    {.name = "tall", .dim = {1000, 33}},
    {.name = "rgb_480x832", .dim = {3, 1597440}, .large = true},
    {.name = "rgb_back", .dim = {1597440, 3}, .large = true},
    {.name = "latent_16", .dim = {16, 81120}, .large = true},
    {.name = "square_2048", .dim = {2048, 2048}, .large = true},
};

static void make(rs_opplan *p, const rs_opcase *c)
{
    rs_transpose_args *a = (rs_transpose_args *)p->args;
    a->rows = c->dim[0];
    a->cols = c->dim[1];
    rs_optensor *y = rs_op_branch(rs_op_out(p, "y", &a->y, 0, RS_SHAPE(a->cols, a->rows)));
    y->steps = 0;
    y->reduction = 0;
    rs_op_stream(rs_op_in(p, "x", &a->x, 0, RS_SHAPE(a->rows, a->cols)));
}

RS_OPSPEC_REF(transpose)
const rs_opspec rs_opspec_transpose = {
    .op = "transpose",
    .cases = CASES,
    .n = RS_COUNT_OF(CASES),
    .make = make,
    .converts = true,
    .ref = ref_transpose,
};
