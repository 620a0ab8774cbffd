/* Sharded weights: the streams of a gang, its ranks as threads. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/fsio.h"
#include "base/num.h"
#include "base/rng.h"
#include "comm/agree.h"
#include "comm/fault.h"
#include "harness/test.h"
#include "store/safetensors.h"
#include "weights/stream.h"

enum { BLOCKS = 5, SLOTS = 3, RANKS_MAX = 8 };
static const int k_gangs[] = {1, 2, 3, 4, 8};
/* Odd sizes: no block divides evenly. */
static const int64_t k_sizes[SLOTS] = {40 * 23, 70001, 5};

/* One stream for all cases of a type: what every block must hold, from the rule. */
typedef struct world {
    rs_layout layout;
    const char *path;
    float *want[BLOCKS][SLOTS];
    rs_dtype type;
    int64_t file_bytes; /* of all blocks */
} world;

static void add_block(world *w, rs_tensor_list *list, int b)
{
    rs_arena *a = t_arena();
    for (int s = 0; s < SLOTS; s++) {
        const char *name = rs_arena_printf(a, "blocks.%d.t%d", b, s);
        int64_t n = k_sizes[s];
        rs_tensor t = rs_tensor_new(a, RS_SHAPE(n));
        rs_fill_rule(rs_f32(t), name, 0, n, 1.0, 0.0);
        w->want[b][s] = rs_f32(t);
        if (w->type != RS_DTYPE_F32) {
            t.data = rs_arena_alloc(a, (size_t)n, rs_dtype_size(w->type));
            t.dtype = w->type;
            rs_convert_from_f32(t.data, w->type, w->want[b][s], n);
            rs_convert_to_f32(w->want[b][s], t.data, w->type, n);
        }
        w->file_bytes += (int64_t)rs_tensor_bytes(t);
        rs_tensor_list_add(list, a, name, t);
    }
}

static world make_world(rs_dtype type)
{
    rs_arena *a = t_arena();
    world w = {.layout = {.blocks = BLOCKS}, .type = type};
    rs_tensor_list list = {0};
    for (int s = 0; s < SLOTS; s++)
        rs_layout_add(&w.layout, a,
                      (rs_weight_row){.slot = s,
                                      .diffusers = rs_arena_printf(a, "blocks.%%d.t%d", s),
                                      .ndim = 1,
                                      .shape = {k_sizes[s]},
                                      .matrix = s % 2 == 1});
    for (int b = 0; b < BLOCKS; b++)
        add_block(&w, &list, b);
    w.path = rs_path_join(a, t_tmpdir(), "blocks.safetensors");
    T_OK(rs_safetensors_write(w.path, &list, NULL, 0));
    return w;
}

/* ---- on the ranks: no T_ macros, which leave the thread by a jump ---- */

typedef struct rank {
    const world *w;
    rs_comm *c;
    rs_device *d;
    rs_wstream *s;
} rank;

static rs_status open_rank(rank *r, rs_comm *c, const world *w)
{
    rs_device_opts o = {.threads = 1};
    *r = (rank){.w = w, .c = c};
    RS_TRY(rs_device_open(&r->d, &o));
    return rs_wstream_open_sharded(&r->s, r->d, w->path, &w->layout, c);
}

static rs_status close_rank(rank *r, rs_status st)
{
    rs_wstream_close(&r->s);
    if (st == RS_OK && r->d && rs_device_bytes(r->d) != 0)
        st = RS_FAIL(INTERNAL, "%lld bytes of the device were kept",
                     (long long)rs_device_bytes(r->d));
    rs_device_destroy(&r->d);
    return st;
}

static void rest(int ms)
{
    nanosleep(&(struct timespec){.tv_nsec = (long)ms * 1000000}, NULL);
}

/* Values and type: matrices of a bf16 file stay as they are. */
static bool is_tensor(const world *w, rs_tensor t, int b, int s)
{
    bool same = t.dtype == (w->type == RS_DTYPE_BF16 && s % 2 == 1 ? RS_DTYPE_BF16 : RS_DTYPE_F32);
    same = same && rs_tensor_count(t) == k_sizes[s];
    for (int64_t i = 0; same && i < k_sizes[s]; i++) {
        float x;
        rs_convert_to_f32(&x, (const char *)t.data + (size_t)i * rs_dtype_size(t.dtype), t.dtype,
                          1);
        same = x == w->want[b][s][i];
    }
    return same;
}

/* Looks at the block twice, with a pause in which a wrong gather would overwrite it. */
static rs_status use_block(rank *r, int b, int pause_ms)
{
    const rs_tensor *t;
    rs_status st = RS_OK;
    RS_TRY(rs_wstream_acquire(r->s, b, &t));
    for (int look = 0; look < 2; look++) {
        for (int s = 0; s < SLOTS; s++)
            if (!is_tensor(r->w, t[s], b, s))
                st = RS_FAIL(INTERNAL, "block %d, tensor %d differs, look %d", b, s, look);
        if (pause_ms)
            rest(pause_ms);
    }
    rs_wstream_release(r->s, b);
    return st;
}

static rs_status uses(rank *r, int back_to, int pause_ms)
{
    for (int b = 0; b < BLOCKS; b++)
        RS_TRY(use_block(r, b, pause_ms));
    for (int b = BLOCKS - 1; b >= back_to; b--)
        RS_TRY(use_block(r, b, pause_ms));
    return RS_OK;
}

static rs_status pass(rank *r, int back_to, int pause_ms)
{
    RS_TRY(rs_wstream_begin(r->s, back_to));
    rs_status st = uses(r, back_to, pause_ms);
    rs_wstream_end(r->s);
    return st;
}

/* ---- walks in step ---- */

/* Gathers of a gang whose ring kept two blocks: forwards all but the one gathered ahead; back all
 * but the two last. */
static const int k_backs[] = {BLOCKS, BLOCKS, 0, 0, 2, BLOCKS};
enum { N_BACKS = sizeof k_backs / sizeof k_backs[0] };

static rs_status walk_all(rank *r, rs_comm *c)
{
    rs_wstream_join(r->s);
    RS_TRY(rs_comm_barrier(c, "all have joined"));
    for (int i = 0; i < N_BACKS; i++)
        RS_TRY(pass(r, k_backs[i], 0));
    rs_wstream_leave(r->s);
    rs_wstream_stats t = rs_wstream_get_stats(r->s);
    int S = rs_comm_size(r->c);
    int64_t held = (int64_t)rs_wstream_bytes(r->s), whole = 0;
    for (int s = 0; s < SLOTS; s++)
        whole += k_sizes[s];
    int64_t ring = whole * (r->w->type == RS_DTYPE_F32 ? 8 : 12), slack = 64 * (BLOCKS + 3) * 4;
    if (t.passes != N_BACKS)
        return RS_FAIL(INTERNAL, "%lld passes for %d in step", (long long)t.passes, N_BACKS);
    if (t.gathers > t.passes * 7 || (S > 1) != (t.bytes_gathered > 0))
        return RS_FAIL(INTERNAL, "%lld gathers", (long long)t.gathers);
    if (t.bytes_read > r->w->file_bytes / S + slack || held > t.bytes_read + ring + slack)
        return RS_FAIL(INTERNAL, "rank read %lld and holds %lld", (long long)t.bytes_read,
                       (long long)held);
    return RS_OK;
}

/* The parts of all ranks are the blocks, nothing is read twice. */
static rs_status check_read(rank *r, rs_comm *c)
{
    int64_t sum, mine = rs_wstream_get_stats(r->s).bytes_read;
    RS_TRY(rs_comm_allreduce(&sum, c, &mine, 1, RS_COMM_I64, RS_COMM_SUM, "bytes"));
    return sum == r->w->file_bytes ? RS_OK
                                   : RS_FAIL(INTERNAL, "all ranks read %lld of %lld bytes",
                                             (long long)sum, (long long)r->w->file_bytes);
}

static rs_status walk_rank(rs_comm *c, void *ctx)
{
    rank r;
    rs_comm *gang;
    RS_TRY(rs_comm_split(&gang, c, 0, 0, "gang"));
    rs_status st = open_rank(&r, gang, ctx);
    if (st == RS_OK)
        st = rs_comm_agree(c, walk_all(&r, c)); /* the gang is the stream's */
    if (st == RS_OK)
        st = check_read(&r, c);
    st = close_rank(&r, st);
    rs_comm_close(&gang);
    return st;
}

static void t_every_gang_has_the_blocks(void)
{
    const rs_dtype types[] = {RS_DTYPE_F32, RS_DTYPE_BF16};
    for (int i = 0; i < 2; i++) {
        world w = make_world(types[i]);
        for (size_t g = 0; g < sizeof k_gangs / sizeof k_gangs[0]; g++)
            T_OK(rs_comm_threads_run(k_gangs[g], walk_rank, &w, NULL));
    }
}

/* ---- ranks that want different things ---- */

/* Rank 0 goes there and back, 1 only there, 2 is away and comes late without a round, 3 never asks,
 * 4 gives passes up half way. */
static rs_status mixed_work(rank *r, int kind)
{
    if (kind == 3)
        return RS_OK;
    if (kind == 2) {
        rest(30);
        for (int i = 0; i < 3; i++)
            RS_TRY(pass(r, i, 0));
        return RS_OK;
    }
    rs_wstream_join(r->s);
    for (int i = 0; i < 6 + 3 * kind; i++) {
        if (kind == 4) {
            RS_TRY(rs_wstream_begin(r->s, 0));
            rs_status st = use_block(r, 0, 0);
            rs_wstream_end(r->s);
            RS_TRY(st);
        } else {
            RS_TRY(pass(r, kind == 0 ? i % BLOCKS : BLOCKS, i % 3 == 0 ? 1 + kind : 0));
        }
        if (i == 4) { /* another job, that takes a while */
            rs_wstream_leave(r->s);
            rest(10 * kind);
            rs_wstream_join(r->s);
        }
    }
    rs_wstream_leave(r->s);
    return RS_OK;
}

static rs_status mixed_rank(rs_comm *c, void *ctx)
{
    rank r;
    rs_status st = open_rank(&r, c, ctx);
    if (st == RS_OK)
        st = mixed_work(&r, rs_comm_rank(c) % 5);
    return close_rank(&r, st);
}

static void t_ranks_do_not_wait_for_each_others_work(void)
{
    const rs_dtype types[] = {RS_DTYPE_F32, RS_DTYPE_F16};
    for (int i = 0; i < 2; i++) {
        world w = make_world(types[i]);
        T_OK(rs_comm_threads_run(5, mixed_rank, &w, NULL));
        T_OK(rs_comm_threads_run(2, mixed_rank, &w, NULL));
    }
}

/* A rank in a round is waited for: two that take turns at being late need no more passes than
 * steps. */
static rs_status late_rank(rs_comm *c, void *ctx)
{
    enum { STEPS = 8 };
    rank r;
    rs_status st = open_rank(&r, c, ctx);
    if (st == RS_OK)
        rs_wstream_join(r.s);
    rest(5 * rs_comm_rank(c));
    for (int i = 0; i < STEPS && st == RS_OK; i++) {
        if (i % rs_comm_size(c) == rs_comm_rank(c))
            rest(15);
        st = pass(&r, 1, 0);
    }
    if (st == RS_OK) {
        rs_wstream_leave(r.s);
        int64_t passes = rs_wstream_get_stats(r.s).passes;
        /* The first may have begun before all had joined. */
        if (passes > STEPS + rs_comm_size(c))
            st = RS_FAIL(INTERNAL, "%lld passes for %d steps", (long long)passes, STEPS);
    }
    return close_rank(&r, st);
}

static void t_a_round_keeps_step(void)
{
    world w = make_world(RS_DTYPE_F32);
    T_OK(rs_comm_threads_run(2, late_rank, &w, NULL));
    T_OK(rs_comm_threads_run(3, late_rank, &w, NULL));
}

/* ---- trouble ---- */

static rs_status broken_rank(rs_comm *c, void *ctx)
{
    rank r;
    rs_fault *f;
    RS_TRY(rs_fault_add(&f, c, "rank=1,op=allgather,call=9,do=fail"));
    rs_status st = open_rank(&r, c, ctx);
    if (st == RS_OK)
        rs_wstream_join(r.s);
    for (int i = 0; i < 100 && st == RS_OK; i++)
        st = pass(&r, 0, 0);
    st = close_rank(&r, st);
    rs_fault_destroy(&f);
    return st;
}

static void t_a_broken_gang_ends(void)
{
    world w = make_world(RS_DTYPE_F32);
    T_FAILS(rs_comm_threads_run(3, broken_rank, &w, NULL), INTERNAL, "rank 1: ");
}

static rs_status missing_rank(rs_comm *c, void *ctx)
{
    rank r;
    world w = *(const world *)ctx;
    if (rs_comm_rank(c) == 2)
        w.path = "/nowhere/model.safetensors";
    rs_status st = open_rank(&r, c, &w);
    st = close_rank(&r, st);
    return st == RS_IO && strstr(rs_error_message(), "rank 2: /nowhere")
               ? RS_OK
               : RS_FAIL(INTERNAL, "opened, or other error: %s", rs_error_message());
}

static void t_all_open_or_none(void)
{
    world w = make_world(RS_DTYPE_F32);
    T_OK(rs_comm_threads_run(4, missing_rank, &w, NULL));
}

static const rs_test_case k_cases[] = {
    T_CASE(t_every_gang_has_the_blocks), T_CASE(t_ranks_do_not_wait_for_each_others_work),
    T_CASE(t_a_round_keeps_step),        T_CASE(t_a_broken_gang_ends),
    T_CASE(t_all_open_or_none),
};
RS_TEST_MAIN(k_cases)
