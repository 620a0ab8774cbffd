// media: pixel formats, orientation, and files that cannot be read.
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fsio.h"
#include "harness/test.h"
#include "media/encode.h"
#include "media/image.h"
#include "media/mask.h"

/* A PNG written here, so that every colour type and depth can be made: stored deflate blocks, no
 * filter. */
typedef struct png {
    uint8_t bytes[4096];
    size_t n;
} png;

static void put(png *p, const void *data, size_t n)
{
    T_CHECK(p->n + n <= sizeof p->bytes);
    memcpy(p->bytes + p->n, data, n);
    p->n += n;
}

static void put32(png *p, uint32_t v)
{
    const uint8_t b[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
    put(p, b, 4);
}

static uint32_t crc32_of(const uint8_t *s, size_t n)
{
    uint32_t c = 0xFFFFFFFFu;
    for (size_t i = 0; i < n; i++) {
        c ^= s[i];
        for (int k = 0; k < 8; k++)
            c = c & 1 ? c >> 1 ^ 0xEDB88320u : c >> 1;
    }
    return ~c;
}

static void put_chunk(png *p, const char *type, const void *data, size_t n)
{
    put32(p, (uint32_t)n);
    size_t at = p->n;
    put(p, type, 4);
    put(p, data, n);
    put32(p, crc32_of(p->bytes + at, n + 4));
}

/* rows: h rows of row_bytes packed samples (big endian above 8 bits). palette: RGB triples or NULL.
 */
static const char *write_png(const char *name, int w, int h, int depth, int colour,
                             const uint8_t *rows, size_t row_bytes, const uint8_t *palette,
                             size_t palette_bytes, const uint8_t *trns, size_t trns_bytes)
{
    png p = {.n = 0};
    uint8_t header[13] = {0, 0, 0,          (uint8_t)w,     0,
                          0, 0, (uint8_t)h, (uint8_t)depth, (uint8_t)colour};
    put(&p, "\x89PNG\r\n\x1a\n", 8);
    put_chunk(&p, "IHDR", header, 13);
    if (palette)
        put_chunk(&p, "PLTE", palette, palette_bytes);
    if (trns)
        put_chunk(&p, "tRNS", trns, trns_bytes);
    uint8_t z[2048] = {0x78, 0x01, 0x01};
    size_t raw = (size_t)h * (row_bytes + 1), at = 7;
    T_CHECK(raw + 11 <= sizeof z);
    z[3] = (uint8_t)raw;
    z[4] = (uint8_t)(raw >> 8);
    z[5] = (uint8_t)~z[3];
    z[6] = (uint8_t)~z[4];
    uint32_t a = 1, b = 0;
    for (int y = 0; y < h; y++) {
        z[at++] = 0;
        memcpy(z + at, rows + (size_t)y * row_bytes, row_bytes);
        at += row_bytes;
    }
    for (size_t i = 7; i < at; i++) {
        a = (a + z[i]) % 65521;
        b = (b + a) % 65521;
    }
    const uint8_t sum[4] = {(uint8_t)(b >> 8), (uint8_t)b, (uint8_t)(a >> 8), (uint8_t)a};
    memcpy(z + at, sum, 4);
    put_chunk(&p, "IDAT", z, at + 4);
    put_chunk(&p, "IEND", "", 0);
    const char *path = rs_path_join(t_arena(), t_tmpdir(), name);
    T_OK(rs_write_file_atomic(path, p.bytes, p.n));
    return path;
}

static void check_rgb(const char *path, int64_t h, int64_t w, const uint8_t *want)
{
    rs_tensor t;
    T_OK(rs_image_load(&t, t_arena(), path));
    T_EQ_I(t.ndim, 3);
    T_EQ_I(t.shape[0], h);
    T_EQ_I(t.shape[1], w);
    T_EQ_I(t.shape[2], 3);
    const uint8_t *got = t.data;
    for (int64_t i = 0; i < h * w * 3; i++)
        T_CHECKF(got[i] == want[i], "%s: byte %lld is %d, want %d", path, (long long)i, got[i],
                 want[i]);
}

static void t_png_colour_types(void)
{
    const uint8_t rgb[] = {255, 0, 0, 1, 2, 3, 10, 20, 30, 250, 251, 252};
    check_rgb(write_png("rgb.png", 2, 2, 8, 2, rgb, 6, NULL, 0, NULL, 0), 2, 2, rgb);
    const uint8_t rgba[] = {255, 0, 0, 255, 1, 2, 3, 0, 10, 20, 30, 128, 250, 251, 252, 1};
    check_rgb(write_png("rgba.png", 2, 2, 8, 6, rgba, 8, NULL, 0, NULL, 0), 2, 2, rgb);
    const uint8_t grey[] = {0, 77, 200, 255};
    const uint8_t grey_rgb[] = {0, 0, 0, 77, 77, 77, 200, 200, 200, 255, 255, 255};
    check_rgb(write_png("grey.png", 2, 2, 8, 0, grey, 2, NULL, 0, NULL, 0), 2, 2, grey_rgb);
    const uint8_t grey_alpha[] = {0, 9, 77, 0, 200, 255, 255, 1};
    check_rgb(write_png("ga.png", 2, 2, 8, 4, grey_alpha, 4, NULL, 0, NULL, 0), 2, 2, grey_rgb);
    const uint8_t index[] = {1, 0, 2, 3};
    const uint8_t palette[] = {1, 2, 3, 255, 0, 0, 10, 20, 30, 250, 251, 252};
    check_rgb(write_png("pal.png", 2, 2, 8, 3, index, 2, palette, 12, NULL, 0), 2, 2, rgb);
    check_rgb(write_png("palt.png", 2, 2, 8, 3, index, 2, palette, 12, (uint8_t[]){0, 255, 9}, 3),
              2, 2, rgb);
    const uint8_t bits[] = {0x80, 0x40};
    const uint8_t bits_rgb[] = {255, 255, 255, 0, 0, 0, 0, 0, 0, 255, 255, 255};
    check_rgb(write_png("bits.png", 2, 2, 1, 0, bits, 1, NULL, 0, NULL, 0), 2, 2, bits_rgb);
}

/* 16 bits keep their upper half, within the rounding of a level. */
static void t_png_16_bit(void)
{
    const uint8_t grey[] = {0, 0, 77, 0x10, 200, 0x80, 255, 255};
    const uint8_t rgb[] = {255, 255, 0, 0, 128, 0, 1, 5, 2, 5, 250, 5};
    rs_tensor t;
    T_OK(
        rs_image_load(&t, t_arena(), write_png("g16.png", 2, 2, 16, 0, grey, 4, NULL, 0, NULL, 0)));
    const uint8_t *got = t.data;
    for (int i = 0; i < 4; i++)
        for (int c = 0; c < 3; c++)
            T_NEAR(got[i * 3 + c], grey[2 * i], 1);
    T_OK(rs_image_load(&t, t_arena(),
                       write_png("rgb16.png", 2, 1, 16, 2, rgb, 12, NULL, 0, NULL, 0)));
    got = t.data;
    for (int i = 0; i < 6; i++)
        T_NEAR(got[i], rgb[2 * i], 1);
}

/* An 16x8 grey ramp, dark on the left, with the EXIF tag "turn 90 degrees clockwise". */
static const uint8_t k_turned_jpeg[] = {
    0xff, 0xd8, 0xff, 0xe0, 0x00, 0x10, 0x4a, 0x46, 0x49, 0x46, 0x00, 0x01, 0x01, 0x00, 0x00, 0x01,
    0x00, 0x01, 0x00, 0x00, 0xff, 0xe1, 0x00, 0x22, 0x45, 0x78, 0x69, 0x66, 0x00, 0x00, 0x4d, 0x4d,
    0x00, 0x2a, 0x00, 0x00, 0x00, 0x08, 0x00, 0x01, 0x01, 0x12, 0x00, 0x03, 0x00, 0x00, 0x00, 0x01,
    0x00, 0x06, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0xdb, 0x00, 0x43, 0x00, 0x0d, 0x09, 0x0a,
    0x0b, 0x0a, 0x08, 0x0d, 0x0b, 0x0a, 0x0b, 0x0e, 0x0e, 0x0d, 0x0f, 0x13, 0x20, 0x15, 0x13, 0x12,
    0x12, 0x13, 0x27, 0x1c, 0x1e, 0x17, 0x20, 0x2e, 0x29, 0x31, 0x30, 0x2e, 0x29, 0x2d, 0x2c, 0x33,
    0x3a, 0x4a, 0x3e, 0x33, 0x36, 0x46, 0x37, 0x2c, 0x2d, 0x40, 0x57, 0x41, 0x46, 0x4c, 0x4e, 0x52,
    0x53, 0x52, 0x32, 0x3e, 0x5a, 0x61, 0x5a, 0x50, 0x60, 0x4a, 0x51, 0x52, 0x4f, 0xff, 0xc0, 0x00,
    0x0b, 0x08, 0x00, 0x08, 0x00, 0x10, 0x01, 0x01, 0x11, 0x00, 0xff, 0xc4, 0x00, 0x15, 0x00, 0x01,
    0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x06,
    0x07, 0xff, 0xc4, 0x00, 0x16, 0x10, 0x00, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x06, 0x42, 0xff, 0xda, 0x00, 0x08, 0x01, 0x01, 0x00,
    0x00, 0x3f, 0x00, 0x2a, 0xbb, 0x05, 0x51, 0x76, 0x0f, 0xff, 0xd9};

static void t_exif_orientation_is_applied(void)
{
    const char *path =
        rs_path_join(t_arena(), t_tmpdir(), "a%03d*?.jpg"); /* a name, not a pattern */
    T_OK(rs_write_file_atomic(path, k_turned_jpeg, sizeof k_turned_jpeg));
    rs_tensor t;
    T_OK(rs_image_load(&t, t_arena(), path));
    T_EQ_I(t.shape[0], 16);
    T_EQ_I(t.shape[1], 8);
    const uint8_t *p = t.data;
    T_CHECK(p[0] < 20 && p[7 * 3] < 20 && p[15 * 8 * 3] > 235 && p[(16 * 8 - 1) * 3] > 235);
}

/* Frames whose first row is bright, then each display matrix written over the one in the file. */
static void t_mp4_display_matrix_is_applied(void)
{
    static const struct {
        int a, b, c, d;
        int64_t w, h, x, y; /* where the bright corner of the upright picture lies */
    } rows[] = {
        {1, 0, 0, 1, 32, 16, 0, 0},   {0, 1, -1, 0, 16, 32, 15, 0}, {-1, 0, 0, -1, 32, 16, 31, 15},
        {0, -1, 1, 0, 16, 32, 0, 31}, {-1, 0, 0, 1, 32, 16, 31, 0},
    };
    rs_tensor v = rs_tensor_of(rs_arena_alloc(t_arena(), 16 * 32 * 3, 1), RS_DTYPE_U8,
                               RS_SHAPE(1, 16, 32, 3));
    for (int y = 0; y < 6; y++)
        memset((uint8_t *)v.data + y * 96, 255, 18);
    const char *path = rs_path_join(t_arena(), t_tmpdir(), "turn.mp4");
    rs_encode_opts e = RS_ENCODE_OPTS_DEFAULT;
    T_OK(rs_video_write(path, v, (rs_ratio){10, 1}, &e));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *data;
        size_t n;
        T_OK(rs_read_file(&data, &n, t_arena(), path));
        char *tkhd = memmem(data, n, "tkhd", 4);
        T_CHECK(tkhd);
        const int m[4] = {rows[i].a, rows[i].b, rows[i].c, rows[i].d};
        static const int at[4] = {44, 48, 56, 60};
        for (int k = 0; k < 4; k++) { /* 16.16, big endian */
            uint32_t fixed = (uint32_t)m[k] << 16;
            for (int b = 0; b < 4; b++)
                tkhd[at[k] + b] = (char)(fixed >> (24 - 8 * b));
        }
        T_OK(rs_write_file_atomic(path, data, n));
        rs_tensor t;
        T_OK(rs_image_load(&t, t_arena(), path));
        T_EQ_I(t.shape[1], rows[i].w);
        T_EQ_I(t.shape[0], rows[i].h);
        const uint8_t *p = t.data;
        int64_t bright = 0;
        for (int64_t k = 0; k < 16 * 32; k++)
            bright += p[k * 3] > 128;
        T_CHECK(bright > 24 && bright < 50);
        T_CHECK(p[(rows[i].y * rows[i].w + rows[i].x) * 3] > 200);
    }
}

static rs_status load(const char *path, bool strict)
{
    rs_clip c;
    rs_clip_opts o = {.frames = 5, .width = 32, .height = 32, .strict = strict};
    return rs_clip_load(&c, t_arena(), path, &o);
}

static const char *file(const char *name, const void *data, size_t n)
{
    const char *path = rs_path_join(t_arena(), t_tmpdir(), name);
    T_OK(rs_make_dirs(rs_path_dirname(t_arena(), path)));
    T_OK(rs_write_file_atomic(path, data, n));
    return path;
}

static rs_tensor noise(int64_t frames, int64_t h, int64_t w)
{
    rs_tensor t = rs_tensor_of(rs_arena_alloc(t_arena(), (size_t)(frames * h * w * 3), 1),
                               RS_DTYPE_U8, RS_SHAPE(frames, h, w, 3));
    uint32_t x = 1;
    for (int64_t i = 0; i < rs_tensor_count(t); i++) {
        x = x * 1664525u + 1013904223u;
        ((uint8_t *)t.data)[i] = (uint8_t)(x >> 24);
    }
    return t;
}

static void t_bad_files_are_named(void)
{
    T_FAILS(load("/nowhere/a.mp4", false), INPUT, "/nowhere/a.mp4: no such file or folder");
    T_FAILS(load(file("empty.mp4", "", 0), false), INPUT, "empty.mp4: file is empty");
    const char *text = "videos:\n  - id: a\n    source: this is text and not a video at all\n";
    T_FAILS(load(file("text.mp4", text, strlen(text)), false), INPUT, "text.mp4: not a video");
    T_FAILS(load(file("text.txt", text, strlen(text)), false), INPUT, "text.txt: not a video");
    T_FAILS(load(rs_path_dirname(t_arena(), file("e/readme.md", "x", 1)), false), INPUT,
            "/e: no images in this folder (1 other files)");
    T_FAILS(load(rs_path_dirname(t_arena(), file("g/0.png", text, strlen(text))), false), INPUT,
            "/g/0.png: not a video or image");
    rs_tensor t;
    T_FAILS(rs_image_load(&t, t_arena(), t_tmpdir()), INPUT,
            "an image is wanted, this is a folder");
    char wav[44 + 800] = "RIFF....WAVEfmt \x10\0\0\0\1\0\1\0@\x1f\0\0@\x1f\0\0\1\0\x08\0data";
    wav[4] = 36, wav[5] = 3, wav[6] = wav[7] = 0, wav[40] = 0x20, wav[41] = 3;
    T_FAILS(load(file("sound.wav", wav, sizeof wav), false), INPUT, "sound.wav: no video stream");
}

/* A playlist may name other files, here one that can be read: only the file itself is ever opened.
 */
static void t_playlists_cannot_reach_other_files(void)
{
    const char *other = rs_path_join(t_arena(), t_tmpdir(), "other.mp4");
    rs_encode_opts e = RS_ENCODE_OPTS_DEFAULT;
    T_OK(rs_video_write(other, noise(5, 64, 64), (rs_ratio){10, 1}, &e));
    T_OK(load(other, false));
    const char *list = rs_arena_printf(t_arena(),
                                       "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:%s\n"
                                       "#EXT-X-ENDLIST\n",
                                       other);
    T_FAILS(load(file("list.m3u8", list, strlen(list)), false), INPUT, "list.m3u8: ");
    list = rs_arena_printf(t_arena(), "ffconcat version 1.0\nfile other.mp4\n");
    file("list.txt", list, strlen(list));
    char here[4096];
    T_CHECK(getcwd(here, sizeof here) &&
            chdir(t_tmpdir()) == 0); /* its names are relative to there */
    rs_status st = load("list.txt", false);
    T_CHECK(chdir(here) == 0);
    T_FAILS(st, INPUT, "list.txt: ");
}

static void t_truncated_files_are_named(void)
{
    const char *whole = rs_path_join(t_arena(), t_tmpdir(), "whole.mp4");
    rs_encode_opts e = RS_ENCODE_OPTS_DEFAULT;
    T_OK(rs_video_write(whole, noise(9, 64, 64), (rs_ratio){10, 1}, &e));
    T_OK(load(whole, false));
    char *data;
    size_t n;
    T_OK(rs_read_file(&data, &n, t_arena(), whole));
    T_FAILS(load(file("cut.mp4", data, n / 2), false), INPUT,
            "cut.mp4: damaged or truncated at fr");
    T_FAILS(load(file("head.mp4", data, 200), false), INPUT, "head.mp4: ");
    memset(data + n / 2, 0xFF, n - n / 2); /* the index in front stays whole */
    T_FAILS(load(file("holes.mp4", data, n), false), INPUT, "holes.mp4: cannot decode frame ");
    T_OK(rs_image_write_png(file("f.png", "", 0),
                            rs_tensor_reshape(noise(1, 64, 64), RS_SHAPE(64, 64, 3))));
    T_OK(rs_read_file(&data, &n, t_arena(), rs_path_join(t_arena(), t_tmpdir(), "f.png")));
    T_FAILS(load(file("cut.png", data, n / 2), false), INPUT, "cut.png: cannot decode frame 0");
    data[n / 2] ^= 1; /* one bit: the chunk's checksum tells */
    T_FAILS(load(file("bit.png", data, n), false), INPUT, "bit.png: cannot decode frame 0");
    T_FAILS(load(file("cut.jpg", k_turned_jpeg, sizeof k_turned_jpeg - 40), false), INPUT,
            "cut.jpg: cannot decode frame 0");
}

static void t_folders_hold_one_size(void)
{
    const char *folder = rs_path_join(t_arena(), t_tmpdir(), "f");
    T_OK(rs_frames_write_png(folder, noise(4, 16, 16)));
    T_OK(rs_image_write_png(rs_path_join(t_arena(), folder, "00004.png"),
                            rs_tensor_reshape(noise(1, 16, 18), RS_SHAPE(16, 18, 3))));
    T_FAILS(load(folder, false), INPUT, "00004.png: frame 4 is 18x16 but frame 0 is 16x16");
}

static void t_frame_counts_are_4n1(void)
{
    const char *folder = rs_path_join(t_arena(), t_tmpdir(), "f");
    T_OK(rs_frames_write_png(folder, noise(4, 16, 16)));
    T_FAILS(load(folder, true), INPUT, "has 4 frames; 5 wanted, and the count must be 4n+1");
    rs_clip c;
    rs_clip_opts o = {.frames = 5, .width = 32, .height = 32};
    T_OK(rs_clip_load(&c, t_arena(), folder, &o));
    T_EQ_I(c.rgb.shape[0], 1);
    T_EQ_I(c.source_frames, 4);
}

static void t_edited_frames_must_fit_the_clip(void)
{
    rs_fit f = rs_fit_plan(40, 24, 32, 16);
    rs_tensor t;
    const char *path = rs_path_join(t_arena(), t_tmpdir(), "e.png");
    T_OK(rs_image_write_png(path, rs_tensor_reshape(noise(1, 16, 32), RS_SHAPE(16, 32, 3))));
    T_OK(rs_image_load_fit(&t, t_arena(), path, &f));
    T_EQ_I(t.shape[1], 32);
    rs_tensor full = rs_tensor_reshape(noise(1, 24, 40), RS_SHAPE(24, 40, 3));
    T_OK(rs_image_write_png(path, full));
    T_OK(rs_image_load_fit(&t, t_arena(), path, &f));
    T_EQ_I(t.shape[0], 16);
    T_EQ_I(t.shape[1], 32);
    uint8_t want[16 * 32 * 3];
    rs_fit_bilinear(want, t_arena(), full.data, 3, &f);
    T_CHECK(memcmp(t.data, want, sizeof want) == 0);
    T_OK(rs_image_write_png(path, rs_tensor_reshape(noise(1, 16, 30), RS_SHAPE(16, 30, 3))));
    T_FAILS(rs_image_load_fit(&t, t_arena(), path, &f), INPUT,
            "e.png: is 30x16; wanted 32x16 (the clip) or 40x24 (its source)");
}

static const rs_test_case k_cases[] = {
    T_CASE(t_png_colour_types),
    T_CASE(t_png_16_bit),
    T_CASE(t_exif_orientation_is_applied),
    T_CASE(t_mp4_display_matrix_is_applied),
    T_CASE(t_bad_files_are_named),
    T_CASE(t_playlists_cannot_reach_other_files),
    T_CASE(t_truncated_files_are_named),
    T_CASE(t_folders_hold_one_size),
    T_CASE(t_frame_counts_are_4n1),
    T_CASE(t_edited_frames_must_fit_the_clip),
};

RS_TEST_MAIN(k_cases)
