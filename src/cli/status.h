/* reshoot status, in two spellings. */
#ifndef RS_CLI_STATUS_H
#define RS_CLI_STATUS_H

#include "live/view.h"

typedef struct rs_page_style {
    rs_view_style view;
    int64_t most; /* ranks and failures shown in full; 0: all */
} rs_page_style;

/* A page: what the run is, its stages, its ranks, what failed. */
void rs_page_text(rs_strbuf *out, const rs_view *v, const rs_page_style *style);
/* One document with everything that the view knows; ends with a newline. */
void rs_page_json(rs_strbuf *out, const rs_view *v);

/* How a world stands: "running", "done", "failed", "stopped", "error", or "died": it says nothing
 * any more and never said that it ended. */
const char *rs_page_word(const rs_view_world *w);

#endif
