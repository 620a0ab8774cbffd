#include "kernels/opcase.h"

/* dim: L V C */
enum { L, V, C };

static const rs_opcase CASES[] = {
    {.name = "one", .dim = {1, 1, 1}},
    {.name = "odd", .dim = {13, 50, 33}},
    {.name = "long", .dim = {700, 90, 24}},
    {.name = "t5_512x4096", .dim = {512, 4000, 4096}, .large = true},
};

static void make(rs_opplan *p, const rs_opcase *c)
{
    rs_embed_args *a = (rs_embed_args *)p->args;
    rs_optensor *y = rs_op_branch(rs_op_out(p, "y", &a->y, 0, RS_SHAPE(c->dim[L], c->dim[C])));
    y->steps = 0;
    y->reduction = 0;
    rs_op_stream(rs_op_in(p, "table", &a->table, 0, RS_SHAPE(c->dim[V], c->dim[C])));
    rs_op_ids(p, "ids", &a->ids, c->dim[V], RS_SHAPE(c->dim[L]));
}

RS_OPSPEC_REF(embed)
const rs_opspec rs_opspec_embed = {
    .op = "embed",
    .cases = CASES,
    .n = RS_COUNT_OF(CASES),
    .make = make,
    .converts = true,
    .ref = ref_embed,
};
