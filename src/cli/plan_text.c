/* The report of `reshoot plan` for people. */
#include <math.h>

#include "base/str.h"
#include "cli/cli.h"
#include "cli/plan.h"
#include "job/job.h"

/* "3.2 h": in the unit that gives a number from 1 to 100 or so. */
static const char *time_text(rs_arena *a, double s)
{
    if (isnan(s))
        return "";
    if (s < 120)
        return rs_arena_printf(a, "%.3g s", s);
    if (s < 7200)
        return rs_arena_printf(a, "%.3g min", s / 60);
    return s < 200 * 3600.0 ? rs_arena_printf(a, "%.3g h", s / 3600)
                            : rs_arena_printf(a, "%.4g d", s / 86400);
}

static void print_head(const rs_plan_report *r)
{
    const rs_plan *p = r->plan;
    const rs_plan_sizes *z = &p->sizes;
    rs_out("%s on %lld rank%s\n\n", r->file, (long long)r->ranks, r->ranks == 1 ? "" : "s");
    rs_out("  model    %s, %lld blocks of width %lld, %.2f M parameters\n", z->family,
           (long long)z->blocks, (long long)z->dim, (double)z->params * 1e-6);
    rs_out("  clip     %lld frames of %lldx%lld: %lld tokens", (long long)p->cfg->clip.frames,
           (long long)p->cfg->clip.width, (long long)p->cfg->clip.height, (long long)z->tokens);
    if (z->window_tokens != z->tokens)
        rs_out(", %lld in a training step", (long long)z->window_tokens);
    rs_out("\n  catalog  ");
    if (p->n_videos != p->catalog->n_videos)
        rs_out("%lld video%s made ", (long long)p->catalog->n_videos,
               p->catalog->n_videos == 1 ? "" : "s");
    rs_out("%lld video%s, %lld edit%s, %lld with references\n", (long long)p->n_videos,
           p->n_videos == 1 ? "" : "s", (long long)p->n_edits, p->n_edits == 1 ? "" : "s",
           (long long)p->tasks[RS_TASK_APPEARANCE]);
}

static void print_row_bytes(rs_arena *a, const char *what, int64_t bytes, const char *remark)
{
    rs_out("    %-24s %10s   %s\n", what, rs_bytes_text(a, bytes), remark);
}

/* The homes that are not taken, for comparison. */
static void print_homes(const rs_plan_sizes *z, rs_arena *a)
{
    print_row_bytes(a, rs_arena_printf(a, "transformer, %s", rs_plan_home_name(z->home)),
                    z->weights[z->home], z->home_reason);
    for (int h = 0; h < RS_PLAN_HOMES; h++) {
        rs_plan_home home = (rs_plan_home)h;
        bool gpu = z->workspace > 0;
        if (home == z->home || (home == RS_PLAN_SHARDED && z->gang < 2) ||
            (home == RS_PLAN_HOST && !gpu) || (home == RS_PLAN_MAPPED && gpu))
            continue;
        print_row_bytes(a, rs_arena_printf(a, "  if %s", rs_plan_home_name(home)), z->weights[h],
                        home == RS_PLAN_MAPPED ? "what the files do not hold in fp32" : "");
    }
}

static void print_bytes(const rs_plan_report *r, rs_arena *a)
{
    const rs_plan_sizes *z = &r->plan->sizes;
    int64_t again = z->blocks - z->kept.store - z->kept.attention;
    rs_out("\n  bytes of one rank%s%s\n", r->plan->rates.value_bytes == 2 ? ", in 16 bits" : "",
           z->weights_present ? "" : "; the model has no weights here, only configurations");
    print_homes(z, a);
    if (z->home == RS_PLAN_HOST)
        print_row_bytes(a, "  on the host", z->pinned, "page-locked, all blocks, once per machine");
    if (z->workspace > 0)
        print_row_bytes(a, "workspace", z->workspace, "of matrix products and attention");
    if (z->twins > 0)
        print_row_bytes(a, "communicators", z->twins, "of NCCL, at most");
    print_row_bytes(a, "vae", z->vae, "weights");
    print_row_bytes(a, "vae, buffers", z->vae_work, "of encoding or decoding");
    print_row_bytes(a, "text encoder", z->text, "ring of two blocks, buffers");
    print_row_bytes(a, "image encoder", z->image, "ring of two blocks, buffers");
    print_row_bytes(a, "activations, training", z->train,
                    rs_arena_printf(a, "blocks: %lld store, %lld keep attention, %lld recompute",
                                    (long long)z->kept.store, (long long)z->kept.attention,
                                    (long long)again));
    if (z->offload_reason)
        print_row_bytes(a, "  on the host", z->offloaded,
                        rs_arena_printf(a, "offloaded: %s", z->offload_reason));
    print_row_bytes(a, "activations, sampling", z->sample, "instead, when sampling");
    print_row_bytes(a, "conditions", z->conditions, "prompts and pictures, at most");
    print_row_bytes(a, "adapter, training", z->adapter, "factors, gradients, moments");
    if (z->batch > 1) {
        print_row_bytes(
            a, "companions", z->companions,
            rs_arena_printf(a, "%d appearances at a time: %s", z->batch, z->batch_reason));
        print_row_bytes(a, "activations, batch", z->together,
                        "instead, when their single frames train");
    }
    if (z->clip)
        print_row_bytes(a, "clip", z->clip, "frames and latents on the host");
    print_row_bytes(a, "total", z->total,
                    rs_arena_printf(a, "most at once, of %s that it may hold%s",
                                    rs_bytes_text(a, z->budget), z->fits ? "" : ": TOO MUCH"));
    rs_out("  one more block: %s to store it, %s to keep its attention\n",
           rs_bytes_text(a, z->block_store), rs_bytes_text(a, z->block_attention));
    rs_out("  checkpoint: a file of %s\n", rs_bytes_text(a, z->checkpoint));
}

/* "2.9 PFLOP" and the like. */
static const char *flop_text(rs_arena *a, double v)
{
    static const char *const k_units[] = {"", "k", "M", "G", "T", "P", "E"};
    int u = 0;
    for (; v >= 1000 && u < 6; u++)
        v /= 1000;
    return rs_arena_printf(a, "%.3g %sFLOP", v, k_units[u]);
}

/* What gangs and lanes make of these. */
static void print_shared(const rs_plan_report *r, rs_arena *a)
{
    const rs_plan_prediction *p = &r->plan->predicted;
    const rs_plan_sizes *z = &r->plan->sizes;
    int64_t lanes = rs_session_lanes(r->plan->cfg);
    if (z->home == RS_PLAN_SHARDED && z->gang > 1)
        rs_out("  gangs of %lld: of these steps %s and %s are waits for gathers, by %.3g GB/s\n",
               (long long)z->gang, time_text(a, p->exposed[RS_TASK_MOTION]),
               time_text(a, p->exposed[RS_TASK_EDIT]), r->plan->rates.link * 1e-9);
    if (z->batch > 1)
        rs_out("  %d appearances at a time take %.3g of their seconds one after the other\n",
               z->batch, p->together[z->batch]);
    else if (p->exposed[RS_TASK_MOTION] > 0 || p->exposed[RS_TASK_EDIT] > 0)
        rs_out("  of these steps %s and %s are waits for copies to and from the host, by %.3g "
               "GB/s\n",
               time_text(a, p->exposed[RS_TASK_MOTION]), time_text(a, p->exposed[RS_TASK_EDIT]),
               r->plan->rates.bus * 1e-9);
    if (lanes > 1)
        rs_out("  lanes of %lld ranks\n", (long long)lanes);
    for (int i = 1, w = rs_plan_widest(r->plan->cfg, z); 1 << i <= w; i++)
        rs_out(
            "  a lane of %d ranks, where some would wait: motion takes %.3g, an edit %.3g of it\n",
            1 << i, p->wider[RS_TASK_MOTION][i], p->wider[RS_TASK_EDIT][i]);
}

static void print_rates(const rs_plan_report *r, rs_arena *a)
{
    const rs_plan_rates *q = &r->plan->rates;
    const rs_plan_work *w = &r->plan->sizes.work;
    rs_out("\n  operations: training step %s, sampling pass %s, clip encoded %s, decoded %s\n",
           flop_text(a, rs_flops_total(w->step)), flop_text(a, rs_flops_total(w->forward)),
           flop_text(a, w->encode), flop_text(a, w->decode));
    rs_out("  rates of %s: GEMM %s/s, attention %s/s and %s/s backward, convolution %s/s\n"
           "    (%s)\n",
           q->device, flop_text(a, q->gemm), flop_text(a, q->attention),
           flop_text(a, q->attention_bwd), flop_text(a, q->conv), q->source);
    rs_out("  expected: %s a training step on the clip, %s a sampling step\n",
           time_text(a, r->plan->predicted.clip_step),
           time_text(a, r->plan->predicted.step[RS_TASK_EDIT]));
    print_shared(r, a);
}

static void print_stage(const rs_plan_report *r, rs_arena *a, int s)
{
    const rs_plan *p = r->plan;
    const rs_plan_cost *c = &p->costs.stage[s];
    rs_out("    %-11s %9lld", rs_task_stage_name((rs_task_stage)s), (long long)p->tasks[s]);
    if (isnan(c->mean)) {
        rs_out("  not known%s\n", s == RS_TASK_PUBLISH ? ", counted as 0" : "");
        return;
    }
    rs_out("  %9s  %6.0f %%  %9s  %10s", time_text(a, c->mean), c->cv * 100,
           time_text(a, p->step_s[s]), time_text(a, c->mean * (double)p->tasks[s]));
    if (c->n)
        rs_out("  of %lld", (long long)c->n);
    rs_out("\n");
}

static void print_costs(const rs_plan_report *r, rs_arena *a)
{
    const rs_plan *p = r->plan;
    if (p->costs.from)
        rs_out("\n  seconds, from %s\n", p->costs.from);
    else
        rs_out("\n  seconds, from operations and rates; give measured ones with --costs\n");
    rs_out("    %-11s %9s  %9s  %8s  %9s  %10s\n", "stage", "tasks", "each", "spread", "a step",
           "all");
    for (int s = 0; s < RS_TASK_CHAIN; s++)
        print_stage(r, a, s);
    if (!p->costs_known) {
        rs_out("  no sum: the seconds of stage %s are not known\n", p->first_unknown);
        return;
    }
    rs_out("  work %s; on %lld rank%s at least %s (%s)\n", time_text(a, r->expected.work),
           (long long)r->ranks, r->ranks == 1 ? "" : "s", time_text(a, r->expected.bound),
           r->expected.bound > r->expected.chain ? "work / ranks"
                                                 : "the longest video, stage after stage");
    if (r->expected.bound > 0)
        rs_out("  at most %.4g videos per hour\n", 3600 * (double)p->n_videos / r->expected.bound);
}

static void print_row(rs_arena *a, const char *name, const rs_sim_result *s)
{
    bool known = !isnan(s->utilisation_handed);
    rs_out("    %-14s %10s  %8.3f  %7.1f %%  %12s\n", name, time_text(a, s->makespan),
           s->makespan / s->bound, s->utilisation * 100,
           known ? rs_arena_printf(a, "%.1f %%", s->utilisation_handed * 100) : "-");
}

static void print_failures(rs_arena *a, const char *name, const rs_sim_result *s)
{
    rs_out("    %-14s %10lld failures, %s of work lost, ranks away for %s\n", name,
           (long long)s->failures, time_text(a, s->lost), time_text(a, s->down));
}

static void print_simulation(const rs_plan_report *r, rs_arena *a)
{
    const rs_sim_result *s = &r->stages;
    const rs_sim_opts *o = r->sim;
    double ranks = (double)o->work.n_gangs;
    rs_out("\n  simulation, seed %llu: work %s, longest video %s, bound %s\n",
           (unsigned long long)o->seed, time_text(a, s->work), time_text(a, s->chain),
           time_text(a, s->bound));
    rs_out("    %-14s %10s  %8s  %9s  %12s\n", "tasks", "makespan", "/ bound", "used",
           "used, no tail");
    print_row(a, "stages", s);
    print_row(a, "whole videos", &r->chains);
    rs_out("    %-14s %10s  %8.3f  %7.1f %%\n", "even split", time_text(a, s->even),
           s->even / s->bound, s->work / (ranks * s->even) * 100);
    if (s->waited > 0)
        rs_out("  ranks at work waited for %s: for longer passes of their gang, or sharing a stage "
               "(%lld times)\n",
               time_text(a, s->waited), (long long)s->helped);
    if (s->companions > 0)
        rs_out("  batches: %lld appearances beside another one, which saved %s\n",
               (long long)s->companions, time_text(a, s->saved));
    if (o->mtbf == 0)
        return;
    rs_out("  with a failure of every node (%lld rank%s) in %s; the even split without\n",
           (long long)o->per_node, o->per_node == 1 ? "" : "s", time_text(a, o->mtbf));
    print_failures(a, "stages", s);
    print_failures(a, "whole videos", &r->chains);
}

void rs_plan_text(const rs_plan_report *r, rs_arena *a)
{
    print_head(r);
    print_bytes(r, a);
    print_rates(r, a);
    print_costs(r, a);
    if (r->sim)
        print_simulation(r, a);
}
