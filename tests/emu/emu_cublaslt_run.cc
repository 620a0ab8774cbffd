/* The arithmetic of the cuBLASLt stand-in: fp32 sums in chunks over K, so that an element depends
 * on its row, its column and the algorithm only. Device memory is read and written by memcpy, which
 * the sanitizers see, as the rest of the runtime is not instrumented. */
#include <cmath>
#include <cstring>
#include <vector>

#include "tests/emu/emu_blas.hh"
#include "tests/emu/emu_fiber.hh"

namespace emu
{
size_t blas_size(cudaDataType t)
{
    return t == CUDA_R_8F_E4M3 ? 1 : t == CUDA_R_16BF ? 2 : 4;
}

bool blas_has_bias(int e)
{
    return e & CUBLASLT_EPILOGUE_BIAS;
}

bool blas_has_gelu(int e)
{
    return e & CUBLASLT_EPILOGUE_GELU;
}

bool blas_writes_aux(int e)
{
    return (e & CUBLASLT_EPILOGUE_GELU_AUX) == CUBLASLT_EPILOGUE_GELU_AUX;
}

namespace
{
/* Without a call of memcpy, which the race detector watches: a stream's items run on the stack of
 * whoever drives it. */
union word {
    uint32_t w;
    float f;
};

float from_bf16(uint16_t h)
{
    word v;
    v.w = (uint32_t)h << 16;
    return v.f;
}

uint16_t to_bf16(float f)
{
    word v;
    v.f = f;
    if (f != f)
        return 0x7fff;
    return (uint16_t)((v.w + 0x7fff + (v.w >> 16 & 1)) >> 16);
}

float from_e4m3(uint8_t v)
{
    int e = v >> 3 & 15, m = v & 7;
    float x = e ? ldexpf((float)(8 + m), e - 10) : ldexpf((float)m, -9);
    x = (v & 0x7f) == 0x7f ? NAN : x;
    return v & 0x80 ? -x : x;
}

void load(float *out, const void *at, int64_t n, cudaDataType t)
{
    if (t == CUDA_R_8F_E4M3) {
        std::vector<uint8_t> b((size_t)n);
        memcpy(b.data(), at, (size_t)n);
        for (int64_t i = 0; i < n; i++)
            out[i] = from_e4m3(b[(size_t)i]);
        return;
    }
    if (t == CUDA_R_32F) {
        memcpy(out, at, (size_t)n * sizeof *out);
        return;
    }
    std::vector<uint16_t> h((size_t)n);
    memcpy(h.data(), at, (size_t)n * 2);
    for (int64_t i = 0; i < n; i++)
        out[i] = from_bf16(h[(size_t)i]);
}

void store(void *at, const float *in, int64_t n, cudaDataType t)
{
    if (t == CUDA_R_32F) {
        memcpy(at, in, (size_t)n * sizeof *in);
        return;
    }
    std::vector<uint16_t> h((size_t)n);
    for (int64_t i = 0; i < n; i++)
        h[(size_t)i] = to_bf16(in[i]);
    memcpy(at, h.data(), (size_t)n * 2);
}

char *column(const blas_matrix &m, int batch, int64_t col)
{
    return (char *)m.data + (size_t)(batch * m.stride + col * m.ld) * blas_size(m.type);
}

/* op(m), its `minor` index contiguous: out[major * minor_n + minor]. swap: minor counts columns. */
std::vector<float> gather(const blas_matrix &m, int batch, bool swap)
{
    std::vector<float> out((size_t)(m.rows * m.cols)), one((size_t)m.rows);
    for (int64_t c = 0; c < m.cols; c++) {
        if (!swap) {
            load(&out[(size_t)(c * m.rows)], column(m, batch, c), m.rows, m.type);
            continue;
        }
        load(one.data(), column(m, batch, c), m.rows, m.type);
        for (int64_t r = 0; r < m.rows; r++)
            out[(size_t)(r * m.cols + c)] = one[(size_t)r];
    }
    return out;
}

/* sum[i] += over k of a[k][i] * b[k], in chunks. */
void accumulate(float *__restrict sum, float *__restrict part, const float *__restrict a,
                const float *__restrict b, int64_t m, int64_t k, int chunk)
{
    for (int64_t from = 0; from < k; from += chunk) {
        int64_t to = from + chunk < k ? from + chunk : k;
        for (int64_t i = 0; i < m; i++)
            part[i] = 0;
        for (int64_t j = from; j < to; j++) {
            float x = b[j];
            const float *__restrict row = a + j * m;
            for (int64_t i = 0; i < m; i++)
                part[i] += row[i] * x;
        }
        for (int64_t i = 0; i < m; i++)
            sum[i] += part[i];
    }
}

const double GELU_A = 0.7978845608028654, GELU_B = 0.044715;

float gelu(float x)
{
    return (float)(0.5 * x * (1 + tanh(GELU_A * (x + GELU_B * x * x * x))));
}

float gelu_slope(float x)
{
    double t = tanh(GELU_A * (x + GELU_B * x * x * x));
    return (float)(0.5 * (1 + t) + 0.5 * x * (1 - t * t) * GELU_A * (1 + 3 * GELU_B * x * x));
}

struct product_item final : item {
    blas_product p;
    std::vector<float> sum, part, old, bias, aux, scale_a, scale_b;

    void epilogue(int batch, int64_t col)
    {
        int64_t m = p.d.rows;
        char *at = p.aux ? (char *)p.aux +
                               (size_t)(batch * p.aux_stride + col * p.aux_ld) * blas_size(p.d.type)
                         : nullptr;
        for (int64_t i = 0; i < m; i++) {
            if (p.scale_a)
                sum[(size_t)i] *= scale_a[(size_t)i] * scale_b[(size_t)col];
            float v = p.alpha * sum[(size_t)i];
            if (p.beta != 0)
                v += p.beta * old[(size_t)i];
            sum[(size_t)i] = blas_has_bias(p.epilogue) ? v + bias[(size_t)i] : v;
        }
        if (blas_writes_aux(p.epilogue))
            store(at, sum.data(), m, p.d.type);
        if (blas_has_gelu(p.epilogue))
            for (float &v : sum)
                v = gelu(v);
        if (p.epilogue == CUBLASLT_EPILOGUE_DGELU) {
            load(aux.data(), at, m, p.d.type);
            for (int64_t i = 0; i < m; i++)
                sum[(size_t)i] *= gelu_slope(aux[(size_t)i]);
        }
    }

    void one(int batch)
    {
        int64_t m = p.d.rows, k = p.ta ? p.a.rows : p.a.cols;
        std::vector<float> a = gather(p.a, batch, p.ta); /* [k][m] */
        std::vector<float> b = gather(p.b, batch, p.tb); /* [n][k] */
        for (int64_t col = 0; col < p.d.cols; col++) {
            for (float &v : sum)
                v = 0;
            accumulate(sum.data(), part.data(), a.data(), b.data() + col * k, m, k, p.chunk);
            if (p.beta != 0)
                load(old.data(), column(p.c, batch, col), m, p.c.type);
            epilogue(batch, col);
            store(column(p.d, batch, col), sum.data(), m, p.d.type);
        }
    }

    bool run() override
    {
        size_t m = (size_t)p.d.rows;
        sum.resize(m), part.resize(m), old.resize(m), bias.resize(m), aux.resize(m);
        if (p.workspace_used > 0)
            memset(p.workspace, POISON, p.workspace_used);
        if (blas_has_bias(p.epilogue))
            load(bias.data(), p.bias, p.d.rows, p.d.type);
        if (p.scale_a) {
            scale_a.resize(m), scale_b.resize((size_t)p.d.cols);
            load(scale_a.data(), p.scale_a, p.d.rows, CUDA_R_32F);
            load(scale_b.data(), p.scale_b, p.d.cols, CUDA_R_32F);
        }
        for (int i = 0; i < p.batch; i++)
            one(i);
        return true;
    }
};
} // namespace

void blas_launch(const blas_product &p, cudaStream_t s)
{
    product_item *i = new product_item;
    i->p = p;
    g_counts.products++;
    enqueue(s, i);
}
} // namespace emu
