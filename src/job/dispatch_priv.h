/* Private to src/job/dispatch*.c: what ranks and rank 0 tell each other. */
#ifndef RS_JOB_DISPATCH_PRIV_H
#define RS_JOB_DISPATCH_PRIV_H

#include <pthread.h>

#include "job/dispatch.h"

typedef enum note_kind {
    NOTE_ASK,    /* to rank 0: what comes after my task? */
    NOTE_REPORT, /* what became of an edit */
    NOTE_END,    /* a task has ended */
    NOTE_OUT,    /* this rank says no more */
    NOTE_FATE,   /* from rank 0, in front of the answer PUBLISH: what became of an edit */
    NOTE_WITH,   /* from rank 0, in front of the answer: a companion */
    NOTE_ANSWER, /* take this task; video -1: there are no more */
    NOTE_JOIN /* from the leader of a lane: begin this stage with me; video -1: no more, or not */
} note_kind;

/* One shape for all messages. */
typedef struct note {
    int32_t kind;
    bool stopped; /* ASK, END: this rank was asked to stop */
    int64_t task, follows, video, edit;
    rs_task_stage stage;
    int32_t width; /* ANSWER */
    int32_t helps; /* ANSWER: the rank that works on it; -1: it is for the one that asked */
    double room;   /* ANSWER: that must be left of the time when the task is begun */
    rs_edit_report report;
} note;

/* Notes in the order in which they came. */
typedef struct note_box {
    note *items;
    int64_t read, written;
    size_t cap;
} note_box;

/* A note of the director's on its way: the rank may compute for hours before it takes it. */
typedef struct note_under_way {
    note n;
    rs_comm_request *request;
    struct note_under_way *next;
} note_under_way;

struct rs_lead;

struct rs_dispatch {
    const rs_world *w;
    rs_dispatch_opts o;
    rs_assignment now;                       /* that this rank works on */
    int64_t task[RS_SCHED_BATCH];            /* numbers of it and of its companions; -1 */
    rs_companion coming[RS_SCHED_BATCH - 1]; /* of the answer that is on its way */
    int64_t coming_task[RS_SCHED_BATCH - 1];
    int n_coming;
    int64_t ended_ok; /* the last task, if it ended well; -1 */
    int leader;       /* rank that calls this one */
    bool called;      /* the others of the lane were called to the present task */
    bool asked;       /* an answer is on its way, or there */
    rs_edit_report *fates;
    size_t fates_cap;
    pthread_mutex_t lock; /* guards the box, into which whoever looks first puts what has come */
    note_box box;         /* from the director, ranks other than 0 */
    struct rs_lead *lead; /* rank 0 */
};

/* ---- dispatch_box.c ---- */

void rs_box_put(note_box *b, const note *n);
bool rs_box_take(note_box *b, note *n); /* false: it is empty */
/* The first answer in it. */
bool rs_box_peek(const note_box *b, note *n);
void rs_box_free(note_box *b);

/* To a rank, without waiting for it. */
rs_status rs_under_way_send(note_under_way **list, rs_comm *c, const note *n, int to) RS_NODISCARD;
/* Lets go of what has arrived; all: waits for it. The first error. */
rs_status rs_under_way_look(note_under_way **list, bool all) RS_NODISCARD;

/* ---- dispatch_lead.c: rank 0 ---- */

rs_status rs_lead_open(rs_dispatch *d) RS_NODISCARD;
void rs_lead_close(rs_dispatch *d);
/* A note of rank 0's own worker, and the next one for it. */
rs_status rs_lead_tell(rs_dispatch *d, const note *n) RS_NODISCARD;
void rs_lead_hear(rs_dispatch *d, note *n);
bool rs_lead_peek(rs_dispatch *d, note *n);
/* Until every rank is out. */
void rs_lead_wait(rs_dispatch *d);
bool rs_lead_finished(const rs_dispatch *d);

void rs_dispatch_nap(void); /* between looks at messages */

#endif
