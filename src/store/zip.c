#include "store/zip.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Fixed parts of the records, in bytes, and their signatures. */
enum { EOCD = 22, EOCD64_LOCATOR = 20, EOCD64 = 56, CENTRAL = 46, LOCAL = 30, COMMENT_MAX = 65535 };
enum { ZIP64_EXTRA = 0x0001, METHOD_STORED = 0, FLAG_ENCRYPTED = 1 };
static const uint32_t SIG_EOCD = 0x06054b50, SIG_EOCD64_LOCATOR = 0x07064b50,
                      SIG_EOCD64 = 0x06064b50, SIG_CENTRAL = 0x02014b50, SIG_LOCAL = 0x04034b50;

typedef struct directory {
    uint64_t at, bytes, entries;
} directory;

static bool inside(rs_map m, uint64_t at, uint64_t bytes)
{
    return at <= m.bytes && bytes <= m.bytes - at;
}

/* The end record is the last one in the file, in front of an optional comment. */
static const uint8_t *find_end(rs_map m)
{
    for (size_t back = EOCD; back <= EOCD + COMMENT_MAX && back <= m.bytes; back++) {
        const uint8_t *p = m.data + m.bytes - back;
        if (rs_le32(p) == SIG_EOCD && rs_le16(p + 20) == back - EOCD)
            return p;
    }
    return NULL;
}

static rs_status find_directory(directory *d, rs_map m, const char *path)
{
    const uint8_t *end = m.bytes >= EOCD ? find_end(m) : NULL;
    if (!end)
        return RS_FAIL(FORMAT, "%s: no ZIP directory (truncated, or not a torch zip file)", path);
    *d = (directory){rs_le32(end + 16), rs_le32(end + 12), rs_le16(end + 10)};
    size_t end_at = (size_t)(end - m.data);
    const uint8_t *locator = end - EOCD64_LOCATOR;
    if (end_at >= EOCD64_LOCATOR && rs_le32(locator) == SIG_EOCD64_LOCATOR) {
        uint64_t at = rs_le64(locator + 8);
        if (!inside(m, at, EOCD64) || rs_le32(m.data + at) != SIG_EOCD64)
            return RS_FAIL(FORMAT, "%s: broken ZIP64 end record", path);
        const uint8_t *p = m.data + at;
        *d = (directory){rs_le64(p + 48), rs_le64(p + 40), rs_le64(p + 32)};
    }
    if (!inside(m, d->at, d->bytes) || d->entries > d->bytes / CENTRAL)
        return RS_FAIL(FORMAT, "%s: ZIP directory lies outside the file (truncated?)", path);
    return RS_OK;
}

typedef struct sizes {
    uint64_t packed, plain, local;
} sizes;

/* 32-bit fields that are all ones are in the ZIP64 extra field, in this order. */
static bool read_zip64(sizes *s, const uint8_t *extra, size_t bytes)
{
    uint64_t *fields[] = {&s->plain, &s->packed, &s->local};
    for (size_t at = 0; at + 4 <= bytes;) {
        size_t n = rs_le16(extra + at + 2);
        if (n > bytes - at - 4)
            return false;
        if (rs_le16(extra + at) == ZIP64_EXTRA) {
            const uint8_t *p = extra + at + 4, *end = p + n;
            for (int i = 0; i < 3; i++) {
                if (*fields[i] != UINT32_MAX)
                    continue;
                if (end - p < 8)
                    return false;
                *fields[i] = rs_le64(p);
                p += 8;
            }
            return true;
        }
        at += 4 + n;
    }
    return s->plain != UINT32_MAX && s->packed != UINT32_MAX && s->local != UINT32_MAX;
}

static rs_status locate(rs_zip_entry *e, rs_map m, sizes s, const char *path)
{
    if (!inside(m, s.local, LOCAL) || rs_le32(m.data + s.local) != SIG_LOCAL)
        return RS_FAIL(FORMAT, "%s: entry '%s': no local header", path, e->name);
    const uint8_t *p = m.data + s.local;
    uint64_t at = s.local + LOCAL + rs_le16(p + 26) + rs_le16(p + 28);
    if (!inside(m, at, s.plain))
        return RS_FAIL(FORMAT, "%s: entry '%s': data lie outside the file", path, e->name);
    e->data = m.data + at;
    e->bytes = (size_t)s.plain;
    return RS_OK;
}

static rs_status read_entry(rs_zip_entry *e, uint64_t *at, rs_arena *a, rs_map m, directory d,
                            const char *path)
{
    uint64_t end = d.at + d.bytes;
    const uint8_t *p = m.data + *at;
    if (end - *at < CENTRAL || rs_le32(p) != SIG_CENTRAL)
        return RS_FAIL(FORMAT, "%s: broken ZIP directory", path);
    uint64_t name = rs_le16(p + 28), extra = rs_le16(p + 30), comment = rs_le16(p + 32);
    if (end - *at - CENTRAL < name + extra + comment)
        return RS_FAIL(FORMAT, "%s: broken ZIP directory", path);
    e->name = rs_arena_strndup(a, (const char *)p + CENTRAL, name);
    sizes s = {rs_le32(p + 20), rs_le32(p + 24), rs_le32(p + 42)};
    if (!read_zip64(&s, p + CENTRAL + name, extra))
        return RS_FAIL(FORMAT, "%s: entry '%s': broken ZIP64 field", path, e->name);
    if (rs_le16(p + 8) & FLAG_ENCRYPTED)
        return RS_FAIL(FORMAT, "%s: entry '%s' is encrypted", path, e->name);
    if (rs_le16(p + 10) != METHOD_STORED || s.packed != s.plain)
        return RS_FAIL(FORMAT, "%s: entry '%s' is compressed (torch.save stores)", path, e->name);
    RS_TRY(locate(e, m, s, path));
    *at += CENTRAL + name + extra + comment;
    return RS_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(rs_zip_entry *const *)a)->name, (*(rs_zip_entry *const *)b)->name);
}

rs_status rs_zip_read(rs_zip *z, rs_arena *a, rs_map map, const char *path)
{
    directory d = {0};
    RS_TRY(find_directory(&d, map, path));
    *z = (rs_zip){.n = (int64_t)d.entries};
    z->entries = RS_NEW(a, rs_zip_entry, d.entries);
    z->sorted = RS_NEW(a, rs_zip_entry *, d.entries);
    uint64_t at = d.at;
    for (int64_t i = 0; i < z->n; i++) {
        RS_TRY(read_entry(&z->entries[i], &at, a, map, d, path));
        z->sorted[i] = &z->entries[i];
    }
    if (z->n)
        qsort(z->sorted, (size_t)z->n, sizeof *z->sorted, by_name);
    for (int64_t i = 1; i < z->n; i++)
        if (by_name(&z->sorted[i - 1], &z->sorted[i]) == 0)
            return RS_FAIL(FORMAT, "%s: two entries are named '%s'", path, z->sorted[i]->name);
    return RS_OK;
}

const rs_zip_entry *rs_zip_find(const rs_zip *z, const char *name)
{
    rs_zip_entry key = {.name = name}, *p = &key;
    rs_zip_entry **hit =
        z->n ? bsearch(&p, z->sorted, (size_t)z->n, sizeof *z->sorted, by_name) : NULL;
    return hit ? *hit : NULL;
}
