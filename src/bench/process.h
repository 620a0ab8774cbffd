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

/* Steps in turns with those of other programs: before each a line of standard input is waited for,
 * and after it "step WALL CPU" is a line of standard output. RS_USAGE: the input has ended. */
rs_status rs_paced_wait(void) RS_NODISCARD;
void rs_paced_tell(double wall, double cpu);

#endif
