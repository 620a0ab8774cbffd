/* Tiny models for the tests of VAE, umT5 and CLIP: a component folder whose weights follow the fill
 * rule, under Diffusers or original names. */
#ifndef RS_TESTS_TOWERS_FIXTURE_H
#define RS_TESTS_TOWERS_FIXTURE_H

#include <fnmatch.h>
#include <string.h>

#include "base/fsio.h"
#include "base/rng.h"
#include "harness/test.h"
#include "model/layouts.h"
#include "store/safetensors.h"

typedef rs_status t_layout_fn(rs_layout *out, rs_arena *a, const rs_json *config, bool original);

typedef struct t_rule {
    const char *glob;
    double scale, off;
} t_rule;

typedef struct t_model {
    const char *folder; /* "vae" */
    const char *config; /* JSON text */
    t_layout_fn *layout;
    const t_rule *rules; /* the last one is "*" */
    const char *strip;   /* prefix of a name that the fill rule does not see, or NULL */
    const char *skip;    /* this tensor is left out, or NULL */
} t_model;

static inline rs_layout t_layout_of(const t_model *m)
{
    rs_json *config = NULL;
    rs_layout layout;
    T_OK(rs_json_parse(&config, m->config, strlen(m->config), "config.json"));
    T_OK(m->layout(&layout, t_arena(), config, false));
    rs_json_destroy(&config);
    return layout;
}

static inline void t_fill(float *dst, const t_rule *rules, const char *name, int64_t n)
{
    while (fnmatch(rules->glob, name, 0) != 0)
        rules++;
    rs_fill_rule(dst, name, 0, n, rules->scale, rules->off);
}

static inline void t_add_row(rs_tensor_list *out, const t_model *m, const rs_layout *l, int64_t i,
                             int block, bool original)
{
    char name[256];
    const rs_weight_row *row = &l->rows[i];
    int64_t shape[RS_MAX_DIM];
    memcpy(shape, row->shape, sizeof shape);
    if (original && row->original_rows[0] > 0)
        return; /* part of a tensor written already */
    if (original && row->original_rows[1] > 0) {
        for (int64_t k = i; k < l->n; k++)
            if (strcmp(l->rows[k].original, row->original) == 0)
                shape[0] = l->rows[k].original_rows[1];
    }
    rs_layout_name(name, sizeof name, row, block, original);
    if (m->skip && strcmp(m->skip, name) == 0)
        return;
    rs_tensor t = rs_tensor_new(t_arena(), row->ndim, shape);
    size_t strip =
        m->strip && strncmp(name, m->strip, strlen(m->strip)) == 0 ? strlen(m->strip) : 0;
    t_fill(rs_f32(t), m->rules, name + strip, rs_tensor_count(t));
    rs_tensor_list_add(out, t_arena(), name, t);
}

/* <case's folder>/<dir>/<component> with config.json and model.safetensors; returns <..>/<dir>. */
static inline const char *t_write_list(const t_model *m, const char *dir,
                                       const rs_tensor_list *list)
{
    const char *base = rs_path_join(t_arena(), t_tmpdir(), dir);
    const char *folder = rs_path_join(t_arena(), base, m->folder);
    T_OK(rs_make_dirs(folder));
    T_OK(rs_write_file_atomic(rs_path_join(t_arena(), folder, "config.json"), m->config,
                              strlen(m->config)));
    T_OK(rs_safetensors_write(rs_path_join(t_arena(), folder, "model.safetensors"), list, NULL, 0));
    return base;
}

static inline rs_tensor_list t_weights(const t_model *m, bool original)
{
    rs_layout l = t_layout_of(m);
    rs_tensor_list list = {0};
    for (int64_t i = 0; i < l.n; i++)
        for (int b = 0; b < (l.rows[i].block < 0 ? 1 : l.blocks); b++)
            t_add_row(&list, m, &l, i, b, original);
    return list;
}

static inline const char *t_write_model(const t_model *m, const char *dir, bool original)
{
    rs_tensor_list list = t_weights(m, original);
    return t_write_list(m, dir, &list);
}

/* Values rounded to bf16, stored as bf16 (in place of the fp32 ones) or as fp32. */
static inline void t_round(rs_tensor_list *list, rs_dtype type)
{
    for (int64_t i = 0; i < list->n; i++) {
        rs_tensor *t = &list->items[i].t;
        char *p = t->data;
        for (int64_t k = 0, n = rs_tensor_count(*t); k < n; k++) {
            float v;
            memcpy(&v, p + k * 4, sizeof v);
            uint16_t half = rs_bf16_from_f32(v);
            v = rs_f32_from_bf16(half);
            if (type == RS_DTYPE_BF16)
                memcpy(p + k * 2, &half, sizeof half);
            else
                memcpy(p + k * 4, &v, sizeof v);
        }
        t->dtype = type;
    }
}

static inline const char *t_write_half(const t_model *m, const char *dir)
{
    rs_tensor_list list = t_weights(m, false);
    t_round(&list, RS_DTYPE_BF16);
    return t_write_list(m, dir, &list);
}

static inline rs_tensor t_input(const char *name, double scale, int ndim, const int64_t *shape)
{
    rs_tensor t = rs_tensor_new(t_arena(), ndim, shape);
    rs_fill_rule(rs_f32(t), name, 0, rs_tensor_count(t), scale, 0.0);
    return t;
}

static inline double t_sum(rs_tensor t, int power)
{
    double s = 0.0;
    for (int64_t i = 0; i < rs_tensor_count(t); i++) {
        double v = (double)rs_f32(t)[i];
        s += power == 1 ? v : v * v;
    }
    return s;
}

static inline void t_same_bits(rs_tensor a, rs_tensor b)
{
    T_CHECK(rs_tensor_same_shape(a, b));
    T_CHECKF(memcmp(a.data, b.data, rs_tensor_bytes(a)) == 0, "bits differ");
}

#endif
