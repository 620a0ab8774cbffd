#include "job/pin.h"

#include <string.h>

#include "base/arena.h"
#include "base/str.h"

/* The parts of a text between separators, trimmed; empty ones too. */
static char **split(int *n, rs_arena *a, const char *text, char separator)
{
    int parts = 1;
    for (const char *p = text; *p; p++)
        parts += *p == separator;
    char **out = RS_NEW(a, char *, parts);
    *n = parts;
    for (int i = 0; i < parts; i++) {
        const char *end = strchr(text, separator);
        size_t length = end ? (size_t)(end - text) : strlen(text), lead = strspn(text, " \t");
        lead = lead < length ? lead : length;
        size_t kept = length - lead;
        while (kept > 0 && strchr(" \t", text[lead + kept - 1]))
            kept--;
        out[i] = rs_arena_strndup(a, text + lead, kept);
        text += length + 1;
    }
    return out;
}

static rs_status parse_stages(uint32_t *out, rs_arena *a, const char *text)
{
    int n;
    char **names = split(&n, a, text, ',');
    *out = 0;
    for (int i = 0; i < n; i++) {
        const char *known[RS_TASK_CHAIN];
        bool found = false;
        for (int s = 0; s < RS_TASK_CHAIN; s++) {
            known[s] = rs_task_stage_name((rs_task_stage)s);
            if (strcmp(known[s], names[i]) == 0) {
                *out |= RS_TASK_BIT(s);
                found = true;
            }
        }
        const char *near = rs_nearest(names[i], known, RS_TASK_CHAIN);
        if (!found)
            return RS_FAIL(CONFIG, "cluster.pin: unknown stage \"%s\"; %s%s", names[i],
                           near ? "did you mean " : "stages are ingest to publish",
                           near ? near : "");
    }
    return RS_OK;
}

static rs_status parse_ranks(int64_t *lo, int64_t *hi, rs_arena *a, const char *text)
{
    int n;
    char **ends = split(&n, a, text, '-');
    if (n > 2 || !rs_parse_i64(lo, ends[0]) || !rs_parse_i64(hi, ends[n - 1]) || *lo < 0 ||
        *hi < *lo)
        return RS_FAIL(CONFIG, "cluster.pin: \"%s\" is not a rank (2) or a range of ranks (0-3)",
                       text);
    return RS_OK;
}

static rs_status parse_rule(rs_sched_gang *ranks, int64_t count, rs_arena *a, const char *text)
{
    int n;
    int64_t lo, hi;
    uint32_t stages;
    char **sides = split(&n, a, text, '=');
    if (n != 2)
        return RS_FAIL(CONFIG, "cluster.pin: \"%s\" is not of the form 0-1=ingest,motion", text);
    RS_TRY(parse_ranks(&lo, &hi, a, sides[0]));
    RS_TRY(parse_stages(&stages, a, sides[1]));
    if (hi >= count)
        return RS_FAIL(CONFIG, "cluster.pin: there is no rank %lld in a world of %lld",
                       (long long)hi, (long long)count);
    for (int64_t r = lo; r <= hi; r++)
        ranks[r].stages = stages;
    return RS_OK;
}

rs_status rs_pin_parse(rs_sched_gang *ranks, int64_t n, const char *text)
{
    rs_status st = RS_OK;
    rs_arena *a = rs_arena_create();
    int rules;
    char **parts = split(&rules, a, text, ';');
    for (int i = 0; i < rules; i++)
        if (*parts[i])
            RS_TRY_OUT(parse_rule(ranks, n, a, parts[i]));
out:
    rs_arena_destroy(&a);
    return st;
}
