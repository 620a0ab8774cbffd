/* The clip and the edit of an archive, as the stages want them. */
#include "job/resample_priv.h"

#include <string.h>

#include "stage/common.h"
#include "store/schema_names.h"

/* ---- the clip ---- */

/* A tensor of this type and shape; shape[i] < 0: any, filled in. */
static rs_status read_tensor(rs_tensor *out, const rs_resampling *r, const char *object,
                             rs_dtype dtype, int ndim, int64_t *shape)
{
    char is[RS_TENSOR_TEXT], want[RS_TENSOR_TEXT];
    RS_TRY(rs_archive_read_tensor(out, r->a, r->f, object));
    bool fits = out->dtype == dtype && out->ndim == ndim;
    for (int i = 0; fits && i < ndim; i++)
        fits = shape[i] < 0 || shape[i] == out->shape[i];
    if (!fits)
        return RS_FAIL(FORMAT, "%s: %s is %s, expected %s (-1: any)", rs_archive_path(r->f), object,
                       rs_tensor_text(is, *out),
                       rs_tensor_text(want, rs_tensor_of(NULL, dtype, ndim, shape)));
    memcpy(shape, out->shape, (size_t)ndim * sizeof *shape);
    return RS_OK;
}

/* Sizes and rate of the source file, where the archive has them. */
static rs_status read_sizes(rs_resampling *r, rs_ingest *s)
{
    const char *at = RS_GROUP_SOURCE;
    int64_t H = s->frames.shape[1], W = s->frames.shape[2], w = W, h = H;
    s->fps = (rs_ratio){0, 1};
    if (rs_archive_has(r->f, at, RS_ATTR_SOURCE_WIDTH)) {
        RS_TRY(rs_archive_get_i64(&w, r->f, at, RS_ATTR_SOURCE_WIDTH));
        RS_TRY(rs_archive_get_i64(&h, r->f, at, RS_ATTR_SOURCE_HEIGHT));
    }
    if (rs_archive_has(r->f, at, RS_ATTR_FPS_NUM)) {
        RS_TRY(rs_archive_get_i64(&s->fps.num, r->f, at, RS_ATTR_FPS_NUM));
        RS_TRY(rs_archive_get_i64(&s->fps.den, r->f, at, RS_ATTR_FPS_DEN));
    }
    if (w < 1 || h < 1 || s->fps.den < 1)
        return RS_FAIL(FORMAT, "%s: %s: its size or rate is not positive", rs_archive_path(r->f),
                       at);
    s->fit = rs_fit_plan(w, h, W, H);
    return RS_OK;
}

rs_status rs_resample_read_source(rs_resampling *r)
{
    rs_ingest *s = &r->job.source;
    int64_t frames[] = {-1, -1, -1, 3}, latent[] = {-1, -1, -1, -1};
    RS_TRY(read_tensor(&s->frames, r, RS_GROUP_SOURCE "/" RS_DATA_FRAMES, RS_DTYPE_U8, 4, frames));
    RS_TRY(read_tensor(&s->mask, r, RS_GROUP_SOURCE "/" RS_DATA_MASK, RS_DTYPE_U8, 3,
                       (int64_t[]){frames[0], frames[1], frames[2]}));
    RS_TRY(read_tensor(&s->x0, r, RS_GROUP_CONDITION "/" RS_DATA_LATENTS, RS_DTYPE_F32, 4, latent));
    RS_TRY(read_tensor(&s->y, r, RS_GROUP_CONDITION "/" RS_DATA_Y, RS_DTYPE_F32, 4,
                       (int64_t[]){-1, latent[1], latent[2], latent[3]}));
    r->job.loaded = true;
    return read_sizes(r, s);
}

/* ---- the edit ---- */

static rs_status choose_edit(rs_resampling *r)
{
    char **ids;
    int64_t n;
    const char *known = "", *wanted = r->o->edit;
    RS_TRY(rs_archive_list(&ids, &n, r->a, r->f, RS_GROUP_EDITS));
    for (int64_t i = 0; i < n; i++) {
        known = rs_arena_printf(r->a, "%s%s%s", known, i ? ", " : "", ids[i]);
        if ((wanted && strcmp(wanted, ids[i]) == 0) || (!wanted && n == 1))
            r->edit.id = ids[i];
    }
    if (r->edit.id)
        return RS_OK;
    if (wanted)
        return RS_FAIL(USAGE, "%s: there is no edit \"%s\"; there are: %s", rs_archive_path(r->f),
                       wanted, known);
    return RS_FAIL(USAGE, "%s: has %lld edits; choose one with --edit: %s", rs_archive_path(r->f),
                   (long long)n, known);
}

static rs_status read_first_frame(rs_resampling *r, const char *group)
{
    const int64_t *p = r->job.source.frames.shape;
    rs_tensor first;
    if (r->o->first_frame) {
        rs_catalog_path path = {.path = r->o->first_frame, .where = "--first-frame"};
        return rs_stage_load_edited(&r->sample.first, r->a, &path, &r->job.source.fit);
    }
    const char *object = rs_arena_printf(r->a, "%s/" RS_DATA_FIRST_FRAME, group);
    if (!rs_archive_exists(r->f, object))
        return RS_FAIL(USAGE, "%s: edit \"%s\" has no first frame; give one with --first-frame",
                       rs_archive_path(r->f), r->edit.id);
    RS_TRY(read_tensor(&first, r, object, RS_DTYPE_U8, 3, (int64_t[]){p[1], p[2], 3}));
    r->sample.first = rs_tensor_reshape(first, RS_SHAPE(1, p[1], p[2], 3));
    return RS_OK;
}

/* An edit without a result of its own has no adapters to rely on. */
static rs_status check_succeeded(const rs_resampling *r, const char *group)
{
    char *reason;
    const char *frames = rs_arena_printf(r->a, "%s/" RS_DATA_FRAMES, group);
    if (r->o->n_adapters > 0 || rs_archive_exists(r->f, frames))
        return RS_OK;
    RS_TRY(rs_archive_get_string(&reason, r->a, r->f, group, RS_ATTR_REASON));
    return RS_FAIL(INPUT, "%s: edit \"%s\" failed (%s); name what to sample with by --adapter",
                   rs_archive_path(r->f), r->edit.id, reason);
}

rs_status rs_resample_read_edit(rs_resampling *r)
{
    char *video, *prompt;
    RS_TRY(choose_edit(r));
    const char *group = rs_arena_printf(r->a, RS_GROUP_EDITS "/%s", r->edit.id);
    RS_TRY(check_succeeded(r, group));
    RS_TRY(rs_archive_get_string(&video, r->a, r->f, "/", RS_ATTR_VIDEO));
    RS_TRY(rs_archive_get_string(&prompt, r->a, r->f, group, RS_ATTR_PROMPT));
    r->video.id = video;
    r->edit.prompt = r->o->prompt ? r->o->prompt : prompt;
    r->edit.seed = r->o->seed;
    if (r->edit.seed < 0 && rs_archive_has(r->f, group, RS_ATTR_SEED))
        RS_TRY(rs_archive_get_i64(&r->edit.seed, r->f, group, RS_ATTR_SEED));
    r->job.video = &r->video;
    r->job.edit = &r->edit;
    r->job.name = rs_arena_printf(r->a, "%s#%s", video, r->edit.id);
    return read_first_frame(r, group);
}
