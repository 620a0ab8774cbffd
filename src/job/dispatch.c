#include "job/dispatch_priv.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/log.h"
#include "comm/agree.h"

enum { LOOK_US = 1000 };

void rs_dispatch_nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = LOOK_US * 1000}, NULL);
}

static void free_dispatch(rs_dispatch **out)
{
    rs_dispatch *d = *out;
    if (d->lead)
        rs_lead_close(d);
    pthread_mutex_destroy(&d->lock);
    rs_box_free(&d->box);
    rs_dealloc(d->fates);
    rs_dealloc(d);
    *out = NULL;
}

rs_status rs_dispatch_open(rs_dispatch **out, const rs_world *w, const rs_dispatch_opts *o)
{
    rs_dispatch *d = rs_alloc(1, sizeof *d);
    *d = (rs_dispatch){.w = w,
                       .o = *o,
                       .ended_ok = -1,
                       .leader = w->rank - w->rank % w->width,
                       .now = {.video = -1, .width = 1}};
    pthread_mutex_init(&d->lock, NULL);
    *out = d;
    rs_status st = rs_comm_agree(w->comm, rs_world_leads(w) ? rs_lead_open(d) : RS_OK);
    if (st == RS_OK)
        return RS_OK;
    free_dispatch(out);
    return st;
}

/* To the director: by message, or directly on rank 0. */
static rs_status tell(rs_dispatch *d, const note *n)
{
    if (d->lead)
        return rs_lead_tell(d, n);
    return rs_comm_send(d->w->comm, n, sizeof *n, 0, RS_TAG_TO_DIRECTOR);
}

/* Wait for a note that may be long in coming: not in a receive, which is watched. */
static rs_status await(rs_dispatch *d, note *n, int from, int tag)
{
    for (;;) {
        rs_comm_message m;
        RS_TRY(rs_comm_probe(&m, d->w->comm, from, tag));
        if (m.found) {
            RS_ASSERTF(m.bytes == sizeof *n, "a note of %zu bytes", m.bytes);
            return rs_comm_take(d->w->comm, &m, n);
        }
        rs_dispatch_nap();
    }
}

/* All that has come from the director. With the lock held. */
static rs_status collect(rs_dispatch *d)
{
    for (;;) {
        rs_comm_message m;
        note n;
        RS_TRY(rs_comm_probe(&m, d->w->comm, 0, RS_TAG_TO_RANK));
        if (!m.found)
            return RS_OK;
        RS_ASSERTF(m.bytes == sizeof n, "a note of %zu bytes", m.bytes);
        RS_TRY(rs_comm_take(d->w->comm, &m, &n));
        rs_box_put(&d->box, &n);
    }
}

static rs_status hear(rs_dispatch *d, note *n)
{
    if (d->lead) {
        rs_lead_hear(d, n);
        return RS_OK;
    }
    for (;;) {
        pthread_mutex_lock(&d->lock);
        rs_status st = collect(d);
        bool there = rs_box_take(&d->box, n);
        pthread_mutex_unlock(&d->lock);
        if (st != RS_OK || there)
            return st;
        rs_dispatch_nap();
    }
}

bool rs_dispatch_peek(rs_dispatch *d, rs_assignment *out)
{
    note n = {.video = -1};
    bool there = false;
    if (d->lead) {
        there = rs_lead_peek(d, &n);
    } else {
        pthread_mutex_lock(&d->lock);
        there = collect(d) == RS_OK && rs_box_peek(&d->box, &n);
        pthread_mutex_unlock(&d->lock);
    }
    *out = (rs_assignment){.video = n.video, .edit = n.edit, .stage = n.stage};
    return there;
}

static rs_status ask(rs_dispatch *d)
{
    note n = {.kind = NOTE_ASK, .stopped = d->o.stop && *d->o.stop};
    d->asked = true;
    return tell(d, &n);
}

static void keep_fate(rs_dispatch *d, const note *n)
{
    size_t need = (size_t)n->edit + 1;
    if (need > d->fates_cap) {
        size_t cap = 2 * need + 8;
        rs_edit_report *more = rs_alloc(cap, sizeof *more);
        if (d->fates)
            memcpy(more, d->fates, d->fates_cap * sizeof *more);
        rs_dealloc(d->fates);
        d->fates = more;
        d->fates_cap = cap;
    }
    d->fates[n->edit] = n->report;
}

static void keep_companion(rs_dispatch *d, const note *n)
{
    RS_ASSERT(d->n_coming < RS_SCHED_BATCH - 1);
    d->coming_task[d->n_coming] = n->task;
    d->coming[d->n_coming++] = (rs_companion){.video = n->video, .edit = n->edit};
}

static rs_status await_answer(rs_dispatch *d, note *n)
{
    d->n_coming = 0;
    do {
        RS_TRY(hear(d, n));
        if (n->kind == NOTE_FATE)
            keep_fate(d, n);
        else if (n->kind == NOTE_WITH)
            keep_companion(d, n);
    } while (n->kind != NOTE_ANSWER);
    d->asked = false;
    return RS_OK;
}

/* It was assigned while another task ran, which took longer than expected. */
static bool too_late(const rs_dispatch *d, const note *n)
{
    return n->video >= 0 && n->helps < 0 && d->o.ranks &&
           rs_now() + n->room > d->o.ranks[d->w->rank].deadline;
}

static rs_status not_begun(rs_dispatch *d, const note *n, int64_t task, rs_companion of)
{
    note back = {.kind = NOTE_END,
                 .task = task,
                 .video = of.video,
                 .edit = of.edit,
                 .stage = n->stage,
                 .report = {.status = RS_STOPPED, .stage = -1}};
    snprintf(back.report.reason, sizeof back.report.reason, "%s not begun: the time limit is near",
             rs_task_stage_name(n->stage));
    return tell(d, &back);
}

static rs_status tell_lane(rs_dispatch *d, int64_t video)
{
    const rs_world *w = d->w;
    note n = {.kind = NOTE_JOIN, .video = video, .edit = d->now.edit, .stage = d->now.stage};
    for (int r = w->rank + 1; r < w->rank + w->width * d->now.width; r++)
        RS_TRY(rs_comm_send(w->comm, &n, sizeof n, r, RS_TAG_LANE));
    return RS_OK;
}

/* The task of an answer, and its companions. */
static rs_status hand_back(rs_dispatch *d, const note *n)
{
    d->ended_ok = -1;
    if (n->width > 1) { /* who would have helped */
        d->now.width = n->width;
        RS_TRY(tell_lane(d, -1));
        d->now.width = 1;
    }
    for (int i = 0; i < d->n_coming; i++)
        RS_TRY(not_begun(d, n, d->coming_task[i], d->coming[i]));
    return not_begun(d, n, n->task, (rs_companion){.video = n->video, .edit = n->edit});
}

static void begin(rs_dispatch *d, const note *n)
{
    d->now = (rs_assignment){.video = n->video,
                             .edit = n->edit,
                             .stage = n->stage,
                             .width = n->video >= 0 ? n->width : 1,
                             .helps = n->video >= 0 && n->helps >= 0,
                             .fates = d->fates,
                             .n_with = d->n_coming};
    d->called = false;
    if (d->now.helps)
        d->leader = n->helps;
    d->task[0] = n->task;
    for (int i = 0; i < d->n_coming; i++) {
        d->now.with[i] = d->coming[i];
        d->task[i + 1] = d->coming_task[i];
    }
}

rs_status rs_dispatch_next(rs_dispatch *d, rs_assignment *out)
{
    note n;
    for (;;) {
        if (!d->asked)
            RS_TRY(ask(d));
        RS_TRY(await_answer(d, &n));
        if (n.video >= 0 && n.follows >= 0 && n.follows != d->ended_ok)
            continue; /* void: the task that it follows did not end well */
        if (!too_late(d, &n))
            break;
        RS_TRY(hand_back(d, &n));
    }
    begin(d, &n);
    *out = d->now;
    return n.video >= 0 ? ask(d) : rs_dispatch_call_lane(d);
}

rs_status rs_dispatch_call_lane(rs_dispatch *d)
{
    d->called = true;
    return tell_lane(d, d->now.video);
}

rs_status rs_dispatch_follow(rs_dispatch *d, rs_assignment *out)
{
    note n;
    RS_TRY(await(d, &n, d->leader, RS_TAG_LANE));
    *out = (rs_assignment){
        .video = n.video, .edit = n.edit, .stage = n.stage, .width = d->now.width, .helps = true};
    return RS_OK;
}

rs_status rs_dispatch_report(rs_dispatch *d, int64_t edit, const rs_edit_report *report)
{
    note n = {.kind = NOTE_REPORT, .video = d->now.video, .edit = edit, .report = *report};
    return tell(d, &n);
}

rs_status rs_dispatch_end(rs_dispatch *d, int k, const rs_edit_report *end)
{
    RS_ASSERT(k >= 0 && k <= d->now.n_with && d->task[k] >= 0);
    note n = {.kind = NOTE_END,
              .stopped = end->status == RS_STOPPED,
              .task = d->task[k],
              .video = k ? d->now.with[k - 1].video : d->now.video,
              .edit = k ? d->now.with[k - 1].edit : d->now.edit,
              .stage = d->now.stage,
              .report = *end};
    if (k == 0) /* what comes next may follow it, not its companions */
        d->ended_ok = end->status == RS_OK ? d->task[0] : -1;
    d->task[k] = -1;
    if (d->now.width > 1 && !d->called) /* there was nothing to do */
        RS_TRY(tell_lane(d, -1));
    d->now.width = 1;
    return tell(d, &n);
}

rs_status rs_dispatch_close(rs_dispatch **out, bool *finished)
{
    rs_dispatch *d = *out;
    const rs_world *w = d->w;
    rs_status st = RS_OK;
    if (rs_world_leads_lane(w))
        st = tell(d, &(note){.kind = NOTE_OUT});
    if (d->lead)
        rs_lead_wait(d);
    if (st == RS_OK)
        st = rs_world_await_lead(w);
    bool all = d->lead && rs_lead_finished(d);
    free_dispatch(out);
    RS_TRY(rs_comm_agree(w->comm, st));
    RS_TRY(rs_comm_broadcast(&all, w->comm, sizeof all, 0, "end of the jobs"));
    *finished = all;
    return RS_OK;
}
