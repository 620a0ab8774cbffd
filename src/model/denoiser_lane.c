/* What the generic driver does over several ranks. */
#include <string.h>

#include "comm/agree.h"
#include "model/denoiser_priv.h"

/* Both halves of a lane with a pair begin together, as the lane would without. */
void rs_denoiser_tell_lane(rs_denoiser *m)
{
    if (m->weights)
        rs_wstream_set_lane(m->weights, m->lane.width * (m->pair ? 2 : 1));
}

rs_status rs_denoiser_set_lane(rs_denoiser *m, rs_comm *lane, rs_comm *pair)
{
    rs_lane l;
    RS_TRY(rs_lane_init(&l, lane));
    if (m->info.heads % l.width != 0)
        return RS_FAIL(CONFIG, "a lane of %d ranks does not divide the model's %lld heads", l.width,
                       (long long)m->info.heads);
    RS_ASSERTF(!pair || rs_comm_size(pair) == 2, "a pair of %d ranks", rs_comm_size(pair));
    m->lane = l;
    m->pair = pair;
    m->dims.lane = &m->lane;
    m->bound = false;
    rs_denoiser_tell_lane(m);
    rs_pool_release(&m->pool);
    return RS_OK;
}

rs_comm *rs_denoiser_lane(const rs_denoiser *m)
{
    return m->lane.comm;
}

rs_comm *rs_denoiser_pair(const rs_denoiser *m)
{
    return m->pair;
}

enum { MOST_TARGETS = 64 };

void rs_denoiser_sum_gradients(rs_denoiser *m, const rs_lora_terms *loras)
{
    rs_tensor all[2 * MOST_TARGETS];
    int n = 0;
    RS_ASSERT(m->family->n_targets <= MOST_TARGETS);
    for (int target = 0; target < m->family->n_targets; target++) {
        const rs_lora_terms *l = &loras[target];
        if (l->n > 0 && rs_has(l->terms[l->n - 1].ga)) {
            all[n++] = l->terms[l->n - 1].ga;
            all[n++] = l->terms[l->n - 1].gb;
        }
    }
    rs_lane_sum(&m->lane, m->dev, all, n, m->sums);
}

/* Each half of the ranks has one of the two velocities; both get both. Host memory, as passes give
 * and take it. */
static rs_status exchange_pair(rs_denoiser *m, rs_tensor v_cond, rs_tensor v_uncond)
{
    size_t bytes[2] = {rs_tensor_bytes(v_cond), rs_tensor_bytes(v_uncond)};
    char *both = rs_alloc(bytes[0] + bytes[1], 1);
    bool first = rs_comm_rank(m->pair) == 0;
    rs_status st = rs_comm_allgather(both, m->pair, first ? v_cond.data : v_uncond.data, bytes,
                                     "velocities of guidance");
    memcpy(v_cond.data, both, bytes[0]);
    memcpy(v_uncond.data, both + bytes[0], bytes[1]);
    rs_dealloc(both);
    return st;
}

rs_status rs_denoiser_guided(rs_denoiser *m, rs_tensor v_cond, rs_tensor v_uncond, rs_tensor x,
                             float t, const rs_denoiser_cond *cond, const rs_denoiser_cond *uncond)
{
    if (!m->pair) {
        RS_TRY(rs_denoiser_forward(m, v_cond, x, t, cond));
        return rs_denoiser_forward(m, v_uncond, x, t, uncond);
    }
    bool first = rs_comm_rank(m->pair) == 0;
    rs_status st = rs_denoiser_forward(m, first ? v_cond : v_uncond, x, t, first ? cond : uncond);
    RS_TRY(rs_comm_agree(m->pair, st));
    /* All of a lane are in the same half, so what one lane's pairs agreed on the others did too;
     * the exchange itself is of one pair only. */
    st = rs_comm_agree(m->pair, exchange_pair(m, v_cond, v_uncond));
    return rs_lane_agree(&m->lane, st);
}
