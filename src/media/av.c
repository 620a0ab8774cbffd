#include <stdio.h>
#include <string.h>

#include <libavutil/error.h>
#include <libavutil/log.h>

#include "media/av_priv.h"

enum { TEXT_MAX = 256 };

static _Thread_local char t_last[TEXT_MAX]; /* last error message of the library on this thread */
static _Thread_local char t_text[2 * TEXT_MAX + 64];

static void keep_last(void *object, int level, const char *fmt, va_list ap)
{
    (void)object;
    if (level > AV_LOG_ERROR)
        return;
    vsnprintf(t_last, sizeof t_last, fmt, ap);
    t_last[strcspn(t_last, "\n")] = 0;
    size_t n = strlen(t_last);
    while (n && (t_last[n - 1] == ' ' || t_last[n - 1] == '.'))
        t_last[--n] = 0;
}

void rs_av_quiet(void)
{
    av_log_set_callback(keep_last);
    t_last[0] = 0;
}

const char *rs_av_text(int code)
{
    char reason[TEXT_MAX];
    if (av_strerror(code, reason, sizeof reason) < 0)
        snprintf(reason, sizeof reason, "libav error %d", code);
    if (t_last[0])
        snprintf(t_text, sizeof t_text, "%s (%s)", reason, t_last);
    else
        snprintf(t_text, sizeof t_text, "%s", reason);
    return t_text;
}
