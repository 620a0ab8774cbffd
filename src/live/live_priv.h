/* Private to live*.c: the record of a rank. */
#ifndef RS_LIVE_LIVE_PRIV_H
#define RS_LIVE_LIVE_PRIV_H

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/arena.h"
#include "live/live.h"

enum { RS_LIVE_TASKS = 16 };

typedef struct rs_live_task {
    bool open;
    char *arm, *video, *edit; /* edit "" for the video's own */
    int stage;
    double since, updated; /* wall clock; since: as the timeline tells it */
    rs_live_steps steps;
} rs_live_task;

struct rs_live {
    rs_live_opts o; /* strings in the arena */
    rs_arena *arena;
    rs_arena *scratch; /* of the thread that writes */
    const char *path, *timeline;
    FILE *lines;
    char host[256];
    double begin;
    pthread_t thread;
    pthread_cond_t wake;
    pthread_mutex_t lock; /* of what follows */
    bool leave, dirty, warned, ended;
    char *arm, *doing;
    double idle_since;
    rs_live_task tasks[RS_LIVE_TASKS];
    double counted; /* monotonic: open tasks have got their share up to then */
    rs_live_totals totals;
};

/* The time since the last event goes to the open tasks, in equal parts; with the lock held. */
void rs_live_count_time(rs_live *l);
/* The record as text, with the lock held; from the arena. */
const char *rs_live_record(rs_live *l, rs_arena *a);
/* Times between records, and how old one may be before its rank counts as gone. */
double rs_live_period(const rs_live *l);
double rs_live_heartbeat(double period);

#endif
