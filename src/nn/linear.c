#include "base/num.h"
#include "nn/linear_pass.h"

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

bool rs_linear_stacks(const rs_linear *l)
{
    for (int k = 0; k < l->n; k++)
        if (rs_has_first_terms(&l->lora[k]))
            return true;
    return false;
}

static void linears_fwd(rs_device *d, const rs_linear_use *u, int n, rs_tensor x, rs_ending e)
{
    bool added[RS_LINEARS][RS_SAMPLES];
    rs_linear_pass all = {
        .d = d, .u = u, .n = n, .M = rs_tensor_rows(x) / u->l.n, .x = x, .forward = true};
    RS_ASSERT(n <= RS_LINEARS && u->l.n <= RS_SAMPLES && all.M * u->l.n == rs_tensor_rows(x));
    for (int j = 0; j < n; j++) {
        rs_linear_pass p = all;
        p.u = &u[j];
        p.n = 1;
        p.y = u[j].y;
        rs_pass_add_first(&p, added[j]);
    }
    rs_pass_lows(&all, 0, n, true);
    for (int j = 0; j < n; j++) {
        rs_linear_pass p = all;
        p.u = &u[j];
        p.n = 1;
        p.y = u[j].y;
        rs_pass_products(&p, added[j], e);
    }
}

void rs_linears_fwd(rs_device *d, const rs_linear_use *u, int n, rs_tensor x, rs_act act,
                    rs_tensor pre)
{
    linears_fwd(d, u, n, x, (rs_ending){.act = act, .pre = pre});
}

static void linear_fwd(rs_device *d, const rs_linear *l, rs_tensor y, rs_tensor x, rs_tensor hidden,
                       rs_ending e)
{
    linears_fwd(d, &(rs_linear_use){*l, y, hidden}, 1, x, e);
}

void rs_linear_fwd(rs_device *d, const rs_linear *l, rs_tensor y, rs_tensor x, rs_tensor hidden,
                   rs_act act, rs_tensor pre)
{
    linear_fwd(d, l, y, x, hidden, (rs_ending){.act = act, .pre = pre});
}

/* Terms in front of a last one would be added up in y, where the residual may lie. */
static bool goes_along(rs_device *d, const rs_linear *l)
{
    return !rs_linear_stacks(l) && rs_device_gemm_residual(d) && rs_device_gemm_terms(d);
}

void rs_linear_residual(rs_device *d, const rs_linear *l, rs_tensor y, rs_tensor x,
                        rs_tensor hidden, const rs_residual *r)
{
    if (goes_along(d, l)) {
        linear_fwd(d, l, y, x, hidden, (rs_ending){.res = r});
        return;
    }
    int64_t M = rs_tensor_rows(x) / l->n;
    linear_fwd(d, l, r->branch, x, hidden, (rs_ending){0});
    for (int k = 0; k < l->n; k++) {
        rs_tensor gate = rs_rows_of(r->gate, 1, k, k + 1);
        RS_OP(d, gate_add, .y = rs_rows_of(y, M, k, k + 1), .x = rs_rows_of(r->x, M, k, k + 1),
              .o = rs_rows_of(r->branch, M, k, k + 1),
              .gate =
                  rs_has(gate) ? rs_tensor_reshape(gate, RS_SHAPE(rs_tensor_cols(gate))) : gate);
    }
}

void rs_linear_hidden(rs_device *d, const rs_linear *l, rs_tensor x, rs_tensor hidden)
{
    rs_linear_use u = {*l, {0}, hidden};
    rs_linear_pass p = {
        .d = d, .u = &u, .n = 1, .M = rs_tensor_rows(x) / l->n, .x = x, .forward = true};
    rs_pass_lows(&p, 0, 1, true);
}

/* Gradients of the factors of trained last terms: B of u[from], or A of u[from..from+each), whose
 * input is x. */
static void factor_gradients(const rs_linear_pass *p, int from, int each, rs_tensor x, bool b,
                             const rs_row_sum *sum, int lo, int hi)
{
    rs_lora_grad_args a = {.x = rs_rows_of(b ? rs_pass_operand(p, from) : x, p->M, lo, hi),
                           .parts = hi - lo,
                           .each = each,
                           .work = sum->work,
                           .segments = sum->segments->n,
                           .tall = b,
                           .bf16 = rs_device_rounds(p->d)};
    bool any = false;
    for (int i = 0; i <= a.segments; i++)
        a.at[i] = sum->segments->at[i];
    for (int k = lo; k < hi; k++)
        for (int j = from; j < from + each; j++) {
            const rs_lora_term *t = rs_last_term(&p->u[j].l.lora[k]);
            int i = (k - lo) * each + j - from;
            if (!t || !rs_has(t->ga))
                continue;
            a.low[i] = b ? rs_first_cols(rs_rows_of(p->u[j].hidden, p->M, k, k + 1), p->M,
                                         rs_tensor_rows(t->a))
                         : rs_pass_low(p, j, k, t);
            a.g[i] = b ? t->gb : t->ga;
            any = true;
        }
    if (any)
        rs_op_lora_grad(p->d, &a);
}

static void train_terms(const rs_linear_pass *p, rs_tensor x, const rs_row_sum *sum)
{
    int n = rs_pass_samples(p);
    for (int j = 0; j < p->n; j++)
        for (int k = 0; k < n; k++)
            for (int i = 0; i + 1 < p->u[j].l.lora[k].n; i++) /* `hidden` is that of the last */
                RS_ASSERT(!rs_has(p->u[j].l.lora[k].terms[i].ga));
    for (int lo = 0; lo < n; lo += RS_LORA_PARTS) {
        int hi = (int)rs_min_i64(lo + RS_LORA_PARTS, n);
        for (int j = 0; j < p->n; j++)
            factor_gradients(p, j, 1, x, true, sum, lo, hi);
        factor_gradients(p, 0, p->n, x, false, sum, lo, hi);
    }
}

static bool uses_trained(const rs_linear_use *u, int n)
{
    for (int j = 0; j < n; j++)
        if (rs_linear_trained(&u[j].l))
            return true;
    return false;
}

static void backward(const rs_linear_pass *p, rs_tensor x, const rs_row_sum *sum,
                     const rs_slope *slope)
{
    bool added[RS_SAMPLES];
    bool wanted = rs_has(p->y);
    if (wanted && !p->in_place)
        rs_pass_add_first(p, added);
    for (int j = 0; j < p->n; j++)
        rs_pass_lows(p, j, 1, wanted);
    if (uses_trained(p->u, p->n)) {
        RS_ASSERT(rs_segment_rows(sum->segments) == p->M);
        train_terms(p, x, sum);
    }
    if (!wanted)
        return;
    if (p->in_place) /* now that x was read */
        rs_pass_add_first(p, added);
    rs_pass_products(p, added,
                     slope ? (rs_ending){.act = slope->act, .at = slope->at} : (rs_ending){0});
}

/* Where gemm takes terms the linears go one after the other, each with its own in the product. */
void rs_linears_bwd(rs_device *d, const rs_linear_use *u, int n, rs_tensor dx, bool accumulate,
                    rs_tensor x, rs_tensor dhidden, const rs_row_sum *sum, const rs_slope *slope)
{
    rs_linear_pass p = {.d = d,
                        .u = u,
                        .n = n,
                        .M = rs_tensor_rows(u->y) / u->l.n,
                        .y = dx,
                        .low = dhidden,
                        .added = accumulate,
                        .in_place = rs_has(dx) && dx.data == x.data};
    RS_ASSERT(n <= RS_LINEARS && u->l.n <= RS_SAMPLES && p.M * u->l.n == rs_tensor_rows(u->y));
    RS_ASSERT(!p.in_place || (n == 1 && !accumulate));
    if (!rs_device_gemm_terms(d)) {
        backward(&p, x, sum, slope);
        return;
    }
    for (int j = 0; j < n; j++) {
        p.u = &u[j];
        p.n = 1;
        p.added = accumulate || j > 0;
        backward(&p, x, sum, j + 1 < n ? NULL : slope);
    }
}

void rs_linear_bwd(rs_device *d, const rs_linear *l, rs_tensor dx, bool accumulate, rs_tensor dy,
                   rs_tensor x, rs_tensor hidden, rs_tensor dhidden, const rs_row_sum *sum,
                   const rs_slope *slope)
{
    rs_linears_bwd(d, &(rs_linear_use){*l, dy, hidden}, 1, dx, accumulate, x, dhidden, sum, slope);
}
