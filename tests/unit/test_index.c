// job: catalog.h5 that is written again and again: archives that come, change, go and are damaged;
// what the run says over what archives say.
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fsio.h"
#include "base/log.h"
#include "harness/test.h"
#include "job/index.h"
#include "job/index_rows.h"

static char *in(const char *dir, const char *name)
{
    return rs_path_join(t_arena(), dir, name);
}

/* An archive of one edit "e" with this measure. */
static void make_archive(const char *dir, const char *video, const char *state, double psnr)
{
    rs_archive *f;
    const char *path = rs_arena_printf(t_arena(), "%s/archive/%s.h5", dir, video);
    T_OK(rs_make_dirs(in(dir, "archive")));
    T_OK(rs_archive_create(&f, path));
    T_OK(rs_archive_set_string(f, "/", "kind", "video"));
    T_OK(rs_archive_set_string(f, "/", "video", video));
    T_OK(rs_archive_make_group(f, "/edits/e/metrics"));
    T_OK(rs_archive_set_string(f, "/edits/e", "state", state));
    T_OK(rs_archive_set_string(f, "/edits/e", "key", video));
    if (strcmp(state, "failed") == 0) {
        T_OK(rs_archive_set_string(f, "/edits/e", "stage", "edit"));
        T_OK(rs_archive_set_string(f, "/edits/e", "reason", "too dark"));
    }
    T_OK(rs_archive_set_f64(f, "/edits/e/metrics", "psnr", psnr));
    T_OK(rs_archive_commit(&f));
}

static rs_table table(const char *dir)
{
    rs_archive *f;
    rs_table t;
    T_OK(rs_archive_open(&f, in(dir, "catalog.h5")));
    T_OK(rs_archive_read_table(&t, t_arena(), f, "/jobs"));
    T_EQ_I(t.n_columns, RS_ROW_COLUMNS);
    rs_archive_close(&f);
    return t;
}

static int64_t links(const char *dir)
{
    rs_archive *f;
    char **names;
    int64_t n;
    T_OK(rs_archive_open(&f, in(dir, "catalog.h5")));
    T_OK(rs_archive_list(&names, &n, t_arena(), f, "/videos"));
    rs_archive_close(&f);
    return n;
}

static const rs_cell *row(const rs_table *t, const char *video)
{
    for (int64_t i = 0; i < t->n_rows; i++)
        if (strcmp(t->cells[i * t->n_columns].s, video) == 0)
            return &t->cells[i * t->n_columns];
    T_CHECKF(false, "no row of %s", video);
    return NULL;
}

static void t_archives_come_change_and_go(void)
{
    enum { N = 40 };
    const char *dir = t_tmpdir();
    rs_index *x;
    rs_log_set_level(RS_LOG_ERROR); /* archives that are left out are warnings */
    rs_index_open(&x, dir);
    T_OK(rs_index_write(x, NULL, ""));
    T_EQ_I(table(dir).n_rows, 0);
    for (int i = 0; i < N; i++)
        make_archive(dir, rs_arena_printf(t_arena(), "v%02d", i), "done", i);
    T_OK(rs_index_write(x, NULL, ""));
    rs_table t = table(dir);
    T_EQ_I(t.n_rows, N);
    T_EQ_I(links(dir), N);
    T_NEAR(row(&t, "v07")[RS_ROW_MEASURES + RS_MEASURE_PSNR].f, 7, 0);
    make_archive(dir, "v07", "done", 70); /* published again */
    T_CHECK(unlink(in(dir, "archive/v00.h5")) == 0);
    T_CHECK(unlink(in(dir, "archive/v39.h5")) == 0);
    make_archive(dir, "v", "done", 1); /* sorts before v01, as a file behind it */
    T_OK(rs_write_file_atomic(in(dir, "archive/v20.h5"), "damaged", 7));
    T_OK(rs_index_write(x, NULL, ""));
    t = table(dir);
    T_EQ_I(t.n_rows, N - 2);
    T_EQ_I(links(dir), N - 2);
    T_NEAR(row(&t, "v07")[RS_ROW_MEASURES + RS_MEASURE_PSNR].f, 70, 0);
    T_NEAR(row(&t, "v08")[RS_ROW_MEASURES + RS_MEASURE_PSNR].f, 8, 0);
    for (int64_t i = 1; i < t.n_rows; i++)
        T_CHECK(strcmp(t.cells[(i - 1) * t.n_columns].s, t.cells[i * t.n_columns].s) < 0);
    make_archive(dir, "v20", "done", 20); /* mended */
    T_OK(rs_index_write(x, NULL, ""));
    t = table(dir);
    T_EQ_I(t.n_rows, N - 1);
    T_NEAR(row(&t, "v20")[RS_ROW_MEASURES + RS_MEASURE_PSNR].f, 20, 0);
    rs_index_close(&x);
    rs_log_set_level(RS_LOG_INFO);
}

static void check(const rs_table *t, const char *video, const char *state, const char *stage,
                  const char *reason)
{
    const rs_cell *c = row(t, video);
    T_EQ_S(c[RS_ROW_STATE].s, state);
    T_EQ_S(c[RS_ROW_STAGE].s, stage);
    T_EQ_S(c[RS_ROW_REASON].s, reason);
}

static void t_the_run_has_the_last_word_on_what_it_works_on(void)
{
    static const uint32_t video = RS_TASK_BIT(RS_TASK_MOTION) | RS_TASK_BIT(RS_TASK_PUBLISH);
    static const uint32_t edit = RS_TASK_BIT(RS_TASK_EDIT);
    static const char *const names[] = {"failed-now", "done-before", "runs",
                                        "waits",      "unpublished", "still-failed"};
    const char *dir = t_tmpdir();
    rs_live_world w;
    rs_live_job jobs[12];
    rs_live *l;
    rs_view *v;
    for (int i = 0; i < 6; i++) {
        jobs[2 * i] = (rs_live_job){"", names[i], "", video};
        jobs[2 * i + 1] = (rs_live_job){"", names[i], "e", edit};
    }
    make_archive(dir, "failed-now", "done", 1);
    make_archive(dir, "done-before", "done", 2);
    make_archive(dir, "runs", "done", 3);
    make_archive(dir, "still-failed", "failed", 4);
    make_archive(dir, "of-older-run", "done", 5);
    T_OK(rs_live_world_create(&w, t_arena(), dir, "words", 1));
    T_OK(rs_live_world_add_jobs(&w, jobs, 12));
    rs_live_opts o = {.folder = w.folder, .world = w.id, .size = 1, .period_s = 0.02};
    T_OK(rs_live_open(&l, &o));
    rs_live_outcome(l, "failed-now", "e", RS_LIVE_FAILED, -1, "no mask");
    rs_live_outcome(l, "still-failed", "e", RS_LIVE_FAILED, RS_TASK_EDIT, "too dark");
    rs_live_outcome(l, "unpublished", "e", RS_LIVE_DONE, -1, "");
    int task = rs_live_begin(l, "runs", "e", RS_TASK_EDIT);
    rs_live_step(l, task, &(rs_live_steps){.step = 4, .steps = 9, .loss = NAN, .s_per_step = 1});
    T_OK(rs_view_open(&v, dir));
    for (int i = 0; i < 500; i++) {
        T_OK(rs_view_refresh(v));
        if (v->n_ranks && v->ranks[0].n_tasks && v->ranks[0].tasks[0].steps.step == 4)
            break;
        usleep(10000);
    }
    rs_index *x;
    rs_index_open(&x, dir);
    T_OK(rs_index_write(x, v, ""));
    rs_table t = table(dir);
    T_EQ_I(t.n_rows, 7);
    check(&t, "failed-now", "failed", "inputs", "no mask");
    check(&t, "done-before", "done", "", "");
    check(&t, "of-older-run", "done", "", "");
    check(&t, "runs", "running", "edit", "");
    check(&t, "waits", "waiting", "", "");
    check(&t, "unpublished", "waiting", "", ""); /* done is what can be looked at */
    check(&t, "still-failed", "failed", "edit", "too dark");
    const rs_cell *c = row(&t, "runs");
    T_EQ_I(c[RS_ROW_RANK].i, 0);
    T_EQ_I(c[RS_ROW_STEP].i, 4);
    T_EQ_I(c[RS_ROW_STEPS].i, 9);
    T_EQ_S(c[RS_ROW_KEY].s, "runs"); /* of the older result, which is still there */
    T_EQ_I(row(&t, "waits")[RS_ROW_RANK].i, -1);
    T_CHECK(isnan(row(&t, "waits")[RS_ROW_SECONDS].f));
    T_OK(rs_index_write(x, v, "another-arm")); /* none of it is this arm's */
    T_EQ_I(table(dir).n_rows, 5);
    rs_index_close(&x);
    rs_live_close(&l);
    rs_view_close(&v);
}

static void t_agreement_with_outcomes(void)
{
    const char *dir = t_tmpdir(), *path = in(dir, "catalog.h5");
    rs_index *x;
    rs_outcome o[2] = {{.video = "a", .edit = "e", .status = RS_OK, .archive = "archive/a.h5"},
                       {.video = "b", .edit = "e", .status = RS_INPUT, .reason = "too dark"}};
    rs_outcomes l = {.items = o, .n = 2};
    make_archive(dir, "a", "done", 1);
    make_archive(dir, "b", "failed", 2);
    rs_index_open(&x, dir);
    T_CHECK(!rs_index_agrees(path, &l)); /* it is not there */
    T_OK(rs_index_write(x, NULL, ""));
    T_CHECK(rs_index_agrees(path, &l));
    o[1].reason = "too bright";
    T_CHECK(!rs_index_agrees(path, &l));
    o[1] = (rs_outcome){.video = "b", .edit = "e", .status = RS_OK, .archive = "archive/b.h5"};
    T_CHECK(!rs_index_agrees(path, &l));
    o[1] = (rs_outcome){.video = "b", .edit = "e", .status = RS_STOPPED, .reason = "not reached"};
    T_CHECK(rs_index_agrees(path, &l));
    o[1] = (rs_outcome){.video = "c", .edit = "e", .status = RS_INPUT, .reason = "too dark"};
    T_CHECK(!rs_index_agrees(path, &l)); /* no such row */
    rs_index_close(&x);
}

static const rs_test_case cases[] = {
    T_CASE(t_archives_come_change_and_go),
    T_CASE(t_the_run_has_the_last_word_on_what_it_works_on),
    T_CASE(t_agreement_with_outcomes),
};
RS_TEST_MAIN(cases)
