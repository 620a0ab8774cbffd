/* Scaled dot-product attention, flash style: no (Sq,Sk) matrix in memory.
 *
 *   per head n:  P = softmax(scale * Q K^T + bias[n, j - i]) ;  O = P V          (i query, j key)
 *   lse[n,i] = log sum_j exp(scale q_i.k_j + bias)
 *   backward: D = rowsum(dO*O); dP = dO V^T; dS = P*(dP - D); dQ = scale dS K; dK = scale dS^T Q;
 * dV = P^T dO
 *
 * Layout (S, N*D): row s holds all heads, head n in columns [n*D,(n+1)*D). D is taken from heads.
 * The last key may stand for `last_key_count` equal ones (padding): log(count) is added to its
 * score, which is the same softmax as with all of them; its dk and dv are their sums. No mask, not
 * causal. o_accumulate adds to o (second softmax of image cross-attention); the backward of each
 * softmax needs its own o and lse, so such callers keep both. Gradients overwrite unless
 * accumulate. FLOP forward 4*Sq*Sk*N*D, backward 10*Sq*Sk*N*D.
 *
 * With `bf16` products are of bf16 values and sums are fp32; the softmax's exponentials, their sum,
 * lse and D are fp32 of what the products gave. P of the forward is rounded as exp(score - m) with
 * m the largest score so far or, where |q| times the longest key bounds the scores, 0; that of the
 * backward as exp(score - lse), dS with its scale.
 *
 * Bits depend on nothing but the contents: those of o and lse at a query on its own q and all keys
 * and values, those of dq there on these and d_o, o and lse at the query; those of dk and dv on all
 * queries in order. Not on the other heads, their number, the other queries or the threads. */
#ifndef RS_KERNELS_ATTENTION_H
#define RS_KERNELS_ATTENTION_H

#include "kernels/kernel.h"

typedef struct rs_attention_fwd_args {
    rs_tensor o;        /* (Sq, N*D) (ld) */
    rs_tensor lse;      /* optional (N, Sq) (ld) */
    rs_tensor q;        /* (Sq, N*D) (ld) */
    rs_tensor k;        /* (Sk, N*D) (ld) */
    rs_tensor v;        /* (Sk, N*D) (ld) */
    rs_tensor bias_rel; /* optional (N, Sq+Sk-1): element [n, j-i+Sq-1] is added to score (i,j) */
    int64_t heads;
    int64_t last_key_count; /* 0 means 1 */
    float scale;
    bool o_accumulate;
    bool bf16; /* q, k, v and P are rounded to bf16 before they are multiplied */
} rs_attention_fwd_args;

typedef struct rs_attention_bwd_args {
    rs_tensor dq; /* (Sq, N*D) (ld) */
    rs_tensor dk; /* optional with dv: left out when keys and values are constants */
    rs_tensor dv;
    rs_tensor d_o; /* (Sq, N*D) (ld) */
    rs_tensor o;   /* this softmax's own output */
    rs_tensor lse; /* (N, Sq) (ld) */
    rs_tensor q;
    rs_tensor k;
    rs_tensor v;
    int64_t heads;
    int64_t last_key_count; /* 0 means 1 */
    float scale;
    bool dq_accumulate;
    bool bf16; /* q, k, v, d_o, P and dS are rounded to bf16 before they are multiplied */
} rs_attention_bwd_args;

/* With cuDNN the backward may keep dS in the workspace (2 bytes a score of so many heads as go in
 * one part), up to this share of a GPU's memory: 3.5 GB of 85, of 24 GB one head of 20280 tokens.
 */
enum { RS_ATTENTION_DS_SHARE = 24 };

/* A call, as memory is planned by: contiguous rows of all heads. */
typedef struct rs_attention_shape {
    int64_t heads, head_dim, queries, keys;
    bool backward;
} rs_attention_shape;

#endif
