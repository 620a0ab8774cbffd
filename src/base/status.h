/* Status values and the error record.
 *
 * Every fallible function returns rs_status. The message is formatted once, where the error is
 * found (RS_FAIL), into a thread-local record; RS_TRY relays the status upwards and appends a
 * frame. Nobody logs on the way up: the top (stage runner or main) logs rs_error_message() once. */
#ifndef RS_BASE_STATUS_H
#define RS_BASE_STATUS_H

#include <stdbool.h>
#include <stddef.h>

/*   name      exit  meaning */
#define RS_STATUS_LIST(X)                                                                          \
    X(OK, 0, "ok")                                                                                 \
    X(INTERNAL, 1, "internal error")                                                               \
    X(NOMEM, 1, "out of memory")                                                                   \
    X(DEVICE, 1, "device error")                                                                   \
    X(PEER, 1, "another rank failed")                                                              \
    X(USAGE, 2, "usage error")                                                                     \
    X(CONFIG, 2, "configuration error")                                                            \
    X(MODEL, 2, "model error")                                                                     \
    X(INPUT, 3, "bad input")                                                                       \
    X(IO, 3, "input/output error")                                                                 \
    X(FORMAT, 3, "bad file format")                                                                \
    X(NUMERIC, 3, "numeric failure")                                                               \
    X(HELD, 3, "held by another run")                                                              \
    X(JOBS, 3, "one or more jobs failed")                                                          \
    X(STOPPED, 75, "stopped, resumable")

typedef enum rs_status {
#define RS_STATUS_ENUM(name, code, text) RS_##name,
    RS_STATUS_LIST(RS_STATUS_ENUM)
#undef RS_STATUS_ENUM
        RS_STATUS_COUNT
} rs_status;

#define RS_NODISCARD       __attribute__((warn_unused_result))
#define RS_PRINTF(fmt, va) __attribute__((format(printf, fmt, va)))
#define RS_NORETURN        __attribute__((noreturn))

/* Short name ("FORMAT"), text, and process exit code of a status. */
const char *rs_status_name(rs_status st);
const char *rs_status_text(rs_status st);
int rs_status_exit_code(rs_status st);

/* Record a new error (replaces an earlier record of this thread) and return `st`. One line, no
 * newline; names the file and place where there is one. */
rs_status rs_fail_at(rs_status st, const char *file, int line, const char *func, const char *fmt,
                     ...) RS_PRINTF(5, 6);
/* Append a relay frame to the record. */
rs_status rs_relay_at(rs_status st, const char *file, int line, const char *func);
/* Put "<context>: " in front of the current message (e.g. the file a lower layer could not know).
 */
void rs_error_context(const char *fmt, ...) RS_PRINTF(1, 2);

/* Current thread's record: borrowed strings, valid until its next RS_FAIL. Empty when none. */
const char *rs_error_message(void);
const char *rs_error_trace(void);
void rs_error_clear(void);

/* The value is the constant, so that compilers see that it is not RS_OK. */
#define RS_FAIL(code, ...)                                                                         \
    (rs_fail_at(RS_##code, __FILE__, __LINE__, __func__, __VA_ARGS__), (rs_status)RS_##code)
#define RS_TRY(call)                                                                               \
    do {                                                                                           \
        rs_status rs_try_ = (call);                                                                \
        if (rs_try_ != RS_OK) {                                                                    \
            rs_relay_at(rs_try_, __FILE__, __LINE__, __func__);                                    \
            return rs_try_;                                                                        \
        }                                                                                          \
    } while (0)
/* As RS_TRY, but sets the local `st` and jumps to `out:`. */
#define RS_TRY_OUT(call)                                                                           \
    do {                                                                                           \
        st = (call);                                                                               \
        if (st != RS_OK) {                                                                         \
            rs_relay_at(st, __FILE__, __LINE__, __func__);                                         \
            goto out;                                                                              \
        }                                                                                          \
    } while (0)

/* Our own bug: prints and aborts, always on. Never for user input. */
RS_NORETURN void rs_assert_fail(const char *file, int line, const char *fmt, ...) RS_PRINTF(3, 4);
#define RS_ASSERT(cond)                                                                            \
    do {                                                                                           \
        if (!(cond))                                                                               \
            rs_assert_fail(__FILE__, __LINE__, "%s", #cond);                                       \
    } while (0)
#define RS_ASSERTF(cond, ...)                                                                      \
    do {                                                                                           \
        if (!(cond))                                                                               \
            rs_assert_fail(__FILE__, __LINE__, __VA_ARGS__);                                       \
    } while (0)

#endif
