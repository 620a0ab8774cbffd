#include "model/wan/wan_state.h"

static const char *const k_class_names[] = {"WanTransformer3DModel", "WanModel", NULL};

static const rs_target k_targets[WAN_TARGETS] = {
    [WAN_T_Q1] = {"attn1.to_q", "self_attn.q", WAN_B_Q1},
    [WAN_T_K1] = {"attn1.to_k", "self_attn.k", WAN_B_K1},
    [WAN_T_V1] = {"attn1.to_v", "self_attn.v", WAN_B_V1},
    [WAN_T_O1] = {"attn1.to_out.0", "self_attn.o", WAN_B_O1},
    [WAN_T_Q2] = {"attn2.to_q", "cross_attn.q", WAN_B_Q2},
    [WAN_T_K2] = {"attn2.to_k", "cross_attn.k", WAN_B_K2},
    [WAN_T_V2] = {"attn2.to_v", "cross_attn.v", WAN_B_V2},
    [WAN_T_O2] = {"attn2.to_out.0", "cross_attn.o", WAN_B_O2},
    [WAN_T_FFN1] = {"ffn.net.0.proj", "ffn.0", WAN_B_FFN1},
    [WAN_T_FFN2] = {"ffn.net.2", "ffn.2", WAN_B_FFN2},
    [WAN_T_KI] = {"attn2.add_k_proj", "cross_attn.k_img", WAN_B_KI},
    [WAN_T_VI] = {"attn2.add_v_proj", "cross_attn.v_img", WAN_B_VI},
};

static rs_status describe(void *state, rs_denoiser_info *info, rs_layout *layout, rs_arena *a,
                          const rs_json *config, bool original)
{
    wan_state *s = state;
    const rs_wan_config *c = &s->cfg;
    RS_TRY(rs_wan_config_read(&s->cfg, config, original));
    RS_TRY(rs_dit_layout(layout, a, config, original));
    *info = (rs_denoiser_info){
        .family = rs_family_wan21.name,
        .blocks = c->blocks,
        .dim = c->dim,
        .heads = c->heads,
        .ffn = c->ffn,
        .in_channels = c->in_channels,
        .out_channels = c->out_channels,
        .cond_channels = c->in_channels - c->out_channels,
        .text_dim = c->text_dim,
        .text_len = c->text_len,
        .image_dim = c->image_dim,
        .image_len = c->image_dim ? 257 : 0, /* CLIP ViT-H/14 at 224 pixels */
        .patch = {c->patch[0], c->patch[1], c->patch[2]},
    };
    return RS_OK;
}

int64_t rs_wan_tokens(const void *state, const rs_dims *dims)
{
    const int64_t *p = ((const wan_state *)state)->cfg.patch;
    int64_t all = (dims->F / p[0]) * (dims->H / p[1]) * (dims->W / p[2]);
    rs_segments s = rs_lane_segments(dims->lane, dims->lane->rank, all);
    return rs_segment_rows(&s);
}

const rs_family rs_family_wan21 = {
    .name = "wan21",
    .class_names = k_class_names,
    .targets = k_targets,
    .n_targets = WAN_TARGETS,
    .state_size = sizeof(wan_state),
    .cond_size = sizeof(wan_cond),
    .describe = describe,
    .bind = rs_wan_bind,
    .setup = rs_wan_setup,
    .kept = rs_wan_kept,
    .tokens = rs_wan_tokens,
    .count = rs_wan_count,
    .bind_cond = rs_wan_bind_cond,
    .encode_cond = rs_wan_encode_cond,
    .begin = rs_wan_begin,
    .block_fwd = rs_wan_block_fwd,
    .block_bwd = rs_wan_block_bwd,
    .end = rs_wan_end,
    .end_bwd = rs_wan_end_bwd,
};
