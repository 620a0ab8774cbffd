/* rank-N.json: the record of a rank as text. */
#include <math.h>
#include <unistd.h>

#include "base/log.h"
#include "live/live_priv.h"
#include "store/json_writer.h"

static void add_task(rs_jsonw *w, const rs_live_task *t)
{
    const rs_live_steps *s = &t->steps;
    rs_jsonw_object(w, NULL);
    rs_jsonw_string(w, "arm", t->arm);
    rs_jsonw_string(w, "video", t->video);
    rs_jsonw_string(w, "edit", t->edit);
    rs_jsonw_string(w, "stage", rs_task_stage_name((rs_task_stage)t->stage));
    rs_jsonw_f64(w, "since", t->since);
    rs_jsonw_f64(w, "updated", t->updated);
    rs_jsonw_i64(w, "step", s->step);
    rs_jsonw_i64(w, "steps", s->steps);
    rs_jsonw_f64(w, "loss", s->loss);
    rs_jsonw_f64(w, "s_per_step", s->s_per_step);
    rs_jsonw_f64(w, "eta", s->s_per_step * (double)(s->steps - s->step));
    rs_jsonw_end(w);
}

static void add_totals(rs_jsonw *w, const rs_live_totals *t)
{
    static const char *const hows[RS_LIVE_HOWS] = {"done", "cached", "failed", "stopped"};
    rs_jsonw_f64(w, "busy", rs_live_busy(t));
    rs_jsonw_f64(w, "gather_exposed", t->gather_s);
    rs_jsonw_object(w, "tasks_ended");
    for (int h = 0; h < RS_LIVE_HOWS; h++)
        rs_jsonw_i64(w, hows[h], t->ended[h]);
    rs_jsonw_end(w);
    rs_jsonw_object(w, "seconds");
    for (int s = 0; s < RS_LIVE_STAGES; s++)
        rs_jsonw_f64(w, rs_task_stage_name((rs_task_stage)s), t->seconds[s]);
    rs_jsonw_end(w);
}

const char *rs_live_record(rs_live *l, rs_arena *a)
{
    rs_jsonw *w = rs_jsonw_create(a, true);
    rs_live_count_time(l);
    rs_jsonw_object(w, NULL);
    rs_jsonw_string(w, "world", l->o.world);
    rs_jsonw_i64(w, "rank", l->o.rank);
    rs_jsonw_string(w, "host", l->host);
    rs_jsonw_i64(w, "pid", getpid());
    rs_jsonw_bool(w, "ended", l->ended);
    rs_jsonw_f64(w, "begin", l->begin);
    rs_jsonw_f64(w, "time", rs_wall_clock());
    rs_jsonw_f64(w, "period", rs_live_period(l));
    rs_jsonw_string(w, "doing", l->doing);
    rs_jsonw_f64(w, "idle_since", l->idle_since);
    add_totals(w, &l->totals);
    rs_jsonw_array(w, "tasks");
    for (int i = 0; i < RS_LIVE_TASKS; i++)
        if (l->tasks[i].open)
            add_task(w, &l->tasks[i]);
    rs_jsonw_end(w);
    rs_jsonw_end(w);
    return rs_jsonw_text(w);
}
