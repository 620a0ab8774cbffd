#include "weights/stream.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/num.h"
#include "weights/names.h"

enum { RING = 2, STAGE = 1 << 16 /* floats converted at a time, so that they stay in cache */ };

/* One block in the ring. LOADING: whoever set it (the thread or an acquire) is filling it. */
typedef enum entry_state { ENTRY_EMPTY, ENTRY_LOADING, ENTRY_READY } entry_state;
typedef struct ring_entry {
    entry_state state;
    int block;
    int held;
    uint64_t used;    /* larger: more recently acquired */
    void *memory;     /* converted tensors */
    rs_tensor *slots; /* (block_slots) */
} ring_entry;

struct rs_wstream {
    rs_device *dev;
    rs_arena *arena;
    rs_weights_file *file;
    const rs_layout *layout;
    rs_weight_map map;
    rs_weight_home home;
    size_t bytes;
    rs_tensor *globals;
    void *global_memory;
    rs_tensor *resident; /* (blocks * block_slots); NULL when mapped */
    void *resident_memory;
    size_t ring_bytes; /* of one entry */
    ring_entry ring[RING];
    uint64_t clock;
    float *stage[2]; /* conversion buffers: caller's thread, own thread */
    bool threaded, stop;
    int wanted; /* ring entry the thread shall fill; -1: none */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

static bool in_place(const rs_wstream *w, rs_tensor t)
{
    return t.dtype == RS_DTYPE_F32 && (uintptr_t)t.data % sizeof(float) == 0 &&
           strcmp(rs_device_backend(w->dev), "cpu") == 0;
}

static size_t padded(rs_tensor t)
{
    return ((size_t)rs_tensor_count(t) * sizeof(float) + 63) / 64 * 64;
}

/* File tensor -> fp32 device memory. */
static void convert(rs_wstream *w, void *dst, rs_tensor src, float *stage)
{
    int64_t n = rs_tensor_count(src);
    if (src.dtype == RS_DTYPE_F32) {
        rs_device_put(w->dev, dst, src.data, (size_t)n * sizeof(float));
        return;
    }
    size_t size = rs_dtype_size(src.dtype);
    for (int64_t i = 0; i < n; i += STAGE) {
        int64_t m = rs_min_i64(STAGE, n - i);
        rs_convert_to_f32(stage, (const char *)src.data + (size_t)i * size, src.dtype, m);
        rs_device_put(w->dev, (float *)dst + i, stage, (size_t)m * sizeof(float));
    }
}

/* Device tensors for a group of file tensors: in place where allowed, else converted into memory
 * from *at on. */
static void load_group(rs_wstream *w, rs_tensor *out, const rs_tensor *src, int n, char **at,
                       bool may_map, float *stage)
{
    for (int i = 0; i < n; i++) {
        out[i] = src[i];
        if (!rs_has(src[i]) || (may_map && in_place(w, src[i])))
            continue;
        convert(w, *at, src[i], stage);
        out[i] = rs_tensor_of(*at, RS_DTYPE_F32, src[i].ndim, src[i].shape);
        *at += padded(src[i]);
    }
}

static size_t group_bytes(const rs_wstream *w, const rs_tensor *src, int n, bool may_map)
{
    size_t bytes = 0;
    for (int i = 0; i < n; i++)
        bytes += rs_has(src[i]) && !(may_map && in_place(w, src[i])) ? padded(src[i]) : 0;
    return bytes;
}

static const rs_tensor *file_block(const rs_wstream *w, int block)
{
    return &w->map.blocks[(int64_t)block * w->layout->block_slots];
}

static rs_status device_memory(rs_wstream *w, void **out, size_t bytes)
{
    if (bytes == 0)
        return RS_OK;
    RS_TRY(rs_device_alloc(w->dev, out, bytes));
    w->bytes += bytes;
    return RS_OK;
}

/* Globals that are not raw; with any other home than resident in place if possible. */
static rs_status load_globals(rs_wstream *w)
{
    const rs_layout *l = w->layout;
    bool may_map = w->home != RS_HOME_RESIDENT;
    rs_tensor *src = RS_NEW(w->arena, rs_tensor, l->global_slots);
    w->globals = RS_NEW(w->arena, rs_tensor, l->global_slots);
    memcpy(src, w->map.globals, (size_t)l->global_slots * sizeof *src);
    for (int64_t i = 0; i < l->n; i++)
        if (l->rows[i].block < 0 && l->rows[i].raw)
            src[l->rows[i].slot].ndim = 0;
    RS_TRY(device_memory(w, &w->global_memory, group_bytes(w, src, l->global_slots, may_map)));
    char *at = w->global_memory;
    load_group(w, w->globals, src, l->global_slots, &at, may_map, w->stage[0]);
    for (int64_t i = 0; i < l->n; i++)
        if (l->rows[i].block < 0 && l->rows[i].raw)
            w->globals[l->rows[i].slot] = w->map.globals[l->rows[i].slot];
    return RS_OK;
}

static rs_status load_resident(rs_wstream *w)
{
    int64_t n = (int64_t)w->layout->blocks * w->layout->block_slots;
    w->resident = RS_NEW(w->arena, rs_tensor, n);
    size_t bytes = 0;
    for (int b = 0; b < w->layout->blocks; b++)
        bytes += group_bytes(w, file_block(w, b), w->layout->block_slots, false);
    RS_TRY(device_memory(w, &w->resident_memory, bytes));
    char *at = w->resident_memory;
    for (int b = 0; b < w->layout->blocks; b++)
        load_group(w, &w->resident[(int64_t)b * w->layout->block_slots], file_block(w, b),
                   w->layout->block_slots, &at, false, w->stage[0]);
    return RS_OK;
}

static void fill_entry(rs_wstream *w, ring_entry *e, float *stage)
{
    char *at = e->memory;
    load_group(w, e->slots, file_block(w, e->block), w->layout->block_slots, &at, true, stage);
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
        ring_entry *e = &w->ring[w->wanted];
        w->wanted = -1;
        pthread_mutex_unlock(&w->lock);
        fill_entry(w, e, w->stage[1]);
        pthread_mutex_lock(&w->lock);
        e->state = ENTRY_READY;
        pthread_cond_broadcast(&w->changed);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static rs_status make_ring(rs_wstream *w)
{
    for (int b = 0; b < w->layout->blocks; b++) {
        size_t bytes = group_bytes(w, file_block(w, b), w->layout->block_slots, true);
        if (bytes > w->ring_bytes)
            w->ring_bytes = bytes;
    }
    for (int i = 0; i < RING; i++) {
        RS_TRY(device_memory(w, &w->ring[i].memory, w->ring_bytes));
        w->ring[i].slots = RS_NEW(w->arena, rs_tensor, w->layout->block_slots);
    }
    /* Without the thread acquire converts by itself: slower, same bits. */
    w->threaded = w->ring_bytes > 0 && pthread_create(&w->thread, NULL, fill_loop, w) == 0;
    return RS_OK;
}

static bool all_blocks_fp32(const rs_wstream *w)
{
    int64_t n = (int64_t)w->layout->blocks * w->layout->block_slots;
    for (int64_t i = 0; i < n; i++)
        if (rs_has(w->map.blocks[i]) && !in_place(w, w->map.blocks[i]))
            return false;
    return true;
}

static rs_weight_home choose_home(const rs_wstream *w)
{
    if (all_blocks_fp32(w))
        return RS_HOME_MAPPED;
    double memory = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    double need = 4.0 * (double)rs_layout_block_params(w->layout) * w->layout->blocks;
    return need <= memory / 4 ? RS_HOME_RESIDENT : RS_HOME_MAPPED;
}

rs_status rs_wstream_open(rs_wstream **out, rs_device *d, const char *path, const rs_layout *layout,
                          rs_weight_home home)
{
    rs_status st = RS_OK;
    rs_wstream *w = rs_alloc(1, sizeof *w);
    w->dev = d;
    w->arena = rs_arena_create();
    w->layout = layout;
    w->wanted = -1;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    for (int i = 0; i < 2; i++)
        w->stage[i] = RS_NEW(w->arena, float, STAGE);
    RS_TRY_OUT(rs_weights_file_open(&w->file, path));
    RS_TRY_OUT(rs_weight_map_make(&w->map, w->arena, w->file, layout));
    w->home = home == RS_HOME_AUTO ? choose_home(w) : home;
    RS_TRY_OUT(load_globals(w));
    RS_TRY_OUT(w->home == RS_HOME_RESIDENT ? load_resident(w) : make_ring(w));
    *out = w;
    w = NULL;
out:
    rs_wstream_close(&w);
    return st;
}

void rs_wstream_close(rs_wstream **w)
{
    if (!w || !*w)
        return;
    rs_wstream *s = *w;
    if (s->threaded) {
        pthread_mutex_lock(&s->lock);
        s->stop = true;
        pthread_cond_broadcast(&s->changed);
        pthread_mutex_unlock(&s->lock);
        pthread_join(s->thread, NULL);
    }
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    for (int i = 0; i < RING; i++)
        rs_device_free(s->dev, s->ring[i].memory);
    rs_device_free(s->dev, s->resident_memory);
    rs_device_free(s->dev, s->global_memory);
    rs_weights_file_close(&s->file);
    rs_arena_destroy(&s->arena);
    rs_dealloc(s);
    *w = NULL;
}

const rs_tensor *rs_wstream_globals(const rs_wstream *w)
{
    return w->globals;
}

static void read_ahead(const rs_wstream *w, int block)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const rs_tensor *t = file_block(w, block);
    for (int i = 0; i < w->layout->block_slots; i++) {
        if (!rs_has(t[i]))
            continue;
        uintptr_t lo = (uintptr_t)t[i].data / page * page;
        uintptr_t hi = (uintptr_t)t[i].data + rs_tensor_bytes(t[i]);
        /* A hint: tensors that are not in a mapping make it fail, which is fine. */
        (void)madvise((void *)lo, hi - lo, MADV_WILLNEED);
    }
}

static ring_entry *find_entry(rs_wstream *w, int block)
{
    for (int i = 0; i < RING; i++)
        if (w->ring[i].state != ENTRY_EMPTY && w->ring[i].block == block)
            return &w->ring[i];
    return NULL;
}

/* The least recently used entry that nobody holds or fills; NULL if there is none. */
static ring_entry *free_entry(rs_wstream *w)
{
    ring_entry *best = NULL;
    for (int i = 0; i < RING; i++) {
        ring_entry *e = &w->ring[i];
        if (e->held == 0 && e->state != ENTRY_LOADING && (!best || e->used < best->used))
            best = e;
    }
    return best;
}

void rs_wstream_prefetch(rs_wstream *w, int block)
{
    if (block < 0 || block >= w->layout->blocks || w->home != RS_HOME_MAPPED)
        return;
    read_ahead(w, block);
    if (!w->threaded)
        return;
    pthread_mutex_lock(&w->lock);
    ring_entry *e = find_entry(w, block) ? NULL : free_entry(w);
    if (e && w->wanted < 0) {
        e->block = block;
        e->state = ENTRY_LOADING;
        e->used = ++w->clock;
        w->wanted = (int)(e - w->ring);
        pthread_cond_broadcast(&w->changed);
    }
    pthread_mutex_unlock(&w->lock);
}

/* Called locked. */
static ring_entry *take_entry(rs_wstream *w, int block)
{
    ring_entry *e = find_entry(w, block);
    while (!e && !(e = free_entry(w))) {
        RS_ASSERTF(w->ring[0].held == 0 || w->ring[1].held == 0,
                   "weights: block %d wanted while two others are held", block);
        pthread_cond_wait(&w->changed, &w->lock);
        e = find_entry(w, block);
    }
    if (e->state == ENTRY_EMPTY || e->block != block) {
        e->block = block;
        e->state = ENTRY_LOADING;
        pthread_mutex_unlock(&w->lock);
        fill_entry(w, e, w->stage[0]);
        pthread_mutex_lock(&w->lock);
        e->state = ENTRY_READY;
    }
    while (e->state != ENTRY_READY)
        pthread_cond_wait(&w->changed, &w->lock);
    return e;
}

rs_status rs_wstream_acquire(rs_wstream *w, int block, const rs_tensor **slots)
{
    RS_ASSERT(block >= 0 && block < w->layout->blocks);
    if (w->home == RS_HOME_RESIDENT) {
        *slots = &w->resident[(int64_t)block * w->layout->block_slots];
        return RS_OK;
    }
    pthread_mutex_lock(&w->lock);
    ring_entry *e = take_entry(w, block);
    e->held++;
    e->used = ++w->clock;
    pthread_mutex_unlock(&w->lock);
    *slots = e->slots;
    return RS_OK;
}

void rs_wstream_release(rs_wstream *w, int block)
{
    if (w->home == RS_HOME_RESIDENT)
        return;
    pthread_mutex_lock(&w->lock);
    ring_entry *e = find_entry(w, block);
    RS_ASSERTF(e && e->held > 0, "weights: block %d released but not held", block);
    e->held--;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

rs_weight_home rs_wstream_home(const rs_wstream *w)
{
    return w->home;
}

size_t rs_wstream_bytes(const rs_wstream *w)
{
    return w->bytes;
}

bool rs_wstream_original(const rs_wstream *w)
{
    return w->map.original;
}
