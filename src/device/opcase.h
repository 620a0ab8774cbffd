/* Runs op cases (kernels/opcase.h) on a device: verify, gradient check, coverage, timing.
 * tests/op/test_ops.c and `reshoot bench op` are loops over these functions. */
#ifndef RS_DEVICE_OPCASE_H
#define RS_DEVICE_OPCASE_H

#include "device/device.h"
#include "device/peak.h"
#include "kernels/opcase.h"

/* The specs, in the order of OPS.def. find returns NULL for an unknown name. */
int rs_opspec_count(void);
const rs_opspec *rs_opspec_at(int i);
const rs_opspec *rs_opspec_find(const char *op);

/* The case with its tensors stored in another way; false when that does not exist or is no other
 * one. For devices that take BF16 activations. */
bool rs_opcase_stored(rs_opcase *out, const rs_opspec *spec, const rs_opcase *c, rs_opstore store);
/* "", "mixed", "bf16", "back", "model" */
const char *rs_opstore_name(rs_opstore store);

/* Run one case on every given device and hold it against the double reference. Outputs, the gaps
 * between rows and guard zones are poisoned with NaN beforehand; inputs, gaps and guards must be
 * unchanged afterwards; all devices must give the same bits (pass devices with different thread
 * counts). RS_NUMERIC with op, case, output, error and place. worst (optional): largest error /
 * tolerance. */
rs_status rs_opcase_verify(const rs_opspec *spec, const rs_opcase *c, rs_device *const *devices,
                           int n_devices, double *worst) RS_NODISCARD;

/* True if the op has a gradient check and the case is small enough for it. */
bool rs_opcase_has_grad(const rs_opspec *spec, const rs_opcase *c);
/* Outputs of the reference and of the device against central differences of spec->loss, at sampled
 * elements and along random directions. */
rs_status rs_opcase_grad(const rs_opspec *spec, const rs_opcase *c, rs_device *d) RS_NODISCARD;

/* The op has cases, and every option is present in one of them (a tensor also absent in one). */
rs_status rs_opcase_coverage(const rs_opspec *spec) RS_NODISCARD;

typedef struct rs_opcase_timing {
    double flops;  /* of one call */
    double bytes;  /* inputs read once, outputs written once */
    int reps;      /* timed samples */
    double median; /* seconds of one call */
    double best;
    double p10;
    double p90;
    double process; /* least process time (all threads) of a call: other load does not count */
    double gflops;  /* GFLOP/s at the median */
    double gbs;     /* GB/s at the median */
    double peak;    /* GFLOP/s at best: of bf16 products in cases with the feature "bf16" */
    double floor;   /* seconds: max(bytes / bandwidth, flops / peak) */
    double reached; /* floor / median. Above 1 for data that stays in a cache (bandwidth is
                       memory's) */
} rs_opcase_timing;

/* Verifies, then times: operands rotate through enough copies to leave the inner caches, about
 * `seconds` of samples (0: 0.5). */
rs_status rs_opcase_time(rs_opcase_timing *out, const rs_opspec *spec, const rs_opcase *c,
                         rs_device *d, const rs_peak *peak, double seconds) RS_NODISCARD;
/* "1024x1536x1536" : the non-zero leading dims, for tables. */
enum { RS_OPCASE_DIMS = 128 };
const char *rs_opcase_dims(char out[RS_OPCASE_DIMS], const rs_opcase *c);

#endif
