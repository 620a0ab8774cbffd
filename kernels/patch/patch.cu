/* Moves count * (size x + size tokens) bytes; the floor is that over the measured copy bandwidth. A
 * block owns 32 neighbouring tokens; its threads follow the written side in memory order, and what
 * they read in pieces of a patch's width stays in the cache until the block has used all of it.
 * Elements move one by one, a warp's as 64 or 128 bytes: the latents are a hundredth of one
 * activation of the model and pass once a step. */
#include "kernels/cuda/pack.cuh"

enum { TOKENS = 32, THREADS = 256 };

typedef struct patches {
    int channels, frames, height, width; /* of x */
    int pt, ph, pw;
    int hp, wp;   /* patches of a frame, down and across */
    int features; /* of a token */
    int64_t tokens;
    int64_t ld;
} patches;

/* Element of x at channel c, offset (t, y, i) in the patch of a token. */
static __device__ inline int64_t pixel_of(const patches &p, int64_t token, int c, int t, int y,
                                          int i)
{
    int64_t f = token / (p.hp * p.wp);
    int in = (int)(token % (p.hp * p.wp)), h = in / p.wp, w = in % p.wp;
    return (((int64_t)c * p.frames + f * p.pt + t) * p.height + h * p.ph + y) * p.width + w * p.pw +
           i;
}

/* INNER: a token's features have the channel innermost. TO: x to tokens, else tokens to x. */
template <bool INNER, bool TO, typename X, typename T>
static __global__ void patch_kernel(X *x, T *tokens, patches p)
{
    const int64_t first = (int64_t)blockIdx.x * TOKENS;
    const int64_t left = p.tokens - first;
    const int count = left < TOKENS ? (int)left : (int)TOKENS;
    for (int e = (int)threadIdx.x; e < count * p.features; e += THREADS) {
        int c, t, y, i, feature, token;
        if (TO) { /* along the tokens */
            token = e / p.features;
            feature = e % p.features;
            c = INNER ? feature % p.channels : feature / (p.pt * p.ph * p.pw);
            int rest = INNER ? feature / p.channels : feature % (p.pt * p.ph * p.pw);
            i = rest % p.pw;
            y = rest / p.pw % p.ph;
            t = rest / (p.pw * p.ph);
        } else { /* along the rows of x */
            i = e % p.pw;
            token = e / p.pw % count;
            int rest = e / (p.pw * count);
            y = rest % p.ph;
            t = rest / p.ph % p.pt;
            c = rest / (p.ph * p.pt);
            int place = (t * p.ph + y) * p.pw + i;
            feature = INNER ? place * p.channels + c : c * (p.pt * p.ph * p.pw) + place;
        }
        int64_t from = pixel_of(p, first + token, c, t, y, i);
        int64_t to = (first + token) * p.ld + feature;
        if (TO)
            rs_narrow(tokens + to, rs_widen(x[from]));
        else
            rs_narrow(x + from, rs_widen(tokens[to]));
    }
}

static patches patches_of(rs_tensor x, rs_tensor tokens, const int64_t patch[3])
{
    patches p = {};
    p.channels = (int)x.shape[0];
    p.frames = (int)x.shape[1];
    p.height = (int)x.shape[2];
    p.width = (int)x.shape[3];
    p.pt = (int)patch[0];
    p.ph = (int)patch[1];
    p.pw = (int)patch[2];
    p.hp = p.height / p.ph;
    p.wp = p.width / p.pw;
    p.features = p.channels * p.pt * p.ph * p.pw;
    p.tokens = rs_tensor_rows(tokens);
    p.ld = tokens.ld;
    return p;
}

template <bool INNER, bool TO>
static void move(rs_cuctx *c, const char *what, rs_tensor x, rs_tensor tokens,
                 const int64_t patch[3])
{
    patches p = patches_of(x, tokens, patch);
    if (p.tokens * p.features == 0)
        return;
    rs_typed(x.dtype, [&](auto x0) {
        rs_typed(tokens.dtype, [&](auto t0) {
            typedef decltype(x0) X;
            typedef decltype(t0) T;
            rs_launch(c, what, patch_kernel<INNER, TO, X, T>, dim3(rs_blocks(p.tokens, TOKENS)),
                      dim3(THREADS), 0, rs_at<X>(x), rs_at<T>(tokens), p);
        });
    });
}

void rs_cuda_patchify(rs_cuctx *c, const rs_patchify_args *a)
{
    move<false, true>(c, "patchify", a->x, a->tokens, a->patch);
}

void rs_cuda_unpatchify(rs_cuctx *c, const rs_unpatchify_args *a)
{
    if (a->inverse)
        move<true, true>(c, "unpatchify", a->x, a->tokens, a->patch);
    else
        move<true, false>(c, "unpatchify", a->x, a->tokens, a->patch);
}
