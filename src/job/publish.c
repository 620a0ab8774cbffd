/* Publish: finished states -> archive, mp4 files and contact sheet of one video. All or nothing per
 * video: files are written through temporaries, the archive last, so an archive that is there is
 * complete. */
#include <math.h>
#include <string.h>

#include "base/fsio.h"
#include "base/log.h"
#include "base/num.h"
#include "job/archive_parts.h"
#include "job/contact.h"
#include "job/job.h"
#include "media/encode.h"
#include "stage/measure_edit.h"
#include "stage/state_io.h"
#include "store/archive.h"
#include "store/schema_names.h"

enum { PUBLISH_VERSION = 2 };

typedef struct publication {
    rs_run *run;
    rs_job *video;
    rs_job **edits;
    rs_outcome *outcomes;
    int64_t n;
    rs_arena *a;
    const char *archive, *sheet;
    char key[RS_HASH_HEX];
    rs_contact_edit *contact;
    double begin;
} publication;

static char *output_path(const publication *p, const char *folder, const char *name)
{
    return rs_arena_printf(p->a, "%s/%s/%s", p->run->output, folder, name);
}

char *rs_archive_path_of(rs_arena *a, const rs_run *run, const rs_catalog_video *v)
{
    return rs_arena_printf(a, "%s/archive/%s.h5", run->output, v->id);
}

/* One folder per video, so that ids with dots cannot meet in one name. */
char *rs_mp4_path_of(rs_arena *a, const rs_run *run, const rs_catalog_video *v,
                     const rs_catalog_edit *e)
{
    return rs_arena_printf(a, "%s/videos/%s/%s.mp4", run->output, v->id, e->id);
}

static char *mp4_folder(const publication *p)
{
    return output_path(p, "videos", p->video->video->id);
}

static char *mp4_path(const publication *p, int64_t i)
{
    const rs_catalog_video *v = p->video->video;
    return rs_mp4_path_of(p->a, p->run, v, &v->edits[i]);
}

static void fail_edit(publication *p, int64_t i, rs_status st)
{
    rs_outcome *o = &p->outcomes[i];
    o->status = st;
    o->stage = "publish";
    o->reason = rs_arena_strdup(p->a, rs_error_message());
    p->contact[i].frames = (rs_tensor){0};
    RS_LOG(ERROR, "%s#%s failed in publish: %s", o->video, o->edit, o->reason);
}

static void make_metrics_keys(publication *p)
{
    for (int64_t i = 0; i < p->n; i++) {
        rs_status st = p->outcomes[i].status;
        if (st == RS_OK)
            st = rs_measure_key(p->contact[i].metrics_key, p->run, p->edits[i]);
        if (st != RS_OK && p->outcomes[i].status == RS_OK)
            fail_edit(p, i, st);
    }
}

/* Hash of everything the published files depend on. */
static void make_key(publication *p)
{
    rs_hash h;
    rs_hash_init(&h);
    rs_hash_i64(&h, PUBLISH_VERSION);
    rs_hash_string(&h, p->run->cfg->name);
    rs_config_hash_section(&h, p->run->cfg, "video");
    rs_config_hash_section(&h, p->run->cfg, "edit.fps");
    rs_hash_i64(&h, p->video->source.fps.num);
    rs_hash_i64(&h, p->video->source.fps.den);
    rs_hash_string(&h, p->video->key[RS_STAGE_MOTION]);
    for (int64_t i = 0; i < p->n; i++) {
        bool ok = p->outcomes[i].status == RS_OK;
        rs_hash_string(&h, p->outcomes[i].edit);
        rs_hash_string(&h, ok ? p->edits[i]->key[RS_STAGE_DECODE] : p->outcomes[i].reason);
        rs_hash_string(&h, ok ? p->contact[i].metrics_key : "");
    }
    rs_hash_final_hex(&h, p->key);
}

/* A command that failed is tried again by the next run. */
static bool deqa_is_missing(const publication *p, const rs_measures *m)
{
    return p->run->cfg->measure.deqa_command[0] && isnan(m->v[RS_MEASURE_DEQA]);
}

static bool same_as_published(publication *p, const rs_archive *f)
{
    if (!rs_published_key_is(p->a, f, p->key) || !rs_published_sheet_is(p->a, f, p->sheet))
        return false;
    for (int64_t i = 0; i < p->n; i++) {
        rs_outcome *o = &p->outcomes[i];
        if (o->status != RS_OK)
            continue;
        if (!rs_published_edit_is(p->a, f, o, mp4_path(p, i)) ||
            !rs_published_measures(&o->measures, p->a, f, o->edit, p->contact[i].metrics_key) ||
            deqa_is_missing(p, &o->measures))
            return false;
        o->mp4 = mp4_path(p, i);
    }
    return true;
}

/* Archive, sheet and every mp4 are there and are what these states give. Fills the outcomes then.
 */
static bool up_to_date(publication *p)
{
    rs_archive *f = NULL;
    bool same = rs_path_exists(p->archive) && rs_archive_open(&f, p->archive) == RS_OK &&
                same_as_published(p, f);
    rs_archive_close(&f);
    rs_error_clear();
    return same;
}

rs_ratio rs_output_fps(const rs_config *cfg, rs_ratio source)
{
    double wanted = cfg->edit.fps;
    if (wanted > 0)
        return rs_ratio_of((int64_t)(wanted * 1000.0 + 0.5), 1000);
    return source.num > 0 ? source
                          : (rs_ratio){16, 1}; /* Wan's own rate, for image folders without one */
}

/* One finished edit: frames for mp4, sheet and archive. */
static rs_status load_edit(publication *p, int64_t i)
{
    rs_contact_edit *c = &p->contact[i];
    const rs_job *job = p->edits[i];
    rs_tensor_list decoded = {0}, edited = {0};
    rs_meta_list meta = {0};
    const char *path = rs_stage_path(p->run, job, RS_STAGE_DECODE);
    RS_TRY(rs_stage_load(p->run, job, RS_STAGE_DECODE, p->a, &decoded, &meta));
    RS_TRY(rs_state_need(&c->frames, &decoded, "frames", path));
    path = rs_stage_path(p->run, job, RS_STAGE_EDIT);
    RS_TRY(rs_stage_load(p->run, job, RS_STAGE_EDIT, p->a, &edited, &meta));
    RS_TRY(rs_state_need(&c->latent, &edited, "latent", path));
    RS_TRY(rs_state_need(&c->first, &edited, "first_frame", path));
    c->seed = rs_meta_get(&meta, "seed");
    return RS_OK;
}

/* The measures, from the archive that is being replaced (NULL: there is none) where it has them. */
static rs_status measure_edit(publication *p, rs_measuring *m, int64_t i, const rs_archive *old)
{
    const rs_contact_edit *c = &p->contact[i];
    rs_measures *v = &p->outcomes[i].measures;
    if (old && rs_published_measures(v, p->a, old, p->outcomes[i].edit, c->metrics_key))
        return RS_OK;
    return rs_measure_edit(v, m, p->edits[i], c->frames, c->first);
}

/* Times of a finished edit, from the states, so that they are those of all restarts. */
static void read_times(publication *p, int64_t i)
{
    rs_outcome *o = &p->outcomes[i];
    const rs_job *job = p->edits[i];
    if (o->status != RS_OK)
        return;
    o->train_s = rs_stage_seconds(p->run, p->video, RS_STAGE_MOTION) +
                 rs_stage_seconds(p->run, job, RS_STAGE_APPEARANCE);
    o->sample_s = rs_stage_seconds(p->run, job, RS_STAGE_EDIT);
}

/* What cannot be read or measured fails its own edit only. */
static rs_status load_edits(publication *p)
{
    rs_archive *old = NULL;
    rs_status st = RS_OK;
    rs_measuring m = rs_measuring_init(p->run, p->video, p->a);
    if (!rs_path_exists(p->archive) || rs_archive_open(&old, p->archive) != RS_OK)
        rs_error_clear();
    for (int64_t i = 0; i < p->n; i++) {
        rs_outcome *o = &p->outcomes[i];
        st = o->status == RS_OK ? load_edit(p, i) : RS_OK;
        if (st == RS_OK && o->status == RS_OK)
            st = measure_edit(p, &m, i, old);
        if (st == RS_STOPPED)
            break;
        if (st != RS_OK)
            fail_edit(p, i, st);
        st = RS_OK;
        p->contact[i].id = o->edit;
        p->contact[i].reason = o->reason;
    }
    rs_archive_close(&old);
    return st;
}

static rs_status write_videos(publication *p)
{
    rs_encode_opts e = {.crf = rs_i32(p->run->cfg->video.crf),
                        .preset = rs_cfg_preset_text(p->run->cfg->video.preset)};
    for (int64_t i = 0; i < p->n; i++) {
        rs_outcome *o = &p->outcomes[i];
        const char *path = mp4_path(p, i);
        if (o->status != RS_OK)
            continue; /* the last good one stays */
        rs_ratio fps = rs_output_fps(p->run->cfg, p->video->source.fps);
        RS_TRY(rs_video_write(path, p->contact[i].frames, fps, &e));
        RS_TRY(rs_hash_file(p->contact[i].movie_hash, path));
        o->mp4 = path;
        if (deqa_is_missing(p, &o->measures))
            RS_TRY(rs_measure_deqa(&o->measures.v[RS_MEASURE_DEQA], p->run, path,
                                   p->contact[i].frames));
    }
    return RS_OK;
}

static rs_status write_archive(publication *p)
{
    rs_archive *f = NULL;
    rs_status st = RS_OK;
    char sheet_hash[RS_HASH_HEX];
    RS_TRY_OUT(rs_hash_file(sheet_hash, p->sheet));
    RS_TRY_OUT(rs_archive_create(&f, p->archive));
    RS_TRY_OUT(rs_publish_provenance(f, p->run, p->video, p->key, sheet_hash));
    RS_TRY_OUT(rs_publish_source(f, p->video));
    RS_TRY_OUT(rs_publish_stage(f, p->run, p->video, RS_STAGE_INGEST));
    RS_TRY_OUT(rs_publish_stage(f, p->run, p->video, RS_STAGE_MOTION));
    for (int64_t i = 0; i < p->n; i++)
        RS_TRY_OUT(rs_publish_edit(f, p->run, p->edits[i], &p->outcomes[i], &p->contact[i]));
    RS_TRY_OUT(rs_archive_set_f64(f, RS_GROUP_PROVENANCE, RS_ATTR_SECONDS, rs_now() - p->begin));
    RS_TRY_OUT(rs_archive_commit(&f));
out:
    rs_archive_abandon(&f);
    return st;
}

/* Other ranks publish other videos into the same folders. */
static rs_status make_folder_of(const publication *p, const char *path)
{
    const char *folder = rs_path_dirname(p->a, path);
    RS_TRY(rs_make_dirs(folder));
    return rs_atomic_sweep(folder, rs_path_basename(path));
}

static rs_status make_folders(const publication *p)
{
    RS_TRY(make_folder_of(p, p->archive));
    RS_TRY(make_folder_of(p, p->sheet));
    RS_TRY(rs_make_dirs(mp4_folder(p)));
    return rs_atomic_sweep(mp4_folder(p), NULL);
}

static rs_status write_all(publication *p)
{
    p->begin = rs_now();
    RS_TRY(make_folders(p));
    RS_TRY(load_edits(p));
    RS_TRY(write_videos(p));
    RS_TRY(rs_contact_write(p->sheet, p->a, p->run, p->video, p->contact, p->n));
    RS_TRY(write_archive(p));
    RS_LOG(INFO, "publish done in %.2f s", rs_now() - p->begin);
    return RS_OK;
}

static rs_status publish(publication *p)
{
    rs_live *live = p->run->live;
    int task = rs_live_begin(live, p->video->video->id, NULL, RS_TASK_PUBLISH);
    rs_status st = write_all(p);
    rs_live_end(live, task, rs_live_how_of(st), st == RS_OK ? "" : rs_error_message());
    return st;
}

rs_status rs_publish_video(rs_run *run, rs_job *video, rs_job **edits, rs_outcome *outcomes,
                           int64_t n, bool *ran)
{
    publication p = {.run = run,
                     .video = video,
                     .edits = edits,
                     .outcomes = outcomes,
                     .n = n,
                     .a = video->arena};
    *ran = false;
    p.archive = rs_archive_path_of(p.a, run, video->video);
    p.sheet = output_path(&p, "sheets", rs_arena_printf(p.a, "%s.png", video->video->id));
    RS_TRY(rs_job_load_source(run, video));
    p.contact = RS_NEW(p.a, rs_contact_edit, n);
    make_metrics_keys(&p);
    make_key(&p);
    if (up_to_date(&p)) {
        rs_live_cached(run->live, video->video->id, NULL, RS_TASK_PUBLISH);
    } else {
        RS_TRY(publish(&p));
        *ran = true;
    }
    for (int64_t i = 0; i < n; i++) {
        outcomes[i].archive = p.archive;
        read_times(&p, i);
    }
    return RS_OK;
}
