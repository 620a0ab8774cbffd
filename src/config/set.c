/* One value into one field, from YAML, from a default, or from `--set`. */
#include <string.h>

#include "base/fsio.h"
#include "base/str.h"
#include "config/config_priv.h"

static void *field(rs_config *cfg, const rs_cfg_row *row)
{
    return (char *)cfg + row->offset;
}

static void store_path(const rs_yctx *c, rs_config *cfg, const rs_cfg_row *row, const char *text,
                       const char *folder)
{
    const char **out = field(cfg, row);
    *out = row->limit.beside && *text ? rs_path_join(c->arena, folder, text) : text;
}

/* Index of a word of the row, -1 after adding a problem. */
static int find_word(const rs_yctx *c, const rs_cfg_row *row, const rs_ynode *node,
                     const char *word)
{
    for (int64_t i = 0; i < row->limit.n_words; i++)
        if (strcmp(row->limit.words[i].word, word) == 0)
            return (int)i;
    const char *const *words = rs_cfg_row_words(c->arena, row);
    const char *list = rs_join_words(c->arena, words, row->limit.n_words);
    const char *near = rs_nearest(word, words, row->limit.n_words);
    if (near)
        rs_problems_add(c->problems, rs_ywhere(c, node), row->path,
                        "%s is not allowed, did you mean '%s'? (one of: %s)", rs_ydescribe(c, node),
                        near, list);
    else
        rs_problems_add(c->problems, rs_ywhere(c, node), row->path,
                        "%s is not allowed (one of: %s)", rs_ydescribe(c, node), list);
    return -1;
}

static bool set_word(const rs_yctx *c, rs_config *cfg, const rs_cfg_row *row, const rs_ynode *node)
{
    const char *text;
    if (!rs_yread_text(c, node, row->path, &text))
        return false;
    int v = find_word(c, row, node, text);
    if (v < 0)
        return false;
    _Static_assert(sizeof(rs_cfg_sampler) == sizeof v, "enum fields are ints");
    memcpy(field(cfg, row), &v, sizeof v);
    return true;
}

static bool set_list(const rs_yctx *c, rs_config *cfg, const rs_cfg_row *row, const rs_ynode *node)
{
    if (node->kind != RS_Y_LIST || node->n == 0) {
        rs_problems_add(c->problems, rs_ywhere(c, node), row->path,
                        "expected a list of words, found %s",
                        node->kind == RS_Y_LIST ? "an empty one" : rs_ydescribe(c, node));
        return false;
    }
    const char **items = RS_NEW(c->arena, const char *, row->limit.n_words);
    bool *seen = RS_NEW(c->arena, bool, row->limit.n_words);
    bool ok = true;
    int64_t n = 0;
    for (int64_t i = 0; i < node->n; i++) {
        const char *text;
        int word = -1;
        if (rs_yread_text(c, node->items[i], row->path, &text))
            word = find_word(c, row, node->items[i], text);
        if (word >= 0 && seen[word])
            rs_problems_add(c->problems, rs_ywhere(c, node->items[i]), row->path,
                            "'%s' is listed twice", text);
        ok = ok && word >= 0 && !seen[word];
        if (word < 0 || seen[word])
            continue;
        seen[word] = true;
        items[n++] = row->limit.words[word].word;
    }
    if (ok)
        *(rs_cfg_strings *)field(cfg, row) = (rs_cfg_strings){items, n};
    return ok;
}

bool rs_cfg_set_node(const rs_yctx *c, rs_config *cfg, const rs_cfg_row *row, const rs_ynode *node,
                     const char *folder)
{
    const rs_cfg_limit *l = &row->limit;
    const char *text;
    switch (row->kind) {
    case RS_CFG_INT:
        return rs_yread_int(c, node, row->path, l->imin, l->imax, field(cfg, row));
    case RS_CFG_NUM:
        return rs_yread_num(c, node, row->path, l->nmin, l->nmax, l->open, field(cfg, row));
    case RS_CFG_BOOL:
        return rs_yread_bool(c, node, row->path, field(cfg, row));
    case RS_CFG_TEXT:
        return rs_yread_text(c, node, row->path, field(cfg, row));
    case RS_CFG_PATH:
        if (!rs_yread_text(c, node, row->path, &text))
            return false;
        store_path(c, cfg, row, text, folder);
        return true;
    case RS_CFG_ENUM:
        return set_word(c, cfg, row, node);
    case RS_CFG_LIST:
        return set_list(c, cfg, row, node);
    }
    return false;
}

bool rs_cfg_set_text(const rs_yctx *c, rs_config *cfg, const rs_cfg_row *row, const char *text)
{
    const rs_ynode *node;
    if (row->kind == RS_CFG_TEXT || row->kind == RS_CFG_PATH || row->kind == RS_CFG_ENUM) {
        rs_ynode *word = RS_NEW(c->arena, rs_ynode, 1); /* a scalar without a place */
        word->bytes = strlen(text);
        word->text = rs_arena_strdup(c->arena, text);
        node = rs_ycheck_utf8(c, text, word->bytes) ? word : NULL;
    } else {
        node = rs_ytree_parse(c, text, strlen(text));
    }
    return node && rs_cfg_set_node(c, cfg, row, node, "");
}

static const char *hint_path(rs_arena *a, const char *path)
{
    int64_t n;
    const rs_cfg_row *rows = rs_cfg_rows(&n);
    const char **paths = RS_NEW(a, const char *, n);
    for (int64_t i = 0; i < n; i++) {
        paths[i] = rows[i].path;
        if (strcmp(rows[i].key, path) == 0) /* the section was left out */
            return rows[i].path;
    }
    return rs_nearest(path, paths, n);
}

const rs_cfg_row *rs_cfg_need_row(rs_arena *a, rs_problems *problems, rs_where where,
                                  const char *path)
{
    const rs_cfg_row *row = rs_cfg_find_row(path);
    if (row)
        return row;
    const char *near = hint_path(a, path);
    int64_t first;
    if (rs_cfg_section_rows(&first, path) > 0)
        rs_problems_add(problems, where, path, "a section; name one of its settings, e.g. %s",
                        rs_cfg_rows(&(int64_t){0})[first].path);
    else if (near)
        rs_problems_add(problems, where, path, "unknown setting, did you mean '%s'?", near);
    else
        rs_problems_add(problems, where, path, "unknown setting");
    return NULL;
}

bool rs_cfg_override(rs_arena *a, rs_problems *problems, rs_config *cfg, const char *set,
                     rs_where *where)
{
    const char *equals = strchr(set, '=');
    if (!equals || equals == set) {
        rs_yctx c = {a, problems, rs_arena_printf(a, "--set %s", set), true};
        rs_problems_add(problems, rs_ywhere(&c, NULL), NULL, "expected setting=value");
        return false;
    }
    const char *path = rs_arena_strndup(a, set, (size_t)(equals - set));
    rs_yctx c = {a, problems, rs_arena_printf(a, "--set %s", path), true};
    const rs_cfg_row *row = rs_cfg_need_row(a, problems, rs_ywhere(&c, NULL), path);
    if (!row)
        return false;
    int64_t n;
    where[row - rs_cfg_rows(&n)] = rs_ywhere(&c, NULL);
    return rs_cfg_set_text(&c, cfg, row, equals + 1);
}
