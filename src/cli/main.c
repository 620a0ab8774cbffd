/* reshoot: one binary with subcommands. The only place that turns a status into an exit code and
 * that prints the final error line. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/version.h"
#include "device/select.h"

#define COMMAND_ROW(name) &rs_cmd_##name,
static const rs_command *const k_commands[] = {RS_COMMANDS(COMMAND_ROW)};
#undef COMMAND_ROW
enum { N_COMMANDS = sizeof k_commands / sizeof k_commands[0] };

static void print_help(FILE *f)
{
    fprintf(f, "reshoot " RS_VERSION
               ": trains LoRA-Edit adapters per video on a frozen video diffusion transformer\n"
               "usage: reshoot COMMAND ...\n\n");
    for (int i = 0; i < N_COMMANDS; i++)
        fprintf(f, "  %-9s %s\n", k_commands[i]->name, k_commands[i]->summary);
    fprintf(
        f,
        "\nreshoot COMMAND --help explains one command; reshoot --version says what is built in.\n"
        "exit codes: 0 done, 1 internal failure, 2 usage, configuration or model, 3 jobs or input\n"
        "            failed, 75 stopped and resumable\n");
}

/* The command below c that argv[1] names, or NULL. */
static const rs_command *find_sub(const rs_command *c, int argc, char **argv)
{
    for (int i = 0; argc > 1 && c->subs && c->subs[i]; i++)
        if (strcmp(strchr(c->subs[i]->name, ' ') + 1, argv[1]) == 0)
            return c->subs[i];
    return NULL;
}

static rs_status run_command(const rs_command *c, int argc, char **argv)
{
    const rs_command *sub = find_sub(c, argc, argv);
    if (sub) {
        c = sub;
        argc--;
        argv++;
    }
    if (rs_opt_wants_help(argc, argv)) {
        rs_command_help(c);
        return RS_OK;
    }
    rs_call call;
    rs_arena *a = rs_arena_create();
    rs_status st = rs_opt_parse(&call, c, argc, argv, a);
    if (st == RS_OK)
        st = c->run(&call);
    rs_arena_destroy(&a);
    return st;
}

static rs_status dispatch(int argc, char **argv)
{
    const char *names[N_COMMANDS];
    for (int i = 0; i < N_COMMANDS; i++) {
        names[i] = k_commands[i]->name;
        if (strcmp(argv[1], names[i]) == 0)
            return run_command(k_commands[i], argc - 1, argv + 1);
    }
    const char *near = rs_nearest(argv[1], names, N_COMMANDS);
    return near ? RS_FAIL(USAGE, "unknown command \"%s\"; did you mean \"%s\"?", argv[1], near)
                : RS_FAIL(USAGE, "unknown command \"%s\"; see reshoot help", argv[1]);
}

/* What is built in, and what this machine makes of it. */
static void print_version(void)
{
    rs_arena *a = rs_arena_create();
    rs_device_info cuda = rs_device_look(a, "cuda");
    rs_out("reshoot " RS_VERSION "\ncommit: %s\n", rs_version_commit());
    rs_version_show(a, &cuda);
    rs_arena_destroy(&a);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return rs_status_exit_code(RS_USAGE);
    }
    if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 ||
        strcmp(argv[1], "-h") == 0) {
        print_help(stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        print_version();
        return 0;
    }
    rs_status st = dispatch(argc, argv);
    if (st != RS_OK && rs_log_rank() <= 0) { /* all ranks of a run have the same */
        fprintf(stderr, "reshoot: %s\n", rs_error_message());
        if (rs_log_level_get() >= RS_LOG_DEBUG)
            fprintf(stderr, "%s\n", rs_error_trace());
    }
    if (fflush(stdout) != 0 && st == RS_OK)
        return 1;
    rs_log_close_file();
    return rs_status_exit_code(st);
}
