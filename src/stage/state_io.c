#include "stage/state_io.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/fsio.h"
#include "base/log.h"

const char *rs_meta_get(const rs_meta_list *meta, const char *key)
{
    for (int64_t i = 0; i < meta->n; i++)
        if (strcmp(meta->items[i].key, key) == 0)
            return meta->items[i].value;
    return NULL;
}

char *rs_stage_folder(const rs_run *run, const rs_job *job)
{
    if (run->shared_states)
        return rs_path_join(job->arena, run->shared_states, job->video->id);
    return rs_arena_printf(job->arena, "%s/state/%s", run->output, job->video->id);
}

static char *state_path(const rs_run *run, const rs_job *job, rs_stage_id id, const char *suffix)
{
    const rs_stage *s = rs_stage_get(id);
    bool per_edit = s->per_edit && job->edit, keyed = run->shared_states != NULL;
    return rs_arena_printf(job->arena, "%s/%s%s%s%s%.16s%s.safetensors", rs_stage_folder(run, job),
                           s->name, per_edit ? "@" : "", per_edit ? job->edit->id : "",
                           keyed ? "~" : "", keyed ? job->key[id] : "", suffix);
}

char *rs_stage_path(const rs_run *run, const rs_job *job, rs_stage_id id)
{
    return state_path(run, job, id, "");
}

char *rs_stage_checkpoint_path(const rs_run *run, const rs_job *job, rs_stage_id id)
{
    return state_path(run, job, id, "~checkpoint");
}

/* step: of a checkpoint, else 0. `lane`: the ranks that shared the stage, for the record: bits do
 * not depend on it. */
static rs_status write_state(const rs_run *run, const char *path, const rs_job *job, rs_stage_id id,
                             int64_t step, const rs_tensor_list *tensors, const rs_meta_list *extra)
{
    rs_state_id identity = {.key = job->key[id], .stage = rs_stage_get(id)->name, .step = step};
    rs_arena *a = rs_arena_create();
    rs_meta_list meta = {0};
    for (int64_t i = 0; extra && i < extra->n; i++)
        rs_meta_add(&meta, a, extra->items[i].key, extra->items[i].value);
    rs_meta_add(&meta, a, "fingerprint", rs_device_fingerprint(run->models.dev));
    if (run->lane && rs_stage_get(id)->shared)
        rs_meta_add_i64(&meta, a, "lane", rs_comm_size(run->lane));
    rs_meta_add_f64(&meta, a, "seconds", job->spent + rs_now() - job->begin);
    rs_status st = rs_make_dirs(rs_path_dirname(a, path));
    const rs_fence *before = rs_fence_use(job->fence);
    if (st == RS_OK)
        st = rs_state_save(path, &identity, tensors, &meta);
    rs_fence_use(before);
    rs_arena_destroy(&a);
    return st;
}

void rs_checkpoint_remove(const rs_run *run, const rs_job *job, rs_stage_id id)
{
    const char *path = rs_stage_checkpoint_path(run, job, id);
    if (run->follows || !rs_path_exists(path))
        return;
    const rs_fence *before = rs_fence_use(job->fence);
    if (rs_fence_enter() == RS_OK) {
        if (unlink(path) != 0 && errno != ENOENT)
            RS_LOG(WARN, "%s: cannot remove: %s", path, strerror(errno));
        rs_fence_leave();
    } else {
        RS_LOG(WARN, "%s: not removed: %s", path, rs_error_message());
        rs_error_clear();
    }
    rs_fence_use(before);
}

rs_status rs_stage_save(const rs_run *run, const rs_job *job, rs_stage_id id,
                        const rs_tensor_list *tensors, const rs_meta_list *extra)
{
    rs_job now = *job;
    RS_TRY(rs_job_keys(run, &now));
    if (strcmp(now.key[id], job->key[id]) != 0)
        return RS_FAIL(INPUT, "input files changed while the stage ran; run again");
    if (run->follows)
        return RS_OK;
    RS_TRY(write_state(run, rs_stage_path(run, job, id), job, id, 0, tensors, extra));
    rs_checkpoint_remove(run, job, id);
    return RS_OK;
}

/* Open a state whose key must be `key`. */
static rs_status open_state(rs_state **out, const char *path, const char *key)
{
    RS_TRY(rs_state_load(out, path));
    if (strcmp(rs_state_identity(*out).key, key) == 0)
        return RS_OK;
    rs_state_close(out);
    return RS_FAIL(FORMAT, "%s: belongs to other settings or inputs", path);
}

static void copy_tensors(rs_tensor_list *tensors, rs_arena *a, const rs_state *s)
{
    for (int64_t i = 0; i < rs_state_count(s); i++) {
        rs_tensor t = *rs_state_at(s, i);
        t.data = rs_arena_memdup(a, t.data, rs_tensor_bytes(t));
        rs_tensor_list_add(tensors, a, rs_state_name(s, i), t);
    }
}

bool rs_stage_is_done(const rs_run *run, const rs_job *job, rs_stage_id id)
{
    const rs_stage *stage = rs_stage_get(id);
    if (stage->applies && !stage->applies(run, job))
        return true;
    const char *path = rs_stage_path(run, job, id);
    rs_state *s;
    if (!rs_path_exists(path))
        return false;
    rs_status st = rs_state_load(&s, path);
    if (st != RS_OK) {
        RS_LOG(WARN, "state is made again: %s", rs_error_message());
        rs_error_clear();
        return false;
    }
    bool done = strcmp(rs_state_identity(s).key, job->key[id]) == 0;
    rs_state_close(&s);
    return done;
}

rs_status rs_stage_load(const rs_run *run, const rs_job *job, rs_stage_id id, rs_arena *a,
                        rs_tensor_list *tensors, rs_meta_list *meta)
{
    rs_state *s;
    RS_TRY(open_state(&s, rs_stage_path(run, job, id), job->key[id]));
    copy_tensors(tensors, a, s);
    static const char *const keys[] = {"fps_num", "fps_den", "rank",          "alpha", "seconds",
                                       "steps",   "seed",    "source_frames", "mode"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (rs_state_meta(s, keys[i]))
            rs_meta_add(meta, a, keys[i], rs_state_meta(s, keys[i]));
    rs_state_close(&s);
    return RS_OK;
}

double rs_stage_seconds(const rs_run *run, const rs_job *job, rs_stage_id id)
{
    rs_state *s;
    const rs_stage *stage = rs_stage_get(id);
    double seconds = NAN;
    if (stage->applies && !stage->applies(run, job))
        return 0;
    if (open_state(&s, rs_stage_path(run, job, id), job->key[id]) != RS_OK) {
        rs_error_clear();
        return NAN;
    }
    if (rs_state_meta_f64(&seconds, s, "seconds") != RS_OK) {
        rs_error_clear();
        seconds = NAN;
    }
    rs_state_close(&s);
    return seconds;
}

rs_status rs_checkpoint_save(const rs_run *run, const rs_job *job, rs_stage_id id, int64_t step,
                             const rs_tensor_list *tensors)
{
    if (run->follows)
        return RS_OK;
    return write_state(run, rs_stage_checkpoint_path(run, job, id), job, id, step, tensors, NULL);
}

void rs_checkpoint_load(const rs_run *run, rs_job *job, rs_stage_id id, rs_arena *a, int64_t *step,
                        rs_tensor_list *tensors)
{
    const char *path = rs_stage_checkpoint_path(run, job, id);
    rs_state *s;
    *step = 0;
    if (!rs_path_exists(path))
        return;
    if (open_state(&s, path, job->key[id]) != RS_OK) {
        RS_LOG(WARN, "checkpoint ignored: %s", rs_error_message());
        rs_error_clear();
        return;
    }
    const char *made_with = rs_state_meta(s, "fingerprint");
    if (!made_with || strcmp(made_with, rs_device_fingerprint(run->models.dev)) != 0)
        RS_LOG(
            WARN,
            "the checkpoint was made with other kernels or libraries (%s): results may differ in "
            "their last bits from a run without a break",
            made_with ? made_with : "unknown");
    *step = rs_state_identity(s).step;
    if (rs_state_meta_f64(&job->spent, s, "seconds") != RS_OK)
        job->spent = 0;
    copy_tensors(tensors, a, s);
    rs_state_close(&s);
}

rs_status rs_state_need(rs_tensor *out, const rs_tensor_list *l, const char *name, const char *path)
{
    const rs_tensor *t = rs_tensor_list_find(l, name);
    if (!t)
        return RS_FAIL(FORMAT, "%s: tensor \"%s\" is missing", path, name);
    *out = *t;
    return RS_OK;
}
