/* CLIP vision tower (wan21.md 5): patches and a class token, learned positions, pre-norm blocks
 * with exact GELU. The tokens are the input of the last layer (hidden_states[-2]); that layer, the
 * final norm and the projection are the head and run for embeddings only. */
#include <math.h>

#include "base/num.h"
#include "model/clip/clip_priv.h"
#include "model/component.h"

struct rs_image_encoder {
    rs_device *dev;
    rs_arena *arena;
    rs_clip_config config;
    rs_layout layout; /* the stream looks into it */
    rs_wstream *stream;
    const char *weights; /* file or folder */
    rs_layout head_layout;
    rs_wstream *head; /* NULL until an embedding is asked for */
    rs_pool pool;
    rs_tensor pixels;    /* (3,1,S,S) */
    rs_tensor patches;   /* (tokens-1, 3*patch*patch) */
    rs_tensor x;         /* (tokens,dim): residual stream */
    rs_tensor h, o;      /* (tokens,dim) */
    rs_tensor q, k, v;   /* (tokens,dim) */
    rs_tensor ff;        /* (tokens,ffn) */
    rs_tensor pooled;    /* (1,dim) */
    rs_tensor embedding; /* (1,projection) */
};

static void bind(void *object, rs_carver *c)
{
    rs_image_encoder *e = object;
    const rs_clip_config *g = &e->config;
    e->pixels = rs_carve(c, RS_DTYPE_F32, RS_SHAPE(3, 1, g->image, g->image));
    e->patches = rs_carve(c, RS_DTYPE_F32, RS_SHAPE(g->tokens - 1, 3 * g->patch * g->patch));
    rs_tensor *rows[] = {&e->x, &e->h, &e->o, &e->q, &e->k, &e->v};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        *rows[i] = rs_carve(c, RS_DTYPE_F32, RS_SHAPE(g->tokens, g->dim));
    e->ff = rs_carve(c, RS_DTYPE_F32, RS_SHAPE(g->tokens, g->ffn));
    e->pooled = rs_carve(c, RS_DTYPE_F32, RS_SHAPE(1, g->dim));
    e->embedding = rs_carve(c, RS_DTYPE_F32, RS_SHAPE(1, g->projection));
}

static rs_status init(rs_image_encoder *e, const char *model_dir)
{
    rs_status st = RS_OK;
    rs_component found;
    RS_TRY(rs_component_open(&found, e->arena, model_dir, RS_COMPONENT_IMAGE));
    RS_TRY_OUT(rs_clip_config_read(&e->config, found.config));
    RS_TRY_OUT(rs_clip_layout(&e->layout, e->arena, found.config, found.original));
    RS_TRY_OUT(rs_clip_head_layout(&e->head_layout, e->arena, found.config, found.original));
    e->weights = rs_arena_strdup(e->arena, found.weights);
    RS_TRY_OUT(rs_wstream_open(&e->stream, e->dev, found.weights, &e->layout, RS_HOME_MAPPED));
    RS_TRY_OUT(rs_pool_bind(&e->pool, e->dev, bind, e));
out:
    rs_component_close(&found);
    return st;
}

rs_status rs_image_encoder_open(rs_image_encoder **out, rs_device *d, const char *model_dir)
{
    rs_image_encoder *e = rs_alloc(1, sizeof *e);
    e->dev = d;
    e->arena = rs_arena_create();
    rs_status st = init(e, model_dir);
    if (st != RS_OK) {
        rs_image_encoder_close(&e);
        return rs_relay_at(st, __FILE__, __LINE__, __func__);
    }
    *out = e;
    return RS_OK;
}

void rs_image_encoder_close(rs_image_encoder **e)
{
    if (!e || !*e)
        return;
    rs_pool_release(&(*e)->pool);
    rs_wstream_close(&(*e)->stream);
    rs_wstream_close(&(*e)->head);
    rs_arena_destroy(&(*e)->arena);
    rs_dealloc(*e);
    *e = NULL;
}

int64_t rs_image_encoder_dim(const rs_image_encoder *e)
{
    return e->config.dim;
}

int64_t rs_image_encoder_tokens(const rs_image_encoder *e)
{
    return e->config.tokens;
}

int64_t rs_image_encoder_size(const rs_image_encoder *e)
{
    return e->config.image;
}

static bool bf16(const rs_image_encoder *e)
{
    return rs_device_precision(e->dev) == RS_PRECISION_BF16;
}

static void linear(rs_image_encoder *e, rs_tensor y, rs_tensor x, const rs_tensor *w, float beta)
{
    RS_OP(e->dev, gemm, .y = y, .a = x, .b = w[0], .bias = w[1], .trans_b = true, .beta = beta,
          .bf16 = bf16(e));
}

static void norm(rs_image_encoder *e, rs_tensor y, rs_tensor x, const rs_tensor *w)
{
    RS_OP(e->dev, layernorm_fwd, .y = y, .x = x, .weight = w[0], .bias = w[1],
          .eps = e->config.eps);
}

/* x = positions + [class | patches W^T], then the norm in front of the blocks. */
static void embed(rs_image_encoder *e, const rs_tensor *w)
{
    const rs_clip_config *g = &e->config;
    rs_tensor weight =
        rs_tensor_reshape(w[RS_CLIP_PATCH], RS_SHAPE(g->dim, 3 * g->patch * g->patch));
    rs_tensor cls = rs_tensor_rows_view(e->x, 0, 1);
    RS_OP(e->dev, patchify, .tokens = e->patches, .x = e->pixels, .patch = {1, g->patch, g->patch});
    rs_device_copy(e->dev, e->x.data, w[RS_CLIP_POSITION].data, rs_tensor_bytes(e->x));
    RS_OP(e->dev, gate_add, .y = cls, .x = cls,
          .o = rs_tensor_reshape(w[RS_CLIP_CLASS], RS_SHAPE(1, g->dim)));
    RS_OP(e->dev, gemm, .y = rs_tensor_rows_view(e->x, 1, g->tokens), .a = e->patches, .b = weight,
          .trans_b = true, .beta = 1.0f, .bf16 = bf16(e));
    norm(e, e->x, e->x, &w[RS_CLIP_NORM_W]);
}

static void run_block(rs_image_encoder *e, const rs_tensor *w)
{
    const rs_clip_config *g = &e->config;
    norm(e, e->h, e->x, &w[RS_CLIP_NORM1]);
    linear(e, e->q, e->h, &w[RS_CLIP_Q], 0.0f);
    linear(e, e->k, e->h, &w[RS_CLIP_K], 0.0f);
    linear(e, e->v, e->h, &w[RS_CLIP_V], 0.0f);
    RS_OP(e->dev, attention_fwd, .o = e->o, .q = e->q, .k = e->k, .v = e->v, .heads = g->heads,
          .scale = (float)(1.0 / sqrt((double)(g->dim / g->heads))), .bf16 = bf16(e));
    linear(e, e->x, e->o, &w[RS_CLIP_O], 1.0f);
    norm(e, e->h, e->x, &w[RS_CLIP_NORM2]);
    RS_OP(e->dev, gemm, .y = e->ff, .a = e->h, .b = w[RS_CLIP_FC1], .bias = w[RS_CLIP_FC1 + 1],
          .trans_b = true, .act = RS_ACT_GELU_ERF, .bf16 = bf16(e));
    linear(e, e->x, e->ff, &w[RS_CLIP_FC2], 1.0f);
}

/* e->x = the tokens of pixels. */
static rs_status run_tower(rs_image_encoder *e, rs_tensor pixels)
{
    const rs_clip_config *g = &e->config;
    RS_ASSERT(pixels.ndim == 3 && pixels.dtype == RS_DTYPE_F32 && rs_tensor_contiguous(pixels) &&
              pixels.shape[0] == 3 && pixels.shape[1] == g->image && pixels.shape[2] == g->image);
    rs_device_put(e->dev, e->pixels.data, pixels.data, rs_tensor_bytes(pixels));
    embed(e, rs_wstream_globals(e->stream));
    int blocks = rs_i32(g->layers - 1);
    for (int i = 0; i < blocks; i++) {
        const rs_tensor *w;
        if (i + 1 < blocks)
            rs_wstream_prefetch(e->stream, i + 1);
        RS_TRY(rs_wstream_acquire(e->stream, i, &w));
        run_block(e, w);
        rs_wstream_release(e->stream, i);
    }
    return RS_OK;
}

rs_status rs_image_encode(rs_image_encoder *e, rs_tensor states, rs_tensor pixels)
{
    const rs_clip_config *g = &e->config;
    RS_ASSERT(states.ndim == 2 && states.dtype == RS_DTYPE_F32 && rs_tensor_contiguous(states) &&
              states.shape[0] == g->tokens && states.shape[1] == g->dim);
    RS_TRY(run_tower(e, pixels));
    rs_device_get(e->dev, states.data, e->x.data, rs_tensor_bytes(states));
    RS_TRY(rs_device_check(e->dev));
    return RS_OK;
}

rs_status rs_image_embed_dim(int64_t *dim, rs_image_encoder *e)
{
    if (!e->head)
        RS_TRY(rs_wstream_open(&e->head, e->dev, e->weights, &e->head_layout, RS_HOME_MAPPED));
    const rs_tensor *w = rs_wstream_globals(e->head);
    bool projected = rs_has(w[RS_CLIP_PROJECTION]) || rs_has(w[RS_CLIP_PROJECTION_T]);
    *dim = projected ? e->config.projection : e->config.dim;
    return RS_OK;
}

rs_status rs_image_embed(rs_image_encoder *e, rs_tensor embedding, rs_tensor pixels)
{
    int64_t dim;
    RS_TRY(rs_image_embed_dim(&dim, e));
    RS_ASSERT(embedding.dtype == RS_DTYPE_F32 && rs_tensor_contiguous(embedding) &&
              rs_tensor_count(embedding) == dim);
    RS_TRY(run_tower(e, pixels));
    const rs_tensor *w = rs_wstream_globals(e->head);
    run_block(e, w);
    norm(e, e->pooled, rs_tensor_rows_view(e->x, 0, 1), &w[RS_CLIP_POST_NORM]);
    rs_tensor result = e->embedding;
    if (rs_has(w[RS_CLIP_PROJECTION]))
        RS_OP(e->dev, gemm, .y = result, .a = e->pooled, .b = w[RS_CLIP_PROJECTION],
              .trans_b = true);
    else if (rs_has(w[RS_CLIP_PROJECTION_T]))
        RS_OP(e->dev, gemm, .y = result, .a = e->pooled, .b = w[RS_CLIP_PROJECTION_T]);
    else
        result = e->pooled;
    rs_device_get(e->dev, embedding.data, result.data, rs_tensor_bytes(embedding));
    RS_TRY(rs_device_check(e->dev));
    return RS_OK;
}

/* Means and deviations of CLIP's training images, for values in [0,1]. */
static const double k_mean[3] = {0.48145466, 0.4578275, 0.40821073};
static const double k_std[3] = {0.26862954, 0.26130258, 0.27577711};

rs_status rs_image_preprocess(const rs_image_encoder *e, rs_tensor pixels, rs_tensor image)
{
    int64_t s = e->config.image;
    RS_ASSERT(image.ndim == 3 && image.shape[0] == 3 && image.dtype == RS_DTYPE_F32 &&
              rs_tensor_contiguous(image));
    RS_ASSERT(pixels.ndim == 3 && pixels.shape[0] == 3 && pixels.shape[1] == s &&
              pixels.shape[2] == s && pixels.dtype == RS_DTYPE_F32 && rs_tensor_contiguous(pixels));
    int64_t h = image.shape[1], w = image.shape[2];
    if (h < 1 || w < 1)
        return RS_FAIL(INPUT, "image of %lldx%lld pixels", (long long)w, (long long)h);
    for (int64_t c = 0; c < 3; c++) {
        float *p = rs_f32(pixels) + c * s * s;
        rs_clip_bicubic(p, s, s, rs_f32(image) + c * h * w, h, w);
        for (int64_t i = 0; i < s * s; i++)
            p[i] = (float)(((double)p[i] * 0.5 + 0.5 - k_mean[c]) / k_std[c]);
    }
    return RS_OK;
}

/* ---- sizes ---- */

static rs_flops flops_of(const rs_clip_config *g)
{
    double T = (double)g->tokens, D = (double)g->dim, n = (double)(g->layers - 1);
    double patches = (double)((g->tokens - 1) * 3 * g->patch * g->patch);
    return (rs_flops){.gemm = 2 * patches * D + n * 2 * T * D * (4 * D + 2 * (double)g->ffn),
                      .attention = n * 4 * T * T * D};
}

rs_status rs_image_encoder_sizes(rs_encoder_sizes *out, const rs_device *d, const char *model_dir)
{
    rs_component found = {0};
    rs_weight_files files, head = {0};
    rs_carver plan = {0};
    rs_image_encoder e = {.arena = rs_arena_create()};
    rs_status st = RS_OK;
    RS_TRY_OUT(rs_component_open(&found, e.arena, model_dir, RS_COMPONENT_IMAGE));
    RS_TRY_OUT(rs_clip_config_read(&e.config, found.config));
    RS_TRY_OUT(rs_clip_layout(&e.layout, e.arena, found.config, found.original));
    RS_TRY_OUT(rs_clip_head_layout(&e.head_layout, e.arena, found.config, found.original));
    RS_TRY_OUT(rs_weights_look(&files, d, found.weights, &e.layout));
    /* A checkpoint without a head cannot embed, which is said where that is asked for. */
    st = rs_weights_look(&head, d, found.weights, &e.head_layout);
    if (st == RS_MODEL) {
        rs_error_clear();
        head = (rs_weight_files){0};
        st = RS_OK;
    }
    RS_TRY_OUT(st);
    bind(&e, &plan);
    *out = (rs_encoder_sizes){.params = rs_layout_params(&e.layout),
                              .rows = e.config.tokens,
                              .dim = e.config.dim,
                              .files = files,
                              .weights = files.mapped,
                              .head = head.mapped,
                              .work = plan.used,
                              .flops = flops_of(&e.config)};
out:
    rs_component_close(&found);
    rs_arena_destroy(&e.arena);
    return st;
}
