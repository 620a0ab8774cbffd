/* Weight stream: a frozen component's weights, outside-the-block tensors resident, block tensors on
 * demand.
 *
 *   prefetch(i) ... acquire(i) -> fp32 device tensors by slot ... release(i)
 *
 * Blocks may be walked forwards or backwards; at most two are held at a time (ring of two). Homes:
 *   resident  every block converted to the compute type once at open
 *   mapped    (CPU) memory-mapped files; fp32 tensors are used in place, bf16/fp16/fp64 ones are
 *             converted into the ring: by a thread of the stream after prefetch, else in acquire.
 *             The bits are the same. For tensors in place prefetch asks the kernel to read ahead.
 * Other homes (sharded, host) plug in behind the same three calls. */
#ifndef RS_WEIGHTS_STREAM_H
#define RS_WEIGHTS_STREAM_H

#include "device/device.h"
#include "weights/layout.h"

typedef struct rs_wstream rs_wstream;

typedef enum rs_weight_home { RS_HOME_AUTO, RS_HOME_RESIDENT, RS_HOME_MAPPED } rs_weight_home;

/* Opens the checkpoint at `path` (file or folder, safetensors or torch zip, Diffusers or original
 * names, any common prefix such as "model.diffusion_model."), checks every row's presence and shape
 * (dimensions of 1 do not count; RS_MODEL names file and tensor). `layout` is borrowed until close.
 * AUTO: mapped when all block tensors are stored as fp32, else resident if it fits in a quarter of
 * memory, else mapped. */
rs_status rs_wstream_open(rs_wstream **out, rs_device *d, const char *path, const rs_layout *layout,
                          rs_weight_home home) RS_NODISCARD;
void rs_wstream_close(rs_wstream **w); /* accepts NULL, nulls the pointer */
/* Outside-the-block tensors by slot, valid until close. Rows marked raw are host memory in the
 * file's type. */
const rs_tensor *rs_wstream_globals(const rs_wstream *w);
/* A hint, at any time, for any block. */
void rs_wstream_prefetch(rs_wstream *w, int block);
/* Tensors of the block by slot, valid until release of the same block. A block may be acquired
 * again while held; it needs as many releases. */
rs_status rs_wstream_acquire(rs_wstream *w, int block, const rs_tensor **slots) RS_NODISCARD;
void rs_wstream_release(rs_wstream *w, int block);

rs_weight_home rs_wstream_home(const rs_wstream *w);
size_t rs_wstream_bytes(const rs_wstream *w);  /* device bytes held for weights */
bool rs_wstream_original(const rs_wstream *w); /* the checkpoint has original names */

#endif
