/* Names in archives and catalogs: groups (absolute paths), members of groups, attributes, columns
 * of tables, and the values of those that are enumerations. SCHEMA.md explains each; a test holds
 * this file and that one together. Literals, so that paths are put together where they are used:
 *   rs_archive_read_tensor(&t, a, ar, RS_GROUP_SOURCE "/" RS_DATA_FRAMES)
 * Names are on disk: never rename or reuse one, only add. */
#ifndef RS_STORE_SCHEMA_NAMES_H
#define RS_STORE_SCHEMA_NAMES_H

/* root */
#define RS_ARCHIVE_FORMAT  "reshoot archive"
#define RS_ATTR_FORMAT     "format"
#define RS_ATTR_VERSION    "version"
#define RS_ATTR_KIND       "kind"
#define RS_KIND_VIDEO      "video"
#define RS_KIND_CATALOG    "catalog"
#define RS_ATTR_VIDEO      "video"
#define RS_ATTR_KEY        "key"
#define RS_ATTR_SHEET_HASH "sheet_hash"

/* provenance */
#define RS_GROUP_PROVENANCE "/provenance"
#define RS_ATTR_PROGRAM     "program"
#define RS_ATTR_HOST        "host"
#define RS_ATTR_CREATED     "created"
#define RS_ATTR_SEED        "seed"
#define RS_ATTR_FINGERPRINT "fingerprint"
#define RS_DATA_CONFIG      "config"
#define RS_DATA_INPUTS      "inputs"
#define RS_DATA_WEIGHTS     "weights"
#define RS_COL_ROLE         "role"
#define RS_COL_PATH         "path"
#define RS_COL_BYTES        "bytes"
#define RS_COL_HASH         "hash"

/* source */
#define RS_GROUP_SOURCE       "/source"
#define RS_ATTR_FPS           "fps"
#define RS_ATTR_FPS_NUM       "fps_num"
#define RS_ATTR_FPS_DEN       "fps_den"
#define RS_ATTR_PROMPT        "prompt"
#define RS_ATTR_SOURCE_WIDTH  "source_width"
#define RS_ATTR_SOURCE_HEIGHT "source_height"
#define RS_DATA_FRAMES        "frames"
#define RS_DATA_MASK          "mask"
#define RS_DATA_INDEX         "index"

/* condition */
#define RS_GROUP_CONDITION "/condition"
#define RS_DATA_LATENTS    "latents"
#define RS_DATA_Y          "y"
#define RS_DATA_TEXT       "text"
#define RS_DATA_IMAGE      "image"

/* stages */
#define RS_GROUP_STAGES   "/stages"
#define RS_ATTR_STATE     "state"
#define RS_STATE_DONE     "done"
#define RS_STATE_FAILED   "failed"
#define RS_ATTR_STEP      "step"
#define RS_ATTR_SECONDS   "seconds"
#define RS_DATA_LOSS      "loss"
#define RS_MEMBER_ADAPTER "adapter"
#define RS_ATTR_RANK      "rank"
#define RS_ATTR_ALPHA     "alpha"
#define RS_ATTR_MODE      "mode"
#define RS_MODE_CONTINUE  "continue"
#define RS_MODE_SEPARATE  "separate"
#define RS_DATA_A         "A"
#define RS_DATA_B         "B"

/* edits */
#define RS_GROUP_EDITS           "/edits"
#define RS_ATTR_REASON           "reason"
#define RS_ATTR_STAGE            "stage"
#define RS_ATTR_MOVIE_HASH       "movie_hash"
#define RS_DATA_FIRST_FRAME      "first_frame"
#define RS_DATA_LATENT           "latent"
#define RS_ATTR_METRICS_KEY      "metrics_key"
#define RS_MEMBER_METRICS        "metrics"
#define RS_ATTR_CLIP_SCORE       "clip_score"
#define RS_ATTR_INPUT_SIMILARITY "input_similarity"
#define RS_ATTR_PSNR             "psnr"
#define RS_ATTR_PSNR_INSIDE      "psnr_inside"
#define RS_ATTR_PSNR_OUTSIDE     "psnr_outside"
#define RS_ATTR_SSIM             "ssim"
#define RS_ATTR_SSIM_INSIDE      "ssim_inside"
#define RS_ATTR_SSIM_OUTSIDE     "ssim_outside"
#define RS_ATTR_JITTER           "jitter"
#define RS_ATTR_MOTION_ERROR     "motion_error"
#define RS_ATTR_DEQA             "deqa"

/* catalog.h5 */
#define RS_GROUP_VIDEOS "/videos"
#define RS_DATA_JOBS    "/jobs"
#define RS_COL_VIDEO    "video"
#define RS_COL_EDIT     "edit"
#define RS_COL_STATE    "state"
#define RS_COL_STAGE    "stage"
#define RS_COL_REASON   "reason"
#define RS_COL_KEY      "key"
#define RS_COL_ARCHIVE  "archive"
#define RS_COL_MOVIE    "movie"
#define RS_COL_SECONDS  "seconds"
#define RS_COL_RANK     "rank"
#define RS_COL_STEP     "step"
#define RS_COL_STEPS    "steps"
#define RS_COL_LOSS     "loss"

/* Columns of the stages' wall times. */
#define RS_COL_INGEST_SECONDS     "ingest_seconds"
#define RS_COL_MOTION_SECONDS     "motion_seconds"
#define RS_COL_APPEARANCE_SECONDS "appearance_seconds"
#define RS_COL_EDIT_SECONDS       "edit_seconds"
#define RS_COL_DECODE_SECONDS     "decode_seconds"
#define RS_COL_PUBLISH_SECONDS    "publish_seconds"
/* Further states of a job. */
#define RS_STATE_WAITING "waiting"
#define RS_STATE_RUNNING "running"

#endif
