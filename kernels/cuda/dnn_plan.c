/* From a graph to something that runs: heuristics give configurations, best first; the first one
 * whose plan can be finalised is taken. */
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "kernels/cuda/dnn_priv.h"

enum { CONFIGS = 16 };

static cudnnBackendDescriptor_t make_graph(rs_dnn_graph *g)
{
    cudnnBackendDescriptor_t d = rs_dnn_new(g, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    if (g->lib->handle)
        rs_dnn_set(g, d, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &g->lib->handle);
    rs_dnn_set(g, d, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, g->n_ops,
               g->ops);
    rs_dnn_finalize(g, d, "graph");
    return d;
}

/* Up to CONFIGS engine configurations, best first; `device` NULL: of the handle. */
static int heuristics(rs_dnn_graph *g, cudnnBackendDescriptor_t graph, cudnnBackendHeurMode_t mode,
                      cudnnBackendDescriptor_t device, cudnnBackendDescriptor_t found[CONFIGS])
{
    cudnnBackendDescriptor_t h = rs_dnn_new(g, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    rs_dnn_set(g, h, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
               &graph);
    rs_dnn_set(g, h, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
    if (device)
        rs_dnn_set(g, h, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                   &device);
    rs_dnn_finalize(g, h, "heuristics");
    for (int i = 0; i < CONFIGS; i++)
        found[i] = rs_dnn_new(g, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    if (g->failed)
        return 0;
    int64_t n = 0;
    cudnnStatus_t st = g->lib->BackendGetAttribute(
        h, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, CONFIGS, &n, found);
    return st == CUDNN_STATUS_SUCCESS ? (int)n : 0;
}

/* A plan of one configuration, or NULL; `st` gets cuDNN's verdict. Not part of the graph. */
static cudnnBackendDescriptor_t try_config(rs_dnn *lib, cudnnBackendDescriptor_t config,
                                           cudnnBackendDescriptor_t device, cudnnStatus_t *st)
{
    cudnnBackendDescriptor_t p = NULL;
    *st = lib->BackendCreateDescriptor(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &p);
    if (*st == CUDNN_STATUS_SUCCESS && lib->handle)
        *st = lib->BackendSetAttribute(p, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1,
                                       &lib->handle);
    if (*st == CUDNN_STATUS_SUCCESS && device)
        *st = lib->BackendSetAttribute(p, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP,
                                       CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &device);
    if (*st == CUDNN_STATUS_SUCCESS)
        *st = lib->BackendSetAttribute(p, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG,
                                       CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &config);
    if (*st == CUDNN_STATUS_SUCCESS)
        *st = lib->BackendFinalize(p);
    if (*st == CUDNN_STATUS_SUCCESS)
        return p;
    if (p)
        lib->BackendDestroyDescriptor(p);
    return NULL;
}

bool rs_dnn_plan_make(rs_dnn_plan *p, rs_dnn_graph *g)
{
    *p = (rs_dnn_plan){.lib = g->lib};
    cudnnBackendDescriptor_t graph = make_graph(g), found[CONFIGS];
    int n = heuristics(g, graph, CUDNN_HEUR_MODE_A, NULL, found);
    cudnnStatus_t st = CUDNN_STATUS_NOT_SUPPORTED;
    for (int i = 0; i < n && !p->plan; i++)
        p->plan = try_config(g->lib, found[i], NULL, &st);
    if (!p->plan) {
        rs_dnn_fail(g, st, "no configuration is supported");
        return false;
    }
    int64_t one = 0;
    st = g->lib->BackendGetAttribute(p->plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
                                     CUDNN_TYPE_INT64, 1, &one, &p->workspace);
    if (st == CUDNN_STATUS_SUCCESS)
        return true;
    rs_dnn_fail(g, st, "workspace size");
    rs_dnn_plan_free(p);
    return false;
}

void rs_dnn_plan_free(rs_dnn_plan *p)
{
    if (p->plan)
        p->lib->BackendDestroyDescriptor(p->plan);
    *p = (rs_dnn_plan){0};
}

bool rs_dnn_run(const rs_dnn_plan *p, cudaStream_t stream, int n, const int64_t *ids, void **data,
                void *workspace, char why[RS_DNN_WHY])
{
    rs_dnn *lib = p->lib;
    cudnnBackendDescriptor_t pack = NULL;
    cudnnStatus_t st = lib->SetStream(lib->handle, stream);
    if (st == CUDNN_STATUS_SUCCESS)
        st = lib->BackendCreateDescriptor(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &pack);
    if (st == CUDNN_STATUS_SUCCESS)
        st = lib->BackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, n,
                                      ids);
    if (st == CUDNN_STATUS_SUCCESS)
        st = lib->BackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS,
                                      CUDNN_TYPE_VOID_PTR, n, data);
    if (st == CUDNN_STATUS_SUCCESS)
        st = lib->BackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR,
                                      1, &workspace);
    if (st == CUDNN_STATUS_SUCCESS)
        st = lib->BackendFinalize(pack);
    if (st == CUDNN_STATUS_SUCCESS)
        st = lib->BackendExecute(lib->handle, p->plan, pack);
    if (pack)
        lib->BackendDestroyDescriptor(pack);
    if (st != CUDNN_STATUS_SUCCESS)
        snprintf(why, RS_DNN_WHY, "cudnn: %s", lib->GetErrorString(st));
    return st == CUDNN_STATUS_SUCCESS;
}

int rs_dnn_accepts(rs_dnn_graph *g, const char *device_json, int *supported, int64_t *workspace)
{
    cudnnBackendDescriptor_t found[CONFIGS];
    cudnnBackendDescriptor_t device = rs_dnn_new(g, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
    rs_dnn_set(g, device, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
               (int64_t)strlen(device_json) + 1, device_json);
    rs_dnn_finalize(g, device, "device description");
    cudnnBackendDescriptor_t graph = make_graph(g);
    int n = heuristics(g, graph, CUDNN_HEUR_MODE_A, device, found);
    int64_t one = 0;
    *supported = 0;
    *workspace = -1;
    if (n > 0)
        (void)g->lib->BackendGetAttribute(found[0], CUDNN_ATTR_ENGINECFG_WORKSPACE_SIZE,
                                          CUDNN_TYPE_INT64, 1, &one, workspace);
    for (int i = 0; i < n; i++) {
        cudnnStatus_t st;
        cudnnBackendDescriptor_t p = try_config(g->lib, found[i], device, &st);
        if (p)
            g->lib->BackendDestroyDescriptor(p);
        /* Checked and compiled; only loading the code wants a real driver. */
        *supported += p || st == CUDNN_STATUS_EXECUTION_FAILED_CUDA_DRIVER;
    }
    return g->failed ? -1 : n;
}
