#include "kernels/opcase.h"

/* dim: rows, columns, pads of y and x */
static const rs_opcase CASES[] = {
    {.name = "one", .dim = {1, 1}},
    {.name = "whole", .dim = {37, 53}},
    {.name = "row", .dim = {1, 77, 3, 5}},
    {.name = "into_columns", .dim = {130, 24, 72}},
    {.name = "from_columns", .dim = {130, 24, 0, 72}},
    {.name = "odd", .dim = {1000, 33, 7, 1}},
    {.name = "half_of_1536", .dim = {4096, 768, 0, 768}, .large = true},
    {.name = "back_to_1536", .dim = {4096, 768, 768, 0}, .large = true},
};

static void make(rs_opplan *p, const rs_opcase *c)
{
    rs_copy_args *a = (rs_copy_args *)p->args;
    rs_optensor *y =
        rs_op_branch(rs_op_out(p, "y", &a->y, c->dim[2], RS_SHAPE(c->dim[0], c->dim[1])));
    y->steps = 0;
    y->reduction = 0;
    rs_op_stream(rs_op_in(p, "x", &a->x, c->dim[3], RS_SHAPE(c->dim[0], c->dim[1])));
}

RS_OPSPEC_REF(copy)
const rs_opspec rs_opspec_copy = {
    .op = "copy",
    .cases = CASES,
    .n = RS_COUNT_OF(CASES),
    .make = make,
    .converts = true,
    .ref = ref_copy,
};
