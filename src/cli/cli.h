/* Subcommands of the reshoot binary. A command is one table row: its options with their help lie
 * beside the code that reads them, so help text and parser cannot disagree. main.c owns the list of
 * commands, exit codes and the final error line. */
#ifndef RS_CLI_CLI_H
#define RS_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

typedef enum rs_opt_kind {
    RS_OPT_FLAG,   /* bool */
    RS_OPT_STRING, /* const char * */
    RS_OPT_INT,    /* int64_t */
    RS_OPT_FLOAT,  /* double */
    RS_OPT_LIST    /* rs_opt_list; the option may be repeated */
} rs_opt_kind;

typedef struct rs_opt_list {
    const char **items;
    int64_t n;
    size_t cap;
} rs_opt_list;

/* Where the value goes: byte offset into the command's struct of options. */
typedef struct rs_opt {
    const char *name; /* "--in" */
    rs_opt_kind kind;
    size_t offset;
    const char *arg; /* what help calls the value: "X.safetensors"; NULL for flags */
    const char *doc; /* one line of help */
} rs_opt;

/* What a command is given. Strings point into argv. */
typedef struct rs_call {
    const void *opts;       /* the command's struct of options, filled */
    rs_opt_list positional; /* at least n_min, at most n_max */
    rs_arena *arena;        /* lives until the command returns */
} rs_call;

typedef struct rs_command {
    const char *name;    /* "run"; of a command below another one "bench op" */
    const char *summary; /* one line for `reshoot help` */
    const char *args;    /* what follows the name in the usage line: "EXP.yaml [options]" */
    const char *about;   /* paragraphs of `reshoot <name> --help`; lines end with \n */
    void (*more)(void);  /* prints what follows the options; NULL for nothing */
    int n_min, n_max;    /* positional arguments; n_max -1: any number */
    const rs_opt *opts;  /* NULL: none */
    int n_opts;
    size_t opts_size;     /* of the struct of options */
    const void *defaults; /* its initial content; NULL: zeros */
    /* Commands that the first argument may name ("op"), up to NULL; run is called for others. */
    const struct rs_command *const *subs;
    rs_status (*run)(const rs_call *call);
} rs_command;

/* RS_COMMAND_OPTS(table, type): the three fields above. */
#define RS_COMMAND_OPTS(table, type)                                                               \
    .opts = (table), .n_opts = (int)(sizeof(table) / sizeof((table)[0])), .opts_size = sizeof(type)

/* Every command, in the order of `reshoot help`; X(name) stands for rs_cmd_<name>. */
#define RS_COMMANDS(X)                                                                             \
    X(run)                                                                                         \
    X(check)                                                                                       \
    X(plan)                                                                                        \
    X(schema)                                                                                      \
    X(status)                                                                                      \
    X(index)                                                                                       \
    X(edit)                                                                                        \
    X(show)                                                                                        \
    X(verify)                                                                                      \
    X(export)                                                                                      \
    X(bench)                                                                                       \
    X(probe)

#define RS_COMMAND_DECLARE(name) extern const rs_command rs_cmd_##name;
RS_COMMANDS(RS_COMMAND_DECLARE)
#undef RS_COMMAND_DECLARE

/* Fill the options and positional arguments from argv[1..argc-1]. Unknown options and missing or
 * malformed values are RS_USAGE errors that name the option and the nearest known one; a wrong
 * number of positional arguments is RS_USAGE with the usage line. "--" ends the options. */
rs_status rs_opt_parse(rs_call *call, const rs_command *c, int argc, char **argv,
                       rs_arena *a) RS_NODISCARD;
/* Is --help or -h among them (before "--")? */
bool rs_opt_wants_help(int argc, char **argv);
/* Usage line, about text, one line per option, then `more`. */
void rs_command_help(const rs_command *c);

/* Text to standard output (the only way subcommands print results). */
void rs_out(const char *fmt, ...) RS_PRINTF(1, 2);

#endif
