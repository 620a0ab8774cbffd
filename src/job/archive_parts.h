/* The groups of a video's archive (src/store/SCHEMA.md), each written from the run's states.
 * Private to src/job. */
#ifndef RS_JOB_ARCHIVE_PARTS_H
#define RS_JOB_ARCHIVE_PARTS_H

#include "job/contact.h"
#include "job/job.h"
#include "store/archive.h"

rs_status rs_publish_provenance(rs_archive *f, const rs_run *run, const rs_job *video,
                                const char *key) RS_NODISCARD;
/* /source and /condition. */
rs_status rs_publish_source(rs_archive *f, const rs_job *video) RS_NODISCARD;
/* /stages/<stage>[/<edit>]: key, state and, for training stages, adapter and loss curve. */
rs_status rs_publish_stage(rs_archive *f, const rs_run *run, const rs_job *job,
                           rs_stage_id id) RS_NODISCARD;
/* /edits/<edit> and its stages; a failed edit has its reason only. */
rs_status rs_publish_edit(rs_archive *f, const rs_run *run, const rs_job *job, const rs_outcome *o,
                          const rs_contact_edit *c) RS_NODISCARD;

/* Does an intact archive with this publish key exist? */
bool rs_published_key_is(const char *archive, const char *key);
/* Background PSNR of an edit recorded in an archive, NAN where absent. */
double rs_published_psnr(const char *archive, const char *edit);

#endif
