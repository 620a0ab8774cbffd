#include <string.h>

#include "base/num.h"
#include "base/str.h"
#include "cli/bench.h"

rs_status rs_bench_size(int64_t *out, const char *option, const char *text)
{
    static const char units[] = "KMG";
    size_t n = strlen(text);
    const char *unit = n ? strchr(units, text[n - 1]) : NULL;
    char number[32];
    int64_t scale = 1;
    if (unit && *unit)
        scale = (int64_t)1 << (10 * (unit - units + 1));
    if (n >= sizeof number)
        return RS_FAIL(USAGE, "%s: \"%s\" is not a size", option, text);
    memcpy(number, text, n + 1);
    if (scale > 1)
        number[n - 1] = 0;
    if (!rs_parse_i64(out, number) || *out < 1 || !rs_mul_i64(out, *out, scale))
        return RS_FAIL(USAGE, "%s: \"%s\" is not a size such as 8, 64K or 1G", option, text);
    return RS_OK;
}

rs_status rs_bench_words(char ***out, int64_t *n, rs_arena *a, const char *option, const char *text)
{
    size_t cap = 0;
    *out = NULL;
    *n = 0;
    for (const char *at = text;; at++) {
        size_t length = strcspn(at, ",");
        if (length == 0)
            return RS_FAIL(USAGE, "%s: \"%s\" is not a list such as a,b,c", option, text);
        *out = rs_arena_grow(a, *out, &cap, (size_t)*n + 1, sizeof **out);
        (*out)[(*n)++] = rs_arena_strndup(a, at, length);
        at += length;
        if (!*at)
            return RS_OK;
    }
}

rs_status rs_bench_numbers(int64_t **out, int64_t *n, rs_arena *a, const char *option,
                           const char *text, int64_t lo, int64_t hi)
{
    char **words;
    RS_TRY(rs_bench_words(&words, n, a, option, text));
    *out = RS_NEW(a, int64_t, *n);
    for (int64_t i = 0; i < *n; i++)
        if (!rs_parse_i64(&(*out)[i], words[i]) || (*out)[i] < lo || (*out)[i] > hi)
            return RS_FAIL(USAGE, "%s: \"%s\" is not a whole number from %lld to %lld", option,
                           words[i], (long long)lo, (long long)hi);
    return RS_OK;
}

rs_status rs_bench_in_range(const char *option, int64_t v, int64_t lo, int64_t hi)
{
    if (v < lo || v > hi)
        return RS_FAIL(USAGE, "%s must be %lld..%lld, got %lld", option, (long long)lo,
                       (long long)hi, (long long)v);
    return RS_OK;
}

rs_status rs_bench_precision(rs_precision *out, const char *text)
{
    if (!rs_precision_find(out, text))
        return RS_FAIL(USAGE, "--precision must be fp32 or bf16, got \"%s\"", text);
    return RS_OK;
}
