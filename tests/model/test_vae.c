// ctest: TIMEOUT 300
// Wan VAE: layout counts, the spec's golden values, streaming, causality, bounded memory, bad
// input.
#include <math.h>

#include "model/wan/wan_vae_priv.h"
#include "towers_fixture.h"

#define STATS                                                                                      \
    "\"latents_mean\": [-0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508,"      \
    " 0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921],"                       \
    "\"latents_std\": [2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743, 3.2687,"    \
    " 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160]"
#define CONFIG(dim, more)                                                                          \
    "{\"base_dim\": " dim ", \"z_dim\": 16, \"dim_mult\": [1, 2, 4, 4], \"num_res_blocks\": 2,"    \
    "\"attn_scales\": [], \"temperal_downsample\": [false, true, true], " more STATS "}"

static const t_rule k_rules[] = {{"*gamma", 0.2, 1.0}, {"*bias", 0.05, 0.0}, {"*", 0.15, 0.0}};
static const t_model k_tiny = {"vae", CONFIG("8", ""), rs_vae_layout, k_rules, NULL, NULL};

typedef struct fixture {
    rs_device *dev;
    rs_vae *vae;
} fixture;

static fixture open_vae(const char *dir, int threads)
{
    fixture f;
    T_OK(rs_device_open(&f.dev, &(rs_device_opts){.threads = threads}));
    T_OK(rs_vae_open(&f.vae, f.dev, dir));
    return f;
}

static void close_vae(fixture *f)
{
    rs_vae_close(&f->vae);
    T_EQ_I(rs_device_bytes(f->dev), 0);
    rs_device_destroy(&f->dev);
}

static rs_tensor encode(rs_vae *v, rs_tensor video)
{
    const int64_t *s = video.shape;
    rs_tensor z = rs_tensor_new(t_arena(), RS_SHAPE(16, (s[1] - 1) / 4 + 1, s[2] / 8, s[3] / 8));
    T_OK(rs_vae_encode(v, z, video));
    return z;
}

static rs_tensor decode(rs_vae *v, rs_tensor latent, bool raw)
{
    const int64_t *s = latent.shape;
    rs_tensor x = rs_tensor_new(t_arena(), RS_SHAPE(3, (s[1] - 1) * 4 + 1, s[2] * 8, s[3] * 8));
    T_OK(rs_vae_decode(v, x, latent, raw));
    return x;
}

/* Frames [lo,hi) of a (C,T,H,W) tensor. */
static rs_tensor frames(rs_tensor x, int64_t lo, int64_t hi)
{
    const int64_t *s = x.shape;
    int64_t plane = s[2] * s[3];
    rs_tensor out = rs_tensor_new(t_arena(), RS_SHAPE(s[0], hi - lo, s[2], s[3]));
    for (int64_t c = 0; c < s[0]; c++)
        memcpy(rs_f32(out) + c * (hi - lo) * plane, rs_f32(x) + (c * s[1] + lo) * plane,
               (size_t)((hi - lo) * plane) * sizeof(float));
    return out;
}

static bool equal(rs_tensor a, rs_tensor b)
{
    return memcmp(a.data, b.data, rs_tensor_bytes(a)) == 0;
}

static void t_layout_has_the_real_counts(void)
{
    t_model real = k_tiny;
    real.config = CONFIG("96", "");
    rs_layout l = t_layout_of(&real);
    T_EQ_I(l.n, 194);
    T_EQ_I(rs_layout_params(&l), 126892531);
    int64_t encoder = 0;
    for (int64_t i = 0; i < l.n; i++)
        if (strncmp(l.rows[i].diffusers, "encoder", 7) == 0 ||
            strncmp(l.rows[i].diffusers, "quant", 5) == 0)
            encoder +=
                rs_tensor_count(rs_tensor_of(NULL, RS_DTYPE_F32, l.rows[i].ndim, l.rows[i].shape));
    T_EQ_I(encoder, 53596928);
}

static void t_work_is_as_counted_in_the_spec(void)
{
    rs_vae v = {.chunk = 1};
    rs_json *config = NULL;
    const char *text = CONFIG("96", "");
    T_OK(rs_json_parse(&config, text, strlen(text), "config.json"));
    T_OK(rs_vae_config_read(&v.config, t_arena(), config));
    rs_json_destroy(&config);
    rs_vae_nets_build(&v.encoder, &v.decoder, t_arena(), &v.config);
    v.info.scale_t = v.config.scale_t;
    v.info.scale_s = v.config.scale_s;
    T_NEAR((double)rs_vae_macs(&v, false, 13, 60, 104) * 2e-12, 99.3, 0.5);
    T_NEAR((double)rs_vae_macs(&v, true, 13, 60, 104) * 2e-12, 167.0, 0.5);
    T_NEAR((double)rs_vae_macs(&v, false, 1, 60, 104) * 2e-12, 2.7, 0.1);
    T_NEAR((double)rs_vae_macs(&v, true, 1, 60, 104) * 2e-12, 4.4, 0.1);
}

static void t_encode_gives_the_spec_values(void)
{
    fixture f = open_vae(t_write_model(&k_tiny, "original", true), 2);
    rs_tensor z = encode(f.vae, t_input("input.video", 1.0, RS_SHAPE(3, 9, 16, 24)));
    const float *p = rs_f32(z);
    T_NEAR(t_sum(z, 1), 18.7266903461, 1e-4);
    T_NEAR(t_sum(z, 2), 64.6508914758, 1e-4);
    T_NEAR(p[0], 0.3582036878, 3e-6);
    T_NEAR(p[18], 0.3701317583, 3e-6);
    T_NEAR(p[36], 0.5578437109, 3e-6);
    T_NEAR(p[16 * 18 - 1], 0.2742185387, 3e-6);
    close_vae(&f);
}

static void t_decode_gives_the_spec_values(void)
{
    fixture f = open_vae(t_write_model(&k_tiny, "original", true), 2);
    rs_tensor x = decode(f.vae, t_input("input.latent", 1.0, RS_SHAPE(16, 3, 2, 3)), true);
    const float *p = rs_f32(x);
    int64_t n = 9 * 16 * 24;
    T_NEAR(t_sum(x, 1), -2692.1376639203, 1e-2);
    T_NEAR(t_sum(x, 2), 6240.0328810259, 1e-2);
    T_NEAR(p[0], 0.0291026456, 2e-5);
    T_NEAR(p[n], 0.5075743921, 2e-5);
    T_NEAR(p[2 * n], 0.2083951104, 2e-5);
    T_NEAR(p[n - 1], -0.3607833781, 2e-5);
    T_NEAR(p[2 * n - 1], -0.6666553433, 2e-5);
    T_NEAR(p[3 * n - 1], -0.0164175279, 2e-5);
    close_vae(&f);
}

static void t_decode_clamps_unless_raw(void)
{
    fixture f = open_vae(t_write_model(&k_tiny, "m", false), 2);
    rs_tensor z = t_input("input.latent", 2.0, RS_SHAPE(16, 2, 2, 3));
    rs_tensor raw = decode(f.vae, z, true), video = decode(f.vae, z, false);
    int64_t cut = 0, kept = 0;
    for (int64_t i = 0; i < rs_tensor_count(raw); i++) {
        float want = fminf(1.0f, fmaxf(-1.0f, rs_f32(raw)[i]));
        T_CHECK(rs_f32(video)[i] == want);
        *(want == rs_f32(raw)[i] ? &kept : &cut) += 1;
    }
    T_CHECK(cut > 0 && kept > 0);
    close_vae(&f);
}

static void t_names_of_both_layouts_load_alike(void)
{
    static const t_rule by_shape[] = {{"*", 0.1, 0.02}};
    t_model m = k_tiny;
    m.rules = by_shape;
    const char *dir = t_write_model(&m, "d", false);
    fixture f = open_vae(dir, 1);
    rs_tensor video = t_input("input.video", 1.0, RS_SHAPE(3, 5, 16, 16));
    rs_tensor a = encode(f.vae, video);
    close_vae(&f);
    rs_safetensors *file = NULL; /* the same values, renamed */
    T_OK(rs_safetensors_open(&file, rs_path_join(t_arena(), dir, "vae")));
    rs_layout l = t_layout_of(&m);
    rs_tensor_list list = {0};
    for (int64_t i = 0; i < l.n; i++)
        rs_tensor_list_add(&list, t_arena(), l.rows[i].original,
                           *rs_safetensors_find(file, l.rows[i].diffusers));
    const char *other = t_write_model(&m, "o", false);
    T_OK(rs_safetensors_write(rs_path_join(t_arena(), other, "vae/model.safetensors"), &list, NULL,
                              0));
    rs_safetensors_close(&file);
    f = open_vae(other, 1);
    t_same_bits(a, encode(f.vae, video));
    close_vae(&f);
}

static void t_chunks_of_any_length_equal_the_whole_clip(void)
{
    fixture f = open_vae(t_write_model(&k_tiny, "m", false), 2);
    rs_tensor video = t_input("input.video", 1.0, RS_SHAPE(3, 17, 16, 8));
    rs_tensor latent = t_input("input.latent", 1.0, RS_SHAPE(16, 5, 2, 1));
    rs_vae_set_chunk(f.vae, 5);
    rs_tensor z = encode(f.vae, video), x = decode(f.vae, latent, true);
    for (int64_t chunk = 1; chunk <= 4; chunk++) {
        rs_vae_set_chunk(f.vae, chunk);
        T_REL_L2(rs_f32(encode(f.vae, video)), rs_f32(z), rs_tensor_count(z), 2e-6);
        T_REL_L2(rs_f32(decode(f.vae, latent, true)), rs_f32(x), rs_tensor_count(x), 2e-6);
    }
    close_vae(&f);
}

/* The clip on the other side of a pass that goes chunk by chunk. */
typedef struct stream {
    rs_tensor clip;
    int64_t seen;
} stream;

/* Copies between the chunk and its frames of the clip. */
static void exchange(stream *s, rs_tensor chunk, int64_t first, bool in)
{
    T_EQ_I(first, s->seen);
    s->seen += chunk.shape[1];
    int64_t plane = chunk.shape[2] * chunk.shape[3], n = chunk.shape[1];
    for (int64_t c = 0; c < 3; c++) {
        float *part = rs_f32(chunk) + c * n * plane;
        float *clip = rs_f32(s->clip) + (c * s->clip.shape[1] + first) * plane;
        memcpy(in ? part : clip, in ? clip : part, (size_t)(n * plane) * sizeof(float));
    }
}

static void read_chunk(void *user, rs_tensor chunk, int64_t first)
{
    exchange(user, chunk, first, true);
}

static void write_chunk(void *user, rs_tensor chunk, int64_t first)
{
    exchange(user, chunk, first, false);
}

static void t_a_clip_in_chunks_is_the_clip(void)
{
    fixture f = open_vae(t_write_model(&k_tiny, "m", false), 2);
    for (int64_t chunk = 1; chunk <= 3; chunk++) {
        rs_vae_set_chunk(f.vae, chunk);
        stream in = {.clip = t_input("input.video", 1.0, RS_SHAPE(3, 17, 16, 8))};
        rs_tensor z = encode(f.vae, in.clip);
        rs_tensor got = rs_tensor_new(t_arena(), RS_SHAPE(16, 5, 2, 1));
        T_OK(rs_vae_encode_from(f.vae, got, read_chunk, &in));
        T_EQ_I(in.seen, 17);
        t_same_bits(got, z);
        stream out = {.clip = rs_tensor_new(t_arena(), RS_SHAPE(3, 17, 16, 8))};
        T_OK(rs_vae_decode_to(f.vae, z, write_chunk, &out));
        T_EQ_I(out.seen, 17);
        t_same_bits(out.clip, decode(f.vae, z, false));
    }
    close_vae(&f);
}

static void t_latent_frame_0_is_the_single_image(void)
{
    fixture f = open_vae(t_write_model(&k_tiny, "m", false), 2);
    rs_tensor video = t_input("input.video", 1.0, RS_SHAPE(3, 9, 24, 16));
    rs_tensor z = encode(f.vae, video);
    rs_tensor image = encode(f.vae, frames(video, 0, 1));
    T_REL_L2(rs_f32(image), rs_f32(frames(z, 0, 1)), rs_tensor_count(image), 1e-6);
    rs_tensor x = decode(f.vae, z, true), still = decode(f.vae, image, true);
    T_REL_L2(rs_f32(still), rs_f32(frames(x, 0, 1)), rs_tensor_count(still), 2e-6);
    close_vae(&f);
}

/* Touch one frame; frames before what depends on it keep their bits, the first that does not. */
static void t_no_frame_depends_on_later_ones(void)
{
    fixture f = open_vae(t_write_model(&k_tiny, "m", false), 2);
    rs_tensor video = t_input("input.video", 1.0, RS_SHAPE(3, 13, 16, 16));
    rs_tensor z = encode(f.vae, video);
    for (int64_t t = 0; t < 13; t++) {
        float *at = rs_f32(video) + (13 + t) * 256 + 100, keep = *at;
        *at += 0.25f;
        rs_tensor touched = encode(f.vae, video);
        *at = keep;
        int64_t first = t == 0 ? 0 : (t - 1) / 4 + 1;
        T_CHECK(equal(frames(z, 0, first), frames(touched, 0, first)));
        T_CHECK(!equal(frames(z, first, first + 1), frames(touched, first, first + 1)));
    }
    rs_tensor x = decode(f.vae, z, true);
    for (int64_t k = 0; k < 4; k++) {
        float *at = rs_f32(z) + (3 * 4 + k) * 4 + 1, keep = *at;
        *at += 0.25f;
        rs_tensor touched = decode(f.vae, z, true);
        *at = keep;
        int64_t first = k == 0 ? 0 : 4 * (k - 1) + 1;
        T_CHECK(equal(frames(x, 0, first), frames(touched, 0, first)));
        T_CHECK(!equal(frames(x, first, first + 1), frames(touched, first, first + 1)));
    }
    close_vae(&f);
}

static void t_bits_do_not_depend_on_threads(void)
{
    const char *dir = t_write_model(&k_tiny, "m", false);
    rs_tensor video = t_input("input.video", 1.0, RS_SHAPE(3, 9, 16, 24));
    rs_tensor z = {0}, x = {0};
    for (int threads = 1; threads <= 3; threads++) {
        fixture f = open_vae(dir, threads);
        rs_tensor z2 = encode(f.vae, video), x2 = decode(f.vae, z2, true);
        if (threads > 1) {
            t_same_bits(z2, z);
            t_same_bits(x2, x);
        }
        z = z2;
        x = x2;
        close_vae(&f);
    }
}

static void t_memory_does_not_grow_with_the_clip(void)
{
    fixture f = open_vae(t_write_model(&k_tiny, "m", false), 1);
    for (int d = 0; d < 2; d++) {
        size_t one = rs_vae_work_bytes(f.vae, d, 1, 4, 6),
               two = rs_vae_work_bytes(f.vae, d, 2, 4, 6);
        T_CHECK(one < two);
        T_EQ_I(two, rs_vae_work_bytes(f.vae, d, 1000, 4, 6));
    }
    rs_tensor video = t_input("input.video", 1.0, RS_SHAPE(3, 5, 16, 16));
    size_t weights = rs_device_bytes(f.dev);
    encode(f.vae, video);
    size_t held = rs_device_bytes(f.dev);
    T_EQ_I(held, weights + rs_vae_work_bytes(f.vae, false, 2, 2, 2));
    encode(f.vae, t_input("input.video", 1.0, RS_SHAPE(3, 21, 16, 16)));
    T_EQ_I(rs_device_bytes(f.dev), held);
    close_vae(&f);
}

static void t_bad_videos_are_named(void)
{
    fixture f = open_vae(t_write_model(&k_tiny, "m", false), 1);
    rs_tensor z = rs_tensor_new(t_arena(), RS_SHAPE(16, 2, 2, 2));
    for (int64_t t = 6; t <= 8; t++)
        T_FAILS(
            rs_vae_encode(f.vae, z, t_input("v", 1.0, RS_SHAPE(3, t, 16, 16))), INPUT,
            rs_arena_printf(t_arena(), "video of %d frames: the VAE takes 4k+1 frames", (int)t));
    T_FAILS(rs_vae_encode(f.vae, z, t_input("v", 1.0, RS_SHAPE(3, 5, 16, 20))), INPUT,
            "video of 20x16: the VAE takes sizes that divide by 8");
    T_FAILS(rs_vae_encode(f.vae, z, t_input("v", 1.0, RS_SHAPE(3, 5, 4, 16))), INPUT,
            "video of 16x4");
    close_vae(&f);
}

static void fails_to_open(const t_model *m, rs_status want, const char *text)
{
    rs_device *d = NULL;
    rs_vae *v = NULL;
    T_OK(rs_device_open(&d, NULL));
    const char *dir = rs_path_join(t_arena(), t_tmpdir(), "bad");
    T_OK(rs_make_dirs(rs_path_join(t_arena(), dir, "vae")));
    T_OK(rs_write_file_atomic(rs_path_join(t_arena(), dir, "vae/config.json"), m->config,
                              strlen(m->config)));
    rs_status st = rs_vae_open(&v, d, dir);
    T_CHECK(!v && rs_device_bytes(d) == 0);
    T_CHECKF(st == want && strstr(rs_error_message(), text), "%s: %s", rs_status_name(st),
             rs_error_message());
    rs_device_destroy(&d);
}

static void t_bad_models_are_named(void)
{
    t_model m = k_tiny;
    m.config = CONFIG("8", "\"is_residual\": true, ");
    fails_to_open(&m, RS_MODEL, "is_residual");
    m.config = CONFIG("8", "\"patch_size\": 2, ");
    fails_to_open(&m, RS_MODEL, "patch_size");
    m.config = CONFIG("8", "\"out_channels\": 12, ");
    fails_to_open(&m, RS_FORMAT, "out_channels");
    m.config = CONFIG("0", "");
    fails_to_open(&m, RS_FORMAT, "base_dim");
    m.config = "{\"base_dim\": 8, \"z_dim\": 4, \"dim_mult\": [1, 2], \"num_res_blocks\": 1,"
               "\"temperal_downsample\": [true], \"latents_mean\": [0, 0, 0],"
               "\"latents_std\": [1, 1, 1, 1]}";
    fails_to_open(&m, RS_MODEL, "latents_mean: has 3 numbers, but z_dim is 4");
    m.config = "{\"base_dim\": 8, \"z_dim\": 2, \"dim_mult\": [1, 2], \"num_res_blocks\": 1,"
               "\"temperal_downsample\": [true, false], \"latents_mean\": [0, 0],"
               "\"latents_std\": [1, 1]}";
    fails_to_open(&m, RS_MODEL, "temperal_downsample");
    m = k_tiny;
    m.skip = "decoder.up_blocks.0.upsamplers.0.time_conv.weight";
    rs_device *d = NULL;
    rs_vae *v = NULL;
    T_OK(rs_device_open(&d, NULL));
    T_FAILS(rs_vae_open(&v, d, t_write_model(&m, "hole", false)), MODEL, m.skip);
    T_FAILS(rs_vae_open(&v, d, t_tmpdir()), MODEL, "no vae");
    rs_device_destroy(&d);
}

static const rs_test_case k_cases[] = {
    T_CASE(t_layout_has_the_real_counts),
    T_CASE(t_work_is_as_counted_in_the_spec),
    T_CASE(t_encode_gives_the_spec_values),
    T_CASE(t_decode_gives_the_spec_values),
    T_CASE(t_decode_clamps_unless_raw),
    T_CASE(t_names_of_both_layouts_load_alike),
    T_CASE(t_chunks_of_any_length_equal_the_whole_clip),
    T_CASE(t_a_clip_in_chunks_is_the_clip),
    T_CASE(t_latent_frame_0_is_the_single_image),
    T_CASE(t_no_frame_depends_on_later_ones),
    T_CASE(t_bits_do_not_depend_on_threads),
    T_CASE(t_memory_does_not_grow_with_the_clip),
    T_CASE(t_bad_videos_are_named),
    T_CASE(t_bad_models_are_named),
};
RS_TEST_MAIN(k_cases)
