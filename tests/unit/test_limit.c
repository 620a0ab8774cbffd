// The time limit: seconds that a stage needs before it, and tasks that were assigned in time but
// come too late.
#include <math.h>
#include <time.h>

#include "base/log.h"
#include "harness/test.h"
#include "job/dispatch.h"
#include "job/limit.h"

static void t_room_is_until_the_first_checkpoint(void)
{
    rs_config *c;
    rs_problems *problems = rs_problems_create();
    T_OK(rs_config_load_all(&c, problems, RS_SOURCE_DIR "/configs/quickstart.yaml", NULL, 0));
    T_EQ_I(rs_problems_count(problems), 0);
    rs_plan_prediction p = {.clip_step = 7, .step = {0, 7, 3, 2}};
    c->motion.steps = 100;
    c->edit.steps = 30;
    c->cluster.headroom = 2;
    T_NEAR(rs_limit_room(c, &p, RS_TASK_INGEST, 50), 100, 0);
    T_NEAR(rs_limit_room(c, &p, RS_TASK_DECODE, 50), 100, 0);
    T_NEAR(rs_limit_room(c, &p, RS_TASK_MOTION, 700), 2 * 7, 0);
    T_NEAR(rs_limit_room(c, &p, RS_TASK_APPEARANCE, 4000), 2 * 7, 0);
    T_NEAR(rs_limit_room(c, &p, RS_TASK_EDIT, 11 + 30 * 2), 2 * (11 + 2), 1e-9);
    T_NEAR(rs_limit_room(c, &p, RS_TASK_MOTION, 0), 0, 0); /* it is done already */
    rs_problems_destroy(&problems);
    rs_config_destroy(&c);
}

typedef struct seen {
    int ends;
    rs_edit_report last;
} seen;

static void take_end(void *ctx, int64_t video, int64_t edit, rs_task_stage stage,
                     const rs_edit_report *end)
{
    (void)video, (void)edit, (void)stage;
    seen *s = ctx;
    s->ends++;
    s->last = *end;
}

static void take_report(void *ctx, int64_t video, int64_t edit, const rs_edit_report *r)
{
    (void)ctx, (void)video, (void)edit, (void)r;
}

/* motion is expected to take no time, and takes what the edit would need. */
static void t_what_comes_too_late_is_handed_back(void)
{
    enum { LEFT = 4, ROOM = 3 };
    rs_comm *c;
    rs_comm_opts serial = {.serial = true};
    T_OK(rs_comm_open(&c, &serial));
    int64_t gang = 0;
    rs_world w = {.comm = c, .size = 1, .width = 1, .gang_of = &gang};
    rs_sched_edit e = {.skip = RS_TASK_BIT(RS_TASK_APPEARANCE)};
    e.room[RS_TASK_EDIT] = ROOM;
    rs_sched_video v = {.edits = &e, .n_edits = 1};
    seen s = {0};
    rs_sched_gang rank = {.stages = RS_TASK_ANY, .deadline = rs_now() + LEFT};
    rs_dispatch_opts o = {.videos = &v,
                          .n_videos = 1,
                          .ranks = &rank,
                          .on_task = take_end,
                          .on_report = take_report,
                          .ctx = &s};
    rs_dispatch *d;
    rs_assignment a;
    rs_edit_report ok = {.stage = -1};
    bool finished = true;
    T_OK(rs_dispatch_open(&d, &w, &o));
    T_OK(rs_dispatch_next(d, &a));
    T_EQ_I(a.stage, RS_TASK_INGEST);
    T_OK(rs_dispatch_end(d, 0, &ok));
    T_OK(rs_dispatch_next(d, &a));
    T_EQ_I(a.stage, RS_TASK_MOTION); /* and the edit is promised */
    while (rs_now() + ROOM <= rank.deadline)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    T_OK(rs_dispatch_end(d, 0, &ok));
    T_OK(rs_dispatch_next(d, &a));
    T_EQ_I(a.video, -1);
    T_EQ_I(s.ends, 3);
    T_EQ_I(s.last.status, RS_STOPPED);
    T_EQ_S(s.last.reason, "edit not begun: the time limit is near");
    T_OK(rs_dispatch_close(&d, &finished));
    T_CHECK(!finished);
    rs_comm_close(&c);
}

static const rs_test_case cases[] = {
    T_CASE(t_room_is_until_the_first_checkpoint),
    T_CASE(t_what_comes_too_late_is_handed_back),
};
RS_TEST_MAIN(cases)
