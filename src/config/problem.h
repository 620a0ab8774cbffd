/* Problems found in configuration files: all of them in one pass, each with its place. */
#ifndef RS_CONFIG_PROBLEM_H
#define RS_CONFIG_PROBLEM_H

#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

/* A place in a file. line and col count from 1 (col in characters); line 0: no line (e.g. `--set
 * a.b`). */
typedef struct rs_where {
    const char *file;
    int64_t line;
    int64_t col;
} rs_where;

typedef struct rs_problems rs_problems;

rs_problems *rs_problems_create(void);
void rs_problems_destroy(rs_problems **p); /* accepts NULL, nulls the pointer */
/* Add "file:line:col: path: message" (parts that are missing are left out). `path` is the setting,
 * may be NULL. After 200 problems further ones are only counted. */
void rs_problems_add(rs_problems *p, rs_where where, const char *path, const char *fmt, ...)
    RS_PRINTF(4, 5);
/* The same at a place given as text, "file:line:col" or "file", as catalogs keep it. */
void rs_problems_add_at(rs_problems *p, const char *where, const char *fmt, ...) RS_PRINTF(3, 4);
int64_t rs_problems_count(const rs_problems *p);
/* Line i of the report, i < min(count, 200), in the order file by file, then line and column.
 * Borrowed from p, valid until the next add. */
const char *rs_problems_text(rs_problems *p, int64_t i);
int64_t rs_problems_kept(const rs_problems *p);
/* RS_OK when there are none; else RS_CONFIG with the first as error record, plus " (+N more)". */
rs_status rs_problems_status(rs_problems *p) RS_NODISCARD;

/* "file:line:col" (arena-owned). */
const char *rs_where_text(rs_arena *a, rs_where where);

#endif
