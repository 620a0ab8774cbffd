#include "base/num.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/vec/turn.h"

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

enum { STEP = 4, ENOUGH = 1 << 16 };

/* Two lines of a channel give the four features of each patch; of n channels, a cache line of each
 * token when there are four. */
RS_INLINE void two_lines(const patch_job *j, const float *x, float *t, int n)
{
    const grid *g = &j->g;
    const int64_t plane = g->f * g->h * g->w, down = g->w, ld = j->ld, width = g->wp;
    for (int64_t w = 0; w < width; w += 2, x += STEP, t += 2 * ld)
        for (int c = 0; c < n; c++) {
            rs_v4 a = rs_v4_load(x + c * plane), b = rs_v4_load(x + c * plane + down);
            rs_v4_store(t + c * STEP, __builtin_shufflevector(a, b, 0, 1, 4, 5));
            rs_v4_store(t + ld + c * STEP, __builtin_shufflevector(a, b, 2, 3, 6, 7));
        }
}

/* A line of four channels, `plane` apart in x and next to each other in t. */
RS_INLINE void four_lines(const patch_job *j, float *x, float *t, bool to_tokens)
{
    enum { NEXT = 8 };
    const grid *g = &j->g;
    const int64_t plane = g->f * g->h * g->w, ld = j->ld, width = g->wp;
    const int64_t at[STEP] = {0, g->c, ld, ld + g->c};
    for (int64_t w = 0; w < width; w += 2, x += STEP, t += 2 * ld) {
        rs_v4 v[STEP];
        for (int i = 0; i < STEP; i++) {
            if (w % NEXT == 0) /* a cache line of each plane, where the next row of patches is */
                __builtin_prefetch(x + i * plane + 2 * g->w);
            __builtin_prefetch(t + at[i] + 2 * NEXT * ld);
        }
        for (int i = 0; i < STEP; i++)
            v[i] = rs_v4_load(to_tokens ? x + i * plane : t + at[i]);
        rs_v4_turn(v);
        for (int i = 0; i < STEP; i++)
            rs_v4_store(to_tokens ? t + at[i] : x + i * plane, v[i]);
    }
}

/* The same for four channels, of patches that are one frame deep and 2x2. */
static void four_channels(const patch_job *j, float *x, float *t)
{
    const grid *g = &j->g;
    if (!j->channel_inner) {
        two_lines(j, x, t, STEP);
        return;
    }
    for (int64_t iy = 0; iy < 2; iy++, x += g->w, t += 2 * g->c)
        if (j->to_tokens)
            four_lines(j, x, t, true);
        else
            four_lines(j, x, t, false);
}

/* One channel of a row of patches. x and t: where it begins. */
static void one_channel(const patch_job *j, float *x, float *t)
{
    const grid *g = &j->g;
    int64_t step = j->channel_inner ? g->c : 1;
    for (int64_t it = 0; it < g->pt; it++)
        for (int64_t iy = 0; iy < g->ph; iy++)
            line(j, x + (it * g->h + iy) * g->w, t + (it * g->ph + iy) * g->pw * step, step);
}

/* Rows of patches: a few channels at a time go through all rows of the block, so that each plane is
 * read in long stretches, which the processor fetches ahead; the tokens stay in the second cache.
 */
static void patch_rows(const void *args, int64_t lo, int64_t hi, int thread)
{
    (void)thread;
    const patch_job *j = args;
    const grid *g = &j->g;
    int64_t plane = g->f * g->h * g->w, spread = j->channel_inner ? 1 : g->pt * g->ph * g->pw;
    bool square = g->pt == 1 && g->ph == 2 && g->pw == 2 && g->wp % 2 == 0;
    for (int64_t c = 0, n; c < g->c; c += n) {
        n = square && g->c - c >= STEP ? STEP : 1;
        for (int64_t r = lo; r < hi; r++) {
            int64_t frame = r / g->hp * g->pt, row = r % g->hp * g->ph;
            float *x = j->x + c * plane + (frame * g->h + row) * g->w;
            float *t = j->tokens + r * g->wp * j->ld + c * spread;
            if (n == STEP)
                four_channels(j, x, t);
            else
                one_channel(j, x, t);
        }
    }
}

static void run(rs_kctx *k, const patch_job *j)
{
    int64_t block = rs_max_i64(1, ENOUGH / (j->g.wp * j->ld));
    rs_for_range(k, j->g.fp * j->g.hp, block, patch_rows, j);
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
