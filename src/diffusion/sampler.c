#include "diffusion/sampler.h"

#include <math.h>
#include <string.h>

static const char *const k_names[RS_SAMPLER_COUNT] = {
#define RS_SAMPLER_NAME(id, name) [RS_SAMPLER_##id] = name,
    RS_SAMPLER_LIST(RS_SAMPLER_NAME)
#undef RS_SAMPLER_NAME
};

rs_status rs_sampler_parse(rs_sampler_kind *out, const char *name)
{
    for (int i = 0; i < RS_SAMPLER_COUNT; i++) {
        if (strcmp(k_names[i], name) == 0) {
            *out = (rs_sampler_kind)i;
            return RS_OK;
        }
    }
    return RS_FAIL(CONFIG,
                   "unknown sampler \"%s\"; known: euler, euler-diffusers, unipc, unipc-official",
                   name);
}

static double shifted(double u, double s)
{
    return s * u / (1.0 + (s - 1.0) * u);
}

static bool is_unipc(rs_sampler_kind kind)
{
    return kind == RS_SAMPLER_UNIPC || kind == RS_SAMPLER_UNIPC_OFFICIAL;
}

/* sigma_i of each schedule, in double (wan21.md 6.3). */
static double sigma_at(rs_sampler_kind kind, int64_t i, int64_t n, double shift)
{
    double part = (double)i / (double)n;
    switch (kind) {
    case RS_SAMPLER_EULER:
        return shifted(1.0 - part, shift);
    case RS_SAMPLER_EULER_DIFFUSERS: {
        double low = shifted(0.001, shift);
        double u = n > 1 ? 1.0 + (low - 1.0) * (double)i / (double)(n - 1) : 1.0;
        return shifted(u, shift);
    }
    case RS_SAMPLER_UNIPC: {
        double s = shifted(1.0 - 0.999 * part, shift);
        return i == 0 && fabs(s - 1.0) < 1e-6 ? s - 1e-6 : s;
    }
    case RS_SAMPLER_UNIPC_OFFICIAL:
        return shifted((double)0.999f * (1.0 - part), shift);
    case RS_SAMPLER_COUNT:
        break;
    }
    RS_ASSERTF(false, "sampler kind %d", (int)kind);
    return 0;
}

rs_status rs_schedule_make(rs_schedule *s, rs_arena *a, rs_sampler_kind kind, int64_t steps,
                           double shift)
{
    if (steps < 1 || steps > 100000)
        return RS_FAIL(CONFIG, "sampler steps must be 1..100000, got %lld", (long long)steps);
    if (!(shift > 0) || !isfinite(shift))
        return RS_FAIL(CONFIG, "sampler shift must be positive, got %g", shift);
    s->steps = steps;
    s->sigmas = RS_NEW(a, float, steps + 1);
    s->times = RS_NEW(a, float, steps);
    for (int64_t i = 0; i < steps; i++) {
        double sigma = sigma_at(kind, i, steps, shift);
        s->sigmas[i] = (float)sigma;
        s->times[i] = (float)(is_unipc(kind) ? trunc(1000.0 * sigma) : 1000.0 * sigma);
    }
    return RS_OK;
}

void rs_sampler_init(rs_sampler *s, rs_arena *a, rs_sampler_kind kind, const rs_schedule *schedule,
                     int64_t n)
{
    *s = (rs_sampler){.kind = kind, .schedule = *schedule, .n = n};
    if (is_unipc(kind)) {
        s->m0 = RS_NEW(a, float, n);
        s->m1 = RS_NEW(a, float, n);
        s->x_last = RS_NEW(a, float, n);
    }
}

static double lambda_of(double sigma)
{
    return log(1.0 - sigma) - log(sigma); /* +inf at sigma 0 */
}

/* Corrector: replaces x by the order_prev solution that also uses the new prediction m. */
static void unipc_correct(const rs_sampler *s, float *x, const float *m)
{
    int64_t i = s->index;
    double sigma = (double)s->schedule.sigmas[i], before = (double)s->schedule.sigmas[i - 1];
    double alpha = 1.0 - sigma, l0 = lambda_of(before), h = lambda_of(sigma) - l0;
    double B = expm1(-h), ratio = sigma / before;
    double rho0 = 0, rho1 = 0.5, r = 1;
    if (s->order_prev == 2) {
        r = (lambda_of((double)s->schedule.sigmas[i - 2]) - l0) / h;
        double p1 = B / -h - 1.0, b1 = p1 / B;
        double p2 = p1 / -h - 0.5, b2 = 2.0 * p2 / B;
        rho0 = (b1 - b2) / (1.0 - r);
        rho1 = b1 - rho0;
    }
    for (int64_t k = 0; k < s->n; k++) {
        double m0 = (double)s->m0[k];
        double d = rho1 * ((double)m[k] - m0);
        if (s->order_prev == 2)
            d += rho0 * ((double)s->m1[k] - m0) / r;
        x[k] = (float)(ratio * (double)s->x_last[k] - alpha * B * (m0 + d));
    }
}

static void unipc_predict(const rs_sampler *s, float *x, int order)
{
    int64_t i = s->index;
    double sigma = (double)s->schedule.sigmas[i], next = (double)s->schedule.sigmas[i + 1];
    double l0 = lambda_of(sigma), h = lambda_of(next) - l0;
    double alpha = 1.0 - next, B = expm1(-h), ratio = next / sigma;
    double half_r = order == 2 ? 0.5 * h / (lambda_of((double)s->schedule.sigmas[i - 1]) - l0) : 0;
    for (int64_t k = 0; k < s->n; k++) {
        double m0 = (double)s->m0[k];
        double d = order == 2 ? half_r * ((double)s->m1[k] - m0) : 0;
        x[k] = (float)(ratio * (double)x[k] - alpha * B * (m0 + d));
    }
}

static void unipc_step(rs_sampler *s, float *x, float *v)
{
    int64_t i = s->index;
    float sigma = s->schedule.sigmas[i];
    float *m = v; /* v is not needed once the data prediction is formed */
    for (int64_t k = 0; k < s->n; k++)
        m[k] = x[k] - sigma * v[k];
    if (i > 0)
        unipc_correct(s, x, m);
    float *swap = s->m1;
    s->m1 = s->m0;
    s->m0 = swap;
    memcpy(s->m0, m, (size_t)s->n * sizeof *m);
    memcpy(s->x_last, x, (size_t)s->n * sizeof *x);
    int64_t left = s->schedule.steps - i;
    int order = left < 2 || i == 0 ? 1 : 2;
    unipc_predict(s, x, order);
    s->order_prev = order;
}

void rs_sampler_step(rs_sampler *s, float *x, float *v)
{
    RS_ASSERT(s->index < s->schedule.steps);
    if (is_unipc(s->kind)) {
        unipc_step(s, x, v);
    } else {
        float d = s->schedule.sigmas[s->index + 1] - s->schedule.sigmas[s->index];
        for (int64_t k = 0; k < s->n; k++)
            x[k] += d * v[k];
    }
    s->index++;
}

void rs_sampler_state(const rs_sampler *s, rs_tensor_list *out, rs_arena *a)
{
    if (!is_unipc(s->kind))
        return;
    rs_tensor_list_add(out, a, "m0", rs_tensor_of(s->m0, RS_DTYPE_F32, RS_SHAPE(s->n)));
    rs_tensor_list_add(out, a, "m1", rs_tensor_of(s->m1, RS_DTYPE_F32, RS_SHAPE(s->n)));
    rs_tensor_list_add(out, a, "x_last", rs_tensor_of(s->x_last, RS_DTYPE_F32, RS_SHAPE(s->n)));
}

static rs_status take(float *dst, int64_t n, const rs_tensor_list *state, const char *name)
{
    const rs_tensor *t = rs_tensor_list_find(state, name);
    if (!t || rs_tensor_count(*t) != n || t->dtype != RS_DTYPE_F32)
        return RS_FAIL(FORMAT, "sampler state lacks \"%s\" with %lld values", name, (long long)n);
    memcpy(dst, t->data, (size_t)n * sizeof *dst);
    return RS_OK;
}

rs_status rs_sampler_restore(rs_sampler *s, int64_t index, const rs_tensor_list *state)
{
    if (index < 0 || index > s->schedule.steps)
        return RS_FAIL(FORMAT, "sampler state is at step %lld of %lld", (long long)index,
                       (long long)s->schedule.steps);
    if (is_unipc(s->kind)) {
        RS_TRY(take(s->m0, s->n, state, "m0"));
        RS_TRY(take(s->m1, s->n, state, "m1"));
        RS_TRY(take(s->x_last, s->n, state, "x_last"));
        /* the step before `index` was of order 1 only if it was the first or the last */
        s->order_prev = index - 1 == 0 || index == s->schedule.steps ? 1 : 2;
    }
    s->index = index;
    return RS_OK;
}
