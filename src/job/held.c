#include "job/held.h"

#include <time.h>

#include "base/log.h"
#include "comm/agree.h"

enum { LOOK_MS = 300, SAY_S = 30 };

/* Rank 0: all that can be had now; *holder of the last one that cannot. */
static rs_status take_some(rs_held *h, rs_run_session *s, const char *const *ids, int64_t n,
                           const char **holder)
{
    rs_leases *leases = rs_tenancy_leases(s->tenancy);
    RS_ASSERT(leases);
    h->n = 0;
    for (int64_t i = 0; i < n; i++) {
        const char *who;
        rs_lease *lease;
        RS_TRY(rs_lease_take(&lease, &who, s->arena, leases, ids[i]));
        if (lease)
            h->at[h->n++] = i;
        else
            *holder = who;
        rs_lease_leave(&lease); /* the run has it: who works on it joins in */
    }
    return RS_OK;
}

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = LOOK_MS * 1000000L}, NULL);
}

/* One look of rank 0, known to all. */
static rs_status look(rs_held *h, rs_run_session *s, const char *const *ids, int64_t n,
                      const char **holder)
{
    rs_comm *c = s->world.comm;
    bool leads = rs_world_leads(&s->world);
    rs_status st = leads ? take_some(h, s, ids, n, holder) : RS_OK;
    RS_TRY(rs_world_await_lead(&s->world));
    RS_TRY(rs_comm_agree(c, st));
    RS_TRY(rs_comm_broadcast(&h->n, c, sizeof h->n, 0, "number of videos"));
    if (h->n == 0)
        return RS_OK;
    if (!leads)
        h->at = RS_NEW(s->arena, int64_t, h->n);
    return rs_comm_broadcast(h->at, c, (size_t)h->n * sizeof *h->at, 0, "videos");
}

rs_status rs_held_await(rs_held *h, bool *stopped, rs_run_session *s, const char *const *ids,
                        int64_t n)
{
    double begin = rs_now(), said = -1e9;
    *h = (rs_held){0};
    *stopped = false;
    RS_TRY(rs_comm_broadcast(&n, s->world.comm, sizeof n, 0, "videos of other runs"));
    if (rs_world_leads(&s->world))
        h->at = RS_NEW(s->arena, int64_t, n + 1);
    while (n > 0 && h->n == 0 && !*stopped) {
        const char *holder = "";
        RS_TRY(look(h, s, ids, n, &holder));
        if (h->n > 0)
            break;
        if (rs_now() - said > SAY_S) {
            said = rs_now();
            RS_LOG(INFO, "waiting for %lld videos of other runs, one of them %s; %.0f s so far",
                   (long long)n, holder, said - begin);
        }
        nap();
        RS_TRY(rs_world_any(stopped, &s->world, *s->run.stop != 0, "requests to stop"));
    }
    return RS_OK;
}
