#include <string.h>

#include "base/num.h"
#include "weights/stream_priv.h"

bool rs_wstream_in_place(const rs_wstream *w, rs_tensor t)
{
    return t.dtype == RS_DTYPE_F32 && (uintptr_t)t.data % sizeof(float) == 0 &&
           strcmp(rs_device_backend(w->dev), "cpu") == 0;
}

static size_t padded(rs_tensor t)
{
    return ((size_t)rs_tensor_count(t) * sizeof(float) + 63) / 64 * 64;
}

/* File tensor -> fp32 device memory. */
static void convert(rs_wstream *w, void *dst, rs_tensor src, float *stage)
{
    int64_t n = rs_tensor_count(src);
    if (src.dtype == RS_DTYPE_F32) {
        rs_device_put(w->dev, dst, src.data, (size_t)n * sizeof(float));
        return;
    }
    size_t size = rs_dtype_size(src.dtype);
    for (int64_t i = 0; i < n; i += RS_WSTAGE) {
        int64_t m = rs_min_i64(RS_WSTAGE, n - i);
        rs_convert_to_f32(stage, (const char *)src.data + (size_t)i * size, src.dtype, m);
        rs_device_put(w->dev, (float *)dst + i, stage, (size_t)m * sizeof(float));
    }
}

void rs_wstream_load_group(rs_wstream *w, rs_tensor *out, const rs_tensor *src, int n, char **at,
                           bool may_map, float *stage)
{
    for (int i = 0; i < n; i++) {
        out[i] = src[i];
        if (!rs_has(src[i]) || (may_map && rs_wstream_in_place(w, src[i])))
            continue;
        convert(w, *at, src[i], stage);
        out[i] = rs_tensor_of(*at, RS_DTYPE_F32, src[i].ndim, src[i].shape);
        *at += padded(src[i]);
    }
}

size_t rs_wstream_group_bytes(const rs_wstream *w, const rs_tensor *src, int n, bool may_map)
{
    size_t bytes = 0;
    for (int i = 0; i < n; i++)
        bytes +=
            rs_has(src[i]) && !(may_map && rs_wstream_in_place(w, src[i])) ? padded(src[i]) : 0;
    return bytes;
}

const rs_tensor *rs_wstream_file_block(const rs_wstream *w, int block)
{
    return &w->map.blocks[(int64_t)block * w->layout->block_slots];
}

rs_status rs_wstream_memory(rs_wstream *w, void **out, size_t bytes)
{
    if (bytes == 0)
        return RS_OK;
    RS_TRY(rs_device_alloc(w->dev, out, bytes));
    w->bytes += bytes;
    return RS_OK;
}

/* Globals that are not raw; with any other home than resident in place if possible. */
rs_status rs_wstream_load_globals(rs_wstream *w)
{
    const rs_layout *l = w->layout;
    bool may_map = w->home != RS_HOME_RESIDENT;
    rs_tensor *src = RS_NEW(w->arena, rs_tensor, l->global_slots);
    w->globals = RS_NEW(w->arena, rs_tensor, l->global_slots);
    memcpy(src, w->map.globals, (size_t)l->global_slots * sizeof *src);
    for (int64_t i = 0; i < l->n; i++)
        if (l->rows[i].block < 0 && l->rows[i].raw)
            src[l->rows[i].slot].ndim = 0;
    RS_TRY(rs_wstream_memory(w, &w->global_memory,
                             rs_wstream_group_bytes(w, src, l->global_slots, may_map)));
    char *at = w->global_memory;
    rs_wstream_load_group(w, w->globals, src, l->global_slots, &at, may_map, w->stage[0]);
    for (int64_t i = 0; i < l->n; i++)
        if (l->rows[i].block < 0 && l->rows[i].raw)
            w->globals[l->rows[i].slot] = w->map.globals[l->rows[i].slot];
    return RS_OK;
}

rs_status rs_wstream_load_resident(rs_wstream *w)
{
    int64_t n = (int64_t)w->layout->blocks * w->layout->block_slots;
    w->resident = RS_NEW(w->arena, rs_tensor, n);
    size_t bytes = 0;
    for (int b = 0; b < w->layout->blocks; b++)
        bytes +=
            rs_wstream_group_bytes(w, rs_wstream_file_block(w, b), w->layout->block_slots, false);
    RS_TRY(rs_wstream_memory(w, &w->resident_memory, bytes));
    char *at = w->resident_memory;
    for (int b = 0; b < w->layout->blocks; b++)
        rs_wstream_load_group(w, &w->resident[(int64_t)b * w->layout->block_slots],
                              rs_wstream_file_block(w, b), w->layout->block_slots, &at, false,
                              w->stage[0]);
    return RS_OK;
}
