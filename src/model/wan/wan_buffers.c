/* Device buffers of the transformer and of its conditions: one function plans and binds. */
#include <math.h>
#include <string.h>

#include "base/num.h"
#include "device/spill.h"
#include "model/wan/wan_state.h"

static rs_tensor carve(rs_carver *c, int64_t rows, int64_t cols)
{
    return rs_carve(c, RS_DTYPE_F32, RS_SHAPE(rows, cols));
}

/* Of activations: in the type that the device stores them in. */
static rs_tensor carve_act(rs_carver *c, const wan_state *s, int64_t rows, int64_t cols)
{
    return rs_carve(c, s->dims.activation, RS_SHAPE(rows, cols));
}

static bool over_video(wan_target t)
{
    return t != WAN_T_K2 && t != WAN_T_V2 && t != WAN_T_KI && t != WAN_T_VI;
}

/* What makes recomputing most expensive for its size. The cross attentions cost a 25th of it at
 * 20,000 tokens and would take twice the bytes. */
static void carve_attention(wan_acts *a, rs_carver *c, const wan_state *s)
{
    a->o1 = carve_act(c, s, s->n * s->S, s->cfg.dim);
    a->lse1 = carve(c, s->n * (s->cfg.heads / s->dims.lane->width), s->all);
}

/* Everything that a block's backward reads of its forward. */
static void carve_acts(wan_acts *a, rs_carver *c, const wan_state *s)
{
    const rs_wan_config *cfg = &s->cfg;
    int64_t S = s->n * s->S, D = cfg->dim;
    rs_tensor *const full[] = {&a->q1, &a->k1, &a->v1, &a->q2, &a->ot};
    for (size_t i = 0; i < sizeof full / sizeof full[0]; i++)
        *full[i] = carve_act(c, s, S, D);
    a->x1 = carve(c, S, D);
    a->x2 = carve(c, S, D);
    carve_attention(a, c, s);
    a->lset = carve(c, s->n * cfg->heads, s->S);
    if (cfg->image_dim) {
        a->oi = carve_act(c, s, S, D);
        a->lsei = carve(c, s->n * cfg->heads, s->S);
    }
    a->up = carve_act(c, s, S, cfg->ffn);
    for (int i = 0; i < WAN_TARGETS; i++)
        if (s->dims.rank > 0 && over_video(i))
            a->hidden[i] = carve_act(c, s, S, s->dims.rank);
}

/* Of dhidden: lows of q, k and v are made in one pass. */
static rs_tensor third(const wan_state *s, int i)
{
    int64_t rows = s->n * s->S;
    return rs_has(s->dhidden) ? rs_tensor_rows_view(s->dhidden, rows * i, rows * (i + 1))
                              : s->dhidden;
}

/* Without a backward the acts are the scratch buffers themselves, and the residual stream is
 * updated in place. */
static void alias_acts(wan_state *s)
{
    wan_acts *a = &s->acts;
    a->q1 = a->q2 = s->t[1];
    a->k1 = s->t[2];
    a->v1 = a->ot = s->t[3];
    a->o1 = a->oi = s->t[4];
    a->up = s->f;
    for (int i = 0; i < WAN_TARGETS; i++)
        a->hidden[i] = third(s, i == WAN_T_K1 ? 1 : i == WAN_T_V1 ? 2 : 0);
}

typedef void carve_fn(wan_acts *a, rs_carver *c, const wan_state *s);

/* Room for n blocks of what `fn` carves, or for those on the device if they are offloaded. */
static rs_tensor carve_blocks(rs_carver *c, carve_fn *fn, const wan_state *s, int64_t n)
{
    rs_carver plan = {0};
    wan_acts a;
    if (n <= 0)
        return (rs_tensor){0};
    fn(&a, &plan, s);
    if (s->dims.kept.offload)
        n = rs_spill_slots(n);
    return rs_carve(c, RS_DTYPE_U8, RS_SHAPE(n, (int64_t)plan.used));
}

/* That of the k-th of them. */
static void find_block(wan_acts *a, carve_fn *fn, const wan_state *s, rs_tensor blocks, int64_t k)
{
    size_t bytes = (size_t)blocks.shape[1];
    rs_carver c = {.base = (char *)blocks.data + (size_t)(k % blocks.shape[0]) * bytes,
                   .cap = bytes};
    fn(a, &c, s);
}

static void bind_context(wan_state *s, rs_carver *c)
{
    wan_context *x = &s->ctx;
    int64_t D = s->cfg.dim, T = s->cfg.text_len, I = s->dims.image_rows;
    int64_t n = s->n, most = rs_max_i64(T, I);
    *x = (wan_context){0};
    x->kt = carve_act(c, s, n * T, D);
    x->vt = carve_act(c, s, n * T, D);
    x->kt_raw = s->dims.training ? carve_act(c, s, n * T, D) : x->kt;
    if (I > 0) {
        x->ki = carve_act(c, s, n * I, D);
        x->vi = carve_act(c, s, n * I, D);
        x->ki_raw = s->dims.training ? carve_act(c, s, n * I, D) : x->ki;
    }
    if (s->dims.training) {
        x->dk = carve_act(c, s, most, D);
        x->dv = carve_act(c, s, most, D);
    }
    if (s->dims.rank > 0) {
        x->dhidden = carve_act(c, s, s->dims.training ? most : n * most, s->dims.rank);
        for (int i = 0; i < WAN_TARGETS; i++)
            if (!over_video(i))
                x->hidden[i] =
                    s->dims.training ? carve_act(c, s, n * most, s->dims.rank) : x->dhidden;
    }
}

static void bind_ends(wan_state *s, rs_carver *c)
{
    const rs_wan_config *cfg = &s->cfg;
    int64_t D = cfg->dim, patch = cfg->patch[0] * cfg->patch[1] * cfg->patch[2];
    const int64_t pairs_hw = cfg->head_dim / 6, pairs_f = cfg->head_dim / 2 - 2 * pairs_hw;
    s->rope.f = rs_carve(c, RS_DTYPE_F32, RS_SHAPE(s->grid[0], pairs_f, 2));
    s->rope.h = rs_carve(c, RS_DTYPE_F32, RS_SHAPE(s->grid[1], pairs_hw, 2));
    s->rope.w = rs_carve(c, RS_DTYPE_F32, RS_SHAPE(s->grid[2], pairs_hw, 2));
    s->tokens = carve(c, s->all, cfg->in_channels * patch);
    s->head = carve(c, s->all, cfg->out_channels * patch);
    s->sinusoid = carve(c, 1, cfg->freq_dim);
    s->e1 = carve(c, 1, D);
    s->e = carve(c, 1, D);
    s->se = carve(c, 1, D);
    s->e0 = carve(c, s->n, 6 * D);
    s->mod = carve(c, s->n * 6, D);
    s->head_mod = carve(c, s->n * 2, D);
}

/* (n*S,D) with room for all tokens of D/P columns: a rank's rows may be one less than the most. */
static rs_tensor carve_scratch(const wan_state *s, rs_carver *c)
{
    int64_t most = rs_ceil_div(s->n * s->all, s->dims.lane->width);
    return rs_tensor_rows_view(carve_act(c, s, most, s->cfg.dim), 0, s->n * s->S);
}

/* Of the feed-forward's buffer as long as there is room, then of c. */
static rs_tensor carve_within(const wan_state *s, rs_carver *wide, rs_carver *c)
{
    rs_carver one = {0};
    (void)carve_scratch(s, &one);
    return carve_scratch(s, wide->used + one.used <= wide->cap ? wide : c);
}

/* The feed-forward runs when the attentions do not, and what only these need lies in its buffer.
 * t[0] is the feed-forward's own, and in training t[1], too. */
static void bind_scratch(wan_state *s, rs_carver *c)
{
    bool training = s->dims.training, lanes = s->dims.lane->width > 1;
    int own = training ? 2 : 1, n = training ? WAN_SCRATCH : 5;
    s->f = carve_act(c, s, s->n * s->S, s->cfg.ffn);
    rs_carver wide = {.base = s->f.data, .cap = rs_tensor_bytes(s->f)};
    for (int i = 0; i < n; i++)
        s->t[i] = i < own ? carve_scratch(s, c) : carve_within(s, &wide, c);
    s->exchange = lanes ? carve_within(s, &wide, c) : (rs_tensor){0};
    for (int i = 0; i < WAN_SPARE; i++)
        s->spare[i] = lanes && (training || i == 0) ? carve_within(s, &wide, c) : (rs_tensor){0};
}

static void bind_sums(wan_state *s, rs_carver *c)
{
    int64_t D = s->cfg.dim, widest = rs_max_i64(D + s->cfg.ffn, 4 * D);
    int levels = rs_segment_levels(s->dims.lane->width);
    s->sums = (rs_tensor){0};
    if (s->dims.training && s->dims.rank > 0 && levels > 0)
        s->sums = carve(c, levels, widest * s->dims.rank);
}

static void set_dims(wan_state *s, const rs_dims *dims)
{
    const int64_t size[3] = {dims->F, dims->H, dims->W};
    const rs_lane *lane = dims->lane;
    s->dims = *dims;
    s->n = dims->samples;
    RS_ASSERT(s->n >= 1 && (s->n == 1 || lane->width == 1));
    s->all = 1;
    for (int i = 0; i < 3; i++) {
        s->grid[i] = size[i] / s->cfg.patch[i];
        s->all *= s->grid[i];
    }
    s->segments = rs_lane_segments(lane, lane->rank, s->all);
    s->S = rs_segment_rows(&s->segments);
    s->rope.first = s->segments.first;
}

void rs_wan_bind(void *state, rs_carver *c, const rs_dims *dims)
{
    wan_state *s = state;
    set_dims(s, dims);
    bind_ends(s, c);
    bind_context(s, c);
    memset(&s->acts, 0, sizeof s->acts);
    s->stored = s->attention = s->dhidden = (rs_tensor){0};
    bind_scratch(s, c);
    if (dims->rank > 0)
        s->dhidden = carve_act(c, s, 3 * s->n * s->S, dims->rank);
    bind_sums(s, c);
    if (!dims->training) {
        alias_acts(s);
        return;
    }
    carve_acts(&s->acts, c, s);
    s->stored = carve_blocks(c, carve_acts, s, dims->kept.store - 1);
    s->attention = carve_blocks(c, carve_attention, s, dims->kept.attention);
}

static rs_kept_part part_of(rs_tensor blocks, int64_t first, int64_t n)
{
    return rs_has(blocks) ? (rs_kept_part){blocks.data, (size_t)blocks.shape[1], first, n}
                          : (rs_kept_part){0};
}

void rs_wan_kept(const void *state, rs_kept_part parts[RS_FAMILY_PARTS])
{
    const wan_state *s = state;
    const rs_kept *k = &s->dims.kept;
    int64_t stored = s->cfg.blocks - k->store;
    parts[0] = part_of(s->stored, stored, k->store - 1);
    parts[1] = part_of(s->attention, stored - k->attention, k->attention);
}

wan_acts rs_wan_acts_of(const wan_state *s, int i)
{
    wan_acts a = s->acts;
    int64_t L = s->cfg.blocks, stored = L - s->dims.kept.store;
    if (i < 0 || i == L - 1)
        return a;
    rs_block_policy policy = rs_kept_policy(&s->dims.kept, L, i);
    if (policy == RS_BLOCK_STORE)
        find_block(&a, carve_acts, s, s->stored, i - stored);
    if (policy == RS_BLOCK_ATTENTION)
        find_block(&a, carve_attention, s, s->attention, i - stored + s->dims.kept.attention);
    return a;
}

static void fill_table(rs_device *d, rs_tensor device)
{
    rs_arena *a = rs_arena_create();
    rs_tensor host = rs_tensor_new(a, device.ndim, device.shape);
    rs_rope_table(host);
    rs_device_put(d, device.data, host.data, rs_tensor_bytes(host));
    rs_arena_destroy(&a);
}

void rs_wan_setup(void *state, rs_device *d)
{
    wan_state *s = state;
    fill_table(d, s->rope.f);
    fill_table(d, s->rope.h);
    fill_table(d, s->rope.w);
    s->scale = 1.0f / sqrtf((float)s->cfg.head_dim);
    s->ctx_block = -1;
}

void rs_wan_bind_cond(const void *state, void *cond, rs_carver *c, rs_dtype activation,
                      int64_t text_rows, int64_t image_rows)
{
    const rs_wan_config *cfg = &((const wan_state *)state)->cfg;
    wan_cond *w = cond;
    *w = (wan_cond){.U = rs_min_i64(text_rows + 1, cfg->text_len), .I = image_rows};
    w->last_count = cfg->text_len - w->U + 1;
    w->text = rs_carve(c, activation, RS_SHAPE(w->U, cfg->dim));
    w->text_in = carve(c, w->U, cfg->text_dim);
    w->text_hidden = rs_carve(c, activation, RS_SHAPE(w->U, cfg->dim));
    if (image_rows > 0) {
        w->image = rs_carve(c, activation, RS_SHAPE(image_rows, cfg->dim));
        w->image_in = carve(c, image_rows, cfg->image_dim);
        w->image_hidden = rs_carve(c, activation, RS_SHAPE(image_rows, cfg->image_dim));
    }
}
