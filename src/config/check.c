/* Rules across settings, after every value has passed its own row. */
#include <string.h>

#include "base/process.h"
#include "config/config_priv.h"

typedef struct rule_ctx {
    rs_problems *problems;
    const rs_where *where;
} rule_ctx;

static rs_where place(const rule_ctx *r, const char *path)
{
    int64_t n;
    const rs_cfg_row *rows = rs_cfg_rows(&n);
    const rs_cfg_row *row = rs_cfg_find_row(path);
    RS_ASSERT(row);
    return r->where[row - rows];
}

static void check_required(const rs_config *cfg, const rule_ctx *r)
{
    int64_t n;
    const rs_cfg_row *rows = rs_cfg_rows(&n);
    for (int64_t i = 0; i < n; i++) {
        if (!rows[i].limit.required)
            continue;
        const char *value;
        memcpy(&value, (const char *)cfg + rows[i].offset, sizeof value);
        if (*value == 0)
            rs_problems_add(r->problems, r->where[i], rows[i].path, "is required (%s)",
                            rows[i].doc);
    }
}

static void check_multiple(const rule_ctx *r, const char *path, int64_t v)
{
    int64_t below = v / 16 * 16, near = v - below <= 8 ? below : below + 16;
    if (v % 16 != 0)
        rs_problems_add(r->problems, place(r, path), path,
                        "%lld is not a multiple of 16; the nearest is %lld", (long long)v,
                        (long long)(near < 16 ? 16 : near));
}

/* The VAE makes one latent frame of the first frame and one of every further four. */
static void check_frames(const rule_ctx *r, const char *path, int64_t v)
{
    int64_t near = (v + 1) / 4 * 4 + 1; /* of two equally near the smaller: 51 -> 49 */
    if ((v - 1) % 4 == 2)
        near = v - 2;
    if ((v - 1) % 4 != 0)
        rs_problems_add(r->problems, place(r, path), path, "%lld is not 4n+1; the nearest is %lld",
                        (long long)v, (long long)near);
}

static void check_paste_back(const rs_config *cfg, const rule_ctx *r)
{
    int64_t least = cfg->clip.width < cfg->clip.height ? cfg->clip.width : cfg->clip.height;
    if (cfg->edit.paste_back && 2 * cfg->edit.feather >= least)
        rs_problems_add(r->problems, place(r, "edit.feather"), "edit.feather",
                        "%lld leaves nothing unblended in %lldx%lld frames",
                        (long long)cfg->edit.feather, (long long)cfg->clip.width,
                        (long long)cfg->clip.height);
}

/* A window is a clip of its own, and its first frame is given. */
static void check_window(const rs_config *cfg, const rule_ctx *r)
{
    int64_t window = cfg->motion.window, stride = cfg->motion.window_stride;
    if (window == 0)
        return;
    check_frames(r, "motion.window", window);
    if (window == 1)
        rs_problems_add(r->problems, place(r, "motion.window"), "motion.window",
                        "1 leaves nothing to learn: the first frame of a window is given");
    else if (stride > window)
        rs_problems_add(r->problems, place(r, "motion.window_stride"), "motion.window_stride",
                        "%lld leaves out frames between windows of %lld", (long long)stride,
                        (long long)window);
}

/* A multistep sampler computes from samples it remembers, which know nothing of the blend. */
static void check_blend(const rs_config *cfg, const rule_ctx *r)
{
    bool euler = cfg->edit.sampler == RS_CFG_SAMPLER_EULER ||
                 cfg->edit.sampler == RS_CFG_SAMPLER_EULER_DIFFUSERS;
    if (cfg->edit.blend && !euler)
        rs_problems_add(r->problems, place(r, "edit.blend"), "edit.blend",
                        "needs edit.sampler euler or euler-diffusers: the corrector of %s would "
                        "undo it",
                        rs_cfg_sampler_text(cfg->edit.sampler));
}

static void check_fp8(const rs_config *cfg, const rule_ctx *r)
{
    if (cfg->model.fp8 && cfg->model.precision != RS_CFG_PRECISION_BF16)
        rs_problems_add(r->problems, place(r, "model.fp8"), "model.fp8",
                        "needs model.precision bf16: it is about weights only");
}

static void check_command(const rs_config *cfg, const rule_ctx *r)
{
    char **words;
    int64_t n;
    rs_arena *a = rs_arena_create();
    if (rs_split_words(&words, &n, a, cfg->measure.deqa_command) != RS_OK) {
        rs_problems_add(r->problems, place(r, "measure.deqa_command"), "measure.deqa_command", "%s",
                        rs_error_message());
        rs_error_clear();
    }
    rs_arena_destroy(&a);
}

void rs_cfg_check(const rs_config *cfg, rs_problems *problems, const rs_where *where)
{
    rule_ctx r = {problems, where};
    check_required(cfg, &r);
    check_frames(&r, "clip.frames", cfg->clip.frames);
    check_multiple(&r, "clip.width", cfg->clip.width);
    check_multiple(&r, "clip.height", cfg->clip.height);
    check_paste_back(cfg, &r);
    check_window(cfg, &r);
    check_blend(cfg, &r);
    check_fp8(cfg, &r);
    check_command(cfg, &r);
}
