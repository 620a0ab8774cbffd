/* See conv3d_cpu.h for the method. */
#include "kernels/conv3d/conv3d_cpu.h"

#include <string.h>

#include "base/num.h"
#include "kernels/conv3d/conv3d_wino.h"
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
    place at[RS_CONV_MR]; /* only at[0] when one_line */
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
    for (int64_t m = 1; !s->one_line && m < n; m++) {
        step_place(f, &at, 1);
        s->at[m] = at;
    }
}

static void make_edge(rs_conv_edge *e, const rs_conv_plan *p, const rs_conv_phase *f, const tile *s)
{
    const int64_t *stride = p->a->stride;
    for (int64_t m = 0; m < RS_CONV_MR; m++) {
        const place *q = &s->at[rs_min_i64(m, s->n - 1)];
        e->t[m] = q->t * stride[0];
        e->y[m] = q->row * stride[1];
        e->x[m] = q->col * stride[2] + f->x.first;
    }
}

/* All taps of a line as one run; none where the line is all zero. */
static int64_t whole_line(rs_conv_run *run, const rs_conv_plan *p, const tile *s,
                          const rs_conv_phase *f, const rs_conv_line *l)
{
    const int64_t *stride = p->a->stride;
    int64_t t = s->at[0].t * stride[0] + l->dt, y = s->at[0].row * stride[1] + l->dy;
    if (y < 0 || y >= l->h || (t < 0 && !l->before))
        return 0;
    const float *x = t >= 0 ? l->now : l->before + l->frames_before * l->h * l->w * l->ci;
    x += ((t * l->h + y) * l->w + s->at[0].col * stride[2] + f->x.first) * l->ci;
    for (int64_t m = 0; m < p->micro->mr; m++)
        run->a[m] = x + rs_min_i64(m, s->n - 1) * stride[2] * l->ci;
    run->b = l->b;
    run->k = l->taps * l->ci;
    return 1;
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

static rs_conv_line source_of(const rs_conv_plan *p, const rs_conv_phase *f, const room *r)
{
    const rs_conv3d_args *a = p->a;
    return (rs_conv_line){.now = p->now,
                          .before = p->before,
                          .zero = r->zero,
                          .frames_before = a->weight.shape[0] - 1,
                          .h = a->x.shape[1],
                          .w = a->x.shape[2],
                          .ci = p->ci,
                          .taps = f->x.taps};
}

static void panel_part(const rs_conv_plan *p, const part *w, const room *r, int64_t j)
{
    const rs_conv_phase *f = w->f;
    int64_t full = p->micro->lanes * p->micro->vectors, width = rs_conv_panel_width(p, j);
    rs_conv_micro_fn *micro = p->micro->fn[width / p->micro->lanes - 1];
    const float *panel = f->weights + j * full * f->k;
    place at = {w->lo / f->cols / f->rows, w->lo / f->cols % f->rows, w->lo % f->cols};
    rs_conv_line l = source_of(p, f, r);
    l.width = width;
    tile s;
    rs_conv_edge e;
    for (int64_t pixel = w->lo; pixel < w->hi; pixel += s.n, step_place(f, &at, s.n)) {
        make_tile(&s, p, f, at, rs_min_i64(p->micro->mr, w->hi - pixel));
        if (!s.one_line)
            make_edge(&e, p, f, &s);
        int64_t n = 0;
        for (int64_t i = w->line0; i < w->line1; i++) {
            l.dt = i / f->y.taps - l.frames_before;
            l.dy = i % f->y.taps + f->y.first;
            l.b = panel + i * l.taps * l.ci * width;
            n += s.one_line ? whole_line(r->run + n, p, &s, f, &l)
                            : p->micro->edge(r->run + n, &e, &l);
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
    if (rs_wino_fits(a)) {
        rs_wino_conv3d(k, a);
        return;
    }
    rs_conv_plan_make(&job.plan, a, threads);
    job.room_bytes = room_bytes(&job.plan);
    size_t weights = align64((size_t)rs_conv_plan_weights(&job.plan) * sizeof(float));
    /* Thread 0's scratch holds everything: tasks of other threads use parts of it. */
    size_t copies = align64((size_t)rs_conv_copy_floats(&job.plan) * sizeof(float));
    char *memory = rs_scratch(k, 0, weights + copies + (size_t)threads * job.room_bytes);
    job.rooms = memory + weights + copies;
    rs_conv_copy_source(k, &job.plan, (float *)(void *)(memory + weights));
    rs_conv_pack(k, &job.plan, (float *)memory);
    rs_parallel(k, job.plan.tasks, conv_task, &job);
}
