/* A program on a terminal of its own: what it wrote, and what is to be seen in the end. */
#ifndef RS_TESTS_SCREEN_H
#define RS_TESTS_SCREEN_H

#include <stdbool.h>

typedef struct t_screen {
    int status;      /* exit status */
    const char *raw; /* everything it wrote */
    char **rows;     /* that it left behind, scrolled ones too, without blanks at their ends */
    int n;
} t_screen;

/* Run a shell command on a terminal of so many columns, until it ends; t_arena. The terminal knows
 * what the status line uses: carriage return, up, erase below, wrapping on and off, colours;
 * anything else fails the case. */
void t_screen_run(t_screen *s, int columns, const char *command);
/* The same with SIGUSR1 to the command (its shell's, so "exec ...") as soon as it has written
 * `text`.
 */
void t_screen_run_until(t_screen *s, int columns, const char *command, const char *text);
/* Rows that contain the text. */
int t_screen_count(const t_screen *s, const char *text);

#endif
