/* The schema as a table of rows. Private to src/config. */
#ifndef RS_CONFIG_CONFIG_PRIV_H
#define RS_CONFIG_CONFIG_PRIV_H

#include <stddef.h>

#include "config/config.h"
#include "config/tree_priv.h"

typedef enum rs_cfg_kind {
    RS_CFG_INT,
    RS_CFG_NUM,
    RS_CFG_BOOL,
    RS_CFG_TEXT,
    RS_CFG_PATH,
    RS_CFG_ENUM,
    RS_CFG_LIST
} rs_cfg_kind;

typedef struct rs_cfg_word {
    const char *word;
    const char *doc;
} rs_cfg_word;

typedef struct rs_cfg_limit {
    int64_t imin, imax;
    double nmin, nmax;
    bool open;     /* nmin itself excluded */
    bool required; /* must not be empty */
    bool beside;   /* path relative to the YAML file's folder */
    const rs_cfg_word *words;
    int64_t n_words;
} rs_cfg_limit;

typedef struct rs_cfg_row {
    const char *section; /* "" at the top level */
    const char *key;
    const char *path; /* "clip.frames" */
    rs_cfg_kind kind;
    const char *def;
    const char *unit;
    const char *doc;
    size_t offset; /* in rs_config */
    rs_cfg_limit limit;
} rs_cfg_row;

/* What a configuration was read from, kept so that its arms can be read on top of it. Everything
 * lives in the configuration's arena. */
struct rs_cfg_origin {
    const rs_ynode *root; /* NULL: the file could not be read */
    const char *folder;
    const char *const *sets;
    int64_t n_sets;
    const rs_ynode *arms, *claims; /* NULL: not given */
};

/* Rows in file order; rows of one section are adjacent, the top level's come first. */
const rs_cfg_row *rs_cfg_rows(int64_t *n);
/* Sections in file order: name and doc; the top level is not among them. */
const rs_cfg_word *rs_cfg_sections(int64_t *n);
/* First row of a section ("" = top level) and how many there are; 0 if there is no such section. */
int64_t rs_cfg_section_rows(int64_t *first, const char *section);
const rs_cfg_row *rs_cfg_find_row(const char *path); /* NULL if unknown */
/* Words of a row as plain strings (arena-owned), NULL for kinds without words. */
const char *const *rs_cfg_row_words(rs_arena *a, const rs_cfg_row *row);

/* Parse a value into the row's field. node: from YAML; folder: where BESIDE paths start ("" =
 * current). */
bool rs_cfg_set_node(const rs_yctx *c, rs_config *cfg, const rs_cfg_row *row, const rs_ynode *node,
                     const char *folder);
/* The same from the text of a default or of `--set`: text, path and word rows take it literally,
 * the others parse it as YAML. */
bool rs_cfg_set_text(const rs_yctx *c, rs_config *cfg, const rs_cfg_row *row, const char *text);
/* Apply "a.b=v"; *where of the row is updated. False after adding a problem. */
bool rs_cfg_override(rs_arena *a, rs_problems *problems, rs_config *cfg, const char *set,
                     rs_where *where);
/* The row of a setting; NULL after adding a problem that suggests what may be meant. */
const rs_cfg_row *rs_cfg_need_row(rs_arena *a, rs_problems *problems, rs_where where,
                                  const char *path);
/* What `base` was read from, once more, with a mapping of settings to values on top ("motion.steps:
 * 0"; NULL: nothing). Problems of the mapping, called `path`, are added through `c`; what the rules
 * across settings find goes to `rules`, also where it is true of `base`. Never NULL; borrows
 * strings of `base`, which has to live longer. */
rs_config *rs_cfg_variant(const rs_yctx *c, const rs_config *base, const rs_ynode *set,
                          const char *path, rs_problems *rules);
/* Required settings, then rules across settings. where[i]: place of row i's value. */
void rs_cfg_check(const rs_config *cfg, rs_problems *problems, const rs_where *where);

/* Value of a row as canonical YAML text: shortest digits that read back equal, quoted strings. */
const char *rs_cfg_value_text(rs_arena *a, const rs_config *cfg, const rs_cfg_row *row,
                              bool absolute_paths);
/* A YAML double-quoted scalar (arena-owned). */
const char *rs_cfg_quote(rs_arena *a, const char *text);

#endif
