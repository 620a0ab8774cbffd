/* motion: a LoRA learns the motion of the source clip from one sample (loraedit.md 2), or from its
 * windows. With motion.steps 0 there is no adapter: the state says so and holds no tensors. */
#include "stage/adapters.h"
#include "stage/common.h"
#include "stage/samples.h"
#include "stage/state_io.h"

static rs_status hash(rs_hash *h, const rs_run *run, const rs_job *job)
{
    static const char *const sections[] = {"motion.steps", "motion.lr", "motion.timestep",
                                           "lora",         "optimizer", "seed"};
    const rs_cfg_motion_section *c = &run->cfg->motion;
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++)
        rs_config_hash_section(h, run->cfg, sections[i]);
    if (c->condition != RS_CFG_GIVEN_MASKED)
        rs_config_hash_section(h, run->cfg, "motion.condition");
    if (c->window) {
        rs_config_hash_section(h, run->cfg, "motion.window");
        rs_config_hash_section(h, run->cfg, "motion.window_stride");
    }
    rs_hash_string(h, run->transformer_id);
    rs_hash_string(h, job->video->id); /* names the random streams */
    return RS_OK;
}

static rs_status init(rs_adapter *a, rs_run *run, rs_job *job)
{
    rs_adapter_init(a, (uint64_t)run->cfg->seed, rs_stage_stream(job, RS_STAGE_MOTION));
    return RS_OK;
}

static rs_status save_nothing(rs_run *run, rs_job *job)
{
    rs_tensor_list none = {0};
    rs_meta_list meta = {0};
    rs_meta_add_i64(&meta, job->scratch, "steps", 0);
    return rs_stage_save(run, job, RS_STAGE_MOTION, &none, &meta);
}

static rs_status prepare(rs_training *t)
{
    rs_run *run = t->run;
    rs_job *job = t->job;
    int64_t steps = run->cfg->motion.steps;
    RS_TRY(rs_run_agree(run, rs_job_load_source(run, job)));
    int64_t n = rs_stage_clip_samples(run, job);
    rs_train_item *items = RS_NEW(job->scratch, rs_train_item, n);
    int32_t *order = RS_NEW(job->scratch, int32_t, steps);
    RS_TRY(rs_run_agree(run, rs_stage_make_clip_samples(items, run, job)));
    rs_stage_clip_order(order, steps, run, job, RS_STAGE_MOTION);
    t->loop = (rs_train_loop){.items = items,
                              .n_items = n,
                              .order = order,
                              .steps = steps,
                              .optim = rs_stage_optim(run, run->cfg->motion.lr)};
    return rs_training_open(t, init);
}

static rs_status run_motion(rs_run *run, rs_job *job)
{
    rs_training t = {.run = run, .job = job, .id = RS_STAGE_MOTION};
    if (run->cfg->motion.steps == 0)
        return save_nothing(run, job);
    rs_status st = prepare(&t);
    if (st == RS_OK)
        st = rs_training_run(&t);
    rs_training_close(&t);
    return st;
}

const rs_stage rs_stage_motion = {
    .name = "motion",
    .version = 2, /* sums over tokens in a tree of segments */
    .per_edit = false,
    .shared = true,
    .upstream = RS_STAGE_INGEST,
    .hash = hash,
    .run = run_motion,
};
