/* A comparison for the eyes: one picture per (video, edit), the same frames of every arm below each
 * other. */
#include <string.h>

#include "base/fsio.h"
#include "base/num.h"
#include "job/comparison.h"
#include "media/image.h"
#include "media/sheet.h"
#include "stage/common.h"
#include "store/archive.h"
#include "store/schema_names.h"

/* Tiles fit into a square of TILE pixels. Nine of them are evenly spaced in clips of 9, 17, 49 and
 * 81 frames. */
enum { COLUMNS = 9, TILE = 208 };

typedef struct pair {
    const rs_comparison *c;
    const rs_run *run;
    const rs_catalog_video *video;
    const rs_catalog_edit *edit;
    int64_t k;   /* its place in every arm's outcomes */
    rs_arena *a; /* lifetime of the sheet */
    rs_sheet *sheet;
} pair;

static const rs_outcome *outcome(const pair *p, int64_t arm)
{
    return &p->c->arms[arm].outcomes->items[p->k];
}

/* Only the frames that are shown: an archive may hold hundreds of megabytes. */
static rs_status add_frames(const pair *p, rs_arena *a, const rs_archive *f, const char *label,
                            const char *object)
{
    rs_tensor all, index, one;
    int64_t chosen[COLUMNS], number[COLUMNS];
    RS_TRY(rs_archive_tensor_info(&all, f, object));
    RS_TRY(rs_archive_read_tensor(&index, a, f, RS_GROUP_SOURCE "/" RS_DATA_INDEX));
    if (all.dtype != RS_DTYPE_U8 || all.ndim != 4 || all.shape[3] != 3 || all.shape[0] < 1 ||
        index.dtype != RS_DTYPE_I64 || index.ndim != 1 || index.shape[0] != all.shape[0])
        return RS_FAIL(FORMAT, "%s: %s: not the frames of a clip", rs_archive_path(f), object);
    int64_t n = rs_sheet_choose(chosen, all.shape[0], COLUMNS);
    size_t bytes = rs_tensor_bytes(all) / (size_t)all.shape[0];
    uint8_t *rgb = rs_arena_alloc(a, bytes, (size_t)n);
    for (int64_t i = 0; i < n; i++) {
        RS_TRY(rs_archive_read_slice(&one, a, f, object, chosen[i], chosen[i] + 1));
        memcpy(rgb + (size_t)i * bytes, one.data, bytes);
        number[i] = ((const int64_t *)index.data)[chosen[i]];
    }
    rs_sheet_strip(p->sheet, label,
                   rs_tensor_of(rgb, RS_DTYPE_U8, RS_SHAPE(n, all.shape[1], all.shape[2], 3)),
                   number);
    return RS_OK;
}

/* Source and truth as an arm has read them, f: its archive. */
static rs_status add_given(const pair *p, rs_arena *a, int64_t arm, const rs_archive *f)
{
    const rs_catalog_path *truth = &p->edit->truth;
    rs_run run = {.cfg = p->c->arms[arm].arm->cfg, .catalog = p->run->catalog};
    rs_job job = {.video = p->video, .edit = p->edit};
    rs_clip clip;
    RS_TRY(add_frames(p, a, f, "source", RS_GROUP_SOURCE "/" RS_DATA_FRAMES));
    if (!truth->path)
        return RS_OK;
    RS_TRY(rs_stage_load_clip(&clip, a, &run, &job, truth));
    rs_sheet_strip(p->sheet, "truth", clip.rgb, clip.index);
    return RS_OK;
}

static rs_status add_edited(const pair *p, rs_arena *a, int64_t arm, const rs_archive *f)
{
    return add_frames(p, a, f, p->c->arms[arm].arm->name,
                      rs_arena_printf(a, RS_GROUP_EDITS "/%s/" RS_DATA_FRAMES, p->edit->id));
}

typedef rs_status strips(const pair *p, rs_arena *a, int64_t arm, const rs_archive *f);

/* With the archive of an arm that has a result. */
static rs_status add_strips(const pair *p, int64_t arm, strips *add)
{
    rs_arena *a = rs_arena_create();
    rs_archive *f = NULL;
    rs_status st = rs_archive_open(&f, outcome(p, arm)->archive);
    if (st == RS_OK)
        st = add(p, a, arm, f);
    rs_archive_close(&f);
    rs_arena_destroy(&a);
    return st;
}

/* The widest tile that fits, for the shape of the clip. */
static int64_t tile_width(const rs_config *cfg)
{
    int64_t w = cfg->clip.width, h = cfg->clip.height;
    return w >= h ? TILE : rs_max_i64(1, TILE * w / h);
}

static rs_status make_sheet(pair *p)
{
    int64_t n = p->c->n_arms, first = 0;
    p->sheet = rs_sheet_create(p->a, COLUMNS, tile_width(p->c->arms[0].arm->cfg));
    rs_sheet_text(p->sheet,
                  rs_arena_printf(p->a, "%s / %s / %s", p->c->name, p->video->id, p->edit->id));
    while (first < n && outcome(p, first)->status != RS_OK)
        first++;
    if (first < n) /* arms may differ in how they read the clip: one of them has to do */
        RS_TRY(add_strips(p, first, add_given));
    for (int64_t i = 0; i < n; i++) {
        const rs_outcome *o = outcome(p, i);
        if (o->status == RS_OK)
            RS_TRY(add_strips(p, i, add_edited));
        else
            rs_sheet_text(p->sheet, rs_arena_printf(p->a, "%s: failed: %s", p->c->arms[i].arm->name,
                                                    o->reason));
    }
    return RS_OK;
}

/* What is there already, damaged or not, is compared by its pixels. */
static rs_status write_changed(const char *path, rs_arena *a, rs_tensor picture)
{
    rs_tensor have;
    bool same = rs_path_exists(path) && rs_image_load(&have, a, path) == RS_OK &&
                rs_tensor_same_shape(have, picture) &&
                memcmp(have.data, picture.data, rs_tensor_bytes(picture)) == 0;
    rs_error_clear();
    return same ? RS_OK : rs_image_write_png(path, picture);
}

static rs_status write_pair(const char *folder, pair *p)
{
    rs_status st = RS_OK;
    p->a = rs_arena_create();
    const char *name = rs_arena_printf(p->a, "%s@%s.png", p->video->id, p->edit->id);
    RS_TRY_OUT(make_sheet(p));
    st = write_changed(rs_path_join(p->a, folder, name), p->a, rs_sheet_render(p->a, p->sheet));
out:
    rs_arena_destroy(&p->a);
    return st;
}

rs_status rs_comparison_sheets(const char *folder, const rs_run *run, const rs_comparison *c)
{
    pair p = {.c = c, .run = run};
    RS_TRY(rs_make_dirs(folder));
    RS_TRY(rs_atomic_sweep(folder, NULL));
    for (int64_t i = 0; i < run->catalog->n_videos; i++) {
        p.video = &run->catalog->videos[i];
        for (int64_t e = 0; e < p.video->n_edits; e++, p.k++) {
            p.edit = &p.video->edits[e];
            RS_ASSERT(p.k < c->n_pairs);
            RS_TRY(write_pair(folder, &p));
        }
    }
    return RS_OK;
}
