/* Force-included in front of every .cu file of the emulated build (-include): makes CUDA C++ out of
 * C++. NVIDIA's own headers give types, bf16 conversions and prototypes; this file gives what they
 * leave to nvcc: qualifiers, built-in variables, barriers, warp operations, atomics, intrinsics and
 * the launch. See README.md of this folder for what is checked and what is not. */
#ifndef RS_TESTS_EMU_CUDA_EMU_HH
#define RS_TESTS_EMU_CUDA_EMU_HH

#define CUDA_EMU 1

#define __host__
#define __device__
#define __global__
#define __constant__
#define __managed__
#define __grid_constant__
#define __launch_bounds__(...)
#define __noinline__ __attribute__((noinline))
/* Shared memory of a block. The address sanitizer puts red zones around static objects only; plain
 * builds find the block's TLS segment, fill it with poison before each block, and the thread
 * sanitizer gets a new thread (so new objects) for each block. */
#if defined(__SANITIZE_ADDRESS__)
#define __shared__ static
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __shared__ static
#else
#define __shared__ static thread_local
#endif
#else
#define __shared__ static thread_local
#endif

/* NVIDIA's template of this name erases the types of the arguments; emu_launch.hh has ours. */
#define cudaLaunchKernelEx emu_nvidia_cudaLaunchKernelEx
#include <cuda_runtime.h>
#undef cudaLaunchKernelEx
#include <cuda_bf16.h>

#include <cmath>
#include <cstdint>
#include <cstring>

#include "tests/emu/emu_launch.hh"
#include "tests/emu/emu_math.hh"
#include "tests/emu/emu_ptx.hh"
#include "tests/emu/emu_ptx.hh"
#include "tests/emu/emu_warp.hh"

#define RS_DYN_SMEM(T, name) T *name = reinterpret_cast<T *>(emu::dyn_smem())

#endif
