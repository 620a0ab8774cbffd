#include "kernels/opcase.h"

/* dim: rows C. value: mean of x (its deviation is 0.6), factor on x, eps (0: 1e-6). */
enum { ROWS, C };
enum { MEAN, FACTOR, EPS };
enum { WEIGHT = 1, BIAS = 2, SCALE = 4, SHIFT = 8, ACCUMULATE = 16, BRANCH = 32, GATE = 64 };

static const rs_opcase FWD[] = {
    {.name = "one", .dim = {1, 1}},
    {.name = "two", .dim = {3, 2}, .flags = SCALE | SHIFT},
    {.name = "plain", .dim = {5, 33}},
    {.name = "affine", .dim = {7, 100}, .flags = WEIGHT | BIAS},
    {.name = "weight", .dim = {7, 61}, .flags = WEIGHT},
    {.name = "bias", .dim = {2, 130}, .flags = BIAS},
    {.name = "modulated", .dim = {9, 384}, .flags = SCALE | SHIFT},
    {.name = "scale", .dim = {9, 72}, .flags = SCALE},
    {.name = "all_adds", .dim = {4, 47}, .flags = SCALE | SHIFT | BIAS},
    {.name = "inplace", .dim = {11, 97}, .flags = SCALE | SHIFT, .alias = "y=x"},
    {.name = "far_mean", .dim = {6, 1100}, .value = {1000}, .fine = true},
    {.name = "far_mean_5120", .dim = {3, 5120}, .value = {-300}, .flags = SCALE | SHIFT},
    {.name = "tiny_values", .dim = {3, 200}, .value = {0, 1e-3}},
    {.name = "huge_values", .dim = {3, 200}, .value = {0, 1e12}},
    {.name = "clip_eps", .dim = {30, 1280}, .value = {0, 0, 1e-5}, .flags = WEIGHT | BIAS},
    {.name = "many_rows", .dim = {1000, 40}, .flags = SCALE | SHIFT},
    {.name = "branch", .dim = {9, 384}, .flags = SCALE | SHIFT | BRANCH | GATE},
    {.name = "branch_odd", .dim = {5, 33}, .flags = WEIGHT | BIAS | BRANCH},
    {.name = "branch_on_x", .dim = {7, 130}, .flags = SCALE | BRANCH | GATE, .alias = "sum=x"},
    {.name = "branch_on_o",
     .dim = {6, 264},
     .flags = SCALE | SHIFT | BRANCH | GATE,
     .alias = "y=o"},
    {.name = "branch_5120",
     .dim = {3, 5120},
     .value = {-3},
     .flags = WEIGHT | BIAS | BRANCH | GATE,
     .fine = true},
    {.name = "branch_long", .dim = {2, 8200}, .flags = SCALE | SHIFT | BRANCH | GATE},
    {.name = "branch_many", .dim = {300, 40}, .flags = SCALE | SHIFT | BRANCH | GATE},
    {.name = "wan_1536", .dim = {4096, 1536}, .flags = SCALE | SHIFT, .large = true},
    {.name = "wan_5120", .dim = {1560, 5120}, .flags = SCALE | SHIFT, .large = true},
    {.name = "wan_5120_branch",
     .dim = {1560, 5120},
     .flags = SCALE | SHIFT | BRANCH | GATE,
     .alias = "sum=x",
     .large = true},
    {.name = "cache_384", .dim = {256, 384}, .flags = SCALE | SHIFT, .large = true},
    {.name = "cache_384_branch",
     .dim = {256, 384},
     .flags = SCALE | SHIFT | BRANCH | GATE,
     .alias = "sum=x",
     .large = true},
};

static void fill_x(rs_optensor *x, const rs_opcase *c)
{
    x->scale = c->value[FACTOR] > 0 ? c->value[FACTOR] : 1;
    x->shift = c->value[MEAN];
}

static float eps_of(const rs_opcase *c)
{
    return c->value[EPS] > 0 ? (float)c->value[EPS] : 1e-6f;
}

static void make_fwd(rs_opplan *p, const rs_opcase *c)
{
    rs_layernorm_fwd_args *a = (rs_layernorm_fwd_args *)p->args;
    int64_t n = c->dim[C];
    a->eps = eps_of(c);
    rs_op_branch(rs_op_out(p, "y", &a->y, 0, RS_SHAPE(c->dim[ROWS], n)))->steps = 6;
    fill_x(rs_op_stream(rs_op_in(p, "x", &a->x, 0, RS_SHAPE(c->dim[ROWS], n))), c);
    if (c->flags & WEIGHT)
        rs_op_in(p, "weight", &a->weight, 0, RS_SHAPE(n));
    if (c->flags & BIAS)
        rs_op_in(p, "bias", &a->bias, 0, RS_SHAPE(n));
    if (c->flags & SCALE)
        rs_op_in(p, "scale", &a->scale, 0, RS_SHAPE(n));
    if (c->flags & SHIFT)
        rs_op_in(p, "shift", &a->shift, 0, RS_SHAPE(n));
    if (c->flags & BRANCH) {
        rs_op_stream(rs_op_out(p, "sum", &a->sum, 0, RS_SHAPE(c->dim[ROWS], n)));
        rs_op_branch(rs_op_in(p, "o", &a->o, 0, RS_SHAPE(c->dim[ROWS], n)));
    }
    if (c->flags & GATE)
        rs_op_in(p, "gate", &a->gate, 0, RS_SHAPE(n));
}

RS_OPSPEC_REF(layernorm_fwd)
const rs_opspec rs_opspec_layernorm_fwd = {
    .op = "layernorm_fwd",
    .cases = FWD,
    .n = RS_COUNT_OF(FWD),
    .make = make_fwd,
    .ref = ref_layernorm_fwd,
    .option = {"weight", "bias", "scale", "shift", "o", "gate", "sum"},
};

static const rs_opcase BWD[] = {
    {.name = "three", .dim = {3, 3}, .flags = SCALE},
    {.name = "plain", .dim = {5, 33}},
    {.name = "weight", .dim = {7, 61}, .flags = WEIGHT},
    {.name = "scale", .dim = {9, 384}, .flags = SCALE},
    {.name = "accumulate", .dim = {9, 72}, .flags = SCALE | ACCUMULATE},
    {.name = "accumulate_plain", .dim = {6, 129}, .flags = ACCUMULATE},
    {.name = "inplace", .dim = {11, 97}, .flags = SCALE, .alias = "dx=dy"},
    {.name = "inplace_plain", .dim = {4, 64}, .alias = "dx=dy"},
    {.name = "on_x", .dim = {9, 384}, .flags = SCALE, .alias = "dx=x"},
    {.name = "on_x_odd", .dim = {5, 1101}, .value = {100}, .alias = "dx=x"},
    {.name = "on_x_long", .dim = {2, 8200}, .flags = WEIGHT | BRANCH | GATE, .alias = "dx=x"},
    {.name = "far_mean", .dim = {6, 1100}, .value = {1000}, .fine = true},
    {.name = "small_values", .dim = {3, 200}, .value = {0, 0.1}, .flags = WEIGHT},
    {.name = "c5120", .dim = {5, 5120}, .flags = SCALE},
    {.name = "many_rows", .dim = {1000, 40}, .flags = SCALE},
    {.name = "next", .dim = {9, 384}, .flags = SCALE | ACCUMULATE | BRANCH | GATE},
    {.name = "next_odd", .dim = {5, 33}, .flags = WEIGHT | BRANCH},
    {.name = "next_on_dy",
     .dim = {6, 264},
     .flags = WEIGHT | ACCUMULATE | BRANCH | GATE,
     .alias = "next=dy"},
    {.name = "next_plain_on_dy", .dim = {4, 70}, .flags = BRANCH, .alias = "next=dy"},
    {.name = "next_5120", .dim = {3, 5120}, .flags = SCALE | ACCUMULATE | BRANCH},
    {.name = "next_long", .dim = {2, 8200}, .flags = SCALE | ACCUMULATE | BRANCH | GATE},
    {.name = "wan_1536", .dim = {4096, 1536}, .flags = SCALE | ACCUMULATE, .large = true},
    {.name = "wan_5120", .dim = {1560, 5120}, .flags = SCALE | ACCUMULATE, .large = true},
    {.name = "wan_5120_next",
     .dim = {1560, 5120},
     .flags = WEIGHT | ACCUMULATE | BRANCH | GATE,
     .alias = "next=dy",
     .large = true},
};

static void make_bwd(rs_opplan *p, const rs_opcase *c)
{
    rs_layernorm_bwd_args *a = (rs_layernorm_bwd_args *)p->args;
    int64_t n = c->dim[C];
    a->eps = eps_of(c);
    a->accumulate = c->flags & ACCUMULATE;
    rs_op_stream(rs_op_out_acc(p, a->accumulate, "dx", &a->dx, 0, RS_SHAPE(c->dim[ROWS], n)))
        ->steps = 8;
    rs_op_branch(rs_op_in(p, "dy", &a->dy, 0, RS_SHAPE(c->dim[ROWS], n)));
    fill_x(rs_op_stream(rs_op_in(p, "x", &a->x, 0, RS_SHAPE(c->dim[ROWS], n))), c);
    if (c->flags & WEIGHT)
        rs_op_in(p, "weight", &a->weight, 0, RS_SHAPE(n));
    if (c->flags & SCALE)
        rs_op_in(p, "scale", &a->scale, 0, RS_SHAPE(n));
    if (c->flags & BRANCH)
        rs_op_branch(rs_op_out(p, "next", &a->next, 0, RS_SHAPE(c->dim[ROWS], n)))->steps = 9;
    if (c->flags & GATE)
        rs_op_in(p, "gate", &a->gate, 0, RS_SHAPE(n));
    if (a->accumulate)
        rs_op_feature(p, "accumulate");
}

/* sum(dy * forward(x)) */
static double loss_bwd(const void *args)
{
    const rs_layernorm_bwd_args *a = args;
    rs_arena *tmp = rs_arena_create();
    rs_layernorm_fwd_args f = {
        .y = a->x, .x = a->x, .weight = a->weight, .scale = a->scale, .eps = a->eps};
    f.y.data = RS_NEW(tmp, double, rs_tensor_count(a->x));
    rs_ref_layernorm_fwd(&f);
    double sum = 0;
    for (int64_t i = 0; i < rs_tensor_count(a->x); i++)
        sum += rs_f64(f.y)[i] * rs_f64(a->dy)[i];
    rs_arena_destroy(&tmp);
    return sum;
}

RS_OPSPEC_REF(layernorm_bwd)
const rs_opspec rs_opspec_layernorm_bwd = {
    .op = "layernorm_bwd",
    .cases = BWD,
    .n = RS_COUNT_OF(BWD),
    .make = make_bwd,
    .ref = ref_layernorm_bwd,
    .option = {"weight", "scale", "accumulate", "next", "gate"},
    .loss = loss_bwd,
    .grad = {{"dx", "x"}},
};
