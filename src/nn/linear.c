#include "nn/nn.h"

/* gemm with the operands that the device's precision asks for. */
#define LINEAR(d, ...)                                                                             \
    RS_OP(d, gemm, .bf16 = rs_device_precision(d) == RS_PRECISION_BF16, __VA_ARGS__)

static bool terms_trained(const rs_lora_terms *l)
{
    for (int i = 0; i < l->n; i++)
        if (rs_has(l->terms[i].ga))
            return true;
    return false;
}

bool rs_linear_trained(const rs_linear *l)
{
    for (int k = 0; k < l->n; k++)
        if (terms_trained(&l->lora[k]))
            return true;
    return false;
}

/* First R columns of a scratch, contiguous rows for the first M*R elements. */
static rs_tensor narrow(rs_tensor t, int64_t rows, int64_t cols)
{
    RS_ASSERT(rs_has(t) && rs_tensor_count(t) >= rows * cols);
    return rs_tensor_of(t.data, t.dtype, RS_SHAPE(rows, cols));
}

/* Rows of samples [lo,hi), M each; nothing of nothing. */
static rs_tensor samples(rs_tensor t, int64_t M, int lo, int hi)
{
    return rs_has(t) ? rs_tensor_rows_view(t, M * lo, M * hi) : t;
}

/* The term that is applied last; NULL: none is. */
static const rs_lora_term *last_term(const rs_lora_terms *l)
{
    for (int i = l->n - 1; i >= 0; i--)
        if (l->terms[i].scale != 0)
            return &l->terms[i];
    return NULL;
}

/* The activation goes with the last product. */
static void terms_fwd(rs_device *d, const rs_lora_terms *l, rs_tensor y, rs_tensor x,
                      rs_tensor hidden, rs_act act, rs_tensor pre)
{
    const rs_lora_term *last = last_term(l);
    for (const rs_lora_term *t = l->terms; t <= last; t++) {
        if (t->scale == 0)
            continue;
        rs_tensor h = narrow(hidden, rs_tensor_rows(x), rs_tensor_rows(t->a));
        LINEAR(d, .y = h, .a = x, .b = t->a, .trans_b = true);
        LINEAR(d, .y = y, .a = h, .b = t->b, .trans_b = true, .alpha = t->scale, .beta = 1.0f,
               .pre = t == last ? pre : (rs_tensor){0}, .act = t == last ? act : RS_ACT_NONE);
    }
}

void rs_linear_fwd(rs_device *d, const rs_linear *l, rs_tensor y, rs_tensor x, rs_tensor hidden,
                   rs_act act, rs_tensor pre)
{
    int64_t M = rs_tensor_rows(x) / l->n;
    RS_ASSERT(M * l->n == rs_tensor_rows(x));
    /* Samples with terms and samples without end the frozen product differently. */
    for (int lo = 0, hi; lo < l->n; lo = hi) {
        bool has = last_term(&l->lora[lo]) != NULL;
        for (hi = lo + 1; hi < l->n && (last_term(&l->lora[hi]) != NULL) == has;)
            hi++;
        LINEAR(d, .y = samples(y, M, lo, hi), .a = samples(x, M, lo, hi), .b = l->w,
               .trans_b = true, .bias = l->bias,
               .pre = has ? (rs_tensor){0} : samples(pre, M, lo, hi),
               .act = has ? RS_ACT_NONE : act);
        for (int k = lo; has && k < hi; k++)
            terms_fwd(d, &l->lora[k], samples(y, M, k, k + 1), samples(x, M, k, k + 1),
                      samples(hidden, M, k, k + 1), act, samples(pre, M, k, k + 1));
    }
}

void rs_linear_hidden(rs_device *d, const rs_linear *l, rs_tensor x, rs_tensor hidden)
{
    int64_t M = rs_tensor_rows(x) / l->n;
    for (int k = 0; k < l->n; k++) {
        if (l->lora[k].n == 0)
            continue;
        rs_tensor a = l->lora[k].terms[l->lora[k].n - 1].a;
        LINEAR(d, .y = narrow(samples(hidden, M, k, k + 1), M, rs_tensor_rows(a)),
               .a = samples(x, M, k, k + 1), .b = a, .trans_b = true);
    }
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
    LINEAR(f->d, .y = out[1], .a = rs_tensor_rows_view(f->dy, lo, hi),
           .b = rs_tensor_rows_view(f->h, lo, hi), .trans_a = true, .alpha = f->term->scale);
    LINEAR(f->d, .y = out[0], .a = rs_tensor_rows_view(f->dh, lo, hi),
           .b = rs_tensor_rows_view(f->x, lo, hi), .trans_a = true);
}

static void term_bwd(rs_device *d, const rs_lora_term *t, rs_tensor dx, rs_tensor dy, rs_tensor x,
                     rs_tensor hidden, rs_tensor dhidden, const rs_row_sum *sum)
{
    int64_t rows = rs_tensor_rows(dy), rank = rs_tensor_rows(t->a);
    if (!rs_has(t->ga) && !rs_has(dx))
        return; /* frozen, and nothing below wants a gradient */
    rs_tensor dh = narrow(dhidden, rows, rank);
    LINEAR(d, .y = dh, .a = dy, .b = t->b, .alpha = t->scale);
    if (rs_has(t->ga)) {
        factors f = {d, t, dy, x, narrow(hidden, rows, rank), dh};
        RS_ASSERT(rs_segment_rows(sum->segments) == rows);
        rs_segment_sum(d, (const rs_tensor[]){t->ga, t->gb}, 2, sum->segments, sum->work,
                       factor_gradients, &f);
    }
    if (rs_has(dx))
        LINEAR(d, .y = dx, .a = dh, .b = t->a, .beta = 1.0f);
}

static void terms_bwd(rs_device *d, const rs_lora_terms *l, rs_tensor dx, rs_tensor dy, rs_tensor x,
                      rs_tensor hidden, rs_tensor dhidden, const rs_row_sum *sum)
{
    /* `hidden` is that of the last term. */
    for (int i = 0; i + 1 < l->n; i++)
        RS_ASSERT(!rs_has(l->terms[i].ga));
    for (int i = 0; i < l->n; i++)
        if (l->terms[i].scale != 0)
            term_bwd(d, &l->terms[i], dx, dy, x, hidden, dhidden, sum);
}

void rs_linear_bwd(rs_device *d, const rs_linear *l, rs_tensor dx, bool accumulate, rs_tensor dy,
                   rs_tensor x, rs_tensor hidden, rs_tensor dhidden, const rs_row_sum *sum)
{
    int64_t M = rs_tensor_rows(dy) / l->n;
    RS_ASSERT(M * l->n == rs_tensor_rows(dy));
    if (rs_has(dx))
        LINEAR(d, .y = dx, .a = dy, .b = l->w, .beta = accumulate ? 1.0f : 0.0f);
    for (int k = 0; k < l->n; k++)
        terms_bwd(d, &l->lora[k], samples(dx, M, k, k + 1), samples(dy, M, k, k + 1),
                  samples(x, M, k, k + 1), samples(hidden, M, k, k + 1), dhidden, sum);
}
