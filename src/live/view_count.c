/* From jobs and ranks to counts, rates and expectations. */
#include <math.h>

#include "live/view_priv.h"

/* ---- what runs ---- */

static void reset_jobs(rs_view *v)
{
    for (int64_t i = 0; i < v->n_jobs; i++) {
        rs_view_job *j = &v->jobs[i];
        for (int k = 0; k < RS_LIVE_STAGES; k++)
            j->stage[k] = j->known[k];
        j->rank = -1;
        j->at = j->failed ? j->at : -1;
        j->steps = (rs_live_steps){.loss = NAN, .s_per_step = NAN};
        j->edits = j->edits_ended = 0;
        j->reached = j->ended && !j->failed ? RS_LIVE_STAGES : j->at;
    }
    for (int64_t i = 0; i < v->n_jobs; i++) {
        const rs_view_job *j = &v->jobs[i];
        rs_view_job *video = j->parent < 0 ? NULL : &v->jobs[j->parent];
        if (!video)
            continue;
        video->edits++;
        video->edits_ended += j->ended;
        video->reached = j->reached > video->reached ? j->reached : video->reached;
    }
}

static void mark_task(rs_viewer_state *s, const rs_view_rank *r, const rs_view_task *t)
{
    rs_view_job *j = rs_view_job_named(s, t->arm, t->video, t->edit);
    if (!j || t->since <= j->known_since[t->stage])
        return; /* the record is older than the timeline */
    j->stage[t->stage] = RS_VIEW_RUNNING;
    j->at = t->stage;
    j->rank = r->rank;
    j->steps = t->steps;
}

static void mark_running(rs_viewer_state *s)
{
    for (int64_t i = 0; i < s->v.n_ranks; i++) {
        const rs_view_rank *r = &s->v.ranks[i];
        for (int64_t t = 0; r->alive && t < r->n_tasks; t++)
            mark_task(s, r, &r->tasks[t]);
    }
}

/* ---- what follows from it ---- */

/* Tasks of which nothing was said, where what became of the job says it. */
static rs_view_state implied(const rs_view_job *j, int stage)
{
    bool over = j->parent < 0 ? j->edits > 0 && j->edits_ended == j->edits : j->ended;
    if (!over)
        return RS_VIEW_WAITING;
    return stage < j->reached    ? RS_VIEW_CACHED
           : stage == j->reached ? RS_VIEW_FAILED
                                 : RS_VIEW_SKIPPED;
}

static rs_view_state state_of_edit(rs_view_job *j, const rs_view_job *video)
{
    if (j->ended && j->failed)
        return RS_VIEW_FAILED;
    if (j->ended)
        return j->computed ? RS_VIEW_DONE : RS_VIEW_CACHED;
    if (j->rank < 0 && video && video->rank >= 0) {
        j->rank = video->rank;
        j->at = video->at;
        j->steps = video->steps;
    }
    return j->rank >= 0 ? RS_VIEW_RUNNING : RS_VIEW_WAITING;
}

static void conclude_jobs(rs_view *v)
{
    for (int64_t i = 0; i < v->n_jobs; i++) {
        rs_view_job *j = &v->jobs[i];
        for (int k = 0; k < RS_LIVE_STAGES; k++)
            if (j->stage[k] == RS_VIEW_WAITING)
                j->stage[k] = implied(j, k);
    }
    for (int s = 0; s < RS_VIEW_STATES; s++)
        v->edits[s] = 0;
    v->n_edits = v->n_videos = 0;
    for (int64_t i = 0; i < v->n_jobs; i++) {
        rs_view_job *j = &v->jobs[i];
        if (!*j->edit) {
            v->n_videos++;
            continue;
        }
        j->state = state_of_edit(j, j->parent < 0 ? NULL : &v->jobs[j->parent]);
        v->edits[j->state]++;
        v->n_edits++;
    }
}

/* ---- stages ---- */

/* One pass over what may be a million tasks. */
static void count_stages(rs_view *v)
{
    double sum[RS_LIVE_STAGES] = {0}, n[RS_LIVE_STAGES] = {0};
    for (int k = 0; k < RS_LIVE_STAGES; k++)
        v->stages[k] = (rs_view_stage){.loss = NAN, .s_per_step = NAN, .eta_s = NAN};
    for (int64_t i = 0; i < v->n_jobs; i++) {
        const rs_view_job *j = &v->jobs[i];
        for (int k = 0; k < RS_LIVE_STAGES; k++) {
            if (!(j->tasks & RS_TASK_BIT(k)))
                continue;
            v->stages[k].total++;
            v->stages[k].count[j->stage[k]]++;
            n[k] += !isnan(j->seconds[k]);
            sum[k] += isnan(j->seconds[k]) ? 0 : j->seconds[k];
        }
    }
    for (int k = 0; k < RS_LIVE_STAGES; k++)
        v->stages[k].mean_s = n[k] > 0 ? sum[k] / n[k] : NAN;
}

static double add_known(double sum, double value)
{
    return isnan(value) ? sum : (isnan(sum) ? value : sum + value);
}

/* Rest of a running task: from its steps, else from how long others took. */
static double rest_of(const rs_view_task *t, double mean_s, double now)
{
    const rs_live_steps *p = &t->steps;
    if (p->steps > 0 && !isnan(p->s_per_step))
        return p->s_per_step * (double)(p->steps - p->step);
    return isnan(mean_s) ? NAN : fmax(0, mean_s - (now - t->since));
}

typedef struct running {
    double loss, s_per_step, whole, left;
    int64_t n_loss, n_rate, n;
} running;

static void add_running(running *sum, rs_view_stage *s, const rs_view_task *t, double now)
{
    const rs_live_steps *p = &t->steps;
    double rest = rest_of(t, s->mean_s, now);
    sum->n_loss += !isnan(p->loss);
    sum->loss = add_known(sum->loss, p->loss);
    sum->n_rate += !isnan(p->s_per_step);
    sum->s_per_step = add_known(sum->s_per_step, p->s_per_step);
    sum->whole = add_known(sum->whole, p->s_per_step * (double)p->steps);
    sum->left += rest; /* NAN where one is unknown */
    s->eta_s = isnan(s->eta_s) || rest > s->eta_s ? rest : s->eta_s;
    if (sum->n == 0 || p->step < s->step_min)
        s->step_min = p->step;
    s->step_max = p->step > s->step_max ? p->step : s->step_max;
    s->steps = p->steps > s->steps ? p->steps : s->steps;
    sum->n++;
}

static const char *name_of(rs_arena *a, const rs_view_task *t)
{
    return *t->edit ? rs_arena_printf(a, "%s#%s", t->video, t->edit) : t->video;
}

static void count_running(rs_viewer_state *state, int k)
{
    rs_view *v = &state->v;
    rs_view_stage *s = &v->stages[k];
    running sum = {.loss = NAN, .s_per_step = NAN, .whole = NAN};
    const rs_view_task *one = NULL;
    for (int64_t i = 0; i < v->n_ranks; i++) {
        const rs_view_rank *r = &v->ranks[i];
        for (int64_t t = 0; r->alive && t < r->n_tasks; t++) {
            if (r->tasks[t].stage != k)
                continue;
            one = &r->tasks[t];
            add_running(&sum, s, one, v->now);
        }
    }
    s->who = sum.n && s->count[RS_VIEW_RUNNING] == 1 ? name_of(state->fresh, one) : NULL;
    s->loss = sum.loss / (double)sum.n_loss;
    s->s_per_step = sum.s_per_step / (double)sum.n_rate;
    double each = isnan(s->mean_s) ? sum.whole / (double)sum.n_rate : s->mean_s;
    int64_t waiting = s->count[RS_VIEW_WAITING];
    s->left_s = (waiting ? (double)waiting * each : 0) + sum.left;
}

/* ---- the whole ---- */

static void expect(rs_view *v)
{
    double left = 0, longest = 0;
    int64_t ranks = 0;
    bool any = false;
    v->eta_is_low = false;
    for (int64_t i = 0; i < v->n_ranks; i++)
        ranks += v->ranks[i].alive;
    for (int k = 0; k < RS_LIVE_STAGES; k++) {
        const rs_view_stage *s = &v->stages[k];
        if (s->count[RS_VIEW_WAITING] + s->count[RS_VIEW_RUNNING] == 0)
            continue;
        v->eta_is_low = v->eta_is_low || isnan(s->left_s);
        any = any || !isnan(s->left_s);
        left += isnan(s->left_s) ? 0 : s->left_s;
        longest = fmax(longest, isnan(s->eta_s) ? 0 : s->eta_s);
    }
    v->eta_s = any && ranks > 0 ? fmax(left / (double)ranks, longest) : NAN;
}

static int64_t ranks_of(const rs_view *v, int64_t world)
{
    int64_t n = 0;
    for (int64_t i = 0; i < v->n_ranks; i++)
        n += v->ranks[i].world == world;
    return n;
}

static void count_ranks(rs_view *v)
{
    double busy = 0, spent = 0;
    v->gone = 0;
    v->gather_s = 0;
    for (int64_t i = 0; i < v->n_worlds; i++)
        v->worlds[i].alive = v->worlds[i].began && ranks_of(v, i) == 0;
    for (int64_t i = 0; i < v->n_ranks; i++) {
        const rs_view_rank *r = &v->ranks[i];
        rs_view_world *w = &v->worlds[r->world];
        w->alive = w->alive || (r->alive && !w->ended);
        v->gone += !r->alive && !r->ended && !w->ended;
        v->gather_s = add_known(v->gather_s, r->totals.gather_s);
        busy = add_known(busy, r->busy_s);
        spent = add_known(spent, r->time - r->begin);
    }
    v->utilisation = spent > 0 ? busy / spent : NAN;
}

void rs_view_count(rs_viewer_state *state)
{
    rs_view *v = &state->v;
    count_ranks(v);
    reset_jobs(v);
    mark_running(state);
    conclude_jobs(v);
    count_stages(v);
    for (int k = 0; k < RS_LIVE_STAGES; k++)
        count_running(state, k);
    expect(v);
}
