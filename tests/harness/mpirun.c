#include "harness/mpirun.h"

#include <ctype.h>
#include <dirent.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fsio.h"
#include "harness/test.h"

/* More ranks than cores and root (containers) are fine here. Shared memory only: no network is
 * asked for, none is needed. The limit is for what hangs: on a busy machine a run that waits for
 * another takes minutes. */
#define MPIRUN                                                                                     \
    "env OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 timeout -k 5 240 mpirun "       \
    "--oversubscribe --bind-to none --mca pml ob1 --mca btl self,vader -n %d " T_BIN "/%s %s"

static int launch(char **output, int n, const char *program, const char *fmt, va_list ap)
{
    char tail[2048];
    if (t_shell(NULL, "command -v mpirun") != 0)
        rs_test_skip("no mpirun");
    vsnprintf(tail, sizeof tail, fmt, ap);
    return t_shell(output, MPIRUN " </dev/null", n, program, tail);
}

char *t_mpirun_command(int n, const char *program)
{
    if (t_shell(NULL, "command -v mpirun") != 0)
        rs_test_skip("no mpirun");
    return rs_arena_printf(t_arena(), MPIRUN, n, program, "");
}

int t_mpirun(char **output, int n, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int rc = launch(output, n, "dist_ranks", fmt, ap);
    va_end(ap);
    return rc;
}

int t_mpirun_reshoot(char **output, int n, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int rc = launch(output, n, "reshoot", fmt, ap);
    va_end(ap);
    return rc;
}

pid_t t_mpirun_start(const char *log, int n, const char *args)
{
    if (t_shell(NULL, "command -v mpirun") != 0)
        rs_test_skip("no mpirun");
    char *line =
        rs_arena_printf(t_arena(), "exec " MPIRUN " </dev/null >%s 2>&1", n, "reshoot", args, log);
    pid_t pid = fork();
    T_CHECK(pid >= 0);
    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", line, (char *)NULL);
        _exit(127);
    }
    return pid;
}

int t_mpirun_wait(char **output, pid_t pid, const char *log)
{
    int state;
    size_t bytes;
    T_CHECK(waitpid(pid, &state, 0) == pid);
    T_OK(rs_read_file(output, &bytes, t_arena(), log));
    return WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state);
}

/* The command line of a process, with blanks between its words. */
static bool command_line(char *line, size_t room, const char *pid)
{
    char path[300];
    snprintf(path, sizeof path, "/proc/%s/cmdline", pid);
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    size_t n = fread(line, 1, room - 1, f);
    fclose(f);
    line[n] = 0;
    for (size_t i = 0; i + 1 < n; i++)
        line[i] = line[i] ? line[i] : ' ';
    return n > 0;
}

int t_processes(pid_t *pids, int most, const char *begin, const char *has)
{
    char line[4096];
    int n = 0;
    DIR *d = opendir("/proc");
    T_CHECK(d);
    for (struct dirent *e = readdir(d); e && n < most; e = readdir(d)) {
        if (isdigit((unsigned char)e->d_name[0]) && command_line(line, sizeof line, e->d_name) &&
            strncmp(line, begin, strlen(begin)) == 0 && strstr(line, has))
            pids[n++] = (pid_t)atoi(e->d_name);
    }
    closedir(d);
    return n;
}

int t_signal(int number, int most, const char *begin, const char *has)
{
    pid_t pids[64];
    int sent = 0, n = t_processes(pids, most < 64 ? most : 64, begin, has);
    for (int i = 0; i < n; i++)
        sent += kill(pids[i], number) == 0;
    return sent;
}
