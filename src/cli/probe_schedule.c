/* Probe component `schedule`: a sampler on an analytic velocity, no model. */
#include <math.h>
#include <string.h>

#include "cli/probe.h"
#include "diffusion/sampler.h"

static void add(rs_probe *p, const char *name, const float *data, int ndim, const int64_t *shape)
{
    rs_tensor t = rs_tensor_new(p->arena, ndim, shape);
    memcpy(t.data, data, rs_tensor_bytes(t));
    rs_tensor_list_add(&p->out, p->arena, name, t);
}

rs_status rs_probe_sampler(rs_sampler *s, rs_probe *p, int64_t n)
{
    rs_sampler_kind kind;
    rs_schedule schedule;
    RS_TRY(rs_sampler_parse(&kind, p->sampler));
    RS_TRY(rs_schedule_make(&schedule, p->arena, kind, p->steps, p->shift));
    rs_sampler_init(s, p->arena, kind, &schedule, n);
    return RS_OK;
}

static rs_status run_schedule(rs_probe *p)
{
    rs_tensor x;
    rs_sampler s;
    RS_TRY(rs_probe_input(&x, p, "x", 1, NULL));
    int64_t n = x.shape[0];
    RS_TRY(rs_probe_sampler(&s, p, n));
    float *trajectory = RS_NEW(p->arena, float, p->steps *n);
    float *v = RS_NEW(p->arena, float, n);
    while (s.index < p->steps) {
        double t = (double)s.schedule.times[s.index];
        for (int64_t k = 0; k < n; k++) {
            double xk = (double)rs_f32(x)[k];
            v[k] = (float)(sin(1.3 * xk) + 0.3 * xk + 0.001 * t);
        }
        rs_sampler_step(&s, rs_f32(x), v);
        memcpy(trajectory + (s.index - 1) * n, x.data, (size_t)n * sizeof *v);
    }
    add(p, "sigmas", s.schedule.sigmas, RS_SHAPE(p->steps + 1));
    add(p, "timesteps", s.schedule.times, RS_SHAPE(p->steps));
    add(p, "trajectory", trajectory, RS_SHAPE(p->steps, n));
    return RS_OK;
}

const rs_probe_component rs_probe_schedule = {
    .name = "schedule",
    .help =
        "  x (n)  ->  sigmas (N+1), timesteps (N), trajectory (N,n): the sampler on the velocity\n"
        "  sin(1.3x) + 0.3x + 0.001t. Options --sampler --steps --shift. MODEL is not read.\n",
    .run = run_schedule,
};
