#include "kernels/conv3d/conv3d_wino.h"
#include "kernels/opcase.h"

/* dim: T H W Ci Co kt kh kw. value: 0 for the usual padding k/2, else 1 + pads as digits tblr
 * (1+1010 = top 1, left 1); strides as digits tyx (0: 111). */
enum { T, H, W, CI, CO, KT, KH, KW };
enum { PADS, STRIDES };
enum { PREV = 1, BIAS = 2, RESIDUAL = 4, UPSAMPLE = 8, BF16 = 16 };

static const rs_opcase CASES[] = {
    {.name = "point", .dim = {1, 1, 1, 1, 1, 1, 1, 1}},
    {.name = "point_wide", .dim = {2, 3, 5, 33, 17, 1, 1, 1}, .flags = BIAS},
    {.name = "point_residual", .dim = {1, 4, 9, 8, 50, 1, 1, 1}, .flags = RESIDUAL},
    {.name = "frame", .dim = {1, 6, 7, 3, 8, 3, 3, 3}, .flags = BIAS},
    {.name = "clip", .dim = {4, 5, 9, 4, 6, 3, 3, 3}, .flags = BIAS},
    {.name = "prev", .dim = {2, 5, 9, 4, 6, 3, 3, 3}, .flags = BIAS | PREV},
    {.name = "residual", .dim = {2, 5, 9, 7, 5, 3, 3, 3}, .flags = BIAS | PREV | RESIDUAL},
    {.name = "residual_on_y",
     .dim = {1, 8, 11, 16, 16, 3, 3, 3},
     .flags = BIAS | PREV | RESIDUAL,
     .alias = "y=residual"},
    {.name = "one_pixel", .dim = {3, 1, 1, 5, 3, 3, 3, 3}, .flags = PREV},
    {.name = "one_row", .dim = {2, 1, 19, 8, 8, 3, 3, 3}, .flags = PREV},
    {.name = "one_column", .dim = {2, 19, 1, 8, 8, 3, 3, 3}, .flags = PREV},
    {.name = "narrow", .dim = {2, 4, 3, 20, 33, 3, 3, 3}, .flags = BIAS},
    {.name = "no_padding", .dim = {2, 6, 7, 5, 4, 1, 3, 3}, .value = {1 + 0}},
    {.name = "asymmetric", .dim = {1, 6, 7, 5, 4, 2, 3, 3}, .value = {1 + 2013}, .flags = PREV},
    {.name = "rectangle", .dim = {2, 6, 9, 5, 4, 2, 3, 5}, .flags = PREV},
    {.name = "even_kernel", .dim = {2, 6, 9, 5, 4, 4, 2, 4}, .flags = PREV},
    {.name = "time_only", .dim = {5, 3, 4, 6, 12, 3, 1, 1}, .flags = BIAS | PREV},
    {.name = "down2d", .dim = {3, 8, 10, 6, 6, 1, 3, 3}, .value = {1 + 101, 122}, .flags = BIAS},
    {.name = "down2d_odd", .dim = {2, 9, 7, 6, 6, 1, 3, 3}, .value = {1 + 101, 122}},
    {.name = "down_time", .dim = {5, 3, 4, 6, 6, 3, 1, 1}, .value = {0, 211}, .flags = PREV | BIAS},
    {.name = "stride3", .dim = {4, 10, 11, 4, 9, 2, 3, 3}, .value = {0, 323}, .flags = PREV},
    {.name = "up2d", .dim = {2, 5, 7, 8, 4, 1, 3, 3}, .flags = UPSAMPLE | BIAS},
    {.name = "up2d_one", .dim = {1, 1, 1, 3, 2, 1, 3, 3}, .flags = UPSAMPLE},
    {.name = "up3d", .dim = {2, 4, 5, 6, 20, 3, 3, 3}, .flags = UPSAMPLE | BIAS | PREV | RESIDUAL},
    {.name = "up_point", .dim = {1, 4, 5, 6, 3, 1, 1, 1}, .flags = UPSAMPLE},
    {.name = "up_wide", .dim = {1, 4, 5, 3, 2, 1, 5, 4}, .flags = UPSAMPLE},
    {.name = "up_pads", .dim = {1, 4, 5, 6, 3, 1, 3, 3}, .value = {1 + 120}, .flags = UPSAMPLE},
    {.name = "up_stride", .dim = {1, 6, 7, 6, 3, 1, 3, 3}, .value = {0, 132}, .flags = UPSAMPLE},
    {.name = "tiles", .dim = {2, 17, 18, 40, 104, 3, 3, 3}, .flags = BIAS | PREV | RESIDUAL},
    {.name = "tiles_first", .dim = {4, 3, 17, 32, 32, 3, 3, 3}, .flags = BIAS},
    {.name = "tiles_plane", .dim = {2, 9, 18, 64, 96, 1, 3, 3}, .flags = RESIDUAL},
    {.name = "tiles_time", .dim = {3, 5, 18, 72, 48, 3, 1, 1}, .flags = BIAS | PREV},
    {.name = "tiles_point", .dim = {1, 17, 5, 104, 192, 1, 1, 1}, .flags = BIAS},
    {.name = "tiles_pair", .dim = {1, 6, 18, 40, 32, 2, 1, 2}, .flags = PREV},
    {.name = "tiles_down",
     .dim = {2, 19, 38, 24, 32, 1, 3, 3},
     .value = {1 + 101, 122},
     .flags = BIAS},
    {.name = "tiles_stride", .dim = {5, 7, 20, 16, 16, 3, 1, 3}, .value = {0, 213}, .flags = PREV},
    {.name = "tiles_up", .dim = {1, 9, 10, 32, 16, 1, 3, 3}, .flags = UPSAMPLE | BIAS},
    {.name = "vae_8", .dim = {2, 16, 24, 8, 8, 3, 3, 3}, .flags = BIAS | PREV},
    {.name = "vae_96", .dim = {1, 5, 20, 96, 96, 3, 3, 3}, .flags = BIAS | PREV},
    {.name = "many_panels", .dim = {1, 3, 9, 70, 200, 3, 3, 3}, .flags = BIAS | PREV},
    {.name = "long_sum", .dim = {1, 2, 9, 420, 100, 3, 3, 3}, .flags = PREV | RESIDUAL},
    {.name = "pairs_asymmetric",
     .dim = {2, 6, 8, 17, 18, 2, 3, 3},
     .value = {1 + 2013},
     .flags = PREV | RESIDUAL},
    {.name = "pairs_one_line", .dim = {3, 4, 7, 16, 50, 3, 1, 3}, .flags = BIAS},
    {.name = "pairs_no_padding", .dim = {1, 6, 9, 24, 16, 1, 3, 3}, .value = {1 + 0}},
    {.name = "pairs_two_columns", .dim = {2, 5, 2, 16, 16, 3, 3, 3}, .flags = PREV | BIAS},
    {.name = "pairs_in_bands", .dim = {6, 24, 101, 384, 16, 1, 3, 3}, .flags = BIAS | RESIDUAL},
    {.name = "vae_96_8x832",
     .dim = {1, 8, 832, 96, 96, 3, 3, 3},
     .flags = BIAS | PREV | RESIDUAL,
     .large = true},
    {.name = "vae_192_8x416",
     .dim = {1, 8, 416, 192, 192, 3, 3, 3},
     .flags = BIAS | PREV,
     .large = true},
    {.name = "vae_384_8x104",
     .dim = {1, 8, 104, 384, 384, 3, 3, 3},
     .flags = BIAS | PREV,
     .large = true},
    {.name = "vae_up_192",
     .dim = {1, 8, 416, 192, 96, 1, 3, 3},
     .flags = BIAS | UPSAMPLE,
     .large = true},
    {.name = "vae_down_96",
     .dim = {1, 16, 832, 96, 96, 1, 3, 3},
     .value = {1 + 101, 122},
     .flags = BIAS,
     .large = true},
    {.name = "vae_in_3", .dim = {1, 8, 832, 3, 96, 3, 3, 3}, .flags = BIAS | PREV, .large = true},
    {.name = "vae_out_3", .dim = {1, 8, 832, 96, 3, 3, 3, 3}, .flags = BIAS | PREV, .large = true},
    {.name = "vae_short_192", .dim = {1, 8, 416, 192, 384, 1, 1, 1}, .flags = BIAS, .large = true},
    {.name = "small_8", .dim = {1, 64, 96, 8, 8, 3, 3, 3}, .flags = BIAS | PREV, .large = true},
    {.name = "small_16", .dim = {1, 32, 48, 16, 16, 3, 3, 3}, .flags = BIAS | PREV, .large = true},
    {.name = "small_32", .dim = {1, 16, 24, 32, 32, 3, 3, 3}, .flags = BIAS | PREV, .large = true},
    {.name = "bf16_point", .dim = {1, 1, 1, 1, 1, 1, 1, 1}, .flags = BF16, .rounds = true},
    {.name = "bf16_point_wide",
     .dim = {2, 3, 5, 33, 17, 1, 1, 1},
     .flags = BIAS | BF16,
     .rounds = true},
    {.name = "bf16_frame", .dim = {1, 6, 7, 3, 8, 3, 3, 3}, .flags = BIAS | BF16, .rounds = true},
    {.name = "bf16_prev",
     .dim = {2, 5, 9, 4, 6, 3, 3, 3},
     .flags = BIAS | PREV | BF16,
     .rounds = true},
    {.name = "bf16_residual",
     .dim = {2, 5, 9, 7, 5, 3, 3, 3},
     .flags = BIAS | PREV | RESIDUAL | BF16,
     .rounds = true},
    {.name = "bf16_residual_on_y",
     .dim = {1, 8, 11, 16, 16, 3, 3, 3},
     .flags = BIAS | PREV | RESIDUAL | BF16,
     .alias = "y=residual",
     .rounds = true},
    {.name = "bf16_one_pixel",
     .dim = {3, 1, 1, 5, 3, 3, 3, 3},
     .flags = PREV | BF16,
     .rounds = true},
    {.name = "bf16_narrow",
     .dim = {2, 4, 3, 20, 33, 3, 3, 3},
     .flags = BIAS | BF16,
     .rounds = true},
    {.name = "bf16_asymmetric",
     .dim = {1, 6, 7, 5, 4, 2, 3, 3},
     .value = {1 + 2013},
     .flags = PREV | BF16,
     .rounds = true},
    {.name = "bf16_rectangle",
     .dim = {2, 6, 9, 5, 4, 2, 3, 5},
     .flags = PREV | BF16,
     .rounds = true},
    {.name = "bf16_down2d_odd",
     .dim = {2, 9, 7, 6, 6, 1, 3, 3},
     .value = {1 + 101, 122},
     .flags = BF16,
     .rounds = true},
    {.name = "bf16_down_time",
     .dim = {5, 3, 4, 6, 6, 3, 1, 1},
     .value = {0, 211},
     .flags = PREV | BIAS | BF16,
     .rounds = true},
    {.name = "bf16_up2d",
     .dim = {2, 5, 7, 8, 4, 1, 3, 3},
     .flags = UPSAMPLE | BIAS | BF16,
     .rounds = true},
    {.name = "bf16_up3d",
     .dim = {2, 4, 5, 6, 20, 3, 3, 3},
     .flags = UPSAMPLE | BIAS | PREV | RESIDUAL | BF16,
     .rounds = true},
    {.name = "bf16_up_wide",
     .dim = {1, 4, 5, 3, 2, 1, 5, 4},
     .flags = UPSAMPLE | BF16,
     .rounds = true},
    {.name = "bf16_pairs_asymmetric",
     .dim = {2, 6, 8, 17, 18, 2, 3, 3},
     .value = {1 + 2013},
     .flags = PREV | RESIDUAL | BF16,
     .rounds = true},
    {.name = "bf16_pairs_one_line",
     .dim = {3, 4, 7, 16, 50, 3, 1, 3},
     .flags = BIAS | BF16,
     .rounds = true},
    {.name = "bf16_vae_8",
     .dim = {2, 16, 24, 8, 8, 3, 3, 3},
     .flags = BIAS | PREV | BF16,
     .rounds = true},
    {.name = "bf16_vae_96",
     .dim = {1, 5, 20, 96, 96, 3, 3, 3},
     .flags = BIAS | PREV | BF16,
     .rounds = true},
    {.name = "bf16_many_panels",
     .dim = {1, 3, 9, 70, 200, 3, 3, 3},
     .flags = BIAS | PREV | BF16,
     .rounds = true},
    {.name = "bf16_long_sum",
     .dim = {1, 2, 9, 420, 100, 3, 3, 3},
     .flags = PREV | RESIDUAL | BF16,
     .rounds = true},
    {.name = "bf16_vae_96_8x832",
     .dim = {1, 8, 832, 96, 96, 3, 3, 3},
     .flags = BIAS | PREV | RESIDUAL | BF16,
     .large = true,
     .rounds = true},
    {.name = "bf16_vae_192_8x416",
     .dim = {1, 8, 416, 192, 192, 3, 3, 3},
     .flags = BIAS | PREV | BF16,
     .large = true,
     .rounds = true},
    {.name = "bf16_vae_384_8x104",
     .dim = {1, 8, 104, 384, 384, 3, 3, 3},
     .flags = BIAS | PREV | BF16,
     .large = true,
     .rounds = true},
    {.name = "bf16_vae_up_192",
     .dim = {1, 8, 416, 192, 96, 1, 3, 3},
     .flags = BIAS | UPSAMPLE | BF16,
     .large = true,
     .rounds = true},
    {.name = "bf16_vae_down_96",
     .dim = {1, 16, 832, 96, 96, 1, 3, 3},
     .value = {1 + 101, 122},
     .flags = BIAS | BF16,
     .large = true,
     .rounds = true},
    {.name = "bf16_vae_in_3",
     .dim = {1, 8, 832, 3, 96, 3, 3, 3},
     .flags = BIAS | PREV | BF16,
     .large = true,
     .rounds = true},
    {.name = "bf16_vae_out_3",
     .dim = {1, 8, 832, 96, 3, 3, 3, 3},
     .flags = BIAS | PREV | BF16,
     .large = true,
     .rounds = true},
    {.name = "bf16_vae_short_192",
     .dim = {1, 8, 416, 192, 384, 1, 1, 1},
     .flags = BIAS | BF16,
     .large = true,
     .rounds = true},
    {.name = "bf16_small_8",
     .dim = {1, 64, 96, 8, 8, 3, 3, 3},
     .flags = BIAS | PREV | BF16,
     .large = true,
     .rounds = true},
    {.name = "bf16_small_16",
     .dim = {1, 32, 48, 16, 16, 3, 3, 3},
     .flags = BIAS | PREV | BF16,
     .large = true,
     .rounds = true},
    {.name = "bf16_small_32",
     .dim = {1, 16, 24, 32, 32, 3, 3, 3},
     .flags = BIAS | PREV | BF16,
     .large = true,
     .rounds = true},
};

static void geometry(int64_t pad[4], int64_t stride[3], int64_t out[3], const rs_opcase *c)
{
    const int64_t *d = c->dim;
    int64_t up = c->flags & UPSAMPLE ? 2 : 1, digits = (int64_t)c->value[PADS] - 1;
    int64_t steps = c->value[STRIDES] > 0 ? (int64_t)c->value[STRIDES] : 111;
    for (int i = 3; i >= 0; i--, digits /= 10)
        pad[i] = c->value[PADS] > 0 ? digits % 10 : d[KH + i / 2] / 2;
    for (int i = 2; i >= 0; i--, steps /= 10)
        stride[i] = steps % 10;
    out[0] = (d[T] - 1) / stride[0] + 1;
    out[1] = (d[H] * up + pad[0] + pad[1] - d[KH]) / stride[1] + 1;
    out[2] = (d[W] * up + pad[2] + pad[3] - d[KW]) / stride[2] + 1;
}

static void make(rs_opplan *p, const rs_opcase *c)
{
    rs_conv3d_args *a = (rs_conv3d_args *)p->args;
    const int64_t *d = c->dim;
    int64_t o[3];
    geometry(a->pad, a->stride, o, c);
    a->upsample = c->flags & UPSAMPLE;
    rs_optensor *y = rs_op_stream(rs_op_out(p, "y", &a->y, 0, RS_SHAPE(o[0], o[1], o[2], d[CO])));
    y->reduction = (double)(d[KT] * d[KH] * d[KW] * d[CI]);
    rs_op_branch(rs_op_in(p, "x", &a->x, 0, RS_SHAPE(d[T], d[H], d[W], d[CI])));
    rs_op_in(p, "weight", &a->weight, 0, RS_SHAPE(d[KT], d[KH], d[KW], d[CI], d[CO]))->kind =
        RS_KIND_MATRIX;
    if (c->flags & PREV)
        rs_op_branch(rs_op_in(p, "prev", &a->prev, 0, RS_SHAPE(d[KT] - 1, d[H], d[W], d[CI])));
    if (c->flags & BIAS)
        rs_op_in(p, "bias", &a->bias, 0, RS_SHAPE(d[CO]));
    if (c->flags & RESIDUAL)
        rs_op_stream(rs_op_in(p, "residual", &a->residual, 0, RS_SHAPE(o[0], o[1], o[2], d[CO])));
    a->bf16 = c->flags & BF16;
    if (a->bf16 && (a->upsample || rs_wino_fits(a)))
        y->steps += 1 << 16; /* the CPU rounds sums of taps: to bf16, in roundings of fp32 */
    if (a->bf16)
        rs_op_feature(p, "bf16");
    if (a->upsample)
        rs_op_feature(p, "upsample");
    if (a->stride[0] * a->stride[1] * a->stride[2] > 1)
        rs_op_feature(p, "stride");
}

/* All taps counted, padding and doubled pixels too. */
static double flops(const rs_opcase *c)
{
    const int64_t *d = c->dim;
    int64_t pad[4], stride[3], o[3];
    geometry(pad, stride, o, c);
    return 2.0 * (double)(o[0] * o[1] * o[2] * d[CO]) * (double)(d[KT] * d[KH] * d[KW] * d[CI]);
}

RS_OPSPEC_REF(conv3d)
const rs_opspec rs_opspec_conv3d = {
    .op = "conv3d",
    .cases = CASES,
    .n = RS_COUNT_OF(CASES),
    .make = make,
    .ref = ref_conv3d,
    .flops = flops,
    .option = {"prev", "bias", "residual", "upsample", "stride", "bf16"},
};
