/* See conv3d_cpu.h for the method. */
#include "kernels/conv3d/conv3d_cpu.h"

#include <string.h>

#include "base/num.h"
#include "kernels/cpu/cpu_ops.h"

/* A panel's weights of one group of taps: at most about half of a 1 MiB L2. */
enum { GROUP_BYTES = 512 * 1024 };

/* Private memory of a task. */
typedef struct room {
    float *tile;       /* mr rows of a panel */
    const float *zero; /* as many as input channels, and as a panel is wide */
    rs_conv_run *run;  /* one per tap */
} room;

/* A pixel of a phase; the order of pixels is (frame, row, column). */
typedef struct place {
    int64_t t, row, col;
} place;

/* Up to mr consecutive pixels. */
typedef struct tile {
    int64_t n;
    bool one_line;        /* all pixels on one line, and all taps of a line inside it */
    place at[RS_CONV_MR]; /* only at[0] when one_line; the last pixel is repeated */
} tile;

static void step_place(const rs_conv_phase *f, place *at, int64_t pixels)
{
    at->col += pixels;
    while (at->col >= f->cols) {
        at->col -= f->cols;
        if (++at->row == f->rows) {
            at->row = 0;
            at->t++;
        }
    }
}

static void make_tile(tile *s, const rs_conv_plan *p, const rs_conv_phase *f, place at, int64_t n)
{
    int64_t left = at.col * p->a->stride[2] + f->x.first;
    int64_t right = left + (n - 1) * p->a->stride[2] + f->x.taps;
    s->n = n;
    s->one_line = at.col + n <= f->cols && left >= 0 && right <= p->a->x.shape[2];
    s->at[0] = at;
    for (int64_t m = 1; !s->one_line && m < p->micro->mr; m++) {
        if (m < n)
            step_place(f, &at, 1);
        s->at[m] = at;
    }
}

/* Line `y` of frame `t`, NULL where it is all zero. Negative frames are those of prev. */
static const float *line_of(const rs_conv3d_args *a, int64_t t, int64_t y)
{
    int64_t h = a->x.shape[1], line = a->x.shape[2] * a->x.shape[3];
    if (y < 0 || y >= h)
        return NULL;
    if (t >= 0)
        return rs_f32(a->x) + (t * h + y) * line;
    return rs_has(a->prev) ? rs_f32(a->prev) + ((t + a->weight.shape[0] - 1) * h + y) * line : NULL;
}

/* The taps of one source line. */
typedef struct tap_line {
    int64_t dt, dy; /* offset from the tile's frame and line */
    const float *b; /* weights of the first tap in the panel */
    int64_t width;  /* of the panel */
} tap_line;

static int64_t whole_line(const rs_conv_plan *p, const rs_conv_phase *f, const tile *s, tap_line l,
                          rs_conv_run *run)
{
    const rs_conv3d_args *a = p->a;
    const float *x =
        line_of(a, s->at[0].t * a->stride[0] + l.dt, s->at[0].row * a->stride[1] + l.dy);
    if (!x)
        return 0;
    x += (s->at[0].col * a->stride[2] + f->x.first) * p->ci;
    for (int64_t m = 0; m < p->micro->mr; m++)
        run->a[m] = x + rs_min_i64(m, s->n - 1) * a->stride[2] * p->ci;
    run->b = l.b;
    run->k = f->x.taps * p->ci;
    return 1;
}

/* One run per tap that any pixel sees. */
static int64_t tap_by_tap(const rs_conv_plan *p, const rs_conv_phase *f, const tile *s, tap_line l,
                          const float *zero, rs_conv_run *run)
{
    const rs_conv3d_args *a = p->a;
    const float *line[RS_CONV_MR];
    int64_t n = 0;
    for (int64_t m = 0; m < p->micro->mr; m++)
        line[m] = line_of(a, s->at[m].t * a->stride[0] + l.dt, s->at[m].row * a->stride[1] + l.dy);
    for (int64_t tap = 0; tap < f->x.taps; tap++) {
        bool seen = false;
        for (int64_t m = 0; m < p->micro->mr; m++) {
            int64_t x = s->at[m].col * a->stride[2] + f->x.first + tap;
            bool inside = line[m] && x >= 0 && x < a->x.shape[2];
            run[n].a[m] = inside ? line[m] + x * p->ci : zero;
            seen = seen || inside;
        }
        run[n].b = l.b + tap * p->ci * l.width;
        run[n].k = p->ci;
        n += seen;
    }
    return n;
}

/* Add a finished tile to y; the first group brings bias and residual. */
static void store_tile(const rs_conv_plan *p, const rs_conv_phase *f, const tile *s, const room *r,
                       int64_t c0, int64_t width, bool first)
{
    const rs_conv3d_args *a = p->a;
    rs_conv_store st = {
        .sum = r->tile, .rows = s->n, .n = rs_min_i64(width, p->co - c0), .width = width};
    st.bias = first && rs_has(a->bias) ? rs_f32(a->bias) + c0 : r->zero;
    int64_t at = 0;
    for (int64_t m = 0; m < s->n; m++) {
        const place *q = &s->at[m];
        if (s->one_line && m > 0)
            at += p->up * p->co;
        else
            at = ((q->t * a->y.shape[1] + q->row * p->up + f->py) * a->y.shape[2] + q->col * p->up +
                  f->px) *
                     p->co +
                 c0;
        st.y[m] = rs_f32(a->y) + at;
        st.add[m] = !first ? st.y[m] : rs_has(a->residual) ? rs_f32(a->residual) + at : NULL;
    }
    p->micro->store(&st);
}

/* What a task works on: pixels [lo,hi) of a phase, one group of source lines. */
typedef struct part {
    const rs_conv_phase *f;
    int64_t lo, hi;
    int64_t line0, line1;
} part;

static void panel_part(const rs_conv_plan *p, const part *w, const room *r, int64_t j)
{
    const rs_conv_phase *f = w->f;
    int64_t full = p->micro->lanes * p->micro->vectors, width = rs_conv_panel_width(p, j);
    rs_conv_micro_fn *micro = p->micro->fn[width / p->micro->lanes - 1];
    const float *panel = f->weights + j * full * f->k;
    int64_t per_line = f->x.taps * p->ci * width;
    place at = {w->lo / f->cols / f->rows, w->lo / f->cols % f->rows, w->lo % f->cols};
    tile s;
    for (int64_t pixel = w->lo; pixel < w->hi; pixel += s.n, step_place(f, &at, s.n)) {
        make_tile(&s, p, f, at, rs_min_i64(p->micro->mr, w->hi - pixel));
        int64_t n = 0;
        for (int64_t i = w->line0; i < w->line1; i++) {
            tap_line l = {.dt = i / f->y.taps - (p->a->weight.shape[0] - 1),
                          .dy = i % f->y.taps + f->y.first,
                          .b = panel + i * per_line,
                          .width = width};
            n += s.one_line ? whole_line(p, f, &s, l, r->run + n)
                            : tap_by_tap(p, f, &s, l, r->zero, r->run + n);
        }
        micro(r->tile, r->run, n);
        store_tile(p, f, &s, r, j * full, width, w->line0 == 0);
    }
}

typedef struct conv_job {
    rs_conv_plan plan;
    char *rooms; /* one after the other, by thread */
    size_t room_bytes;
} conv_job;

static size_t align64(size_t n)
{
    return (n + 63) / 64 * 64;
}

static int64_t most_taps(const rs_conv_plan *p)
{
    const int64_t *k = p->a->weight.shape;
    return k[0] * k[1] * k[2];
}

static size_t tile_bytes(const rs_conv_plan *p)
{
    return align64((size_t)(p->micro->mr * p->micro->lanes * p->micro->vectors) * sizeof(float));
}

static size_t zero_bytes(const rs_conv_plan *p)
{
    int64_t wide = p->micro->lanes * p->micro->vectors;
    return align64((size_t)rs_max_i64(p->ci, wide) * sizeof(float));
}

static size_t room_bytes(const rs_conv_plan *p)
{
    return tile_bytes(p) + zero_bytes(p) + align64((size_t)most_taps(p) * sizeof(rs_conv_run));
}

static room room_of(const conv_job *j, int thread)
{
    const rs_conv_plan *p = &j->plan;
    char *at = j->rooms + (size_t)thread * j->room_bytes;
    float *zero = (float *)(at + tile_bytes(p));
    memset(zero, 0, zero_bytes(p));
    void *run = (char *)zero + zero_bytes(p);
    return (room){.tile = (float *)at, .zero = zero, .run = run};
}

static void conv_task(void *arg, int64_t task, int thread)
{
    const conv_job *job = arg;
    const rs_conv_plan *p = &job->plan;
    const rs_conv_phase *f = &p->phase[p->phases - 1];
    while (task < f->first_task)
        f--;
    int64_t lo = (task - f->first_task) * p->block;
    int64_t pixels = p->a->y.shape[0] * f->rows * f->cols;
    int64_t lines = p->a->weight.shape[0] * f->y.taps;
    int64_t bytes = f->x.taps * p->ci * rs_conv_panel_width(p, 0) * (int64_t)sizeof(float);
    int64_t groups = rs_ceil_div(lines, rs_max_i64(1, GROUP_BYTES / bytes));
    int64_t step = rs_ceil_div(lines, groups);
    room r = room_of(job, thread);
    for (int64_t i = 0; i < lines; i += step) {
        part w = {f, lo, rs_min_i64(lo + p->block, pixels), i, rs_min_i64(i + step, lines)};
        for (int64_t j = 0; j < p->panels; j++)
            panel_part(p, &w, &r, j);
    }
}

void rs_cpu_conv3d(rs_kctx *k, const rs_conv3d_args *a)
{
    conv_job job;
    int threads = rs_kctx_threads(k);
    rs_conv_plan_make(&job.plan, a, threads);
    job.room_bytes = room_bytes(&job.plan);
    size_t weights = align64((size_t)rs_conv_plan_weights(&job.plan) * sizeof(float));
    /* Thread 0's scratch holds everything: tasks of other threads use parts of it. */
    char *memory = rs_scratch(k, 0, weights + (size_t)threads * job.room_bytes);
    job.rooms = memory + weights;
    rs_conv_pack(k, &job.plan, (float *)memory);
    rs_parallel(k, job.plan.tasks, conv_task, &job);
}
