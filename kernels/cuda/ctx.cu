#include "kernels/cuda/ctx.h"

void rs_cuda_failed(rs_cuctx *c, const char *what, const char *why)
{
    c->failed(c->owner, what, why);
}

void rs_cuda_launched(rs_cuctx *c, const char *what, cudaError_t e)
{
    if (e != cudaSuccess)
        rs_cuda_failed(c, what, cudaGetErrorString(e));
}

bool rs_cuda_workspace(rs_cuctx *c, size_t bytes)
{
    if (bytes <= c->workspace_bytes)
        return true;
    if (!c->grow(c->owner, bytes)) {
        rs_cuda_failed(c, "workspace", "no room on the device for a larger workspace");
        return false;
    }
    return true;
}
