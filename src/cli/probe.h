/* `reshoot probe`: one component on given tensors, to hold it against PyTorch. Each component is a
 * row of a table: inputs, outputs and shapes are documented in its help text. */
#ifndef RS_CLI_PROBE_H
#define RS_CLI_PROBE_H

#include "device/device.h"
#include "diffusion/sampler.h"
#include "store/safetensors.h"

/* State of one probe run. Inputs are the tensors of one safetensors file. */
typedef struct rs_probe {
    const char *model_dir;
    rs_device *dev;
    rs_arena *arena;
    const rs_safetensors *in;
    rs_tensor_list out; /* filled by the component */
    /* options of `sample` and `schedule` */
    const char *sampler;
    int64_t steps;
    double shift, guidance;
} rs_probe;

typedef struct rs_probe_component {
    const char *name;
    const char *help; /* inputs and outputs with shapes */
    rs_status (*run)(rs_probe *p);
} rs_probe_component;

extern const rs_probe_component rs_probe_dit, rs_probe_dit_grad, rs_probe_train, rs_probe_sample,
    rs_probe_schedule;
extern const rs_probe_component rs_probe_vae_encode, rs_probe_vae_decode, rs_probe_text,
    rs_probe_image, rs_probe_image_embed, rs_probe_tokens;

/* Input tensor as fp32 in the arena with a checked rank (and shape where want[i] > 0). RS_INPUT
 * names it. */
rs_status rs_probe_input(rs_tensor *out, rs_probe *p, const char *name, int ndim,
                         const int64_t *want) RS_NODISCARD;
bool rs_probe_has(const rs_probe *p, const char *name);
/* The adapter made of the inputs "blocks.N.<module>.lora_A.weight" / ".lora_B.weight" (scale
 * alpha/r, input "alpha", default r); NULL when there are none. Caller destroys it. */
struct rs_adapter;
struct rs_denoiser;
rs_status rs_probe_adapter(struct rs_adapter **out, rs_probe *p, struct rs_denoiser *m,
                           bool trainable) RS_NODISCARD;
/* The sampler that the options ask for, for n values. */
rs_status rs_probe_sampler(rs_sampler *s, rs_probe *p, int64_t n) RS_NODISCARD;
/* Optional scalar of shape (1). */
double rs_probe_scalar(const rs_probe *p, const char *name, double otherwise);

#endif
