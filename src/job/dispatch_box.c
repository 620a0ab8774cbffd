#include <string.h>

#include "base/arena.h"
#include "job/dispatch_priv.h"

void rs_box_put(note_box *b, const note *n)
{
    if ((size_t)b->written == b->cap) {
        size_t cap = 2 * b->cap + 8;
        note *more = rs_alloc(cap, sizeof *more);
        if (b->items)
            memcpy(more, b->items, b->cap * sizeof *more);
        rs_dealloc(b->items);
        b->items = more;
        b->cap = cap;
    }
    b->items[b->written++] = *n;
}

bool rs_box_take(note_box *b, note *n)
{
    if (b->read == b->written)
        return false;
    *n = b->items[b->read++];
    if (b->read == b->written)
        b->read = b->written = 0;
    return true;
}

bool rs_box_peek(const note_box *b, note *n)
{
    for (int64_t i = b->read; i < b->written; i++)
        if (b->items[i].kind == NOTE_ANSWER) {
            *n = b->items[i];
            return true;
        }
    return false;
}

void rs_box_free(note_box *b)
{
    rs_dealloc(b->items);
    *b = (note_box){0};
}

rs_status rs_under_way_send(note_under_way **list, rs_comm *c, const note *n, int to)
{
    note_under_way *w = rs_alloc(1, sizeof *w);
    w->n = *n;
    rs_status st = rs_comm_isend(&w->request, c, &w->n, sizeof w->n, to, RS_TAG_TO_RANK);
    if (st != RS_OK) {
        rs_dealloc(w);
        return st;
    }
    w->next = *list;
    *list = w;
    return RS_OK;
}

rs_status rs_under_way_look(note_under_way **list, bool all)
{
    rs_status first = RS_OK;
    while (*list) {
        note_under_way *w = *list;
        if (!all && !rs_comm_test(w->request)) {
            list = &w->next;
            continue;
        }
        rs_status st = rs_comm_wait(&w->request);
        first = first == RS_OK ? st : first;
        *list = w->next;
        rs_dealloc(w);
    }
    return first;
}
