/* Wan2.1 diffusion transformer: architecture and weight slots.
 *
 * Configurations come in two forms: Diffusers (transformer/config.json: num_attention_heads, ...)
 * and original (config.json in the root: dim, ffn_dim, ...; text_dim, image_dim and patch_size are
 * not stored there and take the published values). */
#ifndef RS_MODEL_WAN_DIT_H
#define RS_MODEL_WAN_DIT_H

#include "model/family.h"
#include "model/layouts.h"

typedef struct rs_wan_config {
    int64_t blocks, dim, heads, head_dim, ffn, freq_dim;
    int64_t in_channels, out_channels;
    int64_t text_dim, text_len, image_dim; /* image_dim 0: no image branch (T2V) */
    int64_t patch[3];
    float eps;
} rs_wan_config;

/* RS_MODEL names file and key; unsupported variants (FLF2V, VACE, other norms) are named. */
rs_status rs_wan_config_read(rs_wan_config *out, const rs_json *config, bool original) RS_NODISCARD;

/* Slots. A linear's or norm's bias is its weight's slot + 1. */
enum {
    WAN_G_PATCH = 0,
    WAN_G_TEXT1 = 2,
    WAN_G_TEXT2 = 4,
    WAN_G_TIME1 = 6,
    WAN_G_TIME2 = 8,
    WAN_G_TIME_PROJ = 10,
    WAN_G_HEAD = 12,
    WAN_G_HEAD_TABLE = 14,
    WAN_G_IMAGE_NORM1 = 15,
    WAN_G_IMAGE1 = 17,
    WAN_G_IMAGE2 = 19,
    WAN_G_IMAGE_NORM2 = 21
};
enum {
    WAN_B_TABLE = 0, /* modulation (1,6,D) */
    WAN_B_Q1 = 1,    /* self attention */
    WAN_B_K1 = 3,
    WAN_B_V1 = 5,
    WAN_B_O1 = 7,
    WAN_B_NORM_Q1 = 9,
    WAN_B_NORM_K1 = 10,
    WAN_B_NORM = 11, /* affine norm in front of cross attention */
    WAN_B_Q2 = 13,   /* cross attention */
    WAN_B_K2 = 15,
    WAN_B_V2 = 17,
    WAN_B_O2 = 19,
    WAN_B_NORM_Q2 = 21,
    WAN_B_NORM_K2 = 22,
    WAN_B_FFN1 = 23,
    WAN_B_FFN2 = 25,
    WAN_B_KI = 27, /* cross attention to the image tokens */
    WAN_B_VI = 29,
    WAN_B_NORM_KI = 31
};

#endif
