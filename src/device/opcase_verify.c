/* Verification, gradient check and coverage of op cases. */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "device/opcase_priv.h"

/* Bits that the op had no business to change: inputs, guards, gaps between rows. */
static rs_status check_untouched(const rs_opinstance *in, void *const *result)
{
    for (int i = 0; i < in->plan->n; i++) {
        const rs_opbuffer *b = &in->buf[i];
        const rs_optensor *t = &in->plan->t[i];
        bool input = t->role == RS_IN;
        for (int j = 0; j < in->plan->n; j++)
            input = input && (j == i || in->buf[j].on != i); /* an output lies on it */
        const char *before = in->buf[b->on].image, *after = result[i];
        int64_t cols = rs_tensor_cols(b->shape), n = (int64_t)(b->bytes / b->size);
        for (int64_t e = 0; e < n; e++) {
            int64_t at = e - RS_OPCASE_GUARD;
            bool guard = at < 0 || at >= b->elements;
            size_t byte = (size_t)e * b->size;
            if ((input || guard || at % b->shape.ld >= cols) &&
                memcmp(after + byte, before + byte, b->size) != 0)
                return RS_FAIL(NUMERIC, "%s: %s %s was overwritten at element %lld",
                               rs_opinstance_title(in), guard || !input ? "memory around" : "input",
                               t->name, (long long)at);
        }
    }
    return RS_OK;
}

static double stored(double x, rs_dtype dtype)
{
    return dtype == RS_DTYPE_BF16 ? (double)rs_f32_from_bf16(rs_bf16_from_f32((float)x))
                                  : (double)(float)x;
}

static rs_status compare(const rs_opinstance *in, const rs_optensor *t, rs_tensor got,
                         rs_tensor want, double *worst)
{
    double diff = 0, norm = 0, far = -1;
    size_t size = rs_dtype_size(got.dtype);
    int64_t cols = rs_tensor_cols(want), place = 0;
    bool exact = t->steps == 0 && t->reduction == 0, equal = true, finite = true;
    for (int64_t i = 0; i < rs_tensor_rows(want); i++)
        for (int64_t j = 0; j < cols; j++) {
            double g = rs_opelement(got.data, size, i * got.ld + j);
            double w = rs_f64(want)[i * want.ld + j], d = fabs(g - w);
            diff += d * d;
            norm += w * w;
            equal = equal && g == stored(w, got.dtype);
            finite = finite && isfinite(g);
            if (!(d <= far)) {
                far = d;
                place = i * cols + j;
            }
        }
    double limit = rs_optensor_tolerance(t, got.dtype),
           error = norm > 0 ? sqrt(diff / norm) : sqrt(diff);
    if (worst && !exact && error / limit > *worst)
        *worst = error / limit;
    if (finite && (exact ? equal : error <= limit))
        return RS_OK;
    return RS_FAIL(NUMERIC,
                   "%s: output %s: relative L2 error %.3e, limit %.1e; farthest at [%lld,%lld]: "
                   "%.9g, want %.9g",
                   rs_opinstance_title(in), t->name, error, limit, (long long)(place / cols),
                   (long long)(place % cols),
                   rs_opelement(got.data, size, place / cols * got.ld + place % cols),
                   rs_f64(want)[place / cols * want.ld + place % cols]);
}

/* got and want: argument structs over host memory, F32 and F64. */
static rs_status compare_outputs(const rs_opinstance *in, void *got, void *want, double *worst)
{
    in->spec->ref(want);
    for (int i = 0; i < in->plan->n; i++) {
        const rs_optensor *t = &in->plan->t[i];
        rs_tensor w = *rs_opfield(want, t);
        if (t->role != RS_IN && rs_has(w) && !t->scratch)
            RS_TRY(compare(in, t, *rs_opfield(got, t), w, worst));
    }
    return RS_OK;
}

static char *host_args(const rs_opinstance *in, void *const *result)
{
    char *args = rs_arena_memdup(in->arena, in->plan->args, RS_OPPLAN_ARGS);
    for (int i = 0; i < in->plan->n; i++)
        rs_opfield(args, &in->plan->t[i])->data =
            (char *)result[i] + RS_OPCASE_GUARD * in->buf[i].size;
    return args;
}

static rs_status check_values(const rs_opinstance *in, void *const *result, double *worst)
{
    if (!in->c->large || !in->spec->part)
        return compare_outputs(in, host_args(in, result), rs_opinstance_ref_args(in), worst);
    for (int i = 0;; i++) {
        char *got = host_args(in, result), *want = rs_opinstance_ref_args(in);
        if (!in->spec->part(i, want))
            return RS_OK;
        in->spec->part(i, got);
        RS_TRY(compare_outputs(in, got, want, worst));
    }
}

static rs_status check_same_bits(const rs_opinstance *in, void *const *one, void *const *two,
                                 const rs_device *d)
{
    for (int i = 0; i < in->plan->n; i++)
        if (!in->plan->t[i].scratch && memcmp(one[i], two[i], in->buf[i].bytes) != 0)
            return RS_FAIL(NUMERIC, "%s: %s has other bits with %d threads",
                           rs_opinstance_title(in), in->plan->t[i].name, rs_device_threads(d));
    return RS_OK;
}

rs_status rs_opcase_verify(const rs_opspec *spec, const rs_opcase *c, rs_device *const *devices,
                           int n_devices, double *worst)
{
    rs_status st = RS_OK;
    rs_opinstance in;
    rs_opinstance_make(&in, spec, c);
    void *first[RS_OPPLAN_TENSORS], *next[RS_OPPLAN_TENSORS];
    if (worst)
        *worst = 0;
    for (int i = 0; i < n_devices; i++) {
        RS_TRY_OUT(rs_opcase_run(&in, devices[i], i ? next : first));
        RS_TRY_OUT(check_untouched(&in, i ? next : first));
        if (i == 0)
            RS_TRY_OUT(check_values(&in, first, worst));
        else
            RS_TRY_OUT(check_same_bits(&in, first, next, devices[i]));
    }
out:
    rs_opinstance_free(&in);
    return st;
}

/* Gradient check. Differences are taken in double, where their error is far below the limit for the
 * reference; the device's result may differ by its own tolerance. */
enum { GRAD_ELEMENTS = 24, GRAD_DIRECTIONS = 3 };
static const double GRAD_STEP = 1e-5, GRAD_LIMIT = 1e-6, GRAD_MAX_FLOPS = 8e6;

bool rs_opcase_has_grad(const rs_opspec *spec, const rs_opcase *c)
{
    return spec->loss && !c->large && !c->rounds &&
           (!spec->flops || spec->flops(c) <= GRAD_MAX_FLOPS);
}

/* Derivative of the loss along v (one value per element of x). */
static double difference(const rs_opinstance *in, rs_tensor x, const double *v)
{
    double value[2];
    for (int side = 0; side < 2; side++) {
        double h = side ? -GRAD_STEP : GRAD_STEP;
        char *args = rs_opinstance_ref_args(in);
        int64_t cols = rs_tensor_cols(x), n = rs_tensor_count(x);
        for (int64_t e = 0; e < n; e++)
            rs_f64(x)[e / cols * x.ld + e % cols] += h * v[e];
        value[side] = in->spec->loss(args);
        for (int64_t e = 0; e < n; e++)
            rs_f64(x)[e / cols * x.ld + e % cols] -= h * v[e];
    }
    return (value[0] - value[1]) / (2 * GRAD_STEP);
}

typedef struct gradient {
    const double *ref; /* by element, content before the op subtracted */
    const double *dev;
    double norm;
    int64_t n;
    double tolerance; /* of the device */
} gradient;

/* `size`: norm of v. */
static rs_status check_direction(const rs_opinstance *in, const rs_opgrad *pair, rs_tensor x,
                                 const double *v, double size, const gradient *g)
{
    double want = difference(in, x, v), ref = 0, dev = 0;
    for (int64_t e = 0; e < g->n; e++) {
        ref += v[e] * g->ref[e];
        dev += v[e] * g->dev[e];
    }
    if (!(fabs(ref - want) <= GRAD_LIMIT * size * g->norm + 1e-10))
        return RS_FAIL(NUMERIC, "%s: reference %s: %.9g, differences of the loss in %s: %.9g",
                       rs_opinstance_title(in), pair->out, ref, pair->in, want);
    if (!(fabs(dev - want) <= (GRAD_LIMIT + g->tolerance) * size * g->norm + 1e-10))
        return RS_FAIL(NUMERIC, "%s: device %s: %.9g, differences of the loss in %s: %.9g",
                       rs_opinstance_title(in), pair->out, dev, pair->in, want);
    return RS_OK;
}

static rs_status check_pair(rs_opinstance *in, const rs_opgrad *pair, char *ref_args,
                            void *const *result)
{
    int out = rs_opinstance_find(in, pair->out, false);
    if (out < 0)
        return RS_OK; /* left out in this case */
    const rs_optensor *t = &in->plan->t[out];
    rs_tensor x = *rs_opfield(in->ref, &in->plan->t[rs_opinstance_find(in, pair->in, true)]);
    rs_tensor after = *rs_opfield(ref_args, t), before = *rs_opfield(in->ref, t);
    int64_t n = rs_tensor_count(x), cols = rs_tensor_cols(x);
    RS_ASSERTF(rs_tensor_count(after) == n, "%s and %s differ in size", pair->out, pair->in);
    double *ref = RS_NEW(in->arena, double, n), *dev = RS_NEW(in->arena, double, n);
    double *v = RS_NEW(in->arena, double, n), sum = 0;
    for (int64_t e = 0; e < n; e++) {
        int64_t at = e / cols * after.ld + e % cols;
        double start = t->role == RS_INOUT ? rs_f64(before)[at] : 0;
        ref[e] = rs_f64(after)[at] - start;
        dev[e] = rs_opelement(result[out], in->buf[out].size, RS_OPCASE_GUARD + at) - start;
        sum += rs_f64(after)[at] * rs_f64(after)[at];
    }
    /* Inputs are of order 1; a gradient that vanishes is exact to that scale only. */
    gradient g = {ref, dev, fmax(sqrt(sum), 1), n,
                  rs_optensor_tolerance(t, in->buf[out].shape.dtype)};
    rs_rng r = rs_rng_stream(17, (uint64_t)n, RS_RNG_TEST, (uint32_t)out);
    for (int k = 0; k < GRAD_ELEMENTS; k++) {
        int64_t e = n <= GRAD_ELEMENTS ? k % n : (int64_t)(rs_rng_bits(&r, (uint64_t)k) % n);
        v[e] = 1;
        RS_TRY(check_direction(in, pair, x, v, 1, &g));
        v[e] = 0;
    }
    for (int k = 0; k < GRAD_DIRECTIONS; k++) {
        for (int64_t e = 0; e < n; e++)
            v[e] = (double)rs_rng_normal(&r, (uint64_t)(1000 + k * n + e));
        RS_TRY(check_direction(in, pair, x, v, sqrt((double)n), &g));
    }
    return RS_OK;
}

rs_status rs_opcase_grad(const rs_opspec *spec, const rs_opcase *c, rs_device *d)
{
    rs_status st = RS_OK;
    rs_opinstance in;
    void *result[RS_OPPLAN_TENSORS];
    rs_opinstance_make(&in, spec, c);
    char *ref = rs_opinstance_ref_args(&in);
    RS_TRY_OUT(rs_opcase_run(&in, d, result));
    spec->ref(ref);
    for (int i = 0; i < RS_OPSPEC_GRADS && spec->grad[i].out; i++)
        RS_TRY_OUT(check_pair(&in, &spec->grad[i], ref, result));
out:
    rs_opinstance_free(&in);
    return st;
}

static bool has_feature(const rs_opplan *p, const char *name, bool *tensor)
{
    for (int i = 0; i < p->n; i++)
        if (strcmp(p->t[i].name, name) == 0)
            return *tensor = true;
    for (int i = 0; i < p->n_features; i++)
        if (strcmp(p->feature[i], name) == 0)
            return true;
    return false;
}

rs_status rs_opcase_coverage(const rs_opspec *spec)
{
    int small = 0;
    for (int i = 0; i < spec->n; i++)
        small += !spec->cases[i].large;
    if (small == 0)
        return RS_FAIL(NUMERIC, "op %s has no case", spec->op);
    for (int o = 0; o < RS_OPSPEC_OPTIONS && spec->option[o]; o++) {
        int with = 0;
        bool tensor = false;
        for (int i = 0; i < spec->n; i++) {
            rs_opplan plan = {0};
            spec->make(&plan, &spec->cases[i]);
            with += !spec->cases[i].large && has_feature(&plan, spec->option[o], &tensor);
        }
        if (with == 0)
            return RS_FAIL(NUMERIC, "op %s: no case with '%s'", spec->op, spec->option[o]);
        if (tensor && with == small)
            return RS_FAIL(NUMERIC, "op %s: no case without '%s'", spec->op, spec->option[o]);
    }
    return RS_OK;
}
