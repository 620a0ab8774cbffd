/* Private to src/store: an interpreter for the pickles inside torch zip files. It builds plain
 * values and descriptions of tensors; it never imports, calls or executes anything. Globals outside
 * the short list that tensor files need are an error.
 *
 * Understood: the opcodes of protocol 2 (and the strings, frames and memo of protocols 3 to 5) that
 * pickle writes for dict, OrderedDict, list, tuple, numbers, strings, torch.Size, torch dtypes,
 * typed storages as persistent ids, and torch._utils._rebuild_{tensor,tensor_v2,parameter,
 * parameter_with_state}. */
#ifndef RS_STORE_PICKLE_H
#define RS_STORE_PICKLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/dtype.h"
#include "base/tensor.h"

typedef enum rs_pv_kind {
    RS_PV_NONE,
    RS_PV_BOOL,
    RS_PV_INT,
    RS_PV_FLOAT,
    RS_PV_STRING,
    RS_PV_TUPLE,
    RS_PV_LIST,
    RS_PV_DICT,    /* items: key, value, key, value, ... */
    RS_PV_GLOBAL,  /* text: "module.name" */
    RS_PV_STORAGE, /* text: entry key; dtype; number: elements */
    RS_PV_TENSOR,
    RS_PV_OTHER /* a harmless object without content for us (torch.device, ...) */
} rs_pv_kind;

/* A tensor as pickled: a strided window into a storage. Unchecked numbers from the file. */
typedef struct rs_pv_tensor {
    const char *storage; /* entry key under "data/" */
    rs_dtype dtype;
    int64_t storage_elements;
    int64_t offset;
    int ndim; /* 0 for a scalar */
    int64_t shape[RS_MAX_DIM];
    int64_t stride[RS_MAX_DIM];
} rs_pv_tensor;

typedef struct rs_pv {
    rs_pv_kind kind;
    rs_dtype dtype;
    int64_t number; /* INT, BOOL, STORAGE */
    const char *text;
    struct rs_pv **items; /* TUPLE, LIST, DICT; may be cyclic */
    size_t n, cap;
    rs_pv_tensor *tensor;
} rs_pv;

/* Interpret `bytes` of pickle; values live in `a`. RS_FORMAT: "<origin>: byte N: what". */
rs_status rs_pickle_read(rs_pv **out, rs_arena *a, const uint8_t *data, size_t bytes,
                         const char *origin) RS_NODISCARD;

#endif
