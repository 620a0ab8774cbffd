/* What every communicator must do, as one table: run by thread ranks (tests/unit/test_comm.c) and
 * by MPI ranks (tests/dist/ranks.c). A case is called by all ranks at the same time. */
#ifndef RS_TESTS_COMM_CASES_H
#define RS_TESTS_COMM_CASES_H

#include "comm/comm.h"

typedef struct t_comm_case {
    const char *name;
    rs_status (*run)(rs_comm *c);
} t_comm_case;

extern const t_comm_case t_comm_cases[];
extern const int t_n_comm_cases;

/* All cases, with an agreement after each: RS_OK, or what the lowest failing rank says. `tell` gets
 * the name of each case before it runs; NULL for silence. */
rs_status t_comm_run_table(rs_comm *c, void (*tell)(const char *name)) RS_NODISCARD;

/* A gather of more than MPI sends unasked, while a progress thread runs and the caller does nothing
 * for idle_s; its label is "moved by the thread". */
rs_status t_comm_progress_case(rs_comm *c, double idle_s) RS_NODISCARD;

/* Rank threads have no T_CHECK: a failed check is a status with its place. */
#define C_CHECK(cond)                                                                              \
    do {                                                                                           \
        if (!(cond))                                                                               \
            return RS_FAIL(NUMERIC, "%s:%d: %s", __FILE__, __LINE__, #cond);                       \
    } while (0)

#endif
