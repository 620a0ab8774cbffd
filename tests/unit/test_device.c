/* Device: opening, memory accounting, copies, pools, contract checks, sticky failure. */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device/device.h"
#include "device/device_priv.h"
#include "harness/test.h"

/* t_memory asks for more than there is; under ASan that must be a NULL, not a report. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static rs_device *open_device(int threads)
{
    rs_device *d = NULL;
    T_OK(rs_device_open(&d, &(rs_device_opts){.threads = threads}));
    return d;
}

static void t_open(void)
{
    rs_device *d = NULL;
    T_OK(rs_device_open(&d, NULL));
    T_EQ_S(rs_device_backend(d), "cpu");
    T_CHECK(rs_device_threads(d) >= 1);
    T_CHECK(strstr(rs_device_fingerprint(d), "cpu ") != NULL);
    T_CHECK(strchr(rs_device_fingerprint(d), '\n') == NULL);
    rs_device_destroy(&d);
    T_CHECK(d == NULL);
    rs_device_destroy(&d);
    d = open_device(3);
    T_EQ_I(rs_device_threads(d), 3);
    rs_device_destroy(&d);
    T_FAILS(rs_device_open(&d, &(rs_device_opts){.backend = "tpu"}), DEVICE, "'tpu'");
    T_FAILS(rs_device_open(&d, &(rs_device_opts){.threads = -1}), DEVICE, "-1 threads");
}

static void t_memory(void)
{
    rs_device *d = open_device(1);
    void *a = NULL, *b = NULL;
    T_OK(rs_device_alloc(d, &a, 1000));
    T_OK(rs_device_alloc(d, &b, 500));
    T_CHECK((uintptr_t)a % 64 == 0 && (uintptr_t)b % 64 == 0);
    T_EQ_I(rs_device_bytes(d), 1500);
    rs_device_free(d, a);
    T_EQ_I(rs_device_bytes(d), 500);
    T_EQ_I(rs_device_peak_bytes(d), 1500);
    rs_device_free(d, NULL);
    float host[4] = {1, 2, 3, 4}, back[4] = {0};
    rs_device_put(d, b, host, sizeof host);
    rs_device_copy(d, (char *)b + 64, b, sizeof host);
    rs_device_get(d, back, (char *)b + 64, sizeof back);
    T_CHECK(memcmp(host, back, sizeof host) == 0);
    rs_device_zero(d, (char *)b + 68, 8);
    rs_device_get(d, back, (char *)b + 64, sizeof back);
    T_CHECK(back[0] == 1 && back[1] == 0 && back[2] == 0 && back[3] == 4);
    T_FAILS(rs_device_alloc(d, &a, (size_t)1 << 62), NOMEM, "4611686018427387904 bytes");
    T_EQ_I(rs_device_bytes(d), 500);
    rs_device_destroy(&d); /* frees b */
}

typedef struct two {
    rs_tensor x, y;
} two;

static void bind_two(void *object, rs_carver *c)
{
    two *t = object;
    t->x = rs_carve(c, RS_DTYPE_F32, RS_SHAPE(3, 5));
    t->y = rs_carve(c, RS_DTYPE_I32, RS_SHAPE(7));
}

static void bind_nothing(void *object, rs_carver *c)
{
    (void)object;
    (void)c;
}

static void t_pool(void)
{
    rs_device *d = open_device(1);
    rs_pool pool = {0};
    two t = {0};
    T_OK(rs_pool_bind(&pool, d, bind_two, &t));
    T_EQ_I(pool.bytes, 128);
    T_EQ_I(rs_device_bytes(d), 128);
    T_CHECK(t.x.data == pool.memory && (char *)t.y.data == (char *)pool.memory + 64);
    rs_pool_release(&pool);
    T_EQ_I(rs_device_bytes(d), 0);
    rs_pool_release(&pool);
    T_OK(rs_pool_bind(&pool, d, bind_nothing, NULL));
    T_EQ_I(pool.bytes, 0);
    rs_pool_release(&pool);
    rs_device_destroy(&d);
}

/* Runs fn in a child; returns what it printed before it aborted, "" if it did not abort. */
static char *abort_text(void (*fn)(void))
{
    int fds[2];
    T_CHECK(pipe(fds) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], 2);
        close(fds[0]);
        fn();
        _exit(0);
    }
    close(fds[1]);
    char *text = rs_arena_alloc(t_arena(), 4096, 1);
    size_t n = 0;
    ssize_t got;
    while (n < 4095 && (got = read(fds[0], text + n, 4095 - n)) > 0)
        n += (size_t)got;
    close(fds[0]);
    int status = 0;
    waitpid(pid, &status, 0);
    if (!WIFSIGNALED(status))
        text[0] = 0;
    return text;
}

static void bad_gemm(void)
{
    float a[12] = {0}, b[20] = {0}, y[15];
    rs_device *d = NULL;
    if (rs_device_open(&d, &(rs_device_opts){.threads = 1}) != RS_OK)
        return;
    RS_OP(d, gemm, .y = rs_tensor_of(y, RS_DTYPE_F32, RS_SHAPE(3, 5)),
          .a = rs_tensor_of(a, RS_DTYPE_F32, RS_SHAPE(3, 4)),
          .b = rs_tensor_of(b, RS_DTYPE_F32, RS_SHAPE(5, 4)));
}

static void bad_dtype(void)
{
    float a[12] = {0}, b[20] = {0}, y[15];
    rs_device *d = NULL;
    if (rs_device_open(&d, &(rs_device_opts){.threads = 1}) != RS_OK)
        return;
    RS_OP(d, gemm, .y = rs_tensor_of(y, RS_DTYPE_F32, RS_SHAPE(3, 5)),
          .a = rs_tensor_of(a, RS_DTYPE_F16, RS_SHAPE(3, 4)),
          .b = rs_tensor_of(b, RS_DTYPE_F32, RS_SHAPE(5, 4)), .trans_b = true);
}

static void t_precision_decides_types(void)
{
    rs_device *d;
    static const rs_dtype k_stored[] = {RS_DTYPE_F32, RS_DTYPE_BF16, RS_DTYPE_F16};
    static const rs_dtype k_fp32[] = {RS_DTYPE_F32, RS_DTYPE_BF16, RS_DTYPE_F32};
    static const rs_dtype k_bf16[] = {RS_DTYPE_F32, RS_DTYPE_BF16, RS_DTYPE_BF16};
    for (int p = 0; p < 2; p++) {
        T_OK(rs_device_open(&d, &(rs_device_opts){.threads = 1, .precision = (rs_precision)p}));
        T_EQ_I(rs_device_precision(d), p);
        T_EQ_I(rs_device_activation_dtype(d), RS_DTYPE_F32);
        T_CHECK((strstr(rs_device_fingerprint(d), "precision=bf16") != NULL) == (p == 1));
        for (int i = 0; i < 3; i++)
            T_EQ_I(rs_device_matrix_dtype(d, k_stored[i]), (p ? k_bf16 : k_fp32)[i]);
        rs_device_destroy(&d);
    }
}

static void t_broken_contract_names_op_and_shapes(void)
{
    char *text = abort_text(bad_gemm);
    T_CHECKF(strstr(text, "op gemm") && strstr(text, "F32[5,4]"), "printed: %s", text);
    text = abort_text(bad_dtype);
    T_CHECKF(strstr(text, "op gemm") && strstr(text, "F16[3,4]"), "printed: %s", text);
}

static void t_failure_is_sticky(void)
{
    rs_device *d = open_device(1);
    T_OK(rs_device_check(d));
    rs_device_fail(d, RS_DEVICE, "first %d", 1);
    rs_device_fail(d, RS_NUMERIC, "second");
    T_FAILS(rs_device_check(d), DEVICE, "first 1");
    float a[4] = {1, 2, 3, 4}, b[4] = {1, 0, 0, 1}, y[4] = {9, 9, 9, 9};
    RS_OP(d, gemm, .y = rs_tensor_of(y, RS_DTYPE_F32, RS_SHAPE(2, 2)),
          .a = rs_tensor_of(a, RS_DTYPE_F32, RS_SHAPE(2, 2)),
          .b = rs_tensor_of(b, RS_DTYPE_F32, RS_SHAPE(2, 2)));
    T_CHECK(y[0] == 9 && y[3] == 9); /* later ops do nothing */
    rs_device_destroy(&d);
}

static const rs_test_case CASES[] = {
    T_CASE(t_open),
    T_CASE(t_precision_decides_types),
    T_CASE(t_memory),
    T_CASE(t_pool),
    T_CASE(t_broken_contract_names_op_and_shapes),
    T_CASE(t_failure_is_sticky),
};
RS_TEST_MAIN(CASES)
