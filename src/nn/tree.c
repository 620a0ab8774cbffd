/* Sums in the fixed tree over eight segments: of one rank's, then over the ranks. */
#include "base/num.h"
#include "comm/device_data.h"
#include "nn/lane.h"

/* y += x, whatever their shape. */
static void add(rs_device *d, float *y, const float *x, int64_t n)
{
    rs_tensor a = rs_tensor_of(y, RS_DTYPE_F32, RS_SHAPE(1, n));
    rs_tensor b = rs_tensor_of((void *)x, RS_DTYPE_F32, RS_SHAPE(1, n));
    RS_OP(d, gate_add, .y = a, .x = a, .o = b);
}

/* ---- the segments of a rank ---- */

enum { MOST_SUMS = 8 };

typedef struct tree {
    rs_device *d;
    const rs_segments *s;
    int n; /* tensors of a sum */
    int64_t elements;
    float *work; /* one set of tensors per level */
    rs_leaf_fn *leaf;
    void *ctx;
} tree;

int rs_segment_levels(int width)
{
    int levels = 0;
    for (int n = RS_SEGMENTS / width; n > 1; n /= 2)
        levels++;
    return levels;
}

/* The set of tensors of a level, of the shapes of `like`. */
static void set_of_level(const tree *t, int level, const rs_tensor *like, rs_tensor *set)
{
    float *at = t->work + t->elements * level;
    for (int i = 0; i < t->n; i++) {
        set[i] = like[i];
        set[i].data = at;
        at += rs_tensor_count(like[i]);
    }
}

/* Segments [lo,hi), a power of two of them, into out. */
static void sum(const tree *t, int lo, int hi, int level, const rs_tensor *out)
{
    const int64_t *at = t->s->at;
    if (hi - lo == 1) {
        if (at[hi] > at[lo])
            t->leaf(t->ctx, at[lo], at[hi], out);
        for (int i = 0; i < t->n && at[hi] == at[lo]; i++)
            rs_device_zero(t->d, out[i].data, rs_tensor_bytes(out[i]));
        return;
    }
    rs_tensor right[MOST_SUMS];
    int mid = (lo + hi) / 2;
    set_of_level(t, level, out, right);
    sum(t, lo, mid, level + 1, out);
    sum(t, mid, hi, level + 1, right);
    for (int i = 0; i < t->n; i++)
        add(t->d, rs_f32(out[i]), rs_f32(right[i]), rs_tensor_count(out[i]));
}

void rs_segment_sum(rs_device *d, const rs_tensor *out, int n, const rs_segments *s, rs_tensor work,
                    rs_leaf_fn *leaf, void *ctx)
{
    tree t = {.d = d, .s = s, .n = n, .leaf = leaf, .ctx = ctx};
    RS_ASSERT(n >= 1 && n <= MOST_SUMS);
    for (int i = 0; i < n; i++) {
        RS_ASSERT(rs_tensor_contiguous(out[i]));
        t.elements += rs_tensor_count(out[i]);
    }
    int levels = rs_segment_levels(RS_SEGMENTS / s->n);
    RS_ASSERT(levels == 0 || rs_tensor_count(work) >= t.elements * levels);
    t.work = levels ? rs_f32(work) : NULL;
    sum(&t, 0, s->n, 0, out);
}

/* ---- the ranks of a lane ---- */

int64_t rs_lane_sum_floats(const rs_lane *l, int64_t elements)
{
    return l->width == 1 ? 0 : 2 * rs_ceil_div(elements, l->width) * l->width;
}

static int64_t total(const rs_tensor *tensors, int n)
{
    int64_t elements = 0;
    for (int i = 0; i < n; i++)
        elements += rs_tensor_count(tensors[i]);
    return elements;
}

/* Between the tensors and one row of memory. */
static void move(rs_device *d, float *row, const rs_tensor *tensors, int n, bool out)
{
    for (int i = 0; i < n; i++) {
        size_t bytes = rs_tensor_bytes(tensors[i]);
        rs_device_copy(d, out ? tensors[i].data : row, out ? row : tensors[i].data, bytes);
        row += rs_tensor_count(tensors[i]);
    }
}

/* Each rank adds one share of the elements and all gather the shares: the traffic of a ring. */
void rs_lane_sum(rs_lane *l, rs_device *d, const rs_tensor *tensors, int n, rs_tensor work)
{
    size_t bytes[RS_LANE_MAX];
    if (!l->comm || n == 0)
        return;
    int64_t elements = total(tensors, n), share = rs_ceil_div(elements, l->width);
    RS_ASSERT(rs_tensor_count(work) >= rs_lane_sum_floats(l, elements));
    float *row = rs_f32(work), *pieces = row + share * l->width;
    move(d, row, tensors, n, false);
    rs_device_zero(d, row + elements, (size_t)(share * l->width - elements) * sizeof(float));
    for (int r = 0; r < l->width; r++)
        bytes[r] = (size_t)share * sizeof(float);
    rs_lane_note(l, rs_comm_alltoall(pieces, rs_comm_data(l->comm), row, bytes, bytes,
                                     "shares of gradients"));
    for (int step = 1; step < l->width; step *= 2)
        for (int r = 0; r < l->width; r += 2 * step)
            add(d, pieces + share * r, pieces + share * (r + step), share);
    rs_lane_note(l,
                 rs_comm_allgather(row, rs_comm_data(l->comm), pieces, bytes, "sums of gradients"));
    move(d, row, tensors, n, true);
}
