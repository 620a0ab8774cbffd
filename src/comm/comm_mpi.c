#include "comm/comm_mpi_priv.h"

#include <stdio.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "base/str.h"

rs_status rs_mpi_failed(int rc, const char *file, int line, const char *func, const char *call)
{
    char text[MPI_MAX_ERROR_STRING];
    int n = 0;
    if (MPI_Error_string(rc, text, &n) != MPI_SUCCESS)
        snprintf(text, sizeof text, "error %d", rc);
    return rs_fail_at(RS_INTERNAL, file, line, func, "%.40s: %s", call, text);
}

static rs_status mpi_start(rs_comm *c, rs_comm_request *r)
{
    mpi_batch *b = NULL;
    RS_TRY(rs_mpi_post(&b, c, r));
    r->state = b;
    return RS_OK;
}

static rs_status batch_error(mpi_batch *b, int rc)
{
    for (int i = 0; i < b->n && rc == MPI_ERR_IN_STATUS; i++)
        if (b->statuses[i].MPI_ERROR != MPI_SUCCESS && b->statuses[i].MPI_ERROR != MPI_ERR_PENDING)
            rc = b->statuses[i].MPI_ERROR;
    return rs_mpi_failed(rc, __FILE__, __LINE__, __func__, "MPI_Testall");
}

/* After an error the batch stays: MPI may still use its requests. */
static rs_status mpi_test(bool *done, rs_comm *c, rs_comm_request *r)
{
    (void)c;
    mpi_batch *b = r->state;
    int flag = 0;
    int rc = MPI_Testall(b->n, b->requests, &flag, b->statuses);
    if (rc != MPI_SUCCESS)
        return batch_error(b, rc);
    *done = flag;
    if (flag) {
        rs_mpi_batch_free(&b);
        r->state = NULL;
    }
    return RS_OK;
}

/* MPI_Message is a pointer or an int, depending on the library. */
static_assert(sizeof(MPI_Message) <= sizeof(void *), "a message handle fits a pointer");

static rs_status mpi_probe(rs_comm_message *m, rs_comm *c, int from, int tag)
{
    mpi_state *s = c->state;
    int flag = 0, bytes = 0;
    MPI_Message message;
    MPI_Status status;
    RS_MPI(MPI_Improbe(from == RS_COMM_ANY ? MPI_ANY_SOURCE : from,
                       tag == RS_COMM_ANY ? MPI_ANY_TAG : tag, s->p2p, &flag, &message, &status));
    if (!flag)
        return RS_OK;
    RS_MPI(MPI_Get_count(&status, MPI_BYTE, &bytes));
    m->found = true;
    m->from = status.MPI_SOURCE;
    m->tag = status.MPI_TAG;
    m->bytes = (size_t)bytes;
    memcpy(&m->handle, &message, sizeof message);
    return RS_OK;
}

static rs_status mpi_take(rs_comm *c, rs_comm_message *m, void *dst)
{
    (void)c;
    MPI_Message message;
    memcpy(&message, &m->handle, sizeof message);
    RS_MPI(MPI_Mrecv(dst, (int)m->bytes, MPI_BYTE, &message, MPI_STATUS_IGNORE));
    *m = (rs_comm_message){0};
    return RS_OK;
}

static rs_status mpi_derive(rs_comm *out, rs_comm *c, const rs_comm_members *m)
{
    mpi_state *parent = c->state;
    MPI_Comm coll = MPI_COMM_NULL;
    RS_MPI(MPI_Comm_split(parent->coll, m->n ? m->colour : MPI_UNDEFINED, m->key, &coll));
    if (m->n == 0)
        return RS_OK;
    mpi_state *s = rs_alloc(1, sizeof *s);
    out->state = s;
    s->coll = coll;
    RS_MPI(MPI_Comm_dup(coll, &s->p2p));
    return RS_OK;
}

static void mpi_abort(rs_comm *c, int exit_code, const char *message)
{
    (void)c;
    (void)message;
    MPI_Abort(MPI_COMM_WORLD, exit_code);
    rs_comm_exit(exit_code);
}

static void mpi_close(rs_comm *c)
{
    mpi_state *s = c->state;
    MPI_Comm_free(&s->p2p);
    MPI_Comm_free(&s->coll);
    rs_dealloc(s);
}

/* At the exit of the process, which waits in it for the others: mpirun ends all ranks as soon as
 * one has left with a failure, and rank 0 must have said by then what is wrong. */
static void finalize(void)
{
    MPI_Finalize();
}

static const rs_comm_ops k_mpi = {
    .name = "mpi",
    .space = &rs_comm_space_host,
    .start = mpi_start,
    .test = mpi_test,
    .probe = mpi_probe,
    .take = mpi_take,
    .derive = mpi_derive,
    .abort = mpi_abort,
    .close = mpi_close,
    .processes = true,
};

/* Open MPI is the only launcher whose variable says how many ranks there are. */
static rs_status check_size(int size)
{
    const char *text = getenv("OMPI_COMM_WORLD_SIZE");
    int64_t want;
    if (text && rs_parse_i64(&want, text) && want != size)
        return RS_FAIL(USAGE, "mpirun started %lld ranks but MPI sees %d: another MPI library?",
                       (long long)want, size);
    return RS_OK;
}

rs_status rs_comm_open_mpi(rs_comm **out, const rs_comm_opts *opts)
{
    int provided = 0, rank = 0, size = 0;
    mpi_state s = {0};
    RS_MPI(MPI_Init_thread(NULL, NULL, MPI_THREAD_MULTIPLE, &provided));
    if (atexit(finalize) != 0)
        return RS_FAIL(NOMEM, "nothing more can be done at the exit of this process");
    if (provided < MPI_THREAD_MULTIPLE)
        return RS_FAIL(USAGE, "this MPI library has no MPI_THREAD_MULTIPLE");
    RS_MPI(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN)); /* duplicates inherit it */
    RS_MPI(MPI_Comm_rank(MPI_COMM_WORLD, &rank));
    RS_MPI(MPI_Comm_size(MPI_COMM_WORLD, &size));
    RS_TRY(check_size(size));
    RS_MPI(MPI_Comm_dup(MPI_COMM_WORLD, &s.coll));
    RS_MPI(MPI_Comm_dup(MPI_COMM_WORLD, &s.p2p));
    rs_comm *c = rs_comm_new_world(&k_mpi, rank, size, opts);
    mpi_state *kept = rs_alloc(1, sizeof *kept);
    *kept = s;
    c->state = kept;
    *out = c;
    return RS_OK;
}

const char *rs_comm_mpi_library(rs_arena *a)
{
    char text[MPI_MAX_LIBRARY_VERSION_STRING];
    int n = 0;
    if (MPI_Get_library_version(text, &n) != MPI_SUCCESS)
        return "unknown MPI";
    return rs_arena_strndup(a, text, strcspn(text, ",\n"));
}
