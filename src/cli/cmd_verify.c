/* reshoot verify: are archives whole, and with --deep, are their inputs still the same? */
#include <string.h>

#include "base/fsio.h"
#include "base/hash.h"
#include "cli/cli.h"
#include "stage/common.h"
#include "store/archive_verify.h"
#include "store/schema_names.h"

typedef struct verify_opts {
    bool deep;
} verify_opts;

static const rs_opt k_opts[] = {
    {"--deep", RS_OPT_FLAG, offsetof(verify_opts, deep), NULL,
     "hash the input and weight files again, at the paths that were used"},
};

/* Rows of /provenance/inputs (media: content hash) or /provenance/weights (sampled hash). */
static void check_files(rs_verdict *v, rs_arena *a, const rs_archive *f, const char *object,
                        bool media)
{
    enum { ROLE, PATH, BYTES, HASH, COLUMNS };
    rs_table t;
    char hex[RS_HASH_HEX];
    if (!rs_archive_exists(f, object))
        return;
    if (rs_archive_read_table(&t, a, f, object) != RS_OK)
        return; /* a problem already */
    if (t.n_columns != COLUMNS || t.columns[ROLE].type != RS_COLUMN_STRING ||
        t.columns[PATH].type != RS_COLUMN_STRING || t.columns[HASH].type != RS_COLUMN_STRING) {
        rs_verdict_add(v, "%s: %s: not the columns role, path, bytes, hash", rs_archive_path(f),
                       object);
        return;
    }
    for (int64_t i = 0; i < t.n_rows; i++) {
        const rs_cell *row = &t.cells[i * COLUMNS];
        const char *path = row[PATH].s;
        rs_status st = rs_path_exists(path) ? media ? rs_stage_hash_media(hex, path)
                                                    : rs_hash_file_sampled(hex, path)
                                            : RS_FAIL(IO, "%s: no longer there", path);
        if (st != RS_OK)
            rs_verdict_add(v, "%s: %s: %s", rs_archive_path(f), row[ROLE].s, rs_error_message());
        else if (strcmp(hex, row[HASH].s) != 0)
            rs_verdict_add(v, "%s: %s: %s: has changed since", rs_archive_path(f), row[ROLE].s,
                           path);
    }
}

static void verify_deep(rs_verdict *v, const char *path)
{
    rs_archive *f = NULL;
    rs_arena *a = rs_arena_create();
    if (rs_archive_open(&f, path) == RS_OK) {
        check_files(v, a, f, RS_GROUP_PROVENANCE "/" RS_DATA_INPUTS, true);
        check_files(v, a, f, RS_GROUP_PROVENANCE "/" RS_DATA_WEIGHTS, false);
    }
    rs_archive_close(&f);
    rs_arena_destroy(&a);
}

static rs_status run(const rs_call *call)
{
    const verify_opts *o = call->opts;
    int64_t bad = 0, n = call->positional.n;
    for (int64_t i = 0; i < n; i++) {
        const char *path = call->positional.items[i];
        rs_verdict v = {.arena = call->arena};
        rs_archive_verify(&v, path);
        if (o->deep && v.n == 0)
            verify_deep(&v, path);
        for (int64_t k = 0; k < v.n; k++)
            rs_out("%s\n", v.problems[k]);
        bad += v.n > 0;
        if (v.n == 0)
            rs_out("%s: ok, %lld objects, %.1f MB read\n", path, (long long)v.objects,
                   (double)v.bytes * 1e-6);
    }
    if (bad == 0)
        return RS_OK;
    return n == 1 ? RS_FAIL(FORMAT, "%s: the archive is not whole", call->positional.items[0])
                  : RS_FAIL(FORMAT, "%lld of %lld archives are not whole", (long long)bad,
                            (long long)n);
}

const rs_command rs_cmd_verify = {
    .name = "verify",
    .summary = "read whole archives: checksums, keys, completeness",
    .args = "ARCHIVE... [options]",
    .about =
        "Reads everything in archives of videos, so that every checksum is checked, and holds\n"
        "them against src/store/SCHEMA.md; of a catalog.h5 the archives and movies that it\n"
        "names must be there and agree with it. Every problem is a line of its own.\n"
        "Exit code 0: all are whole. 3: some are not.\n",
    .n_min = 1,
    .n_max = -1,
    RS_COMMAND_OPTS(k_opts, verify_opts),
    .run = run,
};
