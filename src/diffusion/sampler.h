/* Samplers of the flow ODE, from sigma 1 (noise) to 0 (data).
 *
 *   euler            u_i = 1 - i/N, sigma = S(u): DiffSynth and the LoRA-Edit authors
 * (wan21.md 6.3, item 4) euler-diffusers  FlowMatchEulerDiscreteScheduler's sigmas (item 3) unipc
 * UniPC order 2, Diffusers' flow sigmas, integer times (item 2) unipc-official   UniPC order 2, the
 * official Wan repository's sigmas (item 1) S(u) = s*u/(1 + (s-1)*u), s the shift. UniPC: Zhao et
 * al., NeurIPS 2023, B(h) = expm1, data prediction, corrector on, lower order at the ends
 * (wan21.md 6.4). State is explicit so that sampling can be resumed. */
#ifndef RS_DIFFUSION_SAMPLER_H
#define RS_DIFFUSION_SAMPLER_H

#include "base/arena.h"
#include "base/tensor.h"

#define RS_SAMPLER_LIST(X)                                                                         \
    X(EULER, "euler")                                                                              \
    X(EULER_DIFFUSERS, "euler-diffusers")                                                          \
    X(UNIPC, "unipc")                                                                              \
    X(UNIPC_OFFICIAL, "unipc-official")

typedef enum rs_sampler_kind {
#define RS_SAMPLER_ENUM(id, name) RS_SAMPLER_##id,
    RS_SAMPLER_LIST(RS_SAMPLER_ENUM)
#undef RS_SAMPLER_ENUM
        RS_SAMPLER_COUNT
} rs_sampler_kind;

/* RS_CONFIG with the list of names if unknown. */
rs_status rs_sampler_parse(rs_sampler_kind *out, const char *name) RS_NODISCARD;

typedef struct rs_schedule {
    int64_t steps;
    float *sigmas; /* steps + 1, last 0 */
    float *times;  /* steps: the model's time input */
} rs_schedule;

/* steps >= 1, shift > 0 (RS_CONFIG otherwise); arrays in the arena. */
rs_status rs_schedule_make(rs_schedule *s, rs_arena *a, rs_sampler_kind kind, int64_t steps,
                           double shift) RS_NODISCARD;

typedef struct rs_sampler {
    rs_sampler_kind kind;
    rs_schedule schedule;
    int64_t n;      /* values in the latent */
    int64_t index;  /* next step */
    int order_prev; /* UniPC: order of the last predictor */
    float *m0, *m1; /* UniPC: last two data predictions */
    float *x_last;  /* UniPC: sample before the last predictor */
} rs_sampler;

void rs_sampler_init(rs_sampler *s, rs_arena *a, rs_sampler_kind kind, const rs_schedule *schedule,
                     int64_t n);
/* One step in place: x (n values) at schedule.times[index], v the model's (guided) velocity there;
 * v may be overwritten. Advances index. */
void rs_sampler_step(rs_sampler *s, float *x, float *v);
/* What must be saved with x to continue after a restart, as tensors over the sampler's own memory
 * (borrowed); index is rs_sampler.index. */
void rs_sampler_state(const rs_sampler *s, rs_tensor_list *out, rs_arena *a);
/* Put a saved state back; RS_FORMAT if it does not belong to this kind and size. */
rs_status rs_sampler_restore(rs_sampler *s, int64_t index,
                             const rs_tensor_list *state) RS_NODISCARD;

#endif
