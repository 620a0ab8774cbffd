/* Host arenas: memory with a lifetime. Allocation zeroes, aligns to 64 bytes and cannot fail
 * (host out-of-memory aborts). Most structs then never need a destructor. Not thread-safe: one
 * arena, one thread at a time. */
#ifndef RS_BASE_ARENA_H
#define RS_BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

#include "base/status.h"

typedef struct rs_arena rs_arena;
typedef struct rs_arena_mark {
    void *block;
    size_t used;
} rs_arena_mark;

rs_arena *rs_arena_create(void);
void rs_arena_destroy(rs_arena **a); /* accepts NULL, nulls the pointer */
/* Give everything back but keep the first block for reuse. */
void rs_arena_reset(rs_arena *a);
/* Scratch use: everything allocated after the mark is released (and poisoned under ASan). */
rs_arena_mark rs_arena_get_mark(const rs_arena *a);
void rs_arena_release(rs_arena *a, rs_arena_mark mark);
/* Bytes handed out and not released. */
size_t rs_arena_used(const rs_arena *a);

void *rs_arena_alloc(rs_arena *a, size_t count, size_t size); /* count*size checked; zeroed */
char *rs_arena_strdup(rs_arena *a, const char *s);
char *rs_arena_strndup(rs_arena *a, const char *s, size_t n);
char *rs_arena_printf(rs_arena *a, const char *fmt, ...) RS_PRINTF(2, 3);
void *rs_arena_memdup(rs_arena *a, const void *src, size_t bytes);
/* Grow an arena array: returns room for at least `need` elements, old content copied. */
void *rs_arena_grow(rs_arena *a, void *old, size_t *cap, size_t need, size_t size);

#define RS_NEW(arena, T, n) ((T *)rs_arena_alloc((arena), (size_t)(n), sizeof(T)))

/* The only allocator outside arenas, for objects with create/destroy: zeroed, aborts on failure. */
void *rs_alloc(size_t count, size_t size);
void rs_dealloc(void *p);
/* 64-byte aligned, uninitialised; NULL when the system refuses (large buffers: report RS_NOMEM). */
void *rs_alloc_large(size_t bytes);

#endif
