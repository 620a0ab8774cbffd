// ctest: TIMEOUT 600
// Bad input of every kind ends with one line that names file and place, and leaves nothing behind.
#include <stdlib.h>
#include <string.h>

#include "base/fsio.h"
#include "harness/test.h"
#include "harness/world.h"
#include "store/safetensors.h"

/* Rows: what is wrong; the shell command that makes it so; the command line; exit code; pieces of
 * the error line. In exp.yaml and cat.yaml (harness/world.h) line n is replaced by a text. */
#define EXP(n, text)              "sed -i '" #n "c\\" text "' exp.yaml"
#define CAT(n, text)              "sed -i '" #n "c\\" text "' cat.yaml"
#define JSON(component, from, to) "sed -i 's/" from "/" to "/' model/" component "/config.json"
#define WEIGHTS                   "model/transformer/diffusion_pytorch_model.safetensors"
/* In the header of the transformer's weights; both sides have one length. */
#define HEADER(from, to) "LC_ALL=C sed -i 's/" from "/" to "/' " WEIGHTS

#define TRUTH(file) CAT(9, "        prompt: red\\n        truth: " file)

#define CHECK "check exp.yaml"
#define RUN   "run exp.yaml"

// clang-format off

static const t_bad_case k_settings[] = {
    {"unknown key", EXP(7, "motion: {stpes: 1}"), CHECK, 2,
     {"exp.yaml:7:10: ", "unknown key 'stpes', did you mean 'steps'?"}},
    {"unknown section", EXP(7, "moton: {steps: 1}"), CHECK, 2,
     {"exp.yaml:7:1: ", "unknown key 'moton', did you mean 'motion'?"}},
    {"duplicate key", EXP(8, "motion: {steps: 1}"), CHECK, 2, {"exp.yaml:8:1: ", "motion"}},
    {"duplicate key", EXP(7, "motion: {steps: 1, lr: 0.1, steps: 2}"), CHECK, 2,
     {"exp.yaml:7:29: ", "steps"}},
    {"word for a number", EXP(7, "motion: {steps: many}"), CHECK, 2,
     {"exp.yaml:7:17: motion.steps: ", "'many'"}},
    {"quoted number", EXP(7, "motion: {steps: \"1\"}"), CHECK, 2,
     {"exp.yaml:7:17: motion.steps: "}},
    {"list for a number", EXP(7, "motion: {steps: [1]}"), CHECK, 2,
     {"exp.yaml:7:17: motion.steps: ", "found a list"}},
    {"number for a section", EXP(7, "motion: 3"), CHECK, 2, {"exp.yaml:7:9: motion: "}},
    {"fraction for an integer", EXP(6, "lora: {rank: 1.5}"), CHECK, 2,
     {"exp.yaml:6:14: lora.rank: ", "'1.5'"}},
    {"NaN", EXP(7, "motion: {steps: 1, lr: .nan}"), CHECK, 2,
     {"exp.yaml:7:24: motion.lr: ", "'.nan'"}},
    {"infinity", EXP(6, "lora: {alpha: .inf}"), CHECK, 2, {"exp.yaml:6:15: lora.alpha: "}},
    {"below the range", EXP(6, "lora: {rank: 0}"), CHECK, 2,
     {"exp.yaml:6:14: lora.rank: 0 is out of range 1..1024"}},
    {"above the range", EXP(9, "edit: {steps: 99999}"), CHECK, 2,
     {"exp.yaml:9:15: edit.steps: 99999 is out of range"}},
    {"frames not 4n+1", EXP(5, "clip: {frames: 10, width: 64, height: 48}"), CHECK, 2,
     {"exp.yaml:5:16: clip.frames: 10 is not 4n+1"}},
    {"width not of 16", EXP(5, "clip: {frames: 9, width: 72, height: 48}"), CHECK, 2,
     {"exp.yaml:5:26: clip.width: 72 is not a multiple of 16"}},
    {"height not of 16", EXP(5, "clip: {frames: 9, width: 64, height: 50}"), CHECK, 2,
     {"exp.yaml:5:38: clip.height: 50 is not a multiple of 16"}},
    {"unknown word", EXP(9, "edit: {steps: 1, sampler: eulre}"), CHECK, 2,
     {"exp.yaml:9:27: edit.sampler: ", "did you mean 'euler'?"}},
    {"unknown model family", EXP(4, "model: {family: sora, path: model}"), CHECK, 2,
     {"exp.yaml:4:17: model.family: ", "sora"}},
    {"unknown LoRA target",
     EXP(6, "lora: {rank: 2, targets: [attn1.to_q, attn1.to_x]}"), CHECK, 2,
     {"exp.yaml:6:39: lora.targets", "attn1.to_x"}},
    {"required setting", "sed -i 1d exp.yaml", CHECK, 2, {"exp.yaml:1:1: name: is required"}},
    {"required path", EXP(4, "model: {family: wan21}"), CHECK, 2,
     {"exp.yaml:", "model.path: is required"}},
    {"broken YAML", EXP(5, "clip: {frames: 9, width: 64"), CHECK, 2, {"exp.yaml:"}},
    {"tab", "printf 'clip:\\n\\tframes: 9\\n' > exp.yaml", CHECK, 2, {"exp.yaml:2:1: "}},
    {"empty file", ": > exp.yaml", CHECK, 2, {"exp.yaml", "empty"}},
    {"list for an experiment", "echo '- 1' > exp.yaml", CHECK, 2, {"exp.yaml:1:1: "}},
    {"bytes that are no text", "head -c 512 first.png > exp.yaml", CHECK, 2, {"exp.yaml"}},
    {"no such experiment", "", "check nix.yaml", 2, {"nix.yaml: ", "No such file"}},
    {"folder for an experiment", "", "check src", 2, {"src: "}},
    {"--set without a value", "", CHECK " --set motion.steps", 2, {"--set motion.steps"}},
    {"--set of an unknown key", "", CHECK " --set motion.stpes=1", 2,
     {"--set motion.stpes", "did you mean 'motion.steps'?"}},
    {"--set of a wrong value", "", CHECK " --set motion.steps=-1", 2,
     {"--set motion.steps", "out of range"}},
    {"window not 4n+1", EXP(7, "motion: {steps: 1, window: 7}"), CHECK, 2,
     {"exp.yaml:7:28: motion.window: 7 is not 4n+1; the nearest is 5"}},
    {"windows that leave frames out", EXP(7, "motion: {window: 5, window_stride: 6}"), CHECK, 2,
     {"exp.yaml:7:36: motion.window_stride: 6 leaves out frames between windows of 5"}},
    {"blending with a multistep sampler", EXP(9, "edit: {sampler: unipc, blend: true}"), CHECK, 2,
     {"exp.yaml:9:31: edit.blend: needs edit.sampler euler or euler-diffusers"}},
    {"quote that is not closed",
     EXP(10, "measure: {deqa_command: score \"$f}\\nlog: {level: error}"), CHECK, 2,
     {"exp.yaml:10:25: measure.deqa_command: ", "the quote at \"\"$f"}},
    {"no such video", "", CHECK " --videos 'circle*'", 2, {"cat.yaml: ", "circle*"}},
};

static const t_bad_case k_catalog[] = {
    {"no such catalog", "rm cat.yaml", CHECK, 2, {"cat.yaml: ", "No such file"}},
    {"unknown key", CAT(5, "    prompt: a\\n    lisence: CC0"), CHECK, 2,
     {"cat.yaml:6:5: ", "unknown key 'lisence', did you mean 'license'?"}},
    {"duplicate video", "sed -n '2,11p' cat.yaml > a; cat a >> cat.yaml", CHECK, 2,
     {"cat.yaml:12:", "square"}},
    {"duplicate edit", "sed -n '7,9p' cat.yaml > a; cat a >> cat.yaml", CHECK, 2,
     {"cat.yaml:12:", "red"}},
    {"id that is a path", CAT(2, "  - id: ..\\/square"), CHECK, 2, {"cat.yaml:2:9: ", "id"}},
    {"no source", "sed -i 3d cat.yaml", CHECK, 2, {"cat.yaml:2:5: ", "source"}},
    {"no videos", "echo 'videos: []' > cat.yaml", CHECK, 2, {"cat.yaml:1:9: ", "videos"}},
    {"clip not 4n+1", CAT(5, "    prompt: a\\n    frames: 8"), CHECK, 2,
     {"cat.yaml:6:13: ", "8 is not 4n+1"}},
    {"reference behind the clip", CAT(11, "          - {frame: 9, image: ref.png}"), CHECK, 2,
     {"cat.yaml:11:", "reference frame 9", "frames 0..8"}},
    {"negative reference", CAT(11, "          - {frame: -1, image: ref.png}"), CHECK, 2,
     {"cat.yaml:11:", "-1"}},
    {"boxes out of order",
     CAT(4, "    mask: [{frame: 4, x: 1, y: 1, w: 9, h: 9}, {frame: 2, x: 1, y: 1, w: 9, h: 9}]"),
     CHECK, 2, {"cat.yaml:4:", "frame"}},
    {"box without a width", CAT(4, "    mask: [{frame: 0, x: 1, y: 1, w: 0, h: 9}]"), CHECK, 2,
     {"cat.yaml:4:", "w"}},
    {"boxes outside of the source",
     CAT(4, "    mask: [{frame: 0, x: 99, y: 1, w: 9, h: 9}]"), CHECK, 2,
     {"cat.yaml:4:11: ", "every box lies outside of the 64x48 source"}},
};

static const t_bad_case k_media[] = {
    {"no such source", "rm -r src", CHECK, 2,
     {"cat.yaml:3:13: ", "'square': source: src: no such file or folder"}},
    {"no such mask", "rm -r mask", CHECK, 2, {"cat.yaml:4:11: ", "'square': mask: mask: "}},
    {"no such first frame", "rm first.png", CHECK, 2,
     {"cat.yaml:8:22: ", "edit 'red': first_frame: first.png: no such file"}},
    {"no such reference", "rm ref.png", CHECK, 2,
     {"cat.yaml:11:", "edit 'red': reference: ref.png: no such file"}},
    {"empty folder", "rm src/*", CHECK, 2, {"cat.yaml:3:13: ", "src: no images"}},
    {"empty file", CAT(3, "    source: src.mp4") "; : > src.mp4", CHECK, 2,
     {"cat.yaml:3:13: ", "src.mp4: file is empty"}},
    {"text for a video", CAT(3, "    source: exp.yaml"), CHECK, 2,
     {"cat.yaml:3:13: ", "exp.yaml: not a video or image"}},
    {"truncated mp4", CAT(3, "    source: src.mp4") "; truncate -s 900 src.mp4", CHECK, 2,
     {"cat.yaml:3:13: ", "src.mp4: "}},
    {"truncated picture", "truncate -s 60 first.png", CHECK, 2,
     {"cat.yaml:8:22: ", "first.png: "}},
    {"folder for a first frame", CAT(8, "        first_frame: src"), CHECK, 2,
     {"cat.yaml:8:22: ", "src: is a folder, not an image"}},
    {"first frame of another size", "cp grey32.pam first.png", CHECK, 2,
     {"cat.yaml:8:22: ", "first.png: is 32x32; wanted 64x48"}},
    {"reference of another size", "cp grey32.pam ref.png", CHECK, 2,
     {"cat.yaml:11:", "ref.png: is 32x32; wanted 64x48"}},
    {"mask of another size", CAT(4, "    mask: grey32.pam"), CHECK, 2,
     {"cat.yaml:4:11: ", "grey32.pam: is 32x32, but the source is 64x48"}},
    {"a mask too few", "rm mask/00008.png", CHECK, 2,
     {"cat.yaml:4:11: ", "mask: has 8 frames, but the source has 9"}},
    {"no such truth", TRUTH("nix"), CHECK, 2,
     {"cat.yaml:10:16: ", "edit 'red': truth: nix: "}},
    {"a truth too short", "cp -r src t; rm t/00008.png; " TRUTH("t"), CHECK, 2,
     {"cat.yaml:10:16: ", "edit 'red': truth: t: has 8 frames, but the source has 9"}},
    {"truth of another size", TRUTH("grey32.pam"), CHECK, 2,
     {"cat.yaml:10:16: ", "truth: grey32.pam: is 32x32, but the source is 64x48"}},
    {"a picture for a truth", TRUTH("first.png"), CHECK, 2,
     {"cat.yaml:10:16: ", "truth: first.png: has 1 frames, but the source has 9"}},
    {"mask video too short", "rm src/0000[0-3].png; " CAT(4, "    mask: mask.mp4"), CHECK, 2,
     {"cat.yaml:4:11: ", "mask.mp4: has 9 frames, but the source has 5"}},
};

static const t_bad_case k_model[] = {
    {"no model folder", "rm -r model", CHECK, 2,
     {"exp.yaml: model.path: model: no such model directory"}},
    {"no transformer", "rm -r model/transformer", CHECK, 2, {"model: no transformer: "}},
    {"no vae", "rm -r model/vae", CHECK, 2, {"model: no vae: "}},
    {"no image encoder", "rm -r model/image_encoder", CHECK, 2, {"model: no image_encoder: "}},
    {"no weights", "rm " WEIGHTS, CHECK, 2, {"model/transformer: "}},
    {"broken JSON", "truncate -s 50 model/vae/config.json", CHECK, 2,
     {"model/vae/config.json:", "premature end"}},
    {"text for a number", JSON("transformer", "\"num_layers\": 4", "\"num_layers\": \"4\""),
     CHECK, 2, {"model/transformer/config.json: num_layers: expected an integer, found a string"}},
    {"key given twice", JSON("transformer", "\"eps\"", "\"num_layers\": 2, \"eps\""), CHECK, 2,
     {"model/transformer/config.json:", "num_layers"}},
    {"NaN in JSON", JSON("transformer", "\"eps\": 1e-06", "\"eps\": NaN"), CHECK, 2,
     {"model/transformer/config.json:"}},
    {"zero layers", JSON("transformer", "\"num_layers\": 4", "\"num_layers\": 0"), CHECK, 2,
     {"model/transformer/config.json: num_layers: 0"}},
    {"another normalisation", JSON("transformer", "rms_norm_across_heads", "layer_norm"), CHECK, 2,
     {"model/transformer/config.json: qk_norm \"layer_norm\" is not supported"}},
    {"missing key", JSON("vae", "\"z_dim\": 16,", ""), CHECK, 2,
     {"model/vae/config.json: ", "z_dim"}},
    {"more layers than weights", JSON("transformer", "\"num_layers\": 4", "\"num_layers\": 5"),
     CHECK, 2, {"model/transformer: ", "tensor \"blocks.4."}},
    {"fewer channels than weights",
     JSON("transformer", "\"in_channels\": 36", "\"in_channels\": 16"), CHECK, 2,
     {"model/transformer: ", "patch_embedding.weight", "36"}},
    {"missing tensor", HEADER("blocks.1.attn1.to_q.weight", "blocks.1.attn1.to_x.weight"), CHECK, 2,
     {"model/transformer: tensor \"blocks.1.attn1.to_q.weight\" is missing"}},
    {"wrong shape", HEADER("\\(blocks.0.ffn.net.0.proj.weight[^[]*\\)\\[\\([0-9]*\\), \\([0-9]*\\)",
                           "\\1[\\3, \\2"), CHECK, 2,
     {"model/transformer: ", "blocks.0.ffn.net.0.proj.weight", "the configuration asks for"}},
    {"unknown type", HEADER("\"F32\"", "\"F99\""), CHECK, 2, {WEIGHTS, "F99"}},
    {"truncated weights", "truncate -s -4096 " WEIGHTS, CHECK, 2, {WEIGHTS}},
    {"bytes behind the weights", "truncate -s +16 " WEIGHTS, CHECK, 2, {WEIGHTS}},
    {"empty weights", ": > " WEIGHTS, CHECK, 2, {WEIGHTS}},
    {"missing shard", "rm " WEIGHTS "; echo '{\"weight_map\": {\"w\": \"a.safetensors\"}}' > "
     WEIGHTS ".index.json", CHECK, 2, {"model/transformer/", "a.safetensors"}},
    {"no tokenizer", "rm -r model/tokenizer", CHECK, 2, {"model: no tokenizer: "}},
    {"damaged tokenizer", "truncate -s 500 model/tokenizer/spiece.model", CHECK, 2,
     {"model/tokenizer/spiece.model"}},
    {"tokenizer of another model",
     "sed -i 's/\"extra_ids\": 100/\"extra_ids\": 900/' model/tokenizer/tokenizer_config.json",
     CHECK, 2, {"the tokenizer has 1668 ids, but the text encoder only 868"}},
};

/* A job that fails has one line in the log, and the run one of its own. */
static const t_bad_case k_run[] = {
    {"settings", EXP(7, "motion: {stpes: 1}"), RUN, 2,
     {"exp.yaml:7:10: ", "did you mean 'steps'?"}},
    {"catalog", "sed -i 4d cat.yaml", RUN, 2, {"cat.yaml:2:5: ", "mask: is required"}},
    {"model", "rm -r model/vae", RUN, 2, {"model: no vae"}},
    {"no such video", "", RUN " --videos 'circle*'", 2, {"circle*"}},
    {"no such stage", "", RUN " --only motoin", 2, {"--only: unknown stage \"motoin\""}},
    {"output that is a file", "touch out", RUN, 3, {"out: exists and is not a folder"}},
    {"black masks", "for f in mask/*; do cp black.pam $f; done", RUN, 3,
     {"square#red failed", "cat.yaml:4:11: mask: the mask is empty", "of the 9 frames"}},
    {"transparent masks", "for f in mask/*; do cp clear.pam $f; done", RUN, 3,
     {"square#red failed", "cat.yaml:4:11: mask: the mask is empty"}},
    {"a mask of another size", "cp grey32.pam mask/00004.png", RUN, 3,
     {"square#red failed", "cat.yaml:4:11: mask/00004.png: ", "32x32"}},
    {"a mask too many", "cp mask/00008.png mask/00009.png", RUN, 3,
     {"square#red failed", "cat.yaml:4:11: ", "mask: has 10 frames, but the source has 9"}},
    {"frames of two sizes", "cp grey32.pam src/00004.png", RUN, 3,
     {"square#red failed", "cat.yaml:3:13: src/00004.png: frame 4 is 32x32 but frame 0 is 64x48"}},
    {"video that ends early", CAT(3, "    source: src.mp4") "; truncate -s -300 src.mp4", RUN, 3,
     {"square#red failed", "cat.yaml:3:13: src.mp4: damaged or truncated at frame 8"}},
    {"text among the frames", "cp exp.yaml src/00003.png", RUN, 3,
     {"square#red failed", "cat.yaml:3:13: src/00003.png: "}},
    {"no first frame", "rm first.png", RUN, 3,
     {"square#red failed", "cat.yaml:8:22: ", "first_frame: first.png: no such file"}},
    {"first frame of another size", "cp grey32.pam first.png", RUN, 3,
     {"square#red failed", "cat.yaml:8:22: ", "first.png: is 32x32; wanted 64x48"}},
    {"reference of another size", "cp grey32.pam ref.png", RUN, 3,
     {"square#red failed", "cat.yaml:11:31: ", "ref.png: is 32x32; wanted 64x48"}},
};

#define PROBE(component, in) "probe model --component " component " --in " in " --out y.safetensors"
/* A safetensors file by hand: a header of 0..127 bytes and four bytes of data. */
#define RAW(header) "head='" header "'; printf \"\\\\$(printf %o ${#head})\\0\\0\\0\\0\\0\\0\\0" \
                    "%s0123\" \"$head\" > raw.safetensors"
#define ENTRY(name, shape, lo, hi) \
    "\"" name "\":{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":[" lo "," hi "]}"

static const t_bad_case k_probe[] = {
    {"no such input", "", PROBE("vae-encode", "nix.safetensors"), 3, {"nix.safetensors: "}},
    {"input that is no safetensors", "", PROBE("vae-encode", "exp.yaml"), 3, {"exp.yaml: "}},
    {"no such component", "", PROBE("vae-encod", "x.safetensors"), 2,
     {"did you mean \"vae-encode\"?"}},
    {"no such tensor", "", PROBE("vae-decode", "x.safetensors"), 3,
     {"x.safetensors: input \"latent\" is missing"}},
    {"clip not 4n+1", "", PROBE("vae-encode", "x.safetensors"), 3, {"x.safetensors: ", "4"}},
    {"tensor of another rank", "", PROBE("image", "x.safetensors"), 3, {"x.safetensors: input "}},
    {"no model folder", "rm -r model", PROBE("vae-encode", "x.safetensors"), 2,
     {"model: no such model"}},
    {"no output folder", "",
     "probe model --component schedule --in s.safetensors --out nix/y.safetensors", 3,
     {"nix/y.safetensors"}},
    {"unknown sampler", "", PROBE("schedule", "s.safetensors") " --sampler eulre", 2, {"eulre"}},
    {"overlapping tensors",
     RAW("{" ENTRY("x", "[1]", "0", "4") "," ENTRY("b", "[1]", "0", "4") "}"),
     PROBE("schedule", "raw.safetensors"), 3, {"raw.safetensors: ", "overlap"}},
    {"offsets behind the file", RAW("{" ENTRY("x", "[2]", "0", "8") "}"),
     PROBE("schedule", "raw.safetensors"), 3, {"raw.safetensors: ", "tensor 'x'"}},
    {"offsets against the shape", RAW("{" ENTRY("x", "[3]", "0", "4") "}"),
     PROBE("schedule", "raw.safetensors"), 3, {"raw.safetensors: ", "tensor 'x'"}},
    {"negative shape", RAW("{" ENTRY("x", "[-1]", "0", "4") "}"),
     PROBE("schedule", "raw.safetensors"), 3, {"raw.safetensors: ", "x"}},
    {"shape that overflows", RAW("{" ENTRY("x", "[4294967296,4294967297]", "0", "4") "}"),
     PROBE("schedule", "raw.safetensors"), 3, {"raw.safetensors: ", "tensor 'x'"}},
    {"header that is no JSON", RAW("{" ENTRY("x", "[1]", "0", "4")),
     PROBE("schedule", "raw.safetensors"), 3, {"raw.safetensors: "}},
    {"header longer than the file", "printf '\\377\\0\\0\\0\\0\\0\\0\\0{}' > raw.safetensors",
     PROBE("schedule", "raw.safetensors"), 3, {"raw.safetensors: ", "header"}},
};

static const t_bad_case k_archive[] = {
    {"no such archive", "", "show nix.h5", 3, {"nix.h5: cannot open: No such file"}},
    {"folder for an archive", "", "show src", 3, {"src: cannot open"}},
    {"text for an archive", "", "show exp.yaml --json", 3, {"exp.yaml: not an HDF5 file"}},
    {"empty file", ": > a.bin", "show a.bin", 3, {"a.bin: "}},
    {"unknown option", "", "show exp.yaml --jsno", 2, {"did you mean --json?"}},
    {"verify without an archive", "", "verify", 2, {"usage: reshoot verify ARCHIVE..."}},
    {"one of two", "", "verify exp.yaml cat.yaml", 3, {"2 of 2 archives are not whole"}},
};

/* Another model of the same kind. */
#define MODEL2 \
    T_BIN "/reshoot-world model --preset tiny tiny " T_SRC "/datasets/smallmodel/tokenizer"

#define EXPORT "export nix.h5 --out a.safetensors"

static const t_bad_case k_export[] = {
    {"no such archive", "", EXPORT, 3, {"nix.h5: cannot open"}},
    {"no output", "", "export nix.h5", 2, {"usage: reshoot export ARCHIVE --out X.safetensors"}},
    {"unknown format", "", EXPORT " --format comfy", 2, {"unknown format \"comfy\"; known: "}},
    {"unknown type", "", EXPORT " --dtype F8", 2, {"\"F8\" is none of F32, BF16, F16"}},
    {"stage without an adapter", "", EXPORT " --stage ingest", 2, {"\"ingest\" has no adapter"}},
    {"appearance of no edit", "", EXPORT " --stage appearance", 2, {"needs --edit ID"}},
    {"motion of one edit", "", EXPORT " --edit red", 2, {"belongs to all edits"}},
};

#define EDIT  "edit a.arc --out x.mp4"
#define RED   "a.arc:red"

/* In a world that was run once, with its archive as a.arc. */
static const t_bad_case k_edit[] = {
    {"no such archive", "", "edit nix.arc --out x.mp4", 3, {"nix.arc: cannot open"}},
    {"truncated archive", "truncate -s 9000 a.arc", EDIT, 3, {"a.arc: "}},
    {"nothing to write", "", "edit a.arc", 2, {"nothing to write; give --out, --frames"}},
    {"no video", "", "edit a.arc --out x.avi", 2, {"--out: \"x.avi\" does not end with .mp4"}},
    {"folder for a video", "mkdir x.mp4", EDIT, 2, {"--out: x.mp4 is a folder"}},
    {"file for a folder", "", EDIT " --frames exp.yaml", 3, {"exp.yaml: "}},
    {"no such edit", "", EDIT " --edit blue", 2, {"a.arc: there is no edit \"blue\"", "are: red"}},
    {"negative seed", "", EDIT " --seed -2", 2, {"--seed: -2 is below 0"}},
    {"no steps", "", EDIT " --steps 0", 2, {"edit.steps: 0 is out of range 1..1000"}},
    {"setting of training", "", EDIT " --set motion.steps=3", 2,
     {"--set motion.steps=3: only settings of edit, prompt, "}},
    {"seed as a setting", "", EDIT " --set edit.seed=3", 2, {"give the seed with --seed"}},
    {"unknown setting", "", EDIT " --set edit.stpes=3", 2, {"did you mean 'edit.steps'?"}},
    {"two kinds of weights", "", EDIT " --adapter " RED " --set edit.motion_weight=1", 2,
     {"--set edit.motion_weight=1: --adapter has its own weights"}},
    {"no such model", "", EDIT " --model nix", 2, {"model.path: ", "nix: no such model directory"}},
    {"no such first frame", "", EDIT " --first-frame nix.png", 3, {"--first-frame: nix.png: "}},
    {"first frame of another size", "", EDIT " --first-frame grey32.pam", 3,
     {"--first-frame: grey32.pam: is 32x32; wanted 64x48"}},
    {"weight that is a word", "", EDIT " --adapter " RED "=much", 2,
     {"--adapter " RED "=much: the weight \"much\" is not a number"}},
    {"infinite weight", "", EDIT " --adapter " RED "=inf", 2, {"\"inf\" is not a number"}},
    {"no weight", "", EDIT " --adapter " RED "=", 2, {"the weight \"\" is not a number"}},
    {"archive without a place", "", EDIT " --adapter a.arc=1", 2,
     {"--adapter a.arc=1: expected ARCHIVE.h5:motion, "}},
    {"no such adapter", "", EDIT " --adapter a.arc:appearance/blue", 3,
     {"a.arc: there is no adapter \"appearance/blue\"", "there are: motion, appearance/red"}},
    {"archive for an adapter that is none", "", EDIT " --adapter exp.yaml:motion", 3,
     {"exp.yaml: not an HDF5 file"}},
    {"no such file", "", EDIT " --adapter nix.safetensors", 3, {"nix.safetensors: "}},
    {"file that is no adapter", "", EDIT " --adapter x.safetensors", 2,
     {"x.safetensors: adapter: tensor \"video\" belongs to no layer of this model"}},
    {"adapter of a wider model", "", EDIT " --adapter wide.safetensors=0.5", 2,
     {"wide.safetensors: ", "blocks.0.attn1.to_q.lora_A.weight\" is F32[2,4096]; expected F32[2,"}},
    {"adapter of a deeper model", "", EDIT " --adapter deep.safetensors", 2,
     {"deep.safetensors: ", "blocks.39.attn1.to_q.lora_A.weight\" belongs to no layer"}},
    {"adapter without its half", "", EDIT " --adapter half.safetensors", 2,
     {"half.safetensors: ", "blocks.0.attn1.to_q.lora_B.weight\" is missing"}},
    {"model that the archive is not of", MODEL2, EDIT " --model tiny", 2,
     {"a.arc:appearance/red: adapter: tensor \"blocks.2.", " belongs to no layer"}},
};

// clang-format on

static void write_inputs(const char *world)
{
    rs_arena *a = t_arena();
    rs_tensor_list video = {0}, schedule = {0};
    rs_tensor_list_add(&video, a, "video", rs_tensor_new(a, RS_SHAPE(3, 4, 16, 16)));
    rs_tensor_list_add(&schedule, a, "x", rs_tensor_new(a, RS_SHAPE(4)));
    T_OK(rs_safetensors_write(rs_path_join(a, world, "x.safetensors"), &video, NULL, 0));
    T_OK(rs_safetensors_write(rs_path_join(a, world, "s.safetensors"), &schedule, NULL, 0));
}

static const char *make_world(void)
{
    static const uint8_t white[1] = {255}, black[1] = {0}, clear[4] = {255, 255, 255, 0};
    const char *world = rs_path_join(t_arena(), t_tmpdir(), "world");
    t_world_make(world, true);
    t_world_picture(rs_path_join(t_arena(), world, "grey32.pam"), 32, 32, 1, white);
    t_world_picture(rs_path_join(t_arena(), world, "black.pam"), 64, 48, 1, black);
    t_world_picture(rs_path_join(t_arena(), world, "clear.pam"), 64, 48, 4, clear);
    write_inputs(world);
    return world;
}

/* A file with adapter factors of one linear; `out` 0: without B. */
static void write_adapter(const char *world, const char *name, int block, int64_t in, int64_t out)
{
    rs_arena *a = t_arena();
    rs_tensor_list l = {0};
    const char *module = rs_arena_printf(a, "transformer.blocks.%d.attn1.to_q", block);
    rs_tensor_list_add(&l, a, rs_arena_printf(a, "%s.lora_A.weight", module),
                       rs_tensor_new(a, RS_SHAPE(2, in)));
    if (out)
        rs_tensor_list_add(&l, a, rs_arena_printf(a, "%s.lora_B.weight", module),
                           rs_tensor_new(a, RS_SHAPE(out, 2)));
    T_OK(rs_safetensors_write(rs_path_join(a, world, name), &l, NULL, 0));
}

static int64_t model_width(const char *world)
{
    char *text;
    T_EQ_I(t_shell(&text, "cd %s && %s/reshoot check exp.yaml", world, T_BIN), 0);
    const char *at = strstr(text, "blocks of width ");
    T_CHECKF(at, "%s", text);
    return strtoll(at + strlen("blocks of width "), NULL, 10);
}

static void t_edit(void)
{
    char *text;
    const char *world = make_world();
    int rc = t_shell(&text,
                     "cd %s && %s/reshoot run exp.yaml && mv out/archive/square.h5 a.arc && "
                     "rm -r out && %s/reshoot edit a.arc --latent l.safetensors",
                     world, T_BIN, T_BIN);
    T_CHECKF(rc == 0, "%s", text);
    int64_t width = model_width(world);
    write_adapter(world, "wide.safetensors", 0, 4096, 4096);
    write_adapter(world, "deep.safetensors", 39, width, width);
    write_adapter(world, "half.safetensors", 0, width, 0);
    t_bad_cases(world, k_edit, (int)(sizeof k_edit / sizeof k_edit[0]));
}

#define TABLE(name)                                                                                \
    static void t_##name(void)                                                                     \
    {                                                                                              \
        t_bad_cases(make_world(), k_##name, (int)(sizeof k_##name / sizeof k_##name[0]));          \
    }
TABLE(settings)
TABLE(catalog)
TABLE(media)
TABLE(model)
TABLE(run)
TABLE(probe)
TABLE(archive)
TABLE(export)

/* Without any damage the world is fine: the cases above fail for their own reason. */
static void t_the_world_itself_is_sound(void)
{
    char *text;
    const char *world = make_world();
    int rc = t_shell(&text, "cd %s && %s/reshoot check exp.yaml", world, T_BIN);
    T_CHECKF(rc == 0 && strstr(text, "exp.yaml: ok\n") == text, "exit %d: %s", rc, text);
    rc = t_shell(&text, "cd %s && %s/reshoot run exp.yaml", world, T_BIN);
    T_CHECKF(rc == 0, "exit %d: %s", rc, text);
}

/* Grey and transparent pictures are pictures. */
static void t_unusual_pictures_are_taken(void)
{
    static const uint8_t clear[4] = {220, 30, 30, 128}, grey[1] = {90};
    const char *world = make_world();
    char *text;
    t_world_picture(rs_path_join(t_arena(), world, "first.png"), 64, 48, 4, clear);
    t_world_picture(rs_path_join(t_arena(), world, "ref.png"), 64, 48, 1, grey);
    int rc = t_shell(&text, "cd %s && %s/reshoot check exp.yaml", world, T_BIN);
    T_CHECKF(rc == 0, "exit %d: %s", rc, text);
}

/* Mistakes of several kinds are all reported at once, file by file and in the order of the lines.
 */
static void t_all_problems_at_once(void)
{
    const char *world = make_world();
    char *text;
    T_EQ_I(t_shell(&text, "cd %s && rm -r mask ref.png model/vae && " EXP(7, "motion: {steps: -1}"),
                   world),
           0);
    int rc = t_shell(&text, "cd %s && %s/reshoot check exp.yaml", world, T_BIN);
    T_EQ_I(rc, 2);
    const char *wanted[] = {"exp.yaml: model.path: model: no vae",
                            "exp.yaml:7:17: motion.steps: -1 is out of range",
                            "cat.yaml:4:11: video 'square': mask: ",
                            "cat.yaml:11:31: video 'square': edit 'red': reference: "};
    const char *before = NULL;
    for (int i = 0; i < 4; i++) {
        const char *at = strstr(text, wanted[i]);
        T_CHECKF(at && at > before, "\"%s\" is missing or too early in:\n%s", wanted[i], text);
        before = at;
    }
    T_CHECKF(strstr(text, "exp.yaml: 4 problems"), "%s", text);
}

static const rs_test_case cases[] = {
    T_CASE(t_the_world_itself_is_sound),
    T_CASE(t_settings),
    T_CASE(t_catalog),
    T_CASE(t_media),
    T_CASE(t_model),
    T_CASE(t_run),
    T_CASE(t_probe),
    T_CASE(t_archive),
    T_CASE(t_export),
    T_CASE(t_edit),
    T_CASE(t_unusual_pictures_are_taken),
    T_CASE(t_all_problems_at_once),
};
RS_TEST_MAIN(cases)
