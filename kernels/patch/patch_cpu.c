#include "kernels/cpu/cpu_ops.h"
#include "kernels/vec/vec.h"

/* Grid of patches of a (C,F,H,W) tensor. */
typedef struct grid {
    int64_t c, f, h, w; /* tensor */
    int64_t pt, ph, pw; /* patch */
    int64_t fp, hp, wp; /* patches per axis */
} grid;

static grid grid_of(rs_tensor x, const int64_t patch[3])
{
    RS_ASSERT(x.ndim == 4);
    grid g = {x.shape[0], x.shape[1], x.shape[2], x.shape[3], patch[0],
              patch[1],   patch[2],   0,          0,          0};
    RS_ASSERT(g.f % g.pt == 0 && g.h % g.ph == 0 && g.w % g.pw == 0);
    g.fp = g.f / g.pt;
    g.hp = g.h / g.ph;
    g.wp = g.w / g.pw;
    return g;
}

typedef struct patch_job {
    grid g;
    float *x;
    float *tokens;
    int64_t ld;
    bool channel_inner; /* feature order of unpatchify */
    bool to_tokens;
} patch_job;

/* One line of x inside a row of patches: `width` patches of pw floats, against features `step`
 * apart. */
static void line(const patch_job *j, float *x, float *t, int64_t step)
{
    int64_t pw = j->g.pw, width = j->g.wp;
    if (j->to_tokens) {
        for (int64_t w = 0; w < width; w++)
            for (int64_t i = 0; i < pw; i++)
                t[w * j->ld + i * step] = x[w * pw + i];
    } else {
        for (int64_t w = 0; w < width; w++)
            for (int64_t i = 0; i < pw; i++)
                x[w * pw + i] = t[w * j->ld + i * step];
    }
}

/* Rows of patches: their tokens stay in L1 while the lines of x pass by. */
static void patch_rows(const void *args, int64_t lo, int64_t hi, int thread)
{
    (void)thread;
    const patch_job *j = args;
    const grid *g = &j->g;
    int64_t volume = g->pt * g->ph * g->pw, step = j->channel_inner ? g->c : 1;
    for (int64_t r = lo; r < hi; r++)
        for (int64_t c = 0; c < g->c; c++)
            for (int64_t it = 0; it < g->pt; it++)
                for (int64_t iy = 0; iy < g->ph; iy++) {
                    int64_t frame = r / g->hp * g->pt + it, row = r % g->hp * g->ph + iy;
                    int64_t inner = (it * g->ph + iy) * g->pw;
                    int64_t feature = j->channel_inner ? inner * g->c + c : c * volume + inner;
                    line(j, j->x + ((c * g->f + frame) * g->h + row) * g->w,
                         j->tokens + r * g->wp * j->ld + feature, step);
                }
}

static void run(rs_kctx *k, const patch_job *j)
{
    rs_for_range(k, j->g.fp * j->g.hp, 1, patch_rows, j);
}

void rs_cpu_patchify(rs_kctx *k, const rs_patchify_args *a)
{
    patch_job j = {
        grid_of(a->x, a->patch), rs_f32(a->x), rs_f32(a->tokens), a->tokens.ld, false, true};
    run(k, &j);
}

void rs_cpu_unpatchify(rs_kctx *k, const rs_unpatchify_args *a)
{
    patch_job j = {
        grid_of(a->x, a->patch), rs_f32(a->x), rs_f32(a->tokens), a->tokens.ld, true, a->inverse};
    run(k, &j);
}
