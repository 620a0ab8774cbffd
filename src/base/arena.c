#include "base/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define RS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RS_ASAN 1
#endif
#endif
#ifdef RS_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n)   ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define POISON(p, n)   ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

enum { ALIGN = 64, FIRST_BLOCK = 64 * 1024 };

typedef struct block {
    struct block *prev;
    size_t cap;   /* payload bytes */
    size_t used;  /* payload bytes in use */
    size_t below; /* bytes in use in all earlier blocks */
    char pad[ALIGN - 4 * sizeof(size_t)];
    char data[];
} block;

_Static_assert(sizeof(block) == ALIGN, "payload is aligned");

struct rs_arena {
    block *top;
};

static void *system_alloc(size_t bytes)
{
    void *p = rs_alloc_large(bytes);
    if (!p)
        rs_assert_fail(__FILE__, __LINE__, "out of host memory (%zu bytes)", bytes);
    return p;
}

static block *new_block(block *prev, size_t payload)
{
    block *b = system_alloc(sizeof(block) + payload);
    b->prev = prev;
    b->cap = payload;
    b->used = 0;
    b->below = prev ? prev->below + prev->used : 0;
    POISON(b->data, payload);
    return b;
}

static void free_block(block *b)
{
    UNPOISON(b->data, b->cap);
    free(b);
}

rs_arena *rs_arena_create(void)
{
    rs_arena *a = rs_alloc(1, sizeof *a);
    a->top = new_block(NULL, FIRST_BLOCK);
    return a;
}

void rs_arena_destroy(rs_arena **a)
{
    if (!a || !*a)
        return;
    while ((*a)->top) {
        block *prev = (*a)->top->prev;
        free_block((*a)->top);
        (*a)->top = prev;
    }
    free(*a);
    *a = NULL;
}

void rs_arena_reset(rs_arena *a)
{
    while (a->top->prev) {
        block *prev = a->top->prev;
        free_block(a->top);
        a->top = prev;
    }
    a->top->used = 0;
    POISON(a->top->data, a->top->cap);
}

rs_arena_mark rs_arena_get_mark(const rs_arena *a)
{
    return (rs_arena_mark){a->top, a->top->used};
}

void rs_arena_release(rs_arena *a, rs_arena_mark mark)
{
    while (a->top != mark.block) {
        RS_ASSERTF(a->top->prev, "arena mark does not belong to this arena");
        block *prev = a->top->prev;
        free_block(a->top);
        a->top = prev;
    }
    RS_ASSERT(mark.used <= a->top->used);
    POISON(a->top->data + mark.used, a->top->used - mark.used);
    a->top->used = mark.used;
}

size_t rs_arena_used(const rs_arena *a)
{
    return a->top->below + a->top->used;
}

void *rs_arena_alloc(rs_arena *a, size_t count, size_t size)
{
    size_t bytes;
    RS_ASSERTF(!__builtin_mul_overflow(count, size, &bytes) && bytes < SIZE_MAX / 2,
               "arena request of %zu x %zu bytes", count, size);
    bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    if (bytes == 0)
        bytes = ALIGN;
    if (a->top->cap - a->top->used < bytes) {
        size_t payload = a->top->cap * 2;
        if (payload > ((size_t)64 << 20))
            payload = (size_t)64 << 20;
        a->top = new_block(a->top, bytes > payload ? bytes : payload);
    }
    void *p = a->top->data + a->top->used;
    a->top->used += bytes;
    UNPOISON(p, bytes);
    return memset(p, 0, bytes);
}

char *rs_arena_strndup(rs_arena *a, const char *s, size_t n)
{
    size_t len = strnlen(s, n);
    char *d = rs_arena_alloc(a, len + 1, 1);
    memcpy(d, s, len);
    return d;
}

char *rs_arena_strdup(rs_arena *a, const char *s)
{
    return rs_arena_strndup(a, s, strlen(s));
}

char *rs_arena_printf(rs_arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    RS_ASSERT(n >= 0);
    char *s = rs_arena_alloc(a, (size_t)n + 1, 1);
    va_start(ap, fmt);
    vsnprintf(s, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return s;
}

void *rs_arena_memdup(rs_arena *a, const void *src, size_t bytes)
{
    void *d = rs_arena_alloc(a, bytes, 1);
    if (bytes)
        memcpy(d, src, bytes);
    return d;
}

void *rs_arena_grow(rs_arena *a, void *old, size_t *cap, size_t need, size_t size)
{
    if (need <= *cap)
        return old;
    size_t grown = *cap ? *cap * 2 : 16;
    if (grown < need)
        grown = need;
    void *p = rs_arena_alloc(a, grown, size);
    if (*cap)
        memcpy(p, old, *cap * size);
    *cap = grown;
    return p;
}

void *rs_alloc(size_t count, size_t size)
{
    size_t bytes;
    RS_ASSERT(!__builtin_mul_overflow(count, size, &bytes));
    return memset(system_alloc(bytes), 0, bytes ? bytes : 1);
}

void rs_dealloc(void *p)
{
    free(p);
}

void *rs_alloc_large(size_t bytes)
{
    size_t rounded = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    return rounded < bytes ? NULL : aligned_alloc(ALIGN, rounded ? rounded : ALIGN);
}
