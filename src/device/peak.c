#include "device/peak.h"

#include "device/device_priv.h"

rs_status rs_peak_measure(rs_peak *out, rs_device *d)
{
    *out = (rs_peak){0};
    for (int i = 0; i < 5; i++) {
        rs_peak p = {0};
        RS_TRY(d->backend->peak(d, &p));
        out->gflops = p.gflops > out->gflops ? p.gflops : out->gflops;
        out->gflops_bf16 = p.gflops_bf16 > out->gflops_bf16 ? p.gflops_bf16 : out->gflops_bf16;
        out->gbs = p.gbs > out->gbs ? p.gbs : out->gbs;
    }
    return RS_OK;
}
