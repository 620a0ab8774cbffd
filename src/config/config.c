#include "config/config.h"

#include <string.h>

#include "base/fsio.h"
#include "config/config_priv.h"

static void set_defaults(rs_config *cfg, rs_problems *problems)
{
    int64_t n;
    const rs_cfg_row *rows = rs_cfg_rows(&n);
    rs_yctx c = {cfg->arena, problems, "default", true};
    for (int64_t i = 0; i < n; i++)
        RS_ASSERTF(rs_cfg_set_text(&c, cfg, &rows[i], rows[i].def), "default of %s: %s",
                   rows[i].path, rs_problems_text(problems, 0));
}

static rs_config *create(rs_problems *problems)
{
    rs_config *cfg = rs_alloc(1, sizeof *cfg);
    cfg->arena = rs_arena_create();
    cfg->file = "";
    set_defaults(cfg, problems);
    return cfg;
}

void rs_config_destroy(rs_config **cfg)
{
    if (!cfg || !*cfg)
        return;
    rs_arena_destroy(&(*cfg)->arena);
    rs_dealloc(*cfg);
    *cfg = NULL;
}

/* Values that stand for another setting get that one's value, so that hashes and dumps are
 * effective. */
static void resolve(rs_config *cfg)
{
    if (cfg->edit.seed < 0)
        cfg->edit.seed = cfg->seed;
}

rs_config *rs_config_defaults(void)
{
    rs_problems *problems = rs_problems_create();
    rs_config *cfg = create(problems);
    rs_problems_destroy(&problems);
    resolve(cfg);
    return cfg;
}

/* A key that is unknown here but belongs to a section, or to the top level. */
static const char *hint_elsewhere(const char *key)
{
    int64_t n;
    const rs_cfg_row *rows = rs_cfg_rows(&n);
    for (int64_t i = 0; i < n; i++)
        if (strcmp(rows[i].key, key) == 0)
            return rows[i].path;
    return NULL;
}

static void read_section(const rs_yctx *c, rs_config *cfg, const char *section,
                         const rs_ynode *node, const char *folder, rs_where *where)
{
    int64_t n, first = 0, count = rs_cfg_section_rows(&first, section);
    const rs_cfg_row *rows = rs_cfg_rows(&n) + first;
    const char **names = RS_NEW(c->arena, const char *, count);
    const rs_ynode **values = RS_NEW(c->arena, const rs_ynode *, count);
    for (int64_t i = 0; i < count; i++)
        names[i] = rows[i].key;
    if (!rs_ymap_pick(c, node, section, names, count, values, hint_elsewhere))
        return;
    for (int64_t i = 0; i < count; i++) {
        if (!values[i])
            continue;
        where[first + i] = rs_ywhere(c, values[i]);
        (void)rs_cfg_set_node(c, cfg, &rows[i], values[i], folder); /* problems are collected */
    }
}

/* The top level holds its own rows, the sections, and what config/arms.h reads. */
static void read_root(const rs_yctx *c, rs_config *cfg, struct rs_cfg_origin *o, rs_where *where)
{
    int64_t n, n_sections, first = 0, n_top = rs_cfg_section_rows(&first, "");
    const rs_cfg_row *rows = rs_cfg_rows(&n);
    const rs_cfg_word *sections = rs_cfg_sections(&n_sections);
    int64_t n_keys = n_top + n_sections, n_names = n_keys + 2;
    const char **names = RS_NEW(c->arena, const char *, n_names);
    const rs_ynode **values = RS_NEW(c->arena, const rs_ynode *, n_names);
    for (int64_t i = 0; i < n_top; i++)
        names[i] = rows[first + i].key;
    for (int64_t i = 0; i < n_sections; i++)
        names[n_top + i] = sections[i].word;
    names[n_keys] = "arms";
    names[n_keys + 1] = "claims";
    if (!rs_ymap_pick(c, o->root, NULL, names, n_names, values, hint_elsewhere))
        return;
    for (int64_t i = 0; i < n_top; i++) {
        if (!values[i])
            continue;
        where[first + i] = rs_ywhere(c, values[i]);
        (void)rs_cfg_set_node(c, cfg, &rows[first + i], values[i], o->folder);
    }
    for (int64_t i = 0; i < n_sections; i++)
        if (values[n_top + i])
            read_section(c, cfg, sections[i].word, values[n_top + i], o->folder, where);
    o->arms = values[n_keys];
    o->claims = values[n_keys + 1];
}

/* File, then overrides; the place of every value. */
static rs_where *read_values(const rs_yctx *c, rs_config *cfg, struct rs_cfg_origin *o)
{
    int64_t n;
    (void)rs_cfg_rows(&n);
    rs_where *where = RS_NEW(c->arena, rs_where, n);
    for (int64_t i = 0; i < n; i++)
        where[i] = (rs_where){c->file, 1, 1};
    if (o->root)
        read_root(c, cfg, o, where);
    for (int64_t i = 0; i < o->n_sets; i++)
        (void)rs_cfg_override(c->arena, c->problems, cfg, o->sets[i], where);
    return where;
}

/* root NULL: the file could not be parsed, which is a problem already. */
static rs_status finish(rs_config **out, rs_config *cfg, const rs_yctx *c, const rs_ynode *root,
                        const char *folder, const char *const *sets, int64_t n_sets)
{
    if (root && rs_ynull(root)) {
        rs_problems_add(c->problems, rs_ywhere(c, root), NULL, "the file is empty");
        root = NULL;
    }
    const char **kept = RS_NEW(cfg->arena, const char *, n_sets);
    for (int64_t i = 0; i < n_sets; i++)
        kept[i] = rs_arena_strdup(cfg->arena, sets[i]);
    struct rs_cfg_origin *o = RS_NEW(cfg->arena, struct rs_cfg_origin, 1);
    *o = (struct rs_cfg_origin){.root = root,
                                .folder = rs_arena_strdup(cfg->arena, folder),
                                .sets = kept,
                                .n_sets = n_sets};
    const rs_where *where = read_values(c, cfg, o);
    if (root && root->kind == RS_Y_MAP)
        rs_cfg_check(cfg, c->problems, where);
    resolve(cfg);
    cfg->origin = o;
    *out = cfg;
    return rs_problems_status(c->problems);
}

/* Settings that belong to the whole experiment, whatever its arms. */
static bool is_common(const rs_cfg_row *row)
{
    static const char *const common[] = {"name",      "output",       "catalog", "model.precision",
                                         "model.fp8", "catalog_root", "memory",  "cluster",
                                         "log"};
    for (size_t i = 0; i < sizeof common / sizeof common[0]; i++)
        if (strcmp(row->path, common[i]) == 0 || strcmp(row->section, common[i]) == 0)
            return true;
    return false;
}

static void set_one(const rs_yctx *c, rs_config *cfg, const rs_ynode *key, const rs_ynode *value,
                    const char *path, rs_where *where, bool *seen)
{
    int64_t n;
    const rs_cfg_row *rows = rs_cfg_rows(&n), *row;
    rs_where at = rs_ywhere(c, key);
    if (key->kind != RS_Y_SCALAR) {
        rs_problems_add(c->problems, at, path, "a setting must be a word, found %s",
                        rs_ydescribe(c, key));
        return;
    }
    row = rs_cfg_need_row(c->arena, c->problems, at, key->text);
    if (!row)
        return;
    if (is_common(row))
        rs_problems_add(c->problems, at, row->path, "is common to all arms");
    else if (seen[row - rows])
        rs_problems_add(c->problems, at, row->path, "is set twice");
    else if (rs_cfg_set_node(c, cfg, row, value, cfg->origin->folder))
        where[row - rows] = rs_ywhere(c, value);
    seen[row - rows] = true;
}

rs_config *rs_cfg_variant(const rs_yctx *c, const rs_config *base, const rs_ynode *set,
                          const char *path, rs_problems *rules)
{
    int64_t n;
    (void)rs_cfg_rows(&n);
    rs_problems *known = rs_problems_create(); /* of the base itself */
    rs_config *cfg = create(known);
    struct rs_cfg_origin *o = RS_NEW(cfg->arena, struct rs_cfg_origin, 1);
    rs_yctx again = {cfg->arena, known, base->file, false};
    rs_yctx on_top = {cfg->arena, c->problems, base->file, false};
    *o = *base->origin;
    cfg->file = base->file;
    cfg->origin = o;
    rs_where *where = read_values(&again, cfg, o);
    bool *seen = RS_NEW(cfg->arena, bool, n);
    if (set && set->kind == RS_Y_MAP)
        for (int64_t i = 0; i < set->n; i++)
            set_one(&on_top, cfg, set->items[2 * i], set->items[2 * i + 1], path, where, seen);
    else if (!rs_ynull(set))
        rs_problems_add(c->problems, rs_ywhere(c, set), path,
                        "expected a mapping (setting: value), found %s", rs_ydescribe(c, set));
    rs_cfg_check(cfg, rules, where);
    resolve(cfg);
    rs_problems_destroy(&known);
    return cfg;
}

rs_status rs_config_load_all(rs_config **out, rs_problems *problems, const char *path,
                             const char *const *sets, int64_t n)
{
    *out = NULL;
    rs_config *cfg = create(problems);
    cfg->file = rs_arena_strdup(cfg->arena, path);
    rs_yctx c = {cfg->arena, problems, cfg->file, false};
    const char *folder = strchr(path, '/') ? rs_path_dirname(cfg->arena, path) : "";
    return finish(out, cfg, &c, rs_ytree_read(&c), folder, sets, n);
}

rs_status rs_config_load_text(rs_config **out, rs_problems *problems, const char *name,
                              const char *folder, const char *text, size_t bytes,
                              const char *const *sets, int64_t n)
{
    *out = NULL;
    rs_config *cfg = create(problems);
    cfg->file = rs_arena_strdup(cfg->arena, name);
    rs_yctx c = {cfg->arena, problems, cfg->file, false};
    rs_status st = finish(out, cfg, &c, rs_ytree_parse(&c, text, bytes), folder, sets, n);
    if (st != RS_OK)
        rs_config_destroy(out);
    return st;
}

rs_status rs_config_load(rs_config **out, const char *path, const char *const *sets, int64_t n)
{
    rs_problems *problems = rs_problems_create();
    rs_status st = rs_config_load_all(out, problems, path, sets, n);
    if (st != RS_OK)
        rs_config_destroy(out);
    rs_problems_destroy(&problems);
    return st;
}
