/* Golden cases: a JSON file of tests/golden/cases becomes a model directory and inputs by the fill
 * rule; `reshoot probe` runs; its outputs are held against the reference values. */
#ifndef RS_TESTS_GOLDEN_CASE_H
#define RS_TESTS_GOLDEN_CASE_H

#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/fsio.h"
#include "base/rng.h"
#include "base/str.h"
#include "harness/test.h"
#include "store/json.h"
#include "store/json_writer.h"
#include "store/safetensors.h"

typedef struct t_golden {
    const char *name;
    const char *model_dir, *in, *out;
    const rs_json *doc;
    rs_safetensors *want; /* NULL: the case has no safetensors */
} t_golden;

static inline const rs_json *t_member(const rs_json *o, const char *key)
{
    const rs_json *v = rs_json_find(o, key);
    T_CHECKF(v, "%s: %s: \"%s\" is missing", rs_json_file(o), rs_json_where(o), key);
    return v;
}

static inline rs_tensor t_shape(const rs_json *shape, rs_dtype type)
{
    int64_t dims[RS_MAX_DIM] = {0};
    int64_t n = rs_json_size(shape);
    T_CHECKF(n >= 1 && n <= RS_MAX_DIM, "%s: %s: bad shape", rs_json_file(shape),
             rs_json_where(shape));
    for (int64_t i = 0; i < n; i++)
        T_OK(rs_json_as_i64(&dims[i], rs_json_at(shape, i)));
    rs_tensor t = rs_tensor_of(NULL, type, (int)n, dims);
    t.data = rs_arena_alloc(t_arena(), (size_t)rs_tensor_count(t), rs_dtype_size(type));
    return t;
}

/* ---- model directory ---- */

static inline void t_copy_json(rs_jsonw *w, const char *key, const rs_json *v)
{
    bool flag;
    int64_t i;
    double f;
    const char *s;
    switch (rs_json_type_of(v)) {
    case RS_JSON_NULL:
        rs_jsonw_null(w, key);
        break;
    case RS_JSON_BOOL:
        T_OK(rs_json_as_bool(&flag, v));
        rs_jsonw_bool(w, key, flag);
        break;
    case RS_JSON_INT:
        T_OK(rs_json_as_i64(&i, v));
        rs_jsonw_i64(w, key, i);
        break;
    case RS_JSON_REAL:
        T_OK(rs_json_as_f64(&f, v));
        rs_jsonw_f64(w, key, f);
        break;
    case RS_JSON_STRING:
        T_OK(rs_json_as_string(&s, v));
        rs_jsonw_string(w, key, s);
        break;
    case RS_JSON_ARRAY:
        rs_jsonw_array(w, key);
        for (int64_t k = 0; k < rs_json_size(v); k++)
            t_copy_json(w, NULL, rs_json_at(v, k));
        rs_jsonw_end(w);
        break;
    case RS_JSON_OBJECT:
        rs_jsonw_object(w, key);
        for (rs_json_iter it = {0}; rs_json_next(v, &it);)
            t_copy_json(w, it.key, it.value);
        rs_jsonw_end(w);
        break;
    }
}

static inline void t_fill_weight(rs_tensor t, const char *name, const rs_json *rules)
{
    for (int64_t i = 0; i < rs_json_size(rules); i++) {
        const rs_json *rule = rs_json_at(rules, i);
        const char *glob;
        double scale, off;
        T_CHECKF(rs_json_size(rule) == 3, "%s: bad fill rule", rs_json_where(rule));
        T_OK(rs_json_as_string(&glob, rs_json_at(rule, 0)));
        T_OK(rs_json_as_f64(&scale, rs_json_at(rule, 1)));
        T_OK(rs_json_as_f64(&off, rs_json_at(rule, 2)));
        if (fnmatch(glob, name, 0) == 0) {
            rs_fill_rule(rs_f32(t), name, 0, rs_tensor_count(t), scale, off);
            return;
        }
    }
    T_CHECKF(false, "no fill rule for %s", name);
}

/* config.json and the weights that the real class has under this case's names. */
static inline void t_write_component(const t_golden *g, const char *key, const rs_json *config)
{
    rs_arena *a = t_arena();
    const char *dir = *key ? rs_path_join(a, g->model_dir, key) : g->model_dir;
    rs_jsonw *w = rs_jsonw_create(a, true);
    t_copy_json(w, NULL, config);
    const char *text = rs_jsonw_text(w);
    T_OK(rs_make_dirs(dir));
    T_OK(rs_write_file_atomic(rs_path_join(a, dir, "config.json"), text, strlen(text)));
    const rs_json *weights = rs_json_find(t_member(g->doc, "weights"), key);
    if (!weights)
        return; /* the scheduler has none */
    rs_tensor_list list = {0};
    const rs_json *rules = t_member(t_member(g->doc, "fill"), key);
    for (rs_json_iter it = {0}; rs_json_next(weights, &it);) {
        rs_tensor t = t_shape(it.value, RS_DTYPE_F32);
        t_fill_weight(t, it.key, rules);
        rs_tensor_list_add(&list, a, it.key, t);
    }
    T_CHECKF(list.n > 0, "%s: no weights for \"%s\"", g->name, key);
    bool tower = strcmp(key, "text_encoder") == 0 || strcmp(key, "image_encoder") == 0;
    const char *file = tower ? "model.safetensors" : "diffusion_pytorch_model.safetensors";
    T_OK(rs_safetensors_write(rs_path_join(a, dir, file), &list, NULL, 0));
}

/* ---- inputs ---- */

static inline void t_read_values(rs_tensor t, const rs_json *values)
{
    T_EQ_I(rs_json_size(values), rs_tensor_count(t));
    for (int64_t i = 0; i < rs_json_size(values); i++) {
        double v;
        T_OK(rs_json_as_f64(&v, rs_json_at(values, i)));
        if (t.dtype == RS_DTYPE_I32)
            ((int32_t *)t.data)[i] = (int32_t)v;
        else if (t.dtype == RS_DTYPE_U8)
            ((uint8_t *)t.data)[i] = (uint8_t)v;
        else
            rs_f32(t)[i] = (float)v;
    }
}

static inline void t_add_input(const t_golden *g, rs_tensor_list *list, const char *name,
                               const rs_json *v)
{
    const char *type = "F32", *text = NULL;
    rs_dtype dtype;
    T_OK(rs_json_string_or(&type, v, "dtype", "F32"));
    T_CHECK(rs_dtype_parse(&dtype, type, strlen(type)));
    rs_tensor t = t_shape(t_member(v, "shape"), dtype);
    if (rs_json_has(v, "fill")) {
        double scale, off;
        T_OK(rs_json_string(&text, v, "fill"));
        T_OK(rs_json_f64_or(&scale, v, "scale", 1.0));
        T_OK(rs_json_f64_or(&off, v, "off", 0.0));
        rs_fill_rule(rs_f32(t), text, 0, rs_tensor_count(t), scale, off);
    } else if (rs_json_has(v, "values")) {
        t_read_values(t, rs_json_find(v, "values"));
    } else {
        T_OK(rs_json_string(&text, v, "golden"));
        const rs_tensor *stored = g->want ? rs_safetensors_find(g->want, text) : NULL;
        T_CHECKF(stored && rs_tensor_same_shape(*stored, t), "%s: no stored input \"%s\"", g->name,
                 text);
        t = *stored;
    }
    rs_tensor_list_add(list, t_arena(), name, t);
}

static inline void t_write_inputs(const t_golden *g)
{
    rs_tensor_list list = {0};
    for (rs_json_iter it = {0}; rs_json_next(t_member(g->doc, "inputs"), &it);)
        t_add_input(g, &list, it.key, it.value);
    T_OK(rs_safetensors_write(g->in, &list, NULL, 0));
}

/* " --steps 6 --sampler euler" */
static inline const char *t_options(const t_golden *g)
{
    rs_strbuf s = rs_strbuf_on(t_arena());
    const rs_json *args = rs_json_find(g->doc, "args");
    for (rs_json_iter it = {0}; args && rs_json_next(args, &it);) {
        const char *text;
        double number;
        if (rs_json_type_of(it.value) == RS_JSON_STRING) {
            T_OK(rs_json_as_string(&text, it.value));
            rs_strbuf_printf(&s, " --%s %s", it.key, text);
        } else {
            T_OK(rs_json_as_f64(&number, it.value));
            rs_strbuf_printf(&s, " --%s %.17g", it.key, number);
        }
    }
    return s.len ? s.data : "";
}

/* ---- comparison: every function returns the error as a multiple of the tolerance ---- */

/* Sum, sum of squares and single elements, each against what an error of `tol` can do to it. */
static inline double t_digest_error(rs_tensor got, const rs_json *v, double tol)
{
    int64_t n = rs_tensor_count(got);
    double sum = 0, sumsq = 0, want_sum, want_sumsq, worst;
    for (int64_t i = 0; i < n; i++) {
        double x = (double)rs_f32(got)[i];
        sum += x;
        sumsq += x * x;
    }
    T_OK(rs_json_f64(&want_sum, v, "sum"));
    T_OK(rs_json_f64(&want_sumsq, v, "sumsq"));
    worst = fabs(sum - want_sum) / sqrt((double)n * want_sumsq);
    worst = fmax(worst, fabs(sumsq - want_sumsq) / (2.0 * want_sumsq));
    const rs_json *at = t_member(v, "at");
    for (int64_t i = 0; i < rs_json_size(at); i++) {
        const rs_json *pair = rs_json_at(at, i), *index = rs_json_at(pair, 0);
        int64_t flat = 0, k;
        double want;
        T_EQ_I(rs_json_size(index), got.ndim);
        for (int d = 0; d < got.ndim; d++) {
            T_OK(rs_json_as_i64(&k, rs_json_at(index, d)));
            T_CHECK(k >= 0 && k < got.shape[d]);
            flat = flat * got.shape[d] + k;
        }
        T_OK(rs_json_as_f64(&want, rs_json_at(pair, 1)));
        double off = fabs((double)rs_f32(got)[flat] - want);
        worst = fmax(worst, off / (10.0 * sqrt(want_sumsq / (double)n)));
    }
    return isfinite(sumsq) && rs_json_size(at) > 0 ? worst / tol : INFINITY;
}

static inline double t_tensor_error(const t_golden *g, rs_tensor got, const char *name, double tol)
{
    char have[RS_TENSOR_TEXT], need[RS_TENSOR_TEXT];
    const rs_tensor *want = g->want ? rs_safetensors_find(g->want, name) : NULL;
    T_CHECKF(want, "%s: no reference values for \"%s\"", g->name, name);
    T_CHECKF(rs_tensor_same_shape(*want, got), "%s: %s is %s, want %s", g->name, name,
             rs_tensor_text(have, got), rs_tensor_text(need, *want));
    return rs_rel_l2(rs_f32(got), rs_f32(*want), rs_tensor_count(got)) / tol;
}

/* Ids, as numbers. */
static inline rs_tensor t_as_f32(rs_tensor t)
{
    if (t.dtype != RS_DTYPE_I32)
        return t;
    rs_tensor out = rs_tensor_new(t_arena(), t.ndim, t.shape);
    for (int64_t i = 0; i < rs_tensor_count(t); i++)
        rs_f32(out)[i] = (float)((const int32_t *)t.data)[i];
    return out;
}

/* Prints the error of every output; returns the number of failed ones. */
static inline int t_compare(const t_golden *g)
{
    rs_safetensors *out = NULL;
    int failed = 0, n = 0;
    T_OK(rs_safetensors_open(&out, g->out));
    for (rs_json_iter it = {0}; rs_json_next(t_member(g->doc, "expect"), &it); n++) {
        const rs_tensor *found = rs_safetensors_find(out, it.key);
        rs_tensor got = found ? t_as_f32(*found) : (rs_tensor){0};
        double tol, error = INFINITY;
        T_OK(rs_json_f64(&tol, it.value, "tol"));
        T_CHECKF(rs_has(got) && got.dtype == RS_DTYPE_F32, "%s: no output \"%s\"", g->name, it.key);
        error = rs_json_has(it.value, "sum") ? t_digest_error(got, it.value, tol)
                                             : t_tensor_error(g, got, it.key, tol);
        bool ok = error <= 1.0;
        failed += !ok;
        printf("     %s %s: error %.2e, tolerance %.0e%s\n", g->name, it.key, error * tol, tol,
               ok ? "" : "  FAIL");
    }
    T_CHECKF(n > 0, "%s: nothing is expected", g->name);
    rs_safetensors_close(&out);
    return failed;
}

/* Runs one case in a folder of its own, which is removed; returns the number of failed outputs. */
static inline int t_run_case(const char *folder, const rs_json *doc, const char *name)
{
    rs_arena *a = t_arena();
    const char *dir = rs_path_join(a, t_tmpdir(), name);
    const char *stored = rs_arena_printf(a, "%s/%s.safetensors", folder, name);
    const char *component;
    char *text = NULL;
    t_golden g = {
        .name = name,
        .doc = doc,
        .model_dir = rs_path_join(a, dir, "model"),
        .in = rs_path_join(a, dir, "in.safetensors"),
        .out = rs_path_join(a, dir, "out.safetensors"),
    };
    T_OK(rs_json_string(&component, doc, "component"));
    T_OK(rs_make_dirs(g.model_dir));
    if (rs_path_exists(stored))
        T_OK(rs_safetensors_open(&g.want, stored));
    if (rs_json_has(doc, "model")) { /* one that is in the repository */
        const char *model;
        T_OK(rs_json_string(&model, doc, "model"));
        g.model_dir = rs_arena_printf(a, RS_SOURCE_DIR "/%s", model);
    } else {
        for (rs_json_iter it = {0}; rs_json_next(t_member(doc, "config"), &it);)
            t_write_component(&g, it.key, it.value);
    }
    t_write_inputs(&g);
    int rc = t_reshoot(&text, "probe %s --component %s --in %s --out %s%s", g.model_dir, component,
                       g.in, g.out, t_options(&g));
    T_CHECKF(rc == 0, "%s: probe exits with %d: %s", name, rc, text);
    int failed = t_compare(&g);
    rs_safetensors_close(&g.want);
    T_OK(rs_remove_tree(dir));
    return failed;
}

/* All cases of one component in a folder, with or without the label "long"; at least one. */
static inline void t_run_component(const char *folder, const char *component, bool is_long)
{
    rs_arena *a = t_arena();
    char **names;
    int64_t n;
    int ran = 0, failed = 0;
    T_OK(rs_list_dir(&names, &n, a, folder));
    for (int64_t i = 0; i < n; i++) {
        const char *dot = strrchr(names[i], '.'), *have = NULL, *label = NULL;
        if (!dot || strcmp(dot, ".json") != 0 || strcmp(names[i], "tokens.json") == 0)
            continue;
        rs_json *doc = NULL;
        T_OK(rs_json_load(&doc, rs_path_join(a, folder, names[i])));
        T_OK(rs_json_string(&have, doc, "component"));
        T_OK(rs_json_string_or(&label, doc, "label", ""));
        if (strcmp(have, component) == 0 && (strcmp(label, "long") == 0) == is_long) {
            rs_arena_mark mark = rs_arena_get_mark(a);
            failed +=
                t_run_case(folder, doc, rs_arena_strndup(a, names[i], (size_t)(dot - names[i])));
            rs_arena_release(a, mark);
            ran++;
        }
        rs_json_destroy(&doc);
    }
    T_CHECKF(ran > 0, "no golden case of component \"%s\"", component);
    T_CHECKF(failed == 0, "%d outputs of \"%s\" miss their reference", failed, component);
}

#endif
