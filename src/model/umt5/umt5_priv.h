/* Inside of the umT5 encoder: configuration and weight slots. */
#ifndef RS_MODEL_UMT5_PRIV_H
#define RS_MODEL_UMT5_PRIV_H

#include "model/layouts.h"
#include "model/sizes.h"

typedef struct rs_umt5_config {
    int64_t vocab, dim, ffn, layers, heads;
    int64_t head_dim; /* heads * head_dim need not be dim */
    int64_t buckets, max_distance;
    float eps;
} rs_umt5_config;

enum { RS_UMT5_EMBEDDING, RS_UMT5_FINAL_NORM }; /* outside the blocks */
enum {
    RS_UMT5_NORM1,
    RS_UMT5_Q,
    RS_UMT5_K,
    RS_UMT5_V,
    RS_UMT5_O,
    RS_UMT5_BIAS, /* (buckets, heads) */
    RS_UMT5_NORM2,
    RS_UMT5_GATE,
    RS_UMT5_UP,
    RS_UMT5_DOWN
};

/* RS_MODEL names file and key. */
rs_status rs_umt5_config_read(rs_umt5_config *out, const rs_json *config) RS_NODISCARD;
/* Bucket of a relative position (key - query), bidirectional (wan21.md 4.1). */
int32_t rs_umt5_bucket(const rs_umt5_config *c, int64_t relative);

#endif
