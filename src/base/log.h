/* Log lines. Terminal shows rank 0 and errors; numbers go to metrics, not into log text.
 * Levels: error (never in a clean run), warn, info (a few lines per stage), detail, debug. */
#ifndef RS_BASE_LOG_H
#define RS_BASE_LOG_H

#include <stdbool.h>

#include "base/status.h"

typedef enum rs_log_level {
    RS_LOG_ERROR,
    RS_LOG_WARN,
    RS_LOG_INFO,
    RS_LOG_DETAIL,
    RS_LOG_DEBUG
} rs_log_level;

/* Terminal threshold (default INFO). */
void rs_log_set_level(rs_log_level level);
rs_log_level rs_log_level_get(void);
bool rs_log_level_parse(rs_log_level *out, const char *name);
/* Also append every line up to DETAIL to this file; NULL closes. The file is opened for appending.
 */
rs_status rs_log_open_file(const char *path) RS_NODISCARD;
void rs_log_close_file(void);
/* This process is one rank of several: its lines say so, and with rank > 0 the terminal shows
 * warnings and errors only (the file everything). -1, the default: not one of several. */
void rs_log_set_rank(int rank);
int rs_log_rank(void);
/* "video#edit stage" shown in front of the message; NULL or "" for none. Thread-local copy. */
void rs_log_set_context(const char *context);

void rs_log_write(rs_log_level level, const char *fmt, ...) RS_PRINTF(2, 3);

/* ---- a few lines that stay at the end of the terminal while log lines go by above them ---- */

/* From now on standard error is a terminal that may be redrawn: lines about steps (RS_LOG_STEP)
 * leave it to the status. false: no more, and the status is removed. */
void rs_log_use_status(bool on);
/* Draw these lines (each ends with a newline, none is wider than the terminal) in place of the last
 * ones. "" removes them. Nothing unless rs_log_use_status. */
void rs_log_set_status(const char *lines);

/* Says when one of many similar lines is due: the first, another after 2 s, then less and less
 * often, at last once a minute. Starts with zeros. */
typedef struct rs_log_pace {
    double last, wait;
} rs_log_pace;
bool rs_log_due(rs_log_pace *p);

#define RS_LOG(level, ...)                                                                         \
    do {                                                                                           \
        if (RS_LOG_##level <= RS_LOG_DETAIL || RS_LOG_##level <= rs_log_level_get())               \
            rs_log_write(RS_LOG_##level, __VA_ARGS__);                                             \
    } while (0)

/* Progress of a long stage: an INFO line, or DETAIL where a status shows it already. */
#define RS_LOG_STEP(...) rs_log_write(rs_log_step_level(), __VA_ARGS__)
rs_log_level rs_log_step_level(void);

/* Seconds since 1970, for records that other processes read. */
double rs_wall_clock(void);
/* Monotonic seconds, for spans and rates. */
double rs_now(void);

#endif
