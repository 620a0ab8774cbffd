/* The generated references: everything a user can set, from the schema alone. */
#include <string.h>

#include "base/str.h"
#include "config/config_priv.h"

static void add(rs_strbuf *b, const char *text)
{
    rs_strbuf_add(b, text, strlen(text));
}

static const char *kind_text(rs_arena *a, const rs_cfg_row *row)
{
    const rs_cfg_limit *l = &row->limit;
    switch (row->kind) {
    case RS_CFG_INT:
        if (l->imax == INT64_MAX)
            return rs_arena_printf(a, "integer, at least %lld", (long long)l->imin);
        return rs_arena_printf(a, "integer, %lld..%lld", (long long)l->imin, (long long)l->imax);
    case RS_CFG_NUM:
        return rs_arena_printf(a, "number, %s %g, at most %g", l->open ? "above" : "at least",
                               l->nmin, l->nmax);
    case RS_CFG_BOOL:
        return "true or false";
    case RS_CFG_TEXT:
        return "text";
    case RS_CFG_PATH:
        return l->beside ? "path from this file's folder" : "path from the current directory";
    case RS_CFG_ENUM:
        return "word";
    case RS_CFG_LIST:
        return "list of words";
    }
    return "";
}

/* "49 frames", "required": the default as shown to people. */
static const char *default_text(rs_arena *a, const rs_cfg_row *row)
{
    if (row->limit.required)
        return "required";
    if (row->kind == RS_CFG_TEXT || row->kind == RS_CFG_PATH)
        return rs_cfg_quote(a, row->def);
    return row->def;
}

/* Comment lines of at most 96 columns. */
static void add_comment(rs_strbuf *b, const char *indent, const char *text)
{
    enum { WIDTH = 96 };
    size_t room = WIDTH - strlen(indent) - 2;
    while (*text) {
        size_t n = strlen(text);
        if (n > room) {
            n = room;
            while (n > 1 && text[n] != ' ')
                n--;
        }
        rs_strbuf_printf(b, "%s# %.*s\n", indent, (int)n, text);
        text += n + (text[n] == ' ');
    }
}

static void add_words(rs_strbuf *b, const char *indent, const rs_cfg_row *row)
{
    for (int64_t i = 0; i < row->limit.n_words; i++)
        add_comment(b, indent,
                    rs_arena_printf(b->arena, "  %s: %s", row->limit.words[i].word,
                                    row->limit.words[i].doc));
}

static void add_yaml_row(rs_strbuf *b, const rs_cfg_row *row)
{
    const char *indent = *row->section ? "  " : "";
    const char *unit = *row->unit ? rs_arena_printf(b->arena, " [%s]", row->unit) : "";
    add_comment(b, indent,
                rs_arena_printf(b->arena, "%s%s (%s%s)", row->doc, unit, kind_text(b->arena, row),
                                row->limit.required ? ", required" : ""));
    add_words(b, indent, row);
    const char *value = row->kind == RS_CFG_TEXT || row->kind == RS_CFG_PATH
                            ? rs_cfg_quote(b->arena, row->def)
                            : row->def;
    rs_strbuf_printf(b, "%s%s: %s\n", indent, row->key, value);
}

/* What an experiment may hold beside settings (config/arms.h). */
static const char k_arms[] =
    "arms:\n"
    "  - name: unguided                 # its results are in output/arms/<name>\n"
    "    note: half the work            # optional\n"
    "    set: {edit.guidance: 1}        # settings by their full names; left out: as in the file\n"
    "  - name: guided\n"
    "claims:                            # optional\n"
    "  - name: guidance-helps\n"
    "    says: guidance brings the edit closer to its first frame\n"
    "    measure: clip_score            # a measure, train_s or sample_s\n"
    "    better: guided                 # the arm that should be better, ...\n"
    "    than: unguided\n"
    "    margin: 0.01                   # ... optionally by more than this\n"
    "  - name: guidance-harmless\n"
    "    says: guidance keeps the background\n"
    "    measure: psnr_outside\n"
    "    no_worse: guided               # or: not worse by `margin`, which is required here\n"
    "    than: unguided\n"
    "    margin: 0.5\n";

static void add_yaml_arms(rs_strbuf *b)
{
    add(b, "\n# Variants of the experiment, run on the same catalog and compared in one table.\n");
    for (const char *line = k_arms; *line;) {
        size_t n = strcspn(line, "\n");
        rs_strbuf_printf(b, "# %.*s\n", (int)n, line);
        line += n + 1;
    }
}

static void add_md_arms(rs_strbuf *b)
{
    add(b,
        "\n## arms and claims\n\nVariants of the experiment, run on the same catalog and compared "
        "in one table. What arms have in common is\ncomputed once. An arm's settings lie on top "
        "of the file and of `--set`; what belongs to the whole run (name,\noutput, catalog, "
        "catalog_root, model.precision, model.fp8, memory, cluster, log) cannot differ. A claim is "
        "tested on the differences "
        "of the\n(video, edit) pairs that have the measure in both arms: `reproduced` when the "
        "mean difference, in the measure's own\ndirection, is more than two standard errors "
        "above `margin` (for `no_worse`: above minus `margin`).\n\n```yaml\n");
    add(b, k_arms);
    add(b, "```\n");
}

char *rs_config_schema_yaml(rs_arena *a)
{
    rs_strbuf b = rs_strbuf_on(a);
    int64_t n, n_sections;
    const rs_cfg_row *rows = rs_cfg_rows(&n);
    const rs_cfg_word *sections = rs_cfg_sections(&n_sections);
    add(&b,
        "# Every setting of an experiment with its default. Generated by `reshoot schema --yaml`.\n"
        "# Write down only what differs. Relative paths in a file start from the file's folder,\n"
        "# except `output`; paths given with --set start from the current directory.\n\n");
    int64_t next = 0;
    for (int64_t i = 0; i < n; i++) {
        if (next < n_sections && strcmp(rows[i].section, sections[next].word) == 0) {
            add(&b, "\n");
            add_comment(&b, "", sections[next].doc);
            rs_strbuf_printf(&b, "%s:\n", sections[next].word);
            next++;
        }
        add_yaml_row(&b, &rows[i]);
    }
    add_yaml_arms(&b);
    return b.data;
}

/* A table cell: "|" would end it. */
static void add_cell(rs_strbuf *b, const char *text)
{
    add(b, "| ");
    for (; *text; text++)
        add(b, *text == '|' ? "\\|" : (char[2]){*text, 0});
    add(b, " ");
}

static void add_md_row(rs_strbuf *b, const rs_cfg_row *row)
{
    rs_arena *a = b->arena;
    add_cell(b, rs_arena_printf(a, "`%s`", row->path));
    const char *shown = default_text(a, row);
    add_cell(b, strcmp(shown, "required") == 0 ? "required" : rs_arena_printf(a, "`%s`", shown));
    add_cell(b, row->unit);
    add_cell(b, kind_text(a, row));
    const char *doc = row->doc;
    for (int64_t i = 0; i < row->limit.n_words; i++)
        doc = rs_arena_printf(a, "%s<br>`%s`: %s", doc, row->limit.words[i].word,
                              row->limit.words[i].doc);
    add_cell(b, doc);
    add(b, "|\n");
}

static void add_md_section(rs_strbuf *b, const char *section, const char *doc)
{
    int64_t n, first = 0, count = rs_cfg_section_rows(&first, section);
    const rs_cfg_row *rows = rs_cfg_rows(&n) + first;
    rs_strbuf_printf(b, "\n## %s\n\n%s\n\n", *section ? section : "Top level", doc);
    add(b, "| setting | default | unit | kind | meaning |\n|---|---|---|---|---|\n");
    for (int64_t i = 0; i < count; i++)
        add_md_row(b, &rows[i]);
}

char *rs_config_schema_md(rs_arena *a)
{
    rs_strbuf b = rs_strbuf_on(a);
    int64_t n_sections;
    const rs_cfg_word *sections = rs_cfg_sections(&n_sections);
    add(&b, "# Settings\n\nGenerated from `src/config/schema.h` by `reshoot schema --md`; a test "
            "fails when it is stale.\n\nAn experiment file holds what differs from these defaults. "
            "Any setting can be given on the command line too:\n`--set motion.steps=20`. Relative "
            "paths in a file start from the file's folder, except `output`;\npaths given with "
            "`--set` start from the current directory.\n");
    add_md_section(&b, "", "The experiment.");
    for (int64_t i = 0; i < n_sections; i++)
        add_md_section(&b, sections[i].word, sections[i].doc);
    add_md_arms(&b);
    return b.data;
}
