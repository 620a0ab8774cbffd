#include "job/record.h"

/* Stages of a video or an edit, up to the last one wanted. */
static uint32_t tasks_of(const rs_run *run, const rs_job *job, rs_stage_id last, bool publish)
{
    uint32_t bits = publish && !job->edit ? RS_TASK_BIT(RS_TASK_PUBLISH) : 0;
    for (int id = 0; id <= (int)last; id++) {
        const rs_stage *s = rs_stage_get((rs_stage_id)id);
        if (s->per_edit == (job->edit != NULL) && (!s->applies || s->applies(run, job)))
            bits |= RS_TASK_BIT(id);
    }
    return bits;
}

static rs_live_job job_of(const rs_run_session *s, const rs_catalog_video *v,
                          const rs_catalog_edit *e, rs_stage_id last, bool publish)
{
    rs_job job = {.video = v, .edit = e};
    return (rs_live_job){.arm = s->arm,
                         .video = v->id,
                         .edit = e ? e->id : "",
                         .tasks = tasks_of(&s->run, &job, last, publish)};
}

rs_status rs_record_jobs(const rs_run_session *s, const int64_t *videos, int64_t n,
                         rs_stage_id last, bool publish)
{
    const rs_catalog *c = s->catalog;
    int64_t total = n, k = 0;
    if (!rs_world_leads(&s->world))
        return RS_OK;
    for (int64_t i = 0; i < n; i++)
        total += c->videos[videos[i]].n_edits;
    rs_arena *a = rs_arena_create();
    rs_live_job *jobs = RS_NEW(a, rs_live_job, total + 1);
    for (int64_t i = 0; i < n; i++) {
        const rs_catalog_video *v = &c->videos[videos[i]];
        jobs[k++] = job_of(s, v, NULL, last, publish);
        for (int64_t e = 0; e < v->n_edits; e++)
            jobs[k++] = job_of(s, v, &v->edits[e], last, publish);
    }
    rs_status st = rs_live_world_add_jobs(&s->records, jobs, total);
    rs_arena_destroy(&a);
    return st;
}
