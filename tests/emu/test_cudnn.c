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

static void check_graph(int version, shape s, bool backward)
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
    snprintf(device, sizeof device, DEVICE, version, version == 800 ? 166912 : 232448);
    rs_dnn_graph g;
    rs_dnn_graph_begin(&g, lib);
    rs_att_dnn_graph(&g, &call, s.d, backward);
    int n = rs_dnn_accepts(&g, device, &supported);
    T_CHECKF(n > 0 && (supported > 0 || !getenv("RS_TEST_STUB")),
             "sm %d, %lld heads of %lld, %lld x %lld, %s: %d configurations, %d supported%s%s",
             version, (long long)s.heads, (long long)s.d, (long long)s.sq, (long long)s.sk,
             backward ? "backward" : "forward", n, supported, g.failed ? ": " : "", g.why);
    rs_dnn_graph_end(&g);
}

static void t_graphs_are_accepted(void)
{
    open_library();
    printf("cuDNN %zu\n", rs_dnn_version(lib));
    for (int version = 800; version <= 1000; version += 100)
        for (int i = 0; i < RS_COUNT_OF(SHAPES); i++)
            for (int b = 0; b < 2; b++)
                check_graph(version, SHAPES[i], b);
}

/* A graph that makes no sense is refused, so the test above can fail. */
static void t_nonsense_is_refused(void)
{
    open_library();
    int supported;
    char device[1024];
    snprintf(device, sizeof device, DEVICE, 900, 232448);
    rs_dnn_graph g;
    rs_dnn_graph_begin(&g, lib);
    rs_dnn_shape a = {{1, 2, 64, 32}, {4096, 2048, 32, 1}};
    rs_dnn_tensor x = rs_dnn_input(&g, 1, CUDNN_DATA_BFLOAT16, a);
    rs_dnn_tensor y = rs_dnn_input(&g, 2, CUDNN_DATA_BFLOAT16, a);
    rs_dnn_matmul(&g, x, x, y); /* 64 x 32 times 64 x 32 */
    T_CHECK(rs_dnn_accepts(&g, device, &supported) <= 0 || supported == 0);
    rs_dnn_graph_end(&g);
}

static const rs_test_case CASES[] = {T_CASE(t_graphs_are_accepted), T_CASE(t_nonsense_is_refused)};

RS_TEST_MAIN(CASES)
