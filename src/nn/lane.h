/* Lane: the ranks that share one job by sequence parallelism (Ulysses, arXiv 2309.14509).
 *
 * The S tokens are cut into eight segments, at S*i/8; rank r of P (1, 2, 4 or 8) holds segments
 * 8r/P to 8(r+1)/P. Whatever works token by token works on these rows; attention over all tokens
 * works on all rows of N/P heads, to which and from which rows are exchanged.
 *
 * Sums over tokens (gradients of LoRA factors) are formed per segment and added in one fixed tree,
 * ((0+1)+(2+3))+((4+5)+(6+7)): within a rank by rs_segment_sum, over the ranks by rs_lane_sum. As
 * the bits of a row do not depend on its neighbours, all results have the same bits for every P.
 *
 * The exchanges are collective over the lane and, like ops, return nothing: their first failure is
 * kept, the following calls are made all the same so that no rank waits for another, and
 * rs_lane_check tells. Data is device memory, which must be the communicator's space. */
#ifndef RS_NN_LANE_H
#define RS_NN_LANE_H

#include "comm/comm.h"
#include "device/device.h"

enum { RS_SEGMENTS = 8, RS_LANE_MAX = 8, RS_TREE_LEVELS = 3 };

typedef struct rs_lane {
    rs_comm *comm; /* borrowed; NULL: one rank, or only planned */
    int rank, width;
    rs_status failed;
    char failure[512];
} rs_lane;

/* The segments that one rank holds: rows at[i] to at[i+1] of its own, n = 8/P. Empty ones are
 * possible where S < 8. */
typedef struct rs_segments {
    int n;
    int64_t first; /* token of row 0 */
    int64_t at[RS_SEGMENTS + 1];
} rs_segments;

/* comm may be NULL. RS_CONFIG: not 1, 2, 4 or 8 ranks. */
rs_status rs_lane_init(rs_lane *l, rs_comm *comm) RS_NODISCARD;
/* Rank r's part of S tokens. */
rs_segments rs_lane_segments(const rs_lane *l, int rank, int64_t S);
static inline int64_t rs_segment_rows(const rs_segments *s)
{
    return s->at[s->n];
}

/* Local. Keep this failure, unless there is one already. */
void rs_lane_note(rs_lane *l, rs_status st);
/* Local. The first failure since the last check, forgotten with it. */
rs_status rs_lane_check(rs_lane *l) RS_NODISCARD;
/* Collective. rs_comm_agree over the lane; `mine` itself for one rank. */
rs_status rs_lane_agree(const rs_lane *l, rs_status mine) RS_NODISCARD;

/* Collective, of a lane of several ranks. Own rows of all heads to all S rows of own heads, and
 * back: rows (S_r, W), heads (S, W/P), work: like rows, overwritten. */
void rs_lane_to_heads(rs_lane *l, rs_device *d, rs_tensor heads, rs_tensor rows, rs_tensor work);
void rs_lane_to_rows(rs_lane *l, rs_device *d, rs_tensor rows, rs_tensor heads, rs_tensor work);
/* Collective. all (S,W): own rows are there, those of the others arrive. */
void rs_lane_gather(rs_lane *l, rs_tensor all);
/* Collective. Every tensor becomes the sum of what the ranks have in it, in the fixed tree. work:
 * at least twice all their elements, rounded up to whole multiples of P (rs_lane_sum_floats). */
void rs_lane_sum(rs_lane *l, rs_device *d, const rs_tensor *tensors, int n, rs_tensor work);
int64_t rs_lane_sum_floats(const rs_lane *l, int64_t elements);

/* out[i] = sum over this rank's segments of what `leaf` writes for each into n tensors like out,
 * in the fixed tree. Empty segments count as zero and are not asked for. work: as many times the
 * elements of all out as rs_segment_levels says. */
typedef void rs_leaf_fn(void *ctx, int64_t lo, int64_t hi, const rs_tensor *out);
void rs_segment_sum(rs_device *d, const rs_tensor *out, int n, const rs_segments *s, rs_tensor work,
                    rs_leaf_fn *leaf, void *ctx);
/* 3, 2, 1, 0 for 1, 2, 4, 8 ranks. */
int rs_segment_levels(int width);

/* Collective. Halves of an even lane and the pairs of ranks with the same place in them, for the
 * two passes of guidance: *half has P/2 ranks, in *pair rank 0 is of the first half. Both are the
 * caller's to close. */
rs_status rs_lane_halves(rs_comm **half, rs_comm **pair, rs_comm *lane) RS_NODISCARD;

#endif
