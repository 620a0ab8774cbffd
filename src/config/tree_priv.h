/* YAML text as a plain tree with places, and typed readers that report problems. Private to
 * src/config; tree.c is the only file that knows libyaml. */
#ifndef RS_CONFIG_TREE_PRIV_H
#define RS_CONFIG_TREE_PRIV_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "config/problem.h"

typedef enum rs_ykind { RS_Y_SCALAR, RS_Y_LIST, RS_Y_MAP } rs_ykind;

/* Aliases share nodes (a node may even contain itself), so walk only as deep as a schema goes. */
typedef struct rs_ynode {
    rs_ykind kind;
    bool plain;        /* scalar without quotes */
    int64_t line, col; /* from 1; line 0: not from a file */
    const char *text;  /* scalar: zero-terminated */
    size_t bytes;      /* scalar: may contain zero bytes when larger than strlen(text) */
    int64_t n;         /* list: items; map: pairs */
    const struct rs_ynode **items; /* list: n; map: key and value alternating, 2n */
} rs_ynode;

/* Where values are read from and problems go to. */
typedef struct rs_yctx {
    rs_arena *arena; /* owns nodes and texts */
    rs_problems *problems;
    const char *file; /* shown in messages */
    bool value;       /* the text is one value of `--set`, not a file: no lines and columns */
} rs_yctx;

/* False after adding a problem that names the byte. */
bool rs_ycheck_utf8(const rs_yctx *c, const char *text, size_t bytes);
/* The root of the only document; NULL after adding a problem. */
const rs_ynode *rs_ytree_parse(const rs_yctx *c, const char *text, size_t bytes);
/* Read and parse a whole file (c->file). */
const rs_ynode *rs_ytree_read(const rs_yctx *c);

rs_where rs_ywhere(const rs_yctx *c, const rs_ynode *n); /* n NULL: the file as a whole */
bool rs_ynull(const rs_ynode *n);                        /* nothing, ~ or null */
/* "a list", "'abc'", "nothing": for messages (arena-owned). */
const char *rs_ydescribe(const rs_yctx *c, const rs_ynode *n);

/* Find the values of known keys: values[i] = node under names[i] or NULL. Reports wrong type,
 * unknown, repeated and odd keys; false if `n` is no mapping (nothing at all is an empty mapping).
 * `hint` may return a better suggestion for an unknown key, or NULL. */
typedef const char *rs_yhint_fn(const char *key);
bool rs_ymap_pick(const rs_yctx *c, const rs_ynode *n, const char *path, const char *const *names,
                  int64_t n_names, const rs_ynode **values, rs_yhint_fn *hint);

/* Typed values; false after adding a problem. Bounds are inclusive. */
bool rs_yread_text(const rs_yctx *c, const rs_ynode *n, const char *path, const char **out);
/* A name that is also one of a file: letters, digits and . _ - */
bool rs_yread_id(const rs_yctx *c, const rs_ynode *n, const char *path, const char **out);
bool rs_yread_int(const rs_yctx *c, const rs_ynode *n, const char *path, int64_t lo, int64_t hi,
                  int64_t *out);
/* open: lo itself is excluded */
bool rs_yread_num(const rs_yctx *c, const rs_ynode *n, const char *path, double lo, double hi,
                  bool open, double *out);
bool rs_yread_bool(const rs_yctx *c, const rs_ynode *n, const char *path, bool *out);

/* "a, b, c" (arena-owned). */
const char *rs_join_words(rs_arena *a, const char *const *words, int64_t n);

#endif
