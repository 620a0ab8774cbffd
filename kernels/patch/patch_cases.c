#include "kernels/opcase.h"

/* dim: C F H W, pt ph pw, pad of tokens */
enum { C, F, H, W, PT, PH, PW, PAD };
enum { INVERSE = 1 };

static const rs_opcase PATCHIFY[] = {
    {.name = "one", .dim = {1, 1, 1, 1, 1, 1, 1}},
    {.name = "wan", .dim = {5, 3, 4, 6, 1, 2, 2}},
    {.name = "wan_even", .dim = {9, 3, 4, 40, 1, 2, 2, 3}},
    {.name = "wan_rows", .dim = {16, 3, 30, 104, 1, 2, 2}},
    {.name = "general", .dim = {3, 4, 6, 8, 2, 3, 4}},
    {.name = "ld", .dim = {4, 2, 6, 4, 1, 2, 2, 5}},
    {.name = "image", .dim = {3, 1, 28, 28, 1, 14, 14}},
    {.name = "wan_i2v", .dim = {36, 4, 60, 104, 1, 2, 2}, .large = true},
    {.name = "clip", .dim = {3, 1, 224, 224, 1, 14, 14}, .large = true},
};

static void exact(rs_optensor *t)
{
    t->steps = 0;
    t->reduction = 0;
}

static int64_t tokens_of(const int64_t *d)
{
    return d[F] / d[PT] * (d[H] / d[PH]) * (d[W] / d[PW]);
}

static void make_patchify(rs_opplan *p, const rs_opcase *c)
{
    rs_patchify_args *a = (rs_patchify_args *)p->args;
    const int64_t *d = c->dim;
    int64_t features = d[C] * d[PT] * d[PH] * d[PW];
    for (int i = 0; i < 3; i++)
        a->patch[i] = d[PT + i];
    exact(
        rs_op_branch(rs_op_out(p, "tokens", &a->tokens, d[PAD], RS_SHAPE(tokens_of(d), features))));
    rs_op_stream(rs_op_in(p, "x", &a->x, 0, RS_SHAPE(d[C], d[F], d[H], d[W])));
}

RS_OPSPEC_REF(patchify)
const rs_opspec rs_opspec_patchify = {
    .op = "patchify",
    .cases = PATCHIFY,
    .n = RS_COUNT_OF(PATCHIFY),
    .make = make_patchify,
    .converts = true,
    .ref = ref_patchify,
};

static const rs_opcase UNPATCHIFY[] = {
    {.name = "one", .dim = {1, 1, 1, 1, 1, 1, 1}},
    {.name = "wan", .dim = {5, 3, 4, 6, 1, 2, 2}},
    {.name = "wan_inverse", .dim = {5, 3, 4, 6, 1, 2, 2}, .flags = INVERSE},
    {.name = "wan_even", .dim = {9, 3, 4, 40, 1, 2, 2, 3}},
    {.name = "wan_rows", .dim = {16, 3, 30, 104, 1, 2, 2}},
    {.name = "wan_even_inverse", .dim = {9, 3, 4, 40, 1, 2, 2, 3}, .flags = INVERSE},
    {.name = "general", .dim = {3, 4, 6, 8, 2, 3, 4}},
    {.name = "general_inverse", .dim = {3, 4, 6, 8, 2, 3, 4}, .flags = INVERSE},
    {.name = "ld", .dim = {4, 2, 6, 4, 1, 2, 2, 5}},
    {.name = "ld_inverse", .dim = {4, 2, 6, 4, 1, 2, 2, 5}, .flags = INVERSE},
    {.name = "wan_16", .dim = {16, 4, 60, 104, 1, 2, 2}, .large = true},
};

static void make_unpatchify(rs_opplan *p, const rs_opcase *c)
{
    rs_unpatchify_args *a = (rs_unpatchify_args *)p->args;
    const int64_t *d = c->dim;
    int64_t features = d[C] * d[PT] * d[PH] * d[PW];
    for (int i = 0; i < 3; i++)
        a->patch[i] = d[PT + i];
    a->inverse = c->flags & INVERSE;
    if (a->inverse) {
        exact(rs_op_branch(
            rs_op_out(p, "tokens", &a->tokens, d[PAD], RS_SHAPE(tokens_of(d), features))));
        rs_op_stream(rs_op_in(p, "x", &a->x, 0, RS_SHAPE(d[C], d[F], d[H], d[W])));
        rs_op_feature(p, "inverse");
    } else {
        exact(rs_op_stream(rs_op_out(p, "x", &a->x, 0, RS_SHAPE(d[C], d[F], d[H], d[W]))));
        rs_op_branch(rs_op_in(p, "tokens", &a->tokens, d[PAD], RS_SHAPE(tokens_of(d), features)));
    }
}

RS_OPSPEC_REF(unpatchify)
const rs_opspec rs_opspec_unpatchify = {
    .op = "unpatchify",
    .cases = UNPATCHIFY,
    .n = RS_COUNT_OF(UNPATCHIFY),
    .make = make_unpatchify,
    .converts = true,
    .ref = ref_unpatchify,
    .option = {"inverse"},
};
