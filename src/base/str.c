#include "base/str.h"

#include <errno.h>
#include <limits.h>
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

char *rs_bytes_text(rs_arena *a, int64_t bytes)
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB"};
    double v = (double)bytes;
    int u = 0;
    for (; v >= 1000 && u < 4; u++)
        v /= 1000;
    return rs_arena_printf(a, u ? "%.1f %s" : "%.0f %s", v, units[u]);
}

char *rs_f64_text(rs_arena *a, double v)
{
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    return rs_arena_strdup(a, text);
}

char *rs_seconds_text(rs_arena *a, double seconds)
{
    if (!isfinite(seconds) || fabs(seconds) > 1e15)
        return rs_arena_strdup(a, "-");
    if (seconds < 9.995)
        return rs_arena_printf(a, "%.2f s", seconds);
    long long s = llround(seconds), minutes = s / 60;
    if (s < 60)
        return rs_arena_printf(a, "%lld s", s);
    if (minutes < 60)
        return rs_arena_printf(a, "%lld min %02lld s", minutes, s % 60);
    if (minutes < 24 * 60)
        return rs_arena_printf(a, "%lld h %02lld min", minutes / 60, minutes % 60);
    return rs_arena_printf(a, "%lld d %02lld h", minutes / 1440, minutes / 60 % 24);
}

int rs_edit_distance(const char *a, const char *b)
{
    enum { WORD_MAX = 40 };
    size_t n = strlen(a), m = strlen(b);
    if (n > WORD_MAX || m > WORD_MAX)
        return INT_MAX;
    int d[WORD_MAX + 1][WORD_MAX + 1];
    for (size_t i = 0; i <= n; i++)
        d[i][0] = (int)i;
    for (size_t j = 0; j <= m; j++)
        d[0][j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        for (size_t j = 1; j <= m; j++) {
            int best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (d[i - 1][j] + 1 < best)
                best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best)
                best = d[i][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                d[i - 2][j - 2] + 1 < best)
                best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    }
    return d[n][m];
}

const char *rs_nearest(const char *name, const char *const *candidates, int64_t n)
{
    const char *best = NULL;
    int below = (int)(strlen(name) / 3) + 2; /* more is another word, not a slip */
    for (int64_t i = 0; i < n; i++) {
        int distance = rs_edit_distance(name, candidates[i]);
        if (distance < below && distance < (int)strlen(candidates[i])) {
            best = candidates[i];
            below = distance;
        }
    }
    return best;
}
