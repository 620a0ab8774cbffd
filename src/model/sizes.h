/* What models need before they run: bytes and floating-point operations, from their configurations
 * alone. Operations are those of matrix products and attentions, two per multiply-add (the
 * contracts of kernels/gemm and kernels/attention); what else there is (norms, GELU, rotations) is
 * bound by memory and left out. */
#ifndef RS_MODEL_SIZES_H
#define RS_MODEL_SIZES_H

#include "model/model.h"
#include "weights/files.h"

/* By kind, as their rates differ. */
typedef struct rs_flops {
    double gemm, attention, attention_bwd;
} rs_flops;

void rs_flops_add(rs_flops *sum, rs_flops f);
double rs_flops_total(rs_flops f);

/* Of a forward, or of a training step with what is kept now, under the adapters set. text_rows:
 * true rows of the prompt. Needs no binding. */
rs_flops rs_denoiser_flops(const rs_denoiser *m, int64_t F, int64_t H, int64_t W, int64_t text_rows,
                           int64_t image_rows, bool training);
/* Plan for conditions of so many image rows, if these are more than before. */
void rs_denoiser_expect_image_rows(rs_denoiser *m, int64_t rows);
/* Device bytes of one condition. */
size_t rs_denoiser_cond_bytes(const rs_denoiser *m, int64_t F, int64_t H, int64_t W,
                              int64_t text_rows, int64_t image_rows);

rs_layout_sizes rs_denoiser_weight_sizes(const rs_denoiser *m);
/* Its weight files; errors as rs_denoiser_open. */
rs_status rs_denoiser_files(rs_weight_files *out, const rs_denoiser *m,
                            const char *model_dir) RS_NODISCARD;

/* A VAE without weights, for the functions below and rs_vae_get_info only. */
rs_status rs_vae_describe(rs_vae **out, rs_device *d, const char *model_dir) RS_NODISCARD;
/* Device bytes of its weights, packed. */
size_t rs_vae_weight_bytes(rs_vae *v);
/* For a clip of F latent frames of h x w: bytes of buffers and caches, and multiply-adds. Bytes are
 * asked for between clips only: buffers that are held are dropped. */
size_t rs_vae_work_bytes(rs_vae *v, bool decode, int64_t F, int64_t h, int64_t w);
int64_t rs_vae_macs(const rs_vae *v, bool decode, int64_t F, int64_t h, int64_t w);

/* An encoder whose blocks are streamed from files. */
typedef struct rs_encoder_sizes {
    int64_t params;
    int64_t rows, dim; /* of its output */
    rs_weight_files files;
    size_t weights; /* device bytes while it is open */
    size_t head;    /* more for embeddings (images) */
    size_t work;    /* buffers */
    rs_flops flops;
} rs_encoder_sizes;

/* Of a prompt of `rows` tokens; of one image. RS_MODEL as when they are opened. */
rs_status rs_text_encoder_sizes(rs_encoder_sizes *out, const rs_device *d, const char *model_dir,
                                int64_t rows) RS_NODISCARD;
rs_status rs_image_encoder_sizes(rs_encoder_sizes *out, const rs_device *d,
                                 const char *model_dir) RS_NODISCARD;

#endif
