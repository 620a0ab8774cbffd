// ctest: TIMEOUT 300
// What the operator of a run sees: the status on a terminal, reshoot status while it runs, after it
// ended and after it was killed, its summary.
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fsio.h"
#include "base/str.h"
#include "harness/catalog.h"
#include "harness/screen.h"
#include "harness/test.h"
#include "store/archive.h"
#include "store/json.h"

enum { VIDEOS = 3 };

static char *in(const char *dir, const char *name)
{
    return rs_path_join(t_arena(), dir, name);
}

/* Three clips of one edit each, a random model, an experiment of few steps; returns the folder. */
static const char *world(void)
{
    return t_catalog_world_with(VIDEOS, "checkpoint: {every: 20}\n");
}

/* The same without an end until it has written `text`, on a terminal that `before` prepares. */
static void watched(t_screen *s, int columns, const char *before, const char *dir, const char *more,
                    const char *text)
{
    const char *endless = rs_arena_printf(t_arena(), "--set motion.steps=1000000 %s", more);
    const char *line =
        rs_arena_printf(t_arena(), "%s exec %s", before, t_catalog_command(dir, endless));
    t_screen_run_until(s, columns, line, text);
    T_CHECKF(s->status == 75, "%d: %s", s->status, s->raw);
}

static int run(char **out, const char *dir, const char *more)
{
    return t_shell(out, "%s </dev/null", t_catalog_command(dir, more));
}

/* ---- a run in the background ---- */

static int ended(pid_t pid)
{
    int state;
    T_CHECK(waitpid(pid, &state, 0) == pid);
    return WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state);
}

static char *status(const char *dir, const char *more)
{
    char *out;
    int rc = t_reshoot(&out, "status %s/run %s", dir, more);
    T_CHECKF(rc == 0, "%d: %s", rc, out);
    return out;
}

static rs_json *status_json(const char *dir)
{
    rs_json *doc;
    char *text = status(dir, "--json");
    T_OK(rs_json_parse(&doc, text, strlen(text), "status"));
    return doc;
}

static int64_t number(const rs_json *doc, const char *object, const char *key)
{
    const rs_json *o;
    int64_t v;
    T_OK(rs_json_object(&o, doc, object));
    T_OK(rs_json_i64(&v, o, key));
    return v;
}

static const char *world_state(const rs_json *doc)
{
    const rs_json *worlds;
    const char *s;
    T_OK(rs_json_array(&worlds, doc, "worlds"));
    T_OK(rs_json_string(&s, rs_json_at(worlds, 0), "state"));
    return s;
}

/* The task of rank 0, or NULL. */
static const rs_json *task(const rs_json *doc)
{
    const rs_json *ranks, *tasks;
    T_OK(rs_json_array(&ranks, doc, "ranks"));
    if (rs_json_size(ranks) == 0)
        return NULL;
    T_OK(rs_json_array(&tasks, rs_json_at(ranks, 0), "tasks"));
    return rs_json_size(tasks) ? rs_json_at(tasks, 0) : NULL;
}

/* Until the record of rank 0 shows it some steps into motion. */
static void await_motion(const char *dir)
{
    for (int i = 0; i < 300; i++) {
        int64_t step = 0;
        const char *stage = "";
        if (rs_path_is_dir(in(dir, "run/live"))) {
            rs_json *doc = status_json(dir);
            const rs_json *t = task(doc);
            if (t) {
                T_OK(rs_json_string(&stage, t, "stage"));
                T_OK(rs_json_i64(&step, t, "step"));
            }
            bool there = strcmp(stage, "motion") == 0 && step > 0;
            rs_json_destroy(&doc);
            if (there)
                return;
        }
        usleep(50000);
    }
    T_CHECKF(false, "motion never showed");
}

/* ---- on a terminal ---- */

/* Rows of the status that were ever drawn, with their escape sequences. */
static char *drawn(const t_screen *s)
{
    rs_strbuf all = rs_strbuf_on(t_arena());
    for (const char *p = s->raw, *end; (p = strstr(p, "\033[?7l")); p = end) {
        end = strstr(p, "\033[?7h");
        T_CHECK(end);
        rs_strbuf_add(&all, p + 5, (size_t)(end - p - 5));
    }
    return all.data;
}

/* Everything that the log file has for a terminal is on it once, in order, and nothing of the
 * status is left between. */
static void log_is_on_screen(const t_screen *s, const char *dir)
{
    char *text;
    size_t n;
    int row = 0, lines = 0;
    T_OK(rs_read_file(&text, &n, t_arena(), in(dir, "run/reshoot.log")));
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        if (strlen(line) < 15 || line[13] == 'D')
            continue;
        while (row < s->n && strcmp(s->rows[row], line) != 0)
            row++;
        T_CHECKF(row < s->n, "not on the terminal: %s", line);
        lines++;
    }
    T_CHECK(lines > 3);
    T_EQ_I(t_screen_count(s, "waiting"), 0);
    T_EQ_I(t_screen_count(s, "motion        "), 0);
}

static void t_a_terminal_shows_log_and_status(void)
{
    const char *dir = world();
    t_screen s;
    watched(&s, 300, "", dir, "", "clip-00  step ");
    char *status_rows = drawn(&s);
    T_CHECKF(strstr(status_rows, "motion           0/3  clip-00  step "), "%s", status_rows);
    T_CHECKF(strstr(status_rows, " s/step  ETA "), "%s", status_rows);
    T_CHECKF(strstr(status_rows, "0 of 3 edits done, 1 running, 2 waiting"), "%s", status_rows);
    T_CHECKF(strstr(status_rows, "\033[1mmotion"), "%s", status_rows);
    log_is_on_screen(&s, dir);
    T_EQ_I(t_screen_count(&s, "| motion step "), 0); /* the status shows steps */
    T_CHECK(unlink(in(dir, "run/reshoot.log")) == 0);
    t_screen_run(&s, 300, t_catalog_command(dir, ""));
    T_CHECKF(s.status == 0, "%d: %s", s.status, s.raw);
    log_is_on_screen(&s, dir);
    T_EQ_I(t_screen_count(&s, "| motion done in "), VIDEOS);
}

static void t_the_width_is_respected(void)
{
    const char *dir = world();
    t_screen s;
    watched(&s, 50, "NO_COLOR=1; export NO_COLOR;", dir, "--videos clip-00", "clip-00  step ");
    char *rows = drawn(&s);
    int n = 0;
    T_CHECK(strstr(rows, "motion           0/1  clip-00  step "));
    T_CHECKF(!strchr(rows, '\033'), "colours in spite of NO_COLOR: %s", rows);
    for (char *row = strtok(rows, "\r\n"); row; row = strtok(NULL, "\r\n"), n++)
        T_CHECKF(strlen(row) < 50, "%s", row);
    T_CHECK(n >= 7);
    /* a terminal lower than the status has one line of it */
    watched(&s, 120, "stty rows 6;", dir, "--videos clip-01", "1 running  ETA ");
    rows = drawn(&s);
    T_CHECKF(strstr(rows, "0 of 1 edits done, 1 running") && !strstr(rows, "motion  "), "%s", rows);
}

static void t_plain_where_nothing_can_be_redrawn(void)
{
    const char *dir = world();
    char *out;
    t_screen s;
    T_CHECKF(run(&out, dir, "--videos clip-00") == 0, "%s", out);
    T_CHECKF(!strchr(out, '\033') && strstr(out, "| motion step 6/6"), "%s", out);
    T_CHECKF(run(&out, dir, "--videos clip-01 --set log.progress=live") == 0, "%s", out);
    T_CHECKF(strstr(out, "\033[?7l") && !strstr(out, "\033[1m") &&
                 !strstr(out, "| motion step 6/6"),
             "%s", out);
    t_screen_run(
        &s, 120,
        rs_arena_printf(t_arena(), "TERM=dumb %s", t_catalog_command(dir, "--videos clip-02")));
    T_CHECKF(s.status == 0 && !strchr(s.raw, '\033'), "%s", s.raw);
    t_screen_run(&s, 120, t_catalog_command(dir, "--set log.progress=none --set seed=2"));
    T_CHECKF(s.status == 0 && !strchr(s.raw, '\033'), "%s", s.raw);
}

/* Seconds into a long stage a line says where all of it is. */
static void t_a_plain_line_now_and_then(void)
{
    const char *dir = world();
    char *said = "";
    size_t n;
    pid_t pid = t_catalog_start(dir, "--set motion.steps=1000000");
    for (int i = 0; i < 300 && !strstr(said, "of 3 edits done"); i++) {
        usleep(50000);
        if (rs_path_exists(in(dir, "said")))
            T_OK(rs_read_file(&said, &n, t_arena(), in(dir, "said")));
    }
    kill(pid, SIGUSR1);
    T_EQ_I(ended(pid), 75);
    T_CHECKF(strstr(said, "I 0 of 3 edits done, 1 running, 2 waiting  ETA over "), "%s", said);
    rs_json *doc = status_json(dir);
    T_EQ_S(world_state(doc), "stopped");
    rs_json_destroy(&doc);
    T_CHECKF(strstr(status(dir, ""), "stopped; the same command goes on"), "%s", status(dir, ""));
}

/* ---- reshoot status ---- */

static void t_status_of_a_run_that_works_is_killed_and_goes_on(void)
{
    const char *dir = world();
    char *page, *out;
    pid_t pid = t_catalog_start(dir, "--set motion.steps=1000000");
    await_motion(dir);
    rs_json *doc = status_json(dir);
    T_EQ_S(world_state(doc), "running");
    T_EQ_I(number(doc, "edits", "running"), 1);
    T_EQ_I(number(doc, "edits", "waiting"), VIDEOS - 1);
    rs_json_destroy(&doc);
    page = status(dir, "");
    T_CHECKF(strstr(page, "ranks: running, 1 rank") && strstr(page, "ingest           1/3\n"), "%s",
             page);
    T_CHECKF(strstr(page, "  rank 0 ") && strstr(page, "motion clip-00  step ") &&
                 strstr(page, "/1000000  loss "),
             "%s", page);
    kill(pid, SIGKILL);
    T_EQ_I(ended(pid), 128 + SIGKILL);
    page = status(dir, "");
    T_CHECKF(strstr(page, "ranks: died") && strstr(page, "GONE: last word") &&
                 strstr(page, "motion clip-00  step ") && strstr(page, "start it again"),
             "%s", page);
    T_CHECKF(strstr(page, "0 of 3 edits done, 3 waiting"), "%s", page);
    T_CHECKF(run(&out, dir, "--set edit.steps=2") == 0, "%s", out);
    page = status(dir, "");
    T_CHECKF(strstr(page, "ranks: done") && strstr(page, "3 of 3 edits done") &&
                 strstr(page, "publish          3/3"),
             "%s", page);
    doc = status_json(dir);
    T_EQ_I(number(doc, "edits", "done"), VIDEOS);
    rs_json_destroy(&doc);
    T_CHECKF(run(&out, dir, "--set edit.steps=2") == 0, "%s", out);
    page = status(dir, "");
    T_CHECKF(strstr(page, "0 computed, 3 there before") &&
                 strstr(page, "3 of 3 edits done, 3 of them before"),
             "%s", page);
    T_CHECK(t_shell(&out, "find %s/run -name '*.tmp.*' | grep .", dir) == 1);
}

static void t_failures_have_their_reasons(void)
{
    const char *dir = world();
    char *out;
    T_EQ_I(t_shell(&out,
                   "rm -r %s/catalog/clip-01/masks && mkdir -p %s/run/state && "
                   "touch %s/run/state/clip-02",
                   dir, dir, dir),
           0);
    T_EQ_I(run(&out, dir, ""), 3);
    char *page = status(dir, "");
    T_CHECKF(strstr(page, "ranks: failed") && strstr(page, "2 of 3 edits failed"), "%s", page);
    T_CHECKF(strstr(page, "\nfailed:\n  clip-01#") && strstr(page, "catalog/clip-01/masks") &&
                 strstr(page, "\n  clip-02#") && strstr(page, "run/state/clip-02"),
             "%s", page);
    T_CHECKF(strstr(page, "1 of 3 edits done, 2 failed"), "%s", page);
}

static void t_watching_ends_with_the_run(void)
{
    const char *dir = world();
    pid_t pid = t_catalog_start(dir, "--set motion.steps=1000");
    await_motion(dir);
    char *page = status(dir, "--watch --every 0.2");
    T_EQ_I(ended(pid), 0);
    T_CHECKF(strstr(page, "ranks: running") && !strchr(page, '\033'), "%s", page);
    const char *last = page;
    for (const char *p = page; (p = strstr(p, "ranks: ")); p++)
        last = p;
    T_CHECKF(strncmp(last, "ranks: done", 11) == 0, "%s", last);
    t_screen s;
    t_screen_run(&s, 60, rs_arena_printf(t_arena(), T_BIN "/reshoot status %s/run --watch", dir));
    T_CHECK(s.status == 0 && strstr(s.raw, "\033[H\033[J") &&
            t_screen_count(&s, "ranks: done") == 1);
    for (int r = 0; r < s.n; r++)
        T_CHECK(strlen(s.rows[r]) < 60);
}

static void t_bad_input(void)
{
    const char *dir = world();
    char *out;
    T_EQ_I(t_reshoot(&out, "status %s/nowhere", dir), 3);
    T_CHECKF(strstr(out, "nowhere: there is no such folder"), "%s", out);
    T_EQ_I(t_reshoot(&out, "status %s/catalog", dir), 3);
    T_CHECKF(strstr(out, "catalog: not the folder of a run"), "%s", out);
    T_EQ_I(t_reshoot(&out, "status %s/exp.yaml", dir), 3);
    T_EQ_I(t_reshoot(&out, "status"), 2);
    T_EQ_I(t_reshoot(&out, "status %s --every 0", dir), 2);
    T_EQ_I(t_reshoot(&out, "index %s/catalog", dir), 3);
    T_CHECKF(strstr(out, "neither archive/ nor live/"), "%s", out);
}

/* ---- the summary ---- */

static double real(const rs_json *o, const char *key)
{
    double v;
    T_OK(rs_json_f64(&v, o, key));
    return v;
}

static void t_the_summary_adds_up(void)
{
    const char *dir = world();
    char *out;
    T_CHECKF(run(&out, dir, "--set motion.steps=60") == 0, "%s", out);
    T_CHECKF(strstr(out, " on 1 rank, ") && strstr(out, "rank-seconds:  ingest ") &&
                 strstr(out, " edits an hour"),
             "%s", out);
    rs_json *doc = status_json(dir);
    const rs_json *worlds, *summary, *seconds;
    T_OK(rs_json_array(&worlds, doc, "worlds"));
    T_OK(rs_json_object(&summary, rs_json_at(worlds, 0), "summary"));
    T_OK(rs_json_object(&seconds, summary, "rank_seconds"));
    T_EQ_I(number(rs_json_at(worlds, 0), "summary", "computed"), VIDEOS);
    double sum = 0, wall = real(summary, "wall"), busy = real(summary, "utilisation");
    for (rs_json_iter it = {0}; rs_json_next(seconds, &it);)
        sum += real(seconds, it.key);
    T_NEAR(busy * wall, sum, 1e-9);
    T_CHECKF(busy > 0.5 && busy <= 1, "%g", busy);
    T_NEAR(real(summary, "edits_per_hour"), VIDEOS / wall * 3600, 1e-6);
    /* motion and publish as the archives have them */
    double motion = 0, publish = 0, one;
    for (int i = 0; i < VIDEOS; i++) {
        rs_archive *f;
        T_OK(rs_archive_open(&f, rs_arena_printf(t_arena(), "%s/run/archive/clip-0%d.h5", dir, i)));
        T_OK(rs_archive_get_f64(&one, f, "/stages/motion", "seconds"));
        motion += one;
        T_OK(rs_archive_get_f64(&one, f, "/provenance", "seconds"));
        publish += one;
        rs_archive_close(&f);
    }
    T_CHECKF(motion > 0 && motion <= real(seconds, "motion"), "%g %g", motion,
             real(seconds, "motion"));
    T_CHECKF(publish > 0 && publish <= real(seconds, "publish"), "%g %g", publish,
             real(seconds, "publish"));
    rs_json_destroy(&doc);
}

static const rs_test_case cases[] = {
    T_CASE(t_a_terminal_shows_log_and_status),
    T_CASE(t_the_width_is_respected),
    T_CASE(t_plain_where_nothing_can_be_redrawn),
    T_CASE(t_a_plain_line_now_and_then),
    T_CASE(t_status_of_a_run_that_works_is_killed_and_goes_on),
    T_CASE(t_failures_have_their_reasons),
    T_CASE(t_watching_ends_with_the_run),
    T_CASE(t_bad_input),
    T_CASE(t_the_summary_adds_up),
};
RS_TEST_MAIN(cases)
