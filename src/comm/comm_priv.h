/* Inside of a communicator: a backend is a table of calls (rs_comm_ops) and a memory space; comm.c
 * checks arguments, numbers the calls, waits, and asks the layers (fault, trace), so a backend has
 * neither. All communicators of a rank share one rs_comm_shared. */
#ifndef RS_COMM_COMM_PRIV_H
#define RS_COMM_COMM_PRIV_H

#include <pthread.h>

#include "comm/comm.h"

enum { RS_COMM_NAME_MAX = 48, RS_COMM_LAYERS_MAX = 4 };

/* What is to be done, as the backends and layers see it. */
typedef struct rs_comm_call {
    rs_comm_op op;
    const char *what;
    void *dst;
    const void *src;
    size_t bytes;            /* BROADCAST, SEND: of the buffer */
    const size_t *dst_bytes; /* ALLGATHER, ALLTOALL: (P), borrowed until start returns */
    const size_t *src_bytes; /* ALLTOALL */
    int peer;                /* BROADCAST: root; SEND, RECEIVE: the other rank */
    int tag;
    int64_t n; /* ALLREDUCE */
    rs_comm_type type;
    rs_comm_reduce reduce;
} rs_comm_call;

/* A call under way. */
struct rs_comm_request {
    rs_comm *comm;
    rs_comm_call call;
    rs_comm_op shown;  /* what the caller asked for; call.op is a part of it */
    int64_t number;    /* of the collective on its communicator, from 1; 0 for messages */
    bool listed;       /* in the list below: polled under lock of shared */
    double start_s;    /* rs_now() */
    double done_s;     /* when it was first seen to be done */
    double wait_s;     /* spent in rs_comm_wait */
    size_t bytes;      /* that this rank receives (SEND: sends) */
    bool done;         /* under lock of shared where listed */
    rs_status st;      /* of the backend; its message is below */
    char message[512]; /* when st is not RS_OK: another thread may have seen it */
    void *state;       /* the backend's */
    const char *fault; /* the rule that makes it fail at its end, or NULL */
    bool corrupt;      /* a rule damages what arrives */
    rs_comm_request *next, *prev; /* open requests of this rank */
};

/* Memory of bulk data. */
typedef struct rs_comm_space {
    void *(*alloc)(size_t bytes); /* NULL when there is no room */
    void (*release)(void *p);
    void (*copy)(void *dst, const void *src, size_t bytes);
    /* dst[i] = pieces[0][i] op pieces[1][i] ...; pieces lie `stride` bytes apart. */
    void (*combine)(void *dst, const void *pieces, int n_pieces, size_t stride, int64_t n,
                    rs_comm_type type, rs_comm_reduce op);
} rs_comm_space;
extern const rs_comm_space rs_comm_space_host;

/* Who is in a communicator that is split off. */
typedef struct rs_comm_members {
    int64_t split; /* number of the split on its parent, from 1 */
    int colour, key;
    int n, me;         /* n = 0: this rank is in none */
    const int *parent; /* (n) ranks of the parent */
} rs_comm_members;

typedef struct rs_comm_ops {
    const char *name;
    const rs_comm_space *space;
    /* Begin BARRIER, BROADCAST, ALLGATHER, ALLTOALL or SEND. Does not wait for other ranks. */
    rs_status (*start)(rs_comm *c, rs_comm_request *r);
    /* Sets *done once; after that or a failure r->state is released. */
    rs_status (*test)(bool *done, rs_comm *c, rs_comm_request *r);
    rs_status (*probe)(rs_comm_message *m, rs_comm *c, int from, int tag);
    rs_status (*take)(rs_comm *c, rs_comm_message *m, void *dst);
    /* RS_PEER when the world was aborted or the peer (a rank, or RS_COMM_ANY: all others) is gone,
     * where this can be seen. NULL: it cannot. */
    rs_status (*check)(rs_comm *c, int peer);
    /* Called by all ranks of c at the same time. out->state; out's rank, size are set. */
    rs_status (*derive)(rs_comm *out, rs_comm *c, const rs_comm_members *m);
    void (*abort)(rs_comm *c, int exit_code, const char *message);
    void (*close)(rs_comm *c);
    /* Twins only (device_data.h). reap, under the board's lock: marks of what has ended go, begun
     * and ended are brought up to date. */
    void (*reap)(rs_comm *c);
    void (*stop)(rs_comm *c);
    bool processes; /* a rank is a process */
} rs_comm_ops;

/* Decorates every call of a rank. */
typedef struct rs_comm_layer {
    void *ctx;
    /* Before the backend begins; may delay it. */
    rs_status (*before)(void *ctx, rs_comm_request *r);
    /* When it is over: st or another status. */
    rs_status (*after)(void *ctx, rs_comm_request *r, rs_status st);
} rs_comm_layer;

/* A place where a thread of this rank waits, for the watchdog. */
typedef struct rs_comm_mark {
    const rs_comm_request *request;
    double since;
    bool warned;
    struct rs_comm_mark *next;
} rs_comm_mark;

typedef struct rs_comm_shared {
    int rank, size; /* in the world */
    size_t chunk_bytes, window_bytes;
    rs_comm_layer layers[RS_COMM_LAYERS_MAX];
    int n_layers;
    pthread_mutex_t lock; /* list of requests and every test of a listed one */
    pthread_cond_t opened;
    rs_comm_request *requests;
    pthread_mutex_t board; /* marks, communicators and their numbers */
    rs_comm_mark *marks;
    rs_comm *comms;
} rs_comm_shared;

struct rs_comm {
    const rs_comm_ops *ops;
    void *state;
    rs_comm_shared *shared;
    bool owns_shared; /* the world */
    bool quiet;       /* the watchdog's, to end together: no layers, no marks */
    int rank, size;
    int *world_rank; /* (P) */
    uint64_t id;     /* equal on all its ranks */
    int64_t calls;   /* collectives started; under board */
    int64_t begun;   /* twins: the newest that the device has come to; under board */
    int64_t ended;   /* and that it has ended */
    int64_t splits;
    rs_comm_op last; /* the newest collective */
    void *work;      /* allreduce's, in space */
    size_t work_bytes;
    char name[RS_COMM_NAME_MAX];
    rs_comm *data; /* its twin for device memory, or NULL */
    rs_comm *next; /* shared->comms */
};

/* A world of `size` with this backend; state, ops are the caller's to set. */
rs_comm *rs_comm_new_world(const rs_comm_ops *ops, int rank, int size, const rs_comm_opts *opts);
/* Bookkeeping only; the backend has been closed. */
void rs_comm_free(rs_comm *c);

/* The only way of the public calls: begin (or request_new, enter), wait, leave. ALLREDUCE is over
 * when begin returns. */
rs_comm_request *rs_comm_request_new(rs_comm *c, const rs_comm_call *call);
rs_status rs_comm_enter(rs_comm_request *r);                /* layers, then its number */
rs_status rs_comm_leave(rs_comm_request **r, rs_status st); /* layers; frees it */
void rs_comm_list(rs_comm_request *r);
rs_status rs_comm_begin(rs_comm_request **out, rs_comm *c, const rs_comm_call *call);
rs_status rs_comm_blocking(rs_comm *c, const rs_comm_call *call);
/* A part of `whole` (same number and name, no layers), waited for. */
rs_status rs_comm_part(rs_comm_request *whole, const rs_comm_call *call);
rs_status rs_comm_run_reduce(rs_comm_request *r); /* ALLREDUCE by parts */
/* Before another poll: spins, yields, then sleeps 50 us. *polls counts. */
void rs_comm_relax(int64_t *polls);
void rs_comm_mark_add(rs_comm_request *r, rs_comm_mark *m);
void rs_comm_mark_remove(rs_comm_request *r, rs_comm_mark *m);
/* "allgather (block stream), call 17 of world". */
void rs_comm_describe(char *text, size_t room, const rs_comm_request *r);
void rs_comm_add_layer(rs_comm *c, const rs_comm_layer *layer);
size_t rs_comm_type_size(rs_comm_type type);

/* device_data.c */
rs_comm *rs_comm_twin_new(rs_comm *c, const rs_comm_ops *ops);
void rs_comm_twin_list(rs_comm *c, rs_comm *twin);

rs_comm *rs_comm_open_serial(const rs_comm_opts *opts);
rs_status rs_comm_open_mpi(rs_comm **out, const rs_comm_opts *opts) RS_NODISCARD;
rs_status rs_comm_launcher_check(bool serial) RS_NODISCARD;
/* End this process, without clean-up. */
_Noreturn void rs_comm_exit(int code);

#endif
