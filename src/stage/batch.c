/* Training several jobs of a stage together: one walk over the weights for the steps that their
 * samples can share. What happens to a job (a damaged file, a loss that is not finite, a full disk)
 * ends that job; only a pass that fails ends all. */
#include "base/log.h"
#include "stage/adapters.h"

typedef struct batch {
    rs_training *trainings; /* (n) */
    rs_train_job *jobs;     /* (n) those that were prepared; of[i]: its training */
    int *of;
    int n;
    rs_stage_ended_fn *ended;
    void *ctx;
} batch;

static void tell(const batch *b, int k, rs_status st)
{
    b->ended(b->ctx, k, st);
    rs_log_set_context(NULL);
}

/* As rs_training_run ends; the reason is this thread's error. */
static rs_status conclude(rs_training *t, const rs_train_job *job)
{
    if (job->status != RS_OK)
        return rs_fail_at(job->status, __FILE__, __LINE__, __func__, "%s", job->reason);
    return rs_training_finish(t);
}

static void job_ended(void *ctx, rs_train_job *job)
{
    const batch *b = ctx;
    int k = b->of[job - b->jobs];
    rs_log_set_context(b->trainings[k].job->name);
    tell(b, k, conclude(&b->trainings[k], job));
}

/* Its own seconds are those of the preparation so far. Preparing several may take long: who asks
 * to stop does not wait for all. */
static rs_status prepare_one(rs_training *t, rs_training_prepare_fn *prepare)
{
    if (*t->run->stop)
        return RS_FAIL(STOPPED, "stopped before stage %s", rs_stage_get(t->id)->name);
    t->job->begin = rs_now();
    rs_log_set_context(t->job->name);
    rs_status st = prepare(t);
    t->own = rs_now() - t->job->begin;
    rs_log_set_context(NULL);
    return st;
}

static int prepare_all(batch *b, rs_training_prepare_fn *prepare)
{
    int ready = 0;
    for (int k = 0; k < b->n; k++) {
        rs_training *t = &b->trainings[k];
        rs_status st = prepare_one(t, prepare);
        if (st != RS_OK) {
            tell(b, k, st);
            continue;
        }
        b->of[ready] = k;
        b->jobs[ready++] = (rs_train_job){.loop = &t->loop,
                                          .adapter = t->adapter,
                                          .losses = t->losses,
                                          .step = t->step,
                                          .ended = job_ended,
                                          .ctx = b};
    }
    for (int i = 0; i < ready; i++)
        b->trainings[b->of[i]].begin = rs_now();
    return ready;
}

static void train(batch *b, int ready, rs_denoiser *m)
{
    RS_LOG(INFO, "%s of %d jobs together", rs_stage_get(b->trainings[0].id)->name, ready);
    rs_models_rest(&b->trainings[0].run->models);
    rs_status st = rs_train_run_many(b->jobs, ready, m, ready);
    rs_log_set_context(NULL);
    for (int i = 0; st != RS_OK && i < ready; i++)
        if (!b->jobs[i].told)
            tell(b, b->of[i], conclude(&b->trainings[b->of[i]], &b->jobs[i]));
}

void rs_stage_train_many(rs_run *run, rs_job *const *jobs, int n, rs_stage_id id,
                         rs_training_prepare_fn *prepare, rs_stage_ended_fn *ended, void *ctx)
{
    rs_arena *a = rs_arena_create();
    batch b = {.trainings = RS_NEW(a, rs_training, n),
               .jobs = RS_NEW(a, rs_train_job, n),
               .of = RS_NEW(a, int, n),
               .n = n,
               .ended = ended,
               .ctx = ctx};
    for (int k = 0; k < n; k++)
        b.trainings[k] = (rs_training){.run = run, .job = jobs[k], .id = id, .together = true};
    int ready = prepare_all(&b, prepare);
    if (ready > 0)
        train(&b, ready, run->models.denoiser);
    for (int k = 0; k < n; k++)
        rs_training_close(&b.trainings[k]);
    rs_arena_destroy(&a);
}
