#include "weights/files.h"

#include <fnmatch.h>

#include "base/fp8.h"
#include "base/fsio.h"
#include "weights/names.h"

static rs_status any_weights(bool *found, rs_arena *a, const char *path)
{
    static const char *const k_names[] = {"*.safetensors", "*.pth", "*.pt"};
    char **names;
    int64_t n = 0;
    *found = rs_path_exists(path);
    if (!rs_path_is_dir(path))
        return RS_OK;
    *found = false;
    RS_TRY(rs_list_dir(&names, &n, a, path));
    for (int64_t i = 0; i < n; i++)
        for (size_t k = 0; k < sizeof k_names / sizeof *k_names; k++)
            *found = *found || fnmatch(k_names[k], names[i], 0) == 0;
    return RS_OK;
}

static size_t padded(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

/* Adds a group of tensors. Returns the device bytes of those that are not used in place, *image: of
 * all as they are stored, *whole: of all as they are needed. */
static size_t add_group(rs_weight_files *f, size_t *image, size_t *whole, const rs_device *d,
                        const rs_tensor *t, const bool *matrix, int64_t n, bool fp8)
{
    size_t bytes = 0;
    *image = *whole = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!rs_has(t[i]))
            continue;
        rs_dtype type = matrix[i] ? rs_device_matrix_dtype(d, t[i].dtype) : RS_DTYPE_F32;
        size_t need = padded((size_t)rs_tensor_count(t[i]) * rs_dtype_size(type));
        if (fp8 && matrix[i] && rs_fp8_fits(t[i])) {
            type = RS_DTYPE_U8;
            need = padded(rs_fp8_bytes(t[i].shape[0], t[i].shape[1]));
        }
        f->stored += (int64_t)rs_tensor_bytes(t[i]);
        *image += padded(rs_tensor_bytes(t[i]));
        *whole += need;
        if (t[i].dtype == type && (uintptr_t)t[i].data % rs_dtype_size(type) == 0)
            continue;
        f->in_place = f->in_place && !matrix[i];
        bytes += need;
    }
    return bytes;
}

static void look(rs_weight_files *f, rs_arena *a, const rs_device *d, rs_weight_map *map,
                 const rs_layout *l)
{
    size_t image, whole;
    *f = (rs_weight_files){.present = true, .in_place = true};
    for (int64_t i = 0; i < l->n; i++)
        if (l->rows[i].block < 0 && l->rows[i].raw)
            map->globals[l->rows[i].slot].ndim = 0; /* stays in the file */
    f->outside = add_group(f, &image, &f->whole, d, map->globals, rs_layout_matrices(l, a, false),
                           l->global_slots, false);
    f->in_place = true; /* is about the blocks */
    f->outside_whole = f->whole;
    const bool *matrix = rs_layout_matrices(l, a, true);
    for (int b = 0; b < l->blocks; b++) {
        size_t block = add_group(f, &image, &whole, d, &map->blocks[(int64_t)b * l->block_slots],
                                 matrix, l->block_slots, l->fp8 && rs_device_fp8(d));
        f->block = block > f->block ? block : f->block;
        f->image = image > f->image ? image : f->image;
        f->block_whole = whole > f->block_whole ? whole : f->block_whole;
        f->whole += whole;
    }
    f->mapped = f->outside + 2 * f->block;
}

/* Without files: as if they were bf16. */
static void assume(rs_weight_files *f, const rs_device *d, const rs_layout *l)
{
    *f = (rs_weight_files){.in_place = true};
    for (int64_t i = 0; i < l->n; i++) {
        const rs_weight_row *r = &l->rows[i];
        size_t n = (size_t)rs_weight_row_params(r), bf16 = padded(n * 2), fp32 = padded(n * 4);
        if (r->block >= 0 && r->matrix && l->fp8 && rs_device_fp8(d) && r->ndim == 2)
            bf16 = padded(rs_fp8_bytes(r->shape[0], r->shape[1]));
        if (r->block < 0 && r->raw)
            continue;
        f->whole += (r->matrix ? bf16 : fp32) * (r->block < 0 ? 1 : (size_t)l->blocks);
        f->image += r->block < 0 ? 0 : bf16;
        f->outside_whole += r->block < 0 ? (r->matrix ? bf16 : fp32) : 0;
        f->block_whole += r->block >= 0 ? (r->matrix ? bf16 : fp32) : 0;
        f->outside += r->block < 0 && !r->matrix ? fp32 : 0;
        f->block += r->block >= 0 && !r->matrix ? fp32 : 0;
    }
    f->mapped = f->outside + 2 * f->block;
}

rs_status rs_weights_look(rs_weight_files *out, const rs_device *d, const char *path,
                          const rs_layout *layout)
{
    rs_status st = RS_OK;
    rs_arena *a = rs_arena_create();
    rs_weights_file *file = NULL;
    rs_weight_map map;
    bool present;
    assume(out, d, layout);
    RS_TRY_OUT(any_weights(&present, a, path));
    if (!present)
        goto out;
    RS_TRY_OUT(rs_weights_file_open(&file, path));
    RS_TRY_OUT(rs_weight_map_make(&map, a, file, layout));
    look(out, a, d, &map, layout);
out:
    if (!rs_device_host_memory(d)) {
        out->in_place = false;
        out->outside = out->outside_whole;
        out->block = out->block_whole;
        out->mapped = out->outside + 2 * out->block;
    }
    rs_weights_file_close(&file);
    rs_arena_destroy(&a);
    return st;
}
