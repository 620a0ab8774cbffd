/* The terminal behind standard error, if there is one. */
#ifndef RS_BASE_TERM_H
#define RS_BASE_TERM_H

#include <stdbool.h>

/* May lines on standard error be redrawn in place? Where it is a terminal (TERM not "dumb"). mpirun
 * hands on what its ranks write there: for them its own standard error counts. */
bool rs_term_is_live(void);
/* Colours are welcome there: it is live, and NO_COLOR is not set. */
bool rs_term_colour(void);
/* Columns: the terminal's, else $COLUMNS, else 80; at least 40. */
int rs_term_width(void);

#endif
