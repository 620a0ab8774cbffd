/* Layout: which tensors a component has, under which names, in which shapes, and to which block
 * they belong. One table per component serves loading (Diffusers and original checkpoints),
 * streaming, planning, synthetic models and key hashing.
 *
 * Names are patterns with one "%d" for the block index where block >= 0. An original checkpoint may
 * keep several of our tensors in one (CLIP's to_qkv): then `original_rows` is [lo,hi) of its first
 * dimension. */
#ifndef RS_WEIGHTS_LAYOUT_H
#define RS_WEIGHTS_LAYOUT_H

#include "base/tensor.h"

enum { RS_WEIGHT_NAME = 256 }; /* room for a concrete tensor name */

typedef struct rs_weight_row {
    int slot;              /* index the model code uses; unique within its block kind */
    int block;             /* -1: outside the blocks, else this row belongs to every block */
    const char *diffusers; /* name pattern in the Diffusers / transformers layout */
    const char *original;  /* name pattern in the original layout; NULL: same as diffusers */
    int ndim;
    int64_t shape[RS_MAX_DIM]; /* as in the Diffusers layout */
    int64_t original_rows[2];  /* {0,0}: whole tensor */
    bool optional;             /* absent in some checkpoints; then the slot stays empty (ndim 0) */
    bool raw; /* outside the blocks: left in the file, host memory in its own type (huge tables) */
    bool matrix; /* operand b of gemm and nothing else: keeps 16 bits (rs_device_matrix_dtype) */
} rs_weight_row;

typedef struct rs_layout {
    rs_weight_row *rows; /* arena-owned */
    int64_t n;
    size_t cap;
    int blocks;      /* number of repeated blocks; 0 for a component without */
    int block_slots; /* slots per block, and outside the blocks: one more than the largest used */
    int global_slots;
    bool fp8; /* matrices of the blocks may be kept in 8 bits (rs_device_fp8) */
} rs_layout;

/* Append a row (names must outlive the layout: literals or arena strings). */
void rs_layout_add(rs_layout *l, rs_arena *a, rs_weight_row row);
/* Append `<module>.weight` (out,in), a matrix, at `slot` and `<module>.bias` (out) at slot + 1. */
void rs_layout_add_linear(rs_layout *l, rs_arena *a, int block, int slot, const char *diffusers,
                          const char *original, int64_t out, int64_t in);
/* Append `<module>.weight` (n) at `slot` and `<module>.bias` (n) at slot + 1. */
void rs_layout_add_norm(rs_layout *l, rs_arena *a, int block, int slot, const char *diffusers,
                        const char *original, int64_t n);

/* Parameters of one block, of what is outside, and of everything. Optional rows count. */
int64_t rs_layout_block_params(const rs_layout *l);
int64_t rs_layout_global_params(const rs_layout *l);
int64_t rs_layout_params(const rs_layout *l);
int64_t rs_weight_row_params(const rs_weight_row *row);
/* Of each slot: whether it is a matrix. (block_slots) or (global_slots), in the arena. */
bool *rs_layout_matrices(const rs_layout *l, rs_arena *a, bool blocks);
/* Device bytes of weights in fp32 as rs_wstream lays them out: of what is outside the blocks,
 * without raw rows, and of one block. Optional rows count. */
typedef struct rs_layout_sizes {
    size_t outside, block;
    int64_t blocks;
} rs_layout_sizes;

rs_layout_sizes rs_layout_bytes(const rs_layout *l);
/* Concrete name of a row for a block index into `out`; original layout if asked. */
void rs_layout_name(char *out, size_t size, const rs_weight_row *row, int block, bool original);

#endif
