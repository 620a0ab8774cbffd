#include "kernels/opcase.h"

/* dim: the 3 dimensions of x */
enum { ADD = 1, FIRST = 2 };

static const rs_opcase CASES[] = {
    {.name = "last", .dim = {3, 5, 33}, .flags = ADD},
    {.name = "last_mul", .dim = {300, 2, 16}},
    {.name = "first", .dim = {16, 7, 11}, .flags = ADD | FIRST},
    {.name = "first_mul", .dim = {3, 1, 1}, .flags = FIRST},
    {.name = "first_long", .dim = {5, 70, 401}, .flags = ADD | FIRST},
    {.name = "inplace", .dim = {4, 50, 96}, .flags = ADD, .alias = "y=x"},
    {.name = "first_inplace", .dim = {4, 50, 97}, .flags = ADD | FIRST, .alias = "y=x"},
    {.name = "latent_first", .dim = {16, 13, 6240}, .flags = ADD | FIRST, .large = true},
    {.name = "latent_last", .dim = {13, 6240, 16}, .flags = ADD, .large = true},
};

static void make(rs_opplan *p, const rs_opcase *c)
{
    rs_affine_args *a = (rs_affine_args *)p->args;
    const int64_t *d = c->dim;
    a->channel_first = c->flags & FIRST;
    int64_t channels = a->channel_first ? d[0] : d[2];
    rs_op_branch(rs_op_out(p, "y", &a->y, 0, RS_SHAPE(d[0], d[1], d[2])));
    rs_op_stream(rs_op_in(p, "x", &a->x, 0, RS_SHAPE(d[0], d[1], d[2])));
    rs_op_in(p, "mul", &a->mul, 0, RS_SHAPE(channels));
    if (c->flags & ADD)
        rs_op_in(p, "add", &a->add, 0, RS_SHAPE(channels));
    if (a->channel_first)
        rs_op_feature(p, "channel_first");
}

RS_OPSPEC_REF(affine)
const rs_opspec rs_opspec_affine = {
    .op = "affine",
    .cases = CASES,
    .n = RS_COUNT_OF(CASES),
    .make = make,
    .converts = true,
    .ref = ref_affine,
    .option = {"add", "channel_first"},
};
