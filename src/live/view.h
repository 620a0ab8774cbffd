/* Where a run stands, from the files of live/live.h alone: of this host or another, while it runs,
 * after it ended, after it died. What is shown is the newest world and others that still live (two
 * worlds can share the jobs of one run directory). */
#ifndef RS_LIVE_VIEW_H
#define RS_LIVE_VIEW_H

#include <stdbool.h>

#include "base/str.h"
#include "live/timeline.h"
#include "live/world.h"

typedef enum rs_view_state {
    RS_VIEW_WAITING,
    RS_VIEW_RUNNING, /* a rank that lives has it */
    RS_VIEW_DONE,
    RS_VIEW_CACHED, /* its result was there already */
    RS_VIEW_FAILED,
    RS_VIEW_SKIPPED, /* will not run: something before it failed */
    RS_VIEW_STATES
} rs_view_state;

const char *rs_view_state_name(rs_view_state s); /* "waiting", ... */

/* A video (edit "") or one of its edits. */
typedef struct rs_view_job {
    const char *arm, *video, *edit;
    uint32_t tasks;                      /* bits of the stages it has */
    int64_t parent;                      /* index of an edit's video, -1: a video */
    rs_view_state known[RS_LIVE_STAGES]; /* what the timelines say, and since when */
    double known_since[RS_LIVE_STAGES];
    rs_view_state stage[RS_LIVE_STAGES]; /* together with what runs and what follows from it */
    double seconds[RS_LIVE_STAGES]; /* of stages that were computed in a world shown, else NAN */
    /* An edit as a whole: WAITING, RUNNING, DONE, CACHED or FAILED. */
    rs_view_state state;
    const char *reason; /* "" for none */
    int at;             /* stage that failed or runs, -1: none */
    int64_t rank;       /* that works on it or on its video, -1: none */
    rs_live_steps steps;
    bool ended, failed, computed; /* what rank 0 said of an edit */
    int64_t edits, edits_ended;   /* of a video */
    int reached; /* stages below it are done, it itself failed; of a video: the best of its edits */
} rs_view_job;

typedef struct rs_view_task {
    const char *arm, *video, *edit;
    int stage;
    double since, updated;
    rs_live_steps steps;
} rs_view_task;

typedef struct rs_view_rank {
    int64_t world; /* index */
    int64_t rank, pid;
    const char *host, *doing;
    double begin, time; /* of the rank; of its record */
    double idle_since;
    bool ended, alive;
    rs_view_task *tasks;
    int64_t n_tasks;
    double busy_s;
    rs_live_totals totals;
} rs_view_rank;

typedef struct rs_view_stage {
    int64_t total, count[RS_VIEW_STATES];
    double mean_s; /* of those that were computed, NAN: none yet */
    double left_s; /* expected rank-seconds of what waits and runs, NAN: unknown */
    /* Of its running tasks. */
    int64_t step_min, step_max, steps; /* steps 0: no steps known */
    double loss, s_per_step;           /* means, NAN */
    double eta_s;                      /* of the slowest, NAN */
    const char *who;                   /* the one that runs: "video#edit"; NULL: none, several */
} rs_view_stage;

typedef struct rs_view_world {
    const char *id, *name, *host, *program, *result, *message;
    int64_t ranks;
    double begin, end; /* end NAN: not ended */
    bool ended, alive; /* neither: it died without a word */
    bool began;        /* so lately that it lives even if no rank has said anything yet */
    bool has_summary;
    rs_live_summary summary;
} rs_view_world;

typedef struct rs_view {
    const char *output;
    rs_view_world *worlds; /* the newest first */
    int64_t n_worlds;
    rs_view_job *jobs; /* in the order of jobs.csv */
    int64_t n_jobs;
    rs_view_rank *ranks; /* by world and rank */
    int64_t n_ranks;
    rs_view_stage stages[RS_LIVE_STAGES];
    int64_t edits[RS_VIEW_STATES], n_edits, n_videos;
    int64_t gone;       /* ranks that neither live nor said that they end */
    double utilisation; /* busy rank-seconds / rank-seconds so far, NAN */
    double gather_s;    /* of all ranks */
    double eta_s;       /* NAN: nothing known or nothing left */
    bool eta_is_low;    /* some stage that is left was never seen: a lower bound */
    double now;
} rs_view;

/* RS_INPUT: no such folder, or no folder of a run. Nothing is read yet but the names of worlds. */
rs_status rs_view_open(rs_view **out, const char *output) RS_NODISCARD;
void rs_view_close(rs_view **v);
/* Read what is new. Everything the view points to is valid until the next refresh. Files that are
 * missing or torn are as if they said nothing. */
rs_status rs_view_refresh(rs_view *v) RS_NODISCARD;
/* Some world shown is at work. */
bool rs_view_is_alive(const rs_view *v);
/* The job of that name, NULL: none. edit "" for a video. */
const rs_view_job *rs_view_find(const rs_view *v, const char *arm, const char *video,
                                const char *edit);

/* ---- as text ---- */

typedef struct rs_view_style {
    int width; /* columns, at least 40; longer lines are cut */
    bool colour;
} rs_view_style;

/* One line per stage that the run has and one for all of it; each ends with a newline. */
void rs_view_lines(rs_strbuf *out, const rs_view *v, const rs_view_style *style);
/* The last of them without counts of stages: for a log. No newline. */
void rs_view_line(rs_strbuf *out, const rs_view *v);
/* Text as a line of at most `width` columns. */
void rs_view_add_line(rs_strbuf *out, const char *text, const rs_view_style *style);

#endif
