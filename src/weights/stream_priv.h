/* Private to src/weights: the parts of a weight stream.
 *   stream.c        opens, closes, sends each call to the home
 *   stream_load.c   file tensors to device tensors; what is outside the blocks, resident blocks
 *   stream_ring.c   mapped: two blocks, converted ahead by a thread
 *   stream_host.c   host: all blocks in page-locked memory, two on the device
 *   stream_shared.c host: that memory, once for all ranks of a machine
 *   stream_shard.c  sharded: this rank's part of every block, a block put together from all parts
 *   stream_gang.c   sharded: the walk over the blocks that all ranks of a gang make together */
#ifndef RS_WEIGHTS_STREAM_PRIV_H
#define RS_WEIGHTS_STREAM_PRIV_H

#include <pthread.h>

#include "device/queue.h"
#include "weights/names.h"
#include "weights/stream.h"

enum {
    RS_WRING = 2,
    RS_WSTAGE = 1 << 16 /* floats converted at a time, so that they stay in cache */
};

/* One block in the ring. LOADING: whoever set it (the thread or an acquire) is filling it. */
typedef enum rs_wentry_state {
    RS_WENTRY_EMPTY,
    RS_WENTRY_LOADING,
    RS_WENTRY_READY
} rs_wentry_state;
typedef struct rs_wentry {
    rs_wentry_state state;
    int block;
    int held;
    uint64_t used;    /* larger: more recently acquired */
    void *memory;     /* gathered tensors, converted ones */
    rs_tensor *slots; /* (block_slots) */
} rs_wentry;

/* Memory of several ranks of a machine. */
typedef struct rs_wshared {
    char *memory;
    size_t bytes; /* whole pages */
} rs_wshared;

/* Home host. */
typedef struct rs_whost {
    char *memory;                                /* page-locked: all blocks */
    rs_wshared shared;                           /* what it is in, if it is shared */
    bool registered;                             /* the shared memory is page-locked here */
    size_t *at;                                  /* (blocks + 1) where they are in it */
    rs_event *filled[RS_WRING], *used[RS_WRING]; /* of the ring's entries */
} rs_whost;

struct rs_wgang;

struct rs_wstream {
    rs_device *dev;
    rs_arena *arena;
    rs_weights_file *file;
    const rs_layout *layout;
    rs_weight_map map;
    rs_weight_home home;
    size_t bytes;
    rs_tensor *globals;
    const bool *block_matrix;  /* (block_slots) */
    const bool *global_matrix; /* (global_slots) */
    void *global_memory;
    rs_tensor *resident; /* (blocks * block_slots); NULL with other homes */
    void *resident_memory;
    size_t ring_bytes; /* of one entry */
    rs_wentry ring[RS_WRING];
    uint64_t clock;
    float *stage[2]; /* conversion buffers: caller's thread, own thread */
    bool threaded, stop;
    int wanted; /* ring entry the thread shall fill; -1: none */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    rs_whost *host;        /* NULL with other homes */
    struct rs_wgang *gang; /* NULL unless sharded */
    rs_wstream_stats stats;
};

/* ---- stream_load.c ---- */

/* Tensors as they are stored, and which of them are matrices. */
typedef struct rs_wgroup {
    const rs_tensor *t;
    const bool *matrix;
    int n;
    bool fp8; /* matrices that may be are e4m3 with a scale per row (base/fp8.h) */
} rs_wgroup;

/* Whether stored tensor i is used where it is: it has the type that it needs, and memory of files
 * is memory of the device. */
bool rs_wstream_in_place(const rs_wstream *w, rs_wgroup g, int i);

/* Device tensors for a group: in place where allowed, else converted into memory from *at on.
 * stage: RS_WSTAGE floats. */
void rs_wstream_load_group(rs_wstream *w, rs_tensor *out, rs_wgroup g, char **at, bool may_map,
                           float *stage);
/* What load_group takes of the memory. */
size_t rs_wstream_group_bytes(const rs_wstream *w, rs_wgroup g, bool may_map);
/* The same conversion into host memory, whatever the device: group_bytes without may_map. */
void rs_wstream_read_group(rs_wstream *w, char *to, rs_wgroup g, float *stage);
/* Where read_group puts the tensors, in a copy of its memory that begins at `base`. */
void rs_wstream_place_group(const rs_wstream *w, rs_tensor *out, rs_wgroup g, char *base);
rs_wgroup rs_wstream_group(const rs_wstream *w, int block);             /* of the files */
const rs_tensor *rs_wstream_file_block(const rs_wstream *w, int block); /* (block_slots) */
/* Device memory that counts in w->bytes; NULL for 0 bytes. */
rs_status rs_wstream_memory(rs_wstream *w, void **out, size_t bytes) RS_NODISCARD;
rs_status rs_wstream_load_globals(rs_wstream *w) RS_NODISCARD;
rs_status rs_wstream_load_resident(rs_wstream *w) RS_NODISCARD;

/* ---- stream_ring.c ---- */

rs_status rs_wring_make(rs_wstream *w) RS_NODISCARD;
void rs_wring_stop(rs_wstream *w);
void rs_wring_prefetch(rs_wstream *w, int block);
const rs_tensor *rs_wring_acquire(rs_wstream *w, int block);
void rs_wring_release(rs_wstream *w, int block);

/* ---- stream_host.c ---- */

/* Collective over node where that is not NULL. st: how the opening went so far on this rank; the
 * error of any rank fails all. */
rs_status rs_whost_open(rs_wstream *w, rs_comm *node, rs_status st) RS_NODISCARD;
void rs_whost_close(rs_wstream *w);
void rs_whost_prefetch(rs_wstream *w, int block);
const rs_tensor *rs_whost_acquire(rs_wstream *w, int block);
void rs_whost_release(rs_wstream *w, int block);

/* ---- stream_shared.c ---- */

/* Collective over the ranks of a machine: zeroed memory that all of them see. On all ranks alike
 * RS_IO: this cannot be had; RS_NOMEM: nor could one copy. */
rs_status rs_wshared_open(rs_wshared *s, rs_comm *node, size_t bytes) RS_NODISCARD;
void rs_wshared_close(rs_wshared *s); /* local */

/* ---- stream_shard.c ---- */

typedef struct rs_wshard {
    rs_comm *gang;
    rs_comm *data;            /* what moves the parts: the gang, or its twin for device memory */
    rs_event *used[RS_WRING]; /* of the ring's entries: the ops that were given them are done */
    bool converted; /* parts are in the types that are needed, else in those of the files */
    char *memory;   /* this rank's parts of all blocks */
    size_t *at;     /* (blocks) where a block's part is */
    size_t *image;  /* (blocks) bytes of a block: its tensors, each padded */
    size_t *parts;  /* (ranks) scratch: bytes of every rank's part of one block */
    size_t most;    /* largest image: what is converted lies behind it in a ring entry */
    rs_tensor *src; /* (block_slots) scratch */
    rs_comm_request *request; /* of the gather under way, */
    double since;             /* which began then */
} rs_wshard;

/* Reads this rank's parts, and nothing else of the blocks, from the file. */
rs_status rs_wshard_open(rs_wshard *s, rs_wstream *w, rs_comm *gang) RS_NODISCARD;
void rs_wshard_close(rs_wshard *s, rs_wstream *w);
/* Collective over the gang: the whole block into the entry. It is under way after begin, and there,
 * ready for use, after end, which follows begin. */
rs_status rs_wshard_begin(rs_wshard *s, rs_wstream *w, int block, rs_wentry *e) RS_NODISCARD;
rs_status rs_wshard_end(rs_wshard *s, rs_wstream *w, int block, rs_wentry *e) RS_NODISCARD;

/* ---- stream_gang.c ---- */

/* Collective; st: how the opening went so far on this rank. The error of any rank fails all. */
rs_status rs_wgang_open(rs_wstream *w, rs_comm *gang, rs_status st) RS_NODISCARD;
void rs_wgang_set_lane(rs_wstream *w, int ranks);
void rs_wgang_close(rs_wstream *w);
void rs_wgang_join(rs_wstream *w, bool joined);
rs_status rs_wgang_begin(rs_wstream *w, int back_to) RS_NODISCARD;
void rs_wgang_end(rs_wstream *w);
rs_status rs_wgang_acquire(rs_wstream *w, int block, const rs_tensor **slots) RS_NODISCARD;
void rs_wgang_release(rs_wstream *w, int block);

#endif
