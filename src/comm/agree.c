#include "comm/agree.h"

#include <stdio.h>
#include <string.h>

/* The usual case, nobody failed, costs one gather of four bytes per rank. */
static rs_status gather_statuses(rs_vote *v, rs_comm *c, rs_status mine)
{
    int n = rs_comm_size(c);
    int32_t code = (int32_t)mine;
    int32_t *codes = rs_alloc((size_t)n, sizeof *codes);
    size_t *bytes = rs_alloc((size_t)n, sizeof *bytes);
    for (int r = 0; r < n; r++)
        bytes[r] = sizeof code;
    rs_status st = rs_comm_allgather(codes, c, &code, bytes, "agree on errors");
    for (int r = n - 1; r >= 0 && st == RS_OK; r--)
        if (codes[r] != RS_OK) {
            v->status = (rs_status)codes[r];
            v->rank = r;
            v->failed++;
        }
    rs_dealloc(bytes);
    rs_dealloc(codes);
    return st;
}

rs_status rs_comm_vote(rs_vote *v, rs_comm *c, rs_status mine, const char *message)
{
    char text[sizeof v->message] = {0};
    snprintf(text, sizeof text, "%s", mine == RS_OK || !message ? "" : message);
    *v = (rs_vote){.status = RS_OK, .rank = -1};
    RS_TRY(gather_statuses(v, c, mine));
    if (v->rank < 0)
        return RS_OK;
    RS_TRY(rs_comm_broadcast(text, c, sizeof text, v->rank, "agreed error"));
    memcpy(v->message, text, sizeof text);
    return RS_OK;
}

rs_status rs_comm_agree(rs_comm *c, rs_status mine)
{
    rs_vote v;
    if (rs_comm_size(c) == 1)
        return mine;
    RS_TRY(rs_comm_vote(&v, c, mine, rs_error_message()));
    if (v.status == RS_OK)
        return RS_OK;
    char more[32] = "";
    if (v.failed > 1)
        snprintf(more, sizeof more, " (and %d more)", v.failed - 1);
    return rs_fail_at(v.status, __FILE__, __LINE__, __func__, "rank %d: %s%s", v.rank, v.message,
                      more);
}
