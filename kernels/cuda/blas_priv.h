/* Private to kernels/cuda/blas*.c. */
#ifndef RS_KERNELS_CUDA_BLAS_PRIV_H
#define RS_KERNELS_CUDA_BLAS_PRIV_H

#include <cublasLt.h>

#include "base/arena.h"
#include "kernels/cuda/blas.h"

enum { RS_BLAS_WORDS = 8 }; /* of cublasLtMatmulAlgo_t, 64 bits each */

/* What an algorithm depends on. With trans_a the rows of y are the columns of a, K counts tokens.
 */
typedef struct blas_key {
    int64_t n, k;
    int type, out;
    int trans;    /* 1: a, 2: b */
    int epilogue; /* cublasLtEpilogue_t */
} blas_key;

typedef struct blas_entry {
    blas_key key;
    cublasLtMatmulAlgo_t algo;
    bool refused; /* no algorithm was found: said once per call */
} blas_entry;

struct rs_blas {
    rs_arena *arena;
    cublasLtHandle_t lt;
    bool record;
    char head[256]; /* first line of a table */
    char text[128];
    blas_entry *entries;
    int64_t n;
    size_t cap;
};

blas_entry *rs_blas_find(rs_blas *b, const blas_key *key);
blas_entry *rs_blas_add(rs_blas *b, const blas_key *key);
/* blas_table.c: entries of a file; the hash of its text. */
rs_status rs_blas_load(rs_blas *b, const char *path, char hash[9]) RS_NODISCARD;

#endif
