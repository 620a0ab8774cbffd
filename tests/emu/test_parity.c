/* ctest: TIMEOUT 900
 * A tiny experiment through the whole program, on the CPU and on the CUDA backend (the emulated
 * runtime, or a GPU): the same training, the same losses, the same adapters but for rounding, and
 * on CUDA the same bits from 1, 2 and 4 ranks, with weights resident, sharded and on the host.
 * Prints the table.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/fsio.h"
#include "harness/catalog.h"
#include "harness/test.h"
#include "store/safetensors.h"

enum { VIDEOS = 2 };

static const char *state_of(const char *dir, const char *run, int video, const char *name)
{
    return rs_arena_printf(t_arena(), "%s/%s/state/clip-%02d/%s", dir, run, video, name);
}

/* Relative L2 distance over all fp32 tensors of both files. */
static double distance(const char *a, const char *b)
{
    rs_safetensors *x, *y;
    double diff = 0, all = 0;
    T_OK(rs_safetensors_open(&x, a));
    T_OK(rs_safetensors_open(&y, b));
    T_EQ_I(rs_safetensors_count(x), rs_safetensors_count(y));
    for (int64_t i = 0; i < rs_safetensors_count(x); i++) {
        const rs_tensor *p = rs_safetensors_at(x, i);
        const rs_tensor *q = rs_safetensors_find(y, rs_safetensors_name(x, i));
        T_CHECKF(q && rs_tensor_same_shape(*p, *q), "%s", rs_safetensors_name(x, i));
        if (p->dtype != RS_DTYPE_F32)
            continue;
        for (int64_t k = 0; k < rs_tensor_count(*p); k++) {
            double u = (double)rs_f32(*p)[k], v = (double)rs_f32(*q)[k];
            diff += (u - v) * (u - v);
            all += u * u;
        }
    }
    T_CHECKF(all > 0 && isfinite(diff), "%s: nothing to compare", a);
    rs_safetensors_close(&x);
    rs_safetensors_close(&y);
    return sqrt(diff / all);
}

static void run(const char *dir, const char *name, int ranks, const char *more)
{
    char *out;
    int rc = t_catalog_run(&out, ranks, dir, name, more);
    T_CHECKF(rc == 0, "%s (%s), %d ranks: %d: %s", name, more, ranks, rc, out);
}

static void compare(const char *dir, const char *a, const char *b, double limit)
{
    static const char *const STATES[] = {"motion.safetensors", "appearance@recolour.safetensors"};
    for (int s = 0; s < 2; s++)
        for (int v = 0; v < VIDEOS; v++) {
            double d = distance(state_of(dir, a, v, STATES[s]), state_of(dir, b, v, STATES[s]));
            printf("    %-8s %-8s clip-%02d %-32s %.3e (limit %.0e)\n", a, b, v, STATES[s], d,
                   limit);
            T_CHECKF(d <= limit, "%s and %s differ by %g", a, b, d);
        }
}

static void t_cuda_matches_the_cpu(void)
{
    const char *dir = t_catalog_world(VIDEOS);
    run(dir, "cpu", 0, "--set cluster.backend=cpu");
    run(dir, "cuda", 0, "--set cluster.backend=cuda");
    compare(dir, "cpu", "cuda", 1e-4);
}

static void t_cuda_does_not_depend_on_the_ranks(void)
{
    const char *dir = t_catalog_world(VIDEOS);
    run(dir, "cuda", 0, "--set cluster.backend=cuda");
    for (int ranks = 2; ranks <= 4; ranks += 2) {
        const char *name = rs_arena_printf(t_arena(), "cuda%d", ranks);
        const char *shards = rs_arena_printf(t_arena(), "shards%d", ranks);
        run(dir, name, ranks, "--set cluster.backend=cuda");
        t_catalog_same(dir, "cuda", name, VIDEOS * 5);
        run(dir, shards, ranks, "--set cluster.backend=cuda --set memory.home=sharded");
        t_catalog_same(dir, "cuda", shards, VIDEOS * 5);
    }
    run(dir, "host2", 2, "--set cluster.backend=cuda --set memory.home=host");
    t_catalog_same(dir, "cuda", "host2", VIDEOS * 5);
}

static const rs_test_case CASES[] = {
    T_CASE(t_cuda_matches_the_cpu),
    T_CASE(t_cuda_does_not_depend_on_the_ranks),
};
RS_TEST_MAIN(CASES)
