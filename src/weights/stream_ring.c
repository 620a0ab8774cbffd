#include <sys/mman.h>
#include <unistd.h>

#include "weights/stream_priv.h"

static void fill_entry(rs_wstream *w, rs_wentry *e, float *stage)
{
    char *at = e->memory;
    rs_wstream_load_group(w, e->slots, rs_wstream_group(w, e->block), &at, true, stage);
}

static void *fill_loop(void *arg)
{
    rs_wstream *w = arg;
    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (!w->stop && w->wanted < 0)
            pthread_cond_wait(&w->changed, &w->lock);
        if (w->stop)
            break;
        rs_wentry *e = &w->ring[w->wanted];
        w->wanted = -1;
        pthread_mutex_unlock(&w->lock);
        fill_entry(w, e, w->stage[1]);
        pthread_mutex_lock(&w->lock);
        e->state = RS_WENTRY_READY;
        pthread_cond_broadcast(&w->changed);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

rs_status rs_wring_make(rs_wstream *w)
{
    for (int b = 0; b < w->layout->blocks; b++) {
        size_t bytes = rs_wstream_group_bytes(w, rs_wstream_group(w, b), true);
        if (bytes > w->ring_bytes)
            w->ring_bytes = bytes;
    }
    for (int i = 0; i < RS_WRING; i++) {
        RS_TRY(rs_wstream_memory(w, &w->ring[i].memory, w->ring_bytes));
        w->ring[i].slots = RS_NEW(w->arena, rs_tensor, w->layout->block_slots);
    }
    /* Without the thread acquire converts by itself: slower, same bits. */
    w->threaded = w->ring_bytes > 0 && pthread_create(&w->thread, NULL, fill_loop, w) == 0;
    return RS_OK;
}

void rs_wring_stop(rs_wstream *w)
{
    if (!w->threaded)
        return;
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    w->threaded = false;
}

static void read_ahead(const rs_wstream *w, int block)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const rs_tensor *t = rs_wstream_file_block(w, block);
    for (int i = 0; i < w->layout->block_slots; i++) {
        if (!rs_has(t[i]))
            continue;
        uintptr_t lo = (uintptr_t)t[i].data / page * page;
        uintptr_t hi = (uintptr_t)t[i].data + rs_tensor_bytes(t[i]);
        /* A hint: tensors that are not in a mapping make it fail, which is fine. */
        (void)madvise((void *)lo, hi - lo, MADV_WILLNEED);
    }
}

static rs_wentry *find_entry(rs_wstream *w, int block)
{
    for (int i = 0; i < RS_WRING; i++)
        if (w->ring[i].state != RS_WENTRY_EMPTY && w->ring[i].block == block)
            return &w->ring[i];
    return NULL;
}

/* The least recently used entry that nobody holds or fills; NULL if there is none. */
static rs_wentry *free_entry(rs_wstream *w)
{
    rs_wentry *best = NULL;
    for (int i = 0; i < RS_WRING; i++) {
        rs_wentry *e = &w->ring[i];
        if (e->held == 0 && e->state != RS_WENTRY_LOADING && (!best || e->used < best->used))
            best = e;
    }
    return best;
}

void rs_wring_prefetch(rs_wstream *w, int block)
{
    if (block < 0 || block >= w->layout->blocks)
        return;
    read_ahead(w, block);
    if (!w->threaded)
        return;
    pthread_mutex_lock(&w->lock);
    rs_wentry *e = find_entry(w, block) ? NULL : free_entry(w);
    if (e && w->wanted < 0) {
        e->block = block;
        e->state = RS_WENTRY_LOADING;
        e->used = ++w->clock;
        w->wanted = (int)(e - w->ring);
        pthread_cond_broadcast(&w->changed);
    }
    pthread_mutex_unlock(&w->lock);
}

/* Called locked. */
static rs_wentry *take_entry(rs_wstream *w, int block)
{
    rs_wentry *e = find_entry(w, block);
    while (!e && !(e = free_entry(w))) {
        RS_ASSERTF(w->ring[0].held == 0 || w->ring[1].held == 0,
                   "weights: block %d wanted while two others are held", block);
        pthread_cond_wait(&w->changed, &w->lock);
        e = find_entry(w, block);
    }
    if (e->state == RS_WENTRY_EMPTY || e->block != block) {
        e->block = block;
        e->state = RS_WENTRY_LOADING;
        pthread_mutex_unlock(&w->lock);
        fill_entry(w, e, w->stage[0]);
        pthread_mutex_lock(&w->lock);
        e->state = RS_WENTRY_READY;
    }
    while (e->state != RS_WENTRY_READY)
        pthread_cond_wait(&w->changed, &w->lock);
    return e;
}

const rs_tensor *rs_wring_acquire(rs_wstream *w, int block)
{
    pthread_mutex_lock(&w->lock);
    rs_wentry *e = take_entry(w, block);
    e->held++;
    e->used = ++w->clock;
    pthread_mutex_unlock(&w->lock);
    return e->slots;
}

void rs_wring_release(rs_wstream *w, int block)
{
    pthread_mutex_lock(&w->lock);
    rs_wentry *e = find_entry(w, block);
    RS_ASSERTF(e && e->held > 0, "weights: block %d released but not held", block);
    e->held--;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
}
