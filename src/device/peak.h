/* What this device can do at best: measured, not looked up. The denominators of every
 * fraction-of-floor. */
#ifndef RS_DEVICE_PEAK_H
#define RS_DEVICE_PEAK_H

#include "device/device.h"

typedef struct rs_peak {
    double gflops;      /* fp32 multiply-add in registers, 2 FLOP each, all threads */
    double gflops_bf16; /* bf16 operands with fp32 sums; 0: no faster than fp32 */
    double gbs;         /* memory triad a = b + s*c, three arrays counted, all threads */
} rs_peak;

/* Takes the best of a few short runs (about half a second). */
rs_status rs_peak_measure(rs_peak *out, rs_device *d) RS_NODISCARD;

#endif
