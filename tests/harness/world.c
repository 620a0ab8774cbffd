#include "harness/world.h"

#include <stdio.h>
#include <string.h>

#include "base/fsio.h"
#include "harness/test.h"
#include "media/encode.h"
#include "media/image.h"

enum { SQUARE = 20 };

static const char k_experiment[] = "name: world\n"
                                   "output: out\n"
                                   "catalog: cat.yaml\n"
                                   "model: {family: wan21, path: model}\n"
                                   "clip: {frames: 9, width: 64, height: 48}\n"
                                   "lora: {rank: 2, alpha: 2}\n"
                                   "motion: {steps: 1}\n"
                                   "appearance: {steps: 1}\n"
                                   "edit: {steps: 1, guidance: 1}\n"
                                   "log: {level: error}\n";

static const char k_catalog[] = "videos:\n"
                                "  - id: square\n"
                                "    source: src\n"
                                "    mask: mask\n"
                                "    prompt: a square moves\n"
                                "    edits:\n"
                                "      - id: red\n"
                                "        first_frame: first.png\n"
                                "        prompt: a red square moves\n"
                                "        references:\n"
                                "          - {frame: 8, image: ref.png}\n";

static char *in(const char *folder, const char *name)
{
    return rs_path_join(t_arena(), folder, name);
}

static void write_text(const char *folder, const char *name, const char *text)
{
    T_OK(rs_write_file_atomic(in(folder, name), text, strlen(text)));
}

/* Frame t of the clip (a square of `colour` on a slope of greys), or of its masks. */
static void paint(uint8_t *rgb, int64_t t, const uint8_t *colour, bool mask)
{
    int64_t left = 4 + 4 * t, top = 10 + t;
    for (int64_t y = 0; y < RS_WORLD_HEIGHT; y++)
        for (int64_t x = 0; x < RS_WORLD_WIDTH; x++, rgb += 3) {
            bool inside = x >= left && x < left + SQUARE && y >= top && y < top + SQUARE;
            for (int c = 0; c < 3; c++)
                rgb[c] = mask ? (inside ? 255 : 0) : inside ? colour[c] : (uint8_t)(60 + 2 * x + y);
        }
}

static rs_tensor clip(const uint8_t *colour, bool mask)
{
    int64_t frame = (int64_t)RS_WORLD_HEIGHT * RS_WORLD_WIDTH * 3;
    uint8_t *data = rs_arena_alloc(t_arena(), (size_t)(RS_WORLD_FRAMES * frame), 1);
    for (int64_t t = 0; t < RS_WORLD_FRAMES; t++)
        paint(data + t * frame, t, colour, mask);
    return rs_tensor_of(data, RS_DTYPE_U8,
                        RS_SHAPE(RS_WORLD_FRAMES, RS_WORLD_HEIGHT, RS_WORLD_WIDTH, 3));
}

static void write_frame(const char *path, rs_tensor frames, int64_t t)
{
    rs_tensor one = rs_tensor_slice(frames, t, t + 1);
    T_OK(rs_image_write_png(path, rs_tensor_reshape(one, RS_SHAPE(one.shape[1], one.shape[2], 3))));
}

void t_world_make(const char *folder, bool model)
{
    static const uint8_t blue[3] = {30, 60, 200}, red[3] = {220, 30, 30};
    const rs_encode_opts exact = {.crf = 0, .preset = "ultrafast"};
    const rs_ratio fps = {12, 1};
    rs_tensor source = clip(blue, false), masks = clip(blue, true), edited = clip(red, false);
    T_OK(rs_make_dirs(folder));
    write_text(folder, "exp.yaml", k_experiment);
    write_text(folder, "cat.yaml", k_catalog);
    T_OK(rs_frames_write_png(in(folder, "src"), source));
    T_OK(rs_frames_write_png(in(folder, "mask"), masks));
    T_OK(rs_video_write(in(folder, "src.mp4"), source, fps, &exact));
    T_OK(rs_video_write(in(folder, "mask.mp4"), masks, fps, &exact));
    write_frame(in(folder, "first.png"), edited, 0);
    write_frame(in(folder, "ref.png"), edited, 8);
    if (model) {
        char *text;
        int rc = t_shell(&text, "%s/reshoot-world model %s/model %s/datasets/smallmodel/tokenizer",
                         T_BIN, folder, T_SRC);
        T_CHECKF(rc == 0, "reshoot-world model: %s", text);
    }
}

/* PAM has any number of channels and needs no encoder. (libav knows it by the comment.) */
void t_world_picture(const char *path, int64_t width, int64_t height, int channels,
                     const uint8_t *colour)
{
    static const char *const types[] = {"", "GRAYSCALE", "", "RGB", "RGB_ALPHA"};
    rs_arena *a = t_arena();
    char *head = rs_arena_printf(
        a, "P7\n#\nWIDTH %lld\nHEIGHT %lld\nDEPTH %d\nMAXVAL 255\nTUPLTYPE %s\nENDHDR\n",
        (long long)width, (long long)height, channels, types[channels]);
    size_t start = strlen(head), n = (size_t)(width * height);
    char *file = rs_arena_alloc(a, start + n * (size_t)channels, 1);
    memcpy(file, head, start);
    for (size_t i = 0; i < n; i++)
        memcpy(file + start + i * (size_t)channels, colour, (size_t)channels);
    T_OK(rs_write_file_atomic(path, file, start + n * (size_t)channels));
}

/* ---- misuse ---- */

static char *contents(const char *path)
{
    char *text;
    size_t bytes;
    T_OK(rs_read_file(&text, &bytes, t_arena(), path));
    return text;
}

static int lines(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

/* What is wrong with how the case ended, or NULL. */
static const char *judge(const t_bad_case *c, const char *work, int rc)
{
    rs_arena *a = t_arena();
    char *err = contents(in(work, "../err")), *out = contents(in(work, "../out")), *left;
    bool check = strncmp(c->args, "check", 5) == 0;
    /* A failed job of a run is one line of the log in front. */
    bool job = strncmp(c->args, "run", 3) == 0 && lines(err) == 2;
    const char *last = job ? strchr(err, '\n') + 1 : err;
    if (rc != c->exit_code)
        return rs_arena_printf(a, "exit %d, want %d: %s%s", rc, c->exit_code, out, err);
    if (lines(last) != 1 || strncmp(last, "reshoot: ", 9) != 0)
        return rs_arena_printf(a, "standard error is not one line \"reshoot: ...\": %s", err);
    if (check && lines(out) != 1)
        return rs_arena_printf(a, "the report has %d lines: %s", lines(out), out);
    for (int i = 0; i < 3 && c->want[i]; i++)
        if (!strstr(check ? out : err, c->want[i]))
            return rs_arena_printf(a, "\"%s\" is not in: %s%s", c->want[i], check ? out : "", err);
    T_EQ_I(t_shell(&left, "find %s -path '*/archive/*.h5' -o -name '.*.tmp.*'", work), 0);
    if (*left)
        return rs_arena_printf(a, "left behind: %s", left);
    return NULL;
}

static const char *run_case(const t_bad_case *c, const char *world, const char *work)
{
    char *text;
    T_OK(rs_remove_tree(work));
    T_EQ_I(t_shell(&text, "cp -r %s %s", world, work), 0);
    if (t_shell(&text, "cd %s && (%s)", work, *c->damage ? c->damage : ":") != 0)
        return rs_arena_printf(t_arena(), "the damage failed: %s", text);
    int rc = t_shell(&text, "(cd %s && %s/reshoot %s > ../out 2> ../err)", work, T_BIN, c->args);
    return judge(c, work, rc);
}

void t_bad_cases(const char *world, const t_bad_case *cases, int n)
{
    int bad = 0;
    const char *work = rs_arena_printf(t_arena(), "%s.work", world);
    for (int i = 0; i < n; i++) {
        const char *problem = run_case(&cases[i], world, work);
        if (!problem)
            continue;
        bad++;
        printf("    %s (reshoot %s):\n      %s\n", cases[i].name, cases[i].args, problem);
    }
    printf("    %d cases\n", n);
    T_CHECKF(bad == 0, "%d of %d cases did not end as they should", bad, n);
}
