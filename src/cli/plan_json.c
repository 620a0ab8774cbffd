/* The report of `reshoot plan` as JSON; its members are documented in docs/plan.md. */
#include <math.h>

#include "cli/plan.h"

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
    rs_jsonw_object(w, "bytes");
    rs_jsonw_i64(w, "transformer_resident", z->transformer_resident);
    rs_jsonw_i64(w, "transformer_mapped", z->transformer_mapped);
    rs_jsonw_i64(w, "vae", z->vae);
    rs_jsonw_i64(w, "activations_training", z->train);
    rs_jsonw_i64(w, "activations_sampling", z->sample);
    rs_jsonw_i64(w, "adapter_training", z->adapter);
    rs_jsonw_i64(w, "checkpoint", z->checkpoint);
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
    rs_jsonw_i64(w, "version", 1);
    rs_jsonw_string(w, "experiment", r->file);
    rs_jsonw_i64(w, "ranks", r->ranks);
    write_run(w, p->cfg);
    rs_jsonw_i64(w, "videos", p->n_videos);
    rs_jsonw_i64(w, "edits", p->n_edits);
    write_sizes(w, p);
    write_costs(w, p);
    rs_jsonw_f64(w, "work", p->costs_known ? r->expected.work : NAN);
    rs_jsonw_f64(w, "bound", p->costs_known ? r->expected.bound : NAN);
    if (r->sim)
        write_simulation(w, r);
    rs_jsonw_end(w);
}
