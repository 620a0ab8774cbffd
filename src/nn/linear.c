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

/* What a pass through one linear works with, forward or backward. */
typedef struct pass {
    rs_device *d;
    const rs_linear *l;
    int64_t M;              /* rows of a sample */
    rs_tensor y, in;        /* result and operand of the frozen product */
    rs_tensor low;          /* operands of terms, R wide */
    bool forward, added;    /* y = B low, or A low; y has something that is added to */
    const rs_residual *res; /* NULL: none */
} pass;

static rs_tensor factor(const pass *p, const rs_lora_term *t)
{
    return p->forward ? t->b : t->a;
}

static rs_tensor low_of(const pass *p, int k, const rs_lora_term *t)
{
    return narrow(samples(p->low, p->M, k, k + 1), p->M, rs_tensor_rows(t->a));
}

/* low = scale * A x, or scale * dy B. */
static void make_low(const pass *p, int k, const rs_lora_term *t)
{
    LINEAR(p->d, .y = low_of(p, k, t), .a = samples(p->in, p->M, k, k + 1),
           .b = p->forward ? t->a : t->b, .trans_b = p->forward, .alpha = t->scale);
}

/* y (+)= a term of sample k, a pass of its own over y. */
static void add_term(const pass *p, int k, const rs_lora_term *t, bool added, rs_act act,
                     rs_tensor pre)
{
    LINEAR(p->d, .y = samples(p->y, p->M, k, k + 1), .a = low_of(p, k, t), .b = factor(p, t),
           .trans_b = p->forward, .beta = added ? 1.0f : 0.0f, .act = act, .pre = pre);
}

/* Terms in front of the last one. */
static void add_first_terms(const pass *p, int k)
{
    const rs_lora_terms *l = &p->l->lora[k];
    bool added = p->added;
    for (const rs_lora_term *t = l->terms, *last = last_term(l); t < last; t++) {
        if (t->scale == 0)
            continue;
        make_low(p, k, t);
        add_term(p, k, t, added, RS_ACT_NONE, (rs_tensor){0});
        added = true;
    }
}

/* The frozen product of samples [lo,hi), with their last terms. */
static void product(const pass *p, int lo, int hi, bool added, rs_act act, rs_tensor pre)
{
    rs_gemm_args g = {.y = samples(p->y, p->M, lo, hi),
                      .a = samples(p->in, p->M, lo, hi),
                      .b = p->l->w,
                      .trans_b = p->forward,
                      .bf16 = rs_device_precision(p->d) == RS_PRECISION_BF16,
                      .bias = p->forward ? p->l->bias : (rs_tensor){0},
                      .beta = added ? 1.0f : 0.0f,
                      .act = act,
                      .pre = samples(pre, p->M, lo, hi),
                      .parts = hi - lo};
    if (p->res) {
        g.res = samples(p->res->x, p->M, lo, hi);
        g.gate = samples(p->res->gate, 1, lo, hi);
    }
    for (int k = lo; k < hi; k++) {
        const rs_lora_term *t = last_term(&p->l->lora[k]);
        if (!t)
            continue;
        g.ta[k - lo] = low_of(p, k, t);
        g.tb[k - lo] = factor(p, t);
    }
    rs_op_gemm(p->d, &g);
}

/* A device that takes no terms: the activation goes with the last product. */
static void separate(const pass *p, int k, bool added, rs_act act, rs_tensor pre)
{
    const rs_lora_term *t = last_term(&p->l->lora[k]);
    rs_tensor none = {0}, mine = samples(pre, p->M, k, k + 1);
    LINEAR(p->d, .y = samples(p->y, p->M, k, k + 1), .a = samples(p->in, p->M, k, k + 1),
           .b = p->l->w, .trans_b = p->forward, .bias = p->forward ? p->l->bias : none,
           .beta = added ? 1.0f : 0.0f, .act = t ? RS_ACT_NONE : act, .pre = t ? none : mine);
    if (t)
        add_term(p, k, t, true, act, mine);
}

/* y = act([y +] in op(w) + bias + terms), `low` of the last terms made already. */
static void run_pass(const pass *p, rs_act act, rs_tensor pre)
{
    for (int lo = 0, hi; lo < p->l->n; lo = hi) {
        bool added = p->added || has_first_terms(&p->l->lora[lo]);
        for (hi = lo + 1; hi < p->l->n && hi - lo < RS_GEMM_PARTS; hi++)
            if ((p->added || has_first_terms(&p->l->lora[hi])) != added)
                break;
        if (rs_device_gemm_terms(p->d))
            product(p, lo, hi, added, act, pre);
        else
            for (int k = lo; k < hi; k++)
                separate(p, k, added, act, pre);
    }
}

static void forward(const pass *p, rs_act act, rs_tensor pre)
{
    for (int k = 0; k < p->l->n; k++) {
        const rs_lora_term *last = last_term(&p->l->lora[k]);
        add_first_terms(p, k);
        if (last)
            make_low(p, k, last);
    }
    run_pass(p, act, pre);
}

void rs_linear_fwd(rs_device *d, const rs_linear *l, rs_tensor y, rs_tensor x, rs_tensor hidden,
                   rs_act act, rs_tensor pre)
{
    pass p = {d, l, rs_tensor_rows(x) / l->n, y, x, hidden, true, false, NULL};
    RS_ASSERT(p.M * l->n == rs_tensor_rows(x));
    forward(&p, act, pre);
}

/* Terms in front of a last one would be added up in y, where the residual may lie. */
static bool goes_along(rs_device *d, const rs_linear *l)
{
    return !rs_linear_stacks(l) && rs_device_gemm_residual(d) && rs_device_gemm_terms(d);
}

void rs_linear_residual(rs_device *d, const rs_linear *l, rs_tensor y, rs_tensor x,
                        rs_tensor hidden, const rs_residual *r)
{
    pass p = {d, l, rs_tensor_rows(x) / l->n, y, x, hidden, true, false, r};
    RS_ASSERT(p.M * l->n == rs_tensor_rows(x));
    if (goes_along(d, l)) {
        forward(&p, RS_ACT_NONE, (rs_tensor){0});
        return;
    }
    p.y = r->branch;
    p.res = NULL;
    forward(&p, RS_ACT_NONE, (rs_tensor){0});
    for (int k = 0; k < l->n; k++) {
        rs_tensor gate = samples(r->gate, 1, k, k + 1);
        RS_OP(d, gate_add, .y = samples(y, p.M, k, k + 1), .x = samples(r->x, p.M, k, k + 1),
              .o = samples(r->branch, p.M, k, k + 1),
              .gate =
                  rs_has(gate) ? rs_tensor_reshape(gate, RS_SHAPE(rs_tensor_cols(gate))) : gate);
    }
}

void rs_linear_hidden(rs_device *d, const rs_linear *l, rs_tensor x, rs_tensor hidden)
{
    int64_t M = rs_tensor_rows(x) / l->n;
    for (int k = 0; k < l->n; k++) {
        if (l->lora[k].n == 0)
            continue;
        const rs_lora_term *t = &l->lora[k].terms[l->lora[k].n - 1];
        LINEAR(d, .y = narrow(samples(hidden, M, k, k + 1), M, rs_tensor_rows(t->a)),
               .a = samples(x, M, k, k + 1), .b = t->a, .trans_b = true, .alpha = t->scale);
    }
}

/* What the gradients of a term are sums of: low is scale * A x, dlow scale * dy B. */
typedef struct factors {
    rs_device *d;
    rs_tensor dy, x, low, dlow;
} factors;

/* gA and gB over rows [lo,hi). */
static void factor_gradients(void *ctx, int64_t lo, int64_t hi, const rs_tensor *out)
{
    const factors *f = ctx;
    LINEAR(f->d, .y = out[1], .a = rs_tensor_rows_view(f->dy, lo, hi),
           .b = rs_tensor_rows_view(f->low, lo, hi), .trans_a = true);
    LINEAR(f->d, .y = out[0], .a = rs_tensor_rows_view(f->dlow, lo, hi),
           .b = rs_tensor_rows_view(f->x, lo, hi), .trans_a = true);
}

/* The gradients of sample k's last term, if it has any. */
static void train_term(const pass *p, int k, rs_tensor x, rs_tensor hidden, const rs_row_sum *sum)
{
    const rs_lora_terms *l = &p->l->lora[k];
    const rs_lora_term *t = last_term(l);
    for (int i = 0; i + 1 < l->n; i++)
        RS_ASSERT(!rs_has(l->terms[i].ga)); /* `hidden` is that of the last term */
    if (!t || !rs_has(t->ga))
        return;
    factors f = {p->d, samples(p->in, p->M, k, k + 1), samples(x, p->M, k, k + 1),
                 narrow(samples(hidden, p->M, k, k + 1), p->M, rs_tensor_rows(t->a)),
                 low_of(p, k, t)};
    RS_ASSERT(rs_segment_rows(sum->segments) == p->M);
    rs_segment_sum(p->d, (const rs_tensor[]){t->ga, t->gb}, 2, sum->segments, sum->work,
                   factor_gradients, &f);
}

void rs_linear_bwd(rs_device *d, const rs_linear *l, rs_tensor dx, bool accumulate, rs_tensor dy,
                   rs_tensor x, rs_tensor hidden, rs_tensor dhidden, const rs_row_sum *sum)
{
    pass p = {d, l, rs_tensor_rows(dy) / l->n, dx, dy, dhidden, false, accumulate, NULL};
    RS_ASSERT(p.M * l->n == rs_tensor_rows(dy));
    for (int k = 0; k < l->n; k++) {
        const rs_lora_term *last = last_term(&l->lora[k]);
        if (rs_has(dx))
            add_first_terms(&p, k);
        if (last && (rs_has(dx) || rs_has(last->ga)))
            make_low(&p, k, last);
        train_term(&p, k, x, hidden, sum);
    }
    if (rs_has(dx))
        run_pass(&p, RS_ACT_NONE, (rs_tensor){0});
}
