#include "job/check.h"

#include <fnmatch.h>

#include "base/fsio.h"
#include "job/pin.h"
#include "media/clip.h"

/* The form of cluster.pin; whether the ranks are there is seen when they are started. */
static void check_pins(rs_problems *problems, const rs_config *cfg)
{
    enum { MOST = 65536 };
    rs_sched_gang *ranks = rs_alloc(MOST, sizeof *ranks);
    if (rs_pin_parse(ranks, MOST, cfg->cluster.pin) != RS_OK) {
        rs_problems_add(problems, (rs_where){.file = "settings"}, NULL, "%s", rs_error_message());
        rs_error_clear();
    }
    rs_dealloc(ranks);
}

void rs_check_load(rs_config **cfg, rs_catalog **catalog, rs_problems *problems, const char *path,
                   const char *const *sets, int64_t n_sets)
{
    *catalog = NULL;
    int64_t before = rs_problems_count(problems);
    rs_status st = rs_config_load_all(cfg, problems, path, sets, n_sets);
    bool clean = st == RS_OK && rs_problems_count(problems) == before;
    check_pins(problems, *cfg);
    if (!*(*cfg)->catalog)
        return; /* a problem already */
    st = rs_catalog_load_all(catalog, problems, (*cfg)->catalog, (*cfg)->catalog_root);
    if (st == RS_OK && clean)
        rs_catalog_check(problems, *cfg, *catalog);
}

bool rs_check_chosen(const char *glob, const rs_catalog_video *video)
{
    return !glob || fnmatch(glob, video->id, 0) == 0;
}

static bool probe(rs_problems *problems, rs_clip_info *info, const rs_catalog_path *path,
                  const char *video, const char *what)
{
    if (rs_clip_probe(info, path->path) == RS_OK)
        return true;
    rs_problems_add_at(problems, path->where, "video '%s': %s: %s", video, what,
                       rs_error_message());
    return false;
}

/* One picture serves every frame. */
static bool is_picture(const rs_clip_info *info, const char *path)
{
    return info->frames == 1 && info->fps.num == 0 && !rs_path_is_dir(path);
}

/* Frames, exactly: those of a container are an estimate until it was decoded. */
static bool count(rs_problems *problems, int64_t *frames, const rs_catalog_path *path,
                  const char *video, const char *what)
{
    if (rs_path_is_dir(path->path) || rs_clip_count(frames, path->path) == RS_OK)
        return true;
    rs_problems_add_at(problems, path->where, "video '%s': %s: %s", video, what,
                       rs_error_message());
    return false;
}

/* A mask or a truth against the source; `picture`: a single picture will do. */
static bool compare(rs_problems *problems, const rs_catalog_video *v, rs_clip_info *source,
                    rs_clip_info *other, const rs_catalog_path *path, const char *what,
                    bool picture)
{
    if (other->width != source->width || other->height != source->height) {
        rs_problems_add_at(problems, path->where,
                           "video '%s': %s: %s: is %lldx%lld, but the source is %lldx%lld", v->id,
                           what, path->path, (long long)other->width, (long long)other->height,
                           (long long)source->width, (long long)source->height);
        return false;
    }
    if ((picture && is_picture(other, path->path)) || other->frames == source->frames)
        return true;
    if (!count(problems, &source->frames, &v->source, v->id, "source") ||
        !count(problems, &other->frames, path, v->id, what))
        return false;
    if (other->frames == source->frames)
        return true;
    rs_problems_add_at(problems, path->where,
                       "video '%s': %s: %s: has %lld frames, but the source has %lld", v->id, what,
                       path->path, (long long)other->frames, (long long)source->frames);
    return false;
}

static bool check_boxes(rs_problems *problems, const rs_catalog_video *v,
                        const rs_clip_info *source)
{
    for (int64_t i = 0; i < v->n_boxes; i++) {
        const rs_catalog_box *b = &v->boxes[i];
        if (b->x < source->width && b->y < source->height && b->x + b->w > 0 && b->y + b->h > 0)
            return true;
    }
    rs_problems_add_at(problems, v->mask.where,
                       "video '%s': mask: every box lies outside of the %lldx%lld source", v->id,
                       (long long)source->width, (long long)source->height);
    return false;
}

bool rs_check_video(rs_problems *problems, rs_fit *fit, const rs_config *cfg,
                    const rs_catalog_video *video)
{
    rs_clip_info source, mask;
    bool found = probe(problems, &source, &video->source, video->id, "source");
    if (found)
        *fit = rs_fit_plan(source.width, source.height, cfg->clip.width, cfg->clip.height);
    if (video->n_boxes)
        return found && check_boxes(problems, video, &source);
    bool masked = probe(problems, &mask, &video->mask, video->id, "mask");
    return found && masked && compare(problems, video, &source, &mask, &video->mask, "mask", true);
}

static bool check_picture(rs_problems *problems, const rs_catalog_video *v,
                          const rs_catalog_edit *e, const rs_catalog_path *path, const char *what,
                          const rs_fit *fit)
{
    rs_clip_info info;
    rs_arena *a = rs_arena_create();
    const char *name = rs_arena_printf(a, "edit '%s': %s", e->id, what);
    bool ok = false;
    if (rs_path_is_dir(path->path))
        rs_problems_add_at(problems, path->where, "video '%s': %s: %s: is a folder, not an image",
                           v->id, name, path->path);
    else
        ok = probe(problems, &info, path, v->id, name);
    if (ok && fit && !(info.width == fit->width && info.height == fit->height) &&
        !(info.width == fit->src_w && info.height == fit->src_h)) {
        ok = false;
        rs_problems_add_at(problems, path->where,
                           "video '%s': %s: %s: is %lldx%lld; wanted %lldx%lld (the clip) or "
                           "%lldx%lld (its source)",
                           v->id, name, path->path, (long long)info.width, (long long)info.height,
                           (long long)fit->width, (long long)fit->height, (long long)fit->src_w,
                           (long long)fit->src_h);
    }
    rs_arena_destroy(&a);
    return ok;
}

static bool check_truth(rs_problems *problems, const rs_catalog_video *v, const rs_catalog_edit *e,
                        bool compared)
{
    rs_clip_info source, truth;
    rs_arena *a = rs_arena_create();
    const char *name = rs_arena_printf(a, "edit '%s': truth", e->id);
    bool ok = probe(problems, &truth, &e->truth, v->id, name);
    if (ok && compared)
        ok = probe(problems, &source, &v->source, v->id, "source") &&
             compare(problems, v, &source, &truth, &e->truth, name, false);
    rs_arena_destroy(&a);
    return ok;
}

bool rs_check_edit(rs_problems *problems, const rs_catalog_video *video,
                   const rs_catalog_edit *edit, const rs_fit *fit)
{
    bool ok = check_picture(problems, video, edit, &edit->first_frame, "first_frame", fit);
    for (int64_t i = 0; i < edit->n_references; i++)
        if (!check_picture(problems, video, edit, &edit->references[i].image, "reference", fit))
            ok = false;
    if (edit->truth.path && !check_truth(problems, video, edit, fit != NULL))
        ok = false;
    return ok;
}

int64_t rs_check_count_jobs(const rs_catalog *catalog)
{
    int64_t n = 0;
    for (int64_t i = 0; i < catalog->n_videos; i++)
        n += catalog->videos[i].n_edits;
    return n;
}

/* The first problem in a list of one job's. */
static const char *first_problem(rs_arena *a, rs_problems *problems)
{
    return rs_problems_count(problems) ? rs_arena_strdup(a, rs_problems_text(problems, 0)) : NULL;
}

static void check_video_jobs(const char **reasons, rs_arena *a, const rs_config *cfg,
                             const rs_catalog_video *v)
{
    rs_fit fit;
    rs_problems *shared = rs_problems_create();
    (void)rs_check_video(shared, &fit, cfg, v);
    const char *reason = first_problem(a, shared);
    for (int64_t i = 0; i < v->n_edits; i++) {
        rs_problems *own = rs_problems_create();
        if (!reason)
            (void)rs_check_edit(own, v, &v->edits[i], &fit);
        reasons[i] = reason ? reason : first_problem(a, own);
        rs_problems_destroy(&own);
    }
    rs_problems_destroy(&shared);
}

void rs_check_jobs(const char **reasons, rs_arena *a, const rs_config *cfg,
                   const rs_catalog *catalog, const char *glob)
{
    for (int64_t i = 0; i < catalog->n_videos; i++) {
        const rs_catalog_video *v = &catalog->videos[i];
        if (rs_check_chosen(glob, v))
            check_video_jobs(reasons, a, cfg, v);
        reasons += v->n_edits;
    }
}
