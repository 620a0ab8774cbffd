/* ingest: decode the source, shape the mask, build the condition, and encode everything that does
 * not depend on an edit: target latent x0, condition y, prompt and first frame (loraedit.md
 * 1, 2.1, 2.3). */
#include <string.h>

#include "base/log.h"
#include "base/num.h"
#include "base/str.h"
#include "media/mask.h"
#include "stage/ahead.h"
#include "stage/common.h"
#include "stage/state_io.h"

static rs_status hash_path(rs_hash *h, const rs_catalog_path *p)
{
    char hex[RS_HASH_HEX];
    rs_status st = rs_stage_hash_media(hex, p->path);
    if (st != RS_OK) {
        rs_error_context("%s", p->where);
        return st;
    }
    rs_hash_string(h, hex);
    return RS_OK;
}

static rs_status hash(rs_hash *h, const rs_run *run, const rs_job *job)
{
    const rs_catalog_video *v = job->video;
    static const char *const sections[] = {"clip.width", "clip.height", "clip.sampling",
                                           "mask",       "condition",   "prompt"};
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++)
        rs_config_hash_section(h, run->cfg, sections[i]);
    if (run->cfg->model.precision != RS_CFG_PRECISION_FP32) /* of every later stage too */
        rs_config_hash_section(h, run->cfg, "model.precision");
    if (run->cfg->model.fp8)
        rs_config_hash_section(h, run->cfg, "model.fp8");
    rs_hash_string(h, run->vae_id);
    rs_hash_string(h, run->encoders_id);
    rs_hash_string(h, v->prompt);
    rs_hash_i64(h, rs_catalog_clip_frames(run->cfg, v));
    RS_TRY(hash_path(h, &v->source));
    for (int64_t i = 0; i < v->n_boxes; i++) {
        const rs_catalog_box *b = &v->boxes[i];
        int64_t row[] = {b->frame, b->x, b->y, b->w, b->h};
        for (int k = 0; k < 5; k++)
            rs_hash_i64(h, row[k]);
    }
    return v->n_boxes ? RS_OK : hash_path(h, &v->mask);
}

static rs_status load_clip(rs_clip *clip, rs_arena *a, const rs_run *run, const rs_job *job,
                           const rs_catalog_path *path, const rs_media_stop *stop)
{
    const rs_config *c = run->cfg;
    rs_clip_opts o = {.frames = rs_catalog_clip_frames(c, job->video),
                      .width = c->clip.width,
                      .height = c->clip.height,
                      .sampling = c->clip.sampling == RS_CFG_SAMPLING_FIRST ? RS_SAMPLING_FIRST
                                                                            : RS_SAMPLING_EVEN,
                      .stop = stop};
    rs_status st = rs_clip_load(clip, a, path->path, &o);
    if (st != RS_OK)
        rs_error_context("%s", path->where);
    return st;
}

rs_status rs_stage_load_clip(rs_clip *clip, rs_arena *a, const rs_run *run, const rs_job *job,
                             const rs_catalog_path *path)
{
    return load_clip(clip, a, run, job, path, NULL);
}

static rs_status load_mask(rs_tensor *mask, rs_arena *a, const rs_clip *clip, const rs_run *run,
                           const rs_job *job, rs_mask_shape shape, const rs_media_stop *stop)
{
    const rs_config *c = run->cfg;
    const rs_catalog_video *v = job->video;
    rs_mask_opts o = RS_MASK_OPTS_DEFAULT;
    o.shape = shape;
    o.stop = stop;
    o.threshold = rs_i32(c->mask.threshold);
    o.grow = c->mask.grow;
    o.min_area = c->mask.min_area;
    if (v->n_boxes == 0) {
        rs_status st = rs_mask_load(mask, a, v->mask.path, clip, &o);
        if (st != RS_OK)
            rs_error_context("%s", v->mask.where);
        return st;
    }
    rs_box_key *keys = RS_NEW(a, rs_box_key, v->n_boxes);
    for (int64_t i = 0; i < v->n_boxes; i++)
        keys[i] = (rs_box_key){v->boxes[i].frame, (double)v->boxes[i].x, (double)v->boxes[i].y,
                               (double)v->boxes[i].w, (double)v->boxes[i].h};
    return rs_mask_from_boxes(mask, a, v->where, keys, v->n_boxes, clip, &o);
}

static rs_mask_shape configured_shape(const rs_config *c)
{
    return c->mask.shape == RS_CFG_MASK_SHAPE_BOX     ? RS_MASK_BOX
           : c->mask.shape == RS_CFG_MASK_SHAPE_EXACT ? RS_MASK_EXACT
                                                      : RS_MASK_GRID;
}

rs_status rs_stage_load_media(rs_stage_media *out, const rs_run *run, const rs_job *job,
                              const rs_media_stop *stop)
{
    *out = (rs_stage_media){.arena = rs_arena_create()};
    rs_status st = load_clip(&out->clip, out->arena, run, job, &job->video->source, stop);
    if (st == RS_OK)
        st = load_mask(&out->mask, out->arena, &out->clip, run, job, configured_shape(run->cfg),
                       stop);
    if (st != RS_OK)
        rs_arena_destroy(&out->arena);
    return st;
}

rs_status rs_stage_object_mask(rs_tensor *mask, rs_arena *a, const rs_run *run, const rs_job *job)
{
    const rs_ingest *s = &job->source;
    rs_clip clip = {
        .rgb = s->frames, .index = s->index, .source_frames = s->source_frames, .fit = s->fit};
    return load_mask(mask, a, &clip, run, job, RS_MASK_EXACT, NULL);
}

static rs_status save(rs_run *run, rs_job *job, const rs_clip *clip, const rs_ingest *s)
{
    rs_arena *a = job->scratch;
    rs_tensor_list out = {0};
    rs_tensor fit = rs_tensor_of(rs_arena_memdup(a, &clip->fit, sizeof clip->fit), RS_DTYPE_I64,
                                 RS_SHAPE((int64_t)(sizeof clip->fit / sizeof(int64_t))));
    rs_tensor index = rs_tensor_of(clip->index, RS_DTYPE_I64, RS_SHAPE(s->frames.shape[0]));
    rs_tensor_list_add(&out, a, "frames", s->frames);
    rs_tensor_list_add(&out, a, "mask", s->mask);
    rs_tensor_list_add(&out, a, "x0", s->x0);
    rs_tensor_list_add(&out, a, "y", s->y);
    rs_tensor_list_add(&out, a, "text", s->text);
    if (rs_has(s->image))
        rs_tensor_list_add(&out, a, "image", s->image);
    rs_tensor_list_add(&out, a, "fit", fit);
    rs_tensor_list_add(&out, a, "index", index);
    rs_meta_list meta = {0};
    rs_meta_add_i64(&meta, a, "fps_num", s->fps.num);
    rs_meta_add_i64(&meta, a, "fps_den", s->fps.den);
    rs_meta_add_i64(&meta, a, "source_frames", clip->source_frames);
    return rs_stage_save(run, job, RS_STAGE_INGEST, &out, &meta);
}

/* A clip that leaves nothing to generate would train on nothing and edit nothing. */
static rs_status check_usable(const rs_clip *clip, const rs_ingest *s, int64_t wanted)
{
    int64_t frames = clip->rgb.shape[0], cells = rs_tensor_count(s->y) / s->y.shape[0] * 4,
            generate = 0;
    if (frames < 5 && frames < wanted)
        return RS_FAIL(
            INPUT,
            "the source has only %lld usable frames of the %lld wanted; at least 5 are needed",
            (long long)frames, (long long)wanted);
    for (int64_t i = 0; i < cells; i++)
        generate += rs_f32(s->y)[i] == 0.0f;
    if (generate == 0 && frames > 1)
        return RS_FAIL(INPUT, "the mask leaves nothing to generate after the first frame");
    return RS_OK;
}

static bool asked_to_stop(const void *run)
{
    return *((const rs_run *)run)->stop != 0;
}

/* What was decoded ahead, or now. */
static rs_status get_media(rs_stage_media *m, const rs_run *run, const rs_job *job)
{
    bool there = false;
    if (run->ahead)
        RS_TRY(rs_ahead_take(m, &there, run->ahead, job));
    if (there)
        return RS_OK;
    return rs_stage_load_media(m, run, job, &(rs_media_stop){asked_to_stop, run});
}

static rs_status encode(rs_run *run, rs_job *job, const rs_stage_media *m)
{
    const rs_clip *clip = &m->clip;
    rs_ingest *s = &job->source;
    s->frames = clip->rgb;
    s->mask = m->mask;
    s->fps = clip->play_fps;
    RS_LOG(INFO, "ingest: %lld of %lld source frames, %lldx%lld, edit region %.1f %% of the pixels",
           (long long)clip->rgb.shape[0], (long long)clip->source_frames,
           (long long)clip->rgb.shape[2], (long long)clip->rgb.shape[1],
           100.0 * (double)rs_mask_count(s->mask) / (double)rs_tensor_count(s->mask));
    RS_TRY(rs_models_encode_frames(&run->models, job->scratch, &s->x0, s->frames));
    RS_TRY(rs_stage_encode_condition(&s->y, run, job->scratch, s->frames, s->mask,
                                     RS_CFG_GIVEN_MASKED));
    RS_TRY(check_usable(clip, s, rs_catalog_clip_frames(run->cfg, job->video)));
    const char *prompt = rs_stage_prompt(run, job->scratch, job->video->prompt);
    RS_TRY(rs_models_encode_text(&run->models, job->scratch, &s->text, prompt));
    RS_TRY(rs_models_encode_image(&run->models, job->scratch, &s->image,
                                  rs_tensor_slice(s->frames, 0, 1)));
    return save(run, job, clip, s);
}

static rs_status run_ingest(rs_run *run, rs_job *job)
{
    rs_stage_media m;
    RS_TRY(get_media(&m, run, job));
    rs_status st = encode(run, job, &m);
    rs_arena_destroy(&m.arena);
    return st;
}

/* Rate at which the chosen frames play as the source does. The catalog's fps stands for the
 * source's: frames that follow each other play at it, thinned ones at its share (loraedit.md 5.7).
 */
static rs_ratio played_fps(const rs_catalog_video *v, const rs_meta_list *meta, const rs_ingest *s)
{
    const char *num = rs_meta_get(meta, "fps_num"), *den = rs_meta_get(meta, "fps_den");
    const char *count = rs_meta_get(meta, "source_frames");
    rs_ratio fps = {0, 1};
    int64_t T = s->frames.shape[0], source = 0;
    if (v->fps > 0) {
        bool thinned = s->index[T - 1] - s->index[0] != T - 1;
        bool known = count && rs_parse_i64(&source, count) && source > 0;
        int64_t milli = (int64_t)(v->fps * 1000.0 + 0.5);
        return thinned && known ? rs_ratio_of(milli * T, 1000 * source) : rs_ratio_of(milli, 1000);
    }
    if (num && den && rs_parse_i64(&fps.num, num) && rs_parse_i64(&fps.den, den) && fps.den > 0)
        return fps;
    return (rs_ratio){0, 1};
}

rs_status rs_job_load_source(const rs_run *run, rs_job *job)
{
    if (job->loaded)
        return RS_OK;
    if (job->parent) {
        RS_TRY(rs_job_load_source(run, job->parent));
        job->source = job->parent->source;
        job->loaded = true;
        return RS_OK;
    }
    rs_tensor_list l = {0};
    rs_meta_list meta = {0};
    rs_ingest *s = &job->source;
    rs_tensor fit, index;
    const char *path = rs_stage_path(run, job, RS_STAGE_INGEST);
    RS_TRY(rs_stage_load(run, job, RS_STAGE_INGEST, job->arena, &l, &meta));
    RS_TRY(rs_state_need(&s->frames, &l, "frames", path));
    RS_TRY(rs_state_need(&s->mask, &l, "mask", path));
    RS_TRY(rs_state_need(&s->x0, &l, "x0", path));
    RS_TRY(rs_state_need(&s->y, &l, "y", path));
    RS_TRY(rs_state_need(&s->text, &l, "text", path));
    RS_TRY(rs_state_need(&fit, &l, "fit", path));
    RS_TRY(rs_state_need(&index, &l, "index", path));
    const rs_tensor *image = rs_tensor_list_find(&l, "image");
    s->image = image ? *image : (rs_tensor){0};
    if (rs_tensor_bytes(fit) != sizeof s->fit)
        return RS_FAIL(FORMAT, "%s: \"fit\" has the wrong size", path);
    memcpy(&s->fit, fit.data, sizeof s->fit);
    s->index = index.data;
    const char *count = rs_meta_get(&meta, "source_frames");
    if (!count || !rs_parse_i64(&s->source_frames, count))
        return RS_FAIL(FORMAT, "%s: \"source_frames\" is missing", path);
    s->fps = played_fps(job->video, &meta, s);
    job->loaded = true;
    return RS_OK;
}

const rs_stage rs_stage_ingest = {
    .name = "ingest",
    .version = 1,
    .per_edit = false,
    .upstream = RS_STAGE_INGEST,
    .hash = hash,
    .run = run_ingest,
};
