/* Strings: growing builder, strict number parsing, edit distance. */
#ifndef RS_BASE_STR_H
#define RS_BASE_STR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

typedef struct rs_strbuf {
    rs_arena *arena;
    char *data; /* zero-terminated once anything was added; "" before */
    size_t len;
    size_t cap;
} rs_strbuf;

rs_strbuf rs_strbuf_on(rs_arena *a);
void rs_strbuf_add(rs_strbuf *s, const char *text, size_t n);
void rs_strbuf_printf(rs_strbuf *s, const char *fmt, ...) RS_PRINTF(2, 3);

/* Whole string must be the number; false otherwise or out of range. */
bool rs_parse_i64(int64_t *out, const char *s);
bool rs_parse_f64(double *out, const char *s); /* finite only */
/* Shortest text that reads back as the same double; "inf", "-inf", "nan". */
char *rs_f64_text(rs_arena *a, double v);
/* "1.2 MB": units of 1000. */
char *rs_bytes_text(rs_arena *a, int64_t bytes);
/* "0.42 s", "34 s", "12 min 05 s", "1 h 03 min", "3 d 04 h"; "-" for what is not finite. */
char *rs_seconds_text(rs_arena *a, double seconds);
/* Optimal string alignment distance (inserted, left out, replaced or swapped neighbouring
 * letters); INT_MAX for words above 40 letters. */
int rs_edit_distance(const char *a, const char *b);
/* The candidate nearest to `name`, or NULL when none is near enough to be a slip: at most a third
 * of its letters and one more. */
const char *rs_nearest(const char *name, const char *const *candidates, int64_t n);

#endif
