#include "model/synth.h"

#include <math.h>
#include <string.h>

#include "base/fsio.h"
#include "base/hash.h"
#include "base/rng.h"
#include "store/safetensors.h"

/* Shape of the file's tensor: in the original layout several rows may share one, in parts of its
 * first dimension. */
static rs_tensor file_tensor(rs_arena *a, const rs_layout *l, const rs_weight_row *row,
                             bool original)
{
    int64_t shape[RS_MAX_DIM];
    memcpy(shape, row->shape, sizeof shape);
    for (int64_t i = 0; original && row->original_rows[1] > 0 && i < l->n; i++) {
        const rs_weight_row *other = &l->rows[i];
        if (other->block == row->block && other->original &&
            strcmp(other->original, row->original) == 0 && other->original_rows[1] > shape[0])
            shape[0] = other->original_rows[1];
    }
    return rs_tensor_new(a, row->ndim, shape);
}

static rs_tensor as_type(rs_arena *a, rs_tensor t, rs_dtype dtype)
{
    if (dtype == RS_DTYPE_F32)
        return t;
    rs_tensor out = t;
    int64_t n = rs_tensor_count(t);
    out.dtype = dtype;
    out.data = rs_arena_alloc(a, (size_t)n, rs_dtype_size(dtype));
    rs_convert_from_f32(out.data, dtype, rs_f32(t), n);
    return out;
}

rs_status rs_synth_component(const char *dir, const char *stem, const rs_layout *layout,
                             const rs_synth_opts *opts, rs_synth_fill *fill, void *ctx)
{
    rs_arena *a = rs_arena_create();
    rs_tensor_list list = {0};
    for (int64_t i = 0; i < layout->n; i++) {
        const rs_weight_row *row = &layout->rows[i];
        if (opts->original && row->original_rows[0] > 0)
            continue; /* belongs to the tensor of the row that starts at 0 */
        for (int b = 0; b < (row->block < 0 ? 1 : layout->blocks); b++) {
            char name[RS_WEIGHT_NAME];
            rs_tensor t = file_tensor(a, layout, row, opts->original);
            rs_layout_name(name, sizeof name, row, b, opts->original);
            fill(ctx, name, t);
            rs_tensor_list_add(&list, a, name, as_type(a, t, opts->dtype));
        }
    }
    rs_status st = rs_make_dirs(dir);
    if (st == RS_OK)
        st = rs_safetensors_write_sharded(dir, stem, &list, NULL, 0,
                                          opts->shard_bytes ? opts->shard_bytes : SIZE_MAX);
    rs_arena_destroy(&a);
    return st == RS_OK ? st : rs_relay_at(st, __FILE__, __LINE__, __func__);
}

static bool ends_with(const char *s, const char *tail)
{
    size_t n = strlen(s), m = strlen(tail);
    return n >= m && strcmp(s + n - m, tail) == 0;
}

/* Mean and standard deviation of a tensor's values. */
static void moments(double *mean, double *std, const char *name, rs_tensor t)
{
    bool norm = strstr(name, "norm") && !ends_with(name, ".bias");
    int64_t fan_in = rs_tensor_count(t) / t.shape[0];
    *mean = norm || ends_with(name, ".gamma") ? 1.0 : 0.0;
    if (*mean > 0)
        *std = 0.0;
    else if (ends_with(name, ".bias") || strstr(name, "class_embedding"))
        *std = 0.02;
    else if (strstr(name, "position_embedding"))
        *std = 0.1;
    else if (ends_with(name, "shared.weight") || strstr(name, "relative_attention_bias"))
        *std = 1.0;
    else if (ends_with(name, "scale_shift_table"))
        *std = 1.0 / sqrt((double)t.shape[t.ndim - 1]);
    else
        *std = 1.0 / sqrt((double)fan_in);
}

void rs_synth_random(void *ctx, const char *name, rs_tensor t)
{
    const rs_synth_seed *s = ctx;
    double mean, std;
    uint64_t id = rs_hash64_mix(rs_hash64_string(s->component), rs_hash64_string(name));
    rs_rng r = rs_rng_stream(s->seed, id, RS_RNG_WEIGHTS, 0);
    moments(&mean, &std, name, t);
    rs_rng_fill_normal(rs_f32(t), &r, 0, rs_tensor_count(t));
    for (int64_t i = 0; i < rs_tensor_count(t); i++)
        rs_f32(t)[i] = (float)(mean + std * (double)rs_f32(t)[i]);
}
