#include <stdio.h>
#include <string.h>

#include "cli/bench_step.h"

/* "store", "store 12", "attention", "store 12 attention 4" or "recompute". */
static const char *kept_text(rs_arena *a, const char *pass, const rs_step_rate *r)
{
    if (strcmp(pass, "train") != 0)
        return "-";
    if (r->kept.store >= r->blocks)
        return "store";
    if (r->kept.store <= 1)
        return r->kept.attention > 0 ? "attention" : "recompute";
    return r->kept.attention > 0
               ? rs_arena_printf(a, "store %lld attention %lld", (long long)r->kept.store,
                                 (long long)r->kept.attention)
               : rs_arena_printf(a, "store %lld", (long long)r->kept.store);
}

static void cpu_head(const rs_bench_steps *s, const rs_device *d)
{
    rs_out("%s, %d threads\n%-7s %-10s %9s %9s %9s %9s %10s %8s %8s %9s %9s %9s  %s\n",
           rs_bench_cpu(s->arena), rs_device_threads(d), "pass", "keep", "min s", "median s",
           "max s", "cpu s", "GFLOP", "GFLOP/s", "per core", "MB open", "MB peak", "MB acts",
           "loss");
}

static void cpu_row(const char *pass, const char *keep, const rs_step_rate *r)
{
    double gflop = rs_flops_total(r->flops) * 1e-9;
    rs_out("%-7s %-10s %9.4f %9.4f %9.4f %9.3f %10.1f %8.1f %8.1f %9.1f %9.1f %9.1f  %.6g\n", pass,
           keep, r->wall.min, r->wall.median, r->wall.max, r->cpu.median, gflop,
           gflop / r->wall.median, gflop / r->cpu.median, (double)r->opened_bytes * 1e-6,
           (double)r->peak_bytes * 1e-6, (double)r->activation_bytes * 1e-6, r->loss);
}

static void device_head(const rs_bench_steps *s, const rs_device *d)
{
    rs_out("%s; products reach %.3f TFLOP/s\n", rs_device_fingerprint(d), s->flops * 1e-12);
    rs_out("%-7s %-10s %9s %9s %9s %9s %9s %6s %10s %9s %9s  %s\n", "pass", "keep", "min s",
           "median s", "max s", "TFLOP", "TFLOP/s", "floor", "GB weights", "GB acts", "GB peak",
           "loss");
}

static void device_row(const rs_bench_steps *s, const char *pass, const char *keep,
                       const rs_step_rate *r)
{
    double flops = rs_flops_total(r->flops);
    rs_out("%-7s %-10s %9.4f %9.4f %9.4f %9.3f %9.3f %5.1f%% %10.3f %9.3f %9.3f  %.6g\n", pass,
           keep, r->wall.min, r->wall.median, r->wall.max, flops * 1e-12,
           flops / r->wall.median * 1e-12, 100 * flops / s->flops / r->wall.median,
           (double)r->weight_bytes * 1e-9, (double)r->activation_bytes * 1e-9,
           (double)r->device_bytes * 1e-9, r->loss);
}

static void write_spread(rs_jsonw *w, const char *key, rs_spread s)
{
    rs_jsonw_object(w, key);
    rs_jsonw_f64(w, "min", s.min);
    rs_jsonw_f64(w, "median", s.median);
    rs_jsonw_f64(w, "max", s.max);
    rs_jsonw_end(w);
}

static void write_json(const rs_bench_steps *s, const char *pass, const char *keep,
                       const rs_step_rate *r)
{
    rs_jsonw *w = s->json;
    rs_jsonw_object(w, NULL);
    rs_jsonw_string(w, "pass", pass);
    rs_jsonw_string(w, "keep", keep);
    rs_jsonw_i64(w, "tokens", r->tokens);
    rs_jsonw_i64(w, "blocks", r->blocks);
    rs_jsonw_i64(w, "parameters", r->params);
    rs_jsonw_i64(w, "steps", r->steps);
    write_spread(w, "wall_s", r->wall);
    write_spread(w, "cpu_s", r->cpu);
    rs_jsonw_f64(w, "flops_gemm", r->flops.gemm);
    rs_jsonw_f64(w, "flops_attention", r->flops.attention + r->flops.attention_bwd);
    if (!s->cpu)
        rs_jsonw_f64(w, "fraction_of_floor", rs_flops_total(r->flops) / s->flops / r->wall.median);
    rs_jsonw_f64(w, "loss", r->loss);
    rs_jsonw_i64(w, "weight_bytes", r->weight_bytes);
    rs_jsonw_i64(w, "activation_bytes", r->activation_bytes);
    rs_jsonw_i64(w, "start_bytes", r->start_bytes);
    rs_jsonw_i64(w, "opened_bytes", r->opened_bytes);
    rs_jsonw_i64(w, "peak_bytes", r->peak_bytes);
    rs_jsonw_i64(w, "device_bytes", r->device_bytes);
    rs_jsonw_end(w);
}

rs_status rs_bench_steps_begin(rs_bench_steps *s, rs_device *d, bool json)
{
    s->cpu = strcmp(rs_device_backend(d), "cpu") == 0;
    if (!s->cpu) {
        rs_peak peak;
        RS_TRY(rs_peak_measure(&peak, d));
        s->flops =
            (rs_device_rounds(d) && peak.gflops_bf16 > 0 ? peak.gflops_bf16 : peak.gflops) * 1e9;
    }
    if (json) {
        s->json = rs_jsonw_create(s->arena, true);
        rs_bench_json_head(s->json, s->arena, "reshoot bench step", NULL);
        rs_jsonw_string(s->json, "cpu", rs_bench_cpu(s->arena));
        rs_jsonw_i64(s->json, "threads", rs_device_threads(d));
        rs_jsonw_string(s->json, "backend", rs_device_backend(d));
        rs_jsonw_string(s->json, "device", rs_device_fingerprint(d));
        if (!s->cpu)
            rs_jsonw_f64(s->json, "peak_flops", s->flops);
        rs_jsonw_array(s->json, "results");
    } else if (s->cpu) {
        cpu_head(s, d);
    } else {
        device_head(s, d);
    }
    return RS_OK;
}

void rs_bench_steps_row(rs_bench_steps *s, const char *pass, const rs_step_rate *r)
{
    const char *keep = kept_text(s->arena, pass, r);
    s->shown++;
    if (s->json)
        write_json(s, pass, keep, r);
    else if (s->cpu)
        cpu_row(pass, keep, r);
    else
        device_row(s, pass, keep, r);
    fflush(stdout);
}

void rs_bench_steps_no_room(rs_bench_steps *s, const char *pass, const char *keep, const char *why)
{
    if (!s->json) {
        rs_out("%-7s %-10s %s\n", pass, keep, why);
        return;
    }
    rs_jsonw_object(s->json, NULL);
    rs_jsonw_string(s->json, "pass", pass);
    rs_jsonw_string(s->json, "keep", keep);
    rs_jsonw_string(s->json, "error", why);
    rs_jsonw_end(s->json);
}

void rs_bench_steps_end(rs_bench_steps *s)
{
    if (s->json)
        rs_bench_json_print(s->json);
}
