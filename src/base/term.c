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
static int launchers_terminal(void)
{
    char link[64], target[256] = {0};
    if (!getenv("OMPI_COMM_WORLD_RANK"))
        return -1;
    snprintf(link, sizeof link, "/proc/%ld/fd/2", (long)getppid());
    if (readlink(link, target, sizeof target - 1) <= 0 || strncmp(target, "/dev/", 5) != 0)
        return -1;
    int fd = open(target, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0 && !isatty(fd)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* A descriptor of the terminal; to be closed unless it is standard error itself. */
static int terminal(void)
{
    return isatty(STDERR_FILENO) ? STDERR_FILENO : launchers_terminal();
}

bool rs_term_is_live(void)
{
    const char *kind = getenv("TERM");
    int fd = terminal();
    if (fd > STDERR_FILENO)
        close(fd);
    return fd >= 0 && !(kind && strcmp(kind, "dumb") == 0);
}

bool rs_term_colour(void)
{
    const char *no = getenv("NO_COLOR");
    return rs_term_is_live() && !(no && *no);
}

int rs_term_width(void)
{
    enum { USUAL = 80, LEAST = 40, MOST = 1000 };
    struct winsize size = {0};
    int64_t columns = 0;
    int fd = terminal();
    if (fd >= 0 && ioctl(fd, TIOCGWINSZ, &size) == 0)
        columns = size.ws_col;
    if (fd > STDERR_FILENO)
        close(fd);
    const char *said = getenv("COLUMNS");
    if (columns <= 0 && !(said && rs_parse_i64(&columns, said)))
        columns = USUAL;
    return (int)(columns < LEAST ? LEAST : columns > MOST ? MOST : columns);
}
