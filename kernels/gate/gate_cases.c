#include "kernels/opcase.h"

/* dim: rows C */
enum { ROWS, C };
enum { GATE = 1 };

static const rs_opcase ADD[] = {
    {.name = "one", .dim = {1, 1}, .flags = GATE},
    {.name = "gate", .dim = {7, 33}, .flags = GATE},
    {.name = "plain", .dim = {7, 33}},
    {.name = "inplace", .dim = {50, 384}, .flags = GATE, .alias = "y=x"},
    {.name = "plain_inplace", .dim = {50, 130}, .alias = "y=x"},
    {.name = "on_branch", .dim = {5, 70}, .flags = GATE, .alias = "y=o"},
    {.name = "many_rows", .dim = {5000, 8}, .flags = GATE},
    {.name = "wan_1536", .dim = {4096, 1536}, .flags = GATE, .alias = "y=x", .large = true},
    {.name = "wan_5120", .dim = {1560, 5120}, .flags = GATE, .alias = "y=x", .large = true},
};

static void make_add(rs_opplan *p, const rs_opcase *c)
{
    rs_gate_add_args *a = (rs_gate_add_args *)p->args;
    rs_op_stream(rs_op_out(p, "y", &a->y, 0, RS_SHAPE(c->dim[ROWS], c->dim[C])));
    rs_op_stream(rs_op_in(p, "x", &a->x, 0, RS_SHAPE(c->dim[ROWS], c->dim[C])));
    rs_op_branch(rs_op_in(p, "o", &a->o, 0, RS_SHAPE(c->dim[ROWS], c->dim[C])));
    if (c->flags & GATE)
        rs_op_in(p, "gate", &a->gate, 0, RS_SHAPE(c->dim[C]));
}

RS_OPSPEC_REF(gate_add)
const rs_opspec rs_opspec_gate_add = {
    .op = "gate_add",
    .cases = ADD,
    .n = RS_COUNT_OF(ADD),
    .make = make_add,
    .ref = ref_gate_add,
    .option = {"gate"},
};

static const rs_opcase MUL[] = {
    {.name = "one", .dim = {1, 1}},
    {.name = "odd", .dim = {7, 33}},
    {.name = "inplace", .dim = {50, 384}, .alias = "y=x"},
    {.name = "many_rows", .dim = {5000, 8}},
    {.name = "wan_1536", .dim = {4096, 1536}, .large = true},
};

static void make_mul(rs_opplan *p, const rs_opcase *c)
{
    rs_gate_mul_args *a = (rs_gate_mul_args *)p->args;
    rs_op_branch(rs_op_out(p, "y", &a->y, 0, RS_SHAPE(c->dim[ROWS], c->dim[C])));
    rs_op_stream(rs_op_in(p, "x", &a->x, 0, RS_SHAPE(c->dim[ROWS], c->dim[C])));
    rs_op_in(p, "gate", &a->gate, 0, RS_SHAPE(c->dim[C]));
}

RS_OPSPEC_REF(gate_mul)
const rs_opspec rs_opspec_gate_mul = {
    .op = "gate_mul",
    .cases = MUL,
    .n = RS_COUNT_OF(MUL),
    .make = make_mul,
    .ref = ref_gate_mul,
};
