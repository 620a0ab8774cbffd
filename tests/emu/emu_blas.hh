/* The stand-in for cuBLASLt: what a product is, and its arithmetic. */
#ifndef RS_TESTS_EMU_EMU_BLAS_HH
#define RS_TESTS_EMU_EMU_BLAS_HH

#include <cublasLt.h>

#include "tests/emu/emu.hh"

namespace emu
{
struct blas_matrix {
    void *data;
    cudaDataType type;
    int64_t rows, cols, ld, stride; /* stride: to the next batch */
};

/* d = epilogue(alpha op(a) op(b) + beta c), column by column. */
struct blas_product {
    blas_matrix a, b, c, d;
    bool ta, tb;
    float alpha, beta;
    int batch;
    int epilogue;                   /* cublasLtEpilogue_t */
    const float *scale_a, *scale_b; /* of 8-bit operands: per row of d, per column */
    const void *bias;
    void *aux;
    int64_t aux_ld, aux_stride;
    int chunk; /* of a sum over K: what the algorithms differ in */
    void *workspace;
    size_t workspace_used;
};

size_t blas_size(cudaDataType t);
bool blas_has_bias(int epilogue);
bool blas_has_gelu(int epilogue);
bool blas_writes_aux(int epilogue);
/* Enqueues. */
void blas_launch(const blas_product &p, cudaStream_t s);
} // namespace emu

#endif
