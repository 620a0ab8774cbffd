/* Peak rates of the CPU under a context's threads; each call is one sample. */
#ifndef RS_KERNELS_CPU_CPU_PEAK_H
#define RS_KERNELS_CPU_CPU_PEAK_H

#include "kernels/kernel.h"

/* GFLOP/s of fp32 multiply-adds that stay in registers, over all threads on cores of their own. */
double rs_cpu_peak_fma(rs_kctx *k);
/* The same of bf16 pairs, products summed in fp32; 0 where the processor has no such instruction.
 */
double rs_cpu_peak_bf16(rs_kctx *k);
/* GB/s of a[i] = b[i] + s*c[i] over arrays of n floats. */
double rs_cpu_peak_triad(rs_kctx *k, float *a, const float *b, const float *c, int64_t n);

#endif
