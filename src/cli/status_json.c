/* reshoot status as a document for programs. */
#include <math.h>

#include "cli/status.h"
#include "store/json_writer.h"

static const char *stage_name(int stage)
{
    return stage < 0 ? NULL : rs_task_stage_name((rs_task_stage)stage);
}

static void add_seconds(rs_jsonw *w, const char *key, const double seconds[RS_LIVE_STAGES])
{
    rs_jsonw_object(w, key);
    for (int k = 0; k < RS_LIVE_STAGES; k++)
        rs_jsonw_f64(w, stage_name(k), seconds[k]);
    rs_jsonw_end(w);
}

static void add_summary(rs_jsonw *w, const rs_live_summary *s)
{
    rs_jsonw_object(w, "summary");
    rs_jsonw_i64(w, "videos", s->videos);
    rs_jsonw_i64(w, "edits", s->edits);
    rs_jsonw_i64(w, "done", s->done);
    rs_jsonw_i64(w, "computed", s->computed);
    rs_jsonw_i64(w, "cached", s->cached);
    rs_jsonw_i64(w, "failed", s->failed);
    rs_jsonw_i64(w, "stopped", s->stopped);
    rs_jsonw_f64(w, "wall", s->wall_s);
    rs_jsonw_f64(w, "utilisation", s->utilisation);
    rs_jsonw_f64(w, "edits_per_hour", s->edits_per_hour);
    rs_jsonw_f64(w, "gather_exposed", s->totals.gather_s);
    add_seconds(w, "rank_seconds", s->totals.seconds);
    rs_jsonw_end(w);
}

static void add_world(rs_jsonw *w, const rs_view_world *x)
{
    rs_jsonw_object(w, NULL);
    rs_jsonw_string(w, "world", x->id);
    rs_jsonw_string(w, "name", x->name);
    rs_jsonw_string(w, "state", rs_page_word(x));
    rs_jsonw_string(w, "program", x->program);
    rs_jsonw_string(w, "host", x->host);
    rs_jsonw_i64(w, "ranks", x->ranks);
    rs_jsonw_f64(w, "begin", x->begin);
    rs_jsonw_f64(w, "end", x->end);
    rs_jsonw_string(w, "message", x->message);
    if (x->has_summary)
        add_summary(w, &x->summary);
    rs_jsonw_end(w);
}

static void add_counts(rs_jsonw *w, const int64_t count[RS_VIEW_STATES])
{
    for (int s = 0; s < RS_VIEW_STATES; s++)
        rs_jsonw_i64(w, rs_view_state_name((rs_view_state)s), count[s]);
}

static void add_stage(rs_jsonw *w, const rs_view_stage *s, int k)
{
    rs_jsonw_object(w, stage_name(k));
    rs_jsonw_i64(w, "total", s->total);
    add_counts(w, s->count);
    rs_jsonw_f64(w, "mean_seconds", s->mean_s);
    rs_jsonw_f64(w, "s_per_step", s->s_per_step);
    rs_jsonw_f64(w, "loss", s->loss);
    rs_jsonw_f64(w, "eta", s->eta_s);
    rs_jsonw_end(w);
}

static void add_task(rs_jsonw *w, const rs_view_task *t)
{
    rs_jsonw_object(w, NULL);
    rs_jsonw_string(w, "arm", t->arm);
    rs_jsonw_string(w, "video", t->video);
    rs_jsonw_string(w, "edit", *t->edit ? t->edit : NULL);
    rs_jsonw_string(w, "stage", stage_name(t->stage));
    rs_jsonw_f64(w, "since", t->since);
    rs_jsonw_f64(w, "updated", t->updated);
    rs_jsonw_i64(w, "step", t->steps.step);
    rs_jsonw_i64(w, "steps", t->steps.steps);
    rs_jsonw_f64(w, "loss", t->steps.loss);
    rs_jsonw_f64(w, "s_per_step", t->steps.s_per_step);
    rs_jsonw_end(w);
}

static void add_rank(rs_jsonw *w, const rs_view *v, const rs_view_rank *r)
{
    rs_jsonw_object(w, NULL);
    rs_jsonw_string(w, "world", v->worlds[r->world].id);
    rs_jsonw_i64(w, "rank", r->rank);
    rs_jsonw_string(w, "host", r->host);
    rs_jsonw_i64(w, "pid", r->pid);
    rs_jsonw_string(w, "state", r->ended ? "ended" : r->alive ? "alive" : "gone");
    rs_jsonw_string(w, "doing", r->n_tasks ? NULL : r->doing);
    rs_jsonw_f64(w, "begin", r->begin);
    rs_jsonw_f64(w, "time", r->time);
    rs_jsonw_f64(w, "busy", r->busy_s);
    rs_jsonw_f64(w, "gather_exposed", r->totals.gather_s);
    add_seconds(w, "seconds", r->totals.seconds);
    rs_jsonw_array(w, "tasks");
    for (int64_t t = 0; t < r->n_tasks; t++)
        add_task(w, &r->tasks[t]);
    rs_jsonw_end(w);
    rs_jsonw_end(w);
}

static void add_edit(rs_jsonw *w, const rs_view_job *j)
{
    rs_jsonw_object(w, NULL);
    rs_jsonw_string(w, "arm", j->arm);
    rs_jsonw_string(w, "video", j->video);
    rs_jsonw_string(w, "edit", j->edit);
    rs_jsonw_string(w, "state", rs_view_state_name(j->state));
    rs_jsonw_string(w, "stage", stage_name(j->at));
    rs_jsonw_string(w, "reason", *j->reason ? j->reason : NULL);
    rs_jsonw_end(w);
}

void rs_page_json(rs_strbuf *out, const rs_view *v)
{
    rs_jsonw *w = rs_jsonw_create(out->arena, true);
    rs_jsonw_object(w, NULL);
    rs_jsonw_f64(w, "now", v->now);
    rs_jsonw_bool(w, "alive", rs_view_is_alive(v));
    rs_jsonw_array(w, "worlds");
    for (int64_t i = 0; i < v->n_worlds; i++)
        add_world(w, &v->worlds[i]);
    rs_jsonw_end(w);
    rs_jsonw_i64(w, "videos", v->n_videos);
    rs_jsonw_object(w, "edits");
    rs_jsonw_i64(w, "total", v->n_edits);
    add_counts(w, v->edits);
    rs_jsonw_end(w);
    rs_jsonw_object(w, "stages");
    for (int k = 0; k < RS_LIVE_STAGES; k++)
        if (v->stages[k].total)
            add_stage(w, &v->stages[k], k);
    rs_jsonw_end(w);
    rs_jsonw_f64(w, "eta", v->eta_s);
    rs_jsonw_bool(w, "eta_is_lower_bound", v->eta_is_low);
    rs_jsonw_f64(w, "utilisation", v->utilisation);
    rs_jsonw_f64(w, "gather_exposed", v->gather_s);
    rs_jsonw_i64(w, "ranks_gone", v->gone);
    rs_jsonw_array(w, "ranks");
    for (int64_t i = 0; i < v->n_ranks; i++)
        add_rank(w, v, &v->ranks[i]);
    rs_jsonw_end(w);
    rs_jsonw_array(w, "jobs");
    for (int64_t i = 0; i < v->n_jobs; i++)
        if (*v->jobs[i].edit)
            add_edit(w, &v->jobs[i]);
    rs_jsonw_end(w);
    rs_jsonw_end(w);
    rs_strbuf_printf(out, "%s\n", rs_jsonw_text(w));
}
