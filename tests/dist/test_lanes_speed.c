// ctest: LABELS long TIMEOUT 900
/* Lanes of 1 and 2 MPI ranks with one thread each: rates and memory for docs/benchmarks.md, with
 * equal losses as the check of the values. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "harness/lanes.h"
#include "harness/mpirun.h"
#include "harness/test.h"
#include "model/dit_fixture.h"

enum { STEPS = 6, WIDEST = 2 };

static const char *make_model(int dim, int heads, int ffn, int layers)
{
    char *config = rs_arena_printf(
        t_arena(),
        "{\"_class_name\": \"WanTransformer3DModel\", \"num_attention_heads\": %d,"
        " \"attention_head_dim\": %d, \"num_layers\": %d, \"ffn_dim\": %d, \"in_channels\": 36,"
        " \"text_dim\": %d, \"image_dim\": %d, \"added_kv_proj_dim\": %d}",
        heads, dim / heads, layers, ffn, T_LANE_TEXT, T_LANE_IMAGE, dim);
    return t_make_dit("m", config, RS_DTYPE_F32);
}

static void run(const char *dir, int64_t F, int64_t H, int64_t W)
{
    char *loss = NULL;
    for (int ranks = 1; ranks <= WIDEST; ranks++) {
        char *out;
        int rc = t_mpirun(&out, ranks, "lane-speed %s %lld %lld %lld %d", dir, (long long)F,
                          (long long)H, (long long)W, STEPS);
        T_CHECKF(rc == 0 && strstr(out, "loss "), "rc %d: %s", rc, out);
        RS_LOG(INFO, "%s", out);
        if (ranks > 1)
            T_EQ_S(strstr(out, "loss "), loss);
        loss = strstr(out, "loss ");
    }
}

static void t_medium(void)
{
    run(make_model(384, 12, 1024, 4), 4, 32, 32);
}

static void t_large(void)
{
    run(make_model(768, 12, 3072, 4), 4, 32, 32);
}

static void t_long(void)
{
    run(make_model(384, 12, 1024, 4), 8, 40, 40);
}

static const rs_test_case cases[] = {T_CASE(t_medium), T_CASE(t_large), T_CASE(t_long)};
RS_TEST_MAIN(cases)
