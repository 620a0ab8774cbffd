#include "nn/lane.h"

#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "comm/agree.h"
#include "comm/device_data.h"

rs_status rs_lane_init(rs_lane *l, rs_comm *comm)
{
    int width = comm ? rs_comm_size(comm) : 1;
    if (width > RS_LANE_MAX || (width & (width - 1)) != 0)
        return RS_FAIL(CONFIG, "a lane of %d ranks: 1, 2, 4 and 8 are possible", width);
    *l = (rs_lane){
        .comm = width > 1 ? comm : NULL, .rank = comm ? rs_comm_rank(comm) : 0, .width = width};
    return RS_OK;
}

rs_segments rs_lane_segments(const rs_lane *l, int rank, int64_t S)
{
    rs_segments s = {.n = RS_SEGMENTS / l->width};
    s.first = S * rank / l->width;
    for (int i = 0; i <= s.n; i++)
        s.at[i] = S * (rank * s.n + i) / RS_SEGMENTS - s.first;
    return s;
}

void rs_lane_note(rs_lane *l, rs_status st)
{
    if (st == RS_OK || l->failed != RS_OK)
        return;
    l->failed = st;
    snprintf(l->failure, sizeof l->failure, "%s", rs_error_message());
}

rs_status rs_lane_check(rs_lane *l)
{
    rs_status st = l->failed;
    l->failed = RS_OK;
    return st == RS_OK ? st : rs_fail_at(st, __FILE__, __LINE__, __func__, "%s", l->failure);
}

rs_status rs_lane_agree(const rs_lane *l, rs_status mine)
{
    return l->comm ? rs_comm_agree(l->comm, mine) : mine;
}

/* Rows that rank r holds of S. */
static int64_t rows_of(const rs_lane *l, int r, int64_t S)
{
    return S * (r + 1) / l->width - S * r / l->width;
}

/* Bytes of the pieces of both directions: `rows`, own rows of each rank's heads; `heads`, each
 * rank's rows of own heads. */
static void piece_bytes(const rs_lane *l, rs_tensor heads, size_t *rows_bytes, size_t *heads_bytes)
{
    size_t size = rs_dtype_size(heads.dtype);
    int64_t S = rs_tensor_rows(heads), W = rs_tensor_cols(heads);
    for (int r = 0; r < l->width; r++) {
        rows_bytes[r] = (size_t)(rows_of(l, l->rank, S) * W) * size;
        heads_bytes[r] = (size_t)(rows_of(l, r, S) * W) * size;
    }
}

static void check_exchange(const rs_lane *l, rs_tensor heads, rs_tensor rows, rs_tensor work)
{
    RS_ASSERT(l->comm && rs_tensor_contiguous(heads) && rs_tensor_contiguous(rows));
    RS_ASSERT(rs_tensor_cols(rows) == rs_tensor_cols(heads) * l->width);
    RS_ASSERT(rs_tensor_rows(rows) == rows_of(l, l->rank, rs_tensor_rows(heads)));
    RS_ASSERT(rs_tensor_contiguous(work) && rs_tensor_count(work) >= rs_tensor_count(rows));
    RS_ASSERT(rows.dtype == heads.dtype && work.dtype == heads.dtype);
}

/* Own rows of rank r's heads: as a piece of its own in `work`, and as columns of `rows`. */
static rs_tensor piece(rs_tensor work, rs_tensor rows, int64_t W, int r)
{
    int64_t n = rs_tensor_rows(rows);
    char *at = (char *)work.data + (size_t)(n * W * r) * rs_dtype_size(work.dtype);
    return rs_tensor_of(at, work.dtype, RS_SHAPE(n, W));
}

void rs_lane_to_heads(rs_lane *l, rs_device *d, rs_tensor heads, rs_tensor rows, rs_tensor work)
{
    size_t sent[RS_LANE_MAX], got[RS_LANE_MAX];
    int64_t W = rs_tensor_cols(heads);
    check_exchange(l, heads, rows, work);
    piece_bytes(l, heads, sent, got);
    for (int r = 0; r < l->width; r++)
        RS_OP(d, copy, .y = piece(work, rows, W, r),
              .x = rs_tensor_cols_view(rows, W * r, W * (r + 1)));
    rs_lane_note(l, rs_comm_alltoall(heads.data, rs_comm_data(l->comm), work.data, got, sent,
                                     "tokens to heads"));
}

void rs_lane_to_rows(rs_lane *l, rs_device *d, rs_tensor rows, rs_tensor heads, rs_tensor work)
{
    size_t sent[RS_LANE_MAX], got[RS_LANE_MAX];
    int64_t W = rs_tensor_cols(heads);
    check_exchange(l, heads, rows, work);
    piece_bytes(l, heads, got, sent);
    rs_lane_note(l, rs_comm_alltoall(work.data, rs_comm_data(l->comm), heads.data, got, sent,
                                     "heads to tokens"));
    for (int r = 0; r < l->width; r++)
        RS_OP(d, copy, .y = rs_tensor_cols_view(rows, W * r, W * (r + 1)),
              .x = piece(work, rows, W, r));
}

void rs_lane_gather(rs_lane *l, rs_tensor all)
{
    size_t bytes[RS_LANE_MAX];
    int64_t S = rs_tensor_rows(all), W = rs_tensor_cols(all);
    if (!l->comm)
        return;
    RS_ASSERT(rs_tensor_contiguous(all));
    for (int r = 0; r < l->width; r++)
        bytes[r] = (size_t)(rows_of(l, r, S) * W) * sizeof(float);
    rs_lane_note(l,
                 rs_comm_allgather(all.data, rs_comm_data(l->comm),
                                   rs_f32(all) + S * l->rank / l->width * W, bytes, "rows of all"));
}

rs_status rs_lane_halves(rs_comm **half, rs_comm **pair, rs_comm *lane)
{
    int n = rs_comm_size(lane) / 2, rank = rs_comm_rank(lane);
    RS_ASSERTF(n * 2 == rs_comm_size(lane), "a lane of %d ranks has no halves", rs_comm_size(lane));
    RS_TRY(rs_comm_split(half, lane, rank / n, rank, "half lane"));
    rs_status st = rs_comm_split(pair, lane, rank % n, rank, "guidance pair");
    if (st != RS_OK)
        rs_comm_close(half);
    return st == RS_OK ? st : rs_relay_at(st, __FILE__, __LINE__, __func__);
}
