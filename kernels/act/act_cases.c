#include "kernels/opcase.h"

/* dim: rows C. value: scale of the input (0: 4), the activation. */
enum { ROWS, C };
enum { SCALE, ACT };

static const rs_opcase FWD[] = {
    {.name = "none", .dim = {3, 17}, .value = {0, RS_ACT_NONE}},
    {.name = "gelu_tanh", .dim = {5, 131}, .value = {0, RS_ACT_GELU_TANH}},
    {.name = "gelu_tanh_wide", .dim = {50, 409}, .value = {60, RS_ACT_GELU_TANH}},
    {.name = "gelu_tanh_inplace", .dim = {37, 64}, .value = {0, RS_ACT_GELU_TANH}, .alias = "y=x"},
    {.name = "gelu_erf", .dim = {5, 131}, .value = {0, RS_ACT_GELU_ERF}},
    {.name = "gelu_erf_wide", .dim = {50, 409}, .value = {60, RS_ACT_GELU_ERF}},
    {.name = "gelu_erf_small", .dim = {7, 77}, .value = {1e-3, RS_ACT_GELU_ERF}},
    {.name = "silu", .dim = {1, 1}, .value = {0, RS_ACT_SILU}},
    {.name = "silu_huge", .dim = {9, 65}, .value = {1e6, RS_ACT_SILU}},
    {.name = "silu_inplace", .dim = {300, 131}, .value = {10, RS_ACT_SILU}, .alias = "y=x"},
    {.name = "silu_256x1536", .dim = {256, 1536}, .value = {0, RS_ACT_SILU}, .large = true},
    {.name = "gelu_tanh_ffn", .dim = {1024, 6144}, .value = {0, RS_ACT_GELU_TANH}, .large = true},
    {.name = "gelu_erf_ffn", .dim = {1024, 6144}, .value = {0, RS_ACT_GELU_ERF}, .large = true},
};

static void feature(rs_opplan *p, rs_act act)
{
    static const char *const NAMES[] = {"none", "gelu_tanh", "gelu_erf", "silu"};
    rs_op_feature(p, NAMES[act]);
}

static double scale_of(const rs_opcase *c)
{
    return c->value[SCALE] > 0 ? c->value[SCALE] : 4;
}

static void make_fwd(rs_opplan *p, const rs_opcase *c)
{
    rs_act_fwd_args *a = (rs_act_fwd_args *)p->args;
    a->act = (rs_act)c->value[ACT];
    rs_op_branch(rs_op_out(p, "y", &a->y, 0, RS_SHAPE(c->dim[ROWS], c->dim[C])));
    rs_op_branch(rs_op_in(p, "x", &a->x, 0, RS_SHAPE(c->dim[ROWS], c->dim[C])))->scale =
        scale_of(c);
    feature(p, a->act);
}

RS_OPSPEC_REF(act_fwd)
const rs_opspec rs_opspec_act_fwd = {
    .op = "act_fwd",
    .cases = FWD,
    .n = RS_COUNT_OF(FWD),
    .make = make_fwd,
    .ref = ref_act_fwd,
    .option = {"none", "gelu_tanh", "gelu_erf", "silu"},
};

static const rs_opcase BWD[] = {
    {.name = "none", .dim = {3, 17}, .value = {0, RS_ACT_NONE}},
    {.name = "gelu_tanh", .dim = {5, 131}, .value = {0, RS_ACT_GELU_TANH}},
    {.name = "gelu_tanh_wide", .dim = {50, 409}, .value = {60, RS_ACT_GELU_TANH}},
    {.name = "gelu_tanh_inplace",
     .dim = {37, 64},
     .value = {0, RS_ACT_GELU_TANH},
     .alias = "dx=dy"},
    {.name = "gelu_erf", .dim = {5, 131}, .value = {0, RS_ACT_GELU_ERF}},
    {.name = "gelu_erf_wide", .dim = {50, 409}, .value = {60, RS_ACT_GELU_ERF}},
    {.name = "silu", .dim = {1, 1}, .value = {0, RS_ACT_SILU}},
    {.name = "silu_wide", .dim = {9, 65}, .value = {100, RS_ACT_SILU}},
    {.name = "silu_inplace", .dim = {300, 131}, .value = {10, RS_ACT_SILU}, .alias = "dx=dy"},
    {.name = "gelu_tanh_ffn", .dim = {1024, 6144}, .value = {0, RS_ACT_GELU_TANH}, .large = true},
};

static void make_bwd(rs_opplan *p, const rs_opcase *c)
{
    rs_act_bwd_args *a = (rs_act_bwd_args *)p->args;
    a->act = (rs_act)c->value[ACT];
    rs_op_branch(rs_op_out(p, "dx", &a->dx, 0, RS_SHAPE(c->dim[ROWS], c->dim[C])));
    rs_op_branch(rs_op_in(p, "dy", &a->dy, 0, RS_SHAPE(c->dim[ROWS], c->dim[C])));
    rs_op_branch(rs_op_in(p, "x", &a->x, 0, RS_SHAPE(c->dim[ROWS], c->dim[C])))->scale =
        scale_of(c);
    feature(p, a->act);
}

/* sum(dy * act(x)) */
static double loss_bwd(const void *args)
{
    const rs_act_bwd_args *a = args;
    double sum = 0;
    for (int64_t i = 0; i < rs_tensor_count(a->x); i++) {
        double y = 0;
        rs_ref_act_fwd(
            &(rs_act_fwd_args){.y = rs_tensor_of(&y, RS_DTYPE_F64, RS_SHAPE(1)),
                               .x = rs_tensor_of(rs_f64(a->x) + i, RS_DTYPE_F64, RS_SHAPE(1)),
                               .act = a->act});
        sum += y * rs_f64(a->dy)[i];
    }
    return sum;
}

RS_OPSPEC_REF(act_bwd)
const rs_opspec rs_opspec_act_bwd = {
    .op = "act_bwd",
    .cases = BWD,
    .n = RS_COUNT_OF(BWD),
    .make = make_bwd,
    .ref = ref_act_bwd,
    .option = {"none", "gelu_tanh", "gelu_erf", "silu"},
    .loss = loss_bwd,
    .grad = {{"dx", "x"}},
};

static const rs_opcase GLU[] = {
    {.name = "none", .dim = {3, 17}, .value = {0, RS_ACT_NONE}},
    {.name = "gelu_tanh", .dim = {5, 131}, .value = {0, RS_ACT_GELU_TANH}},
    {.name = "gelu_erf", .dim = {70, 250}, .value = {0, RS_ACT_GELU_ERF}},
    {.name = "silu", .dim = {1, 33}, .value = {0, RS_ACT_SILU}},
    {.name = "gelu_tanh_on_a", .dim = {9, 100}, .value = {0, RS_ACT_GELU_TANH}, .alias = "y=a"},
    {.name = "gelu_tanh_on_b", .dim = {9, 100}, .value = {0, RS_ACT_GELU_TANH}, .alias = "y=b"},
    {.name = "t5_512x10240", .dim = {512, 10240}, .value = {0, RS_ACT_GELU_TANH}, .large = true},
};

static void make_glu(rs_opplan *p, const rs_opcase *c)
{
    rs_glu_fwd_args *a = (rs_glu_fwd_args *)p->args;
    a->act = (rs_act)c->value[ACT];
    rs_op_branch(rs_op_out(p, "y", &a->y, 0, RS_SHAPE(c->dim[ROWS], c->dim[C])));
    rs_op_branch(rs_op_in(p, "a", &a->a, 0, RS_SHAPE(c->dim[ROWS], c->dim[C])))->scale =
        scale_of(c);
    rs_op_branch(rs_op_in(p, "b", &a->b, 0, RS_SHAPE(c->dim[ROWS], c->dim[C])));
    feature(p, a->act);
}

RS_OPSPEC_REF(glu_fwd)
const rs_opspec rs_opspec_glu_fwd = {
    .op = "glu_fwd",
    .cases = GLU,
    .n = RS_COUNT_OF(GLU),
    .make = make_glu,
    .ref = ref_glu_fwd,
    .option = {"none", "gelu_tanh", "gelu_erf", "silu"},
};
