// live: records of ranks, timelines and worlds, and what a view makes of them.
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fsio.h"
#include "base/log.h"
#include "base/str.h"
#include "harness/test.h"
#include "live/view.h"

static const uint32_t k_video =
    RS_TASK_BIT(RS_TASK_INGEST) | RS_TASK_BIT(RS_TASK_MOTION) | RS_TASK_BIT(RS_TASK_PUBLISH);
static const uint32_t k_edit = RS_TASK_BIT(RS_TASK_EDIT) | RS_TASK_BIT(RS_TASK_DECODE);

/* A world of `ranks` with three videos: "a" (edits x, y), "b" (x), "c" (x). */
static void make_world(rs_live_world *w, const char *dir, int ranks)
{
    static const rs_live_job jobs[] = {
        {"", "a", "", k_video}, {"", "a", "x", k_edit}, {"", "a", "y", k_edit},
        {"", "b", "", k_video}, {"", "b", "x", k_edit}, {"", "c", "", k_video},
        {"", "c", "x", k_edit},
    };
    T_OK(rs_live_world_create(w, t_arena(), dir, "test", ranks));
    T_OK(rs_live_world_add_jobs(w, jobs, sizeof jobs / sizeof *jobs));
}

static rs_live *open_rank(const rs_live_world *w, int rank)
{
    rs_live *l;
    rs_live_opts o = {
        .folder = w->folder, .world = w->id, .rank = rank, .size = 2, .period_s = 0.02};
    T_OK(rs_live_open(&l, &o));
    return l;
}

static rs_view *look(const char *dir)
{
    rs_view *v;
    T_OK(rs_view_open(&v, dir));
    T_OK(rs_view_refresh(v));
    return v;
}

/* Until the records on disk say what the ranks were told: so many open tasks (that have steps). */
static void await_some(rs_view *v, int64_t n, bool steps)
{
    for (int i = 0; i < 500; i++) {
        int64_t open = 0;
        T_OK(rs_view_refresh(v));
        for (int64_t r = 0; r < v->n_ranks; r++)
            for (int64_t t = 0; t < v->ranks[r].n_tasks; t++)
                open += !steps || v->ranks[r].tasks[t].steps.steps > 0;
        if (open == n)
            return;
        usleep(10000);
    }
    T_CHECKF(false, "the records never showed %lld tasks", (long long)n);
}

static void await_tasks(rs_view *v, int64_t n)
{
    await_some(v, n, false);
}

static void t_view_follows_the_ranks(void)
{
    const char *dir = t_tmpdir();
    rs_live_world w;
    make_world(&w, dir, 2);
    rs_live *r0 = open_rank(&w, 0), *r1 = open_rank(&w, 1);
    int ingest = rs_live_begin(r0, "a", NULL, RS_TASK_INGEST);
    rs_live_end(r0, ingest, RS_LIVE_DONE, "");
    int a = rs_live_begin(r0, "a", NULL, RS_TASK_MOTION);
    rs_live_step(r0, a, &(rs_live_steps){.step = 30, .steps = 100, .loss = 2, .s_per_step = 0.5});
    rs_live_cached(r1, "b", NULL, RS_TASK_INGEST);
    int b = rs_live_begin(r1, "b", NULL, RS_TASK_MOTION);
    rs_live_step(r1, b, &(rs_live_steps){.step = 80, .steps = 100, .loss = 1, .s_per_step = 1.5});
    rs_live_gather(r1, 2.5);

    rs_view *v = look(dir);
    await_some(v, 2, true);
    T_EQ_I(v->n_videos, 3);
    T_EQ_I(v->n_edits, 4);
    T_CHECK(rs_view_is_alive(v));
    const rs_view_stage *s = &v->stages[RS_TASK_MOTION];
    T_EQ_I(s->total, 3);
    T_EQ_I(s->count[RS_VIEW_RUNNING], 2);
    T_EQ_I(s->count[RS_VIEW_WAITING], 1);
    T_CHECK(s->who == NULL);
    T_EQ_I(s->step_min, 30);
    T_EQ_I(s->step_max, 80);
    T_NEAR(s->loss, 1.5, 1e-12);
    T_NEAR(s->s_per_step, 1.0, 1e-12);
    T_NEAR(s->eta_s, 35, 1e-9);             /* the slower of 70 x 0.5 and 20 x 1.5 */
    T_NEAR(s->left_s, 100 + 35 + 30, 1e-9); /* the third is expected as the mean of 50 and 150 */
    T_EQ_I(v->stages[RS_TASK_INGEST].count[RS_VIEW_DONE], 1);
    T_EQ_I(v->stages[RS_TASK_INGEST].count[RS_VIEW_CACHED], 1);
    T_EQ_I(v->edits[RS_VIEW_RUNNING], 3); /* both of a, that of b: their video's motion runs */
    T_EQ_I(v->edits[RS_VIEW_WAITING], 1);
    T_CHECK(v->eta_is_low); /* edit, decode and publish were never seen */
    T_CHECK(v->eta_s >= 165.0 / 2);
    const rs_view_job *x = rs_view_find(v, "", "a", "x");
    T_CHECK(x && x->state == RS_VIEW_RUNNING && x->rank == 0 && x->at == RS_TASK_MOTION);
    T_EQ_I(x->steps.step, 30);
    T_CHECK(rs_view_find(v, "", "a", "z") == NULL && rs_view_find(v, "arm", "a", "x") == NULL);

    rs_live_end(r0, a, RS_LIVE_DONE, "");
    rs_live_end(r1, b, RS_LIVE_STOPPED, "");
    await_tasks(v, 0);
    T_EQ_I(v->stages[RS_TASK_MOTION].count[RS_VIEW_DONE], 1);
    T_EQ_I(v->stages[RS_TASK_MOTION].count[RS_VIEW_WAITING], 2); /* stopped is not over */
    T_NEAR(v->gather_s, 2.5, 1e-12);
    rs_live_close(&r0);
    rs_live_close(&r1);
    T_CHECK(r0 == NULL);
    T_OK(rs_view_refresh(v));
    T_CHECK(v->ranks[0].ended && !v->ranks[0].alive && v->gone == 0);
    rs_view_close(&v);
}

static void t_failures_and_what_follows_from_them(void)
{
    const char *dir = t_tmpdir();
    static const char reason[] = "\"mask.png\", line 3:\ncannot open";
    rs_live_world w;
    make_world(&w, dir, 1);
    rs_live *r = open_rank(&w, 0);
    int t = rs_live_begin(r, "a", NULL, RS_TASK_MOTION);
    rs_live_end(r, t, RS_LIVE_FAILED, reason);
    rs_live_outcome(r, "a", "x", RS_LIVE_FAILED, RS_TASK_MOTION, reason);
    rs_live_outcome(r, "a", "y", RS_LIVE_FAILED, RS_TASK_MOTION, reason);
    rs_live_outcome(r, "b", "x", RS_LIVE_CACHED, -1, "");
    t = rs_live_begin(r, "c", "x", RS_TASK_EDIT);
    rs_live_end(r, t, RS_LIVE_DONE, "");
    rs_live_outcome(r, "c", "x", RS_LIVE_STOPPED, -1, "stopped");
    rs_view *v = look(dir);
    T_EQ_I(v->edits[RS_VIEW_FAILED], 2);
    T_EQ_I(v->edits[RS_VIEW_CACHED], 1);
    T_EQ_I(v->edits[RS_VIEW_WAITING], 1);
    T_EQ_I(v->stages[RS_TASK_MOTION].count[RS_VIEW_FAILED], 1);
    /* those of a will never run; b's were all there; c's is open */
    T_EQ_I(v->stages[RS_TASK_INGEST].count[RS_VIEW_CACHED], 2); /* else motion had not begun */
    T_EQ_I(v->stages[RS_TASK_EDIT].count[RS_VIEW_SKIPPED], 2);
    T_EQ_I(v->stages[RS_TASK_EDIT].count[RS_VIEW_CACHED], 1);
    T_EQ_I(v->stages[RS_TASK_EDIT].count[RS_VIEW_DONE], 1);
    T_EQ_I(v->stages[RS_TASK_PUBLISH].count[RS_VIEW_SKIPPED], 1);
    T_EQ_I(v->stages[RS_TASK_PUBLISH].count[RS_VIEW_CACHED], 1);
    T_EQ_I(v->stages[RS_TASK_PUBLISH].count[RS_VIEW_WAITING], 1);
    const rs_view_job *x = rs_view_find(v, "", "a", "x");
    T_EQ_S(x->reason, "\"mask.png\", line 3: cannot open");
    T_EQ_I(x->at, RS_TASK_MOTION);
    rs_live_close(&r);
    rs_view_close(&v);
}

/* Busy seconds are shared by tasks that are open at a time, and are never more than the time. */
static void t_seconds_are_shared_by_open_tasks(void)
{
    const char *dir = t_tmpdir();
    rs_live_world w;
    make_world(&w, dir, 1);
    rs_live *r = open_rank(&w, 0);
    double begin = rs_now();
    int a = rs_live_begin(r, "a", "x", RS_TASK_EDIT);
    int b = rs_live_begin(r, "a", NULL, RS_TASK_MOTION);
    usleep(120000);
    rs_live_end(r, b, RS_LIVE_DONE, "");
    usleep(60000);
    rs_live_totals open = rs_live_get_totals(r);
    rs_live_end(r, a, RS_LIVE_DONE, "");
    double all = rs_now() - begin;
    rs_live_totals t = rs_live_get_totals(r);
    T_CHECKF(t.seconds[RS_TASK_MOTION] >= 0.059 && t.seconds[RS_TASK_EDIT] >= 0.119, "%g %g of %g",
             t.seconds[RS_TASK_MOTION], t.seconds[RS_TASK_EDIT], all);
    T_CHECK(t.seconds[RS_TASK_EDIT] > t.seconds[RS_TASK_MOTION]);
    T_CHECK(open.seconds[RS_TASK_EDIT] >= 0.119); /* open tasks count, too */
    T_CHECK(rs_live_busy(&t) <= all && rs_live_busy(&t) >= 0.179);
    T_EQ_I(t.ended[RS_LIVE_DONE], 2);
    rs_live_close(&r);
}

/* A process that is killed in the middle of its work, with a record of its own. */
static void killed_rank(const rs_live_world *w)
{
    fflush(stdout);
    pid_t pid = fork();
    T_CHECK(pid >= 0);
    if (pid == 0) {
        rs_live *l;
        rs_live_opts o = {
            .folder = w->folder, .world = w->id, .rank = 1, .size = 2, .period_s = 0.02};
        if (rs_live_open(&l, &o) == RS_OK)
            rs_live_step(l, rs_live_begin(l, "c", "x", RS_TASK_EDIT),
                         &(rs_live_steps){.step = 7, .steps = 30, .loss = NAN, .s_per_step = 1});
        for (;;)
            pause();
    }
    const char *path = rs_arena_printf(t_arena(), "%s/rank-1.json", w->folder);
    char *text = "";
    for (int i = 0; i < 500 && !strstr(text, "\"step\": 7"); i++) {
        size_t n;
        usleep(10000);
        if (rs_path_exists(path))
            T_OK(rs_read_file(&text, &n, t_arena(), path));
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    T_CHECK(strstr(text, "\"step\": 7"));
}

static void t_a_dead_rank_shows(void)
{
    const char *dir = t_tmpdir();
    rs_live_world w, next;
    make_world(&w, dir, 2);
    killed_rank(&w);
    rs_live *r = open_rank(&w, 0);
    rs_view *v = look(dir);
    for (int i = 0; i < 500 && v->n_ranks < 2; i++) {
        usleep(10000);
        T_OK(rs_view_refresh(v));
    }
    T_CHECK(rs_view_is_alive(v)); /* rank 0 lives on */
    T_EQ_I(v->gone, 1);
    T_CHECK(!v->ranks[1].alive && v->ranks[1].n_tasks == 1);
    T_EQ_I(v->ranks[1].tasks[0].steps.step, 7);
    T_EQ_I(v->stages[RS_TASK_EDIT].count[RS_VIEW_RUNNING], 0);
    T_EQ_I(v->edits[RS_VIEW_WAITING], 4); /* nobody has it any more */
    rs_live_close(&r);
    T_OK(rs_view_refresh(v));
    T_CHECK(!rs_view_is_alive(v) && !v->worlds[0].ended);
    /* the next world: the old one's temporaries go, and only the new one is shown */
    T_OK(rs_write_file_atomic(rs_path_join(t_arena(), w.folder, ".rank-1.json.tmp.99"), "", 0));
    make_world(&next, dir, 1);
    T_CHECK(!rs_path_exists(rs_path_join(t_arena(), w.folder, ".rank-1.json.tmp.99")));
    T_OK(rs_view_refresh(v));
    T_EQ_I(v->n_worlds, 1);
    T_EQ_S(v->worlds[0].id, next.id);
    T_EQ_I(v->n_ranks, 0);
    T_CHECK(rs_view_is_alive(v)); /* it has just begun */
    T_EQ_I(v->gone, 0);
    T_EQ_I(v->n_jobs, 7);
    rs_view_close(&v);
}

static void t_two_worlds_share_the_jobs(void)
{
    const char *dir = t_tmpdir();
    rs_live_world one, two;
    make_world(&one, dir, 1);
    rs_live *r1 = open_rank(&one, 0);
    rs_view *v = look(dir);
    usleep(60000); /* its first record is there */
    make_world(&two, dir, 1);
    rs_live *r2 = open_rank(&two, 0);
    rs_live_outcome(r1, "a", "x", RS_LIVE_DONE, -1, "");
    (void)rs_live_begin(r2, "b", NULL, RS_TASK_MOTION);
    await_tasks(v, 1);
    T_EQ_I(v->n_worlds, 2);
    T_EQ_I(v->n_jobs, 7); /* not twice */
    T_EQ_I(v->n_ranks, 2);
    T_EQ_I(v->edits[RS_VIEW_DONE], 1);
    T_EQ_I(v->edits[RS_VIEW_RUNNING], 1);
    rs_live_close(&r1);
    T_OK(rs_live_world_end(&one, "done", "", NULL));
    T_OK(rs_view_refresh(v));
    T_EQ_I(v->n_worlds, 1); /* the newest is shown, and who lives */
    T_EQ_S(v->worlds[0].id, two.id);
    rs_live_close(&r2);
    rs_view_close(&v);
}

/* Of another host only the age of a record is known. */
static void t_alive_by_process_and_by_age(void)
{
    char here[256] = {0};
    double now = rs_wall_clock();
    gethostname(here, sizeof here - 1);
    T_CHECK(rs_live_rank_is_alive("elsewhere", 1, now - 2, 1));
    T_CHECK(!rs_live_rank_is_alive("elsewhere", 1, now - 60, 1));
    T_CHECK(rs_live_rank_is_alive("elsewhere", 1, now - 60, 10)); /* it writes less often */
    T_CHECK(rs_live_rank_is_alive(here, getpid(), now - 2, 1));
    T_CHECK(!rs_live_rank_is_alive(here, getpid(), now - 60, 1)); /* stopped */
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    siginfo_t info;
    T_CHECK(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) == 0); /* it is a zombie now */
    T_CHECK(!rs_live_rank_is_alive(here, pid, now, 1));
    T_CHECK(waitpid(pid, NULL, 0) == pid);
    T_CHECK(!rs_live_rank_is_alive(here, pid, now, 1));
}

static void t_fields_of_a_line(void)
{
    char text[] = "a,,\"b, \"\"c\"\"\",d", open[] = "x,\"never closed, y", *f[6];
    T_EQ_I(rs_csv_split(f, 6, text), 4);
    T_EQ_S(f[0], "a");
    T_EQ_S(f[1], "");
    T_EQ_S(f[2], "b, \"c\"");
    T_EQ_S(f[3], "d");
    T_EQ_I(rs_csv_split(f, 6, open), 2);
    T_EQ_S(f[1], "never closed, y");
    char many[] = "1,2,3";
    T_EQ_I(rs_csv_split(f, 2, many), 2);
}

/* Which of the two is newer is seen from their times, so both name one to the last bit. */
static void t_records_and_timelines_name_the_same_times(void)
{
    const char *dir = t_tmpdir();
    rs_live_world w;
    make_world(&w, dir, 1);
    rs_live *r = open_rank(&w, 0);
    rs_view *v = look(dir);
    for (int i = 0; i < 5; i++) {
        char *text;
        size_t bytes;
        rs_timeline_line l;
        int task = rs_live_begin(r, "a", NULL, RS_TASK_MOTION);
        await_some(v, 1, false);
        double since = v->ranks[0].tasks[0].since;
        rs_live_end(r, task, RS_LIVE_DONE, "");
        T_OK(rs_read_file(&text, &bytes, t_arena(),
                          rs_path_join(t_arena(), w.folder, "timeline-rank-0.csv")));
        text[bytes - 1] = 0;
        T_CHECK(rs_timeline_parse(&l, strrchr(text, '\n') + 1));
        T_CHECKF(l.begin == since, "%.9f, in the record %.9f", l.begin, since);
        T_CHECK(l.end >= l.begin);
        await_some(v, 0, false);
    }
    rs_live_close(&r);
    rs_view_close(&v);
}

static void t_torn_files_say_nothing(void)
{
    const char *dir = t_tmpdir();
    rs_live_world w;
    make_world(&w, dir, 1);
    const char *timeline = rs_path_join(t_arena(), w.folder, "timeline-rank-0.csv");
    FILE *f = fopen(timeline, "w");
    fputs("kind,how,arm,video,edit,stage,begin,end,reason\ntask,done,,a,,ingest,1,2,\n"
          "nonsense\ntask,done,,nobody,,ingest,1,2,\ntask,done,,b,,ing",
          f);
    fclose(f);
    const char *half = "{\"world\": \"";
    T_OK(
        rs_write_file_atomic(rs_path_join(t_arena(), w.folder, "rank-0.json"), half, strlen(half)));
    rs_view *v = look(dir);
    T_EQ_I(v->n_ranks, 0);
    T_EQ_I(v->stages[RS_TASK_INGEST].count[RS_VIEW_DONE], 1);
    f = fopen(timeline, "a"); /* the rest of the line comes */
    fputs("est,1,3,\n", f);
    fclose(f);
    T_OK(rs_view_refresh(v));
    T_EQ_I(v->stages[RS_TASK_INGEST].count[RS_VIEW_DONE], 2);
    T_NEAR(v->stages[RS_TASK_INGEST].mean_s, 1.5, 1e-9);
    rs_view_close(&v);
    T_FAILS(rs_view_open(&v, rs_path_join(t_arena(), dir, "none")), INPUT, "no such folder");
    T_FAILS(rs_view_open(&v, w.folder), INPUT, "not the folder of a run");
}

static void t_the_end_is_kept_and_old_worlds_are_not(void)
{
    const char *dir = t_tmpdir();
    rs_live_world w;
    rs_live_summary sum = {.videos = 3,
                           .edits = 4,
                           .done = 3,
                           .failed = 1,
                           .computed = 3,
                           .wall_s = 7200,
                           .utilisation = 0.5,
                           .edits_per_hour = 1.5};
    sum.totals.seconds[RS_TASK_MOTION] = 3600;
    for (int i = 0; i < RS_LIVE_WORLDS_KEPT + 3; i++) {
        make_world(&w, dir, 1);
        T_OK(rs_live_world_end(&w, "failed", "1 of 4 edits failed", &sum));
    }
    char **ids;
    int64_t n;
    T_OK(rs_live_worlds(&ids, &n, t_arena(), dir));
    T_EQ_I(n, RS_LIVE_WORLDS_KEPT);
    rs_view *v = look(dir);
    const rs_view_world *x = &v->worlds[0];
    T_CHECK(x->ended && !x->alive && x->has_summary);
    T_EQ_S(x->result, "failed");
    T_EQ_S(x->message, "1 of 4 edits failed");
    T_EQ_I(x->summary.failed, 1);
    T_NEAR(x->summary.utilisation, 0.5, 0);
    T_NEAR(x->summary.totals.seconds[RS_TASK_MOTION], 3600, 0);
    rs_view_close(&v);
}

static void t_lines_fit_the_terminal(void)
{
    const char *dir = t_tmpdir();
    rs_live_world w;
    make_world(&w, dir, 1);
    rs_live *r = open_rank(&w, 0);
    int t = rs_live_begin(r, "a", NULL, RS_TASK_MOTION);
    rs_live_step(r, t, &(rs_live_steps){.step = 3, .steps = 9, .loss = 0.25, .s_per_step = 12});
    rs_live_outcome(r, "b", "x", RS_LIVE_FAILED, RS_TASK_EDIT, "no");
    rs_view *v = look(dir);
    await_some(v, 1, true);
    rs_strbuf wide = rs_strbuf_on(t_arena()), narrow = rs_strbuf_on(t_arena()),
              colour = rs_strbuf_on(t_arena());
    rs_view_lines(&wide, v, &(rs_view_style){.width = 200});
    T_CHECKF(strstr(wide.data, "motion           1/3  a  step 3/9  loss 0.2500  12.000 s/step  "
                               "ETA 1 min 12 s\n"),
             "%s", wide.data);
    T_CHECKF(strstr(wide.data, "edit             0/4  1 failed\n") &&
                 strstr(wide.data, "decode           0/4  1 not reached\n") &&
                 strstr(wide.data, "ingest           1/3\n"),
             "%s", wide.data);
    T_CHECKF(strstr(wide.data, "0 of 4 edits done, 1 failed, 2 running, 1 waiting"), "%s",
             wide.data);
    T_CHECK(!strchr(wide.data, '\033'));
    rs_view_lines(&narrow, v, &(rs_view_style){.width = 40});
    int lines = 0;
    for (char *p = narrow.data, *end; (end = strchr(p, '\n')); p = end + 1, lines++)
        T_CHECKF(end - p <= 39, "%.*s", (int)(end - p), p);
    T_EQ_I(lines, 6); /* five stages have tasks, and the whole */
    rs_view_lines(&colour, v, &(rs_view_style){.width = 200, .colour = true});
    T_CHECK(strstr(colour.data, "\033[1mmotion") && strstr(colour.data, "\033[0m\n"));
    rs_strbuf cut = rs_strbuf_on(t_arena());
    rs_view_add_line(&cut, "0123456789012345678901234567890123456\u00fc\u00fc\u00fc",
                     &(rs_view_style){.width = 41});
    T_EQ_S(cut.data, "0123456789012345678901234567890123456\u00fc\n"); /* 39 bytes fit in 40 */
    rs_live_close(&r);
    rs_view_close(&v);
}

/* Many jobs, read piece by piece; RS_LIVE_VIDEOS sets how many. Prints what it costs. */
static void t_a_large_catalog(void)
{
    const char *dir = t_tmpdir(), *wanted = getenv("RS_LIVE_VIDEOS");
    int64_t videos = 30000;
    rs_live_world w;
    if (wanted)
        T_CHECK(rs_parse_i64(&videos, wanted) && videos > 0);
    rs_live_job *jobs = RS_NEW(t_arena(), rs_live_job, 2 * videos);
    for (int64_t i = 0; i < videos; i++) {
        const char *name = rs_arena_printf(t_arena(), "v%lld", (long long)i);
        jobs[2 * i] = (rs_live_job){"", name, "", k_video};
        jobs[2 * i + 1] = (rs_live_job){"", name, "e", k_edit};
    }
    T_OK(rs_live_world_create(&w, t_arena(), dir, "large", 1));
    T_OK(rs_live_world_add_jobs(&w, jobs, 2 * videos));
    rs_view *v = look(dir);
    T_EQ_I(v->edits[RS_VIEW_WAITING], videos);
    rs_live *r = open_rank(&w, 0);
    double begin = rs_now();
    for (int64_t i = 0; i < videos; i++) {
        rs_live_end(r, rs_live_begin(r, jobs[2 * i].video, NULL, RS_TASK_MOTION), RS_LIVE_DONE, "");
        rs_live_outcome(r, jobs[2 * i].video, "e", i % 3 ? RS_LIVE_DONE : RS_LIVE_FAILED,
                        RS_TASK_EDIT, "because");
        if (i % (videos / 3) == 0)
            T_OK(rs_view_refresh(v));
    }
    double told = rs_now() - begin;
    T_OK(rs_view_refresh(v));
    int64_t failed = (videos + 2) / 3;
    T_EQ_I(v->edits[RS_VIEW_FAILED], failed);
    T_EQ_I(v->edits[RS_VIEW_DONE], videos - failed);
    T_EQ_I(v->stages[RS_TASK_MOTION].count[RS_VIEW_DONE], videos);
    begin = rs_now();
    T_OK(rs_view_refresh(v));
    double again = rs_now() - begin;
    rs_view_close(&v);
    begin = rs_now();
    v = look(dir);
    printf("    %lld videos: %.1f us to tell of a task, first look %.3f s, another %.3f s\n",
           (long long)videos, told / (2 * (double)videos) * 1e6, rs_now() - begin, again);
    T_EQ_I(v->edits[RS_VIEW_FAILED], failed);
    rs_live_close(&r);
    rs_view_close(&v);
}

static const rs_test_case cases[] = {
    T_CASE(t_view_follows_the_ranks),
    T_CASE(t_failures_and_what_follows_from_them),
    T_CASE(t_seconds_are_shared_by_open_tasks),
    T_CASE(t_a_dead_rank_shows),
    T_CASE(t_two_worlds_share_the_jobs),
    T_CASE(t_alive_by_process_and_by_age),
    T_CASE(t_fields_of_a_line),
    T_CASE(t_records_and_timelines_name_the_same_times),
    T_CASE(t_torn_files_say_nothing),
    T_CASE(t_the_end_is_kept_and_old_worlds_are_not),
    T_CASE(t_lines_fit_the_terminal),
    T_CASE(t_a_large_catalog),
};
RS_TEST_MAIN(cases)
