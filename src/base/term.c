#include "base/term.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/str.h"

/* The terminal that mpirun, the parent of this rank, was started in; -1: none, or it is elsewhere.
 */
static int launchers_terminal(int wanted)
{
    char link[64], target[256] = {0};
    snprintf(link, sizeof link, "/proc/%ld/fd/%d", (long)getppid(), wanted);
    if (readlink(link, target, sizeof target - 1) <= 0 || strncmp(target, "/dev/", 5) != 0)
        return -1;
    int fd = open(target, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0 && !isatty(fd)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* A descriptor of the terminal, with close_it; -1: none. mpirun gives its ranks a terminal of their
 * own as standard output, whatever its own is. */
static int terminal(int fd)
{
    bool rank = getenv("OMPI_COMM_WORLD_RANK") != NULL;
    return rank ? launchers_terminal(fd) : isatty(fd) ? fd : -1;
}

static void close_it(int fd)
{
    if (fd > STDERR_FILENO)
        close(fd);
}

bool rs_term_is_live(int fd)
{
    const char *kind = getenv("TERM");
    int term = terminal(fd);
    close_it(term);
    return term >= 0 && !(kind && strcmp(kind, "dumb") == 0);
}

bool rs_term_colour(int fd)
{
    const char *no = getenv("NO_COLOR");
    return rs_term_is_live(fd) && !(no && *no);
}

/* Zeros where it is not known. */
static struct winsize size_of(int fd)
{
    struct winsize size = {0};
    int term = terminal(fd);
    if (term < 0 || ioctl(term, TIOCGWINSZ, &size) != 0)
        size = (struct winsize){0};
    close_it(term);
    return size;
}

int rs_term_height(int fd)
{
    return size_of(fd).ws_row;
}

int rs_term_width(int fd)
{
    enum { USUAL = 80, LEAST = 40, MOST = 1000 };
    int64_t columns = size_of(fd).ws_col;
    const char *said = getenv("COLUMNS");
    if (columns <= 0 && !(said && rs_parse_i64(&columns, said)))
        columns = USUAL;
    return (int)(columns < LEAST ? LEAST : columns > MOST ? MOST : columns);
}
