/* Private to pickle*.c: state of the machine, and the objects that REDUCE and persistent ids build.
 */
#ifndef RS_STORE_PICKLE_PRIV_H
#define RS_STORE_PICKLE_PRIV_H

#include "store/pickle.h"

typedef struct pickle {
    rs_arena *arena;
    const uint8_t *data;
    size_t bytes;
    size_t at;        /* next byte */
    size_t op_at;     /* position of the running opcode, for messages */
    const char *name; /* origin */
    rs_pv **stack;
    size_t depth, stack_cap;
    size_t *marks; /* stack depths */
    size_t n_marks, marks_cap;
    rs_pv **memo;
    size_t n_memo, memo_cap; /* slots in use; slots there are */
} pickle;

#define PICKLE_FAIL(p, ...)                                                                        \
    RS_FAIL(FORMAT, "%s: byte %zu: %s", (p)->name, (p)->op_at,                                     \
            rs_arena_printf((p)->arena, __VA_ARGS__))

rs_pv *rs_pickle_value(pickle *p, rs_pv_kind kind);

/* A name from the file: RS_FORMAT unless tensor files need it. */
rs_status rs_pickle_global(rs_pv **out, pickle *p, const char *module, const char *name);
/* callable(*args) for the globals above. */
rs_status rs_pickle_reduce(rs_pv **out, pickle *p, const rs_pv *callable, const rs_pv *args);
/* The tuple ('storage', type, key, location, elements). */
rs_status rs_pickle_persistent(rs_pv **out, pickle *p, const rs_pv *id);

#endif
