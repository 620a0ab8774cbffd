/* One block of K of one tile of gemm: operands as they are stored, packed and multiplied.
 *
 * An engine does it for a kind of operands: fp32 (any instruction set), or bf16 where the processor
 * multiplies bf16 pairs. Both promise what gemm does: an element of the sums depends on its row of
 * A, its column of B and on the block of K, not on m, n or its neighbours. */
#ifndef RS_KERNELS_GEMM_BLOCK_H
#define RS_KERNELS_GEMM_BLOCK_H

#include "kernels/kernel.h"

/* An operand of the block: its element (0,0), F32 or BF16, rows `ld` apart. */
typedef struct rs_gemm_operand {
    const void *data;
    int64_t ld;
    bool bf16;  /* stored as BF16 */
    bool trans; /* A stored (k,m), B stored (n,k) */
} rs_gemm_operand;

/* What becomes of rows [lo,hi) of the sums when nothing will be added to them any more. */
typedef struct rs_gemm_end {
    void (*finish)(const void *args, int64_t lo, int64_t hi, int thread);
    const void *args;
    int thread;
    const char *rows; /* what it reads or writes for row 0, and bytes to the next row */
    int64_t row;
} rs_gemm_end;

typedef struct rs_gemm_block {
    rs_gemm_operand a, b;
    int64_t m, n, k;
    bool round;             /* operands to bf16 */
    float *sum;             /* (m,n) */
    int64_t ld;             /* of sum */
    bool accumulate;        /* to sum */
    void *work;             /* rs_gemm_engine.work bytes, 64-byte aligned */
    void *packed_a;         /* rs_gemm_engine.packed_a bytes: A as the engine wants it */
    bool a_ready;           /* it is there already, from a block with the same rows of A */
    const rs_gemm_end *end; /* or NULL: all rows, each once; in the last block of K */
} rs_gemm_block;

/* Largest tile and block. */
enum { RS_GEMM_TILE_M = 512, RS_GEMM_TILE_N = 384 };

typedef struct rs_gemm_engine {
    const char *(*name)(void);
    int (*rows)(void), (*cols)(void); /* of the register tile */
    int block_k;                      /* most of K in a block */
    int unit_k;                       /* blocks begin at multiples of it */
    size_t work;
    size_t packed_a; /* 0: A is not kept from one block to another */
    void (*run)(const rs_gemm_block *b);
} rs_gemm_engine;

extern const rs_gemm_engine rs_gemm_engine_f32, rs_gemm_engine_bf16;

/* For operands that are rounded to bf16, or for those that are not. The fp32 engine does both. */
const rs_gemm_engine *rs_gemm_engine_get(bool bf16);
/* Element (row, col) of an operand. */
static inline const void *rs_gemm_at(const rs_gemm_operand *o, int64_t row, int64_t col)
{
    return (const char *)o->data + (row * o->ld + col) * (o->bf16 ? 2 : 4);
}

#endif
