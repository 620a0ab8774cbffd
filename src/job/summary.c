#include "job/summary.h"

#include <math.h>

#include "base/log.h"
#include "base/str.h"

static void add_totals(rs_live_totals *to, const rs_live_totals *t, double sign)
{
    for (int k = 0; k < RS_LIVE_STAGES; k++)
        to->seconds[k] += sign * t->seconds[k];
    to->gather_s += sign * t->gather_s;
    for (int h = 0; h < RS_LIVE_HOWS; h++)
        to->ended[h] += (sign < 0 ? -1 : 1) * t->ended[h];
}

/* Of all ranks since they began. */
static rs_status gather(rs_live_totals *sum, rs_run_session *s)
{
    rs_status st = RS_OK;
    rs_arena *a = rs_arena_create();
    int n = s->world.size;
    rs_live_totals mine = rs_live_get_totals(s->run.live);
    rs_live_totals *all = RS_NEW(a, rs_live_totals, n);
    size_t *bytes = RS_NEW(a, size_t, n);
    for (int r = 0; r < n; r++)
        bytes[r] = sizeof mine;
    *sum = (rs_live_totals){0};
    RS_TRY_OUT(rs_comm_allgather(all, s->world.comm, &mine, bytes, "seconds of the ranks"));
    for (int r = 0; r < n; r++)
        add_totals(sum, &all[r], 1);
out:
    rs_arena_destroy(&a);
    return st;
}

static void count(rs_live_summary *out, const rs_outcomes *l)
{
    for (int64_t i = 0; i < l->n; i++) {
        const rs_outcome *o = &l->items[i];
        out->edits++;
        out->videos += i == 0 || o->video != l->items[i - 1].video;
        out->done += o->status == RS_OK;
        out->stopped += o->status == RS_STOPPED;
        out->failed += o->status != RS_OK && o->status != RS_STOPPED && o->status != RS_HELD;
        out->cached += o->status == RS_OK && !o->ran;
        out->computed += o->status == RS_OK && o->ran;
    }
}

static void derive(rs_live_summary *s, int ranks)
{
    double spent = s->wall_s * ranks;
    s->utilisation = spent > 0 ? rs_live_busy(&s->totals) / spent : NAN;
    s->edits_per_hour = s->wall_s > 0 ? (double)s->computed / s->wall_s * 3600 : NAN;
}

rs_status rs_summary_make(rs_live_summary *out, rs_run_session *s, const rs_outcomes *l,
                          double begin)
{
    rs_live_summary *all = &s->summary;
    rs_live_totals totals;
    RS_TRY(gather(&totals, s));
    *out = (rs_live_summary){.wall_s = rs_now() - begin, .totals = totals};
    add_totals(&out->totals, &all->totals, -1);
    all->totals = totals;
    all->wall_s += out->wall_s;
    count(out, l);
    count(all, l);
    derive(out, s->world.size);
    derive(all, s->world.size);
    return RS_OK;
}

void rs_summary_log(const rs_run_session *s, const rs_live_summary *sum)
{
    rs_strbuf b = rs_strbuf_on(s->arena);
    double busy = rs_live_busy(&sum->totals);
    if (busy <= 0)
        return;
    RS_LOG(INFO, "%s on %d rank%s, %.1f %% of it busy; %lld edits were there already",
           rs_seconds_text(s->arena, sum->wall_s), s->world.size, s->world.size == 1 ? "" : "s",
           100 * sum->utilisation, (long long)sum->cached);
    for (int k = 0; k < RS_LIVE_STAGES; k++)
        if (sum->totals.seconds[k] > 0)
            rs_strbuf_printf(&b, "  %s %s", rs_task_stage_name((rs_task_stage)k),
                             rs_seconds_text(s->arena, sum->totals.seconds[k]));
    RS_LOG(INFO, "rank-seconds:%s  gather exposed %s", b.data,
           rs_seconds_text(s->arena, sum->totals.gather_s));
    if (sum->computed)
        RS_LOG(INFO, "%.1f edits an hour", sum->edits_per_hour);
}
