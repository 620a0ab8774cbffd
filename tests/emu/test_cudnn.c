/* Does cuDNN take the attention graphs, on the devices that matter? It answers for a device that is
 * only described to it, so no GPU is needed; the checks want a driver library, for which the
 * toolkit's stub serves. Numbers are for launch/gpu-check.sh. Skipped where cuDNN is not found. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/num.h"
#include "harness/test.h"
#include "kernels/attention/attention_cudnn.h"

typedef struct shape {
    int64_t heads, d, sq, sk;
} shape;

/* Self-attention, short keys of text and image; the 14B model and smaller ones. */
static const shape SHAPES[] = {{40, 128, 20280, 20280}, {40, 128, 20280, 257}, {12, 64, 1000, 257}};

static const char DEVICE[] =
    "{\"cudaDeviceId\":0,\"deviceId\":0,\"deviceVer\":%d,\"driverVer\":13000,"
    "\"maxGridSize\":[2147483647,65535,65535],\"maxBlockSize\":[1024,1024,64],"
    "\"regsPerBlock\":65536,\"multiProcessorCount\":132,\"smClockRateKHz\":1980000,"
    "\"memClockRateKHz\":2619000,\"l2CacheSize\":52428800,\"warpSize\":32,"
    "\"maxSharedMemoryPerBlock\":49152,\"maxSharedMemoryPerBlockOptin\":%d,"
    "\"reservedSharedMemoryPerBlock\":1024,\"maxRegistersPerSM\":65536,\"pciDeviceId\":0,"
    "\"maxCtasPerSM\":32,\"maxThreadsPerBlock\":1024,\"maxThreadsPerSM\":2048,\"isTccDriver\":0,"
    "\"supportCoopLaunch\":1,\"totalGlobalMem\":85899345920,\"deviceName\":\"described\","
    "\"name\":\"described\"}";

static rs_dnn *lib;

static void open_library(void)
{
    char why[RS_DNN_WHY];
    if (!lib)
        lib = rs_dnn_open(true, why);
    if (!lib)
        rs_test_skip("cuDNN: %s", why);
}

static const char *const GRAPHS[] = {"forward", "backward", "backward, fast"};

static void check_graph(int version, shape s, rs_att_graph graph)
{
    int64_t ld = s.heads * s.d;
    rs_att_call call = {.heads = s.heads,
                        .sq = s.sq,
                        .sk = s.sk,
                        .ldo = ld,
                        .lddq = ld,
                        .lddk = ld,
                        .lddv = ld,
                        .ldq = ld,
                        .ldk = ld,
                        .ldv = ld,
                        .lddo = ld,
                        .ldl = s.sq};
    char device[1024];
    int supported = 0;
    int64_t workspace;
    rs_att_key key = rs_att_key_of(&call, s.d, graph);
    snprintf(device, sizeof device, DEVICE, version, version == 800 ? 166912 : 232448);
    rs_dnn_graph g;
    rs_dnn_graph_begin(&g, lib);
    rs_att_dnn_graph(&g, &key);
    int n = rs_dnn_accepts(&g, device, &supported, &workspace);
    T_CHECKF(n > 0 && (supported > 0 || !getenv("RS_TEST_STUB")),
             "sm %d, %lld heads of %lld, %lld x %lld, %s: %d configurations, %d supported%s%s",
             version, (long long)s.heads, (long long)s.d, (long long)s.sq, (long long)s.sk,
             GRAPHS[graph], n, supported, g.failed ? ": " : "", g.why);
    /* dQ from a dS in memory, not from sums in the order in which blocks finish */
    int64_t ds = s.heads * (int64_t)rs_att_ds_bytes(s.sq, s.sk);
    T_CHECKF((graph == RS_ATT_BACKWARD) == (workspace >= ds), "sm %d, %s, %lld x %lld: %lld bytes",
             version, GRAPHS[graph], (long long)s.sq, (long long)s.sk, (long long)workspace);
    rs_dnn_graph_end(&g);
}

static void t_graphs_are_accepted(void)
{
    open_library();
    printf("cuDNN %zu\n", rs_dnn_version(lib));
    for (int version = 800; version <= 1000; version += 100)
        for (int i = 0; i < RS_COUNT_OF(SHAPES); i++)
            for (int g = RS_ATT_FORWARD; g <= RS_ATT_BACKWARD_FAST; g++)
                check_graph(version, SHAPES[i], (rs_att_graph)g);
}

/* A graph that makes no sense is refused, so the test above can fail. */
static void t_nonsense_is_refused(void)
{
    open_library();
    int supported;
    int64_t workspace;
    char device[1024];
    snprintf(device, sizeof device, DEVICE, 900, 232448);
    rs_dnn_graph g;
    rs_dnn_graph_begin(&g, lib);
    rs_dnn_shape a = {{1, 2, 64, 32}, {4096, 2048, 32, 1}};
    rs_dnn_tensor x = rs_dnn_input(&g, 1, CUDNN_DATA_BFLOAT16, a);
    rs_dnn_tensor y = rs_dnn_input(&g, 2, CUDNN_DATA_BFLOAT16, a);
    rs_dnn_matmul(&g, x, x, y); /* 64 x 32 times 64 x 32 */
    T_CHECK(rs_dnn_accepts(&g, device, &supported, &workspace) <= 0 || supported == 0);
    rs_dnn_graph_end(&g);
}

/* Four heads of 20280 tokens fill five rounds of 132 multiprocessors to 96 %; two three of them to
 * 80 %, five seven to 86 %; of 24 GB one fits. */
static void t_parts_of_the_backward(void)
{
    size_t one = rs_att_ds_bytes(20280, 20280);
    T_CHECK(one == 20288ull * 20288 * 2);
    T_CHECK(rs_att_heads_at_once(40, 20280, 20280, 132, 6 * one) == 4);
    T_CHECK(rs_att_heads_at_once(40, 20280, 20280, 132, 24000000000 / 24) == 1);
    T_CHECK(rs_att_heads_at_once(40, 20280, 20280, 132, one - 1) == 0);
    T_CHECK(40 % rs_att_heads_at_once(40, 1560, 512, 132, 40 * one) == 0);
    float lse[12 * 8];
    uint16_t m[10 * 12 * 64];
    rs_att_call call = {.heads = 12, .sq = 8, .ldl = 8, .lse = lse, .q = m, .dk = m + 100};
    rs_att_call part = rs_att_heads_of(&call, 64, 3, 4);
    T_CHECK(part.heads == 4 && part.lse == lse + 24 && part.q == (void *)(m + 192) &&
            part.dk == (void *)(m + 292) && part.sq == 8);
}

static const rs_test_case CASES[] = {T_CASE(t_graphs_are_accepted), T_CASE(t_nonsense_is_refused),
                                     T_CASE(t_parts_of_the_backward)};

RS_TEST_MAIN(CASES)
