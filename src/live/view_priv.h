/* Private to view*.c: what a view keeps between two looks. */
#ifndef RS_LIVE_VIEW_PRIV_H
#define RS_LIVE_VIEW_PRIV_H

#include "live/view.h"

/* How far a file has been read. */
typedef struct rs_view_file {
    const char *path;
    int64_t read;
} rs_view_file;

typedef struct rs_viewer_state {
    rs_view v;          /* first: what the caller sees */
    rs_arena *kept;     /* jobs and their reasons: until the set of worlds or of jobs changes */
    rs_arena *fresh;    /* worlds and ranks: until the next refresh */
    const char *ids;    /* of the worlds that were read, one a line */
    int64_t *sorted;    /* (n_jobs) indices by arm, video, edit */
    int64_t jobs_bytes; /* of all jobs.csv */
    rs_view_file *timelines;
    int64_t n_timelines;
    size_t cap_timelines, cap_jobs;
} rs_viewer_state;

rs_view_job *rs_view_job_named(const rs_viewer_state *s, const char *arm, const char *video,
                               const char *edit);
/* jobs.csv of a world, added to what is there; then sort. */
rs_status rs_view_read_jobs(rs_viewer_state *s, const char *folder) RS_NODISCARD;
void rs_view_sort_jobs(rs_viewer_state *s);
/* New lines of all timelines of a world. */
rs_status rs_view_read_timelines(rs_viewer_state *s, const char *folder) RS_NODISCARD;
/* run.json and rank-N.json of a world. */
void rs_view_read_world(rs_viewer_state *s, rs_view_world *w, const char *folder);
rs_status rs_view_read_ranks(rs_viewer_state *s, int64_t world, const char *folder) RS_NODISCARD;
/* From jobs and ranks to counts, rates and expectations. */
void rs_view_count(rs_viewer_state *s);

#endif
