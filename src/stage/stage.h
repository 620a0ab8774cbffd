/* Stages of a job, from the source clip to the edited frames.
 *
 *   ingest -> motion -> appearance -> edit -> decode      (then job/publish assembles the archive)
 *
 * ingest and motion belong to a video and are shared by its edits; the others belong to one edit.
 * Every stage writes one state file <output>/state/<video>/<stage>[@<edit>].safetensors that
 * carries its *key*: the hash of everything the result depends on (input contents, the settings it
 * reads, upstream keys, weight files, format version). A stage whose state has the right key is not
 * run again, so a restart after a crash is a normal run. Arms of one experiment share a folder of
 * states whose names have the key in them (rs_run.shared_states). */
#ifndef RS_STAGE_STAGE_H
#define RS_STAGE_STAGE_H

#include <signal.h>

#include "base/fence.h"
#include "base/hash.h"
#include "config/catalog.h"
#include "config/config.h"
#include "live/live.h"
#include "media/clip.h"
#include "stage/models.h"

typedef enum rs_stage_id {
    RS_STAGE_INGEST,
    RS_STAGE_MOTION,
    RS_STAGE_APPEARANCE,
    RS_STAGE_EDIT,
    RS_STAGE_DECODE,
    RS_STAGE_COUNT
} rs_stage_id;

/* What all jobs of a run share. */
typedef struct rs_run {
    const rs_config *cfg;
    const rs_catalog *catalog;
    const char *output; /* run directory */
    /* Folder of states that several runs (the arms of an experiment) share: a state's name has the
     * first 16 digits of its key behind a '~'. NULL: <output>/state, one state per job and stage.
     */
    const char *shared_states;
    rs_models models;
    char transformer_id[RS_HASH_HEX], vae_id[RS_HASH_HEX], encoders_id[RS_HASH_HEX];
    rs_comm *lane; /* ranks that share the jobs of this one (NULL: none); rank 0 of it leads */
    rs_comm *half, *pair; /* of a lane, for guidance (nn/lane.h); NULL where it is not even */
    bool follows;         /* this rank only helps: it writes nothing */
    /* Leader of a lane: let the others begin this stage too (rs_stage_follow). */
    rs_status (*call_lane)(void *ctx);
    void *call_ctx;
    struct rs_ahead *ahead; /* decodes media of the next video (stage/ahead.h); NULL: nobody does */
    const volatile sig_atomic_t *stop; /* non-zero: finish the step, save, return RS_STOPPED */
    rs_live *live;                     /* what this rank does, for those who look; NULL: nobody */
} rs_run;

/* The source side of a job in memory: what ingest made. */
typedef struct rs_ingest {
    rs_tensor frames, mask; /* U8 (T,H,W,3), (T,H,W) after shaping */
    rs_tensor x0;           /* (z,F',h,w) latent of the source: training target */
    rs_tensor y;            /* (4+z,F',h,w) */
    rs_tensor text, image;
    rs_ratio fps;          /* at which the chosen frames play as the source does */
    rs_fit fit;            /* source size -> clip size, for edited frames */
    int64_t *index;        /* [T] source frame numbers */
    int64_t source_frames; /* as in rs_clip */
} rs_ingest;

/* One video, or one (video, edit). */
typedef struct rs_job {
    const rs_catalog_video *video;
    const rs_catalog_edit *edit; /* NULL for the per-video part */
    const char *name;            /* "video" or "video#edit" */
    struct rs_job *parent;       /* of an edit: the video's own job, whose source it shares */
    rs_arena *arena;             /* job lifetime: names, keys, the loaded source */
    rs_arena *scratch;           /* lifetime of the running stage */
    const rs_fence *fence;       /* states are saved and removed inside of it; NULL: none */
    char key[RS_STAGE_COUNT][RS_HASH_HEX];
    double begin, spent; /* of the running stage: start of this process' part, seconds before it */
    int live_task;       /* of the running stage, for run.live; 0: none */
    rs_ingest source;    /* loaded on demand: rs_job_load_source */
    bool loaded;
} rs_job;

/* The k-th of several jobs has ended the stage; a failure's reason is this thread's error. */
typedef void rs_stage_ended_fn(void *ctx, int k, rs_status st);

typedef struct rs_stage {
    const char *name;
    int version; /* of the state file and of the computation; part of the key */
    bool per_edit;
    bool shared;          /* all ranks of a lane run it together */
    rs_stage_id upstream; /* itself for ingest */
    /* Everything beyond upstream keys and version that the result depends on. */
    rs_status (*hash)(rs_hash *h, const rs_run *run, const rs_job *job);
    /* Does this job have such a stage at all? NULL: yes. (appearance: rs_job_references) */
    bool (*applies)(const rs_run *run, const rs_job *job);
    rs_status (*run)(rs_run *run, rs_job *job);
    /* Of n jobs that share what they can, each with the results that it has alone: `ended` is
     * called for each, once, as soon as it ends. NULL: one after the other. */
    void (*run_many)(rs_run *run, rs_job *const *jobs, int n, rs_stage_ended_fn *ended, void *ctx);
} rs_stage;

const rs_stage *rs_stage_get(rs_stage_id id);

/* Compute keys of all stages the job reaches (per-video stages only when edit is NULL). Reads input
 * files. RS_IO / RS_INPUT names what is missing. */
rs_status rs_job_keys(const rs_run *run, rs_job *job) RS_NODISCARD;
/* Is the stage's state there with the right key (or the stage does not apply)? */
bool rs_stage_is_done(const rs_run *run, const rs_job *job, rs_stage_id id);
/* Run one stage unless done. *ran tells. Logs a line per stage. */
rs_status rs_stage_run(rs_run *run, rs_job *job, rs_stage_id id, bool *ran) RS_NODISCARD;
/* One stage of n different jobs, on a rank that works alone: rs_stage_run of each, side by side
 * where the stage can. `ended` is called for each, once, as soon as it ends; ran[k] tells by then.
 */
void rs_stage_run_many(rs_run *run, rs_job *const *jobs, int n, rs_stage_id id, bool *ran,
                       rs_stage_ended_fn *ended, void *ctx);
/* The same stage on the other ranks of a lane, when its leader has called. Collective over the lane
 * with the leader's rs_stage_run. The job has its keys; st: how that went. */
rs_status rs_stage_follow(rs_run *run, rs_job *job, rs_stage_id id, rs_status st) RS_NODISCARD;
/* Collective over the lane: agreement on errors. st itself where a rank works alone. */
rs_status rs_run_agree(const rs_run *run, rs_status st) RS_NODISCARD;
/* Collective over the lane: has any rank been asked to stop? */
rs_status rs_run_stops(bool *stop, const rs_run *run) RS_NODISCARD;
/* References of the edit that the appearance stage learns, its first ones; 0: the job has no such
 * stage (none in the catalog, or appearance.when). */
int64_t rs_job_references(const rs_run *run, const rs_job *job);
/* Bring the ingest state into memory (the parent's, for an edit). */
rs_status rs_job_load_source(const rs_run *run, rs_job *job) RS_NODISCARD;

/* Paths in the run directory (job arena); they need the job's keys where states are shared.
 * checkpoint: of the running stage. */
char *rs_stage_path(const rs_run *run, const rs_job *job, rs_stage_id id);
/* Folder of a video's states. */
char *rs_stage_folder(const rs_run *run, const rs_job *job);
char *rs_stage_checkpoint_path(const rs_run *run, const rs_job *job, rs_stage_id id);

extern const rs_stage rs_stage_ingest, rs_stage_motion, rs_stage_appearance, rs_stage_edit,
    rs_stage_decode;

#endif
