// The command line itself: help of every command and option, usage errors, exit codes.
#include <string.h>

#include "base/num.h"
#include "harness/test.h"

enum { COLUMNS = 100 };

/* The n-th line of text, or NULL. */
static const char *line_at(const char *text, int n)
{
    const char *end;
    for (; n > 0 && (end = strchr(text, '\n')); n--)
        text = end + 1;
    if (n > 0 || !*text)
        return NULL;
    return rs_arena_strndup(t_arena(), text, strcspn(text, "\n"));
}

static void check_width(const char *what, const char *text)
{
    const char *line;
    for (int i = 0; (line = line_at(text, i)); i++)
        T_CHECKF(strlen(line) <= COLUMNS, "%s: %d columns: %s", what, (int)strlen(line), line);
}

/* Names in front of the two-column lines between `from` and the next empty line. */
static int names_after(const char *text, const char *from, const char **names, int max)
{
    int n = 0;
    const char *at = strstr(text, from), *line;
    T_CHECKF(at, "no \"%s\" in:\n%s", from, text);
    at += strlen(from);
    for (int i = 0; n < max && (line = line_at(at, i)) && strncmp(line, "  ", 2) == 0; i++)
        names[n++] = rs_arena_strndup(t_arena(), line + 2, strcspn(line + 2, " "));
    return n;
}

static int commands(const char **names, int max)
{
    char *text;
    T_EQ_I(t_reshoot(&text, "help"), 0);
    check_width("help", text);
    return names_after(text, "usage: reshoot COMMAND ...\n\n", names, max);
}

static void t_help_lists_the_commands(void)
{
    const char *names[32], *wanted[] = {"check", "schema", "probe"};
    int n = commands(names, 32);
    for (size_t k = 0; k < sizeof wanted / sizeof *wanted; k++) {
        bool found = false;
        for (int i = 0; i < n; i++)
            found = found || strcmp(names[i], wanted[k]) == 0;
        T_CHECKF(found, "reshoot help does not list %s", wanted[k]);
    }
    char *a, *b;
    T_EQ_I(t_reshoot(&a, "--help"), 0);
    T_EQ_I(t_reshoot(&b, "-h"), 0);
    T_EQ_S(a, b);
}

static void check_option(const char *command, const char *help, const char *option)
{
    char *text;
    const char *row = strstr(help, rs_arena_printf(t_arena(), "\n  %s ", option));
    T_CHECKF(row, "%s: no help for %s", command, option);
    bool takes_value = strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ", row[3 + strlen(option) + 1]) != NULL &&
                       row[3 + strlen(option)] == ' ' && row[4 + strlen(option)] != ' ';
    int rc = t_reshoot(&text, "%s %s", command, option);
    T_CHECKF(rc == 2 || (rc == 0 && !takes_value), "%s %s: exit %d", command, option, rc);
    T_CHECKF(!strstr(text, "unknown option"), "%s: %s is in the help only", command, option);
    const char *needs = rs_arena_printf(t_arena(), "%s needs a value", option);
    T_CHECKF(!takes_value || strstr(text, needs), "%s %s: %s", command, option, text);
}

static void t_every_option_has_help(void)
{
    const char *names[32], *options[64];
    int n = commands(names, 32), n_checked = 0;
    for (int i = 0; i < n; i++) {
        char *help;
        T_EQ_I(t_reshoot(&help, "%s --help", names[i]), 0);
        check_width(names[i], help);
        T_CHECKF(strstr(help, rs_arena_printf(t_arena(), "usage: reshoot %s ", names[i])) == help,
                 "%s --help starts with: %.60s", names[i], help);
        if (!strstr(help, "\noptions:\n"))
            continue;
        int n_options = names_after(help, "\noptions:\n", options, 64);
        for (int k = 0; k < n_options; k++, n_checked++)
            check_option(names[i], help, options[k]);
    }
    T_CHECKF(n_checked >= 10, "only %d options seen", n_checked);
}

static void t_unknown_words_get_a_hint(void)
{
    static const struct {
        const char *args, *text;
    } rows[] = {
        {"chekc", "unknown command \"chekc\"; did you mean \"check\"?"},
        {"frobnicate", "unknown command \"frobnicate\"; see reshoot help"},
        {"schema --yml", "schema: unknown option --yml; did you mean --yaml?"},
        {"check a.yaml --vidoes x", "check: unknown option --vidoes; did you mean --videos?"},
        {"check a.yaml --frobnicate", "check: unknown option --frobnicate; see reshoot check"},
        {"check a.yaml -x", "check: unknown option -x"},
        {"probe m --component schedul --in a --out b", "did you mean \"schedule\"?"},
        {"probe m --steps many", "--steps: \"many\" is not an integer"},
        {"probe m --shift=1.5.2", "--shift: \"1.5.2\" is not a number"},
        {"probe m --threads=-1 --component schedule --in a --out b", "--threads must be 0..1024"},
        {"schema --yaml=1", "--yaml takes no value"},
        {"schema --yaml --md", "give one of --yaml and --md"},
        {"check --set", "--set needs a value: --set KEY=VALUE"},
        {"check", "usage: reshoot check EXP.yaml [options]"},
        {"check a.yaml b.yaml", "usage: reshoot check EXP.yaml [options]"},
        {"check -- --set", "--set: "},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *text;
        int rc = t_reshoot(&text, "%s", rows[i].args);
        T_CHECKF(rc == 2, "reshoot %s: exit %d, want 2: %s", rows[i].args, rc, text);
        T_CHECKF(strstr(text, rows[i].text), "reshoot %s: \"%s\" is not in: %s", rows[i].args,
                 rows[i].text, text);
    }
}

static void t_no_command_shows_the_help(void)
{
    char *with, *without;
    T_EQ_I(t_reshoot(&without, " "), 2);
    T_EQ_I(t_reshoot(&with, "help"), 0);
    T_EQ_S(without, with);
}

static void t_version(void)
{
    char *text;
    T_EQ_I(t_reshoot(&text, "--version"), 0);
    T_CHECKF(strstr(text, "reshoot " RS_VERSION) == text, "--version prints %s", text);
    const char *lines[] = {"\ncommit: ", "\ncpu kernels: cpu isa=", "\ncuda ",
                           "\nnccl: ", "\nmpi: "};
    for (int i = 0; i < RS_COUNT_OF(lines); i++)
        T_CHECKF(strstr(text, lines[i]), "no%s in:\n%s", lines[i], text);
}

/* The generated reference is itself a file that `check` can read. */
static void t_schema_is_readable(void)
{
    char *text, *yaml = rs_arena_printf(t_arena(), "%s/all.yaml", t_tmpdir());
    T_EQ_I(t_reshoot(&text, "schema --yaml > %s", yaml), 0);
    T_EQ_I(t_reshoot(&text, "check %s", yaml), 2);
    const char *required[] = {"name", "output", "catalog", "model.path"};
    for (int i = 0; i < 4; i++) {
        const char *line = rs_arena_printf(t_arena(), ": %s: is required", required[i]);
        T_CHECKF(strstr(text, line), "\"%s\" is not in:\n%s", line, text);
    }
    T_CHECKF(strstr(text, "all.yaml: 4 problems"), "%s", text);
    T_EQ_I(t_reshoot(&text, "schema --md"), 0);
    T_CHECK(strstr(text, "| `clip.frames` | `49` |"));
}

static const rs_test_case cases[] = {
    T_CASE(t_help_lists_the_commands),
    T_CASE(t_every_option_has_help),
    T_CASE(t_unknown_words_get_a_hint),
    T_CASE(t_no_command_shows_the_help),
    T_CASE(t_version),
    T_CASE(t_schema_is_readable),
};
RS_TEST_MAIN(cases)
