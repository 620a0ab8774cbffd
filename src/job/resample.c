#include <string.h>

#include "base/fsio.h"
#include "base/log.h"
#include "base/num.h"
#include "job/adapter_source.h"
#include "job/check.h"
#include "job/resample_priv.h"
#include "media/encode.h"
#include "store/safetensors.h"
#include "store/schema_names.h"

/* ---- settings ---- */

/* Only settings that sampling, decoding and encoding read: everything else is done already. */
static rs_status check_set(const rs_resample_opts *o, const char *set)
{
    static const char *const k_sections[] = {"edit.",  "prompt.",  "condition.", "model.",
                                             "video.", "cluster.", "log."};
    static const char *const k_mix[] = {"edit.motion_weight=", "edit.appearance_weight="};
    if (strncmp(set, "edit.seed=", 10) == 0)
        return RS_FAIL(USAGE, "--set %s: give the seed with --seed", set);
    for (size_t i = 0; i < sizeof k_mix / sizeof k_mix[0] && o->n_adapters > 0; i++)
        if (strncmp(set, k_mix[i], strlen(k_mix[i])) == 0)
            return RS_FAIL(USAGE, "--set %s: --adapter has its own weights", set);
    for (size_t i = 0; i < sizeof k_sections / sizeof k_sections[0]; i++)
        if (strncmp(set, k_sections[i], strlen(k_sections[i])) == 0)
            return RS_OK;
    return RS_FAIL(USAGE,
                   "--set %s: only settings of edit, prompt, condition, model, video, cluster and "
                   "log count here",
                   set);
}

static rs_status load_config(rs_resampling *r)
{
    const rs_resample_opts *o = r->o;
    const char **sets = RS_NEW(r->a, const char *, o->n_sets + 2);
    int64_t n = 0;
    char *text;
    rs_log_level level;
    for (int64_t i = 0; i < o->n_sets; i++)
        RS_TRY(check_set(o, o->sets[i]));
    if (o->model)
        sets[n++] = rs_arena_printf(r->a, "model.path=%s", o->model);
    if (o->steps >= 0)
        sets[n++] = rs_arena_printf(r->a, "edit.steps=%lld", (long long)o->steps);
    for (int64_t i = 0; i < o->n_sets; i++)
        sets[n++] = o->sets[i];
    const char *object = RS_GROUP_PROVENANCE "/" RS_DATA_CONFIG;
    RS_TRY(rs_archive_read_text(&text, r->a, r->f, object));
    const char *name = rs_arena_printf(r->a, "%s: %s", rs_archive_path(r->f), object);
    rs_problems *problems = rs_problems_create();
    rs_check_model_info info;
    rs_status st = rs_config_load_text(&r->cfg, problems, name, "", text, strlen(text), sets, n);
    if (st == RS_OK) {
        rs_check_model(problems, &info, r->cfg);
        st = rs_problems_status(problems);
    }
    rs_problems_destroy(&problems);
    if (st == RS_OK && rs_log_level_parse(&level, rs_cfg_log_level_text(r->cfg->log.level)))
        rs_log_set_level(level);
    return st;
}

/* ---- the model ---- */

/* Does this model make latents of the archive's kind? */
static rs_status check_latents(rs_resampling *r)
{
    char is[RS_TENSOR_TEXT], want[RS_TENSOR_TEXT];
    rs_vae *vae;
    RS_TRY(rs_models_vae(&r->run.models, &vae));
    const rs_vae_info *v = rs_vae_get_info(vae);
    const int64_t *p = r->job.source.frames.shape;
    rs_tensor made = rs_tensor_of(
        NULL, RS_DTYPE_F32,
        RS_SHAPE(v->z_dim, (p[0] - 1) / v->scale_t + 1, p[1] / v->scale_s, p[2] / v->scale_s));
    if (rs_tensor_same_shape(made, r->job.source.x0))
        return RS_OK;
    return RS_FAIL(MODEL, "%s: its latents are %s, but model %s makes %s of its frames",
                   rs_archive_path(r->f), rs_tensor_text(is, r->job.source.x0), r->cfg->model.path,
                   rs_tensor_text(want, made));
}

/* Weight files of the transformer that the archive does not know: its adapters were trained on
 * others. */
static rs_status compare_weights(rs_resampling *r)
{
    rs_table t;
    char **names, hex[RS_HASH_HEX];
    int64_t n, recorded = 0;
    const char *object = RS_GROUP_PROVENANCE "/" RS_DATA_WEIGHTS;
    const char *folder = rs_path_join(r->a, r->cfg->model.path, "transformer");
    if (!rs_archive_exists(r->f, object) || !rs_path_is_dir(folder))
        return RS_OK;
    RS_TRY(rs_archive_read_table(&t, r->a, r->f, object));
    RS_TRY(rs_list_dir(&names, &n, r->a, folder));
    for (int64_t i = 0; i < n; i++) {
        const char *path = rs_path_join(r->a, folder, names[i]), *end = strrchr(names[i], '.');
        bool known = false;
        if (!end || strcmp(end, ".safetensors") != 0)
            continue;
        RS_TRY(rs_hash_file_sampled(hex, path));
        for (int64_t k = 0; k < t.n_rows && t.n_columns == 4; k++) {
            const rs_cell *row = &t.cells[k * t.n_columns];
            recorded += strcmp(row[0].s, "transformer") == 0;
            known = known || strcmp(row[3].s, hex) == 0;
        }
        if (!known && recorded > 0)
            RS_LOG(WARN, "%s: not a weight file that the adapters of %s were trained on", path,
                   rs_archive_path(r->f));
    }
    return RS_OK;
}

/* ---- adapters ---- */

static rs_adapter **add_adapter(rs_resampling *r, const char *name, float weight)
{
    int *n = &r->sample.n_adapters;
    r->mix =
        rs_arena_printf(r->a, "%s%s%s %g", *n ? r->mix : "", *n ? ", " : "", name, (double)weight);
    r->weights[*n] = weight;
    *n += 1;
    return &r->adapters[*n - 1];
}

/* The edit's own, at the weights of the settings. */
static rs_status load_own(rs_resampling *r)
{
    const char *place = rs_arena_printf(r->a, "appearance/%s", r->edit.id);
    const char *group = rs_arena_printf(r->a, RS_GROUP_STAGES "/%s/" RS_MEMBER_ADAPTER, place);
    bool appearance = rs_archive_exists(r->f, group), separate = false;
    if (appearance && rs_archive_has(r->f, group, RS_ATTR_MODE)) {
        char *mode;
        RS_TRY(rs_archive_get_string(&mode, r->a, r->f, group, RS_ATTR_MODE));
        separate = strcmp(mode, RS_MODE_SEPARATE) == 0;
    }
    rs_adapter_mix mix = rs_stage_mix(&r->cfg->edit, appearance, separate);
    if (mix.motion != 0 && r->cfg->motion.steps > 0)
        RS_TRY(rs_adapter_of_archive(add_adapter(r, "motion", mix.motion), r->m, r->f, "motion"));
    if (mix.appearance != 0)
        RS_TRY(rs_adapter_of_archive(add_adapter(r, place, mix.appearance), r->m, r->f, place));
    return RS_OK;
}

static rs_status load_adapters(rs_resampling *r, const rs_adapter_spec *specs)
{
    r->mix = "none";
    RS_TRY(rs_models_denoiser(&r->run.models, &r->m));
    if (r->o->n_adapters == 0)
        return load_own(r);
    for (int64_t i = 0; i < r->o->n_adapters; i++) {
        const rs_adapter_spec *s = &specs[i];
        const char *name = s->place ? rs_arena_printf(r->a, "%s:%s", s->path, s->place) : s->path;
        RS_TRY(rs_adapter_spec_load(add_adapter(r, name, (float)s->weight), r->m, s));
    }
    return RS_OK;
}

/* ---- results ---- */

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n > m && strcmp(s + n - m, end) == 0;
}

static rs_status check_file(const char *option, const char *path, const char *end)
{
    if (!path)
        return RS_OK;
    if (!ends_with(path, end))
        return RS_FAIL(USAGE, "%s: \"%s\" does not end with %s", option, path, end);
    return rs_path_is_dir(path) ? RS_FAIL(USAGE, "%s: %s is a folder", option, path) : RS_OK;
}

static rs_status check_outputs(const rs_resample_opts *o)
{
    if (!o->movie && !o->frames && !o->latent)
        return RS_FAIL(USAGE, "edit: nothing to write; give --out, --frames or --latent");
    RS_TRY(check_file("--out", o->movie, ".mp4"));
    return check_file("--latent", o->latent, ".safetensors");
}

/* That they cannot be made is found out before hours are spent on sampling. */
static rs_status make_folders(const rs_resampling *r)
{
    const char *const files[] = {r->o->movie, r->o->latent};
    for (int i = 0; i < 2; i++)
        if (files[i] && strchr(files[i], '/'))
            RS_TRY(rs_make_dirs(rs_path_dirname(r->a, files[i])));
    return r->o->frames ? rs_make_dirs(r->o->frames) : RS_OK;
}

static rs_status write_latent(const rs_resampling *r, rs_tensor latent)
{
    rs_tensor_list out = {0};
    rs_meta meta[] = {
        {"reshoot_archive", rs_archive_path(r->f)},
        {"reshoot_edit", r->job.name},
        {"reshoot_adapters", r->mix},
        {"seed", rs_arena_printf(r->a, "%lld", (long long)r->edit.seed)},
        {"steps", rs_arena_printf(r->a, "%lld", (long long)r->cfg->edit.steps)},
    };
    rs_tensor_list_add(&out, r->a, "latent", latent);
    rs_tensor_list_add(&out, r->a, "first_frame", r->sample.first);
    return rs_safetensors_write(r->o->latent, &out, meta, sizeof meta / sizeof meta[0]);
}

static rs_status write_results(rs_resampling *r, rs_tensor latent)
{
    rs_tensor frames;
    rs_encode_opts e = {.crf = rs_i32(r->cfg->video.crf),
                        .preset = rs_cfg_preset_text(r->cfg->video.preset)};
    if (r->o->latent)
        RS_TRY(write_latent(r, latent));
    if (!r->o->movie && !r->o->frames)
        return RS_OK;
    RS_TRY(rs_decode_edit(&frames, &r->run, &r->job, latent));
    if (r->o->frames)
        RS_TRY(rs_frames_write_png(r->o->frames, frames));
    rs_ratio fps = rs_output_fps(r->cfg, r->job.source.fps);
    return r->o->movie ? rs_video_write(r->o->movie, frames, fps, &e) : RS_OK;
}

static rs_status run_all(rs_resampling *r, const rs_adapter_spec *specs)
{
    rs_tensor latent;
    RS_TRY(load_config(r));
    RS_TRY(rs_resample_read_source(r));
    RS_TRY(rs_resample_read_edit(r));
    r->run = (rs_run){.cfg = r->cfg, .output = "", .stop = &r->never};
    RS_TRY(rs_run_open_models(&r->run.models, &r->dev, r->cfg, 0, NULL));
    RS_TRY(check_latents(r));
    RS_TRY(compare_weights(r));
    RS_TRY(load_adapters(r, specs));
    RS_TRY(make_folders(r));
    rs_log_set_context(r->job.name);
    RS_LOG(INFO, "%lld steps of %s, seed %lld; adapters: %s", (long long)r->cfg->edit.steps,
           rs_cfg_sampler_text(r->cfg->edit.sampler), (long long)r->edit.seed, r->mix);
    RS_TRY(rs_sample_edit(&latent, &r->run, &r->job, &r->sample));
    return write_results(r, latent);
}

rs_status rs_resample(const rs_resample_opts *o)
{
    rs_status st = RS_OK;
    rs_resampling r = {.o = o, .a = rs_arena_create()};
    int64_t room = o->n_adapters + 2;
    rs_adapter_spec *specs = RS_NEW(r.a, rs_adapter_spec, room);
    r.adapters = RS_NEW(r.a, rs_adapter *, room);
    r.weights = RS_NEW(r.a, float, room);
    r.sample.adapters = r.adapters;
    r.sample.weights = r.weights;
    r.job.arena = r.job.scratch = r.a;
    for (int64_t i = 0; i < o->n_adapters; i++)
        RS_TRY_OUT(rs_adapter_spec_parse(&specs[i], r.a, o->adapters[i]));
    RS_TRY_OUT(check_outputs(o));
    RS_TRY_OUT(rs_archive_open(&r.f, o->archive));
    RS_TRY_OUT(run_all(&r, specs));
out:
    rs_log_set_context(NULL);
    for (int64_t i = 0; i < room; i++)
        rs_adapter_destroy(&r.adapters[i]);
    rs_models_close(&r.run.models);
    rs_device_destroy(&r.dev);
    rs_config_destroy(&r.cfg);
    rs_archive_close(&r.f);
    rs_arena_destroy(&r.a);
    return st;
}
