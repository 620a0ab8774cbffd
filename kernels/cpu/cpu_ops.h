/* The CPU backend's functions, one per row of OPS.def. Arguments were checked by the device layer.
 */
#ifndef RS_KERNELS_CPU_CPU_OPS_H
#define RS_KERNELS_CPU_CPU_OPS_H

#include "kernels/ops_all.h"

#define OP(name, folder) void rs_cpu_##name(rs_kctx *k, const rs_##name##_args *args);
#include "kernels/OPS.def"
#undef OP

#endif
