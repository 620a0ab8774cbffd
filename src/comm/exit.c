#include <unistd.h>

#include "comm/comm_priv.h"

_Noreturn void rs_comm_exit(int code)
{
    _exit(code);
}
