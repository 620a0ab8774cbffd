/* Signals that ask a command to end in order. */
#ifndef RS_CLI_SIGNALS_H
#define RS_CLI_SIGNALS_H

#include <signal.h>

/* From now on SIGUSR1, SIGTERM and SIGINT set what is pointed to. A second SIGINT or SIGTERM has
 * its default effect; SIGUSR1 may come from Slurm and from a time limit. */
const volatile sig_atomic_t *rs_catch_signals(void);

#endif
