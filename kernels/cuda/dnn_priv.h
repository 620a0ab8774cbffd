/* Inside of dnn.c and dnn_plan.c. */
#ifndef RS_KERNELS_CUDA_DNN_PRIV_H
#define RS_KERNELS_CUDA_DNN_PRIV_H

#include "kernels/cuda/dnn.h"

#define RS_DNN_CALLS(X)                                                                            \
    X(Create)                                                                                      \
    X(Destroy)                                                                                     \
    X(SetStream)                                                                                   \
    X(GetVersion)                                                                                  \
    X(GetErrorString)                                                                              \
    X(GetLastErrorString)                                                                          \
    X(BackendCreateDescriptor)                                                                     \
    X(BackendDestroyDescriptor)                                                                    \
    X(BackendSetAttribute)                                                                         \
    X(BackendGetAttribute)                                                                         \
    X(BackendFinalize)                                                                             \
    X(BackendExecute)

struct rs_dnn {
    void *library;
    cudnnHandle_t handle; /* NULL: library only */
#define RS_DNN_CALL(name) __typeof__(&cudnn##name) name;
    RS_DNN_CALLS(RS_DNN_CALL)
#undef RS_DNN_CALL
};

void rs_dnn_fail(rs_dnn_graph *g, cudnnStatus_t st, const char *what);
cudnnBackendDescriptor_t rs_dnn_new(rs_dnn_graph *g, cudnnBackendDescriptorType_t type);
void rs_dnn_set(rs_dnn_graph *g, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                cudnnBackendAttributeType_t type, int64_t n, const void *values);
void rs_dnn_finalize(rs_dnn_graph *g, cudnnBackendDescriptor_t d, const char *what);

#endif
