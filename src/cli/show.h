/* What `reshoot show` knows about one file: read by show_read.c, printed by cmd_show.c and
 * show_json.c. Everything lies in the caller's arena. */
#ifndef RS_CLI_SHOW_H
#define RS_CLI_SHOW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "base/tensor.h"
#include "store/archive.h"
#include "store/json_writer.h"

typedef struct rs_show_tensor {
    const char *name; /* "/source/frames" */
    rs_tensor t;      /* shape and type */
} rs_show_tensor;

typedef struct rs_show_file {
    const char *role, *path, *hash;
    int64_t bytes;
} rs_show_file;

typedef struct rs_show_files {
    rs_show_file *items;
    int64_t n;
} rs_show_files;

typedef struct rs_show_stage {
    const char *name; /* "motion", "edit/red" */
    const char *state, *key;
    int64_t steps;  /* -1: none */
    double seconds; /* NAN: not recorded */
    float *loss;
    int64_t n_loss;
    int64_t modules, rank, params; /* of its adapter; modules 0: none */
    double alpha;
    const char *mode; /* of an appearance adapter: "continue" or "separate"; NULL: not recorded */
} rs_show_stage;

typedef struct rs_show_metric {
    const char *name;
    double value;
} rs_show_metric;

typedef struct rs_show_edit {
    const char *id, *state, *prompt;
    const char *reason, *stage; /* of a failed edit, else "" */
    const char *key;            /* of a finished one, else "" */
    int64_t seed;               /* -1: not recorded */
    rs_show_metric *metrics;
    int64_t n_metrics;
} rs_show_edit;

typedef struct rs_show_video {
    const char *path, *video, *key;
    int64_t bytes; /* of the file */
    const char *program, *host, *created, *fingerprint, *config, *prompt;
    int64_t seed;
    double fps; /* NAN: unknown */
    rs_show_files inputs, weights;
    rs_show_tensor *tensors; /* outside of adapters */
    int64_t n_tensors;
    size_t cap_tensors;
    rs_show_stage *stages;
    int64_t n_stages;
    size_t cap_stages;
    rs_show_edit *edits;
    int64_t n_edits;
} rs_show_video;

rs_status rs_show_read(rs_show_video *out, rs_arena *a, const rs_archive *f) RS_NODISCARD;
/* Shape and type of a tensor read, ndim 0 where there is none of this name. */
rs_tensor rs_show_find(const rs_show_video *v, const char *name);
void rs_show_json(rs_jsonw *w, const rs_show_video *v);
/* Mean of the first (or last) tenth of a loss curve, at least one value; NAN for an empty one. */
double rs_show_loss(const rs_show_stage *s, bool last);

#endif
