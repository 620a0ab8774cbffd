#include "stage/stage.h"

#include <string.h>

#include "base/fsio.h"
#include "base/log.h"
#include "comm/agree.h"
#include "stage/state_io.h"

static const rs_stage *const k_stages[RS_STAGE_COUNT] = {
    [RS_STAGE_INGEST] = &rs_stage_ingest,         [RS_STAGE_MOTION] = &rs_stage_motion,
    [RS_STAGE_APPEARANCE] = &rs_stage_appearance, [RS_STAGE_EDIT] = &rs_stage_edit,
    [RS_STAGE_DECODE] = &rs_stage_decode,
};

const rs_stage *rs_stage_get(rs_stage_id id)
{
    RS_ASSERT(id < RS_STAGE_COUNT);
    return k_stages[id];
}

rs_status rs_job_keys(const rs_run *run, rs_job *job)
{
    for (int id = 0; id < RS_STAGE_COUNT; id++) {
        const rs_stage *s = k_stages[id];
        rs_hash h;
        if (s->per_edit && !job->edit)
            continue;
        rs_hash_init(&h);
        rs_hash_string(&h, s->name);
        rs_hash_i64(&h, s->version);
        if (s->upstream != (rs_stage_id)id)
            rs_hash_string(&h, job->key[s->upstream]);
        RS_TRY(s->hash(&h, run, job));
        rs_hash_final_hex(&h, job->key[id]);
    }
    return RS_OK;
}

/* Nobody else writes these files. */
static rs_status sweep(const rs_run *run, rs_job *job, rs_stage_id id)
{
    const char *folder = rs_stage_folder(run, job);
    RS_TRY(rs_atomic_sweep(folder, rs_path_basename(rs_stage_path(run, job, id))));
    return rs_atomic_sweep(folder, rs_path_basename(rs_stage_checkpoint_path(run, job, id)));
}

/* Ids of the stages are those of the tasks of a run. */
_Static_assert((int)RS_STAGE_INGEST == (int)RS_TASK_INGEST &&
                   (int)RS_STAGE_DECODE == (int)RS_TASK_DECODE,
               "stages of a job are tasks of a run");

static const char *edit_of(const rs_job *job, const rs_stage *s)
{
    return s->per_edit ? job->edit->id : NULL;
}

static void tell_cached(const rs_run *run, const rs_job *job, rs_stage_id id)
{
    const rs_stage *s = rs_stage_get(id);
    if (!s->applies || s->applies(run, job))
        rs_live_cached(run->live, job->video->id, edit_of(job, s), (int)id);
}

rs_status rs_run_agree(const rs_run *run, rs_status st)
{
    return run->lane ? rs_comm_agree(run->lane, st) : st;
}

rs_status rs_run_stops(bool *stop, const rs_run *run)
{
    int64_t asked = *run->stop != 0;
    if (run->lane)
        RS_TRY(rs_comm_allreduce(&asked, run->lane, &asked, 1, RS_COMM_I64, RS_COMM_MAX, "stop"));
    *stop = asked != 0;
    return RS_OK;
}

/* Collective: all ranks are about to run the same stage on the same inputs. */
static rs_status meet_lane(const rs_run *run, const rs_job *job, rs_stage_id id, rs_status st)
{
    char key[RS_HASH_HEX];
    memcpy(key, job->key[id], sizeof key);
    RS_TRY(rs_comm_broadcast(key, run->lane, sizeof key, 0, "key of a stage"));
    if (st == RS_OK && strcmp(key, job->key[id]) != 0)
        st = RS_FAIL(INPUT, "ranks of a lane see different inputs or settings");
    return rs_comm_agree(run->lane, st);
}

rs_status rs_stage_follow(rs_run *run, rs_job *job, rs_stage_id id, rs_status st)
{
    const rs_stage *s = rs_stage_get(id);
    RS_TRY(meet_lane(run, job, id, st));
    job->begin = rs_now();
    job->spent = 0;
    job->live_task = 0;
    job->scratch = rs_arena_create();
    rs_log_set_context(s->per_edit ? job->name : job->video->id);
    st = s->run(run, job);
    rs_log_set_context(NULL);
    rs_arena_destroy(&job->scratch);
    return st;
}

static rs_status call_lane(const rs_run *run, const rs_job *job, rs_stage_id id)
{
    if (!run->lane || !rs_stage_get(id)->shared)
        return RS_OK;
    RS_TRY(run->call_lane(run->call_ctx));
    return meet_lane(run, job, id, RS_OK);
}

/* *done: there is nothing to do. Nobody else writes the job's files. */
static rs_status look_first(const rs_run *run, rs_job *job, rs_stage_id id, bool *done)
{
    *done = rs_stage_is_done(run, job, id);
    if (*done) {
        rs_checkpoint_remove(run, job, id); /* a kill may have come between state and removal */
        tell_cached(run, job, id);
        return RS_OK;
    }
    if (*run->stop)
        return RS_FAIL(STOPPED, "stopped before stage %s", rs_stage_get(id)->name);
    return sweep(run, job, id);
}

static void begin(rs_run *run, rs_job *job, rs_stage_id id)
{
    const rs_stage *s = rs_stage_get(id);
    job->begin = rs_now();
    job->spent = 0;
    job->scratch = rs_arena_create();
    job->live_task = rs_live_begin(run->live, job->video->id, edit_of(job, s), (int)id);
}

static void end(rs_run *run, rs_job *job, rs_stage_id id, rs_status st)
{
    if (st == RS_OK)
        RS_LOG(INFO, "%s done in %.2f s", rs_stage_get(id)->name, rs_now() - job->begin);
    rs_live_end(run->live, job->live_task, rs_live_how_of(st),
                st == RS_OK ? "" : rs_error_message());
    job->live_task = 0;
}

rs_status rs_stage_run(rs_run *run, rs_job *job, rs_stage_id id, bool *ran)
{
    const rs_stage *s = rs_stage_get(id);
    bool done;
    *ran = false;
    RS_TRY(look_first(run, job, id, &done));
    if (done)
        return RS_OK;
    RS_TRY(call_lane(run, job, id));
    begin(run, job, id);
    rs_log_set_context(s->per_edit ? job->name : job->video->id);
    rs_status st = s->run(run, job);
    *ran = st == RS_OK;
    end(run, job, id, st);
    rs_log_set_context(NULL);
    rs_arena_destroy(&job->scratch);
    return st;
}

/* ---- several jobs ---- */

typedef struct crowd {
    rs_run *run;
    rs_job **jobs; /* that have begun; of[i]: which of the caller's */
    int *of;
    rs_stage_id id;
    bool *ran;
    rs_stage_ended_fn *ended;
    void *ctx;
} crowd;

static void one_ended(void *ctx, int i, rs_status st)
{
    const crowd *c = ctx;
    c->ran[c->of[i]] = st == RS_OK;
    end(c->run, c->jobs[i], c->id, st);
    c->ended(c->ctx, c->of[i], st);
}

/* Those that have something to do; the others end here. */
static int begin_all(crowd *c, rs_job *const *jobs, int n)
{
    int begun = 0;
    for (int k = 0; k < n; k++) {
        bool done;
        const rs_fence *before = rs_fence_use(jobs[k]->fence);
        rs_status st = look_first(c->run, jobs[k], c->id, &done);
        rs_fence_use(before);
        c->ran[k] = false;
        if (st != RS_OK || done) {
            c->ended(c->ctx, k, st);
            continue;
        }
        begin(c->run, jobs[k], c->id);
        c->of[begun] = k;
        c->jobs[begun++] = jobs[k];
    }
    return begun;
}

void rs_stage_run_many(rs_run *run, rs_job *const *jobs, int n, rs_stage_id id, bool *ran,
                       rs_stage_ended_fn *ended, void *ctx)
{
    const rs_stage *s = rs_stage_get(id);
    rs_arena *a = rs_arena_create();
    crowd c = {.run = run,
               .jobs = RS_NEW(a, rs_job *, n),
               .of = RS_NEW(a, int, n),
               .id = id,
               .ran = ran,
               .ended = ended,
               .ctx = ctx};
    RS_ASSERT(!run->lane && s->per_edit);
    int begun = begin_all(&c, jobs, n);
    if (s->run_many && begun > 0)
        s->run_many(run, c.jobs, begun, one_ended, &c);
    for (int i = 0; !s->run_many && i < begun; i++) {
        rs_log_set_context(c.jobs[i]->name);
        one_ended(&c, i, s->run(run, c.jobs[i]));
        rs_log_set_context(NULL);
    }
    for (int i = 0; i < begun; i++)
        rs_arena_destroy(&c.jobs[i]->scratch);
    rs_arena_destroy(&a);
}
