#include "stage/adapters.h"

#include <string.h>

#include "base/log.h"
#include "comm/agree.h"
#include "base/num.h"
#include "stage/common.h"
#include "stage/state_io.h"

rs_status rs_stage_adapter_create(rs_adapter **out, rs_run *run, bool trainable)
{
    rs_denoiser *m;
    const rs_cfg_lora_section *l = &run->cfg->lora;
    RS_TRY(rs_models_denoiser(&run->models, &m));
    return rs_adapter_create(out, m, l->rank, (float)l->alpha, l->targets.items,
                             rs_i32(l->targets.n), trainable);
}

rs_status rs_stage_adapter_load(rs_adapter *a, const rs_run *run, const rs_job *job, rs_stage_id id)
{
    rs_tensor_list l = {0}, factors = {0};
    rs_arena *scratch = rs_arena_create();
    rs_meta_list meta = {0};
    rs_status st = RS_OK;
    RS_TRY_OUT(rs_stage_load(run, job, id, scratch, &l, &meta));
    for (int64_t i = 0; i < l.n; i++)
        if (strstr(l.items[i].name, ".lora_"))
            rs_tensor_list_add(&factors, scratch, l.items[i].name, l.items[i].t);
    RS_TRY_OUT(rs_adapter_import(a, &factors, false));
out:
    rs_arena_destroy(&scratch);
    return st;
}

bool rs_stage_has_adapter(const rs_run *run, const rs_job *job, rs_stage_id id)
{
    return id == RS_STAGE_MOTION ? run->cfg->motion.steps > 0
                                 : rs_stage_appearance.applies(run, job);
}

rs_optim_opts rs_stage_optim(const rs_run *run, double lr)
{
    const rs_cfg_optimizer_section *o = &run->cfg->optimizer;
    return (rs_optim_opts){.lr = lr,
                           .beta1 = o->beta1,
                           .beta2 = o->beta2,
                           .eps = o->eps,
                           .weight_decay = o->weight_decay,
                           .grad_clip = o->grad_clip};
}

typedef struct training {
    rs_run *run;
    rs_job *job;
    rs_stage_id id;
    rs_adapter *adapter;
    float *losses;
    int64_t steps;
    double begin;
    rs_log_pace pace;
    int64_t first; /* step this process started at */
} training;

static rs_status save_checkpoint(void *ctx, int64_t step)
{
    training *t = ctx;
    rs_arena *a = rs_arena_create();
    rs_tensor_list l = {0};
    rs_adapter_export(t->adapter, &l, a, true, false);
    rs_tensor_list_add(&l, a, "losses", rs_tensor_of(t->losses, RS_DTYPE_F32, RS_SHAPE(t->steps)));
    rs_status st = rs_checkpoint_save(t->run, t->job, t->id, step, &l);
    rs_arena_destroy(&a);
    return st;
}

static void report(void *ctx, const rs_train_progress *p)
{
    training *t = ctx;
    double rate = (rs_now() - t->begin) / (double)(p->step - t->first);
    rs_live_step(t->run->live, t->job->live_task,
                 &(rs_live_steps){p->step, p->steps, (double)p->loss, rate});
    if (!rs_log_due(&t->pace) && p->step != p->steps)
        return;
    RS_LOG_STEP("%s step %lld/%lld  loss %.4f  |g| %.3f  %.3f s/step  ETA %.0f s",
                rs_stage_get(t->id)->name, (long long)p->step, (long long)p->steps, (double)p->loss,
                p->grad_norm, rate, rate * (double)(p->steps - p->step));
}

static bool stop_requested(void *ctx)
{
    return *((training *)ctx)->run->stop != 0;
}

/* The factors, moments and losses of an interrupted stage, if there are any. */
static rs_status resume(training *t, rs_stage_init_fn *init, int64_t *step)
{
    rs_tensor_list l = {0}, state = {0};
    rs_arena *a = rs_arena_create();
    rs_status st = RS_OK;
    rs_checkpoint_load(t->run, t->job, t->id, a, step, &l);
    if (*step == 0) {
        st = init(t->adapter, t->run, t->job);
        goto out;
    }
    for (int64_t i = 0; i < l.n; i++) {
        if (strcmp(l.items[i].name, "losses") != 0)
            rs_tensor_list_add(&state, a, l.items[i].name, l.items[i].t);
        else if (rs_tensor_count(l.items[i].t) == t->steps)
            memcpy(t->losses, l.items[i].t.data, (size_t)t->steps * sizeof *t->losses);
    }
    RS_TRY_OUT(rs_adapter_import(t->adapter, &state, true));
    RS_LOG(INFO, "%s resumes after step %lld of %lld", rs_stage_get(t->id)->name, (long long)*step,
           (long long)t->steps);
out:
    rs_arena_destroy(&a);
    return st;
}

/* A trainable adapter as it was when the stage was interrupted, or as it begins. */
static rs_status prepare(training *t, rs_denoiser **m, rs_stage_init_fn *init, int64_t *step)
{
    RS_TRY(rs_models_denoiser(&t->run->models, m));
    RS_TRY(rs_models_use_lane(*m, t->run->lane, NULL));
    RS_TRY(rs_stage_adapter_create(&t->adapter, t->run, true));
    return resume(t, init, step);
}

rs_status rs_stage_same_step(const rs_run *run, int64_t step)
{
    int64_t most;
    if (!run->lane)
        return RS_OK;
    RS_TRY(rs_comm_allreduce(&most, run->lane, &step, 1, RS_COMM_I64, RS_COMM_MAX, "first step"));
    return rs_comm_agree(run->lane, most == step ? RS_OK
                                                 : RS_FAIL(IO,
                                                           "ranks of a lane see checkpoints of "
                                                           "steps %lld and %lld",
                                                           (long long)step, (long long)most));
}

static rs_status save_final(const training *t)
{
    rs_arena *a = rs_arena_create();
    rs_tensor_list l = {0};
    rs_adapter_export(t->adapter, &l, a, false, false);
    rs_tensor_list_add(&l, a, "losses", rs_tensor_of(t->losses, RS_DTYPE_F32, RS_SHAPE(t->steps)));
    rs_meta_list meta = {0};
    rs_meta_add_i64(&meta, a, "rank", t->adapter->rank);
    rs_meta_add_f64(&meta, a, "alpha", (double)t->adapter->alpha);
    rs_meta_add_i64(&meta, a, "steps", t->steps);
    if (t->id == RS_STAGE_APPEARANCE)
        rs_meta_add(&meta, a, "mode", rs_cfg_appearance_mode_text(t->run->cfg->appearance.mode));
    rs_status st = rs_stage_save(t->run, t->job, t->id, &l, &meta);
    rs_arena_destroy(&a);
    return st;
}

rs_status rs_stage_train(rs_run *run, rs_job *job, rs_stage_id id, rs_train_loop loop,
                         rs_stage_init_fn *init)
{
    rs_status st = RS_OK;
    rs_denoiser *m;
    int64_t step = 0;
    training t = {.run = run, .job = job, .id = id, .steps = loop.steps, .begin = rs_now()};
    t.losses = RS_NEW(job->scratch, float, loop.steps);
    loop.seed = (uint64_t)run->cfg->seed;
    loop.job = rs_stage_stream(job, id);
    loop.checkpoint_every = run->cfg->checkpoint.every;
    loop.ctx = &t;
    loop.save = save_checkpoint;
    loop.report = report;
    loop.stop = stop_requested;
    RS_TRY_OUT(rs_run_agree(run, prepare(&t, &m, init, &step)));
    RS_TRY_OUT(rs_stage_same_step(run, step));
    t.first = step;
    RS_TRY_OUT(rs_train_run(&loop, m, t.adapter, t.losses, &step));
    RS_TRY_OUT(rs_run_agree(run, save_final(&t)));
out:
    rs_adapter_destroy(&t.adapter);
    return st;
}
