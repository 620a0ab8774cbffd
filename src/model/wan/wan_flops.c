/* Floating-point operations of the transformer, call by call as wan_block.c, wan_block_bwd.c and
 * wan_ends.c make them (a test counts the calls). */
#include "base/num.h"
#include "model/wan/wan_state.h"

typedef struct counter {
    rs_flops *f;
    const rs_wan_config *cfg;
    const rs_lora_terms *loras;
    int64_t S, U, I;   /* rows of video (this rank's), text, image */
    int64_t all;       /* rows of video of all ranks of the lane */
    int width, leaves; /* of the lane; segments of this rank that are not empty */
} counter;

static void product(const counter *c, int64_t m, int64_t n, int64_t k)
{
    c->f->gemm += 2.0 * (double)m * (double)n * (double)k;
}

static void shape_of(const counter *c, wan_target t, int64_t *in, int64_t *out)
{
    *in = t == WAN_T_FFN2 ? c->cfg->ffn : c->cfg->dim;
    *out = t == WAN_T_FFN1 ? c->cfg->ffn : c->cfg->dim;
}

static int64_t rows_of(const counter *c, wan_target t)
{
    if (t == WAN_T_K2 || t == WAN_T_V2)
        return c->U;
    return t == WAN_T_KI || t == WAN_T_VI ? c->I : c->S;
}

static void linear_fwd(const counter *c, wan_target t)
{
    int64_t in, out, rows = rows_of(c, t);
    const rs_lora_terms *l = &c->loras[t];
    shape_of(c, t, &in, &out);
    product(c, rows, out, in);
    for (int i = 0; i < l->n; i++)
        if (l->terms[i].scale != 0)
            product(c, rows, rs_tensor_rows(l->terms[i].a), in + out);
}

static void linear_bwd(const counter *c, wan_target t, bool dx)
{
    int64_t in, out, rows = rows_of(c, t);
    const rs_lora_terms *l = &c->loras[t];
    shape_of(c, t, &in, &out);
    if (dx)
        product(c, rows, out, in);
    for (int i = 0; i < l->n; i++) {
        const rs_lora_term *term = &l->terms[i];
        int64_t rank = rs_tensor_rows(term->a);
        bool trained = rs_has(term->ga);
        if (term->scale == 0 || !(trained || dx))
            continue;
        product(c, rows, rank, out + (dx ? in : 0));
        if (trained)
            product(c, rows, rank, out + in);
    }
}

static bool trained(const counter *c, wan_target t)
{
    for (int i = 0; i < c->loras[t].n; i++)
        if (rs_has(c->loras[t].terms[i].ga))
            return true;
    return false;
}

static bool any_trained(const counter *c, const wan_target *t, int n)
{
    for (int i = 0; i < n; i++)
        if (trained(c, t[i]))
            return true;
    return false;
}

/* A lane's rank attends with all tokens, but its share of the heads. */
static void self_attention(const counter *c, double *sum, double per_pair)
{
    *sum += per_pair * (double)c->all * (double)c->all * (double)(c->cfg->dim / c->width);
}

static void attention(const counter *c, int64_t keys)
{
    c->f->attention += 4.0 * (double)c->S * (double)keys * (double)c->cfg->dim;
}

static void attention_bwd(const counter *c, int64_t keys)
{
    c->f->attention_bwd += 10.0 * (double)c->S * (double)keys * (double)c->cfg->dim;
}

static void context(const counter *c)
{
    static const wan_target k_parts[] = {WAN_T_K2, WAN_T_V2, WAN_T_KI, WAN_T_VI};
    for (int i = 0; i < (c->I > 0 ? 4 : 2); i++)
        linear_fwd(c, k_parts[i]);
}

/* All but the context and the last linear. */
static void forward(const counter *c, bool attend)
{
    static const wan_target k_video[] = {WAN_T_Q1, WAN_T_K1, WAN_T_V1,  WAN_T_O1,
                                         WAN_T_Q2, WAN_T_O2, WAN_T_FFN1};
    for (size_t i = 0; i < sizeof k_video / sizeof k_video[0]; i++)
        linear_fwd(c, k_video[i]);
    if (attend)
        self_attention(c, &c->f->attention, 4);
    attention(c, c->U);
    if (c->I > 0)
        attention(c, c->I);
}

static void feed_forward_bwd(const counter *c, bool need_dx)
{
    if (trained(c, WAN_T_FFN2)) {
        const rs_lora_terms *l = &c->loras[WAN_T_FFN2];
        product(c, c->S, rs_tensor_rows(l->terms[l->n - 1].a), c->cfg->ffn);
    }
    linear_bwd(c, WAN_T_FFN2, true);
    linear_bwd(c, WAN_T_FFN1, need_dx);
}

/* Factors on the context, once for every segment of the tokens that attend to it. */
static void context_bwd(const counter *c, wan_target k, wan_target v)
{
    for (int i = 0; i < c->leaves; i++) {
        linear_bwd(c, k, false);
        linear_bwd(c, v, false);
    }
}

static void cross_bwd(const counter *c, bool need_dx, bool context_there)
{
    linear_bwd(c, WAN_T_O2, true);
    if (!context_there)
        context(c);
    attention_bwd(c, c->U);
    context_bwd(c, WAN_T_K2, WAN_T_V2);
    if (c->I > 0) {
        attention_bwd(c, c->I);
        context_bwd(c, WAN_T_KI, WAN_T_VI);
    }
    linear_bwd(c, WAN_T_Q2, need_dx);
}

static void self_bwd(const counter *c, bool need_dx)
{
    linear_bwd(c, WAN_T_O1, true);
    self_attention(c, &c->f->attention_bwd, 10);
    for (int t = WAN_T_Q1; t <= WAN_T_V1; t++)
        linear_bwd(c, (wan_target)t, need_dx);
}

static void backward(const counter *c, bool need_dx, bool context_there)
{
    static const wan_target k_self[] = {WAN_T_Q1, WAN_T_K1, WAN_T_V1, WAN_T_O1};
    static const wan_target k_cross[] = {WAN_T_Q2, WAN_T_K2, WAN_T_V2,
                                         WAN_T_O2, WAN_T_KI, WAN_T_VI};
    bool to_self = need_dx || any_trained(c, k_self, 4);
    bool to_cross = to_self || any_trained(c, k_cross, 6);
    feed_forward_bwd(c, to_cross);
    if (to_cross)
        cross_bwd(c, to_self, context_there);
    if (to_self)
        self_bwd(c, need_dx);
}

static void ends(const counter *c)
{
    const rs_wan_config *g = c->cfg;
    int64_t patch = g->patch[0] * g->patch[1] * g->patch[2], D = g->dim;
    product(c, c->S, D, g->in_channels * patch);
    product(c, 1, D, g->freq_dim + D);
    product(c, 1, 6 * D, D);
    product(c, c->S, g->out_channels * patch, D);
}

void rs_wan_count(rs_flops *sum, const void *state, const rs_dims *dims, const rs_lora_terms *loras,
                  int64_t text_rows, int64_t image_rows, rs_counted what, int i)
{
    const wan_state *s = state;
    const rs_wan_config *g = &s->cfg;
    counter c = {.f = sum,
                 .cfg = g,
                 .loras = loras,
                 .all = dims->F / g->patch[0] * (dims->H / g->patch[1]) * (dims->W / g->patch[2]),
                 .width = dims->lane->width,
                 .U = rs_min_i64(text_rows + 1, g->text_len),
                 .I = g->image_dim ? image_rows : 0};
    rs_segments seg = rs_lane_segments(dims->lane, dims->lane->rank, c.all);
    c.S = rs_segment_rows(&seg);
    for (int k = 0; k < seg.n; k++)
        c.leaves += seg.at[k + 1] > seg.at[k];
    rs_block_policy policy = rs_kept_policy(&dims->kept, g->blocks, i);
    /* from the forward right before, or from the pass that computed the block again */
    bool context_there = i == g->blocks - 1 || policy != RS_BLOCK_STORE;
    if (what == RS_COUNT_ENDS)
        ends(&c);
    if (what == RS_COUNT_ENDS_BWD)
        product(&c, c.S, g->out_channels * g->patch[0] * g->patch[1] * g->patch[2], g->dim);
    if (what == RS_COUNT_FORWARD) {
        context(&c);
        forward(&c, true);
        linear_fwd(&c, WAN_T_FFN2);
    }
    if (what == RS_COUNT_AGAIN) {
        context(&c);
        forward(&c, policy == RS_BLOCK_RECOMPUTE);
    }
    if (what == RS_COUNT_BACKWARD || what == RS_COUNT_BACKWARD_LOWEST)
        backward(&c, what == RS_COUNT_BACKWARD, context_there);
}
