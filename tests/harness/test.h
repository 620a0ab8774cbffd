/* Test harness: a program lists its cases in RS_TEST_MAIN; each runs in order; a failed check ends
 * the case. Prints "ok"/"FAIL" per case with the command that reruns it (argv[1] = case name). Exit
 * 0, 1, or 77 when every case was skipped. */
#ifndef RS_TESTS_TEST_H
#define RS_TESTS_TEST_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/tensor.h"

typedef struct rs_test_case {
    const char *name;
    void (*run)(void);
} rs_test_case;

int rs_test_run(int argc, char **argv, const rs_test_case *cases, int n);
_Noreturn void rs_test_fail(const char *file, int line, const char *fmt, ...) RS_PRINTF(3, 4);
/* Declare the case impossible here (missing optional input), with the reason; counted and printed.
 */
_Noreturn void rs_test_skip(const char *fmt, ...) RS_PRINTF(1, 2);

#define T_CHECK(cond)                                                                              \
    do {                                                                                           \
        if (!(cond))                                                                               \
            rs_test_fail(__FILE__, __LINE__, "%s", #cond);                                         \
    } while (0)
#define T_CHECKF(cond, ...)                                                                        \
    do {                                                                                           \
        if (!(cond))                                                                               \
            rs_test_fail(__FILE__, __LINE__, __VA_ARGS__);                                         \
    } while (0)
#define T_OK(call)                                                                                 \
    do {                                                                                           \
        rs_status t_st_ = (call);                                                                  \
        if (t_st_ != RS_OK)                                                                        \
            rs_test_fail(__FILE__, __LINE__, "%s -> %s: %s", #call, rs_status_name(t_st_),         \
                         rs_error_message());                                                      \
    } while (0)
/* The call must fail with this status and its message must contain `text`. */
#define T_FAILS(call, code, text)                                                                  \
    rs_test_expect_fail(__FILE__, __LINE__, #call, (call), RS_##code, text)
void rs_test_expect_fail(const char *file, int line, const char *call, rs_status got,
                         rs_status want, const char *text);
#define T_EQ_I(a, b)                                                                               \
    do {                                                                                           \
        long long t_a_ = (long long)(a), t_b_ = (long long)(b);                                    \
        if (t_a_ != t_b_)                                                                          \
            rs_test_fail(__FILE__, __LINE__, "%s = %lld, want %s = %lld", #a, t_a_, #b, t_b_);     \
    } while (0)
#define T_EQ_S(a, b) rs_test_eq_s(__FILE__, __LINE__, #a, (a), (b))
void rs_test_eq_s(const char *file, int line, const char *expr, const char *got, const char *want);
/* |a-b| <= tol, NaN fails. */
#define T_NEAR(a, b, tol) rs_test_near(__FILE__, __LINE__, #a, (double)(a), (double)(b), (tol))
void rs_test_near(const char *file, int line, const char *expr, double got, double want,
                  double tol);
/* ||got-want||_2 / ||want||_2 over fp32 data; +inf if anything is not finite. */
double rs_rel_l2(const float *got, const float *want, int64_t n);
#define T_REL_L2(got, want, n, tol) rs_test_rel_l2(__FILE__, __LINE__, #got, got, want, n, tol)
void rs_test_rel_l2(const char *file, int line, const char *expr, const float *got,
                    const float *want, int64_t n, double tol);

/* Arena of the running case, reset between cases; a fresh folder removed after the case succeeded.
 */
rs_arena *t_arena(void);
const char *t_tmpdir(void);
/* Shared data folder "../shared/data" beside the checkout (or $RS_SHARED); NULL where it is absent.
 */
const char *t_shared_data(void);
/* $RS_BACKEND, for rs_device_opts.backend; NULL (the CPU) where it is not set. Tests that make
 * sense on any backend open their devices with it. */
const char *t_backend(void);
/* The reshoot binary under test. Runs it with a shell command line tail; returns the exit status
 * and, when `output` is not NULL, stdout and stderr (arena-owned). */
int t_reshoot(char **output, const char *fmt, ...) RS_PRINTF(2, 3);
int t_shell(char **output, const char *fmt, ...) RS_PRINTF(2, 3);

/* Folders of the binaries and of the sources, quoted for a shell command. */
#define T_BIN "'" RS_BUILD_DIR "'"
#define T_SRC "'" RS_SOURCE_DIR "'"

#define RS_TEST_MAIN(cases)                                                                        \
    int main(int argc, char **argv)                                                                \
    {                                                                                              \
        return rs_test_run(argc, argv, cases, (int)(sizeof(cases) / sizeof((cases)[0])));          \
    }
#define T_CASE(fn)                                                                                 \
    {                                                                                              \
#fn, fn                                                                                    \
    }

#endif
