/* Tasks of one video on this rank. What a video's jobs have in memory (keys, the loaded source)
 * stays while its tasks follow each other. */
#ifndef RS_JOB_VIDEO_H
#define RS_JOB_VIDEO_H

#include "job/dispatch.h"
#include "job/job.h"

typedef struct rs_video_work rs_video_work;

rs_video_work *rs_video_work_create(rs_run_session *s); /* the session is borrowed */
void rs_video_work_destroy(rs_video_work **w);          /* accepts NULL, nulls the pointer */
/* The next tasks are of this video; unusable (one per edit: what is wrong with its media, or NULL)
 * is borrowed. */
void rs_video_work_open(rs_video_work *w, const rs_catalog_video *v, const char *const *unusable);
/* A stage (INGEST .. DECODE) of the video (edit -1) or of an edit. *end: how it went. */
void rs_video_stage(rs_video_work *w, int64_t edit, rs_task_stage stage, rs_edit_report *end);
/* One of several edits, of this or other videos, whose stage is run together. */
typedef struct rs_video_part {
    rs_video_work *work;
    int64_t edit;
    rs_edit_report end;
} rs_video_part;

/* rs_video_stage of n different edits side by side (rs_stage_run_many). `ended` is called for each,
 * once, as soon as its end is known. */
void rs_video_stage_many(rs_video_part *parts, int n, rs_task_stage stage,
                         void (*ended)(void *ctx, int k, const rs_edit_report *end), void *ctx);
/* The same stage on another rank of the lane, when its leader has called. How it went is the
 * leader's to say; an error is of the exchange with it (RS_PEER). */
rs_status rs_video_follow(rs_video_work *w, int64_t edit, rs_task_stage stage) RS_NODISCARD;
/* The archive and what belongs to it. fates: of every edit so far. outcomes: one per edit, filled
 * in; their texts live until the next open, or as long as fates. */
void rs_video_publish(rs_video_work *w, const rs_edit_report *fates, rs_outcome *outcomes,
                      rs_edit_report *end);

#endif
