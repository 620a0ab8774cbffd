#include "text/clean.h"

#include <stdbool.h>
#include <string.h>

#include "text/utf8.h"

/* Python's str.isspace. */
static bool is_space(uint32_t c)
{
    return (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
           c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
           c == 0x202F || c == 0x205F || c == 0x3000;
}

/* What ftfy.remove_control_chars takes out. */
static bool is_removed(uint32_t c)
{
    return c <= 8 || c == 0x0B || (c >= 0x0E && c <= 0x1F) || c == 0x7F ||
           (c >= 0x206A && c <= 0x206F) || c == 0xFEFF || (c >= 0xFFF9 && c <= 0xFFFC);
}

static uint32_t straightened(uint32_t c)
{
    if (c == 0x02BC || (c >= 0x2018 && c <= 0x201B))
        return '\'';
    return c >= 0x201C && c <= 0x201F ? '"' : c;
}

static char *collapse(rs_arena *a, const char *text)
{
    char *result = rs_arena_alloc(a, strlen(text) + 1, 1), *out = result;
    bool gap = false;
    uint32_t c;
    for (int n; (n = rs_utf8_get(&c, text)) > 0; text += n) {
        if (is_removed(c))
            continue;
        if (is_space(c)) {
            gap = out != result;
            continue;
        }
        if (gap)
            *out++ = ' ';
        gap = false;
        out += rs_utf8_put(out, straightened(c));
    }
    *out = 0;
    return result;
}

rs_status rs_text_clean(char **out, rs_arena *a, const char *text)
{
    uint32_t c;
    int n;
    const char *s = text;
    while ((n = rs_utf8_get(&c, s)) > 0)
        s += n;
    if (n < 0)
        return RS_FAIL(INPUT, "text is not UTF-8 at byte %lld", (long long)(s - text));
    *out = collapse(a, rs_html_unescape(a, rs_html_unescape(a, text)));
    return RS_OK;
}
