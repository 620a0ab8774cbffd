#include "base/num.h"
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

static bool has_first_terms(const rs_lora_terms *l)
{
    for (const rs_lora_term *t = l->terms, *last = last_term(l); t < last; t++)
        if (t->scale != 0)
            return true;
    return false;
}

bool rs_linear_stacks(const rs_linear *l)
{
    for (int k = 0; k < l->n; k++)
        if (has_first_terms(&l->lora[k]))
            return true;
    return false;
}

/* What a pass through linears that share their rows works with: forward one result and one operand,
 * backward one result and an operand of each. */
typedef struct pass {
    rs_device *d;
    const rs_linear_use *u;
    int n;               /* of u */
    int64_t M;           /* rows of a sample */
    rs_tensor y;         /* what is made: a result, or the gradient to the input */
    rs_tensor x;         /* forward: the input */
    rs_tensor low;       /* backward: lows of all of u, R wide */
    bool forward, added; /* y = B low, or A low; y has something that is added to */
} pass;

static int samples_of(const pass *p)
{
    return p->u[0].l.n;
}

static rs_tensor operand(const pass *p, int j)
{
    return p->forward ? p->x : p->u[j].y;
}

static rs_tensor low_of(const pass *p, int j, int k, const rs_lora_term *t)
{
    int64_t rows = p->M * samples_of(p);
    rs_tensor low = p->u[j].hidden;
    if (!p->forward)
        low = rs_tensor_rows_view(p->low, rows * j, rows * (j + 1));
    return narrow(samples(low, p->M, k, k + 1), p->M, rs_tensor_rows(t->a));
}

/* What the last product of a pass ends with (kernels/gemm/gemm.h). */
typedef struct ending {
    rs_act act;
    rs_tensor pre, at;
    const rs_residual *res; /* NULL: none */
} ending;

/* Terms of sample k in front of the last one, each a pass of its own over y. */
static void add_first_terms(const pass *p, int j, int k, bool added)
{
    const rs_lora_terms *l = &p->u[j].l.lora[k];
    rs_tensor y = samples(p->y, p->M, k, k + 1), x = samples(operand(p, j), p->M, k, k + 1);
    for (const rs_lora_term *t = l->terms, *last = last_term(l); t < last; t++) {
        if (t->scale == 0)
            continue;
        rs_tensor low = low_of(p, j, k, t);
        LINEAR(p->d, .y = low, .a = x, .b = p->forward ? t->a : t->b, .trans_b = p->forward,
               .alpha = t->scale);
        LINEAR(p->d, .y = y, .a = low, .b = p->forward ? t->b : t->a, .trans_b = p->forward,
               .beta = added ? 1.0f : 0.0f);
        added = true;
    }
}

/* Those of all samples and linears; *added[k]: y has something now. */
static void add_all_first_terms(const pass *p, bool *added)
{
    for (int k = 0; k < samples_of(p); k++) {
        added[k] = p->added;
        for (int j = 0; j < p->n; j++) {
            add_first_terms(p, j, k, added[k]);
            added[k] = added[k] || has_first_terms(&p->u[j].l.lora[k]);
        }
    }
}

/* low = scale * A x, or scale * dy B, of the last terms of u[from..from+each) over the samples
 * [lo,hi); of trained ones only, unless `all`. */
static void make_lows(const pass *p, int from, int each, int lo, int hi, bool all)
{
    rs_lora_down_args a = {.x = samples(operand(p, from), p->M, lo, hi),
                           .parts = hi - lo,
                           .each = each,
                           .tall = !p->forward,
                           .bf16 = rs_device_rounds(p->d)};
    bool any = false;
    for (int k = lo; k < hi; k++)
        for (int j = from; j < from + each; j++) {
            const rs_lora_term *t = last_term(&p->u[j].l.lora[k]);
            int i = (k - lo) * each + j - from;
            if (!t || (!all && !rs_has(t->ga)))
                continue;
            a.low[i] = low_of(p, j, k, t);
            a.f[i] = p->forward ? t->a : t->b;
            a.scale[i] = t->scale;
            any = true;
        }
    if (any)
        rs_op_lora_down(p->d, &a);
}

/* The frozen product of u[j] and samples [lo,hi), with their last terms where gemm adds them. */
static void product(const pass *p, int j, int lo, int hi, bool added, ending e)
{
    const rs_linear *l = &p->u[j].l;
    rs_gemm_args g = {.y = samples(p->y, p->M, lo, hi),
                      .a = samples(operand(p, j), p->M, lo, hi),
                      .b = l->w,
                      .trans_b = p->forward,
                      .bf16 = rs_device_rounds(p->d),
                      .bias = p->forward ? l->bias : (rs_tensor){0},
                      .beta = added ? 1.0f : 0.0f,
                      .act = e.act,
                      .pre = samples(e.pre, p->M, lo, hi),
                      .act_at = samples(e.at, p->M, lo, hi),
                      .parts = hi - lo};
    if (e.res) {
        g.res = samples(e.res->x, p->M, lo, hi);
        g.gate = samples(e.res->gate, 1, lo, hi);
    }
    for (int k = lo; k < hi && rs_device_gemm_terms(p->d); k++) {
        const rs_lora_term *t = last_term(&l->lora[k]);
        if (!t)
            continue;
        g.ta[k - lo] = low_of(p, j, k, t);
        g.tb[k - lo] = p->forward ? t->b : t->a;
    }
    rs_op_gemm(p->d, &g);
}

/* y (+)= the last terms of all of u; those of samples without one are zeros. False: nobody has one.
 */
static bool add_last_terms(const pass *p, int lo, int hi, bool added)
{
    rs_lora_up_args a = {.y = samples(p->y, p->M, lo, hi),
                         .parts = hi - lo,
                         .each = p->n,
                         .beta = added ? 1.0f : 0.0f,
                         .tall = p->forward,
                         .bf16 = rs_device_rounds(p->d)};
    bool any = false;
    for (int k = lo; k < hi; k++)
        for (int j = 0; j < p->n; j++) {
            const rs_lora_term *t = last_term(&p->u[j].l.lora[k]);
            int i = (k - lo) * p->n + j;
            if (!t)
                continue;
            a.low[i] = low_of(p, j, k, t);
            a.f[i] = p->forward ? t->b : t->a;
            any = true;
        }
    if (any)
        rs_op_lora_up(p->d, &a);
    return any;
}

/* y = end([y +] sum of in op(w) + bias + terms). Terms that gemm does not take come first, so that
 * the last product may end as gemm can, and what is rounded in between is small. */
static void run_pass(const pass *p, const bool *has, ending e)
{
    for (int lo = 0, hi; lo < samples_of(p); lo = hi) {
        bool added = has[lo];
        for (hi = lo + 1; hi < samples_of(p) && hi - lo < RS_GEMM_PARTS; hi++)
            if (has[hi] != added)
                break;
        if (!rs_device_gemm_terms(p->d))
            added = add_last_terms(p, lo, hi, added) || added;
        for (int j = 0; j < p->n; j++)
            product(p, j, lo, hi, added || j > 0, j + 1 < p->n ? (ending){0} : e);
    }
}

/* make_lows in as many calls as the op wants. */
static void all_lows(const pass *p, int from, int each, bool all)
{
    for (int lo = 0; lo < samples_of(p); lo += RS_LORA_PARTS)
        make_lows(p, from, each, lo, (int)rs_min_i64(lo + RS_LORA_PARTS, samples_of(p)), all);
}

static void linears_fwd(rs_device *d, const rs_linear_use *u, int n, rs_tensor x, ending e)
{
    bool added[RS_LINEARS][RS_SAMPLES];
    pass all = {.d = d, .u = u, .n = n, .M = rs_tensor_rows(x) / u->l.n, .x = x, .forward = true};
    RS_ASSERT(n <= RS_LINEARS && u->l.n <= RS_SAMPLES && all.M * u->l.n == rs_tensor_rows(x));
    for (int j = 0; j < n; j++) {
        pass p = all;
        p.u = &u[j];
        p.n = 1;
        p.y = u[j].y;
        add_all_first_terms(&p, added[j]);
    }
    all_lows(&all, 0, n, true);
    for (int j = 0; j < n; j++) {
        pass p = all;
        p.u = &u[j];
        p.n = 1;
        p.y = u[j].y;
        run_pass(&p, added[j], e);
    }
}

void rs_linears_fwd(rs_device *d, const rs_linear_use *u, int n, rs_tensor x, rs_act act,
                    rs_tensor pre)
{
    linears_fwd(d, u, n, x, (ending){.act = act, .pre = pre});
}

static void linear_fwd(rs_device *d, const rs_linear *l, rs_tensor y, rs_tensor x, rs_tensor hidden,
                       ending e)
{
    linears_fwd(d, &(rs_linear_use){*l, y, hidden}, 1, x, e);
}

void rs_linear_fwd(rs_device *d, const rs_linear *l, rs_tensor y, rs_tensor x, rs_tensor hidden,
                   rs_act act, rs_tensor pre)
{
    linear_fwd(d, l, y, x, hidden, (ending){.act = act, .pre = pre});
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
        linear_fwd(d, l, y, x, hidden, (ending){.res = r});
        return;
    }
    int64_t M = rs_tensor_rows(x) / l->n;
    linear_fwd(d, l, r->branch, x, hidden, (ending){0});
    for (int k = 0; k < l->n; k++) {
        rs_tensor gate = samples(r->gate, 1, k, k + 1);
        RS_OP(d, gate_add, .y = samples(y, M, k, k + 1), .x = samples(r->x, M, k, k + 1),
              .o = samples(r->branch, M, k, k + 1),
              .gate =
                  rs_has(gate) ? rs_tensor_reshape(gate, RS_SHAPE(rs_tensor_cols(gate))) : gate);
    }
}

void rs_linear_hidden(rs_device *d, const rs_linear *l, rs_tensor x, rs_tensor hidden)
{
    rs_linear_use u = {*l, {0}, hidden};
    pass p = {.d = d, .u = &u, .n = 1, .M = rs_tensor_rows(x) / l->n, .x = x, .forward = true};
    all_lows(&p, 0, 1, true);
}

/* Gradients of the factors of trained last terms: B of u[from], or A of u[from..from+each), whose
 * input is x. */
static void factor_gradients(const pass *p, int from, int each, rs_tensor x, bool b,
                             const rs_row_sum *sum, int lo, int hi)
{
    rs_lora_grad_args a = {.x = samples(b ? operand(p, from) : x, p->M, lo, hi),
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
            const rs_lora_term *t = last_term(&p->u[j].l.lora[k]);
            int i = (k - lo) * each + j - from;
            if (!t || !rs_has(t->ga))
                continue;
            a.low[i] =
                b ? narrow(samples(p->u[j].hidden, p->M, k, k + 1), p->M, rs_tensor_rows(t->a))
                  : low_of(p, j, k, t);
            a.g[i] = b ? t->gb : t->ga;
            any = true;
        }
    if (any)
        rs_op_lora_grad(p->d, &a);
}

static void train_terms(const pass *p, rs_tensor x, const rs_row_sum *sum)
{
    int n = samples_of(p);
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

static void backward(const pass *p, rs_tensor x, const rs_row_sum *sum, const rs_slope *slope)
{
    bool added[RS_SAMPLES];
    bool wanted = rs_has(p->y);
    if (wanted)
        add_all_first_terms(p, added);
    for (int j = 0; j < p->n; j++)
        all_lows(p, j, 1, wanted);
    if (uses_trained(p->u, p->n)) {
        RS_ASSERT(rs_segment_rows(sum->segments) == p->M);
        train_terms(p, x, sum);
    }
    if (wanted)
        run_pass(p, added, slope ? (ending){.act = slope->act, .at = slope->at} : (ending){0});
}

/* Where gemm takes terms the linears go one after the other, each with its own in the product. */
void rs_linears_bwd(rs_device *d, const rs_linear_use *u, int n, rs_tensor dx, bool accumulate,
                    rs_tensor x, rs_tensor dhidden, const rs_row_sum *sum, const rs_slope *slope)
{
    pass p = {.d = d,
              .u = u,
              .n = n,
              .M = rs_tensor_rows(u->y) / u->l.n,
              .y = dx,
              .low = dhidden,
              .added = accumulate};
    RS_ASSERT(n <= RS_LINEARS && u->l.n <= RS_SAMPLES && p.M * u->l.n == rs_tensor_rows(u->y));
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
