#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static rs_log_level g_level = RS_LOG_INFO;
static FILE *g_file;
static int g_rank = -1;
static _Thread_local char t_context[96];
/* Lines of several threads, and the status below them. */
static pthread_mutex_t g_lock = PTHREAD_MUTEX_INITIALIZER;
static bool g_use_status;
static char g_status[8192];

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

/* ---- the status: drawn below the last line, the cursor behind it ---- */

static void erase_status(void)
{
    int rows = 0;
    for (const char *p = g_status; *p; p++)
        rows += *p == '\n';
    if (rows)
        fprintf(stderr, "\r\033[%dA\033[J", rows);
}

/* Without wrapping, so that a row stays a row in a terminal that became narrower. */
static void draw_status(void)
{
    if (g_status[0])
        fprintf(stderr, "\033[?7l%s\033[?7h", g_status);
    fflush(stderr);
}

static void replace_status(const char *lines)
{
    erase_status();
    if (strlen(lines) < sizeof g_status)
        memcpy(g_status, lines, strlen(lines) + 1);
    draw_status();
}

void rs_log_set_status(const char *lines)
{
    pthread_mutex_lock(&g_lock);
    if (g_use_status && strcmp(lines, g_status) != 0)
        replace_status(lines);
    pthread_mutex_unlock(&g_lock);
}

void rs_log_use_status(bool on)
{
    pthread_mutex_lock(&g_lock);
    if (g_use_status)
        replace_status("");
    g_use_status = on;
    pthread_mutex_unlock(&g_lock);
}

rs_log_level rs_log_step_level(void)
{
    pthread_mutex_lock(&g_lock);
    bool shown = g_use_status;
    pthread_mutex_unlock(&g_lock);
    return shown ? RS_LOG_DETAIL : RS_LOG_INFO;
}

bool rs_log_due(rs_log_pace *p)
{
    const double first = 2.0, growth = 1.5, most = 60.0;
    double now = rs_now();
    if (p->wait > 0 && now - p->last < p->wait)
        return false;
    p->last = now;
    p->wait = p->wait == 0 ? first : p->wait * growth < most ? p->wait * growth : most;
    return true;
}

/* ---- lines ---- */

static void emit(rs_log_level level, const char *line)
{
    pthread_mutex_lock(&g_lock);
    if (level <= g_level && (g_rank <= 0 || level <= RS_LOG_WARN)) {
        erase_status();
        fprintf(stderr, "%s\n", line);
        draw_status();
    }
    if (g_file && level <= RS_LOG_DETAIL)
        fprintf(g_file, "%s\n", line);
    pthread_mutex_unlock(&g_lock);
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
    emit(level, line);
}

double rs_wall_clock(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

double rs_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}
