#include <string.h>

#include "base/fp8.h"
#include "base/num.h"
#include "weights/stream_priv.h"

/* U8: e4m3 with a scale per row. */
static rs_dtype needed(const rs_wstream *w, rs_wgroup g, int i)
{
    if (g.fp8 && g.matrix[i] && rs_fp8_fits(g.t[i]))
        return RS_DTYPE_U8;
    return g.matrix[i] ? rs_device_matrix_dtype(w->dev, g.t[i].dtype) : RS_DTYPE_F32;
}

bool rs_wstream_in_place(const rs_wstream *w, rs_wgroup g, int i)
{
    const rs_tensor t = g.t[i];
    return t.dtype == needed(w, g, i) && (uintptr_t)t.data % rs_dtype_size(t.dtype) == 0 &&
           rs_device_host_memory(w->dev);
}

static size_t padded(rs_tensor t, rs_dtype dtype)
{
    size_t bytes = dtype == RS_DTYPE_U8 ? rs_fp8_bytes(rs_tensor_rows(t), rs_tensor_cols(t))
                                        : (size_t)rs_tensor_count(t) * rs_dtype_size(dtype);
    return (bytes + 63) / 64 * 64;
}

static void put(rs_wstream *w, bool host, void *dst, const void *src, size_t bytes)
{
    if (host)
        memcpy(dst, src, bytes);
    else
        rs_device_put(w->dev, dst, src, bytes);
}

/* Rows brought to 8 bits on the host, as many at a time as the stage has fp32 for, then their
 * scales. */
static void convert_fp8(rs_wstream *w, bool host, char *dst, rs_tensor src, float *stage)
{
    enum { PART = RS_WSTAGE / 2 };
    int64_t rows = rs_tensor_rows(src), cols = rs_tensor_cols(src), many = PART / cols;
    size_t from = rs_dtype_size(src.dtype);
    float *scales = rs_alloc((size_t)rows, sizeof *scales);
    RS_ASSERTF(many > 0, "weights: rows of %lld for 8 bits", (long long)cols);
    for (int64_t i = 0; i < rows; i += many) {
        int64_t n = rs_min_i64(many, rows - i);
        uint8_t *to = (uint8_t *)(stage + PART);
        rs_convert_to_f32(stage, (const char *)src.data + (size_t)(i * cols) * from, src.dtype,
                          n * cols);
        for (int64_t k = 0; k < n; k++)
            scales[i + k] = rs_fp8_row(to + k * cols, stage + k * cols, cols);
        put(w, host, dst + i * cols, to, (size_t)(n * cols));
    }
    put(w, host, dst + rs_fp8_scales_at(rows, cols), scales, (size_t)rows * sizeof *scales);
    rs_dealloc(scales);
}

/* Stored tensor -> memory, of the device or the host, of a type. */
static void convert(rs_wstream *w, bool host, void *dst, rs_dtype dtype, rs_tensor src,
                    float *stage)
{
    enum { PART = RS_WSTAGE / 2 }; /* fp32 in the first half, then the type in the second */
    int64_t n = rs_tensor_count(src);
    size_t from = rs_dtype_size(src.dtype), to = rs_dtype_size(dtype);
    if (src.dtype == dtype) {
        put(w, host, dst, src.data, (size_t)n * to);
        return;
    }
    if (dtype == RS_DTYPE_U8) {
        convert_fp8(w, host, dst, src, stage);
        return;
    }
    for (int64_t i = 0; i < n; i += PART) {
        int64_t m = rs_min_i64(PART, n - i);
        rs_convert_to_f32(stage, (const char *)src.data + (size_t)i * from, src.dtype, m);
        rs_convert_from_f32(stage + PART, dtype, stage, m);
        put(w, host, (char *)dst + (size_t)i * to, stage + PART, (size_t)m * to);
    }
}

void rs_wstream_read_group(rs_wstream *w, char *to, rs_wgroup g, float *stage)
{
    for (int i = 0; i < g.n; i++)
        if (rs_has(g.t[i])) {
            rs_dtype dtype = needed(w, g, i);
            convert(w, true, to, dtype, g.t[i], stage);
            to += padded(g.t[i], dtype);
        }
}

void rs_wstream_place_group(const rs_wstream *w, rs_tensor *out, rs_wgroup g, char *base)
{
    for (int i = 0; i < g.n; i++) {
        out[i] = g.t[i];
        if (!rs_has(g.t[i]))
            continue;
        rs_dtype dtype = needed(w, g, i);
        out[i] = rs_tensor_of(base, dtype, g.t[i].ndim, g.t[i].shape);
        base += padded(g.t[i], dtype);
    }
}

void rs_wstream_load_group(rs_wstream *w, rs_tensor *out, rs_wgroup g, char **at, bool may_map,
                           float *stage)
{
    for (int i = 0; i < g.n; i++) {
        const rs_tensor src = g.t[i];
        out[i] = src;
        if (!rs_has(src) || (may_map && rs_wstream_in_place(w, g, i)))
            continue;
        rs_dtype dtype = needed(w, g, i);
        convert(w, false, *at, dtype, src, stage);
        out[i] = rs_tensor_of(*at, dtype, src.ndim, src.shape);
        *at += padded(src, dtype);
    }
}

size_t rs_wstream_group_bytes(const rs_wstream *w, rs_wgroup g, bool may_map)
{
    size_t bytes = 0;
    for (int i = 0; i < g.n; i++)
        if (rs_has(g.t[i]) && !(may_map && rs_wstream_in_place(w, g, i)))
            bytes += padded(g.t[i], needed(w, g, i));
    return bytes;
}

rs_wgroup rs_wstream_group(const rs_wstream *w, int block)
{
    return (rs_wgroup){rs_wstream_file_block(w, block), w->block_matrix, w->layout->block_slots,
                       w->layout->fp8 && rs_device_fp8(w->dev)};
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
    rs_wgroup g = {src, w->global_matrix, l->global_slots, false};
    RS_TRY(rs_wstream_memory(w, &w->global_memory, rs_wstream_group_bytes(w, g, may_map)));
    char *at = w->global_memory;
    rs_wstream_load_group(w, w->globals, g, &at, may_map, w->stage[0]);
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
        bytes += rs_wstream_group_bytes(w, rs_wstream_group(w, b), false);
    RS_TRY(rs_wstream_memory(w, &w->resident_memory, bytes));
    char *at = w->resident_memory;
    for (int b = 0; b < w->layout->blocks; b++)
        rs_wstream_load_group(w, &w->resident[(int64_t)b * w->layout->block_slots],
                              rs_wstream_group(w, b), &at, false, w->stage[0]);
    return RS_OK;
}
