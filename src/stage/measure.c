#include "stage/measure.h"

#include <math.h>
#include <string.h>

static const rs_measure_info k_infos[RS_MEASURE_COUNT] = {
#define INFO(id, name_, unit_, decimals_, better_, doc_)                                           \
    [RS_MEASURE_##id] = {                                                                          \
        .name = name_, .unit = unit_, .doc = doc_, .decimals = decimals_, .better = better_},
    RS_MEASURES(INFO)
#undef INFO
};

const rs_measure_info *rs_measure_get_info(rs_measure_id id)
{
    RS_ASSERT(id < RS_MEASURE_COUNT);
    return &k_infos[id];
}

const rs_measure_info *rs_measure_find(const char *name)
{
    for (int i = 0; i < RS_MEASURE_COUNT; i++)
        if (strcmp(k_infos[i].name, name) == 0)
            return &k_infos[i];
    return NULL;
}

rs_measures rs_measures_none(void)
{
    rs_measures m;
    for (int i = 0; i < RS_MEASURE_COUNT; i++)
        m.v[i] = NAN;
    return m;
}
