/* reshoot show: what an archive holds, for people or as JSON. */
#include <math.h>
#include <string.h>

#include "base/fsio.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/show.h"
#include "stage/measure.h"
#include "store/schema_names.h"

typedef struct show_opts {
    bool json;
} show_opts;

static const rs_opt k_opts[] = {
    {"--json", RS_OPT_FLAG, offsetof(show_opts, json), NULL,
     "everything but the tensors' contents, as JSON"},
};

static const char *shape_text(rs_arena *a, rs_tensor t)
{
    const char *s = "";
    for (int i = 0; i < t.ndim; i++)
        s = rs_arena_printf(a, "%s%s%lld", s, i ? "x" : "", (long long)t.shape[i]);
    return t.ndim ? s : "none";
}

/* Text that breaks at spaces, from column 19 on. */
static void field(const char *name, const char *text)
{
    enum { LEFT = 18, WIDTH = 96 };
    rs_out("  %-*s", LEFT - 2, name);
    while (strlen(text) > WIDTH - LEFT) {
        int cut = WIDTH - LEFT;
        while (cut > 0 && text[cut] != ' ')
            cut--;
        if (cut == 0)
            break; /* one long word */
        rs_out("%.*s\n%*s", cut, text, LEFT, "");
        text += cut + 1;
    }
    rs_out("%s\n", text);
}

static void print_head(rs_arena *a, const rs_show_video *v)
{
    rs_tensor frames = rs_show_find(v, RS_GROUP_SOURCE "/" RS_DATA_FRAMES);
    rs_tensor latents = rs_show_find(v, RS_GROUP_CONDITION "/" RS_DATA_LATENTS);
    rs_tensor text = rs_show_find(v, RS_GROUP_CONDITION "/" RS_DATA_TEXT);
    rs_tensor image = rs_show_find(v, RS_GROUP_CONDITION "/" RS_DATA_IMAGE);
    rs_out("%s  %s, %s\n\n", v->video, v->path, rs_bytes_text(a, v->bytes));
    field("made", rs_arena_printf(a, "%s by %s on %s, seed %lld", v->created, v->program, v->host,
                                  (long long)v->seed));
    field("numerics", v->fingerprint);
    if (frames.ndim == 4)
        field("clip",
              rs_arena_printf(a, "%lld frames of %lldx%lld%s", (long long)frames.shape[0],
                              (long long)frames.shape[2], (long long)frames.shape[1],
                              isnan(v->fps) ? "" : rs_arena_printf(a, ", %.4g frames/s", v->fps)));
    field("condition", rs_arena_printf(a, "latents %s, text %s, image %s", shape_text(a, latents),
                                       shape_text(a, text), shape_text(a, image)));
    field("prompt", v->prompt);
}

static void print_inputs(rs_arena *a, const rs_show_files *files)
{
    for (int64_t i = 0; i < files->n; i++) {
        const rs_show_file *f = &files->items[i];
        rs_out("  %-16s%-14s %9s  %.12s  %s\n", i ? "" : "inputs", f->role,
               f->bytes ? rs_bytes_text(a, f->bytes) : "folder", f->hash, f->path);
    }
}

/* One line per component: files of one role lie together. */
static void print_weights(rs_arena *a, const rs_show_files *files)
{
    int64_t next;
    for (int64_t i = 0; i < files->n; i = next) {
        const rs_show_file *first = &files->items[i];
        int64_t bytes = 0;
        for (next = i; next < files->n && strcmp(files->items[next].role, first->role) == 0; next++)
            bytes += files->items[next].bytes;
        rs_out("  %-16s%-14s %9s  %3lld file%s  %s\n", i ? "" : "weights", first->role,
               rs_bytes_text(a, bytes), (long long)(next - i), next - i == 1 ? " " : "s",
               rs_path_dirname(a, first->path));
    }
}

static void print_stages(rs_arena *a, const rs_show_video *v)
{
    int width = 10;
    for (int64_t i = 0; i < v->n_stages; i++)
        if ((int)strlen(v->stages[i].name) > width)
            width = (int)strlen(v->stages[i].name);
    rs_out("\n  %-*s  state   steps   seconds  loss first, last   adapter\n", width, "stage");
    for (int64_t i = 0; i < v->n_stages; i++) {
        const rs_show_stage *s = &v->stages[i];
        rs_out("  %-*s  %-6s  %5s  %8s", width, s->name, s->state,
               s->steps < 0 ? "" : rs_arena_printf(a, "%lld", (long long)s->steps),
               isnan(s->seconds) ? "" : rs_arena_printf(a, "%.1f", s->seconds));
        if (s->n_loss)
            rs_out("  %7.4f -> %7.4f", rs_show_loss(s, false), rs_show_loss(s, true));
        if (s->modules)
            rs_out("  rank %lld, %lld modules, %.2f M", (long long)s->rank, (long long)s->modules,
                   (double)s->params * 1e-6);
        if (s->mode)
            rs_out(", %s", s->mode);
        rs_out("\n");
    }
}

/* With as many decimals as mean something. */
static const char *metric_text(rs_arena *a, const char *name, double v)
{
    const rs_measure_info *m = rs_measure_find(name);
    return rs_arena_printf(a, "%.*f", m ? m->decimals : 2, v);
}

static void print_metric(rs_arena *a, const rs_show_metric *m)
{
    const rs_measure_info *info = rs_measure_find(m->name);
    rs_out("    %-18s%9s%s%s\n", m->name, metric_text(a, m->name, m->value),
           info && *info->unit ? " " : "", info ? info->unit : "");
}

static void print_edits(rs_arena *a, const rs_show_video *v)
{
    for (int64_t i = 0; i < v->n_edits; i++) {
        const rs_show_edit *e = &v->edits[i];
        rs_out("\n  edit %s: %s%s%s\n", e->id, e->state, *e->stage ? " in " : "", e->stage);
        if (*e->reason)
            field("  reason", e->reason);
        field("  prompt", e->prompt);
        if (e->seed >= 0)
            field("  seed", rs_arena_printf(a, "%lld", (long long)e->seed));
        for (int64_t k = 0; k < e->n_metrics; k++)
            print_metric(a, &e->metrics[k]);
    }
}

static rs_status show_video(rs_arena *a, const rs_archive *f, bool json)
{
    rs_show_video v;
    RS_TRY(rs_show_read(&v, a, f));
    if (json) {
        rs_jsonw *w = rs_jsonw_create(a, true);
        rs_show_json(w, &v);
        rs_out("%s\n", rs_jsonw_text(w));
        return RS_OK;
    }
    print_head(a, &v);
    print_inputs(a, &v.inputs);
    print_weights(a, &v.weights);
    print_stages(a, &v);
    print_edits(a, &v);
    return RS_OK;
}

/* ---- catalog.h5 ---- */

static const char *cell_text(rs_arena *a, const rs_column *c, rs_cell v)
{
    switch (c->type) {
    case RS_COLUMN_STRING:
        return v.s;
    case RS_COLUMN_I64:
        return rs_arena_printf(a, "%lld", (long long)v.i);
    case RS_COLUMN_F64:
        break;
    }
    return isnan(v.f) ? "" : metric_text(a, c->name, v.f);
}

static void catalog_json(rs_arena *a, const rs_archive *f, const rs_table *t)
{
    rs_jsonw *w = rs_jsonw_create(a, true);
    rs_jsonw_object(w, NULL);
    rs_jsonw_string(w, "kind", "catalog");
    rs_jsonw_string(w, "path", rs_archive_path(f));
    rs_jsonw_array(w, "jobs");
    for (int64_t i = 0; i < t->n_rows; i++) {
        rs_jsonw_object(w, NULL);
        for (int64_t k = 0; k < t->n_columns; k++) {
            const rs_column *c = &t->columns[k];
            rs_cell v = t->cells[i * t->n_columns + k];
            if (c->type == RS_COLUMN_STRING)
                rs_jsonw_string(w, c->name, v.s);
            else if (c->type == RS_COLUMN_I64)
                rs_jsonw_i64(w, c->name, v.i);
            else
                rs_jsonw_f64(w, c->name, v.f);
        }
        rs_jsonw_end(w);
    }
    rs_jsonw_end(w);
    rs_jsonw_end(w);
    rs_out("%s\n", rs_jsonw_text(w));
}

static int64_t find_column(const rs_table *t, const char *name)
{
    int64_t k = 0;
    while (k < t->n_columns && strcmp(t->columns[k].name, name) != 0)
        k++;
    return k;
}

/* One column of the heading (row -1) or of a row, as wide as its longest text. */
static void print_cell(rs_arena *a, const rs_table *t, int64_t row, int64_t k)
{
    const rs_column *c = &t->columns[k];
    int width = (int)strlen(c->name);
    for (int64_t i = 0; i < t->n_rows; i++) {
        int n = (int)strlen(cell_text(a, c, t->cells[i * t->n_columns + k]));
        width = n > width ? n : width;
    }
    const char *text = row < 0 ? c->name : cell_text(a, c, t->cells[row * t->n_columns + k]);
    rs_out(c->type == RS_COLUMN_STRING ? "  %-*s" : "  %*s", width, text);
}

/* Hashes and what repeats the movie's path are left out; of a failed job its reason is shown. */
static void catalog_table(rs_arena *a, const rs_archive *f, const rs_table *t)
{
    static const char *const shown[] = {
        RS_COL_VIDEO,       RS_COL_EDIT,          RS_COL_STATE,        RS_COL_SECONDS,
        RS_ATTR_CLIP_SCORE, RS_ATTR_PSNR_OUTSIDE, RS_ATTR_MOTION_ERROR};
    int64_t movie = find_column(t, RS_COL_MOVIE), reason = find_column(t, RS_COL_REASON);
    rs_out("%s  %lld job%s\n\n", rs_archive_path(f), (long long)t->n_rows,
           t->n_rows == 1 ? "" : "s");
    for (int64_t i = -1; i < t->n_rows; i++) {
        for (size_t s = 0; s < sizeof shown / sizeof *shown; s++) {
            int64_t k = find_column(t, shown[s]);
            if (k < t->n_columns)
                print_cell(a, t, i, k);
        }
        const rs_cell *row = &t->cells[(i < 0 ? 0 : i) * t->n_columns];
        bool texts = movie < t->n_columns && reason < t->n_columns &&
                     t->columns[movie].type == RS_COLUMN_STRING &&
                     t->columns[reason].type == RS_COLUMN_STRING;
        if (i < 0)
            rs_out("  movie, or why it failed\n");
        else
            rs_out("  %s\n", !texts ? "" : *row[movie].s ? row[movie].s : row[reason].s);
    }
}

static rs_status show_catalog(rs_arena *a, const rs_archive *f, bool json)
{
    rs_table t;
    RS_TRY(rs_archive_read_table(&t, a, f, RS_DATA_JOBS));
    if (json)
        catalog_json(a, f, &t);
    else
        catalog_table(a, f, &t);
    return RS_OK;
}

static rs_status run(const rs_call *call)
{
    const show_opts *o = call->opts;
    rs_archive *f = NULL;
    char *kind;
    rs_status st = RS_OK;
    RS_TRY_OUT(rs_archive_open(&f, call->positional.items[0]));
    RS_TRY_OUT(rs_archive_get_string(&kind, call->arena, f, "/", RS_ATTR_KIND));
    if (strcmp(kind, RS_KIND_CATALOG) == 0)
        RS_TRY_OUT(show_catalog(call->arena, f, o->json));
    else
        RS_TRY_OUT(show_video(call->arena, f, o->json));
out:
    rs_archive_close(&f);
    return st;
}

const rs_command rs_cmd_show = {
    .name = "show",
    .summary = "what an archive or a catalog holds",
    .args = "ARCHIVE [options]",
    .about =
        "Prints where an archive comes from (inputs and weights with their hashes), its stages\n"
        "with steps, loss and adapters, and its edits with their measures or the reason why\n"
        "they failed; of a catalog.h5 one line per job. Losses are means of the first and the\n"
        "last tenth of the steps.\n",
    .n_min = 1,
    .n_max = 1,
    RS_COMMAND_OPTS(k_opts, show_opts),
    .run = run,
};
