/* Simulation of a run: the director of sched/director.h under a discrete-event clock.
 *
 * Seconds of every task are drawn once, from a lognormal distribution with the given mean and
 * coefficient of variation, keyed by (seed, video, edit, stage): every schedule has the same work.
 * The director knows the means only. A gang's question and the director's answer each take
 * `latency`; a gang asks `ahead` seconds before its task ends.
 *
 * Gangs of a group that walks in step (work.in_step) make passes together, each as long as the
 * longest of those that take part: whose own passes are shorter goes on at their pace. A task that
 * several gangs share takes `wider` of its seconds. Tasks of a batch get on alike, and n of them
 * take `together[n]` of the sum of their seconds.
 *
 * Node failures come after exponential times. A failing node takes its world (the ranks that stop
 * together) down for `restart` seconds; tasks lose what they did since their last checkpoint, and
 * stages without checkpoints all they did. */
#ifndef RS_SCHED_SIM_H
#define RS_SCHED_SIM_H

#include "sched/director.h"

enum { RS_SIM_WIDTHS = 4 };

typedef struct rs_sim_opts {
    rs_director_opts work;    /* videos: expected seconds; n_gangs: that work side by side */
    double cv[RS_TASK_COUNT]; /* standard deviation / mean, by stage; that of CHAIN is not read */
    uint64_t seed;
    double latency; /* seconds, one way */
    double ahead;   /* seconds */
    /* Seconds of work between saved states, by stage; 0: saved all the time. Read of the stages of
     * RS_TASK_CHECKPOINTED, and by stage inside of chains. */
    double checkpoint[RS_TASK_COUNT];
    double pass[RS_TASK_COUNT]; /* seconds of one pass, by stage; 0: it makes none, or not known */
    /* Seconds of a stage over 1, 2, 4, 8 gangs against those of one; 0: 1 / gangs */
    double wider[RS_TASK_COUNT][RS_SIM_WIDTHS];
    /* Seconds of n tasks of a batch against those of one after the other; 0: 1 */
    double together[RS_SCHED_BATCH + 1];
    bool blind;        /* the director is not told of the groups */
    double mtbf;       /* of a node, seconds; 0: no failures */
    int64_t per_node;  /* gangs of a node, >= 1 */
    int64_t per_world; /* gangs that stop when one of them is lost, rounded up to whole nodes; 0:
                          those of its node */
    double restart;    /* seconds until they work again */
} rs_sim_opts;

typedef struct rs_sim_result {
    double work;     /* sum of all tasks' seconds */
    double chain;    /* the longest chain of tasks that have to follow each other */
    double bound;    /* max(work / gangs, chain): no schedule is shorter */
    double makespan; /* until the last task ended */
    double handed;   /* when the last video's first task was handed out: there the tail begins */
    /* Useful seconds / (gangs * time), over all, and until `handed` (work that a later failure
     * makes void counts there). */
    double utilisation, utilisation_handed;
    double even; /* makespan of an even static split of the catalog, in its order, no failures */
    double stage_s[RS_TASK_COUNT]; /* gang-seconds of useful work; also of chains by stage */
    double lost;                   /* gang-seconds of work that failures made void */
    double down;                   /* gang-seconds of ranks that were not there */
    double waited; /* gang-seconds of ranks at work in which none was done: for longer passes of
                      their group, and for what is lost when a task is shared */
    double saved;  /* gang-seconds less than `work`, by batches */
    int64_t companions; /* tasks that began as companions of another one */
    int64_t helped;     /* times that a gang helped another one */
    int64_t failures, tasks, events;
} rs_sim_result;

/* Deterministic: equal options, equal result. RS_CONFIG: pins as in rs_director_create; failures so
 * frequent that the work does not end. */
rs_status rs_sim_run(rs_sim_result *r, const rs_sim_opts *o) RS_NODISCARD;

/* Drawn seconds of one stage (edit -1: of the video); 0 where it is skipped. */
double rs_sim_seconds(const rs_sim_opts *o, int64_t video, int64_t edit, rs_task_stage stage);
/* Work, chain, bound, even and stage_s of `r`; the rest is zeroed. */
void rs_sim_bounds(rs_sim_result *r, const rs_sim_opts *o);

#endif
