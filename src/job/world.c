#include "job/world.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/num.h"
#include "comm/agree.h"
#include "job/cores.h"
#include "nn/lane.h"

rs_status rs_world_open(rs_world *w)
{
    *w = (rs_world){.size = 1, .width = 1};
    RS_TRY(rs_comm_open(&w->comm, NULL));
    w->rank = rs_comm_rank(w->comm);
    w->size = rs_comm_size(w->comm);
    if (w->size > 1)
        rs_log_set_rank(w->rank);
    return RS_OK;
}

rs_status rs_world_watch(rs_world *w, double timeout_s)
{
    rs_watchdog_opts o = {.warn_s = timeout_s / 10,
                          .timeout_s = timeout_s,
                          .exit_code = rs_status_exit_code(RS_PEER)};
    if (w->size == 1)
        return RS_OK;
    return rs_comm_agree(w->comm, rs_watchdog_start(&w->watchdog, w->comm, &o));
}

void rs_world_close(rs_world *w)
{
    for (int i = RS_WIDTHS - 1; i >= 0; i--) {
        rs_comm_close(&w->lanes[i].pair);
        rs_comm_close(&w->lanes[i].half);
        rs_comm_close(&w->lanes[i].lane);
    }
    rs_comm_close(&w->lanes_of_gang);
    rs_comm_close(&w->node);
    rs_comm_close(&w->gang);
    rs_dealloc(w->gang_of);
    w->gang_of = NULL;
    rs_watchdog_stop(&w->watchdog);
    rs_comm_close(&w->comm);
}

/* Names of the ranks' machines, NODE_NAME bytes each, in the arena. */
enum { NODE_NAME = 256 };
static rs_status node_names(char **names, rs_arena *a, const rs_world *w)
{
    char mine[NODE_NAME] = {0};
    size_t *bytes = RS_NEW(a, size_t, w->size);
    *names = rs_arena_alloc(a, (size_t)w->size, NODE_NAME);
    for (int r = 0; r < w->size; r++)
        bytes[r] = NODE_NAME;
    gethostname(mine, NODE_NAME - 1);
    return rs_comm_allgather(*names, w->comm, mine, bytes, "names of the nodes");
}

static bool same_node(const char *names, int r, int s)
{
    return memcmp(names + (size_t)r * NODE_NAME, names + (size_t)s * NODE_NAME, NODE_NAME) == 0;
}

/* Numbers of the gangs, where each run of neighbouring ranks of one node is one. */
static rs_status node_gangs(rs_world *w)
{
    char *names;
    rs_arena *a = rs_arena_create();
    rs_status st = node_names(&names, a, w);
    for (int r = 1; st == RS_OK && r < w->size; r++)
        w->gang_of[r] = w->gang_of[r - 1] + !same_node(names, r, r - 1);
    rs_arena_destroy(&a);
    return st;
}

rs_status rs_world_make_node(rs_world *w)
{
    char *names;
    int first = 0;
    rs_arena *a = rs_arena_create();
    rs_status st = node_names(&names, a, w);
    while (st == RS_OK && !same_node(names, first, w->rank))
        first++;
    rs_arena_destroy(&a);
    return st == RS_OK ? rs_comm_split(&w->node, w->comm, first, w->rank, "machine") : st;
}

rs_status rs_world_make_gangs(rs_world *w, int64_t size)
{
    w->gang_of = rs_alloc((size_t)w->size, sizeof *w->gang_of);
    for (int r = 0; size > 0 && r < w->size; r++)
        w->gang_of[r] = r / size;
    if (size == 0)
        RS_TRY(node_gangs(w));
    return rs_comm_split(&w->gang, w->comm, rs_i32(w->gang_of[w->rank]), w->rank, "gang");
}

static rs_status make_lane(rs_world *w, int i, int colour)
{
    rs_world_lane *l = &w->lanes[i];
    RS_TRY(rs_comm_split(&l->lane, w->comm, colour, w->rank, "lane"));
    return l->lane ? rs_lane_halves(&l->half, &l->pair, l->lane) : RS_OK;
}

/* Lanes of all widths: neighbours of a gang, counted from its first rank. */
static rs_status make_all_lanes(rs_world *w)
{
    int size = rs_comm_size(w->gang), first = w->rank - rs_comm_rank(w->gang);
    for (int i = 1; i < RS_WIDTHS && 1 << i <= w->size; i++) {
        int at = (w->rank - first) >> i << i;
        RS_TRY(make_lane(w, i, at + (1 << i) <= size ? first + at : -1));
    }
    return RS_OK;
}

const rs_world_lane *rs_world_lane_of(const rs_world *w, int width)
{
    int i = 0;
    while (1 << i < width)
        i++;
    RS_ASSERT(i < RS_WIDTHS && 1 << i == width);
    return &w->lanes[i];
}

rs_status rs_world_make_lanes(rs_world *w, int64_t width)
{
    int gang = w->gang ? rs_comm_size(w->gang) : w->size;
    if (width == 1)
        return RS_OK;
    int64_t colour = w->gang_of ? w->gang_of[w->rank] : 0;
    RS_TRY(rs_comm_split(&w->lanes_of_gang, w->comm, rs_i32(colour), w->rank, "lanes of a gang"));
    if (width == 0)
        return make_all_lanes(w);
    if (w->size % width || gang % width)
        return RS_FAIL(CONFIG, "cluster.lanes: lanes of %lld ranks do not divide %s of %d",
                       (long long)width, w->size % width ? "a world" : "a gang",
                       w->size % width ? w->size : gang);
    w->width = rs_i32(width);
    for (int i = 1; i < RS_WIDTHS; i++)
        if (1 << i == w->width)
            return make_lane(w, i, w->rank / w->width);
    return RS_FAIL(CONFIG, "cluster.lanes: a lane of %lld ranks", (long long)width);
}

rs_status rs_world_any(bool *any, const rs_world *w, bool mine, const char *what)
{
    int64_t n = mine;
    RS_TRY(rs_comm_allreduce(&n, w->comm, &n, 1, RS_COMM_I64, RS_COMM_MAX, what));
    *any = n != 0;
    return RS_OK;
}

rs_status rs_world_await_lead(const rs_world *w)
{
    enum { LOOK_US = 1000 };
    for (int r = 1; rs_world_leads(w) && r < w->size; r++)
        RS_TRY(rs_comm_send(w->comm, "", 1, r, RS_TAG_LEAD));
    while (!rs_world_leads(w)) {
        rs_comm_message m;
        char nothing;
        RS_TRY(rs_comm_probe(&m, w->comm, 0, RS_TAG_LEAD));
        if (m.found)
            return rs_comm_take(w->comm, &m, &nothing);
        nanosleep(&(struct timespec){.tv_nsec = LOOK_US * 1000}, NULL);
    }
    return RS_OK;
}

rs_status rs_world_cores(int *cores, const rs_world *w)
{
    rs_status st = RS_OK;
    rs_arena *a = rs_arena_create();
    rs_rank_cores mine = rs_rank_cores_here(), *all = RS_NEW(a, rs_rank_cores, w->size);
    size_t *bytes = RS_NEW(a, size_t, w->size);
    for (int r = 0; r < w->size; r++)
        bytes[r] = sizeof mine;
    RS_TRY_OUT(rs_comm_allgather(all, w->comm, &mine, bytes, "shares of the cores"));
    *cores = rs_rank_cores_share(all, w->size, w->rank);
out:
    rs_arena_destroy(&a);
    return st;
}

/* ---- lists of strings: each is 'x' for NULL, or 's', its bytes and a zero ---- */

static char *pack(size_t *bytes, rs_arena *a, const char *const *strings, int64_t n)
{
    *bytes = 0;
    for (int64_t i = 0; i < n; i++)
        *bytes += strings[i] ? strlen(strings[i]) + 2 : 1;
    char *data = rs_arena_alloc(a, *bytes + 1, 1), *p = data;
    for (int64_t i = 0; i < n; i++) {
        *p++ = strings[i] ? 's' : 'x';
        if (strings[i]) {
            size_t length = strlen(strings[i]) + 1;
            memcpy(p, strings[i], length);
            p += length;
        }
    }
    return data;
}

static void unpack(const char **strings, int64_t n, const char *data)
{
    for (int64_t i = 0; i < n; i++) {
        bool there = *data++ == 's';
        strings[i] = there ? data : NULL;
        data += there ? strlen(data) + 1 : 0;
    }
}

rs_status rs_world_share(const char **strings, int64_t n, rs_arena *a, const rs_world *w)
{
    if (w->size == 1)
        return RS_OK;
    size_t bytes = 0;
    char *data = rs_world_leads(w) ? pack(&bytes, a, strings, n) : NULL;
    RS_TRY(rs_comm_broadcast(&bytes, w->comm, sizeof bytes, 0, "size of a list"));
    data = data ? data : rs_arena_alloc(a, bytes + 1, 1);
    RS_TRY(rs_comm_broadcast(data, w->comm, bytes, 0, "list"));
    unpack(strings, n, data);
    return RS_OK;
}

typedef struct list_size {
    int64_t n;
    size_t bytes;
} list_size;

rs_status rs_world_gather(const char ***all, int64_t *n_all, rs_arena *a,
                          const char *const *strings, int64_t n, const rs_world *w)
{
    list_size mine = {.n = n};
    list_size *sizes = RS_NEW(a, list_size, w->size);
    size_t *bytes = RS_NEW(a, size_t, w->size), total = 0;
    const char *data = pack(&mine.bytes, a, strings, n);
    for (int r = 0; r < w->size; r++)
        bytes[r] = sizeof mine;
    RS_TRY(rs_comm_allgather(sizes, w->comm, &mine, bytes, "sizes of lists"));
    *n_all = 0;
    for (int r = 0; r < w->size; r++) {
        bytes[r] = sizes[r].bytes;
        total += sizes[r].bytes;
        *n_all += sizes[r].n;
    }
    char *joined = rs_arena_alloc(a, total + 1, 1);
    RS_TRY(rs_comm_allgather(joined, w->comm, data, bytes, "lists"));
    *all = RS_NEW(a, const char *, *n_all + 1);
    unpack(*all, *n_all, joined);
    return RS_OK;
}
