/* Leases of other runs, as this process first saw them: how long each has not changed, on this
 * process' clock. Private to job/lease*.c. */
#ifndef RS_JOB_LEASE_SEEN_H
#define RS_JOB_LEASE_SEEN_H

#include "job/lease_file.h"

typedef struct rs_sighting {
    const char *video;
    char world[RS_WORLD_ID];
    int64_t token, beat;
    double since;
} rs_sighting;

typedef struct rs_sightings {
    rs_sighting *items;
    int64_t n;
    size_t cap;
} rs_sightings;

/* Seconds since this process first saw the video's lease as it is now. */
double rs_sightings_age(rs_sightings *l, rs_arena *a, const char *video,
                        const rs_lease_record *now);

#endif
