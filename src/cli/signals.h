/* Signals that ask a command to end in order. */
#ifndef RS_CLI_SIGNALS_H
#define RS_CLI_SIGNALS_H

#include <signal.h>

/* From now on SIGUSR1, SIGTERM and SIGINT set what is pointed to. A second one of the same kind has
 * its default effect. */
const volatile sig_atomic_t *rs_catch_signals(void);

#endif
