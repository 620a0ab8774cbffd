// base: status record, arena, dtypes, Philox, hash, atomic files.
#include <math.h>
#include <string.h>

#include "base/fsio.h"
#include "base/hash.h"
#include "base/sha256.h"
#include "base/rng.h"
#include "harness/test.h"

static rs_status leaf(void)
{
    return RS_FAIL(FORMAT, "%s: byte %d is wrong", "a.bin", 7);
}

static rs_status middle(void)
{
    RS_TRY(leaf());
    return RS_OK;
}

static void t_status_relays_and_traces(void)
{
    T_FAILS(middle(), FORMAT, "a.bin: byte 7 is wrong");
    T_CHECK(strstr(rs_error_trace(), "leaf") && strstr(rs_error_trace(), "middle"));
    rs_error_context("job %d", 3);
    T_EQ_S(rs_error_message(), "job 3: a.bin: byte 7 is wrong");
    T_EQ_I(rs_status_exit_code(RS_CONFIG), 2);
    T_EQ_I(rs_status_exit_code(RS_STOPPED), 75);
}

static void t_arena_mark_release(void)
{
    rs_arena *a = rs_arena_create();
    char *keep = rs_arena_strdup(a, "keep");
    rs_arena_mark m = rs_arena_get_mark(a);
    size_t used = rs_arena_used(a);
    for (int i = 0; i < 100; i++) {
        char *p = rs_arena_alloc(a, 10000, 1);
        T_CHECK(((uintptr_t)p & 63) == 0 && p[0] == 0 && p[9999] == 0);
        memset(p, 1, 10000);
    }
    rs_arena_release(a, m);
    T_EQ_I(rs_arena_used(a), used);
    T_EQ_S(keep, "keep");
    rs_arena_destroy(&a);
    T_CHECK(!a);
}

static void t_f16_round_trips_every_value(void)
{
    for (uint32_t h = 0; h < 65536; h++) {
        float f = rs_f32_from_f16((uint16_t)h);
        if (isnan(f))
            continue;
        T_EQ_I(rs_f16_from_f32(f), h);
    }
    T_EQ_I(rs_f16_from_f32(65519.0f), 0x7bff);
    T_EQ_I(rs_f16_from_f32(65520.0f), 0x7c00);
    T_EQ_I(rs_f16_from_f32(0x1p-25f), 0);
    T_EQ_I(rs_f16_from_f32(0x1.8p-25f), 1);
    T_EQ_I(rs_bf16_from_f32(1.00390625f), 0x3f80); /* tie to even */
    T_EQ_I(rs_bf16_from_f32(1.01171875f), 0x3f82);
}

/* Known answers: Random123 distribution, kat_vectors, philox4x32 10 rounds. */
static void t_philox_known_answers(void)
{
    uint32_t out[4];
    rs_philox4x32(out, (uint32_t[4]){0, 0, 0, 0}, (uint32_t[2]){0, 0});
    T_CHECK(out[0] == 0x6627e8d5 && out[1] == 0xe169c58d && out[2] == 0xbc57ac4c &&
            out[3] == 0x9b00dbd8);
    rs_philox4x32(out, (uint32_t[4]){~0u, ~0u, ~0u, ~0u}, (uint32_t[2]){~0u, ~0u});
    T_CHECK(out[0] == 0x408f276d && out[1] == 0x41c83b0e && out[2] == 0xa20bc7c6 &&
            out[3] == 0x6d5451fd);
    rs_philox4x32(out, (uint32_t[4]){0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
                  (uint32_t[2]){0xa4093822, 0x299f31d0});
    T_CHECK(out[0] == 0xd16cfe09 && out[1] == 0x94fdcceb && out[2] == 0x5001e420 &&
            out[3] == 0x24126ea1);
}

static void t_normals_have_right_moments_and_any_range(void)
{
    enum { N = 200000 };
    rs_rng r = rs_rng_stream(1, 2, RS_RNG_TEST, 3);
    float *z = RS_NEW(t_arena(), float, N);
    rs_rng_fill_normal(z, &r, 0, N);
    double s1 = 0, s2 = 0, s4 = 0;
    for (int i = 0; i < N; i++) {
        double v = (double)z[i];
        s1 += v;
        s2 += v * v;
        s4 += v * v * v * v;
    }
    T_NEAR(s1 / N, 0, 0.01);
    T_NEAR(s2 / N, 1, 0.02);
    T_NEAR(s4 / N, 3, 0.15);
    float part[7];
    rs_rng_fill_normal(part, &r, 5, 7);
    T_CHECK(memcmp(part, z + 5, sizeof part) == 0);
    rs_rng other = rs_rng_stream(1, 2, RS_RNG_TEST, 4);
    T_CHECK(rs_rng_normal(&other, 5) != z[5]);
}

static void t_permutation_is_one(void)
{
    rs_rng r = rs_rng_stream(9, 9, RS_RNG_ORDER, 0);
    int64_t p[50], seen[50] = {0};
    rs_rng_permute(p, &r, 50);
    for (int i = 0; i < 50; i++)
        seen[p[i]]++;
    for (int i = 0; i < 50; i++)
        T_EQ_I(seen[i], 1);
}

static void t_fill_rule_jumps(void)
{
    float all[100], tail[10];
    rs_fill_rule(all, "input.x", 0, 100, 1.5, 0.25);
    rs_fill_rule(tail, "input.x", 90, 10, 1.5, 0.25);
    T_CHECK(memcmp(all + 90, tail, sizeof tail) == 0);
    for (int i = 0; i < 100; i++)
        T_CHECK(all[i] >= -1.25f && all[i] <= 1.75f);
}

static void t_sha256_known_answers(void)
{
    rs_hash h;
    char hex[RS_HASH_HEX];
    rs_hash_init(&h);
    rs_hash_final_hex(&h, hex);
    T_EQ_S(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    const char *s = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    rs_hash_init(&h);
    rs_hash_update(&h, s, 20);
    rs_hash_update(&h, s + 20, strlen(s) - 20);
    rs_hash_final_hex(&h, hex);
    T_EQ_S(hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

/* FIPS 180-4's third example: a million times 'a', in pieces of odd sizes. */
static void t_sha256_of_a_million(void)
{
    rs_hash h;
    char piece[1000], hex[RS_HASH_HEX];
    memset(piece, 'a', sizeof piece);
    rs_hash_init(&h);
    for (size_t done = 0, n = 1; done < 1000000; done += n, n = (7 * n + 3) % 997 + 1)
        rs_hash_update(&h, piece, n = n < 1000000 - done ? n : 1000000 - done);
    rs_hash_final_hex(&h, hex);
    T_EQ_S(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void t_sha256_instructions_and_plain_code_agree(void)
{
    enum { BLOCKS = 9 };
    uint8_t data[64 * BLOCKS];
    uint32_t plain[8] = {1, 2, 3, 4, 5, 6, 7, 0xffffffff}, fast[8];
    if (!rs_sha256_has_instructions())
        rs_test_skip("this processor has no SHA instructions");
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * i * 31 + i * 7 + 200);
    memcpy(fast, plain, sizeof fast);
    for (size_t n = 0; n <= BLOCKS; n++) {
        rs_sha256_blocks_plain(plain, data, n);
        rs_sha256_blocks(fast, data, n);
        T_CHECKF(memcmp(fast, plain, sizeof fast) == 0, "%zu blocks", n);
    }
}

static void t_atomic_write_replaces_whole(void)
{
    rs_arena *a = t_arena();
    char *path = rs_path_join(a, t_tmpdir(), "x/y/file.txt");
    T_OK(rs_make_dirs(rs_path_dirname(a, path)));
    T_OK(rs_write_file_atomic(path, "one", 3));
    T_OK(rs_write_file_atomic(path, "three", 5));
    char *data;
    size_t n;
    T_OK(rs_read_file(&data, &n, a, path));
    T_EQ_S(data, "three");
    char **names;
    int64_t count;
    T_OK(rs_list_dir(&names, &count, a, rs_path_dirname(a, path)));
    T_EQ_I(count, 1);
    T_FAILS(rs_write_file_atomic("/nonexistent/dir/f", "x", 1), IO, "/nonexistent/dir/f");
    T_FAILS(rs_read_file(&data, &n, a, "/nonexistent"), IO, "/nonexistent: cannot open");
}

static void t_tensor_views(void)
{
    rs_tensor t = rs_tensor_new(t_arena(), RS_SHAPE(4, 6));
    for (int i = 0; i < 24; i++)
        rs_f32(t)[i] = (float)i;
    rs_tensor c = rs_tensor_cols_view(rs_tensor_rows_view(t, 1, 3), 2, 5);
    T_EQ_I(c.shape[0], 2);
    T_EQ_I(c.shape[1], 3);
    T_CHECK(rs_f32(c)[0] == 8.0f && rs_f32(c)[c.ld] == 14.0f && !rs_tensor_contiguous(c));
    rs_carver plan = {0};
    rs_carve(&plan, RS_DTYPE_F32, RS_SHAPE(3, 5));
    rs_carve(&plan, RS_DTYPE_BF16, RS_SHAPE(7));
    T_EQ_I(plan.used, 128);
}

static const rs_test_case cases[] = {
    T_CASE(t_status_relays_and_traces),
    T_CASE(t_arena_mark_release),
    T_CASE(t_f16_round_trips_every_value),
    T_CASE(t_philox_known_answers),
    T_CASE(t_normals_have_right_moments_and_any_range),
    T_CASE(t_permutation_is_one),
    T_CASE(t_fill_rule_jumps),
    T_CASE(t_sha256_known_answers),
    T_CASE(t_sha256_of_a_million),
    T_CASE(t_sha256_instructions_and_plain_code_agree),
    T_CASE(t_atomic_write_replaces_whole),
    T_CASE(t_tensor_views),
};
RS_TEST_MAIN(cases)
