#include "config/catalog.h"

#include <stdlib.h>
#include <string.h>

#include "base/fsio.h"
#include "config/tree_priv.h"

/* Aliases can make a short file stand for a huge catalog: stop counting there. */
enum { ENTRIES_MAX = 100000, PIXEL_MAX = 65535, FRAME_MAX = 10000000, CLIP_MAX = 401 };

typedef struct reader {
    rs_yctx c;
    const char *root;
    int64_t entries;
} reader;

static const char *where_text(reader *r, const rs_ynode *n)
{
    return rs_where_text(r->c.arena, rs_ywhere(&r->c, n));
}

static void problem(reader *r, const rs_ynode *n, const char *path, const char *message)
{
    rs_problems_add(r->c.problems, rs_ywhere(&r->c, n), path, "%s", message);
}

/* "videos[3].edits" + "id" -> "videos[3].edits.id" */
static const char *join(reader *r, const char *path, const char *key)
{
    return rs_arena_printf(r->c.arena, "%s.%s", path, key);
}

static const char *item_path(reader *r, const char *path, int64_t i)
{
    return rs_arena_printf(r->c.arena, "%s[%lld]", path, (long long)i);
}

/* False when the catalog is over its size limit. */
static bool count_entry(reader *r, const rs_ynode *n)
{
    if (++r->entries == ENTRIES_MAX)
        rs_problems_add(r->c.problems, rs_ywhere(&r->c, n), NULL, "more than %d entries",
                        ENTRIES_MAX);
    return r->entries < ENTRIES_MAX;
}

static bool is_list(reader *r, const rs_ynode *n, const char *path, const char *what)
{
    if (n && n->kind == RS_Y_LIST && n->n > 0)
        return true;
    rs_problems_add(r->c.problems, rs_ywhere(&r->c, n), path, "expected a list of %s, found %s",
                    what, n && n->kind == RS_Y_LIST ? "an empty one" : rs_ydescribe(&r->c, n));
    return false;
}

/* A required key: false (and a problem at `owner`) when it is missing. */
static bool given(reader *r, const rs_ynode *n, const rs_ynode *owner, const char *path,
                  const char *key)
{
    if (!n)
        problem(r, owner, join(r, path, key), "is required");
    return n != NULL;
}

static const char *read_id(reader *r, const rs_ynode *n, const rs_ynode *owner, const char *path)
{
    const char *id = "";
    if (given(r, n, owner, path, "id"))
        (void)rs_yread_id(&r->c, n, join(r, path, "id"), &id);
    return id;
}

/* A prompt or note: any text; "" when left out and optional. */
static const char *read_text(reader *r, const rs_ynode *n, const char *path, const char *key)
{
    const char *text = "";
    if (n)
        (void)rs_yread_text(&r->c, n, join(r, path, key), &text);
    return text;
}

static rs_catalog_path read_path(reader *r, const rs_ynode *n, const rs_ynode *owner,
                                 const char *path, const char *key)
{
    rs_catalog_path out = {"", where_text(r, n ? n : owner)};
    const char *text;
    if (!given(r, n, owner, path, key) || !rs_yread_text(&r->c, n, join(r, path, key), &text))
        return out;
    if (*text == 0)
        problem(r, n, join(r, path, key), "the path is empty");
    else
        out.path = rs_path_join(r->c.arena, r->root, text);
    return out;
}

static void read_box(reader *r, rs_catalog_box *box, const rs_ynode *n, const char *path)
{
    static const char *const names[] = {"frame", "x", "y", "w", "h"};
    enum { FRAME, X, Y, W, H, N };
    const int64_t least[N] = {0, 0, 0, 1, 1};
    const int64_t most[N] = {FRAME_MAX, PIXEL_MAX, PIXEL_MAX, PIXEL_MAX, PIXEL_MAX};
    int64_t *const fields[N] = {&box->frame, &box->x, &box->y, &box->w, &box->h};
    const rs_ynode *v[N];
    if (!rs_ymap_pick(&r->c, n, path, names, N, v, NULL))
        return;
    for (int i = 0; i < N; i++)
        if (given(r, v[i], n, path, names[i]))
            (void)rs_yread_int(&r->c, v[i], join(r, path, names[i]), least[i], most[i], fields[i]);
}

static void read_boxes(reader *r, rs_catalog_video *video, const rs_ynode *n, const char *path)
{
    if (!is_list(r, n, path, "boxes"))
        return;
    rs_catalog_box *boxes = RS_NEW(r->c.arena, rs_catalog_box, n->n);
    for (int64_t i = 0; i < n->n && count_entry(r, n->items[i]); i++) {
        int64_t before = rs_problems_count(r->c.problems);
        read_box(r, &boxes[i], n->items[i], item_path(r, path, i));
        if (i > 0 && before == rs_problems_count(r->c.problems) &&
            boxes[i].frame <= boxes[i - 1].frame)
            rs_problems_add(r->c.problems, rs_ywhere(&r->c, n->items[i]), item_path(r, path, i),
                            "frame %lld does not come after frame %lld", (long long)boxes[i].frame,
                            (long long)boxes[i - 1].frame);
    }
    video->boxes = boxes;
    video->n_boxes = n->n;
}

static void read_mask(reader *r, rs_catalog_video *video, const rs_ynode *n, const rs_ynode *owner,
                      const char *path)
{
    static const char *const names[] = {"boxes"};
    const char *mask = join(r, path, "mask");
    video->mask.where = where_text(r, n ? n : owner);
    if (n && n->kind == RS_Y_LIST) {
        read_boxes(r, video, n, mask);
    } else if (n && n->kind == RS_Y_MAP) {
        const rs_ynode *boxes;
        if (rs_ymap_pick(&r->c, n, mask, names, 1, &boxes, NULL) &&
            given(r, boxes, n, mask, "boxes"))
            read_boxes(r, video, boxes, join(r, mask, "boxes"));
    } else {
        video->mask = read_path(r, n, owner, path, "mask");
    }
}

static void read_reference(reader *r, rs_catalog_reference *out, const rs_ynode *n,
                           const char *edit_prompt, const char *path)
{
    static const char *const names[] = {"frame", "image", "prompt"};
    enum { FRAME, IMAGE, PROMPT, N };
    const rs_ynode *v[N];
    out->where = where_text(r, n);
    out->frame = -1;
    if (!rs_ymap_pick(&r->c, n, path, names, N, v, NULL))
        return;
    if (given(r, v[FRAME], n, path, "frame"))
        (void)rs_yread_int(&r->c, v[FRAME], join(r, path, "frame"), 0, CLIP_MAX - 1, &out->frame);
    out->image = read_path(r, v[IMAGE], n, path, "image");
    out->prompt = v[PROMPT] ? read_text(r, v[PROMPT], path, "prompt") : edit_prompt;
}

static void read_references(reader *r, rs_catalog_edit *edit, const rs_ynode *n, const char *path)
{
    if (rs_ynull(n) || !is_list(r, n, path, "references"))
        return;
    rs_catalog_reference *list = RS_NEW(r->c.arena, rs_catalog_reference, n->n);
    bool seen[CLIP_MAX] = {false};
    int64_t read = 0;
    for (; read < n->n && count_entry(r, n->items[read]); read++) {
        const char *item = item_path(r, path, read);
        read_reference(r, &list[read], n->items[read], edit->prompt, item);
        int64_t frame = list[read].frame;
        if (frame >= 0 && seen[frame])
            rs_problems_add(r->c.problems, rs_ywhere(&r->c, n->items[read]), item,
                            "frame %lld has a reference already", (long long)frame);
        if (frame >= 0)
            seen[frame] = true;
    }
    edit->references = list;
    edit->n_references = read;
}

static void read_edit(reader *r, rs_catalog_edit *out, const rs_ynode *n, const char *path)
{
    static const char *const names[] = {"id",         "first_frame", "prompt",
                                        "references", "seed",        "truth"};
    enum { ID, FIRST_FRAME, PROMPT, REFERENCES, SEED, TRUTH, N };
    const rs_ynode *v[N];
    out->where = where_text(r, n);
    out->id = "";
    out->seed = -1;
    if (!rs_ymap_pick(&r->c, n, path, names, N, v, NULL))
        return;
    out->id = read_id(r, v[ID], n, path);
    out->first_frame = read_path(r, v[FIRST_FRAME], n, path, "first_frame");
    (void)given(r, v[PROMPT], n, path, "prompt");
    out->prompt = read_text(r, v[PROMPT], path, "prompt");
    read_references(r, out, v[REFERENCES], join(r, path, "references"));
    if (v[SEED])
        (void)rs_yread_int(&r->c, v[SEED], join(r, path, "seed"), 0, INT64_MAX, &out->seed);
    if (v[TRUTH])
        out->truth = read_path(r, v[TRUTH], n, path, "truth");
}

typedef struct named {
    const char *id;
    const rs_ynode *node;
    int64_t index;
} named;

static int compare_named(const void *a, const void *b)
{
    const named *x = a, *y = b;
    int c = strcmp(x->id, y->id);
    return c ? c : (x->index > y->index) - (x->index < y->index);
}

/* Report every id that an earlier entry of the list has. "" marks ids that were wrong already. */
static void check_unique(reader *r, named *list, int64_t n, const char *path)
{
    qsort(list, (size_t)n, sizeof *list, compare_named);
    for (int64_t i = 1; i < n; i++)
        if (*list[i].id && strcmp(list[i].id, list[i - 1].id) == 0)
            rs_problems_add(r->c.problems, rs_ywhere(&r->c, list[i].node),
                            item_path(r, path, list[i].index), "id '%s' is used already at %s",
                            list[i].id, where_text(r, list[i - 1].node));
}

static void read_edits(reader *r, rs_catalog_video *video, const rs_ynode *n, const rs_ynode *owner,
                       const char *path)
{
    if (!given(r, n, owner, path, "edits"))
        return;
    path = join(r, path, "edits");
    if (!is_list(r, n, path, "edits"))
        return;
    rs_catalog_edit *edits = RS_NEW(r->c.arena, rs_catalog_edit, n->n);
    named *ids = RS_NEW(r->c.arena, named, n->n);
    int64_t read = 0;
    for (; read < n->n && count_entry(r, n->items[read]); read++) {
        read_edit(r, &edits[read], n->items[read], item_path(r, path, read));
        ids[read] = (named){edits[read].id, n->items[read], read};
    }
    check_unique(r, ids, read, path);
    video->edits = edits;
    video->n_edits = read;
}

static void read_frames(reader *r, rs_catalog_video *video, const rs_ynode *n, const char *path)
{
    path = join(r, path, "frames");
    if (n && rs_yread_int(&r->c, n, path, 1, CLIP_MAX, &video->frames) && video->frames % 4 != 1)
        rs_problems_add(r->c.problems, rs_ywhere(&r->c, n), path, "%lld is not 4n+1",
                        (long long)video->frames);
}

static void read_video(reader *r, rs_catalog_video *out, const rs_ynode *n, const char *path)
{
    static const char *const names[] = {"id",  "source", "mask", "prompt", "frames",
                                        "fps", "edits",  "note", "license"};
    enum { ID, SOURCE, MASK, PROMPT, FRAMES, FPS, EDITS, NOTE, LICENSE, N };
    const rs_ynode *v[N];
    out->where = where_text(r, n);
    out->id = "";
    if (!rs_ymap_pick(&r->c, n, path, names, N, v, NULL))
        return;
    out->id = read_id(r, v[ID], n, path);
    out->source = read_path(r, v[SOURCE], n, path, "source");
    read_mask(r, out, v[MASK], n, path);
    (void)given(r, v[PROMPT], n, path, "prompt");
    out->prompt = read_text(r, v[PROMPT], path, "prompt");
    read_frames(r, out, v[FRAMES], path);
    if (v[FPS])
        (void)rs_yread_num(&r->c, v[FPS], join(r, path, "fps"), 0, 1000, true, &out->fps);
    read_edits(r, out, v[EDITS], n, path);
    (void)read_text(r, v[NOTE], path, "note");
    (void)read_text(r, v[LICENSE], path, "license");
}

static void read_videos(reader *r, rs_catalog *catalog, const rs_ynode *n)
{
    if (!is_list(r, n, "videos", "videos"))
        return;
    rs_catalog_video *videos = RS_NEW(r->c.arena, rs_catalog_video, n->n);
    named *ids = RS_NEW(r->c.arena, named, n->n);
    int64_t read = 0;
    for (; read < n->n && count_entry(r, n->items[read]); read++) {
        read_video(r, &videos[read], n->items[read], item_path(r, "videos", read));
        ids[read] = (named){videos[read].id, n->items[read], read};
    }
    check_unique(r, ids, read, "videos");
    catalog->videos = videos;
    catalog->n_videos = read;
}

/* The folder that relative paths start from: given > the catalog's `root` > the catalog's folder.
 */
static void find_root(reader *r, rs_catalog *catalog, const rs_ynode *n, const char *root)
{
    const char *folder =
        strchr(catalog->file, '/') ? rs_path_dirname(catalog->arena, catalog->file) : "";
    const char *own = "";
    if (n)
        (void)rs_yread_text(&r->c, n, "root", &own);
    if (root && *root)
        catalog->root = rs_arena_strdup(catalog->arena, root);
    else
        catalog->root = *own ? rs_path_join(catalog->arena, folder, own) : folder;
    r->root = catalog->root;
}

static void read_catalog(reader *r, rs_catalog *catalog, const rs_ynode *node, const char *root)
{
    static const char *const names[] = {"root", "videos", "note", "license"};
    enum { ROOT, VIDEOS, NOTE, LICENSE, N };
    const rs_ynode *v[N];
    if (rs_ynull(node)) {
        problem(r, node, NULL, "the file is empty");
        return;
    }
    if (!rs_ymap_pick(&r->c, node, NULL, names, N, v, NULL))
        return;
    find_root(r, catalog, v[ROOT], root);
    catalog->note = read_text(r, v[NOTE], "catalog", "note");
    catalog->license = read_text(r, v[LICENSE], "catalog", "license");
    if (v[VIDEOS])
        read_videos(r, catalog, v[VIDEOS]);
    else
        problem(r, node, "videos", "is required");
}

rs_status rs_catalog_load_all(rs_catalog **out, rs_problems *problems, const char *path,
                              const char *root)
{
    *out = NULL;
    int64_t before = rs_problems_count(problems);
    rs_catalog *catalog = rs_alloc(1, sizeof *catalog);
    catalog->arena = rs_arena_create();
    catalog->file = rs_arena_strdup(catalog->arena, path);
    reader r = {.c = {catalog->arena, problems, catalog->file}};
    const rs_ynode *node = rs_ytree_read(&r.c);
    if (node)
        read_catalog(&r, catalog, node, root);
    if (rs_problems_count(problems) == before)
        *out = catalog;
    else
        rs_catalog_destroy(&catalog);
    return *out ? RS_OK : rs_problems_status(problems);
}

rs_status rs_catalog_load(rs_catalog **out, const char *path, const char *root)
{
    rs_problems *problems = rs_problems_create();
    rs_status st = rs_catalog_load_all(out, problems, path, root);
    rs_problems_destroy(&problems);
    return st;
}

void rs_catalog_destroy(rs_catalog **catalog)
{
    if (!catalog || !*catalog)
        return;
    rs_arena_destroy(&(*catalog)->arena);
    rs_dealloc(*catalog);
    *catalog = NULL;
}
