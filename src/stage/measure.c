#include "stage/measure.h"

#include <math.h>

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

rs_measures rs_measures_none(void)
{
    rs_measures m;
    for (int i = 0; i < RS_MEASURE_COUNT; i++)
        m.v[i] = NAN;
    return m;
}

double rs_psnr_region(rs_tensor a, rs_tensor b, rs_tensor mask, bool inside)
{
    RS_ASSERT(rs_tensor_same_shape(a, b) && rs_tensor_count(mask) * 3 == rs_tensor_count(a));
    const uint8_t *p = a.data, *q = b.data, *m = mask.data;
    int64_t count = 0, sum = 0;
    for (int64_t i = 0; i < rs_tensor_count(mask); i++) {
        if ((m[i] > 127) != inside)
            continue;
        count += 3;
        for (int64_t c = 3 * i; c < 3 * i + 3; c++) {
            int64_t d = (int64_t)p[c] - q[c];
            sum += d * d;
        }
    }
    if (count == 0)
        return NAN;
    return sum == 0 ? INFINITY : 10.0 * log10(65025.0 * (double)count / (double)sum);
}
