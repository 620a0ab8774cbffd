#include "media/sheet.h"

#include <string.h>

#include "base/num.h"
#include "media/image.h"

enum { GAP = 4, TEXT_SCALE = 2, TEXT_LINE = 7 * TEXT_SCALE + 6, NUMBER_LINE = 7 + 4 };

static const uint8_t k_ground[3] = {24, 24, 28};
static const uint8_t k_ink[3] = {235, 235, 235};
static const uint8_t k_dim[3] = {150, 150, 160};

typedef struct row {
    struct row *next;
    const char *text;
    int64_t tiles; /* 0: text only */
    int64_t w, h;  /* of a tile */
    uint8_t **rgb; /* [tiles] (h, w, 3) */
    int64_t *number;
} row;

struct rs_sheet {
    rs_arena *arena;
    int64_t columns, tile_width;
    row *first, *last;
};

rs_sheet *rs_sheet_create(rs_arena *a, int64_t columns, int64_t tile_width)
{
    RS_ASSERT(columns > 0 && tile_width > 0);
    rs_sheet *s = RS_NEW(a, rs_sheet, 1);
    *s = (rs_sheet){.arena = a, .columns = columns, .tile_width = tile_width};
    return s;
}

static row *add_row(rs_sheet *s, const char *text)
{
    row *r = RS_NEW(s->arena, row, 1);
    r->text = rs_arena_strdup(s->arena, text);
    if (s->last)
        s->last->next = r;
    else
        s->first = r;
    s->last = r;
    return r;
}

void rs_sheet_text(rs_sheet *s, const char *line)
{
    add_row(s, line);
}

/* Mean of the source pixels under each tile pixel (at least one); exact repeats when the tile is
 * larger. */
static void scale_tile(uint8_t *dst, int64_t w, int64_t h, const uint8_t *src, int64_t src_w,
                       int64_t src_h, int channels)
{
    for (int64_t y = 0; y < h; y++) {
        int64_t y0 = y * src_h / h, y1 = rs_max_i64(y0 + 1, (y + 1) * src_h / h);
        for (int64_t x = 0; x < w; x++) {
            int64_t x0 = x * src_w / w, x1 = rs_max_i64(x0 + 1, (x + 1) * src_w / w);
            int64_t sum[3] = {0, 0, 0}, n = (y1 - y0) * (x1 - x0);
            for (int64_t v = y0; v < y1; v++)
                for (int64_t u = x0; u < x1; u++)
                    for (int c = 0; c < 3; c++)
                        sum[c] += src[(v * src_w + u) * channels + (channels == 3 ? c : 0)];
            for (int c = 0; c < 3; c++)
                *dst++ = (uint8_t)((sum[c] + n / 2) / n);
        }
    }
}

int64_t rs_sheet_choose(int64_t *frames, int64_t n, int64_t columns)
{
    int64_t tiles = rs_min_i64(n, columns), last = rs_max_i64(tiles - 1, 1);
    for (int64_t i = 0; i < tiles; i++)
        frames[i] = n > columns ? (i * (n - 1) + last / 2) / last : i;
    return tiles;
}

void rs_sheet_strip(rs_sheet *s, const char *label, rs_tensor frames, const int64_t *numbers)
{
    RS_ASSERTF(frames.dtype == RS_DTYPE_U8 && rs_tensor_contiguous(frames) &&
                   (frames.ndim == 3 || (frames.ndim == 4 && frames.shape[3] == 3)) &&
                   rs_tensor_count(frames) > 0,
               "strip of a U8 (T,h,w,3) or (T,h,w) tensor");
    int channels = frames.ndim == 4 ? 3 : 1;
    int64_t n = frames.shape[0], src_h = frames.shape[1], src_w = frames.shape[2];
    row *r = add_row(s, label);
    int64_t *chosen = RS_NEW(s->arena, int64_t, s->columns);
    r->tiles = rs_sheet_choose(chosen, n, s->columns);
    r->w = src_w > s->tile_width ? s->tile_width : src_w * (s->tile_width / src_w);
    r->h = rs_max_i64(1, (src_h * r->w + src_w / 2) / src_w);
    r->rgb = RS_NEW(s->arena, uint8_t *, r->tiles);
    r->number = RS_NEW(s->arena, int64_t, r->tiles);
    for (int64_t i = 0; i < r->tiles; i++) {
        int64_t t = chosen[i];
        r->number[i] = numbers ? numbers[t] : t;
        r->rgb[i] = RS_NEW(s->arena, uint8_t, r->w * r->h * 3);
        scale_tile(r->rgb[i], r->w, r->h, rs_tensor_slice(frames, t, t + 1).data, src_w, src_h,
                   channels);
    }
}

static int64_t row_height(const row *r)
{
    return TEXT_LINE + (r->tiles ? NUMBER_LINE + r->h + GAP : 0);
}

static void draw_row(rs_tensor sheet, rs_arena *scratch, const row *r, int64_t y)
{
    rs_draw_text(sheet, GAP, y + 3, TEXT_SCALE, r->text, k_ink);
    y += TEXT_LINE;
    for (int64_t i = 0; i < r->tiles; i++) {
        int64_t x = GAP + i * (r->w + GAP);
        rs_draw_text(sheet, x, y, 1, rs_arena_printf(scratch, "%lld", (long long)r->number[i]),
                     k_dim);
        for (int64_t v = 0; v < r->h; v++)
            memcpy((uint8_t *)sheet.data + ((y + NUMBER_LINE + v) * sheet.shape[1] + x) * 3,
                   r->rgb[i] + v * r->w * 3, (size_t)(r->w * 3));
    }
}

rs_tensor rs_sheet_render(rs_arena *a, const rs_sheet *s)
{
    int64_t w = 64, h = GAP;
    for (const row *r = s->first; r; r = r->next) {
        int64_t text = r->tiles ? 0 : (int64_t)strlen(r->text) * 6 * TEXT_SCALE + GAP;
        w = rs_max_i64(w, GAP + rs_max_i64(text, r->tiles * (r->w + GAP)));
        h += row_height(r);
    }
    h = rs_max_i64(h, TEXT_LINE);
    uint8_t *p = rs_arena_alloc(a, (size_t)(w * h * 3), 1);
    rs_tensor sheet = rs_tensor_of(p, RS_DTYPE_U8, RS_SHAPE(h, w, 3));
    for (int64_t i = 0; i < w * h; i++)
        memcpy(p + i * 3, k_ground, 3);
    int64_t y = GAP;
    for (const row *r = s->first; r; y += row_height(r), r = r->next)
        draw_row(sheet, a, r, y);
    return sheet;
}

rs_status rs_sheet_write(const char *path, const rs_sheet *s)
{
    rs_arena *a = rs_arena_create();
    rs_status st = rs_image_write_png(path, rs_sheet_render(a, s));
    rs_arena_destroy(&a);
    return st;
}
