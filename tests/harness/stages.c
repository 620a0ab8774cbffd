#include "harness/stages.h"

#include <string.h>

#include "base/fsio.h"
#include "harness/test.h"
#include "harness/world.h"

static const char k_experiment[] =
    "name: stages\n"
    "output: out\n"
    "catalog: stages-cat.yaml\n"
    "seed: 11\n"
    "model: {path: model}\n"
    "clip: {frames: 9, width: 64, height: 48}\n"
    "prompt: {prefix: \"p3rs0n,\"}\n"
    "condition: {fill: 96}\n"
    "lora: {rank: 3, alpha: 6, targets: [attn1.to_q, attn2.to_v, ffn.net.2]}\n"
    "optimizer: {beta1: 0.8, beta2: 0.95, weight_decay: 0.4, grad_clip: 0.001}\n"
    "motion: {steps: 4, lr: 1.0e-2}\n"
    "appearance: {schedule: code, epochs: 2, repeats: 2, lr: 2.0e-2}\n"
    "edit: {sampler: unipc, steps: 3, shift: 3, guidance: 4, negative_prompt: blurred}\n"
    "video: {preset: ultrafast}\n"
    "log: {level: info}\n";

static const char k_catalog[] =
    "videos:\n"
    "  - id: square\n"
    "    source: src.mp4\n"
    "    mask: mask\n"
    "    prompt: a square moves\n"
    "    edits:\n"
    "      - {id: plain, first_frame: plain.png, prompt: a plain square moves}\n"
    "      - id: red\n"
    "        first_frame: first.png\n"
    "        prompt: a red square moves\n"
    "        seed: 3\n"
    "        references:\n"
    "          - {frame: 8, image: ref.png, prompt: a red box}\n"
    "          - {frame: 4, image: first.png}\n"
    "  - id: other\n"
    "    source: src\n"
    "    fps: 6\n"
    "    frames: 5\n"
    "    mask: [{frame: 0, x: 4, y: 10, w: 24, h: 20}, {frame: 8, x: 36, y: 18, w: 24, h: 20}]\n"
    "    prompt: another square\n"
    "    edits:\n"
    "      - {id: late, first_frame: ref.png, prompt: a late square}\n";

static volatile sig_atomic_t s_stop;

volatile sig_atomic_t *t_stages_stop(void)
{
    return &s_stop;
}

char *t_stages_path(const char *folder, const char *name)
{
    return rs_path_join(t_arena(), folder, name);
}

const char *t_stages_world(void)
{
    const char *dir = t_tmpdir();
    char *text;
    t_world_make(dir, false);
    int rc = t_shell(&text,
                     T_BIN "/reshoot-world model --preset tiny %s/model " T_SRC
                           "/datasets/smallmodel/tokenizer && "
                           "cp %s/first.png %s/plain.png",
                     dir, dir, dir);
    T_CHECKF(rc == 0, "%s", text);
    T_OK(rs_write_file_atomic(t_stages_path(dir, "stages.yaml"), k_experiment,
                              strlen(k_experiment)));
    T_OK(rs_write_file_atomic(t_stages_path(dir, "stages-cat.yaml"), k_catalog, strlen(k_catalog)));
    return dir;
}

void t_stages_open(rs_run_session *s, const char *folder, const char *output, const char *set)
{
    const char *sets[] = {rs_arena_printf(t_arena(), "output=%s/%s", folder, output),
                          "log.level=error", set};
    rs_run_opts o = {.config = t_stages_path(folder, "stages.yaml"),
                     .sets = sets,
                     .n_sets = set ? 3 : 2,
                     .stop = t_stages_stop()};
    s_stop = 0;
    T_OK(rs_session_open(s, &o));
}

rs_job *t_stages_job(const rs_run *run, int64_t video, int64_t edit)
{
    const rs_catalog_video *v = &run->catalog->videos[video];
    rs_job *job = RS_NEW(t_arena(), rs_job, 1);
    *job = (rs_job){.video = v, .name = v->id, .arena = t_arena()};
    if (edit >= 0) {
        job->edit = &v->edits[edit];
        job->name = rs_arena_printf(t_arena(), "%s#%s", v->id, job->edit->id);
    }
    T_OK(rs_job_keys(run, job));
    return job;
}

int t_stages_run(char **text, const char *folder, const char *output, const char *more)
{
    return t_reshoot(text, "run %s/stages.yaml --set output=%s/%s %s", folder, folder, output,
                     more);
}
