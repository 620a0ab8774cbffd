#include <stdio.h>

#include "base/str.h"
#include "cli/bench_catalog.h"

static const char *settings_text(rs_arena *a, const rs_catalog_point *p)
{
    rs_strbuf s = rs_strbuf_on(a);
    for (int64_t i = 0; i < p->n_sets; i++)
        rs_strbuf_printf(&s, "%s%s", i ? " " : "", p->sets[i]);
    return p->n_sets ? s.data : "-";
}

static int settings_width(const rs_catalog_bench *b)
{
    int width = 8;
    for (int64_t i = 0; i < b->n_points; i++) {
        int n = snprintf(NULL, 0, "%s", settings_text(b->a, &b->points[i]));
        width = n > width ? n : width;
    }
    return width;
}

void rs_catalog_table_head(const rs_catalog_bench *b)
{
    rs_out("%5s  %-*s %9s %9s %9s %10s %5s  %s\n", "ranks", settings_width(b), "settings",
           "seconds", "videos/h", "speed-up", "efficiency", "busy", "adapters equal");
    fflush(stdout);
}

void rs_catalog_table_row(const rs_catalog_bench *b, const rs_catalog_point *p)
{
    const rs_catalog_rate *r = &p->rate;
    rs_out("%5lld  %-*s ", (long long)p->ranks, settings_width(b), settings_text(b->a, p));
    if (p->skipped)
        rs_out("skipped: %s\n", p->skipped);
    else
        rs_out("%9.1f %9.1f %8.2fx %9.1f%% %4.0f%%  %lld%s\n", r->seconds, r->videos_per_hour,
               r->speedup, r->efficiency * 100, r->busy * 100, (long long)p->adapters,
               p->others ? ", other tensors differ" : "");
    fflush(stdout);
}

static void write_strings(rs_jsonw *w, const char *key, const char *const *items, int64_t n)
{
    rs_jsonw_array(w, key);
    for (int64_t i = 0; i < n; i++)
        rs_jsonw_string(w, NULL, items[i]);
    rs_jsonw_end(w);
}

static void write_settings(rs_jsonw *w, const rs_catalog_bench *b, const char *experiment)
{
    rs_jsonw_object(w, "settings");
    rs_jsonw_string(w, "experiment", experiment);
    write_strings(w, "launch", (const char *const *)b->launch, b->n_launch);
    write_strings(w, "arguments", b->args, b->n_args);
    rs_jsonw_i64(w, "repeat", b->o->repeat);
    rs_jsonw_bool(w, "warmed_up", !b->o->cold);
    rs_jsonw_end(w);
}

static void write_point(rs_jsonw *w, const rs_catalog_bench *b, const rs_catalog_point *p)
{
    rs_jsonw_object(w, NULL);
    rs_jsonw_i64(w, "ranks", p->ranks);
    write_strings(w, "set", p->sets, p->n_sets);
    if (p->skipped) {
        rs_jsonw_string(w, "skipped", p->skipped);
        rs_jsonw_end(w);
        return;
    }
    rs_jsonw_i64(w, "videos", p->videos);
    rs_jsonw_i64(w, "edits", p->edits);
    rs_jsonw_i64(w, "verified_adapter_tensors", p->adapters);
    rs_jsonw_i64(w, "other_tensors_that_differ", p->others);
    rs_jsonw_array(w, "seconds");
    for (int64_t i = 0; i < b->o->repeat; i++)
        rs_jsonw_f64(w, NULL, p->seconds[i]);
    rs_jsonw_end(w);
    rs_jsonw_f64(w, "median_s", p->rate.seconds);
    rs_jsonw_f64(w, "videos_per_hour", p->rate.videos_per_hour);
    rs_jsonw_f64(w, "speedup", p->rate.speedup);
    rs_jsonw_f64(w, "efficiency", p->rate.efficiency);
    rs_jsonw_f64(w, "busy", p->rate.busy);
    rs_jsonw_end(w);
}

void rs_catalog_json(const rs_catalog_bench *b)
{
    rs_jsonw *w = rs_jsonw_create(b->a, true);
    rs_bench_json_head(w, b->a, "reshoot bench catalog", &b->site);
    write_settings(w, b, b->experiment);
    rs_jsonw_array(w, "results");
    for (int64_t i = 0; i < b->n_points; i++)
        write_point(w, b, &b->points[i]);
    rs_jsonw_end(w);
    rs_jsonw_end(w);
    rs_out("%s\n", rs_jsonw_text(w));
}
