/* Sampling again from an archive: it holds the clip, the adapters, the edited first frame and the
 * settings of its run; a model directory is all that it needs. */
#ifndef RS_JOB_RESAMPLE_H
#define RS_JOB_RESAMPLE_H

#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

/* Whatever is NULL (seed and steps -1, no adapters) is what the archive's own run used, and with
 * nothing but those the results are its own, bit for bit (same build and device). */
typedef struct rs_resample_opts {
    const char *archive;
    const char *model; /* directory; NULL: the recorded path */
    const char *edit;  /* NULL: the only one */
    const char *first_frame, *prompt;
    int64_t seed, steps;
    const char *const *adapters; /* rs_adapter_spec_parse; any number, instead of the edit's own */
    int64_t n_adapters;
    const char *const *sets; /* "edit.guidance=3" */
    int64_t n_sets;
    const char *movie;  /* X.mp4 */
    const char *frames; /* folder of PNG files */
    const char *latent; /* X.safetensors: latent, first_frame and how they were made */
} rs_resample_opts;

/* At least one of movie, frames and latent. RS_USAGE, RS_CONFIG, RS_MODEL or RS_INPUT before
 * anything is sampled where what is asked for does not go together. */
rs_status rs_resample(const rs_resample_opts *o) RS_NODISCARD;

#endif
