// Director: appearances that are given together; when they wait for company and when not.
#include <math.h>

#include "sched_shapes.h"

enum { MOST = RS_SCHED_BATCH };

static const double k_equal[RS_TASK_COUNT] = {1, 1, 1, 1, 1, 1, 0};

/* What a gang is given at a time. */
typedef struct given {
    rs_answer task, with[MOST];
    int n; /* companions */
    bool any;
} given;

static rs_director *create(const rs_sched_video *v, int64_t n, int64_t gangs, int batch)
{
    rs_director *d;
    rs_director_opts o = {.videos = v, .n_videos = n, .n_gangs = gangs, .batch = batch};
    T_OK(rs_director_create(&d, &o));
    return d;
}

/* Every answer that is due. */
static void take(rs_director *d, given *to)
{
    rs_answer a;
    given g = {0};
    while (rs_director_next(d, 0, &a)) {
        if (a.kind == RS_ANSWER_WITH) {
            T_CHECK(g.n < MOST && (g.n == 0 || g.with[0].gang == a.gang));
            g.with[g.n++] = a;
            continue;
        }
        T_CHECK(g.n == 0 || g.with[0].gang == a.gang);
        T_CHECKF(!to[a.gang].any, "gang %d is answered twice", (int)a.gang);
        g.task = a;
        g.any = true;
        to[a.gang] = g;
        g = (given){0};
    }
    T_EQ_I(g.n, 0);
}

static given ask(rs_director *d, int64_t gang)
{
    given to[16] = {0};
    rs_director_ask(d, gang);
    take(d, to);
    return to[gang];
}

static void end(rs_director *d, rs_answer a, rs_task_end how)
{
    T_CHECK(rs_director_end(d, a.gang, a.task, how, how == RS_TASK_FAILED ? "a reason" : NULL));
}

static void end_all(rs_director *d, const given *g)
{
    end(d, g->task, RS_TASK_OK);
    for (int i = 0; i < g->n; i++)
        end(d, g->with[i], RS_TASK_OK);
}

static void check(int line, const given *g, int64_t video, rs_task_stage stage, int n)
{
    if (!g->any || g->task.kind != RS_ANSWER_TASK || g->task.video != video ||
        g->task.stage != stage || g->n != n)
        rs_test_fail(__FILE__, line, "video %d, stage %d, %d companions", (int)g->task.video,
                     (int)g->task.stage, g->n);
}
#define T_GIVEN(g, video, stage, n) check(__LINE__, &(g), video, RS_TASK_##stage, n)

/* Gang 0 does the first stages of so many videos. */
static void advance(rs_director *d, int videos)
{
    for (int i = 0; i < 2 * videos; i++) {
        given g = ask(d, 0);
        T_CHECK(g.any && g.task.stage <= RS_TASK_MOTION);
        end(d, g.task, RS_TASK_OK);
    }
}

/* Five videos, three at a time: an appearance waits behind all motions until there are three; the
 * last two go together, as nothing else will come. */
static void t_appearances_wait_for_company(void)
{
    rs_director *d = create(shape_videos(5, 1, k_equal, true), 5, 1, 3);
    advance(d, 3);
    given g = ask(d, 0);
    T_GIVEN(g, 0, APPEARANCE, 2);
    T_EQ_I(g.with[0].video, 1);
    T_EQ_I(g.with[1].video, 2);
    end_all(d, &g);
    for (int i = 0; i < 9; i++) { /* the edits of all, and what comes behind them */
        g = ask(d, 0);
        T_CHECK(g.any && g.n == 0 && g.task.stage > RS_TASK_APPEARANCE);
        end(d, g.task, RS_TASK_OK);
    }
    advance(d, 2);
    g = ask(d, 0);
    T_GIVEN(g, 3, APPEARANCE, 1);
    rs_director_destroy(&d);
}

/* As a rank of a run asks: for the next task when it begins one. */
static void t_batches_are_full_when_asked_for_ahead(void)
{
    enum { VIDEOS = 11, BATCH = 4 };
    static const int sizes[] = {4, 4, 3};
    rs_director *d = create(shape_videos(VIDEOS, 1, k_equal, true), VIDEOS, 1, BATCH);
    given now = ask(d, 0);
    int batches = 0;
    while (now.any && now.task.kind == RS_ANSWER_TASK) {
        given next = ask(d, 0);
        if (now.task.stage == RS_TASK_APPEARANCE) {
            T_CHECK(batches < 3);
            T_EQ_I(now.n + 1, sizes[batches++]);
        }
        given to[16] = {0};
        end_all(d, &now);
        take(d, to); /* that could not be answered ahead */
        now = next.any ? next : to[0];
    }
    T_CHECK(rs_director_finished(d));
    T_EQ_I(batches, 3);
    rs_director_destroy(&d);
}

/* Asked while the third motion runs: its own appearance follows it, with two that are ready. */
static void t_companions_of_what_follows(void)
{
    rs_director *d = create(shape_videos(4, 1, k_equal, true), 4, 1, 3);
    advance(d, 2);
    given first = ask(d, 0);
    T_GIVEN(first, 2, INGEST, 0);
    end(d, first.task, RS_TASK_OK);
    given motion = ask(d, 0), batch = ask(d, 0);
    T_GIVEN(motion, 2, MOTION, 0);
    T_GIVEN(batch, 2, APPEARANCE, 2);
    T_EQ_I(batch.task.follows, motion.task.task);
    T_EQ_I(rs_director_held(d), 4);
    end(d, motion.task, RS_TASK_FAILED); /* void: the companions are ready as before */
    T_EQ_I(rs_director_held(d), 0);
    T_CHECK(!rs_director_end(d, 0, batch.with[0].task, RS_TASK_OK, NULL));
    given other = ask(d, 0);
    T_GIVEN(other, 3, INGEST, 0);
    end(d, other.task, RS_TASK_OK);
    other = ask(d, 0);
    end(d, other.task, RS_TASK_OK);
    batch = ask(d, 0);
    T_GIVEN(batch, 0, APPEARANCE, 2);
    rs_director_destroy(&d);
}

/* Two gangs and four ready ones: two for each, whoever asks first. */
static void t_an_even_share_at_the_end(void)
{
    rs_director *d = create(shape_videos(4, 1, k_equal, true), 4, 2, 8);
    advance(d, 2);
    given a = ask(d, 0); /* four are left for two: a batch is two */
    T_GIVEN(a, 0, APPEARANCE, 1);
    given b = ask(d, 1);
    T_GIVEN(b, 2, INGEST, 0);
    end_all(d, &a);
    end(d, b.task, RS_TASK_OK);
    rs_director_destroy(&d);
}

/* A batch would be four, three are ready, and the gangs that wait may not help with the others'
 * ingest: they get one each before anybody gets two. */
static void t_nobody_waits_for_a_batch(void)
{
    enum { GANGS = 4, N = 12 };
    rs_sched_video *v = shape_videos(N, 1, k_equal, true);
    rs_sched_gang gangs[GANGS];
    given to[16] = {0};
    rs_director *d;
    for (int g = 0; g < GANGS; g++)
        gangs[g] = (rs_sched_gang){RS_TASK_ANY, INFINITY};
    for (int g = 1; g < GANGS; g++)
        gangs[g].stages = RS_TASK_BIT(RS_TASK_APPEARANCE);
    gangs[0].stages &= ~RS_TASK_BIT(RS_TASK_APPEARANCE);
    for (int i = 0; i < 3; i++)
        v[i].skip = RS_TASK_BIT(RS_TASK_INGEST) | RS_TASK_BIT(RS_TASK_MOTION);
    rs_director_opts o = {.videos = v, .n_videos = N, .gangs = gangs, .n_gangs = GANGS, .batch = 8};
    T_OK(rs_director_create(&d, &o));
    for (int g = 0; g < GANGS; g++)
        rs_director_ask(d, g);
    take(d, to);
    T_GIVEN(to[0], 3, INGEST, 0);
    for (int g = 1; g < GANGS; g++)
        T_CHECK(to[g].any && to[g].task.stage == RS_TASK_APPEARANCE && to[g].n == 0);
    rs_director_destroy(&d);
    /* one that asks alone takes them all */
    T_OK(rs_director_create(&d, &o));
    given all = ask(d, 2);
    T_GIVEN(all, 0, APPEARANCE, 2);
    rs_director_destroy(&d);
}

/* Edits with other numbers of references are no company. */
static void t_shapes_stay_apart(void)
{
    rs_sched_video *v = shape_videos(6, 1, k_equal, true);
    for (int i = 0; i < 6; i++)
        shape_edit(&v[i], 0)->shape = i % 2;
    rs_director *d = create(v, 6, 1, 3);
    advance(d, 4); /* two of each */
    given g = ask(d, 0);
    T_GIVEN(g, 4, INGEST, 0);
    end(d, g.task, RS_TASK_OK);
    g = ask(d, 0);
    end(d, g.task, RS_TASK_OK);
    g = ask(d, 0);
    T_GIVEN(g, 0, APPEARANCE, 2);
    T_EQ_I(g.with[0].video, 2);
    T_EQ_I(g.with[1].video, 4);
    rs_director_destroy(&d);
}

/* Members end one by one and their edits go on at once; the slot is free when the last has ended.
 */
static void t_members_end_by_themselves(void)
{
    rs_director *d = create(shape_videos(6, 1, k_equal, true), 6, 2, 3);
    advance(d, 3);
    given g = ask(d, 0);
    T_GIVEN(g, 0, APPEARANCE, 2);
    given ahead = ask(d, 0);
    T_GIVEN(ahead, 0, EDIT, 0); /* follows the first of them */
    T_EQ_I(ahead.task.follows, g.task.task);
    end(d, g.with[1], RS_TASK_OK);
    given other = ask(d, 1);
    T_GIVEN(other, 2, EDIT, 0);
    end(d, g.task, RS_TASK_FAILED);
    T_EQ_I(rs_director_outcome(d, 0, 0).state, RS_EDIT_FAILED);
    T_CHECK(!rs_director_end(d, 0, ahead.task.task, RS_TASK_OK, NULL)); /* void */
    ahead = ask(d, 0); /* while a companion still runs: nothing of the failed job */
    T_GIVEN(ahead, 0, PUBLISH, 0);
    T_CHECK(ahead.task.follows < 0);
    T_CHECK(!rs_director_end(d, 0, ahead.task.task, RS_TASK_OK, NULL)); /* not its turn */
    end(d, g.with[0], RS_TASK_STOPPED);
    end(d, ahead.task, RS_TASK_OK);
    rs_director_destroy(&d);
}

/* Three are prepared and take a step before the deadline of 10; while they run, what would have to
 * end by then cannot be begun behind them. */
static void t_a_time_limit_bounds_a_batch(void)
{
    rs_sched_video *v = shape_videos(6, 2, k_equal, true);
    rs_sched_gang gang = {RS_TASK_ANY, 10};
    rs_director *d;
    for (int i = 0; i < 6; i++) {
        v[i].skip = RS_TASK_BIT(RS_TASK_INGEST) | RS_TASK_BIT(RS_TASK_MOTION);
        shape_edit(&v[i], 1)->failed = true;
        shape_edit(&v[i], 0)->seconds[RS_TASK_APPEARANCE] = 3;
        shape_edit(&v[i], 0)->room[RS_TASK_APPEARANCE] = 3;
        shape_edit(&v[i], 0)->skip |= RS_TASK_BIT(RS_TASK_EDIT); /* decode follows */
        shape_edit(&v[i], 0)->seconds[RS_TASK_DECODE] = 2;
    }
    rs_director_opts o = {.videos = v, .n_videos = 6, .gangs = &gang, .n_gangs = 1, .batch = 5};
    T_OK(rs_director_create(&d, &o));
    given batch = ask(d, 0);
    T_GIVEN(batch, 0, APPEARANCE, 2);
    T_CHECK(batch.task.room == 9);
    given ahead = ask(d, 0);
    T_CHECK(!ahead.any || ahead.task.stage != RS_TASK_DECODE);
    rs_director_destroy(&d);
}

static void t_a_lost_gang_loses_the_batch(void)
{
    rs_director *d = create(shape_videos(3, 1, k_equal, true), 3, 2, 3);
    advance(d, 2);
    given g = ask(d, 0);
    T_GIVEN(g, 0, APPEARANCE, 1);
    end(d, g.task, RS_TASK_OK);
    rs_director_lose(d, 0);
    T_EQ_I(rs_director_held(d), 0);
    given edit = ask(d, 1);
    T_GIVEN(edit, 0, EDIT, 0);
    end(d, edit.task, RS_TASK_OK);
    for (int i = 0; i < 4; i++) { /* decode, publish, and the third video's first stages */
        edit = ask(d, 1);
        T_CHECK(edit.any && edit.n == 0 && edit.task.stage != RS_TASK_APPEARANCE);
        end(d, edit.task, RS_TASK_OK);
    }
    g = ask(d, 1);
    T_GIVEN(g, 2, APPEARANCE, 1); /* its own, and that of the other: there is one gang now */
    T_EQ_I(g.with[0].video, 1);
    rs_director_destroy(&d);
}

static const rs_test_case cases[] = {
    T_CASE(t_appearances_wait_for_company), T_CASE(t_batches_are_full_when_asked_for_ahead),
    T_CASE(t_companions_of_what_follows),   T_CASE(t_an_even_share_at_the_end),
    T_CASE(t_nobody_waits_for_a_batch),     T_CASE(t_shapes_stay_apart),
    T_CASE(t_members_end_by_themselves),    T_CASE(t_a_time_limit_bounds_a_batch),
    T_CASE(t_a_lost_gang_loses_the_batch),
};
RS_TEST_MAIN(cases)
