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
