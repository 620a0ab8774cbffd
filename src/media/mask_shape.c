#include <string.h>

#include "base/num.h"
#include "media/mask.h"

typedef struct box {
    int64_t x0, y0, x1, y1; /* inclusive */
} box;

typedef struct point {
    int32_t x, y;
} point;

/* Bounding box of the 8-connected component at (x, y); its pixels become 1. The stack holds each
 * pixel at most once because a pixel is marked when pushed. */
static box take_component(uint8_t *mask, point *stack, int64_t height, int64_t width, int64_t x,
                          int64_t y)
{
    box b = {x, y, x, y};
    int64_t depth = 0;
    stack[depth++] = (point){(int32_t)x, (int32_t)y};
    mask[y * width + x] = 1;
    while (depth) {
        point p = stack[--depth];
        b.x0 = rs_min_i64(b.x0, p.x);
        b.x1 = rs_max_i64(b.x1, p.x);
        b.y0 = rs_min_i64(b.y0, p.y);
        b.y1 = rs_max_i64(b.y1, p.y);
        for (int64_t v = rs_max_i64(p.y - 1, 0); v <= rs_min_i64(p.y + 1, height - 1); v++) {
            for (int64_t u = rs_max_i64(p.x - 1, 0); u <= rs_min_i64(p.x + 1, width - 1); u++) {
                if (mask[v * width + u] != 255)
                    continue;
                mask[v * width + u] = 1;
                stack[depth++] = (point){(int32_t)u, (int32_t)v};
            }
        }
    }
    return b;
}

static void paint_grown(uint8_t *out, box b, int64_t height, int64_t width, const rs_mask_opts *o)
{
    int64_t w = b.x1 - b.x0 + 1, h = b.y1 - b.y0 + 1;
    if (w * h < o->min_area)
        return;
    int64_t ew = (int64_t)(o->grow * (double)w), eh = (int64_t)(o->grow * (double)h);
    int64_t x = rs_max_i64(0, b.x0 - ew / 2), y = rs_max_i64(0, b.y0 - eh / 2);
    int64_t nw = rs_min_i64(width - x, w + ew), nh = rs_min_i64(height - y, h + eh);
    for (int64_t v = y; v < y + nh; v++)
        memset(out + v * width + x, 255, (size_t)nw);
}

static void shape_boxes(uint8_t *mask, rs_arena *scratch, int64_t height, int64_t width,
                        const rs_mask_opts *o)
{
    size_t bytes = (size_t)(height * width);
    uint8_t *out = rs_arena_alloc(scratch, bytes, 1);
    point *stack = RS_NEW(scratch, point, height * width);
    for (int64_t y = 0; y < height; y++)
        for (int64_t x = 0; x < width; x++)
            if (mask[y * width + x] == 255)
                paint_grown(out, take_component(mask, stack, height, width, x, y), height, width,
                            o);
    memcpy(mask, out, bytes);
}

static bool any_in(const uint8_t *mask, int64_t width, int64_t y0, int64_t y1, int64_t x0,
                   int64_t x1)
{
    for (int64_t y = y0; y < y1; y++)
        if (x1 > x0 && memchr(mask + y * width + x0, 255, (size_t)(x1 - x0)))
            return true;
    return false;
}

static void shape_grid(uint8_t *mask, int64_t height, int64_t width, int64_t cells)
{
    for (int64_t i = 0; i < cells; i++) {
        int64_t y0 = i * height / cells, y1 = (i + 1) * height / cells;
        for (int64_t j = 0; j < cells; j++) {
            int64_t x0 = j * width / cells, x1 = (j + 1) * width / cells;
            if (!any_in(mask, width, y0, y1, x0, x1))
                continue;
            for (int64_t y = y0; y < y1; y++)
                memset(mask + y * width + x0, 255, (size_t)(x1 - x0));
        }
    }
}

void rs_mask_shape_frame(uint8_t *mask, rs_arena *scratch, int64_t height, int64_t width,
                         const rs_mask_opts *o)
{
    rs_arena_mark mark = rs_arena_get_mark(scratch);
    switch (o->shape) {
    case RS_MASK_EXACT:
        break;
    case RS_MASK_BOX:
        shape_boxes(mask, scratch, height, width, o);
        break;
    case RS_MASK_GRID:
        shape_grid(mask, height, width, o->cells);
        break;
    }
    rs_arena_release(scratch, mark);
}
