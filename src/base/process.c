#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"

enum { MOST_OUTPUT = 1 << 20, TICK_MS = 50 };

rs_status rs_split_words(char ***words, int64_t *n, rs_arena *a, const char *line)
{
    size_t cap = 0;
    *words = NULL;
    *n = 0;
    for (const char *p = line;;) {
        p += strspn(p, " \t\n");
        *words = rs_arena_grow(a, *words, &cap, (size_t)*n + 1, sizeof **words);
        (*words)[*n] = NULL;
        if (!*p)
            return RS_OK;
        rs_strbuf word = rs_strbuf_on(a);
        while (*p && !strchr(" \t\n", *p)) {
            if (*p != '"' && *p != '\'') {
                rs_strbuf_add(&word, p++, 1);
                continue;
            }
            const char *end = strchr(p + 1, *p);
            if (!end)
                return RS_FAIL(INPUT, "the quote at \"%.20s\" is not closed", p);
            rs_strbuf_add(&word, p + 1, (size_t)(end - p - 1));
            p = end + 1;
        }
        (*words)[(*n)++] = word.data;
    }
}

typedef struct running {
    pid_t pid;
    int fds[2]; /* of its standard output and error; -1: closed */
    rs_strbuf text[2];
} running;

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* The child's side of a spawn: output and error into our pipes, no input, default signals. */
static int spawn(running *r, char *const *argv, const int ends[2])
{
    extern char **environ;
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, all;
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attr);
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, ends[0], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files, ends[1], STDERR_FILENO);
    posix_spawnattr_setpgroup(&attr, 0);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                        POSIX_SPAWN_SETSIGDEF);
    int error = posix_spawnp(&r->pid, argv[0], &files, &attr, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attr);
    return error;
}

static rs_status start(running *r, char *const *argv)
{
    int pipes[2][2];
    if (pipe2(pipes[0], O_CLOEXEC) != 0)
        return RS_FAIL(IO, "%s: no pipe: %s", argv[0], strerror(errno));
    if (pipe2(pipes[1], O_CLOEXEC) != 0) {
        rs_status st = RS_FAIL(IO, "%s: no pipe: %s", argv[0], strerror(errno));
        close(pipes[0][0]);
        close(pipes[0][1]);
        return st;
    }
    int error = spawn(r, argv, (const int[]){pipes[0][1], pipes[1][1]});
    for (int i = 0; i < 2; i++) {
        close(pipes[i][1]);
        r->fds[i] = pipes[i][0];
    }
    if (error == 0)
        return RS_OK;
    close_fd(&r->fds[0]);
    close_fd(&r->fds[1]);
    return RS_FAIL(IO, "%s: cannot be started: %s", argv[0], strerror(error));
}

/* Read what is there within a tick; what exceeds the limit is dropped. */
static void read_some(running *r)
{
    char buffer[4096];
    struct pollfd p[2] = {{r->fds[0], POLLIN, 0}, {r->fds[1], POLLIN, 0}};
    if (poll(p, 2, TICK_MS) <= 0)
        return;
    for (int i = 0; i < 2; i++) {
        if (r->fds[i] < 0 || p[i].revents == 0)
            continue;
        ssize_t n = read(r->fds[i], buffer, sizeof buffer);
        if (n > 0 && r->text[i].len + (size_t)n <= MOST_OUTPUT)
            rs_strbuf_add(&r->text[i], buffer, (size_t)n);
        else if (n == 0 || (n < 0 && errno != EINTR))
            close_fd(&r->fds[i]);
    }
}

/* Until the program has ended and its pipes are read, or time is up, or a stop is asked for. */
static bool follow(running *r, rs_process_result *out, const rs_process_opts *o, int *state)
{
    double end = rs_now() + o->timeout_s;
    bool ended = false;
    while (!ended || r->fds[0] >= 0 || r->fds[1] >= 0) {
        if (o->stop && *o->stop)
            return ended;
        if (rs_now() > end) {
            out->timed_out = !ended; /* a child of it that holds the pipes is no failure of it */
            return ended;
        }
        read_some(r);
        if (!ended && waitpid(r->pid, state, WNOHANG) == r->pid) {
            ended = true;
            kill(-r->pid, SIGKILL); /* children that it left behind */
        }
    }
    return ended;
}

/* Time is up, or a stop was asked for. */
static void end(running *r, double grace_s, int *state)
{
    double until = rs_now() + grace_s;
    if (grace_s > 0)
        kill(-r->pid, SIGTERM);
    while (rs_now() < until) {
        read_some(r);
        if (waitpid(r->pid, state, WNOHANG) == r->pid) {
            kill(-r->pid, SIGKILL);
            return;
        }
    }
    kill(-r->pid, SIGKILL);
    while (waitpid(r->pid, state, 0) < 0 && errno == EINTR)
        ;
}

rs_status rs_process_run(rs_process_result *out, rs_arena *a, char *const *argv,
                         const rs_process_opts *o)
{
    int state = 0;
    running r = {.fds = {-1, -1}, .text = {rs_strbuf_on(a), rs_strbuf_on(a)}};
    *out = (rs_process_result){.exit_code = -1};
    if (!argv[0])
        return RS_FAIL(IO, "an empty command cannot be started");
    RS_TRY(start(&r, argv));
    if (!follow(&r, out, o, &state))
        end(&r, o->grace_s, &state);
    close_fd(&r.fds[0]);
    close_fd(&r.fds[1]);
    out->out = r.text[0].data;
    out->err = r.text[1].data;
    if (WIFEXITED(state))
        out->exit_code = WEXITSTATUS(state);
    else
        out->signal = WTERMSIG(state);
    if (o->stop && *o->stop)
        return RS_FAIL(STOPPED, "stopped while %s was running", argv[0]);
    return RS_OK;
}
