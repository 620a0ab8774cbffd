/* Batches: ready appearances of one shape class that a gang is given together. */
#include <math.h>

#include "base/num.h"
#include "sched/director_priv.h"

static bool is_appearance(const rs_director *d, const rs_dtask *t)
{
    const rs_sched_edit *e = t->edit >= 0 ? &d->spec[t->video].edits[t->edit] : NULL;
    return d->batch > 1 && t->stage == RS_TASK_APPEARANCE && !e->failed &&
           !(e->skip & RS_TASK_BIT(RS_TASK_APPEARANCE));
}

rs_dshape *rs_dbatch_shape(const rs_director *d, const rs_dtask *t)
{
    return is_appearance(d, t) ? &d->shapes[d->spec[t->video].edits[t->edit].shape] : NULL;
}

void rs_dbatch_make(rs_director *d)
{
    for (int64_t i = 0; d->batch > 1 && i < d->n_tasks; i++) {
        const rs_dtask *t = &d->tasks[i];
        int shape = is_appearance(d, t) ? d->spec[t->video].edits[t->edit].shape : -1;
        d->n_shapes = shape < d->n_shapes ? d->n_shapes : shape + 1;
    }
    d->shapes = RS_NEW(d->arena, rs_dshape, d->n_shapes);
    for (int64_t r = d->n_tasks - 1; d->batch > 1 && r >= 0; r--) {
        const rs_dtask *t = &d->tasks[d->by_rank[r]];
        rs_dshape *s = rs_dbatch_shape(d, t);
        if (!s)
            continue;
        s->lo = r;
        s->hi = s->hi ? s->hi : r + 1;
        s->left += d->videos[t->video].open_edits > 0;
    }
}

void rs_dbatch_drop(rs_director *d, int64_t video)
{
    for (int64_t e = 0; e < d->spec[video].n_edits; e++) {
        rs_dshape *s = rs_dbatch_shape(d, &d->tasks[rs_dtask_of(d, video, e, RS_TASK_APPEARANCE)]);
        if (s)
            s->left--;
    }
}

/* How many make a batch now. */
static int64_t wanted(const rs_director *d, const rs_dshape *s)
{
    int64_t share = rs_ceil_div(s->left, rs_max_i64(1, d->n_able));
    return rs_max_i64(1, rs_min_i64(d->batch, share));
}

int64_t rs_dbatch_best(const rs_director *d, double bound, bool ripe)
{
    int64_t best = -1;
    for (int i = 0; i < d->n_shapes; i++) {
        const rs_dshape *s = &d->shapes[i];
        if (s->ready == 0 || (ripe && s->ready < wanted(d, s)))
            continue;
        int64_t rank = rs_maxtree_first(&d->ready, s->lo, s->hi, bound);
        int64_t task = rank < 0 ? -1 : d->by_rank[rank];
        if (task >= 0 && (best < 0 || d->tasks[task].remaining > d->tasks[best].remaining))
            best = task;
    }
    return best;
}

/* It would not make a batch, should it be ready now. */
static bool unripe(const rs_director *d, const rs_dtask *t)
{
    const rs_dshape *s = rs_dbatch_shape(d, t);
    return s && s->ready + (t->state == RS_TASK_STATE_BLOCKED) < wanted(d, s);
}

void rs_dbatch_choose(const rs_director *d, int64_t *follows, int64_t *other)
{
    if (*follows < 0 || *other < 0)
        return;
    bool first = unripe(d, &d->tasks[*follows]), second = unripe(d, &d->tasks[*other]);
    if (first && !second)
        *follows = -1;
    if (second && !first)
        *other = -1;
}

/* Other gangs that wait and may run an appearance, up to `most`. */
static int64_t others_wait(const rs_director *d, int64_t gang, int64_t most)
{
    int64_t n = 0;
    for (int c = 0; c < d->n_classes; c++) {
        const rs_dclass *k = &d->classes[c];
        if (!(k->stages & RS_TASK_BIT(RS_TASK_APPEARANCE)))
            continue;
        for (int64_t leaf = k->lo - 1; n < most;) {
            leaf = rs_maxtree_first(&d->idle, leaf + 1, k->hi, -INFINITY);
            if (leaf < 0)
                break;
            n += d->gang_of_leaf[leaf] != gang;
        }
    }
    return n;
}

/* What may be added to the task that was just taken: the rest of a batch, but one is left for each
 * of those that wait. */
static int64_t companions(const rs_director *d, const rs_dshape *s, int64_t gang)
{
    int64_t share = rs_ceil_div(s->left + 1, rs_max_i64(1, d->n_able));
    return rs_min_i64(rs_min_i64(d->batch, share) - 1, s->ready - others_wait(d, gang, s->ready));
}

void rs_dbatch_take(rs_director *d, rs_answer *out, double begin)
{
    rs_dgang *g = &d->gangs[out->gang];
    rs_dwith *w = &g->with[g->n_held - 1];
    const rs_dshape *s = out->width == 1 ? rs_dbatch_shape(d, &d->tasks[out->task]) : NULL;
    *w = (rs_dwith){0};
    for (int64_t n = s ? companions(d, s, out->gang) : 0; w->n < n;) {
        int64_t rank = rs_maxtree_first(&d->ready, s->lo, s->hi, -INFINITY);
        if (rank < 0 || g->deadline < begin + out->room + d->tasks[d->by_rank[rank]].room)
            break;
        w->task[w->n++] = d->by_rank[rank];
        out->room += d->tasks[d->by_rank[rank]].room;
        rs_djobs_take(d, d->by_rank[rank]);
    }
    if (w->n == 0)
        return;
    d->batched = *out;
    d->telling = w;
    d->told = 0;
    (void)rs_dbatch_next(d, out);
}

bool rs_dbatch_next(rs_director *d, rs_answer *out)
{
    if (!d->telling)
        return false;
    *out = d->batched;
    if (d->told == d->telling->n) {
        d->telling = NULL;
        return true;
    }
    out->task = d->telling->task[d->told++];
    const rs_dtask *t = &d->tasks[out->task];
    out->kind = RS_ANSWER_WITH;
    out->video = t->video;
    out->edit = t->edit;
    out->seconds = t->seconds;
    return true;
}

void rs_dbatch_put_back(rs_director *d, rs_dwith *with)
{
    while (with->n > 0)
        rs_djobs_put_back(d, with->task[--with->n]);
}

double rs_dbatch_seconds(const rs_director *d, const rs_dgang *g)
{
    double seconds = g->with[0].headless ? 0 : d->tasks[g->held[0]].seconds;
    for (int i = 0; i < g->with[0].n; i++)
        seconds += d->tasks[g->with[0].task[i]].seconds;
    return seconds;
}

bool rs_dbatch_remove(rs_dgang *g, int64_t task)
{
    rs_dwith *w = &g->with[0];
    if (g->held[0] == task && !w->headless) {
        w->headless = true;
        return true;
    }
    for (int i = 0; i < w->n; i++)
        if (w->task[i] == task) {
            w->task[i] = w->task[--w->n];
            return true;
        }
    return false;
}
