/* The hub: where ranks that are threads of one process meet. A serial run is a hub of one rank.
 *
 * A collective is a meeting: each rank puts its request down, the last one to come moves the data
 * of all of them, and each finds it done when it looks. So nobody depends on another rank's
 * polling, and a wrong order of calls is seen and named. One lock for the whole world. */
#ifndef RS_COMM_COMM_HUB_PRIV_H
#define RS_COMM_COMM_HUB_PRIV_H

#include "comm/comm_priv.h"

typedef struct hub_meeting {
    int64_t seq;
    int arrived, gone;
    bool over;
    rs_status st;
    char message[512];
    rs_comm_request **posted; /* (n) by rank; NULL: not here yet */
    struct hub_meeting *next;
} hub_meeting;

typedef struct hub_message {
    int from, to, tag;
    size_t bytes;
    struct hub_message *next;
    char data[];
} hub_message;

typedef struct hub_world hub_world;

typedef struct rs_hub {
    hub_world *world;
    int n;
    int *world_rank; /* (n) */
    hub_meeting *meetings;
    hub_message *messages; /* oldest first */
    const struct rs_hub *parent;
    int64_t split; /* which of the parent's splits made it */
    int colour;
    int open; /* ranks that have not closed it */
    struct rs_hub *next;
} rs_hub;

struct hub_world {
    pthread_mutex_t lock;
    int n;
    bool *ended; /* (n) the rank's function has returned */
    bool aborted;
    char reason[512]; /* of the abort */
    rs_hub *hubs;
};

/* State of a rank's communicator. */
typedef struct hub_seat {
    rs_hub *hub;
    int64_t seq; /* of its next meeting */
} hub_seat;

extern const rs_comm_ops rs_comm_ops_serial;
extern const rs_comm_ops rs_comm_ops_threads;

hub_world *rs_hub_world_create(int n);
void rs_hub_world_destroy(hub_world **w);
hub_seat *rs_hub_sit(rs_hub *h);
/* A rank's function has returned: whatever waits for it fails, whatever it left open is not
 * touched. */
void rs_hub_rank_ended(hub_world *w, int rank);
/* Move the data of a complete meeting; RS_PEER with a message when the calls do not match. */
void rs_hub_meet(hub_meeting *m, int n);

#endif
