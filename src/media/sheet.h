/* Contact sheet: labelled strips of frames in one PNG, to see at a glance what a job read and made.
 */
#ifndef RS_MEDIA_SHEET_H
#define RS_MEDIA_SHEET_H

#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "base/tensor.h"

typedef struct rs_sheet rs_sheet;

/* At most `columns` tiles a strip, each at most `tile_width` pixels wide: larger frames are
 * averaged down, smaller ones repeated a whole number of times. Lives in `a`. */
rs_sheet *rs_sheet_create(rs_arena *a, int64_t columns, int64_t tile_width);

/* Add a strip. frames: U8 (T, h, w, 3), or masks (T, h, w); copied. Of more than `columns` frames
 * the first, the last and evenly spread ones in between are shown. numbers: [T] what to call each
 * frame, NULL: 0, 1, ... */
void rs_sheet_strip(rs_sheet *s, const char *label, rs_tensor frames, const int64_t *numbers);
/* Which of n frames a strip of `columns` tiles shows, ascending; returns how many. */
int64_t rs_sheet_choose(int64_t *frames, int64_t n, int64_t columns);
/* Add a line of text (printable ASCII; other bytes show as '?'). */
void rs_sheet_text(rs_sheet *s, const char *line);

/* The whole sheet, U8 (h, w, 3) in `a`; a sheet without rows is one empty line. */
rs_tensor rs_sheet_render(rs_arena *a, const rs_sheet *s);
rs_status rs_sheet_write(const char *path, const rs_sheet *s) RS_NODISCARD;

/* Draw text in a 5x7 font, each dot scale x scale pixels, 6 dots per character; cut at the image's
 * edges. */
void rs_draw_text(rs_tensor image, int64_t x, int64_t y, int scale, const char *text,
                  const uint8_t rgb[3]);

#endif
