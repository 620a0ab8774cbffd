/* What blocks keep for the backward, where that is, and how many one-frame steps go together. */
#include "base/num.h"
#include "job/job.h"
#include "job/plan_sizes_priv.h"
#include "sched/director.h"

static void keep(const rs_plan_maker *k, rs_kept kept)
{
    kept.offload = k->offload;
    rs_denoiser_set_kept(k->m, kept);
}

static int64_t train_bytes(const rs_plan_maker *k, rs_kept kept)
{
    keep(k, kept);
    return (int64_t)(rs_denoiser_plan(k->m, k->Fw, k->H, k->W, true));
}

rs_flops rs_plan_step_flops(const rs_plan_maker *k, int64_t F, bool training)
{
    int64_t rows = rs_min_i64(RS_PLAN_PROMPT_ROWS, rs_denoiser_get_info(k->m)->text_len);
    return rs_denoiser_flops(k->m, F, k->H, k->W, rows, k->image.rows, training);
}

/* The least work that fits: of every number of stored blocks the most that keep attention. */
static rs_kept least_work(const rs_plan_maker *k, int64_t room)
{
    const rs_plan_sizes *z = k->z;
    rs_kept best = {.store = 1};
    double least = -1;
    for (int64_t s = 1; s <= z->blocks; s++) {
        int64_t bytes = train_bytes(k, (rs_kept){.store = s});
        if (bytes > room)
            break;
        int64_t more = z->block_attention > 0 ? (room - bytes) / z->block_attention : 0;
        rs_kept kept = {.store = s, .attention = rs_min_i64(z->blocks - s, more)};
        keep(k, kept);
        double flops = rs_flops_total(rs_plan_step_flops(k, k->Fw, true));
        if (least < 0 || flops < least) {
            least = flops;
            best = kept;
        }
    }
    return best;
}

/* On the host: of a clip or window, or of a batch of single frames, with what is kept now. */
static int64_t away_bytes(const rs_plan_maker *k)
{
    const rs_plan_sizes *z = k->z;
    size_t one = rs_denoiser_plan_away(k->m, 1, k->Fw, k->H, k->W);
    size_t many = z->batch > 1 ? rs_denoiser_plan_away(k->m, z->batch, 1, k->H, k->W) : 0;
    return (int64_t)(one > many ? one : many);
}

static int64_t locked_bytes(const rs_plan_maker *k)
{
    return away_bytes(k) + (k->z->home == RS_PLAN_HOST ? k->z->pinned : 0);
}

/* Offloaded blocks cost the device the same however many they are. Keeping attention sends as much
 * again as block inputs are; storing everything sends twelve times that, for which a fast GPU has
 * no time: it is left to those who ask for it. */
static rs_kept least_work_away(const rs_plan_maker *k, int64_t room)
{
    rs_kept attention = RS_KEPT_ATTENTION;
    bool fits = train_bytes(k, attention) <= room;
    return fits && (k->room->host == 0 || locked_bytes(k) <= k->room->host) ? attention
                                                                            : (rs_kept){0};
}

static rs_kept kept_of(const rs_plan_maker *k, int64_t room)
{
    switch (k->cfg->memory.recompute) {
    case RS_CFG_RECOMPUTE_AUTO:
        return k->offload ? least_work_away(k, room) : least_work(k, room);
    case RS_CFG_RECOMPUTE_NONE:
        return RS_KEPT_ALL;
    case RS_CFG_RECOMPUTE_ATTENTION:
        return RS_KEPT_ATTENTION;
    case RS_CFG_RECOMPUTE_BLOCK:
        break;
    }
    return (rs_kept){0};
}

/* ---- batches of one-frame steps ---- */

static int64_t count_appearances(const rs_config *c, const rs_catalog *l)
{
    int64_t n = 0;
    rs_run run = {.cfg = c, .catalog = l};
    for (int64_t i = 0; i < l->n_videos; i++)
        for (int64_t e = 0; e < l->videos[i].n_edits; e++)
            n += rs_job_references(
                     &run, &(rs_job){.video = &l->videos[i], .edit = &l->videos[i].edits[e]}) > 0;
    return n;
}

static int64_t together_bytes(const rs_plan_maker *k, rs_kept kept, int n)
{
    keep(k, kept);
    return n > 1 ? (int64_t)rs_denoiser_plan_many(k->m, n, 1, k->H, k->W) : 0;
}

/* As many as fit into a quarter of what is left without them: blocks that are stored or keep their
 * attention save something, too. */
static int most_that_fit(const rs_plan_maker *k, int most, int64_t each, int64_t left)
{
    int64_t alone = train_bytes(k, (rs_kept){0});
    for (; most > 1; most--) {
        int64_t more = rs_max_i64(0, together_bytes(k, (rs_kept){0}, most) - alone);
        if ((most - 1) * each + more <= (left - alone) / 4)
            break;
    }
    return most;
}

_Static_assert(RS_CFG_BATCH_AUTO == 0 && RS_CFG_BATCH_OFF == 1 &&
                   (int)RS_CFG_BATCH_8 == RS_SCHED_BATCH,
               "words of cluster.batch are numbers of jobs");

/* fixed: bytes without activations. */
static void add_batch(rs_plan_maker *k, int64_t fixed)
{
    rs_plan_sizes *z = k->z;
    int64_t jobs = count_appearances(k->cfg, k->catalog);
    int64_t each = z->adapter + rs_plan_train_conditions(k) + z->clip;
    int asked = (int)k->cfg->cluster.batch;
    z->batch = rs_i32(rs_min_i64(asked ? asked : (int)RS_CFG_BATCH_8, rs_max_i64(1, jobs)));
    z->batch_reason = asked ? "asked for" : "as many as fit, as the weights are streamed";
    if (rs_session_lanes(k->cfg) > 1) {
        z->batch = 1;
        z->batch_reason = "the ranks of a lane share one job";
    } else if (!asked && !z->streamed) {
        z->batch = 1;
        z->batch_reason = "the weights are not streamed";
    } else if (!asked) {
        z->batch = most_that_fit(k, z->batch, each, z->budget - fixed);
    }
    z->companions = (z->batch - 1) * each;
}

/* Of one block more, wherever it is. */
static void add_block(rs_plan_maker *k)
{
    rs_plan_sizes *z = k->z;
    bool offload = k->offload;
    k->offload = false;
    if (z->blocks > 1) {
        int64_t least = train_bytes(k, (rs_kept){0});
        z->block_store = train_bytes(k, (rs_kept){.store = 2}) - least;
        z->block_attention = train_bytes(k, (rs_kept){.attention = 1}) - least;
    }
    k->offload = offload;
}

static void add_activations(rs_plan_maker *k, bool offload)
{
    rs_plan_sizes *z = k->z;
    k->offload = offload;
    add_block(k);
    int64_t others = z->vae + z->vae_work + z->text + z->image;
    int64_t fixed =
        z->weights[z->home] + z->conditions + z->adapter + z->clip + z->workspace + z->twins;
    if (!k->gpu) /* which keeps one or the other (rs_models_rest) */
        fixed += others;
    add_batch(k, fixed);
    fixed += z->companions;
    keep(k, kept_of(k, z->budget - fixed));
    z->kept = rs_denoiser_kept(k->m);
    z->offloaded = away_bytes(k);
    z->train = train_bytes(k, z->kept);
    z->together = together_bytes(k, z->kept, z->batch);
    z->total = fixed + rs_max_i64(rs_max_i64(z->train, z->together), z->sample);
    if (k->gpu)
        z->total = rs_max_i64(z->total, fixed + others);
    z->fits = z->total <= z->budget;
}

/* Activations, offloaded where that is asked for, or needed and of use. */
void rs_plan_lay_out(rs_plan_maker *k)
{
    rs_plan_sizes *z = k->z;
    bool on = k->gpu && k->cfg->memory.offload == RS_CFG_OFFLOAD_ON;
    bool may = k->gpu && k->cfg->memory.offload == RS_CFG_OFFLOAD_AUTO;
    add_activations(k, on);
    z->offload_reason = on ? "asked for" : NULL;
    if (k->cfg->memory.offload == RS_CFG_OFFLOAD_ON && !k->gpu)
        z->offload_reason = "asked for, but not done: a CPU's memory is the host's";
    if (z->fits || !may)
        return;
    rs_plan_sizes here = *z;
    add_activations(k, true);
    z->offload_reason = "a training step does not fit on the device without";
    if (z->total < here.total && (k->room->host == 0 || locked_bytes(k) <= k->room->host))
        return;
    *z = here;
    k->offload = false;
    keep(k, z->kept);
}
