/* A comparison for people: as Markdown and on the terminal. */
#include "base/log.h"
#include "base/str.h"
#include "job/comparison.h"

static const char *arrow(int64_t what)
{
    return rs_compared_info(what)->better > 0 ? "↑" : "↓";
}

/* "psnr [dB] ↑" */
static const char *heading(rs_arena *a, int64_t what)
{
    const rs_measure_info *m = rs_compared_info(what);
    if (*m->unit)
        return rs_arena_printf(a, "%s [%s] %s", m->name, m->unit, arrow(what));
    return rs_arena_printf(a, "%s %s", m->name, arrow(what));
}

/* "0.912 ± 0.004", the number of values behind it where it is not `usual`. "∞": all of them are. */
static const char *stat_text(rs_arena *a, rs_stat s, int decimals, bool sign, int64_t usual)
{
    if (s.n == 0)
        return s.infinite ? "∞" : "–";
    const char *text = rs_arena_printf(a, sign ? "%+.*f" : "%.*f", decimals, s.mean);
    if (s.n > 1)
        text = rs_arena_printf(a, "%s ± %.*f", text, decimals, s.se);
    return s.n == usual ? text : rs_arena_printf(a, "%s (n %lld)", text, (long long)s.n);
}

static const char *cell(rs_arena *a, const rs_compared_arm *arm, int64_t what)
{
    return stat_text(a, arm->stats[what], rs_compared_info(what)->decimals, false,
                     arm->outcomes->n - arm->failed);
}

/* "motion - no-adapter: -0.42 ± 0.10 px"; one digit more than the measure is worth. */
static const char *difference(rs_arena *a, const rs_tested_claim *t)
{
    const rs_measure_info *m = rs_compared_info(t->claim->measure);
    const char *text = stat_text(a, t->difference, m->decimals + 1, true, t->difference.n);
    return *m->unit && t->difference.n ? rs_arena_printf(a, "%s %s", text, m->unit) : text;
}

static const char *arm_name(const rs_comparison *c, int64_t i)
{
    return c->arms[i].arm->name;
}

/* "better than no-adapter", "no worse than motion by 0.25" */
static const char *relation(rs_arena *a, const rs_comparison *c, const rs_claim *claim)
{
    const char *than = arm_name(c, claim->than);
    if (claim->no_worse)
        return rs_arena_printf(a, "not worse than %s by %g", than, claim->margin);
    if (claim->margin > 0)
        return rs_arena_printf(a, "better than %s by %g", than, claim->margin);
    return rs_arena_printf(a, "better than %s", than);
}

/* ---- Markdown ---- */

/* A table cell: what would end it is escaped. */
static void add_cell(rs_strbuf *b, const char *text)
{
    rs_strbuf_add(b, "| ", 2);
    for (; *text; text++)
        rs_strbuf_printf(b, *text == '|' ? "\\%c" : "%c", *text == '\n' ? ' ' : *text);
    rs_strbuf_add(b, " ", 1);
}

static void end_row(rs_strbuf *b)
{
    rs_strbuf_add(b, "|\n", 2);
}

static void add_table(rs_strbuf *b, const rs_comparison *c)
{
    rs_strbuf_printf(b, "| arm | pairs | failed ");
    for (int64_t k = 0; k < RS_COMPARED_COUNT; k++)
        if (c->shown[k])
            add_cell(b, heading(b->arena, k));
    end_row(b);
    rs_strbuf_printf(b, "|---|---:|---:");
    for (int64_t k = 0; k < RS_COMPARED_COUNT; k++)
        if (c->shown[k])
            rs_strbuf_printf(b, "|---:");
    end_row(b);
    for (int64_t i = 0; i < c->n_arms; i++) {
        const rs_compared_arm *arm = &c->arms[i];
        add_cell(b, arm->arm->name);
        rs_strbuf_printf(b, "| %lld | %lld ", (long long)(arm->outcomes->n - arm->failed),
                         (long long)arm->failed);
        for (int64_t k = 0; k < RS_COMPARED_COUNT; k++)
            if (c->shown[k])
                add_cell(b, cell(b->arena, arm, k));
        end_row(b);
    }
}

static void add_arms(rs_strbuf *b, const rs_comparison *c)
{
    rs_strbuf_printf(b, "\n## Arms\n\n| arm | settings | note |\n|---|---|---|\n");
    for (int64_t i = 0; i < c->n_arms; i++) {
        const rs_arm *arm = c->arms[i].arm;
        add_cell(b, arm->name);
        add_cell(b, *arm->set ? rs_arena_printf(b->arena, "`%s`", arm->set) : "as in the file");
        add_cell(b, arm->note);
        end_row(b);
    }
}

static void add_claims(rs_strbuf *b, const rs_comparison *c)
{
    rs_strbuf_printf(b, "\n## Claims\n\nDifference: the arm's value minus the other's, over the "
                        "pairs that have both. Reproduced: in the\nclaimed direction by more than "
                        "two standard errors beyond the margin.\n\n"
                        "| claim | says | measure | arm | is | difference | pairs | verdict |\n"
                        "|---|---|---|---|---|---:|---:|---|\n");
    for (int64_t i = 0; i < c->n_claims; i++) {
        const rs_tested_claim *t = &c->claims[i];
        add_cell(b, t->claim->name);
        add_cell(b, t->claim->says);
        add_cell(b, heading(b->arena, t->claim->measure));
        add_cell(b, arm_name(c, t->claim->arm));
        add_cell(b, relation(b->arena, c, t->claim));
        add_cell(b, difference(b->arena, t));
        rs_strbuf_printf(b, "| %lld ", (long long)t->difference.n);
        add_cell(b, rs_verdict_text(t->verdict));
        end_row(b);
    }
}

static void add_failures(rs_strbuf *b, const rs_comparison *c)
{
    rs_strbuf_printf(b, "\n## Failed\n\n");
    for (int64_t i = 0; i < c->n_arms; i++) {
        const rs_outcomes *l = c->arms[i].outcomes;
        for (int64_t k = 0; k < l->n; k++)
            if (l->items[k].status != RS_OK)
                rs_strbuf_printf(b, "- %s: %s#%s: %s\n", arm_name(c, i), l->items[k].video,
                                 l->items[k].edit, l->items[k].reason);
    }
}

const char *rs_comparison_md(rs_arena *a, const rs_comparison *c)
{
    rs_strbuf b = rs_strbuf_on(a);
    rs_strbuf_printf(&b,
                     "# %s: comparison\n\nMean ± standard error over %lld (video, edit) pairs; "
                     "↑ higher is better, ↓ lower. Generated by\n`reshoot run`. Strips of source, "
                     "truth and every arm, a picture per pair: [comparison/](comparison/).\n\n",
                     c->name, (long long)c->n_pairs);
    add_table(&b, c);
    rs_strbuf_printf(&b, "\n");
    for (int64_t k = 0; k < RS_COMPARED_COUNT; k++)
        if (c->shown[k])
            rs_strbuf_printf(&b, "- `%s`: %s\n", rs_compared_info(k)->name,
                             rs_compared_info(k)->doc);
    add_arms(&b, c);
    if (c->n_claims)
        add_claims(&b, c);
    if (c->n_failed)
        add_failures(&b, c);
    return b.data;
}

/* ---- terminal ---- */

enum { NAME_WIDTH = 24, CELL_WIDTH = 24, CELLS = 4 };

/* Padded to a width in characters, not bytes. */
static void add_padded(rs_strbuf *b, const char *text, int width)
{
    int n = 0;
    for (const char *p = text; *p; p++)
        n += ((unsigned char)*p & 0xC0) != 0x80;
    rs_strbuf_printf(b, "%s%*s", text, n < width ? width - n : 1, "");
}

/* A row of the terminal's table, of the columns shown[first...first+n-1]; arm NULL: the headings.
 */
static void log_row(rs_arena *a, const rs_compared_arm *arm, const int64_t *columns, int64_t n)
{
    rs_strbuf b = rs_strbuf_on(a);
    add_padded(&b, arm ? arm->arm->name : "arm", NAME_WIDTH);
    for (int64_t i = 0; i < n; i++)
        add_padded(&b, arm ? cell(a, arm, columns[i]) : heading(a, columns[i]), CELL_WIDTH);
    while (b.len && b.data[b.len - 1] == ' ')
        b.data[--b.len] = 0;
    RS_LOG(INFO, "  %s", b.data);
}

static void log_table(rs_arena *a, const rs_comparison *c)
{
    int64_t columns[RS_COMPARED_COUNT], n = 0;
    for (int64_t k = 0; k < RS_COMPARED_COUNT; k++)
        if (c->shown[k])
            columns[n++] = k;
    for (int64_t first = 0; first < n; first += CELLS) {
        int64_t count = n - first < CELLS ? n - first : CELLS;
        log_row(a, NULL, columns + first, count);
        for (int64_t i = 0; i < c->n_arms; i++)
            if (c->arms[i].outcomes->n)
                log_row(a, &c->arms[i], columns + first, count);
    }
}

void rs_comparison_log(rs_arena *a, const rs_comparison *c)
{
    RS_LOG(INFO, "comparison: mean ± standard error over %lld (video, edit) pairs",
           (long long)c->n_pairs);
    log_table(a, c);
    for (int64_t i = 0; i < c->n_claims; i++) {
        const rs_tested_claim *t = &c->claims[i];
        RS_LOG(INFO, "claim %s: %s: %s is %s in %s: %s over %lld pairs", t->claim->name,
               rs_verdict_text(t->verdict), arm_name(c, t->claim->arm), relation(a, c, t->claim),
               rs_compared_info(t->claim->measure)->name, difference(a, t),
               (long long)t->difference.n);
    }
    for (int64_t i = 0; i < c->n_arms; i++)
        if (c->arms[i].failed)
            RS_LOG(INFO, "arm %s: %lld of %lld edits failed and are not in its means",
                   arm_name(c, i), (long long)c->arms[i].failed, (long long)c->arms[i].outcomes->n);
}
