// base/process: splitting command lines, running programs: output, exit codes, hanging, stopping.
#include <string.h>
#include <unistd.h>

#include "base/fsio.h"
#include "base/log.h"
#include "base/process.h"
#include "harness/test.h"

static void splits(const char *line, int64_t want, const char *first, const char *last)
{
    char **words;
    int64_t n;
    T_OK(rs_split_words(&words, &n, t_arena(), line));
    T_CHECKF(n == want, "%s: %lld words", line, (long long)n);
    T_CHECK(words[n] == NULL);
    if (n == 0)
        return;
    T_EQ_S(words[0], first);
    T_EQ_S(words[n - 1], last);
}

static void t_words(void)
{
    char **words;
    int64_t n;
    splits("", 0, NULL, NULL);
    splits("  \t ", 0, NULL, NULL);
    splits("one", 1, "one", "one");
    splits(" python3  -u\tscore.py ", 3, "python3", "score.py");
    splits("'a b' \"c  d\"", 2, "a b", "c  d");
    splits("x --name='it is' ''", 3, "x", "");
    splits("$HOME;ls *.png \\n", 3, "$HOME;ls", "\\n");
    splits("\"it's\"", 1, "it's", "it's");
    T_FAILS(rs_split_words(&words, &n, t_arena(), "a 'b c"), INPUT, "the quote at \"'b c\"");
}

static rs_process_result run(const char *script, double timeout)
{
    char *argv[] = {"sh", "-c", (char *)(uintptr_t)script, NULL};
    rs_process_result r;
    T_OK(rs_process_run(&r, t_arena(), argv, &(rs_process_opts){.timeout_s = timeout}));
    return r;
}

static void t_output_and_exit_code(void)
{
    rs_process_result r = run("echo out; echo err >&2; exit 7", 20);
    T_EQ_I(r.exit_code, 7);
    T_EQ_S(r.out, "out\n");
    T_EQ_S(r.err, "err\n");
    T_CHECK(!r.timed_out && r.signal == 0);
    r = run("cat; kill -TERM $$", 20); /* no input */
    T_EQ_I(r.exit_code, -1);
    T_EQ_I(r.signal, SIGTERM);
    T_EQ_S(r.out, "");
    r = run("head -c 300000 /dev/zero | tr '\\0' a; head -c 9000000 /dev/zero >&2; echo", 60);
    T_EQ_I(strlen(r.out), 300001);
    T_EQ_I(r.exit_code, 0);
}

static void t_hanging_is_ended(void)
{
    const char *mark = rs_path_join(t_arena(), t_tmpdir(), "mark");
    double begin = rs_now();
    rs_process_result r =
        run(rs_arena_printf(t_arena(), "echo 1; (sleep 2; touch %s) & wait", mark), 0.3);
    T_CHECK(r.timed_out);
    T_EQ_S(r.out, "1\n");
    T_CHECK(rs_now() - begin < 1.5);
    r = run("sleep 30 & echo 2", 20); /* a child that holds the pipes */
    T_CHECK(!r.timed_out && r.exit_code == 0);
    T_EQ_S(r.out, "2\n");
    T_CHECK(rs_now() - begin < 10);
    usleep(2200000);
    T_CHECKF(!rs_path_exists(mark), "a child of the killed program lived on");
}

static void t_stop_and_missing(void)
{
    volatile sig_atomic_t stop = 1;
    rs_process_result r;
    char *hang[] = {"sleep", "30", NULL}, *missing[] = {"./no-such-program", NULL};
    char *empty[] = {NULL};
    rs_process_opts o = {.timeout_s = 20, .stop = &stop};
    T_FAILS(rs_process_run(&r, t_arena(), hang, &o), STOPPED, "sleep");
    stop = 0;
    T_FAILS(rs_process_run(&r, t_arena(), missing, &o), IO, "./no-such-program: cannot be started");
    T_FAILS(rs_process_run(&r, t_arena(), empty, &o), IO, "empty command");
}

/* Asked to end before it is killed, where there is time for that. */
static void t_grace(void)
{
    const char *mark = rs_path_join(t_arena(), t_tmpdir(), "mark");
    char *polite[] = {
        "sh", "-c",
        rs_arena_printf(t_arena(), "trap 'touch %s; exit 3' TERM; sleep 30 & wait", mark), NULL};
    char *deaf[] = {"sh", "-c", "trap '' TERM; sleep 30 & wait; sleep 30", NULL};
    rs_process_opts o = {.timeout_s = 0.5, .grace_s = 10};
    rs_process_result r;
    double begin = rs_now();
    T_OK(rs_process_run(&r, t_arena(), polite, &o));
    T_CHECK(r.timed_out && r.exit_code == 3 && rs_path_exists(mark));
    T_CHECK(rs_now() - begin < 8);
    o.grace_s = 0.3;
    T_OK(rs_process_run(&r, t_arena(), deaf, &o));
    T_CHECK(r.timed_out && r.exit_code == -1 && r.signal == SIGKILL);
    T_OK(rs_remove_tree(mark));
    o.grace_s = 0;
    T_OK(rs_process_run(&r, t_arena(), polite, &o));
    T_CHECK(r.timed_out && r.signal == SIGKILL && !rs_path_exists(mark));
}

static const rs_test_case k_cases[] = {
    T_CASE(t_words),
    T_CASE(t_output_and_exit_code),
    T_CASE(t_hanging_is_ended),
    T_CASE(t_stop_and_missing),
    T_CASE(t_grace),
};
RS_TEST_MAIN(k_cases)
