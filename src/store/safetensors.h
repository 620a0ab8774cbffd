/* safetensors files, read through a memory mapping and written atomically.
 *
 * Format: 8 bytes header length N (little endian), N bytes of JSON
 *   {"__metadata__": {string: string}, name: {"dtype", "shape", "data_offsets": [begin, end]}, ...}
 * then the data; offsets count from byte 8+N. The tensors must tile the data exactly. Rules of the
 * reader are those of the reference implementation (huggingface/safetensors), and stricter on
 * duplicates.
 *
 * Differences by our tensor type: at most RS_MAX_DIM dimensions; a scalar (shape []) reads as shape
 * [1]. */
#ifndef RS_STORE_SAFETENSORS_H
#define RS_STORE_SAFETENSORS_H

#include "base/status.h"
#include "base/tensor.h"

typedef struct rs_safetensors rs_safetensors;

typedef struct rs_meta {
    const char *key;
    const char *value;
} rs_meta;

/* `path`: a .safetensors file, an index (*.safetensors.index.json), or a folder. In a folder the
 * first of diffusion_pytorch_model.safetensors, model.safetensors, adapter_model.safetensors, the
 * same stems with .safetensors.index.json, the only *.safetensors.index.json, the only
 * *.safetensors is taken. Every shard is opened and checked. Tensors whose data are misaligned for
 * their type are copied into memory; all others stay in the mapping. RS_IO: a file is missing or
 * unreadable. RS_FORMAT: one line naming file and tensor. */
rs_status rs_safetensors_open(rs_safetensors **out, const char *path) RS_NODISCARD;
void rs_safetensors_close(rs_safetensors **s); /* accepts NULL, nulls the pointer */

/* Tensors in header order, shard by shard. Data are read-only (the mapping faults on writes) and,
 * like the names, valid until close. Lookups only read: any number of threads. */
const rs_tensor *rs_safetensors_find(const rs_safetensors *s, const char *name); /* or NULL */
int64_t rs_safetensors_count(const rs_safetensors *s);
const char *rs_safetensors_name(const rs_safetensors *s, int64_t i);
const rs_tensor *rs_safetensors_at(const rs_safetensors *s, int64_t i);
/* The tensor, which must have this shape. RS_MODEL names file, tensor and both shapes. */
rs_status rs_safetensors_get(rs_tensor *out, const rs_safetensors *s, const char *name, int ndim,
                             const int64_t *shape) RS_NODISCARD;

/* What was opened: the path given, and the data files (for content keys). */
const char *rs_safetensors_path(const rs_safetensors *s);
int64_t rs_safetensors_file_count(const rs_safetensors *s);
const char *rs_safetensors_file(const rs_safetensors *s, int64_t i);

/* `__metadata__` of all files, in order; the value of the first entry with this key, or NULL. */
const char *rs_safetensors_metadata(const rs_safetensors *s, const char *key);
int64_t rs_safetensors_metadata_count(const rs_safetensors *s);
rs_meta rs_safetensors_metadata_at(const rs_safetensors *s, int64_t i);

/* Write tensors in the order given (rows may be strided), with the data 8-byte aligned, through a
 * temporary and a durable rename: `path` is the old file or the complete new one. Equal input gives
 * equal bytes. RS_INPUT: names that repeat or are "__metadata__". RS_IO: the file could not be
 * written. */
rs_status rs_safetensors_write(const char *path, const rs_tensor_list *tensors, const rs_meta *meta,
                               int n_meta) RS_NODISCARD;
/* As above into a folder, cut into files of at most `shard_bytes` of data (a larger tensor gets a
 * file of its own): <stem>.safetensors if one suffices, else <stem>-00001-of-0000N.safetensors and,
 * written last, <stem>.safetensors.index.json. */
rs_status rs_safetensors_write_sharded(const char *folder, const char *stem,
                                       const rs_tensor_list *tensors, const rs_meta *meta,
                                       int n_meta, size_t shard_bytes) RS_NODISCARD;

#endif
