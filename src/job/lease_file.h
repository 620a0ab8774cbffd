/* What leases are made of: files that runs lock for moments (records, sections) or for as long as
 * they live (signs of life). Private to job/lease*.c and job/tenancy.c.
 *
 * Locks are flock(2). They hold between hosts on NFS (Linux makes them byte-range locks of the
 * server), GPFS, and Lustre mounted with -o flock; where they hold only within a host (Lustre
 * localflock, NFS local_lock), a takeover and a commit of two hosts may cross in the microseconds
 * between the check of a token and the rename. */
#ifndef RS_JOB_LEASE_FILE_H
#define RS_JOB_LEASE_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

enum { RS_WORLD_ID = 33, RS_HOST_NAME = 65 };

/* A process of a run. */
typedef struct rs_tenant {
    char world[RS_WORLD_ID];   /* 32 hex digits, equal on all ranks of a run */
    char kernel[RS_HOST_NAME]; /* this start of this machine: where locks hold in any case; "-" */
    char host[RS_HOST_NAME];
    int64_t pid;
} rs_tenant;

/* A new id. */
rs_status rs_world_id(char id[RS_WORLD_ID]) RS_NODISCARD;
rs_tenant rs_tenant_self(const char *world);
/* "process 12 on node7". */
char *rs_tenant_text(rs_arena *a, const rs_tenant *t);

/* Locks the open file for this descriptor alone, or shared with others. RS_HELD when somebody else
 * has it for longer than patience_s; RS_CONFIG where there are no locks. */
rs_status rs_file_lock(int fd, const char *path, bool shared, double patience_s) RS_NODISCARD;
void rs_file_unlock(int fd);

/* The record of a lease: one small file, written in place under its lock. */
typedef struct rs_lease_record {
    int64_t token; /* grows by one with every holder; 0: never held */
    int64_t beat;  /* grows while the holder lives */
    bool held;
    double seconds; /* of the holder's leases */
    rs_tenant holder;
} rs_lease_record;

/* What is no record counts as never held: no holder's token is in it. */
rs_status rs_lease_read(rs_lease_record *r, int fd, const char *path) RS_NODISCARD;
rs_status rs_lease_write(const rs_lease_record *r, int fd, const char *path) RS_NODISCARD;

/* A sign of life: a file in `folder`, named after kernel and world, on which every rank has a
 * shared lock for as long as it lives. Its text is for people and for other runs. Creates the
 * folder. */
rs_status rs_life_hold(int *fd, const char *folder, const rs_tenant *t,
                       const char *text) RS_NODISCARD;
/* Removes the file too; fd may be -1. */
void rs_life_end(int fd, const char *folder, const rs_tenant *t);
/* True only if no process of that run can be alive on this machine: it was started here, and its
 * lock is gone. clear: removes the file then. */
bool rs_life_is_over(const char *folder, const rs_tenant *t, const rs_tenant *self, bool clear);

#endif
