/* allreduce out of exchange, sum, exchange: each rank combines one segment of the elements in rank
 * order. MPI_Allreduce may choose another order for another size, place or version. */
#include <math.h>
#include <string.h>

#include "base/num.h"
#include "comm/comm_priv.h"

enum { SMALL = 32 << 10 }; /* bytes of all ranks: below, one exchange of everything is faster */

size_t rs_comm_type_size(rs_comm_type type)
{
    return type == RS_COMM_F32 ? sizeof(float) : sizeof(double);
}

static float sum_f32(float a, float b)
{
    return a + b;
}
static double sum_f64(double a, double b)
{
    return a + b;
}
static int64_t sum_i64(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}
static float min_f32(float a, float b)
{
    return isnan(a) || !(b < a || isnan(b)) ? a : b;
}
static double min_f64(double a, double b)
{
    return isnan(a) || !(b < a || isnan(b)) ? a : b;
}
static int64_t min_i64(int64_t a, int64_t b)
{
    return b < a ? b : a;
}
static float max_f32(float a, float b)
{
    return isnan(a) || !(b > a || isnan(b)) ? a : b;
}
static double max_f64(double a, double b)
{
    return isnan(a) || !(b > a || isnan(b)) ? a : b;
}
static int64_t max_i64(int64_t a, int64_t b)
{
    return b > a ? b : a;
}

#define FOLD(T, fn)                                                                                \
    static void fold_##fn(void *dst, const void *src, int64_t n)                                   \
    {                                                                                              \
        T *d = dst;                                                                                \
        const T *s = src;                                                                          \
        for (int64_t i = 0; i < n; i++)                                                            \
            d[i] = fn(d[i], s[i]);                                                                 \
    }
FOLD(float, sum_f32)
FOLD(double, sum_f64)
FOLD(int64_t, sum_i64)
FOLD(float, min_f32)
FOLD(double, min_f64)
FOLD(int64_t, min_i64)
FOLD(float, max_f32)
FOLD(double, max_f64)
FOLD(int64_t, max_i64)

static void (*const k_fold[3][3])(void *dst, const void *src, int64_t n) = {
    [RS_COMM_F32] = {fold_sum_f32, fold_min_f32, fold_max_f32},
    [RS_COMM_F64] = {fold_sum_f64, fold_min_f64, fold_max_f64},
    [RS_COMM_I64] = {fold_sum_i64, fold_min_i64, fold_max_i64},
};

static void host_copy(void *dst, const void *src, size_t bytes)
{
    if (bytes > 0 && dst != src)
        memcpy(dst, src, bytes);
}

static void host_combine(void *dst, const void *pieces, int n_pieces, size_t stride, int64_t n,
                         rs_comm_type type, rs_comm_reduce op)
{
    const char *p = pieces;
    host_copy(dst, p, (size_t)n * rs_comm_type_size(type));
    for (int r = 1; r < n_pieces; r++)
        k_fold[type][op](dst, p + (size_t)r * stride, n);
}

const rs_comm_space rs_comm_space_host = {
    .alloc = rs_alloc_large, .release = rs_dealloc, .copy = host_copy, .combine = host_combine};

static rs_status need_work(void **work, rs_comm *c, size_t bytes)
{
    if (bytes > c->work_bytes) {
        if (c->work)
            c->ops->space->release(c->work);
        c->work = c->ops->space->alloc(bytes);
        c->work_bytes = c->work ? bytes : 0;
        if (!c->work)
            return RS_FAIL(NOMEM, "no memory for %zu bytes of allreduce pieces", bytes);
    }
    *work = c->work;
    return RS_OK;
}

/* Everybody gets everything and sums it. */
static rs_status reduce_small(rs_comm_request *whole, size_t *bytes)
{
    rs_comm *c = whole->comm;
    const rs_comm_call *a = &whole->call;
    void *work;
    RS_TRY(need_work(&work, c, a->bytes * (size_t)c->size));
    for (int r = 0; r < c->size; r++)
        bytes[r] = a->bytes;
    RS_TRY(rs_comm_part(
        whole,
        &(rs_comm_call){.op = RS_COMM_ALLGATHER, .dst = work, .src = a->src, .dst_bytes = bytes}));
    c->ops->space->combine(a->dst, work, c->size, a->bytes, a->n, a->type, a->reduce);
    return RS_OK;
}

/* Elements [first, first+n): rank r combines its share and all gather the shares. */
static rs_status reduce_window(rs_comm_request *whole, int64_t first, int64_t n, size_t *bytes)
{
    rs_comm *c = whole->comm;
    const rs_comm_call *a = &whole->call;
    size_t size = rs_comm_type_size(a->type);
    size_t *share = bytes, *mine = bytes + c->size;
    for (int r = 0; r < c->size; r++)
        share[r] = (size_t)(n * (r + 1) / c->size - n * r / c->size) * size;
    for (int r = 0; r < c->size; r++)
        mine[r] = share[c->rank];
    size_t at = (size_t)(n * c->rank / c->size) * size;
    char *dst = (char *)a->dst + (size_t)first * size;
    void *work;
    RS_TRY(need_work(&work, c, mine[0] * (size_t)c->size));
    RS_TRY(rs_comm_part(whole, &(rs_comm_call){.op = RS_COMM_ALLTOALL,
                                               .dst = work,
                                               .src = (const char *)a->src + (size_t)first * size,
                                               .dst_bytes = mine,
                                               .src_bytes = share}));
    c->ops->space->combine(dst + at, work, c->size, mine[0], (int64_t)(mine[0] / size), a->type,
                           a->reduce);
    return rs_comm_part(
        whole,
        &(rs_comm_call){.op = RS_COMM_ALLGATHER, .dst = dst, .src = dst + at, .dst_bytes = share});
}

rs_status rs_comm_run_reduce(rs_comm_request *whole)
{
    rs_comm *c = whole->comm;
    const rs_comm_call *a = &whole->call;
    rs_status st = RS_OK;
    if (c->size == 1) {
        c->ops->space->copy(a->dst, a->src, a->bytes);
        return RS_OK;
    }
    size_t *bytes = rs_alloc(2 * (size_t)c->size, sizeof *bytes);
    size_t window = c->shared->window_bytes;
    if (a->bytes <= window && a->bytes * (size_t)c->size <= SMALL) {
        st = reduce_small(whole, bytes);
    } else {
        int64_t step = rs_max_i64(1, (int64_t)(window / rs_comm_type_size(a->type)));
        for (int64_t first = 0; first < a->n && st == RS_OK; first += step)
            st = reduce_window(whole, first, rs_min_i64(step, a->n - first), bytes);
    }
    rs_dealloc(bytes);
    return st;
}
