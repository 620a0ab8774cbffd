/* Mode "host" of dist_ranks. */
#ifndef RS_TESTS_RANKS_HOST_H
#define RS_TESTS_RANKS_HOST_H

#include "comm/comm.h"

/* Weights of 64 MiB at home on the host, in DIR; each rank says what it holds. how: "shared", or
 * "alone", where no memory can be shared. */
rs_status ranks_host(rs_comm *c, const char *dir, const char *how) RS_NODISCARD;

#endif
