#include "weights/stream.h"

#include <unistd.h>

#include "weights/stream_priv.h"

const char *rs_weight_home_name(rs_weight_home home)
{
    static const char *const names[] = {"auto", "resident", "mapped", "host", "sharded"};
    return names[home];
}

/* All matrices of the blocks; what else they have is small. */
static bool matrices_in_place(const rs_wstream *w)
{
    for (int b = 0; b < w->layout->blocks; b++) {
        rs_wgroup g = rs_wstream_group(w, b);
        for (int i = 0; i < g.n; i++)
            if (g.matrix[i] && rs_has(g.t[i]) && !rs_wstream_in_place(w, g, i))
                return false;
    }
    return true;
}

/* A device with memory of its own: all of it there, or all of it page-locked. */
static rs_weight_home choose_on_device(const rs_wstream *w)
{
    size_t room, all, need = 0;
    rs_device_room(w->dev, &room, &all);
    for (int b = 0; b < w->layout->blocks; b++)
        need += rs_wstream_group_bytes(w, rs_wstream_group(w, b), false);
    return need <= room / 2 ? RS_HOME_RESIDENT : RS_HOME_HOST;
}

static rs_weight_home choose_home(const rs_wstream *w)
{
    if (!rs_device_host_memory(w->dev))
        return choose_on_device(w);
    if (matrices_in_place(w))
        return RS_HOME_MAPPED;
    double memory = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    double need = 4.0 * (double)rs_layout_block_params(w->layout) * w->layout->blocks;
    return need <= memory / 4 ? RS_HOME_RESIDENT : RS_HOME_MAPPED;
}

static rs_wstream *make(rs_device *d, const rs_layout *layout)
{
    rs_wstream *w = rs_alloc(1, sizeof *w);
    w->dev = d;
    w->arena = rs_arena_create();
    w->layout = layout;
    w->wanted = -1;
    w->block_matrix = rs_layout_matrices(layout, w->arena, true);
    w->global_matrix = rs_layout_matrices(layout, w->arena, false);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    for (int i = 0; i < 2; i++)
        w->stage[i] = RS_NEW(w->arena, float, RS_WSTAGE);
    return w;
}

static rs_status open_file(rs_wstream *w, const char *path)
{
    RS_TRY(rs_weights_file_open(&w->file, path));
    return rs_weight_map_make(&w->map, w->arena, w->file, w->layout);
}

rs_status rs_wstream_open(rs_wstream **out, rs_device *d, const char *path, const rs_layout *layout,
                          rs_weight_home home)
{
    rs_status st = RS_OK;
    rs_wstream *w = make(d, layout);
    RS_ASSERTF(home != RS_HOME_SHARDED, "weights: a sharded stream needs a gang");
    RS_TRY_OUT(open_file(w, path));
    w->home = home == RS_HOME_AUTO ? choose_home(w) : home;
    RS_TRY_OUT(rs_wstream_load_globals(w));
    RS_TRY_OUT(w->home == RS_HOME_RESIDENT ? rs_wstream_load_resident(w)
               : w->home == RS_HOME_HOST   ? rs_whost_open(w, NULL, RS_OK)
                                           : rs_wring_make(w));
    *out = w;
    w = NULL;
out:
    rs_wstream_close(&w);
    return st;
}

rs_status rs_wstream_open_sharded(rs_wstream **out, rs_device *d, const char *path,
                                  const rs_layout *layout, rs_comm *gang)
{
    rs_wstream *w = make(d, layout);
    w->home = RS_HOME_SHARDED;
    rs_status st = open_file(w, path);
    if (st == RS_OK)
        st = rs_wstream_load_globals(w);
    st = rs_wgang_open(w, gang, st);
    if (st == RS_OK)
        *out = w;
    else
        rs_wstream_close(&w);
    return st;
}

rs_status rs_wstream_open_host(rs_wstream **out, rs_device *d, const char *path,
                               const rs_layout *layout, rs_comm *node)
{
    rs_wstream *w = make(d, layout);
    w->home = RS_HOME_HOST;
    rs_status st = open_file(w, path);
    if (st == RS_OK)
        st = rs_wstream_load_globals(w);
    st = rs_whost_open(w, node, st);
    if (st == RS_OK)
        *out = w;
    else
        rs_wstream_close(&w);
    return st;
}

void rs_wstream_close(rs_wstream **w)
{
    if (!w || !*w)
        return;
    rs_wstream *s = *w;
    rs_wring_stop(s);
    rs_whost_close(s);
    rs_wgang_close(s);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    for (int i = 0; i < RS_WRING; i++)
        rs_device_free(s->dev, s->ring[i].memory);
    rs_device_free(s->dev, s->resident_memory);
    rs_device_free(s->dev, s->global_memory);
    rs_weights_file_close(&s->file);
    rs_arena_destroy(&s->arena);
    rs_dealloc(s);
    *w = NULL;
}

const rs_tensor *rs_wstream_globals(const rs_wstream *w)
{
    return w->globals;
}

void rs_wstream_set_lane(rs_wstream *w, int ranks)
{
    if (w->gang)
        rs_wgang_set_lane(w, ranks);
}

void rs_wstream_join(rs_wstream *w)
{
    if (w->gang)
        rs_wgang_join(w, true);
}

void rs_wstream_leave(rs_wstream *w)
{
    if (w->gang)
        rs_wgang_join(w, false);
}

rs_status rs_wstream_begin(rs_wstream *w, int back_to)
{
    RS_ASSERT(back_to >= 0 && back_to <= w->layout->blocks);
    return w->gang ? rs_wgang_begin(w, back_to) : RS_OK;
}

void rs_wstream_end(rs_wstream *w)
{
    if (w->gang)
        rs_wgang_end(w);
}

void rs_wstream_prefetch(rs_wstream *w, int block)
{
    if (w->home == RS_HOME_MAPPED)
        rs_wring_prefetch(w, block);
    else if (w->home == RS_HOME_HOST)
        rs_whost_prefetch(w, block);
}

rs_status rs_wstream_acquire(rs_wstream *w, int block, const rs_tensor **slots)
{
    RS_ASSERT(block >= 0 && block < w->layout->blocks);
    pthread_mutex_lock(&w->lock);
    w->stats.acquired++;
    pthread_mutex_unlock(&w->lock);
    if (w->gang)
        return rs_wgang_acquire(w, block, slots);
    *slots = w->home == RS_HOME_MAPPED ? rs_wring_acquire(w, block)
             : w->home == RS_HOME_HOST ? rs_whost_acquire(w, block)
                                       : &w->resident[(int64_t)block * w->layout->block_slots];
    return RS_OK;
}

void rs_wstream_release(rs_wstream *w, int block)
{
    if (w->gang)
        rs_wgang_release(w, block);
    else if (w->home == RS_HOME_MAPPED)
        rs_wring_release(w, block);
    else if (w->home == RS_HOME_HOST)
        rs_whost_release(w, block);
}

rs_weight_home rs_wstream_home(const rs_wstream *w)
{
    return w->home;
}

size_t rs_wstream_bytes(const rs_wstream *w)
{
    return w->bytes;
}

bool rs_wstream_original(const rs_wstream *w)
{
    return w->map.original;
}

rs_wstream_stats rs_wstream_get_stats(rs_wstream *w)
{
    pthread_mutex_lock(&w->lock);
    rs_wstream_stats s = w->stats;
    pthread_mutex_unlock(&w->lock);
    return s;
}
