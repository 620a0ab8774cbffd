/* General matrix multiply with the epilogues a transformer needs.
 *
 *   y = act(alpha * op(a) op(b) + beta * y0 + bias)        op(t) = t or t^T
 *
 *   forward of a linear   y(M,N) = x(M,K) w(N,K)^T + bias        trans_b
 *   gradient to its input dx(M,K) = dy(M,N) w(N,K)
 *   LoRA factors          dA(R,K) = dh(M,R)^T x(M,K)             trans_a
 *
 * a and b may each be F32 or BF16. With `bf16` both are rounded to bf16 (to nearest even) before
 * they are multiplied; products and sums are fp32 in either case. Without it BF16 operands are
 * widened, which is exact. Devices that store activations in BF16 also take y and pre of that type
 * (rounded once, after the activation for y, before it for pre); the CPU takes such a y where
 * nothing is added to it (no beta, no res).
 *
 * Low-rank terms are added in the same pass over y (LoRA). The rows are cut into `parts` equal
 * parts; those of part i get, if there is a ta[i],
 *
 *   y = act(alpha * (op(a) op(b) + ta[i] op(tb[i])) + beta * y0 + bias)     op of tb as of b
 *
 * Only devices of which rs_device_gemm_terms is true take them.
 *
 * Backward of an activation behind the linear below: with act_at, y is v * act'(act_at) instead of
 * act(v), v being what stands in the brackets.
 *
 * b may be a matrix of 8-bit floats with a scale per row of its memory (base/fp8.h, U8; a frozen
 * linear's weights) where rs_device_fp8 says so, with a BF16 y (and a, forward). Times trans_b
 * (forward) the rows of a are brought to 8 bits too, each with its own scale (quant8), and the
 * products are of these; without (gradient to the input) b is widened to bf16 and a stays what it
 * is. Products that end with an activation then round before it.
 *
 * A residual is added last, gated by channel: with `res`
 *
 *   y = res + gate[i] * act(...)         gate[i] 1 when left out, i the part of the row
 *
 * in the same pass over y, and to the same bits as gate_add after it; y may be res (then beta is
 * 0). Only devices of which rs_device_gemm_residual is true take it.
 *
 * y0 is the previous content of y when beta != 0, otherwise y is not read. When `pre` is given it
 * receives the value before the activation. bias (N) is added to every row. Accumulation fp32.
 * An element of y depends on its row of a and its column of b only, in value and in bits: not on M,
 * N, the other rows, or the number of threads.
 *
 * FLOP 2*M*N*K, and 2*M*N*R of terms. */
#ifndef RS_KERNELS_GEMM_H
#define RS_KERNELS_GEMM_H

#include "kernels/act/act.h"
#include "kernels/kernel.h"

enum { RS_GEMM_PARTS = 8 };

typedef struct rs_gemm_args {
    rs_tensor y;    /* (M,N) (ld) */
    rs_tensor a;    /* (M,K), or (K,M) with trans_a (ld) */
    rs_tensor b;    /* (K,N), or (N,K) with trans_b (ld) */
    rs_tensor bias; /* optional (N) */
    rs_tensor pre;  /* optional (M,N) contiguous */
    bool trans_a;
    bool trans_b;
    bool bf16;
    float alpha; /* 0 means 1 */
    float beta;
    rs_act act;                  /* RS_ACT_NONE by default */
    rs_tensor act_at;            /* optional (M,N) contiguous, of y's type; without pre */
    int parts;                   /* 0 means 1 */
    rs_tensor ta[RS_GEMM_PARTS]; /* optional (M/parts,R) (ld) */
    rs_tensor tb[RS_GEMM_PARTS]; /* (R,N), or (N,R) with trans_b (ld) */
    rs_tensor res;               /* optional (M,N) (ld), F32; y is too then */
    rs_tensor gate;              /* optional (parts,N) (ld) */
} rs_gemm_args;

#endif
