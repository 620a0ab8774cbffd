#include "stage/measure_edit.h"

#include <math.h>
#include <string.h>

#include "base/log.h"
#include "stage/common.h"

enum { MEASURE_VERSION = 1 };

rs_measuring rs_measuring_init(rs_run *run, rs_job *video, rs_arena *a)
{
    return (rs_measuring){.run = run, .video = video, .arena = a};
}

rs_status rs_measure_key(char out[RS_HASH_HEX], const rs_run *run, const rs_job *edit)
{
    const rs_catalog_path *truth = &edit->edit->truth;
    char hex[RS_HASH_HEX] = "";
    rs_hash h;
    if (truth->path) {
        rs_status st = rs_stage_hash_media(hex, truth->path);
        if (st != RS_OK) {
            rs_error_context("%s", truth->where);
            return st;
        }
    }
    rs_hash_init(&h);
    rs_hash_i64(&h, MEASURE_VERSION);
    rs_hash_string(&h, edit->key[RS_STAGE_DECODE]);
    rs_hash_string(&h, hex);
    rs_config_hash_section(&h, run->cfg, "measure.clip");
    rs_config_hash_section(&h, run->cfg, "measure.deqa_command");
    rs_hash_final_hex(&h, out);
    return RS_OK;
}

/* ---- CLIP ---- */

/* (T,dim); ndim 0 after a warning where the model cannot. */
static rs_status embed(rs_tensor *out, rs_measuring *m, rs_arena *a, rs_tensor frames)
{
    rs_tensor one;
    *out = (rs_tensor){0};
    for (int64_t t = 0; t < frames.shape[0] && !m->no_clip; t++) {
        if (*m->run->stop)
            return RS_FAIL(STOPPED, "stopped while frames were measured");
        rs_arena_mark mark = rs_arena_get_mark(a);
        rs_status st =
            rs_models_embed_image(&m->run->models, a, &one, rs_tensor_slice(frames, t, t + 1));
        if (st == RS_MODEL || (st == RS_OK && !rs_has(one))) {
            RS_LOG(WARN, "clip_score and input_similarity are not available: %s",
                   st == RS_OK ? "the model has no image encoder" : rs_error_message());
            rs_error_clear();
            m->no_clip = true;
            break;
        }
        RS_TRY(st);
        if (t == 0) {
            *out = rs_tensor_new(a, RS_SHAPE(frames.shape[0], one.shape[0]));
            mark = rs_arena_get_mark(a);
        }
        memcpy(rs_f32(*out) + t * one.shape[0], one.data, rs_tensor_bytes(one));
        rs_arena_release(a, mark);
    }
    return RS_OK;
}

/* Mean cosine between rows of a and of b, or of its only row. */
static double mean_cosine(rs_tensor a, rs_tensor b)
{
    int64_t T = a.shape[0], n = a.shape[1];
    double sum = 0;
    for (int64_t t = 0; t < T; t++) {
        const float *p = rs_f32(a) + t * n, *q = rs_f32(b) + (b.shape[0] == 1 ? 0 : t * n);
        double pp = 0, qq = 0, pq = 0;
        for (int64_t i = 0; i < n; i++) {
            pp += (double)p[i] * (double)p[i];
            qq += (double)q[i] * (double)q[i];
            pq += (double)p[i] * (double)q[i];
        }
        sum += pq / sqrt(pp * qq);
    }
    return sum / (double)T;
}

static rs_status measure_clip(rs_measures *out, rs_measuring *m, rs_arena *a, rs_tensor frames,
                              rs_tensor first)
{
    rs_tensor mine, edited;
    if (!rs_has(m->embeddings))
        RS_TRY(embed(&m->embeddings, m, m->arena, m->video->source.frames));
    RS_TRY(embed(&mine, m, a, frames));
    RS_TRY(embed(&edited, m, a, first));
    if (m->no_clip)
        return RS_OK;
    out->v[RS_MEASURE_CLIP_SCORE] = mean_cosine(mine, edited);
    out->v[RS_MEASURE_INPUT_SIMILARITY] = mean_cosine(mine, m->embeddings);
    return RS_OK;
}

/* ---- against source and truth ---- */

/* The exact edited clip; ndim 0: the catalog has none. */
static rs_status load_truth(rs_tensor *frames, rs_arena *a, const rs_measuring *m,
                            const rs_job *edit)
{
    const rs_catalog_path *path = &edit->edit->truth;
    const rs_ingest *s = &m->video->source;
    rs_clip clip;
    *frames = (rs_tensor){0};
    if (!path->path)
        return RS_OK;
    RS_TRY(rs_stage_load_clip(&clip, a, m->run, edit, path));
    bool fits = rs_tensor_same_shape(clip.rgb, s->frames) &&
                clip.source_frames == s->source_frames &&
                memcmp(&clip.fit, &s->fit, sizeof s->fit) == 0;
    for (int64_t t = 0; fits && t < s->frames.shape[0]; t++)
        fits = clip.index[t] == s->index[t];
    if (!fits)
        return RS_FAIL(INPUT, "%s: truth %s: has not the size and the frames of the source",
                       path->where, path->path);
    *frames = clip.rgb;
    return RS_OK;
}

static void measure_pixels(rs_measures *out, rs_arena *a, const rs_ingest *s, rs_tensor frames,
                           rs_tensor truth)
{
    double psnr[RS_REGION_COUNT], ssim[RS_REGION_COUNT];
    int64_t T = frames.shape[0];
    rs_measure_psnr(psnr, frames, s->frames, s->mask);
    rs_measure_ssim(ssim, a, frames, s->frames, s->mask);
    out->v[RS_MEASURE_PSNR_OUTSIDE] = psnr[RS_REGION_OUTSIDE];
    out->v[RS_MEASURE_SSIM_OUTSIDE] = ssim[RS_REGION_OUTSIDE];
    if (T < 2)
        return;
    rs_tensor made = rs_tensor_slice(frames, 1, T), mask = rs_tensor_slice(s->mask, 1, T);
    rs_tensor like = rs_tensor_slice(rs_has(truth) ? truth : s->frames, 1, T);
    out->v[RS_MEASURE_JITTER] = rs_measure_flicker(made, mask) - rs_measure_flicker(like, mask);
    if (!rs_has(truth))
        return;
    rs_measure_psnr(psnr, made, like, mask);
    rs_measure_ssim(ssim, a, made, like, mask);
    out->v[RS_MEASURE_PSNR] = psnr[RS_REGION_ALL];
    out->v[RS_MEASURE_PSNR_INSIDE] = psnr[RS_REGION_INSIDE];
    out->v[RS_MEASURE_SSIM] = ssim[RS_REGION_ALL];
    out->v[RS_MEASURE_SSIM_INSIDE] = ssim[RS_REGION_INSIDE];
}

static rs_status measure(rs_measures *out, rs_measuring *m, rs_arena *a, const rs_job *edit,
                         rs_tensor frames, rs_tensor first)
{
    const rs_ingest *s = &m->video->source;
    rs_tensor truth;
    if (!rs_has(m->object))
        RS_TRY(rs_stage_object_mask(&m->object, m->arena, m->run, m->video));
    RS_TRY(load_truth(&truth, a, m, edit));
    measure_pixels(out, a, s, frames, truth);
    out->v[RS_MEASURE_MOTION_ERROR] = rs_measure_motion(a, frames, s->frames, m->object);
    return m->run->cfg->measure.clip ? measure_clip(out, m, a, frames, first) : RS_OK;
}

rs_status rs_measure_edit(rs_measures *out, rs_measuring *m, const rs_job *edit, rs_tensor frames,
                          rs_tensor first)
{
    rs_arena *a = rs_arena_create();
    *out = rs_measures_none();
    rs_status st = measure(out, m, a, edit, frames, first);
    rs_arena_destroy(&a);
    return st;
}
