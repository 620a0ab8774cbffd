/* Every MPI function that the program calls, by way of the profiling interface: a call by the
 * watchdog's thread is said, but for MPI_Abort, by which it ends a world. With T_ABORT_HANGS that
 * never returns. */
#include <mpi.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void note(const char *name)
{
    char thread[16] = "";
    pthread_getname_np(pthread_self(), thread, sizeof thread);
    if (strcmp(thread, "rs-watchdog") == 0)
        fprintf(stderr, "the watchdog called %s\n", name);
}

#define NOTED(name, params, args)                                                                  \
    int MPI_##name params                                                                          \
    {                                                                                              \
        note("MPI_" #name);                                                                        \
        return PMPI_##name args;                                                                   \
    }

int MPI_Abort(MPI_Comm c, int code)
{
    while (getenv("T_ABORT_HANGS"))
        pause();
    return PMPI_Abort(c, code);
}

NOTED(Comm_dup, (MPI_Comm c, MPI_Comm *out), (c, out))
NOTED(Comm_free, (MPI_Comm * c), (c))
NOTED(Comm_rank, (MPI_Comm c, int *rank), (c, rank))
NOTED(Comm_set_errhandler, (MPI_Comm c, MPI_Errhandler e), (c, e))
NOTED(Comm_size, (MPI_Comm c, int *size), (c, size))
NOTED(Comm_split, (MPI_Comm c, int colour, int key, MPI_Comm *out), (c, colour, key, out))
NOTED(Error_string, (int code, char *text, int *n), (code, text, n))
NOTED(Finalize, (void), ())
NOTED(Get_count, (const MPI_Status *s, MPI_Datatype t, int *n), (s, t, n))
NOTED(Get_library_version, (char *text, int *n), (text, n))
NOTED(Ibarrier, (MPI_Comm c, MPI_Request *r), (c, r))
NOTED(Ibcast, (void *p, int n, MPI_Datatype t, int root, MPI_Comm c, MPI_Request *r),
      (p, n, t, root, c, r))
NOTED(Improbe, (int from, int tag, MPI_Comm c, int *flag, MPI_Message *m, MPI_Status *s),
      (from, tag, c, flag, m, s))
NOTED(Init_thread, (int *argc, char ***argv, int want, int *got), (argc, argv, want, got))
NOTED(Irecv, (void *p, int n, MPI_Datatype t, int from, int tag, MPI_Comm c, MPI_Request *r),
      (p, n, t, from, tag, c, r))
NOTED(Isend, (const void *p, int n, MPI_Datatype t, int to, int tag, MPI_Comm c, MPI_Request *r),
      (p, n, t, to, tag, c, r))
NOTED(Mrecv, (void *p, int n, MPI_Datatype t, MPI_Message *m, MPI_Status *s), (p, n, t, m, s))
NOTED(Testall, (int n, MPI_Request *r, int *flag, MPI_Status *s), (n, r, flag, s))
