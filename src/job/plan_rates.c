#include "job/plan_rates.h"

#include <math.h>
#include <string.h>

#include "base/log.h"
#include "base/num.h"
#include "base/str.h"

/* Dense bf16 without sparsity. GEMM: 70 % of the 989.4 TFLOP/s of NVIDIA's data sheet, which is the
 * 1.8 ms per block of 1,560 tokens that the design counts with. Attention: cuDNN 9's fused kernels,
 * 16k tokens, head width 128. Convolutions: half of the GEMM rate, an assumption. Between devices:
 * three quarters of the 450 GB/s that NVLink has each way, an assumption too; to the host: what
 * PCIe 4 gives, half of PCIe 5. Memory: what a program finds free. */
static const rs_plan_rates k_devices[] = {
    {.device = "h100",
     .source = "GEMM 70 % of the data sheet, attention as cuDNN 9 measures, convolutions and link "
               "assumed",
     .gemm = 693e12,
     .attention = 595e12,
     .attention_bwd = 516e12,
     .conv = 346e12,
     .link = 340e9,
     .bus = 25e9,
     .memory = (int64_t)78 << 30,
     .value_bytes = 2},
    {.device = "h200",
     .source = "rates of an h100, whose processor it has",
     .gemm = 693e12,
     .attention = 595e12,
     .attention_bwd = 516e12,
     .conv = 346e12,
     .link = 340e9,
     .bus = 25e9,
     .memory = (int64_t)139 << 30,
     .value_bytes = 2},
    {.device = "rtx4090",
     .source = "70 % of the data sheet's 165 TFLOP/s, all assumed",
     .gemm = 116e12,
     .attention = 99e12,
     .attention_bwd = 86e12,
     .conv = 58e12,
     .link = 22e9, /* PCIe 4 */
     .bus = 22e9,
     .memory = (int64_t)23 << 30,
     .value_bytes = 2},
};
enum { N_DEVICES = sizeof k_devices / sizeof k_devices[0] };

rs_status rs_plan_rates_named(rs_plan_rates *out, const char *name)
{
    for (int i = 0; i < N_DEVICES; i++)
        if (strcmp(k_devices[i].device, name) == 0) {
            *out = k_devices[i];
            return RS_OK;
        }
    return RS_FAIL(USAGE, "--device: unknown device \"%s\"; known: h100, h200, rtx4090", name);
}

/* ---- this machine ---- */

typedef struct probe {
    rs_device *d;
    int64_t rows, dim, heads, side;
    rs_tensor x, w, lse, q, k, v, o, dq, dk, dv; /* x (rows,dim), w (dim,dim); the others as x */
    rs_tensor frame, kernel, out;
} probe;

static void bind(void *object, rs_carver *c)
{
    enum { CHANNELS = 96 };
    probe *p = object;
    rs_tensor *const rows[] = {&p->x, &p->q, &p->k, &p->v, &p->o, &p->dq, &p->dk, &p->dv};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        *rows[i] = rs_carve(c, RS_DTYPE_F32, RS_SHAPE(p->rows, p->dim));
    p->w = rs_carve(c, RS_DTYPE_F32, RS_SHAPE(p->dim, p->dim));
    p->lse = rs_carve(c, RS_DTYPE_F32, RS_SHAPE(p->heads, p->rows));
    p->frame = rs_carve(c, RS_DTYPE_F32, RS_SHAPE(1, p->side, p->side, CHANNELS));
    p->out = rs_carve(c, RS_DTYPE_F32, RS_SHAPE(1, p->side, p->side, CHANNELS));
    p->kernel = rs_carve(c, RS_DTYPE_F32, RS_SHAPE(1, 3, 3, CHANNELS, CHANNELS));
}

static double gemm(const probe *p)
{
    RS_OP(p->d, gemm, .y = p->o, .a = p->x, .b = p->w, .trans_b = true,
          .bf16 = rs_device_precision(p->d) == RS_PRECISION_BF16);
    return 2.0 * (double)p->rows * (double)p->dim * (double)p->dim;
}

static double attention(const probe *p)
{
    RS_OP(p->d, attention_fwd, .o = p->o, .lse = p->lse, .q = p->q, .k = p->k, .v = p->v,
          .heads = p->heads, .scale = 1.0f, .bf16 = rs_device_rounds(p->d));
    return 4.0 * (double)p->rows * (double)p->rows * (double)p->dim;
}

/* Of what `attention` left. */
static double attention_bwd(const probe *p)
{
    RS_OP(p->d, attention_bwd, .dq = p->dq, .dk = p->dk, .dv = p->dv, .d_o = p->x, .o = p->o,
          .lse = p->lse, .q = p->q, .k = p->k, .v = p->v, .heads = p->heads, .scale = 1.0f,
          .bf16 = rs_device_rounds(p->d));
    return 10.0 * (double)p->rows * (double)p->rows * (double)p->dim;
}

static double conv(const probe *p)
{
    RS_OP(p->d, conv3d, .y = p->out, .x = p->frame, .weight = p->kernel, .stride = {1, 1, 1},
          .pad = {1, 1, 1, 1}, .bf16 = rs_device_rounds(p->d));
    return 2.0 * (double)rs_tensor_count(p->out) * (double)rs_tensor_count(p->kernel) /
           (double)p->out.shape[3];
}

/* Ranks of a machine hand each other data by copies from memory to memory: bytes. */
static double copy(const probe *p)
{
    const rs_tensor *rows[] = {&p->x, &p->q, &p->k, &p->v, &p->o, &p->dq, &p->dk, &p->dv};
    enum { N = sizeof rows / sizeof *rows };
    for (int i = 1; i < N; i++)
        memcpy(rows[i]->data, rows[i - 1]->data, rs_tensor_bytes(*rows[i]));
    return (N - 1) * (double)rs_tensor_bytes(p->x);
}

/* FLOP/s, or bytes, of the fastest call. */
static double rate(double (*call)(const probe *), const probe *p)
{
    const double LEAST = 0.01;
    double best = INFINITY, flops = 0, begin = rs_now();
    for (int i = 0; i < 3 || rs_now() - begin < LEAST; i++) {
        double t = rs_now();
        flops = call(p);
        best = fmin(best, rs_now() - t);
    }
    return flops / best;
}

rs_status rs_plan_rates_measure(rs_plan_rates *out, rs_device *d, const rs_plan_sizes *z)
{
    enum { ROWS = 1024, WIDTH = 1024, SIDE = 64 };
    int64_t head = z->dim / z->heads;
    rs_pool pool = {0};
    probe p = {.d = d,
               .rows = rs_min_i64(z->window_tokens, ROWS),
               .heads = rs_max_i64(1, rs_min_i64(z->heads, WIDTH / head)),
               .side = rs_min_i64(8 * rs_max_i64(z->frames[1], 1), SIDE)};
    p.dim = p.heads * head;
    RS_TRY(rs_pool_bind(&pool, d, bind, &p));
    rs_device_zero(d, pool.memory, pool.bytes);
    *out = (rs_plan_rates){.device = rs_device_backend(d),
                           .source = "measured here in a moment",
                           .value_bytes = sizeof(float),
                           .gemm = rate(gemm, &p),
                           .attention = rate(attention, &p),
                           .attention_bwd = rate(attention_bwd, &p),
                           .conv = rate(conv, &p),
                           .link = rs_device_host_memory(d) ? rate(copy, &p) : 0};
    rs_pool_release(&pool);
    return rs_device_check(d);
}

/* ---- a named device ---- */

static double clip_step(const rs_config *c, const rs_plan_sizes *z, const rs_plan_rates *r)
{
    rs_plan_prediction p;
    rs_plan_predict(&p, c, z, r, 0);
    return p.clip_step;
}

rs_status rs_plan_sizes_on(rs_plan_sizes *z, const rs_config *c, const rs_catalog *catalog,
                           const rs_plan_rates *r, int64_t ranks, rs_arena *a)
{
    enum { WIDEST = 8 };
    const double GAIN = 1.05, USABLE = 0.95; /* of what is free; the rest is lost between blocks */
    rs_plan_room room = {.machine = r->memory, .ranks = 1, .lane = ranks};
    room.limit =
        (int64_t)(c->memory.limit > 0 ? c->memory.limit * 1e9 : USABLE * (double)r->memory);
    RS_TRY(rs_plan_sizes_make(z, c, catalog, &room, r->value_bytes, 0));
    double whole = clip_step(c, z, r);
    for (int64_t gang = WIDEST; gang > 1; gang /= 2) {
        rs_plan_sizes s;
        if (gang > ranks)
            continue;
        RS_TRY(rs_plan_sizes_make(&s, c, catalog, &room, r->value_bytes, gang));
        double gain = whole / clip_step(c, &s, r);
        const char *text = rs_arena_printf(
            a, "over %lld ranks makes a training step %.1f %% faster by storing more",
            (long long)gang, (gain - 1) * 100);
        bool whole_fits = z->fits && z->home != RS_PLAN_HOST;
        if (!whole_fits || gain > GAIN) {
            s.home_reason = whole_fits ? rs_arena_printf(a, "sharding %s", text)
                                       : "a copy per rank does not fit";
            *z = s;
            return RS_OK;
        }
        z->home_reason = rs_arena_printf(a, "a copy per rank, as sharding %s", text);
        return RS_OK; /* a smaller gang gains less */
    }
    return RS_OK;
}
