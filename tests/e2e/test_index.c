// ctest: TIMEOUT 300
// catalog.h5 while a run works and afterwards: whole at any moment, one row per job, made again
// from archives and records.
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fsio.h"
#include "harness/catalog.h"
#include "harness/test.h"
#include "store/archive.h"

enum { VIDEOS = 4 };

static char *in(const char *dir, const char *name)
{
    return rs_path_join(t_arena(), dir, name);
}

static const char *world(void)
{
    return t_catalog_world_with(VIDEOS, "checkpoint: {every: 20}\nlog: {catalog_every: 0.05}\n");
}

static int run(char **out, const char *dir, const char *more)
{
    return t_shell(out, "%s", t_catalog_command(dir, more));
}

static void read_table(rs_table *t, const char *path)
{
    rs_archive *f;
    T_OK(rs_archive_open(&f, path));
    T_OK(rs_archive_read_table(t, t_arena(), f, "/jobs"));
    rs_archive_close(&f);
}

static const rs_cell *cell(const rs_table *t, int64_t row, const char *column)
{
    for (int64_t k = 0; k < t->n_columns; k++)
        if (strcmp(t->columns[k].name, column) == 0)
            return &t->cells[row * t->n_columns + k];
    T_CHECKF(false, "no column %s", column);
    return NULL;
}

typedef struct counts {
    int waiting, running, done, failed;
} counts;

/* Every row says something that is so. */
static counts check_rows(const rs_table *t, const char *dir)
{
    counts c = {0};
    T_EQ_I(t->n_rows, VIDEOS);
    for (int64_t i = 0; i < t->n_rows; i++) {
        const char *state = cell(t, i, "state")->s, *stage = cell(t, i, "stage")->s;
        int64_t steps = cell(t, i, "steps")->i, step = cell(t, i, "step")->i;
        T_EQ_S(cell(t, i, "video")->s, rs_arena_printf(t_arena(), "clip-%02d", (int)i));
        c.waiting += strcmp(state, "waiting") == 0;
        c.failed += strcmp(state, "failed") == 0;
        if (strcmp(state, "done") == 0) {
            c.done++;
            T_CHECK(rs_file_size(in(in(dir, "run"), cell(t, i, "archive")->s)) > 0);
            T_CHECK(rs_file_size(in(in(dir, "run"), cell(t, i, "movie")->s)) > 0);
            T_CHECK(strlen(cell(t, i, "key")->s) == 64 && cell(t, i, "rank")->i == -1);
            T_CHECK(cell(t, i, "motion_seconds")->f > 0 && cell(t, i, "publish_seconds")->f > 0);
            T_CHECK(isfinite(cell(t, i, "psnr_outside")->f));
        } else if (strcmp(state, "running") == 0) {
            c.running++;
            T_EQ_I(cell(t, i, "rank")->i, 0);
            T_CHECK(*stage && step <= steps);
        }
    }
    T_EQ_I(c.waiting + c.running + c.done + c.failed, VIDEOS);
    return c;
}

static void t_readers_see_a_whole_table_while_the_run_writes(void)
{
    const char *dir = world(), *path = in(dir, "run/catalog.h5");
    int reads = 0, state = 0, versions = 0;
    counts last = {0}, most = {0};
    pid_t pid = t_catalog_start(dir, "--set motion.steps=800 --set log.progress=live");
    while (waitpid(pid, &state, WNOHANG) == 0) {
        rs_table t;
        if (!rs_path_exists(path))
            continue;
        read_table(&t, path);
        counts c = check_rows(&t, dir);
        T_CHECKF(c.done >= last.done, "%d done after %d", c.done, last.done);
        versions += memcmp(&c, &last, sizeof c) != 0;
        last = c;
        most.waiting = c.waiting > most.waiting ? c.waiting : most.waiting;
        most.running = c.running > most.running ? c.running : most.running;
        reads++;
        usleep(1000); /* the run needs a core, too */
    }
    T_CHECK(WIFEXITED(state) && WEXITSTATUS(state) == 0);
    printf("    %d reads, %d different tables\n", reads, versions);
    T_CHECKF(reads > 50 && versions >= 3, "%d reads, %d tables", reads, versions);
    T_CHECKF(most.running == 1 && most.waiting >= VIDEOS - 1, "%d %d", most.running, most.waiting);
    rs_table t;
    read_table(&t, path);
    T_EQ_I(check_rows(&t, dir).done, VIDEOS);
    char *out;
    T_CHECKF(t_reshoot(&out, "verify %s/run/catalog.h5", dir) == 0, "%s", out);
}

static void same_table(const rs_table *a, const rs_table *b)
{
    T_EQ_I(a->n_rows, b->n_rows);
    T_EQ_I(a->n_columns, b->n_columns);
    for (int64_t i = 0; i < a->n_rows * a->n_columns; i++) {
        const rs_column *c = &a->columns[i % a->n_columns];
        rs_cell x = a->cells[i], y = b->cells[i];
        T_EQ_S(c->name, b->columns[i % a->n_columns].name);
        if (c->type == RS_COLUMN_STRING)
            T_EQ_S(x.s, y.s);
        else
            T_CHECKF(memcmp(&x, &y, sizeof x) == 0 || (isnan(x.f) && isnan(y.f)), "%s", c->name);
    }
}

static void t_it_is_made_again_from_archives_and_records(void)
{
    const char *dir = world(), *path = in(dir, "run/catalog.h5");
    char *out;
    rs_table before, after;
    T_EQ_I(t_shell(&out, "mkdir -p %s/run/state && touch %s/run/state/clip-02", dir, dir), 0);
    T_EQ_I(run(&out, dir, ""), 3);
    read_table(&before, path);
    counts c = check_rows(&before, dir);
    T_EQ_I(c.done, 3);
    T_EQ_I(c.failed, 1);
    T_CHECKF(strstr(cell(&before, 2, "reason")->s, "state/clip-02") && !*cell(&before, 2, "key")->s,
             "%s", cell(&before, 2, "reason")->s);
    T_CHECK(unlink(path) == 0);
    T_CHECKF(t_reshoot(&out, "index %s/run", dir) == 0 && strstr(out, "run/catalog.h5"), "%s", out);
    read_table(&after, path);
    same_table(&after, &before);
    T_CHECKF(t_reshoot(&out, "verify %s/run/catalog.h5", dir) == 0, "%s", out);
    /* a run that finds nothing changed leaves it alone, one that finds it spoiled does not */
    T_EQ_I(run(&out, dir, ""), 3);
    read_table(&after, path);
    same_table(&after, &before);
    T_OK(rs_write_file_atomic(path, "spoiled", 7));
    T_EQ_I(run(&out, dir, "--set log.catalog_every=0"), 3);
    read_table(&after, path);
    same_table(&after, &before);
    /* a copy of an archive is not another video */
    T_EQ_I(t_shell(&out, "cp %s/run/archive/clip-00.h5 %s/run/archive/clip-000.h5", dir, dir), 0);
    T_EQ_I(t_reshoot(&out, "index %s/run", dir), 0);
    T_CHECKF(strstr(out, "left out of catalog.h5: archive/clip-000.h5: is of video clip-00"), "%s",
             out);
    read_table(&after, path);
    same_table(&after, &before);
    T_CHECK(unlink(in(dir, "run/archive/clip-000.h5")) == 0);
    /* archives alone: what was never published is not known any more */
    T_OK(rs_remove_tree(in(dir, "run/live")));
    T_EQ_I(t_reshoot(&out, "index %s/run", dir), 0);
    read_table(&after, path);
    T_EQ_I(after.n_rows, 3);
    T_EQ_S(cell(&after, 2, "video")->s, "clip-03");
    T_EQ_S(cell(&after, 2, "state")->s, "done");
}

/* What an older run has done stays done until a newer one works on it or fails. */
static void t_a_killed_run_leaves_a_table_that_the_next_one_mends(void)
{
    const char *dir = world(), *path = in(dir, "run/catalog.h5");
    rs_table t;
    char *out;
    T_CHECKF(run(&out, dir, "--videos clip-01") == 0, "%s", out);
    pid_t pid = t_catalog_start(dir, "--set motion.steps=1000000");
    counts c = {0};
    for (int i = 0; i < 400 && !c.running; i++) {
        usleep(20000);
        read_table(&t, path);
        T_CHECK(t.n_rows == 1 || t.n_rows == VIDEOS); /* of the old run, of the new one */
        if (t.n_rows == VIDEOS)
            c = check_rows(&t, dir);
    }
    kill(pid, SIGKILL);
    T_CHECK(waitpid(pid, NULL, 0) == pid);
    T_EQ_I(c.running, 1);
    T_EQ_I(c.done, 1);
    T_EQ_I(c.waiting, VIDEOS - 2);
    T_CHECKF(t_reshoot(&out, "index %s/run", dir) == 0, "%s", out);
    read_table(&t, path);
    c = check_rows(&t, dir);
    T_EQ_I(c.running, 0); /* it is dead */
    T_EQ_I(c.waiting, VIDEOS - 1);
    T_CHECKF(t_reshoot(&out, "verify %s/run/catalog.h5", dir) == 0, "%s", out);
    T_CHECKF(run(&out, dir, "") == 0, "%s", out);
    read_table(&t, path);
    T_EQ_I(check_rows(&t, dir).done, VIDEOS);
}

static void t_arms_have_an_index_each(void)
{
    static const char arms[] = "arms:\n  - {name: plain}\n  - {name: other, set: {edit.seed: 7}}\n";
    const char *dir = world();
    char *out, *yaml;
    size_t n;
    T_OK(rs_read_file(&yaml, &n, t_arena(), in(dir, "exp.yaml")));
    yaml = rs_arena_printf(t_arena(), "%s%s", yaml, arms);
    T_OK(rs_write_file_atomic(in(dir, "exp.yaml"), yaml, strlen(yaml)));
    T_CHECKF(run(&out, dir, "") == 0, "%s", out);
    T_CHECKF(t_reshoot(&out, "status %s/run", dir) == 0, "%s", out);
    T_CHECKF(strstr(out, "8 of 8 edits done") && strstr(out, "motion           8/8\n"), "%s", out);
    T_EQ_I(t_shell(&out, "rm %s/run/arms/*/catalog.h5", dir), 0);
    T_EQ_I(t_reshoot(&out, "index %s/run", dir), 0);
    for (int i = 0; i < 2; i++) {
        rs_table t;
        read_table(&t, in(dir, i ? "run/arms/other/catalog.h5" : "run/arms/plain/catalog.h5"));
        T_EQ_I(t.n_rows, VIDEOS);
        for (int64_t row = 0; row < t.n_rows; row++)
            T_EQ_S(cell(&t, row, "state")->s, "done");
    }
    T_CHECK(!rs_path_exists(in(dir, "run/catalog.h5")));
}

static const rs_test_case cases[] = {
    T_CASE(t_readers_see_a_whole_table_while_the_run_writes),
    T_CASE(t_it_is_made_again_from_archives_and_records),
    T_CASE(t_a_killed_run_leaves_a_table_that_the_next_one_mends),
    T_CASE(t_arms_have_an_index_each),
};
RS_TEST_MAIN(cases)
