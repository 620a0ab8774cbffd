#include "device/select.h"

#include <string.h>

#include "device/device_priv.h"

rs_device_info rs_device_look(rs_arena *a, const char *backend)
{
    rs_device_info info = {0};
    const rs_backend *b = rs_backend_find(backend);
    if (!b)
        info.why_none = "not built into this program";
    else if (b->look)
        b->look(a, &info);
    return info;
}

const char *rs_device_why_not(rs_arena *a, const char *backend)
{
    rs_device_info info = rs_device_look(a, backend);
    return info.devices > 0 ? NULL : info.why_none;
}

rs_status rs_device_choose(const char **out, const char **why, const char *wanted, rs_arena *a)
{
    const char *reason = NULL;
    if (strcmp(wanted, "cpu") != 0)
        reason = rs_device_why_not(a, "cuda");
    if (reason && strcmp(wanted, "auto") != 0)
        return RS_FAIL(CONFIG, "backend cuda: %s", reason);
    *out = strcmp(wanted, "cpu") == 0 || reason ? "cpu" : "cuda";
    if (why)
        *why = reason;
    return RS_OK;
}

rs_status rs_device_record_gemm(rs_device *d)
{
    if (!d->backend->queues || !d->backend->queues->record)
        return RS_FAIL(USAGE, "backend %s chooses no gemm algorithms", d->backend->name);
    return d->backend->queues->record(d);
}

rs_status rs_device_save_gemm(rs_device *d, const char *path)
{
    RS_ASSERT(d->backend->queues && d->backend->queues->save);
    return d->backend->queues->save(d, path);
}
