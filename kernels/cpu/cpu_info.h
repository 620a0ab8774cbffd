/* What the CPU backend found: instruction sets and library versions. */
#ifndef RS_KERNELS_CPU_CPU_INFO_H
#define RS_KERNELS_CPU_CPU_INFO_H

#include <stdbool.h>
#include <stddef.h>

/* Widest instruction set that kernels may use: fp32 FMA of 512 or 256 bits, or the x86-64 baseline.
 * The environment variable RS_CPU=baseline|avx2|avx512|avx512bf16 lowers it (tests, comparisons);
 * it never raises it. */
typedef enum rs_isa { RS_ISA_BASELINE, RS_ISA_AVX2, RS_ISA_AVX512 } rs_isa;

rs_isa rs_cpu_isa(void);
const char *rs_isa_name(rs_isa isa);
/* Whether there is, on top of AVX-512, the dot product of bf16 pairs: what RS_CPU=avx512 leaves
 * out.
 */
bool rs_cpu_bf16(void);
/* Values of RS_CPU that make a difference on this machine, widest first; NULL behind the last. What
 * tests of every variant go through. */
const char *rs_cpu_pin(int i);
/* One line for the numerics fingerprint. bf16: of a device with that precision. */
void rs_cpu_describe(char *out, size_t cap, bool bf16);

#endif
