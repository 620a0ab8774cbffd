/* Ranks times threads never exceed the cores by default. */
#include <stdio.h>
#include <string.h>

#include "harness/test.h"
#include "job/cores.h"

enum { MOST = 64 };

/* Rank k on machine `host` with cores [lo,hi). */
static void put(rs_rank_cores *all, int k, const char *host, int lo, int hi)
{
    memset(&all[k], 0, sizeof all[k]);
    snprintf(all[k].host, sizeof all[k].host, "%s", host);
    for (int c = lo; c < hi; c++)
        CPU_SET((size_t)c, &all[k].set);
}

static void t_cores_are_shared_evenly(void)
{
    static const int k_want[] = {8, 4, 2, 2, 1, 1, 1, 1, 1, 1};
    rs_rank_cores all[MOST];
    for (int n = 1; n <= 10; n++) {
        put(all, n - 1, "a", 0, 8);
        for (int r = 0; r < n; r++)
            T_EQ_I(rs_rank_cores_share(all, n, r), k_want[n - 1]);
    }
}

static void t_bound_ranks_and_other_machines(void)
{
    rs_rank_cores all[MOST];
    for (int r = 0; r < 4; r++) /* two machines, each rank bound to half of its cores */
        put(all, r, r < 2 ? "a" : "b", r % 2 * 4, r % 2 * 4 + 4);
    for (int r = 0; r < 4; r++)
        T_EQ_I(rs_rank_cores_share(all, 4, r), 4);
    put(all, 4, "c", 0, 48);
    T_EQ_I(rs_rank_cores_share(all, 5, 4), 48);
}

/* Sets that overlap without being equal: random ranges. */
static void t_never_more_than_there_are(void)
{
    rs_rank_cores all[MOST];
    unsigned seed = 12345;
    for (int round = 0; round < 500; round++) {
        cpu_set_t any;
        CPU_ZERO(&any);
        int n = 1 + round % 7, threads = 0, alone = 0;
        for (int r = 0; r < n; r++) {
            seed = seed * 1664525u + 1013904223u;
            int lo = (int)(seed >> 8) % 20, len = 1 + (int)(seed >> 20) % 30;
            put(all, r, "a", lo, lo + len);
            CPU_OR(&any, &any, &all[r].set);
        }
        for (int r = 0; r < n; r++) {
            int share = rs_rank_cores_share(all, n, r);
            T_CHECK(share >= 1 && share <= CPU_COUNT(&all[r].set));
            threads += share;
            alone += share == 1; /* may be rounded up from less */
        }
        T_CHECKF(threads <= CPU_COUNT(&any) + alone, "%d threads on %d cores", threads,
                 CPU_COUNT(&any));
    }
}

static void t_this_process(void)
{
    rs_rank_cores here = rs_rank_cores_here();
    T_CHECK(CPU_COUNT(&here.set) >= 1 && here.host[0]);
    T_EQ_I(rs_rank_cores_share(&here, 1, 0), CPU_COUNT(&here.set));
}

static const rs_test_case k_cases[] = {
    T_CASE(t_cores_are_shared_evenly),
    T_CASE(t_bound_ranks_and_other_machines),
    T_CASE(t_never_more_than_there_are),
    T_CASE(t_this_process),
};
RS_TEST_MAIN(k_cases)
