/* Runs of a small catalog on several ranks, in tests of kind dist: held-out clips of the small
 * world, a random model and an experiment of few steps, in a folder: exp.yaml  catalog/catalog.yaml
 * (clip-00 ..., one edit each)  model/ */
#ifndef RS_TESTS_CATALOG_H
#define RS_TESTS_CATALOG_H

#include <stdint.h>
#include <sys/types.h>

/* Its folder. motion.steps 6, appearance.steps 4, edit.steps 3, checkpoint.every 2, 1 thread. */
const char *t_catalog_world(int videos);
/* The same with these sections (lines of YAML) in place of checkpoint. */
const char *t_catalog_world_with(int videos, const char *settings);
/* `reshoot run` on so many ranks, 0: without mpirun; output <dir>/<output>. `more`: further
 * arguments. The exit status, and what was said. */
int t_catalog_run(char **out, int ranks, const char *dir, const char *output, const char *more);
/* The arguments of such a run, for t_mpirun_start. */
const char *t_catalog_args(const char *dir, const char *output, const char *more);
/* The command line of such a run with output <dir>/run, without mpirun; and that run in the
 * background, with what it says in <dir>/said. */
char *t_catalog_command(const char *dir, const char *more);
pid_t t_catalog_start(const char *dir, const char *more);
/* Both runs have the same state files, `states` of them and bit for bit, and their archives the
 * same tensors. */
void t_catalog_same(const char *dir, const char *a, const char *b, int states);
/* Nothing that is half done or temporary is left. */
void t_catalog_clean(const char *dir, const char *output);
/* Lines with this text (a grep pattern) in the logs of all ranks and runs. */
int t_catalog_logged(const char *dir, const char *output, const char *text);
/* Wait until the file holds one of these words (the second may be NULL). */
void t_await_text(const char *file, const char *text, const char *other);

#endif
