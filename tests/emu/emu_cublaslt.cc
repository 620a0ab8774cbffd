/* Stand-in for cuBLASLt: descriptors, checks, algorithms. What it does not model it refuses by
 * name.
 *
 * Three algorithms, which differ in the order of their sums and in their workspace. As in the
 * library the advice depends on the whole shape, so a program that asks for each product gets bits
 * that depend on the number of rows; one that asks once per (N, K, types) does not. An algorithm
 * remembers the alignment it was promised. */
#include <cstdio>
#include <cstring>
#include <map>
#include <vector>

#include "tests/emu/emu_blas.hh"

using namespace emu;

namespace
{
enum { ALGORITHMS = 3, MAGIC = 0x454d5531 };
const int CHUNK[ALGORITHMS] = {64, 32, 128};
const size_t WORKSPACE[ALGORITHMS] = {0, 1 << 16, 4 << 20};

/* Attributes as bytes, checked against the size that the header documents. */
struct attributes {
    std::map<int, std::vector<char>> v;

    template <typename T> T get(int name, T otherwise) const
    {
        auto it = v.find(name);
        if (it == v.end())
            return otherwise;
        T out;
        memcpy(&out, it->second.data(), sizeof out);
        return out;
    }
    cublasStatus_t set(const char *what, int name, size_t want, const void *p, size_t n)
    {
        if (want == 0)
            fail("cublasLt: %s %d is not modelled", what, name);
        if (n != want)
            return CUBLAS_STATUS_INVALID_VALUE;
        v[name].assign((const char *)p, (const char *)p + n);
        return CUBLAS_STATUS_SUCCESS;
    }
};

struct layout : attributes {
    cudaDataType type;
    int64_t rows, cols, ld;
};
struct desc : attributes {
    cublasComputeType_t compute;
    cudaDataType scale;
};
struct preference : attributes {
};

size_t desc_size(int name)
{
    switch (name) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
    case CUBLASLT_MATMUL_DESC_TRANSB:
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
    case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE:
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_DATA_TYPE:
    case CUBLASLT_MATMUL_DESC_POINTER_MODE:
    case CUBLASLT_MATMUL_DESC_A_SCALE_MODE:
    case CUBLASLT_MATMUL_DESC_B_SCALE_MODE:
        return 4;
    case CUBLASLT_MATMUL_DESC_A_SCALE_POINTER:
    case CUBLASLT_MATMUL_DESC_B_SCALE_POINTER:
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER:
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD:
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_BATCH_STRIDE:
        return 8;
    default:
        return 0;
    }
}

size_t layout_size(int name)
{
    switch (name) {
    case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT:
    case CUBLASLT_MATRIX_LAYOUT_ORDER:
        return 4;
    case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET:
        return 8;
    default:
        return 0;
    }
}

size_t preference_size(int name)
{
    switch (name) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
        return 8;
    case CUBLASLT_MATMUL_PREF_SEARCH_MODE:
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
        return 4;
    default:
        return 0;
    }
}

cublasStatus_t refuse(cublasStatus_t s, const char *why)
{
    if (setting("EMU_VERBOSE", 0))
        fprintf(stderr, "emu: cublasLt: %s\n", why);
    return s;
}

cublasStatus_t invalid(const char *why)
{
    return refuse(CUBLAS_STATUS_INVALID_VALUE, why);
}

cublasStatus_t unsupported(const char *why)
{
    return refuse(CUBLAS_STATUS_NOT_SUPPORTED, why);
}

blas_matrix matrix_of(const layout *l, const void *data)
{
    return {const_cast<void *>(data),
            l->type,
            l->rows,
            l->cols,
            l->ld,
            l->get<int64_t>(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, 0)};
}

int batch_of(const layout *l)
{
    return l->get<int32_t>(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, 1);
}

/* 8-bit operands as Hopper takes them: both with K contiguous, dimensions in 16 bytes, a scale per
 * row of either. */
cublasStatus_t eight_bits(const blas_product *p, const desc *d, const layout *a, const layout *b,
                          const layout *y)
{
    if (a->type != CUDA_R_8F_E4M3)
        return CUBLAS_STATUS_SUCCESS;
    if (setting("EMU_SM", 80) != 90)
        return unsupported("scales per row are for compute capability 9.0");
    if (y->type != CUDA_R_16BF || !p->ta || p->tb)
        return unsupported("8-bit operands: A transposed, B not, bf16 results");
    if (a->rows % 16 != 0 || a->cols % 16 != 0 || a->ld % 16 != 0 || b->ld % 16 != 0)
        return unsupported("8-bit operands: multiples of 16");
    if (d->get<int32_t>(CUBLASLT_MATMUL_DESC_A_SCALE_MODE, 0) !=
            CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F ||
        d->get<int32_t>(CUBLASLT_MATMUL_DESC_B_SCALE_MODE, 0) !=
            CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F)
        return unsupported("8-bit operands with other scales than one per row");
    return CUBLAS_STATUS_SUCCESS;
}

/* Everything but data: shapes, types, epilogue. */
cublasStatus_t shapes(blas_product *p, const desc *d, const layout *a, const layout *b,
                      const layout *c, const layout *y)
{
    if (!d || !a || !b || !c || !y)
        return invalid("a descriptor is missing");
    if (d->compute != CUBLAS_COMPUTE_32F || d->scale != CUDA_R_32F)
        return unsupported("only CUBLAS_COMPUTE_32F with fp32 scales");
    if (a->type != b->type || c->type != y->type ||
        (a->type != CUDA_R_32F && a->type != CUDA_R_16BF && a->type != CUDA_R_8F_E4M3) ||
        (y->type != a->type && a->type == CUDA_R_32F))
        return unsupported("these types together");
    p->ta = d->get<int32_t>(CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_N) == CUBLAS_OP_T;
    p->tb = d->get<int32_t>(CUBLASLT_MATMUL_DESC_TRANSB, CUBLAS_OP_N) == CUBLAS_OP_T;
    int64_t m = p->ta ? a->cols : a->rows, k = p->ta ? a->rows : a->cols;
    int64_t bk = p->tb ? b->cols : b->rows, n = p->tb ? b->rows : b->cols;
    if (k != bk || m != y->rows || n != y->cols || c->rows != y->rows || c->cols != y->cols)
        return invalid("shapes do not fit");
    for (const layout *l : {a, b, c, y})
        if (l->ld < l->rows || batch_of(l) != batch_of(y))
            return invalid("leading dimension or batch");
    cublasStatus_t eight = eight_bits(p, d, a, b, y);
    if (eight != CUBLAS_STATUS_SUCCESS)
        return eight;
    p->batch = batch_of(y);
    p->epilogue = (int)d->get<uint32_t>(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_DEFAULT);
    switch (p->epilogue) {
    case CUBLASLT_EPILOGUE_DEFAULT:
    case CUBLASLT_EPILOGUE_BIAS:
        return CUBLAS_STATUS_SUCCESS;
    case CUBLASLT_EPILOGUE_GELU:
    case CUBLASLT_EPILOGUE_GELU_BIAS:
    case CUBLASLT_EPILOGUE_GELU_AUX:
    case CUBLASLT_EPILOGUE_GELU_AUX_BIAS:
    case CUBLASLT_EPILOGUE_DGELU:
        if (setting("EMU_BLAS_PLAIN", 0))
            return unsupported("GELU epilogues, as EMU_BLAS_PLAIN says");
        return y->type == CUDA_R_16BF ? CUBLAS_STATUS_SUCCESS
                                      : unsupported("GELU epilogues need bf16 results");
    default:
        return unsupported("this epilogue");
    }
}

uint32_t alignment_of(const void *p)
{
    uintptr_t a = (uintptr_t)p;
    return a == 0                                                ? 256
           : (uint32_t)(a & -a) > 256 || (uint32_t)(a & -a) == 0 ? 256
                                                                 : (uint32_t)(a & -a);
}

struct algorithm {
    uint32_t magic, id;
    uint32_t align[4]; /* promised for A, B, C, D */
};
static_assert(sizeof(algorithm) <= sizeof(cublasLtMatmulAlgo_t), "fits");

algorithm algorithm_of(const cublasLtMatmulAlgo_t *a)
{
    algorithm x;
    memcpy(&x, a, sizeof x);
    return x;
}

/* The chosen algorithm may run this product; x is NULL where the caller names none. */
cublasStatus_t algorithm_takes(const blas_product &p, const algorithm &x)
{
    if (x.magic != MAGIC || x.id >= ALGORITHMS)
        return invalid("not an algorithm of this library");
    const blas_matrix *m[4] = {&p.a, &p.b, &p.c, &p.d};
    for (int i = 0; i < 4; i++) {
        size_t row = (size_t)m[i]->ld * blas_size(m[i]->type);
        if (row % (x.align[i] < 16 ? x.align[i] : 16) != 0 && m[i]->cols > 1)
            return unsupported("leading dimension and promised alignment");
    }
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t with_data(blas_product *p, const desc *d, const algorithm &x)
{
    const blas_matrix *m[4] = {&p->a, &p->b, &p->c, &p->d};
    static const char *const name[4] = {"cublasLt A", "cublasLt B", "cublasLt C", "cublasLt D"};
    for (int i = 0; i < 4; i++) {
        if (i == 2 && p->beta == 0)
            continue;
        if (alignment_of(m[i]->data) < x.align[i])
            fail("%s at %p is less aligned than the %u bytes the algorithm was asked for with",
                 name[i], m[i]->data, x.align[i]);
        int64_t last = (p->batch - 1) * m[i]->stride + (m[i]->cols - 1) * m[i]->ld + m[i]->rows;
        check_device_range(name[i], m[i]->data, (size_t)last * blas_size(m[i]->type));
    }
    if (p->c.data == p->d.data && p->beta != 0 && p->c.ld != p->d.ld)
        return invalid("C and D in place with different layouts");
    p->bias = d->get<const void *>(CUBLASLT_MATMUL_DESC_BIAS_POINTER, nullptr);
    p->aux = d->get<void *>(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, nullptr);
    p->aux_ld = d->get<int64_t>(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, 0);
    p->aux_stride = d->get<int64_t>(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_BATCH_STRIDE, 0);
    if (blas_has_bias(p->epilogue))
        check_device_range("cublasLt bias", p->bias, (size_t)p->d.rows * blas_size(p->d.type));
    if (p->a.type == CUDA_R_8F_E4M3) {
        p->scale_a = d->get<const float *>(CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, nullptr);
        p->scale_b = d->get<const float *>(CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, nullptr);
        check_device_range("cublasLt scales of A", p->scale_a, (size_t)p->d.rows * 4);
        check_device_range("cublasLt scales of B", p->scale_b, (size_t)p->d.cols * 4);
    }
    bool aux = blas_writes_aux(p->epilogue) || p->epilogue == CUBLASLT_EPILOGUE_DGELU;
    if (!aux)
        return CUBLAS_STATUS_SUCCESS;
    if (p->aux_ld % 8 != 0 || p->aux_ld < p->d.rows || alignment_of(p->aux) < 16)
        return invalid("leading dimension or alignment of the epilogue's matrix");
    check_device_range("cublasLt aux", p->aux,
                       (size_t)((p->d.cols - 1) * p->aux_ld + p->d.rows) * blas_size(p->d.type));
    return CUBLAS_STATUS_SUCCESS;
}
} // namespace

extern "C" {
size_t cublasLtGetVersion(void)
{
    return CUBLAS_VERSION;
}

size_t cublasLtGetCudartVersion(void)
{
    return CUDART_VERSION;
}

const char *cublasLtGetStatusName(cublasStatus_t s)
{
    return s == CUBLAS_STATUS_SUCCESS         ? "CUBLAS_STATUS_SUCCESS"
           : s == CUBLAS_STATUS_INVALID_VALUE ? "CUBLAS_STATUS_INVALID_VALUE"
           : s == CUBLAS_STATUS_NOT_SUPPORTED ? "CUBLAS_STATUS_NOT_SUPPORTED"
                                              : "an error of the emulated cublasLt";
}

const char *cublasLtGetStatusString(cublasStatus_t s)
{
    return cublasLtGetStatusName(s);
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t *h)
{
    *h = (cublasLtHandle_t) new char;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t h)
{
    delete (char *)h;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *out, cublasComputeType_t compute,
                                        cudaDataType_t scale)
{
    desc *d = new desc;
    d->compute = compute;
    d->scale = scale;
    *out = (cublasLtMatmulDesc_t)d;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t d)
{
    delete (desc *)d;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t d,
                                              cublasLtMatmulDescAttributes_t name, const void *v,
                                              size_t n)
{
    return ((desc *)d)->set("matmul attribute", name, desc_size(name), v, n);
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *out, cudaDataType type,
                                          uint64_t rows, uint64_t cols, int64_t ld)
{
    layout *l = new layout;
    l->type = type;
    l->rows = (int64_t)rows;
    l->cols = (int64_t)cols;
    l->ld = ld;
    *out = (cublasLtMatrixLayout_t)l;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t l)
{
    delete (layout *)l;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t l,
                                                cublasLtMatrixLayoutAttribute_t name, const void *v,
                                                size_t n)
{
    cublasStatus_t s = ((layout *)l)->set("layout attribute", name, layout_size(name), v, n);
    if (((layout *)l)->get<int32_t>(CUBLASLT_MATRIX_LAYOUT_ORDER, CUBLASLT_ORDER_COL) !=
        CUBLASLT_ORDER_COL)
        fail("cublasLt: only column order is modelled");
    return s;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *out)
{
    *out = (cublasLtMatmulPreference_t) new preference;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t p)
{
    delete (preference *)p;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t p,
                                                    cublasLtMatmulPreferenceAttributes_t name,
                                                    const void *v, size_t n)
{
    return ((preference *)p)->set("preference", name, preference_size(name), v, n);
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t d,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t y,
                                              cublasLtMatmulPreference_t pref, int wanted,
                                              cublasLtMatmulHeuristicResult_t *out, int *n)
{
    static const int names[4] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    const preference *q = (const preference *)pref;
    blas_product p = {};
    *n = 0;
    cublasStatus_t s = shapes(&p, (desc *)d, (layout *)a, (layout *)b, (layout *)c, (layout *)y);
    if (s != CUBLAS_STATUS_SUCCESS)
        return s;
    uint64_t room = q->get<uint64_t>(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, 0);
    uint64_t first = (uint64_t)((layout *)y)->rows * 7 + (uint64_t)((layout *)y)->cols / 64;
    for (int i = 0; i < ALGORITHMS && *n < wanted; i++) {
        algorithm x = {MAGIC, (uint32_t)((first + (uint64_t)i) % ALGORITHMS), {0}};
        for (int k = 0; k < 4; k++)
            x.align[k] = q->get<uint32_t>(names[k], 256);
        if (WORKSPACE[x.id] > room)
            continue;
        cublasLtMatmulHeuristicResult_t *r = &out[(*n)++];
        memset(r, 0, sizeof *r);
        memcpy(&r->algo, &x, sizeof x);
        r->workspaceSize = WORKSPACE[x.id];
        r->state = CUBLAS_STATUS_SUCCESS;
        r->wavesCount = 1;
    }
    return *n > 0 ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t, cublasLtMatmulDesc_t d,
                                       cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                       cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t y,
                                       const cublasLtMatmulAlgo_t *algo,
                                       cublasLtMatmulHeuristicResult_t *out)
{
    blas_product p = {};
    cublasStatus_t s = shapes(&p, (desc *)d, (layout *)a, (layout *)b, (layout *)c, (layout *)y);
    algorithm x = algorithm_of(algo);
    p.a = matrix_of((layout *)a, nullptr);
    p.b = matrix_of((layout *)b, nullptr);
    p.c = matrix_of((layout *)c, nullptr);
    p.d = matrix_of((layout *)y, nullptr);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = algorithm_takes(p, x);
    if (s != CUBLAS_STATUS_SUCCESS)
        return s;
    memset(out, 0, sizeof *out);
    out->algo = *algo;
    out->workspaceSize = WORKSPACE[x.id];
    out->wavesCount = 1;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t de, const void *alpha,
                              const void *A, cublasLtMatrixLayout_t a, const void *B,
                              cublasLtMatrixLayout_t b, const void *beta, const void *C,
                              cublasLtMatrixLayout_t c, void *D, cublasLtMatrixLayout_t y,
                              const cublasLtMatmulAlgo_t *algo, void *workspace, size_t bytes,
                              cudaStream_t stream)
{
    guard g(g_lock);
    const desc *d = (const desc *)de;
    blas_product p = {};
    cublasStatus_t s = shapes(&p, d, (layout *)a, (layout *)b, (layout *)c, (layout *)y);
    if (s != CUBLAS_STATUS_SUCCESS)
        return s;
    p.a = matrix_of((layout *)a, A);
    p.b = matrix_of((layout *)b, B);
    p.c = matrix_of((layout *)c, C);
    p.d = matrix_of((layout *)y, D);
    memcpy(&p.alpha, alpha, sizeof p.alpha);
    memcpy(&p.beta, beta, sizeof p.beta);
    algorithm x = algo ? algorithm_of(algo) : algorithm{MAGIC, 0, {4, 4, 4, 4}};
    if ((s = algorithm_takes(p, x)) != CUBLAS_STATUS_SUCCESS)
        return s;
    if (WORKSPACE[x.id] > bytes || (WORKSPACE[x.id] > 0 && alignment_of(workspace) < 16))
        return invalid("workspace");
    if (WORKSPACE[x.id] > 0)
        check_device_range("cublasLt workspace", workspace, WORKSPACE[x.id]);
    if ((s = with_data(&p, d, x)) != CUBLAS_STATUS_SUCCESS)
        return s;
    p.chunk = CHUNK[x.id];
    p.workspace = workspace;
    p.workspace_used = WORKSPACE[x.id];
    blas_launch(p, stream);
    return CUBLAS_STATUS_SUCCESS;
}
}
