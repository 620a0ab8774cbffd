/* Seconds of the stages, from operations, bytes and rates. */
#include <math.h>

#include "base/num.h"
#include "job/job.h"

double rs_plan_seconds(const rs_plan_rates *r, rs_flops f)
{
    return f.gemm / r->gemm + f.attention / r->attention + f.attention_bwd / r->attention_bwd;
}

/* A pass: `all` its operations, `forward` those of its first half (of sampling: the same). */
typedef struct pass {
    rs_flops all, forward;
    int64_t tokens;
} pass;

typedef struct cost {
    double s, exposed;
} cost;

/* What predictions are made from. */
typedef struct predictor {
    const rs_config *c;
    const rs_plan_sizes *z;
    const rs_plan_rates *r;
    double references;
    int width; /* ranks of the lane */
} predictor;

/* A rank of a gang gets the others' parts of a block. */
static double gather_seconds(const rs_plan_sizes *z, const rs_plan_rates *r)
{
    if (z->home != RS_PLAN_SHARDED || z->gang < 2 || r->link <= 0)
        return 0;
    return (double)z->block_image * (double)(z->gang - 1) / (double)z->gang / r->link;
}

/* Of a block: from the host (its weights, if they are there), and either way (what it keeps). */
static double bus_seconds(const rs_plan_sizes *z, const rs_plan_rates *r, int64_t bytes)
{
    return r->bus > 0 ? (double)bytes / (double)z->blocks / r->bus : 0;
}

/* Gathers go on beside the computation of the block before. Forwards every block is gathered (the
 * first one for the next pass), backwards all but the last two, which are there. So do copies from
 * the host, and what blocks keep leaves forwards and comes back backwards. A forward makes
 * four exchanges of a lane's rows per block, a backward eight. */
static cost pass_cost(const predictor *p, const pass *x, int width)
{
    const rs_plan_sizes *z = p->z;
    bool trains = rs_flops_total(x->all) > rs_flops_total(x->forward);
    double blocks = (double)z->blocks, n = (double)width;
    double exchange = p->r->link > 0 ? (double)(x->tokens * z->dim * p->r->value_bytes) / n *
                                           (n - 1) / n / p->r->link
                                     : 0;
    double forward = rs_plan_seconds(p->r, x->forward) / n + 4 * blocks * exchange;
    double all = rs_plan_seconds(p->r, x->all) / n + (trains ? 12 : 4) * blocks * exchange;
    double gather = gather_seconds(z, p->r);
    double weights = bus_seconds(z, p->r, z->home == RS_PLAN_HOST ? z->pinned : 0);
    double kept = trains ? bus_seconds(z, p->r, z->offloaded) : 0;
    double in = fmax(gather, weights);
    double exposed = blocks * fmax(0, fmax(in, kept) - forward / blocks);
    if (trains)
        exposed += (blocks - 2) * fmax(0, fmax(gather, weights + kept) - (all - forward) / blocks);
    return (cost){.s = all + exposed, .exposed = exposed};
}

static cost clip_step(const predictor *p)
{
    const rs_plan_work *w = &p->z->work;
    return pass_cost(p, &(pass){w->step, w->step_forward, p->z->window_tokens}, p->width);
}

/* Guidance over two halves of a lane: each makes one of the two passes. */
static cost sampling_step(const predictor *p, double *passes)
{
    const rs_plan_work *w = &p->z->work;
    bool guided = p->c->edit.guidance != 1, halves = guided && p->width > 1;
    pass x = {w->forward, w->forward, p->z->tokens};
    cost one = pass_cost(p, &x, halves ? p->width / 2 : p->width);
    *passes = guided && !halves ? 2 : 1;
    return (cost){.s = *passes * one.s, .exposed = *passes * one.exposed};
}

/* The mean step of an appearance stage, and how many it has. */
static cost appearance_step(const predictor *p, double *steps)
{
    const rs_cfg_appearance_section *c = &p->c->appearance;
    const rs_plan_work *w = &p->z->work;
    pass x = {w->one_frame, w->one_frame_forward, p->z->tokens / p->z->frames[0]};
    double singles = (double)c->repeats * p->references;
    cost one = pass_cost(p, &x, p->width), clip = clip_step(p);
    *steps =
        c->schedule == RS_CFG_SCHEDULE_CODE ? (double)c->epochs * (1 + singles) : (double)c->steps;
    return (cost){.s = (clip.s + singles * one.s) / (1 + singles),
                  .exposed = (clip.exposed + singles * one.exposed) / (1 + singles)};
}

/* The jobs of a batch make their steps on single frames in one pass, those on the clip one after
 * the other. */
static void predict_batches(rs_plan_prediction *out, const predictor *p)
{
    const rs_plan_work *w = &p->z->work;
    double singles = (double)p->c->appearance.repeats * p->references, clip = clip_step(p).s;
    int64_t tokens = p->z->tokens / p->z->frames[0];
    double alone = pass_cost(p, &(pass){w->one_frame, w->one_frame_forward, tokens}, p->width).s;
    for (int n = 1; n <= RS_SCHED_BATCH; n++) {
        pass x = {.tokens = n * tokens};
        for (int i = 0; i < n; i++) {
            rs_flops_add(&x.all, w->one_frame);
            rs_flops_add(&x.forward, w->one_frame_forward);
        }
        out->together[n] =
            (clip + singles * pass_cost(p, &x, p->width).s / n) / (clip + singles * alone);
    }
}

/* Stages that make passes; the others are the work of one rank. */
static void predict_passes(rs_plan_prediction *out, const predictor *p)
{
    const rs_plan_work *w = &p->z->work;
    const rs_config *c = p->c;
    double steps, passes, encode = w->encode / p->r->conv;
    double prompt = rs_plan_seconds(p->r, w->text), image = rs_plan_seconds(p->r, w->image);
    double encoded = 2 * w->encode_one / p->r->conv + prompt + image;
    cost motion = clip_step(p), edit = sampling_step(p, &passes),
         appearance = appearance_step(p, &steps);
    out->clip_step = motion.s;
    out->step[RS_TASK_MOTION] = out->pass[RS_TASK_MOTION] = motion.s;
    out->step[RS_TASK_APPEARANCE] = out->pass[RS_TASK_APPEARANCE] = appearance.s;
    out->step[RS_TASK_EDIT] = edit.s;
    out->pass[RS_TASK_EDIT] = edit.s / passes;
    out->exposed[RS_TASK_MOTION] = motion.exposed;
    out->exposed[RS_TASK_APPEARANCE] = appearance.exposed;
    out->exposed[RS_TASK_EDIT] = edit.exposed;
    out->task[RS_TASK_MOTION] = (double)c->motion.steps * motion.s;
    out->task[RS_TASK_APPEARANCE] = steps * appearance.s + p->references * encoded;
    out->task[RS_TASK_EDIT] =
        (double)c->edit.steps * edit.s + encode + (c->edit.guidance != 1 ? 2 : 1) * prompt + image;
}

static void predict_widths(rs_plan_prediction *out, predictor p)
{
    rs_plan_prediction one = {0}, at;
    p.width = 1;
    predict_passes(&one, &p);
    for (int i = 0; i < RS_PLAN_WIDTHS; i++) {
        p.width = 1 << i;
        at = (rs_plan_prediction){0};
        predict_passes(&at, &p);
        for (int s = RS_TASK_MOTION; s <= RS_TASK_EDIT; s++)
            out->wider[s][i] = one.task[s] > 0 ? at.task[s] / one.task[s] : 1;
    }
}

void rs_plan_predict(rs_plan_prediction *out, const rs_config *c, const rs_plan_sizes *z,
                     const rs_plan_rates *r, double references)
{
    const rs_plan_work *w = &z->work;
    predictor p = {.c = c, .z = z, .r = r, .references = references};
    double prompt = rs_plan_seconds(r, w->text), image = rs_plan_seconds(r, w->image);
    p.width = (int)rs_max_i64(1, rs_session_lanes(c));
    *out = (rs_plan_prediction){0};
    predict_passes(out, &p);
    predict_batches(out, &p);
    predict_widths(out, p);
    out->task[RS_TASK_INGEST] = 2 * w->encode / r->conv + prompt + image;
    out->task[RS_TASK_DECODE] = w->decode / r->conv;
    if (c->measure.clip)
        out->task[RS_TASK_PUBLISH] = 2 * (double)c->clip.frames * image;
}
