// Content keys of the stages: one thing is changed at a time, and exactly the stages whose result
// depends on it get another key. Stages are written "imaed": ingest, motion, appearance, edit,
// decode.
#include <stdio.h>
#include <string.h>

#include "base/fsio.h"
#include "harness/stages.h"
#include "harness/test.h"

enum { RED, LATE, N_JOBS }; /* square#red, with references; other#late, without and with boxes */

typedef struct key_case {
    const char *name;
    const char *change; /* shell command in a copy of the experiment's folder, or NULL */
    const char *set;    /* or NULL */
    const char *want[N_JOBS];
} key_case;

#define LAST_BYTE(file)                                                                            \
    "printf '\\101' | dd conv=notrunc bs=1 of=" file " seek=$(($(stat -c %s " file                 \
    ") - 1)) 2>/dev/null"
#define CATALOG(script) "sed -i '" script "' stages-cat.yaml"
#define ALL                                                                                        \
    {                                                                                              \
        "imaed", "imaed"                                                                           \
    }
#define FROM_MOTION                                                                                \
    {                                                                                              \
        "-maed", "-maed"                                                                           \
    }
#define FROM_EDIT                                                                                  \
    {                                                                                              \
        "---ed", "---ed"                                                                           \
    }
#define NONE                                                                                       \
    {                                                                                              \
        "-----", "-----"                                                                           \
    }
#define RED_ONLY(stages)                                                                           \
    {                                                                                              \
        stages, "-----"                                                                            \
    }

static const key_case k_cases[] = {
    /* the base case is another folder with files of another age: neither is in a key */
    {"nothing", NULL, NULL, NONE},
    {"file names", "mv ref.png r.png && sed -i s/ref.png/r.png/ stages-cat.yaml", NULL, NONE},
    /* contents */
    {"source video", "cp mask.mp4 src.mp4", NULL, RED_ONLY("imaed")},
    {"frame of a source folder", "cp first.png src/00004.png", NULL, {"-----", "imaed"}},
    {"frame of a mask folder", "cp mask/00000.png mask/00004.png", NULL, RED_ONLY("imaed")},
    {"fewer masks", "rm mask/00008.png", NULL, RED_ONLY("imaed")},
    {"box", CATALOG("s/x: 36/x: 30/"), NULL, {"-----", "imaed"}},
    {"frame of a box", CATALOG("s/frame: 8, x/frame: 7, x/"), NULL, {"-----", "imaed"}},
    {"first frame", "cp src/00001.png n.png && " CATALOG("9s/first.png/n.png/"), NULL,
     RED_ONLY("---ed")},
    {"reference", "cp src/00002.png ref.png", NULL, {"--aed", "---ed"}},
    {"transformer weights", LAST_BYTE("model/transformer/*.safetensors"), NULL, FROM_MOTION},
    {"vae weights", LAST_BYTE("model/vae/*.safetensors"), NULL, ALL},
    {"text encoder weights", LAST_BYTE("model/text_encoder/*.safetensors"), NULL, ALL},
    {"image encoder weights", LAST_BYTE("model/image_encoder/*.safetensors"), NULL, ALL},
    {"transformer without image rows",
     "sed -i '/image_dim/s/32/null/;/added_kv/s/48/null/' model/transformer/config.json", NULL,
     ALL},
    {"tokenizer", "echo >> model/tokenizer/tokenizer_config.json", NULL, ALL},
    /* catalog */
    {"source prompt", CATALOG("s/a square moves/a box moves/"), NULL, RED_ONLY("imaed")},
    {"edit prompt", CATALOG("s/a late square/a box/"), NULL, {"-----", "---ed"}},
    {"edit seed", CATALOG("s/seed: 3/seed: 4/"), NULL, RED_ONLY("---ed")},
    {"reference prompt", CATALOG("s/a red box/a box/"), NULL, RED_ONLY("--aed")},
    {"reference frame", CATALOG("s/frame: 4/frame: 3/"), NULL, RED_ONLY("--aed")},
    {"one reference less", CATALOG("/frame: 4/d"), NULL, RED_ONLY("--aed")},
    {"frames", CATALOG("s/frames: 5/frames: 9/"), NULL, {"-----", "imaed"}},
    /* settings */
    {"", NULL, "clip.sampling=first", ALL},
    {"", NULL, "model.precision=bf16", ALL},
    {"", NULL, "prompt.prefix=x", ALL},
    {"", NULL, "mask.shape=exact", ALL},
    {"", NULL, "condition.fill=128", ALL},
    {"", NULL, "lora.rank=4", FROM_MOTION},
    {"", NULL, "lora.alpha=3", FROM_MOTION},
    {"", NULL, "lora.targets=[attn1.to_q]", FROM_MOTION},
    {"", NULL, "optimizer.weight_decay=0.3", FROM_MOTION},
    {"", NULL, "optimizer.grad_clip=2", FROM_MOTION},
    {"", NULL, "motion.steps=5", FROM_MOTION},
    {"", NULL, "motion.lr=0.02", FROM_MOTION},
    {"", NULL, "motion.condition=first-frame", FROM_MOTION},
    {"", NULL, "motion.window=5", FROM_MOTION},
    {"", NULL, "seed=12", FROM_MOTION},
    {"", NULL, "appearance.epochs=3", RED_ONLY("--aed")},
    {"", NULL, "appearance.repeats=3", RED_ONLY("--aed")},
    {"", NULL, "appearance.schedule=paper", RED_ONLY("--aed")},
    {"", NULL, "appearance.lr=0.03", RED_ONLY("--aed")},
    {"", NULL, "appearance.when=never", RED_ONLY("--aed")},
    {"", NULL, "appearance.max_references=1", RED_ONLY("--aed")},
    {"", NULL, "edit.condition=keep-all", FROM_EDIT},
    {"", NULL, "appearance.mode=separate", RED_ONLY("--aed")},
    {"", NULL, "edit.motion_weight=0.5", FROM_EDIT},
    {"", NULL, "edit.appearance_weight=0.5", RED_ONLY("---ed")},
    {"", NULL, "edit.sampler=euler", FROM_EDIT},
    {"", NULL, "edit.steps=4", FROM_EDIT},
    {"", NULL, "edit.shift=5", FROM_EDIT},
    {"", NULL, "edit.guidance=1", FROM_EDIT},
    {"", NULL, "edit.negative_prompt=x", FROM_EDIT},
    {"", NULL, "edit.seed=5", {"-----", "---ed"}}, /* the edit's own seed comes first */
    {"", NULL, "edit.paste_back=true", {"----d", "----d"}},
    /* of the published files only, or of no result at all */
    {"frame rate", CATALOG("s/fps: 6/fps: 7/"), NULL, NONE},
    {"", NULL, "edit.feather=3", NONE},     /* without paste_back */
    {"", NULL, "appearance.steps=9", NONE}, /* of the other schedule */
    {"", NULL, "appearance.when=references", NONE},
    {"", NULL, "appearance.max_references=2", NONE},  /* as many as there are */
    {"", NULL, "motion.window_stride=3", NONE},       /* without windows */
    {"", NULL, "appearance.motion_weight=0.5", NONE}, /* of the other mode */
    {"", NULL, "edit.fps=5", NONE},
    {"", NULL, "video.crf=30", NONE},
    {"", NULL, "checkpoint.every=1", NONE},
    {"", NULL, "cluster.threads=1", NONE},
    {"", NULL, "memory.recompute=none", NONE},
};

typedef char keys[RS_STAGE_COUNT][RS_HASH_HEX];

static void read_keys(keys out[N_JOBS], const char *folder, const char *set)
{
    rs_run_session s;
    t_stages_open(&s, folder, "out", set);
    memcpy(out[RED], t_stages_job(&s.run, 0, 1)->key, sizeof(keys));
    memcpy(out[LATE], t_stages_job(&s.run, 1, 0)->key, sizeof(keys));
    rs_session_close(&s);
}

/* "imaed" with '-' where the keys are equal. */
static void changed(char out[RS_STAGE_COUNT + 1], keys a, keys b)
{
    for (int i = 0; i < RS_STAGE_COUNT; i++)
        out[i] = strcmp(a[i], b[i]) == 0 ? '-' : "imaed"[i];
    out[RS_STAGE_COUNT] = '\0';
}

static void t_what_changes_which_stage(void)
{
    const char *base = t_stages_world();
    const char *work = rs_arena_printf(t_arena(), "%s.work", base);
    keys before[N_JOBS], after[N_JOBS];
    int bad = 0;
    read_keys(before, base, NULL);
    for (size_t i = 0; i < sizeof k_cases / sizeof k_cases[0]; i++) {
        const key_case *c = &k_cases[i];
        char *text, got[RS_STAGE_COUNT + 1];
        if (c->change || i == 0) {
            T_OK(rs_remove_tree(work));
            int rc = t_shell(&text, "cp -r %s %s && cd %s && %s", base, work, work,
                             c->change ? c->change : ":");
            T_CHECKF(rc == 0, "%s: %s", c->name, text);
        }
        read_keys(after, c->change || i == 0 ? work : base, c->set);
        for (int job = 0; job < N_JOBS; job++) {
            changed(got, before[job], after[job]);
            if (strcmp(got, c->want[job]) == 0)
                continue;
            bad++;
            printf("    %s%s: %s of %s change, want %s\n", c->name, c->set ? c->set : "", got,
                   job == RED ? "square#red" : "other#late", c->want[job]);
        }
    }
    T_OK(rs_remove_tree(work));
    T_CHECKF(bad == 0, "%d keys are not what they should be", bad);
}

/* Settings that are read only beside another one: change it in the file (a sed script) under `set`.
 */
static void t_settings_that_count_beside_another(void)
{
    static const struct {
        const char *file, *set, *script, *want;
    } k_pairs[] = {
        {"", "edit.paste_back=true", "s/^edit: {/&feather: 3, /", "----d"},
        {"", "motion.window=5", "s/^motion: {/&window_stride: 3, /", "-maed"},
        {"s/sampler: unipc/sampler: euler/", NULL, "s/^edit: {/&blend: true, /", "---ed"},
        {"", "motion.steps=0", "s/^appearance: {/&when: references, /", "--aed"},
    };
    for (size_t i = 0; i < sizeof k_pairs / sizeof k_pairs[0]; i++) {
        const char *dir = t_stages_world();
        keys before[N_JOBS], after[N_JOBS];
        char *text, got[RS_STAGE_COUNT + 1];
        T_EQ_I(t_shell(&text, "sed -i '%s' %s/stages.yaml", k_pairs[i].file, dir), 0);
        read_keys(before, dir, k_pairs[i].set);
        T_EQ_I(t_shell(&text, "sed -i '%s' %s/stages.yaml", k_pairs[i].script, dir), 0);
        read_keys(after, dir, k_pairs[i].set);
        changed(got, before[RED], after[RED]);
        T_CHECKF(strcmp(got, k_pairs[i].want) == 0, "%s: %s", k_pairs[i].script, got);
    }
}

/* The motion adapter's weight in training is read only where it is beneath another. */
static void t_motion_weight_counts_in_mode_separate(void)
{
    const char *dir = t_stages_world();
    keys before[N_JOBS], after[N_JOBS];
    char *text, got[RS_STAGE_COUNT + 1];
    read_keys(before, dir, "appearance.mode=separate");
    T_EQ_I(t_shell(&text, "sed -i 's/^appearance: {/&motion_weight: 0.5, /' %s/stages.yaml", dir),
           0);
    read_keys(after, dir, "appearance.mode=separate");
    changed(got, before[RED], after[RED]);
    T_EQ_S(got, "--aed");
}

static const rs_test_case cases[] = {
    T_CASE(t_what_changes_which_stage),
    T_CASE(t_settings_that_count_beside_another),
    T_CASE(t_motion_weight_counts_in_mode_separate),
};
RS_TEST_MAIN(cases)
