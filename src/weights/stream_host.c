/* Home `host`: every block, converted, in page-locked host memory; two on the device, filled by the
 * copy queue while ops run. Nothing waits on the host: an entry is filled when the ops that used it
 * are done, and ops that use it begin when it is filled, both said by events.
 *
 * Prefetch, acquire and release are the computation's, so no thread and no lock. */
#include <string.h>

#include "base/num.h"
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

rs_status rs_whost_make(rs_wstream *w)
{
    int L = w->layout->blocks;
    size_t all = 0;
    rs_whost *h = w->host = RS_NEW(w->arena, rs_whost, 1);
    h->at = RS_NEW(w->arena, size_t, L + 1);
    for (int b = 0; b < L; b++) {
        size_t bytes = rs_wstream_group_bytes(w, rs_wstream_group(w, b), false);
        h->at[b] = all;
        all += bytes;
        w->ring_bytes = bytes > w->ring_bytes ? bytes : w->ring_bytes;
    }
    h->at[L] = all;
    RS_TRY(make_ring(h, w));
    RS_TRY(rs_device_pin(w->dev, (void **)&h->memory, all));
    for (int b = 0; b < L; b++)
        rs_wstream_read_group(w, h->memory + h->at[b], rs_wstream_group(w, b), w->stage[0]);
    return RS_OK;
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
    rs_device_unpin(w->dev, h->memory);
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
