#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE_MAX = 2048, TRACE_MAX = 2048 };

static _Thread_local char t_message[MESSAGE_MAX];
static _Thread_local char t_trace[TRACE_MAX];

static const struct {
    const char *name;
    const char *text;
    int code;
} k_status[RS_STATUS_COUNT] = {
#define RS_STATUS_ROW(name, code, text) [RS_##name] = {#name, text, code},
    RS_STATUS_LIST(RS_STATUS_ROW)
#undef RS_STATUS_ROW
};

const char *rs_status_name(rs_status st)
{
    return st < RS_STATUS_COUNT ? k_status[st].name : "UNKNOWN";
}

const char *rs_status_text(rs_status st)
{
    return st < RS_STATUS_COUNT ? k_status[st].text : "unknown status";
}

int rs_status_exit_code(rs_status st)
{
    return st < RS_STATUS_COUNT ? k_status[st].code : 1;
}

static void trace_append(const char *file, int line, const char *func)
{
    size_t used = strlen(t_trace);
    if (used + 1 < TRACE_MAX)
        snprintf(t_trace + used, TRACE_MAX - used, "%s  at %s:%d %s", used ? "\n" : "", file, line,
                 func);
}

rs_status rs_fail_at(rs_status st, const char *file, int line, const char *func, const char *fmt,
                     ...)
{
    char message[MESSAGE_MAX]; /* the arguments may point into t_message */
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    for (char *p = message; *p; p++)
        if (*p == '\n')
            *p = ' ';
    memcpy(t_message, message, sizeof message);
    t_trace[0] = 0;
    trace_append(file, line, func);
    return st;
}

rs_status rs_relay_at(rs_status st, const char *file, int line, const char *func)
{
    trace_append(file, line, func);
    return st;
}

void rs_error_context(const char *fmt, ...)
{
    char context[MESSAGE_MAX / 2];
    char old[MESSAGE_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(context, sizeof context, fmt, ap);
    va_end(ap);
    memcpy(old, t_message, sizeof old);
    int n = snprintf(t_message, sizeof t_message, "%s: ", context);
    if (n > 0 && (size_t)n < sizeof t_message) {
        size_t room = sizeof t_message - (size_t)n - 1;
        size_t len = strnlen(old, room);
        memcpy(t_message + n, old, len);
        t_message[(size_t)n + len] = 0;
    }
}

const char *rs_error_message(void)
{
    return t_message;
}

const char *rs_error_trace(void)
{
    return t_trace;
}

void rs_error_clear(void)
{
    t_message[0] = 0;
    t_trace[0] = 0;
}

RS_NORETURN void rs_assert_fail(const char *file, int line, const char *fmt, ...)
{
    va_list ap;
    fprintf(stderr, "reshoot: internal error at %s:%d: ", file, line);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    abort();
}
