#include "harness/sheets.h"

#include <string.h>

#include "harness/test.h"
#include "media/sheet.h"

int64_t t_sheet_find_picture(rs_tensor sheet, rs_tensor picture, int64_t from)
{
    int64_t W = sheet.shape[1], w = picture.shape[1], h = picture.shape[0];
    for (int64_t y = from; y + h <= sheet.shape[0]; y++)
        for (int64_t x = 0; x + w <= W; x++) {
            int64_t v = 0;
            while (v < h && memcmp((uint8_t *)sheet.data + ((y + v) * W + x) * 3,
                                   (uint8_t *)picture.data + v * w * 3, (size_t)w * 3) == 0)
                v++;
            if (v == h)
                return y;
        }
    return -1;
}

static rs_tensor blank(int64_t w, int64_t h)
{
    static const uint8_t ground[3] = {24, 24, 28};
    uint8_t *p = rs_arena_alloc(t_arena(), (size_t)(w * h), 3);
    for (int64_t i = 0; i < w * h; i++)
        memcpy(p + i * 3, ground, 3);
    return rs_tensor_of(p, RS_DTYPE_U8, RS_SHAPE(h, w, 3));
}

static int64_t find_text(rs_tensor sheet, const char *text, int scale, const uint8_t ink[3],
                         int64_t from)
{
    rs_tensor picture = blank((int64_t)strlen(text) * 6 * scale, 7 * scale);
    rs_draw_text(picture, 0, 0, scale, text, ink);
    return t_sheet_find_picture(sheet, picture, from);
}

int64_t t_sheet_find_label(rs_tensor sheet, const char *label, int64_t from)
{
    return find_text(sheet, label, 2, (const uint8_t[]){235, 235, 235}, from);
}

int64_t t_sheet_find_number(rs_tensor sheet, int64_t number, int64_t from)
{
    return find_text(sheet, rs_arena_printf(t_arena(), "%lld", (long long)number), 1,
                     (const uint8_t[]){150, 150, 160}, from);
}

rs_tensor t_sheet_tile(rs_tensor clip, int64_t t, int64_t scale)
{
    int64_t h = clip.shape[1], w = clip.shape[2];
    rs_tensor out = blank(w * scale, h * scale);
    for (int64_t y = 0; y < h * scale; y++)
        for (int64_t x = 0; x < w * scale; x++)
            memcpy((uint8_t *)out.data + (y * w * scale + x) * 3,
                   (uint8_t *)clip.data + ((t * h + y / scale) * w + x / scale) * 3, 3);
    return out;
}
