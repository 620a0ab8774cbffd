#include "cli/signals.h"

#include <stddef.h>

static volatile sig_atomic_t g_stop;

static void on_signal(int number)
{
    g_stop = 1;
    if (number != SIGUSR1)
        signal(number, SIG_DFL);
}

const volatile sig_atomic_t *rs_catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    return &g_stop;
}
