#include "stage/common.h"

#include "base/fsio.h"
#include "base/num.h"
#include "media/image.h"
#include "stage/condition.h"

const char *rs_stage_prompt(const rs_run *run, rs_arena *a, const char *text)
{
    const char *prefix = run->cfg->prompt.prefix;
    return prefix[0] ? rs_arena_printf(a, "%s %s", prefix, text) : text;
}

rs_status rs_stage_hash_media(char out[RS_HASH_HEX], const char *path)
{
    if (!rs_path_is_dir(path))
        return rs_hash_file(out, path);
    rs_status st = RS_OK;
    rs_arena *a = rs_arena_create();
    char **names;
    int64_t n;
    rs_hash h;
    rs_hash_init(&h);
    RS_TRY_OUT(rs_list_dir(&names, &n, a, path));
    for (int64_t i = 0; i < n; i++) {
        char hex[RS_HASH_HEX];
        RS_TRY_OUT(rs_hash_file(hex, rs_path_join(a, path, names[i])));
        rs_hash_string(&h, names[i]);
        rs_hash_string(&h, hex);
    }
    rs_hash_final_hex(&h, out);
out:
    rs_arena_destroy(&a);
    return st;
}

rs_status rs_stage_make_y(rs_tensor *y, rs_arena *a, rs_tensor mask, rs_tensor latent,
                          bool keep_first)
{
    int64_t z = latent.shape[0], F = latent.shape[1], h = latent.shape[2], w = latent.shape[3];
    rs_tensor m = rs_tensor_new(a, RS_SHAPE(4, F, h, w));
    if (mask.shape[0] != 4 * (F - 1) + 1 || mask.shape[1] % h || mask.shape[2] % w)
        return RS_FAIL(INPUT, "a mask of %lldx%lldx%lld does not fit a latent of %lldx%lldx%lld",
                       (long long)mask.shape[0], (long long)mask.shape[1], (long long)mask.shape[2],
                       (long long)F, (long long)h, (long long)w);
    rs_mask_condition(m, mask, mask.shape[1] / h, keep_first);
    *y = rs_tensor_new(a, RS_SHAPE(4 + z, F, h, w));
    rs_condition_concat(*y, m, latent);
    return RS_OK;
}

static rs_tensor given_mask(rs_arena *a, rs_tensor mask, rs_cfg_given given)
{
    rs_tensor out = mask;
    out.data = rs_arena_alloc(a, rs_tensor_bytes(mask), 1);
    rs_given_mask(out, mask, given);
    return out;
}

rs_tensor rs_stage_condition_frames(rs_arena *a, const rs_config *cfg, rs_tensor frames,
                                    rs_tensor mask, rs_cfg_given given)
{
    rs_tensor out = frames;
    out.data = rs_arena_alloc(a, rs_tensor_bytes(frames), 1);
    rs_paint_condition(out, frames, given_mask(a, mask, given), rs_i32(cfg->condition.fill),
                       rs_given_first(given));
    return out;
}

rs_status rs_stage_encode_condition(rs_tensor *y, rs_run *run, rs_arena *a, rs_tensor frames,
                                    rs_tensor mask, rs_cfg_given given)
{
    rs_tensor latent;
    rs_tensor shown = rs_stage_condition_frames(a, run->cfg, frames, mask, given);
    RS_TRY(rs_models_encode_frames(&run->models, a, &latent, shown));
    return rs_stage_make_y(y, a, given_mask(a, mask, given), latent, rs_given_first(given));
}

rs_status rs_stage_load_edited(rs_tensor *frame, rs_arena *a, const rs_catalog_path *p,
                               const rs_fit *fit)
{
    rs_tensor rgb;
    rs_status st = rs_image_load_fit(&rgb, a, p->path, fit);
    if (st != RS_OK) {
        rs_error_context("%s", p->where);
        return st;
    }
    *frame = rs_tensor_reshape(rgb, RS_SHAPE(1, rgb.shape[0], rgb.shape[1], 3));
    return RS_OK;
}

uint64_t rs_stage_stream(const rs_job *job, rs_stage_id id)
{
    uint64_t name = rs_hash64_string(rs_stage_get(id)->per_edit ? job->name : job->video->id);
    return rs_hash64_mix(name, rs_hash64_string(rs_stage_get(id)->name));
}
