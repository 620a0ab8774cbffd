// umT5 encoder: layout counts, buckets, the spec's golden values, padding against a plain
// reference.
#include <math.h>

#include "model/umt5/umt5_priv.h"
#include "towers_fixture.h"

#define CONFIG(vocab, dim, kv, ff, layers, heads)                                                  \
    "{\"vocab_size\": " #vocab ", \"d_model\": " #dim ", \"d_kv\": " #kv ", \"d_ff\": " #ff        \
    ", \"num_layers\": " #layers ", \"num_heads\": " #heads                                        \
    ", \"relative_attention_num_buckets\": 32, \"relative_attention_max_distance\": 128"           \
    ", \"layer_norm_epsilon\": 1e-6, \"feed_forward_proj\": \"gated-gelu\"}"

static const t_rule k_rules[] = {{"*norm*", 0.2, 1.0}, {"*embedding*", 1.0, 0.0}, {"*", 0.25, 0.0}};
static const t_rule k_hf_rules[] = {
    {"*norm*", 0.2, 1.0}, {"*relative*", 1.0, 0.0}, {"shared*", 1.0, 0.0}, {"*", 0.25, 0.0}};
static const t_model k_tiny = {
    "text_encoder", CONFIG(50, 32, 8, 40, 2, 3), rs_umt5_layout, k_rules, NULL, NULL};

typedef struct fixture {
    rs_device *dev;
    rs_text_encoder *enc;
} fixture;

static fixture open_encoder(const char *dir, int threads)
{
    fixture f;
    T_OK(rs_device_open(&f.dev, &(rs_device_opts){.threads = threads}));
    T_OK(rs_text_encoder_open(&f.enc, f.dev, dir));
    return f;
}

static void close_encoder(fixture *f)
{
    rs_text_encoder_close(&f->enc);
    T_EQ_I(rs_device_bytes(f->dev), 0);
    rs_device_destroy(&f->dev);
}

static rs_tensor encode(rs_text_encoder *e, const int32_t *ids, int64_t n)
{
    rs_tensor states = rs_tensor_new(t_arena(), RS_SHAPE(n, rs_text_encoder_dim(e)));
    T_OK(rs_text_encode(e, states, ids, n));
    return states;
}

static void t_layout_has_the_real_counts(void)
{
    t_model real = k_tiny;
    real.config = CONFIG(256384, 4096, 64, 10240, 24, 64);
    rs_layout l = t_layout_of(&real);
    int64_t outside = 0;
    for (int64_t i = 0; i < l.n; i++)
        outside += l.rows[i].block < 0;
    T_EQ_I(outside + l.blocks * (l.n - outside), 242);
    T_EQ_I(rs_layout_params(&l), 5680910336);
}

static void t_buckets_have_the_reference_thresholds(void)
{
    static const int k_first[] = {8, 12, 16, 23, 32, 46, 64, 91}; /* distance where 8.. begin */
    rs_umt5_config c = {.buckets = 32, .max_distance = 128};
    for (int64_t d = -600; d <= 600; d++) {
        int64_t a = d < 0 ? -d : d, want = a;
        for (int i = 0; i < 8; i++)
            if (a >= k_first[i])
                want = 8 + i;
        T_EQ_I(rs_umt5_bucket(&c, d), want + (d > 0 ? 16 : 0));
    }
}

static void t_encode_gives_the_spec_values(void)
{
    static const int32_t k_ids[] = {3, 17, 42, 8, 1};
    static const float k_first[] = {2.31088601f, -0.09400206f, -1.22114066f, -0.97068785f};
    static const float k_last[] = {-1.1902663f, 1.18397187f, -0.39237266f};
    fixture f = open_encoder(t_write_model(&k_tiny, "original", true), 2);
    T_EQ_I(rs_text_encoder_dim(f.enc), 32);
    T_EQ_I(rs_text_encoder_vocab(f.enc), 50);
    rs_tensor s = encode(f.enc, k_ids, 5);
    T_NEAR(t_sum(s, 1), -1.32677099, 2e-5);
    for (int i = 0; i < 4; i++)
        T_NEAR(rs_f32(s)[i], k_first[i], 3e-6);
    for (int i = 0; i < 3; i++)
        T_NEAR(rs_f32(s)[5 * 32 - 3 + i], k_last[i], 3e-6);
    close_encoder(&f);
}

/* ---- a plain double-precision encoder over padded tokens with a key mask ---- */

typedef struct plain {
    rs_umt5_config c;
    const rs_safetensors *file;
    int64_t L, real; /* tokens, of which the first `real` are not padding */
    double *x;       /* (L,dim) */
} plain;

static const float *weight(const plain *p, const char *pattern, int block)
{
    const rs_tensor *t = rs_safetensors_find(
        p->file, rs_arena_printf(t_arena(), "%s%d.layer.%s", "encoder.block.", block, pattern));
    T_CHECKF(t, "%s", pattern);
    return t->data;
}

static double *plain_linear(const double *x, int64_t rows, int64_t in, const float *w, int64_t out)
{
    double *y = RS_NEW(t_arena(), double, rows *out);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t o = 0; o < out; o++)
            for (int64_t i = 0; i < in; i++)
                y[r * out + o] += x[r * in + i] * (double)w[o * in + i];
    return y;
}

static double *plain_norm(const plain *p, const float *w)
{
    int64_t d = p->c.dim;
    double *y = RS_NEW(t_arena(), double, p->L *d);
    for (int64_t r = 0; r < p->L; r++) {
        double sum = 0.0;
        for (int64_t i = 0; i < d; i++)
            sum += p->x[r * d + i] * p->x[r * d + i];
        for (int64_t i = 0; i < d; i++)
            y[r * d + i] = p->x[r * d + i] / sqrt(sum / (double)d + 1e-6) * (double)w[i];
    }
    return y;
}

static void plain_head(const plain *p, double *o, const double *q, const double *k, const double *v,
                       const float *table, int64_t n)
{
    int64_t d = p->c.head_dim, inner = p->c.heads * d;
    double *s = RS_NEW(t_arena(), double, p->L);
    for (int64_t i = 0; i < p->L; i++) {
        double sum = 0.0;
        for (int64_t j = 0; j < p->L; j++) {
            double dot = (double)table[rs_umt5_bucket(&p->c, j - i) * p->c.heads + n];
            for (int64_t c = 0; c < d; c++)
                dot += q[i * inner + n * d + c] * k[j * inner + n * d + c];
            s[j] = j < p->real ? exp(dot) : 0.0;
            sum += s[j];
        }
        for (int64_t c = 0; c < d; c++)
            for (int64_t j = 0; j < p->L; j++)
                o[i * inner + n * d + c] += s[j] / sum * v[j * inner + n * d + c];
    }
}

static void plain_add(plain *p, const double *y)
{
    for (int64_t i = 0; i < p->L * p->c.dim; i++)
        p->x[i] += y[i];
}

static void plain_block(plain *p, int b)
{
    int64_t d = p->c.dim, inner = p->c.heads * p->c.head_dim, L = p->L;
    double *h = plain_norm(p, weight(p, "0.layer_norm.weight", b));
    double *q = plain_linear(h, L, d, weight(p, "0.SelfAttention.q.weight", b), inner);
    double *k = plain_linear(h, L, d, weight(p, "0.SelfAttention.k.weight", b), inner);
    double *v = plain_linear(h, L, d, weight(p, "0.SelfAttention.v.weight", b), inner);
    double *o = RS_NEW(t_arena(), double, L *inner);
    for (int64_t n = 0; n < p->c.heads; n++)
        plain_head(p, o, q, k, v, weight(p, "0.SelfAttention.relative_attention_bias.weight", b),
                   n);
    plain_add(p, plain_linear(o, L, inner, weight(p, "0.SelfAttention.o.weight", b), d));
    h = plain_norm(p, weight(p, "1.layer_norm.weight", b));
    double *g = plain_linear(h, L, d, weight(p, "1.DenseReluDense.wi_0.weight", b), p->c.ffn);
    double *u = plain_linear(h, L, d, weight(p, "1.DenseReluDense.wi_1.weight", b), p->c.ffn);
    for (int64_t i = 0; i < L * p->c.ffn; i++) {
        double x = g[i], t = tanh(sqrt(2.0 / acos(-1.0)) * (x + 0.044715 * x * x * x));
        u[i] *= 0.5 * x * (1.0 + t);
    }
    plain_add(p, plain_linear(u, L, p->c.ffn, weight(p, "1.DenseReluDense.wo.weight", b), d));
}

static void t_padding_and_mask_change_nothing(void)
{
    t_model m = k_tiny;
    m.config = CONFIG(60, 24, 10, 36, 3, 4); /* heads * d_kv is not d_model */
    m.rules = k_hf_rules;
    const char *dir = t_write_model(&m, "m", false);
    enum { REAL = 40, PADDED = 64, DIM = 24 };
    int32_t ids[PADDED] = {0};
    for (int i = 0; i < REAL; i++)
        ids[i] = 2 + i * 7 % 58;
    rs_safetensors *file = NULL;
    T_OK(rs_safetensors_open(&file, rs_path_join(t_arena(), dir, "text_encoder")));
    plain p = {.c = {.vocab = 60,
                     .dim = DIM,
                     .ffn = 36,
                     .layers = 3,
                     .heads = 4,
                     .head_dim = 10,
                     .buckets = 32,
                     .max_distance = 128},
               .file = file,
               .L = PADDED,
               .real = REAL,
               .x = RS_NEW(t_arena(), double, PADDED *DIM)};
    const float *table = rs_safetensors_find(file, "shared.weight")->data;
    for (int i = 0; i < PADDED * DIM; i++)
        p.x[i] = (double)table[ids[i / DIM] * DIM + i % DIM];
    for (int b = 0; b < 3; b++)
        plain_block(&p, b);
    const double *y =
        plain_norm(&p, rs_safetensors_find(file, "encoder.final_layer_norm.weight")->data);
    float *want = RS_NEW(t_arena(), float, REAL *DIM);
    for (int i = 0; i < REAL * DIM; i++)
        want[i] = (float)y[i];
    fixture f = open_encoder(dir, 2);
    T_REL_L2(rs_f32(encode(f.enc, ids, REAL)), want, REAL * DIM, 3e-6);
    close_encoder(&f);
    rs_safetensors_close(&file);
}

static void t_bits_do_not_depend_on_threads_or_history(void)
{
    const char *dir = t_write_model(&k_tiny, "m", true);
    int32_t ids[150];
    for (int i = 0; i < 150; i++)
        ids[i] = i * 11 % 50;
    rs_tensor want = {0};
    for (int threads = 1; threads <= 3; threads++) {
        fixture f = open_encoder(dir, threads);
        if (threads == 2) /* other lengths before */
            (void)encode(f.enc, ids, 7), (void)encode(f.enc, ids, 1);
        rs_tensor s = encode(f.enc, ids, 150);
        if (threads > 1)
            t_same_bits(s, want);
        want = s;
        close_encoder(&f);
    }
}

static void t_table_of_embeddings_stays_in_the_file(void)
{
    t_model m = k_tiny;
    m.config = CONFIG(20000, 32, 8, 40, 2, 3);
    m.rules = k_hf_rules;
    fixture f = open_encoder(t_write_half(&m, "m"), 1);
    int32_t ids[] = {19999, 0, 1};
    (void)encode(f.enc, ids, 3);
    T_CHECKF(rs_device_peak_bytes(f.dev) < 20000 * 32 * sizeof(float) / 4, "%zu bytes",
             rs_device_peak_bytes(f.dev));
    close_encoder(&f);
}

static void t_bf16_blocks_are_streamed(void)
{
    t_model m = k_tiny;
    m.config = CONFIG(50, 64, 16, 96, 12, 4);
    m.rules = k_hf_rules;
    rs_layout l = t_layout_of(&m);
    rs_tensor_list full = t_weights(&m, false);
    t_round(&full, RS_DTYPE_F32);
    int32_t ids[] = {4, 9, 1};
    fixture f = open_encoder(t_write_list(&m, "full", &full), 2);
    rs_tensor want = encode(f.enc, ids, 3);
    close_encoder(&f);
    f = open_encoder(t_write_half(&m, "half"), 2);
    t_same_bits(encode(f.enc, ids, 3), want);
    size_t blocks = (size_t)rs_layout_block_params(&l) * sizeof(float);
    T_CHECKF(rs_device_peak_bytes(f.dev) < 3 * blocks, "%zu bytes for 12 blocks of %zu",
             rs_device_peak_bytes(f.dev), blocks);
    close_encoder(&f);
}

static void t_bad_input_and_models_are_named(void)
{
    fixture f = open_encoder(t_write_model(&k_tiny, "m", true), 1);
    rs_tensor s = rs_tensor_new(t_arena(), RS_SHAPE(2, 32));
    T_FAILS(rs_text_encode(f.enc, s, (int32_t[]){3, 50}, 2), INPUT,
            "token 1 has id 50, but the vocabulary has 50 entries");
    T_FAILS(rs_text_encode(f.enc, s, (int32_t[]){-1, 2}, 2), INPUT, "token 0 has id -1");
    rs_text_encoder *e = NULL;
    t_model m = k_tiny;
    m.config = "{\"vocab_size\": 50, \"d_model\": 32, \"d_kv\": 8, \"d_ff\": 40, \"num_layers\": 2,"
               "\"num_heads\": 3, \"feed_forward_proj\": \"relu\"}";
    rs_umt5_config c;
    rs_json *json = NULL;
    T_OK(rs_json_parse(&json, m.config, strlen(m.config), "a/config.json"));
    T_FAILS(rs_umt5_config_read(&c, json), MODEL, "a/config.json: feed_forward_proj: \"relu\"");
    rs_json_destroy(&json);
    m = k_tiny;
    m.skip = "blocks.1.ffn.fc1.weight";
    T_FAILS(rs_text_encoder_open(&e, f.dev, t_write_model(&m, "hole", true)), MODEL, m.skip);
    T_FAILS(rs_text_encoder_open(&e, f.dev, t_tmpdir()), MODEL, "no text_encoder");
    T_FAILS(rs_text_encoder_open(&e, f.dev, "/nowhere"), MODEL, "/nowhere: no such model");
    T_CHECK(!e);
    close_encoder(&f);
}

static const rs_test_case k_cases[] = {
    T_CASE(t_layout_has_the_real_counts),
    T_CASE(t_buckets_have_the_reference_thresholds),
    T_CASE(t_encode_gives_the_spec_values),
    T_CASE(t_padding_and_mask_change_nothing),
    T_CASE(t_bits_do_not_depend_on_threads_or_history),
    T_CASE(t_table_of_embeddings_stays_in_the_file),
    T_CASE(t_bf16_blocks_are_streamed),
    T_CASE(t_bad_input_and_models_are_named),
};
RS_TEST_MAIN(k_cases)
