#include "bench/tower.h"

#include <math.h>
#include <string.h>

#include "base/log.h"
#include "base/rng.h"
#include "model/sizes.h"

typedef struct bench {
    rs_arena *arena;
    rs_device *d;
    rs_tower which;
    const rs_tower_opts *o;
    rs_vae *vae;
    rs_text_encoder *text;
    rs_image_encoder *image;
    rs_tensor in, out, first; /* first: out of the run that is not timed */
    int32_t *ids;
    double flops;
    double *wall, *cpu;
} bench;

const char *rs_tower_name(rs_tower t)
{
    static const char *const names[RS_TOWER_COUNT] = {"vae-encode", "vae-decode", "text", "image"};
    return names[t];
}

static rs_tensor values(bench *b, const char *name, int ndim, const int64_t *shape)
{
    rs_tensor t = rs_tensor_new(b->arena, ndim, shape);
    rs_fill_rule(rs_f32(t), name, 0, rs_tensor_count(t), 1.0, 0.0);
    return t;
}

static rs_status open_vae(bench *b, bool decode)
{
    const rs_tower_opts *o = b->o;
    RS_TRY(rs_vae_open(&b->vae, b->d, o->model));
    const rs_vae_info *i = rs_vae_get_info(b->vae);
    int64_t F = (o->frames - 1) / i->scale_t + 1, h = o->height / i->scale_s,
            w = o->width / i->scale_s;
    if ((o->frames - 1) % i->scale_t || o->height % i->scale_s || o->width % i->scale_s)
        return RS_FAIL(USAGE,
                       "a clip of %lld frames of %lld x %lld does not divide by %lld and %lld",
                       (long long)o->frames, (long long)o->width, (long long)o->height,
                       (long long)i->scale_t, (long long)i->scale_s);
    rs_tensor video = values(b, "video", RS_SHAPE(3, o->frames, o->height, o->width));
    rs_tensor latent = values(b, "latent", RS_SHAPE(i->z_dim, F, h, w));
    b->in = decode ? latent : video;
    b->out = decode ? video : latent;
    b->flops = 2.0 * (double)rs_vae_macs(b->vae, decode, F, h, w);
    return RS_OK;
}

static rs_status open_text(bench *b)
{
    rs_encoder_sizes sizes;
    RS_TRY(rs_text_encoder_sizes(&sizes, b->d, b->o->model, b->o->rows));
    RS_TRY(rs_text_encoder_open(&b->text, b->d, b->o->model));
    b->ids = RS_NEW(b->arena, int32_t, b->o->rows);
    int64_t vocab = rs_text_encoder_vocab(b->text);
    for (int64_t i = 0; i < b->o->rows; i++)
        b->ids[i] = (int32_t)(i * 7919 % vocab);
    b->out = values(b, "states", RS_SHAPE(b->o->rows, rs_text_encoder_dim(b->text)));
    b->flops = rs_flops_total(sizes.flops);
    return RS_OK;
}

static rs_status open_image(bench *b)
{
    rs_encoder_sizes sizes;
    RS_TRY(rs_image_encoder_sizes(&sizes, b->d, b->o->model));
    RS_TRY(rs_image_encoder_open(&b->image, b->d, b->o->model));
    int64_t side = rs_image_encoder_size(b->image);
    b->in = values(b, "pixels", RS_SHAPE(3, side, side));
    b->out = values(b, "states",
                    RS_SHAPE(rs_image_encoder_tokens(b->image), rs_image_encoder_dim(b->image)));
    b->flops = rs_flops_total(sizes.flops);
    return RS_OK;
}

static rs_status open_tower(bench *b)
{
    switch (b->which) {
    case RS_TOWER_ENCODE:
    case RS_TOWER_DECODE:
        return open_vae(b, b->which == RS_TOWER_DECODE);
    case RS_TOWER_TEXT:
        return open_text(b);
    case RS_TOWER_IMAGE:
    case RS_TOWER_COUNT:
        break;
    }
    return open_image(b);
}

static rs_status compute(bench *b)
{
    switch (b->which) {
    case RS_TOWER_ENCODE:
        return rs_vae_encode(b->vae, b->out, b->in);
    case RS_TOWER_DECODE:
        return rs_vae_decode(b->vae, b->out, b->in, true);
    case RS_TOWER_TEXT:
        return rs_text_encode(b->text, b->out, b->ids, b->o->rows);
    case RS_TOWER_IMAGE:
    case RS_TOWER_COUNT:
        break;
    }
    return rs_image_encode(b->image, b->out, b->in);
}

/* Run i; the one before 0 is not timed. */
static rs_status run(bench *b, int64_t i)
{
    if (b->o->pace)
        RS_TRY(b->o->pace->wait());
    double wall = rs_now(), cpu = rs_process_cpu();
    RS_TRY(compute(b));
    wall = rs_now() - wall;
    cpu = rs_process_cpu() - cpu;
    if (b->o->pace)
        b->o->pace->tell(wall, cpu);
    if (i >= 0) {
        b->wall[i] = wall;
        b->cpu[i] = cpu;
    }
    return RS_OK;
}

static rs_status run_first(bench *b)
{
    RS_TRY(run(b, -1));
    b->first = rs_tensor_new(b->arena, b->out.ndim, b->out.shape);
    memcpy(b->first.data, b->out.data, rs_tensor_bytes(b->out));
    for (int64_t i = 0; i < rs_tensor_count(b->out); i++)
        if (!isfinite(rs_f32(b->out)[i]))
            return RS_FAIL(NUMERIC, "%s: a value is not finite", rs_tower_name(b->which));
    return RS_OK;
}

static rs_status measure(rs_tower_rate *out, bench *b)
{
    int64_t n = b->o->runs;
    out->start_bytes = rs_process_memory("VmRSS");
    RS_TRY(open_tower(b));
    out->opened_bytes = rs_process_memory("VmRSS");
    rs_process_forget_peak();
    RS_TRY(run_first(b));
    for (int64_t i = 0; i < n; i++) {
        RS_TRY(run(b, i));
        if (memcmp(b->first.data, b->out.data, rs_tensor_bytes(b->out)) != 0)
            return RS_FAIL(NUMERIC, "%s: two runs differ", rs_tower_name(b->which));
    }
    out->peak_bytes = rs_process_memory("VmHWM");
    out->wall = rs_spread_of(b->wall, n, b->arena);
    out->cpu = rs_spread_of(b->cpu, n, b->arena);
    out->flops = b->flops;
    return RS_OK;
}

rs_status rs_tower_measure(rs_tower_rate *out, rs_device *d, rs_tower which, const rs_tower_opts *o)
{
    bench b = {.arena = rs_arena_create(), .d = d, .which = which, .o = o};
    b.wall = RS_NEW(b.arena, double, o->runs);
    b.cpu = RS_NEW(b.arena, double, o->runs);
    *out = (rs_tower_rate){0};
    rs_status st = measure(out, &b);
    rs_vae_close(&b.vae);
    rs_text_encoder_close(&b.text);
    rs_image_encoder_close(&b.image);
    rs_arena_destroy(&b.arena);
    return st;
}
