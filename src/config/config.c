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

/* The top level holds its own rows and the sections. */
static void read_root(const rs_yctx *c, rs_config *cfg, const rs_ynode *root, const char *folder,
                      rs_where *where)
{
    int64_t n, n_sections, first = 0, n_top = rs_cfg_section_rows(&first, "");
    const rs_cfg_row *rows = rs_cfg_rows(&n);
    const rs_cfg_word *sections = rs_cfg_sections(&n_sections);
    const char **names = RS_NEW(c->arena, const char *, n_top + n_sections);
    const rs_ynode **values = RS_NEW(c->arena, const rs_ynode *, n_top + n_sections);
    for (int64_t i = 0; i < n_top; i++)
        names[i] = rows[first + i].key;
    for (int64_t i = 0; i < n_sections; i++)
        names[n_top + i] = sections[i].word;
    if (!rs_ymap_pick(c, root, NULL, names, n_top + n_sections, values, hint_elsewhere))
        return;
    for (int64_t i = 0; i < n_top; i++) {
        if (!values[i])
            continue;
        where[first + i] = rs_ywhere(c, values[i]);
        (void)rs_cfg_set_node(c, cfg, &rows[first + i], values[i], folder);
    }
    for (int64_t i = 0; i < n_sections; i++)
        if (values[n_top + i])
            read_section(c, cfg, sections[i].word, values[n_top + i], folder, where);
}

/* root NULL: the file could not be parsed, which is a problem already. */
static rs_status finish(rs_config **out, rs_config *cfg, const rs_yctx *c, const rs_ynode *root,
                        const char *folder, const char *const *sets, int64_t n_sets)
{
    int64_t n;
    (void)rs_cfg_rows(&n);
    rs_where *where = RS_NEW(c->arena, rs_where, n);
    for (int64_t i = 0; i < n; i++)
        where[i] = (rs_where){c->file, 1, 1};
    if (root && rs_ynull(root)) {
        rs_problems_add(c->problems, rs_ywhere(c, root), NULL, "the file is empty");
        root = NULL;
    }
    if (root)
        read_root(c, cfg, root, folder, where);
    for (int64_t i = 0; i < n_sets; i++)
        (void)rs_cfg_override(c->arena, c->problems, cfg, sets[i], where);
    if (root && root->kind == RS_Y_MAP)
        rs_cfg_check(cfg, c->problems, where);
    resolve(cfg);
    *out = cfg;
    return rs_problems_status(c->problems);
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
