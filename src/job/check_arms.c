/* What the arms of an experiment add to its check. */
#include <string.h>

#include "job/check.h"
#include "job/comparison.h"

/* Problems of an arm, at its place in the experiment's file. */
static void relay(rs_problems *problems, rs_problems *found, const rs_arm *arm)
{
    for (int64_t i = 0; i < rs_problems_kept(found); i++)
        rs_problems_add_at(problems, arm->where, "arm '%s': %s", arm->name,
                           rs_problems_text(found, i));
}

void rs_check_arms(rs_arms **arms, rs_problems *problems, const rs_config *cfg,
                   const rs_catalog *catalog)
{
    const char *measures[RS_COMPARED_COUNT];
    bool clean = rs_problems_count(problems) == 0;
    for (int64_t i = 0; i < RS_COMPARED_COUNT; i++)
        measures[i] = rs_compared_info(i)->name;
    if (rs_arms_load(arms, problems, cfg, measures, RS_COMPARED_COUNT) != RS_OK)
        rs_error_clear(); /* all of it is in problems */
    for (int64_t i = 0; clean && catalog && *arms && i < (*arms)->n; i++) {
        rs_problems *found = rs_problems_create();
        rs_catalog_check(found, (*arms)->items[i].cfg, catalog);
        relay(problems, found, &(*arms)->items[i]);
        rs_problems_destroy(&found);
    }
}

static bool same_model(const rs_config *a, const rs_config *b)
{
    static const char *const sections[] = {"model", "clip", "lora"};
    char x[RS_HASH_HEX], y[RS_HASH_HEX];
    rs_hash g, h;
    rs_hash_init(&g);
    rs_hash_init(&h);
    for (int i = 0; i < 3; i++) {
        rs_config_hash_section(&g, a, sections[i]);
        rs_config_hash_section(&h, b, sections[i]);
    }
    rs_hash_final_hex(&g, x);
    rs_hash_final_hex(&h, y);
    return strcmp(x, y) == 0;
}

void rs_check_arm_models(rs_problems *problems, const rs_config *cfg, const rs_arms *arms)
{
    for (int64_t i = 0; arms && i < arms->n; i++) {
        rs_check_model_info info;
        if (same_model(cfg, arms->items[i].cfg))
            continue;
        rs_problems *found = rs_problems_create();
        rs_check_model(found, &info, arms->items[i].cfg);
        relay(problems, found, &arms->items[i]);
        rs_problems_destroy(&found);
    }
}
