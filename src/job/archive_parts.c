#include "job/archive_parts.h"

#include <math.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fsio.h"
#include "base/str.h"
#include "stage/common.h"
#include "stage/state_io.h"
#include "store/schema_names.h"

enum { FILE_COLUMNS = 4 };

/* Rows of /provenance/inputs and /provenance/weights. */
typedef struct file_rows {
    rs_arena *a;
    rs_cell *cells;
    int64_t n;
    size_t cap;
} file_rows;

static void add_row(file_rows *t, const char *role, const char *path, const char *hash)
{
    t->cells =
        rs_arena_grow(t->a, t->cells, &t->cap, (size_t)(t->n + 1) * FILE_COLUMNS, sizeof *t->cells);
    rs_cell *c = &t->cells[FILE_COLUMNS * t->n++];
    int64_t bytes = rs_file_size(path);
    c[0].s = role;
    c[1].s = path;
    c[2].i = bytes < 0 ? 0 : bytes;
    c[3].s = rs_arena_strdup(t->a, hash);
}

static rs_status write_rows(rs_archive *f, const char *object, const file_rows *rows)
{
    static const rs_column columns[FILE_COLUMNS] = {{RS_COL_ROLE, RS_COLUMN_STRING},
                                                    {RS_COL_PATH, RS_COLUMN_STRING},
                                                    {RS_COL_BYTES, RS_COLUMN_I64},
                                                    {RS_COL_HASH, RS_COLUMN_STRING}};
    rs_table t = {
        .columns = columns, .n_columns = FILE_COLUMNS, .cells = rows->cells, .n_rows = rows->n};
    return rs_archive_write_table(f, object, &t);
}

static rs_status add_input(file_rows *t, const char *role, const char *path)
{
    char hex[RS_HASH_HEX];
    if (!rs_path_exists(path))
        return RS_OK; /* the edit that needed it failed; its reason says so */
    RS_TRY(rs_stage_hash_media(hex, path));
    add_row(t, role, path, hex);
    return RS_OK;
}

static rs_status write_inputs(rs_archive *f, const rs_run *run, const rs_job *video)
{
    const rs_catalog_video *v = video->video;
    file_rows t = {.a = video->arena};
    RS_TRY(add_input(&t, "source", v->source.path));
    if (v->n_boxes == 0)
        RS_TRY(add_input(&t, "mask", v->mask.path));
    for (int64_t i = 0; i < v->n_edits; i++) {
        const rs_catalog_edit *e = &v->edits[i];
        const rs_job job = {.video = v, .edit = e};
        RS_TRY(add_input(&t, "first_frame", e->first_frame.path));
        if (e->truth.path)
            RS_TRY(add_input(&t, "truth", e->truth.path));
        for (int64_t k = 0; k < rs_job_references(run, &job); k++)
            RS_TRY(add_input(&t, "reference", e->references[k].image.path));
    }
    return write_rows(f, RS_GROUP_PROVENANCE "/" RS_DATA_INPUTS, &t);
}

static rs_status write_weights(rs_archive *f, const rs_run *run, rs_arena *a)
{
    static const char *const components[] = {"transformer", "vae", "text_encoder", "image_encoder",
                                             "tokenizer"};
    file_rows t = {.a = a};
    for (size_t i = 0; i < sizeof components / sizeof components[0]; i++) {
        const char *folder = rs_path_join(a, run->models.dir, components[i]);
        char **names, hex[RS_HASH_HEX];
        int64_t n;
        if (!rs_path_is_dir(folder))
            continue;
        RS_TRY(rs_list_dir(&names, &n, a, folder));
        for (int64_t k = 0; k < n; k++) {
            const char *path = rs_path_join(a, folder, names[k]);
            RS_TRY(rs_hash_file_sampled(hex, path));
            add_row(&t, components[i], path, hex);
        }
    }
    return t.n ? write_rows(f, RS_GROUP_PROVENANCE "/" RS_DATA_WEIGHTS, &t) : RS_OK;
}

rs_status rs_publish_provenance(rs_archive *f, const rs_run *run, const rs_job *video,
                                const char *key, const char *sheet_hash)
{
    char host[256] = "", created[32];
    const char *at = RS_GROUP_PROVENANCE;
    struct tm tm;
    time_t now = time(NULL);
    gethostname(host, sizeof host - 1);
    strftime(created, sizeof created, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
    RS_TRY(rs_archive_set_string(f, "/", RS_ATTR_KIND, RS_KIND_VIDEO));
    RS_TRY(rs_archive_set_string(f, "/", RS_ATTR_KEY, key));
    RS_TRY(rs_archive_set_string(f, "/", RS_ATTR_SHEET_HASH, sheet_hash));
    RS_TRY(rs_archive_set_string(f, "/", RS_ATTR_VIDEO, video->video->id));
    RS_TRY(rs_archive_make_group(f, at));
    RS_TRY(rs_archive_set_string(f, at, RS_ATTR_PROGRAM, "reshoot " RS_VERSION));
    RS_TRY(rs_archive_set_string(f, at, RS_ATTR_HOST, host));
    RS_TRY(rs_archive_set_string(f, at, RS_ATTR_CREATED, created));
    RS_TRY(
        rs_archive_set_string(f, at, RS_ATTR_FINGERPRINT, rs_device_fingerprint(run->models.dev)));
    RS_TRY(rs_archive_set_i64(f, at, RS_ATTR_SEED, run->cfg->seed));
    RS_TRY(rs_archive_write_text(f, RS_GROUP_PROVENANCE "/" RS_DATA_CONFIG,
                                 rs_config_dump(video->arena, run->cfg)));
    RS_TRY(write_inputs(f, run, video));
    return write_weights(f, run, video->arena);
}

rs_status rs_publish_source(rs_archive *f, const rs_job *video)
{
    const rs_ingest *s = &video->source;
    const char *at = RS_GROUP_SOURCE;
    rs_tensor index = rs_tensor_of(s->index, RS_DTYPE_I64, RS_SHAPE(s->frames.shape[0]));
    RS_TRY(rs_archive_make_group(f, at));
    if (s->fps.num > 0) {
        RS_TRY(rs_archive_set_f64(f, at, RS_ATTR_FPS, (double)s->fps.num / (double)s->fps.den));
        RS_TRY(rs_archive_set_i64(f, at, RS_ATTR_FPS_NUM, s->fps.num));
        RS_TRY(rs_archive_set_i64(f, at, RS_ATTR_FPS_DEN, s->fps.den));
    }
    RS_TRY(rs_archive_set_string(f, at, RS_ATTR_PROMPT, video->video->prompt));
    RS_TRY(rs_archive_set_i64(f, at, RS_ATTR_SOURCE_WIDTH, s->fit.src_w));
    RS_TRY(rs_archive_set_i64(f, at, RS_ATTR_SOURCE_HEIGHT, s->fit.src_h));
    RS_TRY(rs_archive_write_tensor(f, RS_GROUP_SOURCE "/" RS_DATA_FRAMES, s->frames,
                                   RS_ARCHIVE_DEFLATE));
    RS_TRY(
        rs_archive_write_tensor(f, RS_GROUP_SOURCE "/" RS_DATA_MASK, s->mask, RS_ARCHIVE_DEFLATE));
    RS_TRY(rs_archive_write_tensor(f, RS_GROUP_SOURCE "/" RS_DATA_INDEX, index, 0));
    RS_TRY(rs_archive_write_tensor(f, RS_GROUP_CONDITION "/" RS_DATA_LATENTS, s->x0, 0));
    RS_TRY(rs_archive_write_tensor(f, RS_GROUP_CONDITION "/" RS_DATA_Y, s->y, 0));
    RS_TRY(rs_archive_write_tensor(f, RS_GROUP_CONDITION "/" RS_DATA_TEXT, s->text, 0));
    return rs_has(s->image)
               ? rs_archive_write_tensor(f, RS_GROUP_CONDITION "/" RS_DATA_IMAGE, s->image, 0)
               : RS_OK;
}

/* "<module>.lora_A.weight" -> <group>/adapter/<module>/A */
static rs_status write_factor(rs_archive *f, rs_arena *a, const char *group,
                              const rs_named_tensor *t)
{
    const char *tag = strstr(t->name, ".lora_");
    if (!tag)
        return strcmp(t->name, "losses") == 0
                   ? rs_archive_write_tensor(f, rs_arena_printf(a, "%s/" RS_DATA_LOSS, group), t->t,
                                             0)
                   : RS_OK;
    const char *which = tag[6] == 'A' ? RS_DATA_A : RS_DATA_B;
    return rs_archive_write_tensor(f,
                                   rs_arena_printf(a, "%s/" RS_MEMBER_ADAPTER "/%.*s/%s", group,
                                                   (int)(tag - t->name), t->name, which),
                                   t->t, 0);
}

static rs_status set_number(rs_archive *f, const char *object, const char *name, const char *text,
                            bool integer)
{
    int64_t i;
    double v;
    if (text && integer && rs_parse_i64(&i, text))
        return rs_archive_set_i64(f, object, name, i);
    if (text && !integer && rs_parse_f64(&v, text))
        return rs_archive_set_f64(f, object, name, v);
    return RS_OK;
}

static rs_status write_stage(rs_archive *f, rs_arena *a, const rs_run *run, const rs_job *job,
                             rs_stage_id id)
{
    const rs_stage *s = rs_stage_get(id);
    rs_tensor_list l = {0};
    rs_meta_list meta = {0};
    const char *group = rs_arena_printf(a, RS_GROUP_STAGES "/%s%s%s", s->name,
                                        s->per_edit ? "/" : "", s->per_edit ? job->edit->id : "");
    RS_TRY(rs_stage_load(run, job, id, a, &l, &meta));
    RS_TRY(rs_archive_make_group(f, group));
    RS_TRY(rs_archive_set_string(f, group, RS_ATTR_KEY, job->key[id]));
    RS_TRY(rs_archive_set_string(f, group, RS_ATTR_STATE, RS_STATE_DONE));
    RS_TRY(set_number(f, group, RS_ATTR_STEP, rs_meta_get(&meta, "steps"), true));
    RS_TRY(set_number(f, group, RS_ATTR_SECONDS, rs_meta_get(&meta, "seconds"), false));
    if (id != RS_STAGE_MOTION && id != RS_STAGE_APPEARANCE)
        return RS_OK;
    for (int64_t i = 0; i < l.n; i++)
        RS_TRY(write_factor(f, a, group, &l.items[i]));
    const char *adapter = rs_arena_printf(a, "%s/" RS_MEMBER_ADAPTER, group);
    const char *mode = rs_meta_get(&meta, "mode");
    if (mode)
        RS_TRY(rs_archive_set_string(f, adapter, RS_ATTR_MODE, mode));
    RS_TRY(set_number(f, adapter, RS_ATTR_RANK, rs_meta_get(&meta, "rank"), true));
    return set_number(f, adapter, RS_ATTR_ALPHA, rs_meta_get(&meta, "alpha"), false);
}

rs_status rs_publish_stage(rs_archive *f, const rs_run *run, const rs_job *job, rs_stage_id id)
{
    const rs_stage *s = rs_stage_get(id);
    if (s->applies && !s->applies(run, job))
        return RS_OK;
    rs_arena *a = rs_arena_create();
    rs_status st = write_stage(f, a, run, job, id);
    rs_arena_destroy(&a);
    return st;
}

/* What a finished edit adds to its group. */
static rs_status write_result(rs_archive *f, const char *group, const rs_outcome *o,
                              const rs_contact_edit *c, rs_arena *a)
{
    rs_tensor first = rs_tensor_reshape(c->first, 3, &c->first.shape[1]);
    RS_TRY(rs_archive_write_tensor(f, rs_arena_printf(a, "%s/" RS_DATA_FIRST_FRAME, group), first,
                                   RS_ARCHIVE_DEFLATE));
    RS_TRY(
        rs_archive_write_tensor(f, rs_arena_printf(a, "%s/" RS_DATA_LATENT, group), c->latent, 0));
    RS_TRY(rs_archive_write_tensor(f, rs_arena_printf(a, "%s/" RS_DATA_FRAMES, group), c->frames,
                                   RS_ARCHIVE_DEFLATE));
    RS_TRY(set_number(f, group, RS_ATTR_SEED, c->seed, true));
    RS_TRY(rs_archive_set_string(f, group, RS_ATTR_MOVIE_HASH, c->movie_hash));
    RS_TRY(rs_archive_set_string(f, group, RS_ATTR_METRICS_KEY, c->metrics_key));
    const char *metrics = rs_arena_printf(a, "%s/" RS_MEMBER_METRICS, group);
    RS_TRY(rs_archive_make_group(f, metrics));
    for (int id = 0; id < RS_MEASURE_COUNT; id++)
        if (!isnan(o->measures.v[id]))
            RS_TRY(rs_archive_set_f64(f, metrics, rs_measure_get_info((rs_measure_id)id)->name,
                                      o->measures.v[id]));
    return RS_OK;
}

static const rs_stage_id k_edit_stages[] = {RS_STAGE_APPEARANCE, RS_STAGE_EDIT, RS_STAGE_DECODE};

/* The last good result of an edit that failed now, from the archive that is being replaced. */
static rs_status carry_over(rs_archive *f, rs_arena *a, const char *archive, const char *edit)
{
    rs_archive *old = NULL;
    rs_status st = RS_OK;
    const char *group = rs_arena_printf(a, RS_GROUP_EDITS "/%s", edit);
    if (!rs_path_exists(archive) || rs_archive_open(&old, archive) != RS_OK) {
        rs_error_clear(); /* nothing to carry over */
        return RS_OK;
    }
    if (!rs_archive_exists(old, rs_arena_printf(a, "%s/" RS_DATA_FRAMES, group)))
        goto out;
    RS_TRY_OUT(rs_archive_copy(f, group, old, group));
    for (int i = 0; i < 3; i++) {
        const char *stage = rs_arena_printf(a, RS_GROUP_STAGES "/%s/%s",
                                            rs_stage_get(k_edit_stages[i])->name, edit);
        if (rs_archive_exists(old, stage))
            RS_TRY_OUT(rs_archive_copy(f, stage, old, stage));
    }
out:
    rs_archive_close(&old);
    return st;
}

static rs_status write_failure(rs_archive *f, rs_arena *a, const char *group, const char *archive,
                               const rs_outcome *o)
{
    RS_TRY(carry_over(f, a, archive, o->edit));
    RS_TRY(rs_archive_make_group(f, group));
    RS_TRY(rs_archive_set_string(f, group, RS_ATTR_STATE, RS_STATE_FAILED));
    RS_TRY(rs_archive_set_string(f, group, RS_ATTR_STAGE, o->stage ? o->stage : "inputs"));
    return rs_archive_set_string(f, group, RS_ATTR_REASON, o->reason);
}

rs_status rs_publish_edit(rs_archive *f, const rs_run *run, const rs_job *job, const rs_outcome *o,
                          const rs_contact_edit *c)
{
    rs_arena *a = job->arena;
    const char *group = rs_arena_printf(a, RS_GROUP_EDITS "/%s", o->edit);
    if (o->status != RS_OK) {
        RS_TRY(write_failure(f, a, group, rs_archive_path(f), o));
        return rs_archive_set_string(f, group, RS_ATTR_PROMPT, job->edit->prompt);
    }
    RS_TRY(rs_archive_make_group(f, group));
    RS_TRY(rs_archive_set_string(f, group, RS_ATTR_PROMPT, job->edit->prompt));
    RS_TRY(rs_archive_set_string(f, group, RS_ATTR_STATE, RS_STATE_DONE));
    RS_TRY(rs_archive_set_string(f, group, RS_ATTR_KEY, job->key[RS_STAGE_DECODE]));
    for (int i = 0; i < 3; i++)
        RS_TRY(rs_publish_stage(f, run, job, k_edit_stages[i]));
    return write_result(f, group, o, c, a);
}

/* Attribute of an object as text, or NULL. */
static const char *attribute(rs_arena *a, const rs_archive *f, const char *object, const char *name)
{
    char *value;
    if (!rs_archive_exists(f, object) || !rs_archive_has(f, object, name) ||
        rs_archive_get_string(&value, a, f, object, name) != RS_OK)
        return NULL;
    return value;
}

static bool file_is(const char *path, const char *hash)
{
    char hex[RS_HASH_HEX];
    return hash && rs_file_size(path) > 0 && rs_hash_file(hex, path) == RS_OK &&
           strcmp(hex, hash) == 0;
}

bool rs_published_sheet_is(rs_arena *a, const rs_archive *f, const char *sheet)
{
    return file_is(sheet, attribute(a, f, "/", RS_ATTR_SHEET_HASH));
}

bool rs_published_edit_is(rs_arena *a, const rs_archive *f, const rs_outcome *o, const char *movie)
{
    const char *group = rs_arena_printf(a, RS_GROUP_EDITS "/%s", o->edit);
    return file_is(movie, attribute(a, f, group, RS_ATTR_MOVIE_HASH));
}

bool rs_published_measures(rs_measures *out, rs_arena *a, const rs_archive *f, const char *edit,
                           const char *metrics_key)
{
    const char *group = rs_arena_printf(a, RS_GROUP_EDITS "/%s", edit);
    const char *metrics = rs_arena_printf(a, "%s/" RS_MEMBER_METRICS, group);
    const char *have = attribute(a, f, group, RS_ATTR_METRICS_KEY);
    *out = rs_measures_none();
    if (!have || strcmp(have, metrics_key) != 0 || !rs_archive_exists(f, metrics))
        return false;
    for (int id = 0; id < RS_MEASURE_COUNT; id++) {
        const char *name = rs_measure_get_info((rs_measure_id)id)->name;
        if (rs_archive_has(f, metrics, name) &&
            rs_archive_get_f64(&out->v[id], f, metrics, name) != RS_OK)
            return false;
    }
    return true;
}

bool rs_published_key_is(rs_arena *a, const rs_archive *f, const char *key)
{
    const char *have = attribute(a, f, "/", RS_ATTR_KEY);
    return have && strcmp(have, key) == 0;
}
