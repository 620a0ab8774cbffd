/* Tensor: a value that describes memory it does not own. Row-major, last index contiguous; rows
 * (the last index) may be `ld` elements apart, so a slice of columns is a view. Never reversed
 * order. */
#ifndef RS_BASE_TENSOR_H
#define RS_BASE_TENSOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/dtype.h"
#include "base/status.h"

enum { RS_MAX_DIM = 5 };

typedef struct rs_tensor {
    void *data;                /* borrowed; NULL while only planned */
    int64_t shape[RS_MAX_DIM]; /* shape[0..ndim-1] */
    int64_t ld; /* elements between consecutive rows; shape[ndim-1] when contiguous */
    int ndim;   /* 0: "no tensor" (optional argument left out) */
    rs_dtype dtype;
} rs_tensor;

static inline bool rs_has(rs_tensor t)
{
    return t.ndim > 0;
}

static inline float *rs_f32(rs_tensor t)
{
    RS_ASSERT(t.dtype == RS_DTYPE_F32);
    return (float *)t.data;
}

/* A contiguous tensor over `data`. */
rs_tensor rs_tensor_of(void *data, rs_dtype dtype, int ndim, const int64_t *shape);
#define RS_SHAPE(...)                                                                              \
    (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[])                         \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
/* e.g. rs_tensor_of(p, RS_DTYPE_F32, RS_SHAPE(S, C)) */

int64_t rs_tensor_count(rs_tensor t); /* elements; 1 for ndim 0 */
int64_t rs_tensor_rows(rs_tensor t);  /* product of all but the last dimension */
int64_t rs_tensor_cols(rs_tensor t);  /* last dimension */
size_t rs_tensor_bytes(rs_tensor t);  /* of a contiguous tensor */
bool rs_tensor_contiguous(rs_tensor t);
bool rs_tensor_same_shape(rs_tensor a, rs_tensor b);
/* Views. reshape: same count, contiguous only. rows/cols: half-open ranges [lo,hi) seen as a (rows,
 * cols) matrix; slice: range of the first index, other dimensions kept (contiguous only). */
rs_tensor rs_tensor_reshape(rs_tensor t, int ndim, const int64_t *shape);
rs_tensor rs_tensor_rows_view(rs_tensor t, int64_t lo, int64_t hi);
rs_tensor rs_tensor_cols_view(rs_tensor t, int64_t lo, int64_t hi);
rs_tensor rs_tensor_slice(rs_tensor t, int64_t lo, int64_t hi);
/* "F32[3,4]" into a caller's buffer; returns it. */
enum { RS_TENSOR_TEXT = 96 };
const char *rs_tensor_text(char out[RS_TENSOR_TEXT], rs_tensor t);
/* New zeroed fp32 tensor in an arena. */
rs_tensor rs_tensor_new(rs_arena *a, int ndim, const int64_t *shape);

/* Carving: plan and bind by the same code. With base NULL only bytes are added up and tensors come
 * back with data NULL; with memory of at least that size the same calls hand it out (64-byte
 * aligned). */
typedef struct rs_carver {
    char *base;
    size_t used;
    size_t cap;
} rs_carver;

rs_tensor rs_carve(rs_carver *c, rs_dtype dtype, int ndim, const int64_t *shape);

/* A named tensor, as in safetensors files. */
typedef struct rs_named_tensor {
    const char *name;
    rs_tensor t;
} rs_named_tensor;

typedef struct rs_tensor_list {
    rs_named_tensor *items;
    int64_t n;
    size_t cap;
} rs_tensor_list;

void rs_tensor_list_add(rs_tensor_list *l, rs_arena *a, const char *name,
                        rs_tensor t);                                            /* dups name */
const rs_tensor *rs_tensor_list_find(const rs_tensor_list *l, const char *name); /* or NULL */

#endif
