#include <string.h>

#include "base/fsio.h"
#include "base/log.h"
#include "base/num.h"
#include "base/str.h"
#include "comm/agree.h"
#include "device/select.h"
#include "job/check.h"
#include "job/job.h"
#include "job/limit.h"
#include "job/twins.h"

static rs_status identify_files(rs_run *run, rs_hash *h)
{
    static const char *const encoders[] = {"text_encoder", "image_encoder", "tokenizer"};
    const char *dir = run->models.dir;
    RS_TRY(rs_model_component_id(run->transformer_id, dir, "transformer"));
    RS_TRY(rs_model_component_id(run->vae_id, dir, "vae"));
    rs_hash_init(h);
    for (int i = 0; i < 3; i++) {
        char hex[RS_HASH_HEX];
        RS_TRY(rs_model_component_id(hex, dir, encoders[i]));
        rs_hash_string(h, hex);
    }
    return RS_OK;
}

/* Collective: ranks that share weights open them together. Ingest cuts prompts to the transformer's
 * text length and encodes no image for one without image rows. */
static rs_status identify_model(rs_run_session *s)
{
    rs_run *run = &s->run;
    rs_denoiser *m;
    rs_hash h;
    RS_TRY(rs_comm_agree(s->world.comm, identify_files(run, &h)));
    RS_TRY(rs_models_denoiser(&run->models, &m));
    rs_hash_i64(&h, rs_denoiser_get_info(m)->text_len);
    rs_hash_i64(&h, rs_denoiser_get_info(m)->image_dim);
    rs_hash_final_hex(&h, run->encoders_id);
    return RS_OK;
}

static rs_status write_config(rs_run_session *s)
{
    const char *dump = rs_config_dump(s->arena, s->run.cfg);
    return rs_write_file_atomic(rs_path_join(s->arena, s->run.output, "config.yaml"), dump,
                                strlen(dump));
}

/* Settings, catalog and model; the first problem of all is the error. */
static rs_status load(rs_run_session *s, const rs_run_opts *o)
{
    rs_log_level level;
    rs_check_model_info model;
    rs_problems *problems = rs_problems_create();
    rs_check_load(&s->cfg, &s->catalog, problems, o->config, o->sets, o->n_sets);
    rs_check_arms(&s->arms, problems, s->cfg, s->catalog);
    if (rs_log_level_parse(&level, rs_cfg_log_level_text(s->cfg->log.level)))
        rs_log_set_level(level);
    if (rs_problems_count(problems) == 0)
        rs_check_model(problems, &model, s->cfg);
    if (rs_problems_count(problems) == 0)
        rs_check_arm_models(problems, s->cfg, s->arms);
    rs_status st = rs_problems_status(problems);
    rs_problems_destroy(&problems);
    return st;
}

int64_t rs_session_lanes(const rs_config *c)
{
    int64_t width = 0;
    return rs_parse_i64(&width, rs_cfg_lanes_text(c->cluster.lanes)) ? width : 0;
}

void rs_session_use_lane(rs_run_session *s, int width, bool follows)
{
    const rs_world_lane *l = rs_world_lane_of(&s->world, width);
    s->run.lane = l->lane;
    s->run.half = l->half;
    s->run.pair = l->pair;
    s->run.follows = follows;
}

/* A host without a GPU computes with its cores and says so; one that is told to use CUDA does not.
 */
static rs_status open_device(rs_device **dev, const rs_config *cfg, int cores)
{
    int64_t threads = cfg->cluster.threads ? cfg->cluster.threads : cores;
    rs_device_opts o = {.threads = rs_i32(threads),
                        .local_rank = rs_comm_local_rank(),
                        .precision = rs_plan_precision(cfg),
                        .fp8 = cfg->model.fp8};
    const char *table = cfg->cluster.gemm_table, *why = NULL;
    rs_arena *a = rs_arena_create();
    rs_status st = rs_device_choose(&o.backend, &why, rs_cfg_backend_text(cfg->cluster.backend), a);
    if (st == RS_OK && why)
        RS_LOG(INFO, "computing on the CPU; CUDA: %s", why);
    o.gemm_table = st == RS_OK && table[0] && strcmp(o.backend, "cuda") == 0 ? table : NULL;
    if (st == RS_OK)
        st = rs_device_open(dev, &o);
    rs_arena_destroy(&a);
    return st;
}

rs_status rs_run_open_models(rs_models *models, rs_device **dev, const rs_config *cfg, int cores,
                             rs_comm *gang)
{
    RS_TRY(open_device(dev, cfg, cores));
    *models = (rs_models){.dev = *dev, .dir = cfg->model.path};
    models->denoiser_opts.gang = gang;
    return RS_OK;
}

static rs_status open_models(rs_run_session *s, int cores)
{
    rs_status st = rs_run_open_models(&s->run.models, &s->dev, s->cfg, cores, s->world.gang);
    RS_TRY(rs_comm_agree(s->world.comm, st)); /* attaching takes all of a gang */
    RS_TRY(rs_twins_attach(&s->twins_taken, &s->world, s->dev, s->cfg));
    rs_session_use_lane(s, s->world.width, !rs_world_leads_lane(&s->world));
    s->run.models.denoiser_opts.lane = s->run.lane;
    RS_TRY(rs_session_plan(s));
    return identify_model(s);
}

static const char *log_path(const rs_run_session *s)
{
    const char *suffix = rs_tenancy_suffix(s->tenancy);
    const char *name = rs_arena_printf(s->arena, "reshoot%s.log", suffix);
    if (!rs_world_leads(&s->world))
        name = rs_arena_printf(s->arena, "reshoot%s.rank-%d.log", suffix, s->world.rank);
    return rs_path_join(s->arena, s->cfg->output, name);
}

/* Collective. A folder of records for this start of the program; every rank writes its own. */
static rs_status open_records(rs_run_session *s)
{
    rs_live_world *w = &s->records;
    const char *output = s->cfg->output;
    rs_status st = RS_OK;
    if (rs_world_leads(&s->world))
        st = rs_live_world_create(w, s->arena, output, s->cfg->name, s->world.size);
    RS_TRY(rs_comm_agree(s->world.comm, st));
    RS_TRY(rs_comm_broadcast(w->id, s->world.comm, sizeof w->id, 0, "id of this world"));
    if (!rs_world_leads(&s->world))
        rs_live_world_use(w, s->arena, output, w->id);
    rs_live_opts o = {
        .folder = w->folder, .world = w->id, .rank = s->world.rank, .size = s->world.size};
    return rs_comm_agree(s->world.comm, rs_live_open(&s->run.live, &o));
}

/* As rank 0 sees it, so that all agree on what still fits. */
static rs_status share_deadline(rs_run_session *s)
{
    double left = rs_limit_deadline(s->cfg) - rs_now();
    RS_TRY(rs_comm_broadcast(&left, s->world.comm, sizeof left, 0, "time that is left"));
    s->deadline = rs_now() + left;
    return RS_OK;
}

rs_status rs_session_open(rs_run_session *s, const rs_run_opts *o)
{
    *s = (rs_run_session){.arena = rs_arena_create(), .reports = rs_arena_create(), .arm = ""};
    s->used.arena = s->arena;
    RS_TRY(rs_world_open(&s->world));
    rs_comm *c = s->world.comm;
    RS_TRY(rs_comm_agree(c, load(s, o)));
    RS_TRY(rs_world_watch(&s->world, s->cfg->cluster.watchdog));
    RS_TRY(rs_comm_agree(c, rs_world_cores(&s->cores, &s->world)));
    RS_TRY(rs_comm_agree(c, rs_world_make_gangs(&s->world, s->cfg->cluster.gang)));
    RS_TRY(rs_comm_agree(c, rs_world_make_lanes(&s->world, rs_session_lanes(s->cfg))));
    RS_TRY(share_deadline(s));
    RS_TRY(rs_comm_agree(c, rs_limit_arm(s->deadline - s->cfg->cluster.margin)));
    RS_TRY(rs_comm_agree(c, rs_world_make_node(&s->world)));
    s->machine_ranks = rs_comm_size(s->world.node);
    s->run =
        (rs_run){.cfg = s->cfg, .catalog = s->catalog, .output = s->cfg->output, .stop = o->stop};
    RS_TRY(rs_comm_agree(c, open_models(s, s->cores)));
    RS_TRY(rs_tenancy_open(&s->tenancy, &s->world, &s->run, s->arms));
    RS_TRY(rs_comm_agree(c, rs_log_open_file(log_path(s))));
    RS_TRY(rs_comm_agree(c, rs_session_announce(s)));
    return open_records(s);
}

bool rs_session_reads_ahead(const rs_run_session *s)
{
    rs_cfg_ahead when = s->run.cfg->cluster.ahead;
    bool gpu = !rs_device_host_memory(s->dev);
    return when == RS_CFG_AHEAD_ALWAYS ||
           (when == RS_CFG_AHEAD_AUTO && (gpu || s->cores > rs_device_threads(s->dev)));
}

void rs_session_record_end(const rs_run_session *s, rs_status st)
{
    if (!s->run.live || !rs_world_leads(&s->world))
        return;
    const char *result = st == RS_OK        ? "done"
                         : st == RS_JOBS    ? "failed"
                         : st == RS_STOPPED ? "stopped"
                                            : "error";
    const char *message = st == RS_OK ? "" : rs_arena_strdup(s->arena, rs_error_message());
    if (rs_live_world_end(&s->records, result, message, &s->summary) != RS_OK)
        RS_LOG(WARN, "the end of the run is not recorded: %s", rs_error_message());
}

static rs_status use_output(rs_run_session *s)
{
    RS_TRY(rs_make_dirs(s->run.output));
    RS_TRY(rs_tenancy_enter(s->tenancy));
    rs_status st = rs_atomic_sweep(s->run.output, NULL);
    if (st == RS_OK)
        st = write_config(s);
    rs_tenancy_leave(s->tenancy);
    return st;
}

/* Another model, or the same in other sizes. */
static rs_status use_model(rs_run_session *s, const rs_config *cfg, bool same)
{
    if (!same)
        rs_models_close(&s->run.models); /* the others are opened again when a job needs them */
    s->run.models.dir = cfg->model.path;
    int64_t total = s->sizes.total, tokens = s->sizes.tokens;
    RS_TRY(rs_session_plan(s));
    if (!same || !s->run.models.denoiser)
        RS_TRY(identify_model(s));
    bool told = same && s->sizes.total == total && s->sizes.tokens == tokens;
    return told ? RS_OK : rs_session_announce(s);
}

rs_status rs_session_use(rs_run_session *s, const rs_config *cfg, const char *arm)
{
    bool same = strcmp(s->run.cfg->model.path, cfg->model.path) == 0;
    s->run.cfg = cfg;
    s->run.output = cfg->output;
    s->arm = arm;
    rs_live_arm(s->run.live, arm);
    rs_status st = use_model(s, cfg, same);
    if (st == RS_OK && rs_world_leads(&s->world))
        st = use_output(s);
    RS_TRY(rs_world_await_lead(&s->world)); /* for another run's section, perhaps */
    return rs_comm_agree(s->world.comm, st);
}

/* What the gang's walk cost this rank. */
static void tell_stream(const rs_run_session *s)
{
    if (!s->run.models.denoiser || !s->world.gang)
        return;
    rs_wstream_stats t = rs_denoiser_stream_stats(s->run.models.denoiser);
    if (t.passes > 0)
        RS_LOG(DETAIL,
               "weights: gang of %d, %lld passes, read %.1f MB, gathered %.1f MB in %.2f s, waited "
               "%.2f s for blocks and %.2f s for the gang",
               rs_comm_size(s->world.gang), (long long)t.passes, (double)t.bytes_read * 1e-6,
               (double)t.bytes_gathered * 1e-6, t.gather_s, t.exposed_s, t.boundary_s);
}

void rs_session_close(rs_run_session *s)
{
    tell_stream(s);
    rs_session_account(s);
    rs_live_close(&s->run.live);
    rs_models_close(&s->run.models);
    rs_twins_detach(&s->world);
    rs_device_destroy(&s->dev);
    rs_tenancy_close(&s->tenancy);
    rs_catalog_destroy(&s->catalog);
    rs_arms_destroy(&s->arms);
    rs_config_destroy(&s->cfg);
    rs_log_close_file();
    rs_world_close(&s->world);
    rs_arena_destroy(&s->reports);
    rs_arena_destroy(&s->arena);
}
