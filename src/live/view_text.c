/* A view as lines for a terminal. */
#include <math.h>
#include <string.h>

#include "live/view_priv.h"

enum { NAME = 10 };

static void add(rs_strbuf *b, const char *text)
{
    rs_strbuf_add(b, text, strlen(text));
}

void rs_view_add_line(rs_strbuf *out, const char *text, const rs_view_style *style)
{
    size_t n = strlen(text),
           most = (size_t)(style->width - 1); /* the last column makes some wrap */
    n = n < most ? n : most;
    while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80) /* not inside of a character */
        n--;
    rs_strbuf_add(out, text, n);
    add(out, "\n");
}

static void add_steps(rs_strbuf *b, const rs_view_stage *s)
{
    if (s->steps > 0 && s->step_min == s->step_max)
        rs_strbuf_printf(b, "  step %lld/%lld", (long long)s->step_min, (long long)s->steps);
    else if (s->steps > 0)
        rs_strbuf_printf(b, "  step %lld..%lld/%lld", (long long)s->step_min,
                         (long long)s->step_max, (long long)s->steps);
    if (!isnan(s->loss))
        rs_strbuf_printf(b, "  loss %.4f", s->loss);
    if (!isnan(s->s_per_step))
        rs_strbuf_printf(b, "  %.3f s/step", s->s_per_step);
    if (!isnan(s->eta_s))
        rs_strbuf_printf(b, "  ETA %s", rs_seconds_text(b->arena, s->eta_s));
}

/* "motion      11/40  1 failed  car-shadow  step 34/100  loss 0.1234  0.520 s/step  ETA 34 s" */
static const char *stage_line(rs_arena *a, const rs_view_stage *s, int k)
{
    rs_strbuf b = rs_strbuf_on(a);
    int64_t good = s->count[RS_VIEW_DONE] + s->count[RS_VIEW_CACHED];
    long long running = (long long)s->count[RS_VIEW_RUNNING];
    const char *counts = rs_arena_printf(a, "%lld/%lld", (long long)good, (long long)s->total);
    rs_strbuf_printf(&b, "%-*s %9s", NAME, rs_task_stage_name((rs_task_stage)k), counts);
    if (s->count[RS_VIEW_FAILED])
        rs_strbuf_printf(&b, "  %lld failed", (long long)s->count[RS_VIEW_FAILED]);
    if (s->count[RS_VIEW_SKIPPED])
        rs_strbuf_printf(&b, "  %lld not reached", (long long)s->count[RS_VIEW_SKIPPED]);
    if (s->who)
        rs_strbuf_printf(&b, "  %s", s->who);
    else if (running)
        rs_strbuf_printf(&b, "  %lld running", running);
    if (running)
        add_steps(&b, s);
    return b.data;
}

static void add_count(rs_strbuf *b, long long n, const char *what)
{
    if (n)
        rs_strbuf_printf(b, ", %lld %s", n, what);
}

void rs_view_line(rs_strbuf *b, const rs_view *v)
{
    const int64_t *e = v->edits;
    rs_strbuf_printf(b, "%lld of %lld edits done", (long long)(e[RS_VIEW_DONE] + e[RS_VIEW_CACHED]),
                     (long long)v->n_edits);
    add_count(b, e[RS_VIEW_CACHED], "of them before");
    add_count(b, e[RS_VIEW_FAILED], "failed");
    add_count(b, e[RS_VIEW_RUNNING], "running");
    add_count(b, e[RS_VIEW_WAITING], "waiting");
    if (!isnan(v->eta_s))
        rs_strbuf_printf(b, "  ETA %s%s", v->eta_is_low ? "over " : "",
                         rs_seconds_text(b->arena, v->eta_s));
    if (!isnan(v->utilisation))
        rs_strbuf_printf(b, "  busy %.0f %%", 100 * v->utilisation);
    if (v->gather_s > 0)
        rs_strbuf_printf(b, "  gather exposed %s", rs_seconds_text(b->arena, v->gather_s));
    if (v->gone)
        rs_strbuf_printf(b, "  %lld ranks gone", (long long)v->gone);
}

static void add_coloured(rs_strbuf *out, const char *text, const char *code,
                         const rs_view_style *style)
{
    if (style->colour && *code)
        add(out, code);
    rs_view_add_line(out, text, style);
    if (style->colour && *code) {
        out->len--; /* the line ends after the colour does */
        add(out, "\033[0m\n");
    }
}

void rs_view_lines(rs_strbuf *out, const rs_view *v, const rs_view_style *style)
{
    rs_strbuf whole = rs_strbuf_on(out->arena);
    for (int k = 0; k < RS_LIVE_STAGES; k++) {
        const rs_view_stage *s = &v->stages[k];
        const char *code = s->count[RS_VIEW_FAILED]    ? "\033[31m"
                           : s->count[RS_VIEW_RUNNING] ? "\033[1m"
                                                       : "";
        if (s->total)
            add_coloured(out, stage_line(out->arena, s, k), code, style);
    }
    rs_view_line(&whole, v);
    add_coloured(out, whole.data, "", style);
}
