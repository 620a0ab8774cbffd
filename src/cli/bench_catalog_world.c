/* What bench catalog runs where it is given no experiment: held-out clips of the small world, made
 * by reshoot-world, and the small model of the repository. */
#include <string.h>

#include "base/fsio.h"
#include "base/process.h"
#include "cli/bench_catalog.h"

#define GENERATOR "reshoot-world"
#define MODEL     "datasets/smallworld/model"
#define MAKE_S    3600.0

/* Short stages of usual proportions: some seconds per video and core. */
static const char k_experiment[] = "name: benchmark\n"
                                   "output: run\n"
                                   "catalog: catalog/catalog.yaml\n"
                                   "clip: {frames: 17, width: 96, height: 96}\n"
                                   "mask: {grow: 0.3}\n"
                                   "motion: {steps: 20, lr: 1.0e-3}\n"
                                   "appearance: {when: never}\n"
                                   "edit: {steps: 10, shift: 3, guidance: 2}\n"
                                   "model: {path: \"%s\"}\n";

static const char *beside(const rs_catalog_bench *b, const char *name)
{
    return rs_path_join(b->a, rs_path_dirname(b->a, b->program), name);
}

/* --model, or that of the source tree: below this folder, or above the program's. */
static rs_status find_model(const char **out, const rs_catalog_bench *b)
{
    const char *places[] = {MODEL, beside(b, "../" MODEL)};
    *out = b->o->model;
    for (int i = 0; !*out && i < 2; i++)
        if (rs_path_is_dir(places[i]))
            *out = places[i];
    if (!*out)
        return RS_FAIL(USAGE, "no " MODEL " here or beside the program: --model names a folder");
    if (!rs_path_is_dir(*out))
        return RS_FAIL(USAGE, "--model %s: no such folder", *out);
    return rs_bench_absolute(out, b->a, *out);
}

static rs_status make_clips(const rs_catalog_bench *b)
{
    rs_process_result r;
    rs_process_opts o = {.timeout_s = MAKE_S, .stop = b->stop};
    const char *generator = beside(b, GENERATOR);
    char *argv[] = {rs_arena_strdup(b->a, rs_path_exists(generator) ? generator : GENERATOR),
                    rs_arena_strdup(b->a, "smallworld"),
                    rs_path_join(b->a, b->folder, "catalog"),
                    rs_arena_strdup(b->a, "--count"),
                    rs_arena_printf(b->a, "%lld", (long long)b->o->videos),
                    NULL};
    RS_TRY(rs_process_run(&r, b->a, argv, &o));
    if (r.exit_code != 0)
        return RS_FAIL(INTERNAL, "%s smallworld: exit code %d: %.*s", argv[0], r.exit_code,
                       (int)strcspn(r.err, "\n"), r.err);
    return RS_OK;
}

rs_status rs_catalog_make_world(rs_catalog_bench *b)
{
    const char *model;
    RS_TRY(find_model(&model, b));
    RS_TRY(make_clips(b));
    const char *text = rs_arena_printf(b->a, k_experiment, model);
    b->experiment = rs_path_join(b->a, b->folder, "experiment.yaml");
    return rs_write_file_atomic(b->experiment, text, strlen(text));
}
