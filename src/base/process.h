/* Other programs: a command line split into words, run without a shell, with its output read and a
 * time limit. */
#ifndef RS_BASE_PROCESS_H
#define RS_BASE_PROCESS_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

/* Words between blanks; '...' and "..." keep blanks and stand for what is between them, nothing
 * else is special. words: arena-owned, NULL behind the last. RS_INPUT: a quote that is not closed.
 */
rs_status rs_split_words(char ***words, int64_t *n, rs_arena *a, const char *line) RS_NODISCARD;

typedef struct rs_process_opts {
    double timeout_s;
    const volatile sig_atomic_t *stop; /* non-zero: end it, return RS_STOPPED; NULL: none */
    double
        grace_s; /* it is asked to end (SIGTERM) so long before it is killed; 0: killed at once */
} rs_process_opts;

typedef struct rs_process_result {
    bool timed_out;
    int exit_code; /* -1 when a signal ended it */
    int signal;    /* 0 when it exited */
    char *out;     /* what it wrote to standard output, at most 1 MB of it; zero-terminated */
    char *err;     /* likewise standard error */
} rs_process_result;

/* Run argv (found as execvp does; standard input empty) in a process group of its own, which is
 * killed as a whole at the time limit, at a stop, and when the program ends before its children.
 * Texts are in the arena. RS_IO: it cannot be started. */
rs_status rs_process_run(rs_process_result *r, rs_arena *a, char *const *argv,
                         const rs_process_opts *o) RS_NODISCARD;

#endif
