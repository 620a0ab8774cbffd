/* Probe components of the diffusion transformer: one forward, loss and adapter gradients, a short
 * training run. */
#include <string.h>

#include "cli/probe.h"
#include "model/model.h"
#include "train/train.h"

static const char k_frozen[] = "frozen.";

static bool is_adapter_name(const char *name)
{
    return strstr(name, ".lora_A.") || strstr(name, ".lora_B.") || strstr(name, ".lora_up.") ||
           strstr(name, ".lora_down.");
}

/* The adapter whose inputs have this prefix; NULL without any. */
static rs_status named_adapter(rs_adapter **out, rs_probe *p, rs_denoiser *m, const char *prefix,
                               float alpha, bool trainable)
{
    rs_tensor_list factors = {0};
    size_t skip = strlen(prefix);
    *out = NULL;
    for (int64_t i = 0; i < rs_safetensors_count(p->in); i++) {
        const char *name = rs_safetensors_name(p->in, i);
        bool frozen = strncmp(name, k_frozen, sizeof k_frozen - 1) == 0;
        if (is_adapter_name(name) && frozen == (skip > 0))
            rs_tensor_list_add(&factors, p->arena, name + skip, *rs_safetensors_at(p->in, i));
    }
    return factors.n ? rs_adapter_create_from(out, m, &factors, alpha, trainable) : RS_OK;
}

rs_status rs_probe_adapter(rs_adapter **out, rs_probe *p, rs_denoiser *m, bool trainable)
{
    return named_adapter(out, p, m, "", (float)rs_probe_scalar(p, "alpha", 0.0), trainable);
}

/* What every component opens, and the parts of a condition. */
typedef struct dit_run {
    rs_denoiser *m;
    rs_denoiser_cond *cond;
    rs_adapter *adapter, *frozen;
    rs_tensor x; /* (C,F,H,W) */
} dit_run;

static void finish(dit_run *r)
{
    rs_adapter_destroy(&r->adapter);
    rs_adapter_destroy(&r->frozen);
    rs_denoiser_cond_destroy(&r->cond);
    rs_denoiser_close(&r->m);
}

static rs_status make_cond(dit_run *r, rs_probe *p)
{
    const rs_denoiser_info *n = rs_denoiser_get_info(r->m);
    rs_tensor y = {0}, text, image = {0};
    if (n->cond_channels > 0)
        RS_TRY(rs_probe_input(
            &y, p, "y", 4,
            (int64_t[]){n->cond_channels, r->x.shape[1], r->x.shape[2], r->x.shape[3]}));
    RS_TRY(rs_probe_input(&text, p, "text", 2, (int64_t[]){0, n->text_dim}));
    if (n->image_dim > 0)
        RS_TRY(rs_probe_input(&image, p, "image", 2, (int64_t[]){0, n->image_dim}));
    return rs_denoiser_cond_create(&r->cond, r->m, y, text, image);
}

/* The frozen adapter, then the one that may be trained. */
static rs_status apply_adapters(dit_run *r, rs_probe *p, bool training)
{
    rs_adapter *all[2];
    float weights[2];
    int n = 0;
    RS_TRY(rs_probe_adapter(&r->adapter, p, r->m, training));
    RS_TRY(named_adapter(&r->frozen, p, r->m, k_frozen,
                         (float)rs_probe_scalar(p, "frozen_alpha", 0.0), false));
    if (training && !r->adapter)
        return RS_FAIL(INPUT, "no input is an adapter factor (blocks.N.<module>.lora_A.weight)");
    if (r->frozen) {
        all[n] = r->frozen;
        weights[n++] = (float)rs_probe_scalar(p, "frozen_weight", 1.0);
    }
    if (r->adapter) {
        all[n] = r->adapter;
        weights[n++] = 1.0f;
    }
    return rs_denoiser_set_adapters(r->m, all, weights, n);
}

static rs_status start(dit_run *r, rs_probe *p, const char *x, bool training)
{
    rs_denoiser_opts opts = {0};
    RS_TRY(rs_denoiser_open(&r->m, p->dev, p->model_dir, &opts));
    int64_t channels = rs_denoiser_get_info(r->m)->out_channels;
    RS_TRY(rs_probe_input(&r->x, p, x, 4, (int64_t[]){channels, 0, 0, 0}));
    RS_TRY(apply_adapters(r, p, training));
    RS_TRY(rs_denoiser_bind(r->m, r->x.shape[1], r->x.shape[2], r->x.shape[3], training));
    return make_cond(r, p);
}

static rs_status read_scalar(double *out, rs_probe *p, const char *name)
{
    rs_tensor t;
    RS_TRY(rs_probe_input(&t, p, name, 1, (int64_t[]){1}));
    *out = rs_probe_scalar(p, name, 0.0);
    return RS_OK;
}

static rs_tensor like(rs_probe *p, rs_tensor t)
{
    return rs_tensor_new(p->arena, t.ndim, t.shape);
}

static rs_status forward(dit_run *r, rs_probe *p)
{
    double t;
    RS_TRY(start(r, p, "x", false));
    RS_TRY(read_scalar(&t, p, "t"));
    rs_tensor v = like(p, r->x);
    RS_TRY(rs_denoiser_forward(r->m, v, r->x, (float)t, r->cond));
    rs_tensor_list_add(&p->out, p->arena, "v", v);
    return RS_OK;
}

static rs_status loss_grad(dit_run *r, rs_probe *p)
{
    double t;
    rs_tensor target, loss = rs_tensor_new(p->arena, RS_SHAPE(1));
    RS_TRY(start(r, p, "x", true));
    RS_TRY(read_scalar(&t, p, "t"));
    RS_TRY(rs_probe_input(&target, p, "target", 4, r->x.shape));
    rs_tensor v = like(p, r->x);
    RS_TRY(rs_denoiser_loss_grad(r->m, rs_f32(loss), v, r->x, (float)t, target, r->cond));
    rs_tensor_list_add(&p->out, p->arena, "loss", loss);
    rs_tensor_list_add(&p->out, p->arena, "v", v);
    rs_tensor_list all = {0};
    rs_adapter_export(r->adapter, &all, p->arena, false, true);
    for (int64_t i = 0; i < all.n; i++)
        if (strncmp(all.items[i].name, "grad.", 5) == 0)
            rs_tensor_list_add(&p->out, p->arena, all.items[i].name, all.items[i].t);
    return RS_OK;
}

static rs_status train(dit_run *r, rs_probe *p)
{
    rs_tensor noise, sigma;
    rs_optim_opts o = RS_OPTIM_OPTS_DEFAULT;
    RS_TRY(start(r, p, "x0", true));
    const int64_t *s = r->x.shape;
    RS_TRY(rs_probe_input(&noise, p, "noise", 5, (int64_t[]){0, s[0], s[1], s[2], s[3]}));
    RS_TRY(rs_probe_input(&sigma, p, "sigma", 1, (int64_t[]){noise.shape[0]}));
    o.lr = rs_probe_scalar(p, "lr", o.lr);
    o.beta1 = rs_probe_scalar(p, "beta1", o.beta1);
    o.beta2 = rs_probe_scalar(p, "beta2", o.beta2);
    o.eps = rs_probe_scalar(p, "eps", o.eps);
    o.weight_decay = rs_probe_scalar(p, "weight_decay", o.weight_decay);
    o.grad_clip = rs_probe_scalar(p, "grad_clip", o.grad_clip);
    rs_train_item item = {.x0 = r->x};
    rs_tensor losses = rs_tensor_new(p->arena, RS_SHAPE(noise.shape[0]));
    for (int64_t i = 0; i < noise.shape[0]; i++) {
        double norm;
        rs_tensor n = rs_tensor_reshape(rs_tensor_slice(noise, i, i + 1), 4, s);
        RS_TRY(rs_train_step(r->m, r->adapter, &item, r->cond, n, rs_f32(sigma)[i], &o, i + 1,
                             &rs_f32(losses)[i], &norm));
    }
    rs_tensor_list_add(&p->out, p->arena, "losses", losses);
    rs_adapter_export(r->adapter, &p->out, p->arena, false, false);
    return RS_OK;
}

static rs_status run_dit(rs_probe *p)
{
    dit_run r = {0};
    rs_status st = forward(&r, p);
    finish(&r);
    return st;
}

static rs_status run_dit_grad(rs_probe *p)
{
    dit_run r = {0};
    rs_status st = loss_grad(&r, p);
    finish(&r);
    return st;
}

static rs_status run_train(rs_probe *p)
{
    dit_run r = {0};
    rs_status st = train(&r, p);
    finish(&r);
    return st;
}

#define COND                                                                                       \
    "    text [L,text_dim] true rows (at most 512), y [20,F,H,W] and image [n,image_dim] for "     \
    "I2V\n"
#define ADAPTER                                                                                    \
    "    blocks.N.<module>.lora_A.weight [r,in], .lora_B.weight [out,r]; alpha [1] (default: r)\n" \
    "    frozen.<the same>: a second adapter, never trained; frozen_alpha, frozen_weight [1]\n"

const rs_probe_component rs_probe_dit = {
    .name = "dit",
    .help = "in  x [16,F,H,W], t [1] in 0..1000\n" COND ADAPTER "out v [16,F,H,W] velocity\n",
    .run = run_dit,
};
const rs_probe_component rs_probe_dit_grad = {
    .name = "dit-grad",
    .help = "in  x [16,F,H,W], t [1] in 0..1000, target [16,F,H,W]\n" COND ADAPTER
            "out loss [1] = mean((v - target)^2), v, grad.<adapter tensor>\n",
    .run = run_dit_grad,
};
const rs_probe_component rs_probe_train = {
    .name = "train",
    .help = "in  x0 [16,F,H,W], noise [steps,16,F,H,W], sigma [steps]\n" COND ADAPTER
            "    lr, beta1, beta2, eps, weight_decay, grad_clip [1]: as torch.optim.AdamW\n"
            "out losses [steps], the adapter after the last step\n",
    .run = run_train,
};
