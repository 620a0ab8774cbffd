/* Spill: items that are written once, in order, and read later, in the opposite order, and that are
 * in page-locked host memory meanwhile. The device holds two at a time: while one is written or
 * read, its neighbour is on its way. What queues owe each other is said by events; the host waits
 * for nothing.
 *
 *   restart; write(k) .. ops .. written(k)  for k = a, a+1, .., n-1
 *   fetch(k-1); read(k) .. ops .. done(k)   for k = n-1, .., a
 *
 * Item k is in slot k mod 2 of the ring. The last two items never leave it. */
#ifndef RS_DEVICE_SPILL_H
#define RS_DEVICE_SPILL_H

#include "device/queue.h"

enum { RS_SPILL_SLOTS = 2 };

typedef struct rs_spill rs_spill;

/* Items of the ring, and of the host's memory, for n. */
static inline int64_t rs_spill_slots(int64_t n)
{
    return n < RS_SPILL_SLOTS ? n : RS_SPILL_SLOTS;
}
static inline int64_t rs_spill_away(int64_t n)
{
    return n - rs_spill_slots(n);
}

rs_status rs_spill_create(rs_spill **out, rs_device *d) RS_NODISCARD;
void rs_spill_destroy(rs_spill **s); /* accepts NULL, nulls the pointer */
/* n items of `bytes` each; ring: device memory for slots(n) of them, host: page-locked memory for
 * away(n). Both are borrowed. No copy may be under way. */
void rs_spill_bind(rs_spill *s, void *ring, void *host, size_t bytes, int64_t n);
int64_t rs_spill_items(const rs_spill *s);

/* A new pass: what the ring holds is of no use. */
void rs_spill_restart(rs_spill *s);
/* Ops from now on may write item k: what was in its slot has left. Also for ops that use the slot
 * for something else. */
void rs_spill_write(rs_spill *s, int64_t k);
/* Ops given so far have written item k; it leaves for the host while others read it. */
void rs_spill_written(rs_spill *s, int64_t k);
/* Bring item k back, unless it is in the ring: ahead of time, once item k + 2 is done with. */
void rs_spill_fetch(rs_spill *s, int64_t k);
/* Ops from now on may read item k, which is in the ring or was fetched. */
void rs_spill_read(rs_spill *s, int64_t k);
/* Ops given so far were the last ones to read item k. */
void rs_spill_done(rs_spill *s, int64_t k);

#endif
