#include "job/shapes.h"

int rs_shapes_find(rs_shapes *s, rs_arena *a, int64_t references, int64_t frames)
{
    for (int i = 0; i < s->n; i++)
        if (s->items[i][0] == references && s->items[i][1] == frames)
            return i;
    s->items = rs_arena_grow(a, s->items, &s->cap, (size_t)s->n + 1, sizeof *s->items);
    s->items[s->n][0] = references;
    s->items[s->n][1] = frames;
    return s->n++;
}
