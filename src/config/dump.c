/* Effective configuration as canonical YAML, and its content hash. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fsio.h"
#include "base/str.h"
#include "config/config_priv.h"

const char *rs_cfg_quote(rs_arena *a, const char *text)
{
    char *out = rs_arena_alloc(a, 4 * strlen(text) + 3, 1);
    char *w = out;
    *w++ = '"';
    for (const char *p = text; *p; p++) {
        unsigned char ch = (unsigned char)*p;
        if (ch == '"' || ch == '\\') {
            *w++ = '\\';
            *w++ = (char)ch;
        } else if (ch < 0x20 || ch == 0x7f) {
            w += snprintf(w, 5, "\\x%02X", ch);
        } else {
            *w++ = (char)ch;
        }
    }
    *w++ = '"';
    *w = 0;
    return out;
}

/* Shortest decimal text that reads back to the same double. */
static const char *number_text(rs_arena *a, double v)
{
    char text[40];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    return rs_arena_strdup(a, text);
}

static const char *absolute(rs_arena *a, const char *path)
{
    char folder[4096];
    if (*path == 0 || *path == '/' || !getcwd(folder, sizeof folder))
        return path;
    return rs_path_join(a, folder, path);
}

const char *rs_cfg_value_text(rs_arena *a, const rs_config *cfg, const rs_cfg_row *row,
                              bool absolute_paths)
{
    const void *field = (const char *)cfg + row->offset;
    const char *text;
    int word;
    switch (row->kind) {
    case RS_CFG_INT:
        return rs_arena_printf(a, "%lld", (long long)*(const int64_t *)field);
    case RS_CFG_NUM:
        return number_text(a, *(const double *)field);
    case RS_CFG_BOOL:
        return *(const bool *)field ? "true" : "false";
    case RS_CFG_TEXT:
        return rs_cfg_quote(a, *(const char *const *)field);
    case RS_CFG_PATH:
        text = *(const char *const *)field;
        return rs_cfg_quote(a, absolute_paths ? absolute(a, text) : text);
    case RS_CFG_ENUM:
        memcpy(&word, field, sizeof word);
        return row->limit.words[word].word;
    case RS_CFG_LIST: {
        const rs_cfg_strings *list = field;
        return rs_arena_printf(a, "[%s]", rs_join_words(a, list->items, list->n));
    }
    }
    return "";
}

char *rs_config_dump(rs_arena *a, const rs_config *cfg)
{
    int64_t n;
    const rs_cfg_row *rows = rs_cfg_rows(&n);
    rs_strbuf out = rs_strbuf_on(a);
    const char *section = "";
    for (int64_t i = 0; i < n; i++) {
        if (strcmp(rows[i].section, section) != 0)
            rs_strbuf_printf(&out, "%s:\n", rows[i].section);
        section = rows[i].section;
        rs_strbuf_printf(&out, "%s%s: %s\n", *section ? "  " : "", rows[i].key,
                         rs_cfg_value_text(a, cfg, &rows[i], true));
    }
    return out.data;
}

void rs_config_hash_section(rs_hash *h, const rs_config *cfg, const char *path)
{
    int64_t n, found = 0;
    const rs_cfg_row *rows = rs_cfg_rows(&n);
    rs_arena *a = rs_arena_create();
    for (int64_t i = 0; i < n; i++) {
        bool section = *path && strcmp(rows[i].section, path) == 0;
        if (*path && !section && strcmp(rows[i].path, path) != 0)
            continue;
        rs_hash_string(h, rows[i].path);
        rs_hash_string(h, rs_cfg_value_text(a, cfg, &rows[i], false));
        found++;
    }
    rs_arena_destroy(&a);
    RS_ASSERTF(found > 0, "no setting or section '%s'", path);
}
