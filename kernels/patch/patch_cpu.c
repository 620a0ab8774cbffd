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

/* One token: walk its features in x order. */
static void token(const patch_job *j, int64_t s)
{
    const grid *g = &j->g;
    int64_t f = s / (g->hp * g->wp), h = s / g->wp % g->hp, w = s % g->wp;
    float *t = j->tokens + s * j->ld;
    for (int64_t c = 0; c < g->c; c++)
        for (int64_t it = 0; it < g->pt; it++)
            for (int64_t iy = 0; iy < g->ph; iy++) {
                int64_t inner = (it * g->ph + iy) * g->pw;
                float *x =
                    j->x + ((c * g->f + f * g->pt + it) * g->h + h * g->ph + iy) * g->w + w * g->pw;
                for (int64_t ix = 0; ix < g->pw; ix++) {
                    int64_t feature = j->channel_inner ? (inner + ix) * g->c + c
                                                       : c * g->pt * g->ph * g->pw + inner + ix;
                    if (j->to_tokens)
                        t[feature] = x[ix];
                    else
                        x[ix] = t[feature];
                }
            }
}

static void tokens(const void *args, int64_t lo, int64_t hi, int thread)
{
    (void)thread;
    for (int64_t s = lo; s < hi; s++)
        token(args, s);
}

static void run(rs_kctx *k, const patch_job *j)
{
    const grid *g = &j->g;
    rs_for_range(k, g->fp * g->hp * g->wp, 64, tokens, j);
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
