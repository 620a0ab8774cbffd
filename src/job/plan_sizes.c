/* Bytes and operations of one rank. */
#include "job/plan_sizes_priv.h"

#include "base/num.h"
#include "base/str.h"
#include "job/job.h"
#include "job/twins.h"
#include "stage/samples.h"
#include "stage/stage.h"

enum {
    FP32 = 4,
    MOMENTS = 4,              /* factor, gradient, two moments */
    GPU_WORKSPACE = 64 << 20, /* at least: RS_BLAS_WORKSPACE, whether CUDA is built in or not */
};
static const double SHARE = 0.8; /* of the machine; the rest is the system's and the files' */

const char *rs_plan_home_name(rs_plan_home home)
{
    static const char *const k_names[RS_PLAN_HOMES] = {"resident", "mapped", "host", "sharded"};
    return k_names[home];
}

static int64_t most_frames(const rs_config *c, const rs_catalog *l)
{
    int64_t most = c->clip.frames;
    for (int64_t i = 0; i < l->n_videos; i++)
        most = rs_max_i64(most, l->videos[i].frames);
    return most;
}

static int64_t most_references(const rs_config *c, const rs_catalog *l)
{
    int64_t most = 0, limit = c->appearance.max_references;
    if (c->appearance.when == RS_CFG_APPEARANCE_WHEN_NEVER)
        return 0;
    for (int64_t i = 0; i < l->n_videos; i++)
        for (int64_t e = 0; e < l->videos[i].n_edits; e++)
            most = rs_max_i64(most, l->videos[i].edits[e].n_references);
    return limit > 0 ? rs_min_i64(most, limit) : most;
}

static rs_status open_parts(rs_plan_maker *k)
{
    const rs_config *c = k->cfg;
    const float one = 1;
    rs_denoiser_opts describe = {.describe = true};
    const char *dir = c->model.path;
    RS_TRY(rs_device_open(&k->dev, &(rs_device_opts){.threads = 1,
                                                     .precision = k->precision,
                                                     .fp8 = k->gpu && c->model.fp8,
                                                     .plan_gpu = k->gpu}));
    RS_TRY(rs_vae_describe(&k->vae, k->dev, dir));
    RS_TRY(rs_denoiser_open(&k->m, k->dev, dir, &describe));
    const rs_denoiser_info *i = rs_denoiser_get_info(k->m);
    RS_TRY(rs_text_encoder_sizes(&k->text, k->dev, dir, i->text_len));
    if (i->image_dim > 0)
        RS_TRY(rs_image_encoder_sizes(&k->image, k->dev, dir));
    rs_denoiser_expect_image_rows(k->m, k->image.rows);
    RS_TRY(rs_adapter_create(&k->adapter, k->m, c->lora.rank, (float)c->lora.alpha,
                             c->lora.targets.items, rs_i32(c->lora.targets.n), true));
    return rs_denoiser_set_adapters(k->m, &k->adapter, &one, 1);
}

static void close_parts(rs_plan_maker *k)
{
    rs_adapter_destroy(&k->adapter);
    rs_denoiser_close(&k->m);
    rs_vae_close(&k->vae);
    rs_device_destroy(&k->dev);
}

static void add_shape(rs_plan_maker *k)
{
    const rs_denoiser_info *i = rs_denoiser_get_info(k->m);
    const rs_vae_info *v = rs_vae_get_info(k->vae);
    rs_plan_sizes *z = k->z;
    int64_t area;
    k->frames = most_frames(k->cfg, k->catalog);
    k->window = k->cfg->motion.window ? rs_min_i64(k->cfg->motion.window, k->frames) : k->frames;
    k->F = (k->frames - 1) / v->scale_t + 1;
    k->Fw = (k->window - 1) / v->scale_t + 1;
    k->H = k->cfg->clip.height / v->scale_s;
    k->W = k->cfg->clip.width / v->scale_s;
    area = (k->H / i->patch[1]) * (k->W / i->patch[2]);
    *z = (rs_plan_sizes){.family = i->family,
                         .blocks = i->blocks,
                         .dim = i->dim,
                         .heads = i->heads,
                         .params = i->params,
                         .frames = {k->F, k->H, k->W},
                         .tokens = k->F / i->patch[0] * area,
                         .window_tokens = k->Fw / i->patch[0] * area};
}

rs_precision rs_plan_precision(const rs_config *c)
{
    return c->model.precision == RS_CFG_PRECISION_BF16 ? RS_PRECISION_BF16 : RS_PRECISION_FP32;
}

bool rs_plan_sharded(const rs_config *c)
{
    return c->memory.home == RS_CFG_HOME_SHARDED ||
           (c->memory.home == RS_CFG_HOME_AUTO && c->cluster.gang > 1);
}

static bool asked_home(const rs_config *c, rs_plan_home *home)
{
    switch (c->memory.home) {
    case RS_CFG_HOME_RESIDENT:
        *home = RS_PLAN_RESIDENT;
        return true;
    case RS_CFG_HOME_MAPPED:
        *home = RS_PLAN_MAPPED;
        return true;
    case RS_CFG_HOME_HOST:
        *home = RS_PLAN_HOST;
        return true;
    default:
        return false;
    }
}

/* A CPU uses files where they are if it can; a copy of its own must be small for the memory there
 * is. */
static void choose_home(rs_plan_maker *k, const rs_weight_files *f, int64_t gang, int64_t share)
{
    rs_plan_sizes *z = k->z;
    if (gang > 0) {
        z->home = RS_PLAN_SHARDED;
        z->home_reason = "asked for";
    } else if (asked_home(k->cfg, &z->home)) {
        z->home_reason = "asked for";
    } else if (k->gpu) {
        z->home = RS_PLAN_RESIDENT;
        z->home_reason = "a whole copy on the device";
    } else if (f->in_place) {
        z->home = RS_PLAN_MAPPED;
        z->home_reason = "the files are used where they are, one copy for all ranks";
    } else if (z->weights[RS_PLAN_RESIDENT] <= share / 4) {
        z->home = RS_PLAN_RESIDENT;
        z->home_reason = "a converted copy is less than a quarter of the rank's memory";
    } else {
        z->home = RS_PLAN_MAPPED;
        z->home_reason = "a converted copy would be more than a quarter of the rank's memory";
    }
}

/* Parts of the blocks and two whole ones. A CPU keeps both in the files' types, and what of a block
 * has to be converted behind it; a GPU keeps them as it needs them. */
static int64_t sharded(const rs_plan_maker *k, const rs_weight_files *f, int64_t blocks)
{
    enum { PAD = 64 };
    int64_t gang = k->z->gang;
    int64_t image = (int64_t)(k->gpu ? f->block_whole : f->image);
    int64_t part = rs_ceil_div(rs_ceil_div(image, PAD), gang) * PAD;
    int64_t whole = 2 * (image + (k->gpu ? 0 : (int64_t)f->block));
    return (int64_t)(k->gpu ? f->outside_whole : f->outside) + blocks * part + whole;
}

static bool is_streamed(const rs_plan_sizes *z, const rs_weight_files *f)
{
    return z->home == RS_PLAN_SHARDED || z->home == RS_PLAN_HOST ||
           (z->home == RS_PLAN_MAPPED && f->block > 0);
}

static rs_status add_weights(rs_plan_maker *k, int64_t gang, const rs_plan_room *room)
{
    rs_plan_sizes *z = k->z;
    rs_weight_files f;
    RS_TRY(rs_denoiser_files(&f, k->m, k->cfg->model.path));
    z->weights_present = f.present;
    z->files = f.stored;
    z->gang = rs_max_i64(1, gang);
    z->weights[RS_PLAN_RESIDENT] = (int64_t)f.whole;
    z->weights[RS_PLAN_HOST] = (int64_t)(f.outside_whole + 2 * f.block_whole);
    z->weights[RS_PLAN_MAPPED] = k->gpu ? z->weights[RS_PLAN_HOST] : (int64_t)f.mapped;
    z->pinned = (int64_t)(f.whole - f.outside_whole);
    z->weights[RS_PLAN_SHARDED] = sharded(k, &f, z->blocks);
    z->block_image = (int64_t)(k->gpu ? f.block_whole : f.image);
    choose_home(k, &f, gang, room->machine / rs_max_i64(1, room->ranks));
    z->streamed = is_streamed(z, &f);
    return RS_OK;
}

/* Of a training job, which keeps them all: those of its clip or its windows, and those of its
 * references. */
int64_t rs_plan_train_conditions(const rs_plan_maker *k)
{
    int64_t text = rs_denoiser_get_info(k->m)->text_len, image = k->image.rows;
    int64_t windows =
        rs_window_count(k->frames, k->cfg->motion.window, k->cfg->motion.window_stride);
    int64_t references = most_references(k->cfg, k->catalog);
    size_t part = rs_denoiser_cond_bytes(k->m, k->Fw, k->H, k->W, text, image);
    size_t one = rs_denoiser_cond_bytes(k->m, 1, k->H, k->W, text, image);
    return windows * (int64_t)part + references * (int64_t)one;
}

static int64_t conditions(const rs_plan_maker *k)
{
    int64_t text = rs_denoiser_get_info(k->m)->text_len;
    size_t whole = rs_denoiser_cond_bytes(k->m, k->F, k->H, k->W, text, k->image.rows);
    return rs_max_i64(rs_plan_train_conditions(k),
                      (k->cfg->edit.guidance != 1 ? 2 : 1) * (int64_t)whole);
}

/* What the attentions of training and sampling need, by the device that will make them if it is
 * there; without one the own kernels' row dots, and the most that cuDNN may have for dS. Those to
 * the prompt have a key that counts, which cuDNN does not take. */
static int64_t workspace(const rs_plan_maker *k)
{
    const rs_plan_sizes *z = k->z;
    const int64_t head_dim = z->dim / z->heads;
    int64_t most = GPU_WORKSPACE, rows[] = {z->tokens, z->window_tokens, z->tokens / z->frames[0]};
    for (int i = 0; i < 3; i++) {
        const rs_attention_shape shapes[] = {
            {z->heads, head_dim, rows[i], rows[i], false},
            {z->heads, head_dim, rows[i], k->image.rows, false},
            {z->heads, head_dim, rows[i], rows[i], true},
        };
        most = rs_max_i64(most, z->heads * rows[i] * FP32);
        if (k->gpu && !k->room->dev)
            most = rs_max_i64(most, rs_min_i64(k->room->machine / RS_ATTENTION_DS_SHARE,
                                               z->heads * rows[i] * rows[i] * 2));
        for (int s = 0; s < 3 && k->room->dev; s++)
            if (shapes[s].keys > 0)
                most = rs_max_i64(most,
                                  (int64_t)rs_device_attention_workspace(k->room->dev, &shapes[s]));
    }
    return most;
}

static void add_bytes(rs_plan_maker *k)
{
    enum { PIXEL = 3 + 3 + 1 + 3 * FP32 /* frames, painted frames, mask, a clip in fp32 */ };
    rs_plan_sizes *z = k->z;
    const rs_config *c = k->cfg;
    int64_t values = rs_adapter_params(k->adapter), adapter = (int64_t)k->adapter->pool.bytes;
    bool frozen =
        c->appearance.mode == RS_CFG_APPEARANCE_MODE_SEPARATE && most_references(c, k->catalog) > 0;
    size_t encode = rs_vae_work_bytes(k->vae, false, k->F, k->H, k->W),
           decode = rs_vae_work_bytes(k->vae, true, k->F, k->H, k->W);
    z->vae = (int64_t)(rs_vae_weight_bytes(k->vae));
    z->vae_work = (int64_t)(encode > decode ? encode : decode);
    z->text = (int64_t)(k->text.weights + k->text.work);
    z->image = (int64_t)(k->image.weights + k->image.head + k->image.work);
    z->conditions = conditions(k);
    z->adapter = adapter + (frozen ? adapter / MOMENTS : 0);
    z->checkpoint = (MOMENTS - 1) * values * FP32;
    int pixel = PIXEL + (c->cluster.ahead == RS_CFG_AHEAD_NEVER ? 0 : 3 + 1);
    z->clip = k->gpu ? 0 : k->frames * c->clip.height * c->clip.width * pixel;
    z->workspace = k->gpu ? workspace(k) : 0;
    z->sample = (int64_t)(rs_denoiser_plan(k->m, k->F, k->H, k->W, false));
}

static void add_budget(rs_plan_sizes *z, const rs_plan_room *room)
{
    int64_t files = z->home == RS_PLAN_MAPPED ? z->files : 0;
    z->budget = room->limit;
    if (room->limit == 0)
        z->budget = (int64_t)(SHARE * (double)rs_max_i64(0, room->machine - files)) /
                    rs_max_i64(1, room->ranks);
}

static void add_work(rs_plan_maker *k)
{
    rs_plan_work *w = &k->z->work;
    double rows = (double)rs_min_i64(RS_PLAN_PROMPT_ROWS, k->text.rows) / (double)k->text.rows;
    w->step = rs_plan_step_flops(k, k->Fw, true);
    w->one_frame = rs_plan_step_flops(k, 1, true);
    w->step_forward = rs_plan_step_flops(k, k->Fw, false);
    w->one_frame_forward = rs_plan_step_flops(k, 1, false);
    w->forward = rs_plan_step_flops(k, k->F, false);
    w->text.gemm = k->text.flops.gemm * rows;
    w->text.attention = k->text.flops.attention * rows * rows;
    w->image = k->image.flops;
    w->encode = 2.0 * (double)rs_vae_macs(k->vae, false, k->F, k->H, k->W);
    w->encode_one = 2.0 * (double)rs_vae_macs(k->vae, false, 1, k->H, k->W);
    w->decode = 2.0 * (double)rs_vae_macs(k->vae, true, k->F, k->H, k->W);
}

rs_status rs_plan_sizes_make(rs_plan_sizes *z, const rs_config *c, const rs_catalog *catalog,
                             const rs_plan_room *room, int value_bytes, int64_t gang)
{
    bool half = value_bytes < FP32;
    rs_plan_maker k = {.z = z,
                       .cfg = c,
                       .catalog = catalog,
                       .gpu = half || room->gpu,
                       .room = room,
                       .precision = half ? RS_PRECISION_BF16 : rs_plan_precision(c)};
    rs_status st = open_parts(&k);
    if (st == RS_OK) {
        add_shape(&k);
        st = add_weights(&k, gang, room);
    }
    if (st == RS_OK) {
        add_bytes(&k);
        z->twins = k.gpu ? rs_twins_bytes(c, gang, room->lane) : 0;
        add_budget(z, room);
        rs_plan_lay_out(&k);
        if (k.gpu && !z->fits && z->home == RS_PLAN_RESIDENT &&
            c->memory.home == RS_CFG_HOME_AUTO) {
            z->home = RS_PLAN_HOST;
            z->home_reason = "a whole copy does not fit on the device";
            z->streamed = true;
            rs_plan_lay_out(&k);
        }
        add_work(&k);
    }
    close_parts(&k);
    return st;
}
