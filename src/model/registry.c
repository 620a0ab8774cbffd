#include <string.h>

#include "model/family.h"

static const rs_family *const k_families[] = {&rs_family_wan21};
enum { N_FAMILIES = sizeof k_families / sizeof k_families[0] };

const rs_family *rs_family_find(const char *name)
{
    for (int i = 0; i < N_FAMILIES; i++)
        if (strcmp(k_families[i]->name, name) == 0)
            return k_families[i];
    return NULL;
}

rs_status rs_family_of_config(const rs_family **out, const rs_json *config)
{
    const char *name = NULL;
    RS_TRY(rs_json_string(&name, config, "_class_name"));
    for (int i = 0; i < N_FAMILIES; i++) {
        for (const char *const *c = k_families[i]->class_names; *c; c++) {
            if (strcmp(*c, name) == 0) {
                *out = k_families[i];
                return RS_OK;
            }
        }
    }
    return RS_FAIL(MODEL, "%s: _class_name \"%s\" is no known diffusion transformer",
                   rs_json_file(config), name);
}
