/* Phases, tasks and packed weights of a convolution. */
#include <string.h>

#include "base/num.h"
#include "kernels/conv3d/conv3d_cpu.h"

void rs_conv3d_pack(rs_tensor packed, const float *weight)
{
    RS_ASSERT(packed.ndim == 5);
    int64_t taps = packed.shape[0] * packed.shape[1] * packed.shape[2];
    int64_t ci = packed.shape[3], co = packed.shape[4];
    float *out = rs_f32(packed);
    for (int64_t o = 0; o < co; o++)
        for (int64_t i = 0; i < ci; i++)
            for (int64_t t = 0; t < taps; t++)
                out[(t * ci + i) * co + o] = weight[(o * ci + i) * taps + t];
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a >= 0 ? a / b : -((b - 1 - a) / b);
}

/* Source offset of tap d for outputs of parity p: output up*r + p reads line r*stride + offset. */
static int64_t offset_of(int64_t up, int64_t p, int64_t stride, int64_t pad, int64_t d)
{
    return floor_div(p * stride + d - pad, up);
}

static rs_conv_axis axis_of(int64_t up, int64_t p, int64_t stride, int64_t pad, int64_t kernel)
{
    int64_t first = offset_of(up, p, stride, pad, 0);
    return (rs_conv_axis){first, offset_of(up, p, stride, pad, kernel - 1) - first + 1};
}

static rs_conv_phase phase_of(const rs_conv_plan *p, int64_t py, int64_t px)
{
    const rs_conv3d_args *a = p->a;
    const int64_t *w = a->weight.shape, *y = a->y.shape;
    rs_conv_phase f = {.py = py, .px = px};
    f.rows = rs_ceil_div(y[1] - py, p->up);
    f.cols = rs_ceil_div(y[2] - px, p->up);
    f.y = axis_of(p->up, py, a->stride[1], a->pad[0], w[1]);
    f.x = axis_of(p->up, px, a->stride[2], a->pad[2], w[2]);
    f.k = w[0] * f.y.taps * f.x.taps * rs_conv_tap_rows(p);
    return f;
}

/* Bits do not depend on the block: every pixel is summed in the same order in whatever tile. */
static int64_t block_of(int64_t pixels, int threads, int mr)
{
    int64_t share = pixels / (6 * (int64_t)threads);
    return rs_ceil_div(rs_max_i64(64, rs_min_i64(1024, share)), mr) * mr;
}

void rs_conv_plan_make(rs_conv_plan *p, const rs_conv3d_args *a, int threads)
{
    *p = (rs_conv_plan){.a = a, .micro = rs_conv_micro_pick(a->bf16), .up = a->upsample ? 2 : 1};
    p->words = p->micro->words;
    p->ci = p->words ? rs_ceil_div(a->weight.shape[3], 2) : a->weight.shape[3];
    p->now = rs_f32(a->x);
    p->before = rs_has(a->prev) ? rs_f32(a->prev) : NULL;
    p->co = a->weight.shape[4];
    p->panels = rs_ceil_div(p->co, p->micro->lanes * p->micro->vectors);
    p->block = block_of(rs_tensor_rows(a->y), threads, p->micro->mr);
    for (int64_t py = 0; py < p->up; py++)
        for (int64_t px = 0; px < p->up; px++) {
            rs_conv_phase f = phase_of(p, py, px);
            f.first_task = p->tasks;
            p->tasks += rs_ceil_div(a->y.shape[0] * f.rows * f.cols, p->block);
            p->phase[p->phases++] = f;
        }
}

int64_t rs_conv_panel_width(const rs_conv_plan *p, int64_t j)
{
    int64_t lanes = p->micro->lanes, full = lanes * p->micro->vectors;
    return rs_min_i64(full, rs_ceil_div(p->co - j * full, lanes) * lanes);
}

int64_t rs_conv_plan_weights(const rs_conv_plan *p)
{
    int64_t lanes = p->micro->lanes, width = rs_ceil_div(p->co, lanes) * lanes, n = 0;
    for (int i = 0; i < p->phases; i++)
        n += p->phase[i].k * width;
    return n;
}

/* Put the weights of tap (dt,dy,dx) into the rows of the panel that starts at channel c0; taps that
 * meet the same source line (upsampling) add up. */
static void put_tap(const rs_conv_plan *p, float *row, int64_t width, int64_t c0,
                    const int64_t tap[3])
{
    const int64_t *s = p->a->weight.shape;
    int64_t n = rs_min_i64(width, p->co - c0);
    const float *w =
        rs_f32(p->a->weight) + c0 + ((tap[0] * s[1] + tap[1]) * s[2] + tap[2]) * s[3] * p->co;
    for (int64_t i = 0; i < s[3]; i++, row += width, w += p->co) {
        if (p->up == 1) {
            memcpy(row, w, (size_t)n * sizeof(float));
            memset(row + n, 0, (size_t)(width - n) * sizeof(float));
            continue;
        }
        for (int64_t c = 0; c < n; c++)
            row[c] += w[c];
    }
}

static void pack_panel(const rs_conv_plan *p, const rs_conv_phase *f, int64_t j)
{
    const rs_conv3d_args *a = p->a;
    const int64_t *s = a->weight.shape;
    int64_t full = p->micro->lanes * p->micro->vectors, width = rs_conv_panel_width(p, j);
    float *panel = (float *)f->weights + j * full * f->k;
    if (p->up > 1 || rs_conv_tap_rows(p) != s[3])
        memset(panel, 0, (size_t)(f->k * width) * sizeof(float));
    int64_t tap[3];
    for (tap[0] = 0; tap[0] < s[0]; tap[0]++)
        for (tap[1] = 0; tap[1] < s[1]; tap[1]++)
            for (tap[2] = 0; tap[2] < s[2]; tap[2]++) {
                int64_t y = offset_of(p->up, f->py, a->stride[1], a->pad[0], tap[1]) - f->y.first;
                int64_t x = offset_of(p->up, f->px, a->stride[2], a->pad[2], tap[2]) - f->x.first;
                int64_t k = ((tap[0] * f->y.taps + y) * f->x.taps + x) * rs_conv_tap_rows(p);
                put_tap(p, panel + k * width, width, j * full, tap);
            }
    if (a->bf16)
        rs_conv_round_weights(p, panel, f->k, width);
}

static void pack_task(void *arg, int64_t task, int thread)
{
    (void)thread;
    const rs_conv_plan *p = arg;
    pack_panel(p, &p->phase[task / p->panels], task % p->panels);
}

void rs_conv_pack(rs_kctx *k, rs_conv_plan *p, float *room)
{
    int64_t lanes = p->micro->lanes, width = rs_ceil_div(p->co, lanes) * lanes;
    for (int i = 0; i < p->phases; i++) {
        p->phase[i].weights = room;
        room += p->phase[i].k * width;
    }
    rs_parallel(k, p->phases * p->panels, pack_task, p);
}
