/* Who uses an output folder: several runs may, with equal settings. What only one of them may do at
 * a time (settings, index, overviews, clearing up) is done in short sections under the lock
 * <output>/.lock; videos have leases (job/lease.h). */
#ifndef RS_JOB_TENANCY_H
#define RS_JOB_TENANCY_H

#include <signal.h>

#include "config/arms.h"
#include "config/catalog.h"
#include "job/lease.h"
#include "job/world.h"
#include "stage/stage.h"

typedef struct rs_tenancy rs_tenancy;

/* Collective. Creates the output folder. Rank 0 clears temporaries away and writes config.yaml,
 * unless other runs are at work there: RS_USAGE names one whose settings differ (cluster,
 * checkpoint, memory and log may), or that holds the folder for itself (cluster.lease: 0), or that
 * is there when this one wants it for itself. */
rs_status rs_tenancy_open(rs_tenancy **out, const rs_world *w, const rs_run *run,
                          const rs_arms *arms) RS_NODISCARD;
/* Also after a failed open, and with NULL; nulls the pointer. */
void rs_tenancy_close(rs_tenancy **t);

/* NULL with cluster.lease 0. */
rs_leases *rs_tenancy_leases(const rs_tenancy *t);
/* "" for the only run of the folder when it was opened, or what its logs are told apart by. */
const char *rs_tenancy_suffix(const rs_tenancy *t);
/* Rank 0: a section. Waits for that of another run, with warnings that name it: RS_IO after
 * cluster.watchdog, RS_STOPPED when asked to stop. */
rs_status rs_tenancy_enter(rs_tenancy *t) RS_NODISCARD;
void rs_tenancy_leave(rs_tenancy *t);

#endif
