/* See conv3d_wino.h for the method. */
#include "kernels/conv3d/conv3d_wino.h"

#include <string.h>

#include "base/num.h"

enum {
    GROUP_BYTES = 512 * 1024, /* weights of a panel that stay in L2 while a task's pairs pass by */
    BAND_BYTES = 32 << 20,    /* of v */
    LEAST_CHANNELS = 16,
    LEAST_BLOCK = 64,
    MOST_BLOCK = 512 /* pairs of a task */
};

typedef struct wino {
    rs_conv_plan plan; /* of it the tiles, channels and panels */
    rs_wino_fns fns;
    int64_t pairs;          /* of a line of y */
    int64_t lines;          /* taps along frames and lines: kt * kh */
    int64_t frames, before; /* of the source: prev's, then x's; how many are prev's */
    int64_t band;           /* lines of y at a time */
    int64_t top, rows;      /* those of the band that is being made */
    int64_t block;          /* pairs of a task */
    float *u;               /* panels, each (RS_WINO, lines, ci, width) */
    float *v;               /* (frames, band + kh - 1, pairs, RS_WINO, ci) */
    const float *zero;      /* of all components of a pixel */
    char *rooms;            /* private memory of tasks, by thread */
    size_t room_bytes;
} wino;

bool rs_wino_fits(const rs_conv3d_args *a)
{
    const int64_t *w = a->weight.shape, *s = a->stride;
    return w[2] == 3 && s[0] == 1 && s[1] == 1 && s[2] == 1 && !a->upsample &&
           w[3] >= LEAST_CHANNELS && w[4] >= LEAST_CHANNELS && a->y.shape[2] > 1;
}

static size_t align64(size_t n)
{
    return (n + 63) / 64 * 64;
}

static int64_t panel_floats(const wino *w, int64_t width)
{
    return RS_WINO * w->lines * w->plan.ci * width;
}

static int64_t full_width(const wino *w)
{
    return (int64_t)w->plan.micro->lanes * w->plan.micro->vectors;
}

/* ---- weights ---- */

/* Components of one line of taps, channels ci and (words) ci + 1 of the source. */
static void pack_row(const wino *w, float *panel, int64_t j, int64_t line, int64_t i)
{
    const rs_conv3d_args *a = w->plan.a;
    int64_t channels = a->weight.shape[3], co = w->plan.co, c0 = j * full_width(w);
    int64_t width = rs_conv_panel_width(&w->plan, j), n = rs_min_i64(width, co - c0);
    float u[2][RS_WINO * 48];
    int halves = w->plan.words ? 2 : 1;
    for (int h = 0; h < halves; h++) {
        int64_t c = i * halves + h;
        const float *g[3];
        for (int dx = 0; dx < 3; dx++)
            g[dx] = rs_f32(a->weight) + ((line * 3 + dx) * channels + c) * co + c0;
        if (c < channels)
            w->fns.weight(u[h], g, n, width);
        else
            memset(u[h], 0, sizeof u[h]);
    }
    for (int x = 0; x < RS_WINO; x++) {
        float *dst = panel + ((x * w->lines + line) * w->plan.ci + i) * width;
        if (w->plan.words)
            rs_conv_rows_to_words(dst, u[0] + x * width, u[1] + x * width, width);
        else
            memcpy(dst, u[0] + x * width, (size_t)width * sizeof(float));
    }
}

static void pack_task(void *arg, int64_t task, int thread)
{
    (void)thread;
    const wino *w = arg;
    int64_t j = task / w->lines, line = task % w->lines;
    float *panel = w->u + j * panel_floats(w, full_width(w));
    for (int64_t i = 0; i < w->plan.ci; i++)
        pack_row(w, panel, j, line, i);
}

/* ---- source ---- */

static int64_t source_lines(const wino *w)
{
    return w->band + w->plan.a->weight.shape[1] - 1;
}

static int64_t pair_floats(const wino *w)
{
    return RS_WINO * w->plan.ci;
}

/* v of one source line of the band; lines outside are never looked at. */
static void input_task(void *arg, int64_t task, int thread)
{
    (void)thread;
    const wino *w = arg;
    const rs_conv3d_args *a = w->plan.a;
    int64_t f = task / source_lines(w), line = task % source_lines(w);
    int64_t h = a->x.shape[1], cols = a->x.shape[2], n = a->x.shape[3];
    int64_t y = w->top + line - a->pad[0];
    if (y < 0 || y >= h || line >= w->rows + a->weight.shape[1] - 1)
        return;
    const float *x = f < w->before ? rs_f32(a->prev) : rs_f32(a->x);
    x += ((f < w->before ? f : f - w->before) * h + y) * cols * n;
    float *dst = w->v + task * w->pairs * pair_floats(w);
    for (int64_t p = 0; p < w->pairs; p++, dst += pair_floats(w)) {
        const float *d[RS_WINO];
        for (int i = 0; i < RS_WINO; i++) {
            int64_t col = 2 * p - a->pad[2] + i;
            d[i] = col >= 0 && col < cols ? x + col * n : w->zero;
        }
        w->fns.input(dst, d, n, w->plan.ci);
    }
}

/* ---- products ---- */

/* Up to mr pairs: of each its frame, line of the band and place in the line. */
typedef struct tile {
    int64_t n;
    int64_t t[RS_CONV_MR], row[RS_CONV_MR], pair[RS_CONV_MR];
} tile;

static void make_tile(tile *s, const wino *w, int64_t first, int64_t n)
{
    int64_t mr = w->plan.micro->mr, row = first / w->pairs, pair = first % w->pairs;
    s->n = n;
    for (int64_t m = 0; m < mr; m++) {
        s->t[m] = row / w->rows;
        s->row[m] = row % w->rows;
        s->pair[m] = pair;
        if (m < n - 1 && ++pair == w->pairs) { /* the last one is repeated */
            pair = 0;
            row++;
        }
    }
}

/* The lines [line0,line1) of taps as runs of component 0; those that no pair sees are left out. */
static int64_t make_runs(rs_conv_run *run, const wino *w, const tile *s, const float *panel,
                         int64_t width, const int64_t lines[2])
{
    const rs_conv3d_args *a = w->plan.a;
    int64_t kt = a->weight.shape[0], kh = a->weight.shape[1], h = a->x.shape[1], n = 0;
    for (int64_t i = lines[0]; i < lines[1]; i++) {
        int64_t dt = i / kh - (kt - 1) + w->before, dy = i % kh;
        bool seen = false;
        for (int64_t m = 0; m < w->plan.micro->mr; m++) {
            int64_t f = s->t[m] + dt, line = s->row[m] + dy, y = w->top + line - a->pad[0];
            bool in = f >= 0 && y >= 0 && y < h;
            int64_t at = (f * source_lines(w) + line) * w->pairs + s->pair[m];
            run[n].a[m] = in ? w->v + at * pair_floats(w) : w->zero;
            seen |= in;
        }
        run[n].b = panel + i * w->plan.ci * width;
        run[n].k = w->plan.ci;
        n += seen;
    }
    return n;
}

static void next_component(rs_conv_run *run, int64_t n, const wino *w, int64_t width)
{
    int64_t ci = w->plan.ci;
    for (int64_t i = 0; i < n; i++) {
        for (int64_t m = 0; m < w->plan.micro->mr; m++)
            run[i].a[m] += ci;
        run[i].b += w->lines * ci * width;
    }
}

static void store_tile(const wino *w, const tile *s, const float *sum, int64_t j, bool first)
{
    const rs_conv3d_args *a = w->plan.a;
    int64_t width = rs_conv_panel_width(&w->plan, j), c0 = j * full_width(w), co = w->plan.co;
    rs_wino_store st = {.sum = sum, .rows = s->n, .width = width, .co = co};
    st.n = rs_min_i64(width, co - c0);
    st.stride = w->plan.micro->mr * width;
    st.bias = first && rs_has(a->bias) ? rs_f32(a->bias) + c0 : w->zero;
    for (int64_t m = 0; m < s->n; m++) {
        int64_t line = s->t[m] * a->y.shape[1] + w->top + s->row[m], col = 2 * s->pair[m];
        int64_t at = (line * a->y.shape[2] + col) * co + c0;
        st.y[m] = rs_f32(a->y) + at;
        st.add[m] = !first ? st.y[m] : rs_has(a->residual) ? rs_f32(a->residual) + at : NULL;
        st.both[m] = col + 1 < a->y.shape[2];
    }
    w->fns.store(&st);
}

static int64_t band_pairs(const wino *w)
{
    return w->plan.a->y.shape[0] * w->rows * w->pairs;
}

/* One panel of one block of pairs. */
static void product_task(void *arg, int64_t task, int thread)
{
    const wino *w = arg;
    const rs_conv_micro *micro = w->plan.micro;
    int64_t blocks = rs_ceil_div(band_pairs(w), w->block), j = task / blocks;
    int64_t lo = task % blocks * w->block, hi = rs_min_i64(lo + w->block, band_pairs(w));
    int64_t width = rs_conv_panel_width(&w->plan, j);
    rs_conv_micro_fn *fn = micro->fn[width / micro->lanes - 1];
    const float *panel = w->u + j * panel_floats(w, full_width(w));
    float *sum = (float *)(void *)(w->rooms + (size_t)thread * w->room_bytes);
    rs_conv_run *run = (rs_conv_run *)(void *)(sum + RS_WINO * micro->mr * full_width(w));
    int64_t bytes = RS_WINO * w->plan.ci * width * (int64_t)sizeof(float);
    int64_t groups = rs_ceil_div(w->lines, rs_max_i64(1, GROUP_BYTES / bytes));
    int64_t step = rs_ceil_div(w->lines, groups);
    for (int64_t i = 0; i < w->lines; i += step)
        for (int64_t at = lo; at < hi; at += micro->mr) {
            tile s;
            make_tile(&s, w, at, rs_min_i64(micro->mr, hi - at));
            const int64_t lines[2] = {i, rs_min_i64(i + step, w->lines)};
            int64_t n = make_runs(run, w, &s, panel, width, lines);
            for (int x = 0; x < RS_WINO; x++) {
                fn(sum + x * micro->mr * width, run, n);
                next_component(run, n, w, width);
            }
            store_tile(w, &s, sum, j, i == 0);
        }
}

/* ---- the whole ---- */

static void make_plan(wino *w, const rs_conv3d_args *a, int threads)
{
    const int64_t *k = a->weight.shape;
    rs_conv_plan_make(&w->plan, a, threads);
    w->fns = rs_wino_pick(a->bf16, w->plan.words);
    w->pairs = rs_ceil_div(a->y.shape[2], 2);
    w->lines = k[0] * k[1];
    w->before = rs_has(a->prev) ? k[0] - 1 : 0;
    w->frames = a->x.shape[0] + w->before;
    int64_t line = w->frames * w->pairs * pair_floats(w) * (int64_t)sizeof(float);
    w->band = rs_min_i64(a->y.shape[1], rs_max_i64(1, BAND_BYTES / line - (k[1] - 1)));
    int64_t tasks = 6 * (int64_t)threads, mr = w->plan.micro->mr;
    int64_t share = a->y.shape[0] * w->band * w->pairs * w->plan.panels / tasks;
    w->block = rs_ceil_div(rs_max_i64(LEAST_BLOCK, rs_min_i64(MOST_BLOCK, share)), mr) * mr;
    int64_t floats = RS_WINO * mr * full_width(w);
    w->room_bytes =
        align64((size_t)floats * sizeof(float) + (size_t)w->lines * sizeof(rs_conv_run));
}

/* Thread 0's scratch holds everything: tasks of other threads use parts of it. */
static void make_room(wino *w, rs_kctx *k)
{
    const rs_conv_plan *p = &w->plan;
    size_t u = align64((size_t)(p->panels * panel_floats(w, full_width(w))) * sizeof(float));
    int64_t lines = w->frames * source_lines(w);
    size_t v = align64((size_t)(lines * w->pairs * pair_floats(w)) * sizeof(float));
    int64_t most = rs_max_i64(rs_max_i64(pair_floats(w), p->a->x.shape[3]), full_width(w));
    size_t zero = align64((size_t)most * sizeof(float));
    char *at = rs_scratch(k, 0, u + v + zero + (size_t)rs_kctx_threads(k) * w->room_bytes);
    w->u = (float *)(void *)at;
    w->v = (float *)(void *)(at + u);
    memset(at + u + v, 0, zero);
    w->zero = (const float *)(const void *)(at + u + v);
    w->rooms = at + u + v + zero;
}

void rs_wino_conv3d(rs_kctx *k, const rs_conv3d_args *a)
{
    wino w = {0};
    make_plan(&w, a, rs_kctx_threads(k));
    make_room(&w, k);
    rs_parallel(k, w.plan.panels * w.lines, pack_task, &w);
    for (w.top = 0; w.top < a->y.shape[1]; w.top += w.band) {
        w.rows = rs_min_i64(w.band, a->y.shape[1] - w.top);
        rs_parallel(k, w.frames * source_lines(&w), input_task, &w);
        rs_parallel(k, w.plan.panels * rs_ceil_div(band_pairs(&w), w.block), product_task, &w);
    }
}
