/* JSON documents: model configurations, safetensors headers and indices. A thin typed view over
 * jansson; writing is in json_writer.h.
 *
 * A document owns all its values; a value (`const rs_json *`) is valid until the document is
 * destroyed. Looking into a document may allocate in it: one document, one thread at a time. Every
 * error is one line that names the file and the key ("config.json: scheduler.shift: expected a
 * number, found a string"). */
#ifndef RS_STORE_JSON_H
#define RS_STORE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

typedef struct rs_json rs_json; /* a value; the root value stands for the document */

typedef enum rs_json_type {
    RS_JSON_NULL,
    RS_JSON_BOOL,
    RS_JSON_INT,
    RS_JSON_REAL,
    RS_JSON_STRING,
    RS_JSON_ARRAY,
    RS_JSON_OBJECT
} rs_json_type;

/* RS_IO: cannot read. RS_FORMAT: "file:line:col: text"; duplicate keys are an error. Any value may
 * be the root. `origin` stands for the file name in messages. The text is not kept. */
rs_status rs_json_load(rs_json **out, const char *path) RS_NODISCARD;
rs_status rs_json_parse(rs_json **out, const char *text, size_t bytes,
                        const char *origin) RS_NODISCARD;
void rs_json_destroy(rs_json **doc); /* the root value only; accepts NULL, nulls the pointer */

rs_json_type rs_json_type_of(const rs_json *v);
const char *rs_json_type_name(rs_json_type t); /* "a string" */
const char *rs_json_file(const rs_json *v);    /* path or origin */
const char *rs_json_where(const rs_json *v);   /* "a.b[3]"; "" for the root */

/* Members of an object. has: present and not null. find: NULL where absent (or `o` is no object); a
 * null member is a value of type RS_JSON_NULL. */
bool rs_json_has(const rs_json *o, const char *key);
bool rs_json_is_null(const rs_json *o, const char *key); /* present and null */
const rs_json *rs_json_find(const rs_json *o, const char *key);

/* Required members: absent, null or of another type is RS_FORMAT. f64 accepts integers; i64 accepts
 * no reals. Strings are owned by the document. `_in` also demands lo <= value <= hi. */
rs_status rs_json_i64(int64_t *out, const rs_json *o, const char *key) RS_NODISCARD;
rs_status rs_json_i64_in(int64_t *out, const rs_json *o, const char *key, int64_t lo,
                         int64_t hi) RS_NODISCARD;
rs_status rs_json_f64(double *out, const rs_json *o, const char *key) RS_NODISCARD;
rs_status rs_json_bool(bool *out, const rs_json *o, const char *key) RS_NODISCARD;
rs_status rs_json_string(const char **out, const rs_json *o, const char *key) RS_NODISCARD;
rs_status rs_json_object(const rs_json **out, const rs_json *o, const char *key) RS_NODISCARD;
rs_status rs_json_array(const rs_json **out, const rs_json *o, const char *key) RS_NODISCARD;
/* Whole arrays of numbers into `a`; *out is NULL when *n is 0. */
rs_status rs_json_i64_array(int64_t **out, int64_t *n, rs_arena *a, const rs_json *o,
                            const char *key) RS_NODISCARD;
rs_status rs_json_f64_array(double **out, int64_t *n, rs_arena *a, const rs_json *o,
                            const char *key) RS_NODISCARD;

/* Members with a default: `def` where absent or null; another type is still RS_FORMAT. */
rs_status rs_json_i64_or(int64_t *out, const rs_json *o, const char *key, int64_t def) RS_NODISCARD;
rs_status rs_json_i64_in_or(int64_t *out, const rs_json *o, const char *key, int64_t lo, int64_t hi,
                            int64_t def) RS_NODISCARD;
rs_status rs_json_f64_or(double *out, const rs_json *o, const char *key, double def) RS_NODISCARD;
rs_status rs_json_bool_or(bool *out, const rs_json *o, const char *key, bool def) RS_NODISCARD;
rs_status rs_json_string_or(const char **out, const rs_json *o, const char *key,
                            const char *def) RS_NODISCARD;

/* Elements of an array, in order; members of an object, in file order. size: 0 for other types.
 * at: asserts 0 <= i < size.
 *   for (rs_json_iter it = {0}; rs_json_next(o, &it);) use(it.key, it.value);  */
int64_t rs_json_size(const rs_json *v);
const rs_json *rs_json_at(const rs_json *array, int64_t i);
typedef struct rs_json_iter {
    const char *key;
    const rs_json *value;
    void *at; /* private */
} rs_json_iter;
bool rs_json_next(const rs_json *o, rs_json_iter *it);

/* The value itself, for array elements and iterations: errors as for required members. */
rs_status rs_json_as_i64(int64_t *out, const rs_json *v) RS_NODISCARD;
rs_status rs_json_as_f64(double *out, const rs_json *v) RS_NODISCARD;
rs_status rs_json_as_bool(bool *out, const rs_json *v) RS_NODISCARD;
rs_status rs_json_as_string(const char **out, const rs_json *v) RS_NODISCARD;

#endif
