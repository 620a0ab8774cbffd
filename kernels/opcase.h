/* Op cases: one table per op that drives correctness, gradients, coverage and benchmarks (the idea
 * of ggml's test-backend-ops). A case table lives in kernels/<op>/<op>_cases.c and knows no device;
 * src/device/opcase.h runs it on one.
 *
 * A spec says how to describe a case's arguments (shapes, roles, fill), and names the
 * double-precision reference `rs_ref_<op>`: the same argument struct, every F32 tensor F64 instead,
 * plain loops, never optimised. References write only outputs that are given.
 *
 * Tolerance of an output, as relative L2 error against the reference: 2^-24 * (steps +
 * sqrt(reduction)), and 2^-8 if it is stored in bf16. steps = roundings in a row that an element
 * goes through, reduction = length of the longest sum; random rounding errors of a sum of n terms
 * grow like sqrt(n). Both 0: bit for bit equal to the rounded reference. */
#ifndef RS_KERNELS_OPCASE_H
#define RS_KERNELS_OPCASE_H

#include "base/num.h"
#include "kernels/ops_all.h"

/* The double-precision references, one per row of OPS.def. */
#define OP(name, folder) void rs_ref_##name(const rs_##name##_args *args);
#include "kernels/OPS.def"
#undef OP

static inline double *rs_f64(rs_tensor t)
{
    RS_ASSERT(t.dtype == RS_DTYPE_F64);
    return (double *)t.data;
}

/* What the tensors of a case are stored in, on devices that store activations in BF16. */
typedef enum rs_opstore {
    RS_STORE_FP32,  /* everything as `make` says */
    RS_STORE_MIXED, /* branches BF16, the residual stream and matrices F32 */
    RS_STORE_BF16,  /* branches, stream and matrices BF16 */
    RS_STORE_BACK,  /* stream BF16, branches F32: ops that convert */
    RS_STORES
} rs_opstore;

typedef enum rs_opkind {
    RS_KIND_FIXED,  /* parameters, statistics, latents: of the type that `make` gave */
    RS_KIND_BRANCH, /* activations */
    RS_KIND_STREAM, /* the residual stream, or the other side of a conversion */
    RS_KIND_MATRIX, /* frozen weights */
} rs_opkind;

/* One row of a table. What dim, flags and value mean is the op's own; name them beside the table.
 */
typedef struct rs_opcase {
    const char *name;
    int64_t dim[8];
    unsigned flags;
    double value[4];
    const char *alias; /* "y=x": output y lies on input x (in place); equal shape and pad */
    bool large;        /* real size: benchmark only, verified in parts (rs_opspec.part) */
    bool rounds;       /* the reference rounds operands: a step function, without gradient check */
    bool fine;         /* of values that bf16 cannot tell apart: no such residual stream */
    rs_opstore store;  /* tables have FP32; others are made of them by rs_opcase_stored */
} rs_opcase;

typedef enum rs_role { RS_IN, RS_OUT, RS_INOUT } rs_role;

/* A tensor argument that the case has. Change the defaults through the pointer that rs_op_*
 * returns. */
typedef struct rs_optensor {
    const char *name;
    size_t offset; /* of the rs_tensor in the argument struct */
    rs_role role;
    double scale; /* fill: shift + scale * uniform[-1,1), rounded to fp32 (default 0, 1) */
    double shift;
    int64_t ids;      /* I32 tensors: uniform in [0, ids) */
    double steps;     /* outputs: see above (default 4) */
    double reduction; /* (default 1) */
    rs_opkind kind;   /* (default FIXED) */
} rs_optensor;

enum { RS_OPPLAN_TENSORS = 16, RS_OPPLAN_FEATURES = 16, RS_OPPLAN_ARGS = 2048 };

typedef struct rs_opplan {
    _Alignas(64) char args[RS_OPPLAN_ARGS]; /* the op's argument struct */
    rs_optensor t[RS_OPPLAN_TENSORS];
    int n;
    const char *feature[RS_OPPLAN_FEATURES];
    int n_features;
} rs_opplan;

/* Declare a tensor of the case: its place in p->args, shape, and `pad` = ld - columns. Memory comes
 * later. It is F32 unless the field's dtype is set to BF16 afterwards; then values are rounded to
 * bf16, and an output's tolerance has room for that. */
rs_optensor *rs_op_in(rs_opplan *p, const char *name, rs_tensor *field, int64_t pad, int ndim,
                      const int64_t *shape);
rs_optensor *rs_op_out(rs_opplan *p, const char *name, rs_tensor *field, int64_t pad, int ndim,
                       const int64_t *shape);
rs_optensor *rs_op_inout(rs_opplan *p, const char *name, rs_tensor *field, int64_t pad, int ndim,
                         const int64_t *shape);
/* inout when `accumulate`, out otherwise. */
rs_optensor *rs_op_out_acc(rs_opplan *p, bool accumulate, const char *name, rs_tensor *field,
                           int64_t pad, int ndim, const int64_t *shape);
/* An I32 input with values in [0, ids). */
rs_optensor *rs_op_ids(rs_opplan *p, const char *name, rs_tensor *field, int64_t ids, int ndim,
                       const int64_t *shape);
/* Set the kind; returns t. */
rs_optensor *rs_op_branch(rs_optensor *t);
rs_optensor *rs_op_stream(rs_optensor *t);
/* The case exercises this scalar option. */
void rs_op_feature(rs_opplan *p, const char *name);

/* Output `out` is the gradient of spec.loss with respect to input `in`. */
typedef struct rs_opgrad {
    const char *out;
    const char *in;
} rs_opgrad;

enum { RS_OPSPEC_GRADS = 4, RS_OPSPEC_OPTIONS = 24 };

/* Everything about one op; <op>_cases.c defines `const rs_opspec rs_opspec_<op>`. */
typedef struct rs_opspec {
    const char *op;
    const rs_opcase *cases;
    int n;
    /* Fill p->args (zeroed): scalars and tensors. */
    void (*make)(rs_opplan *p, const rs_opcase *c);
    /* rs_ref_<op> behind a void pointer (RS_OPSPEC_REF). */
    void (*ref)(const void *args);
    /* Optional, after the default fill: inputs that depend on others (lse, tables). F64 arguments;
     * the values are rounded to fp32 afterwards. */
    void (*prepare)(const rs_opcase *c, void *args);
    /* Optional: narrow the arguments to sub-problem i (views; outputs that it does not give
     * completely are set to ndim 0); false when there is no i-th one. Used for large cases. Must
     * not look at data or dtype. */
    bool (*part)(int i, void *args);
    double (*flops)(const rs_opcase *c);
    bool converts; /* branch and stream may be of any types */
    /* Optional arguments and options: each must be present in one case; tensors also absent in one.
     */
    const char *option[RS_OPSPEC_OPTIONS];
    /* Gradient check: outputs against central differences of loss (F64 arguments). */
    double (*loss)(const void *args);
    rs_opgrad grad[RS_OPSPEC_GRADS];
} rs_opspec;

#define OP(name, folder) extern const rs_opspec rs_opspec_##name;
#include "kernels/OPS.def"
#undef OP

/* static void ref_<op>(const void *): the reference with the type that rs_opspec wants. */
#define RS_OPSPEC_REF(name)                                                                        \
    static void ref_##name(const void *args)                                                       \
    {                                                                                              \
        rs_ref_##name(args);                                                                       \
    }

#endif
