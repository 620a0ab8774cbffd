/* Subcommands of the reshoot binary. main.c owns the table, exit codes and the final error line. */
#ifndef RS_CLI_CLI_H
#define RS_CLI_CLI_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

typedef struct rs_command {
    const char *name;
    const char *summary;     /* one line for `reshoot help` */
    const char *usage;       /* full text of `reshoot <name> --help` */
    rs_status (*help)(void); /* prints it instead, where it is made from a table */
    rs_status (*run)(int argc, char **argv);
} rs_command;

extern const rs_command rs_cmd_probe;

/* Option parsing shared by all subcommands: a table, filled in place. Unknown options and missing
 * values are RS_USAGE errors that name the option and the nearest known one. */
typedef enum rs_opt_kind {
    RS_OPT_FLAG,
    RS_OPT_STRING,
    RS_OPT_INT,
    RS_OPT_FLOAT,
    RS_OPT_LIST
} rs_opt_kind;

typedef struct rs_opt_list {
    const char **items;
    int64_t n;
    size_t cap;
} rs_opt_list;

typedef struct rs_opt {
    const char *name; /* "--in" */
    rs_opt_kind kind;
    void *value; /* bool *, const char **, int64_t *, double *, rs_opt_list * (repeatable) */
} rs_opt;

/* Fills options from argv[1..argc-1]; positional arguments are collected. Strings point into argv.
 */
rs_status rs_opt_parse(int argc, char **argv, const rs_opt *opts, int n_opts,
                       rs_opt_list *positional, rs_arena *a) RS_NODISCARD;

/* Text to standard output (the only way subcommands print results). */
void rs_out(const char *fmt, ...) RS_PRINTF(1, 2);

#endif
