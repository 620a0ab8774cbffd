#include "config/arms.h"

#include <string.h>

#include "base/str.h"
#include "config/config_priv.h"

enum { ARMS_MAX = 1000 };

typedef struct reader {
    rs_yctx c;
    const rs_config *base;
    bool clean; /* the base has no problems: rules across settings mean something */
    const char *const *measures;
    int64_t n_measures;
    rs_arms *arms;
    const char **names; /* of the arms, for messages */
} reader;

static const char *join(reader *r, const char *path, const char *key)
{
    return rs_arena_printf(r->c.arena, "%s.%s", path, key);
}

static const char *item_path(reader *r, const char *list, int64_t i)
{
    return rs_arena_printf(r->c.arena, "%s[%lld]", list, (long long)i);
}

static bool given(reader *r, const rs_ynode *n, const rs_ynode *owner, const char *path)
{
    if (!n)
        rs_problems_add(r->c.problems, rs_ywhere(&r->c, owner), path, "is required");
    return n != NULL;
}

static bool is_list(reader *r, const rs_ynode *n, const char *path)
{
    if (n->kind != RS_Y_LIST || n->n == 0) {
        rs_problems_add(r->c.problems, rs_ywhere(&r->c, n), path, "expected a list of %s, found %s",
                        path, n->kind == RS_Y_LIST ? "an empty one" : rs_ydescribe(&r->c, n));
        return false;
    }
    if (n->n > ARMS_MAX)
        rs_problems_add(r->c.problems, rs_ywhere(&r->c, n), path, "more than %d", ARMS_MAX);
    return n->n <= ARMS_MAX;
}

/* A required name that no earlier entry has. "" after adding a problem. */
static const char *read_name(reader *r, const rs_ynode *n, const rs_ynode *owner, const char *path,
                             const char *const *earlier, int64_t n_earlier)
{
    const char *name = "";
    path = join(r, path, "name");
    if (!given(r, n, owner, path) || !rs_yread_id(&r->c, n, path, &name))
        return "";
    for (int64_t i = 0; i < n_earlier; i++)
        if (strcmp(earlier[i], name) == 0)
            rs_problems_add(r->c.problems, rs_ywhere(&r->c, n), path, "'%s' is used already", name);
    return name;
}

/* ---- arms ---- */

/* "a=1 b=2", as written in the file. */
static const char *set_text(reader *r, const rs_ynode *set)
{
    rs_strbuf b = rs_strbuf_on(r->c.arena);
    for (int64_t i = 0; set && set->kind == RS_Y_MAP && i < set->n; i++) {
        const rs_ynode *key = set->items[2 * i], *value = set->items[2 * i + 1];
        const rs_cfg_row *row = key->kind == RS_Y_SCALAR ? rs_cfg_find_row(key->text) : NULL;
        const char *text = value->kind == RS_Y_SCALAR ? value->text : "[...]";
        if (row)
            rs_strbuf_printf(&b, "%s%s=%s", b.len ? " " : "", row->path, text);
    }
    return b.data;
}

static void read_settings(reader *r, rs_arm *arm, const rs_ynode *set, const char *path)
{
    rs_problems *rules = rs_problems_create();
    arm->cfg = rs_cfg_variant(&r->c, r->base, set, join(r, path, "set"), rules);
    arm->set = set_text(r, set);
    rs_config *cfg = arm->cfg;
    cfg->name = rs_arena_printf(cfg->arena, "%s/%s", r->base->name, arm->name);
    cfg->output = rs_arena_printf(cfg->arena, "%s/arms/%s", r->base->output, arm->name);
    for (int64_t i = 0; r->clean && i < rs_problems_kept(rules); i++)
        rs_problems_add_at(r->c.problems, arm->where, "arm '%s': %s", arm->name,
                           rs_problems_text(rules, i));
    rs_problems_destroy(&rules);
}

static void read_arm(reader *r, int64_t i, const rs_ynode *n)
{
    static const char *const names[] = {"name", "note", "set"};
    enum { NAME, NOTE, SET, N };
    const rs_ynode *v[N] = {NULL};
    const char *path = item_path(r, "arms", i);
    rs_arm *arm = &r->arms->items[i];
    *arm = (rs_arm){
        .name = "", .note = "", .set = "", .where = rs_where_text(r->c.arena, rs_ywhere(&r->c, n))};
    r->names[i] = "";
    if (rs_ynull(n) || !rs_ymap_pick(&r->c, n, path, names, N, v, NULL)) {
        if (rs_ynull(n))
            (void)given(r, NULL, n, join(r, path, "name"));
        return;
    }
    arm->name = read_name(r, v[NAME], n, path, r->names, i);
    r->names[i] = arm->name;
    if (v[NOTE])
        (void)rs_yread_text(&r->c, v[NOTE], join(r, path, "note"), &arm->note);
    read_settings(r, arm, v[SET], path);
}

static void read_arms(reader *r, const rs_ynode *list)
{
    if (!is_list(r, list, "arms"))
        return;
    r->arms->items = RS_NEW(r->c.arena, rs_arm, list->n);
    r->names = RS_NEW(r->c.arena, const char *, list->n);
    for (int64_t i = 0; i < list->n; i++) {
        r->arms->n = i + 1;
        read_arm(r, i, list->items[i]);
    }
}

/* ---- claims ---- */

/* Index of a word among names; -1 after adding a problem. */
static int64_t read_word(reader *r, const rs_ynode *n, const rs_ynode *owner, const char *path,
                         const char *what, const char *const *names, int64_t n_names)
{
    const char *word;
    if (!given(r, n, owner, path) || !rs_yread_text(&r->c, n, path, &word))
        return -1;
    for (int64_t i = 0; i < n_names; i++)
        if (strcmp(names[i], word) == 0)
            return i;
    const char *near = rs_nearest(word, names, n_names);
    if (near)
        rs_problems_add(r->c.problems, rs_ywhere(&r->c, n), path,
                        "no %s is called '%s', did you mean '%s'?", what, word, near);
    else
        rs_problems_add(r->c.problems, rs_ywhere(&r->c, n), path,
                        "no %s is called '%s' (known: %s)", what, word,
                        rs_join_words(r->c.arena, names, n_names));
    return -1;
}

static int64_t read_claim_arm(reader *r, const rs_ynode *n, const rs_ynode *owner, const char *path)
{
    return read_word(r, n, owner, path, "arm", r->names, r->arms->n);
}

enum { NAME, SAYS, MEASURE, BETTER, NO_WORSE, THAN, MARGIN, CLAIM_KEYS };

/* Exactly one of `better` and `no_worse`; the second needs a margin. */
static void read_direction(reader *r, rs_claim *claim, const rs_ynode *n, const rs_ynode *const *v,
                           const char *path)
{
    claim->no_worse = v[NO_WORSE] && !v[BETTER];
    if (v[BETTER] && v[NO_WORSE])
        rs_problems_add(r->c.problems, rs_ywhere(&r->c, v[NO_WORSE]), path,
                        "has both 'better' and 'no_worse'");
    if (!v[BETTER] && !v[NO_WORSE])
        rs_problems_add(r->c.problems, rs_ywhere(&r->c, n), path,
                        "needs 'better: ARM' or 'no_worse: ARM'");
    else
        claim->arm = claim->no_worse ? read_claim_arm(r, v[NO_WORSE], n, join(r, path, "no_worse"))
                                     : read_claim_arm(r, v[BETTER], n, join(r, path, "better"));
    claim->than = read_claim_arm(r, v[THAN], n, join(r, path, "than"));
    if (claim->arm >= 0 && claim->arm == claim->than)
        rs_problems_add(r->c.problems, rs_ywhere(&r->c, v[THAN]), join(r, path, "than"),
                        "compares arm '%s' with itself", r->names[claim->than]);
    if (v[MARGIN])
        (void)rs_yread_num(&r->c, v[MARGIN], join(r, path, "margin"), 0, 1e9, claim->no_worse,
                           &claim->margin);
    else if (claim->no_worse)
        (void)given(r, NULL, n, join(r, path, "margin"));
}

static void read_claim(reader *r, int64_t i, const rs_ynode *n, const char **earlier)
{
    static const char *const names[CLAIM_KEYS] = {"name",     "says", "measure", "better",
                                                  "no_worse", "than", "margin"};
    const rs_ynode *v[CLAIM_KEYS] = {NULL};
    const char *path = item_path(r, "claims", i);
    rs_claim *claim = &r->arms->claims[i];
    *claim = (rs_claim){
        .says = "", .where = rs_where_text(r->c.arena, rs_ywhere(&r->c, n)), .arm = -1, .than = -1};
    earlier[i] = "";
    if (!rs_ymap_pick(&r->c, n, path, names, CLAIM_KEYS, v, NULL))
        return;
    claim->name = read_name(r, v[NAME], n, path, earlier, i);
    earlier[i] = claim->name;
    if (given(r, v[SAYS], n, join(r, path, "says")))
        (void)rs_yread_text(&r->c, v[SAYS], join(r, path, "says"), &claim->says);
    claim->measure = read_word(r, v[MEASURE], n, join(r, path, "measure"), "measure", r->measures,
                               r->n_measures);
    read_direction(r, claim, n, v, path);
}

static void read_claims(reader *r, const rs_ynode *list)
{
    if (!is_list(r, list, "claims"))
        return;
    r->arms->claims = RS_NEW(r->c.arena, rs_claim, list->n);
    r->arms->n_claims = list->n;
    const char **earlier = RS_NEW(r->c.arena, const char *, list->n);
    for (int64_t i = 0; i < list->n; i++)
        read_claim(r, i, list->items[i], earlier);
}

rs_status rs_arms_load(rs_arms **out, rs_problems *problems, const rs_config *base,
                       const char *const *measures, int64_t n_measures)
{
    const struct rs_cfg_origin *o = base->origin;
    int64_t before = rs_problems_count(problems);
    *out = NULL;
    if (!o || (!o->arms && !o->claims))
        return RS_OK;
    rs_arms *arms = rs_alloc(1, sizeof *arms);
    arms->arena = rs_arena_create();
    reader r = {.c = {arms->arena, problems, base->file, false},
                .base = base,
                .clean = before == 0,
                .measures = measures,
                .n_measures = n_measures,
                .arms = arms};
    if (o->arms)
        read_arms(&r, o->arms);
    else
        rs_problems_add(problems, rs_ywhere(&r.c, o->claims), "claims",
                        "compare arms, but there is no 'arms'");
    if (arms->n > 0 && o->claims)
        read_claims(&r, o->claims);
    if (rs_problems_count(problems) == before)
        *out = arms;
    else
        rs_arms_destroy(&arms);
    return *out ? RS_OK : rs_problems_status(problems);
}

void rs_arms_destroy(rs_arms **arms)
{
    if (!arms || !*arms)
        return;
    for (int64_t i = 0; i < (*arms)->n; i++)
        rs_config_destroy(&(*arms)->items[i].cfg);
    rs_arena_destroy(&(*arms)->arena);
    rs_dealloc(*arms);
    *arms = NULL;
}
