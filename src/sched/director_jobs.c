#include <math.h>

#include "sched/director_priv.h"

static rs_dedit *edit_of(const rs_director *d, const rs_dtask *t)
{
    return &d->edits[d->videos[t->video].first_edit + t->edit];
}

/* ---- ready tasks ---- */

static void list_remove(rs_director *d, int64_t task)
{
    rs_dtask *t = &d->tasks[task];
    if (t->near < 0)
        return;
    if (t->prev >= 0)
        d->tasks[t->prev].next = t->next;
    else
        d->gangs[t->near].near[t->stage] = t->next;
    if (t->next >= 0)
        d->tasks[t->next].prev = t->prev;
    t->next = t->prev = t->near = -1;
}

static void list_add(rs_director *d, int64_t task, int64_t gang)
{
    rs_dtask *t = &d->tasks[task];
    t->near = gang;
    if (gang < 0 || !d->gangs[gang].live) {
        t->near = -1;
        return;
    }
    int64_t *head = &d->gangs[gang].near[t->stage];
    t->next = *head;
    t->prev = -1;
    if (*head >= 0)
        d->tasks[*head].prev = task;
    *head = task;
}

static void set_ready(rs_director *d, int64_t task)
{
    rs_dtask *t = &d->tasks[task];
    if (t->state != RS_TASK_STATE_BLOCKED)
        return; /* held, one ahead, by the gang that ran the stage in front of it */
    t->state = RS_TASK_STATE_READY;
    d->n_ready++;
    rs_maxtree_set(&d->ready, t->rank, -t->room);
    rs_dshape *s = rs_dbatch_shape(d, t);
    if (s)
        s->ready++;
    int64_t near = t->edit >= 0 ? edit_of(d, t)->last : -1;
    list_add(d, task, near >= 0 ? near : d->videos[t->video].last);
}

void rs_djobs_take(rs_director *d, int64_t task)
{
    rs_dtask *t = &d->tasks[task];
    rs_dshape *s = rs_dbatch_shape(d, t);
    if (s) {
        s->ready -= t->state == RS_TASK_STATE_READY;
        s->left--;
    }
    if (t->state == RS_TASK_STATE_READY) {
        d->n_ready--;
        rs_maxtree_set(&d->ready, t->rank, -INFINITY);
        list_remove(d, task);
    }
    RS_ASSERT(t->state == RS_TASK_STATE_READY || t->state == RS_TASK_STATE_BLOCKED);
    t->state = RS_TASK_STATE_HELD;
    d->n_held++;
    d->n_going += !d->videos[t->video].begun;
    d->videos[t->video].begun = true;
}

void rs_djobs_put_back(rs_director *d, int64_t task)
{
    rs_djobs_block(d, task);
    set_ready(d, task);
}

void rs_djobs_block(rs_director *d, int64_t task)
{
    rs_dshape *s = rs_dbatch_shape(d, &d->tasks[task]);
    RS_ASSERT(d->tasks[task].state == RS_TASK_STATE_HELD);
    d->tasks[task].state = RS_TASK_STATE_BLOCKED;
    d->n_held--;
    if (s)
        s->left++;
}

void rs_djobs_forget(rs_director *d, int64_t gang)
{
    for (int s = 0; s < RS_TASK_COUNT; s++)
        while (d->gangs[gang].near[s] >= 0)
            list_remove(d, d->gangs[gang].near[s]);
}

/* ---- chains ---- */

static void close_video(rs_director *d, int64_t video)
{
    RS_ASSERT(!d->videos[video].closed);
    d->videos[video].closed = true;
    d->n_open--;
    d->n_going -= d->videos[video].begun;
}

static void settle_edits(rs_director *d, int64_t video, rs_edit_outcome outcome)
{
    for (int64_t e = 0; e < d->spec[video].n_edits; e++) {
        rs_dedit *s = &d->edits[d->videos[video].first_edit + e];
        if (s->outcome.state == RS_EDIT_OPEN)
            s->outcome = outcome;
    }
}

static void published(rs_director *d, int64_t video)
{
    settle_edits(d, video, (rs_edit_outcome){RS_EDIT_DONE, RS_TASK_COUNT, NULL});
    close_video(d, video);
}

static void edit_over(rs_director *d, int64_t video)
{
    if (--d->videos[video].open_edits > 0)
        return;
    if (d->spec[video].skip & RS_TASK_BIT(RS_TASK_PUBLISH))
        published(d, video);
    else
        set_ready(d, rs_dtask_of(d, video, -1, RS_TASK_PUBLISH));
}

/* First stage of an edit from `stage` on that has work; RS_TASK_COUNT: none. */
static rs_task_stage edit_stage(const rs_sched_edit *s, int stage)
{
    for (; stage <= RS_TASK_DECODE; stage++)
        if (!(s->skip & RS_TASK_BIT(stage)))
            return (rs_task_stage)stage;
    return RS_TASK_COUNT;
}

static rs_task_stage video_stage(const rs_sched_video *v, int stage)
{
    for (; stage <= RS_TASK_MOTION; stage++)
        if (!(v->skip & RS_TASK_BIT(stage)))
            return (rs_task_stage)stage;
    return RS_TASK_COUNT;
}

static void advance_edit(rs_director *d, int64_t video, int64_t edit, int from)
{
    rs_task_stage s = edit_stage(&d->spec[video].edits[edit], from);
    if (s == RS_TASK_COUNT)
        edit_over(d, video);
    else
        set_ready(d, rs_dtask_of(d, video, edit, s));
}

static void advance_video(rs_director *d, int64_t video, int from)
{
    const rs_sched_video *v = &d->spec[video];
    rs_task_stage s = video_stage(v, from);
    if (s != RS_TASK_COUNT) {
        set_ready(d, rs_dtask_of(d, video, -1, s));
        return;
    }
    for (int64_t e = 0; e < v->n_edits; e++)
        if (!v->edits[e].failed)
            advance_edit(d, video, e, RS_TASK_APPEARANCE);
}

void rs_djobs_begin(rs_director *d, int64_t video)
{
    if (d->videos[video].open_edits == 0)
        close_video(d, video);
    else if (d->granularity == RS_GRANULARITY_STAGE)
        advance_video(d, video, RS_TASK_INGEST);
    else if (d->spec[video].skip & RS_TASK_BIT(RS_TASK_CHAIN))
        published(d, video);
    else
        set_ready(d, rs_dtask_of(d, video, -1, RS_TASK_CHAIN));
}

static void failed(rs_director *d, const rs_dtask *t, const char *reason)
{
    rs_edit_outcome o = {RS_EDIT_FAILED, t->stage,
                         reason ? rs_arena_strdup(d->arena, reason) : NULL};
    if (t->edit >= 0) {
        edit_of(d, t)->outcome = o;
        edit_over(d, t->video);
    } else {
        settle_edits(d, t->video, o);
        close_video(d, t->video);
        if (t->stage <= RS_TASK_MOTION)
            rs_dbatch_drop(d, t->video);
    }
}

void rs_djobs_ended(rs_director *d, int64_t task, int64_t gang, bool ok, const char *reason)
{
    rs_dtask *t = &d->tasks[task];
    RS_ASSERT(t->state == RS_TASK_STATE_HELD);
    t->state = RS_TASK_STATE_ENDED;
    d->n_held--;
    d->videos[t->video].last = gang;
    if (t->edit >= 0)
        edit_of(d, t)->last = gang;
    if (!ok)
        failed(d, t, reason);
    else if (t->stage >= RS_TASK_PUBLISH)
        published(d, t->video);
    else if (t->edit >= 0)
        advance_edit(d, t->video, t->edit, (int)t->stage + 1);
    else
        advance_video(d, t->video, (int)t->stage + 1);
}

static int64_t publish_after(const rs_director *d, int64_t video)
{
    bool last = d->videos[video].open_edits == 1;
    if (!last || d->spec[video].skip & RS_TASK_BIT(RS_TASK_PUBLISH))
        return -1;
    return rs_dtask_of(d, video, -1, RS_TASK_PUBLISH);
}

/* The best first task of the video's edits. */
static int64_t best_edit(const rs_director *d, int64_t video)
{
    const rs_sched_video *v = &d->spec[video];
    int64_t best = -1;
    for (int64_t e = 0; e < v->n_edits; e++) {
        rs_task_stage s =
            v->edits[e].failed ? RS_TASK_COUNT : edit_stage(&v->edits[e], RS_TASK_APPEARANCE);
        if (s == RS_TASK_COUNT)
            continue;
        int64_t t = rs_dtask_of(d, video, e, s);
        if (best < 0 || d->tasks[t].rank < d->tasks[best].rank)
            best = t;
    }
    return best;
}

int64_t rs_djobs_successor(const rs_director *d, int64_t task)
{
    const rs_dtask *t = &d->tasks[task];
    if (t->stage >= RS_TASK_PUBLISH)
        return -1;
    if (t->edit >= 0) {
        rs_task_stage s = edit_stage(&d->spec[t->video].edits[t->edit], (int)t->stage + 1);
        return s == RS_TASK_COUNT ? publish_after(d, t->video)
                                  : rs_dtask_of(d, t->video, t->edit, s);
    }
    rs_task_stage s = video_stage(&d->spec[t->video], (int)t->stage + 1);
    return s == RS_TASK_COUNT ? best_edit(d, t->video) : rs_dtask_of(d, t->video, -1, s);
}
