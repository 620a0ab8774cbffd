// Director: order, drain, nearness, failures, losses, pins, time limits; cases by hand.
#include <math.h>

#include "sched_shapes.h"

static const double k_equal[RS_TASK_COUNT] = {1, 1, 1, 1, 1, 1, 0};

static rs_director *create(const rs_sched_video *v, int64_t n, int64_t gangs,
                           const rs_sched_gang *given)
{
    rs_director *d;
    rs_director_opts o = {.videos = v, .n_videos = n, .gangs = given, .n_gangs = gangs};
    T_OK(rs_director_create(&d, &o));
    return d;
}

/* Ask, and the answer; none is due: kind -1. Answers to others are failures. */
static rs_answer ask(rs_director *d, int64_t gang)
{
    rs_answer a = {.kind = (rs_answer_kind)-1}, more;
    rs_director_ask(d, gang);
    if (rs_director_next(d, 0, &a))
        T_EQ_I(a.gang, gang);
    T_CHECK(!rs_director_next(d, 0, &more));
    return a;
}

static bool waits(rs_answer a)
{
    return (int)a.kind == -1;
}

static void check_task(int line, rs_answer a, int64_t video, int64_t edit, rs_task_stage stage)
{
    if (a.kind != RS_ANSWER_TASK || a.video != video || a.edit != edit || a.stage != stage)
        rs_test_fail(__FILE__, line, "kind %d, video %d, edit %d, stage %d", (int)a.kind,
                     (int)a.video, (int)a.edit, (int)a.stage);
}
#define T_TASK(a, v, e, s) check_task(__LINE__, a, v, e, RS_TASK_##s)

static void end(rs_director *d, rs_answer a, rs_task_end how)
{
    T_CHECK(rs_director_end(d, a.gang, a.task, how, how == RS_TASK_FAILED ? "a reason" : NULL));
}

/* Ask, check what it is, end it. */
#define T_DO(d, gang, v, e, s, how)                                                                \
    do {                                                                                           \
        rs_answer t_a_ = ask(d, gang);                                                             \
        T_TASK(t_a_, v, e, s);                                                                     \
        end(d, t_a_, RS_TASK_##how);                                                               \
    } while (0)

static void t_one_gang_walks_the_stages_in_order(void)
{
    rs_sched_video *v = shape_videos(1, 2, k_equal, true);
    shape_edit(v, 1)->skip = RS_TASK_BIT(RS_TASK_APPEARANCE);
    rs_director *d = create(v, 1, 1, NULL);
    T_DO(d, 0, 0, -1, INGEST, OK);
    T_DO(d, 0, 0, -1, MOTION, OK);
    T_DO(d, 0, 0, 1, EDIT, OK); /* the other edit has its appearance in front of it */
    T_DO(d, 0, 0, 1, DECODE, OK);
    T_DO(d, 0, 0, 0, APPEARANCE, OK);
    T_DO(d, 0, 0, 0, EDIT, OK);
    T_EQ_I(rs_director_outcome(d, 0, 1).state, RS_EDIT_OPEN); /* not published yet */
    T_DO(d, 0, 0, 0, DECODE, OK);
    T_CHECK(!rs_director_finished(d));
    T_DO(d, 0, 0, -1, PUBLISH, OK);
    T_CHECK(rs_director_finished(d));
    T_EQ_I(ask(d, 0).kind, RS_ANSWER_DONE);
    T_EQ_I(rs_director_outcome(d, 0, 0).state, RS_EDIT_DONE);
    T_EQ_I(rs_director_outcome(d, 0, 1).state, RS_EDIT_DONE);
    rs_director_destroy(&d);
}

static void t_latest_stage_first(void)
{
    rs_director *d = create(shape_videos(3, 1, k_equal, false), 3, 3, NULL);
    T_DO(d, 0, 0, -1, INGEST, OK);
    T_DO(d, 1, 0, -1, MOTION, OK);
    rs_answer edit = ask(d, 2), other = ask(d, 0);
    T_TASK(edit, 0, 0, EDIT);
    T_TASK(other, 1, -1, INGEST);
    end(d, edit, RS_TASK_OK);
    end(d, other, RS_TASK_OK);
    T_DO(d, 1, 0, 0, DECODE, OK);
    T_DO(d, 1, 0, -1, PUBLISH, OK);
    T_DO(d, 1, 1, -1, MOTION, OK);
    rs_director_destroy(&d);
}

static void t_longest_remainder_first(void)
{
    rs_sched_video *v = shape_videos(5, 2, k_equal, false);
    v[1].seconds[RS_TASK_MOTION] = 9;
    shape_edit(&v[2], 1)->seconds[RS_TASK_EDIT] = 5;
    shape_edit(&v[3], 0)->seconds[RS_TASK_EDIT] = 5;
    shape_edit(&v[3], 0)->skip |= RS_TASK_BIT(RS_TASK_EDIT); /* what is skipped does not count */
    for (int e = 0; e < 2; e++) /* side by side, no longer than the longer one */
        shape_edit(&v[4], e)->seconds[RS_TASK_EDIT] = 4;
    rs_director *d = create(v, 5, 5, NULL);
    T_TASK(ask(d, 0), 1, -1, INGEST);
    T_TASK(ask(d, 1), 2, -1, INGEST);
    T_TASK(ask(d, 2), 4, -1, INGEST);
    T_TASK(ask(d, 3), 0, -1, INGEST); /* equal to 3: the catalog's order */
    T_TASK(ask(d, 4), 3, -1, INGEST);
    rs_director_destroy(&d);
}

/* Two videos after their motion, 0 on gang 2 and 1 on gang 1. */
static rs_director *two_after_motion(void)
{
    rs_director *d = create(shape_videos(2, 2, k_equal, false), 2, 3, NULL);
    rs_answer a = ask(d, 2), b = ask(d, 1);
    T_TASK(a, 0, -1, INGEST);
    T_TASK(b, 1, -1, INGEST);
    end(d, a, RS_TASK_OK);
    end(d, b, RS_TASK_OK);
    b = ask(d, 1), a = ask(d, 2);
    T_TASK(b, 1, -1, MOTION); /* not video 0, which is the first of the equals */
    T_TASK(a, 0, -1, MOTION);
    end(d, b, RS_TASK_OK);
    end(d, a, RS_TASK_OK);
    return d;
}

static void t_among_equals_the_gang_that_has_the_source(void)
{
    rs_director *d = two_after_motion();
    T_TASK(ask(d, 1), 1, 0, EDIT);
    T_TASK(ask(d, 0), 0, 0, EDIT);
    T_TASK(ask(d, 2), 0, 1, EDIT);
    rs_director_destroy(&d);
    d = two_after_motion(); /* all ask before the director answers */
    for (int64_t g = 0; g < 3; g++)
        rs_director_ask(d, g);
    rs_answer a;
    T_CHECK(rs_director_next(d, 0, &a) && a.gang == 2);
    T_TASK(a, 0, 0, EDIT);
    T_CHECK(rs_director_next(d, 0, &a) && a.gang == 0); /* it has nothing */
    T_TASK(a, 0, 1, EDIT);
    T_CHECK(rs_director_next(d, 0, &a) && a.gang == 1);
    T_TASK(a, 1, 0, EDIT);
    rs_director_destroy(&d);
}

static void t_a_lost_gang_has_no_source(void)
{
    rs_director *d = two_after_motion();
    rs_director_lose(d, 1);
    rs_director_join(d, 1);
    T_TASK(ask(d, 1), 0, 0, EDIT);
    rs_director_destroy(&d);
}

static void t_one_ahead_follows_the_gangs_own_job(void)
{
    rs_director *d = create(shape_videos(2, 1, k_equal, false), 2, 1, NULL);
    rs_answer ingest = ask(d, 0), motion = ask(d, 0);
    T_TASK(ingest, 0, -1, INGEST);
    T_EQ_I(ingest.follows, -1);
    T_TASK(motion, 0, -1, MOTION);
    T_EQ_I(motion.follows, ingest.task);
    T_EQ_I(rs_director_held(d), 2);
    end(d, ingest, RS_TASK_OK);
    rs_answer edit = ask(d, 0);
    T_TASK(edit, 0, 0, EDIT);
    T_EQ_I(edit.follows, motion.task);
    end(d, motion, RS_TASK_OK);
    rs_answer decode = ask(d, 0);
    end(d, edit, RS_TASK_OK);
    rs_answer publish = ask(d, 0);
    T_TASK(decode, 0, 0, DECODE);
    T_TASK(publish, 0, -1, PUBLISH);
    end(d, decode, RS_TASK_OK);
    rs_answer next = ask(d, 0);
    T_TASK(next, 1, -1, INGEST);
    T_EQ_I(next.follows, -1);
    end(d, publish, RS_TASK_OK);
    T_EQ_I(rs_director_outcome(d, 0, 0).state, RS_EDIT_DONE);
    rs_director_destroy(&d);
}

static void t_ahead_takes_a_later_stage_that_waits(void)
{
    rs_director *d = create(shape_videos(2, 1, k_equal, false), 2, 2, NULL);
    T_DO(d, 0, 0, -1, INGEST, OK);
    T_DO(d, 0, 0, -1, MOTION, OK);
    rs_answer edit = ask(d, 0), ingest = ask(d, 1);
    T_TASK(edit, 0, 0, EDIT);
    T_TASK(ingest, 1, -1, INGEST);
    end(d, edit, RS_TASK_OK);
    rs_answer decode = ask(d, 1);
    T_TASK(decode, 0, 0, DECODE);
    T_EQ_I(decode.follows, -1);
    end(d, ingest, RS_TASK_FAILED); /* which does not make the one ahead void */
    end(d, decode, RS_TASK_OK);
    T_DO(d, 0, 0, -1, PUBLISH, OK);
    T_CHECK(rs_director_finished(d));
    rs_director_destroy(&d);
}

static void t_ahead_is_void_when_the_task_in_front_fails(void)
{
    rs_director *d = create(shape_videos(2, 2, k_equal, false), 2, 1, NULL);
    rs_answer ingest = ask(d, 0), motion = ask(d, 0);
    end(d, ingest, RS_TASK_FAILED);
    T_EQ_I(rs_director_held(d), 0);
    T_CHECK(!rs_director_end(d, 0, motion.task, RS_TASK_OK, NULL));
    for (int64_t e = 0; e < 2; e++) {
        rs_edit_outcome o = rs_director_outcome(d, 0, e);
        T_EQ_I(o.state, RS_EDIT_FAILED);
        T_EQ_I(o.stage, RS_TASK_INGEST);
        T_EQ_S(o.reason, "a reason");
    }
    T_DO(d, 0, 1, -1, INGEST, OK); /* of video 0 nothing is left, not even its publishing */
    rs_director_destroy(&d);
}

static void t_an_edits_failure_leaves_its_siblings(void)
{
    rs_director *d = create(shape_videos(1, 3, k_equal, false), 1, 1, NULL);
    T_DO(d, 0, 0, -1, INGEST, OK);
    T_DO(d, 0, 0, -1, MOTION, OK);
    T_DO(d, 0, 0, 0, EDIT, FAILED);
    T_DO(d, 0, 0, 1, EDIT, OK);
    T_DO(d, 0, 0, 1, DECODE, OK);
    T_DO(d, 0, 0, 2, EDIT, OK);
    rs_answer decode = ask(d, 0), publish = ask(d, 0);
    T_TASK(publish, 0, -1, PUBLISH);
    end(d, decode, RS_TASK_FAILED); /* publishing does not depend on it, but its answer was void */
    T_DO(d, 0, 0, -1, PUBLISH, OK);
    T_EQ_I(rs_director_outcome(d, 0, 0).state, RS_EDIT_FAILED);
    T_EQ_I(rs_director_outcome(d, 0, 0).stage, RS_TASK_EDIT);
    T_EQ_I(rs_director_outcome(d, 0, 1).state, RS_EDIT_DONE);
    T_EQ_I(rs_director_outcome(d, 0, 2).stage, RS_TASK_DECODE);
    rs_director_destroy(&d);
}

static void t_failed_publishing_fails_what_had_succeeded(void)
{
    rs_director *d = create(shape_videos(1, 2, k_equal, false), 1, 1, NULL);
    T_DO(d, 0, 0, -1, INGEST, OK);
    T_DO(d, 0, 0, -1, MOTION, OK);
    T_DO(d, 0, 0, 0, EDIT, FAILED);
    T_DO(d, 0, 0, 1, EDIT, OK);
    T_DO(d, 0, 0, 1, DECODE, OK);
    T_DO(d, 0, 0, -1, PUBLISH, FAILED);
    T_CHECK(rs_director_finished(d));
    T_EQ_I(rs_director_outcome(d, 0, 0).stage, RS_TASK_EDIT);
    T_EQ_I(rs_director_outcome(d, 0, 1).stage, RS_TASK_PUBLISH);
    rs_director_destroy(&d);
}

static void t_tasks_of_a_lost_gang_are_handed_out_again(void)
{
    rs_director *d = create(shape_videos(2, 1, k_equal, false), 2, 2, NULL);
    rs_answer ingest = ask(d, 0), motion = ask(d, 0);
    T_TASK(motion, 0, -1, MOTION);
    rs_director_lose(d, 0);
    rs_director_lose(d, 0);
    T_EQ_I(rs_director_held(d), 0);
    T_CHECK(!rs_director_end(d, 0, ingest.task, RS_TASK_OK, NULL));
    T_DO(d, 1, 0, -1, INGEST, OK);
    T_DO(d, 1, 0, -1, MOTION, OK);
    rs_director_join(d, 0);
    T_CHECK(!rs_director_end(d, 0, motion.task, RS_TASK_OK, NULL));
    T_DO(d, 0, 0, 0, EDIT, OK);
    rs_director_destroy(&d);
}

static void t_a_gang_that_waits_gets_what_becomes_ready(void)
{
    rs_director *d = create(shape_videos(1, 2, k_equal, false), 1, 2, NULL);
    T_DO(d, 0, 0, -1, INGEST, OK);
    rs_answer motion = ask(d, 0), a;
    T_CHECK(waits(ask(d, 1)));
    end(d, motion, RS_TASK_OK);
    T_CHECK(rs_director_next(d, 0, &a) && a.gang == 1);
    T_TASK(a, 0, 0, EDIT);
    T_TASK(ask(d, 0), 0, 1, EDIT);
    rs_director_destroy(&d);
}

static void t_stopped_tasks_go_back_and_a_stop_ends_everybody(void)
{
    rs_director *d = create(shape_videos(3, 1, k_equal, false), 3, 2, NULL);
    T_DO(d, 0, 0, -1, INGEST, OK);
    rs_answer motion = ask(d, 0), ahead = ask(d, 0), again, a;
    T_TASK(ahead, 0, 0, EDIT);
    end(d, motion, RS_TASK_STOPPED); /* of its own accord: its time is over */
    again = ask(d, 1);
    T_EQ_I(again.task, motion.task);
    rs_director_ask(d, 1);
    rs_director_stop(d);
    T_CHECK(rs_director_next(d, 0, &a));
    T_EQ_I(a.kind, RS_ANSWER_DONE);
    T_EQ_I(a.gang, 1);
    end(d, again, RS_TASK_STOPPED);
    T_EQ_I(ask(d, 0).kind, RS_ANSWER_DONE);
    T_EQ_I(rs_director_held(d), 0);
    T_CHECK(!rs_director_finished(d));
    T_EQ_I(rs_director_outcome(d, 0, 0).state, RS_EDIT_OPEN);
    rs_director_destroy(&d);
}

static void t_pinned_gangs_run_their_stages_only(void)
{
    uint32_t media =
        RS_TASK_BIT(RS_TASK_INGEST) | RS_TASK_BIT(RS_TASK_DECODE) | RS_TASK_BIT(RS_TASK_PUBLISH);
    rs_sched_gang gangs[2] = {{media, INFINITY}, {RS_TASK_ANY & ~media, INFINITY}};
    rs_sched_video *v = shape_videos(2, 1, k_equal, false);
    rs_director *d = create(v, 2, 2, gangs);
    T_CHECK(waits(ask(d, 1)));
    rs_answer ingest = ask(d, 0), second = ask(d, 0), a;
    T_TASK(ingest, 0, -1, INGEST);
    T_TASK(second, 1, -1, INGEST); /* motion is not for it */
    T_EQ_I(second.follows, -1);
    end(d, ingest, RS_TASK_OK);
    T_CHECK(rs_director_next(d, 0, &a) && a.gang == 1);
    T_TASK(a, 0, -1, MOTION);
    rs_director_destroy(&d);
    gangs[0].stages = RS_TASK_BIT(RS_TASK_INGEST) | RS_TASK_BIT(RS_TASK_PUBLISH);
    rs_director_opts o = {.videos = v, .n_videos = 2, .gangs = gangs, .n_gangs = 2};
    T_FAILS(rs_director_create(&d, &o), CONFIG, "no gang may run the stage decode");
    T_CHECK(d == NULL);
}

static void t_a_time_limit_keeps_what_has_no_checkpoints(void)
{
    rs_sched_video *v = shape_videos(3, 1, k_equal, false);
    rs_sched_gang gangs[2] = {{RS_TASK_ANY, 100}, {RS_TASK_ANY, INFINITY}};
    rs_answer a;
    for (int i = 0; i < 3; i++) {
        v[i].seconds[RS_TASK_INGEST] = 60 + 20 * i;
        v[i].seconds[RS_TASK_MOTION] = 1000;
    }
    rs_director *d = create(v, 3, 2, gangs);
    rs_director_ask(d, 0);
    T_CHECK(rs_director_next(d, 30, &a)); /* 70 left: neither 100 nor 80 */
    T_TASK(a, 0, -1, INGEST);
    end(d, a, RS_TASK_OK);
    rs_director_ask(d, 0);
    T_CHECK(rs_director_next(d, 90, &a)); /* 10 left, and motion can be stopped */
    T_TASK(a, 0, -1, MOTION);
    end(d, a, RS_TASK_STOPPED);
    rs_director_ask(d, 1);
    T_CHECK(rs_director_next(d, 90, &a));
    T_TASK(a, 0, -1, MOTION);
    rs_director_ask(d, 0);
    T_CHECK(!rs_director_next(d, 90, &a)); /* videos 1 and 2 are ready, and too long for it */
    rs_director_destroy(&d);
}

/* The first gang has no time for an ingest and, later, none for the decode that comes next. */
static void t_a_time_limit_leaves_tasks_to_others(void)
{
    rs_sched_video *v = shape_videos(1, 1, k_equal, false);
    rs_sched_gang gangs[2] = {{RS_TASK_ANY, 20}, {RS_TASK_ANY, 40}};
    rs_answer a;
    v[0].seconds[RS_TASK_INGEST] = shape_edit(&v[0], 0)->seconds[RS_TASK_DECODE] = 30;
    rs_director *d = create(v, 1, 2, gangs);
    rs_director_ask(d, 0);
    rs_director_ask(d, 1);
    T_CHECK(rs_director_next(d, 5, &a) && a.gang == 1);
    T_TASK(a, 0, -1, INGEST);
    end(d, a, RS_TASK_OK);
    T_CHECK(rs_director_next(d, 5, &a) && a.gang == 0);
    T_TASK(a, 0, -1, MOTION);
    end(d, a, RS_TASK_OK);
    rs_director_ask(d, 0);
    T_CHECK(rs_director_next(d, 5, &a));
    T_TASK(a, 0, 0, EDIT);
    rs_director_ask(d, 0);
    rs_answer ahead;
    T_CHECK(!rs_director_next(d, 5, &ahead));
    rs_director_ask(d, 1);
    end(d, a, RS_TASK_OK);
    T_CHECK(rs_director_next(d, 5, &a) && a.gang == 1);
    T_TASK(a, 0, 0, DECODE);
    rs_director_destroy(&d);
}

/* A stage that can be stopped needs the time until its first checkpoint, and one that is assigned
 * ahead needs it behind the task in front of it. */
static void t_a_time_limit_leaves_room_for_a_checkpoint(void)
{
    rs_sched_video *v = shape_videos(1, 1, k_equal, false);
    rs_sched_gang gang = {RS_TASK_ANY, 100};
    rs_answer a, ahead;
    v[0].seconds[RS_TASK_MOTION] = 1000;
    v[0].room[RS_TASK_MOTION] = 20;
    v[0].room[RS_TASK_INGEST] = 30; /* more than the second that it takes */
    rs_director *d = create(v, 1, 1, &gang);
    rs_director_ask(d, 0);
    T_CHECK(rs_director_next(d, 65, &a));
    T_TASK(a, 0, -1, INGEST);
    T_NEAR(a.room, 30, 0);
    rs_director_ask(d, 0);
    T_CHECK(!rs_director_next(d, 79.5, &ahead)); /* it would begin at 80.5 */
    end(d, a, RS_TASK_OK);
    T_CHECK(rs_director_next(d, 79.5, &a));
    T_TASK(a, 0, -1, MOTION);
    end(d, a, RS_TASK_STOPPED);
    rs_director_ask(d, 0);
    T_CHECK(rs_director_next(d, 80.5, &a) && a.kind == RS_ANSWER_DONE);
    T_CHECK(!rs_director_finished(d));
    rs_director_destroy(&d);
    d = create(v, 1, 2, (rs_sched_gang[]){gang, gang}); /* there is no room for anybody */
    rs_director_ask(d, 0);
    T_CHECK(!rs_director_next(d, 70.5, &a)); /* the other one may be about to come */
    rs_director_ask(d, 1);
    for (int i = 0; i < 2; i++)
        T_CHECK(rs_director_next(d, 70.5, &a) && a.kind == RS_ANSWER_DONE);
    T_CHECK(!rs_director_next(d, 70.5, &a));
    rs_director_destroy(&d);
}

static void t_nobody_left_for_the_rest_is_the_end(void)
{
    rs_sched_gang gangs[2] = {{RS_TASK_ANY & ~RS_TASK_BIT(RS_TASK_EDIT), INFINITY},
                              {RS_TASK_BIT(RS_TASK_EDIT), INFINITY}};
    rs_director *d = create(shape_videos(1, 1, k_equal, false), 1, 2, gangs);
    T_DO(d, 0, 0, -1, INGEST, OK);
    rs_answer motion = ask(d, 0);
    rs_director_lose(d, 1);
    end(d, motion, RS_TASK_OK);
    T_EQ_I(ask(d, 0).kind, RS_ANSWER_DONE);
    T_CHECK(!rs_director_finished(d));
    T_EQ_I(rs_director_outcome(d, 0, 0).state, RS_EDIT_OPEN);
    rs_director_destroy(&d);
}

static void t_what_is_done_or_unusable_is_not_handed_out(void)
{
    rs_sched_video *v = shape_videos(4, 2, k_equal, true);
    v[0].skip = RS_TASK_BIT(RS_TASK_INGEST) | RS_TASK_BIT(RS_TASK_MOTION);
    shape_edit(&v[0], 0)->skip = RS_TASK_ANY;
    shape_edit(&v[0], 1)->skip = RS_TASK_BIT(RS_TASK_APPEARANCE) | RS_TASK_BIT(RS_TASK_EDIT);
    shape_edit(&v[1], 0)->failed = shape_edit(&v[1], 1)->failed = true;
    shape_edit(&v[2], 0)->failed = true;
    v[2].skip = RS_TASK_ANY & ~RS_TASK_BIT(RS_TASK_MOTION);
    shape_edit(&v[2], 1)->skip = RS_TASK_ANY;
    v[3].skip = shape_edit(&v[3], 0)->skip = shape_edit(&v[3], 1)->skip = RS_TASK_ANY;
    rs_director *d = create(v, 4, 1, NULL);
    T_EQ_I(rs_director_outcome(d, 3, 0).state, RS_EDIT_DONE);
    T_DO(d, 0, 0, 1, DECODE, OK);
    T_DO(d, 0, 0, -1, PUBLISH, OK);
    T_DO(d, 0, 2, -1, MOTION, OK);
    T_CHECK(rs_director_finished(d));
    T_EQ_I(rs_director_outcome(d, 0, 0).state, RS_EDIT_DONE);
    T_EQ_I(rs_director_outcome(d, 1, 1).state, RS_EDIT_FAILED);
    T_EQ_I(rs_director_outcome(d, 1, 1).stage, RS_TASK_COUNT);
    T_EQ_I(rs_director_outcome(d, 2, 0).state, RS_EDIT_FAILED);
    T_EQ_I(rs_director_outcome(d, 2, 1).state, RS_EDIT_DONE);
    rs_director_destroy(&d);
}

static void t_chains_are_one_task_per_video(void)
{
    rs_sched_video *v = shape_videos(4, 2, k_equal, true);
    rs_director *d;
    rs_director_opts o = {
        .granularity = RS_GRANULARITY_CHAIN, .videos = v, .n_videos = 4, .n_gangs = 2};
    shape_edit(&v[1], 1)->seconds[RS_TASK_EDIT] = 2;
    shape_edit(&v[3], 0)->failed = shape_edit(&v[3], 1)->failed = true;
    v[2].skip = RS_TASK_BIT(RS_TASK_CHAIN);
    T_OK(rs_director_create(&d, &o));
    rs_answer long_one = ask(d, 0);
    T_TASK(long_one, 1, -1, CHAIN);
    T_NEAR(long_one.seconds, 3 + 6 + 1, 0);
    T_DO(d, 1, 0, -1, CHAIN, FAILED);
    T_CHECK(waits(ask(d, 0)));
    end(d, long_one, RS_TASK_OK);
    T_EQ_I(rs_director_outcome(d, 0, 0).stage, RS_TASK_CHAIN);
    T_EQ_I(rs_director_outcome(d, 1, 1).state, RS_EDIT_DONE);
    T_EQ_I(rs_director_outcome(d, 2, 1).state, RS_EDIT_DONE);
    T_CHECK(rs_director_finished(d));
    rs_director_destroy(&d);
}

static const rs_test_case cases[] = {
    T_CASE(t_one_gang_walks_the_stages_in_order),
    T_CASE(t_latest_stage_first),
    T_CASE(t_longest_remainder_first),
    T_CASE(t_among_equals_the_gang_that_has_the_source),
    T_CASE(t_a_lost_gang_has_no_source),
    T_CASE(t_one_ahead_follows_the_gangs_own_job),
    T_CASE(t_ahead_takes_a_later_stage_that_waits),
    T_CASE(t_ahead_is_void_when_the_task_in_front_fails),
    T_CASE(t_an_edits_failure_leaves_its_siblings),
    T_CASE(t_failed_publishing_fails_what_had_succeeded),
    T_CASE(t_tasks_of_a_lost_gang_are_handed_out_again),
    T_CASE(t_a_gang_that_waits_gets_what_becomes_ready),
    T_CASE(t_stopped_tasks_go_back_and_a_stop_ends_everybody),
    T_CASE(t_pinned_gangs_run_their_stages_only),
    T_CASE(t_a_time_limit_keeps_what_has_no_checkpoints),
    T_CASE(t_a_time_limit_leaves_tasks_to_others),
    T_CASE(t_a_time_limit_leaves_room_for_a_checkpoint),
    T_CASE(t_nobody_left_for_the_rest_is_the_end),
    T_CASE(t_what_is_done_or_unusable_is_not_handed_out),
    T_CASE(t_chains_are_one_task_per_video),
};
RS_TEST_MAIN(cases)
