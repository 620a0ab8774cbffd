// ctest: TIMEOUT 600
// The paper's variants: what a run with one of them leaves in its states is made again here from
// the encoders, the training loop and the denoiser; nothing of src/stage but its states is used.
#include <string.h>

#include "base/fsio.h"
#include "base/rng.h"
#include "diffusion/sampler.h"
#include "harness/stages.h"
#include "harness/test.h"
#include "media/image.h"
#include "stage/state_io.h"
#include "train/train.h"

enum { SEED = 11, FILL = 96, SQUARE = 0, OTHER = 1, PLAIN = 0, RED = 1, LATE = 0 };

/* What the model is given, as the settings name it. */
typedef enum given { MASKED, FIRST_FRAME, KEEP_ALL, KEEP_NONE } given;

static const char *const k_given[] = {"masked", "first-frame", "keep-all", "keep-none"};

static void same(rs_tensor got, rs_tensor want, const char *what)
{
    T_CHECKF(rs_tensor_same_shape(got, want) && got.dtype == want.dtype, "%s: other shape", what);
    T_CHECKF(memcmp(got.data, want.data, rs_tensor_bytes(got)) == 0, "%s differs", what);
}

static rs_tensor copy(rs_tensor t)
{
    t.data = rs_arena_memdup(t_arena(), t.data, rs_tensor_bytes(t));
    return t;
}

static rs_tensor_list state(rs_run *run, rs_job *job, rs_stage_id id)
{
    rs_tensor_list l = {0};
    rs_meta_list meta = {0};
    T_OK(rs_stage_load(run, job, id, t_arena(), &l, &meta));
    return l;
}

static rs_tensor latent_of(rs_run *run, rs_tensor frames)
{
    rs_tensor t;
    T_OK(rs_models_encode_frames(&run->models, t_arena(), &t, frames));
    return t;
}

static rs_tensor image_of(rs_run *run, rs_tensor frame)
{
    rs_tensor t;
    T_OK(rs_models_encode_image(&run->models, t_arena(), &t, frame));
    return t;
}

static rs_tensor text_of(rs_run *run, const char *prompt)
{
    rs_tensor t;
    T_OK(rs_models_encode_text(&run->models, t_arena(), &t, prompt));
    return t;
}

static rs_tensor picture(rs_job *job, const char *dir, const char *name)
{
    rs_tensor rgb;
    T_OK(rs_image_load_fit(&rgb, t_arena(), t_stages_path(dir, name), &job->source.fit));
    return rs_tensor_reshape(rgb, RS_SHAPE(1, rgb.shape[0], rgb.shape[1], 3));
}

/* Is the model given pixel i of frame t? */
static bool shown(given g, rs_tensor mask, int64_t t, int64_t i)
{
    bool inside = ((const uint8_t *)mask.data)[t * mask.shape[1] * mask.shape[2] + i] == 255;
    switch (g) {
    case MASKED:
        return t == 0 || !inside;
    case FIRST_FRAME:
        return t == 0;
    case KEEP_ALL:
        return true;
    case KEEP_NONE:
        return false;
    }
    return false;
}

static rs_tensor make_y(rs_run *run, rs_tensor frames, rs_tensor mask, given g)
{
    int64_t H = mask.shape[1], W = mask.shape[2], h = H / 8, w = W / 8;
    rs_tensor painted = copy(frames);
    for (int64_t t = 0; t < mask.shape[0]; t++)
        for (int64_t i = 0; i < H * W; i++)
            if (!shown(g, mask, t, i))
                memset((uint8_t *)painted.data + 3 * (t * H * W + i), FILL, 3);
    rs_tensor latent = latent_of(run, painted);
    rs_tensor y = rs_tensor_new(t_arena(), RS_SHAPE(20, latent.shape[1], h, w));
    float *out = rs_f32(y);
    for (int64_t c = 0; c < 4; c++)
        for (int64_t j = 0; j < latent.shape[1]; j++)
            for (int64_t k = 0; k < h * w; k++)
                *out++ = shown(g, mask, j == 0 ? 0 : 4 * j + c - 3, k / w * 8 * W + k % w * 8);
    memcpy(out, latent.data, rs_tensor_bytes(latent));
    return y;
}

/* ---- training ---- */

static uint64_t stream(const char *job, const char *stage)
{
    return rs_hash64_mix(rs_hash64_string(job), rs_hash64_string(stage));
}

static rs_adapter *new_adapter(rs_run *run, bool trainable)
{
    static const char *const targets[] = {"attn1.to_q", "attn2.to_v", "ffn.net.2"};
    rs_adapter *a;
    rs_denoiser *m;
    T_OK(rs_models_denoiser(&run->models, &m));
    T_OK(rs_adapter_create(&a, m, 3, 6.0f, targets, 3, trainable));
    return a;
}

static void load_adapter(rs_adapter *a, rs_run *run, rs_job *job, rs_stage_id id)
{
    rs_tensor_list l = state(run, job, id), factors = {0};
    for (int64_t i = 0; i < l.n; i++)
        if (strcmp(l.items[i].name, "losses") != 0)
            rs_tensor_list_add(&factors, t_arena(), l.items[i].name, l.items[i].t);
    T_OK(rs_adapter_import(a, &factors, false));
}

/* Trains `a` on items[order[k]], holds it against the stage's state and destroys it. */
static void check_training(rs_run *run, rs_job *job, rs_stage_id id, rs_adapter *a,
                           const rs_train_item *items, int64_t n_items, const char *order)
{
    int64_t steps = (int64_t)strlen(order), done = 0;
    int32_t *indices = RS_NEW(t_arena(), int32_t, steps);
    float *losses = RS_NEW(t_arena(), float, steps);
    for (int64_t k = 0; k < steps; k++)
        indices[k] = order[k] - '0';
    rs_train_loop loop = {
        .items = items,
        .n_items = n_items,
        .order = indices,
        .steps = steps,
        .seed = SEED,
        .job = stream(id == RS_STAGE_MOTION ? job->video->id : job->name, rs_stage_get(id)->name),
        .optim = {.lr = id == RS_STAGE_MOTION ? 1e-2 : 2e-2,
                  .beta1 = 0.8,
                  .beta2 = 0.95,
                  .eps = 1e-8,
                  .weight_decay = 0.4,
                  .grad_clip = 1e-3}};
    T_OK(rs_train_run(&loop, run->models.denoiser, a, losses, &done));
    rs_tensor_list want = {0}, got = state(run, job, id);
    rs_adapter_export(a, &want, t_arena(), false, false);
    rs_tensor_list_add(&want, t_arena(), "losses",
                       rs_tensor_of(losses, RS_DTYPE_F32, RS_SHAPE(steps)));
    T_EQ_I(got.n, want.n);
    for (int64_t i = 0; i < want.n; i++) {
        const rs_tensor *t = rs_tensor_list_find(&got, want.items[i].name);
        T_CHECKF(t, "%s is missing", want.items[i].name);
        same(*t, want.items[i].t, want.items[i].name);
    }
    rs_adapter_destroy(&a);
}

static rs_adapter *fresh(rs_run *run, uint64_t job)
{
    rs_adapter *a = new_adapter(run, true);
    rs_adapter_init(a, SEED, job);
    return a;
}

/* Frames first .. first+n-1 as a clip of their own. */
static rs_train_item clip_item(rs_run *run, rs_job *job, int64_t first, int64_t n, given g)
{
    rs_tensor frames = rs_tensor_slice(job->source.frames, first, first + n);
    return (rs_train_item){
        .x0 = latent_of(run, frames),
        .y = make_y(run, frames, rs_tensor_slice(job->source.mask, first, first + n), g),
        .text = job->source.text,
        .image = image_of(run, rs_tensor_slice(frames, 0, 1))};
}

/* An edited frame: what is outside of its mask is given, what is inside is learned. */
static rs_train_item reference_item(rs_run *run, rs_job *job, const char *dir, int64_t frame,
                                    const char *name, const char *prompt)
{
    rs_tensor source = rs_tensor_slice(job->source.frames, frame, frame + 1);
    rs_tensor mask = rs_tensor_slice(job->source.mask, frame, frame + 1);
    rs_tensor y = rs_tensor_new(t_arena(), RS_SHAPE(20, 1, 6, 8)), painted = copy(source);
    for (int64_t i = 0; i < 64 * 48; i++)
        if (((const uint8_t *)mask.data)[i] == 255)
            memset((uint8_t *)painted.data + 3 * i, FILL, 3);
    rs_tensor latent = latent_of(run, painted);
    for (int64_t k = 0; k < 4 * 48; k++)
        rs_f32(y)[k] =
            ((const uint8_t *)mask.data)[k % 48 / 8 * 8 * 64 + k % 8 * 8] == 255 ? 0.0f : 1.0f;
    memcpy(rs_f32(y) + 4 * 48, latent.data, rs_tensor_bytes(latent));
    return (rs_train_item){.x0 = latent_of(run, picture(job, dir, name)),
                           .y = y,
                           .text = text_of(run, prompt),
                           .image = image_of(run, source)};
}

/* Passes over n windows, each shuffled. */
static const char *window_order(int64_t steps, int64_t n, uint64_t job)
{
    char *order = rs_arena_alloc(t_arena(), (size_t)steps + 1, 1);
    int64_t *perm = RS_NEW(t_arena(), int64_t, n);
    for (int64_t k = 0; k < steps; k++) {
        rs_rng r = rs_rng_stream(SEED, job, RS_RNG_ORDER, (uint32_t)(k / n));
        rs_rng_permute(perm, &r, n);
        order[k] = (char)('0' + perm[k % n]);
    }
    return order;
}

/* ---- sampling: euler, two steps, no guidance ---- */

#define TWO_STEPS "--set edit.sampler=euler --set edit.steps=2 --set edit.guidance=1 "

typedef struct sample_case {
    const char *picture, *prompt;
    uint64_t seed;
    given given;
    bool blend;
} sample_case;

static const sample_case k_plain = {.picture = "plain.png",
                                    .prompt = "p3rs0n, a plain square moves",
                                    .seed = SEED,
                                    .given = MASKED};
static const sample_case k_red = {
    .picture = "first.png", .prompt = "p3rs0n, a red square moves", .seed = 3, .given = MASKED};
static const sample_case k_late = {
    .picture = "ref.png", .prompt = "p3rs0n, a late square", .seed = SEED, .given = MASKED};

/* Cells that every frame of their latent frame keeps. */
static bool kept(rs_tensor mask, int64_t j, int64_t y, int64_t x)
{
    const uint8_t *m = mask.data;
    for (int64_t t = j ? 4 * j - 3 : 0; t <= 4 * j; t++)
        if (m[(t * mask.shape[1] + 8 * y) * mask.shape[2] + 8 * x] == 255)
            return false;
    return true;
}

static void blend(rs_tensor x, rs_tensor x0, rs_tensor noise, rs_tensor mask, float sigma)
{
    int64_t F = x.shape[1], h = x.shape[2], w = x.shape[3];
    for (int64_t i = 0; i < rs_tensor_count(x); i++)
        if (kept(mask, i / (h * w) % F, i / w % h, i % w))
            rs_f32(x)[i] = (1.0f - sigma) * rs_f32(x0)[i] + sigma * rs_f32(noise)[i];
}

/* adapter: of which stage, or RS_STAGE_COUNT for none. */
static void check_sample(rs_run *run, rs_job *job, const char *dir, rs_stage_id adapter,
                         const sample_case *c)
{
    T_OK(rs_job_load_source(run, job));
    rs_tensor edited = picture(job, dir, c->picture), frames = copy(job->source.frames);
    rs_tensor x = copy(job->source.x0), v = copy(x);
    rs_denoiser *m;
    rs_denoiser_cond *cond;
    rs_schedule s;
    rs_adapter *a = adapter == RS_STAGE_COUNT ? NULL : new_adapter(run, false);
    const float one = 1.0f;
    memcpy(frames.data, edited.data, rs_tensor_bytes(edited));
    if (a)
        load_adapter(a, run, job, adapter);
    T_OK(rs_models_denoiser(&run->models, &m));
    T_OK(rs_denoiser_bind(m, x.shape[1], x.shape[2], x.shape[3], false));
    T_OK(rs_denoiser_set_adapters(m, &a, &one, a ? 1 : 0));
    T_OK(rs_denoiser_cond_create(&cond, m, make_y(run, frames, job->source.mask, c->given),
                                 text_of(run, c->prompt), image_of(run, edited)));
    rs_rng r = rs_rng_stream(c->seed, stream(job->name, "edit"), RS_RNG_SAMPLE_NOISE, 0);
    rs_rng_fill_normal(rs_f32(x), &r, 0, rs_tensor_count(x));
    rs_tensor noise = copy(x);
    T_OK(rs_schedule_make(&s, t_arena(), RS_SAMPLER_EULER, 2, 3.0));
    for (int k = 0; k < 2; k++) {
        T_OK(rs_denoiser_forward(m, v, x, s.times[k], cond));
        for (int64_t i = 0; i < rs_tensor_count(x); i++)
            rs_f32(x)[i] += (s.sigmas[k + 1] - s.sigmas[k]) * rs_f32(v)[i];
        if (c->blend)
            blend(x, job->source.x0, noise, job->source.mask, s.sigmas[k + 1]);
    }
    rs_tensor_list got = state(run, job, RS_STAGE_EDIT);
    same(*rs_tensor_list_find(&got, "latent"), x, job->name);
    rs_denoiser_cond_destroy(&cond);
    T_OK(rs_denoiser_set_adapters(m, NULL, NULL, 0));
    rs_adapter_destroy(&a);
}

/* ---- cases ---- */

/* A run of the binary with these settings, opened in this process. */
static const char *run_world(rs_run_session *s, const char *sets)
{
    const char *dir = t_stages_world();
    char *said, *text, *config;
    T_CHECKF(t_stages_run(&said, dir, "out", sets) == 0, "%s", said);
    config = t_stages_path(dir, "out/config.yaml");
    T_EQ_I(t_shell(&text, "cp %s %s/stages.yaml", config, dir), 0);
    t_stages_open(s, dir, "out", NULL);
    return dir;
}

static bool has_state(const char *dir, const char *name)
{
    return rs_path_exists(rs_arena_printf(t_arena(), "%s/out/state/%s.safetensors", dir, name));
}

static void t_no_motion_steps_are_the_base_model(void)
{
    rs_run_session s;
    char *text;
    const char *dir = run_world(&s, TWO_STEPS "--set motion.steps=0");
    T_EQ_I(state(&s.run, t_stages_job(&s.run, SQUARE, -1), RS_STAGE_MOTION).n, 0);
    T_CHECK(!has_state(dir, "square/appearance@red"));
    check_sample(&s.run, t_stages_job(&s.run, SQUARE, PLAIN), dir, RS_STAGE_COUNT, &k_plain);
    check_sample(&s.run, t_stages_job(&s.run, SQUARE, RED), dir, RS_STAGE_COUNT, &k_red);
    rs_session_close(&s);
    int rc = t_reshoot(&text, "verify %s/out/archive/square.h5 %s/out/catalog.h5", dir, dir);
    T_CHECKF(rc == 0, "%s", text);
    rc = t_reshoot(&text, "show %s/out/archive/square.h5", dir);
    T_CHECKF(rc == 0 && strstr(text, "\n  motion        done        0 "), "%s", text);
    rc = t_reshoot(&text, "export %s/out/archive/square.h5 --out %s/a.safetensors", dir, dir);
    T_CHECKF(rc == 3 && strstr(text, "there is no /stages/motion/adapter"), "%d %s", rc, text);
    T_CHECKF(t_stages_run(&text, dir, "out", "") == 0 && strstr(text, "nothing to do"), "%s", text);
}

/* The appearance stage when asked for; what it trained must not stay behind for the next video. */
static void t_appearance_alone_starts_afresh(void)
{
    rs_run_session s;
    const char *dir =
        run_world(&s, TWO_STEPS "--set motion.steps=0 --set appearance.when=references");
    rs_job *red = t_stages_job(&s.run, SQUARE, RED);
    T_OK(rs_job_load_source(&s.run, red));
    rs_train_item items[] = {
        clip_item(&s.run, red, 0, 9, MASKED),
        reference_item(&s.run, red, dir, 8, "ref.png", "p3rs0n, a red box"),
        reference_item(&s.run, red, dir, 4, "first.png", "p3rs0n, a red square moves"),
    };
    check_training(&s.run, red, RS_STAGE_APPEARANCE,
                   fresh(&s.run, stream("square#red", "appearance")), items, 3, "0121201212");
    check_sample(&s.run, red, dir, RS_STAGE_APPEARANCE, &k_red);
    check_sample(&s.run, t_stages_job(&s.run, OTHER, LATE), dir, RS_STAGE_COUNT, &k_late);
    rs_session_close(&s);
}

static void t_conditions_of_training_and_sampling(void)
{
    for (given g = FIRST_FRAME; g <= KEEP_NONE; g++) {
        given h = g == KEEP_NONE ? FIRST_FRAME : (given)(g + 1); /* another one for sampling */
        rs_run_session s;
        const char *dir = run_world(
            &s, rs_arena_printf(t_arena(),
                                TWO_STEPS "--videos square --set motion.condition=%s "
                                          "--set edit.condition=%s --set appearance.epochs=1",
                                k_given[g], k_given[h]));
        rs_job *square = t_stages_job(&s.run, SQUARE, -1), *red = t_stages_job(&s.run, SQUARE, RED);
        sample_case plain = k_plain;
        plain.given = h;
        T_OK(rs_job_load_source(&s.run, square));
        T_OK(rs_job_load_source(&s.run, red));
        rs_train_item items[] = {
            clip_item(&s.run, square, 0, 9, g),
            reference_item(&s.run, red, dir, 8, "ref.png", "p3rs0n, a red box"),
            reference_item(&s.run, red, dir, 4, "first.png", "p3rs0n, a red square moves"),
        };
        check_training(&s.run, square, RS_STAGE_MOTION, fresh(&s.run, stream("square", "motion")),
                       items, 1, "0000");
        rs_adapter *a = fresh(&s.run, 0);
        load_adapter(a, &s.run, square, RS_STAGE_MOTION);
        check_training(&s.run, red, RS_STAGE_APPEARANCE, a, items, 3, "01212");
        check_sample(&s.run, t_stages_job(&s.run, SQUARE, PLAIN), dir, RS_STAGE_MOTION, &plain);
        rs_session_close(&s);
    }
}

/* Windows of 5 frames of 9, every 3: from 0, 3 and, to end with the clip, 4. */
static void check_windows(given g)
{
    rs_run_session s;
    const char *dir = run_world(
        &s, rs_arena_printf(t_arena(),
                            TWO_STEPS "--set motion.window=5 --set motion.window_stride=3 "
                                      "--set motion.condition=%s",
                            k_given[g]));
    rs_job *square = t_stages_job(&s.run, SQUARE, -1), *red = t_stages_job(&s.run, SQUARE, RED);
    rs_job *other = t_stages_job(&s.run, OTHER, -1);
    T_OK(rs_job_load_source(&s.run, square));
    T_OK(rs_job_load_source(&s.run, red));
    T_OK(rs_job_load_source(&s.run, other));
    rs_train_item items[] = {
        clip_item(&s.run, square, 0, 5, g),
        clip_item(&s.run, square, 3, 5, g),
        clip_item(&s.run, square, 4, 5, g),
        reference_item(&s.run, red, dir, 8, "ref.png", "p3rs0n, a red box"),
        reference_item(&s.run, red, dir, 4, "first.png", "p3rs0n, a red square moves"),
    };
    const char *order = window_order(4, 3, stream("square", "motion"));
    check_training(&s.run, square, RS_STAGE_MOTION, fresh(&s.run, stream("square", "motion")),
                   items, 3, order);
    order = window_order(2, 3, stream("square#red", "appearance"));
    order = rs_arena_printf(t_arena(), "%c3434%c3434", order[0], order[1]);
    rs_adapter *a = fresh(&s.run, 0);
    load_adapter(a, &s.run, square, RS_STAGE_MOTION);
    check_training(&s.run, red, RS_STAGE_APPEARANCE, a, items, 5, order);
    /* sampling is of the whole clip, and so is training where the clip is one window */
    check_sample(&s.run, red, dir, RS_STAGE_APPEARANCE, &k_red);
    rs_train_item whole = clip_item(&s.run, other, 0, 5, g);
    check_training(&s.run, other, RS_STAGE_MOTION, fresh(&s.run, stream("other", "motion")), &whole,
                   1, "0000");
    rs_session_close(&s);
}

static void t_windows_are_clips_of_their_own(void)
{
    check_windows(MASKED);
    check_windows(FIRST_FRAME);
}

/* A window as long as the clip is training on the clip. */
static void t_one_window_is_the_whole_clip(void)
{
    const char *dir = t_stages_world();
    char *text;
    T_CHECKF(t_stages_run(&text, dir, "whole", "--videos square --only motion") == 0, "%s", text);
    T_CHECKF(t_stages_run(&text, dir, "window",
                          "--videos square --only motion --set motion.window=9") == 0,
             "%s", text);
    T_CHECKF(strstr(text, "one window: the clip has 9 frames, motion.window is 9"), "%s", text);
    rs_state *whole, *window;
    T_OK(rs_state_load(&whole, t_stages_path(dir, "whole/state/square/motion.safetensors")));
    T_OK(rs_state_load(&window, t_stages_path(dir, "window/state/square/motion.safetensors")));
    T_EQ_I(rs_state_count(window), rs_state_count(whole));
    T_CHECK(rs_state_count(whole) > 1);
    for (int64_t i = 0; i < rs_state_count(whole); i++) {
        T_EQ_S(rs_state_name(window, i), rs_state_name(whole, i));
        same(*rs_state_at(window, i), *rs_state_at(whole, i), rs_state_name(whole, i));
    }
    rs_state_close(&whole);
    rs_state_close(&window);
}

static void t_blending_puts_the_source_back(void)
{
    rs_run_session s;
    sample_case plain = k_plain;
    plain.blend = true;
    plain.given = FIRST_FRAME;
    const char *dir = run_world(&s, TWO_STEPS "--videos square --set edit.blend=true "
                                              "--set edit.condition=first-frame");
    rs_job *job = t_stages_job(&s.run, SQUARE, PLAIN);
    check_sample(&s.run, job, dir, RS_STAGE_MOTION, &plain);
    rs_tensor_list l = state(&s.run, job, RS_STAGE_EDIT);
    const rs_tensor x = *rs_tensor_list_find(&l, "latent"), x0 = job->source.x0;
    int64_t in = 0, out = 0;
    for (int64_t i = 0; i < rs_tensor_count(x); i++) {
        bool source = kept(job->source.mask, i / 48 % 3, i / 8 % 6, i % 8);
        in += source;
        out += !source;
        T_CHECKF((rs_f32(x)[i] == rs_f32(x0)[i]) == source, "latent value %lld", (long long)i);
    }
    T_CHECKF(in > 0 && out > 0, "%lld of %lld cells are kept", (long long)in, (long long)out);
    rs_session_close(&s);
}

static void t_fewer_references(void)
{
    rs_run_session s;
    char *text;
    const char *dir = run_world(&s, TWO_STEPS "--videos square --set appearance.max_references=1");
    rs_job *red = t_stages_job(&s.run, SQUARE, RED);
    T_OK(rs_job_load_source(&s.run, red));
    rs_train_item items[] = {
        clip_item(&s.run, red, 0, 9, MASKED),
        reference_item(&s.run, red, dir, 8, "ref.png", "p3rs0n, a red box"),
    };
    rs_adapter *a = fresh(&s.run, 0);
    load_adapter(a, &s.run, red, RS_STAGE_MOTION);
    check_training(&s.run, red, RS_STAGE_APPEARANCE, a, items, 2, "011011");
    rs_session_close(&s);
    int rc =
        t_reshoot(&text, "show --json %s/out/archive/square.h5 | grep -c '\"reference\"'", dir);
    T_CHECKF(rc == 0 && strcmp(text, "1\n") == 0, "references among the inputs: %s", text);
}

static void t_no_appearance_for_edits_with_references(void)
{
    rs_run_session s;
    char *text;
    const char *dir = run_world(&s, TWO_STEPS "--videos square --set appearance.when=never");
    T_CHECK(!has_state(dir, "square/appearance@red"));
    check_sample(&s.run, t_stages_job(&s.run, SQUARE, RED), dir, RS_STAGE_MOTION, &k_red);
    rs_session_close(&s);
    T_CHECKF(t_reshoot(&text, "verify %s/out/archive/square.h5", dir) == 0, "%s", text);
}

static const rs_test_case cases[] = {
    T_CASE(t_no_motion_steps_are_the_base_model),
    T_CASE(t_appearance_alone_starts_afresh),
    T_CASE(t_conditions_of_training_and_sampling),
    T_CASE(t_windows_are_clips_of_their_own),
    T_CASE(t_one_window_is_the_whole_clip),
    T_CASE(t_blending_puts_the_source_back),
    T_CASE(t_fewer_references),
    T_CASE(t_no_appearance_for_edits_with_references),
};
RS_TEST_MAIN(cases)
