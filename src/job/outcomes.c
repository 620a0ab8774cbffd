/* Rank 0: what became of the edits, from what all ranks report. */
#include <stdio.h>

#include "base/log.h"
#include "job/work.h"

void rs_work_tell_outcome(const rs_work *w, const rs_outcome *o, int stage)
{
    if (o->status == RS_HELD) /* by a run that tells its own */
        return;
    rs_live_how how = rs_live_how_of(o->status);
    rs_live_outcome(w->s->run.live, o->video, o->edit,
                    how == RS_LIVE_DONE && !o->ran ? RS_LIVE_CACHED : how, stage, o->reason);
}

rs_edit_report rs_work_report_of(const rs_outcome *o)
{
    rs_edit_report r = {.status = o->status,
                        .stage = o->status == RS_OK ? -1 : RS_TASK_PUBLISH,
                        .ran = o->ran,
                        .movie = o->mp4 != NULL,
                        .archive = o->archive != NULL,
                        .train_s = o->train_s,
                        .sample_s = o->sample_s,
                        .measures = o->measures};
    snprintf(r.reason, sizeof r.reason, "%s", o->reason ? o->reason : "");
    return r;
}

/* Nothing has gone wrong with it so far. */
static bool is_open(const rs_outcome *o)
{
    return o->status == RS_OK || o->status == RS_STOPPED || o->status == RS_HELD;
}

static void fail(const rs_work *w, rs_outcome *o, const rs_edit_report *end)
{
    o->status = end->status;
    o->reason = rs_arena_strdup(w->s->reports, end->reason);
    o->stage = end->stage >= 0 ? rs_task_stage_name((rs_task_stage)end->stage) : NULL;
    if (end->status != RS_STOPPED && end->status != RS_HELD)
        RS_LOG(ERROR, "%s#%s failed%s%s: %s", o->video, o->edit, o->stage ? " in " : "",
               o->stage ? o->stage : "", o->reason);
    rs_work_tell_outcome(w, o, end->stage);
}

void rs_work_take_report(void *ctx, int64_t listed, int64_t edit, const rs_edit_report *r)
{
    const rs_work *w = ctx;
    rs_arena *a = w->s->reports;
    int64_t k = rs_work_picked(w, listed);
    const rs_catalog_video *v = rs_work_video(w, k);
    rs_outcome *o = &w->l->items[w->first[k] + edit];
    o->ran = o->ran || r->ran;
    o->mp4 = r->movie ? rs_mp4_path_of(a, &w->s->run, v, &v->edits[edit]) : NULL;
    o->archive = r->archive ? rs_archive_path_of(a, &w->s->run, v) : NULL;
    o->measures = r->measures;
    o->train_s = r->train_s;
    o->sample_s = r->sample_s;
    if (r->status != RS_OK && is_open(o)) /* it failed while it was published; the others go on */
        fail(w, o, r);
}

/* Is this the last task of an edit? Not each has every stage. */
static bool completes(const rs_work *w, int64_t k, int64_t edit, rs_task_stage stage)
{
    int last = RS_TASK_PUBLISH;
    while (last > RS_TASK_INGEST) {
        bool own = last >= RS_TASK_APPEARANCE && last <= RS_TASK_DECODE;
        if (!((own ? w->edits[k][edit].skip : w->todo[k].skip) & RS_TASK_BIT(last)))
            break;
        last--;
    }
    return (int)stage == last;
}

void rs_work_take_end(void *ctx, int64_t listed, int64_t edit, rs_task_stage stage,
                      const rs_edit_report *end)
{
    const rs_work *w = ctx;
    int64_t k = rs_work_picked(w, listed);
    for (int64_t e = 0; e < w->todo[k].n_edits; e++) {
        rs_outcome *o = &w->l->items[w->first[k] + e];
        if ((edit >= 0 && edit != e) || !is_open(o))
            continue;
        o->ran = o->ran || end->ran;
        if (end->status != RS_OK) {
            fail(w, o, end);
        } else if (completes(w, k, e, stage) && o->status != RS_HELD) {
            o->status = RS_OK;
            o->reason = NULL;
            o->stage = NULL;
            rs_work_tell_outcome(w, o, -1);
        }
    }
}

void rs_work_begin_again(rs_work *w, int64_t k)
{
    for (int64_t e = 0; e < w->todo[k].n_edits; e++) {
        rs_outcome *o = &w->l->items[w->first[k] + e];
        if (w->unusable[w->first[k] + e])
            continue;
        o->status = RS_STOPPED;
        o->reason = "not reached";
        o->stage = NULL;
    }
}

int64_t rs_work_list_held(rs_work *w, int64_t *chosen, const char **ids)
{
    int64_t n = 0;
    for (int64_t k = 0; k < w->n && rs_world_leads(&w->s->world); k++) {
        bool held = false;
        for (int64_t e = 0; e < w->todo[k].n_edits; e++)
            held = held || w->l->items[w->first[k] + e].status == RS_HELD;
        if (!held)
            continue;
        ids[n] = rs_work_video(w, k)->id;
        chosen[n++] = k;
    }
    return n;
}
