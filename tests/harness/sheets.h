/* Finding pictures and labels in contact sheets (media/sheet.h) by their pixels. */
#ifndef RS_TESTS_SHEETS_H
#define RS_TESTS_SHEETS_H

#include <stdint.h>

#include "base/tensor.h"

/* First row from `from` on at which the picture, U8 (h,w,3), is seen in a sheet, U8 (H,W,3), at any
 * column; -1: nowhere. */
int64_t t_sheet_find_picture(rs_tensor sheet, rs_tensor picture, int64_t from);
/* The same for the label of a strip or a line of text that begins with `label`. */
int64_t t_sheet_find_label(rs_tensor sheet, const char *label, int64_t from);
/* The same for the number above a tile. */
int64_t t_sheet_find_number(rs_tensor sheet, int64_t number, int64_t from);
/* Frame t of a clip, U8 (T,h,w,3), as a tile `scale` times its size: (h,w,3) in the case's arena.
 */
rs_tensor t_sheet_tile(rs_tensor clip, int64_t t, int64_t scale);

#endif
