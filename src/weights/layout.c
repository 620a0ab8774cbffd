#include "weights/layout.h"

#include <stdio.h>
#include <string.h>

#include "base/num.h"

void rs_layout_add(rs_layout *l, rs_arena *a, rs_weight_row row)
{
    RS_ASSERT(row.ndim >= 1 && row.ndim <= RS_MAX_DIM && row.slot >= 0);
    int *slots = row.block < 0 ? &l->global_slots : &l->block_slots;
    for (int64_t i = 0; i < l->n; i++)
        RS_ASSERTF((l->rows[i].block < 0) != (row.block < 0) || l->rows[i].slot != row.slot,
                   "layout: slot %d of %s is taken by %s", row.slot, row.diffusers,
                   l->rows[i].diffusers);
    l->rows = rs_arena_grow(a, l->rows, &l->cap, (size_t)l->n + 1, sizeof *l->rows);
    l->rows[l->n++] = row;
    if (row.slot >= *slots)
        *slots = row.slot + 1;
}

/* weight (shape) at slot, bias (shape[0]) at slot + 1. */
static void add_pair(rs_layout *l, rs_arena *a, int block, int slot, const char *diffusers,
                     const char *original, int ndim, int64_t out, int64_t in)
{
    static const char *const k_kinds[] = {"weight", "bias"};
    for (int i = 0; i < 2; i++) {
        rs_weight_row row = {
            .slot = slot + i,
            .block = block,
            .diffusers = rs_arena_printf(a, "%s.%s", diffusers, k_kinds[i]),
            .original = original ? rs_arena_printf(a, "%s.%s", original, k_kinds[i]) : NULL,
            .ndim = i == 0 ? ndim : 1,
            .shape = {out, i == 0 ? in : 0},
            .matrix = i == 0 && ndim == 2,
        };
        rs_layout_add(l, a, row);
    }
}

void rs_layout_add_linear(rs_layout *l, rs_arena *a, int block, int slot, const char *diffusers,
                          const char *original, int64_t out, int64_t in)
{
    add_pair(l, a, block, slot, diffusers, original, 2, out, in);
}

void rs_layout_add_norm(rs_layout *l, rs_arena *a, int block, int slot, const char *diffusers,
                        const char *original, int64_t n)
{
    add_pair(l, a, block, slot, diffusers, original, 1, n, 0);
}

int64_t rs_weight_row_params(const rs_weight_row *row)
{
    int64_t n = 1;
    for (int i = 0; i < row->ndim; i++)
        n *= row->shape[i];
    return n;
}

static int64_t params_of(const rs_layout *l, bool blocks)
{
    int64_t n = 0;
    for (int64_t i = 0; i < l->n; i++)
        n += (l->rows[i].block >= 0) == blocks ? rs_weight_row_params(&l->rows[i]) : 0;
    return n;
}

int64_t rs_layout_block_params(const rs_layout *l)
{
    return params_of(l, true);
}

int64_t rs_layout_global_params(const rs_layout *l)
{
    return params_of(l, false);
}

int64_t rs_layout_params(const rs_layout *l)
{
    return rs_layout_global_params(l) + l->blocks * rs_layout_block_params(l);
}

bool *rs_layout_matrices(const rs_layout *l, rs_arena *a, bool blocks)
{
    bool *matrix = RS_NEW(a, bool, blocks ? l->block_slots : l->global_slots);
    for (int64_t i = 0; i < l->n; i++)
        if ((l->rows[i].block >= 0) == blocks)
            matrix[l->rows[i].slot] = l->rows[i].matrix;
    return matrix;
}

rs_layout_sizes rs_layout_bytes(const rs_layout *l)
{
    rs_layout_sizes s = {.blocks = l->blocks};
    for (int64_t i = 0; i < l->n; i++) {
        const rs_weight_row *r = &l->rows[i];
        size_t bytes = ((size_t)rs_weight_row_params(r) * sizeof(float) + 63) / 64 * 64;
        s.outside += r->block < 0 && !r->raw ? bytes : 0;
        s.block += r->block >= 0 ? bytes : 0;
    }
    return s;
}

void rs_layout_name(char *out, size_t size, const rs_weight_row *row, int block, bool original)
{
    const char *pattern = original && row->original ? row->original : row->diffusers;
    const char *mark = row->block >= 0 ? strstr(pattern, "%d") : NULL;
    int n = mark ? snprintf(out, size, "%.*s%d%s", (int)(mark - pattern), pattern, block, mark + 2)
                 : snprintf(out, size, "%s", pattern);
    RS_ASSERTF(n >= 0 && (size_t)n < size, "layout: name of %s is too long", pattern);
}
