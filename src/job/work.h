/* One call of rs_run_jobs: what there is to do (work.c), and on rank 0 what became of it
 * (outcomes.c).
 */
#ifndef RS_JOB_WORK_H
#define RS_JOB_WORK_H

#include "job/dispatch.h"
#include "job/job.h"
#include "job/shapes.h"

typedef struct rs_work {
    rs_run_session *s;
    rs_outcomes *l;
    rs_stage_id last;
    bool publish;
    rs_sched_video *todo;  /* (n) chosen videos */
    rs_sched_edit **edits; /* (n) theirs */
    int64_t *video;        /* (n) index in the catalog */
    int64_t *first;        /* (n) of its edits' outcomes */
    rs_sched_gang *ranks;  /* (world size) what they may do */
    const char **unusable; /* (n edits) what is wrong with its media, or NULL */
    int64_t n;
    bool limited;        /* what is left does not fit into the time that is left */
    rs_shapes shapes;    /* of appearances */
    const int64_t *pick; /* of these in the present list, NULL: all */
    int64_t n_pick;
} rs_work;

/* The k-th of the present list. */
static inline int64_t rs_work_picked(const rs_work *w, int64_t k)
{
    return w->pick ? w->pick[k] : k;
}

static inline const rs_catalog_video *rs_work_video(const rs_work *w, int64_t chosen)
{
    return &w->s->catalog->videos[w->video[chosen]];
}

/* ---- work.c ---- */

/* Stages, videos and edits that the options choose; all outcomes are "not reached". RS_USAGE: a
 * stage or videos that there are not. */
rs_status rs_work_choose(rs_work *w, const rs_run_opts *o) RS_NODISCARD;
/* Collective. What is wrong with the media of the chosen jobs, said before hours are spent on the
 * others: rank 0 looks, all know. */
rs_status rs_work_check_media(rs_work *w, const rs_run_opts *o) RS_NODISCARD;
/* What the ranks may do: all of it, but for pins and the time limit. */
rs_status rs_work_limit_ranks(rs_work *w) RS_NODISCARD;

/* ---- outcomes.c ---- */

/* For those who look on. */
void rs_work_tell_outcome(const rs_work *w, const rs_outcome *o, int stage);
rs_task_end_fn rs_work_take_end; /* ctx: the work */
rs_report_fn rs_work_take_report;
rs_edit_report rs_work_report_of(const rs_outcome *o);
/* Rank 0: chosen videos that other runs hold; how many. ids: theirs. */
int64_t rs_work_list_held(rs_work *w, int64_t *chosen, const char **ids);
/* Rank 0: the outcomes of a chosen video are "not reached" again. */
void rs_work_begin_again(rs_work *w, int64_t k);

#endif
