/* Column-major cuBLASLt sees y as y^T (N,M) = op(b)^T op(a)^T: b is its A, a its B, and the bias,
 * one value per row of its result, is ours per column. */
#include "kernels/cuda/blas.h"

#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "kernels/cuda/blas_priv.h"

enum {
    ALIGN = 16,   /* bytes: what the widest loads of all kernels need */
    ADVICE = 24,  /* algorithms asked for */
    REF_M = 8192, /* rows that an algorithm is chosen for */
    REF_M_TRANS = 128,
    TIMED = 5
};

/* Descriptors of one product. */
typedef struct problem {
    cublasLtMatmulDesc_t desc;
    cublasLtMatrixLayout_t a, b, y;
} problem;

static const char *lt_text(cublasStatus_t s)
{
    return s == CUBLAS_STATUS_SUCCESS ? "success" : cublasLtGetStatusString(s);
}

static cudaDataType cuda_type(rs_dtype t)
{
    return t == RS_DTYPE_U8 ? CUDA_R_8F_E4M3 : t == RS_DTYPE_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

static int epilogue_of(const rs_blas_product *p)
{
    if (p->slope_at)
        return CUBLASLT_EPILOGUE_DGELU;
    if (p->gelu && p->pre)
        return p->bias ? CUBLASLT_EPILOGUE_GELU_AUX_BIAS : CUBLASLT_EPILOGUE_GELU_AUX;
    if (p->gelu)
        return p->bias ? CUBLASLT_EPILOGUE_GELU_BIAS : CUBLASLT_EPILOGUE_GELU;
    return p->bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
}

static bool words(const void *p, int64_t ld, int64_t cols, rs_dtype t)
{
    int64_t size = (int64_t)rs_dtype_size(t);
    return ((uint64_t)(uintptr_t)p | (uint64_t)(ld * size) | (uint64_t)(cols * size)) % ALIGN == 0;
}

bool rs_blas_takes(const rs_blas_product *p)
{
    int64_t cols_a = p->trans_a ? p->m : p->k, cols_b = p->trans_b ? p->k : p->n;
    RS_ASSERT(p->type == p->out || p->type != RS_DTYPE_F32);
    RS_ASSERT(p->type != RS_DTYPE_U8 || (p->trans_b && !p->trans_a));
    RS_ASSERT((!p->gelu && !p->slope_at) || p->out == RS_DTYPE_BF16);
    RS_ASSERT(!p->slope_at || (!p->gelu && !p->bias));
    return words(p->a, p->lda, cols_a, p->type) && words(p->b, p->ldb, cols_b, p->type) &&
           words(p->y, p->ldy, p->n, p->out) &&
           ((uintptr_t)p->bias | (uintptr_t)p->pre | (uintptr_t)p->slope_at) % ALIGN == 0;
}

static void problem_free(problem *x)
{
    if (x->desc)
        cublasLtMatmulDescDestroy(x->desc);
    if (x->a)
        cublasLtMatrixLayoutDestroy(x->a);
    if (x->b)
        cublasLtMatrixLayoutDestroy(x->b);
    if (x->y)
        cublasLtMatrixLayoutDestroy(x->y);
}

static cublasStatus_t set(problem *x, cublasLtMatmulDescAttributes_t what, const void *v, size_t n)
{
    return cublasLtMatmulDescSetAttribute(x->desc, what, v, n);
}

/* A scale per row of either operand; cuBLASLt's A is our b. Sums keep fp32's bits
 * (CUBLASLT_MATMUL_DESC_FAST_ACCUM stays 0). */
static cublasStatus_t describe_scales(problem *x, const rs_blas_product *p)
{
    int32_t mode = CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F;
    cublasStatus_t s = set(x, CUBLASLT_MATMUL_DESC_A_SCALE_MODE, &mode, sizeof mode);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = set(x, CUBLASLT_MATMUL_DESC_B_SCALE_MODE, &mode, sizeof mode);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = set(x, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, &p->scale_b, sizeof p->scale_b);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = set(x, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, &p->scale_a, sizeof p->scale_a);
    return s;
}

static cublasStatus_t describe(problem *x, const rs_blas_product *p)
{
    int32_t ta = p->trans_b ? CUBLAS_OP_T : CUBLAS_OP_N;
    int32_t tb = p->trans_a ? CUBLAS_OP_T : CUBLAS_OP_N;
    uint32_t epilogue = (uint32_t)epilogue_of(p);
    const void *aux = p->slope_at ? p->slope_at : p->pre;
    cublasStatus_t s = cublasLtMatmulDescCreate(&x->desc, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = set(x, CUBLASLT_MATMUL_DESC_TRANSA, &ta, sizeof ta);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = set(x, CUBLASLT_MATMUL_DESC_TRANSB, &tb, sizeof tb);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = set(x, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue);
    if (s == CUBLAS_STATUS_SUCCESS && p->bias)
        s = set(x, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &p->bias, sizeof p->bias);
    if (s == CUBLAS_STATUS_SUCCESS && aux)
        s = set(x, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, &aux, sizeof aux);
    if (s == CUBLAS_STATUS_SUCCESS && aux)
        s = set(x, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, &p->n, sizeof p->n);
    return s == CUBLAS_STATUS_SUCCESS && p->type == RS_DTYPE_U8 ? describe_scales(x, p) : s;
}

static cublasStatus_t problem_make(problem *x, const rs_blas_product *p)
{
    *x = (problem){0};
    cudaDataType in = cuda_type(p->type), out = cuda_type(p->out);
    uint64_t m = (uint64_t)p->m, n = (uint64_t)p->n, k = (uint64_t)p->k;
    cublasStatus_t s = describe(x, p);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = cublasLtMatrixLayoutCreate(&x->a, in, p->trans_b ? k : n, p->trans_b ? n : k, p->ldb);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = cublasLtMatrixLayoutCreate(&x->b, in, p->trans_a ? m : k, p->trans_a ? k : m, p->lda);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = cublasLtMatrixLayoutCreate(&x->y, out, n, m, p->ldy);
    return s;
}

static cublasStatus_t multiply(rs_cuctx *c, const rs_blas_product *p, const problem *x,
                               const cublasLtMatmulAlgo_t *algo)
{
    const rs_blas *b = c->blas;
    return cublasLtMatmul(b->lt, x->desc, &p->alpha, p->b, x->a, p->a, x->b, &p->beta, p->y, x->y,
                          p->y, x->y, algo, c->workspace, RS_BLAS_SCRATCH, c->compute);
}

/* ---- choice of an algorithm ---- */

static cublasStatus_t prefer(cublasLtMatmulPreference_t pref)
{
    static const cublasLtMatmulPreferenceAttributes_t ALIGNED[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    uint64_t bytes = RS_BLAS_SCRATCH;
    uint32_t align = ALIGN, no_split = CUBLASLT_REDUCTION_SCHEME_NONE;
    cublasStatus_t s = cublasLtMatmulPreferenceSetAttribute(
        pref, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &bytes, sizeof bytes);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = cublasLtMatmulPreferenceSetAttribute(pref, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                                                 &no_split, sizeof no_split);
    for (int i = 0; i < 4 && s == CUBLAS_STATUS_SUCCESS; i++)
        s = cublasLtMatmulPreferenceSetAttribute(pref, ALIGNED[i], &align, sizeof align);
    return s;
}

/* The product with another number of rows, of contiguous matrices. */
static rs_blas_product with_rows(const rs_blas_product *p, int64_t m)
{
    rs_blas_product r = *p;
    r.m = m;
    r.lda = p->trans_a ? m : p->k;
    r.ldb = p->trans_b ? p->k : p->n;
    r.ldy = p->n;
    return r;
}

/* An algorithm must take any number of rows. */
static bool takes_all(rs_blas *b, const rs_blas_product *p, const cublasLtMatmulAlgo_t *algo)
{
    static const int64_t ROWS[] = {8, 264, 1560, 20280, 131072};
    for (int i = 0; i < 5; i++) {
        problem x;
        rs_blas_product r = with_rows(p, ROWS[i]);
        cublasLtMatmulHeuristicResult_t found = {0};
        cublasStatus_t s = problem_make(&x, &r);
        if (s == CUBLAS_STATUS_SUCCESS)
            s = cublasLtMatmulAlgoCheck(b->lt, x.desc, x.a, x.b, x.y, x.y, algo, &found);
        problem_free(&x);
        if (s != CUBLAS_STATUS_SUCCESS || found.workspaceSize > RS_BLAS_SCRATCH)
            return false;
    }
    return true;
}

/* What the library advises for the reference, best first, of what takes any M. */
static int advice(rs_blas *b, const rs_blas_product *p, cublasLtMatmulHeuristicResult_t *found)
{
    problem x;
    int n = 0, kept = 0;
    cublasLtMatmulPreference_t pref = NULL;
    rs_blas_product ref = with_rows(p, p->trans_a ? REF_M_TRANS : REF_M);
    cublasStatus_t s = problem_make(&x, &ref);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = cublasLtMatmulPreferenceCreate(&pref);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = prefer(pref);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = cublasLtMatmulAlgoGetHeuristic(b->lt, x.desc, x.a, x.b, x.y, x.y, pref, ADVICE, found,
                                           &n);
    for (int i = 0; i < n && s == CUBLAS_STATUS_SUCCESS; i++)
        if (found[i].state == CUBLAS_STATUS_SUCCESS && takes_all(b, p, &found[i].algo))
            found[kept++] = found[i];
    if (pref)
        cublasLtMatmulPreferenceDestroy(pref);
    problem_free(&x);
    return kept;
}

/* Milliseconds of one product by this algorithm; below 0: it failed. */
static float time_of(rs_cuctx *c, const rs_blas_product *p, const problem *x,
                     const cublasLtMatmulAlgo_t *algo)
{
    cudaEvent_t from = NULL, to = NULL;
    float best = -1;
    if (cudaEventCreate(&from) != cudaSuccess || cudaEventCreate(&to) != cudaSuccess)
        goto out;
    for (int i = 0; i <= TIMED; i++) { /* the first one warms up */
        float ms;
        cudaEventRecord(from, c->compute);
        if (multiply(c, p, x, algo) != CUBLAS_STATUS_SUCCESS)
            goto out;
        cudaEventRecord(to, c->compute);
        if (cudaEventSynchronize(to) != cudaSuccess ||
            cudaEventElapsedTime(&ms, from, to) != cudaSuccess)
            goto out;
        if (i > 0 && (best < 0 || ms < best))
            best = ms;
    }
out:
    if (from)
        cudaEventDestroy(from);
    if (to)
        cudaEventDestroy(to);
    return best;
}

/* The index of the fastest. The product's own operands are used; y is restored. */
static int fastest(rs_cuctx *c, const rs_blas_product *p, const cublasLtMatmulHeuristicResult_t *of,
                   int n)
{
    problem x;
    int best = 0;
    float least = -1;
    void *saved = NULL;
    size_t y_bytes = (size_t)((p->m - 1) * p->ldy + p->n) * rs_dtype_size(p->out);
    if (cudaMalloc(&saved, y_bytes) != cudaSuccess)
        return 0;
    cudaMemcpyAsync(saved, p->y, y_bytes, cudaMemcpyDeviceToDevice, c->compute);
    bool made = problem_make(&x, p) == CUBLAS_STATUS_SUCCESS;
    for (int i = 0; i < n && made; i++) {
        float ms = time_of(c, p, &x, &of[i].algo);
        if (ms >= 0 && (least < 0 || ms < least)) {
            least = ms;
            best = i;
        }
    }
    problem_free(&x);
    cudaMemcpyAsync(p->y, saved, y_bytes, cudaMemcpyDeviceToDevice, c->compute);
    cudaStreamSynchronize(c->compute);
    cudaFree(saved);
    return best;
}

static const blas_entry *entry_for(rs_cuctx *c, const rs_blas_product *p)
{
    rs_blas *b = c->blas;
    blas_key key;
    memset(&key, 0, sizeof key); /* keys are compared as bytes */
    key.n = p->n;
    key.k = p->k;
    key.type = (int)p->type;
    key.out = (int)p->out;
    key.trans = (p->trans_a ? 1 : 0) | (p->trans_b ? 2 : 0);
    key.epilogue = epilogue_of(p);
    blas_entry *e = rs_blas_find(b, &key);
    if (e)
        return e;
    cublasLtMatmulHeuristicResult_t found[ADVICE];
    e = rs_blas_add(b, &key);
    int n = advice(b, p, found);
    e->refused = n == 0;
    if (n > 0)
        e->algo = found[b->record && n > 1 ? fastest(c, p, found, n) : 0].algo;
    return e;
}

bool rs_blas_has(rs_cuctx *c, const rs_blas_product *p)
{
    return !entry_for(c, p)->refused;
}

void rs_blas_run(rs_cuctx *c, const rs_blas_product *p)
{
    char why[160];
    const blas_entry *e = entry_for(c, p);
    if (e->refused) {
        snprintf(why, sizeof why, "cublasLt has no algorithm for N %lld, K %lld", (long long)p->n,
                 (long long)p->k);
        rs_cuda_failed(c, "gemm", why);
        return;
    }
    problem x;
    cublasStatus_t s = problem_make(&x, p);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = multiply(c, p, &x, &e->algo);
    problem_free(&x);
    if (s == CUBLAS_STATUS_SUCCESS)
        return;
    snprintf(why, sizeof why, "cublasLt, M %lld, N %lld, K %lld: %s", (long long)p->m,
             (long long)p->n, (long long)p->k, lt_text(s));
    rs_cuda_failed(c, "gemm", why);
}

/* ---- the library ---- */

rs_status rs_blas_open(rs_blas **out, const rs_cuctx *c, const char *name, const char *table)
{
    rs_blas *b = rs_alloc(1, sizeof *b);
    b->arena = rs_arena_create();
    rs_status st = RS_OK;
    char hash[9];
    size_t version = cublasLtGetVersion();
    cublasStatus_t s = cublasLtCreate(&b->lt);
    snprintf(b->head, sizeof b->head, "reshoot gemm table 1, cublasLt %zu, sm_%d, %s", version,
             c->sm, name);
    snprintf(b->text, sizeof b->text, "cublasLt %zu, gemm advised", version);
    if (s != CUBLAS_STATUS_SUCCESS)
        st = RS_FAIL(DEVICE, "cuda: cublasLt: %s", lt_text(s));
    if (st == RS_OK && table) {
        st = rs_blas_load(b, table, hash);
        snprintf(b->text, sizeof b->text, "cublasLt %zu, gemm table %.8s", version, hash);
    }
    if (st != RS_OK) {
        rs_blas_close(&b);
        return rs_relay_at(st, __FILE__, __LINE__, __func__);
    }
    *out = b;
    return RS_OK;
}

void rs_blas_close(rs_blas **b)
{
    if (!*b)
        return;
    if ((*b)->lt)
        cublasLtDestroy((*b)->lt);
    rs_arena_destroy(&(*b)->arena);
    rs_dealloc(*b);
    *b = NULL;
}

const char *rs_blas_describe(const rs_blas *b)
{
    return b->text;
}

void rs_blas_record(rs_blas *b)
{
    b->record = true;
}

size_t rs_blas_version(void)
{
    return cublasLtGetVersion();
}

const char *rs_blas_library(rs_arena *a)
{
    return rs_arena_printf(a, "cublasLt %zu", cublasLtGetVersion());
}
