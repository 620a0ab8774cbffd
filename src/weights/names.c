#include "weights/names.h"

#include <stdio.h>
#include <string.h>

enum { SEED_ROWS = 6, CANDIDATES = 16, FULL_NAME = 2 * RS_WEIGHT_NAME };

/* A naming and a prefix that some tensor of the file suggests. */
typedef struct candidate {
    const char *prefix;
    bool original;
} candidate;

typedef struct candidates {
    candidate items[CANDIDATES];
    int n;
} candidates;

static void full_name(char out[FULL_NAME], const candidate *c, const rs_weight_row *row, int block)
{
    char name[RS_WEIGHT_NAME];
    rs_layout_name(name, sizeof name, row, block, c->original);
    int n = snprintf(out, FULL_NAME, "%s%s", c->prefix, name);
    RS_ASSERT(n >= 0 && n < FULL_NAME);
}

static void add_candidate(candidates *c, rs_arena *a, const char *prefix, size_t len, bool original)
{
    if (c->n == CANDIDATES || len >= RS_WEIGHT_NAME)
        return;
    for (int i = 0; i < c->n; i++)
        if (c->items[i].original == original && strlen(c->items[i].prefix) == len &&
            strncmp(c->items[i].prefix, prefix, len) == 0)
            return;
    c->items[c->n++] = (candidate){rs_arena_strndup(a, prefix, len), original};
}

/* Prefixes of all file tensors whose name ends in ".<name of the row>". */
static void suggest(candidates *c, rs_arena *a, const rs_weights_file *file,
                    const rs_weight_row *row, bool original)
{
    char name[RS_WEIGHT_NAME];
    rs_layout_name(name, sizeof name, row, 0, original);
    size_t len = strlen(name);
    for (int64_t i = 0; i < rs_weights_file_count(file); i++) {
        const char *have = rs_weights_file_name(file, i);
        size_t n = strlen(have);
        if (n > len && have[n - len - 1] == '.' && strcmp(have + n - len, name) == 0)
            add_candidate(c, a, have, n - len, original);
    }
}

static int64_t present(const rs_weights_file *file, const rs_layout *l, const candidate *c)
{
    int64_t n = 0;
    for (int64_t i = 0; i < l->n; i++) {
        char name[FULL_NAME];
        full_name(name, c, &l->rows[i], 0);
        n += rs_weights_file_find(file, name) != NULL;
    }
    return n;
}

static candidate choose(rs_arena *a, const rs_weights_file *file, const rs_layout *l)
{
    candidates all = {.items = {{"", false}, {"", true}}, .n = 2};
    for (int64_t i = 0; i < l->n && i < SEED_ROWS; i++) {
        suggest(&all, a, file, &l->rows[i], false);
        suggest(&all, a, file, &l->rows[i], true);
    }
    int best = 0;
    int64_t most = -1;
    for (int i = 0; i < all.n; i++) {
        int64_t n = present(file, l, &all.items[i]);
        if (n > most) {
            most = n;
            best = i;
        }
    }
    return all.items[best];
}

/* Dimensions other than 1. */
static int squeeze(int64_t out[RS_MAX_DIM], int ndim, const int64_t *shape)
{
    int n = 0;
    for (int i = 0; i < ndim; i++)
        if (shape[i] != 1)
            out[n++] = shape[i];
    return n;
}

static bool same_but_ones(int an, const int64_t *a, int bn, const int64_t *b)
{
    int64_t x[RS_MAX_DIM], y[RS_MAX_DIM];
    int xn = squeeze(x, an, a), yn = squeeze(y, bn, b);
    return xn == yn && memcmp(x, y, (size_t)xn * sizeof x[0]) == 0;
}

static rs_status check_one(rs_tensor *out, const rs_weights_file *file, const rs_weight_row *row,
                           const candidate *c, const char *name, rs_tensor t)
{
    char have[RS_TENSOR_TEXT], want[RS_TENSOR_TEXT];
    int64_t lo = row->original_rows[0], hi = row->original_rows[1];
    bool slice = c->original && hi > 0;
    rs_tensor part = slice && t.shape[0] >= hi ? rs_tensor_slice(t, lo, hi) : t;
    if (!same_but_ones(part.ndim, part.shape, row->ndim, row->shape) || (slice && t.shape[0] < hi))
        return RS_FAIL(MODEL, "%s: tensor \"%s\" is %s; the configuration asks for %s%s",
                       rs_weights_file_path(file), name, rs_tensor_text(have, t),
                       rs_tensor_text(want, rs_tensor_of(NULL, t.dtype, row->ndim, row->shape)),
                       slice ? " in part of its rows" : "");
    if (t.dtype != RS_DTYPE_F32 && t.dtype != RS_DTYPE_BF16 && t.dtype != RS_DTYPE_F16 &&
        t.dtype != RS_DTYPE_F64)
        return RS_FAIL(MODEL, "%s: tensor \"%s\" is %s; weights must be F32, BF16, F16 or F64",
                       rs_weights_file_path(file), name, rs_tensor_text(have, t));
    *out = rs_tensor_reshape(part, row->ndim, row->shape);
    return RS_OK;
}

static rs_status find_one(rs_tensor *out, const rs_weights_file *file, const rs_weight_row *row,
                          const candidate *c, int block)
{
    char name[FULL_NAME];
    full_name(name, c, row, block);
    const rs_tensor *t = rs_weights_file_find(file, name);
    if (!t && row->optional)
        return RS_OK;
    if (!t)
        return RS_FAIL(MODEL, "%s: tensor \"%s\" is missing", rs_weights_file_path(file), name);
    RS_TRY(check_one(out, file, row, c, name, *t));
    return RS_OK;
}

rs_status rs_weight_map_make(rs_weight_map *out, rs_arena *a, const rs_weights_file *file,
                             const rs_layout *layout)
{
    candidate c = choose(a, file, layout);
    *out = (rs_weight_map){
        .layout = layout,
        .original = c.original,
        .prefix = c.prefix,
        .globals = RS_NEW(a, rs_tensor, layout->global_slots),
        .blocks = RS_NEW(a, rs_tensor, (int64_t)layout->blocks * layout->block_slots),
    };
    for (int64_t i = 0; i < layout->n; i++) {
        const rs_weight_row *row = &layout->rows[i];
        if (row->block < 0) {
            RS_TRY(find_one(&out->globals[row->slot], file, row, &c, 0));
            continue;
        }
        for (int b = 0; b < layout->blocks; b++)
            RS_TRY(find_one(&out->blocks[b * layout->block_slots + row->slot], file, row, &c, b));
    }
    return RS_OK;
}
