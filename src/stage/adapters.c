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

/* What is saved counts the job's seconds from job->begin on. */
static double own_clock(rs_training *t)
{
    double now = rs_now();
    if (t->together)
        t->job->begin = now - t->own;
    return now;
}

/* Of several jobs each speaks for itself. */
static void say_who(const rs_training *t)
{
    if (t->together)
        rs_log_set_context(t->job->name);
}

static rs_status save_checkpoint(void *ctx, int64_t step)
{
    rs_training *t = ctx;
    rs_arena *a = rs_arena_create();
    rs_tensor_list l = {0};
    rs_adapter_export(t->adapter, &l, a, true, false);
    rs_tensor_list_add(&l, a, "losses",
                       rs_tensor_of(t->losses, RS_DTYPE_F32, RS_SHAPE(t->loop.steps)));
    double begin = own_clock(t);
    rs_status st = rs_checkpoint_save(t->run, t->job, t->id, step, &l);
    t->own += rs_now() - begin;
    rs_arena_destroy(&a);
    return st;
}

static void report(void *ctx, const rs_train_progress *p)
{
    rs_training *t = ctx;
    double rate = (rs_now() - t->begin) / (double)(p->step - t->first);
    t->own += p->seconds;
    say_who(t);
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
    return *((rs_training *)ctx)->run->stop != 0;
}

/* The factors, moments and losses of an interrupted stage, if there are any. */
static rs_status resume(rs_training *t, rs_stage_init_fn *init, int64_t *step)
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
        else if (rs_tensor_count(l.items[i].t) == t->loop.steps)
            memcpy(t->losses, l.items[i].t.data, (size_t)t->loop.steps * sizeof *t->losses);
    }
    RS_TRY_OUT(rs_adapter_import(t->adapter, &state, true));
    RS_LOG(INFO, "%s resumes after step %lld of %lld", rs_stage_get(t->id)->name, (long long)*step,
           (long long)t->loop.steps);
out:
    rs_arena_destroy(&a);
    return st;
}

/* A trainable adapter as it was when the stage was interrupted, or as it begins. */
static rs_status prepare(rs_training *t, rs_stage_init_fn *init)
{
    rs_denoiser *m;
    RS_TRY(rs_models_denoiser(&t->run->models, &m));
    RS_TRY(rs_models_use_lane(m, t->run->lane, NULL));
    RS_TRY(rs_stage_adapter_create(&t->adapter, t->run, true));
    return resume(t, init, &t->step);
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

static rs_status save_final(rs_training *t)
{
    say_who(t);
    own_clock(t);
    rs_arena *a = rs_arena_create();
    rs_tensor_list l = {0};
    rs_adapter_export(t->adapter, &l, a, false, false);
    rs_tensor_list_add(&l, a, "losses",
                       rs_tensor_of(t->losses, RS_DTYPE_F32, RS_SHAPE(t->loop.steps)));
    rs_meta_list meta = {0};
    rs_meta_add_i64(&meta, a, "rank", t->adapter->rank);
    rs_meta_add_f64(&meta, a, "alpha", (double)t->adapter->alpha);
    rs_meta_add_i64(&meta, a, "steps", t->loop.steps);
    if (t->id == RS_STAGE_APPEARANCE)
        rs_meta_add(&meta, a, "mode", rs_cfg_appearance_mode_text(t->run->cfg->appearance.mode));
    rs_status st = rs_stage_save(t->run, t->job, t->id, &l, &meta);
    rs_arena_destroy(&a);
    return st;
}

rs_status rs_training_open(rs_training *t, rs_stage_init_fn *init)
{
    rs_train_loop *l = &t->loop;
    t->begin = rs_now();
    t->losses = RS_NEW(t->job->scratch, float, l->steps);
    l->frozen = &t->frozen;
    l->frozen_weights = &t->frozen_weight;
    l->n_frozen = t->frozen != NULL;
    l->seed = (uint64_t)t->run->cfg->seed;
    l->job = rs_stage_stream(t->job, t->id);
    l->checkpoint_every = t->run->cfg->checkpoint.every;
    l->ctx = t;
    l->save = save_checkpoint;
    l->report = report;
    l->stop = stop_requested;
    RS_TRY(rs_run_agree(t->run, prepare(t, init)));
    t->first = t->step;
    return rs_stage_same_step(t->run, t->step);
}

rs_status rs_training_finish(rs_training *t)
{
    return rs_run_agree(t->run, save_final(t));
}

rs_status rs_training_run(rs_training *t)
{
    rs_models_rest(&t->run->models);
    RS_TRY(rs_train_run(&t->loop, t->run->models.denoiser, t->adapter, t->losses, &t->step));
    return rs_training_finish(t);
}

void rs_training_close(rs_training *t)
{
    rs_adapter_destroy(&t->adapter);
    rs_adapter_destroy(&t->frozen);
}
