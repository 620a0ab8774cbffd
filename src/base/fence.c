#include "base/fence.h"

static _Thread_local const rs_fence *t_fence;

const rs_fence *rs_fence_use(const rs_fence *f)
{
    const rs_fence *before = t_fence;
    t_fence = f;
    return before;
}

rs_status rs_fence_enter(void)
{
    return t_fence ? t_fence->enter(t_fence->ctx) : RS_OK;
}

void rs_fence_leave(void)
{
    if (t_fence)
        t_fence->leave(t_fence->ctx);
}
