/* Typed readers of YAML nodes, and the wording of what is wrong with them. */
#include <math.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "config/tree_priv.h"

enum { SHOWN_MAX = 48, ID_MAX = 64 };

bool rs_ynull(const rs_ynode *n)
{
    if (!n)
        return true;
    if (n->kind != RS_Y_SCALAR || !n->plain)
        return false;
    return n->bytes == 0 || strcmp(n->text, "~") == 0 || strcmp(n->text, "null") == 0;
}

/* At most SHOWN_MAX bytes, cut between characters. */
static const char *shown(const rs_yctx *c, const char *text)
{
    size_t n = strlen(text);
    if (n <= SHOWN_MAX)
        return text;
    n = SHOWN_MAX - 3;
    while (n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80)
        n--;
    return rs_arena_printf(c->arena, "%.*s...", (int)n, text);
}

const char *rs_ydescribe(const rs_yctx *c, const rs_ynode *n)
{
    if (rs_ynull(n))
        return "nothing";
    if (n->kind == RS_Y_LIST)
        return "a list";
    if (n->kind == RS_Y_MAP)
        return "a mapping";
    return rs_arena_printf(c->arena, n->plain || c->value ? "'%s'" : "\"%s\"", shown(c, n->text));
}

static bool expected(const rs_yctx *c, const rs_ynode *n, const char *path, const char *what)
{
    const char *quoted = n && n->kind == RS_Y_SCALAR && !n->plain ? " (in quotes)" : "";
    rs_problems_add(c->problems, rs_ywhere(c, n), path, "expected %s, found %s%s", what,
                    rs_ydescribe(c, n), quoted);
    return false;
}

bool rs_yread_text(const rs_yctx *c, const rs_ynode *n, const char *path, const char **out)
{
    if (n->kind != RS_Y_SCALAR)
        return expected(c, n, path, "text");
    if (rs_ynull(n))
        return expected(c, n, path, "text (\"\" for an empty one)");
    if (strlen(n->text) != n->bytes) {
        rs_problems_add(c->problems, rs_ywhere(c, n), path, "the text contains a zero byte");
        return false;
    }
    *out = n->text;
    return true;
}

bool rs_yread_id(const rs_yctx *c, const rs_ynode *n, const char *path, const char **out)
{
    static const char *const letters =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    const char *id;
    if (!rs_yread_text(c, n, path, &id))
        return false;
    size_t bytes = strlen(id);
    if (bytes == 0 || bytes > ID_MAX || strspn(id, letters) != bytes || strchr(".-", id[0])) {
        rs_problems_add(c->problems, rs_ywhere(c, n), path,
                        "%s is no id: 1 to %d letters, digits, '.', '_', '-', not starting with "
                        "'.' or '-'",
                        rs_ydescribe(c, n), ID_MAX);
        return false;
    }
    *out = id;
    return true;
}

bool rs_yread_int(const rs_yctx *c, const rs_ynode *n, const char *path, int64_t lo, int64_t hi,
                  int64_t *out)
{
    if (n->kind != RS_Y_SCALAR || !n->plain || n->bytes == 0)
        return expected(c, n, path, "an integer");
    const char *digits = n->text + (n->text[0] == '-' || n->text[0] == '+');
    if (*digits == 0 || strspn(digits, "0123456789") != strlen(digits))
        return expected(c, n, path, "an integer");
    errno = 0;
    intmax_t v = strtoimax(n->text, NULL, 10);
    if (errno == ERANGE || v < lo || v > hi) {
        if (hi == INT64_MAX)
            rs_problems_add(c->problems, rs_ywhere(c, n), path, "%s is out of range: at least %lld",
                            shown(c, n->text), (long long)lo);
        else
            rs_problems_add(c->problems, rs_ywhere(c, n), path, "%s is out of range %lld..%lld",
                            shown(c, n->text), (long long)lo, (long long)hi);
        return false;
    }
    *out = (int64_t)v;
    return true;
}

bool rs_yread_num(const rs_yctx *c, const rs_ynode *n, const char *path, double lo, double hi,
                  bool open, double *out)
{
    if (n->kind != RS_Y_SCALAR || !n->plain || n->bytes == 0 ||
        strspn(n->text, "0123456789+-.eE") != n->bytes)
        return expected(c, n, path, "a number");
    char *end;
    double v = strtod(n->text, &end);
    if (*end != 0)
        return expected(c, n, path, "a number");
    if (!isfinite(v) || v < lo || v > hi || (open && v <= lo)) {
        rs_problems_add(c->problems, rs_ywhere(c, n), path,
                        "%s is out of range: %s %g and at most %g", shown(c, n->text),
                        open ? "above" : "at least", lo, hi);
        return false;
    }
    *out = v;
    return true;
}

bool rs_yread_bool(const rs_yctx *c, const rs_ynode *n, const char *path, bool *out)
{
    bool yes = n->kind == RS_Y_SCALAR && n->plain && strcmp(n->text, "true") == 0;
    bool no = n->kind == RS_Y_SCALAR && n->plain && strcmp(n->text, "false") == 0;
    if (!yes && !no)
        return expected(c, n, path, "true or false");
    *out = yes;
    return true;
}

const char *rs_join_words(rs_arena *a, const char *const *words, int64_t n)
{
    rs_strbuf s = rs_strbuf_on(a);
    for (int64_t i = 0; i < n; i++)
        rs_strbuf_printf(&s, "%s%s", i ? ", " : "", words[i]);
    return s.data;
}

static void add_unknown_key(const rs_yctx *c, const rs_ynode *key, const char *path,
                            const char *const *names, int64_t n_names, rs_yhint_fn *hint)
{
    const char *near = hint ? hint(key->text) : NULL;
    if (!near)
        near = rs_nearest(key->text, names, n_names);
    if (strcmp(key->text, "<<") == 0)
        rs_problems_add(c->problems, rs_ywhere(c, key), path, "merge keys (<<) are not used here");
    else if (near)
        rs_problems_add(c->problems, rs_ywhere(c, key), path,
                        "unknown key '%s', did you mean '%s'?", shown(c, key->text), near);
    else
        rs_problems_add(c->problems, rs_ywhere(c, key), path, "unknown key '%s' (known: %s)",
                        shown(c, key->text), rs_join_words(c->arena, names, n_names));
}

static int64_t find_word(const char *word, const char *const *words, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (strcmp(word, words[i]) == 0)
            return i;
    return -1;
}

bool rs_ymap_pick(const rs_yctx *c, const rs_ynode *n, const char *path, const char *const *names,
                  int64_t n_names, const rs_ynode **values, rs_yhint_fn *hint)
{
    memset(values, 0, (size_t)n_names * sizeof *values);
    if (rs_ynull(n))
        return true;
    if (n->kind != RS_Y_MAP)
        return expected(c, n, path, "a mapping (key: value)");
    int64_t *lines = RS_NEW(c->arena, int64_t, n_names);
    for (int64_t i = 0; i < n->n; i++) {
        const rs_ynode *key = n->items[2 * i];
        if (key->kind != RS_Y_SCALAR) {
            rs_problems_add(c->problems, rs_ywhere(c, key), path, "a key must be a word, found %s",
                            rs_ydescribe(c, key));
            continue;
        }
        int64_t k = strlen(key->text) == key->bytes ? find_word(key->text, names, n_names) : -1;
        if (k < 0) {
            add_unknown_key(c, key, path, names, n_names, hint);
        } else if (values[k]) {
            rs_problems_add(c->problems, rs_ywhere(c, key), path,
                            "key '%s' is given twice, first in line %lld", names[k],
                            (long long)lines[k]);
        } else {
            values[k] = n->items[2 * i + 1];
            lines[k] = key->line;
        }
    }
    return true;
}
