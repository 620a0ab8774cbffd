/* Real footage through the whole road with few steps, and what must hold whatever the model. */
#ifndef RS_TESTS_REAL_FOOTAGE_H
#define RS_TESTS_REAL_FOOTAGE_H

#include <string.h>

#include "base/fsio.h"
#include "harness/test.h"
#include "store/archive.h"

static inline char *in(const char *dir, const char *name)
{
    return rs_path_join(t_arena(), dir, name);
}

/* Makes the catalog with `command` ("car-shadow DATA"), runs the experiment, returns its output
 * folder. */
static inline const char *run(const char *config, const char *command)
{
    const char *dir = t_tmpdir();
    char *out;
    T_CHECKF(t_shell(&out, T_BIN "/reshoot-world %s %s/catalog", command, dir) == 0, "%s", out);
    T_CHECKF(t_shell(&out,
                     T_BIN "/reshoot-world model --preset tiny %s/model " T_SRC
                           "/datasets/smallmodel/tokenizer",
                     dir) == 0,
             "%s", out);
    int rc = t_reshoot(&out,
                       "run " T_SRC
                       "/configs/%s.yaml --set output=%s/run --set catalog=%s/catalog/catalog.yaml "
                       "--set model.path=%s/model --set motion.steps=3 --set appearance.steps=3 "
                       "--set edit.steps=2 "
                       "--set edit.paste_back=true --set edit.feather=0",
                       config, dir, dir, dir);
    T_CHECKF(rc == 0, "%s", out);
    return in(dir, "run");
}

static inline rs_tensor read(rs_archive *f, const char *object)
{
    rs_tensor t;
    T_OK(rs_archive_read_tensor(&t, t_arena(), f, object));
    return t;
}

/* What ingest must have made of the footage, and what paste-back guarantees whatever the model: the
 * kept pixels of the result are the source's. */
static inline void check_archive(const char *path, const char *edit)
{
    rs_archive *f;
    T_OK(rs_archive_open(&f, path));
    rs_tensor frames = read(f, "/source/frames"), mask = read(f, "/source/mask");
    rs_tensor edited = read(f, rs_arena_printf(t_arena(), "/edits/%s/frames", edit));
    rs_tensor y = read(f, "/condition/y");
    T_EQ_I(frames.shape[0], 13);
    T_EQ_I(frames.shape[1], 112);
    T_EQ_I(frames.shape[2], 208);
    T_CHECK(rs_tensor_same_shape(frames, edited));
    T_EQ_I(y.shape[0], 20);
    T_EQ_I(y.shape[1], 4);
    int64_t pixels = rs_tensor_count(mask), inside = 0, changed = 0;
    const uint8_t *m = mask.data, *a = frames.data, *b = edited.data;
    for (int64_t i = 0; i < pixels; i++) {
        inside += m[i] == 255;
        T_CHECK(m[i] == 0 || m[i] == 255);
        if (m[i] == 0)
            T_CHECKF(memcmp(a + 3 * i, b + 3 * i, 3) == 0, "kept pixel %lld changed", (long long)i);
        else
            changed += memcmp(a + 3 * i, b + 3 * i, 3) != 0;
    }
    T_CHECKF(inside > pixels / 200 && inside < pixels / 2, "%lld of %lld pixels are edited",
             (long long)inside, (long long)pixels);
    T_CHECK(changed > inside / 2);
    /* first latent frame is kept everywhere, later ones have cells to generate */
    const float *keep = rs_f32(y);
    int64_t cells = y.shape[2] * y.shape[3], generate = 0;
    for (int64_t i = 0; i < cells; i++)
        T_CHECK(keep[i] == 1.0f);
    for (int64_t i = cells; i < 4 * cells; i++)
        generate += keep[i] == 0.0f;
    T_CHECK(generate > 0);
    rs_archive_close(&f);
}

#endif
