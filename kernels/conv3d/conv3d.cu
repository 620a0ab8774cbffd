/* 2 * pixels * Co * kt*kh*kw*Ci operations; of memory x and prev are read, y is written and a
 * residual read once (neighbouring blocks read x again for other channels, and their margins: from
 * the L2 cache). 3x3x3 with 96 channels in bf16 and y in fp32 are 86 operations a byte for each
 * tap, 2300 in all: the floor is the operations over the peak of bf16 tensor cores, or of fp32 CUDA
 * cores; only the time convolutions and the ones from or to 3 channels come near memory's.
 *
 * Three ways, by types and numbers of channels, never by the size of the image:
 *   conv3d_pipe.cuh    x and weight stored in bf16, channels in eights: copies run ahead
 *   conv3d_tensor.cuh  other operands that are bf16, or are rounded to it on their way to shared
 *                      memory
 *   conv3d_simt.cuh    fp32
 * Indices into tensors have 64 bits. */
#include "kernels/conv3d/conv3d_pipe.cuh"
#include "kernels/conv3d/conv3d_simt.cuh"
#include "kernels/conv3d/conv3d_tensor.cuh"

template <typename X, typename W> static rs_conv<X, W> conv_of(const rs_conv3d_args *a)
{
    rs_conv<X, W> c = {};
    c.y = a->y.data;
    c.x = rs_at<const X>(a->x);
    c.prev = rs_at<const X>(a->prev);
    c.weight = rs_at<const W>(a->weight);
    c.bias = rs_at<const float>(a->bias);
    c.residual = rs_has(a->residual) ? a->residual.data : nullptr;
    c.ci = (int)a->x.shape[3];
    c.co = (int)a->y.shape[3];
    c.pixels = a->y.shape[0] * a->y.shape[1] * a->y.shape[2];
    c.kt = (int)a->weight.shape[0];
    c.kh = (int)a->weight.shape[1];
    c.kw = (int)a->weight.shape[2];
    c.terms = (int64_t)c.kt * c.kh * c.kw * c.ci;
    c.h = (int)a->x.shape[1];
    c.w = (int)a->x.shape[2];
    c.oh = (int)a->y.shape[1];
    c.ow = (int)a->y.shape[2];
    c.up = a->upsample ? 1 : 0;
    c.st = (int)a->stride[0];
    c.sy = (int)a->stride[1];
    c.sx = (int)a->stride[2];
    c.top = (int)a->pad[0];
    c.left = (int)a->pad[2];
    c.wide_x = rs_vec(RS_CONV_CHUNK, c.ci, a->x, a->prev);
    c.wide_w = rs_vec(RS_CONV_CHUNK, c.co, a->weight);
    c.wide_y = rs_vec(RS_CONV_CHUNK, c.co, a->y, a->residual, a->bias);
    c.pairs = rs_vec(2, c.co, a->y);
    c.y_bf16 = a->y.dtype == RS_DTYPE_BF16;
    return c;
}

template <int BN, typename X, typename W>
static void run_tensor(rs_cuctx *ctx, const rs_conv<X, W> &c)
{
    typedef rs_conv_tensor<BN, X> S;
    rs_launch(ctx, "conv3d", conv_tensor_kernel<BN, X, W>,
              dim3(rs_conv_blocks(c.pixels, c.co, S::BM, BN)), dim3(S::THREADS),
              sizeof(typename S::tiles), c);
}

template <int BN> static bool run_pipe(rs_cuctx *ctx, const rs_conv_bf16 &c)
{
    rs_conv_tiles g = rs_conv_tiles_of(c, BN);
    size_t smem = rs_conv_pipe_bytes<BN>(g);
    if (!c.wide_x || !c.wide_w || !c.wide_y || smem > ctx->smem_optin)
        return false;
    int64_t frames = c.pixels / ((int64_t)c.oh * c.ow);
    rs_launch(ctx, "conv3d", conv_pipe_kernel<BN>,
              dim3((unsigned)(frames * g.high * g.wide * g.across)),
              dim3(rs_conv_pipe<BN>::THREADS), smem, c, g);
    return true;
}

template <int BN, typename X, typename W>
static void run_simt(rs_cuctx *ctx, const rs_conv<X, W> &c)
{
    typedef rs_conv_simt<BN> S;
    rs_launch(ctx, "conv3d", conv_simt_kernel<BN, X, W>,
              dim3(rs_conv_blocks(c.pixels, c.co, S::BM, BN)), dim3(S::THREADS),
              sizeof(typename S::tiles), c);
}

template <int BN, typename X, typename W>
static void run(rs_cuctx *ctx, const rs_conv<X, W> &c, bool tensor)
{
    if constexpr (sizeof(X) == 2 && sizeof(W) == 2)
        if (run_pipe<BN>(ctx, c))
            return;
    if (tensor)
        run_tensor<BN>(ctx, c);
    else
        run_simt<BN>(ctx, c);
}

void rs_cuda_conv3d(rs_cuctx *ctx, const rs_conv3d_args *a)
{
    bool stored = a->x.dtype == RS_DTYPE_BF16 && a->weight.dtype == RS_DTYPE_BF16;
    if (rs_tensor_count(a->y) == 0)
        return;
    rs_typed(a->x.dtype, [&](auto x0) {
        rs_typed(a->weight.dtype, [&](auto w0) {
            auto c = conv_of<decltype(x0), decltype(w0)>(a);
            if (c.co <= 32)
                run<32>(ctx, c, a->bf16 || stored);
            else
                run<96>(ctx, c, a->bf16 || stored);
        });
    });
}
