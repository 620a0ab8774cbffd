/* The walk of a gang. One thread per rank, the *walker*, makes all calls on the gang's
 * communicator.
 *
 * Boundary: each rank's wish is gathered: nothing (AWAY), a pass back to block b (b = L: forwards
 * only), or to close. The pass that serves all wishes is walked; without a wish they ask again a
 * little later; when all want to close they do. A rank in a round that has no wish yet answers
 * HOLD: then no pass begins at this boundary. So ranks that have joined, and only then wish, begin
 * together.
 *
 * Pass: the blocks' uses, 0..L-1 and L-1..b, with two entries in the ring: a use whose block is not
 * in the ring needs a gather, into the entry used longest ago. This order is a function of the
 * passes so far, so it is equal on all ranks. At the end block 0 is gathered for the next pass,
 * unless it is there. An entry is overwritten when this rank's computation is through with it;
 * where it takes no part in the pass, or is through with its shorter one, at once. So gathers wait
 * for computations and never the other way round within a pass, and a rank that looks on holds up
 * nobody.
 *
 * Order: a lane's exchanges within a pass go over the same devices, and two ranks that enqueue an
 * exchange and a gather in different orders could wait for each other for ever, where a device has
 * room for one of them only. So a computation of a lane goes on, after it began a pass or released
 * a block, when every gather that this allowed is under way; none begins until the next release. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/num.h"
#include "comm/agree.h"
#include "weights/stream_priv.h"

enum {
    AWAY = -1,
    CLOSE = -2,
    HOLD = -3,
    PAUSE_MIN_US = 500,
    PAUSE_MAX_US = 20000,
    HOLD_MAX_S = 30
};

/* One gather of a pass. */
typedef struct gather {
    int block, entry;
    int use;   /* the first it serves; n_uses: none of this pass */
    int after; /* number of uses that must be over before; below 1: none */
} gather;

/* What a rank wants next: a pass back to a block, or AWAY, CLOSE, HOLD. */
typedef struct wish {
    int32_t what;
    int32_t lane; /* ranks that have to begin it together */
} wish;

typedef struct rs_wgang {
    rs_wshard shard;
    pthread_t thread;
    bool started;
    int go;                        /* to the walker: 0 wait, 1 begin, -1 all is off */
    bool joined, closing, wishing; /* what the computation wants (under the stream's lock) */
    bool told;                     /* the walker has told the gang that this rank has joined */
    bool held_back;                /* its last answer was HOLD, */
    double since;                  /* from then on, */
    int64_t pause_us;              /* and it waits so long before the next */
    int back_to;                   /* of the pass that is wished for */
    int lane;                      /* ranks that share this one's passes */
    bool in_pass;                  /* it takes part in the pass under way */
    int done;                      /* uses that it is through with */
    bool held;                     /* it holds the block of use `done` */
    int ready;                     /* uses below this have their block in the ring */
    int *entry;                    /* (2L) of every use */
    int n_uses;
    gather *gathers; /* (2L + 1) */
    int n_gathers;
    int sent;               /* of them: under way or over */
    int last_use[RS_WRING]; /* of the ring's entries, for the plan */
    rs_status failed;
    char failure[512];
    wish *wishes;  /* (ranks) */
    size_t *bytes; /* (ranks) sizeof of a wish */
} rs_wgang;

/* ---- plan of a pass ---- */

static int block_of_use(int L, int use)
{
    return use < L ? use : 2 * L - 1 - use;
}

static int entry_of_block(const rs_wstream *w, int block)
{
    for (int e = 0; e < RS_WRING; e++)
        if (w->ring[e].block == block)
            return e;
    return -1;
}

/* The entry that holds the block, from `use` on. */
static int place(rs_wstream *w, int block, int use)
{
    rs_wgang *g = w->gang;
    int e = entry_of_block(w, block);
    if (e < 0) {
        e = g->last_use[0] <= g->last_use[1] ? 0 : 1;
        w->ring[e].block = block;
        g->gathers[g->n_gathers++] =
            (gather){.block = block, .entry = e, .use = use, .after = g->last_use[e] + 1};
    }
    g->last_use[e] = use;
    return e;
}

/* Called locked. ring[].block: what is in the entries after the pass. */
static void plan_pass(rs_wstream *w, int back_to)
{
    rs_wgang *g = w->gang;
    int L = w->layout->blocks;
    g->n_gathers = g->sent = 0;
    g->n_uses = L + (L - back_to);
    for (int u = 0; u < g->n_uses; u++)
        g->entry[u] = place(w, block_of_use(L, u), u);
    place(w, 0, g->n_uses);
    for (int e = 0; e < RS_WRING; e++) /* keep their order for the next plan */
        g->last_use[e] -= g->n_uses + 1;
    g->ready = g->n_gathers ? g->gathers[0].use : g->n_uses;
}

/* ---- walker ---- */

/* Called locked, with the error in this thread's record. */
static void fail(rs_wgang *g, rs_status st)
{
    g->failed = st;
    snprintf(g->failure, sizeof g->failure, "%s", rs_error_message());
}

static rs_status do_gather(rs_wstream *w, const gather *x, int next_use)
{
    rs_wgang *g = w->gang;
    rs_wentry *e = &w->ring[x->entry];
    pthread_mutex_lock(&w->lock);
    while (g->in_pass && g->done < x->after)
        pthread_cond_wait(&w->changed, &w->lock);
    pthread_mutex_unlock(&w->lock);
    RS_TRY(rs_wshard_begin(&g->shard, w, x->block, e));
    pthread_mutex_lock(&w->lock);
    g->sent++;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    RS_TRY(rs_wshard_end(&g->shard, w, x->block, e));
    pthread_mutex_lock(&w->lock);
    g->ready = next_use;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    return RS_OK;
}

static rs_status walk(rs_wstream *w)
{
    rs_wgang *g = w->gang;
    for (int i = 0; i < g->n_gathers; i++)
        RS_TRY(
            do_gather(w, &g->gathers[i], i + 1 < g->n_gathers ? g->gathers[i + 1].use : g->n_uses));
    pthread_mutex_lock(&w->lock);
    while (g->in_pass) /* the next plan is made when nobody uses this one */
        pthread_cond_wait(&w->changed, &w->lock);
    pthread_mutex_unlock(&w->lock);
    return RS_OK;
}

/* Called locked: until something changes, but not for long. */
static void wait_us(rs_wstream *w, int64_t us)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += us * 1000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&w->changed, &w->lock, &until);
}

/* This rank's wish. One in a round is waited for: it answers HOLD now and then, so that others can
 * join meanwhile, but not for ever, so that the watchdog names who never comes. */
static wish my_wish(rs_wstream *w)
{
    rs_wgang *g = w->gang;
    wish mine = {.what = AWAY};
    pthread_mutex_lock(&w->lock);
    if (g->held_back && g->joined && !g->wishing && !g->closing)
        wait_us(w, g->pause_us = rs_min_i64(2 * g->pause_us, PAUSE_MAX_US));
    while (g->joined && !g->wishing && !g->closing && g->told && rs_now() - g->since > HOLD_MAX_S)
        pthread_cond_wait(&w->changed, &w->lock);
    if (g->wishing)
        mine.what = g->back_to;
    else if (g->closing)
        mine.what = CLOSE;
    else if (g->joined)
        mine.what = HOLD;
    mine.lane = g->lane;
    if (mine.what != HOLD || !g->held_back) {
        g->since = rs_now();
        g->pause_us = PAUSE_MIN_US;
    }
    g->held_back = mine.what == HOLD;
    g->told = g->joined;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    return mine;
}

static void begin_pass(rs_wstream *w, int back_to, bool mine)
{
    rs_wgang *g = w->gang;
    pthread_mutex_lock(&w->lock);
    plan_pass(w, back_to);
    w->stats.passes++;
    if (mine) {
        g->in_pass = true;
        g->wishing = false;
        g->done = 0;
    }
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

/* Between looks at a gang that wants nothing. A wish of this rank ends it. */
static void pause_a_little(rs_wstream *w, int64_t us)
{
    pthread_mutex_lock(&w->lock);
    if (!w->gang->wishing && !w->gang->closing && !w->gang->joined)
        wait_us(w, us);
    pthread_mutex_unlock(&w->lock);
}

static bool lane_wishes(const rs_wgang *g, int rank, int ranks)
{
    int lane = g->wishes[rank].lane, first = rank / lane * lane;
    for (int r = first; r < first + lane; r++)
        if (r >= ranks || g->wishes[r].what < 0 || g->wishes[r].lane != lane)
            return false;
    return true;
}

/* A pass needs all ranks of its lane, and nobody who has just joined: where some have not come yet,
 * the others wait for the next boundary. True if there are such. */
static bool put_off(rs_wgang *g, int ranks)
{
    bool hold = false, some = false;
    for (int r = 0; r < ranks; r++)
        hold = hold || g->wishes[r].what == HOLD;
    for (int r = 0; r < ranks; r++) {
        if (g->wishes[r].what < 0 || (!hold && lane_wishes(g, r, ranks)))
            continue;
        g->wishes[r].what = AWAY; /* no lane is whole without it, as none was with it */
        some = true;
    }
    return some || hold;
}

/* *idle: nobody wants anything. */
static rs_status meet(rs_wstream *w, bool *closed, bool *idle)
{
    rs_wgang *g = w->gang;
    int ranks = rs_comm_size(g->shard.gang), closing = 0, back_to = -1;
    wish mine = my_wish(w);
    RS_TRY(rs_comm_allgather(g->wishes, g->shard.gang, &mine, g->bytes, "next pass of the gang"));
    *idle = !put_off(g, ranks);
    for (int r = 0; r < ranks; r++) {
        int what = g->wishes[r].what;
        closing += what == CLOSE;
        if (what >= 0)
            back_to = back_to < 0 || what < back_to ? what : back_to;
    }
    *closed = closing == ranks;
    if (back_to < 0)
        return RS_OK;
    *idle = false;
    begin_pass(w, back_to, g->wishes[rs_comm_rank(g->shard.gang)].what >= 0);
    return walk(w);
}

static void *walker(void *arg)
{
    rs_wstream *w = arg;
    bool closed = false;
    rs_status st = RS_OK;
    int64_t pause = PAUSE_MIN_US;
    pthread_mutex_lock(&w->lock);
    while (w->gang->go == 0)
        pthread_cond_wait(&w->changed, &w->lock);
    closed = w->gang->go < 0;
    pthread_mutex_unlock(&w->lock);
    while (st == RS_OK && !closed) {
        bool idle = false;
        st = meet(w, &closed, &idle);
        if (st != RS_OK || closed)
            break;
        pause = idle ? rs_min_i64(2 * pause, PAUSE_MAX_US) : PAUSE_MIN_US;
        if (idle)
            pause_a_little(w, pause);
    }
    pthread_mutex_lock(&w->lock);
    if (st != RS_OK)
        fail(w->gang, st);
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* ---- open and close ---- */

static rs_status prepare(rs_wstream *w, rs_comm *gang)
{
    rs_wgang *g = w->gang;
    int L = w->layout->blocks, S = rs_comm_size(gang);
    g->entry = RS_NEW(w->arena, int, 2 * L);
    g->gathers = RS_NEW(w->arena, gather, 2 * L + 1);
    g->wishes = RS_NEW(w->arena, wish, S);
    g->bytes = RS_NEW(w->arena, size_t, S);
    for (int r = 0; r < S; r++)
        g->bytes[r] = sizeof *g->wishes;
    for (int e = 0; e < RS_WRING; e++)
        g->last_use[e] = e - RS_WRING;
    return rs_wshard_open(&g->shard, w, gang);
}

static void let_go(rs_wstream *w, int go)
{
    pthread_mutex_lock(&w->lock);
    w->gang->go = go;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

rs_status rs_wgang_open(rs_wstream *w, rs_comm *gang, rs_status st)
{
    rs_wgang *g = w->gang = RS_NEW(w->arena, rs_wgang, 1);
    g->lane = 1;
    if (st == RS_OK)
        st = prepare(w, gang);
    if (st == RS_OK) {
        g->started = pthread_create(&g->thread, NULL, walker, w) == 0;
        st = g->started ? RS_OK : RS_FAIL(NOMEM, "no thread for the weights");
    }
    RS_TRY(rs_comm_agree(gang, st)); /* nobody serves a gang with a rank missing */
    let_go(w, 1);
    return RS_OK;
}

/* Serves the others until they close too. */
void rs_wgang_close(rs_wstream *w)
{
    rs_wgang *g = w->gang;
    if (!g)
        return;
    pthread_mutex_lock(&w->lock);
    RS_ASSERTF(!g->in_pass && !g->wishing, "weights: closed within a pass");
    g->closing = true;
    g->go = g->go == 0 ? -1 : g->go;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    if (g->started)
        pthread_join(g->thread, NULL);
    rs_wshard_close(&g->shard, w);
    w->gang = NULL;
}

/* ---- the computation's side ---- */

/* Called locked. */
static rs_status broken(const rs_wgang *g)
{
    return rs_fail_at(g->failed, __FILE__, __LINE__, __func__, "%s", g->failure);
}

/* Called locked, by the computation: until no gather can begin before its next release. */
static void settle(rs_wstream *w)
{
    rs_wgang *g = w->gang;
    while (g->lane > 1 && g->in_pass && g->failed == RS_OK && g->sent < g->n_gathers &&
           g->gathers[g->sent].after <= g->done)
        pthread_cond_wait(&w->changed, &w->lock);
}

void rs_wgang_join(rs_wstream *w, bool joined)
{
    rs_wgang *g = w->gang;
    pthread_mutex_lock(&w->lock);
    g->joined = joined;
    g->told = false;
    pthread_cond_broadcast(&w->changed);
    while (joined && !g->told && g->failed == RS_OK)
        pthread_cond_wait(&w->changed, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

void rs_wgang_set_lane(rs_wstream *w, int ranks)
{
    pthread_mutex_lock(&w->lock);
    RS_ASSERTF(!w->gang->in_pass && !w->gang->wishing, "weights: another lane within a pass");
    w->gang->lane = ranks;
    pthread_mutex_unlock(&w->lock);
}

rs_status rs_wgang_begin(rs_wstream *w, int back_to)
{
    rs_wgang *g = w->gang;
    rs_status st = RS_OK;
    double begin = rs_now();
    pthread_mutex_lock(&w->lock);
    RS_ASSERTF(!g->in_pass, "weights: a pass within a pass");
    g->back_to = back_to;
    g->wishing = true;
    pthread_cond_broadcast(&w->changed);
    while (g->wishing && g->failed == RS_OK)
        pthread_cond_wait(&w->changed, &w->lock);
    if (g->failed != RS_OK) {
        g->wishing = false;
        st = broken(g);
    }
    settle(w);
    w->stats.boundary_s += rs_now() - begin;
    pthread_mutex_unlock(&w->lock);
    return st;
}

void rs_wgang_end(rs_wstream *w)
{
    pthread_mutex_lock(&w->lock);
    RS_ASSERTF(!w->gang->held, "weights: a pass ends while a block is held");
    w->gang->in_pass = false;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

rs_status rs_wgang_acquire(rs_wstream *w, int block, const rs_tensor **slots)
{
    rs_wgang *g = w->gang;
    rs_status st = RS_OK;
    double begin = rs_now();
    pthread_mutex_lock(&w->lock);
    RS_ASSERTF(g->in_pass && !g->held && g->done < g->n_uses &&
                   block_of_use(w->layout->blocks, g->done) == block,
               "weights: block %d acquired out of its turn", block);
    while (g->ready <= g->done && g->failed == RS_OK)
        pthread_cond_wait(&w->changed, &w->lock);
    if (g->ready <= g->done) {
        st = broken(g);
    } else {
        g->held = true;
        *slots = w->ring[g->entry[g->done]].slots;
    }
    w->stats.exposed_s += rs_now() - begin;
    pthread_mutex_unlock(&w->lock);
    return st;
}

void rs_wgang_release(rs_wstream *w, int block)
{
    rs_wgang *g = w->gang;
    pthread_mutex_lock(&w->lock);
    RS_ASSERTF(g->held && block_of_use(w->layout->blocks, g->done) == block,
               "weights: block %d released but not held", block);
    rs_event_record(g->shard.used[g->entry[g->done]], RS_QUEUE_COMPUTE);
    g->held = false;
    g->done++;
    pthread_cond_broadcast(&w->changed);
    settle(w);
    pthread_mutex_unlock(&w->lock);
}
