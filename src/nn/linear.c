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

/* What the gradients of a term are sums of. */
typedef struct factors {
    rs_device *d;
    const rs_lora_term *term;
    rs_tensor dy, x, h, dh;
} factors;

/* gA and gB over rows [lo,hi). */
static void factor_gradients(void *ctx, int64_t lo, int64_t hi, const rs_tensor *out)
{
    const factors *f = ctx;
    RS_OP(f->d, gemm, .y = out[1], .a = rs_tensor_rows_view(f->dy, lo, hi),
          .b = rs_tensor_rows_view(f->h, lo, hi), .trans_a = true, .alpha = f->term->scale);
    RS_OP(f->d, gemm, .y = out[0], .a = rs_tensor_rows_view(f->dh, lo, hi),
          .b = rs_tensor_rows_view(f->x, lo, hi), .trans_a = true);
}

static void term_bwd(rs_device *d, const rs_lora_term *t, rs_tensor dx, rs_tensor dy, rs_tensor x,
                     rs_tensor hidden, rs_tensor dhidden, const rs_row_sum *sum)
{
    int64_t rows = rs_tensor_rows(dy), rank = rs_tensor_rows(t->a);
    if (!rs_has(t->ga) && !rs_has(dx))
        return; /* frozen, and nothing below wants a gradient */
    rs_tensor dh = narrow(dhidden, rows, rank);
    RS_OP(d, gemm, .y = dh, .a = dy, .b = t->b, .alpha = t->scale);
    if (rs_has(t->ga)) {
        factors f = {d, t, dy, x, narrow(hidden, rows, rank), dh};
        RS_ASSERT(rs_segment_rows(sum->segments) == rows);
        rs_segment_sum(d, (const rs_tensor[]){t->ga, t->gb}, 2, sum->segments, sum->work,
                       factor_gradients, &f);
    }
    if (rs_has(dx))
        RS_OP(d, gemm, .y = dx, .a = dh, .b = t->a, .beta = 1.0f);
}

void rs_linear_bwd(rs_device *d, const rs_linear *l, rs_tensor dx, bool accumulate, rs_tensor dy,
                   rs_tensor x, rs_tensor hidden, rs_tensor dhidden, const rs_row_sum *sum)
{
    /* `hidden` is that of the last term. */
    for (int i = 0; i + 1 < l->lora.n; i++)
        RS_ASSERT(!rs_has(l->lora.terms[i].ga));
    if (rs_has(dx))
        RS_OP(d, gemm, .y = dx, .a = dy, .b = l->w, .beta = accumulate ? 1.0f : 0.0f);
    for (int i = 0; i < l->lora.n; i++)
        if (l->lora.terms[i].scale != 0)
            term_bwd(d, &l->lora.terms[i], dx, dy, x, hidden, dhidden, sum);
}
