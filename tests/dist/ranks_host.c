#include "ranks_host.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/fsio.h"
#include "base/rng.h"
#include "comm/agree.h"
#include "store/safetensors.h"
#include "weights/stream.h"

enum { BLOCKS = 16, ROWS = 512, COLS = 2048 }; /* 4 MiB a block */

static rs_layout layout(rs_arena *a)
{
    rs_layout l = {.blocks = BLOCKS};
    rs_layout_add(
        &l, a,
        (rs_weight_row){.slot = 0, .block = -1, .diffusers = "end", .ndim = 1, .shape = {8}});
    rs_layout_add(&l, a,
                  (rs_weight_row){.slot = 0,
                                  .diffusers = "blocks.%d.w",
                                  .ndim = 2,
                                  .shape = {ROWS, COLS},
                                  .matrix = true});
    return l;
}

static const char *name_of(rs_arena *a, int b)
{
    return rs_arena_printf(a, "blocks.%d.w", b);
}

static rs_status write_weights(rs_arena *a, const char *path)
{
    rs_tensor_list l = {0};
    rs_tensor end = rs_tensor_new(a, RS_SHAPE(8));
    rs_tensor_list_add(&l, a, "end", end);
    for (int b = 0; b < BLOCKS; b++) {
        rs_tensor t = rs_tensor_new(a, RS_SHAPE(ROWS, COLS));
        rs_fill_rule(rs_f32(t), name_of(a, b), 0, rs_tensor_count(t), 1.0, 0.0);
        rs_tensor_list_add(&l, a, name_of(a, b), t);
    }
    return rs_safetensors_write(path, &l, NULL, 0);
}

/* KiB of a row of /proc/self/status. */
static long long status_of(const char *row)
{
    char line[256];
    long long kib = -1;
    size_t n = strlen(row);
    FILE *f = fopen("/proc/self/status", "r");
    while (f && kib < 0 && fgets(line, sizeof line, f))
        if (strncmp(line, row, n) == 0)
            kib = strtoll(line + n + 1, NULL, 10);
    if (f)
        fclose(f);
    return kib;
}

/* The inode behind the shared weights and this rank's share of their pages in KiB: divided by the
 * processes that have them. */
static void mapping(char *inode, size_t room, long long *pss)
{
    char line[512];
    bool here = false;
    FILE *f = fopen("/proc/self/smaps", "r");
    snprintf(inode, room, "none");
    *pss = 0;
    while (f && fgets(line, sizeof line, f)) {
        char device[32], number[32], path[256] = "";
        if (sscanf(line, "%*s %*s %*s %31s %31s %255s", device, number, path) >= 2 &&
            strchr(line, '-') && !strstr(line, " kB")) {
            here = strstr(path, "reshoot-weights") != NULL;
            if (here)
                snprintf(inode, room, "%s", number);
        } else if (here && strncmp(line, "Pss:", 4) == 0) {
            *pss += strtoll(line + 4, NULL, 10);
        }
    }
    if (f)
        fclose(f);
}

static rs_status walk(rs_wstream *w, rs_device *d, rs_arena *a)
{
    const rs_tensor *slots;
    rs_tensor want = rs_tensor_new(a, RS_SHAPE(ROWS, COLS));
    rs_tensor got = rs_tensor_new(a, RS_SHAPE(ROWS, COLS));
    for (int u = 0; u < 2 * BLOCKS; u++) {
        int b = u < BLOCKS ? u : 2 * BLOCKS - 1 - u;
        RS_TRY(rs_wstream_acquire(w, b, &slots));
        rs_fill_rule(rs_f32(want), name_of(a, b), 0, rs_tensor_count(want), 1.0, 0.0);
        rs_device_get(d, got.data, slots[0].data, rs_tensor_bytes(got));
        rs_wstream_release(w, b);
        if (slots[0].dtype != RS_DTYPE_F32 ||
            memcmp(want.data, got.data, rs_tensor_bytes(want)) != 0)
            return RS_FAIL(NUMERIC, "block %d differs", b);
    }
    return rs_device_check(d);
}

/* As where memory must not grow: the file cannot be made. */
static void forbid_files(void)
{
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){.rlim_cur = 4096, .rlim_max = RLIM_INFINITY});
}

static rs_status hold(rs_comm *c, rs_device *d, rs_arena *a, const char *path)
{
    rs_layout l = layout(a);
    rs_wstream *w;
    char inode[32];
    long long pss, before = status_of("RssAnon");
    RS_TRY(rs_wstream_open_host(&w, d, path, &l, c));
    long long own = status_of("RssAnon") - before;
    rs_status st = rs_comm_agree(c, walk(w, d, a));
    mapping(inode, sizeof inode, &pss);
    if (st == RS_OK)
        st = rs_comm_barrier(c, "all have looked");
    printf("rank %d: %s, own %lld MiB, shared %lld MiB of file %s\n", rs_comm_rank(c),
           st == RS_OK ? "bits are right" : "wrong", own / 1024, pss / 1024, inode);
    rs_wstream_close(&w);
    return st;
}

rs_status ranks_host(rs_comm *c, const char *dir, const char *how)
{
    rs_device *d;
    rs_arena *a = rs_arena_create();
    rs_device_opts o = {.backend = getenv("RS_BACKEND"), .threads = 1};
    const char *path = rs_path_join(a, dir, "weights.safetensors");
    rs_status st = rs_comm_agree(c, rs_comm_rank(c) == 0 ? write_weights(a, path) : RS_OK);
    if (st == RS_OK)
        st = rs_comm_agree(c, rs_device_open(&d, &o));
    if (strcmp(how, "alone") == 0)
        forbid_files();
    if (st == RS_OK) {
        st = hold(c, d, a, path);
        rs_device_destroy(&d);
    }
    rs_arena_destroy(&a);
    return st;
}
