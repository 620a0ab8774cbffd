#include "nn/nn.h"

bool rs_linear_trained(const rs_linear *l)
{
    for (int i = 0; i < l->lora.n; i++)
        if (rs_has(l->lora.terms[i].ga))
            return true;
    return false;
}

/* First R columns of a scratch, contiguous rows for the first M*R elements. */
static rs_tensor narrow(rs_tensor t, int64_t rows, int64_t cols)
{
    RS_ASSERT(rs_has(t) && rs_tensor_count(t) >= rows * cols);
    return rs_tensor_of(t.data, RS_DTYPE_F32, RS_SHAPE(rows, cols));
}

void rs_linear_fwd(rs_device *d, const rs_linear *l, rs_tensor y, rs_tensor x, rs_tensor hidden,
                   rs_act act, rs_tensor pre)
{
    const rs_lora_term *last = NULL;
    for (int i = 0; i < l->lora.n; i++)
        if (l->lora.terms[i].scale != 0)
            last = &l->lora.terms[i];
    /* The activation goes with the last product. */
    RS_OP(d, gemm, .y = y, .a = x, .b = l->w, .trans_b = true, .bias = l->bias,
          .pre = last ? (rs_tensor){0} : pre, .act = last ? RS_ACT_NONE : act);
    for (const rs_lora_term *t = l->lora.terms; last && t <= last; t++) {
        if (t->scale == 0)
            continue;
        rs_tensor h = narrow(hidden, rs_tensor_rows(x), rs_tensor_rows(t->a));
        RS_OP(d, gemm, .y = h, .a = x, .b = t->a, .trans_b = true);
        RS_OP(d, gemm, .y = y, .a = h, .b = t->b, .trans_b = true, .alpha = t->scale, .beta = 1.0f,
              .pre = t == last ? pre : (rs_tensor){0}, .act = t == last ? act : RS_ACT_NONE);
    }
}

void rs_linear_hidden(rs_device *d, const rs_linear *l, rs_tensor x, rs_tensor hidden)
{
    RS_ASSERT(l->lora.n > 0);
    rs_tensor a = l->lora.terms[l->lora.n - 1].a;
    RS_OP(d, gemm, .y = narrow(hidden, rs_tensor_rows(x), rs_tensor_rows(a)), .a = x, .b = a,
          .trans_b = true);
}

static void term_bwd(rs_device *d, const rs_lora_term *t, rs_tensor dx, rs_tensor dy, rs_tensor x,
                     rs_tensor hidden, rs_tensor dhidden)
{
    int64_t rows = rs_tensor_rows(dy), rank = rs_tensor_rows(t->a);
    if (!rs_has(t->ga) && !rs_has(dx))
        return; /* frozen, and nothing below wants a gradient */
    rs_tensor dh = narrow(dhidden, rows, rank);
    RS_OP(d, gemm, .y = dh, .a = dy, .b = t->b, .alpha = t->scale);
    if (rs_has(t->ga)) {
        rs_tensor h = narrow(hidden, rows, rank);
        RS_OP(d, gemm, .y = t->gb, .a = dy, .b = h, .trans_a = true, .alpha = t->scale);
        RS_OP(d, gemm, .y = t->ga, .a = dh, .b = x, .trans_a = true);
    }
    if (rs_has(dx))
        RS_OP(d, gemm, .y = dx, .a = dh, .b = t->a, .beta = 1.0f);
}

void rs_linear_bwd(rs_device *d, const rs_linear *l, rs_tensor dx, bool accumulate, rs_tensor dy,
                   rs_tensor x, rs_tensor hidden, rs_tensor dhidden)
{
    /* `hidden` is that of the last term. */
    for (int i = 0; i + 1 < l->lora.n; i++)
        RS_ASSERT(!rs_has(l->lora.terms[i].ga));
    if (rs_has(dx))
        RS_OP(d, gemm, .y = dx, .a = dy, .b = l->w, .beta = accumulate ? 1.0f : 0.0f);
    for (int i = 0; i < l->lora.n; i++)
        if (l->lora.terms[i].scale != 0)
            term_bwd(d, &l->lora.terms[i], dx, dy, x, hidden, dhidden);
}
