/* The generic driver of a diffusion transformer: opens it, binds buffers, walks the blocks. */
#include "model/denoiser_priv.h"

#include <string.h>

#include "base/log.h"
#include "device/spill.h"
#include "model/component.h"

static rs_status open_weights(rs_denoiser *m, const char *path)
{
    if (m->opts.home == RS_HOME_SHARDED)
        RS_TRY(rs_wstream_open_sharded(&m->weights, m->dev, path, &m->layout, m->opts.gang));
    else if (m->opts.home == RS_HOME_HOST && m->opts.node)
        RS_TRY(rs_wstream_open_host(&m->weights, m->dev, path, &m->layout, m->opts.node));
    else
        RS_TRY(rs_wstream_open(&m->weights, m->dev, path, &m->layout, m->opts.home));
    rs_denoiser_tell_lane(m);
    return RS_OK;
}

static rs_status open_parts(rs_denoiser *m, const char *model_dir)
{
    rs_status st = RS_OK;
    rs_component part = {0};
    RS_TRY(rs_component_open(&part, m->arena, model_dir, RS_COMPONENT_TRANSFORMER));
    RS_TRY_OUT(rs_family_of_config(&m->family, part.config));
    m->state = rs_alloc(1, m->family->state_size);
    RS_TRY_OUT(
        m->family->describe(m->state, &m->info, &m->layout, m->arena, part.config, part.original));
    m->info.params = rs_layout_params(&m->layout);
    m->dims.image_rows = m->info.image_len;
    m->dims.samples = 1;
    m->dims.activation = rs_device_activation_dtype(m->dev);
    RS_TRY_OUT(rs_denoiser_set_lane(m, m->opts.lane, m->opts.pair));
    if (!m->opts.describe)
        RS_TRY_OUT(open_weights(m, part.weights));
out:
    rs_component_close(&part);
    return st;
}

rs_status rs_denoiser_open(rs_denoiser **out, rs_device *d, const char *model_dir,
                           const rs_denoiser_opts *opts)
{
    rs_denoiser *m = rs_alloc(1, sizeof *m);
    m->dev = d;
    m->arena = rs_arena_create();
    m->lora_arena = rs_arena_create();
    if (opts)
        m->opts = *opts;
    rs_status st = open_parts(m, model_dir);
    if (st == RS_OK)
        st = rs_denoiser_set_adapters(m, NULL, NULL, 0);
    if (st != RS_OK) {
        rs_denoiser_close(&m);
        return rs_relay_at(st, __FILE__, __LINE__, __func__);
    }
    *out = m;
    return RS_OK;
}

void rs_denoiser_close(rs_denoiser **m)
{
    if (!m || !*m)
        return;
    rs_denoiser *s = *m;
    rs_offload_close(s);
    rs_pool_release(&s->pool);
    rs_wstream_close(&s->weights);
    rs_dealloc(s->state);
    rs_arena_destroy(&s->lora_arena);
    rs_arena_destroy(&s->arena);
    rs_dealloc(s);
    *m = NULL;
}

const rs_denoiser_info *rs_denoiser_get_info(const rs_denoiser *m)
{
    return &m->info;
}

const rs_family *rs_denoiser_family(const rs_denoiser *m)
{
    return m->family;
}

const rs_layout *rs_denoiser_layout(const rs_denoiser *m)
{
    return &m->layout;
}

rs_device *rs_denoiser_device(const rs_denoiser *m)
{
    return m->dev;
}

void rs_denoiser_join(rs_denoiser *m)
{
    rs_wstream_join(m->weights);
}

void rs_denoiser_leave(rs_denoiser *m)
{
    rs_wstream_leave(m->weights);
}

rs_wstream_stats rs_denoiser_stream_stats(rs_denoiser *m)
{
    return rs_wstream_get_stats(m->weights);
}

size_t rs_denoiser_weight_bytes(const rs_denoiser *m)
{
    return m->weights ? rs_wstream_bytes(m->weights) : 0;
}

static rs_tensor carve_latent(rs_carver *c, const rs_denoiser *m)
{
    const rs_dims *n = &m->dims;
    return rs_carve(c, RS_DTYPE_F32, RS_SHAPE(n->samples * m->info.out_channels, n->F, n->H, n->W));
}

static void bind_all(void *object, rs_carver *c)
{
    rs_denoiser *m = object;
    int64_t S = m->dims.samples * m->family->tokens(m->state, &m->dims), D = m->info.dim;
    int64_t n = m->dims.training ? m->info.blocks + 1 : 1;
    n = m->dims.kept.offload ? rs_spill_slots(n) : n;
    rs_dtype kept = m->dims.training ? m->dims.activation : RS_DTYPE_F32;
    m->stream = rs_carve(c, kept, RS_SHAPE(n, S, D));
    m->rows = (rs_tensor){0};
    if (kept != RS_DTYPE_F32)
        m->rows = rs_carve(c, RS_DTYPE_F32, RS_SHAPE(2, S, D));
    m->latent = carve_latent(c, m);
    m->v = carve_latent(c, m);
    m->dx = m->dv = m->target = m->loss = m->sums = (rs_tensor){0};
    if (m->dims.training) {
        if (m->dims.kept.offload && !rs_has(m->rows))
            m->dx = rs_carve(c, RS_DTYPE_F32, RS_SHAPE(S, D));
        m->dv = carve_latent(c, m);
        m->target = carve_latent(c, m);
        m->loss = rs_carve(c, RS_DTYPE_F32, RS_SHAPE(m->dims.samples));
        int64_t floats =
            rs_lane_sum_floats(m->dims.lane, rs_denoiser_block_factors(m, m->dims.rank));
        if (floats > 0)
            m->sums = rs_carve(c, RS_DTYPE_F32, RS_SHAPE(floats));
    }
    m->family->bind(m->state, c, &m->dims);
}

void rs_denoiser_rest(rs_denoiser *m)
{
    m->resting = m->bound;
    rs_pool_release(&m->pool);
}

rs_status rs_denoiser_wake(rs_denoiser *m)
{
    return m->resting ? rs_denoiser_rebind(m) : RS_OK;
}

rs_dims rs_denoiser_dims(const rs_denoiser *m, int64_t F, int64_t H, int64_t W, bool training)
{
    rs_dims n = m->dims;
    n.F = F;
    n.H = H;
    n.W = W;
    n.training = training;
    n.samples = 1;
    n.kept = training ? rs_denoiser_kept(m) : (rs_kept){0};
    return n;
}

/* The same code as the binding, on a copy without memory. away: host bytes, may be NULL. */
static size_t plan(const rs_denoiser *m, rs_dims dims, size_t *away)
{
    rs_denoiser copy = *m;
    rs_carver c = {0};
    copy.state = rs_alloc(1, m->family->state_size);
    memcpy(copy.state, m->state, m->family->state_size);
    copy.dims = dims;
    bind_all(&copy, &c);
    if (away)
        *away = rs_offload_bytes(&copy);
    rs_dealloc(copy.state);
    return c.used;
}

size_t rs_denoiser_plan(const rs_denoiser *m, int64_t F, int64_t H, int64_t W, bool training)
{
    return plan(m, rs_denoiser_dims(m, F, H, W, training), NULL);
}

size_t rs_denoiser_plan_many(const rs_denoiser *m, int n, int64_t F, int64_t H, int64_t W)
{
    rs_dims dims = rs_denoiser_dims(m, F, H, W, true);
    dims.samples = n;
    return plan(m, dims, NULL);
}

size_t rs_denoiser_plan_away(const rs_denoiser *m, int n, int64_t F, int64_t H, int64_t W)
{
    size_t away;
    rs_dims dims = rs_denoiser_dims(m, F, H, W, true);
    dims.samples = n;
    (void)plan(m, dims, &away);
    return away;
}

size_t rs_denoiser_plan_lane(const rs_denoiser *m, int64_t F, int64_t H, int64_t W, bool training,
                             int width)
{
    size_t most = 0;
    for (int r = 0; r < width; r++) {
        rs_lane lane = {.rank = r, .width = width};
        rs_dims dims = rs_denoiser_dims(m, F, H, W, training);
        dims.lane = &lane;
        size_t bytes = plan(m, dims, NULL);
        most = bytes > most ? bytes : most;
    }
    return most;
}

rs_status rs_denoiser_rebind(rs_denoiser *m)
{
    m->bound = m->resting = false;
    RS_TRY(rs_pool_rebind(&m->pool, m->dev, bind_all, m));
    RS_TRY(rs_offload_bind(m));
    m->family->setup(m->state, m->dev);
    m->bound = true;
    RS_LOG(DETAIL, "transformer: %zu bytes bound for %s", m->pool.bytes,
           m->dims.training ? "training" : "sampling");
    return RS_OK;
}

static bool same_dims(const rs_dims *a, const rs_dims *b)
{
    return a->F == b->F && a->H == b->H && a->W == b->W && a->training == b->training &&
           a->kept.store == b->kept.store && a->kept.attention == b->kept.attention &&
           a->kept.offload == b->kept.offload && a->rank == b->rank &&
           a->image_rows == b->image_rows && a->samples == b->samples;
}

static rs_status bind_local(rs_denoiser *m, int samples, int64_t F, int64_t H, int64_t W,
                            bool training)
{
    const int64_t *p = m->info.patch;
    int64_t tokens = (F / p[0]) * (H / p[1]) * (W / p[2]);
    if (F < 1 || H < 1 || W < 1 || F % p[0] || H % p[1] || W % p[2])
        return RS_FAIL(INPUT,
                       "latent of %lld x %lld x %lld does not divide into patches of "
                       "%lld x %lld x %lld",
                       (long long)F, (long long)H, (long long)W, (long long)p[0], (long long)p[1],
                       (long long)p[2]);
    if (tokens < m->lane.width)
        return RS_FAIL(INPUT, "%lld tokens cannot be shared by the %d ranks of a lane",
                       (long long)tokens, m->lane.width);
    RS_ASSERT(samples >= 1);
    if (samples > 1 && m->lane.width > 1)
        return RS_FAIL(CONFIG, "%d samples at once over a lane of %d ranks", samples,
                       m->lane.width);
    rs_dims want = rs_denoiser_dims(m, F, H, W, training);
    want.samples = samples;
    if (m->bound && same_dims(&want, &m->dims))
        return RS_OK;
    m->dims = want;
    return rs_denoiser_rebind(m);
}

rs_status rs_denoiser_bind(rs_denoiser *m, int64_t F, int64_t H, int64_t W, bool training)
{
    return rs_lane_agree(&m->lane, bind_local(m, 1, F, H, W, training));
}

rs_status rs_denoiser_bind_many(rs_denoiser *m, int n, int64_t F, int64_t H, int64_t W)
{
    return rs_lane_agree(&m->lane, bind_local(m, n, F, H, W, true));
}

/* ---- passes ---- */

rs_status rs_denoiser_check_pass(const rs_denoiser *m, const char *name, rs_tensor t,
                                 const rs_denoiser_cond *cond)
{
    char text[RS_TENSOR_TEXT];
    const rs_dims *n = &m->dims;
    const int64_t want[4] = {m->info.out_channels, n->F, n->H, n->W};
    RS_ASSERTF(m->bound, "denoiser: no latent size is bound");
    RS_ASSERTF(cond->model == m, "denoiser: condition of another model");
    if (t.ndim != 4 || memcmp(t.shape, want, sizeof want) != 0 || t.dtype != RS_DTYPE_F32)
        return RS_FAIL(INPUT, "%s is %s; the model is bound to a latent of [%lld,%lld,%lld,%lld]",
                       name, rs_has(t) ? rs_tensor_text(text, t) : "missing", (long long)want[0],
                       (long long)want[1], (long long)want[2], (long long)want[3]);
    if (m->info.cond_channels > 0 && memcmp(cond->size, want + 1, sizeof cond->size) != 0)
        return RS_FAIL(INPUT, "condition of %lld x %lld x %lld for a latent of %lld x %lld x %lld",
                       (long long)cond->size[0], (long long)cond->size[1], (long long)cond->size[2],
                       (long long)n->F, (long long)n->H, (long long)n->W);
    return RS_OK;
}

void rs_denoiser_put(rs_denoiser *m, rs_tensor dst, rs_tensor host)
{
    rs_device_put(m->dev, dst.data, host.data, rs_tensor_bytes(host));
}

/* Of as many as there are places for: more than there are follow each other in a ring. */
static rs_tensor matrix_at(rs_tensor all, int64_t i)
{
    i %= all.shape[0];
    return rs_tensor_reshape(rs_tensor_slice(all, i, i + 1), RS_SHAPE(all.shape[1], all.shape[2]));
}

rs_tensor rs_denoiser_stream_at(const rs_denoiser *m, int64_t i)
{
    return matrix_at(rs_has(m->rows) ? m->rows : m->stream, i);
}

void rs_denoiser_keep(rs_denoiser *m, int64_t i)
{
    if (!rs_has(m->rows))
        return;
    rs_tensor x = rs_denoiser_stream_at(m, i), kept = matrix_at(m->stream, i);
    RS_OP(m->dev, copy, .y = kept, .x = x);
    RS_OP(m->dev, copy, .y = x, .x = kept);
}

rs_tensor rs_denoiser_recall(rs_denoiser *m, int64_t i)
{
    if (!rs_has(m->rows))
        return rs_denoiser_stream_at(m, i);
    rs_tensor x = rs_denoiser_stream_at(m, m->info.blocks - 1);
    RS_OP(m->dev, copy, .y = x, .x = matrix_at(m->stream, i));
    return x;
}

rs_tensor rs_denoiser_gradient(const rs_denoiser *m)
{
    return rs_has(m->dx) ? m->dx : rs_denoiser_stream_at(m, m->info.blocks);
}

rs_tensor rs_denoiser_sample_of(const rs_denoiser *m, rs_tensor all, int k)
{
    int64_t n = all.shape[0] / m->dims.samples;
    return rs_tensor_slice(all, n * k, n * (k + 1));
}

rs_status rs_denoiser_run_block(rs_denoiser *m, const rs_walk *walk, int i, int next, rs_tensor y,
                                rs_tensor x, rs_pass pass)
{
    const rs_tensor *w;
    const rs_lora_terms *loras = &walk->loras[(int64_t)i * m->family->n_targets * m->dims.samples];
    RS_TRY(rs_wstream_acquire(m->weights, i, &w));
    rs_wstream_prefetch(m->weights, next);
    m->family->block_fwd(m->state, m->dev, i, w, loras, y, x, walk->conds, pass);
    rs_wstream_release(m->weights, i);
    return RS_OK;
}

static rs_status forward_blocks(rs_denoiser *m, float t, const rs_denoiser_cond *cond)
{
    const rs_tensor *globals = rs_wstream_globals(m->weights);
    const void *encoded = cond->encoded;
    rs_walk walk = {.loras = m->loras, .conds = &encoded};
    rs_tensor h = rs_denoiser_stream_at(m, 0);
    int L = (int)m->info.blocks;
    rs_offload_begin(m);
    rs_offload_may_write_input(m, 0);
    m->family->begin(m->state, m->dev, globals, 0, h, m->latent, t, encoded);
    for (int i = 0; i < L; i++)
        RS_TRY(rs_denoiser_run_block(m, &walk, i, (i + 1) % L, h, h, RS_PASS_PLAIN));
    m->family->end(m->state, m->dev, globals, 0, m->v, h);
    return RS_OK;
}

rs_status rs_denoiser_finish(rs_denoiser *m)
{
    RS_TRY(rs_device_check(m->dev));
    return rs_lane_check(&m->lane);
}

static rs_status forward_local(rs_denoiser *m, rs_tensor v, rs_tensor x, float t,
                               const rs_denoiser_cond *cond)
{
    rs_denoiser_put(m, m->latent, x);
    RS_TRY(rs_wstream_begin(m->weights, (int)m->info.blocks));
    rs_status st = forward_blocks(m, t, cond);
    rs_wstream_end(m->weights);
    RS_TRY(st);
    RS_TRY(rs_denoiser_finish(m));
    rs_device_get(m->dev, v.data, m->v.data, rs_tensor_bytes(v));
    return RS_OK;
}

static rs_status check_forward(rs_denoiser *m, rs_tensor v, rs_tensor x,
                               const rs_denoiser_cond *cond)
{
    RS_ASSERTF(m->dims.samples == 1, "denoiser: bound for %d samples", m->dims.samples);
    RS_TRY(rs_denoiser_check_pass(m, "x", x, cond));
    RS_TRY(rs_denoiser_check_pass(m, "v", v, cond));
    return rs_denoiser_wake(m);
}

rs_status rs_denoiser_forward(rs_denoiser *m, rs_tensor v, rs_tensor x, float t,
                              const rs_denoiser_cond *cond)
{
    /* Nobody may be missing in the exchanges of the pass. */
    RS_TRY(rs_lane_agree(&m->lane, check_forward(m, v, x, cond)));
    return rs_lane_agree(&m->lane, forward_local(m, v, x, t, cond));
}
