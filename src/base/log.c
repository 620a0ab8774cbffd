#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static rs_log_level g_level = RS_LOG_INFO;
static FILE *g_file;
static int g_rank = -1;
static _Thread_local char t_context[96];

static const char *const k_names[] = {"error", "warn", "info", "detail", "debug"};

void rs_log_set_level(rs_log_level level)
{
    g_level = level;
}

rs_log_level rs_log_level_get(void)
{
    return g_level;
}

bool rs_log_level_parse(rs_log_level *out, const char *name)
{
    for (int i = 0; i <= RS_LOG_DEBUG; i++) {
        if (strcmp(k_names[i], name) == 0) {
            *out = (rs_log_level)i;
            return true;
        }
    }
    return false;
}

rs_status rs_log_open_file(const char *path)
{
    rs_log_close_file();
    g_file = fopen(path, "a");
    if (!g_file)
        return RS_FAIL(IO, "%s: cannot open log file: %s", path, strerror(errno));
    setvbuf(g_file, NULL, _IOLBF, 0); /* whole lines survive a kill */
    return RS_OK;
}

void rs_log_close_file(void)
{
    if (g_file)
        fclose(g_file);
    g_file = NULL;
}

void rs_log_set_rank(int rank)
{
    g_rank = rank;
}

int rs_log_rank(void)
{
    return g_rank;
}

void rs_log_set_context(const char *context)
{
    snprintf(t_context, sizeof t_context, "%s", context ? context : "");
}

static void emit(FILE *f, const char *line)
{
    fputs(line, f);
    fputc('\n', f);
}

void rs_log_write(rs_log_level level, const char *fmt, ...)
{
    char line[4096];
    struct timespec ts;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &ts);
    localtime_r(&ts.tv_sec, &tm);
    int n = snprintf(line, sizeof line, "%02d:%02d:%02d.%03d %c ", tm.tm_hour, tm.tm_min, tm.tm_sec,
                     (int)(ts.tv_nsec / 1000000), "EWIDT"[level]);
    if (g_rank >= 0)
        n += snprintf(line + n, sizeof line - (size_t)n, "r%d ", g_rank);
    if (t_context[0])
        n += snprintf(line + n, sizeof line - (size_t)n, "%s | ", t_context);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line + n, sizeof line - (size_t)n, fmt, ap);
    va_end(ap);
    if (level <= g_level && (g_rank <= 0 || level <= RS_LOG_WARN))
        emit(stderr, line);
    if (g_file && level <= RS_LOG_DETAIL)
        emit(g_file, line);
}

double rs_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}
