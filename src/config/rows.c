/* schema.h as tables. */
#include <string.h>

#include "config/config_priv.h"

/* clang-format off */
#define WORD(name, word, doc) {word, doc},
#define WORD_TABLE(list)                                                                           \
    static const rs_cfg_word k_words_##list[] = {RS_CFG_ENUM_##list(WORD)};
/* clang-format on */
RS_CFG_ENUMS(WORD_TABLE)

#define COUNT(array) (int64_t)(sizeof(array) / sizeof((array)[0]))

#define WORD_TEXT(list)                                                                            \
    const char *rs_cfg_##list##_text(rs_cfg_##list v)                                              \
    {                                                                                              \
        RS_ASSERT((int64_t)v < COUNT(k_words_##list));                                             \
        return k_words_##list[v].word;                                                             \
    }
RS_CFG_ENUMS(WORD_TEXT)

/* clang-format off */
#define LIMIT_RANGE(lo, hi)                                                                        \
    {.imin = (int64_t)(lo), .imax = (int64_t)(hi), .nmin = (double)(lo), .nmax = (double)(hi)}
#define LIMIT_ABOVE(lo, hi)    {.nmin = (double)(lo), .nmax = (double)(hi), .open = true}
#define LIMIT_ANY              {.required = false}
#define LIMIT_REQUIRED         {.required = true}
#define LIMIT_BESIDE           {.beside = true}
#define LIMIT_BESIDE_REQUIRED  {.beside = true, .required = true}
#define LIMIT_CURRENT_REQUIRED {.required = true}
#define LIMIT_WORDS(list)      {.words = k_words_##list, .n_words = COUNT(k_words_##list)}
/* clang-format on */

#define LIMIT_OF_INT(c)  LIMIT_##c
#define LIMIT_OF_NUM(c)  LIMIT_##c
#define LIMIT_OF_BOOL(c) LIMIT_##c
#define LIMIT_OF_TEXT(c) LIMIT_##c
#define LIMIT_OF_PATH(c) LIMIT_##c
#define LIMIT_OF_ENUM(c) LIMIT_WORDS(c)
#define LIMIT_OF_LIST(c) LIMIT_WORDS(c)

#define TOP_ROW(section, kind, key, def, unit, doc, c)                                             \
    {"", #key, #key, RS_CFG_##kind, def, unit, doc, offsetof(rs_config, key), LIMIT_OF_##kind(c)},
#define ROW(section, kind, key, def, unit, doc, c)                                                 \
    {#section,                                                                                     \
     #key,                                                                                         \
     #section "." #key,                                                                            \
     RS_CFG_##kind,                                                                                \
     def,                                                                                          \
     unit,                                                                                         \
     doc,                                                                                          \
     offsetof(rs_config, section.key),                                                             \
     LIMIT_OF_##kind(c)},
#define SECTION_ROWS(section, doc) RS_CFG_ROWS_##section(ROW)
#define SECTION(section, doc)      {#section, doc},

static const rs_cfg_row k_rows[] = {RS_CFG_ROWS_top(TOP_ROW) RS_CFG_SECTIONS(SECTION_ROWS)};
static const rs_cfg_word k_sections[] = {RS_CFG_SECTIONS(SECTION)};

const rs_cfg_row *rs_cfg_rows(int64_t *n)
{
    *n = COUNT(k_rows);
    return k_rows;
}

const rs_cfg_word *rs_cfg_sections(int64_t *n)
{
    *n = COUNT(k_sections);
    return k_sections;
}

int64_t rs_cfg_section_rows(int64_t *first, const char *section)
{
    int64_t count = 0;
    for (int64_t i = 0; i < COUNT(k_rows); i++) {
        if (strcmp(k_rows[i].section, section) != 0)
            continue;
        if (count++ == 0)
            *first = i;
    }
    return count;
}

const rs_cfg_row *rs_cfg_find_row(const char *path)
{
    for (int64_t i = 0; i < COUNT(k_rows); i++)
        if (strcmp(k_rows[i].path, path) == 0)
            return &k_rows[i];
    return NULL;
}

const char *const *rs_cfg_row_words(rs_arena *a, const rs_cfg_row *row)
{
    if (!row->limit.words)
        return NULL;
    const char **words = RS_NEW(a, const char *, row->limit.n_words);
    for (int64_t i = 0; i < row->limit.n_words; i++)
        words[i] = row->limit.words[i].word;
    return words;
}
