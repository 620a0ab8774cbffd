/* Device: memory, copies and the op table of one backend. Model code is one sequence of op calls
 * and does not know CPU from CUDA.
 *
 * Ops are void with a sticky error: an op that breaks its contract asserts (our bug); a launch or
 * library failure is recorded (first one kept), later ops become no-ops, and rs_device_check()
 * returns it as a status, once per step. */
#ifndef RS_DEVICE_DEVICE_H
#define RS_DEVICE_DEVICE_H

#include "base/status.h"
#include "base/tensor.h"
#include "kernels/ops_all.h"

typedef struct rs_device rs_device;

/* What large products (gemm, attention, conv3d) are made of: the policy that models follow. Sums
 * are fp32 in either case, and so are the residual stream, statistics of norms, modulation, LoRA
 * factors and their gradients, latents and the loss.
 *   fp32  fp32 operands
 *   bf16  operands rounded to bf16. The CPU backend rounds them inside the ops and stores
 *         activations in fp32; others may store them in bf16. */
typedef enum rs_precision { RS_PRECISION_FP32, RS_PRECISION_BF16 } rs_precision;

const char *rs_precision_name(rs_precision p);
bool rs_precision_find(rs_precision *out, const char *name); /* "fp32", "bf16" */

typedef struct rs_device_opts {
    const char *backend;    /* "cpu" (default when NULL), "cuda" */
    int threads;            /* CPU worker threads; 0 = all cores this process may use */
    int local_rank;         /* among the ranks of this host, which share its devices out */
    const char *gemm_table; /* cuda: recorded algorithms (kernels/cuda/blas.h), or NULL */
    rs_precision precision;
    bool fp8;      /* cuda, bf16: matrices that may be are kept in 8 bits (rs_device_fp8) */
    bool plan_gpu; /* cpu: says of types and memory what a GPU would; for plans, no ops */
} rs_device_opts;

/* RS_DEVICE if the backend is not built in or has no hardware. RS_CONFIG: it has no fp8. */
rs_status rs_device_open(rs_device **out, const rs_device_opts *opts) RS_NODISCARD;
void rs_device_destroy(rs_device **d);
const char *rs_device_backend(const rs_device *d); /* "cpu", "cuda" */
int rs_device_threads(const rs_device *d);
rs_precision rs_device_precision(const rs_device *d);
/* Whether products are of operands rounded to bf16: the ops' argument `bf16`. */
static inline bool rs_device_rounds(const rs_device *d)
{
    return rs_device_precision(d) == RS_PRECISION_BF16;
}
/* Type of activations and their gradients in device memory, but for the residual stream and what
 * else rs_precision keeps in fp32: F32, or BF16 where the backend stores them so. */
rs_dtype rs_device_activation_dtype(const rs_device *d);
/* Type in which a value may be kept that gemm alone reads, as an operand: BF16 where it is rounded
 * to that anyway, so that no bit changes. */
static inline rs_dtype rs_device_operand_dtype(const rs_device *d)
{
    return rs_device_rounds(d) ? RS_DTYPE_BF16 : rs_device_activation_dtype(d);
}
/* Type that a matrix of frozen weights, stored in a file as `stored`, has in device memory: operand
 * b of gemm and nothing else. Everything else is F32. A bf16 matrix is never widened; an fp32 one
 * is not narrowed on the CPU, where it is used in the file's mapping. */
rs_dtype rs_device_matrix_dtype(const rs_device *d, rs_dtype stored);
/* Whether matrices of a transformer's blocks shall be e4m3 with a scale per row (base/fp8.h), which
 * gemm then takes as operand b: half of bf16's memory and traffic. */
bool rs_device_fp8(const rs_device *d);
/* Whether gemm adds low-rank terms; where not, they are products of their own. */
bool rs_device_gemm_terms(const rs_device *d);
/* Whether gemm adds a gated residual; where not, gate_add does. */
bool rs_device_gemm_residual(const rs_device *d);
/* Device memory is host memory: files are used where they are mapped. */
bool rs_device_host_memory(const rs_device *d);
/* What bits depend on: precision, kernel variants, CPU features, library versions. Borrowed, one
 * line. */
const char *rs_device_fingerprint(const rs_device *d);

/* Device memory, 64-byte aligned, uninitialised. RS_NOMEM with the size in the message. */
rs_status rs_device_alloc(rs_device *d, void **out, size_t bytes) RS_NODISCARD;
void rs_device_free(rs_device *d, void *p);
size_t rs_device_bytes(const rs_device *d);      /* held now */
size_t rs_device_peak_bytes(const rs_device *d); /* high-water mark */
/* Synchronous copies between host and device memory (contiguous bytes). */
void rs_device_put(rs_device *d, void *dst_device, const void *src_host, size_t bytes);
void rs_device_get(rs_device *d, void *dst_host, const void *src_device, size_t bytes);
void rs_device_copy(rs_device *d, void *dst, const void *src, size_t bytes); /* device to device */
void rs_device_zero(rs_device *d, void *p, size_t bytes);
/* Workspace that ops share: bytes that an attention of activations needs (on a GPU what the first
 * call of the shape would make is made), and room for ops that need so much, so that none has to
 * make it within a step. 0, and nothing, on the CPU. RS_NOMEM. */
size_t rs_device_attention_workspace(rs_device *d, const rs_attention_shape *s);
rs_status rs_device_reserve(rs_device *d, size_t bytes) RS_NODISCARD;
/* Waits until everything is done that was enqueued before. */
rs_status rs_device_check(rs_device *d) RS_NODISCARD;
/* Record the fastest algorithm of every product from now on, and write them all to a file for
 * gemm_table. RS_USAGE: the backend has no such choice. */
rs_status rs_device_record_gemm(rs_device *d) RS_NODISCARD;
rs_status rs_device_save_gemm(rs_device *d, const char *path) RS_NODISCARD;

/* One function per op: rs_op_gemm(d, &(rs_gemm_args){...}), or with named arguments
 *   RS_OP(d, gemm, .y = y, .a = x, .b = w, .trans_b = true, .bias = b);  */
#define OP(name, folder) void rs_op_##name(rs_device *d, const rs_##name##_args *args);
#include "kernels/OPS.def"
#undef OP
#define RS_OP(d, name, ...) rs_op_##name((d), &(rs_##name##_args){__VA_ARGS__})

/* Planned pool: `bind` is called once with a NULL base (adds up bytes), then with memory of that
 * size. */
typedef struct rs_pool {
    rs_device *dev;
    void *memory;
    size_t bytes;
} rs_pool;
typedef void rs_bind_fn(void *object, rs_carver *c);
rs_status rs_pool_bind(rs_pool *p, rs_device *dev, rs_bind_fn *bind, void *object) RS_NODISCARD;
/* The same for a pool that may be bound. A device with memory of its own keeps what the pool has if
 * that is enough; p->bytes is what is held. */
rs_status rs_pool_rebind(rs_pool *p, rs_device *dev, rs_bind_fn *bind, void *object) RS_NODISCARD;
void rs_pool_release(rs_pool *p);

#endif
