/* Tensor files of torch.save (.pth, .pt: a ZIP of data.pkl and raw storages), read through a memory
 * mapping. Read by hand, nothing in them is executed (pickle.h).
 *
 * Names: keys of nested dicts, and positions in lists and tuples, joined with "."; a tensor at the
 * top level is "tensor". Values that are no tensors are left out; a scalar has shape [1]. Tensors
 * that are contiguous and aligned stay in the mapping, others are copied. Two names may share
 * memory. Checksums of the ZIP entries are not computed (a model would have to be read whole). */
#ifndef RS_STORE_TORCHZIP_H
#define RS_STORE_TORCHZIP_H

#include "base/status.h"
#include "base/tensor.h"

typedef struct rs_torchzip rs_torchzip;

/* RS_IO: missing or unreadable. RS_FORMAT: one line naming file and entry or tensor: not a ZIP, the
 * legacy format before torch 1.6, compressed entries, big-endian data, bad pickle, ranges outside
 * their storage, repeated names, expanded tensors (more elements than their storage). */
rs_status rs_torchzip_open(rs_torchzip **out, const char *path) RS_NODISCARD;
void rs_torchzip_close(rs_torchzip **z); /* accepts NULL, nulls the pointer */

/* As for safetensors: file order; read-only data and names valid until close; any number of
 * threads. */
const rs_tensor *rs_torchzip_find(const rs_torchzip *z, const char *name); /* or NULL */
int64_t rs_torchzip_count(const rs_torchzip *z);
const char *rs_torchzip_name(const rs_torchzip *z, int64_t i);
const rs_tensor *rs_torchzip_at(const rs_torchzip *z, int64_t i);
const char *rs_torchzip_path(const rs_torchzip *z);

#endif
