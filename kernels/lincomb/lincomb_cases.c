#include "kernels/opcase.h"

/* dim: elements, terms. value: coefficients. */
enum { COUNT, TERMS };

static const rs_opcase CASES[] = {
    {.name = "one_term", .dim = {33, 1}, .value = {-2.5}},
    {.name = "two", .dim = {1000, 2}, .value = {0.3, 0.7}},
    {.name = "three", .dim = {77, 3}, .value = {1, -0.125, 3}},
    {.name = "four", .dim = {20001, 4}, .value = {0.1, -0.2, 0.3, -0.4}},
    {.name = "on_first", .dim = {513, 2}, .value = {1, -0.04}, .alias = "y=x0"},
    {.name = "on_second", .dim = {513, 2}, .value = {1, -0.04}, .alias = "y=x1"},
    {.name = "on_third", .dim = {513, 3}, .value = {1, -0.04, 0.5}, .alias = "y=x2"},
    {.name = "on_fourth", .dim = {513, 4}, .value = {1, -0.04, 0.5, 2}, .alias = "y=x3"},
    {.name = "latent", .dim = {1297920, 2}, .value = {0.3, 0.7}, .alias = "y=x0", .large = true},
};

static void make(rs_opplan *p, const rs_opcase *c)
{
    static const char *const NAMES[] = {"x0", "x1", "x2", "x3"};
    rs_lincomb_args *a = (rs_lincomb_args *)p->args;
    a->n = (int)c->dim[TERMS];
    rs_op_out(p, "y", &a->y, 0, RS_SHAPE(c->dim[COUNT]));
    for (int i = 0; i < a->n; i++) {
        a->coef[i] = (float)c->value[i];
        rs_op_in(p, NAMES[i], &a->x[i], 0, RS_SHAPE(c->dim[COUNT]));
    }
}

RS_OPSPEC_REF(lincomb)
const rs_opspec rs_opspec_lincomb = {
    .op = "lincomb",
    .cases = CASES,
    .n = RS_COUNT_OF(CASES),
    .make = make,
    .ref = ref_lincomb,
    .option = {"x1", "x2", "x3"},
};
