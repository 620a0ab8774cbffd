/* Queue of future events, earliest first; equal times in the order they were added. */
#ifndef RS_SCHED_EVENTS_H
#define RS_SCHED_EVENTS_H

#include <stdbool.h>

#include "base/arena.h"
#include "sched/director.h"

typedef struct rs_event {
    double at;
    int64_t order; /* set by add */
    int kind;      /* the owner's */
    int64_t who;   /* gang or node */
    int64_t epoch; /* the owner's */
    rs_answer answer;
} rs_event;

typedef struct rs_events {
    rs_arena *arena;
    rs_event *heap;
    int64_t n, added;
    size_t cap;
} rs_events;

void rs_events_add(rs_events *q, rs_event e);
/* False when empty. */
bool rs_events_take(rs_event *out, rs_events *q);

#endif
