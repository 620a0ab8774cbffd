// Director and neighbours: gangs in step keep to one kind of pass; gangs that wait help.
#include <math.h>

#include "sched_shapes.h"

static const double k_equal[RS_TASK_COUNT] = {1, 1, 1, 1, 1, 1, 0};

static rs_director *create(const rs_sched_video *v, int64_t n, int64_t gangs, const int64_t *groups,
                           bool in_step, int widest)
{
    rs_director *d;
    rs_director_opts o = {.videos = v,
                          .n_videos = n,
                          .n_gangs = gangs,
                          .groups = groups,
                          .in_step = in_step,
                          .widest = widest};
    T_OK(rs_director_create(&d, &o));
    return d;
}

/* The answer that is due; kind -1: none. */
static rs_answer next(rs_director *d)
{
    rs_answer a = {.kind = (rs_answer_kind)-1, .gang = -1, .stage = RS_TASK_COUNT};
    (void)rs_director_next(d, 0, &a);
    return a;
}

static rs_answer ask(rs_director *d, int64_t gang)
{
    rs_director_ask(d, gang);
    return next(d);
}

static void check_answer(int line, rs_answer a, rs_answer_kind kind, int64_t gang, int64_t video,
                         rs_task_stage stage, int width)
{
    if (a.kind != kind || a.gang != gang || a.video != video || a.stage != stage ||
        a.width != width)
        rs_test_fail(__FILE__, line, "kind %d, gang %d, video %d, stage %s, width %d", (int)a.kind,
                     (int)a.gang, (int)a.video,
                     a.stage < RS_TASK_COUNT ? rs_task_stage_name(a.stage) : "none", a.width);
}
#define T_GETS(a, gang, video, stage)                                                              \
    check_answer(__LINE__, a, RS_ANSWER_TASK, gang, video, RS_TASK_##stage, 1)
#define T_LEADS(a, gang, video, stage, width)                                                      \
    check_answer(__LINE__, a, RS_ANSWER_TASK, gang, video, RS_TASK_##stage, width)
#define T_HELPS(a, gang, video, stage, width)                                                      \
    check_answer(__LINE__, a, RS_ANSWER_HELP, gang, video, RS_TASK_##stage, width)
#define T_NOTHING(d) T_EQ_I((int)next(d).kind, -1)

static void end(rs_director *d, rs_answer a)
{
    T_CHECK(rs_director_end(d, a.gang, a.task, RS_TASK_OK, NULL));
}

/* Videos whose ingest is done need no gang for it. */
static rs_sched_video *ingested(int64_t n, int64_t edits, bool appearance)
{
    rs_sched_video *v = shape_videos(n, edits, k_equal, appearance);
    for (int64_t i = 0; i < n; i++)
        v[i].skip = RS_TASK_BIT(RS_TASK_INGEST);
    return v;
}

/* An edit waits, and motions do. Alone, the edit is next; beside one that trains a motion, another
 * motion is. */
static void keeps_to_the_kind(bool in_step)
{
    static const int64_t one[2] = {0, 0};
    rs_director *d = create(ingested(4, 1, false), 4, 2, one, in_step, 1);
    rs_answer a = ask(d, 0), b = ask(d, 1);
    T_GETS(a, 0, 0, MOTION);
    T_GETS(b, 1, 1, MOTION);
    end(d, a);
    a = ask(d, 0);
    if (!in_step) {
        T_GETS(a, 0, 0, EDIT);
    } else {
        T_GETS(a, 0, 2, MOTION);
        end(d, b);
        b = ask(d, 1);
        T_GETS(b, 1, 3, MOTION);
        end(d, b);
        b = ask(d, 1); /* no motion is left: it does not wait for the other one to end */
        T_GETS(b, 1, 1, EDIT);
        end(d, a);
        T_GETS(ask(d, 0), 0, 0, EDIT);
    }
    rs_director_destroy(&d);
}

static void t_neighbours_in_step_keep_to_one_kind_of_pass(void)
{
    keeps_to_the_kind(false);
    keeps_to_the_kind(true);
}

/* What makes no passes disturbs nobody: it drains as ever. */
static void t_what_makes_no_passes_comes_first(void)
{
    static const int64_t one[2] = {0, 0};
    rs_sched_video *v = ingested(3, 1, false);
    v[0].skip |= RS_TASK_BIT(RS_TASK_MOTION); /* its edit can begin */
    rs_director *d = create(v, 3, 2, one, true, 1);
    rs_answer a = ask(d, 0), b;
    T_GETS(a, 0, 0, EDIT);
    b = ask(d, 1);
    T_GETS(b, 1, 1, MOTION); /* no other edit is ready */
    end(d, a);
    a = ask(d, 0);
    T_GETS(a, 0, 0, DECODE);
    end(d, a);
    a = ask(d, 0);
    check_answer(__LINE__, a, RS_ANSWER_TASK, 0, 0, RS_TASK_PUBLISH, 1);
    end(d, a);
    T_GETS(ask(d, 0), 0, 2, MOTION);
    rs_director_destroy(&d);
}

/* Four gangs, two groups: what becomes ready goes to the one that waits in the group that does the
 * like, not to the first that waits. */
static void t_a_task_goes_to_the_group_that_does_the_like(void)
{
    static const int64_t two[4] = {0, 0, 1, 1};
    rs_sched_video *v = ingested(4, 2, false);
    v[1].skip |= RS_TASK_BIT(RS_TASK_MOTION); /* two edits */
    for (int i = 2; i < 4; i++)
        for (int e = 0; e < 2; e++)
            shape_edit(&v[i], e)->failed = true;
    rs_director *d = create(v, 4, 4, two, true, 1);
    rs_answer e0 = ask(d, 2), e1 = ask(d, 3), m = ask(d, 1);
    T_GETS(e0, 2, 1, EDIT);
    T_GETS(e1, 3, 1, EDIT);
    T_GETS(m, 1, 0, MOTION);
    T_EQ_I((int)ask(d, 0).kind, -1); /* nothing is left for it */
    rs_director_ask(d, 3);
    T_NOTHING(d);
    T_CHECK(rs_director_end(d, 3, e1.task, RS_TASK_FAILED, "a reason"));
    T_NOTHING(d);
    end(d, m); /* two edits are ready, 0 and 3 wait: one group does nothing, the other samples */
    rs_answer x = next(d), y = next(d);
    T_GETS(x, 3, 0, EDIT);
    T_GETS(y, 0, 0, EDIT);
    rs_director_destroy(&d);
}

/* A question of one that works is answered at the end of its task. */
static void t_nothing_is_promised_ahead(void)
{
    static const int64_t one[2] = {0, 0}, two[2] = {0, 1};
    rs_director *d = create(ingested(2, 1, false), 2, 2, one, true, 1);
    rs_answer a = ask(d, 0);
    T_EQ_I((int)ask(d, 0).kind, -1);
    end(d, a);
    T_GETS(next(d), 0, 0, EDIT); /* nobody trains: the latest stage */
    rs_director_destroy(&d);
    d = create(ingested(2, 1, false), 2, 2, two, true, 1); /* groups of one have no neighbours */
    a = ask(d, 0);
    rs_answer ahead = ask(d, 0);
    T_GETS(ahead, 0, 0, EDIT);
    T_EQ_I(ahead.follows, a.task);
    rs_director_destroy(&d);
}

/* ---- lanes ---- */

static void ask_all(rs_director *d, int64_t lo, int64_t hi)
{
    for (int64_t g = lo; g < hi; g++)
        rs_director_ask(d, g);
}

static void t_those_who_wait_help(void)
{
    static const int64_t one[4] = {0};
    rs_director *d = create(ingested(3, 1, false), 3, 4, one, false, 8);
    ask_all(d, 0, 4);
    rs_answer a = next(d);
    T_LEADS(a, 0, 0, MOTION, 2);
    T_HELPS(next(d), 1, 0, MOTION, 2);
    T_GETS(next(d), 2, 1, MOTION);
    T_GETS(next(d), 3, 2, MOTION);
    rs_director_ask(d, 1); /* it helps; what is ready then comes when that is over */
    T_NOTHING(d);
    end(d, a);
    rs_director_ask(d, 0);
    a = next(d); /* both are free at once */
    T_LEADS(a, 0, 0, EDIT, 2);
    T_HELPS(next(d), 1, 0, EDIT, 2);
    end(d, a);
    T_GETS(ask(d, 0), 0, 0, DECODE); /* no lanes without passes */
    T_NOTHING(d);
    rs_director_destroy(&d);
}

/* Widths 4, 2, 2 of 8 gangs for 3 tasks, the longest first; not beyond the group, not beyond
 * `widest`. */
static void t_lanes_come_out_even(void)
{
    static const int64_t one[8] = {0}, odd[8] = {0, 0, 0, 1, 1, 1, 1, 1};
    rs_sched_video *v = ingested(3, 1, false);
    v[2].seconds[RS_TASK_MOTION] = 2;
    rs_director *d = create(v, 3, 8, one, false, 8);
    ask_all(d, 0, 8);
    T_LEADS(next(d), 0, 2, MOTION, 4);
    for (int64_t g = 1; g < 4; g++)
        T_HELPS(next(d), g, 2, MOTION, 4);
    T_LEADS(next(d), 4, 0, MOTION, 2);
    T_HELPS(next(d), 5, 0, MOTION, 2);
    T_LEADS(next(d), 6, 1, MOTION, 2);
    T_HELPS(next(d), 7, 1, MOTION, 2);
    T_NOTHING(d);
    rs_director_destroy(&d);
    d = create(v, 1, 8, odd, false, 8);
    ask_all(d, 0, 8);
    T_LEADS(next(d), 3, 0, MOTION, 4); /* the first group has three, so a lane of two at most */
    rs_director_destroy(&d);
    d = create(v, 1, 8, one, false, 2);
    ask_all(d, 0, 8);
    T_LEADS(next(d), 0, 0, MOTION, 2);
    rs_director_destroy(&d);
}

static void t_ready_tasks_come_before_help(void)
{
    static const int64_t one[4] = {0};
    rs_director *d = create(ingested(4, 1, false), 4, 4, one, false, 8);
    ask_all(d, 0, 4);
    for (int64_t g = 0; g < 4; g++)
        T_GETS(next(d), g, g, MOTION);
    rs_director_destroy(&d);
}

static void t_who_is_pinned_to_something_else_does_not_help(void)
{
    static const int64_t one[2] = {0};
    rs_sched_gang given[2] = {{RS_TASK_ANY, INFINITY}, {RS_TASK_BIT(RS_TASK_INGEST), INFINITY}};
    rs_director *d;
    rs_director_opts o = {.videos = ingested(1, 1, false),
                          .n_videos = 1,
                          .gangs = given,
                          .n_gangs = 2,
                          .groups = one,
                          .widest = 8};
    T_OK(rs_director_create(&d, &o));
    ask_all(d, 0, 2);
    T_GETS(next(d), 0, 0, MOTION);
    T_NOTHING(d);
    rs_director_destroy(&d);
}

static void t_helpers_of_a_lost_gang_are_free(void)
{
    static const int64_t one[2] = {0};
    rs_director *d = create(ingested(1, 1, false), 1, 2, one, false, 8);
    ask_all(d, 0, 2);
    T_LEADS(next(d), 0, 0, MOTION, 2);
    T_HELPS(next(d), 1, 0, MOTION, 2);
    rs_director_lose(d, 0);
    T_GETS(ask(d, 1), 1, 0, MOTION);
    rs_director_destroy(&d);
}

static const rs_test_case cases[] = {
    T_CASE(t_neighbours_in_step_keep_to_one_kind_of_pass),
    T_CASE(t_what_makes_no_passes_comes_first),
    T_CASE(t_a_task_goes_to_the_group_that_does_the_like),
    T_CASE(t_nothing_is_promised_ahead),
    T_CASE(t_those_who_wait_help),
    T_CASE(t_lanes_come_out_even),
    T_CASE(t_ready_tasks_come_before_help),
    T_CASE(t_who_is_pinned_to_something_else_does_not_help),
    T_CASE(t_helpers_of_a_lost_gang_are_free),
};
RS_TEST_MAIN(cases)
