#include "kernels/opcase.h"

/* dim: elements, step. value: lr, weight decay, gradient scale, eps. */
enum { COUNT, STEP };
enum { LR, DECAY, SCALE, EPS };

static const rs_opcase CASES[] = {
    {.name = "one", .dim = {1, 1}, .value = {1e-4, 0.01, 1, 1e-8}},
    {.name = "first_step", .dim = {1003, 1}, .value = {0.1, 0, 1, 1e-8}},
    {.name = "late", .dim = {20011, 1500}, .value = {0.1, 0.01, 0.25, 1e-8}},
    {.name = "very_late", .dim = {77, 1000000}, .value = {0.5, 0.1, 1, 1e-8}},
    {.name = "big_eps", .dim = {333, 7}, .value = {1, 0.01, 3, 1e-3}},
    {.name = "lora_20m", .dim = {20000000, 100}, .value = {1e-4, 0.01, 1, 1e-8}, .large = true},
};

static void make(rs_opplan *p, const rs_opcase *c)
{
    rs_adamw_args *a = (rs_adamw_args *)p->args;
    int64_t n = c->dim[COUNT];
    a->lr = (float)c->value[LR];
    a->weight_decay = (float)c->value[DECAY];
    a->grad_scale = (float)c->value[SCALE];
    a->eps = (float)c->value[EPS];
    a->beta1 = 0.9f;
    a->beta2 = 0.999f;
    a->step = c->dim[STEP];
    rs_op_inout(p, "p", &a->p, 0, RS_SHAPE(n))->steps = 8;
    rs_op_inout(p, "m", &a->m, 0, RS_SHAPE(n));
    rs_optensor *v = rs_op_inout(p, "v", &a->v, 0, RS_SHAPE(n));
    v->shift = 0.5;
    v->scale = 0.5;
    rs_op_in(p, "g", &a->g, 0, RS_SHAPE(n));
}

RS_OPSPEC_REF(adamw)
const rs_opspec rs_opspec_adamw = {
    .op = "adamw",
    .cases = CASES,
    .n = RS_COUNT_OF(CASES),
    .make = make,
    .ref = ref_adamw,
};
