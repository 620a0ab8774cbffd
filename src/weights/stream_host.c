/* Home `host`: every block, converted, in page-locked host memory, one copy for all ranks of a
 * machine; two on the device, filled by the copy queue while ops run. Nothing waits on the host: an
 * entry is filled when the ops that used it are done, and ops that use it begin when it is filled,
 * both said by events.
 *
 * Prefetch, acquire and release are the computation's, so no thread and no lock. */
#include <string.h>
#include <sys/resource.h>

#include "base/log.h"
#include "base/num.h"
#include "base/str.h"
#include "comm/agree.h"
#include "weights/stream_priv.h"

static rs_status make_ring(rs_whost *h, rs_wstream *w)
{
    for (int i = 0; i < RS_WRING; i++) {
        rs_wentry *e = &w->ring[i];
        RS_TRY(rs_wstream_memory(w, &e->memory, w->ring_bytes));
        e->slots = RS_NEW(w->arena, rs_tensor, w->layout->block_slots);
        e->block = -1;
        RS_TRY(rs_event_create(&h->filled[i], w->dev));
        RS_TRY(rs_event_create(&h->used[i], w->dev));
    }
    return RS_OK;
}

static size_t lay_out(rs_whost *h, rs_wstream *w)
{
    int L = w->layout->blocks;
    size_t all = 0;
    h->at = RS_NEW(w->arena, size_t, L + 1);
    for (int b = 0; b < L; b++) {
        size_t bytes = rs_wstream_group_bytes(w, rs_wstream_group(w, b), false);
        h->at[b] = all;
        all += bytes;
        w->ring_bytes = bytes > w->ring_bytes ? bytes : w->ring_bytes;
    }
    return h->at[L] = all;
}

/* Every n-th block, from `first` on. */
static void read_blocks(rs_wstream *w, int first, int n)
{
    rs_whost *h = w->host;
    for (int b = first; b < w->layout->blocks; b += n)
        rs_wstream_read_group(w, h->memory + h->at[b], rs_wstream_group(w, b), w->stage[0]);
}

/* Copies from memory that is not page-locked are right, too. */
static void lock_pages(rs_wstream *w)
{
    rs_whost *h = w->host;
    struct rlimit limit = {0};
    h->registered = rs_device_register(w->dev, h->memory, h->shared.bytes) == RS_OK;
    if (h->registered)
        return;
    (void)getrlimit(RLIMIT_MEMLOCK, &limit);
    bool free = limit.rlim_cur == RLIM_INFINITY;
    RS_LOG(WARN,
           "weights: %s of shared memory cannot be page-locked (%s; RLIMIT_MEMLOCK is %s): copies "
           "to the device go through a buffer and take longer",
           rs_bytes_text(w->arena, (int64_t)h->shared.bytes), rs_error_message(),
           free ? "unlimited" : rs_bytes_text(w->arena, (int64_t)limit.rlim_cur));
}

/* Collective: each rank converts its share of the blocks, near its own cores. */
static rs_status read_together(rs_wstream *w, rs_comm *node)
{
    int n = rs_comm_size(node);
    w->host->memory = w->host->shared.memory;
    read_blocks(w, rs_comm_rank(node), n);
    RS_TRY(rs_comm_barrier(node, "weights of this machine"));
    lock_pages(w);
    if (rs_comm_rank(node) == 0)
        RS_LOG(DETAIL, "weights: one copy of %s on the host for the %d ranks of this machine",
               rs_bytes_text(w->arena, (int64_t)w->host->shared.bytes), n);
    return RS_OK;
}

static rs_status read_alone(rs_wstream *w, size_t bytes)
{
    RS_TRY(rs_device_pin(w->dev, (void **)&w->host->memory, bytes));
    read_blocks(w, 0, 1);
    return RS_OK;
}

rs_status rs_whost_open(rs_wstream *w, rs_comm *node, rs_status st)
{
    size_t bytes = 0;
    bool several = node && rs_comm_size(node) > 1;
    if (st == RS_OK) {
        w->host = RS_NEW(w->arena, rs_whost, 1);
        bytes = lay_out(w->host, w);
        st = make_ring(w->host, w);
    }
    if (!several)
        return st == RS_OK ? read_alone(w, bytes) : st;
    RS_TRY(rs_comm_agree(node, st));
    st = rs_wshared_open(&w->host->shared, node, bytes);
    if (st == RS_OK)
        return read_together(w, node);
    if (st != RS_IO)
        return st;
    if (rs_comm_rank(node) == 0)
        RS_LOG(WARN, "%s; each of the %d ranks keeps a copy of its own, of %s", rs_error_message(),
               rs_comm_size(node), rs_bytes_text(w->arena, (int64_t)bytes));
    return rs_comm_agree(node, read_alone(w, bytes));
}

void rs_whost_close(rs_wstream *w)
{
    rs_whost *h = w->host;
    if (!h)
        return;
    rs_device_sync(w->dev);
    for (int i = 0; i < RS_WRING; i++) {
        rs_event_destroy(&h->filled[i]);
        rs_event_destroy(&h->used[i]);
    }
    if (h->registered)
        rs_device_unregister(w->dev, h->memory);
    if (!h->shared.memory)
        rs_device_unpin(w->dev, h->memory);
    rs_wshared_close(&h->shared);
    w->host = NULL;
}

static int entry_of(const rs_wstream *w, int block)
{
    for (int i = 0; i < RS_WRING; i++)
        if (w->ring[i].block == block)
            return i;
    return -1;
}

/* The least recently acquired one that is not held; -1: both are. */
static int free_entry(const rs_wstream *w)
{
    int best = -1;
    for (int i = 0; i < RS_WRING; i++)
        if (w->ring[i].held == 0 && (best < 0 || w->ring[i].used < w->ring[best].used))
            best = i;
    return best;
}

/* Returns the entry, -1 where there is none to fill. */
static int fetch(rs_wstream *w, int block)
{
    rs_whost *h = w->host;
    int i = entry_of(w, block);
    if (i >= 0 || (i = free_entry(w)) < 0)
        return i;
    rs_wentry *e = &w->ring[i];
    e->block = block;
    e->used = ++w->clock;
    rs_event_wait(h->used[i], RS_QUEUE_COPY);
    rs_device_send(w->dev, e->memory, h->memory + h->at[block], h->at[block + 1] - h->at[block],
                   RS_QUEUE_COPY);
    rs_event_record(h->filled[i], RS_QUEUE_COPY);
    rs_wstream_place_group(w, e->slots, rs_wstream_group(w, block), e->memory);
    return i;
}

void rs_whost_prefetch(rs_wstream *w, int block)
{
    if (block >= 0 && block < w->layout->blocks)
        (void)fetch(w, block);
}

const rs_tensor *rs_whost_acquire(rs_wstream *w, int block)
{
    int i = fetch(w, block);
    RS_ASSERTF(i >= 0, "weights: block %d wanted while two others are held", block);
    rs_event_wait(w->host->filled[i], RS_QUEUE_COMPUTE);
    w->ring[i].held++;
    w->ring[i].used = ++w->clock;
    return w->ring[i].slots;
}

void rs_whost_release(rs_wstream *w, int block)
{
    int i = entry_of(w, block);
    RS_ASSERTF(i >= 0 && w->ring[i].held > 0, "weights: block %d released but not held", block);
    if (--w->ring[i].held == 0)
        rs_event_record(w->host->used[i], RS_QUEUE_COMPUTE);
}
