/* measures.csv and measures.json. */
#include <math.h>
#include <string.h>

#include "base/fsio.h"
#include "base/log.h"
#include "base/str.h"
#include "job/report.h"
#include "store/archive.h"
#include "store/json_writer.h"
#include "store/schema_names.h"

typedef struct row {
    const char *video, *edit, *state;
    double train_s, sample_s;
    rs_measures measures;
} row;

typedef struct tables {
    rs_arena *a;
    rs_strbuf csv;
    rs_jsonw *json;
} tables;

static double number_or(const rs_archive *f, const char *object, const char *name, double otherwise)
{
    double v;
    return rs_archive_exists(f, object) && rs_archive_has(f, object, name) &&
                   rs_archive_get_f64(&v, f, object, name) == RS_OK
               ? v
               : otherwise;
}

static void read_row(row *r, rs_arena *a, const rs_archive *f)
{
    const char *group = rs_arena_printf(a, RS_GROUP_EDITS "/%s", r->edit);
    const char *metrics = rs_arena_printf(a, "%s/" RS_MEMBER_METRICS, group);
    char *state;
    if (!rs_archive_exists(f, group) ||
        rs_archive_get_string(&state, a, f, group, RS_ATTR_STATE) != RS_OK)
        return;
    r->state = state;
    if (!rs_archive_exists(f, metrics))
        return; /* it never succeeded */
    for (int id = 0; id < RS_MEASURE_COUNT; id++)
        r->measures.v[id] =
            number_or(f, metrics, rs_measure_get_info((rs_measure_id)id)->name, NAN);
    r->train_s = number_or(f, RS_GROUP_STAGES "/motion", RS_ATTR_SECONDS, NAN) +
                 number_or(f, rs_arena_printf(a, RS_GROUP_STAGES "/appearance/%s", r->edit),
                           RS_ATTR_SECONDS, 0);
    r->sample_s =
        number_or(f, rs_arena_printf(a, RS_GROUP_STAGES "/edit/%s", r->edit), RS_ATTR_SECONDS, NAN);
}

static void add_number(tables *t, const char *name, double v)
{
    rs_strbuf_printf(&t->csv, ",%s", isnan(v) ? "" : rs_f64_text(t->a, v));
    if (isinf(v))
        rs_jsonw_string(t->json, name, rs_f64_text(t->a, v)); /* JSON has no infinite numbers */
    else
        rs_jsonw_f64(t->json, name, v);
}

static void add_row(tables *t, const row *r)
{
    rs_strbuf_printf(&t->csv, "%s,%s,%s", r->video, r->edit, r->state);
    rs_jsonw_object(t->json, NULL);
    rs_jsonw_string(t->json, "video", r->video);
    rs_jsonw_string(t->json, "edit", r->edit);
    rs_jsonw_string(t->json, "state", r->state);
    add_number(t, "train_s", r->train_s);
    add_number(t, "sample_s", r->sample_s);
    for (int id = 0; id < RS_MEASURE_COUNT; id++)
        add_number(t, rs_measure_get_info((rs_measure_id)id)->name, r->measures.v[id]);
    rs_jsonw_end(t->json);
    rs_strbuf_add(&t->csv, "\n", 1);
}

static void add_video(tables *t, const char *output, const rs_catalog_video *v)
{
    rs_archive *f = NULL;
    const char *path = rs_arena_printf(t->a, "%s/archive/%s.h5", output, v->id);
    if (rs_path_exists(path) && rs_archive_open(&f, path) != RS_OK)
        RS_LOG(WARN, "left out of the measures: %s", rs_error_message());
    rs_error_clear();
    for (int64_t i = 0; i < v->n_edits; i++) {
        row r = {.video = v->id,
                 .edit = v->edits[i].id,
                 .state = "none",
                 .train_s = NAN,
                 .sample_s = NAN,
                 .measures = rs_measures_none()};
        if (f)
            read_row(&r, t->a, f);
        add_row(t, &r);
    }
    rs_archive_close(&f);
}

static void begin(tables *t)
{
    rs_strbuf_printf(&t->csv, "video,edit,state,train_s,sample_s");
    rs_jsonw_object(t->json, NULL);
    rs_jsonw_object(t->json, "measures");
    for (int id = 0; id < RS_MEASURE_COUNT; id++) {
        const rs_measure_info *m = rs_measure_get_info((rs_measure_id)id);
        rs_strbuf_printf(&t->csv, ",%s", m->name);
        rs_jsonw_object(t->json, m->name);
        rs_jsonw_string(t->json, "what", m->doc);
        rs_jsonw_string(t->json, "unit", m->unit);
        rs_jsonw_string(t->json, "better", m->better > 0 ? "higher" : "lower");
        rs_jsonw_end(t->json);
    }
    rs_jsonw_end(t->json);
    rs_jsonw_array(t->json, "edits");
    rs_strbuf_add(&t->csv, "\n", 1);
}

static rs_status replace(rs_arena *a, const char *path, const char *text)
{
    char *old;
    size_t n = strlen(text), bytes;
    if (rs_file_size(path) == (int64_t)n && rs_read_file(&old, &bytes, a, path) == RS_OK &&
        bytes == n && memcmp(old, text, n) == 0)
        return RS_OK;
    rs_error_clear();
    return rs_write_file_atomic(path, text, n);
}

rs_status rs_report_write(const rs_catalog *catalog, const char *output)
{
    rs_arena *a = rs_arena_create();
    tables t = {.a = a, .csv = rs_strbuf_on(a), .json = rs_jsonw_create(a, true)};
    rs_status st = RS_OK;
    begin(&t);
    for (int64_t i = 0; i < catalog->n_videos; i++)
        add_video(&t, output, &catalog->videos[i]);
    rs_jsonw_end(t.json);
    rs_jsonw_end(t.json);
    RS_TRY_OUT(replace(a, rs_path_join(a, output, "measures.csv"), t.csv.data));
    RS_TRY_OUT(replace(a, rs_path_join(a, output, "measures.json"),
                       rs_arena_printf(a, "%s\n", rs_jsonw_text(t.json))));
out:
    rs_arena_destroy(&a);
    return st;
}
