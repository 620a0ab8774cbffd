/* LoRA adapter: low-rank factors on a set of the denoiser's linears (Hu et al., ICLR 2022).
 *   y = W x + b + weight * (alpha/r) * B (A x),  A (r,in), B (out,r)
 * fp32 masters on the device. Init (PEFT): A ~ U(-1/sqrt(in), 1/sqrt(in)), B = 0, from (seed,
 * tensor name). Module names are the Diffusers ones: "blocks.3.attn1.to_q"; targets are the part
 * after the block index: attn1.to_q attn1.to_k attn1.to_v attn1.to_out.0 attn2.(same four)
 * attn2.add_k_proj attn2.add_v_proj ffn.net.0.proj ffn.net.2. */
#ifndef RS_MODEL_ADAPTER_H
#define RS_MODEL_ADAPTER_H

#include "device/device.h"

typedef struct rs_lora {
    char *module;             /* "blocks.0.attn1.to_q" */
    char *original;           /* "blocks.0.self_attn.q" */
    int64_t in, out;          /* of the linear */
    int block, target;        /* which block; index into the family's targets */
    rs_tensor a, b;           /* (r,in), (out,r) device fp32 */
    rs_tensor ga, gb;         /* gradients, same shapes; ndim 0 when not trainable */
    rs_tensor ma, va, mb, vb; /* AdamW moments; ndim 0 when not trainable */
} rs_lora;

typedef struct rs_adapter {
    rs_device *dev;
    rs_arena *arena;
    rs_pool pool;
    const struct rs_family *family;
    int64_t rank;
    float alpha;
    bool trainable;
    rs_lora *items; /* block-major, target order within a block */
    int64_t n;
    rs_tensor
        sums; /* (2n) sum of squares of each gradient, A before B; ndim 0 when not trainable */
} rs_adapter;

struct rs_denoiser;
/* The ten linears of the reference code (loraedit.md 4), in order; n_out set to 10. */
const char *const *rs_adapter_default_targets(int *n_out);
/* RS_CONFIG names an unknown target or one this model does not have. trainable: gradients and
 * moments too. */
rs_status rs_adapter_create(rs_adapter **out, struct rs_denoiser *m, int64_t rank, float alpha,
                            const char *const *targets, int n_targets, bool trainable) RS_NODISCARD;
/* The same with rank and targets taken from tensors in any spelling that import accepts; their
 * values are imported. alpha 0: the file's, or the rank where it has none. */
rs_status rs_adapter_create_from(rs_adapter **out, struct rs_denoiser *m, const rs_tensor_list *in,
                                 float alpha, bool trainable) RS_NODISCARD;
void rs_adapter_destroy(rs_adapter **a);
/* Initial values; gradients and moments zeroed. */
void rs_adapter_init(rs_adapter *a, uint64_t seed, uint64_t job);
int64_t rs_adapter_params(const rs_adapter *a);
/* Copy out / in by name "<module>.lora_A.weight" / ".lora_B.weight"; with `state` moments ".m_A"
 * ".v_A" ".m_B" ".v_B" too, with `grads` gradients "grad.<module>.lora_A.weight". Export goes to
 * host tensors in the arena. rs_lora.original gives the module's name for other exporters.
 *
 * Import takes Diffusers and original modules, behind any of the prefixes "transformer.",
 * "diffusion_model.", "base_model.model.", "model."; lora_A/lora_B or lora_down/lora_up; kohya's
 * "lora_unet_blocks_0_self_attn_q"; optional "<module>.alpha" (B is scaled so that this adapter's
 * alpha gives the file's product). RS_MODEL names missing, unknown or misshapen tensors; nothing is
 * changed then. */
void rs_adapter_export(const rs_adapter *a, rs_tensor_list *out, rs_arena *arena, bool state,
                       bool grads);
rs_status rs_adapter_import(rs_adapter *a, const rs_tensor_list *in, bool state) RS_NODISCARD;

#endif
