/* motion: a LoRA learns the motion of the source clip from one sample (loraedit.md 2). */
#include "stage/adapters.h"
#include "stage/common.h"
#include "stage/state_io.h"

static rs_status hash(rs_hash *h, const rs_run *run, const rs_job *job)
{
    (void)job;
    static const char *const sections[] = {"motion", "lora", "optimizer", "seed"};
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++)
        rs_config_hash_section(h, run->cfg, sections[i]);
    rs_hash_string(h, run->transformer_id);
    rs_hash_string(h, job->video->id); /* names the random streams */
    return RS_OK;
}

static rs_status init(rs_adapter *a, rs_run *run, rs_job *job)
{
    rs_adapter_init(a, (uint64_t)run->cfg->seed, rs_stage_stream(job, RS_STAGE_MOTION));
    return RS_OK;
}

static rs_status run_motion(rs_run *run, rs_job *job)
{
    RS_TRY(rs_job_load_source(run, job));
    const rs_ingest *s = &job->source;
    rs_train_item item = {.x0 = s->x0, .y = s->y, .text = s->text, .image = s->image};
    int64_t steps = run->cfg->motion.steps;
    rs_train_loop loop = {.items = &item,
                          .n_items = 1,
                          .order = RS_NEW(job->scratch, int32_t, steps),
                          .steps = steps,
                          .optim = rs_stage_optim(run, run->cfg->motion.lr)};
    return rs_stage_train(run, job, RS_STAGE_MOTION, loop, init);
}

const rs_stage rs_stage_motion = {
    .name = "motion",
    .version = 1,
    .per_edit = false,
    .upstream = RS_STAGE_INGEST,
    .hash = hash,
    .run = run_motion,
};
