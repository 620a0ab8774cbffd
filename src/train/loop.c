/* The loop over the steps of one job, or of several that share passes. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/num.h"
#include "base/rng.h"
#include "train/train_priv.h"

/* What the loop holds for a job. */
typedef struct session {
    rs_train_job *job;
    rs_adapter **adapters; /* the frozen ones, then the trained one */
    float *weights;
    rs_denoiser_cond **conds; /* per item, NULL until first used */
    bool due;                 /* its step of this round is to come */
} session;

typedef struct course {
    rs_denoiser *m;
    session *sessions;
    int n, most;
} course;

static bool active(const session *s)
{
    return s->job->status == RS_OK && s->job->step < s->job->loop->steps;
}

/* The job ends here; its companions do not. */
static void fail_job(session *s, rs_status st)
{
    s->job->status = st;
    snprintf(s->job->reason, sizeof s->job->reason, "%s", rs_error_message());
}

static void tell_ends(course *c)
{
    for (int i = 0; i < c->n; i++) {
        session *s = &c->sessions[i];
        rs_train_job *job = s->job;
        if (active(s) || job->told || !job->ended)
            continue;
        job->told = true;
        job->ended(job->ctx, job);
    }
}

static const rs_train_item *next_item(const session *s)
{
    const rs_train_loop *l = s->job->loop;
    int64_t i = l->order[s->job->step];
    RS_ASSERT(i >= 0 && i < l->n_items);
    return &l->items[i];
}

static void drop_conds(session *s)
{
    for (int64_t i = 0; i < s->job->loop->n_items; i++)
        rs_denoiser_cond_destroy(&s->conds[i]);
}

static void close_session(session *s)
{
    drop_conds(s);
    rs_dealloc(s->conds);
    rs_dealloc(s->adapters);
    rs_dealloc(s->weights);
}

/* Applying the adapters once tells whether they fit, at the cost of this job only, and makes room
 * for their rank. */
static void open_session(session *s, rs_train_job *job, rs_denoiser *m)
{
    const rs_train_loop *l = job->loop;
    int n = l->n_frozen;
    s->job = job;
    s->adapters = rs_alloc((size_t)n + 1, sizeof *s->adapters);
    s->weights = rs_alloc((size_t)n + 1, sizeof *s->weights);
    s->conds = rs_alloc((size_t)l->n_items + 1, sizeof *s->conds);
    for (int i = 0; i < n; i++) {
        s->adapters[i] = l->frozen[i];
        s->weights[i] = l->frozen_weights[i];
    }
    s->adapters[n] = job->adapter;
    s->weights[n] = 1.0f;
    job->status = RS_OK;
    rs_status st = rs_denoiser_set_adapters(m, s->adapters, s->weights, n + 1);
    if (st != RS_OK)
        fail_job(s, st);
}

/* ---- a step of jobs whose next items have one size ---- */

/* The condition of the next item. */
static rs_status ready(session *s, rs_denoiser *m)
{
    const rs_train_item *item = next_item(s);
    rs_denoiser_cond **cond = &s->conds[s->job->loop->order[s->job->step]];
    if (rs_has(item->y) && (item->y.ndim != 4 || memcmp(item->y.shape + 1, item->x0.shape + 1,
                                                        3 * sizeof item->x0.shape[0]) != 0))
        return rs_train_agree(m, RS_FAIL(INPUT, "condition and target differ in size"));
    return *cond ? RS_OK : rs_denoiser_cond_create(cond, m, item->y, item->text, item->image);
}

/* Bound to the size, with the conditions of all: of those that fail nothing is left in the group.
 */
static int ready_all(course *c, session **group, int n)
{
    int left = 0;
    const int64_t *size = next_item(group[0])->x0.shape;
    for (int k = 0; k < n; k++) {
        rs_status st = ready(group[k], c->m);
        if (st != RS_OK)
            fail_job(group[k], st);
        else
            group[left++] = group[k];
    }
    if (left == 0)
        return 0;
    rs_status st = rs_denoiser_bind_many(c->m, left, size[1], size[2], size[3]);
    for (int k = 0; k < left && st != RS_OK; k++)
        fail_job(group[k], st);
    return st == RS_OK ? left : 0;
}

/* Draws are functions of seed, job and step alone. */
static void make_sample(rs_denoiser_sample *out, const session *s)
{
    const rs_train_loop *l = s->job->loop;
    const rs_train_item *item = next_item(s);
    uint32_t k = (uint32_t)s->job->step;
    rs_rng time = rs_rng_stream(l->seed, l->job, RS_RNG_TRAIN_TIME, k);
    rs_rng draw = rs_rng_stream(l->seed, l->job, RS_RNG_TRAIN_NOISE, k);
    rs_tensor noise = item->x0;
    noise.data = rs_alloc((size_t)rs_tensor_count(item->x0), sizeof(float));
    rs_rng_fill_normal(rs_f32(noise), &draw, 0, rs_tensor_count(noise));
    *out = (rs_denoiser_sample){.adapters = s->adapters,
                                .weights = s->weights,
                                .n_adapters = l->n_frozen + 1,
                                .cond = s->conds[l->order[k]]};
    rs_train_sample_make(out, item, noise, rs_rng_uniform(&time, 0));
    rs_dealloc(noise.data);
}

/* Has any rank been asked to stop? Signals do not reach all in the same step. */
static rs_status asked_to_stop(bool *stop, const rs_train_loop *l, rs_comm *lane)
{
    int64_t asked = l->stop && l->stop(l->ctx);
    if (lane)
        RS_TRY(rs_comm_allreduce(&asked, lane, &asked, 1, RS_COMM_I64, RS_COMM_MAX, "stop"));
    *stop = asked != 0;
    return RS_OK;
}

/* Saved when it is due, or when the job stops here. */
static rs_status after_step(const rs_train_loop *l, const rs_denoiser *m, int64_t done, bool due)
{
    bool stop;
    RS_TRY(asked_to_stop(&stop, l, rs_denoiser_lane(m)));
    stop = stop && done < l->steps;
    if ((due || stop) && l->save)
        RS_TRY(rs_train_agree(m, l->save(l->ctx, done)));
    return stop ? RS_FAIL(STOPPED, "stopped after step %lld of %lld", (long long)done,
                          (long long)l->steps)
                : RS_OK;
}

static bool save_is_due(const rs_train_loop *l, int64_t done)
{
    return l->checkpoint_every > 0 && done % l->checkpoint_every == 0 && done < l->steps;
}

static rs_status finish_step(session *s, const rs_denoiser *m, float loss, double seconds)
{
    rs_train_job *job = s->job;
    const rs_train_loop *l = job->loop;
    rs_train_progress p = {
        .step = job->step + 1, .steps = l->steps, .item = l->order[job->step], .loss = loss};
    double begin = rs_now();
    job->losses[job->step] = loss;
    RS_TRY(rs_train_agree(
        m, rs_train_finish(job->adapter, &l->optim, job->step + 1, loss, &p.grad_norm)));
    p.seconds = seconds + rs_now() - begin;
    ++job->step;
    if (l->report)
        l->report(l->ctx, &p);
    return after_step(l, m, job->step, save_is_due(l, job->step));
}

/* One has stopped: so do those that wait for their turn. */
static void stop_all(course *c)
{
    for (int i = 0; i < c->n; i++) {
        session *s = &c->sessions[i];
        rs_status st = active(s) ? after_step(s->job->loop, c->m, s->job->step, false) : RS_OK;
        if (st != RS_OK)
            fail_job(s, st);
    }
}

/* One step of each. What fails is a job's own, and kept with it, except in the pass itself. */
static rs_status step_group(course *c, session **group, int n)
{
    double begin = rs_now();
    n = ready_all(c, group, n);
    if (n == 0)
        return RS_OK;
    rs_denoiser_sample *samples = rs_alloc((size_t)n, sizeof *samples);
    for (int k = 0; k < n; k++)
        make_sample(&samples[k], group[k]);
    rs_status st = rs_denoiser_loss_grad_many(c->m, samples, n);
    double seconds = (rs_now() - begin) / n;
    bool stopped = false;
    for (int k = 0; k < n; k++) {
        rs_train_sample_free(&samples[k]);
        rs_status own = st == RS_OK ? finish_step(group[k], c->m, samples[k].loss, seconds) : RS_OK;
        if (own != RS_OK)
            fail_job(group[k], own);
        stopped = stopped || own == RS_STOPPED;
    }
    if (stopped)
        stop_all(c);
    rs_dealloc(samples);
    return st;
}

/* ---- rounds: one step of every job that is not waiting for others ---- */

/* Steps of a single frame take most of their time for the weights; longer ones do not, and take
 * memory. */
static bool shares(const course *c, const session *s)
{
    return c->most > 1 && next_item(s)->x0.shape[1] == 1;
}

static bool same_size(const session *a, const session *b)
{
    return memcmp(next_item(a)->x0.shape, next_item(b)->x0.shape, 4 * sizeof(int64_t)) == 0;
}

/* The jobs that go with sessions[i], which is one of them. */
static int gather(course *c, int i, session **group)
{
    int n = 0;
    session *first = &c->sessions[i];
    bool shared = shares(c, first);
    for (int k = i; k < c->n && n < (shared ? c->most : 1); k++) {
        session *s = &c->sessions[k];
        if (!s->due || !active(s) || (s != first && !(shares(c, s) && same_size(s, first))))
            continue;
        s->due = false;
        group[n++] = s;
    }
    return n;
}

/* Steps that are taken alone, as long as some job has one next; else the shared ones. Jobs that
 * share wait for the others: together they take no more passes than the one with most steps. */
static rs_status take_round(course *c, session **group)
{
    bool alone = false;
    for (int i = 0; i < c->n; i++) {
        session *s = &c->sessions[i];
        s->due = active(s);
        alone = alone || (s->due && !shares(c, s));
    }
    for (int i = 0; i < c->n; i++) {
        session *s = &c->sessions[i];
        if (!s->due || !active(s) || shares(c, s) == alone)
            continue;
        RS_TRY(step_group(c, group, gather(c, i, group)));
        tell_ends(c);
    }
    return RS_OK;
}

static bool any_active(const course *c)
{
    for (int i = 0; i < c->n; i++)
        if (active(&c->sessions[i]))
            return true;
    return false;
}

rs_status rs_train_run_many(rs_train_job *jobs, int n, rs_denoiser *m, int most)
{
    rs_status st = RS_OK;
    RS_ASSERT(n >= 1 && most >= 1);
    course c = {.m = m, .n = n, .most = rs_denoiser_lane(m) ? 1 : most};
    c.sessions = rs_alloc((size_t)n, sizeof *c.sessions);
    session **group = rs_alloc((size_t)n, sizeof(session *));
    rs_denoiser_join(m);
    for (int i = 0; i < n; i++)
        open_session(&c.sessions[i], &jobs[i], m);
    tell_ends(&c);
    while (any_active(&c))
        RS_TRY_OUT(take_round(&c, group));
out:
    rs_denoiser_leave(m);
    for (int i = 0; i < n; i++) {
        if (st != RS_OK && active(&c.sessions[i]))
            fail_job(&c.sessions[i], st);
        close_session(&c.sessions[i]);
    }
    rs_dealloc(group);
    rs_dealloc(c.sessions);
    return st;
}

rs_status rs_train_run(const rs_train_loop *l, rs_denoiser *m, rs_adapter *a, float *losses,
                       int64_t *step)
{
    rs_train_job job = {.loop = l, .adapter = a, .losses = losses, .step = *step};
    rs_status st = rs_train_run_many(&job, 1, m, 1);
    *step = job.step;
    RS_TRY(st);
    RS_TRY(job.status);
    return RS_OK;
}
