/* Worker pool: every task exactly once, scratch, many small jobs, more threads than cores. */
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "harness/test.h"
#include "kernels/kernel.h"

enum { TASKS = 1000 };

typedef struct tally {
    rs_kctx *k;
    _Atomic int count[TASKS];
    _Atomic int bad_thread;
    int threads;
} tally;

static void mark(void *arg, int64_t task, int thread)
{
    tally *t = arg;
    atomic_fetch_add(&t->count[task], 1);
    if (thread < 0 || thread >= t->threads)
        atomic_fetch_add(&t->bad_thread, 1);
}

static void t_every_task_once(void)
{
    const int threads[] = {1, 2, 3, 7};
    for (size_t i = 0; i < sizeof threads / sizeof threads[0]; i++) {
        rs_kctx *k = rs_kctx_create(threads[i]);
        T_EQ_I(rs_kctx_threads(k), threads[i]);
        for (int64_t tasks = 0; tasks <= TASKS; tasks += 125) {
            tally *t = rs_arena_alloc(t_arena(), 1, sizeof *t);
            t->threads = threads[i];
            rs_parallel(k, tasks, mark, t);
            for (int64_t j = 0; j < TASKS; j++)
                T_EQ_I(t->count[j], j < tasks ? 1 : 0);
            T_EQ_I(t->bad_thread, 0);
        }
        rs_kctx_destroy(&k);
        T_CHECK(k == NULL);
    }
}

static void t_many_small_jobs(void)
{
    rs_kctx *k = rs_kctx_create(3);
    tally *t = rs_arena_alloc(t_arena(), 1, sizeof *t);
    t->threads = 3;
    for (int i = 0; i < 2000; i++)
        rs_parallel(k, 1 + i % 5, mark, t);
    int total = 0;
    for (int j = 0; j < TASKS; j++)
        total += t->count[j];
    T_EQ_I(total, 2000 / 5 * (1 + 2 + 3 + 4 + 5));
    rs_kctx_destroy(&k);
}

/* Two tasks that wait for each other finish only if they run at the same time. */
static void meet(void *arg, int64_t task, int thread)
{
    tally *t = arg;
    (void)thread;
    atomic_fetch_add(&t->count[task], 1);
    struct timespec nap = {.tv_nsec = 100000};
    for (int i = 0; i < 50000 && t->count[1 - task] == 0; i++)
        nanosleep(&nap, NULL);
    if (t->count[1 - task] == 0)
        atomic_fetch_add(&t->bad_thread, 1);
}

static void t_tasks_run_at_the_same_time(void)
{
    rs_kctx *k = rs_kctx_create(2);
    tally *t = rs_arena_alloc(t_arena(), 1, sizeof *t);
    rs_parallel(k, 2, meet, t);
    T_EQ_I(t->bad_thread, 0);
    rs_kctx_destroy(&k);
}

/* The other thread's task ends long after the caller's. */
static void meet_and_linger(void *arg, int64_t task, int thread)
{
    tally *t = arg;
    meet(arg, task, thread);
    if (thread != 0)
        nanosleep(&(struct timespec){.tv_nsec = 30000000}, NULL);
    atomic_fetch_add(&t->count[2], 1);
}

static void t_caller_waits_for_the_last_task(void)
{
    rs_kctx *k = rs_kctx_create(2);
    tally *t = rs_arena_alloc(t_arena(), 1, sizeof *t);
    rs_parallel(k, 2, meet_and_linger, t);
    T_EQ_I(t->count[2], 2);
    rs_kctx_destroy(&k);
}

typedef struct scratch_use {
    rs_kctx *k;
    _Atomic int clash;
} scratch_use;

static void fill_scratch(void *arg, int64_t task, int thread)
{
    scratch_use *u = arg;
    size_t bytes = (size_t)(1 + task % 7) * 1000;
    unsigned char *p = rs_scratch(u->k, thread, bytes);
    if ((uintptr_t)p % 64 != 0)
        u->clash++;
    memset(p, (int)(task % 251), bytes);
    for (size_t i = 0; i < bytes; i++)
        if (p[i] != task % 251)
            u->clash++;
}

static void t_scratch_is_private_and_aligned(void)
{
    scratch_use u = {.k = rs_kctx_create(4)};
    T_EQ_I(rs_scratch_bytes(u.k), 0);
    rs_parallel(u.k, 400, fill_scratch, &u);
    T_EQ_I(u.clash, 0);
    T_CHECK(rs_scratch_bytes(u.k) >= 7000 && rs_scratch_bytes(u.k) <= 4 * 7000);
    void *p = rs_scratch(u.k, 0, 100000);
    T_CHECK(rs_scratch(u.k, 0, 50000) == p); /* grows only */
    rs_kctx_destroy(&u.k);
}

/* Workers that spin take cores from other ranks. */
static void t_idle_workers_take_no_time(void)
{
    rs_kctx *k = rs_kctx_create(4);
    tally *t = rs_arena_alloc(t_arena(), 1, sizeof *t);
    t->threads = 4;
    rs_parallel(k, TASKS, mark, t);
    clock_t before = clock();
    nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
    double used = (double)(clock() - before) / CLOCKS_PER_SEC;
    rs_kctx_destroy(&k);
    T_CHECKF(used < 0.1, "%.3f s of processor time in 0.3 s of idling", used); /* spinning: 0.9 */
}

static const rs_test_case CASES[] = {
    T_CASE(t_every_task_once),
    T_CASE(t_many_small_jobs),
    T_CASE(t_tasks_run_at_the_same_time),
    T_CASE(t_caller_waits_for_the_last_task),
    T_CASE(t_scratch_is_private_and_aligned),
    T_CASE(t_idle_workers_take_no_time),
};
RS_TEST_MAIN(CASES)
