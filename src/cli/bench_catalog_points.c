#include <string.h>

#include "base/str.h"
#include "cli/bench_catalog.h"

enum { AXES_MAX = 16, POINTS_MAX = 1000 };

/* A setting and the values that it takes. */
typedef struct axis {
    const char *key;
    char **values;
    int64_t n;
} axis;

static rs_status add_axis(axis *axes, int64_t *n, rs_arena *a, const char *option, const char *key,
                          const char *values)
{
    if (*n == AXES_MAX)
        return RS_FAIL(USAGE, "%s: more than %d varied settings", option, AXES_MAX);
    axis *x = &axes[(*n)++];
    x->key = key;
    return rs_bench_words(&x->values, &x->n, a, option, values);
}

static rs_status find_axes(axis *axes, int64_t *n, const rs_catalog_bench *b)
{
    int64_t *gangs, n_gangs;
    if (b->o->gang) {
        RS_TRY(rs_bench_numbers(&gangs, &n_gangs, b->a, "--gang", b->o->gang, 1, 1000000));
        RS_TRY(add_axis(axes, n, b->a, "--gang", "cluster.gang", b->o->gang));
    }
    for (int64_t i = 0; i < b->o->vary.n; i++) {
        const char *text = b->o->vary.items[i], *eq = strchr(text, '=');
        if (!eq || eq == text)
            return RS_FAIL(USAGE, "--vary: \"%s\" is not KEY=VALUE,VALUE", text);
        RS_TRY(add_axis(axes, n, b->a, "--vary", rs_arena_strndup(b->a, text, (size_t)(eq - text)),
                        eq + 1));
    }
    return RS_OK;
}

/* A gang takes whole ranks. */
static void check_gang(rs_catalog_point *p, rs_arena *a, const char *key, const char *value)
{
    int64_t gang;
    if (strcmp(key, "cluster.gang") == 0 && rs_parse_i64(&gang, value) &&
        (gang < 1 || p->ranks % gang != 0))
        p->skipped =
            rs_arena_printf(a, "gangs of %s do not divide %lld ranks", value, (long long)p->ranks);
}

/* Point `index` of the product: ranks change fastest, then the last axis. */
static rs_catalog_point point_at(const rs_catalog_bench *b, const axis *axes, int64_t n_axes,
                                 const int64_t *ranks, int64_t n_ranks, int64_t index)
{
    rs_catalog_point p = {.ranks = ranks[index % n_ranks], .n_sets = n_axes};
    p.sets = RS_NEW(b->a, const char *, n_axes + 1);
    p.seconds = RS_NEW(b->a, double, b->o->repeat);
    index /= n_ranks;
    for (int64_t i = n_axes - 1; i >= 0; index /= axes[i].n, i--) {
        const char *value = axes[i].values[index % axes[i].n];
        p.sets[i] = rs_arena_printf(b->a, "%s=%s", axes[i].key, value);
        check_gang(&p, b->a, axes[i].key, value);
    }
    return p;
}

rs_status rs_catalog_points(rs_catalog_bench *b)
{
    axis axes[AXES_MAX];
    int64_t n_axes = 0, *ranks, n_ranks, runnable = 0;
    RS_TRY(rs_bench_numbers(&ranks, &n_ranks, b->a, "--ranks", b->o->ranks, 1, 1000000));
    RS_TRY(find_axes(axes, &n_axes, b));
    b->n_points = n_ranks;
    for (int64_t i = 0; i < n_axes && b->n_points <= POINTS_MAX; i++)
        b->n_points *= axes[i].n;
    if (b->n_points > POINTS_MAX)
        return RS_FAIL(USAGE, "more than %d points", POINTS_MAX);
    b->points = RS_NEW(b->a, rs_catalog_point, b->n_points);
    for (int64_t i = 0; i < b->n_points; i++) {
        b->points[i] = point_at(b, axes, n_axes, ranks, n_ranks, i);
        runnable += !b->points[i].skipped;
    }
    return runnable ? RS_OK : RS_FAIL(USAGE, "nothing to run: %s", b->points[0].skipped);
}
