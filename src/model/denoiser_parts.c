/* What a denoiser pass is given besides the latent: the condition and the adapters. */
#include "model/denoiser_priv.h"

#include <string.h>

#include "base/num.h"

/* ---- condition ---- */

static rs_status check_rows(const char *name, rs_tensor t, int64_t cols, int64_t most)
{
    char text[RS_TENSOR_TEXT];
    if (t.ndim != 2 || t.shape[1] != cols || t.dtype != RS_DTYPE_F32 || t.shape[0] < 1 ||
        (most > 0 && t.shape[0] > most) || !rs_tensor_contiguous(t))
        return RS_FAIL(INPUT, "condition: %s is %s; expected rows of %lld values%s", name,
                       rs_has(t) ? rs_tensor_text(text, t) : "missing", (long long)cols,
                       most > 0 ? ", no more than the text length" : "");
    return RS_OK;
}

static rs_status check_cond(const rs_denoiser *m, rs_tensor y, rs_tensor text, rs_tensor image)
{
    char t[RS_TENSOR_TEXT];
    const rs_denoiser_info *n = &m->info;
    RS_TRY(check_rows("text", text, n->text_dim, n->text_len));
    if (n->image_dim > 0)
        RS_TRY(check_rows("image", image, n->image_dim, 0));
    if (n->cond_channels > 0 &&
        (y.ndim != 4 || y.shape[0] != n->cond_channels || y.dtype != RS_DTYPE_F32))
        return RS_FAIL(INPUT, "condition: y is %s; expected [%lld,F,H,W]",
                       rs_has(y) ? rs_tensor_text(t, y) : "missing", (long long)n->cond_channels);
    return RS_OK;
}

static void bind_cond(void *object, rs_carver *c)
{
    rs_denoiser_cond *o = object;
    const rs_denoiser *m = o->model;
    if (m->info.cond_channels > 0)
        o->y = rs_carve(c, RS_DTYPE_F32,
                        RS_SHAPE(m->info.cond_channels, o->size[0], o->size[1], o->size[2]));
    m->family->bind_cond(m->state, o->encoded, c, m->dims.activation, o->text_rows, o->image_rows);
}

static rs_status cond_create_local(rs_denoiser_cond **out, rs_denoiser *m, rs_tensor y,
                                   rs_tensor text, rs_tensor image)
{
    rs_status st = RS_OK;
    RS_TRY(check_cond(m, y, text, image));
    rs_denoiser_cond *c = rs_alloc(1, sizeof *c);
    c->model = m;
    c->encoded = rs_alloc(1, m->family->cond_size);
    c->text_rows = text.shape[0];
    c->image_rows = m->info.image_dim > 0 ? image.shape[0] : 0;
    for (int i = 0; i < 3 && m->info.cond_channels > 0; i++)
        c->size[i] = y.shape[i + 1];
    if (c->image_rows > m->dims.image_rows) {
        m->dims.image_rows = c->image_rows;
        if (m->bound)
            RS_TRY_OUT(rs_denoiser_rebind(m));
    }
    RS_TRY_OUT(rs_pool_bind(&c->pool, m->dev, bind_cond, c));
    if (rs_has(c->y))
        rs_device_put(m->dev, c->y.data, y.data, rs_tensor_bytes(y));
    m->family->encode_cond(m->state, c->encoded, m->dev, rs_wstream_globals(m->weights), c->y, text,
                           image);
    RS_TRY_OUT(rs_device_check(m->dev));
    *out = c;
    c = NULL;
out:
    rs_denoiser_cond_destroy(&c);
    return st;
}

rs_status rs_denoiser_cond_create(rs_denoiser_cond **out, rs_denoiser *m, rs_tensor y,
                                  rs_tensor text, rs_tensor image)
{
    rs_denoiser_cond *c = NULL;
    rs_status st = rs_lane_agree(&m->lane, cond_create_local(&c, m, y, text, image));
    if (st != RS_OK)
        rs_denoiser_cond_destroy(&c);
    else
        *out = c;
    return st;
}

void rs_denoiser_cond_destroy(rs_denoiser_cond **c)
{
    if (!c || !*c)
        return;
    rs_pool_release(&(*c)->pool);
    rs_dealloc((*c)->encoded);
    rs_dealloc(*c);
    *c = NULL;
}

/* ---- adapters ---- */

static const rs_weight_row *weight_of_target(const rs_denoiser *m, int target)
{
    for (int64_t i = 0; i < m->layout.n; i++)
        if (m->layout.rows[i].block >= 0 &&
            m->layout.rows[i].slot == m->family->targets[target].slot)
            return &m->layout.rows[i];
    return NULL;
}

static rs_status check_item(const rs_denoiser *m, const rs_lora *l)
{
    const rs_weight_row *row = l->block < m->info.blocks && l->target < m->family->n_targets
                                   ? weight_of_target(m, l->target)
                                   : NULL;
    if (!row || row->shape[0] != rs_tensor_rows(l->b) || row->shape[1] != rs_tensor_cols(l->a))
        return RS_FAIL(MODEL, "adapter: %s does not fit this model", l->module);
    return RS_OK;
}

/* Appends the items of one adapter; every (block, target) has room for all adapters. */
static void add_terms(rs_lora_set *set, const rs_denoiser *m, const rs_adapter *a, float weight)
{
    for (int64_t i = 0; i < a->n; i++) {
        const rs_lora *l = &a->items[i];
        int64_t at = (int64_t)l->block * m->family->n_targets + l->target;
        set->terms[at * set->room + set->loras[at].n++] = (rs_lora_term){
            .a = l->a,
            .b = l->b,
            .ga = l->ga,
            .gb = l->gb,
            .scale = weight * a->alpha / (float)a->rank,
        };
    }
}

static rs_lora_set empty_set(rs_arena *a, const rs_denoiser *m, int room)
{
    int64_t n = m->info.blocks * m->family->n_targets;
    rs_lora_set set = {.room = room, .first_trained = (int)m->info.blocks};
    set.loras = RS_NEW(a, rs_lora_terms, n);
    set.terms = RS_NEW(a, rs_lora_term, n * room);
    for (int64_t i = 0; i < n; i++)
        set.loras[i].terms = set.terms + i * room;
    return set;
}

static bool has_gradients(const rs_adapter *a)
{
    return a->n > 0 && rs_has(a->items[0].ga);
}

rs_status rs_lora_set_make(rs_lora_set *out, rs_arena *a, const rs_denoiser *m,
                           rs_adapter *const *adapters, const float *weights, int n)
{
    for (int k = 0; k < n; k++)
        for (int64_t i = 0; i < adapters[k]->n; i++)
            RS_TRY(check_item(m, &adapters[k]->items[i]));
    rs_lora_set set = empty_set(a, m, n);
    int with_gradients = 0;
    for (int k = 0; k < n; k++) {
        add_terms(&set, m, adapters[k], weights[k]);
        set.rank = rs_max_i64(set.rank, adapters[k]->rank);
        with_gradients += has_gradients(adapters[k]);
    }
    if (with_gradients == 1 && weights[n - 1] == 1.0f && has_gradients(adapters[n - 1])) {
        set.trainable = true;
        set.first_trained = adapters[n - 1]->items[0].block;
    }
    *out = set;
    return RS_OK;
}

rs_status rs_denoiser_grow_rank(rs_denoiser *m, int64_t rank)
{
    if (rank <= m->dims.rank)
        return RS_OK;
    m->dims.rank = rank;
    return m->bound ? rs_denoiser_rebind(m) : RS_OK;
}

static rs_status set_adapters_local(rs_denoiser *m, rs_adapter *const *adapters,
                                    const float *weights, int n)
{
    rs_lora_set set;
    rs_arena *a = rs_arena_create();
    rs_status st = rs_lora_set_make(&set, a, m, adapters, weights, n);
    if (st != RS_OK) {
        rs_arena_destroy(&a);
        return rs_relay_at(st, __FILE__, __LINE__, __func__);
    }
    rs_arena_destroy(&m->lora_arena);
    m->lora_arena = a;
    m->loras = set.loras;
    m->trainable = set.trainable;
    m->first_trained = set.first_trained;
    return rs_denoiser_grow_rank(m, set.rank);
}

rs_status rs_denoiser_set_adapters(rs_denoiser *m, rs_adapter *const *adapters,
                                   const float *weights, int n)
{
    return rs_lane_agree(&m->lane, set_adapters_local(m, adapters, weights, n));
}

int64_t rs_denoiser_block_factors(const rs_denoiser *m, int64_t rank)
{
    int64_t n = 0;
    for (int t = 0; t < m->family->n_targets; t++) {
        const rs_weight_row *row = weight_of_target(m, t);
        if (row)
            n += rank * (row->shape[0] + row->shape[1]);
    }
    return n;
}
