/* One case made real: host images of every tensor, fp32 and double. */
#ifndef RS_DEVICE_OPCASE_PRIV_H
#define RS_DEVICE_OPCASE_PRIV_H

#include "device/opcase.h"

enum { RS_OPCASE_GUARD = 16 }; /* poisoned elements in front of and behind every tensor */

typedef struct rs_opbuffer {
    rs_tensor shape;  /* as planned, no data */
    int64_t elements; /* rows * ld */
    size_t size;      /* of an element: 4, or 2 if it is stored in bf16 */
    size_t bytes;     /* image: guards and elements */
    void *image;      /* what the device gets */
    int on;           /* the buffer this tensor lies on: itself, or the input of an in-place case */
} rs_opbuffer;

typedef struct rs_opinstance {
    rs_arena *arena;
    const rs_opspec *spec;
    const rs_opcase *c;
    rs_opplan *plan;
    rs_opbuffer buf[RS_OPPLAN_TENSORS];
    char *ref; /* arguments with F64 data: inputs filled, outputs zero (or the input, if inout) */
} rs_opinstance;

rs_tensor *rs_opfield(void *args, const rs_optensor *t);
/* The tensor called `name`; asserts that there is one when `needed`, else -1. */
int rs_opinstance_find(const rs_opinstance *in, const char *name, bool needed);

void rs_opinstance_make(rs_opinstance *in, const rs_opspec *spec, const rs_opcase *c);
void rs_opinstance_free(rs_opinstance *in);
/* A copy of the F64 arguments with its own outputs (inputs shared). */
char *rs_opinstance_ref_args(const rs_opinstance *in);

/* Device memory of one set of operands, and arguments that point into it. */
typedef struct rs_opoperands {
    void *memory[RS_OPPLAN_TENSORS];
    char args[RS_OPPLAN_ARGS];
} rs_opoperands;

rs_status rs_opoperands_make(rs_opoperands *o, const rs_opinstance *in, rs_device *d) RS_NODISCARD;
void rs_opoperands_free(rs_opoperands *o, rs_device *d);
/* rs_op_<op>(d, args) */
void rs_opcase_call(const rs_opspec *spec, rs_device *d, const void *args);

/* Run once on d; result[i] = image of buffer i afterwards (arena). */
rs_status rs_opcase_run(rs_opinstance *in, rs_device *d,
                        void *result[RS_OPPLAN_TENSORS]) RS_NODISCARD;
double rs_optensor_tolerance(const rs_optensor *t, rs_dtype stored);
/* Element e of an image's tensor, or of a tensor. */
double rs_opelement(const void *data, size_t size, int64_t e);
/* "op gemm, case nt_odd (37x53x29)" */
const char *rs_opinstance_title(const rs_opinstance *in);

#endif
