/* State files: outputs of finished stages and checkpoints of running ones. Small safetensors files
 * that are written whole (temporary, fsync, rename) and carry their identity and a SHA-256 over
 * everything in them, so that a torn, changed or foreign file is never taken for a state. One
 * writer per path. */
#ifndef RS_STORE_STATE_H
#define RS_STORE_STATE_H

#include "base/status.h"
#include "base/tensor.h"
#include "store/safetensors.h"

enum { RS_STATE_VERSION = 1 };

/* Identity of a state: content key of the stage's inputs, the stage, and the step reached. */
typedef struct rs_state_id {
    const char *key;
    const char *stage;
    int64_t step;
} rs_state_id;

/* Further values, kept as text. Doubles are written so that they read back as the same double. */
typedef struct rs_meta_list {
    rs_meta *items;
    int64_t n;
    size_t cap;
} rs_meta_list;

void rs_meta_add(rs_meta_list *l, rs_arena *a, const char *key, const char *value);
void rs_meta_add_i64(rs_meta_list *l, rs_arena *a, const char *key, int64_t value);
void rs_meta_add_f64(rs_meta_list *l, rs_arena *a, const char *key, double value); /* finite */

/* Write `path`; meta may be NULL, its keys must not begin with "reshoot." (asserts). After RS_OK
 * the state survives a crash; on failure an older file is untouched. */
rs_status rs_state_save(const char *path, const rs_state_id *id, const rs_tensor_list *tensors,
                        const rs_meta_list *meta) RS_NODISCARD;

typedef struct rs_state rs_state;

/* Open and check completely. RS_IO: no such file. RS_FORMAT: torn, changed, foreign or newer, and
 * the message says which. */
rs_status rs_state_load(rs_state **out, const char *path) RS_NODISCARD;
void rs_state_close(rs_state **s); /* accepts NULL, nulls the pointer */

rs_state_id rs_state_identity(const rs_state *s); /* borrowed strings */
/* Tensors, in the order saved; read-only, valid until close. get: RS_FORMAT names file and tensor.
 */
int64_t rs_state_count(const rs_state *s);
const char *rs_state_name(const rs_state *s, int64_t i);
const rs_tensor *rs_state_at(const rs_state *s, int64_t i);
const rs_tensor *rs_state_find(const rs_state *s, const char *name); /* or NULL */
rs_status rs_state_get(rs_tensor *out, const rs_state *s, const char *name, int ndim,
                       const int64_t *shape) RS_NODISCARD;
/* Further values, in the order saved. meta: NULL where absent; the typed getters need the key:
 * RS_FORMAT. */
int64_t rs_state_meta_count(const rs_state *s);
rs_meta rs_state_meta_at(const rs_state *s, int64_t i);
const char *rs_state_meta(const rs_state *s, const char *key);
rs_status rs_state_meta_string(const char **out, const rs_state *s, const char *key) RS_NODISCARD;
rs_status rs_state_meta_i64(int64_t *out, const rs_state *s, const char *key) RS_NODISCARD;
rs_status rs_state_meta_f64(double *out, const rs_state *s, const char *key) RS_NODISCARD;

#endif
