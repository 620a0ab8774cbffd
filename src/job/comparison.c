#include "job/comparison.h"

#include <math.h>

const rs_measure_info *rs_compared_info(int64_t i)
{
    static const rs_measure_info train = {
        .name = "train_s",
        .unit = "s",
        .doc = "training the adapters of the edit, the video's own included",
        .decimals = 2,
        .better = -1};
    static const rs_measure_info sample = {
        .name = "sample_s", .unit = "s", .doc = "sampling the edit", .decimals = 2, .better = -1};
    RS_ASSERT(i >= 0 && i < RS_COMPARED_COUNT);
    if (i == RS_COMPARED_TRAIN_S)
        return &train;
    return i == RS_COMPARED_SAMPLE_S ? &sample : rs_measure_get_info((rs_measure_id)i);
}

double rs_compared_value(const rs_outcome *o, int64_t i)
{
    if (o->status != RS_OK)
        return NAN;
    if (i == RS_COMPARED_TRAIN_S)
        return o->train_s;
    return i == RS_COMPARED_SAMPLE_S ? o->sample_s : o->measures.v[i];
}

const char *rs_verdict_text(rs_verdict v)
{
    static const char *const texts[] = {[RS_VERDICT_UNTESTED] = "not tested",
                                        [RS_VERDICT_NO] = "not reproduced",
                                        [RS_VERDICT_YES] = "reproduced"};
    return texts[v];
}

static const double *values(rs_arena *a, const rs_outcomes *l, int64_t what)
{
    double *v = RS_NEW(a, double, l->n);
    for (int64_t i = 0; i < l->n; i++)
        v[i] = rs_compared_value(&l->items[i], what);
    return v;
}

static rs_compared_arm summarise(rs_arena *a, const rs_arm *arm, const rs_outcomes *l)
{
    rs_compared_arm out = {.arm = arm, .outcomes = l};
    for (int64_t i = 0; i < l->n; i++)
        out.failed += l->items[i].status != RS_OK;
    for (int64_t k = 0; k < RS_COMPARED_COUNT; k++)
        out.stats[k] = rs_stat_of(values(a, l, k), l->n);
    return out;
}

static rs_tested_claim test(rs_arena *a, const rs_claim *claim, const rs_outcomes *outcomes)
{
    const rs_outcomes *x = &outcomes[claim->arm], *y = &outcomes[claim->than];
    rs_tested_claim out = {.claim = claim, .difference = {.mean = NAN, .se = NAN}};
    if (x->n == 0 || y->n == 0)
        return out;
    RS_ASSERT(x->n == y->n);
    out.difference =
        rs_stat_paired(values(a, x, claim->measure), values(a, y, claim->measure), x->n);
    if (out.difference.n < 2)
        return out;
    rs_stat gain = out.difference;
    gain.mean *= rs_compared_info(claim->measure)->better;
    bool yes = rs_stat_above(gain, claim->no_worse ? -claim->margin : claim->margin);
    out.verdict = yes ? RS_VERDICT_YES : RS_VERDICT_NO;
    return out;
}

rs_comparison rs_compare(rs_arena *a, const char *name, const rs_arms *arms,
                         const rs_outcomes *outcomes)
{
    rs_comparison c = {.name = name, .n_arms = arms->n, .n_claims = arms->n_claims};
    c.arms = RS_NEW(a, rs_compared_arm, arms->n);
    c.claims = RS_NEW(a, rs_tested_claim, arms->n_claims);
    for (int64_t i = 0; i < arms->n; i++) {
        c.arms[i] = summarise(a, &arms->items[i], &outcomes[i]);
        c.n_failed += c.arms[i].failed;
        if (outcomes[i].n > c.n_pairs)
            c.n_pairs = outcomes[i].n;
        for (int64_t k = 0; k < RS_COMPARED_COUNT; k++)
            c.shown[k] = c.shown[k] || c.arms[i].stats[k].n + c.arms[i].stats[k].infinite > 0;
    }
    for (int64_t i = 0; i < arms->n_claims; i++)
        c.claims[i] = test(a, &arms->claims[i], outcomes);
    return c;
}
