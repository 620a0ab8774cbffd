#include "store/archive_verify.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/fsio.h"
#include "base/hash.h"
#include "store/schema_names.h"

typedef struct check {
    rs_verdict *v;
    rs_arena *a; /* of one file */
    const rs_archive *f;
} check;

void rs_verdict_add(rs_verdict *v, const char *fmt, ...)
{
    char line[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    v->problems =
        rs_arena_grow(v->arena, v->problems, &v->cap, (size_t)v->n + 1, sizeof *v->problems);
    v->problems[v->n++] = rs_arena_strdup(v->arena, line);
}

static void problem(check *c, const char *object, const char *fmt, ...) RS_PRINTF(3, 4);
static void problem(check *c, const char *object, const char *fmt, ...)
{
    char what[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    rs_verdict_add(c->v, "%s: %s: %s", rs_archive_path(c->f), object, what);
}

/* False after adding the error record as a problem. */
static bool good(check *c, rs_status st)
{
    if (st != RS_OK)
        rs_verdict_add(c->v, "%s", rs_error_message());
    return st == RS_OK;
}

static const char *join(check *c, const char *group, const char *name)
{
    return rs_arena_printf(c->a, "%s/%s", strcmp(group, "/") == 0 ? "" : group, name);
}

/* ---- reading everything ---- */

static void check_finite(check *c, const char *object, rs_tensor t)
{
    if (t.dtype != RS_DTYPE_F32)
        return;
    int64_t n = rs_tensor_count(t), bad = 0;
    for (int64_t i = 0; i < n; i++)
        bad += !isfinite(rs_f32(t)[i]);
    if (bad)
        problem(c, object, "%lld of %lld values are not finite", (long long)bad, (long long)n);
}

static void read_object(check *c, const char *object, rs_archive_kind kind)
{
    rs_arena_mark mark = rs_arena_get_mark(c->a);
    rs_tensor t;
    rs_table table;
    char *text;
    c->v->objects++;
    if (kind == RS_ARCHIVE_TENSOR && good(c, rs_archive_read_tensor(&t, c->a, c->f, object))) {
        c->v->bytes += (int64_t)rs_tensor_bytes(t);
        check_finite(c, object, t);
    } else if (kind == RS_ARCHIVE_TEXT &&
               good(c, rs_archive_read_text(&text, c->a, c->f, object))) {
        c->v->bytes += (int64_t)strlen(text);
    } else if (kind == RS_ARCHIVE_TABLE &&
               good(c, rs_archive_read_table(&table, c->a, c->f, object))) {
        c->v->bytes += table.n_rows * table.n_columns * (int64_t)sizeof(rs_cell);
    }
    rs_arena_release(c->a, mark);
}

static void read_attributes(check *c, const char *object)
{
    char **names, *text;
    int64_t n;
    if (!good(c, rs_archive_list_attributes(&names, &n, c->a, c->f, object)))
        return;
    for (int64_t i = 0; i < n; i++)
        (void)good(c, rs_archive_get_as_text(&text, c->a, c->f, object, names[i]));
}

static void read_group(check *c, const char *group)
{
    char **names;
    int64_t n;
    read_attributes(c, group);
    if (!good(c, rs_archive_list(&names, &n, c->a, c->f, group)))
        return;
    for (int64_t i = 0; i < n; i++) {
        const char *object = join(c, group, names[i]);
        rs_archive_kind kind = rs_archive_kind_of(c->f, object);
        if (kind == RS_ARCHIVE_GROUP)
            read_group(c, object);
        else if (kind == RS_ARCHIVE_NONE)
            problem(c, object, "a link that leads nowhere");
        else if (kind == RS_ARCHIVE_OTHER)
            problem(c, object, "damaged, or nothing that this program writes");
        else
            read_object(c, object, kind);
    }
}

/* ---- what must be there ---- */

static bool need(check *c, const char *object, rs_archive_kind kind)
{
    static const char *const names[] = {"", "group", "tensor", "text", "table", ""};
    rs_archive_kind is = rs_archive_kind_of(c->f, object);
    if (is == kind)
        return true;
    if (is != RS_ARCHIVE_OTHER) /* reported by read_group */
        problem(c, object, is == RS_ARCHIVE_NONE ? "the %s is missing" : "is not a %s",
                names[kind]);
    return false;
}

static void need_string(check *c, const char *object, const char *name)
{
    char *text;
    (void)good(c, rs_archive_get_string(&text, c->a, c->f, object, name));
}

/* A content key: 64 hexadecimal digits. NULL after adding a problem. */
static const char *need_key_named(check *c, const char *object, const char *name)
{
    char *key;
    if (!good(c, rs_archive_get_string(&key, c->a, c->f, object, name)))
        return NULL;
    if (strlen(key) == RS_HASH_HEX - 1 && strspn(key, "0123456789abcdef") == RS_HASH_HEX - 1)
        return key;
    problem(c, object, "\"%s\" is no content key", key);
    return NULL;
}

static const char *need_key(check *c, const char *object)
{
    return need_key_named(c, object, RS_ATTR_KEY);
}

/* Shape and type; shape[i] < 0: any, and filled in. */
static bool need_tensor(check *c, const char *object, rs_dtype dtype, int ndim, int64_t *shape)
{
    rs_tensor t;
    char is[RS_TENSOR_TEXT], text[RS_TENSOR_TEXT];
    if (!need(c, object, RS_ARCHIVE_TENSOR) || !good(c, rs_archive_tensor_info(&t, c->f, object)))
        return false;
    bool fits = t.dtype == dtype && t.ndim == ndim;
    for (int i = 0; fits && i < ndim; i++)
        fits = shape[i] < 0 || shape[i] == t.shape[i];
    if (!fits) {
        problem(c, object, "is %s, expected %s (-1: any)", rs_tensor_text(is, t),
                rs_tensor_text(text, rs_tensor_of(NULL, dtype, ndim, shape)));
        return false;
    }
    memcpy(shape, t.shape, (size_t)ndim * sizeof *shape);
    return true;
}

static void check_mode(check *c, const char *group)
{
    char *mode;
    if (rs_archive_has(c->f, group, RS_ATTR_MODE) &&
        good(c, rs_archive_get_string(&mode, c->a, c->f, group, RS_ATTR_MODE)) &&
        strcmp(mode, RS_MODE_CONTINUE) != 0 && strcmp(mode, RS_MODE_SEPARATE) != 0)
        problem(c, group, "unknown mode \"%s\"", mode);
}

static void check_adapter(check *c, const char *group)
{
    char **names;
    int64_t n, rank;
    double alpha;
    if (!need(c, group, RS_ARCHIVE_GROUP) ||
        !good(c, rs_archive_get_i64(&rank, c->f, group, RS_ATTR_RANK)) ||
        !good(c, rs_archive_get_f64(&alpha, c->f, group, RS_ATTR_ALPHA)) ||
        !good(c, rs_archive_list(&names, &n, c->a, c->f, group)))
        return;
    check_mode(c, group);
    if (n == 0)
        problem(c, group, "the adapter has no modules");
    for (int64_t i = 0; i < n; i++) {
        const char *module = join(c, group, names[i]);
        int64_t a[] = {rank, -1}, b[] = {-1, rank};
        (void)need_tensor(c, join(c, module, RS_DATA_A), RS_DTYPE_F32, 2, a);
        (void)need_tensor(c, join(c, module, RS_DATA_B), RS_DTYPE_F32, 2, b);
    }
}

/* A stage that must be done; *key its key, or NULL. */
static void check_stage(check *c, const char *name, bool trains, const char **key)
{
    const char *group = join(c, RS_GROUP_STAGES, name);
    char *state;
    *key = NULL;
    if (!need(c, group, RS_ARCHIVE_GROUP))
        return;
    *key = need_key(c, group);
    if (good(c, rs_archive_get_string(&state, c->a, c->f, group, RS_ATTR_STATE)) &&
        strcmp(state, RS_STATE_DONE) != 0)
        problem(c, group, "state is \"%s\", expected \"" RS_STATE_DONE "\"", state);
    int64_t steps[] = {-1};
    if (!trains)
        return;
    if (!good(c, rs_archive_get_i64(&steps[0], c->f, group, RS_ATTR_STEP)))
        return;
    if (steps[0] == 0) { /* motion.steps 0: the base model as it is */
        if (rs_archive_exists(c->f, join(c, group, RS_MEMBER_ADAPTER)))
            problem(c, group, "has an adapter after 0 steps");
        return;
    }
    (void)need_tensor(c, join(c, group, RS_DATA_LOSS), RS_DTYPE_F32, 1, steps);
    check_adapter(c, join(c, group, RS_MEMBER_ADAPTER));
}

typedef struct clip_shape {
    int64_t frames[4], latent[4];
} clip_shape;

static void check_provenance(check *c)
{
    static const char *const strings[] = {RS_ATTR_PROGRAM, RS_ATTR_HOST, RS_ATTR_CREATED,
                                          RS_ATTR_FINGERPRINT};
    const char *at = RS_GROUP_PROVENANCE;
    int64_t seed;
    need_string(c, "/", RS_ATTR_VIDEO);
    (void)need_key(c, "/");
    if (!need(c, at, RS_ARCHIVE_GROUP))
        return;
    for (int i = 0; i < 4; i++)
        need_string(c, at, strings[i]);
    (void)good(c, rs_archive_get_i64(&seed, c->f, at, RS_ATTR_SEED));
    (void)need(c, join(c, at, RS_DATA_CONFIG), RS_ARCHIVE_TEXT);
    (void)need(c, join(c, at, RS_DATA_INPUTS), RS_ARCHIVE_TABLE);
}

static void check_source(check *c, clip_shape *s)
{
    *s = (clip_shape){{-1, -1, -1, 3}, {-1, -1, -1, -1}};
    static const char *const sizes[] = {RS_ATTR_SOURCE_WIDTH, RS_ATTR_SOURCE_HEIGHT};
    int64_t pixels;
    need_string(c, RS_GROUP_SOURCE, RS_ATTR_PROMPT);
    for (int i = 0; i < 2; i++) /* absent in the first archives */
        if (rs_archive_has(c->f, RS_GROUP_SOURCE, sizes[i]) &&
            good(c, rs_archive_get_i64(&pixels, c->f, RS_GROUP_SOURCE, sizes[i])) && pixels < 1)
            problem(c, RS_GROUP_SOURCE, "%s is %lld", sizes[i], (long long)pixels);
    (void)need_tensor(c, RS_GROUP_SOURCE "/" RS_DATA_FRAMES, RS_DTYPE_U8, 4, s->frames);
    int64_t mask[] = {s->frames[0], s->frames[1], s->frames[2]}, index[] = {s->frames[0]};
    (void)need_tensor(c, RS_GROUP_SOURCE "/" RS_DATA_MASK, RS_DTYPE_U8, 3, mask);
    (void)need_tensor(c, RS_GROUP_SOURCE "/" RS_DATA_INDEX, RS_DTYPE_I64, 1, index);
    (void)need_tensor(c, RS_GROUP_CONDITION "/" RS_DATA_LATENTS, RS_DTYPE_F32, 4, s->latent);
    int64_t y[] = {-1, s->latent[1], s->latent[2], s->latent[3]};
    (void)need_tensor(c, RS_GROUP_CONDITION "/" RS_DATA_Y, RS_DTYPE_F32, 4, y);
    (void)need(c, RS_GROUP_CONDITION "/" RS_DATA_TEXT, RS_ARCHIVE_TENSOR);
}

/* Every attribute is a number; what does not apply is absent. */
static void check_metrics(check *c, const char *group)
{
    char **names;
    int64_t n;
    double v;
    if (!need(c, group, RS_ARCHIVE_GROUP) ||
        !good(c, rs_archive_list_attributes(&names, &n, c->a, c->f, group)))
        return;
    for (int64_t i = 0; i < n; i++)
        if (good(c, rs_archive_get_f64(&v, c->f, group, names[i])) && isnan(v))
            problem(c, group, "%s is not a number", names[i]);
}

static void check_done_edit(check *c, const char *edit, const char *group, const clip_shape *s)
{
    const char *key, *decoded;
    const char *appearance = rs_arena_printf(c->a, "appearance/%s", edit);
    int64_t seed, frames[4], latent[4], first[] = {s->frames[1], s->frames[2], 3};
    memcpy(frames, s->frames, sizeof frames);
    memcpy(latent, s->latent, sizeof latent);
    (void)need_tensor(c, join(c, group, RS_DATA_FRAMES), RS_DTYPE_U8, 4, frames);
    (void)need_tensor(c, join(c, group, RS_DATA_LATENT), RS_DTYPE_F32, 4, latent);
    (void)need_tensor(c, join(c, group, RS_DATA_FIRST_FRAME), RS_DTYPE_U8, 3, first);
    check_metrics(c, join(c, group, RS_MEMBER_METRICS));
    if (rs_archive_has(c->f, group, RS_ATTR_METRICS_KEY)) /* not in archives of older programs */
        (void)need_key_named(c, group, RS_ATTR_METRICS_KEY);
    (void)good(c, rs_archive_get_i64(&seed, c->f, group, RS_ATTR_SEED));
    if (rs_archive_exists(c->f, join(c, RS_GROUP_STAGES, appearance)))
        check_stage(c, appearance, true, &key);
    check_stage(c, rs_arena_printf(c->a, "edit/%s", edit), false, &key);
    check_stage(c, rs_arena_printf(c->a, "decode/%s", edit), false, &decoded);
    key = need_key(c, group);
    if (key && decoded && strcmp(key, decoded) != 0)
        problem(c, group, "its key is not that of /stages/decode/%s", edit);
}

static void check_edit(check *c, const char *edit, const clip_shape *s)
{
    const char *group = join(c, RS_GROUP_EDITS, edit);
    char *state;
    need_string(c, group, RS_ATTR_PROMPT);
    if (!good(c, rs_archive_get_string(&state, c->a, c->f, group, RS_ATTR_STATE)))
        return;
    if (strcmp(state, RS_STATE_DONE) == 0) {
        check_done_edit(c, edit, group, s);
    } else if (strcmp(state, RS_STATE_FAILED) == 0) {
        need_string(c, group, RS_ATTR_REASON);
        need_string(c, group, RS_ATTR_STAGE);
    } else {
        problem(c, group, "unknown state \"%s\"", state);
    }
}

static void check_video(check *c)
{
    char **edits;
    int64_t n;
    clip_shape shape;
    const char *key;
    read_group(c, "/");
    check_provenance(c);
    check_source(c, &shape);
    check_stage(c, "ingest", false, &key);
    check_stage(c, "motion", true, &key);
    if (!need(c, RS_GROUP_EDITS, RS_ARCHIVE_GROUP) ||
        !good(c, rs_archive_list(&edits, &n, c->a, c->f, RS_GROUP_EDITS)))
        return;
    if (n == 0)
        problem(c, RS_GROUP_EDITS, "there are no edits");
    for (int64_t i = 0; i < n; i++)
        check_edit(c, edits[i], &shape);
}

/* ---- catalog.h5 ---- */

static const rs_cell *cell(const rs_table *t, int64_t row, const char *column)
{
    int64_t i = 0;
    while (strcmp(t->columns[i].name, column) != 0) /* check_columns found it */
        i++;
    return &t->cells[row * t->n_columns + i];
}

/* The edit of a row that is done, against its archive. */
static void check_row(check *c, const rs_table *t, int64_t row, const char *folder)
{
    const char *edit = cell(t, row, RS_COL_EDIT)->s, *key = cell(t, row, RS_COL_KEY)->s;
    const char *archive = rs_path_join(c->a, folder, cell(t, row, RS_COL_ARCHIVE)->s);
    const char *movie = rs_path_join(c->a, folder, cell(t, row, RS_COL_MOVIE)->s);
    const char *name = rs_arena_printf(c->a, RS_DATA_JOBS "[%lld]", (long long)row);
    rs_archive *f = NULL;
    char *there;
    if (!*cell(t, row, RS_COL_ARCHIVE)->s)
        return; /* nothing of it was ever published */
    bool done = strcmp(cell(t, row, RS_COL_STATE)->s, RS_STATE_DONE) == 0;
    if (done && rs_file_size(movie) <= 0)
        problem(c, name, "the movie %s is missing", movie);
    if (!good(c, rs_archive_open(&f, archive)))
        return;
    const char *group = rs_arena_printf(c->a, RS_GROUP_EDITS "/%s", edit);
    if (!rs_archive_exists(f, group))
        problem(c, name, "%s has no edit \"%s\"", archive, edit);
    else if (done && good(c, rs_archive_get_string(&there, c->a, f, group, RS_ATTR_KEY)) &&
             strcmp(there, key) != 0)
        problem(c, name, "%s has another result of edit \"%s\" than the index", archive, edit);
    rs_archive_close(&f);
}

static bool check_columns(check *c, const rs_table *t)
{
    static const char *const texts[] = {RS_COL_VIDEO,  RS_COL_EDIT, RS_COL_STATE,   RS_COL_STAGE,
                                        RS_COL_REASON, RS_COL_KEY,  RS_COL_ARCHIVE, RS_COL_MOVIE};
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
        bool found = false;
        for (int64_t i = 0; i < t->n_columns; i++)
            found = found || (strcmp(t->columns[i].name, texts[k]) == 0 &&
                              t->columns[i].type == RS_COLUMN_STRING);
        if (!found) {
            problem(c, RS_DATA_JOBS, "no column \"%s\" of texts", texts[k]);
            return false;
        }
    }
    return true;
}

static void check_catalog(check *c, const char *path)
{
    rs_table t;
    char **links;
    int64_t n;
    const char *folder = strchr(path, '/') ? rs_path_dirname(c->a, path) : "";
    read_attributes(c, "/");
    if (need(c, RS_GROUP_VIDEOS, RS_ARCHIVE_GROUP) &&
        good(c, rs_archive_list(&links, &n, c->a, c->f, RS_GROUP_VIDEOS)))
        for (int64_t i = 0; i < n; i++)
            (void)need(c, join(c, RS_GROUP_VIDEOS, links[i]), RS_ARCHIVE_GROUP);
    if (!need(c, RS_DATA_JOBS, RS_ARCHIVE_TABLE) ||
        !good(c, rs_archive_read_table(&t, c->a, c->f, RS_DATA_JOBS)))
        return;
    c->v->objects++;
    if (!check_columns(c, &t))
        return;
    for (int64_t row = 0; row < t.n_rows; row++)
        check_row(c, &t, row, folder);
}

void rs_archive_verify(rs_verdict *v, const char *path)
{
    rs_archive *f = NULL;
    char *kind;
    check c = {.v = v, .a = rs_arena_create()};
    if (!good(&c, rs_archive_open(&f, path)))
        goto out;
    c.f = f;
    if (!good(&c, rs_archive_get_string(&kind, c.a, f, "/", RS_ATTR_KIND)))
        goto out;
    if (strcmp(kind, RS_KIND_VIDEO) == 0)
        check_video(&c);
    else if (strcmp(kind, RS_KIND_CATALOG) == 0)
        check_catalog(&c, path);
    else
        problem(&c, "/", "unknown kind \"%s\"", kind);
out:
    rs_archive_close(&f);
    rs_arena_destroy(&c.a);
}
