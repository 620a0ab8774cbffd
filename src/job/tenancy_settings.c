/* Settings of a run that those who share its folder must have too. */
#include <string.h>

#include "base/fsio.h"
#include "job/tenancy_priv.h"

/* Nothing that is computed depends on these. */
static const char *const k_free[] = {"cluster", "checkpoint", "memory", "log"};

static bool is_free(const char *section, size_t n)
{
    for (size_t i = 0; i < sizeof k_free / sizeof k_free[0]; i++)
        if (strlen(k_free[i]) == n && memcmp(k_free[i], section, n) == 0)
            return true;
    return false;
}

rs_status rs_tenancy_settings(char hex[RS_HASH_HEX], const rs_run *run, const rs_arms *arms)
{
    static const char *const sections[] = {
#define NAME(key, doc) #key,
        RS_CFG_SECTIONS(NAME)
#undef NAME
    };
    char catalog[RS_HASH_HEX];
    rs_hash h;
    rs_hash_init(&h);
    rs_config_hash_section(&h, run->cfg, "name");
    rs_config_hash_section(&h, run->cfg, "seed");
    rs_config_hash_section(&h, run->cfg, "catalog_root");
    rs_config_hash_section(&h, run->cfg, "model.precision");
    if (run->cfg->model.fp8)
        rs_config_hash_section(&h, run->cfg, "model.fp8");
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++)
        if (!is_free(sections[i], strlen(sections[i])) && strcmp(sections[i], "model") != 0)
            rs_config_hash_section(&h, run->cfg, sections[i]);
    rs_hash_string(&h, run->transformer_id); /* hosts may have the model in different places */
    rs_hash_string(&h, run->vae_id);
    rs_hash_string(&h, run->encoders_id);
    RS_TRY(rs_hash_file(catalog, run->cfg->catalog));
    rs_hash_string(&h, catalog);
    for (int64_t i = 0; arms && i < arms->n; i++) {
        rs_hash_string(&h, arms->items[i].name);
        rs_hash_string(&h, arms->items[i].set);
    }
    rs_hash_final_hex(&h, hex);
    return RS_OK;
}

/* One line of a dump: "  steps: 50" in section "motion". Moves on; false at the end. */
static bool next_line(const char **text, char section[64], const char **line, int *n)
{
    if (!**text)
        return false;
    *line = *text;
    *n = (int)strcspn(*text, "\n");
    *text += *n + ((*text)[*n] == '\n');
    if ((*line)[0] != ' ') {
        size_t name = strcspn(*line, ":\n");
        name = name < 63 ? name : 63;
        memcpy(section, *line, name);
        section[name] = 0;
    }
    return true;
}

const char *rs_tenancy_difference(rs_arena *a, const char *theirs, const char *ours)
{
    char section[64] = "", other[64] = "";
    const char *x, *y;
    int nx, ny;
    while (next_line(&theirs, section, &x, &nx) && next_line(&ours, other, &y, &ny)) {
        bool same = nx == ny && memcmp(x, y, (size_t)nx) == 0;
        if (same || is_free(section, strlen(section)) || strcmp(section, "output") == 0)
            continue;
        const char *within = x[0] == ' ' ? section : "";
        while (nx && *x == ' ')
            x++, nx--;
        while (ny && *y == ' ')
            y++, ny--;
        return rs_arena_printf(a, "%s%s%.*s there, %.*s here", within, *within ? "." : "", nx, x,
                               ny, y);
    }
    return "its catalog, model or arms differ";
}
