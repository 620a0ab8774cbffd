#include "kernels/opcase.h"

/* dim: elements, first element of the stream */
enum { COUNT, FIRST };

static const rs_opcase CASES[] = {
    {.name = "one", .dim = {1}},
    {.name = "odd_start", .dim = {1003, 3}},
    {.name = "blocks", .dim = {10007, 17}},
    {.name = "far", .dim = {50, (int64_t)1 << 40}},
    {.name = "latent", .dim = {1297920}, .large = true},
};

static void make(rs_opplan *p, const rs_opcase *c)
{
    rs_noise_args *a = (rs_noise_args *)p->args;
    a->stream = rs_rng_stream(7, 11, RS_RNG_TEST, 5);
    a->first = (uint64_t)c->dim[FIRST];
    rs_optensor *y = rs_op_out(p, "y", &a->y, 0, RS_SHAPE(c->dim[COUNT]));
    y->steps = 0;
    y->reduction = 0;
}

RS_OPSPEC_REF(noise)
const rs_opspec rs_opspec_noise = {
    .op = "noise",
    .cases = CASES,
    .n = RS_COUNT_OF(CASES),
    .make = make,
    .ref = ref_noise,
};
