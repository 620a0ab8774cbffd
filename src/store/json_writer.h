/* JSON text out: reports, `--json` output, safetensors headers. A streaming writer into an arena;
 * nothing to destroy. Calls nest as the text does: rs_jsonw *w = rs_jsonw_create(a, true);
 *   rs_jsonw_object(w, NULL);
 *   rs_jsonw_i64(w, "steps", 100);
 *   rs_jsonw_array(w, "loss");
 *   rs_jsonw_f64(w, NULL, 0.25);
 *   rs_jsonw_end(w);
 *   rs_jsonw_end(w);
 *   puts(rs_jsonw_text(w));
 * A key is given inside objects and NULL inside arrays and for the root; anything else asserts. */
#ifndef RS_STORE_JSON_WRITER_H
#define RS_STORE_JSON_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

typedef struct rs_jsonw rs_jsonw;

rs_jsonw *rs_jsonw_create(rs_arena *a, bool indent); /* indent: two spaces a level, else one line */
void rs_jsonw_object(rs_jsonw *w, const char *key);
void rs_jsonw_array(rs_jsonw *w, const char *key);
void rs_jsonw_end(rs_jsonw *w); /* of the innermost object or array */
void rs_jsonw_i64(rs_jsonw *w, const char *key, int64_t v);
/* Shortest text that reads back as the same double; NaN and infinities become null. */
void rs_jsonw_f64(rs_jsonw *w, const char *key, double v);
void rs_jsonw_bool(rs_jsonw *w, const char *key, bool v);
/* NULL becomes null; bytes that are not UTF-8 become U+FFFD. */
void rs_jsonw_string(rs_jsonw *w, const char *key, const char *v);
void rs_jsonw_null(rs_jsonw *w, const char *key);
/* The complete text (asserts that everything is closed); arena-owned. */
const char *rs_jsonw_text(rs_jsonw *w);

#endif
