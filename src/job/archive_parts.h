/* The groups of a video's archive (src/store/SCHEMA.md), each written from the run's states.
 * Private to src/job. */
#ifndef RS_JOB_ARCHIVE_PARTS_H
#define RS_JOB_ARCHIVE_PARTS_H

#include "job/contact.h"
#include "job/job.h"
#include "store/archive.h"

rs_status rs_publish_provenance(rs_archive *f, const rs_run *run, const rs_job *video,
                                const char *key, const char *sheet_hash) RS_NODISCARD;
/* /source and /condition. */
rs_status rs_publish_source(rs_archive *f, const rs_job *video) RS_NODISCARD;
/* /stages/<stage>[/<edit>]: key, state and, for training stages, adapter and loss curve. */
rs_status rs_publish_stage(rs_archive *f, const rs_run *run, const rs_job *job,
                           rs_stage_id id) RS_NODISCARD;
/* /edits/<edit> and its stages. A failed edit has its reason, and what the archive that is being
 * replaced held of it. */
rs_status rs_publish_edit(rs_archive *f, const rs_run *run, const rs_job *job, const rs_outcome *o,
                          const rs_contact_edit *c) RS_NODISCARD;

/* Is what was published still what this archive says? Files are compared by content. */
bool rs_published_key_is(rs_arena *a, const rs_archive *f, const char *key);
bool rs_published_sheet_is(rs_arena *a, const rs_archive *f, const char *sheet);
/* Its mp4. */
bool rs_published_edit_is(rs_arena *a, const rs_archive *f, const rs_outcome *o, const char *movie);
/* The measures of an edit, where they were made under this key. */
bool rs_published_measures(rs_measures *out, rs_arena *a, const rs_archive *f, const char *edit,
                           const char *metrics_key);

#endif
