/* Adapters that a user names: those of archives, and safetensors files. */
#ifndef RS_JOB_ADAPTER_SOURCE_H
#define RS_JOB_ADAPTER_SOURCE_H

#include "model/model.h"
#include "store/archive.h"

/* "A.h5:motion=0.5", "A.h5:appearance/red", "A.h5:red" (the same), "X.safetensors=-1". */
typedef struct rs_adapter_spec {
    const char *text;  /* as given */
    const char *path;  /* of the archive or file */
    const char *place; /* in an archive: "motion", "appearance/<edit>" or "<edit>"; NULL: a file */
    double weight;     /* 1 where none is given */
} rs_adapter_spec;

/* RS_USAGE when it is none: a weight that is no number, an archive without a place. */
rs_status rs_adapter_spec_parse(rs_adapter_spec *out, rs_arena *a, const char *text) RS_NODISCARD;
/* The adapter at any rank and targets that the model has, without gradients. Files: every spelling
 * that rs_adapter_import takes. Errors name the file, and tensor and shapes where those are wrong.
 */
rs_status rs_adapter_spec_load(rs_adapter **out, rs_denoiser *m,
                               const rs_adapter_spec *spec) RS_NODISCARD;
/* That of an open archive; `place` as above. */
rs_status rs_adapter_of_archive(rs_adapter **out, rs_denoiser *m, const rs_archive *f,
                                const char *place) RS_NODISCARD;

#endif
