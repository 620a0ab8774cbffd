/* One pass through linears that share their rows: terms of adapters, then the frozen products. */
#include "nn/linear_pass.h"

#include "base/num.h"

/* gemm with the operands that the device's precision asks for. */
#define LINEAR(d, ...)                                                                             \
    RS_OP(d, gemm, .bf16 = rs_device_precision(d) == RS_PRECISION_BF16, __VA_ARGS__)

/* First R columns of a scratch, contiguous rows for the first M*R elements. */
rs_tensor rs_first_cols(rs_tensor t, int64_t rows, int64_t cols)
{
    RS_ASSERT(rs_has(t) && rs_tensor_count(t) >= rows * cols);
    return rs_tensor_of(t.data, t.dtype, RS_SHAPE(rows, cols));
}

/* Rows of samples [lo,hi), M each; nothing of nothing. */
rs_tensor rs_rows_of(rs_tensor t, int64_t M, int lo, int hi)
{
    return rs_has(t) ? rs_tensor_rows_view(t, M * lo, M * hi) : t;
}

/* The term that is applied last; NULL: none is. */
const rs_lora_term *rs_last_term(const rs_lora_terms *l)
{
    for (int i = l->n - 1; i >= 0; i--)
        if (l->terms[i].scale != 0)
            return &l->terms[i];
    return NULL;
}

bool rs_has_first_terms(const rs_lora_terms *l)
{
    for (const rs_lora_term *t = l->terms, *last = rs_last_term(l); t < last; t++)
        if (t->scale != 0)
            return true;
    return false;
}

int rs_pass_samples(const rs_linear_pass *p)
{
    return p->u[0].l.n;
}

rs_tensor rs_pass_operand(const rs_linear_pass *p, int j)
{
    return p->forward ? p->x : p->u[j].y;
}

rs_tensor rs_pass_low(const rs_linear_pass *p, int j, int k, const rs_lora_term *t)
{
    int64_t rows = p->M * rs_pass_samples(p);
    rs_tensor low =
        p->forward ? p->u[j].hidden : rs_tensor_rows_view(p->low, rows * j, rows * (j + 1));
    return rs_first_cols(rs_rows_of(low, p->M, k, k + 1), p->M, rs_tensor_rows(t->a));
}

/* Terms of sample k in front of the last one, each a pass of its own over y. */
static void add_first_terms(const rs_linear_pass *p, int j, int k, bool added)
{
    const rs_lora_terms *l = &p->u[j].l.lora[k];
    rs_tensor y = rs_rows_of(p->y, p->M, k, k + 1),
              x = rs_rows_of(rs_pass_operand(p, j), p->M, k, k + 1);
    for (const rs_lora_term *t = l->terms, *last = rs_last_term(l); t < last; t++) {
        if (t->scale == 0)
            continue;
        rs_tensor low = rs_pass_low(p, p->in_place ? p->n + j : j, k, t);
        LINEAR(p->d, .y = low, .a = x, .b = p->forward ? t->a : t->b, .trans_b = p->forward,
               .alpha = t->scale);
        LINEAR(p->d, .y = y, .a = low, .b = p->forward ? t->b : t->a, .trans_b = p->forward,
               .beta = added ? 1.0f : 0.0f);
        added = true;
    }
}

/* Those of all samples and linears; *added[k]: y has something now. */
void rs_pass_add_first(const rs_linear_pass *p, bool *added)
{
    for (int k = 0; k < rs_pass_samples(p); k++) {
        added[k] = p->added;
        for (int j = 0; j < p->n; j++) {
            add_first_terms(p, j, k, added[k]);
            added[k] = added[k] || rs_has_first_terms(&p->u[j].l.lora[k]);
        }
    }
}

/* low = scale * A x, or scale * dy B, of the last terms of u[from..from+each) over the samples
 * [lo,hi); of trained ones only, unless `all`. */
static void make_lows(const rs_linear_pass *p, int from, int each, int lo, int hi, bool all)
{
    rs_lora_down_args a = {.x = rs_rows_of(rs_pass_operand(p, from), p->M, lo, hi),
                           .parts = hi - lo,
                           .each = each,
                           .tall = !p->forward,
                           .bf16 = rs_device_rounds(p->d)};
    bool any = false;
    for (int k = lo; k < hi; k++)
        for (int j = from; j < from + each; j++) {
            const rs_lora_term *t = rs_last_term(&p->u[j].l.lora[k]);
            int i = (k - lo) * each + j - from;
            if (!t || (!all && !rs_has(t->ga)))
                continue;
            a.low[i] = rs_pass_low(p, j, k, t);
            a.f[i] = p->forward ? t->a : t->b;
            a.scale[i] = t->scale;
            any = true;
        }
    if (any)
        rs_op_lora_down(p->d, &a);
}

/* The frozen product of u[j] and samples [lo,hi), with their last terms where gemm adds them. */
static void product(const rs_linear_pass *p, int j, int lo, int hi, bool added, rs_ending e)
{
    const rs_linear *l = &p->u[j].l;
    rs_gemm_args g = {.y = rs_rows_of(p->y, p->M, lo, hi),
                      .a = rs_rows_of(rs_pass_operand(p, j), p->M, lo, hi),
                      .b = l->w,
                      .trans_b = p->forward,
                      .bf16 = rs_device_rounds(p->d),
                      .bias = p->forward ? l->bias : (rs_tensor){0},
                      .beta = added ? 1.0f : 0.0f,
                      .act = e.act,
                      .pre = rs_rows_of(e.pre, p->M, lo, hi),
                      .act_at = rs_rows_of(e.at, p->M, lo, hi),
                      .parts = hi - lo};
    if (e.res) {
        g.res = rs_rows_of(e.res->x, p->M, lo, hi);
        g.gate = rs_rows_of(e.res->gate, 1, lo, hi);
    }
    for (int k = lo; k < hi && rs_device_gemm_terms(p->d); k++) {
        const rs_lora_term *t = rs_last_term(&l->lora[k]);
        if (!t)
            continue;
        g.ta[k - lo] = rs_pass_low(p, j, k, t);
        g.tb[k - lo] = p->forward ? t->b : t->a;
    }
    rs_op_gemm(p->d, &g);
}

/* y (+)= the last terms of all of u; those of samples without one are zeros. False: nobody has one.
 */
static bool add_last_terms(const rs_linear_pass *p, int lo, int hi, bool added)
{
    rs_lora_up_args a = {.y = rs_rows_of(p->y, p->M, lo, hi),
                         .parts = hi - lo,
                         .each = p->n,
                         .beta = added ? 1.0f : 0.0f,
                         .tall = p->forward,
                         .bf16 = rs_device_rounds(p->d)};
    bool any = false;
    for (int k = lo; k < hi; k++)
        for (int j = 0; j < p->n; j++) {
            const rs_lora_term *t = rs_last_term(&p->u[j].l.lora[k]);
            int i = (k - lo) * p->n + j;
            if (!t)
                continue;
            a.low[i] = rs_pass_low(p, j, k, t);
            a.f[i] = p->forward ? t->b : t->a;
            any = true;
        }
    if (any)
        rs_op_lora_up(p->d, &a);
    return any;
}

/* y = end([y +] sum of in op(w) + bias + terms). Terms that gemm does not take come first, so that
 * the last product may end as gemm can, and what is rounded in between is small. */
void rs_pass_products(const rs_linear_pass *p, const bool *has, rs_ending e)
{
    for (int lo = 0, hi; lo < rs_pass_samples(p); lo = hi) {
        bool added = has[lo];
        for (hi = lo + 1; hi < rs_pass_samples(p) && hi - lo < RS_GEMM_PARTS; hi++)
            if (has[hi] != added)
                break;
        if (!rs_device_gemm_terms(p->d))
            added = add_last_terms(p, lo, hi, added) || added;
        for (int j = 0; j < p->n; j++)
            product(p, j, lo, hi, added || j > 0, j + 1 < p->n ? (rs_ending){0} : e);
    }
}

/* make_lows in as many calls as the op wants. */
void rs_pass_lows(const rs_linear_pass *p, int from, int each, bool all)
{
    for (int lo = 0; lo < rs_pass_samples(p); lo += RS_LORA_PARTS)
        make_lows(p, from, each, lo, (int)rs_min_i64(lo + RS_LORA_PARTS, rs_pass_samples(p)), all);
}
