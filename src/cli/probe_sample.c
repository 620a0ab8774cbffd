/* Probe component `sample`: a whole sampling run from given noise and conditions. */
#include <string.h>

#include "cli/probe.h"
#include "diffusion/flow.h"
#include "diffusion/sampler.h"
#include "model/model.h"

static void add(rs_probe *p, const char *name, rs_tensor t)
{
    rs_tensor_list_add(&p->out, p->arena, name, t);
}

typedef struct subject {
    rs_denoiser *m;
    rs_adapter *adapter; /* NULL without adapters */
    rs_denoiser_cond *cond, *uncond;
    rs_tensor y, text, image;
} subject;

static void subject_close(subject *s)
{
    rs_denoiser_cond_destroy(&s->cond);
    rs_denoiser_cond_destroy(&s->uncond);
    rs_adapter_destroy(&s->adapter);
    rs_denoiser_close(&s->m);
}

static rs_status read_conditions(subject *s, rs_probe *p, const int64_t *shape)
{
    const rs_denoiser_info *info = rs_denoiser_get_info(s->m);
    RS_TRY(rs_probe_input(&s->text, p, "text", 2, (int64_t[]){0, info->text_dim}));
    if (info->image_dim)
        RS_TRY(rs_probe_input(&s->image, p, "image", 2, (int64_t[]){0, info->image_dim}));
    if (info->cond_channels)
        RS_TRY(rs_probe_input(&s->y, p, "y", 4,
                              (int64_t[]){info->cond_channels, shape[1], shape[2], shape[3]}));
    return RS_OK;
}

static rs_status open_subject(subject *s, rs_probe *p)
{
    rs_denoiser_opts opts = {0};
    RS_TRY(rs_denoiser_open(&s->m, p->dev, p->model_dir, &opts));
    return rs_probe_adapter(&s->adapter, p, s->m, false);
}

static rs_status velocity(subject *s, rs_probe *p, rs_tensor v, rs_tensor spare, rs_tensor x,
                          float t)
{
    RS_TRY(rs_denoiser_forward(s->m, v, x, t, s->cond));
    if (s->uncond) {
        RS_TRY(rs_denoiser_forward(s->m, spare, x, t, s->uncond));
        rs_guide(rs_f32(v), rs_f32(v), rs_f32(spare), (float)p->guidance, rs_tensor_count(v));
    }
    return RS_OK;
}

static rs_status sample(subject *s, rs_probe *p)
{
    RS_TRY(open_subject(s, p));
    int64_t C = rs_denoiser_get_info(s->m)->out_channels;
    rs_tensor x, text_neg;
    RS_TRY(rs_probe_input(&x, p, "noise", 4, (int64_t[]){C, 0, 0, 0}));
    RS_TRY(read_conditions(s, p, x.shape));
    RS_TRY(rs_denoiser_bind(s->m, x.shape[1], x.shape[2], x.shape[3], false));
    if (s->adapter) {
        const float one = 1.0f;
        RS_TRY(rs_denoiser_set_adapters(s->m, &s->adapter, &one, 1));
    }
    RS_TRY(rs_denoiser_cond_create(&s->cond, s->m, s->y, s->text, s->image));
    if (rs_probe_has(p, "text_neg")) {
        RS_TRY(rs_probe_input(&text_neg, p, "text_neg", 2, (int64_t[]){0, s->text.shape[1]}));
        RS_TRY(rs_denoiser_cond_create(&s->uncond, s->m, s->y, text_neg, s->image));
    }
    int64_t n = rs_tensor_count(x);
    rs_sampler sampler;
    RS_TRY(rs_probe_sampler(&sampler, p, n));
    rs_tensor v = rs_tensor_new(p->arena, 4, x.shape), spare = rs_tensor_new(p->arena, 4, x.shape);
    rs_tensor trajectory =
        rs_tensor_new(p->arena, RS_SHAPE(p->steps, x.shape[0], x.shape[1], x.shape[2], x.shape[3]));
    while (sampler.index < p->steps) {
        RS_TRY(velocity(s, p, v, spare, x, sampler.schedule.times[sampler.index]));
        rs_sampler_step(&sampler, rs_f32(x), rs_f32(v));
        memcpy(rs_f32(trajectory) + (sampler.index - 1) * n, x.data, rs_tensor_bytes(x));
    }
    add(p, "latent", x);
    add(p, "trajectory", trajectory);
    return RS_OK;
}

static rs_status run_sample(rs_probe *p)
{
    subject s = {0};
    rs_status st = sample(&s, p);
    subject_close(&s);
    return st;
}

const rs_probe_component rs_probe_sample = {
    .name = "sample",
    .help = "  noise (C,F,H,W), text (L,text_dim), y and image as for dit, optional text_neg "
            "(L2,text_dim) and\n"
            "  adapters  ->  latent (C,F,H,W), trajectory (N,C,F,H,W). Options --sampler euler |\n"
            "  euler-diffusers | unipc | unipc-official, --steps, --shift, --guidance (used with "
            "text_neg).\n",
    .run = run_sample,
};
