/* Every op's argument struct. */
#ifndef RS_KERNELS_OPS_ALL_H
#define RS_KERNELS_OPS_ALL_H

#include "kernels/act/act.h"
#include "kernels/adamw/adamw.h"
#include "kernels/affine/affine.h"
#include "kernels/attention/attention.h"
#include "kernels/conv3d/conv3d.h"
#include "kernels/copy/copy.h"
#include "kernels/embed/embed.h"
#include "kernels/gate/gate.h"
#include "kernels/gemm/gemm.h"
#include "kernels/layernorm/layernorm.h"
#include "kernels/lincomb/lincomb.h"
#include "kernels/lora/lora.h"
#include "kernels/mse/mse.h"
#include "kernels/noise/noise.h"
#include "kernels/patch/patch.h"
#include "kernels/quant8/quant8.h"
#include "kernels/rmsnorm/rmsnorm.h"
#include "kernels/rope/rope.h"
#include "kernels/transpose/transpose.h"

#endif
