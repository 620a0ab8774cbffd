/* The terminal behind standard output (fd 1) or standard error (fd 2), if there is one. */
#ifndef RS_BASE_TERM_H
#define RS_BASE_TERM_H

#include <stdbool.h>

/* May lines there be redrawn in place? Where it is a terminal (TERM not "dumb"). mpirun hands on
 * what its ranks write: for them its own standard error counts. */
bool rs_term_is_live(int fd);
/* Colours are welcome there: it is live, and NO_COLOR is not set. */
bool rs_term_colour(int fd);
/* Columns: the terminal's, else $COLUMNS, else 80; at least 40. */
int rs_term_width(int fd);
/* Rows, 0: not known. */
int rs_term_height(int fd);

#endif
