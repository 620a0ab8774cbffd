#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/fsio.h"
#include "base/log.h"
#include "base/num.h"
#include "comm/agree.h"
#include "job/check.h"
#include "job/job.h"

static rs_status lock_output(rs_run_session *s, const char *output)
{
    RS_TRY(rs_make_dirs(output));
    const char *path = rs_path_join(s->arena, output, ".lock");
    s->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (s->lock < 0)
        return RS_FAIL(IO, "%s: cannot create: %s", path, strerror(errno));
    if (flock(s->lock, LOCK_EX | LOCK_NB) != 0)
        return RS_FAIL(USAGE, "%s: another reshoot run is using this folder", output);
    return RS_OK;
}

static rs_status identify_model(rs_run *run)
{
    static const char *const encoders[] = {"text_encoder", "image_encoder", "tokenizer"};
    const char *dir = run->models.dir;
    rs_denoiser *m;
    rs_hash h;
    RS_TRY(rs_model_component_id(run->transformer_id, dir, "transformer"));
    RS_TRY(rs_model_component_id(run->vae_id, dir, "vae"));
    rs_hash_init(&h);
    for (int i = 0; i < 3; i++) {
        char hex[RS_HASH_HEX];
        RS_TRY(rs_model_component_id(hex, dir, encoders[i]));
        rs_hash_string(&h, hex);
    }
    /* ingest cuts prompts to the transformer's text length and encodes no image for one without
     * image rows */
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

rs_status rs_run_open_models(rs_models *models, rs_device **dev, const rs_config *cfg, int cores)
{
    int64_t threads = cfg->cluster.threads ? cfg->cluster.threads : cores;
    rs_device_opts device = {.backend = cfg->cluster.backend == RS_CFG_BACKEND_AUTO
                                            ? NULL
                                            : rs_cfg_backend_text(cfg->cluster.backend),
                             .threads = rs_i32(threads)};
    RS_TRY(rs_device_open(dev, &device));
    *models = (rs_models){.dev = *dev, .dir = cfg->model.path};
    return RS_OK;
}

static rs_status open_models(rs_run_session *s, int cores)
{
    RS_TRY(rs_run_open_models(&s->run.models, &s->dev, s->cfg, cores));
    RS_TRY(rs_session_plan(s));
    return identify_model(&s->run);
}

/* Rank 0 holds the run directory for all. */
static rs_status take_output(rs_run_session *s)
{
    RS_TRY(lock_output(s, s->cfg->output));
    RS_TRY(rs_atomic_sweep(s->cfg->output, NULL));
    return write_config(s);
}

static const char *log_path(const rs_run_session *s)
{
    const char *name = "reshoot.log";
    if (!rs_world_leads(&s->world))
        name = rs_arena_printf(s->arena, "reshoot.rank-%d.log", s->world.rank);
    return rs_path_join(s->arena, s->cfg->output, name);
}

rs_status rs_session_open(rs_run_session *s, const rs_run_opts *o)
{
    int cores = 0;
    *s = (rs_run_session){.arena = rs_arena_create(), .reports = rs_arena_create(), .lock = -1};
    s->used.arena = s->arena;
    RS_TRY(rs_world_open(&s->world));
    rs_comm *c = s->world.comm;
    RS_TRY(rs_comm_agree(c, load(s, o)));
    RS_TRY(rs_world_watch(&s->world, s->cfg->cluster.watchdog));
    RS_TRY(rs_comm_agree(c, rs_world_cores(&cores, &s->world)));
    RS_TRY(rs_comm_agree(c, rs_world_neighbours(&s->machine_ranks, &s->world)));
    s->run =
        (rs_run){.cfg = s->cfg, .catalog = s->catalog, .output = s->cfg->output, .stop = o->stop};
    RS_TRY(rs_comm_agree(c, open_models(s, cores)));
    RS_TRY(rs_comm_agree(c, rs_world_leads(&s->world) ? take_output(s) : RS_OK));
    RS_TRY(rs_comm_agree(c, rs_log_open_file(log_path(s))));
    return rs_comm_agree(c, rs_session_announce(s));
}

static rs_status use_output(rs_run_session *s)
{
    RS_TRY(rs_make_dirs(s->run.output));
    RS_TRY(rs_atomic_sweep(s->run.output, NULL));
    return write_config(s);
}

/* Another model, or the same in other sizes. */
static rs_status use_model(rs_run_session *s, const rs_config *cfg, bool same)
{
    if (!same)
        rs_models_close(&s->run.models); /* opened again when a job needs them */
    s->run.models.dir = cfg->model.path;
    int64_t total = s->sizes.total, tokens = s->sizes.tokens;
    RS_TRY(rs_session_plan(s));
    if (!same)
        RS_TRY(identify_model(&s->run));
    bool told = same && s->sizes.total == total && s->sizes.tokens == tokens;
    return told ? RS_OK : rs_session_announce(s);
}

rs_status rs_session_use(rs_run_session *s, const rs_config *cfg)
{
    bool same = strcmp(s->run.cfg->model.path, cfg->model.path) == 0;
    s->run.cfg = cfg;
    s->run.output = cfg->output;
    rs_status st = use_model(s, cfg, same);
    if (st == RS_OK && rs_world_leads(&s->world))
        st = use_output(s);
    return rs_comm_agree(s->world.comm, st);
}

void rs_session_close(rs_run_session *s)
{
    rs_session_account(s);
    rs_models_close(&s->run.models);
    rs_device_destroy(&s->dev);
    rs_catalog_destroy(&s->catalog);
    rs_arms_destroy(&s->arms);
    rs_config_destroy(&s->cfg);
    rs_log_close_file();
    if (s->lock >= 0)
        close(s->lock);
    rs_world_close(&s->world);
    rs_arena_destroy(&s->reports);
    rs_arena_destroy(&s->arena);
}
