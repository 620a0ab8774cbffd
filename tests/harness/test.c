#include "harness/test.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fsio.h"

static jmp_buf g_end;
static rs_arena *g_arena;
static char g_tmpdir[256];
static int g_result; /* of the running case: 0 ok, 1 failed, 77 skipped */

rs_arena *t_arena(void)
{
    return g_arena;
}

const char *t_tmpdir(void)
{
    if (!g_tmpdir[0]) {
        const char *base = getenv("TMPDIR");
        snprintf(g_tmpdir, sizeof g_tmpdir, "%s/rs-test-XXXXXX", base ? base : "/tmp");
        if (!mkdtemp(g_tmpdir))
            rs_test_fail(__FILE__, __LINE__, "cannot create %s", g_tmpdir);
    }
    return g_tmpdir;
}

const char *t_backend(void)
{
    const char *name = getenv("RS_BACKEND");
    return name && *name ? name : NULL;
}

const char *t_shared_data(void)
{
    const char *env = getenv("RS_SHARED");
    char *path = env ? rs_arena_printf(g_arena, "%s/data", env)
                     : rs_arena_printf(g_arena, "%s/../shared/data", RS_SOURCE_DIR);
    return rs_path_is_dir(path) ? path : NULL;
}

_Noreturn void rs_test_fail(const char *file, int line, const char *fmt, ...)
{
    va_list ap;
    printf("    %s:%d: ", file, line);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
    g_result = 1;
    longjmp(g_end, 1);
}

_Noreturn void rs_test_skip(const char *fmt, ...)
{
    va_list ap;
    printf("    skipped: ");
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
    g_result = 77;
    longjmp(g_end, 1);
}

void rs_test_expect_fail(const char *file, int line, const char *call, rs_status got,
                         rs_status want, const char *text)
{
    if (got != want)
        rs_test_fail(file, line, "%s -> %s (%s), want %s", call, rs_status_name(got),
                     got == RS_OK ? "" : rs_error_message(), rs_status_name(want));
    if (text && !strstr(rs_error_message(), text))
        rs_test_fail(file, line, "%s: message \"%s\" lacks \"%s\"", call, rs_error_message(), text);
}

void rs_test_eq_s(const char *file, int line, const char *expr, const char *got, const char *want)
{
    if (!got || strcmp(got, want) != 0)
        rs_test_fail(file, line, "%s = \"%s\", want \"%s\"", expr, got ? got : "(null)", want);
}

void rs_test_near(const char *file, int line, const char *expr, double got, double want, double tol)
{
    if (!(fabs(got - want) <= tol))
        rs_test_fail(file, line, "%s = %.9g, want %.9g within %g", expr, got, want, tol);
}

double rs_rel_l2(const float *got, const float *want, int64_t n)
{
    double diff = 0, norm = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = (double)got[i] - (double)want[i];
        diff += d * d;
        norm += (double)want[i] * (double)want[i];
    }
    if (!isfinite(diff) || !isfinite(norm))
        return INFINITY;
    return norm > 0 ? sqrt(diff / norm) : (diff > 0 ? INFINITY : 0);
}

void rs_test_rel_l2(const char *file, int line, const char *expr, const float *got,
                    const float *want, int64_t n, double tol)
{
    double e = rs_rel_l2(got, want, n);
    if (!(e <= tol))
        rs_test_fail(file, line,
                     "%s: relative L2 error %.3e above %.1e (n=%lld, [0] %.9g want %.9g)", expr, e,
                     tol, (long long)n, (double)got[0], (double)want[0]);
}

static int shell_v(char **output, const char *prefix, const char *fmt, va_list ap)
{
    char tail[4096], command[8192];
    vsnprintf(tail, sizeof tail, fmt, ap);
    snprintf(command, sizeof command, "%s%s 2>&1", prefix, tail);
    FILE *p = popen(command, "r");
    if (!p)
        rs_test_fail(__FILE__, __LINE__, "cannot run %s", command);
    size_t n = 0, cap = 0;
    char *text = rs_arena_grow(g_arena, NULL, &cap, 65536, 1);
    size_t got;
    while ((got = fread(text + n, 1, cap - n - 1, p)) > 0) {
        n += got;
        if (cap - n < 4096)
            text = rs_arena_grow(g_arena, text, &cap, cap * 2, 1);
    }
    text[n] = 0;
    int rc = pclose(p);
    if (output)
        *output = text;
    return WIFEXITED(rc) ? WEXITSTATUS(rc) : 128 + WTERMSIG(rc);
}

int t_shell(char **output, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int rc = shell_v(output, "", fmt, ap);
    va_end(ap);
    return rc;
}

int t_reshoot(char **output, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int rc = shell_v(output, T_BIN "/reshoot ", fmt, ap);
    va_end(ap);
    return rc;
}

static void run_case(const rs_test_case *c)
{
    g_result = 0;
    g_tmpdir[0] = 0;
    rs_error_clear();
    if (setjmp(g_end) == 0)
        c->run();
    if (g_tmpdir[0] && g_result == 0) {
        if (rs_remove_tree(g_tmpdir) != RS_OK)
            printf("    %s\n", rs_error_message());
    } else if (g_tmpdir[0]) {
        printf("    kept: %s\n", g_tmpdir);
    }
    rs_arena_reset(g_arena);
}

int rs_test_run(int argc, char **argv, const rs_test_case *cases, int n)
{
    int passed = 0, failed = 0, skipped = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    g_arena = rs_arena_create();
    for (int i = 0; i < n; i++) {
        if (argc > 1 && strcmp(argv[1], cases[i].name) != 0)
            continue;
        run_case(&cases[i]);
        printf("%s %s\n", g_result == 0 ? "ok  " : g_result == 77 ? "skip" : "FAIL", cases[i].name);
        if (g_result == 1)
            printf("    rerun: %s %s\n", argv[0], cases[i].name);
        passed += g_result == 0;
        failed += g_result == 1;
        skipped += g_result == 77;
    }
    rs_arena_destroy(&g_arena);
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    if (failed || passed + skipped == 0)
        return 1;
    return passed == 0 ? 77 : 0;
}
