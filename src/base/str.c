#include "base/str.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

rs_strbuf rs_strbuf_on(rs_arena *a)
{
    return (rs_strbuf){.arena = a, .data = rs_arena_strdup(a, "")};
}

void rs_strbuf_add(rs_strbuf *s, const char *text, size_t n)
{
    s->data = rs_arena_grow(s->arena, s->data, &s->cap, s->len + n + 1, 1);
    memcpy(s->data + s->len, text, n);
    s->len += n;
    s->data[s->len] = 0;
}

void rs_strbuf_printf(rs_strbuf *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    RS_ASSERT(n >= 0);
    s->data = rs_arena_grow(s->arena, s->data, &s->cap, s->len + (size_t)n + 1, 1);
    va_start(ap, fmt);
    vsnprintf(s->data + s->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    s->len += (size_t)n;
}

bool rs_parse_i64(int64_t *out, const char *s)
{
    char *end;
    if (!((*s >= '0' && *s <= '9') || ((*s == '-' || *s == '+') && s[1] >= '0' && s[1] <= '9')))
        return false;
    errno = 0;
    long long v = strtoll(s, &end, 10);
    if (errno || *end)
        return false;
    *out = v;
    return true;
}

bool rs_parse_f64(double *out, const char *s)
{
    char *end;
    if (!*s || strchr(" \t\n", *s))
        return false;
    errno = 0;
    double v = strtod(s, &end);
    if (*end || !isfinite(v) || strchr(s, 'x') || strchr(s, 'X'))
        return false;
    *out = v;
    return true;
}

int rs_edit_distance(const char *a, const char *b)
{
    enum { MAX = 64 };
    int row[MAX + 1];
    size_t na = strnlen(a, MAX), nb = strnlen(b, MAX);
    for (size_t j = 0; j <= nb; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= na; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= nb; j++) {
            int best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[nb];
}

const char *rs_nearest(const char *name, const char *const *candidates, int64_t n)
{
    const char *best = NULL;
    int limit = (int)strlen(name) / 3;
    int least = (limit < 2 ? 2 : limit) + 1;
    for (int64_t i = 0; i < n; i++) {
        int d = rs_edit_distance(name, candidates[i]);
        if (d < least) {
            least = d;
            best = candidates[i];
        }
    }
    return best;
}
