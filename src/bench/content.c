#include "bench/content.h"

#include <string.h>

#include "base/fsio.h"
#include "store/archive.h"
#include "store/schema_names.h"

typedef struct reader {
    rs_content *c;
    const char *name; /* of the archive */
    rs_archive *f;
    rs_arena *scratch;
} reader;

static rs_content_item *add_item(reader *r, const char *object)
{
    rs_content *c = r->c;
    c->items = rs_arena_grow(c->arena, c->items, &c->cap, (size_t)c->n + 1, sizeof *c->items);
    rs_content_item *item = &c->items[c->n++];
    *item = (rs_content_item){.archive = r->name,
                              .object = rs_arena_strdup(c->arena, object),
                              .adapter = strstr(object, "/" RS_MEMBER_ADAPTER "/") != NULL};
    return item;
}

static rs_status add_tensor(reader *r, const char *object)
{
    rs_arena_mark mark = rs_arena_get_mark(r->scratch);
    rs_tensor t;
    rs_hash h;
    RS_TRY(rs_archive_read_tensor(&t, r->scratch, r->f, object));
    rs_content_item *item = add_item(r, object);
    r->c->adapters += item->adapter;
    rs_hash_init(&h);
    rs_hash_string(&h, rs_dtype_name(t.dtype));
    for (int i = 0; i < t.ndim; i++)
        rs_hash_i64(&h, t.shape[i]);
    rs_hash_update(&h, t.data, rs_tensor_bytes(t));
    rs_hash_final_hex(&h, item->hash);
    rs_arena_release(r->scratch, mark);
    return RS_OK;
}

/* A stage's seconds; an edit that is done. */
static rs_status read_attributes(reader *r, const char *group)
{
    double s;
    if (rs_archive_has(r->f, group, RS_ATTR_SECONDS)) {
        RS_TRY(rs_archive_get_f64(&s, r->f, group, RS_ATTR_SECONDS));
        r->c->busy_s += s;
    }
    return RS_OK;
}

static rs_status read_group(reader *r, const char *group)
{
    char **names;
    int64_t n;
    RS_TRY(read_attributes(r, group));
    RS_TRY(rs_archive_list(&names, &n, r->scratch, r->f, group));
    for (int64_t i = 0; i < n; i++) {
        const char *object = rs_arena_printf(r->scratch, "%s/%s", group, names[i]);
        rs_archive_kind kind = rs_archive_kind_of(r->f, object);
        if (kind == RS_ARCHIVE_GROUP)
            RS_TRY(read_group(r, object));
        else if (kind == RS_ARCHIVE_TENSOR)
            RS_TRY(add_tensor(r, object));
    }
    return RS_OK;
}

static rs_status count_edits(reader *r)
{
    char **names;
    int64_t n;
    if (!rs_archive_exists(r->f, RS_GROUP_EDITS))
        return RS_OK;
    RS_TRY(rs_archive_list(&names, &n, r->scratch, r->f, RS_GROUP_EDITS));
    for (int64_t i = 0; i < n; i++)
        r->c->edits += rs_archive_exists(
            r->f, rs_arena_printf(r->scratch, RS_GROUP_EDITS "/%s/" RS_DATA_FRAMES, names[i]));
    return read_group(r, RS_GROUP_EDITS);
}

static rs_status read_archive(rs_content *c, const char *folder, const char *name)
{
    reader r = {.c = c, .name = name, .scratch = rs_arena_create()};
    rs_status st = RS_OK;
    RS_TRY_OUT(rs_archive_open(&r.f, rs_path_join(r.scratch, folder, name)));
    RS_TRY_OUT(count_edits(&r));
    if (rs_archive_exists(r.f, RS_GROUP_STAGES))
        RS_TRY_OUT(read_group(&r, RS_GROUP_STAGES));
out:
    rs_archive_close(&r.f);
    rs_arena_destroy(&r.scratch);
    return st;
}

rs_status rs_content_read(rs_content *c, rs_arena *a, const char *output)
{
    char **names;
    int64_t n = 0;
    const char *folder = rs_path_join(a, output, "archive");
    *c = (rs_content){.arena = a};
    if (rs_path_is_dir(folder))
        RS_TRY(rs_list_dir(&names, &n, a, folder));
    for (int64_t i = 0; i < n; i++) {
        size_t length = strlen(names[i]);
        if (length > 3 && strcmp(names[i] + length - 3, ".h5") == 0) {
            RS_TRY(read_archive(c, folder, names[i]));
            c->videos++;
        }
    }
    if (c->videos == 0)
        return RS_FAIL(INPUT, "%s: the run published no archive", folder);
    if (c->adapters == 0)
        return RS_FAIL(INPUT, "%s: no adapter in any archive: nothing to compare runs by", folder);
    return RS_OK;
}

/* Both lists come from sorted names, so that equal runs have equal lists. */
static rs_status missing(const rs_content_item *i)
{
    return RS_FAIL(INTERNAL, "%s: %s is in one of two runs only", i->archive, i->object);
}

static bool same_place(const rs_content_item *a, const rs_content_item *b)
{
    return strcmp(a->archive, b->archive) == 0 && strcmp(a->object, b->object) == 0;
}

rs_status rs_content_compare(int64_t *others, const rs_content *a, const rs_content *b)
{
    *others = 0;
    for (int64_t i = 0; i < a->n || i < b->n; i++) {
        if (i >= a->n || i >= b->n)
            return missing(i < a->n ? &a->items[i] : &b->items[i]);
        const rs_content_item *x = &a->items[i], *y = &b->items[i];
        if (!same_place(x, y))
            return missing(x);
        bool same = strcmp(x->hash, y->hash) == 0;
        if (!same && x->adapter)
            return RS_FAIL(INTERNAL, "%s: %s has other bits than in the first run", x->archive,
                           x->object);
        *others += !same;
    }
    return RS_OK;
}
