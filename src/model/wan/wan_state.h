/* Private to src/model/wan: device buffers of the transformer. The residual stream (x, x1, x2 and
 * its gradient), log-sum-exps, tokens, head, time embedding, modulation and sums are fp32, what
 * else has (S,..) rows is in the device's activation type. S counts this rank's tokens (nn/lane.h),
 * A those of the whole lane; with one rank they are the same. n samples share the passes: rows of
 * sample k of an (n*S,..) buffer are [k*S,(k+1)*S). */
#ifndef RS_MODEL_WAN_STATE_H
#define RS_MODEL_WAN_STATE_H

#include "model/wan/wan_dit.h"

/* Index of each adaptable linear in the family's target list. */
typedef enum wan_target {
    WAN_T_Q1,
    WAN_T_K1,
    WAN_T_V1,
    WAN_T_O1,
    WAN_T_Q2,
    WAN_T_K2,
    WAN_T_V2,
    WAN_T_O2,
    WAN_T_FFN1,
    WAN_T_FFN2,
    WAN_T_KI,
    WAN_T_VI,
    WAN_TARGETS
} wan_target;
enum { WAN_SCRATCH = 6, WAN_SPARE = 2 };

/* What a block's backward needs of its forward. A plain pass uses the shared set as scratch. */
typedef struct wan_acts {
    rs_tensor q1, k1;              /* (n*S,D) before RMSNorm and RoPE */
    rs_tensor v1, o1;              /* (n*S,D) */
    rs_tensor lse1;                /* (n*N/P,A) of own heads */
    rs_tensor x1;                  /* (n*S,D) residual stream after self attention */
    rs_tensor q2;                  /* (n*S,D) before RMSNorm */
    rs_tensor ot, oi;              /* (n*S,D) cross attention to text and image */
    rs_tensor lset, lsei;          /* (n*N,S) */
    rs_tensor x2;                  /* (n*S,D) residual stream after cross attention */
    rs_tensor up;                  /* (n*S,Fd) before GELU */
    rs_tensor hidden[WAN_TARGETS]; /* (n*S,R) LoRA A x; of linears over the video tokens */
} wan_acts;

/* Keys and values of the block in work, from the conditions' context; rows as in wan_cond, with
 * room for the most that a sample may have. */
typedef struct wan_context {
    rs_tensor kt_raw, kt, vt;      /* (n*U,D); kt_raw before RMSNorm */
    rs_tensor ki_raw, ki, vi;      /* (n*I,D) */
    rs_tensor dk, dv;              /* (max(U,I),D) gradients of one sample, training only */
    rs_tensor hidden[WAN_TARGETS]; /* (n*max(U,I),R) of K2, V2, KI, VI */
    rs_tensor dhidden;             /* (max(U,I),R) */
} wan_context;

typedef struct wan_state {
    rs_wan_config cfg;
    rs_dims dims;
    int n;                   /* samples */
    int64_t grid[3], all, S; /* all: A = product of the grid */
    rs_segments segments;    /* of the S rows */
    float scale;             /* of attention scores */
    rs_rope rope;
    rs_tensor tokens;         /* (A, in features) of one sample */
    rs_tensor head;           /* (A, out features) of one: head output, and its gradient */
    rs_tensor sinusoid;       /* (1,freq_dim) */
    rs_tensor e1, e, se;      /* (1,D) x3 time embedding */
    rs_tensor e0;             /* (n,6D) of every sample */
    rs_tensor mod;            /* (n*6,D) modulation of the current block */
    rs_tensor head_mod;       /* (n*2,D) */
    wan_acts acts;            /* shared by the blocks that have none of their own */
    rs_tensor stored;         /* (n, bytes) a set of acts for each stored block but the last */
    rs_tensor attention;      /* (n, bytes) o1 and lse1 of blocks that keep these; both: rings */
    rs_tensor t[WAN_SCRATCH]; /* (n*S,D) */
    rs_tensor f;              /* (n*S,Fd); most of t lies in it, and exchange and spare */
    rs_tensor dhidden;        /* (3*n*S,R) */
    rs_tensor sums;           /* for gradients of factors on their way through the tree */
    rs_tensor exchange;       /* (S,D), lanes of several ranks only; so are `spare` */
    rs_tensor spare[WAN_SPARE];
    wan_context ctx;
    int ctx_block; /* whose keys and values ctx holds in this pass; -1: nobody's */
} wan_state;

/* One pass's condition. The text rows beyond the true ones are all equal, so the last of U =
 * min(true rows + 1, text_len) rows stands for all of them. */
typedef struct wan_cond {
    int64_t U, I;                     /* text and image rows */
    int64_t last_count;               /* text rows that the last one stands for */
    rs_tensor y;                      /* (C,F,H,W), borrowed */
    rs_tensor text;                   /* (U,D) */
    rs_tensor image;                  /* (I,D) */
    rs_tensor text_in, text_hidden;   /* (U,text_dim), (U,D) while encoding */
    rs_tensor image_in, image_hidden; /* (I,image_dim) */
} wan_cond;

int64_t rs_wan_tokens(const void *state, const rs_dims *dims); /* wan_family.c */

/* wan_buffers.c */
void rs_wan_bind(void *state, rs_carver *c, const rs_dims *dims);
void rs_wan_setup(void *state, rs_device *d);
void rs_wan_kept(const void *state, rs_kept_part parts[RS_FAMILY_PARTS]);
void rs_wan_bind_cond(const void *state, void *cond, rs_carver *c, rs_dtype activation,
                      int64_t text_rows, int64_t image_rows);
/* The acts of block i in a pass of training; the shared ones for i = -1. */
wan_acts rs_wan_acts_of(const wan_state *s, int i);

/* wan_block.c, wan_block_bwd.c: one block in work. */
typedef struct wan_block {
    wan_state *s;
    rs_device *d;
    const rs_tensor *w;
    const rs_lora_terms *loras; /* (targets * n) */
    const void *const *conds;   /* (n) wan_cond */
    wan_acts a;
} wan_block;

static inline const wan_cond *rs_wan_cond(const wan_block *b, int k)
{
    return b->conds[k];
}

/* Terms of sample k, those of the others behind them. */
static inline const rs_lora_terms *rs_wan_terms(const wan_block *b, wan_target target, int k)
{
    return &b->loras[(int)target * b->s->n + k];
}

/* Part k of n equal parts of the rows; nothing of nothing. */
static inline rs_tensor rs_wan_part(const wan_block *b, rs_tensor t, int k)
{
    int64_t rows = rs_has(t) ? rs_tensor_rows(t) / b->s->n : 0;
    return rs_has(t) && b->s->n > 1 ? rs_tensor_rows_view(t, rows * k, rows * (k + 1)) : t;
}

/* wan_lane.c. o1 and lse1 from q in t[1], k in t[2] and v1; t[0] is free. */
void rs_wan_attend(const wan_block *b);
/* dq in t[0], dk in t[4], dv in t[5] from d_o in t[1], q in t[2], k in t[3]. */
void rs_wan_attend_bwd(const wan_block *b);

/* Keys and values of one part of the context; raw keys are those before the norm. */
typedef struct wan_kv {
    rs_tensor raw, k, v;
} wan_kv;

/* wan_mod.c: what works row by row, with each sample's own modulation and positions. */
void rs_wan_modulate(const wan_block *b);                 /* modulation of this block */
rs_tensor rs_wan_mod(const wan_block *b, int k, int row); /* (D) row of sample k's modulation */
/* y = norm(x)(1 + M[shift + 1]) + M[shift]; and dx += its gradient from dy, of which `next`
 * (optional) is a copy in the type of activations. */
void rs_wan_norm(const wan_block *b, rs_tensor y, rs_tensor x, int shift);
void rs_wan_norm_bwd(const wan_block *b, rs_tensor dx, rs_tensor dy, rs_tensor x, int shift,
                     rs_tensor next);
/* The same of sum = x + o. y may be o, sum may be x. */
void rs_wan_add_norm(const wan_block *b, rs_tensor y, rs_tensor sum, rs_tensor x, rs_tensor o,
                     int shift);
/* The norm with weight and bias of sum = x + M[row] * o; and dx += its gradient from dy,
 * next = dx * M[row]. next may be dy. */
void rs_wan_add_affine(const wan_block *b, rs_tensor y, rs_tensor sum, rs_tensor x, rs_tensor o,
                       int row);
void rs_wan_affine_bwd(const wan_block *b, rs_tensor dx, rs_tensor dy, rs_tensor x, rs_tensor next,
                       int row);
rs_tensor rs_wan_mod_all(const wan_block *b, int row); /* (n,D) (ld) that of every sample */
void rs_wan_gate_mul(const wan_block *b, rs_tensor y, rs_tensor x, int row);
/* rs_qk_fwd and rs_qk_bwd with the rows' own positions. */
void rs_wan_rotate(const wan_block *b, rs_tensor y, rs_tensor raw, int slot);
void rs_wan_rotate_bwd(const wan_block *b, rs_tensor dy, rs_tensor raw, int slot);

/* The linear over the rows of all samples, and over those of sample k. */
rs_linear rs_wan_linear(const wan_block *b, int slot, wan_target target);
rs_linear rs_wan_linear_of(const wan_block *b, int slot, wan_target target, int k);
/* Keys and values of the conditions for block i, unless they are there already. */
void rs_wan_context(const wan_block *b, int i);
wan_kv rs_wan_text_kv(const wan_block *b, int k);
wan_kv rs_wan_image_kv(const wan_block *b, int k); /* ndim 0 without image rows */
void rs_wan_block_fwd(void *state, rs_device *d, int i, const rs_tensor *weights,
                      const rs_lora_terms *loras, rs_tensor y, rs_tensor x,
                      const void *const *conds, rs_pass pass);
void rs_wan_block_bwd(void *state, rs_device *d, int i, const rs_tensor *weights,
                      const rs_lora_terms *loras, rs_tensor dx, rs_tensor x,
                      const void *const *conds, bool need_dx);

/* wan_flops.c */
void rs_wan_count(rs_flops *sum, const void *state, const rs_dims *dims, const rs_lora_terms *loras,
                  int64_t text_rows, int64_t image_rows, rs_counted what, int i);

/* wan_ends.c */
void rs_wan_encode_cond(void *state, void *cond, rs_device *d, const rs_tensor *globals,
                        rs_tensor y, rs_tensor text, rs_tensor image);
void rs_wan_begin(void *state, rs_device *d, const rs_tensor *globals, int k, rs_tensor x,
                  rs_tensor latent, float t, const void *cond);
void rs_wan_end(void *state, rs_device *d, const rs_tensor *globals, int k, rs_tensor v,
                rs_tensor x);
void rs_wan_end_bwd(void *state, rs_device *d, const rs_tensor *globals, int k, rs_tensor dx,
                    rs_tensor dv, rs_tensor x);

#endif
