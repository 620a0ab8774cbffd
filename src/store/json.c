#include "store/json.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "base/fsio.h"

struct rs_json {
    json_t *node;      /* borrowed, except in the root */
    rs_arena *arena;   /* the document's: values and their names */
    const char *file;  /* path or origin */
    const char *where; /* "a.b[3]" */
    bool root;
};

static rs_status fail_syntax(const char *origin, const json_error_t *e)
{
    return RS_FAIL(FORMAT, "%s:%d:%d: %s", origin, e->line, e->column, e->text);
}

rs_status rs_json_parse(rs_json **out, const char *text, size_t bytes, const char *origin)
{
    json_error_t error;
    json_t *node = json_loadb(text, bytes, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!node)
        return fail_syntax(origin, &error);
    rs_arena *a = rs_arena_create();
    rs_json *v = RS_NEW(a, rs_json, 1);
    *v = (rs_json){node, a, rs_arena_strdup(a, origin), "", true};
    *out = v;
    return RS_OK;
}

rs_status rs_json_load(rs_json **out, const char *path)
{
    rs_arena *a = rs_arena_create();
    rs_status st = RS_OK;
    char *text = NULL;
    size_t bytes = 0;
    RS_TRY_OUT(rs_read_file(&text, &bytes, a, path));
    RS_TRY_OUT(rs_json_parse(out, text, bytes, path));
out:
    rs_arena_destroy(&a);
    return st;
}

void rs_json_destroy(rs_json **doc)
{
    if (!doc || !*doc)
        return;
    RS_ASSERTF((*doc)->root, "only the root of a JSON document can be destroyed");
    rs_arena *a = (*doc)->arena;
    json_decref((*doc)->node);
    rs_arena_destroy(&a);
    *doc = NULL;
}

static const rs_json *child(const rs_json *parent, json_t *node, const char *where)
{
    rs_json *v = RS_NEW(parent->arena, rs_json, 1);
    *v = (rs_json){node, parent->arena, parent->file, where, false};
    return v;
}

static const char *member_where(const rs_json *o, const char *key)
{
    return o->where[0] ? rs_arena_printf(o->arena, "%s.%s", o->where, key)
                       : rs_arena_strdup(o->arena, key);
}

rs_json_type rs_json_type_of(const rs_json *v)
{
    switch (json_typeof(v->node)) {
    case JSON_OBJECT:
        return RS_JSON_OBJECT;
    case JSON_ARRAY:
        return RS_JSON_ARRAY;
    case JSON_STRING:
        return RS_JSON_STRING;
    case JSON_INTEGER:
        return RS_JSON_INT;
    case JSON_REAL:
        return RS_JSON_REAL;
    case JSON_TRUE:
    case JSON_FALSE:
        return RS_JSON_BOOL;
    case JSON_NULL:
        break;
    }
    return RS_JSON_NULL;
}

const char *rs_json_type_name(rs_json_type t)
{
    static const char *const names[] = {
        [RS_JSON_NULL] = "null",        [RS_JSON_BOOL] = "true or false",
        [RS_JSON_INT] = "an integer",   [RS_JSON_REAL] = "a number",
        [RS_JSON_STRING] = "a string",  [RS_JSON_ARRAY] = "an array",
        [RS_JSON_OBJECT] = "an object",
    };
    return names[t];
}

const char *rs_json_file(const rs_json *v)
{
    return v->file;
}

const char *rs_json_where(const rs_json *v)
{
    return v->where;
}

bool rs_json_has(const rs_json *o, const char *key)
{
    json_t *node = json_object_get(o->node, key);
    return node && !json_is_null(node);
}

bool rs_json_is_null(const rs_json *o, const char *key)
{
    return json_is_null(json_object_get(o->node, key));
}

const rs_json *rs_json_find(const rs_json *o, const char *key)
{
    json_t *node = json_object_get(o->node, key);
    return node ? child(o, node, member_where(o, key)) : NULL;
}

int64_t rs_json_size(const rs_json *v)
{
    return json_is_object(v->node) ? (int64_t)json_object_size(v->node)
                                   : (int64_t)json_array_size(v->node);
}

const rs_json *rs_json_at(const rs_json *array, int64_t i)
{
    RS_ASSERT(json_is_array(array->node) && i >= 0 && i < rs_json_size(array));
    return child(array, json_array_get(array->node, (size_t)i),
                 rs_arena_printf(array->arena, "%s[%" PRId64 "]", array->where, i));
}

bool rs_json_next(const rs_json *o, rs_json_iter *it)
{
    it->at = it->at ? json_object_iter_next(o->node, it->at) : json_object_iter(o->node);
    if (!it->at)
        return false;
    it->key = json_object_iter_key(it->at);
    it->value = child(o, json_object_iter_value(it->at), member_where(o, it->key));
    return true;
}

static rs_status fail_type(const rs_json *v, const char *want)
{
    return RS_FAIL(FORMAT, "%s: %s%sexpected %s, found %s", v->file, v->where,
                   v->where[0] ? ": " : "", want, rs_json_type_name(rs_json_type_of(v)));
}

rs_status rs_json_as_i64(int64_t *out, const rs_json *v)
{
    if (!json_is_integer(v->node))
        return fail_type(v, "an integer");
    *out = (int64_t)json_integer_value(v->node);
    return RS_OK;
}

rs_status rs_json_as_f64(double *out, const rs_json *v)
{
    if (!json_is_number(v->node))
        return fail_type(v, "a number");
    *out = json_number_value(v->node);
    return RS_OK;
}

rs_status rs_json_as_bool(bool *out, const rs_json *v)
{
    if (!json_is_boolean(v->node))
        return fail_type(v, "true or false");
    *out = json_is_true(v->node);
    return RS_OK;
}

rs_status rs_json_as_string(const char **out, const rs_json *v)
{
    if (!json_is_string(v->node))
        return fail_type(v, "a string");
    *out = json_string_value(v->node);
    return RS_OK;
}

static rs_status require(const rs_json **out, const rs_json *o, const char *key)
{
    if (!json_is_object(o->node))
        return fail_type(o, "an object");
    *out = rs_json_find(o, key);
    if (!*out)
        return RS_FAIL(FORMAT, "%s: %s: missing", o->file, member_where(o, key));
    return RS_OK;
}

rs_status rs_json_i64(int64_t *out, const rs_json *o, const char *key)
{
    const rs_json *v = NULL;
    RS_TRY(require(&v, o, key));
    RS_TRY(rs_json_as_i64(out, v));
    return RS_OK;
}

rs_status rs_json_i64_in(int64_t *out, const rs_json *o, const char *key, int64_t lo, int64_t hi)
{
    int64_t i;
    RS_TRY(rs_json_i64(&i, o, key));
    if (i < lo || i > hi)
        return RS_FAIL(FORMAT, "%s: %s: %" PRId64 " is not in %" PRId64 "..%" PRId64, o->file,
                       member_where(o, key), i, lo, hi);
    *out = i;
    return RS_OK;
}

rs_status rs_json_f64(double *out, const rs_json *o, const char *key)
{
    const rs_json *v = NULL;
    RS_TRY(require(&v, o, key));
    RS_TRY(rs_json_as_f64(out, v));
    return RS_OK;
}

rs_status rs_json_bool(bool *out, const rs_json *o, const char *key)
{
    const rs_json *v = NULL;
    RS_TRY(require(&v, o, key));
    RS_TRY(rs_json_as_bool(out, v));
    return RS_OK;
}

rs_status rs_json_string(const char **out, const rs_json *o, const char *key)
{
    const rs_json *v = NULL;
    RS_TRY(require(&v, o, key));
    RS_TRY(rs_json_as_string(out, v));
    return RS_OK;
}

rs_status rs_json_object(const rs_json **out, const rs_json *o, const char *key)
{
    const rs_json *v = NULL;
    RS_TRY(require(&v, o, key));
    if (!json_is_object(v->node))
        return fail_type(v, "an object");
    *out = v;
    return RS_OK;
}

rs_status rs_json_array(const rs_json **out, const rs_json *o, const char *key)
{
    const rs_json *v = NULL;
    RS_TRY(require(&v, o, key));
    if (!json_is_array(v->node))
        return fail_type(v, "an array");
    *out = v;
    return RS_OK;
}

rs_status rs_json_i64_array(int64_t **out, int64_t *n, rs_arena *a, const rs_json *o,
                            const char *key)
{
    const rs_json *v = NULL;
    RS_TRY(rs_json_array(&v, o, key));
    int64_t count = rs_json_size(v);
    int64_t *values = count ? RS_NEW(a, int64_t, count) : NULL;
    for (int64_t i = 0; i < count; i++)
        RS_TRY(rs_json_as_i64(&values[i], rs_json_at(v, i)));
    *out = values;
    *n = count;
    return RS_OK;
}

rs_status rs_json_f64_array(double **out, int64_t *n, rs_arena *a, const rs_json *o,
                            const char *key)
{
    const rs_json *v = NULL;
    RS_TRY(rs_json_array(&v, o, key));
    int64_t count = rs_json_size(v);
    double *values = count ? RS_NEW(a, double, count) : NULL;
    for (int64_t i = 0; i < count; i++)
        RS_TRY(rs_json_as_f64(&values[i], rs_json_at(v, i)));
    *out = values;
    *n = count;
    return RS_OK;
}

/* A default applies to a missing or null member of an object, never to something that is no object.
 */
static bool use_default(const rs_json *o, const char *key)
{
    return json_is_object(o->node) && !rs_json_has(o, key);
}

rs_status rs_json_i64_or(int64_t *out, const rs_json *o, const char *key, int64_t def)
{
    *out = def;
    return use_default(o, key) ? RS_OK : rs_json_i64(out, o, key);
}

rs_status rs_json_i64_in_or(int64_t *out, const rs_json *o, const char *key, int64_t lo, int64_t hi,
                            int64_t def)
{
    *out = def;
    return use_default(o, key) ? RS_OK : rs_json_i64_in(out, o, key, lo, hi);
}

rs_status rs_json_f64_or(double *out, const rs_json *o, const char *key, double def)
{
    *out = def;
    return use_default(o, key) ? RS_OK : rs_json_f64(out, o, key);
}

rs_status rs_json_bool_or(bool *out, const rs_json *o, const char *key, bool def)
{
    *out = def;
    return use_default(o, key) ? RS_OK : rs_json_bool(out, o, key);
}

rs_status rs_json_string_or(const char **out, const rs_json *o, const char *key, const char *def)
{
    *out = def;
    return use_default(o, key) ? RS_OK : rs_json_string(out, o, key);
}
