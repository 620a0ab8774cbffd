#include <math.h>
#include <string.h>

#include "base/fsio.h"
#include "cli/show.h"
#include "store/schema_names.h"

typedef struct reader {
    rs_show_video *v;
    rs_arena *a;
    const rs_archive *f;
} reader;

/* Attributes that need not be there. */
static const char *text_or(reader *r, const char *object, const char *name, const char *otherwise)
{
    char *text;
    if (!rs_archive_exists(r->f, object) || !rs_archive_has(r->f, object, name) ||
        rs_archive_get_string(&text, r->a, r->f, object, name) != RS_OK)
        return otherwise;
    return text;
}

static double number_or(reader *r, const char *object, const char *name, double otherwise)
{
    double v;
    return rs_archive_exists(r->f, object) && rs_archive_has(r->f, object, name) &&
                   rs_archive_get_f64(&v, r->f, object, name) == RS_OK
               ? v
               : otherwise;
}

static int64_t integer_or(reader *r, const char *object, const char *name, int64_t otherwise)
{
    int64_t v;
    return rs_archive_exists(r->f, object) && rs_archive_has(r->f, object, name) &&
                   rs_archive_get_i64(&v, r->f, object, name) == RS_OK
               ? v
               : otherwise;
}

static const char *join(reader *r, const char *group, const char *name)
{
    return rs_arena_printf(r->a, "%s/%s", group, name);
}

static rs_status read_files(rs_show_files *out, reader *r, const char *object)
{
    enum { COLUMNS = 4 };
    static const rs_column want[COLUMNS] = {{RS_COL_ROLE, RS_COLUMN_STRING},
                                            {RS_COL_PATH, RS_COLUMN_STRING},
                                            {RS_COL_BYTES, RS_COLUMN_I64},
                                            {RS_COL_HASH, RS_COLUMN_STRING}};
    rs_table t;
    if (!rs_archive_exists(r->f, object))
        return RS_OK;
    RS_TRY(rs_archive_read_table(&t, r->a, r->f, object));
    bool known = t.n_columns == COLUMNS;
    for (int i = 0; known && i < COLUMNS; i++)
        known = strcmp(t.columns[i].name, want[i].name) == 0 && t.columns[i].type == want[i].type;
    if (!known)
        return RS_FAIL(FORMAT, "%s: %s: not the columns role, path, bytes, hash",
                       rs_archive_path(r->f), object);
    out->items = RS_NEW(r->a, rs_show_file, t.n_rows);
    out->n = t.n_rows;
    for (int64_t i = 0; i < t.n_rows; i++) {
        const rs_cell *c = &t.cells[i * COLUMNS];
        out->items[i] = (rs_show_file){c[0].s, c[1].s, c[3].s, c[2].i};
    }
    return RS_OK;
}

static rs_status add_tensor(reader *r, const char *object)
{
    rs_show_video *v = r->v;
    rs_show_tensor t = {.name = object};
    if (rs_archive_kind_of(r->f, object) != RS_ARCHIVE_TENSOR)
        return RS_OK;
    RS_TRY(rs_archive_tensor_info(&t.t, r->f, object));
    v->tensors = rs_arena_grow(r->a, v->tensors, &v->cap_tensors, (size_t)v->n_tensors + 1,
                               sizeof *v->tensors);
    v->tensors[v->n_tensors++] = t;
    return RS_OK;
}

static rs_status add_tensors(reader *r, const char *group)
{
    char **names;
    int64_t n;
    if (!rs_archive_exists(r->f, group))
        return RS_OK;
    RS_TRY(rs_archive_list(&names, &n, r->a, r->f, group));
    for (int64_t i = 0; i < n; i++)
        RS_TRY(add_tensor(r, join(r, group, names[i])));
    return RS_OK;
}

static rs_status read_adapter(rs_show_stage *s, reader *r, const char *group)
{
    static const char *const factors[] = {RS_DATA_A, RS_DATA_B};
    char **names;
    if (!rs_archive_exists(r->f, group))
        return RS_OK;
    RS_TRY(rs_archive_get_i64(&s->rank, r->f, group, RS_ATTR_RANK));
    RS_TRY(rs_archive_get_f64(&s->alpha, r->f, group, RS_ATTR_ALPHA));
    char *mode = NULL;
    if (rs_archive_has(r->f, group, RS_ATTR_MODE))
        RS_TRY(rs_archive_get_string(&mode, r->a, r->f, group, RS_ATTR_MODE));
    s->mode = mode;
    RS_TRY(rs_archive_list(&names, &s->modules, r->a, r->f, group));
    for (int64_t i = 0; i < s->modules; i++) {
        for (int k = 0; k < 2; k++) {
            rs_tensor t;
            const char *object = join(r, join(r, group, names[i]), factors[k]);
            RS_TRY(rs_archive_tensor_info(&t, r->f, object));
            s->params += rs_tensor_count(t);
        }
    }
    return RS_OK;
}

static rs_status read_loss(rs_show_stage *s, reader *r, const char *object)
{
    rs_tensor t;
    if (!rs_archive_exists(r->f, object))
        return RS_OK;
    RS_TRY(rs_archive_read_tensor(&t, r->a, r->f, object));
    if (t.dtype != RS_DTYPE_F32 || t.ndim != 1)
        return RS_FAIL(FORMAT, "%s: %s: not a list of F32", rs_archive_path(r->f), object);
    s->loss = t.data;
    s->n_loss = t.shape[0];
    return RS_OK;
}

static rs_status add_stage(reader *r, const char *name)
{
    rs_show_video *v = r->v;
    const char *group = join(r, RS_GROUP_STAGES, name);
    if (rs_archive_kind_of(r->f, group) != RS_ARCHIVE_GROUP)
        return RS_OK;
    rs_show_stage s = {.name = name,
                       .state = text_or(r, group, RS_ATTR_STATE, "?"),
                       .key = text_or(r, group, RS_ATTR_KEY, ""),
                       .steps = integer_or(r, group, RS_ATTR_STEP, -1),
                       .seconds = number_or(r, group, RS_ATTR_SECONDS, NAN)};
    RS_TRY(read_loss(&s, r, join(r, group, RS_DATA_LOSS)));
    RS_TRY(read_adapter(&s, r, join(r, group, RS_MEMBER_ADAPTER)));
    v->stages =
        rs_arena_grow(r->a, v->stages, &v->cap_stages, (size_t)v->n_stages + 1, sizeof *v->stages);
    v->stages[v->n_stages++] = s;
    return RS_OK;
}

static rs_status read_metrics(rs_show_edit *e, reader *r, const char *group)
{
    char **names;
    int64_t n;
    if (!rs_archive_exists(r->f, group))
        return RS_OK;
    RS_TRY(rs_archive_list_attributes(&names, &n, r->a, r->f, group));
    e->metrics = RS_NEW(r->a, rs_show_metric, n);
    for (int64_t i = 0; i < n; i++, e->n_metrics++) {
        e->metrics[i].name = names[i];
        RS_TRY(rs_archive_get_f64(&e->metrics[i].value, r->f, group, names[i]));
    }
    return RS_OK;
}

/* Every edit with its stages, in the order of the work. */
static rs_status read_edits(reader *r)
{
    static const char *const stages[] = {"appearance", "edit", "decode"};
    rs_show_video *v = r->v;
    char **ids;
    if (!rs_archive_exists(r->f, RS_GROUP_EDITS))
        return RS_OK;
    RS_TRY(rs_archive_list(&ids, &v->n_edits, r->a, r->f, RS_GROUP_EDITS));
    v->edits = RS_NEW(r->a, rs_show_edit, v->n_edits);
    for (int64_t i = 0; i < v->n_edits; i++) {
        const char *group = join(r, RS_GROUP_EDITS, ids[i]);
        v->edits[i] = (rs_show_edit){.id = ids[i],
                                     .state = text_or(r, group, RS_ATTR_STATE, "?"),
                                     .prompt = text_or(r, group, RS_ATTR_PROMPT, ""),
                                     .reason = text_or(r, group, RS_ATTR_REASON, ""),
                                     .stage = text_or(r, group, RS_ATTR_STAGE, ""),
                                     .key = text_or(r, group, RS_ATTR_KEY, ""),
                                     .seed = integer_or(r, group, RS_ATTR_SEED, -1)};
        RS_TRY(read_metrics(&v->edits[i], r, join(r, group, RS_MEMBER_METRICS)));
        RS_TRY(add_tensors(r, group));
        for (int k = 0; k < 3; k++)
            RS_TRY(add_stage(r, join(r, stages[k], ids[i])));
    }
    return RS_OK;
}

rs_status rs_show_read(rs_show_video *v, rs_arena *a, const rs_archive *f)
{
    reader r = {v, a, f};
    char *config = "";
    const char *at = RS_GROUP_PROVENANCE, *text = RS_GROUP_PROVENANCE "/" RS_DATA_CONFIG;
    if (rs_archive_exists(f, text))
        RS_TRY(rs_archive_read_text(&config, a, f, text));
    *v = (rs_show_video){.path = rs_archive_path(f),
                         .video = text_or(&r, "/", RS_ATTR_VIDEO, "?"),
                         .key = text_or(&r, "/", RS_ATTR_KEY, ""),
                         .bytes = rs_file_size(rs_archive_path(f)),
                         .program = text_or(&r, at, RS_ATTR_PROGRAM, "?"),
                         .host = text_or(&r, at, RS_ATTR_HOST, "?"),
                         .created = text_or(&r, at, RS_ATTR_CREATED, "?"),
                         .fingerprint = text_or(&r, at, RS_ATTR_FINGERPRINT, "?"),
                         .config = config,
                         .prompt = text_or(&r, RS_GROUP_SOURCE, RS_ATTR_PROMPT, ""),
                         .seed = integer_or(&r, at, RS_ATTR_SEED, 0),
                         .fps = number_or(&r, RS_GROUP_SOURCE, RS_ATTR_FPS, NAN)};
    RS_TRY(read_files(&v->inputs, &r, RS_GROUP_PROVENANCE "/" RS_DATA_INPUTS));
    RS_TRY(read_files(&v->weights, &r, RS_GROUP_PROVENANCE "/" RS_DATA_WEIGHTS));
    RS_TRY(add_tensors(&r, RS_GROUP_SOURCE));
    RS_TRY(add_tensors(&r, RS_GROUP_CONDITION));
    RS_TRY(add_stage(&r, "ingest"));
    RS_TRY(add_stage(&r, "motion"));
    return read_edits(&r);
}

rs_tensor rs_show_find(const rs_show_video *v, const char *name)
{
    for (int64_t i = 0; i < v->n_tensors; i++)
        if (strcmp(v->tensors[i].name, name) == 0)
            return v->tensors[i].t;
    return (rs_tensor){0};
}

double rs_show_loss(const rs_show_stage *s, bool last)
{
    int64_t n = (s->n_loss + 9) / 10, first = last ? s->n_loss - n : 0;
    double sum = 0;
    for (int64_t i = first; i < first + n; i++)
        sum += (double)s->loss[i];
    return n ? sum / (double)n : NAN;
}
