/* Where the object is in the edited clip: what differs from the background (measure.h). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "stage/measure.h"

enum {
    RIM = 2,    /* pixels around the mask that may still show the object */
    LEVELS = 16 /* of the pyramid that fills holes */
};

static const double k_still = 4; /* grey levels: mean change of a ground that stands */
static const double k_faint = 12, k_full = 36; /* grey levels: surely ground, surely object */
static const double k_seen = 0.05;             /* of the mask's area: less is no object */

typedef struct plates {
    int64_t T, H, W;
    const uint8_t *source; /* (T,H,W,3) */
    uint8_t *known;        /* (T,H,W): nothing of the object */
    bool *still;           /* (T,T): the ground is the same in both frames */
} plates;

/* Known: farther than RIM from the mask. */
static void mark_known(plates *p, rs_tensor object)
{
    const uint8_t *m = object.data;
    memset(p->known, 1, (size_t)(p->T * p->H * p->W));
    for (int64_t i = 0; i < p->T * p->H * p->W; i++) {
        int64_t x = i % p->W, y = i / p->W % p->H, frame = i - y * p->W - x;
        if (m[i] <= 127)
            continue;
        int64_t left = rs_max_i64(x - RIM, 0), right = rs_min_i64(x + RIM, p->W - 1);
        for (int64_t v = rs_max_i64(y - RIM, 0); v <= rs_min_i64(y + RIM, p->H - 1); v++)
            memset(p->known + frame + v * p->W + left, 0, (size_t)(right - left + 1));
    }
}

static bool same_ground(const plates *p, int64_t s, int64_t t)
{
    int64_t n = p->H * p->W, sum = 0, count = 0;
    const uint8_t *a = p->source + s * n * 3, *b = p->source + t * n * 3;
    const uint8_t *known_a = p->known + s * n, *known_b = p->known + t * n;
    for (int64_t i = 0; i < n; i++)
        if (known_a[i] && known_b[i]) {
            count += 3;
            for (int64_t c = 3 * i; c < 3 * i + 3; c++)
                sum += abs(a[c] - b[c]);
        }
    return count > 0 && (double)sum <= k_still * (double)count;
}

static void plates_init(plates *p, rs_arena *a, rs_tensor source, rs_tensor object)
{
    *p = (plates){.T = source.shape[0], .H = source.shape[1], .W = source.shape[2]};
    p->source = source.data;
    p->known = rs_arena_alloc(a, (size_t)(p->T * p->H * p->W), 1);
    p->still = RS_NEW(a, bool, p->T * p->T);
    mark_known(p, object);
    for (int64_t s = 0; s < p->T; s++)
        for (int64_t t = s; t < p->T; t++)
            p->still[s * p->T + t] = p->still[t * p->T + s] = same_ground(p, s, t);
}

/* The frame nearest to t that shows the ground at pixel i; -1: none that has the same ground. */
static int64_t shown_in(const plates *p, int64_t t, int64_t i)
{
    for (int64_t d = 0; d < p->T; d++)
        for (int side = 0; side < (d ? 2 : 1); side++) {
            int64_t s = side ? t + d : t - d;
            if (s >= 0 && s < p->T && p->still[t * p->T + s] && p->known[s * p->H * p->W + i])
                return s;
        }
    return -1;
}

/* Fills pixels of weight 0 of rgb (H,W,3), weight (H,W) 0 or 1, from a pyramid of means (pull and
 * push: Gortler et al., SIGGRAPH 1996). */
static void fill_holes(rs_arena *a, float *rgb, float *weight, int64_t H, int64_t W, int level)
{
    if (level == LEVELS || (H == 1 && W == 1))
        return;
    int64_t h = (H + 1) / 2, w = (W + 1) / 2;
    float *coarse = RS_NEW(a, float, h *w * 3), *known = RS_NEW(a, float, h *w);
    for (int64_t i = 0; i < H * W; i++) {
        int64_t k = i / W / 2 * w + i % W / 2;
        known[k] += weight[i];
        for (int c = 0; c < 3; c++)
            coarse[3 * k + c] += weight[i] * rgb[3 * i + c];
    }
    for (int64_t k = 0; k < h * w; k++) {
        for (int c = 0; c < 3 && known[k] > 0; c++)
            coarse[3 * k + c] /= known[k];
        known[k] = known[k] > 0;
    }
    fill_holes(a, coarse, known, h, w, level + 1);
    for (int64_t i = 0; i < H * W; i++)
        if (weight[i] == 0)
            memcpy(rgb + 3 * i, coarse + 3 * (i / W / 2 * w + i % W / 2), 3 * sizeof *rgb);
}

/* Frame t of the source without the object. */
static float *plate_of(const plates *p, rs_arena *a, int64_t t)
{
    int64_t n = p->H * p->W;
    float *rgb = RS_NEW(a, float, n * 3), *weight = RS_NEW(a, float, n);
    for (int64_t i = 0; i < n; i++) {
        int64_t s = shown_in(p, t, i);
        weight[i] = s >= 0;
        for (int c = 0; c < 3 && s >= 0; c++)
            rgb[3 * i + c] = p->source[(s * n + i) * 3 + c];
    }
    fill_holes(a, rgb, weight, p->H, p->W, 0);
    return rgb;
}

typedef struct place {
    double x, y, area;
} place;

static void add(place *p, int64_t i, int64_t W, double w)
{
    p->x += w * (double)(i % W);
    p->y += w * (double)(i / W);
    p->area += w;
}

static place centre(place p)
{
    return (place){p.x / p.area, p.y / p.area, p.area};
}

/* Centre of what differs from the plate. */
static place find_object(const uint8_t *rgb, const float *plate, int64_t H, int64_t W)
{
    place p = {0};
    for (int64_t i = 0; i < H * W; i++) {
        double d = 0;
        for (int64_t c = 3 * i; c < 3 * i + 3; c++)
            d += fabs((double)rgb[c] - (double)plate[c]) / 3;
        add(&p, i, W, fmin(fmax((d - k_faint) / (k_full - k_faint), 0), 1));
    }
    return centre(p);
}

static place mask_centre(const uint8_t *mask, int64_t H, int64_t W)
{
    place p = {0};
    for (int64_t i = 0; i < H * W; i++)
        if (mask[i] > 127)
            add(&p, i, W, 1);
    return centre(p);
}

double rs_measure_motion(rs_arena *scratch, rs_tensor edited, rs_tensor source, rs_tensor object)
{
    RS_ASSERT(rs_tensor_same_shape(edited, source) && edited.ndim == 4 && object.ndim == 3 &&
              rs_tensor_count(object) * 3 == rs_tensor_count(edited));
    rs_arena_mark mark = rs_arena_get_mark(scratch);
    plates p;
    double sum = 0;
    int64_t counted = 0, n = source.shape[1] * source.shape[2];
    plates_init(&p, scratch, source, object);
    for (int64_t t = 1; t < p.T; t++) {
        rs_arena_mark frame = rs_arena_get_mark(scratch);
        place want = mask_centre((const uint8_t *)object.data + t * n, p.H, p.W);
        place have = find_object((const uint8_t *)edited.data + t * n * 3, plate_of(&p, scratch, t),
                                 p.H, p.W);
        rs_arena_release(scratch, frame);
        if (want.area == 0 || have.area < k_seen * want.area)
            continue;
        counted++;
        sum += hypot(have.x - want.x, have.y - want.y);
    }
    rs_arena_release(scratch, mark);
    return counted ? sum / (double)counted : NAN;
}
