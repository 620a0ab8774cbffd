/* Catalogs for tests of the director and its simulation. */
#ifndef RS_TESTS_SCHED_SHAPES_H
#define RS_TESTS_SCHED_SHAPES_H

#include "harness/test.h"
#include "sched/director.h"

/* n videos of `edits` edits each; every stage expects seconds[stage]; `appearance`: do edits have
 * that stage? In the case's arena, so that a test may change it. */
static inline rs_sched_video *shape_videos(int64_t n, int64_t edits, const double *seconds,
                                           bool appearance)
{
    rs_sched_video *v = RS_NEW(t_arena(), rs_sched_video, n);
    for (int64_t i = 0; i < n; i++) {
        rs_sched_edit *e = RS_NEW(t_arena(), rs_sched_edit, edits);
        for (int s = 0; s < RS_TASK_COUNT; s++)
            v[i].seconds[s] = seconds[s];
        for (int64_t k = 0; k < edits; k++) {
            for (int s = 0; s < RS_TASK_COUNT; s++)
                e[k].seconds[s] = seconds[s];
            e[k].skip = appearance ? 0 : RS_TASK_BIT(RS_TASK_APPEARANCE);
        }
        v[i].edits = e;
        v[i].n_edits = edits;
    }
    return v;
}

/* Edit k of a video, to be changed. */
static inline rs_sched_edit *shape_edit(const rs_sched_video *v, int64_t k)
{
    return (rs_sched_edit *)(uintptr_t)&v->edits[k];
}

#endif
