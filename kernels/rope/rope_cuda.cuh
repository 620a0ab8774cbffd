/* Rotary embedding for CUDA kernels: a token's angles in shared memory, pairs rotated in registers.
 */
#ifndef RS_KERNELS_ROPE_ROPE_CUDA_CUH
#define RS_KERNELS_ROPE_ROPE_CUDA_CUH

#include "kernels/cuda/pack.cuh"

typedef struct rs_rotation {
    const float2 *f; /* (cos, sin) tables, rows of pf, ph, pw entries */
    const float2 *h;
    const float2 *w;
    int pf, ph, pw;
    int pairs;       /* of a head: their sum */
    int64_t hp, wp;  /* patches of a frame, down and across */
    int64_t first;   /* token of row 0 */
    float direction; /* of the angle: 1 forward, -1 backward */
} rs_rotation;

/* No tables: no pairs. */
static inline rs_rotation rs_rotation_of(rs_tensor f, rs_tensor h, rs_tensor w, int64_t first,
                                         float direction)
{
    rs_rotation p = {};
    if (!rs_has(f))
        return p;
    p.f = rs_at<const float2>(f);
    p.h = rs_at<const float2>(h);
    p.w = rs_at<const float2>(w);
    p.pf = (int)f.shape[1];
    p.ph = (int)h.shape[1];
    p.pw = (int)w.shape[1];
    p.pairs = p.pf + p.ph + p.pw;
    p.hp = h.shape[0];
    p.wp = w.shape[0];
    p.first = first;
    p.direction = direction;
    return p;
}

/* The angles of a row's token, by threads `lane`, lane + lanes, ...; a barrier must follow. */
static __device__ inline void rs_rotation_angles(float2 *angle, const rs_rotation &p, int64_t row,
                                                 int lane, int lanes)
{
    int64_t token = p.first + row, frame = p.hp * p.wp;
    const float2 *f = p.f + token / frame * p.pf, *h = p.h + token / p.wp % p.hp * p.ph;
    const float2 *w = p.w + token % p.wp * p.pw;
    for (int j = lane; j < p.pairs; j += lanes) {
        float2 a = j < p.pf ? f[j] : j < p.pf + p.ph ? h[j - p.pf] : w[j - p.pf - p.ph];
        a.y *= p.direction;
        angle[j] = a;
    }
}

/* V columns from `col` on, in place. */
template <int V>
static __device__ inline void rs_rotate(float (&v)[V], const float2 *angle, int pairs, int64_t col)
{
    int pair = (int)(col / 2) % pairs;
    if (pairs % (V / 2) == 0) { /* the columns are of one head: two angles at once */
        const float4 *two = reinterpret_cast<const float4 *>(angle + pair);
#pragma unroll
        for (int j = 0; j < V; j += 4) {
            float4 a = two[j / 4];
            float r0 = v[j] * a.x - v[j + 1] * a.y, i0 = v[j] * a.y + v[j + 1] * a.x;
            float r1 = v[j + 2] * a.z - v[j + 3] * a.w, i1 = v[j + 2] * a.w + v[j + 3] * a.z;
            v[j] = r0;
            v[j + 1] = i0;
            v[j + 2] = r1;
            v[j + 3] = i1;
        }
        return;
    }
#pragma unroll
    for (int j = 0; j < V; j += 2) {
        float2 a = angle[pair];
        float re = v[j] * a.x - v[j + 1] * a.y, im = v[j] * a.y + v[j + 1] * a.x;
        v[j] = re;
        v[j + 1] = im;
        pair = pair + 1 < pairs ? pair + 1 : 0;
    }
}

#endif
