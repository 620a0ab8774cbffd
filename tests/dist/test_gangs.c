// ctest: TIMEOUT 600
// Gangs of ranks that share the weights, ranks pinned to stages, the time limit, memory of ranks.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/catalog.h"
#include "harness/test.h"

enum { VIDEOS = 5 };

/* A copy of the weights per rank, or one per gang, whatever the number of ranks in it. */
static void t_results_do_not_depend_on_the_gangs(void)
{
    static const int ranks[] = {1, 2, 4, 3}, gangs[] = {1, 2, 4, 2};
    const char *dir = t_catalog_world(VIDEOS);
    char *out;
    T_CHECKF(t_catalog_run(&out, 0, dir, "alone", "") == 0, "%s", out);
    for (size_t i = 0; i < sizeof ranks / sizeof ranks[0]; i++) {
        const char *name = rs_arena_printf(t_arena(), "gangs%d", (int)i);
        const char *more = rs_arena_printf(
            t_arena(), "--set memory.home=sharded --set cluster.gang=%d --set log.level=detail",
            gangs[i]);
        T_CHECKF(t_catalog_run(&out, ranks[i], dir, name, more) == 0, "gangs of %d: %s", gangs[i],
                 out);
        t_catalog_same(dir, "alone", name, VIDEOS * 5);
        const char *said = rs_arena_printf(t_arena(), "weights: gang of %d,", gangs[i]);
        T_EQ_I(t_catalog_logged(dir, name, said), ranks[i] / gangs[i] * gangs[i]);
        T_EQ_I(t_catalog_logged(dir, name, "keep to one kind of pass"), gangs[i] > 1);
    }
}

/* A rank per job, or lanes of several that share one, with a copy of the weights each or one per
 * gang. Guidance is on: the halves of a lane have a pass each. */
static void t_results_do_not_depend_on_the_lanes(void)
{
    static const struct {
        int ranks, lanes;
        const char *more;
    } k_runs[] = {{2, 2, ""},
                  {3, 1, ""},
                  {4, 2, "--set memory.home=sharded --set cluster.gang=2"},
                  {4, 2, "--set memory.home=sharded --set cluster.gang=4"}};
    const char *dir = t_catalog_world(VIDEOS);
    char *out;
    T_CHECKF(t_catalog_run(&out, 0, dir, "alone", "") == 0, "%s", out);
    for (size_t i = 0; i < sizeof k_runs / sizeof k_runs[0]; i++) {
        const char *name = rs_arena_printf(t_arena(), "lanes%d", (int)i);
        const char *more = rs_arena_printf(t_arena(), "%s --set cluster.lanes=%d", k_runs[i].more,
                                           k_runs[i].lanes);
        T_CHECKF(t_catalog_run(&out, k_runs[i].ranks, dir, name, more) == 0, "%d: %s", (int)i, out);
        t_catalog_same(dir, "alone", name, VIDEOS * 5);
        t_catalog_clean(dir, name);
        T_EQ_I(t_catalog_logged(dir, name, "| motion done"), VIDEOS);
        /* all of a lane took the steps */
        T_EQ_I(t_catalog_logged(dir, name, "| motion step 6/6"), VIDEOS * k_runs[i].lanes);
    }
    T_EQ_I(t_catalog_run(&out, 3, dir, "odd", "--set cluster.lanes=2"), 2);
    T_CHECKF(strstr(out, "lanes of 2 ranks do not divide a world of 3"), "%s", out);
    T_EQ_I(t_catalog_run(&out, 4, dir, "wide", "--set cluster.lanes=4"), 2);
    T_CHECKF(strstr(out, "does not divide the model's 2 heads"), "%s", out);
}

/* Which ranks logged this. */
static const char *who(const char *dir, const char *output, const char *text)
{
    char *out;
    t_shell(&out,
            "cat %s/%s/reshoot*.log | grep -- '%s' | grep -o ' r[0-9] ' | sort -u | tr -d ' \\n'",
            dir, output, text);
    return out;
}

static void t_pinned_ranks(void)
{
    const char *dir = t_catalog_world(VIDEOS);
    char *out;
    T_CHECKF(t_catalog_run(&out, 0, dir, "alone", "") == 0, "%s", out);
    T_CHECKF(t_catalog_run(
                 &out, 3, dir, "pinned",
                 "--set 'cluster.pin=0=ingest,publish; 1=motion,appearance; 2=edit,decode'") == 0,
             "%s", out);
    t_catalog_same(dir, "alone", "pinned", VIDEOS * 5);
    T_EQ_S(who(dir, "pinned", "ingest done"), "r0");
    T_EQ_S(who(dir, "pinned", "motion done"), "r1");
    T_EQ_S(who(dir, "pinned", "appearance done"), "r1");
    T_EQ_S(who(dir, "pinned", "edit done"), "r2");
    T_EQ_S(who(dir, "pinned", "decode done"), "r2");
    T_EQ_S(who(dir, "pinned", "publish done"), "r0");
    T_EQ_I(t_catalog_run(&out, 2, dir, "none", "--set cluster.pin=0-1=ingest,motion"), 2);
    T_CHECKF(strstr(out, "no gang may run the stage"), "%s", out);
    T_EQ_I(t_catalog_run(&out, 2, dir, "none", "--set cluster.pin=0-2=ingest"), 2);
    T_CHECKF(strstr(out, "there is no rank 2 in a world of 2"), "%s", out);
    T_EQ_I(t_catalog_run(&out, 2, dir, "none", "--set cluster.pin=0=inget"), 2);
    T_CHECKF(strstr(out, "unknown stage \"inget\"; did you mean ingest"), "%s", out);
}

/* The time is up while a stage runs: all stop with their states saved; more time goes on. */
static void t_the_time_limit_stops_all(void)
{
    const char *dir = t_catalog_world(VIDEOS);
    char *out;
    T_EQ_I(t_catalog_run(
               &out, 2, dir, "limited",
               "--set motion.steps=100000 --set cluster.time_limit=66 --set cluster.margin=60"),
           75);
    T_EQ_I(t_shell(&out, "ls %s/limited/state/*/motion~checkpoint.safetensors | wc -l", dir), 0);
    T_EQ_I(atoi(out), 2);
    /* of two ranks that share one job, one has the state */
    T_EQ_I(t_catalog_run(&out, 2, dir, "lane",
                         "--set motion.steps=100000 --set cluster.time_limit=66 "
                         "--set cluster.margin=60 --set cluster.lanes=2"),
           75);
    T_EQ_I(t_shell(&out, "ls %s/lane/state/*/motion~checkpoint.safetensors | wc -l", dir), 0);
    T_EQ_I(atoi(out), 1);
    /* No time at all: nothing is begun. */
    T_EQ_I(t_catalog_run(&out, 2, dir, "limited",
                         "--set cluster.time_limit=60 --set cluster.margin=60"),
           75);
}

/* A rank that computes takes no messages. Where none is buffered on its way, as large ones are not
 * and small ones are where there is room, nobody else may wait for that. */
static void t_nobody_waits_for_who_computes(void)
{
    const char *dir = t_catalog_world(VIDEOS);
    char *out;
    setenv("OMPI_MCA_btl_vader_eager_limit", "512", 1);
    int rc = t_catalog_run(
        &out, 2, dir, "limited",
        "--set motion.steps=100000 --set cluster.time_limit=66 --set cluster.margin=60");
    unsetenv("OMPI_MCA_btl_vader_eager_limit");
    T_CHECKF(rc == 75, "%d: %s", rc, out);
    T_EQ_I(t_shell(&out, "ls %s/limited/state/*/motion~checkpoint.safetensors | wc -l", dir), 0);
    T_EQ_I(atoi(out), 2);
}

/* Of the "memory of a rank: ... = X of Y" in the log of rank 0. */
static double budget_of(const char *dir, const char *output)
{
    char *log, unit[8];
    double v = 0;
    t_shell(&log, "grep 'memory of a rank' %s/%s/reshoot.log", dir, output);
    const char *sum = strstr(log, " = "), *at = sum ? strstr(sum, " of ") : NULL;
    T_CHECKF(at && sscanf(at, " of %lf %7s", &v, unit) == 2 && strcmp(unit, "GB") == 0, "%s", log);
    return v;
}

static void t_ranks_share_the_memory_of_a_machine(void)
{
    const char *dir = t_catalog_world(VIDEOS);
    char *out;
    T_CHECKF(t_catalog_run(&out, 0, dir, "one", "--only ingest") == 0, "%s", out);
    T_CHECKF(t_catalog_run(&out, 3, dir, "three", "--only ingest") == 0, "%s", out);
    double one = budget_of(dir, "one");
    T_NEAR(budget_of(dir, "three"), one / 3, 0.01 * one); /* three digits are printed */
}

/* The number in front of `after` or behind `before`, whichever is given. */
static long long number_at(const char *log, const char *before, const char *after)
{
    long long v = -1;
    const char *at = before ? strstr(log, before) : strstr(log, after);
    T_CHECKF(at, "%s%s is not in: %s", before ? before : "", after ? after : "", log);
    if (before)
        sscanf(at + strlen(before), "%lld", &v);
    while (!before && at > log && at[-1] >= '0' && at[-1] <= '9')
        sscanf(--at, "%lld", &v);
    return v;
}

/* fp32 and half floats; parts are cut at multiples of 64 bytes, so ranks differ by that a block. */
static void t_a_gang_holds_what_is_planned(void)
{
    static const char *const models[] = {"",
                                         "--set model.path=" T_SRC "/datasets/smallworld/model"};
    const char *dir = t_catalog_world(VIDEOS);
    char *out;
    for (int k = 0; k < 2; k++)
        for (int ranks = 2; ranks <= 3; ranks++) {
            const char *more = rs_arena_printf(
                t_arena(),
                "--only ingest --set log.level=detail --set memory.home=sharded --set "
                "cluster.gang=%d %s",
                ranks, models[k]);
            T_CHECKF(t_catalog_run(&out, ranks, dir, "held", more) == 0, "%s", out);
            long long held = number_at(out, NULL, " bytes held");
            long long planned = number_at(out, ", weights ", NULL);
            T_CHECKF(held <= planned && planned <= held + (ranks == 3 ? 64 * 6 : 0),
                     "%d ranks: %lld planned, %lld held", ranks, planned, held);
            T_CHECK(t_shell(&out, "rm -r %s/held", dir) == 0);
        }
}

static const rs_test_case k_cases[] = {
    T_CASE(t_results_do_not_depend_on_the_gangs),
    T_CASE(t_results_do_not_depend_on_the_lanes),
    T_CASE(t_pinned_ranks),
    T_CASE(t_the_time_limit_stops_all),
    T_CASE(t_nobody_waits_for_who_computes),
    T_CASE(t_ranks_share_the_memory_of_a_machine),
    T_CASE(t_a_gang_holds_what_is_planned),
};
RS_TEST_MAIN(k_cases)
