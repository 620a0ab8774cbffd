/* Parts of a communicator. */
#include <stdio.h>
#include <string.h>

#include "comm/comm_priv.h"

/* What a rank tells the others. */
typedef struct split_row {
    int colour, key, world_rank, rank;
} split_row;

static int row_before(const split_row *a, const split_row *b)
{
    return a->key < b->key || (a->key == b->key && a->rank < b->rank);
}

/* Rows of my colour in the order of (key, rank); returns how many. */
static int pick(split_row *rows, int n, int colour)
{
    int m = 0;
    for (int i = 0; i < n; i++) {
        split_row row = rows[i];
        if (colour < 0 || row.colour != colour)
            continue;
        int at = m++;
        for (; at > 0 && row_before(&row, &rows[at - 1]); at--)
            rows[at] = rows[at - 1];
        rows[at] = row;
    }
    return m;
}

/* FNV-1a over what all ranks of the part, and no other part, have in common. */
static uint64_t part_id(uint64_t parent, int64_t split, int colour)
{
    uint64_t words[3] = {parent, (uint64_t)split, (uint64_t)(unsigned)colour};
    uint64_t h = 0xcbf29ce484222325u;
    const unsigned char *p = (const unsigned char *)words;
    for (size_t i = 0; i < sizeof words; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

static rs_comm *part_new(rs_comm *c, const split_row *rows, const rs_comm_members *m,
                         const char *name)
{
    rs_comm *out = rs_alloc(1, sizeof *out);
    out->ops = c->ops;
    out->shared = c->shared;
    out->quiet = c->quiet;
    out->rank = m->me;
    out->size = m->n;
    out->world_rank = rs_alloc((size_t)(m->n ? m->n : 1), sizeof(int));
    for (int i = 0; i < m->n; i++)
        out->world_rank[i] = rows[i].world_rank;
    out->id = part_id(c->id, m->split, m->colour);
    snprintf(out->name, sizeof out->name, "%s", name);
    return out;
}

static rs_status split_parts(rs_comm **out, rs_comm_request *r, int colour, int key,
                             const char *name)
{
    rs_comm *c = r->comm;
    rs_status st = RS_OK;
    rs_comm *part = NULL;
    split_row mine = {
        .colour = colour, .key = key, .world_rank = c->world_rank[c->rank], .rank = c->rank};
    size_t *bytes = rs_alloc((size_t)c->size, sizeof *bytes);
    split_row *rows = rs_alloc((size_t)c->size, sizeof *rows);
    int *parent = rs_alloc((size_t)c->size, sizeof *parent);
    for (int i = 0; i < c->size; i++)
        bytes[i] = sizeof mine;
    rs_comm_call call = {.op = RS_COMM_ALLGATHER, .dst = rows, .src = &mine, .dst_bytes = bytes};
    RS_TRY_OUT(rs_comm_part(r, &call));
    rs_comm_members m = {
        .split = ++c->splits, .colour = colour, .key = key, .parent = parent, .me = -1};
    m.n = pick(rows, c->size, colour);
    for (int i = 0; i < m.n; i++) {
        parent[i] = rows[i].rank;
        if (rows[i].rank == c->rank)
            m.me = i;
    }
    part = part_new(c, rows, &m, name);
    RS_TRY_OUT(c->ops->derive(part, c, &m));
    if (m.n > 0) {
        pthread_mutex_lock(&c->shared->board);
        part->next = c->shared->comms;
        c->shared->comms = part;
        pthread_mutex_unlock(&c->shared->board);
        *out = part;
        part = NULL;
    }
out:
    if (part)
        rs_comm_free(part);
    rs_dealloc(parent);
    rs_dealloc(rows);
    rs_dealloc(bytes);
    return st;
}

rs_status rs_comm_split(rs_comm **out, rs_comm *c, int colour, int key, const char *name)
{
    *out = NULL;
    rs_comm_call call = {.op = RS_COMM_SPLIT, .what = name};
    rs_comm_request *r = rs_comm_request_new(c, &call);
    rs_status st = rs_comm_enter(r);
    if (st == RS_OK)
        st = split_parts(out, r, colour, key, name);
    return rs_comm_leave(&r, st);
}
