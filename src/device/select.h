/* Which backend computes, and what this program and machine have. */
#ifndef RS_DEVICE_SELECT_H
#define RS_DEVICE_SELECT_H

#include "base/arena.h"
#include "device/device.h"

/* "cpu" or "cuda" for "auto" (cuda where it is built in and has a device), "cpu" or "cuda".
 * *why (may be NULL): with auto and cpu, why not cuda, else NULL. RS_CONFIG: "cuda" was asked for
 * and there is none; says why. */
rs_status rs_device_choose(const char **out, const char **why, const char *wanted,
                           rs_arena *a) RS_NODISCARD;
/* Why this backend cannot be opened here, NULL if it can. In the arena. */
const char *rs_device_why_not(rs_arena *a, const char *backend);

/* Devices of a backend that is built in, and what it is made of. Works without hardware. */
typedef struct rs_device_info {
    int devices;
    const char *why_none; /* when devices is 0 */
    const char **device;  /* (devices) "NVIDIA H100 80GB HBM3, sm_90, 79.1 GiB, 132 SMs" */
    const char *
        libraries; /* "CUDA runtime 13.0, driver none, cublasLt 13.1.0, cuDNN 9.19.0"; NULL: none */
} rs_device_info;

rs_device_info rs_device_look(rs_arena *a, const char *backend);

#endif
