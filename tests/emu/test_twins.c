/* ctest: TIMEOUT 600
 * A run over lanes of a gang with sharded weights, on four emulated GPUs: communicators are made
 * before anything is sent and take no more memory than was planned, and any two ranks enqueue the
 * collectives that they have in common in one order, gathers of the gang and exchanges of a lane.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fsio.h"
#include "harness/catalog.h"
#include "harness/test.h"

enum { RANKS = 4, COMMS = 64 };

/* What a rank did, in its order. */
typedef struct history {
    int comms[COMMS], n_comms;
    int *id; /* (n) of the communicator */
    int n, gathers, exchanges;
    bool late; /* one was made after the first call */
} history;

static bool has(const history *h, int id)
{
    for (int i = 0; i < h->n_comms; i++)
        if (h->comms[i] == id)
            return true;
    return false;
}

static void read_line(history *h, const char *line)
{
    int id;
    char kind[32];
    if (sscanf(line, "make %d of", &id) == 1) {
        T_CHECK(h->n_comms < COMMS);
        h->late = h->late || h->n > 0;
        h->comms[h->n_comms++] = id;
    } else if (sscanf(line, "run %d %31s", &id, kind) == 2) {
        T_CHECKF(has(h, id), "a call on %d, which was not made", id);
        h->exchanges += strcmp(kind, "exchange") == 0;
        h->gathers += strcmp(kind, "exchange") != 0;
        h->id[h->n++] = id;
    } else {
        T_CHECKF(false, "what is this: %s", line);
    }
}

static history read_history(const char *path)
{
    char *text, *save = NULL;
    size_t bytes = 0;
    history h = {0};
    T_OK(rs_read_file(&text, &bytes, t_arena(), path));
    h.id = RS_NEW(t_arena(), int, (int64_t)bytes);
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        read_line(&h, line);
    return h;
}

/* The next call of h on a communicator that the other has, too; -1: none. */
static int next_common(const history *h, const history *other, int *at)
{
    while (*at < h->n && !has(other, h->id[*at]))
        (*at)++;
    return *at < h->n ? h->id[(*at)++] : -1;
}

static void same_order(const history *a, const history *b, int i, int k)
{
    int at = 0, bt = 0, n = 0;
    for (;; n++) {
        int x = next_common(a, b, &at), y = next_common(b, a, &bt);
        T_CHECKF(x == y, "common call %d: rank %d has it on %d, rank %d on %d", n, i, x, k, y);
        if (x != y || x < 0)
            break;
    }
    T_CHECKF(n > 30, "only %d calls in common", n);
}

/* Four blocks, of which two are held: each pass gathers. Four heads. */
static const char *world(int videos)
{
    const char *dir = t_catalog_world(videos);
    char *out;
    int rc = t_shell(&out,
                     T_BIN "/reshoot-world model --preset small %s/model " T_SRC
                           "/datasets/smallmodel/tokenizer",
                     dir);
    T_CHECKF(rc == 0, "%s", out);
    return dir;
}

static void check(const char *dir, const char *name, const char *more)
{
    char *out;
    history h[RANKS];
    const char *log = rs_path_join(t_arena(), dir, rs_arena_printf(t_arena(), "nccl-%s", name));
    setenv("EMU_NCCL_LOG", log, 1);
    int rc = t_catalog_run(&out, RANKS, dir, name,
                           rs_arena_printf(t_arena(),
                                           "--set cluster.backend=cuda --set memory.home=sharded "
                                           "--set cluster.gang=4 --set log.level=detail "
                                           "--set motion.steps=3 --set appearance.steps=2 "
                                           "--set edit.steps=2 %s",
                                           more));
    unsetenv("EMU_NCCL_LOG");
    T_CHECKF(rc == 0, "%s: %d: %s", name, rc, out);
    T_EQ_I(
        t_catalog_logged(dir, name, "communicators of NCCL take .* of the device, of .* planned"),
        RANKS);
    T_EQ_I(t_catalog_logged(dir, name, "planned were"), 0);
    for (int r = 0; r < RANKS; r++) {
        h[r] = read_history(rs_arena_printf(t_arena(), "%s.%d", log, r));
        printf("    %s, rank %d: %d communicators, %d gathers, %d exchanges\n", name, r,
               h[r].n_comms, h[r].gathers, h[r].exchanges);
        T_CHECKF(!h[r].late, "rank %d makes a communicator while it works", r);
        T_CHECK(h[r].gathers > 30 && h[r].exchanges > 2);
    }
    for (int i = 0; i < RANKS; i++)
        for (int k = i + 1; k < RANKS; k++)
            same_order(&h[i], &h[k], i, k);
}

static void t_one_order_in_lanes_of_two(void)
{
    check(world(2), "two", "--set cluster.lanes=2");
}

static void t_one_order_in_lanes_of_any_width(void)
{
    check(world(1), "any", "--set cluster.lanes=auto");
}

static const rs_test_case CASES[] = {
    T_CASE(t_one_order_in_lanes_of_two),
    T_CASE(t_one_order_in_lanes_of_any_width),
};
RS_TEST_MAIN(CASES)
