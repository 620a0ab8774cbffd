/* Streams are queues of items. EMU_STREAM says when an item runs: at once (eager), only when a
 * synchronisation asks for it (lazy), or at a seeded random time (rand, the default), always in a
 * legal order. */
#include "tests/emu/emu_stream.hh"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <thread>

#include "tests/emu/emu_fiber.hh"

namespace emu
{
lock g_lock;

namespace
{
/* The NULL stream first. It alone belongs to the runtime: others that are left at the end are leaks
 * of the program. */
struct streams : std::vector<stream *> {
    ~streams()
    {
        if (!empty())
            delete front();
    }
} g_streams;
stream_mode g_mode;
rng g_random;
int g_running; /* depth: items do not start items */

stream *stream_make(bool blocking)
{
    if (g_streams.empty()) {
        g_mode = stream_mode_of_environment();
        g_random = {(uint64_t)setting("EMU_SEED", 1)};
    }
    stream *s = new stream;
    s->blocking = blocking;
    s->ord = order_of_environment();
    s->seed = (uint64_t)setting("EMU_SEED", 1);
    s->tsan = tsan_fiber_create("stream");
    g_streams.push_back(s);
    return s;
}

stream *stream_of(cudaStream_t h)
{
    if (g_streams.empty())
        stream_make(true);
    if (!h || h == cudaStreamLegacy)
        return g_streams[0];
    stream *s = (stream *)h;
    if (std::find(g_streams.begin(), g_streams.end(), s) == g_streams.end())
        fail("%p is not a stream (or was destroyed)", (void *)h);
    return s;
}

/* Run the first item of s; false if it must wait. */
bool advance(stream *s)
{
    if (s->queue.empty() || s->busy)
        return false;
    item *i = s->queue.front();
    void *host = tsan_fiber_current();
    s->busy = true;
    tsan_fiber_switch(s->tsan);
    tsan_acquire(i);
    arena_open();
    g_running++;
    bool done = i->run();
    g_running--;
    arena_close();
    uint64_t seq = i->seq;
    if (done) {
        s->queue.pop_front();
        delete i; /* by the stream, which used it */
        tsan_release(&s->done);
    }
    tsan_fiber_switch(host);
    s->busy = false;
    if (done)
        s->done = seq;
    return done;
}

bool advance_any(stream *but)
{
    size_t n = g_streams.size(), from = g_random.below((uint32_t)n);
    for (size_t k = 0; k < n; k++) {
        stream *s = g_streams[(from + k) % n];
        if (s != but && advance(s))
            return true;
    }
    return false;
}

struct wait_item final : item {
    stream *on;
    uint64_t until;
    char *order; /* what the event released */
    bool run() override
    {
        if (on->done < until)
            return false;
        tsan_acquire(order);
        return true;
    }
};

/* Run until item `seq` of s is done. */
void demand(stream *s, uint64_t seq)
{
    int idle = 0;
    while (s->done < seq) {
        if (g_mode == STREAM_RAND && g_random.below(2) && advance_any(nullptr)) {
            idle = 0;
            continue;
        }
        if (advance(s)) {
            idle = 0;
            continue;
        }
        wait_item *w = dynamic_cast<wait_item *>(s->queue.front());
        if (w && w->on->done < w->until) {
            demand(w->on, w->until);
            continue;
        }
        /* A collective that waits for other ranks: other streams go on meanwhile. */
        if (++idle > 16 && !advance_any(s))
            breathe();
    }
}

void at_enqueue(stream *s)
{
    if (g_running)
        return;
    if (g_mode == STREAM_EAGER) {
        while (advance(s) || advance_any(nullptr))
            ;
    } else if (g_mode == STREAM_RAND) {
        while (g_random.below(3) == 0 && advance_any(nullptr))
            ;
    }
}

void wait_on(stream *s, stream *on, uint64_t until, char *order)
{
    wait_item *w = new wait_item;
    w->on = on;
    w->until = until;
    w->order = order;
    w->seq = ++s->issued;
    tsan_release(w);
    s->queue.push_back(w);
}

/* The NULL stream waits for every blocking stream, and they for it. */
void legacy_order(stream *s)
{
    if (!s->blocking)
        return;
    for (stream *o : g_streams)
        if (o != s && o->blocking && (s == g_streams[0] || o == g_streams[0]) &&
            o->done < o->issued)
            wait_on(s, o, o->issued, (char *)&o->done);
}

struct mark_item final : item {
    event *e;
    uint64_t generation;
    bool run() override
    {
        tsan_release(e);
        return true;
    }
};
std::vector<event *> g_events;
std::vector<std::unique_ptr<event>> g_dead_events;

event *event_of(cudaEvent_t h)
{
    event *e = (event *)h;
    if (std::find(g_events.begin(), g_events.end(), e) == g_events.end())
        fail("%p is not an event (or was destroyed)", (void *)h);
    return e;
}
} // namespace

void breathe()
{
    int depth = g_lock.depth;
    g_lock.depth = 0;
    for (int i = 0; i < depth; i++)
        g_lock.mutex.unlock();
    sched_yield();
    for (int i = 0; i < depth; i++)
        g_lock.mutex.lock();
    g_lock.depth = depth;
}

void engine_start()
{
    static bool started;
    if (started)
        return;
    started = true;
    static std::atomic<bool> stop;
    static std::thread engine([] {
        while (!stop) {
            usleep(2000);
            if (!g_lock.mutex.try_lock())
                continue;
            if (!g_streams.empty())
                advance_any(nullptr);
            g_lock.mutex.unlock();
        }
    });
    atexit([] {
        stop = true;
        engine.join();
    });
}

uint64_t rng::next()
{
    uint64_t z = (s += 0x9e3779b97f4a7c15u);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint32_t rng::below(uint32_t n)
{
    return (uint32_t)((next() >> 32) * n >> 32);
}

cudaError_t enqueue(cudaStream_t h, item *i)
{
    stream *s = stream_of(h);
    legacy_order(s);
    i->seq = ++s->issued;
    tsan_release(i);
    s->queue.push_back(i);
    at_enqueue(s);
    return cudaSuccess;
}

cudaError_t synchronize(cudaStream_t h)
{
    stream *s = stream_of(h);
    if (g_running)
        fail("synchronisation inside of a stream operation");
    demand(s, s->issued);
    tsan_acquire(&s->done);
    return cudaSuccess;
}

order order_of_stream(cudaStream_t s)
{
    return stream_of(s)->ord;
}

uint64_t seed_of_stream(cudaStream_t h)
{
    stream *s = stream_of(h);
    return s->seed * 0x10001 + s->issued;
}
} // namespace emu

using namespace emu;

extern "C" {
cudaError_t cudaStreamCreateWithPriority(cudaStream_t *out, unsigned flags, int)
{
    guard g(g_lock);
    if (flags != cudaStreamDefault && flags != cudaStreamNonBlocking)
        return set_error(cudaErrorInvalidValue);
    stream_of(nullptr);
    *out = (cudaStream_t)stream_make(flags == cudaStreamDefault);
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned flags)
{
    return cudaStreamCreateWithPriority(out, flags, 0);
}

cudaError_t cudaStreamCreate(cudaStream_t *out)
{
    return cudaStreamCreateWithPriority(out, cudaStreamDefault, 0);
}

cudaError_t cudaStreamDestroy(cudaStream_t h)
{
    guard g(g_lock);
    stream *s = stream_of(h);
    if (s == g_streams[0])
        return set_error(cudaErrorInvalidResourceHandle);
    synchronize(h);
    for (event *e : g_events)
        if (e->on == s)
            e->on = nullptr;
    g_streams.erase(std::find(g_streams.begin(), g_streams.end(), s));
    tsan_fiber_destroy(s->tsan);
    delete s;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t h)
{
    guard g(g_lock);
    g_counts.waits++;
    synchronize(h);
    check_redzones("cudaStreamSynchronize");
    return cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t h)
{
    guard g(g_lock);
    stream *s = stream_of(h);
    if (s->done < s->issued)
        advance_any(nullptr);
    if (s->done < s->issued)
        return cudaErrorNotReady;
    tsan_acquire(&s->done);
    return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize(void)
{
    guard g(g_lock);
    g_counts.waits++;
    for (size_t i = 0; i < g_streams.size(); i++)
        synchronize((cudaStream_t)(i ? g_streams[i] : nullptr));
    check_redzones("cudaDeviceSynchronize");
    return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned)
{
    guard g(g_lock);
    event *e = new event;
    g_events.push_back(e);
    *out = (cudaEvent_t)e;
    return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *out)
{
    return cudaEventCreateWithFlags(out, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t h)
{
    guard g(g_lock);
    event *e = event_of(h);
    g_events.erase(std::find(g_events.begin(), g_events.end(), e));
    g_dead_events.emplace_back(e); /* what is queued may hold its address */
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t h, cudaStream_t s)
{
    guard g(g_lock);
    event *e = event_of(h);
    g_counts.events++;
    mark_item *m = new mark_item;
    m->e = e;
    e->on = stream_of(s);
    e->seq = e->on->issued + 1;
    e->ever = true;
    legacy_order(e->on);
    e->seq = e->on->issued + 1;
    return enqueue(s, m);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t h, cudaEvent_t ev, unsigned)
{
    guard g(g_lock);
    event *e = event_of(ev);
    stream *s = stream_of(h);
    g_counts.events++;
    if (!e->ever || !e->on)
        return cudaSuccess; /* never recorded: nothing to wait for, as in CUDA */
    wait_on(s, e->on, e->seq, (char *)e);
    at_enqueue(s);
    return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t h)
{
    guard g(g_lock);
    event *e = event_of(h);
    if (!e->ever || !e->on)
        return cudaSuccess;
    if (e->on->done < e->seq)
        advance_any(nullptr);
    if (e->on->done < e->seq)
        return cudaErrorNotReady;
    tsan_acquire(e);
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t h)
{
    guard g(g_lock);
    event *e = event_of(h);
    g_counts.waits++;
    if (e->ever && e->on)
        demand(e->on, e->seq);
    tsan_acquire(e);
    return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t a, cudaEvent_t b)
{
    guard g(g_lock);
    event *x = event_of(a), *y = event_of(b);
    if (!x->ever || !y->ever)
        return set_error(cudaErrorInvalidResourceHandle);
    if ((x->on && x->on->done < x->seq) || (y->on && y->on->done < y->seq))
        return set_error(cudaErrorNotReady);
    *ms = 1e-3f; /* nothing here has a speed */
    return cudaSuccess;
}
}
