/* What this process takes of the machine. */
#ifndef RS_BENCH_PROCESS_H
#define RS_BENCH_PROCESS_H

#include <stdint.h>

#include "base/status.h"

/* "VmHWM" or "VmRSS" of /proc/self/status in bytes; 0 where the system does not say. */
int64_t rs_process_memory(const char *key);
/* VmHWM begins anew at what is resident now. */
void rs_process_forget_peak(void);
/* Seconds of processor time of all threads so far. */
double rs_process_cpu(void);

/* Steps in turns with those of other programs: waits before each, and tells after it. */
typedef struct rs_pace {
    rs_status (*wait)(void);
    void (*tell)(double wall, double cpu); /* seconds */
} rs_pace;

#endif
