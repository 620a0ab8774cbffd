/* Inside the director: tasks and gangs. director.c matches questions with tasks, director_jobs.c
 * knows which task comes after which, director_make.c lays them out, director_groups.c looks at a
 * gang's neighbours. */
#ifndef RS_SCHED_DIRECTOR_PRIV_H
#define RS_SCHED_DIRECTOR_PRIV_H

#include "base/arena.h"
#include "sched/director.h"
#include "sched/maxtree.h"

typedef enum rs_task_state {
    RS_TASK_STATE_BLOCKED, /* earlier stages have not ended, or its job failed */
    RS_TASK_STATE_READY,
    RS_TASK_STATE_HELD, /* by a gang: running, or one ahead */
    RS_TASK_STATE_ENDED
} rs_task_state;

typedef struct rs_dtask {
    int64_t video, edit; /* edit -1: the video's own */
    rs_task_stage stage;
    rs_task_state state;
    double seconds;     /* expected */
    double room;        /* that must be left before a deadline */
    double remaining;   /* expected from its begin to the end of its job */
    int64_t rank;       /* place in the order of all tasks, and leaf of `ready` */
    int64_t near;       /* gang that ran the job's previous stage, or -1 */
    int64_t next, prev; /* in the list of that gang and stage while ready, or -1 */
} rs_dtask;

typedef struct rs_dedit {
    rs_edit_outcome outcome;
    int64_t last; /* gang of its last stage, or -1 */
} rs_dedit;

typedef struct rs_dvideo {
    int64_t first_task, first_edit;
    int64_t open_edits; /* that have not ended */
    int64_t last;
    bool begun;  /* some task of it was handed out */
    bool closed; /* nothing more to do for it */
} rs_dvideo;

/* What a gang works on beside a task. */
typedef struct rs_dwith {
    int64_t task[RS_SCHED_BATCH - 1]; /* companions that have not ended */
    int n;
    bool headless; /* the task itself has ended, its companions go on */
} rs_dwith;

/* Appearances that may be companions. */
typedef struct rs_dshape {
    int64_t lo, hi; /* ranks */
    int64_t ready;
    int64_t left; /* that are not held and will be ready some time, ready ones too */
} rs_dshape;

typedef struct rs_dgang {
    int64_t held[2]; /* running, ahead */
    int n_held;
    rs_dwith with[2];
    bool follows; /* held[1] is void unless held[0] ends ok */
    bool live, asking, fresh;
    bool told; /* that there is nothing more, and did not ask again */
    uint32_t stages;
    double deadline;
    int64_t leaf;                /* in idle and busy */
    int64_t near[RS_TASK_COUNT]; /* lists of ready tasks whose previous stage it ran */
    bool silent;                 /* it has never asked */
    bool idle;                   /* asks, and has nothing to do */
    int64_t group;               /* -1: none */
    int64_t helps;               /* gang with whose task it helps, or -1 */
    int width;                   /* gangs that share held[0], it and those behind it */
} rs_dgang;

enum {
    RS_KINDS = 3, /* of passes */
    UNRIPE = -1,  /* stands for appearances that are not enough for a batch */
    RS_DORDER = RS_TASK_COUNT + 1
};

/* Neighbours lo <= gang < hi. */
typedef struct rs_dgroup {
    int64_t lo, hi;
    int64_t running[RS_KINDS]; /* tasks of each kind that are under way */
    int leading;               /* the kind of most of them, the latest of equals; -1: none */
} rs_dgroup;

/* Gangs with the same stages. */
typedef struct rs_dclass {
    uint32_t stages;
    int64_t lo, hi; /* leaves */
} rs_dclass;

struct rs_director {
    rs_arena *arena;
    rs_granularity granularity;
    const rs_sched_video *spec;
    int64_t n_videos, n_gangs, n_tasks;
    rs_dtask *tasks;
    rs_dvideo *videos;
    rs_dedit *edits;
    rs_dgang *gangs;
    int64_t *by_rank; /* task of each rank */
    int64_t *gang_of_leaf;
    int64_t stage_lo[RS_TASK_COUNT], stage_hi[RS_TASK_COUNT]; /* ranks */
    rs_dclass *classes;
    int n_classes;
    rs_maxtree ready;      /* by rank: -room of ready tasks */
    rs_maxtree idle, busy; /* by leaf: deadline of gangs that ask, without and with a task */
    int64_t *fresh;        /* stack of busy gangs whose question was not looked at yet */
    int64_t n_fresh;
    int64_t n_open;  /* videos */
    int64_t n_going; /* of them begun */
    int64_t n_held;  /* tasks */
    int64_t n_ready; /* tasks */
    int64_t n_live, n_asking, n_told, n_idle;
    bool stopping;
    rs_dgroup *groups;
    int64_t n_groups;
    bool in_step;
    int widest;
    int64_t n_silent; /* live gangs that have never asked, where there are lanes */
    rs_maxtree
        fitting[RS_KINDS];       /* as idle: gangs whose group's leading kind it is; in step only */
    int64_t help_next, help_end; /* gangs that have to be told to help the gang help_leader */
    int64_t help_leader;
    int batch;         /* 0: no batches */
    rs_dshape *shapes; /* (n_shapes), with batches */
    int n_shapes;
    int64_t n_able;    /* live gangs that may run an appearance */
    rs_answer batched; /* answer whose companions are told first; kind TASK while there is one */
    const rs_dwith *telling;
    int told; /* of them */
};

/* ---- director_make.c ---- */

/* Task of a video or (edit >= 0) of an edit. */
int64_t rs_dtask_of(const rs_director *d, int64_t video, int64_t edit, rs_task_stage stage);

/* ---- director_groups.c ---- */

/* Groups of the gangs, before any of them asks. groups: as in the options. */
void rs_dgroups_make(rs_director *d, const int64_t *groups);
/* The kind of pass of a stage, or -1. */
int rs_dkind(rs_task_stage stage);
/* The gang asks and has nothing to do, or not any more. */
void rs_dgroups_idle(rs_director *d, int64_t gang, bool idle);
/* held[0] of the gang is begun, or has ended: `by` 1 or -1. */
void rs_dgroups_running(rs_director *d, int64_t gang, int64_t task, int by);
/* Questions of a gang that works are answered when its task has ended. */
bool rs_dgroups_late(const rs_director *d, int64_t gang);
/* Stages, and UNRIPE, in the order in which the gang wants them. */
void rs_dgroups_order(int order[RS_DORDER], const rs_director *d, int64_t gang);
/* Does a task of this kind fit to what the gang's group does? */
bool rs_dgroups_fits(const rs_director *d, int64_t gang, int kind);
/* How many gangs that wait share the task, which `*gang` would get: *gang becomes the first. */
int rs_dgroups_widen(rs_director *d, int64_t *gang, const rs_dtask *t, double now);
/* Those that help with the gang's task are free again. */
void rs_dgroups_free_help(rs_director *d, int64_t gang);

/* ---- director.c ---- */

bool rs_dgang_may_run(const rs_dgang *g, const rs_dtask *t, double now);
/* ---- director_batch.c: appearances that are given together ---- */

/* Where the shape classes are, once tasks have their ranks. */
void rs_dbatch_make(rs_director *d);
/* The shape class of a task, NULL where it has no companions. */
rs_dshape *rs_dbatch_shape(const rs_director *d, const rs_dtask *t);
/* Appearances of a failed video will never be ready. */
void rs_dbatch_drop(rs_director *d, int64_t video);
/* The best ready appearance; `ripe`: only of classes with enough for a batch. -1: none. */
int64_t rs_dbatch_best(const rs_director *d, double bound, bool ripe);
/* Of what a gang may do next, the stage that follows its own or a ready task (-1: none), an
 * appearance that would not make a batch waits if there is something else: it becomes -1. */
void rs_dbatch_choose(const rs_director *d, int64_t *follows, int64_t *other);
/* Companions for a task that the gang was given last, alone, and will begin at `begin`: as many as
 * there is room for before its deadline, one after the other. An answer for each in front of *out.
 */
void rs_dbatch_take(rs_director *d, rs_answer *out, double begin);
/* The next of these answers, if there is one. */
bool rs_dbatch_next(rs_director *d, rs_answer *out);
/* The gang's slot gives its companions back. */
void rs_dbatch_put_back(rs_director *d, rs_dwith *with);
/* Expected of held[0] with its companions, should nothing be gained by their company. */
double rs_dbatch_seconds(const rs_director *d, const rs_dgang *g);
/* A task of held[0] ends: false where it is none of it. */
bool rs_dbatch_remove(rs_dgang *g, int64_t task);

/* ---- director_jobs.c ---- */

/* Make the first tasks of a video ready; called once per video. */
void rs_djobs_begin(rs_director *d, int64_t video);
/* Ready tasks that became held, and back. */
void rs_djobs_take(rs_director *d, int64_t task);
void rs_djobs_put_back(rs_director *d, int64_t task);
/* A held task that is not ready. */
void rs_djobs_block(rs_director *d, int64_t task);
/* The task ended for good: later stages become ready, or the job fails. */
void rs_djobs_ended(rs_director *d, int64_t task, int64_t gang, bool ok, const char *reason);
/* The blocked task that will be ready as soon as this running one ends ok, the best if there are
 * several; -1: none. */
int64_t rs_djobs_successor(const rs_director *d, int64_t task);
/* Forget which ready tasks are near this gang. */
void rs_djobs_forget(rs_director *d, int64_t gang);

#endif
