#include "harness/screen.h"

#include <errno.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/str.h"
#include "harness/test.h"

enum { ROWS = 4000 };

/* The terminal: as many rows as there are, nothing scrolls away. */
typedef struct term {
    char **rows;
    int row, col, most, columns;
    bool wrap;
} term;

static void put(term *t, char c)
{
    if (t->col >= t->columns && !t->wrap)
        t->col = t->columns - 1;
    if (t->col >= t->columns) {
        t->col = 0;
        t->row++;
    }
    T_CHECK(t->row < ROWS);
    t->rows[t->row][t->col++] = c;
    t->most = t->row > t->most ? t->row : t->most;
}

static void erase_below(term *t)
{
    memset(t->rows[t->row] + t->col, ' ', (size_t)(t->columns - t->col));
    for (int r = t->row + 1; r <= t->most; r++)
        memset(t->rows[r], ' ', (size_t)t->columns);
}

/* What follows ESC; the number of bytes. */
static int escape(term *t, const char *p)
{
    int n = (int)strspn(p, "[?0123456789;"), count = atoi(p + 1);
    if (strncmp(p, "[?7l", 4) == 0 || strncmp(p, "[?7h", 4) == 0)
        t->wrap = p[3] == 'h';
    else if (*p == '[' && p[n] == 'A')
        t->row -= count < t->row ? count : t->row;
    else if (*p == '[' && p[n] == 'J')
        erase_below(t);
    else if (*p == '[' && p[n] == 'H')
        t->row = t->col = 0;
    else
        T_CHECKF(*p == '[' && p[n] == 'm', "unknown escape sequence ESC%.8s", p);
    return n + 1;
}

static void show(term *t, const char *raw)
{
    for (const char *p = raw; *p; p++) {
        if (*p == '\033')
            p += escape(t, p + 1);
        else if (*p == '\r')
            t->col = 0;
        else if (*p == '\n')
            t->row++;
        else
            put(t, *p);
    }
}

/* Everything, and a signal once `text` is there (NULL: none). */
static char *read_all(int fd, pid_t pid, const char *text_wanted)
{
    char piece[4096];
    ssize_t n;
    bool told = !text_wanted;
    rs_strbuf text = rs_strbuf_on(t_arena());
    while ((n = read(fd, piece, sizeof piece)) > 0 || (n < 0 && errno == EINTR))
        if (n > 0) {
            rs_strbuf_add(&text, piece, (size_t)n);
            if (!told && strstr(text.data, text_wanted))
                told = kill(pid, SIGUSR1) == 0;
        }
    return text.data;
}

static void take_rows(t_screen *s, const term *t)
{
    s->rows = t->rows;
    s->n = t->most + 1;
    for (int r = 0; r < s->n; r++) {
        int end = t->columns;
        while (end > 0 && t->rows[r][end - 1] == ' ')
            end--;
        t->rows[r][end] = 0;
    }
}

void t_screen_run(t_screen *s, int columns, const char *command)
{
    t_screen_run_until(s, columns, command, NULL);
}

void t_screen_run_until(t_screen *s, int columns, const char *command, const char *text)
{
    struct winsize size = {.ws_row = 24, .ws_col = (unsigned short)columns};
    int fd, state;
    pid_t pid = forkpty(&fd, NULL, NULL, &size);
    T_CHECK(pid >= 0);
    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    s->raw = read_all(fd, pid, text); /* until the last of its programs has closed it */
    close(fd);
    T_CHECK(waitpid(pid, &state, 0) == pid);
    s->status = WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state);
    term t = {.rows = RS_NEW(t_arena(), char *, ROWS), .columns = columns, .wrap = true};
    for (int r = 0; r < ROWS; r++) {
        t.rows[r] = RS_NEW(t_arena(), char, columns + 1);
        memset(t.rows[r], ' ', (size_t)columns);
    }
    show(&t, s->raw);
    take_rows(s, &t);
}

int t_screen_count(const t_screen *s, const char *text)
{
    int count = 0;
    for (int r = 0; r < s->n; r++)
        count += strstr(s->rows[r], text) != NULL;
    return count;
}
