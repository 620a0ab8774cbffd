/* reshoot status as a page for people. */
#include <math.h>
#include <string.h>
#include <time.h>

#include "cli/status.h"

const char *rs_page_word(const rs_view_world *w)
{
    if (w->ended)
        return *w->result ? w->result : "ended";
    return w->alive ? "running" : "died";
}

typedef struct page {
    rs_arena *a;
    rs_strbuf *out;
    const rs_view *v;
    const rs_page_style *style;
} page;

static void line(const page *p, const char *text)
{
    rs_view_add_line(p->out, text, &p->style->view);
}

static const char *clock_text(rs_arena *a, double t)
{
    char text[64];
    time_t seconds = (time_t)t;
    struct tm tm;
    if (isnan(t))
        return "-";
    localtime_r(&seconds, &tm);
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm);
    return rs_arena_strdup(a, text);
}

/* When the ranks of a world last said something. */
static double last_word(const rs_view *v, int64_t world)
{
    double last = NAN;
    for (int64_t i = 0; i < v->n_ranks; i++)
        if (v->ranks[i].world == world)
            last = fmax(isnan(last) ? 0 : last, v->ranks[i].time);
    return last;
}

static void add_summary(const page *p, const rs_live_summary *s)
{
    rs_arena *a = p->a;
    rs_strbuf b = rs_strbuf_on(a);
    line(p, rs_arena_printf(a, "  %lld edits done (%lld computed, %lld there before), %lld failed",
                            (long long)s->done, (long long)s->computed, (long long)s->cached,
                            (long long)s->failed));
    if (isnan(s->utilisation) || s->computed == 0)
        return;
    line(p,
         rs_arena_printf(a, "  %s of work, %.1f %% of it busy, %.1f edits an hour",
                         rs_seconds_text(a, s->wall_s), 100 * s->utilisation, s->edits_per_hour));
    for (int k = 0; k < RS_LIVE_STAGES; k++)
        if (s->totals.seconds[k] > 0)
            rs_strbuf_printf(&b, "  %s %s", rs_task_stage_name((rs_task_stage)k),
                             rs_seconds_text(a, s->totals.seconds[k]));
    line(p, rs_arena_printf(a, "  rank-seconds:%s", b.data));
}

static void add_world(const page *p, int64_t i)
{
    rs_arena *a = p->a;
    const rs_view_world *w = &p->v->worlds[i];
    line(p, rs_arena_printf(a, "%s: %s, %lld rank%s, first on %s, began %s", w->name,
                            rs_page_word(w), (long long)w->ranks, w->ranks == 1 ? "" : "s", w->host,
                            clock_text(a, w->begin)));
    if (w->ended)
        line(p, rs_arena_printf(a, "  ended %s after %s%s%s", clock_text(a, w->end),
                                rs_seconds_text(a, w->end - w->begin), *w->message ? ": " : "",
                                w->message));
    else if (!w->alive)
        line(p, rs_arena_printf(a,
                                "  no rank has said anything since %s (%s ago), and none that it "
                                "ends: start it again to go on",
                                clock_text(a, last_word(p->v, i)),
                                rs_seconds_text(a, p->v->now - last_word(p->v, i))));
    if (w->has_summary)
        add_summary(p, &w->summary);
}

/* ---- ranks ---- */

static const char *name_of(rs_arena *a, const rs_view_task *t)
{
    const char *arm = *t->arm ? rs_arena_printf(a, "%s: ", t->arm) : "";
    return rs_arena_printf(a, "%s%s%s%s", arm, t->video, *t->edit ? "#" : "", t->edit);
}

static const char *task_text(const page *p, const rs_view_rank *r, const rs_view_task *t)
{
    rs_arena *a = p->a;
    rs_strbuf b = rs_strbuf_on(a);
    double until = r->alive ? p->v->now : r->time;
    rs_strbuf_printf(&b, "%s %s", rs_task_stage_name((rs_task_stage)t->stage), name_of(a, t));
    if (t->steps.steps > 0)
        rs_strbuf_printf(&b, "  step %lld/%lld", (long long)t->steps.step,
                         (long long)t->steps.steps);
    if (!isnan(t->steps.loss))
        rs_strbuf_printf(&b, "  loss %.4f", t->steps.loss);
    if (!isnan(t->steps.s_per_step))
        rs_strbuf_printf(&b, "  %.3f s/step", t->steps.s_per_step);
    rs_strbuf_printf(&b, "  for %s", rs_seconds_text(a, until - t->since));
    if (t->steps.steps > 0 && r->alive)
        rs_strbuf_printf(&b, ", last step %s ago", rs_seconds_text(a, until - t->updated));
    return b.data;
}

static void add_rank(const page *p, const rs_view_rank *r)
{
    rs_arena *a = p->a;
    const rs_view_world *w = &p->v->worlds[r->world];
    const char *head = rs_arena_printf(a, "  rank %lld %s", (long long)r->rank, r->host);
    const char *gone = r->alive || r->ended || w->ended
                           ? ""
                           : rs_arena_printf(a, "  GONE: last word %s ago",
                                             rs_seconds_text(a, p->v->now - r->time));
    if (r->n_tasks == 0)
        line(p, rs_arena_printf(a, "%s  %s%s%s", head, r->ended ? "ended" : r->doing,
                                r->alive
                                    ? rs_arena_printf(a, " for %s",
                                                      rs_seconds_text(a, p->v->now - r->idle_since))
                                    : "",
                                gone));
    for (int64_t t = 0; t < r->n_tasks; t++)
        line(p, rs_arena_printf(a, "%s  %s%s", head, task_text(p, r, &r->tasks[t]), gone));
}

/* Ranks that are gone first come to be seen, then the others. */
static void add_ranks(const page *p)
{
    const rs_view *v = p->v;
    int64_t shown = 0, most = p->style->most;
    bool any = rs_view_is_alive(v) || v->gone;
    for (int pass = 0; any && pass < 2; pass++) {
        for (int64_t i = 0; i < v->n_ranks; i++) {
            bool gone = !v->ranks[i].alive && !v->ranks[i].ended;
            if (gone != (pass == 0))
                continue;
            if (most == 0 || shown < most)
                add_rank(p, &v->ranks[i]);
            shown++;
        }
    }
    if (most && shown > most)
        line(p, rs_arena_printf(p->a, "  and %lld more ranks (--all)", (long long)(shown - most)));
}

/* ---- failures ---- */

static void add_failures(const page *p)
{
    const rs_view *v = p->v;
    int64_t shown = 0, most = p->style->most;
    for (int64_t i = 0; i < v->n_jobs; i++) {
        const rs_view_job *j = &v->jobs[i];
        if (!*j->edit || j->state != RS_VIEW_FAILED)
            continue;
        if (shown == 0)
            line(p, "failed:");
        if (most == 0 || shown < most)
            rs_strbuf_printf(p->out, "  %s%s%s#%s%s%s: %s\n", j->arm, *j->arm ? ": " : "", j->video,
                             j->edit, j->at >= 0 ? " in " : "",
                             j->at >= 0 ? rs_task_stage_name((rs_task_stage)j->at) : "", j->reason);
        shown++;
    }
    if (most && shown > most)
        line(p, rs_arena_printf(p->a, "  and %lld more (--all)", (long long)(shown - most)));
}

void rs_page_text(rs_strbuf *out, const rs_view *v, const rs_page_style *style)
{
    page p = {.a = out->arena, .out = out, .v = v, .style = style};
    for (int64_t i = 0; i < v->n_worlds; i++)
        add_world(&p, i);
    if (v->n_jobs == 0)
        line(&p, "  it has not said yet what it will do");
    else
        rs_view_lines(out, v, &style->view);
    add_ranks(&p);
    add_failures(&p);
}
