/* cuDNN's graph API with less to write: tensors, operations, one plan. The library is loaded when
 * it is there (libcudnn.so.9); nothing links with it.
 *
 * Building never stops half way: the first failure is kept in the graph, later calls do nothing,
 * and rs_dnn_plan reports it. */
#ifndef RS_KERNELS_CUDA_DNN_H
#define RS_KERNELS_CUDA_DNN_H

#include <cudnn_backend.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { RS_DNN_WHY = 256 };
typedef struct rs_dnn rs_dnn;

/* Load the library and, unless `library_only`, make a handle for the current device. NULL with the
 * reason in `why`. */
rs_dnn *rs_dnn_open(bool library_only, char why[RS_DNN_WHY]);
void rs_dnn_close(rs_dnn **d);          /* accepts NULL, nulls it */
size_t rs_dnn_version(const rs_dnn *d); /* 91900 for 9.19.0 */

typedef cudnnBackendDescriptor_t rs_dnn_tensor; /* owned by its graph */

typedef struct rs_dnn_graph {
    rs_dnn *lib;
    cudnnBackendDescriptor_t all[160]; /* everything to destroy */
    cudnnBackendDescriptor_t ops[32];
    int n_all, n_ops;
    int64_t next_virtual; /* ids of tensors that are never in memory */
    bool failed;
    char why[RS_DNN_WHY];
} rs_dnn_graph;

/* Four dimensions (batch, head, row, column) and their strides in elements. */
typedef struct rs_dnn_shape {
    int64_t dim[4];
    int64_t stride[4];
} rs_dnn_shape;

void rs_dnn_graph_begin(rs_dnn_graph *g, rs_dnn *lib);
void rs_dnn_graph_end(rs_dnn_graph *g);
/* id > 0: given at execution; a multiple of 16 bytes. */
rs_dnn_tensor rs_dnn_input(rs_dnn_graph *g, int64_t id, cudnnDataType_t type, rs_dnn_shape s);
/* A host scalar, given at execution. */
rs_dnn_tensor rs_dnn_scalar(rs_dnn_graph *g, int64_t id);
/* Between operations, never in memory. */
rs_dnn_tensor rs_dnn_virtual(rs_dnn_graph *g, cudnnDataType_t type, rs_dnn_shape s);
/* y = x op b (b may be NULL). */
void rs_dnn_pointwise(rs_dnn_graph *g, cudnnPointwiseMode_t op, rs_dnn_tensor x, rs_dnn_tensor b,
                      rs_dnn_tensor y);
void rs_dnn_matmul(rs_dnn_graph *g, rs_dnn_tensor a, rs_dnn_tensor b, rs_dnn_tensor c);
void rs_dnn_reduce_add(rs_dnn_graph *g, rs_dnn_tensor x, rs_dnn_tensor y);
void rs_dnn_reshape(rs_dnn_graph *g, rs_dnn_tensor x, rs_dnn_tensor y);
/* One node: o = softmax(q k^T scale) v, stats = log sum exp. Dims as (batch, head, row, column). */
void rs_dnn_sdpa_forward(rs_dnn_graph *g, rs_dnn_tensor q, rs_dnn_tensor k, rs_dnn_tensor v,
                         rs_dnn_tensor scale, rs_dnn_tensor o, rs_dnn_tensor stats);

/* An executable plan: the first configuration of the heuristics that is supported, so the same one
 * for the same shapes, device and library. */
typedef struct rs_dnn_plan {
    rs_dnn *lib;
    cudnnBackendDescriptor_t plan;
    int64_t workspace; /* bytes */
} rs_dnn_plan;

/* false with the reason in g->why. */
bool rs_dnn_plan_make(rs_dnn_plan *p, rs_dnn_graph *g);
void rs_dnn_plan_free(rs_dnn_plan *p);
/* Enqueue on `stream`; `n` pointers for ids. false with the reason in `why`. */
bool rs_dnn_run(const rs_dnn_plan *p, cudaStream_t stream, int n, const int64_t *ids, void **data,
                void *workspace, char why[RS_DNN_WHY]);

/* Without a GPU: how many configurations the heuristics give for a device described by cuDNN's
 * JSON, how many of them pass the support checks, for which some libcuda must be found (that of the
 * toolkit will do), and the workspace of the first one. -1: the graph itself is refused, see
 * g->why.
 */
int rs_dnn_accepts(rs_dnn_graph *g, const char *device_json, int *supported, int64_t *workspace);

#ifdef __cplusplus
}
#endif
#endif
