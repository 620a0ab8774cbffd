/* What a run states before it starts, and how it kept to that: memory by purpose, the weights'
 * home, what blocks keep, expected seconds. */
#include "base/log.h"
#include "base/num.h"
#include "base/str.h"
#include "comm/agree.h"
#include "device/queue.h"
#include "job/job.h"

/* Of the machine, or of this rank's GPU: what is free there and what this rank already holds. */
static rs_plan_room room_of(const rs_run_session *s)
{
    const double USABLE = 0.95; /* the rest is lost between blocks */
    const double LOCKED = 0.8;  /* of the host, at most */
    size_t room, all;
    rs_plan_room r = {.machine = rs_plan_machine_bytes(""),
                      .ranks = s->machine_ranks,
                      .limit = (int64_t)(s->run.cfg->memory.limit * 1e9)};
    if (rs_device_host_memory(s->dev))
        return r;
    rs_device_room(s->dev, &room, &all);
    r.gpu = true;
    r.dev = s->dev;
    r.host = (int64_t)(LOCKED * (double)r.machine) / rs_max_i64(1, r.ranks);
    r.ranks = 1;
    r.machine = (int64_t)all;
    r.lane = rs_comm_size(s->world.gang);
    if (r.limit == 0)
        r.limit = s->twins_taken + (int64_t)(USABLE * (double)(room + rs_device_bytes(s->dev)));
    return r;
}

static rs_status plan_alone(rs_run_session *s)
{
    static const rs_weight_home homes[] = {[RS_PLAN_RESIDENT] = RS_HOME_RESIDENT,
                                           [RS_PLAN_MAPPED] = RS_HOME_MAPPED,
                                           [RS_PLAN_HOST] = RS_HOME_HOST,
                                           [RS_PLAN_SHARDED] = RS_HOME_SHARDED};
    const rs_config *c = s->run.cfg;
    rs_denoiser_opts *o = &s->run.models.denoiser_opts;
    rs_plan_room room = room_of(s);
    rs_weight_home before = o->home;
    int64_t gang = rs_plan_sharded(c) ? rs_comm_size(s->world.gang) : 0;
    RS_TRY(rs_plan_sizes_make(&s->sizes, c, s->catalog, &room, sizeof(float), gang));
    RS_TRY(rs_device_reserve(s->dev, (size_t)s->sizes.workspace));
    o->home = homes[s->sizes.home];
    o->kept = s->sizes.kept;
    s->planned = rs_max_i64(s->planned, s->sizes.total - s->sizes.clip - s->sizes.twins);
    if (s->run.models.denoiser && o->home != before)
        rs_denoiser_close(&s->run.models.denoiser); /* opened again when all have planned */
    if (s->run.models.denoiser)
        rs_denoiser_set_kept(s->run.models.denoiser, o->kept);
    return RS_OK;
}

/* One copy on the host, if all ranks of the machine want one there: each plans for its own GPU. */
rs_status rs_session_plan(rs_run_session *s)
{
    rs_status st = plan_alone(s);
    int64_t all = st == RS_OK && s->sizes.home == RS_PLAN_HOST;
    RS_TRY(rs_comm_agree(s->world.comm, st));
    RS_TRY(rs_comm_allreduce(&all, s->world.node, &all, 1, RS_COMM_I64, RS_COMM_MIN,
                             "homes on this machine"));
    s->run.models.denoiser_opts.node = all ? s->world.node : NULL;
    return RS_OK;
}

static void log_twins(const rs_run_session *s)
{
    const char *taken = rs_bytes_text(s->arena, s->twins_taken);
    const char *planned = rs_bytes_text(s->arena, s->sizes.twins);
    if (s->twins_taken > s->sizes.twins)
        RS_LOG(WARN, "communicators of NCCL take %s of the device, planned were %s", taken,
               planned);
    else if (s->twins_taken > 0)
        RS_LOG(DETAIL, "communicators of NCCL take %s of the device, of %s planned", taken,
               planned);
}

/* Home host: one copy where all ranks of the machine have it, else one of each. */
static void log_host(const rs_run_session *s)
{
    const double USABLE = 0.9; /* the rest is the program's and the system's */
    const rs_plan_sizes *z = &s->sizes;
    bool shared = s->run.models.denoiser_opts.node;
    int64_t machine = rs_plan_machine_bytes(""), all = z->pinned * (shared ? 1 : s->machine_ranks);
    if (z->home != RS_PLAN_HOST)
        return;
    RS_LOG(INFO, "on the host: %s page-locked, %s", rs_bytes_text(s->arena, all),
           s->machine_ranks == 1 ? "all blocks"
           : shared ? rs_arena_printf(s->arena, "one copy for the %d ranks of a machine",
                                      s->machine_ranks)
                    : "a copy per rank");
    if (machine > 0 && (double)all > USABLE * (double)machine)
        RS_LOG(WARN, "home host: %s on a machine that has, or whose control group allows, %s",
               rs_bytes_text(s->arena, all), rs_bytes_text(s->arena, machine));
}

static void log_memory(const rs_plan_sizes *z, rs_arena *a)
{
    const struct {
        const char *what;
        int64_t bytes;
    } rows[] = {
        {"transformer", z->weights[z->home]},
        {"vae", z->vae + z->vae_work},
        {"encoders", z->text + z->image},
        {"activations", rs_max_i64(rs_max_i64(z->train, z->together), z->sample)},
        {"conditions", z->conditions},
        {"adapters", z->adapter},
        {"companions", z->companions},
        {"clip", z->clip},
        {"workspace", z->workspace},
        {"communicators", z->twins},
    };
    rs_strbuf text = rs_strbuf_on(a);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        rs_strbuf_printf(&text, "%s%s %s", i ? ", " : "", rows[i].what,
                         rs_bytes_text(a, rows[i].bytes));
    RS_LOG(INFO, "memory of a rank: %s = %s of %s", text.data, rs_bytes_text(a, z->total),
           rs_bytes_text(a, z->budget));
    RS_LOG(INFO, "weights: %s: %s", rs_plan_home_name(z->home), z->home_reason);
    if (z->kept.offload)
        RS_LOG(INFO, "offload: %s: %s of what blocks keep waits in page-locked host memory",
               z->offload_reason, rs_bytes_text(a, z->offloaded));
    else if (z->offload_reason)
        RS_LOG(WARN, "memory.offload: %s", z->offload_reason);
    if (z->batch > 1)
        RS_LOG(INFO, "appearances: up to %d at a time in a rank (%s); activations %s", z->batch,
               z->batch_reason, rs_bytes_text(a, z->together));
    RS_LOG(INFO,
           "blocks: %lld store, %lld keep attention, %lld recompute; activations %s training, %s "
           "sampling",
           (long long)z->kept.store, (long long)z->kept.attention,
           (long long)(z->blocks - z->kept.store - z->kept.attention), rs_bytes_text(a, z->train),
           rs_bytes_text(a, z->sample));
    RS_LOG(DETAIL, "planned bytes: training %lld, sampling %lld, weights %lld", (long long)z->train,
           (long long)z->sample, (long long)z->weights[z->home]);
    if (z->batch > 1)
        RS_LOG(DETAIL, "planned bytes of a batch: %lld", (long long)z->together);
    if (!z->fits)
        RS_LOG(WARN, "this run may need more memory than there is: %s of %s; see memory.limit",
               rs_bytes_text(a, z->total), rs_bytes_text(a, z->budget));
}

/* What the catalog asks for, per video and per edit with references. */
typedef struct demand {
    double edits, appearances, references;
} demand;

static demand demand_of(const rs_run *run)
{
    const rs_catalog *l = run->catalog;
    demand d = {0};
    for (int64_t i = 0; i < l->n_videos; i++)
        for (int64_t e = 0; e < l->videos[i].n_edits; e++) {
            rs_job job = {.video = &l->videos[i], .edit = &l->videos[i].edits[e]};
            int64_t n = rs_job_references(run, &job);
            d.edits++;
            d.appearances += n > 0;
            d.references += (double)n;
        }
    d.references = d.appearances > 0 ? d.references / d.appearances : 0;
    d.edits /= (double)l->n_videos;
    d.appearances /= (double)l->n_videos;
    return d;
}

static rs_status log_seconds(rs_run_session *s)
{
    rs_plan_rates r;
    rs_plan_prediction *p = &s->expected;
    rs_device *own; /* what is held to measure is no memory of the run */
    rs_device_opts like = {.backend = rs_device_backend(s->dev),
                           .threads = rs_device_threads(s->dev),
                           .precision = rs_device_precision(s->dev)};
    demand d = demand_of(&s->run);
    RS_TRY(rs_device_open(&own, &like));
    rs_status st = rs_plan_rates_measure(&r, own, &s->sizes);
    rs_device_destroy(&own);
    RS_TRY(st);
    rs_plan_predict(p, s->run.cfg, &s->sizes, &r, d.references);
    double video = p->task[RS_TASK_INGEST] + p->task[RS_TASK_MOTION] +
                   d.appearances * p->task[RS_TASK_APPEARANCE] +
                   d.edits * (p->task[RS_TASK_EDIT] + p->task[RS_TASK_DECODE]) +
                   p->task[RS_TASK_PUBLISH];
    RS_LOG(INFO,
           "expected, by %.0f GFLOP/s: %.3g s a training step, %.3g s a sampling step; motion "
           "%.3g s, appearance %.3g s, edit %.3g s; %.3g videos per hour",
           r.gemm * 1e-9, p->clip_step, p->step[RS_TASK_EDIT], p->task[RS_TASK_MOTION],
           d.appearances > 0 ? p->task[RS_TASK_APPEARANCE] : 0, p->task[RS_TASK_EDIT],
           3600 * (double)(s->world.size / s->world.width) / video);
    if (p->exposed[RS_TASK_MOTION] > 0 || p->exposed[RS_TASK_EDIT] > 0)
        RS_LOG(INFO, "of that, waits for gathers, by %.3g GB/s: %.3g s and %.3g s", r.link * 1e-9,
               p->exposed[RS_TASK_MOTION], p->exposed[RS_TASK_EDIT]);
    return RS_OK;
}

rs_status rs_session_announce(rs_run_session *s)
{
    const rs_config *c = s->run.cfg;
    const rs_plan_sizes *z = &s->sizes;
    RS_LOG(INFO, "device %s, %d threads; %s: %lld blocks of width %lld, %.2f M parameters",
           rs_device_backend(s->dev), rs_device_threads(s->dev), z->family, (long long)z->blocks,
           (long long)z->dim, (double)z->params * 1e-6);
    RS_LOG(INFO, "clip %lld frames %lldx%lld = %lld tokens", (long long)c->clip.frames,
           (long long)c->clip.width, (long long)c->clip.height, (long long)z->tokens);
    log_memory(z, s->arena);
    log_host(s);
    log_twins(s);
    return rs_world_leads(&s->world) ? log_seconds(s) : RS_OK;
}

void rs_session_account(const rs_run_session *s)
{
    int64_t peak = s->dev ? (int64_t)rs_device_peak_bytes(s->dev) : 0, planned = s->planned;
    if (peak == 0 || planned == 0)
        return;
    RS_LOG(DETAIL, "device memory: at most %lld bytes, %lld were planned", (long long)peak,
           (long long)planned);
    if (peak > planned)
        RS_LOG(WARN, "the run took more device memory than was planned: %s of %s",
               rs_bytes_text(s->arena, peak), rs_bytes_text(s->arena, planned));
}
