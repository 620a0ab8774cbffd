#include "comm/fault.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/str.h"
#include "comm/comm_priv.h"

enum { RULES_MAX = 16, RULE_TEXT = 160, WHAT_TEXT = 64 };

typedef enum fault_act { ACT_FAIL, ACT_DELAY, ACT_HANG, ACT_KILL, ACT_CORRUPT } fault_act;

typedef struct fault_rule {
    int rank;             /* -1: every */
    int op;               /* -1: every */
    char what[WHAT_TEXT]; /* "": anything */
    int64_t call;         /* 0: each */
    fault_act act;
    double delay_s;
    int64_t seen; /* matching calls so far */
    char text[RULE_TEXT];
} fault_rule;

struct rs_fault {
    pthread_mutex_t lock; /* seen */
    int n;
    fault_rule rules[RULES_MAX];
};

/* "200ms" or "0.2s". */
static bool parse_delay(double *seconds, const char *text)
{
    char number[32];
    size_t n = strlen(text);
    double unit = 1;
    if (n > 2 && strcmp(text + n - 2, "ms") == 0) {
        unit = 1e-3;
        n -= 2;
    } else if (n > 1 && text[n - 1] == 's') {
        n -= 1;
    } else {
        return false;
    }
    snprintf(number, sizeof number, "%.*s", (int)n, text);
    if (!rs_parse_f64(seconds, number) || *seconds < 0)
        return false;
    *seconds *= unit;
    return true;
}

static bool parse_act(fault_rule *r, const char *value)
{
    static const char *const names[] = {"fail", "delay", "hang", "kill", "corrupt"};
    if (strncmp(value, "delay:", 6) == 0) {
        r->act = ACT_DELAY;
        return parse_delay(&r->delay_s, value + 6);
    }
    for (int i = ACT_FAIL; i <= ACT_CORRUPT; i++)
        if (i != ACT_DELAY && strcmp(value, names[i]) == 0) {
            r->act = (fault_act)i;
            return true;
        }
    return false;
}

static bool parse_op(int *op, const char *value)
{
    for (int i = 0; i < RS_COMM_OP_COUNT; i++)
        if (strcmp(value, rs_comm_op_name((rs_comm_op)i)) == 0) {
            *op = i;
            return true;
        }
    return false;
}

static bool parse_pair(fault_rule *r, const char *key, const char *value, const rs_comm *c)
{
    int64_t v;
    if (strcmp(key, "do") == 0)
        return parse_act(r, value);
    if (strcmp(key, "op") == 0)
        return parse_op(&r->op, value);
    if (strcmp(key, "what") == 0) {
        snprintf(r->what, sizeof r->what, "%s", value);
        return *value && strlen(value) < sizeof r->what;
    }
    if (!rs_parse_i64(&v, value))
        return false;
    if (strcmp(key, "rank") == 0 && v >= 0 && v < c->shared->size) {
        r->rank = (int)v;
        return true;
    }
    r->call = v;
    return strcmp(key, "call") == 0 && v > 0;
}

static rs_status parse_rule(fault_rule *r, const char *text, const rs_comm *c)
{
    char copy[RULE_TEXT], *save = NULL;
    bool has_act = false;
    *r = (fault_rule){.rank = -1, .op = -1};
    snprintf(r->text, sizeof r->text, "%s", text);
    snprintf(copy, sizeof copy, "%s", text);
    if (strlen(text) >= sizeof copy)
        return RS_FAIL(USAGE, "fault \"%s\": too long", text);
    for (char *pair = strtok_r(copy, ",", &save); pair; pair = strtok_r(NULL, ",", &save)) {
        char *value = strchr(pair, '=');
        if (value)
            *value++ = 0;
        if (!value || !parse_pair(r, pair, value, c))
            return RS_FAIL(USAGE, "fault \"%s\": bad %s \"%s\"", text, value ? pair : "pair",
                           value ? value : pair);
        has_act = has_act || strcmp(pair, "do") == 0;
    }
    if (!has_act)
        return RS_FAIL(USAGE, "fault \"%s\": no do=fail, corrupt, delay:TIME, hang or kill", text);
    if (r->act == ACT_KILL && !c->ops->processes)
        return RS_FAIL(USAGE, "fault \"%s\": kill would end all ranks, which are threads", text);
    return RS_OK;
}

static void sleep_s(double s)
{
    struct timespec t = {.tv_sec = (time_t)s};
    t.tv_nsec = (long)((s - (double)t.tv_sec) * 1e9);
    nanosleep(&t, NULL);
}

static rs_status hang(rs_comm *c)
{
    for (;;) {
        if (c->ops->check)
            RS_TRY(c->ops->check(c, c->rank));
        sleep_s(0.01);
    }
}

static bool applies(rs_fault *f, fault_rule *rule, const rs_comm_request *r)
{
    if ((rule->rank >= 0 && rule->rank != r->comm->shared->rank) ||
        (rule->op >= 0 && rule->op != (int)r->shown) ||
        (rule->what[0] && (!r->call.what || strcmp(rule->what, r->call.what) != 0)))
        return false;
    pthread_mutex_lock(&f->lock);
    int64_t nth = ++rule->seen;
    pthread_mutex_unlock(&f->lock);
    return rule->call == 0 || rule->call == nth;
}

static rs_status before(void *ctx, rs_comm_request *r)
{
    rs_fault *f = ctx;
    for (int i = 0; i < f->n; i++) {
        fault_rule *rule = &f->rules[i];
        if (!applies(f, rule, r))
            continue;
        if (rule->act == ACT_FAIL)
            r->fault = rule->text;
        else if (rule->act == ACT_CORRUPT)
            r->corrupt = true;
        else if (rule->act == ACT_DELAY)
            sleep_s(rule->delay_s);
        else if (rule->act == ACT_HANG)
            RS_TRY(hang(r->comm));
        else
            raise(SIGKILL);
    }
    return RS_OK;
}

static rs_status after(void *ctx, rs_comm_request *r, rs_status st)
{
    (void)ctx;
    if (st == RS_OK && r->corrupt && r->call.dst && r->bytes > 0)
        ((unsigned char *)r->call.dst)[r->bytes / 2] ^= 0x10;
    if (st != RS_OK || !r->fault)
        return st;
    char text[192];
    rs_comm_describe(text, sizeof text, r);
    return RS_FAIL(INTERNAL, "%s: fault on purpose (%s)", text, r->fault);
}

rs_status rs_fault_add(rs_fault **out, rs_comm *c, const char *spec)
{
    rs_arena *a = rs_arena_create();
    rs_fault *f = rs_alloc(1, sizeof *f);
    rs_status st = RS_OK;
    char *save = NULL;
    pthread_mutex_init(&f->lock, NULL);
    *out = NULL;
    for (char *rule = strtok_r(rs_arena_strdup(a, spec), ";", &save); rule;
         rule = strtok_r(NULL, ";", &save)) {
        if (f->n == RULES_MAX) {
            st = RS_FAIL(USAGE, "more than %d faults", RULES_MAX);
            goto out;
        }
        RS_TRY_OUT(parse_rule(&f->rules[f->n++], rule, c));
    }
    rs_comm_add_layer(c, &(rs_comm_layer){.ctx = f, .before = before, .after = after});
    *out = f;
    f = NULL;
out:
    rs_fault_destroy(&f);
    rs_arena_destroy(&a);
    return st;
}

void rs_fault_destroy(rs_fault **f)
{
    if (!*f)
        return;
    pthread_mutex_destroy(&(*f)->lock);
    rs_dealloc(*f);
    *f = NULL;
}
