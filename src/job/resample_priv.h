/* Private to src/job: one resampling, and what is read of its archive. */
#ifndef RS_JOB_RESAMPLE_PRIV_H
#define RS_JOB_RESAMPLE_PRIV_H

#include "job/job.h"
#include "job/resample.h"
#include "stage/edit.h"
#include "store/archive.h"

typedef struct rs_resampling {
    const rs_resample_opts *o;
    rs_arena *a;
    rs_archive *f;
    rs_config *cfg;
    rs_device *dev;
    rs_run run;
    rs_denoiser *m;
    /* What the stages see of the archive: one video, one edit, one job. */
    rs_catalog_video video;
    rs_catalog_edit edit;
    rs_job job;
    rs_sample_opts sample;
    rs_adapter **adapters;
    float *weights;
    volatile sig_atomic_t never; /* 0: a signal ends the program */
    const char *mix;             /* "motion 1, appearance/red 0.5" */
} rs_resampling;

/* The clip as ingest left it, into job.source (all but text, image and index, which only training
 * and publishing read). RS_FORMAT where the archive contradicts itself. */
rs_status rs_resample_read_source(rs_resampling *r) RS_NODISCARD;
/* The chosen edit, with what the options replace of it: its job and sample.first. */
rs_status rs_resample_read_edit(rs_resampling *r) RS_NODISCARD;

#endif
