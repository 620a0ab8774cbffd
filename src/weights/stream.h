/* Weight stream: a frozen component's weights, outside-the-block tensors resident, block tensors on
 * demand.
 *
 *   begin(back_to); prefetch(i) ... acquire(i) -> device tensors by slot ... release(i); end
 *
 * Matrices (operands of gemm) have the type that rs_device_matrix_dtype says: those of a bf16 file
 * stay bf16 in memory and on the wire. Everything else is fp32.
 *
 * Blocks may be walked forwards or backwards; at most two are held at a time (ring of two). Homes:
 *   resident  every block converted to these types once at open
 *   mapped    (CPU) memory-mapped files; tensors that have their type are used in place, others
 *             converted into the ring: by a thread of the stream after prefetch, else in acquire.
 *             The bits are the same. For tensors in place prefetch asks the kernel to read ahead.
 *   host      (GPU) every block converted once into page-locked host memory, which the ranks of a
 *             machine can share; the copy queue brings the next one while ops use the last. On the
 *             CPU the same with copies.
 *   sharded   each of the S ranks of a gang holds 1/S of every block, in the file's type, and all
 *             put block i+1 together while block i computes.
 *
 * A gang walks together. A *pass* is a walk over the blocks, forwards, or forwards and back. A
 * thread of each rank's stream keeps its part in the gang's gathers whatever the rank does: at a
 * pass boundary the ranks say what they want next, the longest wish is walked, and a rank that
 * wants less, or nothing, looks on. So every rank works on jobs of its own, may be busy with
 * something else for long, and its failures are nobody else's. A rank in a *round* (join .. leave)
 * is waited for at the boundary, as its next pass is near; so ranks that do the same kind of passes
 * stay in step. With other homes join, leave, begin and end do nothing. */
#ifndef RS_WEIGHTS_STREAM_H
#define RS_WEIGHTS_STREAM_H

#include "comm/comm.h"
#include "device/device.h"
#include "weights/layout.h"

typedef struct rs_wstream rs_wstream;

typedef enum rs_weight_home {
    RS_HOME_AUTO,
    RS_HOME_RESIDENT,
    RS_HOME_MAPPED,
    RS_HOME_HOST,
    RS_HOME_SHARDED
} rs_weight_home;

const char *rs_weight_home_name(rs_weight_home home);

/* Opens the checkpoint at `path` (file or folder, safetensors or torch zip, Diffusers or original
 * names, any common prefix such as "model.diffusion_model."), checks every row's presence and shape
 * (dimensions of 1 do not count; RS_MODEL names file and tensor). `layout` is borrowed until close.
 * AUTO: mapped when all matrices of the blocks can be used in place, else resident if it fits in a
 * quarter of memory, else mapped. Not sharded. */
rs_status rs_wstream_open(rs_wstream **out, rs_device *d, const char *path, const rs_layout *layout,
                          rs_weight_home home) RS_NODISCARD;
/* The same with home host and one copy for the ranks of `node`, all on this machine. Collective
 * over node; closing is local. Where memory cannot be shared each rank has a copy, and a warning
 * says so. RS_NOMEM: not even one copy has room. */
rs_status rs_wstream_open_host(rs_wstream **out, rs_device *d, const char *path,
                               const rs_layout *layout, rs_comm *node) RS_NODISCARD;
/* The same with home sharded. Collective over the gang, close too: a gang's streams serve each
 * other until all are closed. The gang is the stream's alone until then. */
rs_status rs_wstream_open_sharded(rs_wstream **out, rs_device *d, const char *path,
                                  const rs_layout *layout, rs_comm *gang) RS_NODISCARD;
/* This rank's passes are from now on those of a lane of so many ranks of the gang, which follow
 * each other from a multiple of that on, and begin at one boundary. 1, as at first: its own. Not
 * within a pass. Nothing with other homes. */
void rs_wstream_set_lane(rs_wstream *w, int ranks);
void rs_wstream_close(rs_wstream **w); /* accepts NULL, nulls the pointer */
/* Outside-the-block tensors by slot, valid until close. Rows marked raw are host memory in the
 * file's type. */
const rs_tensor *rs_wstream_globals(const rs_wstream *w);

/* A round: passes that follow each other closely. Not nested. Ranks that join, and then begin,
 * begin together. In a round a rank waits for no other rank of its gang except one of its lane,
 * whose passes are its own, or after a pass that both took part in: the other may wait for its next
 * one.
 */
void rs_wstream_join(rs_wstream *w);
void rs_wstream_leave(rs_wstream *w);
/* A pass: blocks are acquired and released once each in the order 0..L-1, and then, unless back_to
 * is L (forwards only), L-1..back_to; it may be given up half way. Sharded: waits for the gang's
 * next pass boundary. RS_PEER: the gang is broken. */
rs_status rs_wstream_begin(rs_wstream *w, int back_to) RS_NODISCARD;
void rs_wstream_end(rs_wstream *w);

/* A hint, at any time, for any block. */
void rs_wstream_prefetch(rs_wstream *w, int block);
/* Tensors of the block by slot, valid until release of the same block. Unless sharded a block may
 * be acquired again while held; it needs as many releases. RS_PEER: the gang is broken. */
rs_status rs_wstream_acquire(rs_wstream *w, int block, const rs_tensor **slots) RS_NODISCARD;
void rs_wstream_release(rs_wstream *w, int block);

rs_weight_home rs_wstream_home(const rs_wstream *w);
size_t rs_wstream_bytes(const rs_wstream *w);  /* device bytes held for weights */
bool rs_wstream_original(const rs_wstream *w); /* the checkpoint has original names */

/* Since the stream was opened; all but the first are zero unless it is sharded. */
typedef struct rs_wstream_stats {
    int64_t acquired;        /* blocks that passes asked for */
    int64_t passes, gathers; /* of the gang */
    int64_t bytes_read;      /* of blocks, from the file, by this rank */
    int64_t bytes_gathered;  /* received from other ranks */
    double gather_s;         /* time of the gathers */
    double exposed_s;        /* time that this rank's passes waited for a block */
    double boundary_s;       /* time that they waited for the gang to begin */
} rs_wstream_stats;

rs_wstream_stats rs_wstream_get_stats(rs_wstream *w);

#endif
