/* Everything that a run needs, looked at before it starts: settings, catalog, the model directory
 * and the media. Nothing on disk is changed, no weights are converted and of a video only one frame
 * is decoded. Every function adds its problems, one line each, and goes on as far as it can.
 *
 * Problems of settings, catalog and model concern the whole run; those of a video concern its jobs
 * only, those of an edit that edit alone. */
#ifndef RS_JOB_CHECK_H
#define RS_JOB_CHECK_H

#include "config/arms.h"
#include "config/catalog.h"
#include "media/fit.h"

/* Settings and catalog, and the rules between them. *cfg is never NULL; *catalog is NULL where it
 * could not be read. The caller destroys both. */
void rs_check_load(rs_config **cfg, rs_catalog **catalog, rs_problems *problems, const char *path,
                   const char *const *sets, int64_t n_sets);

/* Is the video chosen by this glob (shell wildcards over ids; NULL: all)? */
bool rs_check_chosen(const char *glob, const rs_catalog_video *video);

/* What the checked model directory is. */
typedef struct rs_check_model_info {
    const char *family; /* NULL where the denoiser could not be opened */
    int64_t blocks, dim, params;
} rs_check_model_info;

/* The model directory against the settings: configurations, names and shapes of all weights from
 * the headers of their files, tokenizer, widths that must agree, clip size, LoRA targets. */
void rs_check_model(rs_problems *problems, rs_check_model_info *info, const rs_config *cfg);

/* Arms and claims of an experiment, and the catalog (NULL: not read) under the settings of every
 * arm. *arms is NULL where there are none, or where some have problems. */
void rs_check_arms(rs_arms **arms, rs_problems *problems, const rs_config *cfg,
                   const rs_catalog *catalog);
/* The model of every arm whose model, clip or adapters are not those of `cfg`, which was checked.
 * arms may be NULL. */
void rs_check_arm_models(rs_problems *problems, const rs_config *cfg, const rs_arms *arms);

/* Source and mask of a video: readable, of one size and, for folders, of one length (lengths of
 * videos are compared by decoding only where their containers disagree). False after adding a
 * problem; else *fit is the way from the source's to the clip's size. */
bool rs_check_video(rs_problems *problems, rs_fit *fit, const rs_config *cfg,
                    const rs_catalog_video *video);
/* Edited pictures of one edit: readable, and with the clip's size or the source's; its truth, if it
 * has one: readable, with the source's size and frames. fit NULL: nothing is compared. */
bool rs_check_edit(rs_problems *problems, const rs_catalog_video *video,
                   const rs_catalog_edit *edit, const rs_fit *fit);

/* The media of every chosen job. reasons[k]: of the k-th edit of the catalog, counted through all
 * videos: the first problem that keeps it from running, in the arena, or NULL. */
void rs_check_jobs(const char **reasons, rs_arena *a, const rs_config *cfg,
                   const rs_catalog *catalog, const char *glob);
/* Edits of a catalog. */
int64_t rs_check_count_jobs(const rs_catalog *catalog);

#endif
