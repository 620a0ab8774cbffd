/* reshoot edit: samples again from an archive. */
#include "cli/cli.h"
#include "job/resample.h"

typedef struct edit_opts {
    const char *out, *frames, *latent, *model, *edit, *first_frame, *prompt;
    int64_t seed, steps;
    rs_opt_list adapters, sets;
} edit_opts;

static const edit_opts k_defaults = {.seed = -1, .steps = -1};

static const rs_opt k_opts[] = {
    {"--out", RS_OPT_STRING, offsetof(edit_opts, out), "X.mp4", "video to write"},
    {"--frames", RS_OPT_STRING, offsetof(edit_opts, frames), "FOLDER",
     "frames to write, as PNG files"},
    {"--latent", RS_OPT_STRING, offsetof(edit_opts, latent), "X.safetensors",
     "sampled latent to write"},
    {"--model", RS_OPT_STRING, offsetof(edit_opts, model), "PATH",
     "model folder (default: where it was)"},
    {"--edit", RS_OPT_STRING, offsetof(edit_opts, edit), "ID",
     "edit of the archive (default: the only one)"},
    {"--adapter", RS_OPT_LIST, offsetof(edit_opts, adapters), "SPEC[=W]",
     "apply this adapter instead of the edit's own"},
    {"--first-frame", RS_OPT_STRING, offsetof(edit_opts, first_frame), "IMAGE",
     "another edited first frame"},
    {"--prompt", RS_OPT_STRING, offsetof(edit_opts, prompt), "TEXT",
     "another caption, without prompt.prefix"},
    {"--seed", RS_OPT_INT, offsetof(edit_opts, seed), "N", "of the sampling noise"},
    {"--steps", RS_OPT_INT, offsetof(edit_opts, steps), "N", "sampling steps"},
    {"--set", RS_OPT_LIST, offsetof(edit_opts, sets), "KEY=VALUE",
     "override a setting of sampling, decoding or encoding"},
};

static rs_status run(const rs_call *call)
{
    const edit_opts *g = call->opts;
    if (g->seed < -1)
        return RS_FAIL(USAGE, "--seed: %lld is below 0", (long long)g->seed);
    if (g->steps < -1)
        return RS_FAIL(USAGE, "--steps: %lld is below 1", (long long)g->steps);
    rs_resample_opts o = {.archive = call->positional.items[0],
                          .model = g->model,
                          .edit = g->edit,
                          .first_frame = g->first_frame,
                          .prompt = g->prompt,
                          .seed = g->seed,
                          .steps = g->steps,
                          .adapters = g->adapters.items,
                          .n_adapters = g->adapters.n,
                          .sets = g->sets.items,
                          .n_sets = g->sets.n,
                          .movie = g->out,
                          .frames = g->frames,
                          .latent = g->latent};
    return rs_resample(&o);
}

const rs_command rs_cmd_edit = {
    .name = "edit",
    .summary = "sample again from an archive: other first frame, seed, steps, adapters",
    .args = "ARCHIVE --out X.mp4 [options]",
    .about =
        "Samples an edit of a finished video again. What is not given is what the run used, and\n"
        "then the result is the run's own, bit for bit. The archive is not changed.\n\n"
        "--adapter may be repeated; their updates add up, each times its weight (default 1; below\n"
        "0 takes away):\n"
        "  ARCHIVE.h5:motion             what the motion stage of that archive learned\n"
        "  ARCHIVE.h5:appearance/EDIT    its appearance adapter (ARCHIVE.h5:EDIT is the same)\n"
        "  X.safetensors                 as reshoot export, Diffusers, ComfyUI, LoRA-Edit and\n"
        "                                kohya's tools write them\n"
        "Motion of video A with the appearance of an edit of video B, appearance.mode separate:\n"
        "  reshoot edit A.h5 --adapter A.h5:motion --adapter B.h5:appearance/red ...\n"
        "An appearance adapter of mode continue holds the motion of its own video too; this takes\n"
        "it away:\n"
        "  ... --adapter A.h5:motion --adapter B.h5:appearance/red --adapter B.h5:motion=-1\n"
        "Without --adapter the edit's own are applied at edit.motion_weight and\n"
        "edit.appearance_weight, which --set changes.\n",
    .n_min = 1,
    .n_max = 1,
    RS_COMMAND_OPTS(k_opts, edit_opts),
    .defaults = &k_defaults,
    .run = run,
};
