/* An experiment that uses every option of the stages at a value of its own, for tests that hold
 * their results against an independent construction. Made in a folder on top of harness/world.h:
 * stages.yaml, stages-cat.yaml and model/ (the tiny one).
 *
 *   square: src.mp4 (9 frames, 12/s), masks from a folder; edits
 *     plain: plain.png (as first.png)
 *     red:   first.png, seed 3, references 8 (ref.png, own prompt) and 4 (first.png)
 *   other:  folder src at 6/s, 5 of its 9 frames, masks from boxes; edit late: ref.png */
#ifndef RS_TESTS_STAGES_H
#define RS_TESTS_STAGES_H

#include "base/arena.h"
#include "job/job.h"

/* The folder. */
const char *t_stages_world(void);
/* A path in it. */
char *t_stages_path(const char *folder, const char *name);
/* A run opened in this process: output <folder>/<output>, one more setting or NULL. Its stop flag
 * is *t_stages_stop(). */
void t_stages_open(rs_run_session *s, const char *folder, const char *output, const char *set);
volatile sig_atomic_t *t_stages_stop(void);
/* A job of it with its keys; edit -1: the video's own part. */
rs_job *t_stages_job(const rs_run *run, int64_t video, int64_t edit);
/* Exit status of `reshoot run` on it; *text receives what it said. */
int t_stages_run(char **text, const char *folder, const char *output, const char *more);

#endif
