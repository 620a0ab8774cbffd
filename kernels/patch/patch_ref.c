#include "kernels/opcase.h"

/* Index of element (c,f,h,w) of x among the tokens. */
static int64_t place(rs_tensor x, const int64_t patch[3], const int64_t at[4], int64_t ld,
                     bool channel_inner)
{
    int64_t pt = patch[0], ph = patch[1], pw = patch[2];
    int64_t hp = x.shape[2] / ph, wp = x.shape[3] / pw;
    int64_t s = (at[1] / pt * hp + at[2] / ph) * wp + at[3] / pw;
    int64_t t = at[1] % pt, y = at[2] % ph, i = at[3] % pw;
    return s * ld + (channel_inner ? ((t * ph + y) * pw + i) * x.shape[0] + at[0]
                                   : ((at[0] * pt + t) * ph + y) * pw + i);
}

static void move(rs_tensor x, rs_tensor tokens, const int64_t patch[3], bool inner, bool to_tokens)
{
    double *v = rs_f64(x);
    int64_t at[4];
    for (at[0] = 0; at[0] < x.shape[0]; at[0]++)
        for (at[1] = 0; at[1] < x.shape[1]; at[1]++)
            for (at[2] = 0; at[2] < x.shape[2]; at[2]++)
                for (at[3] = 0; at[3] < x.shape[3]; at[3]++, v++) {
                    double *t = rs_f64(tokens) + place(x, patch, at, tokens.ld, inner);
                    if (to_tokens)
                        *t = *v;
                    else
                        *v = *t;
                }
}

void rs_ref_patchify(const rs_patchify_args *a)
{
    move(a->x, a->tokens, a->patch, false, true);
}

void rs_ref_unpatchify(const rs_unpatchify_args *a)
{
    move(a->x, a->tokens, a->patch, true, a->inverse);
}
