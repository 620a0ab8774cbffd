/* Private to job/lease*.c: leases of this process (lease_own.c), how they are taken (lease_take.c),
 * renewed and given back (lease.c). */
#ifndef RS_JOB_LEASE_PRIV_H
#define RS_JOB_LEASE_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "job/lease.h"
#include "job/lease_seen.h"

struct rs_lease {
    rs_leases *all;
    rs_lease *next;
    char *path, *video;
    int fd;      /* -1 while no work is done on the video */
    bool in_use; /* guarded by the list's lock */
    int64_t token;
    pthread_mutex_t lock;         /* a commit and a renewal of this process */
    atomic_bool lost, given_back; /* given_back: by another rank of this run */
    rs_fence fence;
};

struct rs_leases {
    rs_arena *arena;
    const char *folder, *lives;
    double seconds;
    rs_tenant self;
    int life; /* file descriptor of this run's sign of life */
    rs_sightings seen;

    pthread_mutex_t lock; /* the list */
    pthread_cond_t wake;
    pthread_t thread;
    bool threaded, leave;
    rs_lease *held;
};

/* In use, without a file and a token. */
rs_lease *rs_lease_create(rs_leases *l, const char *video);
void rs_lease_destroy(rs_lease *lease);
/* Fine if it is open or closed already. */
rs_status rs_lease_open_file(rs_lease *l) RS_NODISCARD;
void rs_lease_close_file(rs_lease *l);
/* Beat again, or free it for others (held false). RS_HELD: it is not ours any more. */
rs_status rs_lease_renew(rs_lease *l, bool held) RS_NODISCARD;

#endif
