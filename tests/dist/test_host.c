/* Home host: the ranks of a machine share one copy of the weights. */
#include <stdio.h>
#include <string.h>

#include "harness/catalog.h"
#include "harness/mpirun.h"
#include "harness/test.h"

enum { VIDEOS = 2, MIB = 64 /* of the weights */ };

typedef struct held {
    int ranks;
    long long own, shared; /* largest; sum */
    bool one;              /* all have the same file */
} held;

static held read_held(const char *out)
{
    held h = {.one = true};
    char first[32] = "", file[32];
    long long own, shared;
    int rank;
    for (const char *at = out; (at = strstr(at, "rank ")); at += 5)
        if (sscanf(at, "rank %d: bits are right, own %lld MiB, shared %lld MiB of file %31s", &rank,
                   &own, &shared, file) == 4) {
            h.one = h.one && (h.ranks == 0 || strcmp(first, file) == 0);
            h.own = own > h.own ? own : h.own;
            h.shared += shared;
            snprintf(first, sizeof first, "%s", file);
            h.ranks++;
        }
    h.one = h.one && strcmp(first, "none") != 0;
    return h;
}

/* Beside the copy a rank holds two blocks, one in eight, and what the program needs. */
static void t_ranks_share_one_copy(void)
{
    char *out;
    for (int n = 2; n <= 3; n++) {
        int rc = t_mpirun(&out, n, "host %s shared", t_tmpdir());
        held h = read_held(out);
        T_CHECKF(rc == 0 && h.ranks == n && h.one && !strstr(out, "a copy of its own"), "rc %d: %s",
                 rc, out);
        T_CHECKF(h.own < MIB / 2, "a rank has %lld MiB: %s", h.own, out);
        T_CHECKF(h.shared > MIB - n - 1 && h.shared <= MIB, "%lld MiB: %s", h.shared, out);
    }
}

static void t_a_copy_each_where_none_can_be_shared(void)
{
    char *out;
    int rc = t_mpirun(&out, 2, "host %s alone", t_tmpdir());
    held h = read_held(out);
    T_CHECKF(rc == 0 && h.ranks == 2 && h.own >= MIB && h.shared == 0, "rc %d: %s", rc, out);
    T_CHECKF(strstr(out, "weights: no memory shared by the ranks of this machine: its size: File "
                         "too large; each of the 2 ranks keeps a copy of its own, of 6"),
             "%s", out);
}

static void t_runs_share_it_too(void)
{
    const char *dir = t_catalog_world(VIDEOS);
    char *out;
    T_CHECKF(t_catalog_run(&out, 0, dir, "alone", "") == 0, "%s", out);
    for (int n = 1; n <= 3; n++) {
        const char *name = rs_arena_printf(t_arena(), "host%d", n);
        T_CHECKF(
            t_catalog_run(&out, n, dir, name, "--set memory.home=host --set log.level=detail") == 0,
            "%s", out);
        t_catalog_same(dir, "alone", name, VIDEOS * 5);
        T_EQ_I(t_catalog_logged(dir, name, "on the host: .* page-locked, one copy for the"),
               n > 1 ? n : 0);
    }
}

static const rs_test_case cases[] = {
    T_CASE(t_ranks_share_one_copy),
    T_CASE(t_a_copy_each_where_none_can_be_shared),
    T_CASE(t_runs_share_it_too),
};
RS_TEST_MAIN(cases)
