// ctest: TIMEOUT 400
// What the stages compute: everything a run of the binary leaves in its states is made again here
// from the encoders, one training step and one sampler step, written out as loraedit.md says.
#include <string.h>

#include "base/rng.h"
#include "diffusion/sampler.h"
#include "harness/stages.h"
#include "harness/test.h"
#include "media/image.h"
#include "stage/state_io.h"
#include "train/train.h"

enum { SEED = 11, FILL = 96 };

static rs_tensor state(rs_run *run, rs_job *job, rs_stage_id id, const char *name)
{
    rs_tensor_list l = {0};
    rs_meta_list meta = {0};
    rs_tensor t;
    T_OK(rs_stage_load(run, job, id, t_arena(), &l, &meta));
    T_OK(rs_state_need(&t, &l, name, rs_stage_path(run, job, id)));
    return t;
}

static void same(rs_tensor got, rs_tensor want, const char *what)
{
    T_CHECKF(rs_tensor_same_shape(got, want) && got.dtype == want.dtype, "%s: other shape", what);
    T_CHECKF(memcmp(got.data, want.data, rs_tensor_bytes(got)) == 0, "%s differs", what);
}

static void same_list(const rs_tensor_list *got, const rs_tensor_list *want, const char *what)
{
    for (int64_t i = 0; i < want->n; i++) {
        const char *name = want->items[i].name;
        const rs_tensor *t = rs_tensor_list_find(got, name);
        T_CHECKF(t, "%s: %s is missing", what, name);
        same(*t, want->items[i].t, rs_arena_printf(t_arena(), "%s: %s", what, name));
    }
}

static rs_tensor copy(rs_tensor t)
{
    t.data = rs_arena_memdup(t_arena(), t.data, rs_tensor_bytes(t));
    return t;
}

/* ---- conditions ---- */

/* y of frames whose edit region is painted; `given`: frame 0 is given whole. */
static rs_tensor make_y(rs_run *run, rs_tensor frames, rs_tensor mask, bool given)
{
    rs_tensor latent, painted = copy(frames);
    int64_t H = mask.shape[1], W = mask.shape[2];
    const uint8_t *m = mask.data;
    for (int64_t i = given ? H * W : 0; i < rs_tensor_count(mask); i++)
        if (m[i] == 255)
            memset((uint8_t *)painted.data + 3 * i, FILL, 3);
    T_OK(rs_models_encode_frames(&run->models, t_arena(), &latent, painted));
    int64_t F = latent.shape[1], h = H / 8, w = W / 8;
    rs_tensor y = rs_tensor_new(t_arena(), RS_SHAPE(4 + latent.shape[0], F, h, w));
    float *out = rs_f32(y);
    for (int64_t c = 0; c < 4; c++)
        for (int64_t j = 0; j < F; j++)
            for (int64_t k = 0; k < h * w; k++) {
                int64_t frame = 4 * j + c < 4 ? 0 : 4 * j + c - 3;
                bool edit = m[(frame * H + k / w * 8) * W + k % w * 8] == 255;
                *out++ = edit && !(given && frame == 0) ? 0.0f : 1.0f;
            }
    memcpy(out, latent.data, rs_tensor_bytes(latent));
    return y;
}

static rs_tensor text(rs_run *run, const char *prompt)
{
    rs_tensor t;
    T_OK(rs_models_encode_text(&run->models, t_arena(), &t, prompt));
    return t;
}

static rs_tensor image(rs_run *run, rs_tensor frame)
{
    rs_tensor t;
    T_OK(rs_models_encode_image(&run->models, t_arena(), &t, frame));
    return t;
}

static rs_tensor latent_of(rs_run *run, rs_tensor frames)
{
    rs_tensor t;
    T_OK(rs_models_encode_frames(&run->models, t_arena(), &t, frames));
    return t;
}

static rs_tensor picture(rs_run *run, rs_job *job, const char *path)
{
    rs_tensor rgb;
    T_OK(rs_job_load_source(run, job));
    T_OK(rs_image_load_fit(&rgb, t_arena(), path, &job->source.fit));
    return rs_tensor_reshape(rgb, RS_SHAPE(1, rgb.shape[0], rgb.shape[1], 3));
}

static void check_ingest(rs_run *run, rs_job *job, const char *prompt)
{
    rs_tensor frames = state(run, job, RS_STAGE_INGEST, "frames");
    rs_tensor mask = state(run, job, RS_STAGE_INGEST, "mask");
    T_CHECK(memchr(mask.data, 255, rs_tensor_bytes(mask)) && memchr(mask.data, 0, 1000));
    same(state(run, job, RS_STAGE_INGEST, "x0"), latent_of(run, frames), "target");
    same(state(run, job, RS_STAGE_INGEST, "y"), make_y(run, frames, mask, true), "condition");
    same(state(run, job, RS_STAGE_INGEST, "text"), text(run, prompt), "prompt");
    same(state(run, job, RS_STAGE_INGEST, "image"), image(run, rs_tensor_slice(frames, 0, 1)),
         "CLIP image");
}

/* ---- training ---- */

static const char *const k_targets[] = {"attn1.to_q", "attn2.to_v", "ffn.net.2"};

static rs_adapter *new_adapter(rs_run *run, bool trainable)
{
    rs_adapter *a;
    rs_denoiser *m;
    T_OK(rs_models_denoiser(&run->models, &m));
    T_OK(rs_adapter_create(&a, m, 3, 6.0f, k_targets, 3, trainable));
    return a;
}

static uint64_t stream(const char *job, const char *stage)
{
    return rs_hash64_mix(rs_hash64_string(job), rs_hash64_string(stage));
}

/* Trains `a` on items[order[k]] for n steps and holds factors and losses against the state. */
/* `beneath`: applied with its weight and not trained, or NULL. */
static void check_training_over(rs_run *run, rs_job *job, rs_stage_id id, uint64_t draws, double lr,
                                rs_adapter *beneath, float weight, rs_adapter *a,
                                const rs_train_item *items, const char *order)
{
    const rs_optim_opts o = {
        .lr = lr, .beta1 = 0.8, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.4, .grad_clip = 1e-3};
    int64_t n = (int64_t)strlen(order);
    rs_tensor losses = rs_tensor_new(t_arena(), RS_SHAPE(n));
    rs_denoiser *m = run->models.denoiser;
    T_OK(rs_denoiser_set_adapters(m, beneath ? (rs_adapter *[]){beneath, a} : &a,
                                  beneath ? (const float[]){weight, 1.0f} : &(const float){1.0f},
                                  beneath ? 2 : 1));
    for (int64_t k = 0; k < n; k++) {
        const rs_train_item *item = &items[order[k] - '0'];
        const int64_t *s = item->x0.shape;
        rs_rng noise = rs_rng_stream(SEED, draws, RS_RNG_TRAIN_NOISE, (uint32_t)k);
        rs_rng time = rs_rng_stream(SEED, draws, RS_RNG_TRAIN_TIME, (uint32_t)k);
        rs_tensor z = copy(item->x0);
        rs_denoiser_cond *c = NULL;
        double norm;
        rs_rng_fill_normal(rs_f32(z), &noise, 0, rs_tensor_count(z));
        T_OK(rs_denoiser_bind(m, s[1], s[2], s[3], true));
        T_OK(rs_denoiser_cond_create(&c, m, item->y, item->text, item->image));
        T_OK(rs_train_step(m, a, item, c, z, rs_rng_uniform(&time, 0), &o, k + 1,
                           &rs_f32(losses)[k], &norm));
        T_CHECKF(norm > 2e-3, "step %lld is not clipped: %g", (long long)k, norm);
        rs_denoiser_cond_destroy(&c);
    }
    rs_tensor_list want = {0}, got = {0};
    rs_meta_list meta = {0};
    rs_adapter_export(a, &want, t_arena(), false, false);
    rs_tensor_list_add(&want, t_arena(), "losses", losses);
    T_OK(rs_stage_load(run, job, id, t_arena(), &got, &meta));
    T_EQ_I(got.n, want.n);
    same_list(&got, &want, rs_stage_get(id)->name);
    T_EQ_S(rs_meta_get(&meta, "steps"), rs_arena_printf(t_arena(), "%lld", (long long)n));
    T_CHECK(rs_f32(losses)[0] > 0 && rs_f32(losses)[0] != rs_f32(losses)[1]);
}

static void check_training(rs_run *run, rs_job *job, rs_stage_id id, uint64_t draws, double lr,
                           rs_adapter *a, const rs_train_item *items, const char *order)
{
    check_training_over(run, job, id, draws, lr, NULL, 0, a, items, order);
}

static rs_train_item motion_item(rs_run *run, rs_job *job)
{
    T_OK(rs_job_load_source(run, job));
    const rs_ingest *s = &job->source;
    return (rs_train_item){.x0 = s->x0, .y = s->y, .text = s->text, .image = s->image};
}

static void check_motion(rs_run *run, rs_job *job)
{
    uint64_t draws = stream(job->video->id, "motion");
    rs_adapter *a = new_adapter(run, true);
    rs_train_item item = motion_item(run, job);
    rs_adapter_init(a, SEED, draws);
    check_training(run, job, RS_STAGE_MOTION, draws, 1e-2, a, &item, "0000");
    rs_adapter_destroy(&a);
}

/* An edited frame as a one-frame clip: nothing of it is given, CLIP sees the source frame. */
static rs_train_item reference(rs_run *run, rs_job *job, int64_t frame, const char *path,
                               const char *prompt)
{
    rs_tensor edited = picture(run, job, path);
    rs_tensor source = rs_tensor_slice(job->source.frames, frame, frame + 1);
    rs_tensor mask = rs_tensor_slice(job->source.mask, frame, frame + 1);
    return (rs_train_item){.x0 = latent_of(run, edited),
                           .y = make_y(run, source, mask, false),
                           .text = text(run, prompt),
                           .image = image(run, source)};
}

static void load_adapter(rs_adapter *a, rs_run *run, rs_job *job, rs_stage_id id)
{
    rs_tensor_list l = {0}, factors = {0};
    rs_meta_list meta = {0};
    T_OK(rs_stage_load(run, job, id, t_arena(), &l, &meta));
    for (int64_t i = 0; i < l.n; i++)
        if (strcmp(l.items[i].name, "losses") != 0)
            rs_tensor_list_add(&factors, t_arena(), l.items[i].name, l.items[i].t);
    T_OK(rs_adapter_import(a, &factors, false));
}

/* From the motion adapter with fresh moments: 2 epochs of the clip and 2 x 2 references. */
static void check_appearance(rs_run *run, rs_job *red, const char *dir)
{
    rs_train_item items[] = {
        motion_item(run, red),
        reference(run, red, 8, t_stages_path(dir, "ref.png"), "p3rs0n, a red box"),
        reference(run, red, 4, t_stages_path(dir, "first.png"), "p3rs0n, a red square moves"),
    };
    rs_adapter *a = new_adapter(run, true);
    rs_adapter_init(a, 1, 1);
    load_adapter(a, run, red, RS_STAGE_MOTION);
    check_training(run, red, RS_STAGE_APPEARANCE, stream("square#red", "appearance"), 2e-2, a,
                   items, "0121201212");
    rs_adapter_destroy(&a);
}

/* Mode separate: a fresh adapter, with the motion adapter beneath it at its weight. */
static void check_separate(rs_run *run, rs_job *red, const char *dir)
{
    rs_train_item items[] = {
        motion_item(run, red),
        reference(run, red, 8, t_stages_path(dir, "ref.png"), "p3rs0n, a red box"),
        reference(run, red, 4, t_stages_path(dir, "first.png"), "p3rs0n, a red square moves"),
    };
    uint64_t draws = stream("square#red", "appearance");
    rs_adapter *a = new_adapter(run, true), *motion = new_adapter(run, false);
    rs_adapter_init(a, SEED, draws);
    load_adapter(motion, run, red, RS_STAGE_MOTION);
    check_training_over(run, red, RS_STAGE_APPEARANCE, draws, 2e-2, motion, 0.5f, a, items,
                        "0121201212");
    rs_adapter_destroy(&a);
    rs_adapter_destroy(&motion);
}

/* ---- edit and decode ---- */

typedef struct edit_case {
    int64_t video, edit;
    const char *name, *picture, *prompt;
    uint64_t seed;
    float motion, appearance; /* weights of the two adapters; 0: not applied */
} edit_case;

static void sample(rs_run *run, rs_tensor x, const rs_denoiser_cond *cond,
                   const rs_denoiser_cond *uncond)
{
    rs_schedule schedule;
    rs_sampler s;
    int64_t n = rs_tensor_count(x);
    rs_tensor v = copy(x), u = copy(x);
    T_OK(rs_schedule_make(&schedule, t_arena(), RS_SAMPLER_UNIPC, 3, 3.0));
    rs_sampler_init(&s, t_arena(), RS_SAMPLER_UNIPC, &schedule, n);
    for (int k = 0; k < 3; k++) {
        T_OK(rs_denoiser_forward(run->models.denoiser, v, x, schedule.times[k], cond));
        T_OK(rs_denoiser_forward(run->models.denoiser, u, x, schedule.times[k], uncond));
        for (int64_t i = 0; i < n; i++)
            rs_f32(v)[i] = rs_f32(u)[i] + 4.0f * (rs_f32(v)[i] - rs_f32(u)[i]);
        rs_sampler_step(&s, rs_f32(x), rs_f32(v));
    }
}

static void check_edit(rs_run *run, const edit_case *e, const char *dir)
{
    rs_job *job = t_stages_job(run, e->video, e->edit);
    rs_tensor edited = picture(run, job, t_stages_path(dir, e->picture));
    rs_tensor frames = copy(job->source.frames), x = copy(job->source.x0);
    rs_denoiser_cond *cond, *uncond;
    rs_rng noise = rs_rng_stream(e->seed, stream(e->name, "edit"), RS_RNG_SAMPLE_NOISE, 0);
    rs_adapter *adapters[2];
    float weights[2];
    int used = 0;
    rs_denoiser *m = run->models.denoiser;
    memcpy(frames.data, edited.data, rs_tensor_bytes(edited));
    for (int k = 0; k < 2; k++) {
        if ((k ? e->appearance : e->motion) == 0)
            continue;
        adapters[used] = new_adapter(run, false);
        load_adapter(adapters[used], run, job, k ? RS_STAGE_APPEARANCE : RS_STAGE_MOTION);
        weights[used++] = k ? e->appearance : e->motion;
    }
    T_OK(rs_denoiser_bind(m, x.shape[1], x.shape[2], x.shape[3], false));
    T_OK(rs_denoiser_set_adapters(m, adapters, weights, used));
    rs_tensor y = make_y(run, frames, job->source.mask, true), tokens = image(run, edited);
    T_OK(rs_denoiser_cond_create(&cond, m, y, text(run, e->prompt), tokens));
    T_OK(rs_denoiser_cond_create(&uncond, m, y, text(run, "blurred"), tokens));
    rs_rng_fill_normal(rs_f32(x), &noise, 0, rs_tensor_count(x));
    sample(run, x, cond, uncond);
    same(state(run, job, RS_STAGE_EDIT, "latent"), x, e->name);
    T_OK(rs_models_decode_frames(&run->models, t_arena(), &frames, x));
    same(state(run, job, RS_STAGE_DECODE, "frames"), frames, "decoded frames");
    rs_denoiser_cond_destroy(&cond);
    rs_denoiser_cond_destroy(&uncond);
    while (used > 0)
        rs_adapter_destroy(&adapters[--used]);
}

static void t_a_run_computes_what_the_method_says(void)
{
    static const edit_case edits[] = {
        {0, 0, "square#plain", "plain.png", "p3rs0n, a plain square moves", SEED, 1, 0},
        {0, 1, "square#red", "first.png", "p3rs0n, a red square moves", 3, 0, 1},
        {1, 0, "other#late", "ref.png", "p3rs0n, a late square", SEED, 1, 0},
    };
    const char *dir = t_stages_world();
    char *said;
    rs_run_session s;
    T_CHECKF(t_stages_run(&said, dir, "out", "") == 0, "%s", said);
    t_stages_open(&s, dir, "out", NULL);
    rs_run *run = &s.run;
    rs_job *square = t_stages_job(run, 0, -1), *other = t_stages_job(run, 1, -1);
    check_ingest(run, square, "p3rs0n, a square moves");
    check_ingest(run, other, "p3rs0n, another square");
    check_motion(run, square);
    check_motion(run, other);
    check_appearance(run, t_stages_job(run, 0, 1), dir);
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++)
        check_edit(run, &edits[i], dir);
    rs_session_close(&s);
}

/* The experiment with other settings in its appearance and edit sections, run; then opened. */
static const char *mixed_world(rs_run_session *s, const char *appearance, const char *edit)
{
    const char *dir = t_stages_world();
    char *said;
    T_EQ_I(t_shell(&said, "sed -i 's/^appearance: {/&%s/;s/^edit: {/&%s/' %s/stages.yaml",
                   appearance, edit, dir),
           0);
    T_CHECKF(t_stages_run(&said, dir, "out", "--videos square") == 0, "%s", said);
    t_stages_open(s, dir, "out", NULL);
    return dir;
}

static void check_edits_of_square(rs_run *run, const char *dir, float motion, float appearance,
                                  float alone)
{
    edit_case plain = {0,     0, "square#plain", "plain.png", "p3rs0n, a plain square moves", SEED,
                       alone, 0};
    edit_case red = {0, 1,      "square#red", "first.png", "p3rs0n, a red square moves",
                     3, motion, appearance};
    check_edit(run, &plain, dir);
    check_edit(run, &red, dir);
}

static void t_separate_appearance_on_top_of_motion(void)
{
    rs_run_session s;
    const char *dir = mixed_world(&s, "mode: separate, motion_weight: 0.5, ", "");
    check_separate(&s.run, t_stages_job(&s.run, 0, 1), dir);
    check_edits_of_square(&s.run, dir, 1, 1, 1);
    rs_session_close(&s);
}

static void t_weights_of_separate_adapters(void)
{
    rs_run_session s;
    const char *dir = mixed_world(&s, "mode: separate, motion_weight: 0.5, ",
                                  "motion_weight: 0.25, appearance_weight: 0.5, ");
    check_edits_of_square(&s.run, dir, 0.25f, 0.5f, 0.25f);
    rs_session_close(&s);
}

/* A continued adapter holds the motion too: 0.25 M + 1.5 (A - M). */
static void t_weights_of_a_continued_adapter(void)
{
    rs_run_session s;
    const char *dir = mixed_world(&s, "", "motion_weight: 0.25, appearance_weight: 1.5, ");
    check_edits_of_square(&s.run, dir, -1.25f, 1.5f, 0.25f);
    rs_session_close(&s);
}

static void t_weight_zero_applies_nothing(void)
{
    rs_run_session s;
    const char *dir = mixed_world(&s, "", "motion_weight: 0, appearance_weight: 0, ");
    check_edits_of_square(&s.run, dir, 0, 0, 0);
    rs_session_close(&s);
}

static const rs_test_case cases[] = {
    T_CASE(t_a_run_computes_what_the_method_says), T_CASE(t_separate_appearance_on_top_of_motion),
    T_CASE(t_weights_of_separate_adapters),        T_CASE(t_weights_of_a_continued_adapter),
    T_CASE(t_weight_zero_applies_nothing),
};
RS_TEST_MAIN(cases)
