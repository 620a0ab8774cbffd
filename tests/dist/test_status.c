// ctest: TIMEOUT 300
// What can be seen of several ranks: records of all of them from outside, a rank that is killed,
// and the summary over all ranks.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fsio.h"
#include "harness/catalog.h"
#include "harness/mpirun.h"
#include "harness/test.h"
#include "store/archive.h"
#include "store/json.h"

enum { VIDEOS = 4 };

static char *in(const char *dir, const char *name)
{
    return rs_path_join(t_arena(), dir, name);
}

static const char *world(void)
{
    return t_catalog_world_with(VIDEOS, "checkpoint: {every: 20}\nlog: {catalog_every: 0.2}\n");
}

static rs_json *status(const char *dir)
{
    rs_json *doc;
    char *text;
    T_CHECKF(t_reshoot(&text, "status %s/run --json", dir) == 0, "%s", text);
    T_OK(rs_json_parse(&doc, text, strlen(text), "status"));
    return doc;
}

static int64_t whole(const rs_json *o, const char *key)
{
    int64_t v;
    T_OK(rs_json_i64(&v, o, key));
    return v;
}

static const char *text(const rs_json *o, const char *key)
{
    const char *s;
    T_OK(rs_json_string(&s, o, key));
    return s;
}

static const rs_json *list(const rs_json *o, const char *key)
{
    const rs_json *a;
    T_OK(rs_json_array(&a, o, key));
    return a;
}

/* The videos that ranks are in motion with, one a rank, by rank; how many. */
static int in_motion(char names[2][64], const rs_json *doc)
{
    const rs_json *ranks = list(doc, "ranks");
    int n = 0;
    for (int64_t r = 0; r < rs_json_size(ranks); r++) {
        const rs_json *tasks = list(rs_json_at(ranks, r), "tasks");
        const rs_json *t = rs_json_size(tasks) ? rs_json_at(tasks, 0) : NULL;
        T_EQ_I(whole(rs_json_at(ranks, r), "rank"), r);
        if (t && strcmp(text(t, "stage"), "motion") == 0 && whole(t, "step") > 0)
            snprintf(names[n++], sizeof names[0], "%s", text(t, "video"));
    }
    return n;
}

/* Rows of catalog.h5 that say running, with different ranks. */
static int running_rows(const char *dir)
{
    rs_archive *f;
    rs_table t;
    T_OK(rs_archive_open(&f, in(dir, "run/catalog.h5")));
    T_OK(rs_archive_read_table(&t, t_arena(), f, "/jobs"));
    rs_archive_close(&f);
    T_EQ_I(t.n_rows, VIDEOS);
    int n = 0, ranks = 0;
    for (int64_t i = 0; i < t.n_rows; i++) {
        const rs_cell *c = &t.cells[i * t.n_columns];
        T_EQ_S(t.columns[9].name, "rank");
        n += strcmp(c[2].s, "running") == 0;
        ranks += c[9].i >= 0 ? 1 << c[9].i : 0;
    }
    T_CHECKF(n < 2 || ranks == 3, "rows of ranks %d", ranks);
    return n;
}

static void t_two_ranks_are_seen_and_a_killed_one_is_missed(void)
{
    const char *dir = world();
    char names[2][64], *out, *log = in(dir, "said");
    rs_json *doc = NULL;
    int n = 0;
    const char *args = rs_arena_printf(
        t_arena(), "run %s/exp.yaml --set output=%s/run --set motion.steps=1000000", dir, dir);
    pid_t pid = t_mpirun_start(log, 2, args);
    for (int i = 0; i < 400 && n < 2; i++) {
        usleep(50000);
        if (!rs_path_is_dir(in(dir, "run/live")))
            continue;
        rs_json_destroy(&doc);
        doc = status(dir);
        n = in_motion(names, doc);
    }
    T_EQ_I(n, 2);
    T_CHECKF(strcmp(names[0], names[1]) != 0, "both ranks have %s", names[0]);
    const rs_json *edits;
    T_OK(rs_json_object(&edits, doc, "edits"));
    T_EQ_I(whole(edits, "running"), 2);
    T_EQ_I(whole(doc, "ranks_gone"), 0);
    rs_json_destroy(&doc);
    for (int i = 0; i < 60 && running_rows(dir) < 2; i++)
        usleep(50000); /* rank 0 looks once a second */
    T_EQ_I(running_rows(dir), 2);

    T_EQ_I(t_signal(SIGKILL, 1, RS_BUILD_DIR "/reshoot", dir), 1);
    T_CHECK(t_mpirun_wait(&out, pid, log) != 0);
    doc = status(dir);
    for (int i = 0;
         i < 100 && strcmp(text(rs_json_at(list(doc, "worlds"), 0), "state"), "died") != 0; i++) {
        usleep(50000); /* mpirun ends the other rank a moment later */
        rs_json_destroy(&doc);
        doc = status(dir);
    }
    T_EQ_S(text(rs_json_at(list(doc, "worlds"), 0), "state"), "died");
    T_CHECK(whole(doc, "ranks_gone") >= 1);
    rs_json_destroy(&doc);
    T_CHECKF(t_reshoot(&out, "status %s/run", dir) == 0 && strstr(out, "GONE: last word"), "%s",
             out);

    /* a quicker world goes on, and its summary is over both ranks */
    T_CHECKF(t_mpirun_reshoot(&out, 2, "run %s/exp.yaml --set output=%s/run --set motion.steps=50",
                              dir, dir) == 0,
             "%s", out);
    T_CHECKF(strstr(out, " on 2 ranks, "), "%s", out);
    doc = status(dir);
    const rs_json *w = rs_json_at(list(doc, "worlds"), 0), *sum, *seconds;
    double each, busy = 0, wall, share;
    T_EQ_S(text(w, "state"), "done");
    T_OK(rs_json_object(&sum, w, "summary"));
    T_EQ_I(whole(sum, "computed"), VIDEOS);
    T_OK(rs_json_object(&seconds, sum, "rank_seconds"));
    for (rs_json_iter it = {0}; rs_json_next(seconds, &it); busy += each)
        T_OK(rs_json_as_f64(&each, it.value));
    T_OK(rs_json_f64(&wall, sum, "wall"));
    T_OK(rs_json_f64(&share, sum, "utilisation"));
    T_NEAR(share, busy / (2 * wall), 1e-9);
    T_CHECKF(share > 0.2 && share <= 1, "%g", share);
    /* the records of both ranks add up to it */
    const rs_json *ranks = list(doc, "ranks");
    double of_ranks = 0;
    T_EQ_I(rs_json_size(ranks), 2);
    for (int64_t r = 0; r < 2; r++) {
        T_EQ_S(text(rs_json_at(ranks, r), "state"), "ended");
        T_OK(rs_json_f64(&each, rs_json_at(ranks, r), "busy"));
        T_CHECK(each > 0);
        of_ranks += each;
    }
    T_NEAR(of_ranks, busy, 1e-6);
    rs_json_destroy(&doc);
    T_CHECK(t_shell(&out, "find %s/run -name '*.tmp.*' | grep .", dir) == 1);
}

static const rs_test_case cases[] = {
    T_CASE(t_two_ranks_are_seen_and_a_killed_one_is_missed),
};
RS_TEST_MAIN(cases)
