/* Worker pool and scratch of the CPU backend.
 *
 * Tasks of a job are handed out one by one through an atomic counter, so a core taken by another
 * process costs at most the tasks it holds. A worker that wakes up after the job is over never
 * delays the caller: it joins under the lock or not at all. Between jobs workers sleep on a
 * condition variable; but as the next job often comes within the time that waking up takes, they
 * look out for it that long first, and so does the caller for the last worker. Whoever looks out
 * yields its core to anybody that has work, another rank for instance. */
#include "kernels/kernel.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>

#include "base/log.h"

typedef struct scratch {
    void *memory;
    size_t bytes;
    char pad[48]; /* one cache line per thread */
} scratch;

typedef struct worker {
    rs_kctx *k;
    pthread_t handle;
    int thread;
} worker;

struct rs_kctx {
    int threads;
    worker *workers; /* threads - 1; thread 0 is the caller */
    scratch *scratch;

    pthread_mutex_t lock;
    pthread_cond_t start;
    pthread_cond_t done;
    _Atomic uint64_t job; /* number of the newest job */
    bool open;            /* workers may still join it */
    _Atomic bool stop;
    _Atomic int joined; /* workers inside the job */
    bool busy;          /* a job is running (re-entrance check) */

    rs_task_fn *fn;
    void *arg;
    int64_t tasks;
    char pad[64]; /* who looks out reads `job`, who works writes `next` */
    _Atomic int64_t next;
};

static void run_tasks(rs_kctx *k, int thread)
{
    for (;;) {
        int64_t task = atomic_fetch_add_explicit(&k->next, 1, memory_order_relaxed);
        if (task >= k->tasks)
            return;
        k->fn(k->arg, task, thread);
    }
}

/* About what it takes to wake a thread in a virtual machine. */
static const double LOOK_OUT = 40e-6;

static bool news(rs_kctx *k, uint64_t seen)
{
    return atomic_load_explicit(&k->job, memory_order_relaxed) != seen ||
           atomic_load_explicit(&k->stop, memory_order_relaxed);
}

static void look_out_for_job(rs_kctx *k, uint64_t seen)
{
    for (double end = rs_now() + LOOK_OUT; !news(k, seen) && rs_now() < end;)
        sched_yield();
}

static void look_out_for_end(rs_kctx *k)
{
    for (double end = rs_now() + LOOK_OUT;
         atomic_load_explicit(&k->joined, memory_order_relaxed) > 0 && rs_now() < end;)
        sched_yield();
}

static void *worker_main(void *arg)
{
    worker *w = arg;
    rs_kctx *k = w->k;
    uint64_t seen = 0;
    pthread_mutex_lock(&k->lock);
    for (;;) {
        while (!k->stop && !(k->open && k->job != seen))
            pthread_cond_wait(&k->start, &k->lock);
        if (k->stop)
            break;
        seen = k->job;
        k->joined++;
        pthread_mutex_unlock(&k->lock);
        run_tasks(k, w->thread);
        pthread_mutex_lock(&k->lock);
        if (--k->joined == 0)
            pthread_cond_signal(&k->done);
        pthread_mutex_unlock(&k->lock);
        look_out_for_job(k, seen);
        pthread_mutex_lock(&k->lock);
    }
    pthread_mutex_unlock(&k->lock);
    return NULL;
}

/* Signals belong to the main thread. */
static void start_workers(rs_kctx *k)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    for (int i = 0; i < k->threads - 1; i++) {
        k->workers[i] = (worker){.k = k, .thread = i + 1};
        int rc = pthread_create(&k->workers[i].handle, NULL, worker_main, &k->workers[i]);
        RS_ASSERTF(rc == 0, "cannot start worker thread %d of %d (error %d)", i + 1, k->threads,
                   rc);
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

rs_kctx *rs_kctx_create(int threads)
{
    RS_ASSERT(threads >= 1);
    rs_kctx *k = rs_alloc(1, sizeof *k);
    k->threads = threads;
    k->scratch = rs_alloc((size_t)threads, sizeof *k->scratch);
    k->workers = rs_alloc((size_t)threads, sizeof *k->workers);
    pthread_mutex_init(&k->lock, NULL);
    pthread_cond_init(&k->start, NULL);
    pthread_cond_init(&k->done, NULL);
    start_workers(k);
    return k;
}

void rs_kctx_destroy(rs_kctx **kp)
{
    if (!kp || !*kp)
        return;
    rs_kctx *k = *kp;
    pthread_mutex_lock(&k->lock);
    k->stop = true;
    pthread_cond_broadcast(&k->start);
    pthread_mutex_unlock(&k->lock);
    for (int i = 0; i < k->threads - 1; i++)
        pthread_join(k->workers[i].handle, NULL);
    pthread_cond_destroy(&k->start);
    pthread_cond_destroy(&k->done);
    pthread_mutex_destroy(&k->lock);
    for (int i = 0; i < k->threads; i++)
        rs_dealloc(k->scratch[i].memory);
    rs_dealloc(k->scratch);
    rs_dealloc(k->workers);
    rs_dealloc(k);
    *kp = NULL;
}

int rs_kctx_threads(const rs_kctx *k)
{
    return k->threads;
}

void rs_parallel(rs_kctx *k, int64_t tasks, rs_task_fn *fn, void *arg)
{
    RS_ASSERTF(!k->busy, "rs_parallel is not re-entrant");
    k->busy = true;
    if (k->threads == 1 || tasks <= 1) {
        for (int64_t t = 0; t < tasks; t++)
            fn(arg, t, 0);
        k->busy = false;
        return;
    }
    pthread_mutex_lock(&k->lock);
    k->fn = fn;
    k->arg = arg;
    k->tasks = tasks;
    atomic_store_explicit(&k->next, 0, memory_order_relaxed);
    k->job++;
    k->open = true;
    pthread_cond_broadcast(&k->start);
    pthread_mutex_unlock(&k->lock);

    run_tasks(k, 0);

    pthread_mutex_lock(&k->lock);
    k->open = false;
    pthread_mutex_unlock(&k->lock);
    look_out_for_end(k);
    pthread_mutex_lock(&k->lock);
    while (k->joined > 0)
        pthread_cond_wait(&k->done, &k->lock);
    pthread_mutex_unlock(&k->lock);
    k->busy = false;
}

void *rs_scratch(rs_kctx *k, int thread, size_t bytes)
{
    RS_ASSERT(thread >= 0 && thread < k->threads);
    scratch *s = &k->scratch[thread];
    if (s->bytes < bytes) {
        rs_dealloc(s->memory);
        s->memory = rs_alloc_large(bytes);
        RS_ASSERTF(s->memory, "out of host memory: %zu bytes of kernel scratch", bytes);
        s->bytes = bytes;
    }
    return s->memory;
}

size_t rs_scratch_bytes(const rs_kctx *k)
{
    size_t n = 0;
    for (int i = 0; i < k->threads; i++)
        n += k->scratch[i].bytes;
    return n;
}
