#include "kernels/opcase.h"

static rs_optensor *add(rs_opplan *p, rs_role role, const char *name, rs_tensor *field, int64_t pad,
                        int ndim, const int64_t *shape)
{
    RS_ASSERTF(p->n < RS_OPPLAN_TENSORS, "more than %d tensors", RS_OPPLAN_TENSORS);
    size_t offset = (size_t)((char *)field - p->args);
    RS_ASSERTF(offset < RS_OPPLAN_ARGS, "%s is not in the argument struct", name);
    *field = rs_tensor_of(NULL, RS_DTYPE_F32, ndim, shape);
    field->ld += pad;
    p->t[p->n] = (rs_optensor){
        .name = name, .offset = offset, .role = role, .scale = 1, .steps = 4, .reduction = 1};
    return &p->t[p->n++];
}

rs_optensor *rs_op_in(rs_opplan *p, const char *name, rs_tensor *field, int64_t pad, int ndim,
                      const int64_t *shape)
{
    return add(p, RS_IN, name, field, pad, ndim, shape);
}

rs_optensor *rs_op_out(rs_opplan *p, const char *name, rs_tensor *field, int64_t pad, int ndim,
                       const int64_t *shape)
{
    return add(p, RS_OUT, name, field, pad, ndim, shape);
}

rs_optensor *rs_op_inout(rs_opplan *p, const char *name, rs_tensor *field, int64_t pad, int ndim,
                         const int64_t *shape)
{
    return add(p, RS_INOUT, name, field, pad, ndim, shape);
}

rs_optensor *rs_op_out_acc(rs_opplan *p, bool accumulate, const char *name, rs_tensor *field,
                           int64_t pad, int ndim, const int64_t *shape)
{
    return add(p, accumulate ? RS_INOUT : RS_OUT, name, field, pad, ndim, shape);
}

rs_optensor *rs_op_ids(rs_opplan *p, const char *name, rs_tensor *field, int64_t ids, int ndim,
                       const int64_t *shape)
{
    rs_optensor *t = add(p, RS_IN, name, field, 0, ndim, shape);
    field->dtype = RS_DTYPE_I32;
    t->ids = ids;
    return t;
}

rs_optensor *rs_op_branch(rs_optensor *t)
{
    t->kind = RS_KIND_BRANCH;
    return t;
}

rs_optensor *rs_op_stream(rs_optensor *t)
{
    t->kind = RS_KIND_STREAM;
    return t;
}

void rs_op_feature(rs_opplan *p, const char *name)
{
    RS_ASSERTF(p->n_features < RS_OPPLAN_FEATURES, "more than %d features", RS_OPPLAN_FEATURES);
    p->feature[p->n_features++] = name;
}
