/* A small catalog that uses every way to give a source and a mask: input of tests, and an example
 * to write one's own after. */
#include <string.h>

#include "base/fsio.h"
#include "base/str.h"
#include "datasets/scene.h"
#include "datasets/world.h"
#include "media/encode.h"
#include "media/image.h"

enum { FRAMES = 13, WIDTH = 96, HEIGHT = 64, FPS = 8, REFERENCE = 8 };

static const double k_ball_path[][3] = {{0, 22, 20}, {12, 72, 44}};
static const scene k_ball = {.width = WIDTH,
                             .height = HEIGHT,
                             .seed = 11,
                             .ground = SCENE_CHECKS,
                             .ground_first = {150, 160, 150},
                             .ground_second = {118, 130, 142},
                             .shape = SCENE_DISC,
                             .radius = 13,
                             .turn = 0.12,
                             .path = k_ball_path,
                             .n_path = 2};
static const scene_look k_ball_looks[] = {
    {SCENE_STRIPES, {70, 110, 220}, {225, 228, 235}}, /* as filmed */
    {SCENE_STRIPES, {60, 170, 70}, {225, 228, 235}},  /* green */
    {SCENE_DOTS, {190, 40, 40}, {235, 180, 60}},      /* gold */
};

static const double k_block_path[][3] = {{0, 74, 34}, {6, 48, 22}, {12, 24, 40}};
static const scene k_block = {.width = WIDTH,
                              .height = HEIGHT,
                              .seed = 29,
                              .ground = SCENE_STRIPES,
                              .ground_first = {176, 148, 118},
                              .ground_second = {156, 128, 102},
                              .pan = 0.5,
                              .shape = SCENE_SQUARE,
                              .radius = 10,
                              .turn = -0.04,
                              .path = k_block_path,
                              .n_path = 3};
static const scene_look k_block_looks[] = {
    {SCENE_DOTS, {240, 240, 240}, {196, 52, 48}},   /* as filmed */
    {SCENE_CHECKS, {240, 200, 60}, {120, 60, 160}}, /* purple and yellow */
};

static const char k_catalog_head[] =
    "# Made by `reshoot-world formats`: every way to give a source and a mask. The ball is an mp4 "
    "with one\n"
    "# mask image per frame and two edits, one of them with a reference frame; the block is a "
    "folder of\n"
    "# PNG files whose mask is boxes.\n"
    "note: synthetic, made by reshoot-world\n"
    "license: Apache-2.0\n"
    "videos:\n"
    "  - id: ball\n"
    "    source: ball.mp4\n"
    "    mask: ball-masks\n"
    "    prompt: a striped blue ball moves over a checked floor\n"
    "    edits:\n"
    "      - id: green\n"
    "        first_frame: edits/ball-green.png\n"
    "        prompt: a striped green ball moves over a checked floor\n"
    "      - id: gold\n"
    "        first_frame: edits/ball-gold.png\n"
    "        prompt: a golden ball with red dots moves over a checked floor\n"
    "        references:\n"
    "          - {frame: 8, image: edits/ball-gold-8.png}\n"
    "  - id: block\n"
    "    source: block\n"
    "    fps: 8\n"
    "    mask:\n";
static const char k_catalog_tail[] =
    "    prompt: a red square with white dots moves over a striped background\n"
    "    edits:\n"
    "      - id: chequered\n"
    "        first_frame: edits/block-chequered.png\n"
    "        prompt: a purple square with yellow checks moves over a striped background\n";

typedef struct film {
    rs_tensor rgb;  /* (FRAMES, HEIGHT, WIDTH, 3) */
    rs_tensor mask; /* (FRAMES, HEIGHT, WIDTH) */
} film;

static film shoot(rs_arena *a, const scene *s, const scene_look *look)
{
    const size_t pixels = (size_t)WIDTH * HEIGHT;
    uint8_t *rgb = rs_arena_alloc(a, FRAMES * pixels, 3), *mask = rs_arena_alloc(a, FRAMES, pixels);
    for (int64_t t = 0; t < FRAMES; t++)
        scene_draw(rgb + (size_t)t * pixels * 3, mask + (size_t)t * pixels, s, look, t);
    return (film){rs_tensor_of(rgb, RS_DTYPE_U8, RS_SHAPE(FRAMES, HEIGHT, WIDTH, 3)),
                  rs_tensor_of(mask, RS_DTYPE_U8, RS_SHAPE(FRAMES, HEIGHT, WIDTH))};
}

static rs_status write_edit(rs_arena *a, const char *out, const char *name, const scene *s,
                            const scene_look *look, int64_t frame)
{
    uint8_t *rgb = rs_arena_alloc(a, (size_t)WIDTH * HEIGHT, 3);
    scene_draw(rgb, NULL, s, look, frame);
    return rs_image_write_png(rs_arena_printf(a, "%s/edits/%s.png", out, name),
                              rs_tensor_of(rgb, RS_DTYPE_U8, RS_SHAPE(HEIGHT, WIDTH, 3)));
}

static rs_status write_catalog(rs_arena *a, const char *out)
{
    rs_strbuf s = rs_strbuf_on(a);
    rs_strbuf_add(&s, k_catalog_head, strlen(k_catalog_head));
    for (int64_t i = 0; i < k_block.n_path; i++) {
        int64_t box[4], frame = (int64_t)k_block.path[i][0];
        scene_box(box, &k_block, frame);
        rs_strbuf_printf(&s, "      - {frame: %lld, x: %lld, y: %lld, w: %lld, h: %lld}\n",
                         (long long)frame, (long long)box[0], (long long)box[1], (long long)box[2],
                         (long long)box[3]);
    }
    rs_strbuf_add(&s, k_catalog_tail, strlen(k_catalog_tail));
    return rs_write_file_atomic(rs_path_join(a, out, "catalog.yaml"), s.data, s.len);
}

static rs_status write_all(rs_arena *a, const char *out)
{
    const rs_encode_opts codec = {.crf = 8, .preset = "medium"};
    film ball = shoot(a, &k_ball, &k_ball_looks[0]), block = shoot(a, &k_block, &k_block_looks[0]);
    RS_TRY(rs_make_dirs(rs_path_join(a, out, "edits")));
    RS_TRY(rs_video_write(rs_path_join(a, out, "ball.mp4"), ball.rgb, (rs_ratio){FPS, 1}, &codec));
    RS_TRY(rs_frames_write_png(rs_path_join(a, out, "ball-masks"), ball.mask));
    RS_TRY(rs_frames_write_png(rs_path_join(a, out, "block"), block.rgb));
    RS_TRY(write_edit(a, out, "ball-green", &k_ball, &k_ball_looks[1], 0));
    RS_TRY(write_edit(a, out, "ball-gold", &k_ball, &k_ball_looks[2], 0));
    RS_TRY(write_edit(a, out, "ball-gold-8", &k_ball, &k_ball_looks[2], REFERENCE));
    RS_TRY(write_edit(a, out, "block-chequered", &k_block, &k_block_looks[1], 0));
    return write_catalog(a, out);
}

rs_status world_formats(const char *out)
{
    rs_arena *a = rs_arena_create();
    rs_status st = write_all(a, out);
    rs_arena_destroy(&a);
    return st;
}
