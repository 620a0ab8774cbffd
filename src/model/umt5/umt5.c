/* umT5 text encoder (wan21.md 4.1): pre-norm blocks with a relative position bias of their own and
 * no scaling of the scores, gated tanh-GELU. Only the true tokens are run: masked keys have weight
 * zero and the bias is relative, so padding changes nothing. Blocks come one by one from the weight
 * stream. */
#include <math.h>
#include <string.h>

#include "base/num.h"
#include "model/component.h"
#include "model/umt5/umt5_priv.h"

struct rs_text_encoder {
    rs_device *dev;
    rs_arena *arena;
    rs_umt5_config config;
    rs_layout layout; /* the stream looks into it */
    rs_wstream *stream;
    rs_pool pool;
    int64_t L;          /* tokens that the buffers are bound for; 0: none */
    rs_tensor ids;      /* (L) I32 */
    rs_tensor buckets;  /* (2L-1) I32: bucket of relative position j - i, from -(L-1) */
    rs_tensor bias_t;   /* (2L-1, heads) */
    rs_tensor bias;     /* (heads, 2L-1) */
    rs_tensor x;        /* (L,dim) */
    rs_tensor h;        /* (L,dim) */
    rs_tensor q, k, v;  /* (L, heads*head_dim) */
    rs_tensor gate, up; /* (L,ffn) */
};

/* As transformers computes it, in fp32: the thresholds must fall on the same distances. */
int32_t rs_umt5_bucket(const rs_umt5_config *c, int64_t relative)
{
    int64_t half = c->buckets / 2, exact = half / 2;
    int64_t a = relative < 0 ? -relative : relative, b = relative > 0 ? half : 0;
    if (a < exact)
        return rs_i32(b + a);
    float span = (float)log((double)c->max_distance / (double)exact);
    float far = logf((float)a / (float)exact) / span * (float)(half - exact);
    return rs_i32(b + rs_min_i64(half - 1, exact + (int64_t)far));
}

static rs_status init(rs_text_encoder *e, const char *model_dir)
{
    rs_status st = RS_OK;
    rs_component found;
    RS_TRY(rs_component_open(&found, e->arena, model_dir, RS_COMPONENT_TEXT));
    RS_TRY_OUT(rs_umt5_config_read(&e->config, found.config));
    RS_TRY_OUT(rs_umt5_layout(&e->layout, e->arena, found.config, found.original));
    RS_TRY_OUT(rs_wstream_open(&e->stream, e->dev, found.weights, &e->layout, RS_HOME_MAPPED));
out:
    rs_component_close(&found);
    return st;
}

rs_status rs_text_encoder_open(rs_text_encoder **out, rs_device *d, const char *model_dir)
{
    rs_text_encoder *e = rs_alloc(1, sizeof *e);
    e->dev = d;
    e->arena = rs_arena_create();
    rs_status st = init(e, model_dir);
    if (st != RS_OK) {
        rs_text_encoder_close(&e);
        return rs_relay_at(st, __FILE__, __LINE__, __func__);
    }
    *out = e;
    return RS_OK;
}

void rs_text_encoder_close(rs_text_encoder **e)
{
    if (!e || !*e)
        return;
    rs_pool_release(&(*e)->pool);
    rs_wstream_close(&(*e)->stream);
    rs_arena_destroy(&(*e)->arena);
    rs_dealloc(*e);
    *e = NULL;
}

int64_t rs_text_encoder_dim(const rs_text_encoder *e)
{
    return e->config.dim;
}

int64_t rs_text_encoder_vocab(const rs_text_encoder *e)
{
    return e->config.vocab;
}

static void bind(void *object, rs_carver *c)
{
    rs_text_encoder *e = object;
    const rs_umt5_config *g = &e->config;
    int64_t L = e->L, inner = g->heads * g->head_dim;
    e->buckets = rs_carve(c, RS_DTYPE_I32, RS_SHAPE(2 * L - 1));
    e->bias_t = rs_carve(c, RS_DTYPE_F32, RS_SHAPE(2 * L - 1, g->heads));
    e->bias = rs_carve(c, RS_DTYPE_F32, RS_SHAPE(g->heads, 2 * L - 1));
    e->x = rs_carve(c, RS_DTYPE_F32, RS_SHAPE(L, g->dim));
    e->h = rs_carve(c, RS_DTYPE_F32, RS_SHAPE(L, rs_max_i64(g->dim, inner)));
    e->q = rs_carve(c, RS_DTYPE_F32, RS_SHAPE(L, inner));
    e->k = rs_carve(c, RS_DTYPE_F32, RS_SHAPE(L, inner));
    e->v = rs_carve(c, RS_DTYPE_F32, RS_SHAPE(L, inner));
    e->gate = rs_carve(c, RS_DTYPE_F32, RS_SHAPE(L, g->ffn));
    e->up = rs_carve(c, RS_DTYPE_F32, RS_SHAPE(L, g->ffn));
}

/* Buffers for L tokens and the bucket of every relative position. */
static rs_status bind_length(rs_text_encoder *e, int64_t L)
{
    if (e->L == L)
        return RS_OK;
    rs_pool_release(&e->pool);
    e->L = L;
    rs_status st = rs_pool_bind(&e->pool, e->dev, bind, e);
    if (st != RS_OK) {
        e->L = 0;
        return rs_relay_at(st, __FILE__, __LINE__, __func__);
    }
    rs_arena_mark mark = rs_arena_get_mark(e->arena);
    int32_t *b = RS_NEW(e->arena, int32_t, 2 * L - 1);
    for (int64_t i = 0; i < 2 * L - 1; i++)
        b[i] = rs_umt5_bucket(&e->config, i - (L - 1));
    rs_device_put(e->dev, e->buckets.data, b, rs_tensor_bytes(e->buckets));
    rs_arena_release(e->arena, mark);
    return RS_OK;
}

static void linear(rs_text_encoder *e, rs_tensor y, rs_tensor x, rs_tensor w, float beta)
{
    RS_OP(e->dev, gemm, .y = y, .a = x, .b = w, .trans_b = true, .beta = beta,
          .bf16 = rs_device_precision(e->dev) == RS_PRECISION_BF16);
}

static void norm(rs_text_encoder *e, rs_tensor y, rs_tensor x, rs_tensor w)
{
    RS_OP(e->dev, rmsnorm_fwd, .y = y, .x = x, .weight = w, .eps = e->config.eps);
}

static void run_block(rs_text_encoder *e, const rs_tensor *w)
{
    const rs_umt5_config *g = &e->config;
    int64_t L = e->L, inner = g->heads * g->head_dim;
    rs_tensor h = rs_tensor_of(e->h.data, RS_DTYPE_F32, RS_SHAPE(L, g->dim));
    rs_tensor o = rs_tensor_of(e->h.data, RS_DTYPE_F32, RS_SHAPE(L, inner));
    norm(e, h, e->x, w[RS_UMT5_NORM1]);
    linear(e, e->q, h, w[RS_UMT5_Q], 0.0f);
    linear(e, e->k, h, w[RS_UMT5_K], 0.0f);
    linear(e, e->v, h, w[RS_UMT5_V], 0.0f);
    RS_OP(e->dev, embed, .y = e->bias_t, .table = w[RS_UMT5_BIAS], .ids = e->buckets);
    RS_OP(e->dev, transpose, .y = e->bias, .x = e->bias_t, .rows = 2 * L - 1, .cols = g->heads);
    RS_OP(e->dev, attention_fwd, .o = o, .q = e->q, .k = e->k, .v = e->v, .bias_rel = e->bias,
          .heads = g->heads, .scale = 1.0f, .bf16 = rs_device_rounds(e->dev));
    linear(e, e->x, o, w[RS_UMT5_O], 1.0f);
    norm(e, h, e->x, w[RS_UMT5_NORM2]);
    linear(e, e->gate, h, w[RS_UMT5_GATE], 0.0f);
    linear(e, e->up, h, w[RS_UMT5_UP], 0.0f);
    RS_OP(e->dev, glu_fwd, .y = e->gate, .a = e->gate, .b = e->up, .act = RS_ACT_GELU_TANH);
    linear(e, e->x, e->gate, w[RS_UMT5_DOWN], 1.0f);
}

static rs_status check_ids(const rs_text_encoder *e, const int32_t *ids, int64_t L)
{
    for (int64_t i = 0; i < L; i++)
        if (ids[i] < 0 || ids[i] >= e->config.vocab)
            return RS_FAIL(INPUT, "token %lld has id %d, but the vocabulary has %lld entries",
                           (long long)i, ids[i], (long long)e->config.vocab);
    return RS_OK;
}

/* x = rows of the table, which is left in the file. */
static void embed(rs_text_encoder *e, rs_tensor table, const int32_t *ids)
{
    int64_t dim = e->config.dim;
    size_t row = (size_t)dim * rs_dtype_size(table.dtype);
    rs_arena_mark mark = rs_arena_get_mark(e->arena);
    float *x = RS_NEW(e->arena, float, e->L *dim);
    for (int64_t i = 0; i < e->L; i++)
        rs_convert_to_f32(x + i * dim, (const char *)table.data + (size_t)ids[i] * row, table.dtype,
                          dim);
    rs_device_put(e->dev, e->x.data, x, rs_tensor_bytes(e->x));
    rs_arena_release(e->arena, mark);
}

static rs_status run_blocks(rs_text_encoder *e)
{
    for (int i = 0; i < e->config.layers; i++) {
        const rs_tensor *w;
        if (i + 1 < e->config.layers)
            rs_wstream_prefetch(e->stream, i + 1);
        RS_TRY(rs_wstream_acquire(e->stream, i, &w));
        run_block(e, w);
        rs_wstream_release(e->stream, i);
    }
    return RS_OK;
}

rs_status rs_text_encode(rs_text_encoder *e, rs_tensor states, const int32_t *ids, int64_t L)
{
    RS_ASSERT(L >= 1 && states.ndim == 2 && states.shape[0] == L &&
              states.shape[1] == e->config.dim && states.dtype == RS_DTYPE_F32 &&
              rs_tensor_contiguous(states));
    RS_TRY(check_ids(e, ids, L));
    RS_TRY(bind_length(e, L));
    const rs_tensor *globals = rs_wstream_globals(e->stream);
    embed(e, globals[RS_UMT5_EMBEDDING], ids);
    RS_TRY(run_blocks(e));
    rs_tensor out = rs_tensor_of(e->h.data, RS_DTYPE_F32, RS_SHAPE(L, e->config.dim));
    norm(e, out, e->x, globals[RS_UMT5_FINAL_NORM]);
    rs_device_get(e->dev, states.data, out.data, rs_tensor_bytes(states));
    RS_TRY(rs_device_check(e->dev));
    return RS_OK;
}

/* ---- sizes ---- */

static rs_flops flops_of(const rs_umt5_config *g, int64_t rows)
{
    double L = (double)rows, D = (double)g->dim, inner = (double)(g->heads * g->head_dim);
    double n = (double)g->layers;
    return (rs_flops){.gemm = n * 2 * L * D * (4 * inner + 3 * (double)g->ffn),
                      .attention = n * 4 * L * L * inner};
}

rs_status rs_text_encoder_sizes(rs_encoder_sizes *out, const rs_device *d, const char *model_dir,
                                int64_t rows)
{
    rs_component found = {0};
    rs_weight_files files;
    rs_carver plan = {0};
    rs_text_encoder e = {.arena = rs_arena_create(), .L = rows};
    rs_status st = RS_OK;
    RS_TRY_OUT(rs_component_open(&found, e.arena, model_dir, RS_COMPONENT_TEXT));
    RS_TRY_OUT(rs_umt5_config_read(&e.config, found.config));
    RS_TRY_OUT(rs_umt5_layout(&e.layout, e.arena, found.config, found.original));
    RS_TRY_OUT(rs_weights_look(&files, d, found.weights, &e.layout));
    bind(&e, &plan);
    *out = (rs_encoder_sizes){.params = rs_layout_params(&e.layout),
                              .rows = rows,
                              .dim = e.config.dim,
                              .files = files,
                              .weights = files.mapped,
                              .work = plan.used,
                              .flops = flops_of(&e.config, rows)};
out:
    rs_component_close(&found);
    rs_arena_destroy(&e.arena);
    return st;
}
