/* Recorded algorithm tables. */
#include <stdio.h>
#include <string.h>

#include "base/fsio.h"
#include "base/hash.h"
#include "base/str.h"
#include "kernels/cuda/blas_priv.h"

static const char *const TYPES[] = {
    [RS_DTYPE_F32] = "F32", [RS_DTYPE_BF16] = "BF16", [RS_DTYPE_U8] = "E4M3"};
static const char *const TRANS[] = {"nn", "tn", "nt", "tt"};

static int index_of(const char *word, const char *const *names, int n)
{
    for (int i = 0; i < n; i++)
        if (names[i] && strcmp(names[i], word) == 0)
            return i;
    return -1;
}

blas_entry *rs_blas_find(rs_blas *b, const blas_key *key)
{
    for (int64_t i = 0; i < b->n; i++)
        if (memcmp(&b->entries[i].key, key, sizeof *key) == 0)
            return &b->entries[i];
    return NULL;
}

blas_entry *rs_blas_add(rs_blas *b, const blas_key *key)
{
    b->entries = rs_arena_grow(b->arena, b->entries, &b->cap, (size_t)b->n + 1, sizeof *b->entries);
    b->entries[b->n] = (blas_entry){.key = *key};
    return &b->entries[b->n++];
}

static bool parse_row(rs_blas *b, const char *line)
{
    blas_key key = {0};
    char type[8], out[8], trans[8];
    long long n, k;
    int used = 0;
    if (sscanf(line, "gemm %lld %lld %7s %7s %7s %d%n", &n, &k, type, out, trans, &key.epilogue,
               &used) != 6)
        return false;
    key.n = n;
    key.k = k;
    key.type = index_of(type, TYPES, RS_DTYPE_U8 + 1);
    key.out = index_of(out, TYPES, 2);
    key.trans = index_of(trans, TRANS, 4);
    if (key.type < 0 || key.out < 0 || key.trans < 0 || rs_blas_find(b, &key))
        return false;
    unsigned long long word[RS_BLAS_WORDS];
    for (int i = 0; i < RS_BLAS_WORDS; i++) {
        int more = 0;
        if (sscanf(line + used, " %16llx%n", &word[i], &more) != 1)
            return false;
        used += more;
    }
    if (line[used] != 0)
        return false;
    blas_entry *e = rs_blas_add(b, &key);
    for (int i = 0; i < RS_BLAS_WORDS; i++)
        e->algo.data[i] = word[i];
    return true;
}

rs_status rs_blas_load(rs_blas *b, const char *path, char hash[9])
{
    char *text, hex[RS_HASH_HEX], *save = NULL;
    size_t bytes;
    int number = 0;
    RS_TRY(rs_read_file(&text, &bytes, b->arena, path));
    RS_TRY(rs_hash_file(hex, path));
    snprintf(hash, 9, "%.8s", hex);
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        if (++number == 1 && strcmp(line, b->head) != 0)
            return RS_FAIL(CONFIG, "%s: recorded with \"%s\", this is \"%s\"", path, line, b->head);
        if (number > 1 && !parse_row(b, line))
            return RS_FAIL(CONFIG, "%s:%d: not a row of a gemm table, or its key is there already",
                           path, number);
    }
    if (number == 0)
        return RS_FAIL(CONFIG, "%s: an empty gemm table", path);
    return RS_OK;
}

rs_status rs_blas_save(const rs_blas *b, const char *path)
{
    rs_strbuf text = rs_strbuf_on(b->arena);
    rs_strbuf_printf(&text, "%s\n", b->head);
    for (int64_t i = 0; i < b->n; i++) {
        const blas_entry *e = &b->entries[i];
        if (e->refused)
            continue;
        rs_strbuf_printf(&text, "gemm %lld %lld %s %s %s %d", (long long)e->key.n,
                         (long long)e->key.k, TYPES[e->key.type], TYPES[e->key.out],
                         TRANS[e->key.trans], e->key.epilogue);
        for (int w = 0; w < RS_BLAS_WORDS; w++)
            rs_strbuf_printf(&text, " %016llx", (unsigned long long)e->algo.data[w]);
        rs_strbuf_printf(&text, "\n");
    }
    return rs_write_file_atomic(path, text.data, text.len);
}
