#include "job/report.h"

#include <math.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"

/* Columns of the table: a measure or a time. */
typedef struct column {
    const char *title;
    int measure; /* or one of these: */
} column;

enum { TRAIN = -1, SAMPLE = -2, NAME_WIDTH = 40, COLUMN_WIDTH = 7 };

static const column k_columns[] = {
    {"CLIP", RS_MEASURE_CLIP_SCORE},
    {"input", RS_MEASURE_INPUT_SIMILARITY},
    {"PSNRin", RS_MEASURE_PSNR_INSIDE},
    {"PSNRbg", RS_MEASURE_PSNR_OUTSIDE},
    {"jitter", RS_MEASURE_JITTER},
    {"motion", RS_MEASURE_MOTION_ERROR},
    {"DeQA", RS_MEASURE_DEQA},
    {"train", TRAIN},
    {"sample", SAMPLE},
};
enum { COLUMNS = sizeof k_columns / sizeof k_columns[0] };

static double value(const rs_outcome *o, const column *c)
{
    return c->measure == TRAIN    ? o->train_s
           : c->measure == SAMPLE ? o->sample_s
                                  : o->measures.v[c->measure];
}

static int decimals(const column *c)
{
    return c->measure < 0 ? 1 : rs_measure_get_info((rs_measure_id)c->measure)->decimals;
}

static bool has_values(const rs_outcomes *l, const column *c)
{
    for (int64_t i = 0; i < l->n; i++)
        if (!isnan(value(&l->items[i], c)))
            return true;
    return false;
}

static const char *name_of(rs_arena *a, const rs_outcome *o)
{
    return rs_arena_printf(a, "%s#%s", o->video, o->edit);
}

static void add_cell(rs_strbuf *line, double v, int digits)
{
    if (isnan(v))
        rs_strbuf_printf(line, " %*s", COLUMN_WIDTH - 1, "-");
    else
        rs_strbuf_printf(line, " %*.*f", COLUMN_WIDTH - 1, digits, v);
}

/* Of the first column: the longest name, within limits. */
static int name_width(rs_arena *a, const rs_outcomes *l)
{
    size_t width = strlen("measures");
    for (int64_t i = 0; i < l->n; i++)
        if (strlen(name_of(a, &l->items[i])) > width)
            width = strlen(name_of(a, &l->items[i]));
    return width < NAME_WIDTH ? (int)width : NAME_WIDTH;
}

static void log_table(rs_arena *a, const rs_outcomes *l)
{
    int width = name_width(a, l);
    bool shown[COLUMNS], any = false;
    rs_strbuf head = rs_strbuf_on(a);
    rs_strbuf_printf(&head, "%-*s", width, "measures");
    for (int k = 0; k < COLUMNS; k++) {
        shown[k] = has_values(l, &k_columns[k]);
        any = any || shown[k];
        if (shown[k])
            rs_strbuf_printf(&head, " %*s", COLUMN_WIDTH - 1, k_columns[k].title);
    }
    if (!any)
        return;
    RS_LOG(INFO, "  %s", head.data);
    for (int64_t i = 0; i < l->n; i++) {
        const rs_outcome *o = &l->items[i];
        rs_strbuf line = rs_strbuf_on(a);
        rs_strbuf_printf(&line, "%-*s", width, name_of(a, o));
        for (int k = 0; k < COLUMNS; k++)
            if (shown[k])
                add_cell(&line, value(o, &k_columns[k]), decimals(&k_columns[k]));
        if (o->status == RS_OK && o->mp4)
            RS_LOG(INFO, "  %s", line.data);
    }
}

static void log_counts(const rs_run_session *s, const rs_outcomes *l)
{
    int64_t failed = 0, ran = 0, done = 0;
    for (int64_t i = 0; i < l->n; i++) {
        const rs_outcome *o = &l->items[i];
        failed += o->status != RS_OK && o->status != RS_STOPPED && o->status != RS_HELD;
        ran += o->ran;
        done += o->status == RS_OK;
    }
    if (ran == 0 && failed == 0 && done == l->n)
        RS_LOG(INFO, "nothing to do: all %lld edits are up to date in %s", (long long)l->n,
               s->run.output);
    else
        RS_LOG(INFO, "%lld edits done, %lld failed, %lld computed in this run", (long long)done,
               (long long)failed, (long long)ran);
}

void rs_report_log(const rs_run_session *s, const rs_outcomes *l)
{
    log_counts(s, l);
    for (int64_t i = 0; i < l->n; i++) {
        const rs_outcome *o = &l->items[i];
        if (o->status != RS_OK)
            RS_LOG(INFO, "  %-28s %s: %s", name_of(s->arena, o),
                   o->status == RS_STOPPED ? "STOPPED"
                   : o->status == RS_HELD  ? "HELD"
                                           : "FAILED",
                   o->reason);
        else if (o->mp4)
            RS_LOG(INFO, "  %-28s %s", name_of(s->arena, o), o->mp4);
    }
    for (int64_t i = 0; i < l->n; i++)
        if (l->items[i].archive &&
            (i == 0 || strcmp(l->items[i].video, l->items[i - 1].video) != 0))
            RS_LOG(INFO, "  %-28s %s, contact sheet %s/sheets/%s.png", l->items[i].video,
                   l->items[i].archive, s->run.output, l->items[i].video);
    log_table(s->arena, l);
}
