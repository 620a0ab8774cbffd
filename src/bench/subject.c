#include "bench/subject.h"

#include <math.h>
#include <string.h>

#include "base/num.h"
#include "base/rng.h"
#include "device/queue.h"

enum { FRAMES = 4, IMAGE_ROWS = 1 };
static const float k_time = 500.0f;

void rs_subject_grid(int64_t grid[3], int64_t tokens)
{
    int64_t side = (int64_t)ceil(sqrt((double)tokens / FRAMES));
    grid[0] = FRAMES;
    grid[1] = grid[2] = side;
}

static rs_tensor values(rs_arena *a, const char *name, int ndim, const int64_t *shape)
{
    rs_tensor t = rs_tensor_new(a, ndim, shape);
    rs_fill_rule(rs_f32(t), name, 0, rs_tensor_count(t), 1.0, 0.0);
    return t;
}

static rs_status set_adapter(rs_subject *s, const rs_subject_opts *o)
{
    int n;
    const float one = 1.0f;
    const char *const *targets = rs_adapter_default_targets(&n);
    if (o->rank == 0)
        return RS_OK;
    RS_TRY(rs_adapter_create(&s->a, s->m, o->rank, (float)o->rank, targets, n, o->training));
    rs_adapter_init(s->a, 1, 1);
    return rs_denoiser_set_adapters(s->m, &s->a, &one, 1);
}

/* A twentieth of the device stays free: conditions, and what its libraries take when they run. */
static void keep_what_fits(rs_denoiser *m, rs_device *d, int64_t F, int64_t H, int64_t W)
{
    size_t room, all;
    rs_device_room(d, &room, &all);
    room -= room < all / 20 ? room : all / 20;
    for (int64_t n = rs_denoiser_get_info(m)->blocks; n >= 1; n--) {
        rs_denoiser_set_kept(m, (rs_kept){.store = n});
        if (rs_denoiser_plan(m, F, H, W, true) <= room)
            return;
    }
}

rs_status rs_subject_open(rs_subject *s, rs_arena *a, rs_device *d, const rs_subject_opts *o)
{
    RS_TRY(rs_denoiser_open(&s->m, d, o->model, &o->denoiser));
    const rs_denoiser_info *i = rs_denoiser_get_info(s->m);
    int64_t F = o->grid[0] * i->patch[0], H = o->grid[1] * i->patch[1],
            W = o->grid[2] * i->patch[2];
    rs_tensor y = {0}, image = {0};
    if (i->cond_channels > 0)
        y = values(a, "y", RS_SHAPE(i->cond_channels, F, H, W));
    if (i->image_dim > 0)
        image = values(a, "image", RS_SHAPE(rs_max_i64(IMAGE_ROWS, i->image_len), i->image_dim));
    rs_tensor text = values(a, "text", RS_SHAPE(o->text_rows, i->text_dim));
    s->x = values(a, "x", RS_SHAPE(i->out_channels, F, H, W));
    s->target = values(a, "target", RS_SHAPE(i->out_channels, F, H, W));
    s->v = rs_tensor_new(a, RS_SHAPE(i->out_channels, F, H, W));
    RS_TRY(set_adapter(s, o));
    if (o->fit && o->training)
        keep_what_fits(s->m, d, F, H, W);
    RS_TRY(rs_denoiser_bind(s->m, F, H, W, o->training));
    return rs_denoiser_cond_create(&s->cond, s->m, y, text, image);
}

void rs_subject_close(rs_subject *s)
{
    rs_denoiser_cond_destroy(&s->cond);
    rs_adapter_destroy(&s->a);
    rs_denoiser_close(&s->m);
}

rs_status rs_subject_train(rs_subject *s, float *loss)
{
    rs_tensor none = {0};
    return rs_denoiser_loss_grad(s->m, loss, none, s->x, k_time, s->target, s->cond);
}

rs_status rs_subject_sample(rs_subject *s)
{
    return rs_denoiser_forward(s->m, s->v, s->x, k_time, s->cond);
}

bool rs_subject_same_gradients(const rs_subject *x, const rs_subject *y)
{
    rs_arena *a = rs_arena_create();
    rs_tensor_list p = {0}, q = {0};
    rs_adapter_export(x->a, &p, a, false, true);
    rs_adapter_export(y->a, &q, a, false, true);
    bool same = p.n == q.n;
    for (int64_t i = 0; same && i < p.n; i++)
        same = memcmp(p.items[i].t.data, q.items[i].t.data, rs_tensor_bytes(p.items[i].t)) == 0;
    rs_arena_destroy(&a);
    return same;
}
