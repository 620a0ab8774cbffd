/* A comparison as data: CSV, JSON, and the files. */
#include <math.h>
#include <string.h>

#include "base/fsio.h"
#include "base/str.h"
#include "job/comparison.h"
#include "store/json_writer.h"

/* ---- CSV: names are ids, so nothing needs quotes ---- */

static void add_number(rs_strbuf *b, double v)
{
    if (isfinite(v))
        rs_strbuf_printf(b, ",%.9g", v);
    else
        rs_strbuf_printf(b, ",");
}

const char *rs_comparison_csv(rs_arena *a, const rs_comparison *c)
{
    rs_strbuf b = rs_strbuf_on(a);
    rs_strbuf_printf(&b, "arm,measure,unit,better,pairs,failed,n,mean,standard_error\n");
    for (int64_t i = 0; i < c->n_arms; i++) {
        const rs_compared_arm *arm = &c->arms[i];
        for (int64_t k = 0; k < RS_COMPARED_COUNT; k++) {
            const rs_measure_info *m = rs_compared_info(k);
            if (!c->shown[k])
                continue;
            rs_strbuf_printf(&b, "%s,%s,%s,%s,%lld,%lld,%lld", arm->arm->name, m->name, m->unit,
                             m->better > 0 ? "higher" : "lower", (long long)arm->outcomes->n,
                             (long long)arm->failed, (long long)arm->stats[k].n);
            add_number(&b, arm->stats[k].mean);
            add_number(&b, arm->stats[k].se);
            rs_strbuf_printf(&b, "\n");
        }
    }
    return b.data;
}

/* ---- JSON ---- */

static void write_stat(rs_jsonw *w, const char *key, rs_stat s)
{
    rs_jsonw_object(w, key);
    rs_jsonw_i64(w, "n", s.n);
    rs_jsonw_f64(w, "mean", s.mean);
    rs_jsonw_f64(w, "standard_error", s.se);
    rs_jsonw_end(w);
}

static void write_measures(rs_jsonw *w, const rs_comparison *c)
{
    rs_jsonw_array(w, "measures");
    for (int64_t k = 0; k < RS_COMPARED_COUNT; k++) {
        const rs_measure_info *m = rs_compared_info(k);
        if (!c->shown[k])
            continue;
        rs_jsonw_object(w, NULL);
        rs_jsonw_string(w, "name", m->name);
        rs_jsonw_string(w, "unit", m->unit);
        rs_jsonw_string(w, "better", m->better > 0 ? "higher" : "lower");
        rs_jsonw_string(w, "doc", m->doc);
        rs_jsonw_end(w);
    }
    rs_jsonw_end(w);
}

static void write_pair(rs_jsonw *w, const rs_comparison *c, const rs_outcome *o)
{
    rs_jsonw_object(w, NULL);
    rs_jsonw_string(w, "video", o->video);
    rs_jsonw_string(w, "edit", o->edit);
    if (o->status != RS_OK) {
        rs_jsonw_string(w, "stage", o->stage);
        rs_jsonw_string(w, "reason", o->reason);
    }
    for (int64_t k = 0; o->status == RS_OK && k < RS_COMPARED_COUNT; k++)
        if (c->shown[k])
            rs_jsonw_f64(w, rs_compared_info(k)->name, rs_compared_value(o, k));
    rs_jsonw_end(w);
}

static void write_arm(rs_jsonw *w, const rs_comparison *c, const rs_compared_arm *arm)
{
    rs_jsonw_object(w, NULL);
    rs_jsonw_string(w, "name", arm->arm->name);
    rs_jsonw_string(w, "note", arm->arm->note);
    rs_jsonw_string(w, "set", arm->arm->set);
    rs_jsonw_i64(w, "failed", arm->failed);
    rs_jsonw_object(w, "summary");
    for (int64_t k = 0; k < RS_COMPARED_COUNT; k++)
        if (c->shown[k])
            write_stat(w, rs_compared_info(k)->name, arm->stats[k]);
    rs_jsonw_end(w);
    rs_jsonw_array(w, "pairs");
    for (int64_t i = 0; i < arm->outcomes->n; i++)
        write_pair(w, c, &arm->outcomes->items[i]);
    rs_jsonw_end(w);
    rs_jsonw_end(w);
}

static void write_claim(rs_jsonw *w, const rs_comparison *c, const rs_tested_claim *t)
{
    rs_jsonw_object(w, NULL);
    rs_jsonw_string(w, "name", t->claim->name);
    rs_jsonw_string(w, "says", t->claim->says);
    rs_jsonw_string(w, "measure", rs_compared_info(t->claim->measure)->name);
    rs_jsonw_string(w, t->claim->no_worse ? "no_worse" : "better",
                    c->arms[t->claim->arm].arm->name);
    rs_jsonw_string(w, "than", c->arms[t->claim->than].arm->name);
    rs_jsonw_f64(w, "margin", t->claim->margin);
    write_stat(w, "difference", t->difference);
    rs_jsonw_string(w, "verdict", rs_verdict_text(t->verdict));
    rs_jsonw_end(w);
}

const char *rs_comparison_json(rs_arena *a, const rs_comparison *c)
{
    rs_jsonw *w = rs_jsonw_create(a, true);
    rs_jsonw_object(w, NULL);
    rs_jsonw_string(w, "name", c->name);
    rs_jsonw_i64(w, "pairs", c->n_pairs);
    write_measures(w, c);
    rs_jsonw_array(w, "arms");
    for (int64_t i = 0; i < c->n_arms; i++)
        write_arm(w, c, &c->arms[i]);
    rs_jsonw_end(w);
    rs_jsonw_array(w, "claims");
    for (int64_t i = 0; i < c->n_claims; i++)
        write_claim(w, c, &c->claims[i]);
    rs_jsonw_end(w);
    rs_jsonw_end(w);
    return rs_arena_printf(a, "%s\n", rs_jsonw_text(w));
}

static rs_status write_text(rs_arena *a, const char *output, const char *name, const char *text)
{
    const char *path = rs_path_join(a, output, name);
    char *have;
    size_t bytes;
    if (rs_path_exists(path) && rs_read_file(&have, &bytes, a, path) == RS_OK &&
        strcmp(have, text) == 0)
        return RS_OK;
    rs_error_clear();
    return rs_write_file_atomic(path, text, strlen(text));
}

rs_status rs_comparison_write(const char *output, const rs_comparison *c)
{
    rs_arena *a = rs_arena_create();
    rs_status st = RS_OK;
    RS_TRY_OUT(write_text(a, output, "comparison.md", rs_comparison_md(a, c)));
    RS_TRY_OUT(write_text(a, output, "comparison.csv", rs_comparison_csv(a, c)));
    RS_TRY_OUT(write_text(a, output, "comparison.json", rs_comparison_json(a, c)));
out:
    rs_arena_destroy(&a);
    return st;
}
