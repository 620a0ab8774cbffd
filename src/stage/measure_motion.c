/* The object's trajectory in two clips, each matched with itself (measure.h). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "stage/measure.h"

enum {
    LEVELS = 8,
    COARSE = 8,          /* search range at the coarsest level, pixels there */
    FINE = 2,            /* around twice the coarser result */
    LEAST_SIDE = 8,      /* of the object at the coarsest level */
    MOST_POINTS = 20000, /* of the object at the finest level: more are thinned out */
    LEAST_POINTS = 4,
    PLATEAU = 3,
    STEPS = 8 /* of Gauss-Newton */
};

typedef struct level {
    int64_t H, W;
    float *rgb;    /* (H,W,3) of this frame */
    float *next;   /* of the next one */
    float *weight; /* (H,W): share of the object in the pixel */
    int64_t stride;
    int64_t left, top, right, bottom; /* box around the object, right and bottom excluded */
} level;

typedef struct offset {
    int x, y;
} offset;

/* A clip with the object's position relative to the source's. */
typedef struct tracker {
    rs_tensor frames, object; /* the object with its rim */
    level levels[LEVELS];
    int n_levels;
    offset search[(2 * COARSE + 1) * (2 * COARSE + 1)]; /* nearest first */
    double shift[2]; /* x, y of the object minus that of `object` */
} tracker;

static int nearest_first(const void *a, const void *b)
{
    const offset *p = a, *q = b;
    int d = p->x * p->x + p->y * p->y - q->x * q->x - q->y * q->y;
    if (d == 0)
        d = p->y - q->y;
    return d ? d : p->x - q->x;
}

static int compare_i64(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Smaller side of the object's bounding box, the median over the frames that have one; 0: none. */
static int64_t object_side(rs_arena *a, rs_tensor object)
{
    int64_t T = object.shape[0], H = object.shape[1], W = object.shape[2], n = 0;
    int64_t *sides = RS_NEW(a, int64_t, T);
    const uint8_t *m = object.data;
    for (int64_t t = 0; t < T; t++) {
        int64_t left = W, right = -1, top = H, bottom = -1;
        for (int64_t y = 0; y < H; y++)
            for (int64_t x = 0; x < W; x++)
                if (m[(t * H + y) * W + x] > 127) {
                    left = rs_min_i64(left, x);
                    right = rs_max_i64(right, x);
                    top = rs_min_i64(top, y);
                    bottom = y;
                }
        if (right >= 0)
            sides[n++] = rs_min_i64(right - left, bottom - top) + 1;
    }
    qsort(sides, (size_t)n, sizeof *sides, compare_i64);
    return n ? sides[n / 2] : 0;
}

/* The mask with a rim, so that the edges of a plain object are seen: a sixteenth of its side, at
 * most 3 pixels. More would let the ground, which stays, outweigh a faint object. */
static rs_tensor with_rim(rs_arena *a, rs_tensor object, int64_t side)
{
    int64_t T = object.shape[0], H = object.shape[1], W = object.shape[2];
    int64_t rim = rs_min_i64(side / 16, 3);
    rs_tensor out = object;
    out.data = rs_arena_alloc(a, rs_tensor_bytes(object), 1);
    const uint8_t *m = object.data;
    uint8_t *o = out.data;
    for (int64_t i = 0; i < T * H * W; i++) {
        int64_t x = i % W, y = i / W % H, frame = i - y * W - x;
        if (m[i] <= 127)
            continue;
        int64_t left = rs_max_i64(x - rim, 0), right = rs_min_i64(x + rim, W - 1);
        for (int64_t v = rs_max_i64(y - rim, 0); v <= rs_min_i64(y + rim, H - 1); v++)
            memset(o + frame + v * W + left, 255, (size_t)(right - left + 1));
    }
    return out;
}

static void tracker_init(tracker *k, rs_arena *a, rs_tensor frames, rs_tensor object, int64_t side)
{
    int64_t H = frames.shape[1], W = frames.shape[2];
    int i = 0;
    *k = (tracker){.frames = frames, .object = object};
    for (int y = -COARSE; y <= COARSE; y++)
        for (int x = -COARSE; x <= COARSE; x++)
            k->search[i++] = (offset){x, y};
    qsort(k->search, (size_t)i, sizeof *k->search, nearest_first);
    while (k->n_levels < LEVELS && (k->n_levels == 0 || side >> k->n_levels >= LEAST_SIDE)) {
        level *l = &k->levels[k->n_levels++];
        *l = (level){.H = H, .W = W};
        l->rgb = RS_NEW(a, float, H *W * 3);
        l->next = RS_NEW(a, float, H *W * 3);
        l->weight = RS_NEW(a, float, H *W);
        H = rs_max_i64(H / 2, 1);
        W = rs_max_i64(W / 2, 1);
    }
}

/* Means of 2x2 cells; an odd last row or column is left out. */
static void halve(float *dst, const float *src, const level *fine, const level *coarse, int64_t C)
{
    for (int64_t y = 0; y < coarse->H; y++)
        for (int64_t x = 0; x < coarse->W; x++)
            for (int64_t c = 0; c < C; c++) {
                int64_t y1 = rs_min_i64(2 * y + 1, fine->H - 1);
                int64_t x1 = rs_min_i64(2 * x + 1, fine->W - 1);
                const float *top = src + 2 * y * fine->W * C, *bottom = src + y1 * fine->W * C;
                dst[(y * coarse->W + x) * C + c] =
                    0.25f * (top[2 * x * C + c] + top[x1 * C + c] + bottom[2 * x * C + c] +
                             bottom[x1 * C + c]);
            }
}

/* The object of frame t where the trajectory has left it; returns its pixels. */
static int64_t place_object(tracker *k, int64_t t)
{
    level *l = &k->levels[0];
    const uint8_t *m = (const uint8_t *)k->object.data + t * l->H * l->W;
    int64_t dx = (int64_t)lround(k->shift[0]), dy = (int64_t)lround(k->shift[1]), n = 0;
    l->left = l->W;
    l->top = l->H;
    l->right = l->bottom = 0;
    for (int64_t y = 0; y < l->H; y++)
        for (int64_t x = 0; x < l->W; x++) {
            int64_t sx = x - dx, sy = y - dy;
            bool in = sx >= 0 && sx < l->W && sy >= 0 && sy < l->H && m[sy * l->W + sx] > 127;
            l->weight[y * l->W + x] = in;
            if (!in)
                continue;
            n++;
            l->left = rs_min_i64(l->left, x);
            l->right = rs_max_i64(l->right, x + 1);
            l->top = rs_min_i64(l->top, y);
            l->bottom = y + 1;
        }
    return n;
}

/* Pyramids of frames t and t + 1; false where nothing of the object is in sight. */
static bool load_pair(tracker *k, int64_t t)
{
    int64_t n = place_object(k, t), size = k->levels[0].H * k->levels[0].W * 3;
    const uint8_t *p = (const uint8_t *)k->frames.data + t * size;
    if (n < LEAST_POINTS)
        return false;
    for (int64_t i = 0; i < size; i++) {
        k->levels[0].rgb[i] = p[i];
        k->levels[0].next[i] = p[size + i];
    }
    for (int i = 0; i < k->n_levels; i++) {
        level *l = &k->levels[i];
        l->stride = 1;
        while (n > MOST_POINTS * l->stride * l->stride)
            l->stride++;
        n /= 4;
        if (i + 1 == k->n_levels)
            break;
        l[1].left = l->left / 2;
        l[1].top = l->top / 2;
        l[1].right = rs_min_i64((l->right + 1) / 2, l[1].W);
        l[1].bottom = rs_min_i64((l->bottom + 1) / 2, l[1].H);
        halve(l[1].rgb, l->rgb, l, l + 1, 3);
        halve(l[1].next, l->next, l, l + 1, 3);
        halve(l[1].weight, l->weight, l, l + 1, 1);
    }
    return true;
}

/* Mean absolute difference over the object moved by whole pixels; INFINITY where less than half of
 * it stays in sight. */
static double difference(const level *l, int64_t dx, int64_t dy)
{
    double sum = 0, seen = 0, all = 0;
    for (int64_t y = l->top; y < l->bottom; y += l->stride)
        for (int64_t x = l->left; x < l->right; x += l->stride) {
            float w = l->weight[y * l->W + x];
            all += (double)w;
            if (w == 0 || x + dx < 0 || x + dx >= l->W || y + dy < 0 || y + dy >= l->H)
                continue;
            const float *p = l->rgb + (y * l->W + x) * 3;
            const float *q = l->next + ((y + dy) * l->W + x + dx) * 3;
            seen += (double)w;
            sum += (double)(w * (fabsf(p[0] - q[0]) + fabsf(p[1] - q[1]) + fabsf(p[2] - q[2])));
        }
    return 2 * seen < all || seen == 0 ? INFINITY : sum / seen;
}

/* The best whole-pixel displacement within `range` of (x, y); of equal ones the nearest to it. */
static offset best_near(const tracker *k, const level *l, offset at, int range)
{
    offset best = at;
    double least = INFINITY;
    for (size_t i = 0; i < sizeof k->search / sizeof k->search[0]; i++) {
        offset o = k->search[i];
        if (abs(o.x) > range || abs(o.y) > range)
            continue;
        double d = difference(l, at.x + o.x, at.y + o.y);
        if (d < least - 1e-9) {
            least = d;
            best = (offset){at.x + o.x, at.y + o.y};
        }
    }
    return best;
}

/* Bilinear value of channel c at (x, y), held at the borders. */
static double sample(const level *l, double x, double y, int c)
{
    x = fmin(fmax(x, 0), (double)(l->W - 1));
    y = fmin(fmax(y, 0), (double)(l->H - 1));
    int64_t x0 = (int64_t)x, y0 = (int64_t)y;
    int64_t x1 = rs_min_i64(x0 + 1, l->W - 1), y1 = rs_min_i64(y0 + 1, l->H - 1);
    double fx = x - (double)x0, fy = y - (double)y0;
    const float *p = l->next + c;
    double top = (1 - fx) * (double)p[(y0 * l->W + x0) * 3] + fx * (double)p[(y0 * l->W + x1) * 3];
    double low = (1 - fx) * (double)p[(y1 * l->W + x0) * 3] + fx * (double)p[(y1 * l->W + x1) * 3];
    return (1 - fy) * top + fy * low;
}

/* Normal equations of one step at displacement d: A (xx, xy, yy), b; returns the squared error. */
static double normal_equations(double A[3], double b[2], const level *l, const double d[2])
{
    double error = 0;
    A[0] = A[1] = A[2] = b[0] = b[1] = 0;
    for (int64_t y = l->top; y < l->bottom; y += l->stride)
        for (int64_t x = l->left; x < l->right; x += l->stride) {
            if (l->weight[y * l->W + x] == 0)
                continue;
            for (int c = 0; c < 3; c++) {
                double u = (double)x + d[0], v = (double)y + d[1];
                double gx = 0.5 * (sample(l, u + 1, v, c) - sample(l, u - 1, v, c));
                double gy = 0.5 * (sample(l, u, v + 1, c) - sample(l, u, v - 1, c));
                double r = (double)l->rgb[(y * l->W + x) * 3 + c] - sample(l, u, v, c);
                A[0] += gx * gx;
                A[1] += gx * gy;
                A[2] += gy * gy;
                b[0] += gx * r;
                b[1] += gy * r;
                error += r * r;
            }
        }
    return error;
}

/* A plain object whose mask is a little too small matches equally well over some pixels: the
 * middle of those that are as good as `best`. */
static void plateau_middle(double at[2], const level *l, offset best)
{
    const double same = 0.05; /* grey levels */
    double least = difference(l, best.x, best.y), sx = 0, sy = 0;
    int n = 0;
    for (int y = best.y - PLATEAU; y <= best.y + PLATEAU; y++)
        for (int x = best.x - PLATEAU; x <= best.x + PLATEAU; x++)
            if (difference(l, x, y) <= least + same) {
                sx += x;
                sy += y;
                n++;
            }
    at[0] = n ? sx / n : best.x;
    at[1] = n ? sy / n : best.y;
}

/* From whole pixels to parts of them: steps are taken while the error falls and stay within one
 * pixel of the start. */
static void refine(double d[2], const level *l, const double start[2])
{
    double A[3], b[2], at[2] = {start[0], start[1]};
    double least = INFINITY;
    d[0] = at[0];
    d[1] = at[1];
    for (int i = 0; i < STEPS; i++) {
        double error = normal_equations(A, b, l, at);
        if (!(error < least))
            return;
        least = error;
        d[0] = at[0];
        d[1] = at[1];
        double det = A[0] * A[2] - A[1] * A[1], trace = A[0] + A[2];
        if (!(det > 1e-6 * trace * trace)) /* an edge or nothing: no direction of its own */
            return;
        at[0] += (A[2] * b[0] - A[1] * b[1]) / det;
        at[1] += (A[0] * b[1] - A[1] * b[0]) / det;
        if (fabs(at[0] - start[0]) > 1 || fabs(at[1] - start[1]) > 1)
            return;
    }
}

/* Displacement of the object from frame t to t + 1; (0, 0) where it is out of sight. */
static void displacement(double d[2], tracker *k, int64_t t)
{
    d[0] = d[1] = 0;
    if (!load_pair(k, t))
        return;
    offset at = {0, 0};
    for (int i = k->n_levels - 1; i >= 0; i--) {
        bool coarsest = i == k->n_levels - 1;
        if (!coarsest)
            at = (offset){2 * at.x, 2 * at.y};
        at = best_near(k, &k->levels[i], at, coarsest ? COARSE : FINE);
    }
    double start[2];
    plateau_middle(start, &k->levels[0], at);
    refine(d, &k->levels[0], start);
}

static bool has_object(rs_tensor object, int64_t t)
{
    int64_t n = object.shape[1] * object.shape[2];
    const uint8_t *m = (const uint8_t *)object.data + t * n;
    for (int64_t i = 0; i < n; i++)
        if (m[i] > 127)
            return true;
    return false;
}

double rs_measure_motion(rs_arena *scratch, rs_tensor edited, rs_tensor source, rs_tensor object)
{
    RS_ASSERT(rs_tensor_same_shape(edited, source) && edited.ndim == 4 && object.ndim == 3 &&
              rs_tensor_count(object) * 3 == rs_tensor_count(edited));
    rs_arena_mark mark = rs_arena_get_mark(scratch);
    int64_t side = object_side(scratch, object), counted = 0;
    double sum = 0, d[2], want[2];
    tracker *edit = RS_NEW(scratch, tracker, 2), *original = edit + 1;
    rs_tensor seen = with_rim(scratch, object, side);
    tracker_init(edit, scratch, edited, seen, side);
    tracker_init(original, scratch, source, seen, side);
    for (int64_t t = 0; t + 1 < edited.shape[0]; t++) {
        displacement(want, original, t);
        displacement(d, edit, t);
        edit->shift[0] += d[0] - want[0];
        edit->shift[1] += d[1] - want[1];
        if (!has_object(object, t + 1))
            continue;
        counted++;
        sum += hypot(edit->shift[0], edit->shift[1]);
    }
    rs_arena_release(scratch, mark);
    return counted ? sum / (double)counted : NAN;
}
