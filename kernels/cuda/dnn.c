#include "kernels/cuda/dnn.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/num.h"
#include "kernels/cuda/dnn_priv.h"

static bool load(rs_dnn *d, char why[RS_DNN_WHY])
{
    d->library = dlopen("libcudnn.so.9", RTLD_NOW | RTLD_LOCAL);
    if (!d->library) {
        snprintf(why, RS_DNN_WHY, "%s", dlerror());
        return false;
    }
#define LOAD(name)                                                                                 \
    if (!(*(void **)&d->name = dlsym(d->library, "cudnn" #name))) {                                \
        snprintf(why, RS_DNN_WHY, "libcudnn.so.9 has no cudnn" #name);                             \
        return false;                                                                              \
    }
    RS_DNN_CALLS(LOAD)
#undef LOAD
    return true;
}

rs_dnn *rs_dnn_open(bool library_only, char why[RS_DNN_WHY])
{
    rs_dnn *d = rs_alloc(1, sizeof *d);
    bool ok = load(d, why);
    if (ok && !library_only) {
        cudnnStatus_t st = d->Create(&d->handle);
        ok = st == CUDNN_STATUS_SUCCESS;
        if (!ok)
            snprintf(why, RS_DNN_WHY, "cudnnCreate: %s", d->GetErrorString(st));
    }
    if (!ok)
        rs_dnn_close(&d);
    return d;
}

void rs_dnn_close(rs_dnn **d)
{
    if (!*d)
        return;
    if ((*d)->handle)
        (*d)->Destroy((*d)->handle);
    if ((*d)->library)
        dlclose((*d)->library);
    rs_dealloc(*d);
    *d = NULL;
}

size_t rs_dnn_version(const rs_dnn *d)
{
    return d->GetVersion();
}

void rs_dnn_graph_begin(rs_dnn_graph *g, rs_dnn *lib)
{
    *g = (rs_dnn_graph){.lib = lib, .next_virtual = 1000};
}

void rs_dnn_graph_end(rs_dnn_graph *g)
{
    while (g->n_all > 0)
        g->lib->BackendDestroyDescriptor(g->all[--g->n_all]);
}

void rs_dnn_fail(rs_dnn_graph *g, cudnnStatus_t st, const char *what)
{
    if (g->failed)
        return;
    g->failed = true;
    char more[160] = "";
    g->lib->GetLastErrorString(more, sizeof more);
    snprintf(g->why, sizeof g->why, "%s: %s%s%.120s", what, g->lib->GetErrorString(st),
             more[0] ? ": " : "", more);
}

cudnnBackendDescriptor_t rs_dnn_new(rs_dnn_graph *g, cudnnBackendDescriptorType_t type)
{
    if (g->failed)
        return NULL;
    RS_ASSERT(g->n_all < RS_COUNT_OF(g->all));
    cudnnBackendDescriptor_t d = NULL;
    cudnnStatus_t st = g->lib->BackendCreateDescriptor(type, &d);
    if (st != CUDNN_STATUS_SUCCESS)
        rs_dnn_fail(g, st, "a descriptor");
    else
        g->all[g->n_all++] = d;
    return d;
}

void rs_dnn_set(rs_dnn_graph *g, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                cudnnBackendAttributeType_t type, int64_t n, const void *values)
{
    if (g->failed)
        return;
    cudnnStatus_t st = g->lib->BackendSetAttribute(d, name, type, n, values);
    char what[48];
    snprintf(what, sizeof what, "attribute %d", (int)name);
    if (st != CUDNN_STATUS_SUCCESS)
        rs_dnn_fail(g, st, what);
}

void rs_dnn_finalize(rs_dnn_graph *g, cudnnBackendDescriptor_t d, const char *what)
{
    if (g->failed)
        return;
    cudnnStatus_t st = g->lib->BackendFinalize(d);
    if (st != CUDNN_STATUS_SUCCESS)
        rs_dnn_fail(g, st, what);
}

static void set_bool(rs_dnn_graph *g, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name)
{
    const bool yes = true;
    rs_dnn_set(g, d, name, CUDNN_TYPE_BOOLEAN, 1, &yes);
}

static void set_one(rs_dnn_graph *g, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                    rs_dnn_tensor t)
{
    rs_dnn_set(g, d, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &t);
}

enum kind { INPUT, SCALAR, VIRTUAL };

static rs_dnn_tensor tensor(rs_dnn_graph *g, enum kind kind, int64_t id, cudnnDataType_t type,
                            rs_dnn_shape s)
{
    const int64_t align = 16;
    cudnnBackendDescriptor_t d = rs_dnn_new(g, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    rs_dnn_set(g, d, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    rs_dnn_set(g, d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, s.dim);
    rs_dnn_set(g, d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, s.stride);
    rs_dnn_set(g, d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &id);
    rs_dnn_set(g, d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &align);
    if (kind == SCALAR)
        set_bool(g, d, CUDNN_ATTR_TENSOR_IS_BY_VALUE);
    if (kind == VIRTUAL)
        set_bool(g, d, CUDNN_ATTR_TENSOR_IS_VIRTUAL);
    rs_dnn_finalize(g, d, "tensor");
    return d;
}

rs_dnn_tensor rs_dnn_input(rs_dnn_graph *g, int64_t id, cudnnDataType_t type, rs_dnn_shape s)
{
    return tensor(g, INPUT, id, type, s);
}

rs_dnn_tensor rs_dnn_scalar(rs_dnn_graph *g, int64_t id)
{
    return tensor(g, SCALAR, id, CUDNN_DATA_FLOAT, (rs_dnn_shape){{1, 1, 1, 1}, {1, 1, 1, 1}});
}

rs_dnn_tensor rs_dnn_virtual(rs_dnn_graph *g, cudnnDataType_t type, rs_dnn_shape s)
{
    return tensor(g, VIRTUAL, g->next_virtual++, type, s);
}

static void add_op(rs_dnn_graph *g, cudnnBackendDescriptor_t op, const char *what)
{
    rs_dnn_finalize(g, op, what);
    RS_ASSERT(g->n_ops < RS_COUNT_OF(g->ops));
    g->ops[g->n_ops++] = op;
}

void rs_dnn_pointwise(rs_dnn_graph *g, cudnnPointwiseMode_t mode, rs_dnn_tensor x, rs_dnn_tensor b,
                      rs_dnn_tensor y)
{
    const cudnnDataType_t math = CUDNN_DATA_FLOAT;
    cudnnBackendDescriptor_t pw = rs_dnn_new(g, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    rs_dnn_set(g, pw, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    rs_dnn_set(g, pw, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &math);
    rs_dnn_finalize(g, pw, "pointwise");
    cudnnBackendDescriptor_t op = rs_dnn_new(g, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    set_one(g, op, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, pw);
    set_one(g, op, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
    if (b)
        set_one(g, op, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b);
    set_one(g, op, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
    add_op(g, op, "pointwise operation");
}

void rs_dnn_matmul(rs_dnn_graph *g, rs_dnn_tensor a, rs_dnn_tensor b, rs_dnn_tensor c)
{
    const cudnnDataType_t math = CUDNN_DATA_FLOAT;
    cudnnBackendDescriptor_t mm = rs_dnn_new(g, CUDNN_BACKEND_MATMUL_DESCRIPTOR);
    rs_dnn_set(g, mm, CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &math);
    rs_dnn_finalize(g, mm, "matmul");
    cudnnBackendDescriptor_t op = rs_dnn_new(g, CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR);
    set_one(g, op, CUDNN_ATTR_OPERATION_MATMUL_DESC, mm);
    set_one(g, op, CUDNN_ATTR_OPERATION_MATMUL_ADESC, a);
    set_one(g, op, CUDNN_ATTR_OPERATION_MATMUL_BDESC, b);
    set_one(g, op, CUDNN_ATTR_OPERATION_MATMUL_CDESC, c);
    add_op(g, op, "matmul operation");
}

void rs_dnn_reduce_add(rs_dnn_graph *g, rs_dnn_tensor x, rs_dnn_tensor y)
{
    const cudnnDataType_t math = CUDNN_DATA_FLOAT;
    const cudnnReduceTensorOp_t add = CUDNN_REDUCE_TENSOR_ADD;
    cudnnBackendDescriptor_t r = rs_dnn_new(g, CUDNN_BACKEND_REDUCTION_DESCRIPTOR);
    rs_dnn_set(g, r, CUDNN_ATTR_REDUCTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &math);
    rs_dnn_set(g, r, CUDNN_ATTR_REDUCTION_OPERATOR, CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, 1, &add);
    rs_dnn_finalize(g, r, "reduction");
    cudnnBackendDescriptor_t op = rs_dnn_new(g, CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR);
    set_one(g, op, CUDNN_ATTR_OPERATION_REDUCTION_DESC, r);
    set_one(g, op, CUDNN_ATTR_OPERATION_REDUCTION_XDESC, x);
    set_one(g, op, CUDNN_ATTR_OPERATION_REDUCTION_YDESC, y);
    add_op(g, op, "reduction operation");
}

void rs_dnn_reshape(rs_dnn_graph *g, rs_dnn_tensor x, rs_dnn_tensor y)
{
    cudnnBackendDescriptor_t op = rs_dnn_new(g, CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR);
    set_one(g, op, CUDNN_ATTR_OPERATION_RESHAPE_XDESC, x);
    set_one(g, op, CUDNN_ATTR_OPERATION_RESHAPE_YDESC, y);
    add_op(g, op, "reshape operation");
}

void rs_dnn_sdpa_forward(rs_dnn_graph *g, rs_dnn_tensor q, rs_dnn_tensor k, rs_dnn_tensor v,
                         rs_dnn_tensor scale, rs_dnn_tensor o, rs_dnn_tensor stats)
{
    cudnnBackendDescriptor_t op = rs_dnn_new(g, CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR);
    set_one(g, op, CUDNN_ATTR_OPERATION_SDPA_FWD_QDESC, q);
    set_one(g, op, CUDNN_ATTR_OPERATION_SDPA_FWD_KDESC, k);
    set_one(g, op, CUDNN_ATTR_OPERATION_SDPA_FWD_VDESC, v);
    set_one(g, op, CUDNN_ATTR_OPERATION_SDPA_FWD_ODESC, o);
    set_one(g, op, CUDNN_ATTR_OPERATION_SDPA_FWD_STATSDESC, stats);
    set_one(g, op, CUDNN_ATTR_OPERATION_SDPA_FWD_SCALEDESC, scale);
    add_op(g, op, "attention operation");
}
