#include "job/index.h"

#include <string.h>
#include <sys/stat.h>

#include "base/fsio.h"
#include "base/log.h"
#include "job/index_rows.h"
#include "store/schema_names.h"

/* An archive and its rows as of when it was read. */
typedef struct entry {
    const char *name; /* "<video>.h5" */
    struct timespec changed;
    uint64_t inode;
    bool good;
    rs_rows rows; /* arena of its own */
} entry;

struct rs_index {
    rs_arena *a;
    const char *output;
    entry *entries; /* sorted by name */
    int64_t n;
};

void rs_index_open(rs_index **out, const char *output)
{
    rs_index *x = rs_alloc(1, sizeof *x);
    x->a = rs_arena_create();
    x->output = rs_arena_strdup(x->a, output);
    *out = x;
}

static void drop(entry *e)
{
    rs_arena_destroy(&e->rows.a);
}

static void set_entries(rs_index *x, entry *entries, int64_t n)
{
    rs_dealloc(x->entries);
    x->entries = entries;
    x->n = n;
}

void rs_index_close(rs_index **out)
{
    rs_index *x = *out;
    if (!x)
        return;
    for (int64_t i = 0; i < x->n; i++)
        drop(&x->entries[i]);
    set_entries(x, NULL, 0);
    rs_arena_destroy(&x->a);
    rs_dealloc(x);
    *out = NULL;
}

/* A copy under another name would be the same video twice. */
static rs_status check_name(const entry *e)
{
    const char *video = e->rows.n ? e->rows.cells[RS_ROW_VIDEO].s : "";
    size_t n = strlen(video);
    if (e->rows.n && (strncmp(e->name, video, n) != 0 || strcmp(e->name + n, ".h5") != 0))
        return RS_FAIL(FORMAT, "archive/%s: is of video %s", e->name, video);
    return RS_OK;
}

static void read_entry(entry *e, const rs_index *x, const char *name)
{
    e->rows = (rs_rows){.a = rs_arena_create()};
    e->name = rs_arena_strdup(e->rows.a, name);
    const char *file = rs_arena_printf(e->rows.a, "archive/%s", name);
    e->good = rs_rows_of_archive(&e->rows, x->output, file) == RS_OK && check_name(e) == RS_OK;
    if (!e->good) {
        RS_LOG(WARN, "left out of catalog.h5: %s", rs_error_message());
        rs_error_clear();
    }
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* The entry of a file: the old one where the file is the one that was read. Archives are renamed
 * into place, so another content is another inode or another time. */
static entry entry_of(rs_index *x, int64_t *at, const char *name, const struct stat *s)
{
    while (*at < x->n && strcmp(x->entries[*at].name, name) < 0)
        drop(&x->entries[(*at)++]);
    entry *old =
        *at < x->n && strcmp(x->entries[*at].name, name) == 0 ? &x->entries[(*at)++] : NULL;
    if (old && same_time(old->changed, s->st_mtim) && old->inode == (uint64_t)s->st_ino)
        return *old;
    if (old)
        drop(old);
    entry e = {.changed = s->st_mtim, .inode = (uint64_t)s->st_ino};
    read_entry(&e, x, name);
    return e;
}

/* Bring the entries up to date with the folder. */
static rs_status look(rs_index *x, rs_arena *a)
{
    char **names = NULL;
    int64_t n = 0, kept = 0, at = 0;
    const char *folder = rs_path_join(a, x->output, "archive");
    if (rs_path_is_dir(folder))
        RS_TRY(rs_list_dir(&names, &n, a, folder));
    entry *entries = rs_alloc((size_t)n + 1, sizeof *entries);
    for (int64_t i = 0; i < n; i++) {
        struct stat s;
        if (stat(rs_path_join(a, folder, names[i]), &s) == 0)
            entries[kept++] = entry_of(x, &at, names[i], &s);
    }
    while (at < x->n)
        drop(&x->entries[at++]);
    set_entries(x, entries, kept);
    return RS_OK;
}

static rs_status write_links(rs_archive *index, rs_arena *a, const rs_index *x)
{
    RS_TRY(rs_archive_make_group(index, RS_GROUP_VIDEOS));
    for (int64_t i = 0; i < x->n; i++) {
        const entry *e = &x->entries[i];
        if (e->good && e->rows.n)
            RS_TRY(rs_archive_link(
                index, rs_arena_printf(a, RS_GROUP_VIDEOS "/%s", e->rows.cells[RS_ROW_VIDEO].s),
                rs_arena_printf(a, "archive/%s", e->name), "/"));
    }
    return RS_OK;
}

static void gather_rows(rs_rows *all, const rs_index *x)
{
    for (int64_t i = 0; i < x->n; i++) {
        const rs_rows *r = &x->entries[i].rows;
        for (int64_t k = 0; x->entries[i].good && k < r->n; k++) {
            const rs_cell *c = &r->cells[k * RS_ROW_COLUMNS];
            memcpy(rs_rows_add(all, c[RS_ROW_VIDEO].s, c[RS_ROW_EDIT].s), c,
                   RS_ROW_COLUMNS * sizeof *c);
        }
    }
}

rs_status rs_index_write(rs_index *x, const rs_view *v, const char *arm)
{
    rs_status st = RS_OK;
    rs_archive *index = NULL;
    rs_rows r = {.a = rs_arena_create()};
    RS_TRY_OUT(look(x, r.a));
    gather_rows(&r, x);
    rs_rows_merge(&r, v, arm);
    RS_TRY_OUT(rs_archive_create(&index, rs_path_join(r.a, x->output, "catalog.h5")));
    RS_TRY_OUT(rs_archive_set_string(index, "/", RS_ATTR_KIND, RS_KIND_CATALOG));
    RS_TRY_OUT(write_links(index, r.a, x));
    rs_table t = {
        .columns = rs_row_columns, .n_columns = RS_ROW_COLUMNS, .cells = r.cells, .n_rows = r.n};
    RS_TRY_OUT(rs_archive_write_table(index, RS_DATA_JOBS, &t));
    RS_TRY_OUT(rs_archive_commit(&index));
out:
    rs_archive_abandon(&index);
    rs_arena_destroy(&r.a);
    return st;
}

rs_status rs_index_rebuild(const char *output, const char *live, const char *arm)
{
    rs_status st = RS_OK;
    rs_index *x = NULL;
    rs_view *v = NULL;
    if (rs_view_open(&v, live) != RS_OK)
        rs_error_clear(); /* archives alone, without a record of their run */
    if (v)
        RS_TRY_OUT(rs_view_refresh(v));
    rs_index_open(&x, output);
    RS_TRY_OUT(rs_index_write(x, v, arm));
out:
    rs_index_close(&x);
    rs_view_close(&v);
    return st;
}
