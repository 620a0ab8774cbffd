// reshoot bench step and tower: what they report, that it agrees with itself, and that nothing is
// left behind.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fsio.h"
#include "harness/benches.h"
#include "harness/test.h"
#include "harness/world.h"
#include "model/synth_dit.h"
#include "store/safetensors.h"

#define SMALL "--dim 48 --heads 2 --tokens 16 --text 8 --rank 4 --steps 2 --threads 2 --json "

static rs_json *bench(const char *what, const char *options)
{
    char *out;
    int rc = t_reshoot(&out, "bench %s %s", what, options);
    T_CHECKF(rc == 0, "bench %s %s: rc %d: %s", what, options, rc, out);
    return t_json(out);
}

static double of(const rs_json *doc, int64_t i, const char *key)
{
    const rs_json *rows;
    T_OK(rs_json_array(&rows, doc, "results"));
    return t_number(rs_json_at(rows, i), key);
}

static void expect_spread(const rs_json *row, const char *key)
{
    const rs_json *s = rs_json_find(row, key);
    T_CHECK(s && t_number(s, "min") > 0 && t_number(s, "median") >= t_number(s, "min") &&
            t_number(s, "max") >= t_number(s, "median"));
}

static void t_both_passes(void)
{
    const char *dir = t_tmpdir();
    char **left;
    int64_t n;
    rs_json *doc = bench("step", rs_arena_printf(t_arena(), SMALL "--dir %s", dir));
    const rs_json *rows = t_array(doc, "results", 2);
    T_EQ_S(t_text(doc, "format"), "reshoot bench step");
    T_EQ_S(t_text(rs_json_at(rows, 0), "pass"), "train");
    T_EQ_S(t_text(rs_json_at(rows, 1), "pass"), "sample");
    for (int64_t i = 0; i < 2; i++) {
        const rs_json *row = rs_json_at(rows, i);
        expect_spread(row, "wall_s");
        expect_spread(row, "cpu_s");
        T_NEAR(t_number(row, "tokens"), 16, 0);
        T_NEAR(t_number(row, "blocks"), 2, 0);
        T_CHECK(t_number(row, "peak_bytes") >= t_number(row, "activation_bytes"));
        T_CHECK(t_number(row, "loss") > 0);
    }
    /* self attention 4 S^2 D, to the text 4 S T D (8 true rows and one of padding) */
    T_NEAR(of(doc, 1, "flops_attention"), 2 * 4.0 * 16 * (16 + 9) * 48, 0);
    T_NEAR(of(doc, 0, "flops_attention"), 3.5 * of(doc, 1, "flops_attention"), 0);
    T_CHECK(of(doc, 0, "activation_bytes") > of(doc, 1, "activation_bytes"));
    rs_json_destroy(&doc);
    T_OK(rs_list_folders(&left, &n, t_arena(), dir));
    T_EQ_I(n, 0);
}

/* A row of each policy; on a machine with room for so little everything fits. */
static void t_every_policy(void)
{
    static const char *const k_keeps[] = {"recompute", "attention", "store"};
    rs_json *doc = bench("step", SMALL "--pass train --keep recompute,attention,fit "
                                       "--backend cpu");
    const rs_json *rows = t_array(doc, "results", 3);
    for (int64_t i = 0; i < 3; i++) {
        T_EQ_S(t_text(rs_json_at(rows, i), "keep"), k_keeps[i]);
        T_CHECK(of(doc, i, "loss") == of(doc, 0, "loss"));
        T_CHECK(i == 0 || of(doc, i, "activation_bytes") > of(doc, i - 1, "activation_bytes"));
        T_CHECK(of(doc, i, "device_bytes") >= of(doc, i, "activation_bytes"));
    }
    rs_json_destroy(&doc);
}

/* What a step computes does not depend on what is kept, where the weights live, or the threads;
 * on the precision it does, a little. */
static void t_equal_losses(void)
{
    static const char *const k_same[] = {"--keep recompute", "--keep attention", "--home mapped",
                                         "--threads 1", "--image 32 --heads 4"};
    rs_json *doc = bench("step", SMALL "--pass train");
    double loss = of(doc, 0, "loss"), kept = of(doc, 0, "activation_bytes");
    rs_json_destroy(&doc);
    for (size_t i = 0; i < sizeof k_same / sizeof k_same[0]; i++) {
        bool other = strstr(k_same[i], "--image") != NULL;
        doc = bench("step", rs_arena_printf(t_arena(), SMALL "--pass train %s", k_same[i]));
        T_CHECKF((of(doc, 0, "loss") == loss) == !other, "%s: loss %g, not %g", k_same[i],
                 of(doc, 0, "loss"), loss);
        if (strstr(k_same[i], "recompute"))
            T_CHECK(of(doc, 0, "activation_bytes") < kept);
        rs_json_destroy(&doc);
    }
    doc = bench("step", SMALL "--pass train --precision bf16");
    T_CHECK(of(doc, 0, "loss") != loss && fabs(of(doc, 0, "loss") / loss - 1) < 0x1p-8);
    rs_json_destroy(&doc);
}

/* A line for the step that is not timed and for each of the two that are. */
static void t_paced(void)
{
    char *out;
    const char *lines = rs_path_join(t_arena(), t_tmpdir(), "lines");
    static const char *const k_parts[] = {"step " SMALL "--pass sample",
                                          "tower " T_SRC "/datasets/smallworld/model --parts image "
                                          "--runs 2 --json"};
    for (int p = 0; p < 2; p++) {
        T_OK(rs_write_file_atomic(lines, "\n\n\n", 3));
        T_EQ_I(t_reshoot(&out, "bench %s --paced < %s", k_parts[p], lines), 0);
        double wall[3], cpu[3];
        int at;
        T_EQ_I(sscanf(out, "step %lf %lf step %lf %lf step %lf %lf %n", &wall[0], &cpu[0], &wall[1],
                      &cpu[1], &wall[2], &cpu[2], &at),
               6);
        rs_json *doc = t_json(out + at);
        const rs_json *row = rs_json_at(t_array(doc, "results", 1), 0);
        double median = p == 0 ? t_number(rs_json_find(row, "wall_s"), "median")
                               : t_number(row, "wall_median_s");
        T_NEAR(median, (wall[1] + wall[2]) / 2, 1e-6 * median);
        rs_json_destroy(&doc);
        T_OK(rs_write_file_atomic(lines, "\n\n", 2));
        T_EQ_I(t_reshoot(&out, "bench %s --paced < %s", k_parts[p], lines), 2);
        T_CHECK(strstr(out, "standard input ended") != NULL);
    }
}

static void t_grid(void)
{
    rs_json *doc = bench("step", SMALL "--pass sample --grid 1,3,5 --blocks 3 --dtype f32");
    T_NEAR(of(doc, 0, "tokens"), 15, 0);
    T_NEAR(of(doc, 0, "blocks"), 3, 0);
    rs_json_destroy(&doc);
}

static void t_towers(void)
{
    static const char *const k_parts[] = {"vae-encode", "vae-decode", "text", "image"};
    for (int p = 0; p < 2; p++) {
        rs_json *doc = bench(
            "tower", rs_arena_printf(t_arena(),
                                     T_SRC "/datasets/smallworld/model --frames 5 --height 32 "
                                           "--width 48 --text 7 --runs 2 --json --precision %s",
                                     p ? "bf16" : "fp32"));
        const rs_json *rows = t_array(doc, "results", 4);
        for (int64_t i = 0; i < 4; i++) {
            const rs_json *row = rs_json_at(rows, i);
            T_EQ_S(t_text(row, "part"), k_parts[i]);
            T_CHECK(t_number(row, "wall_median_s") > 0 && t_number(row, "flops") > 0 &&
                    t_number(row, "peak_bytes") > 0);
        }
        rs_json_destroy(&doc);
    }
}

/* All blocks have the same values, the index names every tensor, and equal shapes give equal files.
 */
static void t_models_by_rule(void)
{
    const rs_dit_shape shape = {.dim = 24,
                                .heads = 2,
                                .ffn = 40,
                                .blocks = 3,
                                .in_channels = 36,
                                .text_dim = 16,
                                .image_dim = 8};
    rs_dit_shape known;
    rs_safetensors *file;
    const char *dir = t_tmpdir();
    T_OK(rs_synth_dit(dir, &shape, RS_DTYPE_BF16));
    T_OK(rs_safetensors_open(&file, rs_path_join(t_arena(), dir, "transformer")));
    T_EQ_I(rs_safetensors_file_count(file), 4);
    const rs_tensor *a = rs_safetensors_find(file, "blocks.0.attn1.to_q.weight");
    const rs_tensor *b = rs_safetensors_find(file, "blocks.2.attn1.to_q.weight");
    const rs_tensor *k = rs_safetensors_find(file, "blocks.0.attn1.to_k.weight");
    T_CHECK(a && b && k && a->dtype == RS_DTYPE_BF16 && a->shape[0] == 24 && a->shape[1] == 24);
    T_CHECK(memcmp(a->data, b->data, rs_tensor_bytes(*a)) == 0);
    T_CHECK(memcmp(a->data, k->data, rs_tensor_bytes(*a)) != 0);
    rs_safetensors_close(&file);
    T_EQ_I(rs_synth_dit(dir, &(rs_dit_shape){.dim = 24, .heads = 5}, RS_DTYPE_F32), RS_CONFIG);
    T_CHECK(rs_dit_shape_find(&known, "wan21-14b") && known.blocks == 40 && known.dim == 5120);
    T_CHECK(!rs_dit_shape_find(&known, "wan21-15b"));
}

static const rs_test_case k_cases[] = {
    T_CASE(t_both_passes), T_CASE(t_every_policy), T_CASE(t_equal_losses),  T_CASE(t_grid),
    T_CASE(t_paced),       T_CASE(t_towers),       T_CASE(t_models_by_rule)};
RS_TEST_MAIN(k_cases)
