/* Several jobs trained together: every one ends with the bits that it has alone, whether its
 * companions finish, stop, fail or go on. */
#include <math.h>

#include "model/dit_fixture.h"
#include "train/train.h"

enum { JOBS = 4, ITEMS = 3, MOST_STEPS = 12 };

/* Item 0 is a clip of three frames, the others are single frames, the last of another size. */
static const int64_t k_sizes[ITEMS][3] = {{3, 4, 6}, {1, 4, 6}, {1, 6, 4}};
static const int32_t k_orders[JOBS][MOST_STEPS] = {{0, 1, 1, 2, 0, 1, 1, 2, 0, 1, 1, 2},
                                                   {0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1},
                                                   {1, 1, 2, 1, 0, 2, 1, 1, 1, 1, 1, 1},
                                                   {0, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2}};
static const int64_t k_steps[JOBS] = {9, 12, 5, 7};

typedef struct job {
    rs_train_item items[ITEMS];
    rs_adapter *adapter, *frozen;
    float losses[MOST_STEPS];
    rs_train_loop loop;
    /* What its callbacks do and have seen. */
    int64_t stop_after, fail_save_at, saved_step, reports;
    bool *signal; /* raised after stop_after steps; all that look at it stop */
    rs_tensor_list saved;
} job;

typedef struct bench {
    rs_device *d;
    rs_denoiser *m;
    job jobs[JOBS];
    rs_tensor_list want[JOBS]; /* factors and moments of the job trained alone */
    float losses[JOBS][MOST_STEPS];
} bench;

static rs_status save(void *ctx, int64_t step)
{
    job *j = ctx;
    if (step == j->fail_save_at)
        return RS_FAIL(IO, "no space left for step %lld", (long long)step);
    j->saved_step = step;
    j->saved = (rs_tensor_list){0};
    rs_adapter_export(j->adapter, &j->saved, t_arena(), true, false);
    return RS_OK;
}

static void report(void *ctx, const rs_train_progress *p)
{
    job *j = ctx;
    T_EQ_I(p->step, ++j->reports);
    T_CHECK(p->seconds > 0);
}

static bool stop(void *ctx)
{
    job *j = ctx;
    bool mine = j->reports == j->stop_after;
    if (j->signal)
        *j->signal = *j->signal || mine;
    return j->signal ? *j->signal : mine;
}

static void make_items(bench *b, int k)
{
    const rs_denoiser_info *n = rs_denoiser_get_info(b->m);
    for (int i = 0; i < ITEMS; i++) {
        const int64_t *s = k_sizes[i];
#define NAME(what) rs_arena_printf(t_arena(), what " %d %d", k, i)
        b->jobs[k].items[i] =
            (rs_train_item){.x0 = t_values(NAME("x0"), RS_SHAPE(16, s[0], s[1], s[2])),
                            .y = t_values(NAME("y"), RS_SHAPE(n->cond_channels, s[0], s[1], s[2])),
                            .text = t_values(NAME("text"), RS_SHAPE(2 + k, n->text_dim)),
                            .image = t_values(NAME("image"), RS_SHAPE(3 + i, n->image_dim))};
#undef NAME
    }
}

static void fill(bench *b, rs_adapter *a, const char *salt)
{
    t_dit t = {.d = b->d};
    t_dit_fill(&t, a, salt);
}

/* The job as at its start. */
static void reset(bench *b, int k)
{
    static const float k_weight = 0.8f;
    job *j = &b->jobs[k];
    make_items(b, k);
    rs_adapter_init(j->adapter, 5, (uint64_t)k);
    fill(b, j->adapter, rs_arena_printf(t_arena(), "start %d ", k));
    memset(j->losses, 0, sizeof j->losses);
    j->stop_after = j->fail_save_at = -1;
    j->signal = NULL;
    j->saved_step = j->reports = 0;
    j->loop = (rs_train_loop){.items = j->items,
                              .n_items = ITEMS,
                              .frozen = &j->frozen,
                              .frozen_weights = &k_weight,
                              .n_frozen = k % 2, /* mode separate and mode continue */
                              .order = k_orders[k],
                              .steps = k_steps[k],
                              .optim = RS_OPTIM_OPTS_DEFAULT,
                              .seed = 11,
                              .job = (uint64_t)(100 + k),
                              .checkpoint_every = 4,
                              .ctx = j,
                              .save = save,
                              .report = report,
                              .stop = stop};
    j->loop.optim.lr = 1e-2;
}

static rs_tensor_list state_of(const job *j)
{
    rs_tensor_list l = {0};
    rs_adapter_export(j->adapter, &l, t_arena(), true, false);
    return l;
}

static bench open_bench(rs_dtype type, rs_weight_home home)
{
    static const char *const k_frozen[] = {"attn1.to_q", "ffn.net.2"};
    bench b = {0};
    rs_device_opts o = {.threads = 1};
    rs_denoiser_opts opts = {.home = home};
    int n;
    const char *const *targets = rs_adapter_default_targets(&n);
    T_OK(rs_device_open(&b.d, &o));
    T_OK(rs_denoiser_open(&b.m, b.d, t_make_dit("m", t_i2v, type), &opts));
    for (int k = 0; k < JOBS; k++) {
        job *j = &b.jobs[k];
        T_OK(rs_adapter_create(&j->adapter, b.m, 2 + k, 4.0f, targets, n, true));
        T_OK(rs_adapter_create(&j->frozen, b.m, 3, 3.0f, k_frozen, 2, false));
        fill(&b, j->frozen, rs_arena_printf(t_arena(), "frozen %d ", k));
    }
    return b;
}

/* What every job comes to alone. */
static void train_alone(bench *b)
{
    for (int k = 0; k < JOBS; k++) {
        job *j = &b->jobs[k];
        int64_t step = 0;
        reset(b, k);
        T_OK(rs_train_run(&j->loop, b->m, j->adapter, j->losses, &step));
        T_EQ_I(step, k_steps[k]);
        T_EQ_I(j->reports, k_steps[k]);
        b->want[k] = state_of(j);
        memcpy(b->losses[k], j->losses, sizeof j->losses);
    }
}

static void close_bench(bench *b)
{
    for (int k = 0; k < JOBS; k++) {
        rs_adapter_destroy(&b->jobs[k].adapter);
        rs_adapter_destroy(&b->jobs[k].frozen);
    }
    rs_denoiser_close(&b->m);
    T_EQ_I(rs_device_bytes(b->d), 0);
    rs_device_destroy(&b->d);
}

static void check_finished(const bench *b, int k, const rs_train_job *t)
{
    const job *j = &b->jobs[k];
    T_CHECKF(t->status == RS_OK, "job %d: %s", k, t->reason);
    T_EQ_I(t->step, k_steps[k]);
    T_EQ_I(j->reports, k_steps[k]);
    T_EQ_I(j->saved_step, (k_steps[k] - 1) / 4 * 4);
    T_CHECKF(memcmp(j->losses, b->losses[k], sizeof j->losses) == 0, "losses of job %d", k);
    rs_tensor_list got = state_of(j);
    T_EQ_I(got.n, b->want[k].n);
    for (int64_t i = 0; i < got.n; i++)
        T_CHECKF(t_same_bits(got.items[i].t, b->want[k].items[i].t), "job %d: %s has other bits", k,
                 got.items[i].name);
}

static void make_jobs(bench *b, rs_train_job *t)
{
    for (int k = 0; k < JOBS; k++) {
        reset(b, k);
        t[k] = (rs_train_job){
            .loop = &b->jobs[k].loop, .adapter = b->jobs[k].adapter, .losses = b->jobs[k].losses};
    }
}

/* ---- cases ---- */

static int64_t acquired(bench *b)
{
    return rs_denoiser_stream_stats(b->m).acquired;
}

/* Jobs of 5 to 12 steps, with steps on clips in different places. */
static void check_all(rs_dtype type, rs_weight_home home)
{
    bench b = open_bench(type, home);
    rs_train_job t[JOBS];
    train_alone(&b);
    for (int most = 1; most <= 4; most++) {
        make_jobs(&b, t);
        T_OK(rs_train_run_many(t, JOBS, b.m, most));
        for (int k = 0; k < JOBS; k++)
            check_finished(&b, k, &t[k]);
    }
    close_bench(&b);
}

static void t_each_as_alone(void)
{
    check_all(RS_DTYPE_F32, RS_HOME_RESIDENT);
}

static void t_each_as_alone_from_mapped_bf16(void)
{
    check_all(RS_DTYPE_BF16, RS_HOME_MAPPED);
}

/* Four jobs of one-frame steps: one walk of 2 * 3 blocks a step for all of them. */
static void t_one_walk_for_all(void)
{
    bench b = open_bench(RS_DTYPE_F32, RS_HOME_MAPPED);
    static const int32_t k_single[MOST_STEPS] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    static const int k_walks[] = {0, 4, 2, 2, 1}; /* of a round, by `most` */
    for (int most = 1; most <= 4; most++) {
        rs_train_job t[JOBS];
        make_jobs(&b, t);
        for (int k = 0; k < JOBS; k++) {
            b.jobs[k].loop.order = k_single;
            b.jobs[k].loop.steps = 6;
        }
        int64_t before = acquired(&b);
        T_OK(rs_train_run_many(t, JOBS, b.m, most));
        T_EQ_I(acquired(&b) - before, 6 * 2 * 3 * k_walks[most]);
    }
    close_bench(&b);
}

/* Job 1 stops in the middle; what it saved goes on, with another company, to the same bits. */
static void t_one_stops_and_goes_on(void)
{
    bench b = open_bench(RS_DTYPE_F32, RS_HOME_RESIDENT);
    rs_train_job t[JOBS];
    train_alone(&b);
    make_jobs(&b, t);
    b.jobs[1].stop_after = 6;
    T_OK(rs_train_run_many(t, JOBS, b.m, 3));
    T_EQ_I(t[1].status, RS_STOPPED);
    T_CHECK(strstr(t[1].reason, "stopped after step 6 of 12"));
    T_EQ_I(b.jobs[1].saved_step, 6);
    for (int k = 0; k < JOBS; k++)
        if (k != 1)
            check_finished(&b, k, &t[k]);
    rs_tensor_list saved = b.jobs[1].saved;
    float losses[MOST_STEPS];
    memcpy(losses, b.jobs[1].losses, sizeof losses);
    make_jobs(&b, t);
    T_OK(rs_adapter_import(b.jobs[1].adapter, &saved, true));
    memcpy(b.jobs[1].losses, losses, sizeof losses);
    t[1].step = b.jobs[1].reports = 6;
    T_OK(rs_train_run_many(t, 2, b.m, 2));
    check_finished(&b, 0, &t[0]);
    check_finished(&b, 1, &t[1]);
    close_bench(&b);
}

/* A clip each, in different places of their six steps: 2 clips and 5 frames are walked, not 12. */
static void t_jobs_wait_for_each_other(void)
{
    static const int32_t orders[2][MOST_STEPS] = {{0, 1, 1, 1, 1, 1}, {1, 1, 0, 1, 1, 1}};
    bench b = open_bench(RS_DTYPE_F32, RS_HOME_MAPPED);
    rs_train_job t[JOBS];
    make_jobs(&b, t);
    for (int k = 0; k < 2; k++) {
        b.jobs[k].loop.order = orders[k];
        b.jobs[k].loop.steps = 6;
    }
    int64_t before = acquired(&b);
    T_OK(rs_train_run_many(t, 2, b.m, 2));
    T_EQ_I(acquired(&b) - before, 7 * 2 * 3);
    close_bench(&b);
}

/* A signal that job 2 sees first: nobody takes another step, everybody has saved its last. */
static void t_a_signal_stops_all_in_one_step(void)
{
    for (int most = 1; most <= 4; most += 3) {
        bench b = open_bench(RS_DTYPE_F32, RS_HOME_RESIDENT);
        rs_train_job t[JOBS];
        bool raised = false;
        make_jobs(&b, t);
        for (int k = 0; k < JOBS; k++)
            b.jobs[k].signal = &raised;
        b.jobs[2].stop_after = 3;
        T_OK(rs_train_run_many(t, JOBS, b.m, most));
        int64_t steps = 0;
        for (int k = 0; k < JOBS; k++) {
            T_EQ_I(t[k].status, RS_STOPPED);
            T_EQ_I(b.jobs[k].saved_step, t[k].step);
            steps += t[k].step;
        }
        T_EQ_I(t[2].step, 3);
        T_CHECK(steps < 4 * JOBS);
        close_bench(&b);
    }
}

static int n_ended;
static rs_train_job ends[JOBS + 1];

static void note_end(void *ctx, rs_train_job *t)
{
    T_CHECK(ctx == ends);
    T_CHECK(n_ended < JOBS);
    ends[n_ended++] = *t;
}

/* Whether it is done, stopped or spoiled. */
static void t_each_end_is_told_when_it_comes(void)
{
    bench b = open_bench(RS_DTYPE_F32, RS_HOME_RESIDENT);
    rs_train_job t[JOBS];
    make_jobs(&b, t);
    for (int k = 0; k < JOBS; k++) {
        t[k].ended = note_end;
        t[k].ctx = ends;
    }
    rs_f32(b.jobs[0].items[1].x0)[3] = NAN;
    b.jobs[1].stop_after = 6;
    t[3].step = k_steps[3]; /* has nothing left to do */
    n_ended = 0;
    T_OK(rs_train_run_many(t, JOBS, b.m, 4));
    T_EQ_I(n_ended, JOBS);
    static const int order[] = {3, 0, 2, 1};
    for (int i = 0; i < JOBS; i++) {
        T_CHECKF(ends[i].loop == t[order[i]].loop, "end %d", i);
        T_EQ_I(ends[i].status, t[order[i]].status);
        T_EQ_I(ends[i].step, t[order[i]].step);
        T_EQ_S(ends[i].reason, t[order[i]].reason);
    }
    T_EQ_I(ends[1].status, RS_NUMERIC);
    T_EQ_I(ends[2].status, RS_OK);
    T_EQ_I(ends[3].status, RS_STOPPED);
    close_bench(&b);
}

typedef void spoil_fn(job *j);

static void spoil_value(job *j)
{
    rs_f32(j->items[1].x0)[3] = NAN;
}

static void spoil_condition(job *j)
{
    j->items[1].y = j->items[2].y;
}

static void spoil_text(job *j)
{
    j->items[1].text.shape[1]--;
}

static void spoil_save(job *j)
{
    j->fail_save_at = 4;
}

/* Items that do not divide into patches: found when they are bound. */
static void spoil_size(job *j)
{
    j->items[1].x0 = t_values("odd", RS_SHAPE(16, 1, 3, 6));
    j->items[1].y = t_values("odd y", RS_SHAPE(20, 1, 3, 6));
}

/* Job 0, whose step 2 is its first on item 1, in front of the others in every group. */
static void check_spoiled(spoil_fn *spoil, rs_status want, const char *text, int64_t steps)
{
    bench b = open_bench(RS_DTYPE_F32, RS_HOME_RESIDENT);
    train_alone(&b);
    for (int most = 1; most <= 4; most += 3) {
        rs_train_job t[JOBS];
        make_jobs(&b, t);
        spoil(&b.jobs[0]);
        T_OK(rs_train_run_many(t, JOBS, b.m, most));
        T_CHECKF(t[0].status == want && strstr(t[0].reason, text), "%s: %s",
                 rs_status_name(t[0].status), t[0].reason);
        T_EQ_I(t[0].step, steps);
        for (int k = 1; k < JOBS; k++)
            check_finished(&b, k, &t[k]);
    }
    close_bench(&b);
}

static void t_nan_ends_its_job_only(void)
{
    check_spoiled(spoil_value, RS_NUMERIC, "loss is not finite at step 2", 1);
}

static void t_bad_inputs_end_their_job_only(void)
{
    check_spoiled(spoil_condition, RS_INPUT, "condition and target differ in size", 1);
    check_spoiled(spoil_text, RS_INPUT, "condition: text is", 1);
    check_spoiled(spoil_size, RS_INPUT, "does not divide into patches", 1);
}

static void t_a_full_disk_ends_its_job_only(void)
{
    check_spoiled(spoil_save, RS_IO, "no space left for step 4", 4);
}

static const rs_test_case k_cases[] = {
    T_CASE(t_each_as_alone),
    T_CASE(t_each_as_alone_from_mapped_bf16),
    T_CASE(t_one_walk_for_all),
    T_CASE(t_one_stops_and_goes_on),
    T_CASE(t_jobs_wait_for_each_other),
    T_CASE(t_a_signal_stops_all_in_one_step),
    T_CASE(t_each_end_is_told_when_it_comes),
    T_CASE(t_nan_ends_its_job_only),
    T_CASE(t_bad_inputs_end_their_job_only),
    T_CASE(t_a_full_disk_ends_its_job_only),
};
RS_TEST_MAIN(k_cases)
