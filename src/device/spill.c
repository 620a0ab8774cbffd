#include "device/spill.h"

typedef struct slot {
    int64_t item;      /* -1: nobody's */
    rs_event *written; /* COMPUTE: item is complete */
    rs_event *sent;    /* BACK: an item that was here is in host memory */
    rs_event *filled;  /* COPY: item has come back */
    rs_event *used;    /* COMPUTE: item is not needed any more */
} slot;

struct rs_spill {
    rs_device *d;
    char *ring, *host;
    size_t bytes;
    int64_t n;
    slot slots[RS_SPILL_SLOTS];
};

rs_status rs_spill_create(rs_spill **out, rs_device *d)
{
    rs_status st = RS_OK;
    rs_spill *s = rs_alloc(1, sizeof *s);
    s->d = d;
    for (int i = 0; i < RS_SPILL_SLOTS; i++) {
        RS_TRY_OUT(rs_event_create(&s->slots[i].written, d));
        RS_TRY_OUT(rs_event_create(&s->slots[i].sent, d));
        RS_TRY_OUT(rs_event_create(&s->slots[i].filled, d));
        RS_TRY_OUT(rs_event_create(&s->slots[i].used, d));
    }
    rs_spill_restart(s);
    *out = s;
    s = NULL;
out:
    rs_spill_destroy(&s);
    return st;
}

void rs_spill_destroy(rs_spill **s)
{
    if (!*s)
        return;
    for (int i = 0; i < RS_SPILL_SLOTS; i++) {
        rs_event_destroy(&(*s)->slots[i].written);
        rs_event_destroy(&(*s)->slots[i].sent);
        rs_event_destroy(&(*s)->slots[i].filled);
        rs_event_destroy(&(*s)->slots[i].used);
    }
    rs_dealloc(*s);
    *s = NULL;
}

void rs_spill_bind(rs_spill *s, void *ring, void *host, size_t bytes, int64_t n)
{
    RS_ASSERT(host || rs_spill_away(n) == 0);
    s->ring = ring;
    s->host = host;
    s->bytes = bytes;
    s->n = n;
    rs_spill_restart(s);
}

int64_t rs_spill_items(const rs_spill *s)
{
    return s->n;
}

static slot *slot_of(rs_spill *s, int64_t k)
{
    RS_ASSERTF(k >= 0 && k < s->n, "spill: item %lld of %lld", (long long)k, (long long)s->n);
    return &s->slots[k % RS_SPILL_SLOTS];
}

static char *ring_at(const rs_spill *s, int64_t k)
{
    return s->ring + (size_t)(k % RS_SPILL_SLOTS) * s->bytes;
}

static char *host_at(const rs_spill *s, int64_t k)
{
    return s->host + (size_t)k * s->bytes;
}

void rs_spill_restart(rs_spill *s)
{
    for (int i = 0; i < RS_SPILL_SLOTS; i++)
        s->slots[i].item = -1;
}

/* After a pass that was given up a copy into the slot may be under way, too. */
void rs_spill_write(rs_spill *s, int64_t k)
{
    slot *at = slot_of(s, k);
    rs_event_wait(at->sent, RS_QUEUE_COMPUTE);
    rs_event_wait(at->filled, RS_QUEUE_COMPUTE);
    at->item = -1;
}

/* Its last use in the pass before, if any, came before what has written it now. */
void rs_spill_written(rs_spill *s, int64_t k)
{
    slot *at = slot_of(s, k);
    at->item = k;
    if (k >= rs_spill_away(s->n))
        return;
    rs_event_record(at->written, RS_QUEUE_COMPUTE);
    rs_event_wait(at->written, RS_QUEUE_BACK);
    rs_device_fetch(s->d, host_at(s, k), ring_at(s, k), s->bytes, RS_QUEUE_BACK);
    rs_event_record(at->sent, RS_QUEUE_BACK);
}

/* Item k has arrived on the host: ops that wrote item k + 2 waited for that. */
void rs_spill_fetch(rs_spill *s, int64_t k)
{
    slot *at = slot_of(s, k);
    if (at->item == k)
        return;
    RS_ASSERTF(k < rs_spill_away(s->n), "spill: item %lld never left", (long long)k);
    rs_event_wait(at->used, RS_QUEUE_COPY);
    rs_device_send(s->d, ring_at(s, k), host_at(s, k), s->bytes, RS_QUEUE_COPY);
    rs_event_record(at->filled, RS_QUEUE_COPY);
    at->item = k;
}

void rs_spill_read(rs_spill *s, int64_t k)
{
    slot *at = slot_of(s, k);
    RS_ASSERTF(at->item == k, "spill: item %lld is not there", (long long)k);
    rs_event_wait(at->filled, RS_QUEUE_COMPUTE);
}

void rs_spill_done(rs_spill *s, int64_t k)
{
    rs_event_record(slot_of(s, k)->used, RS_QUEUE_COMPUTE);
}
