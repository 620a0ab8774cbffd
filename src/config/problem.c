#include "config/problem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

enum { KEPT_MAX = 200, MESSAGE_MAX = 900 };

typedef struct problem {
    rs_where where;
    int64_t file_order; /* files in order of their first problem */
    int64_t order;      /* order of adding: keeps the sort stable */
    const char *text;
} problem;

struct rs_problems {
    rs_arena *arena;
    problem *items;
    size_t cap;
    int64_t kept;
    int64_t count;
    bool sorted;
};

rs_problems *rs_problems_create(void)
{
    rs_problems *p = rs_alloc(1, sizeof *p);
    p->arena = rs_arena_create();
    return p;
}

void rs_problems_destroy(rs_problems **p)
{
    if (!p || !*p)
        return;
    rs_arena_destroy(&(*p)->arena);
    rs_dealloc(*p);
    *p = NULL;
}

const char *rs_where_text(rs_arena *a, rs_where where)
{
    if (where.line <= 0)
        return rs_arena_strdup(a, where.file);
    return rs_arena_printf(a, "%s:%lld:%lld", where.file, (long long)where.line,
                           (long long)where.col);
}

static int64_t file_order(const rs_problems *p, const char *file)
{
    for (int64_t i = 0; i < p->kept; i++)
        if (strcmp(p->items[i].where.file, file) == 0)
            return p->items[i].file_order;
    return p->kept;
}

static bool ends_with(const char *text, const char *tail)
{
    size_t n = strlen(text), m = strlen(tail);
    return n >= m && strcmp(text + n - m, tail) == 0;
}

static void add(rs_problems *p, rs_where where, const char *path, const char *fmt, va_list ap)
{
    p->count++;
    if (p->kept == KEPT_MAX)
        return;
    char message[MESSAGE_MAX];
    vsnprintf(message, sizeof message, fmt, ap);
    if (!path || ends_with(where.file, path)) /* "--set motion.steps" says it already */
        path = "";
    char *text = rs_arena_printf(p->arena, "%s: %s%s%s", rs_where_text(p->arena, where), path,
                                 *path ? ": " : "", message);
    for (char *c = text; *c; c++) /* one line, whatever the file contains */
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
    p->items = rs_arena_grow(p->arena, p->items, &p->cap, (size_t)p->kept + 1, sizeof *p->items);
    where.file = rs_arena_strdup(p->arena, where.file);
    p->items[p->kept] = (problem){where, file_order(p, where.file), p->count, text};
    p->kept++;
    p->sorted = false;
}

void rs_problems_add(rs_problems *p, rs_where where, const char *path, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add(p, where, path, fmt, ap);
    va_end(ap);
}

/* The digits behind the last colon of `text`, which is cut there; 0 where there are none. */
static int64_t cut_number(char *text)
{
    char *colon = strrchr(text, ':');
    int64_t v;
    if (!colon || !rs_parse_i64(&v, colon + 1) || v < 1)
        return 0;
    *colon = 0;
    return v;
}

void rs_problems_add_at(rs_problems *p, const char *where, const char *fmt, ...)
{
    char *file = rs_arena_strdup(p->arena, where);
    int64_t col = cut_number(file), line = col ? cut_number(file) : 0;
    va_list ap;
    va_start(ap, fmt);
    add(p, line ? (rs_where){file, line, col} : (rs_where){where, 0, 0}, NULL, fmt, ap);
    va_end(ap);
}

int64_t rs_problems_count(const rs_problems *p)
{
    return p->count;
}

int64_t rs_problems_kept(const rs_problems *p)
{
    return p->kept;
}

static int compare(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int compare_problems(const void *a, const void *b)
{
    const problem *x = a, *y = b;
    int c = compare(x->file_order, y->file_order);
    if (c == 0)
        c = compare(x->where.line, y->where.line);
    if (c == 0)
        c = compare(x->where.col, y->where.col);
    return c ? c : compare(x->order, y->order);
}

const char *rs_problems_text(rs_problems *p, int64_t i)
{
    RS_ASSERT(i >= 0 && i < p->kept);
    if (!p->sorted)
        qsort(p->items, (size_t)p->kept, sizeof *p->items, compare_problems);
    p->sorted = true;
    return p->items[i].text;
}

rs_status rs_problems_status(rs_problems *p)
{
    if (p->count == 0)
        return RS_OK;
    const char *first = rs_problems_text(p, 0);
    if (p->count == 1)
        return RS_FAIL(CONFIG, "%s", first);
    return RS_FAIL(CONFIG, "%s (+%lld more)", first, (long long)(p->count - 1));
}
