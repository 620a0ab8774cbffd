/* 2 * pixels * Co * kt*kh*kw*Ci operations; x, prev and the weight are read once per 96 output
 * channels (of neighbouring blocks, so from the L2 cache but for the first time), y is written
 * once. With the 96 to 384 channels of a VAE that is far above what memory can limit: the floor is
 * the operations over the peak of bf16 tensor cores, or of fp32 CUDA cores.
 *
 * x, prev, residual and y of one type. BF16: tensor cores, an fp32 weight is rounded to bf16 on its
 * way to them. F32: fp32 on CUDA cores. Indices into tensors have 64 bits. */
#include "kernels/conv3d/conv3d_simt.cuh"
#include "kernels/conv3d/conv3d_tensor.cuh"

template <typename X, typename W> static rs_conv<X, W> conv_of(const rs_conv3d_args *a)
{
    rs_conv<X, W> c = {};
    c.y = rs_at<X>(a->y);
    c.x = rs_at<const X>(a->x);
    c.prev = rs_at<const X>(a->prev);
    c.weight = rs_at<const W>(a->weight);
    c.bias = rs_at<const float>(a->bias);
    c.residual = rs_at<const X>(a->residual);
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
    c.pairs = rs_vec(2, c.co, a->y);
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

template <int BN, typename X, typename W>
static void run_simt(rs_cuctx *ctx, const rs_conv<X, W> &c)
{
    typedef rs_conv_simt<BN> S;
    rs_launch(ctx, "conv3d", conv_simt_kernel<BN, X, W>,
              dim3(rs_conv_blocks(c.pixels, c.co, S::BM, BN)), dim3(S::THREADS),
              sizeof(typename S::tiles), c);
}

void rs_cuda_conv3d(rs_cuctx *ctx, const rs_conv3d_args *a)
{
    bool narrow = a->y.shape[3] <= 32;
    if (rs_tensor_count(a->y) == 0)
        return;
    rs_typed(a->weight.dtype, [&](auto w0) {
        typedef decltype(w0) W;
        if (a->x.dtype == RS_DTYPE_BF16) {
            auto c = conv_of<rs_bf16, W>(a);
            narrow ? run_tensor<32>(ctx, c) : run_tensor<96>(ctx, c);
        } else {
            auto c = conv_of<float, W>(a);
            narrow ? run_simt<32>(ctx, c) : run_simt<96>(ctx, c);
        }
    });
}
