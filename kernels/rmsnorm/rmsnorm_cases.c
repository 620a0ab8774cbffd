#include "kernels/opcase.h"

/* dim: rows C, then the pads of y (dx), x, dy. value: factor on x (0: 1), floor (0: eps mode),
 * activation. */
enum { ROWS, C, PAD_Y, PAD_X, PAD_DY };
enum { FACTOR, FLOOR, ACT };

static const rs_opcase FWD[] = {
    {.name = "one", .dim = {1, 1}},
    {.name = "odd", .dim = {7, 33}},
    {.name = "ld", .dim = {9, 50, 3, 5}},
    {.name = "ld_inplace", .dim = {9, 50, 5, 5}, .alias = "y=x"},
    {.name = "inplace", .dim = {12, 130}, .alias = "y=x"},
    {.name = "c5120", .dim = {3, 5120}},
    {.name = "tiny_values", .dim = {5, 100}, .value = {1e-3}},
    {.name = "huge_values", .dim = {5, 100}, .value = {1e12}},
    {.name = "long_row", .dim = {2, 1000001}},
    {.name = "floor", .dim = {40, 96}, .value = {0, 1e-12}},
    {.name = "floor_active", .dim = {5, 24}, .value = {1e-4, 1e-3}},
    {.name = "floor_silu", .dim = {200, 96}, .value = {0, 1e-12, RS_ACT_SILU}},
    {.name = "floor_silu_tiny", .dim = {33, 8}, .value = {0, 1e-12, RS_ACT_SILU}, .alias = "y=x"},
    {.name = "gelu_tanh", .dim = {4, 19}, .value = {0, 0, RS_ACT_GELU_TANH}},
    {.name = "gelu_erf", .dim = {4, 19}, .value = {0, 0, RS_ACT_GELU_ERF}},
    {.name = "many_rows", .dim = {3000, 16}, .value = {0, 1e-12, RS_ACT_SILU}},
    {.name = "wan_1536", .dim = {4096, 1536}, .large = true},
    {.name = "wan_5120", .dim = {1560, 5120}, .large = true},
    {.name = "vae_96", .dim = {99840, 96}, .value = {0, 1e-12, RS_ACT_SILU}, .large = true},
    {.name = "vae_384", .dim = {6240, 384}, .value = {0, 1e-12, RS_ACT_SILU}, .large = true},
};

static double factor_of(const rs_opcase *c)
{
    return c->value[FACTOR] > 0 ? c->value[FACTOR] : 1;
}

static void make_fwd(rs_opplan *p, const rs_opcase *c)
{
    rs_rmsnorm_fwd_args *a = (rs_rmsnorm_fwd_args *)p->args;
    const int64_t *d = c->dim;
    a->eps = 1e-6f;
    a->floor = (float)c->value[FLOOR];
    a->act = (rs_act)c->value[ACT];
    rs_op_branch(rs_op_out(p, "y", &a->y, d[PAD_Y], RS_SHAPE(d[ROWS], d[C])));
    rs_op_branch(rs_op_in(p, "x", &a->x, d[PAD_X], RS_SHAPE(d[ROWS], d[C])))->scale = factor_of(c);
    rs_op_in(p, "weight", &a->weight, 0, RS_SHAPE(d[C]))->shift = 1;
    static const char *const ACTS[] = {"", "gelu_tanh", "gelu_erf", "silu"};
    if (a->act != RS_ACT_NONE)
        rs_op_feature(p, ACTS[a->act]);
    if (a->floor > 0)
        rs_op_feature(p, "floor");
}

RS_OPSPEC_REF(rmsnorm_fwd)
const rs_opspec rs_opspec_rmsnorm_fwd = {
    .op = "rmsnorm_fwd",
    .cases = FWD,
    .n = RS_COUNT_OF(FWD),
    .make = make_fwd,
    .ref = ref_rmsnorm_fwd,
    .option = {"floor", "silu", "gelu_tanh", "gelu_erf"},
};

static const rs_opcase BWD[] = {
    {.name = "two", .dim = {1, 2}},
    {.name = "odd", .dim = {7, 33}},
    {.name = "ld", .dim = {9, 50, 3, 5, 1}},
    {.name = "ld_inplace", .dim = {9, 50, 5, 2, 5}, .alias = "dx=dy"},
    {.name = "inplace", .dim = {12, 130}, .alias = "dx=dy"},
    {.name = "c5120", .dim = {3, 5120}},
    {.name = "small_values", .dim = {5, 100}, .value = {0.1}},
    {.name = "many_rows", .dim = {3000, 16}},
    {.name = "wan_1536", .dim = {4096, 1536}, .large = true},
    {.name = "wan_5120", .dim = {1560, 5120}, .large = true},
};

static void make_bwd(rs_opplan *p, const rs_opcase *c)
{
    rs_rmsnorm_bwd_args *a = (rs_rmsnorm_bwd_args *)p->args;
    const int64_t *d = c->dim;
    a->eps = 1e-6f;
    rs_op_branch(rs_op_out(p, "dx", &a->dx, d[PAD_Y], RS_SHAPE(d[ROWS], d[C])))->steps = 6;
    rs_op_branch(rs_op_in(p, "dy", &a->dy, d[PAD_DY], RS_SHAPE(d[ROWS], d[C])));
    rs_op_branch(rs_op_in(p, "x", &a->x, d[PAD_X], RS_SHAPE(d[ROWS], d[C])))->scale = factor_of(c);
    rs_op_in(p, "weight", &a->weight, 0, RS_SHAPE(d[C]))->shift = 1;
}

/* sum(dy * forward(x)) */
static double loss_bwd(const void *args)
{
    const rs_rmsnorm_bwd_args *a = args;
    rs_arena *tmp = rs_arena_create();
    int64_t rows = rs_tensor_rows(a->x), c = rs_tensor_cols(a->x);
    double *y = RS_NEW(tmp, double, rows *c), sum = 0;
    rs_ref_rmsnorm_fwd(&(rs_rmsnorm_fwd_args){.y = rs_tensor_of(y, RS_DTYPE_F64, RS_SHAPE(rows, c)),
                                              .x = a->x,
                                              .weight = a->weight,
                                              .eps = a->eps});
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < c; i++)
            sum += y[r * c + i] * rs_f64(a->dy)[r * a->dy.ld + i];
    rs_arena_destroy(&tmp);
    return sum;
}

RS_OPSPEC_REF(rmsnorm_bwd)
const rs_opspec rs_opspec_rmsnorm_bwd = {
    .op = "rmsnorm_bwd",
    .cases = BWD,
    .n = RS_COUNT_OF(BWD),
    .make = make_bwd,
    .ref = ref_rmsnorm_bwd,
    .loss = loss_bwd,
    .grad = {{"dx", "x"}},
};
