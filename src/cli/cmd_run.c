/* reshoot run: a whole experiment, resumable. */
#include "cli/cli.h"
#include "cli/signals.h"
#include "job/job.h"

typedef struct options {
    rs_opt_list sets;
    const char *videos, *only, *arms;
} options;

static const rs_opt k_opts[] = {
    {"--set", RS_OPT_LIST, offsetof(options, sets), "KEY=VALUE", "override a setting"},
    {"--only", RS_OPT_STRING, offsetof(options, only), "STAGE",
     "run up to this stage: ingest, motion, appearance, edit, decode"},
    {"--videos", RS_OPT_STRING, offsetof(options, videos), "GLOB",
     "only videos whose id matches the pattern"},
    {"--arms", RS_OPT_STRING, offsetof(options, arms), "GLOB",
     "only arms whose name matches the pattern"},
};

static rs_status run(const rs_call *call)
{
    const options *given = call->opts;
    rs_run_opts o = {.config = call->positional.items[0],
                     .sets = given->sets.items,
                     .n_sets = given->sets.n,
                     .videos = given->videos,
                     .only = given->only,
                     .arms = given->arms,
                     .stop = rs_catch_signals()};
    return rs_run_catalog(&o);
}

const rs_command rs_cmd_run = {
    .name = "run",
    .summary = "train and edit every video of an experiment; resumable",
    .args = "EXP.yaml [options]",
    .about =
        "Runs ingest, motion, appearance, edit and decode for every edit of the catalog and\n"
        "publishes one archive per video. Finished work is found by content keys and is not\n"
        "repeated; after a crash or a kill the same command continues.\n\n"
        "Under mpirun or srun --mpi=pmix the started ranks share the videos; the results do not\n"
        "depend on how many there are. The terminal shows rank 0 and warnings of the others,\n"
        "whose lines are in reshoot.rank-N.log. On a terminal a status of all stages stays below\n"
        "the log (log.progress); reshoot status shows it from elsewhere.\n\n"
        "Several such runs, on one machine or many, may work in one output folder with the same\n"
        "settings: they share the videos, and take over those of runs that are gone "
        "(cluster.lease).\n\n"
        "SIGUSR1, SIGTERM or SIGINT: finish the step, save, exit 75; the same command resumes.\n\n"
        "Writes to the output folder: archive/<video>.h5, videos/<video>/<edit>.mp4,\n"
        "sheets/<video>.png, catalog.h5, state/ (for resuming), live/ (for reshoot status),\n"
        "config.yaml, reshoot.log.\n\n"
        "An experiment with arms runs all of this for every arm, in arms/<arm>, with what the "
        "arms\n"
        "have in common computed once, and writes comparison.md, .csv and .json: measures of\n"
        "every arm with standard errors, and which of the experiment's claims hold; and\n"
        "comparison/<video>@<edit>.png: frames of the source and of every arm below each other.\n",
    .n_min = 1,
    .n_max = 1,
    RS_COMMAND_OPTS(k_opts, options),
    .run = run,
};
