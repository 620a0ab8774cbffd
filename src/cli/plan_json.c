/* The report of `reshoot plan` as JSON; its members are documented in docs/plan.md. */
#include <math.h>

#include "cli/plan.h"

static void write_bytes(rs_jsonw *w, const rs_plan_sizes *z)
{
    const struct {
        const char *name;
        int64_t bytes;
    } rows[] = {
        {"transformer", z->weights[z->home]},
        {"transformer_resident", z->weights[RS_PLAN_RESIDENT]},
        {"transformer_mapped", z->weights[RS_PLAN_MAPPED]},
        {"transformer_host", z->weights[RS_PLAN_HOST]},
        {"transformer_sharded", z->weights[RS_PLAN_SHARDED]},
        {"vae", z->vae},
        {"vae_buffers", z->vae_work},
        {"text_encoder", z->text},
        {"image_encoder", z->image},
        {"activations_training", z->train},
        {"activations_sampling", z->sample},
        {"block_store", z->block_store},
        {"block_attention", z->block_attention},
        {"conditions", z->conditions},
        {"adapter_training", z->adapter},
        {"companions", z->companions},
        {"activations_batch", z->together},
        {"clip", z->clip},
        {"workspace", z->workspace},
        {"communicators", z->twins},
        {"pinned_on_host", z->home == RS_PLAN_HOST ? z->pinned : 0},
        {"offloaded_to_host", z->offloaded},
        {"total", z->total},
        {"budget", z->budget},
        {"checkpoint", z->checkpoint},
    };
    rs_jsonw_object(w, "bytes");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        rs_jsonw_i64(w, rows[i].name, rows[i].bytes);
    rs_jsonw_end(w);
}

static void write_sizes(rs_jsonw *w, const rs_plan *p)
{
    const rs_plan_sizes *z = &p->sizes;
    rs_jsonw_object(w, "model");
    rs_jsonw_string(w, "family", z->family);
    rs_jsonw_i64(w, "blocks", z->blocks);
    rs_jsonw_i64(w, "width", z->dim);
    rs_jsonw_i64(w, "parameters", z->params);
    rs_jsonw_i64(w, "tokens", z->tokens);
    rs_jsonw_i64(w, "tokens_training", z->window_tokens);
    rs_jsonw_end(w);
    write_bytes(w, z);
    rs_jsonw_object(w, "home");
    rs_jsonw_string(w, "name", rs_plan_home_name(z->home));
    rs_jsonw_string(w, "reason", z->home_reason);
    rs_jsonw_i64(w, "gang", z->gang);
    rs_jsonw_end(w);
    rs_jsonw_object(w, "batch");
    rs_jsonw_i64(w, "jobs", z->batch);
    rs_jsonw_string(w, "reason", z->batch_reason);
    rs_jsonw_end(w);
    rs_jsonw_object(w, "blocks");
    rs_jsonw_i64(w, "store", z->kept.store);
    rs_jsonw_i64(w, "attention", z->kept.attention);
    rs_jsonw_i64(w, "recompute", z->blocks - z->kept.store - z->kept.attention);
    rs_jsonw_bool(w, "offload", z->kept.offload);
    rs_jsonw_end(w);
}

static void write_rates(rs_jsonw *w, const rs_plan *p)
{
    const rs_plan_work *o = &p->sizes.work;
    const rs_plan_rates *r = &p->rates;
    rs_jsonw_object(w, "flop");
    rs_jsonw_f64(w, "step", rs_flops_total(o->step));
    rs_jsonw_f64(w, "step_one_frame", rs_flops_total(o->one_frame));
    rs_jsonw_f64(w, "forward", rs_flops_total(o->forward));
    rs_jsonw_f64(w, "encode", o->encode);
    rs_jsonw_f64(w, "decode", o->decode);
    rs_jsonw_end(w);
    rs_jsonw_object(w, "rates");
    rs_jsonw_string(w, "device", r->device);
    rs_jsonw_string(w, "source", r->source);
    rs_jsonw_f64(w, "gemm", r->gemm);
    rs_jsonw_f64(w, "attention", r->attention);
    rs_jsonw_f64(w, "attention_backward", r->attention_bwd);
    rs_jsonw_f64(w, "convolution", r->conv);
    rs_jsonw_f64(w, "link", r->link);
    rs_jsonw_end(w);
    rs_jsonw_object(w, "expected");
    rs_jsonw_f64(w, "training_step", p->predicted.clip_step);
    rs_jsonw_f64(w, "sampling_step", p->predicted.step[RS_TASK_EDIT]);
    rs_jsonw_f64(w, "training_exposed", p->predicted.exposed[RS_TASK_MOTION]);
    rs_jsonw_f64(w, "sampling_exposed", p->predicted.exposed[RS_TASK_EDIT]);
    rs_jsonw_end(w);
}

/* What launch scripts need to know: where the run's files will be and what it reads. */
static void write_run(rs_jsonw *w, const rs_config *cfg)
{
    rs_jsonw_object(w, "run");
    rs_jsonw_string(w, "name", cfg->name);
    rs_jsonw_string(w, "output", cfg->output);
    rs_jsonw_string(w, "model", cfg->model.path);
    rs_jsonw_i64(w, "threads", cfg->cluster.threads);
    rs_jsonw_end(w);
}

/* Numbers that are not known become null. */
static void write_costs(rs_jsonw *w, const rs_plan *p)
{
    rs_jsonw_string(w, "costs", p->costs.from);
    rs_jsonw_object(w, "stages");
    for (int s = 0; s < RS_TASK_CHAIN; s++) {
        rs_jsonw_object(w, rs_task_stage_name((rs_task_stage)s));
        rs_jsonw_i64(w, "tasks", p->tasks[s]);
        rs_jsonw_f64(w, "mean", p->costs.stage[s].mean);
        rs_jsonw_f64(w, "cv", p->costs.stage[s].cv);
        rs_jsonw_i64(w, "measured", p->costs.stage[s].n);
        rs_jsonw_f64(w, "predicted", p->predicted.task[s]);
        rs_jsonw_f64(w, "step", p->step_s[s]);
        rs_jsonw_end(w);
    }
    rs_jsonw_end(w);
}

static void write_result(rs_jsonw *w, const char *name, const rs_sim_result *s)
{
    rs_jsonw_object(w, name);
    rs_jsonw_f64(w, "makespan", s->makespan);
    rs_jsonw_f64(w, "bound", s->bound);
    rs_jsonw_f64(w, "ratio", s->bound > 0 ? s->makespan / s->bound : NAN);
    rs_jsonw_f64(w, "utilisation", s->utilisation);
    rs_jsonw_f64(w, "utilisation_no_tail", s->utilisation_handed);
    rs_jsonw_f64(w, "tail_begins", s->handed);
    rs_jsonw_f64(w, "lost", s->lost);
    rs_jsonw_f64(w, "down", s->down);
    rs_jsonw_f64(w, "waited", s->waited);
    rs_jsonw_i64(w, "helped", s->helped);
    rs_jsonw_i64(w, "companions", s->companions);
    rs_jsonw_f64(w, "saved", s->saved);
    rs_jsonw_i64(w, "failures", s->failures);
    rs_jsonw_i64(w, "tasks", s->tasks);
    rs_jsonw_i64(w, "events", s->events);
    rs_jsonw_end(w);
}

static void write_simulation(rs_jsonw *w, const rs_plan_report *r)
{
    const rs_sim_result *s = &r->stages;
    rs_jsonw_object(w, "simulation");
    rs_jsonw_i64(w, "seed", (int64_t)r->sim->seed);
    rs_jsonw_f64(w, "work", s->work);
    rs_jsonw_f64(w, "longest_video", s->chain);
    rs_jsonw_object(w, "stage_seconds");
    for (int k = 0; k < RS_TASK_CHAIN; k++)
        rs_jsonw_f64(w, rs_task_stage_name((rs_task_stage)k), s->stage_s[k]);
    rs_jsonw_end(w);
    write_result(w, "stages", s);
    write_result(w, "whole_videos", &r->chains);
    rs_jsonw_object(w, "even_split");
    rs_jsonw_f64(w, "makespan", s->even);
    rs_jsonw_f64(w, "ratio", s->bound > 0 ? s->even / s->bound : NAN);
    rs_jsonw_end(w);
    rs_jsonw_end(w);
}

void rs_plan_json(rs_jsonw *w, const rs_plan_report *r)
{
    const rs_plan *p = r->plan;
    rs_jsonw_object(w, NULL);
    rs_jsonw_string(w, "format", "reshoot plan");
    rs_jsonw_i64(w, "version", 2);
    rs_jsonw_string(w, "experiment", r->file);
    rs_jsonw_i64(w, "ranks", r->ranks);
    write_run(w, p->cfg);
    rs_jsonw_i64(w, "videos", p->n_videos);
    rs_jsonw_i64(w, "edits", p->n_edits);
    write_sizes(w, p);
    write_rates(w, p);
    write_costs(w, p);
    rs_jsonw_f64(w, "work", p->costs_known ? r->expected.work : NAN);
    rs_jsonw_f64(w, "bound", p->costs_known ? r->expected.bound : NAN);
    rs_jsonw_f64(w, "videos_per_hour",
                 p->costs_known && r->expected.bound > 0
                     ? 3600 * (double)p->n_videos / r->expected.bound
                     : NAN);
    if (r->sim)
        write_simulation(w, r);
    rs_jsonw_end(w);
}
