#include "kernels/opcase.h"

/* dim: F Hp Wp heads D, the pads of y and x, the first token. flags: tokens left out at the end.
 * Pairs as in Wan: 2*floor(D/6) reals for height and for width, the rest for frames. */
enum { F, HP, WP, HEADS, D, PAD_Y, PAD_X, FIRST };

static const rs_opcase CASES[] = {
    {.name = "one", .dim = {1, 1, 1, 1, 6}},
    {.name = "d8", .dim = {2, 3, 2, 3, 8}},
    {.name = "d10_ld", .dim = {3, 2, 5, 2, 10, 3, 7}},
    {.name = "d32", .dim = {2, 2, 3, 4, 32}},
    {.name = "d64_inplace", .dim = {3, 4, 5, 2, 64}, .alias = "y=x"},
    {.name = "d126", .dim = {2, 3, 3, 1, 126}},
    {.name = "d128", .dim = {3, 5, 7, 2, 128}},
    {.name = "ld_inplace", .dim = {3, 5, 7, 2, 16, 9, 9}, .alias = "y=x"},
    {.name = "from_token_17", .dim = {3, 4, 5, 2, 64, 0, 0, 17}, .flags = 20, .alias = "y=x"},
    {.name = "last_token", .dim = {2, 3, 3, 3, 8, 1, 2, 17}},
    {.name = "long_axes", .dim = {21, 45, 2, 1, 12}},
    {.name = "wan_1536", .dim = {4, 30, 52, 12, 128}, .alias = "y=x", .large = true},
    {.name = "wan_5120", .dim = {1, 30, 52, 40, 128}, .alias = "y=x", .large = true},
};

static void make(rs_opplan *p, const rs_opcase *c)
{
    rs_rope_fwd_args *a = (rs_rope_fwd_args *)p->args;
    const int64_t *d = c->dim;
    int64_t s = d[F] * d[HP] * d[WP] - d[FIRST] - c->flags, ph = d[D] / 6;
    int64_t pf = d[D] / 2 - 2 * ph;
    a->heads = d[HEADS];
    a->first = d[FIRST];
    rs_op_branch(rs_op_out(p, "y", &a->y, d[PAD_Y], RS_SHAPE(s, d[HEADS] * d[D])));
    rs_op_branch(rs_op_in(p, "x", &a->x, d[PAD_X], RS_SHAPE(s, d[HEADS] * d[D])));
    rs_op_in(p, "table_f", &a->table_f, 0, RS_SHAPE(d[F], pf, 2));
    rs_op_in(p, "table_h", &a->table_h, 0, RS_SHAPE(d[HP], ph, 2));
    rs_op_in(p, "table_w", &a->table_w, 0, RS_SHAPE(d[WP], ph, 2));
    if (a->first > 0)
        rs_op_feature(p, "first");
}

static void prepare(const rs_opcase *c, void *args)
{
    (void)c;
    const rs_rope_fwd_args *a = args;
    rs_ref_rope_table(a->table_f);
    rs_ref_rope_table(a->table_h);
    rs_ref_rope_table(a->table_w);
}

RS_OPSPEC_REF(rope_fwd)
const rs_opspec rs_opspec_rope_fwd = {
    .op = "rope_fwd",
    .cases = CASES,
    .n = RS_COUNT_OF(CASES),
    .make = make,
    .ref = ref_rope_fwd,
    .prepare = prepare,
    .option = {"first"},
};

RS_OPSPEC_REF(rope_bwd)
const rs_opspec rs_opspec_rope_bwd = {
    .op = "rope_bwd",
    .cases = CASES,
    .n = RS_COUNT_OF(CASES),
    .make = make,
    .ref = ref_rope_bwd,
    .prepare = prepare,
    .option = {"first"},
};
