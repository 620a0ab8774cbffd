/* Running a catalog: opens what all jobs share, runs every job's stages with failures kept to their
 * own job, publishes one archive per video and reports. */
#ifndef RS_JOB_JOB_H
#define RS_JOB_JOB_H

#include "config/arms.h"
#include "job/plan_rates.h"
#include "job/tenancy.h"
#include "live/world.h"
#include "job/used_states.h"
#include "job/world.h"
#include "stage/measure.h"
#include "stage/stage.h"

typedef struct rs_run_opts {
    const char *config; /* experiment file */
    const char *const *sets;
    int64_t n_sets;
    const char *videos; /* glob over video ids, NULL: all */
    const char *arms;   /* glob over the names of arms, NULL: all */
    const char *only; /* last stage to run ("ingest" ... "decode"), NULL: everything and publish */
    const volatile sig_atomic_t *stop;
} rs_run_opts;

/* What became of one (video, edit). */
typedef struct rs_outcome {
    const char *video, *edit;
    rs_status status;
    const char *reason; /* one line, NULL when ok */
    const char *stage;  /* stage that failed, or NULL */
    bool ran;           /* something was computed for it in this run */
    const char *mp4;    /* NULL until published */
    const char *archive;
    rs_measures measures; /* NAN until published */
    /* Seconds of training (motion, which edits of a video share, and appearance) and of sampling,
     * over all restarts, from the states; NAN until published. */
    double train_s, sample_s;
} rs_outcome;

typedef struct rs_outcomes {
    rs_outcome *items;
    int64_t n;
    size_t cap;
} rs_outcomes;

/* The whole command, collective over the started ranks (job/world.h): videos go to whoever is free,
 * and rank 0 reports; the status is the same on all ranks. Of an experiment with arms every chosen
 * arm, one after the other, and then their comparison. RS_CONFIG / RS_MODEL before any job; RS_JOBS
 * when some job failed; RS_STOPPED when asked to stop. Prints the table of results to the log. */
rs_status rs_run_catalog(const rs_run_opts *o) RS_NODISCARD;

/* ---- parts, used by rs_run_catalog ---- */

/* Collective. Load config and catalog, open the device, hash the model's files, create the run
 * directory and move into it (job/tenancy.h). */
typedef struct rs_run_session {
    rs_world world;
    rs_run run;
    rs_config *cfg;
    rs_arms *arms; /* NULL: an ordinary experiment */
    rs_catalog *catalog;
    rs_device *dev;
    rs_arena *arena;
    int machine_ranks;           /* ranks of the world on this machine */
    int cores;                   /* of it for this rank */
    int64_t twins_taken;         /* device bytes of NCCL's communicators (job/twins.h) */
    rs_plan_sizes sizes;         /* of the present settings; what the models are opened with */
    rs_plan_prediction expected; /* rank 0: seconds under the present settings */
    int64_t planned;             /* bytes on the device, of the largest settings so far */
    rs_used_states used;         /* by the jobs that ran here */
    rs_arena *reports;           /* rank 0: texts that ranks reported */
    rs_live_world records;       /* what is said of this run for others to see */
    rs_live_summary summary;     /* rank 0: of all jobs so far */
    const char *arm;             /* whose settings are used, "": none */
    double deadline;             /* end of the wall time on the clock of rs_now(); INFINITY: none */
    rs_tenancy *tenancy;         /* who else is in the output folder, and the leases on videos */
} rs_run_session;

rs_status rs_session_open(rs_run_session *s, const rs_run_opts *o) RS_NODISCARD;
/* Rank 0 records how the run ended (`st`, with this thread's error). */
void rs_session_record_end(const rs_run_session *s, rs_status st);
void rs_session_close(rs_run_session *s);
/* Collective. Go on with the settings of an arm: its output folder, and another model if it names
 * one. */
rs_status rs_session_use(rs_run_session *s, const rs_config *cfg, const char *arm) RS_NODISCARD;

/* cluster.lanes: ranks of a lane; 0: auto. */
int64_t rs_session_lanes(const rs_config *c);
/* What this rank runs from now on is shared by so many ranks; follows: another one leads. */
void rs_session_use_lane(rs_run_session *s, int width, bool follows);

/* Collective. Sizes under the present settings, and what the transformer is opened with or keeps
 * from now on. */
rs_status rs_session_plan(rs_run_session *s) RS_NODISCARD;
/* Does a thread decode the media of the next video (cluster.ahead)? */
bool rs_session_reads_ahead(const rs_run_session *s);
/* Says it: memory by purpose, home, blocks, expected seconds. */
rs_status rs_session_announce(rs_run_session *s) RS_NODISCARD;
/* At the end: what was held against what was planned. A warning where it was more. */
void rs_session_account(const rs_run_session *s);

/* Collective. All chosen jobs under the session's present settings, the index of their archives,
 * and the report. *outcomes: one per edit of the chosen videos, in the order of the catalog
 * (session's arena); complete on rank 0 only. */
rs_status rs_run_jobs(rs_run_session *s, const rs_run_opts *o, rs_outcomes *outcomes) RS_NODISCARD;
/* Collective. The arms of an experiment (job/arms.c): states are shared in <output>/state,
 * everything else of an arm is in <output>/arms/<arm>. When all of them ran on all videos, states
 * that no arm needs are removed and <output>/comparison.md, .csv, .json and
 * comparison/<video>@<edit>.png are written. */
rs_status rs_run_arms(rs_run_session *s, const rs_run_opts *o) RS_NODISCARD;

/* The device and the model directory of the settings; components open when they are needed. cores:
 * for settings that leave the threads open, 0: all. gang: for sharded weights; NULL: this process
 * alone. */
rs_status rs_run_open_models(rs_models *models, rs_device **dev, const rs_config *cfg, int cores,
                             rs_comm *gang) RS_NODISCARD;
/* Frame rate of the mp4 files: edit.fps, or that at which the clip plays as its source does. */
rs_ratio rs_output_fps(const rs_config *cfg, rs_ratio source);

/* Where a video's archive and an edit's mp4 are. */
char *rs_archive_path_of(rs_arena *a, const rs_run *run, const rs_catalog_video *v);
char *rs_mp4_path_of(rs_arena *a, const rs_run *run, const rs_catalog_video *v,
                     const rs_catalog_edit *e);
/* Write <output>/archive/<video>.h5, videos/<video>/<edit>.mp4 and sheets/<video>.png from finished
 * states, unless the archive there is already the one these states would give. `edits`: outcomes of
 * this video's edits (those that failed are recorded with their reason); paths and metrics are
 * filled in. *ran tells. */
rs_status rs_publish_video(rs_run *run, rs_job *video, rs_job **edits, rs_outcome *outcomes,
                           int64_t n, bool *ran) RS_NODISCARD;

#endif
