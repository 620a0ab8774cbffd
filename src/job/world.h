/* The ranks of a run: how many there are, their share of this machine, and what they tell each
 * other outside of the hand-out of jobs (job/dispatch.h). A plain `reshoot run` is a world of one.
 */
#ifndef RS_JOB_WORLD_H
#define RS_JOB_WORLD_H

#include "comm/comm.h"
#include "comm/watchdog.h"

/* Tags of the messages of a run. */
enum { RS_TAG_TO_DIRECTOR = 1, RS_TAG_TO_RANK, RS_TAG_LEAD, RS_TAG_LANE };

enum { RS_WIDTHS = 4 };

/* Ranks that share jobs; all NULL: this rank works alone. */
typedef struct rs_world_lane {
    rs_comm *lane;
    rs_comm *half, *pair; /* nn/lane.h: rs_lane_halves */
} rs_world_lane;

typedef struct rs_world {
    rs_comm *comm;
    rs_watchdog *watchdog;
    rs_comm *gang;    /* the ranks that share one copy of the weights with this one; NULL: none */
    int64_t *gang_of; /* (size) number of every rank's gang, rising */
    rs_comm *node;    /* the ranks of this machine */
    rs_comm *lanes_of_gang; /* the gang again, of which lanes are parts; NULL: there are none */
    rs_world_lane lanes[RS_WIDTHS]; /* of 1 (empty), 2, 4 and 8 ranks; those that are used */
    int rank, size;
    int width; /* ranks of a lane; 1 where it is found anew for every stage */
} rs_world;

/* Collective. The started ranks (rs_comm_open); log lines carry the rank from then on, and ranks
 * other than 0 show warnings and errors only. */
rs_status rs_world_open(rs_world *w) RS_NODISCARD;
/* Collective, once. A rank that waits in a collective longer than this ends the run, with names. */
rs_status rs_world_watch(rs_world *w, double timeout_s) RS_NODISCARD;
/* Collective, once. Gangs of `size` neighbouring ranks, the last one smaller where they do not
 * divide evenly; 0: all ranks of a node. */
rs_status rs_world_make_gangs(rs_world *w, int64_t size) RS_NODISCARD;
/* Collective, once, after gangs. Lanes of `width` neighbouring ranks. RS_CONFIG: it does not divide
 * the world or a gang. 0: of all widths that fit into the gangs, to be chosen from. */
rs_status rs_world_make_lanes(rs_world *w, int64_t width) RS_NODISCARD;
/* The one of so many ranks (1, 2, 4, 8) that this rank is in. */
const rs_world_lane *rs_world_lane_of(const rs_world *w, int width);
/* Collective; also after a failed open. */
void rs_world_close(rs_world *w);

static inline bool rs_world_leads(const rs_world *w)
{
    return w->rank == 0;
}

/* The rank of a lane that asks for work and writes files. */
static inline bool rs_world_leads_lane(const rs_world *w)
{
    return w->rank % w->width == 0;
}

/* Collective. Until rank 0 has come here, however long its own work takes (checking media, writing
 * overviews): this wait is not watched. */
rs_status rs_world_await_lead(const rs_world *w) RS_NODISCARD;
/* Collective. Does it hold on any rank? */
rs_status rs_world_any(bool *any, const rs_world *w, bool mine, const char *what) RS_NODISCARD;
/* Collective. Cores that this rank may use, shared evenly among the ranks of this machine that may
 * use the same ones; at least 1. */
rs_status rs_world_cores(int *cores, const rs_world *w) RS_NODISCARD;
/* Collective, once. The ranks of this machine, by its name: `node`. */
rs_status rs_world_make_node(rs_world *w) RS_NODISCARD;
/* Collective. Rank 0's list of n strings (each may be NULL) to all ranks, in the arena; n is equal
 * on all ranks, the strings of the other ranks are replaced. */
rs_status rs_world_share(const char **strings, int64_t n, rs_arena *a,
                         const rs_world *w) RS_NODISCARD;
/* Collective. Every rank's list of n strings (none NULL) one after the other, in the arena. */
rs_status rs_world_gather(const char ***all, int64_t *n_all, rs_arena *a,
                          const char *const *strings, int64_t n, const rs_world *w) RS_NODISCARD;

#endif
