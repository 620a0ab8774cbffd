#include "store/json_writer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

enum { DEPTH_MAX = 32 };

struct rs_jsonw {
    rs_strbuf text;
    bool indent;
    int depth;
    char kind[DEPTH_MAX]; /* '{' or '[' of the open levels */
    bool any[DEPTH_MAX];  /* the level has a member already */
    bool done;            /* the root value is complete */
};

rs_jsonw *rs_jsonw_create(rs_arena *a, bool indent)
{
    rs_jsonw *w = RS_NEW(a, rs_jsonw, 1);
    w->text = rs_strbuf_on(a);
    w->indent = indent;
    return w;
}

static void put(rs_jsonw *w, const char *s, size_t n)
{
    rs_strbuf_add(&w->text, s, n);
}

static void puts_(rs_jsonw *w, const char *s)
{
    put(w, s, strlen(s));
}

static void newline(rs_jsonw *w)
{
    if (!w->indent)
        return;
    puts_(w, "\n");
    for (int i = 0; i < w->depth; i++)
        puts_(w, "  ");
}

/* Bytes of the UTF-8 character at s, 0 if it is none (overlong forms and surrogates included). */
static size_t utf8_length(const unsigned char *s)
{
    if (s[0] < 0x80)
        return 1;
    size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    bool bad = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
               (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f);
    return bad ? 0 : n;
}

static void put_quoted(rs_jsonw *w, const char *s)
{
    puts_(w, "\"");
    for (const unsigned char *p = (const unsigned char *)s; *p;) {
        char escaped[8];
        size_t n = utf8_length(p);
        if (n == 0) {
            puts_(w, "\xef\xbf\xbd");
            p++;
        } else if (*p == '"' || *p == '\\') {
            put(w, (char[2]){'\\', (char)*p++}, 2);
        } else if (*p == '\n') {
            puts_(w, "\\n");
            p++;
        } else if (*p < 0x20) {
            snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)*p++);
            puts_(w, escaped);
        } else {
            put(w, (const char *)p, n);
            p += n;
        }
    }
    puts_(w, "\"");
}

static void begin_value(rs_jsonw *w, const char *key)
{
    RS_ASSERTF(!w->done, "JSON text is already complete");
    bool in_object = w->depth > 0 && w->kind[w->depth - 1] == '{';
    RS_ASSERTF(in_object == (key != NULL), "JSON key %s here", key ? "not allowed" : "needed");
    if (w->depth == 0)
        return;
    if (w->any[w->depth - 1])
        puts_(w, w->indent ? "," : ", ");
    w->any[w->depth - 1] = true;
    newline(w);
    if (key) {
        put_quoted(w, key);
        puts_(w, ": ");
    }
}

static void end_value(rs_jsonw *w)
{
    w->done = w->depth == 0;
}

static void open_level(rs_jsonw *w, const char *key, char kind)
{
    begin_value(w, key);
    RS_ASSERTF(w->depth < DEPTH_MAX, "JSON nested deeper than %d", DEPTH_MAX);
    put(w, &kind, 1);
    w->kind[w->depth] = kind;
    w->any[w->depth] = false;
    w->depth++;
}

void rs_jsonw_object(rs_jsonw *w, const char *key)
{
    open_level(w, key, '{');
}

void rs_jsonw_array(rs_jsonw *w, const char *key)
{
    open_level(w, key, '[');
}

void rs_jsonw_end(rs_jsonw *w)
{
    RS_ASSERTF(w->depth > 0, "no JSON object or array is open");
    w->depth--;
    if (w->any[w->depth])
        newline(w);
    puts_(w, w->kind[w->depth] == '{' ? "}" : "]");
    end_value(w);
}

static void put_value(rs_jsonw *w, const char *key, const char *text)
{
    begin_value(w, key);
    puts_(w, text);
    end_value(w);
}

void rs_jsonw_i64(rs_jsonw *w, const char *key, int64_t v)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, v);
    put_value(w, key, text);
}

void rs_jsonw_f64(rs_jsonw *w, const char *key, double v)
{
    char text[40];
    if (!isfinite(v)) {
        put_value(w, key, "null");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    if (!strpbrk(text, ".e")) /* stays a real number for typed readers */
        memcpy(text + strlen(text), ".0", 3);
    put_value(w, key, text);
}

void rs_jsonw_bool(rs_jsonw *w, const char *key, bool v)
{
    put_value(w, key, v ? "true" : "false");
}

void rs_jsonw_null(rs_jsonw *w, const char *key)
{
    put_value(w, key, "null");
}

void rs_jsonw_string(rs_jsonw *w, const char *key, const char *v)
{
    if (!v) {
        rs_jsonw_null(w, key);
        return;
    }
    begin_value(w, key);
    put_quoted(w, v);
    end_value(w);
}

const char *rs_jsonw_text(rs_jsonw *w)
{
    RS_ASSERTF(w->done, "JSON text is not complete");
    return w->text.data;
}
