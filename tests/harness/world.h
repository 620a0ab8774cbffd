/* A tiny experiment for end-to-end tests, made in a folder: exp.yaml, cat.yaml, 9 source frames of
 * 64x48 as a folder (src/) and as a video (src.mp4), masks of a moving square likewise (mask/,
 * mask.mp4), edited pictures first.png and ref.png, and, when asked for, a random model (model/).
 *
 *   exp.yaml                                       cat.yaml
 *   1  name: world                                 1  videos:
 *   2  output: out                                 2    - id: square
 *   3  catalog: cat.yaml                           3      source: src
 *   4  model: {family: wan21, path: model}         4      mask: mask
 *   5  clip: {frames: 9, width: 64, height: 48}    5      prompt: a square moves
 *   6  lora: {rank: 2, alpha: 2}                   6      edits:
 *   7  motion: {steps: 1}                          7        - id: red
 *   8  appearance: {steps: 1}                      8          first_frame: first.png
 *   9  edit: {steps: 1, guidance: 1}               9          prompt: a red square moves
 *   10 log: {level: error}                         10         references:
 *                                                  11           - {frame: 8, image: ref.png} */
#ifndef RS_TESTS_WORLD_H
#define RS_TESTS_WORLD_H

#include <stdbool.h>
#include <stdint.h>

enum { RS_WORLD_FRAMES = 9, RS_WORLD_WIDTH = 64, RS_WORLD_HEIGHT = 48 };

void t_world_make(const char *folder, bool model);
/* A picture of one colour; channels 1 (grey), 3 or 4. */
void t_world_picture(const char *path, int64_t width, int64_t height, int channels,
                     const uint8_t *colour);

/* One misuse: `damage` is a shell command run in a copy of the world, `args` is the command line of
 * reshoot run there. */
typedef struct t_bad_case {
    const char *name;
    const char *damage; /* "" for none */
    const char *args;
    int exit_code;
    const char *want[3]; /* pieces of the one error line (check: of its report) */
} t_bad_case;

/* Run them all, print those that do not end as they should, and fail when there are any: exact exit
 * code; one line "reshoot: ..." on standard error and nothing else there; every piece of `want`; no
 * archive and no temporary file left behind. `check` has its one line in the report on standard
 * output, `run` a line of the log in front of it when a job failed. */
void t_bad_cases(const char *world, const t_bad_case *cases, int n);

#endif
