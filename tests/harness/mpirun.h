/* Programs with several MPI ranks, in tests of kind dist. */
#ifndef RS_TESTS_MPIRUN_H
#define RS_TESTS_MPIRUN_H

#include <sys/types.h>

#include "base/status.h"

/* Run build-dev/dist_ranks with these arguments on n ranks of this machine; mpirun's exit status,
 * and what all ranks and mpirun printed (arena-owned, may be NULL). Killed after 240 s: 124. Skips
 * the case where there is no mpirun. */
int t_mpirun(char **output, int n, const char *fmt, ...) RS_PRINTF(3, 4);
/* The shell command that starts a program of the build on n ranks; its arguments go behind. */
char *t_mpirun_command(int n, const char *program);
/* The same with the program `reshoot` itself. */
int t_mpirun_reshoot(char **output, int n, const char *fmt, ...) RS_PRINTF(3, 4);
/* The same without waiting, with its output in the file `log`; its end is due with t_mpirun_wait.
 */
pid_t t_mpirun_start(const char *log, int n, const char *args);
int t_mpirun_wait(char **output, pid_t pid, const char *log);
/* Processes whose command line begins with and contains these texts: the first `most` of them, and
 * how many that is. */
int t_processes(pid_t *pids, int most, const char *begin, const char *has);
/* Send a signal to at most `most` processes whose command line begins with and contains these
 * texts; how many there were. */
int t_signal(int number, int most, const char *begin, const char *has);

#endif
