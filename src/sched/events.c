#include "sched/events.h"

static bool earlier(const rs_event *a, const rs_event *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

void rs_events_add(rs_events *q, rs_event e)
{
    q->heap = rs_arena_grow(q->arena, q->heap, &q->cap, (size_t)q->n + 1, sizeof *q->heap);
    e.order = q->added++;
    int64_t i = q->n++;
    for (; i > 0 && earlier(&e, &q->heap[(i - 1) / 2]); i = (i - 1) / 2)
        q->heap[i] = q->heap[(i - 1) / 2];
    q->heap[i] = e;
}

bool rs_events_take(rs_event *out, rs_events *q)
{
    if (q->n == 0)
        return false;
    *out = q->heap[0];
    rs_event last = q->heap[--q->n];
    int64_t i = 0;
    for (;;) {
        int64_t child = 2 * i + 1;
        if (child + 1 < q->n && earlier(&q->heap[child + 1], &q->heap[child]))
            child++;
        if (child >= q->n || !earlier(&q->heap[child], &last))
            break;
        q->heap[i] = q->heap[child];
        i = child;
    }
    if (q->n > 0)
        q->heap[i] = last;
    return true;
}
