#include "kernels/opcase.h"

/* dim: rows C, then the pads of y (dx), x, dy; heads to rotate (0: none) and the first row's token,
 * in frames of 3 x 5 patches. value: factor on x (0: 1), floor (0: eps mode), activation. */
enum { ROWS, C, PAD_Y, PAD_X, PAD_DY, HEADS, FIRST };
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
    {.name = "rope", .dim = {47, 24, 0, 0, 0, 3}},
    {.name = "rope_d10_ld", .dim = {31, 30, 3, 5, 0, 3, 7}},
    {.name = "rope_d128_inplace", .dim = {17, 384, 0, 0, 0, 3, 28}, .alias = "y=x"},
    {.name = "rope_one_head", .dim = {33, 6, 2, 2, 0, 1}, .alias = "y=x"},
    {.name = "rope_5120", .dim = {3, 5120, 0, 0, 0, 40, 14}},
    {.name = "wan_1536", .dim = {4096, 1536}, .large = true},
    {.name = "wan_5120", .dim = {1560, 5120}, .large = true},
    {.name = "wan_5120_rope", .dim = {1560, 5120, 0, 0, 0, 40}, .large = true},
    {.name = "vae_96", .dim = {99840, 96}, .value = {0, 1e-12, RS_ACT_SILU}, .large = true},
    {.name = "vae_384", .dim = {6240, 384}, .value = {0, 1e-12, RS_ACT_SILU}, .large = true},
};

static double factor_of(const rs_opcase *c)
{
    return c->value[FACTOR] > 0 ? c->value[FACTOR] : 1;
}

/* Of one head: floor(pairs / 3) for height and for width, the rest for frames. */
static void make_tables(rs_opplan *p, const rs_opcase *c, rs_tensor *f, rs_tensor *h, rs_tensor *w)
{
    enum { HP = 3, WP = 5 };
    const int64_t *d = c->dim;
    if (d[HEADS] == 0)
        return;
    int64_t pairs = d[C] / d[HEADS] / 2, ph = pairs / 3;
    int64_t frames = rs_ceil_div(d[FIRST] + d[ROWS], HP * WP);
    rs_op_in(p, "table_f", f, 0, RS_SHAPE(frames, pairs - 2 * ph, 2));
    rs_op_in(p, "table_h", h, 0, RS_SHAPE(HP, ph, 2));
    rs_op_in(p, "table_w", w, 0, RS_SHAPE(WP, ph, 2));
}

static void make_fwd(rs_opplan *p, const rs_opcase *c)
{
    rs_rmsnorm_fwd_args *a = (rs_rmsnorm_fwd_args *)p->args;
    const int64_t *d = c->dim;
    a->eps = 1e-6f;
    a->floor = (float)c->value[FLOOR];
    a->act = (rs_act)c->value[ACT];
    rs_op_branch(rs_op_out(p, "y", &a->y, d[PAD_Y], RS_SHAPE(d[ROWS], d[C])));
    rs_op_stream(rs_op_in(p, "x", &a->x, d[PAD_X], RS_SHAPE(d[ROWS], d[C])))->scale = factor_of(c);
    rs_op_in(p, "weight", &a->weight, 0, RS_SHAPE(d[C]))->shift = 1;
    a->heads = d[HEADS];
    a->first = d[FIRST];
    make_tables(p, c, &a->table_f, &a->table_h, &a->table_w);
    static const char *const ACTS[] = {"", "gelu_tanh", "gelu_erf", "silu"};
    if (a->act != RS_ACT_NONE)
        rs_op_feature(p, ACTS[a->act]);
    if (a->floor > 0)
        rs_op_feature(p, "floor");
}

static void prepare_fwd(const rs_opcase *c, void *args)
{
    const rs_rmsnorm_fwd_args *a = args;
    if (c->dim[HEADS] == 0)
        return;
    rs_ref_rope_table(a->table_f);
    rs_ref_rope_table(a->table_h);
    rs_ref_rope_table(a->table_w);
}

RS_OPSPEC_REF(rmsnorm_fwd)
const rs_opspec rs_opspec_rmsnorm_fwd = {
    .op = "rmsnorm_fwd",
    .cases = FWD,
    .n = RS_COUNT_OF(FWD),
    .make = make_fwd,
    .ref = ref_rmsnorm_fwd,
    .prepare = prepare_fwd,
    .option = {"floor", "silu", "gelu_tanh", "gelu_erf", "table_f"},
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
    {.name = "rope", .dim = {47, 24, 0, 0, 0, 3}},
    {.name = "rope_d10_ld", .dim = {31, 30, 3, 5, 1, 3, 7}},
    {.name = "rope_d128_inplace", .dim = {17, 384, 0, 0, 0, 3, 28}, .alias = "dx=dy"},
    {.name = "rope_5120", .dim = {3, 5120, 0, 0, 0, 40, 14}},
    {.name = "wan_5120_rope", .dim = {1560, 5120, 0, 0, 0, 40}, .alias = "dx=dy", .large = true},
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
    a->heads = d[HEADS];
    a->first = d[FIRST];
    make_tables(p, c, &a->table_f, &a->table_h, &a->table_w);
}

static void prepare_bwd(const rs_opcase *c, void *args)
{
    const rs_rmsnorm_bwd_args *a = args;
    rs_rmsnorm_fwd_args f = {.table_f = a->table_f, .table_h = a->table_h, .table_w = a->table_w};
    prepare_fwd(c, &f);
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
                                              .eps = a->eps,
                                              .table_f = a->table_f,
                                              .table_h = a->table_h,
                                              .table_w = a->table_w,
                                              .heads = a->heads,
                                              .first = a->first});
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
    .prepare = prepare_bwd,
    .option = {"table_f"},
    .loss = loss_bwd,
    .grad = {{"dx", "x"}},
};
