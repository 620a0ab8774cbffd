#include "weights/files.h"

#include <fnmatch.h>

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

/* Adds a group of tensors; returns the device bytes of those that are not used in place. *image:
 * all of them as they are. */
static size_t add_group(rs_weight_files *f, size_t *image, const rs_tensor *t, int64_t n)
{
    size_t bytes = 0;
    *image = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!rs_has(t[i]))
            continue;
        f->stored += (int64_t)rs_tensor_bytes(t[i]);
        *image += padded(rs_tensor_bytes(t[i]));
        if (t[i].dtype == RS_DTYPE_F32 && (uintptr_t)t[i].data % sizeof(float) == 0)
            continue;
        f->in_place = false;
        bytes += padded((size_t)rs_tensor_count(t[i]) * sizeof(float));
    }
    return bytes;
}

static void look(rs_weight_files *f, rs_weight_map *map, const rs_layout *l)
{
    size_t image;
    *f = (rs_weight_files){.present = true, .in_place = true};
    for (int64_t i = 0; i < l->n; i++)
        if (l->rows[i].block < 0 && l->rows[i].raw)
            map->globals[l->rows[i].slot].ndim = 0; /* stays in the file */
    f->outside = add_group(f, &image, map->globals, l->global_slots);
    for (int b = 0; b < l->blocks; b++) {
        size_t block =
            add_group(f, &image, &map->blocks[(int64_t)b * l->block_slots], l->block_slots);
        f->block = block > f->block ? block : f->block;
        f->image = image > f->image ? image : f->image;
    }
    f->mapped = f->outside + 2 * f->block;
}

/* Without files: nothing in place, two bytes a value. */
static void assume(rs_weight_files *f, const rs_layout *l)
{
    rs_layout_sizes s = rs_layout_bytes(l);
    *f = (rs_weight_files){
        .outside = s.outside, .block = s.block, .mapped = s.outside + 2 * s.block};
    for (int64_t i = 0; i < l->n; i++)
        if (l->rows[i].block >= 0)
            f->image += padded((size_t)rs_weight_row_params(&l->rows[i]) * 2);
}

rs_status rs_weights_look(rs_weight_files *out, const char *path, const rs_layout *layout)
{
    rs_status st = RS_OK;
    rs_arena *a = rs_arena_create();
    rs_weights_file *file = NULL;
    rs_weight_map map;
    bool present;
    assume(out, layout);
    RS_TRY_OUT(any_weights(&present, a, path));
    if (!present)
        goto out;
    RS_TRY_OUT(rs_weights_file_open(&file, path));
    RS_TRY_OUT(rs_weight_map_make(&map, a, file, layout));
    look(out, &map, layout);
out:
    rs_weights_file_close(&file);
    rs_arena_destroy(&a);
    return st;
}
