/* The settings of an experiment: the only definition. Structs, defaults, parsing, checks, `--set`,
 * the generated reference, the canonical dump and the content hash are all made from these lists.
 *
 * Row:  X(section, KIND, key, default, unit, doc, constraint...)
 * Defaults are text and pass through the same parser as user input.
 *
 *   KIND  C type         constraint
 *   INT   int64_t        RANGE(lo, hi)
 *   NUM   double         RANGE(lo, hi) or ABOVE(lo, hi): lo itself excluded
 *   BOOL  bool           ANY
 *   TEXT  const char *   ANY or REQUIRED
 *   PATH  const char *   BESIDE (relative to the folder of the YAML file), BESIDE_REQUIRED, or
 *                        CURRENT_REQUIRED (relative to the current directory); with --set always
 * the latter ENUM  rs_cfg_<list>  name of a list RS_CFG_ENUM_<list> below LIST  rs_cfg_strings name
 * of a list whose words are allowed
 *
 * Adding a setting = adding a row. Adding a section = its list, plus one row in RS_CFG_SECTIONS. */
#ifndef RS_CONFIG_SCHEMA_H
#define RS_CONFIG_SCHEMA_H

/* Words.  E(CONSTANT, "word", doc)  gives  RS_CFG_<CONSTANT>  of type  rs_cfg_<list>. */
#define RS_CFG_ENUM_family(E) E(FAMILY_WAN21, "wan21", "Wan2.1 image-to-video or text-to-video")

#define RS_CFG_ENUM_precision(E)                                                                   \
    E(PRECISION_FP32, "fp32", "fp32 products")                                                     \
    E(PRECISION_BF16, "bf16", "products of operands rounded to bf16, summed in fp32: faster")

#define RS_CFG_ENUM_sampling(E)                                                                    \
    E(SAMPLING_EVEN, "even", "spread evenly over the source")                                      \
    E(SAMPLING_FIRST, "first", "the first frames of the source")

#define RS_CFG_ENUM_mask_shape(E)                                                                  \
    E(MASK_SHAPE_BOX, "box", "the grown bounding box of every connected component")                \
    E(MASK_SHAPE_EXACT, "exact", "the pixels of the mask as given")                                \
    E(MASK_SHAPE_GRID, "grid", "the mask downsampled to a 7x7 grid")

#define RS_CFG_ENUM_first_frame(E) E(FIRST_FRAME_KEEP, "keep", "whole and marked as kept")

#define RS_CFG_ENUM_lora_target(E)                                                                 \
    E(LORA_TARGET_SELF_Q, "attn1.to_q", "self-attention query")                                    \
    E(LORA_TARGET_SELF_K, "attn1.to_k", "self-attention key")                                      \
    E(LORA_TARGET_SELF_V, "attn1.to_v", "self-attention value")                                    \
    E(LORA_TARGET_SELF_OUT, "attn1.to_out.0", "self-attention output")                             \
    E(LORA_TARGET_CROSS_Q, "attn2.to_q", "cross-attention query")                                  \
    E(LORA_TARGET_CROSS_K, "attn2.to_k", "cross-attention key of the text")                        \
    E(LORA_TARGET_CROSS_V, "attn2.to_v", "cross-attention value of the text")                      \
    E(LORA_TARGET_CROSS_OUT, "attn2.to_out.0", "cross-attention output")                           \
    E(LORA_TARGET_FFN_IN, "ffn.net.0.proj", "feed-forward, first linear")                          \
    E(LORA_TARGET_FFN_OUT, "ffn.net.2", "feed-forward, second linear")                             \
    E(LORA_TARGET_IMAGE_K, "attn2.add_k_proj", "cross-attention key of the image")                 \
    E(LORA_TARGET_IMAGE_V, "attn2.add_v_proj", "cross-attention value of the image")

#define RS_CFG_ENUM_timestep(E) E(TIMESTEP_UNIFORM, "uniform", "t ~ U[0,1), no shift")

#define RS_CFG_ENUM_schedule(E)                                                                    \
    E(SCHEDULE_PAPER, "paper", "`steps` steps, whatever the number of references")                 \
    E(SCHEDULE_CODE, "code", "`epochs` x (1 + `repeats` x references) steps")

#define RS_CFG_ENUM_given(E)                                                                       \
    E(GIVEN_MASKED, "masked", "the first frame, and the others outside of the mask")               \
    E(GIVEN_FIRST_FRAME, "first-frame", "only the first frame: the base model's own convention")   \
    E(GIVEN_KEEP_ALL, "keep-all", "every frame whole, all marked as kept")                         \
    E(GIVEN_KEEP_NONE, "keep-none", "no frame at all, not even the first")

#define RS_CFG_ENUM_appearance_when(E)                                                             \
    E(APPEARANCE_WHEN_AUTO, "auto", "for edits with references, unless motion.steps is 0")         \
    E(APPEARANCE_WHEN_REFERENCES, "references", "for edits with references")                       \
    E(APPEARANCE_WHEN_NEVER, "never", "for none: references of the catalog are not used")

#define RS_CFG_ENUM_appearance_mode(E)                                                             \
    E(APPEARANCE_MODE_CONTINUE, "continue", "one adapter: go on from the motion adapter")          \
    E(APPEARANCE_MODE_SEPARATE, "separate", "a second adapter on top of the frozen motion one")

#define RS_CFG_ENUM_sampler(E)                                                                     \
    E(SAMPLER_EULER, "euler", "flow Euler steps, sigma exactly as LoRA-Edit")                      \
    E(SAMPLER_EULER_DIFFUSERS, "euler-diffusers", "FlowMatchEulerDiscreteScheduler of Diffusers")  \
    E(SAMPLER_UNIPC, "unipc", "UniPCMultistepScheduler of Diffusers")                              \
    E(SAMPLER_UNIPC_OFFICIAL, "unipc-official", "FlowUniPC of the Wan2.1 repository")

#define RS_CFG_ENUM_preset(E)                                                                      \
    E(PRESET_ULTRAFAST, "ultrafast", "x264 preset")                                                \
    E(PRESET_SUPERFAST, "superfast", "x264 preset")                                                \
    E(PRESET_VERYFAST, "veryfast", "x264 preset")                                                  \
    E(PRESET_FASTER, "faster", "x264 preset")                                                      \
    E(PRESET_FAST, "fast", "x264 preset")                                                          \
    E(PRESET_MEDIUM, "medium", "x264 preset")                                                      \
    E(PRESET_SLOW, "slow", "x264 preset")                                                          \
    E(PRESET_SLOWER, "slower", "x264 preset")                                                      \
    E(PRESET_VERYSLOW, "veryslow", "x264 preset")

#define RS_CFG_ENUM_backend(E)                                                                     \
    E(BACKEND_AUTO, "auto", "the fastest that is built in and has hardware")                       \
    E(BACKEND_CPU, "cpu", "host processors")                                                       \
    E(BACKEND_CUDA, "cuda", "NVIDIA GPUs, one per rank of a host; an error where there is none")

#define RS_CFG_ENUM_log_level(E)                                                                   \
    E(LOG_LEVEL_ERROR, "error", "errors only")                                                     \
    E(LOG_LEVEL_WARN, "warn", "and warnings")                                                      \
    E(LOG_LEVEL_INFO, "info", "and a few lines per stage")                                         \
    E(LOG_LEVEL_DETAIL, "detail", "and what happens inside a stage")                               \
    E(LOG_LEVEL_DEBUG, "debug", "everything")

#define RS_CFG_ENUM_home(E)                                                                        \
    E(HOME_AUTO, "auto", "sharded where cluster.gang says so, else what fits")                     \
    E(HOME_RESIDENT, "resident", "a whole converted copy in every rank")                           \
    E(HOME_MAPPED, "mapped", "the files, mapped into memory: one copy per node")                   \
    E(HOME_HOST, "host", "page-locked host memory; a GPU streams it, two blocks at a time")        \
    E(HOME_SHARDED, "sharded", "a part of every block in each rank of a gang")

#define RS_CFG_ENUM_lanes(E)                                                                       \
    E(LANES_1, "1", "a rank per job")                                                              \
    E(LANES_2, "2", "ranks per job, in the whole run")                                             \
    E(LANES_4, "4", "ranks per job")                                                               \
    E(LANES_8, "8", "ranks per job")                                                               \
    E(LANES_AUTO, "auto",                                                                          \
      "one, and up to 8 of a gang or node for a stage when fewer are ready than ranks wait")

/* Constants from BATCH_OFF on are numbers of jobs. */
#define RS_CFG_ENUM_batch(E)                                                                       \
    E(BATCH_AUTO, "auto",                                                                          \
      "as many as are ready and fit, up to 8, where weights are gathered or converted in passes")  \
    E(BATCH_OFF, "off", "one")                                                                     \
    E(BATCH_2, "2", "up to so many, whatever the weights' home")                                   \
    E(BATCH_3, "3", "up to so many")                                                               \
    E(BATCH_4, "4", "up to so many")                                                               \
    E(BATCH_5, "5", "up to so many")                                                               \
    E(BATCH_6, "6", "up to so many")                                                               \
    E(BATCH_7, "7", "up to so many")                                                               \
    E(BATCH_8, "8", "up to so many")

#define RS_CFG_ENUM_progress(E)                                                                    \
    E(PROGRESS_AUTO, "auto", "live on a terminal, else plain")                                     \
    E(PROGRESS_LIVE, "live", "a few lines that are redrawn in place, below the log")               \
    E(PROGRESS_PLAIN, "plain", "a log line now and then")                                          \
    E(PROGRESS_NONE, "none", "none of either")

#define RS_CFG_ENUM_ahead(E)                                                                       \
    E(AHEAD_AUTO, "auto", "where a rank has more cores than threads, or computes on a GPU")        \
    E(AHEAD_ALWAYS, "always", "in any case")                                                       \
    E(AHEAD_NEVER, "never", "every stage reads its own")

#define RS_CFG_ENUM_recompute(E)                                                                   \
    E(RECOMPUTE_AUTO, "auto", "what computes least in memory.limit, block by block")               \
    E(RECOMPUTE_NONE, "none", "keep every activation")                                             \
    E(RECOMPUTE_ATTENTION, "attention",                                                            \
      "keep block inputs and what self attention gives; compute the rest of each block again")     \
    E(RECOMPUTE_BLOCK, "block", "keep block inputs, compute each block again in the backward")

#define RS_CFG_ENUM_offload(E)                                                                     \
    E(OFFLOAD_AUTO, "auto", "where a training step does not fit on the GPU without")               \
    E(OFFLOAD_OFF, "off", "no")                                                                    \
    E(OFFLOAD_ON, "on", "yes; a CPU has nothing to gain and does not")

/* clang-format off */
#define RS_CFG_ENUMS(L)                                                                            \
    L(family) L(sampling) L(mask_shape) L(first_frame) L(lora_target) L(timestep) L(schedule)      \
    L(given) L(appearance_when) L(appearance_mode) L(sampler) L(preset) L(backend) L(log_level)    \
    L(progress) L(home) L(ahead) L(recompute) L(offload) L(precision) L(lanes) L(batch)
/* clang-format on */

/* Settings of the top level. */
#define RS_CFG_ROWS_top(X)                                                                         \
    X(top, TEXT, name, "", "", "name of the experiment, shown in logs and archives", REQUIRED)     \
    X(top, PATH, output, "", "", "folder of the run: states, archives, videos, logs",              \
      CURRENT_REQUIRED)                                                                            \
    X(top, PATH, catalog, "", "", "YAML file that lists the videos and their edits",               \
      BESIDE_REQUIRED)                                                                             \
    X(top, PATH, catalog_root, "", "",                                                             \
      "folder that relative paths inside the catalog start from; empty: what the catalog says",    \
      BESIDE)                                                                                      \
    X(top, INT, seed, "0", "", "of every random number of training; sampling has edit.seed",       \
      RANGE(0, INT64_MAX))

#define RS_CFG_ROWS_model(X)                                                                       \
    X(model, ENUM, family, "wan21", "", "model family", family)                                    \
    X(model, PATH, path, "", "", "model folder in the Diffusers layout", BESIDE_REQUIRED)          \
    X(model, ENUM, precision, "fp32", "",                                                          \
      "of large products in transformer, encoders and VAE; what is small or kept stays fp32",      \
      precision)                                                                                   \
    X(model, BOOL, fp8, "false", "",                                                               \
      "keep the linears of the transformer's blocks in 8 bits: half the memory and traffic, "      \
      "faster "                                                                                    \
      "forward products, less exact (docs/decisions.md); bf16 on Hopper GPUs only",                \
      ANY)

#define RS_CFG_ROWS_clip(X)                                                                        \
    X(clip, INT, frames, "49", "frames", "clip length, 4n+1", RANGE(1, 401))                       \
    X(clip, INT, width, "832", "pixels", "frame width, a multiple of 16", RANGE(16, 4096))         \
    X(clip, INT, height, "480", "pixels", "frame height, a multiple of 16", RANGE(16, 4096))       \
    X(clip, ENUM, sampling, "even", "", "which source frames make the clip", sampling)

#define RS_CFG_ROWS_prompt(X)                                                                      \
    X(prompt, TEXT, prefix, "p3rs0n,", "",                                                         \
      "put in front of every prompt with a space between: the special token", ANY)

#define RS_CFG_ROWS_mask(X)                                                                        \
    X(mask, ENUM, shape, "box", "", "region that is generated, from the given mask", mask_shape)   \
    X(mask, NUM, grow, "0.1", "",                                                                  \
      "boxes grow by this part of their width and height (half on each side)", RANGE(0, 10))       \
    X(mask, INT, min_area, "50", "pixels", "smaller bounding boxes are dropped",                   \
      RANGE(0, 16777216))                                                                          \
    X(mask, INT, threshold, "200", "",                                                             \
      "mask pixels with a larger value are edited, the others kept", RANGE(0, 254))

#define RS_CFG_ROWS_condition(X)                                                                   \
    X(condition, INT, fill, "128", "", "gray value painted over the edited region", RANGE(0, 255)) \
    X(condition, ENUM, first_frame, "keep", "", "first frame of the condition", first_frame)

#define RS_CFG_ROWS_lora(X)                                                                        \
    X(lora, INT, rank, "16", "", "rank of the adapters", RANGE(1, 1024))                           \
    X(lora, NUM, alpha, "16", "", "adapters are scaled by alpha/rank", ABOVE(0, 65536))            \
    X(lora, LIST, targets,                                                                         \
      "[attn1.to_q, attn1.to_k, attn1.to_v, attn1.to_out.0, attn2.to_q, attn2.to_k, attn2.to_v, "  \
      "attn2.to_out.0, ffn.net.0.proj, ffn.net.2]",                                                \
      "", "linear layers of every block that get an adapter, by their Diffusers names",            \
      lora_target)

#define RS_CFG_ROWS_optimizer(X)                                                                   \
    X(optimizer, NUM, beta1, "0.9", "", "AdamW: decay of the first moment", RANGE(0, 0.999999))    \
    X(optimizer, NUM, beta2, "0.99", "", "AdamW: decay of the second moment",                      \
      RANGE(0, 0.99999999))                                                                        \
    X(optimizer, NUM, eps, "1e-8", "", "AdamW: added to the denominator", ABOVE(0, 1))             \
    X(optimizer, NUM, weight_decay, "0.01", "", "AdamW: decoupled weight decay", RANGE(0, 1))      \
    X(optimizer, NUM, grad_clip, "1.0", "", "largest global L2 norm of the gradient; 0: no limit", \
      RANGE(0, 1e9))

#define RS_CFG_ROWS_motion(X)                                                                      \
    X(motion, INT, steps, "100", "steps",                                                          \
      "optimizer steps of the motion stage; 0: no motion adapter, the base model as it is",        \
      RANGE(0, 1000000))                                                                           \
    X(motion, NUM, lr, "1e-4", "", "learning rate, constant", ABOVE(0, 1))                         \
    X(motion, ENUM, timestep, "uniform", "", "distribution of the training time", timestep)        \
    X(motion, ENUM, condition, "masked", "", "what the model is given of the clip it learns",      \
      given)                                                                                       \
    X(motion, INT, window, "0", "frames",                                                          \
      "train on windows of so many frames, 4n+1, one per step; 0: on the whole clip",              \
      RANGE(0, 401))                                                                               \
    X(motion, INT, window_stride, "4", "frames",                                                   \
      "from the start of one window to the next; the last one ends with the clip", RANGE(1, 401))

#define RS_CFG_ROWS_appearance(X)                                                                  \
    X(appearance, ENUM, when, "auto", "", "for which edits the stage is run", appearance_when)     \
    X(appearance, INT, max_references, "0", "",                                                    \
      "use only so many references of an edit, the first ones; 0: all", RANGE(0, 1000000))         \
    X(appearance, ENUM, schedule, "paper", "", "how many steps the stage has", schedule)           \
    X(appearance, INT, steps, "100", "steps", "optimizer steps (schedule paper)",                  \
      RANGE(1, 1000000))                                                                           \
    X(appearance, INT, epochs, "10", "epochs", "passes over the samples (schedule code)",          \
      RANGE(1, 100000))                                                                            \
    X(appearance, INT, repeats, "9", "",                                                           \
      "times each reference frame is seen per epoch, the clip once", RANGE(1, 1000))               \
    X(appearance, NUM, lr, "1e-4", "", "learning rate, constant", ABOVE(0, 1))                     \
    X(appearance, ENUM, mode, "continue", "", "what the stage trains", appearance_mode)            \
    X(appearance, NUM, motion_weight, "1", "",                                                     \
      "weight of the frozen motion adapter in training (mode separate)", RANGE(-100, 100))

#define RS_CFG_NEGATIVE_PROMPT                                                                     \
    "Overexposure, static, blurred details, subtitles, paintings, pictures, still, overall gray, " \
    "worst quality, low quality, JPEG compression residue, ugly, mutilated, redundant fingers, "   \
    "poorly painted hands, poorly painted faces, deformed, disfigured, deformed limbs, fused "     \
    "fingers, cluttered background, three legs, a lot of people in the background, upside down"

#define RS_CFG_ROWS_edit(X)                                                                        \
    X(edit, ENUM, sampler, "euler", "", "integrator of the flow", sampler)                         \
    X(edit, INT, steps, "30", "steps", "sampling steps", RANGE(1, 1000))                           \
    X(edit, NUM, shift, "5", "", "timestep shift: sigma = shift s / (1 + (shift - 1) s)",          \
      ABOVE(0, 100))                                                                               \
    X(edit, NUM, guidance, "5", "",                                                                \
      "classifier-free guidance scale; 1: no guidance and half the work", RANGE(0, 100))           \
    X(edit, TEXT, negative_prompt, RS_CFG_NEGATIVE_PROMPT, "",                                     \
      "prompt of the unguided pass, without prompt.prefix", ANY)                                   \
    X(edit, ENUM, condition, "masked", "", "what the model is given of the edited clip", given)    \
    X(edit, BOOL, blend, "false", "",                                                              \
      "after every step put the source's noised latent back where nothing is edited (Euler only)", \
      ANY)                                                                                         \
    X(edit, NUM, motion_weight, "1", "", "weight of what the motion stage learned; 0: left out",   \
      RANGE(-100, 100))                                                                            \
    X(edit, NUM, appearance_weight, "1", "",                                                       \
      "weight of what the appearance stage learned on top of it; 0: left out", RANGE(-100, 100))   \
    X(edit, BOOL, paste_back, "false", "", "put the source pixels back outside the edited region", \
      ANY)                                                                                         \
    X(edit, INT, feather, "8", "pixels", "width of the blend at the border of paste_back",         \
      RANGE(0, 256))                                                                               \
    X(edit, NUM, fps, "0", "frames/s",                                                             \
      "frame rate of the output; 0: the source's, corrected for frames left out", RANGE(0, 1000))  \
    X(edit, INT, seed, "-1", "", "of the sampling noise; -1: the top-level seed",                  \
      RANGE(-1, INT64_MAX))

#define RS_CFG_ROWS_video(X)                                                                       \
    X(video, INT, crf, "18", "", "x264 constant rate factor: 0 lossless, 51 worst", RANGE(0, 51))  \
    X(video, ENUM, preset, "medium", "", "x264 preset: speed against size", preset)

#define RS_CFG_ROWS_measure(X)                                                                     \
    X(measure, BOOL, clip, "true", "",                                                             \
      "CLIP score and input similarity, with the model's own image encoder", ANY)                  \
    X(measure, TEXT, deqa_command, "", "",                                                         \
      "command that scores an edited clip (docs/measures.md); empty: none", ANY)                   \
    X(measure, NUM, deqa_timeout, "600", "s", "it is ended after this time", ABOVE(0, 1e6))

#define RS_CFG_ROWS_checkpoint(X)                                                                  \
    X(checkpoint, INT, every, "10", "steps", "steps between saved states", RANGE(1, 1000000))

#define RS_CFG_ROWS_cluster(X)                                                                     \
    X(cluster, ENUM, backend, "auto", "", "where the model computes", backend)                     \
    X(cluster, TEXT, gemm_table, "", "",                                                           \
      "cuda: algorithms recorded by reshoot bench op gemm --record; empty: the library's advice",  \
      ANY)                                                                                         \
    X(cluster, INT, threads, "0", "threads", "CPU threads per rank; 0: an even share",             \
      RANGE(0, 4096))                                                                              \
    X(cluster, INT, gang, "0", "ranks",                                                            \
      "ranks that share one copy of the weights with memory.home sharded; 0: those of a node",     \
      RANGE(0, 65536))                                                                             \
    X(cluster, ENUM, lanes, "1", "ranks",                                                          \
      "ranks that share one job by sequence parallelism; results do not depend on it", lanes)      \
    X(cluster, ENUM, batch, "auto", "jobs",                                                        \
      "appearance stages that a rank trains side by side, steps on single frames in one pass "     \
      "over "                                                                                      \
      "the weights; results do not depend on it",                                                  \
      batch)                                                                                       \
    X(cluster, TEXT, pin, "", "",                                                                  \
      "ranks that run certain stages only: \"0-1=ingest,motion; 2=edit\"; empty: all run any",     \
      ANY)                                                                                         \
    X(cluster, NUM, time_limit, "0", "s",                                                          \
      "wall time of the run; 0: what Slurm says (SLURM_JOB_END_TIME), else none", RANGE(0, 1e9))   \
    X(cluster, NUM, margin, "120", "s",                                                            \
      "stop, with all states saved, this long before the time limit", RANGE(0, 1e6))               \
    X(cluster, NUM, headroom, "1.5", "",                                                           \
      "a stage is begun while so many times the seconds that it is expected to take, or to take "  \
      "until it can save its state, are left before the time limit",                               \
      RANGE(0, 1e12))                                                                              \
    X(cluster, ENUM, ahead, "auto", "",                                                            \
      "media of the next video are decoded on a thread of their own while a stage computes",       \
      ahead)                                                                                       \
    X(cluster, NUM, watchdog, "600", "s", "a rank that waits for another longer ends the run",     \
      ABOVE(0, 1e9))                                                                               \
    X(cluster, NUM, lease, "60", "s",                                                              \
      "runs that share the output folder take over a video whose run was not heard of for so "     \
      "long; 0: no leases, the folder is locked for one run",                                      \
      RANGE(0, 1e6))

#define RS_CFG_ROWS_memory(X)                                                                      \
    X(memory, ENUM, home, "auto", "", "where the transformer's weights are kept", home)            \
    X(memory, ENUM, recompute, "auto", "", "activations kept for the backward pass", recompute)    \
    X(memory, ENUM, offload, "auto", "",                                                           \
      "a GPU: what is kept for the backward pass waits in page-locked host memory", offload)       \
    X(memory, NUM, limit, "0", "GB",                                                               \
      "that a rank may hold; 0: an even share of 80 % of the machine or of its cgroup's limit",    \
      RANGE(0, 1e6))

#define RS_CFG_ROWS_log(X)                                                                         \
    X(log, ENUM, level, "info", "", "least important line shown on the terminal", log_level)       \
    X(log, ENUM, progress, "auto", "", "how all ranks' progress is shown there", progress)         \
    X(log, NUM, catalog_every, "10", "s",                                                          \
      "least time between updates of catalog.h5 while the run works; 0: only at its end",          \
      RANGE(0, 86400))

/* Sections in file order.  S(key, doc) */
#define RS_CFG_SECTIONS(S)                                                                         \
    S(model, "The frozen base model.")                                                             \
    S(clip, "Clip that is trained on and edited; other sources are resized and cropped to it.")    \
    S(prompt, "Text that is added to every prompt.")                                               \
    S(mask, "From the catalog's mask to the region that is generated. White means edit.")          \
    S(condition, "What the model sees of the source.")                                             \
    S(lora, "Adapters.")                                                                           \
    S(optimizer, "AdamW, both training stages.")                                                   \
    S(motion, "Stage 1: learn the motion of the source clip.")                                     \
    S(appearance, "Stage 2: learn edited reference frames. Left out for edits without any.")       \
    S(edit, "Stage 3: sample the edited clip.")                                                    \
    S(video, "Encoding of the resulting mp4.")                                                     \
    S(measure, "Measures of the edited clips, made when they are published.")                      \
    S(checkpoint, "Saved state of running stages.")                                                \
    S(cluster, "Processors.")                                                                      \
    S(memory, "Memory against computation. Results do not depend on it.")                          \
    S(log, "Messages.")

#endif
