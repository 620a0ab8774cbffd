/* A block of a sharded stream: its tensors one after the other, on the CPU in the file's type, on a
 * GPU, whose memory the host cannot convert, in the type that is needed; each padded to
 * PAD bytes (the *image*), cut into one part per rank at multiples of PAD. A rank reads its parts
 * at open and keeps nothing else; gathering puts the parts back together in a ring entry. Tensors
 * that have the type they need are used where they arrive, others are converted behind the image,
 * as the mapped home does: the same bits. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/num.h"
#include "base/log.h"
#include "comm/device_data.h"
#include "weights/stream_priv.h"

enum { PAD = 64 };

static size_t padded_bytes(rs_tensor t)
{
    return rs_has(t) ? (rs_tensor_bytes(t) + PAD - 1) / PAD * PAD : 0;
}

static size_t image_bytes(const rs_wshard *s, const rs_wstream *w, int block)
{
    if (s->converted)
        return rs_wstream_group_bytes(w, rs_wstream_group(w, block), false);
    const rs_tensor *t = rs_wstream_file_block(w, block);
    size_t bytes = 0;
    for (int i = 0; i < w->layout->block_slots; i++)
        bytes += padded_bytes(t[i]);
    return bytes;
}

/* Where rank r's part begins. */
static size_t cut(size_t image, int ranks, int r)
{
    return image / PAD * (size_t)r / (size_t)ranks * PAD;
}

/* Pages of the file that are wholly within were read once and are not needed again. */
static void forget(const char *from, size_t bytes)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t lo = ((uintptr_t)from + page - 1) / page * page;
    uintptr_t hi = ((uintptr_t)from + bytes) / page * page;
    if (lo < hi)
        (void)madvise((void *)lo, hi - lo, MADV_DONTNEED); /* a hint */
}

/* [lo,hi) of the block's image from the file. */
static void read_part(rs_wstream *w, char *dst, int block, size_t lo, size_t hi)
{
    const rs_tensor *t = rs_wstream_file_block(w, block);
    size_t at = 0;
    for (int i = 0; i < w->layout->block_slots; i++) {
        size_t bytes = rs_has(t[i]) ? rs_tensor_bytes(t[i]) : 0;
        size_t from = lo > at ? lo - at : 0, to = hi > at ? hi - at : 0;
        to = to < bytes ? to : bytes;
        if (from < to) {
            const char *src = (const char *)t[i].data + from;
            rs_device_put(w->dev, dst + (at + from - lo), src, to - from);
            forget(src, to - from);
            w->stats.bytes_read += (int64_t)(to - from);
        }
        at += padded_bytes(t[i]);
    }
}

/* The same of the converted block, which is made whole on the host first. */
static rs_status read_converted(rs_wshard *s, rs_wstream *w)
{
    int S = rs_comm_size(s->gang), r = rs_comm_rank(s->gang);
    char *whole = rs_alloc_large(s->most ? s->most : 1);
    if (!whole)
        return RS_FAIL(NOMEM, "no memory for a block of weights of %zu bytes", s->most);
    for (int b = 0; b < w->layout->blocks; b++) {
        size_t lo = cut(s->image[b], S, r), hi = cut(s->image[b], S, r + 1);
        rs_wstream_read_group(w, whole, rs_wstream_group(w, b), w->stage[0]);
        rs_device_put(w->dev, s->memory + s->at[b], whole + lo, hi - lo);
        w->stats.bytes_read += (int64_t)(hi - lo);
    }
    rs_dealloc(whole);
    return RS_OK;
}

static rs_status make_room(rs_wshard *s, rs_wstream *w, size_t parts)
{
    size_t converted = 0;
    for (int b = 0; b < w->layout->blocks; b++) {
        size_t bytes = s->converted ? 0 : rs_wstream_group_bytes(w, rs_wstream_group(w, b), true);
        s->most = s->image[b] > s->most ? s->image[b] : s->most;
        converted = bytes > converted ? bytes : converted;
    }
    RS_TRY(rs_wstream_memory(w, (void **)&s->memory, parts));
    w->ring_bytes = s->most + converted;
    for (int i = 0; i < RS_WRING; i++) {
        RS_TRY(rs_wstream_memory(w, &w->ring[i].memory, w->ring_bytes));
        w->ring[i].slots = RS_NEW(w->arena, rs_tensor, w->layout->block_slots);
        w->ring[i].block = -1;
        RS_TRY(rs_event_create(&s->used[i], w->dev));
    }
    return RS_OK;
}

rs_status rs_wshard_open(rs_wshard *s, rs_wstream *w, rs_comm *gang)
{
    int L = w->layout->blocks, S = rs_comm_size(gang), r = rs_comm_rank(gang);
    size_t parts = 0;
    bool gpu = !rs_device_host_memory(w->dev);
    *s = (rs_wshard){.gang = gang,
                     .data = rs_comm_data(gang),
                     .converted = gpu,
                     .at = RS_NEW(w->arena, size_t, L),
                     .image = RS_NEW(w->arena, size_t, L),
                     .parts = RS_NEW(w->arena, size_t, S),
                     .src = RS_NEW(w->arena, rs_tensor, w->layout->block_slots)};
    if (gpu && s->data == gang && S > 1)
        return RS_FAIL(DEVICE, "sharded weights on a GPU need NCCL between its gang's ranks");
    for (int b = 0; b < L; b++) {
        s->image[b] = image_bytes(s, w, b);
        s->at[b] = parts;
        parts += cut(s->image[b], S, r + 1) - cut(s->image[b], S, r);
    }
    RS_TRY(make_room(s, w, parts));
    if (gpu)
        return read_converted(s, w);
    for (int b = 0; b < L; b++)
        read_part(w, s->memory + s->at[b], b, cut(s->image[b], S, r), cut(s->image[b], S, r + 1));
    return RS_OK;
}

void rs_wshard_close(rs_wshard *s, rs_wstream *w)
{
    rs_device_free(w->dev, s->memory);
    for (int i = 0; i < RS_WRING; i++)
        rs_event_destroy(&s->used[i]);
}

/* The tensors of a block whose image is at `image`. */
static void place_tensors(rs_tensor *out, const rs_wstream *w, int block, char *image)
{
    const rs_tensor *t = rs_wstream_file_block(w, block);
    for (int i = 0; i < w->layout->block_slots; i++) {
        out[i] = t[i];
        if (rs_has(t[i]))
            out[i].data = image;
        image += padded_bytes(t[i]);
    }
}

rs_status rs_wshard_begin(rs_wshard *s, rs_wstream *w, int block, rs_wentry *e)
{
    int S = rs_comm_size(s->gang);
    for (int i = 0; i < S; i++)
        s->parts[i] = cut(s->image[block], S, i + 1) - cut(s->image[block], S, i);
    s->since = rs_now();
    rs_event_wait(s->used[e - w->ring], RS_QUEUE_GATHER);
    if (s->converted && S == 1) {
        rs_device_copy(w->dev, e->memory, s->memory + s->at[block], s->image[block]);
        return RS_OK;
    }
    return rs_comm_iallgather(&s->request, e->memory, s->data, s->memory + s->at[block], s->parts,
                              "block of weights");
}

rs_status rs_wshard_end(rs_wshard *s, rs_wstream *w, int block, rs_wentry *e)
{
    char *image = e->memory, *at = image + s->most;
    if (s->request)
        RS_TRY(rs_comm_wait(&s->request));
    if (s->converted) {
        rs_wstream_place_group(w, e->slots, rs_wstream_group(w, block), image);
    } else {
        place_tensors(s->src, w, block, image);
        rs_wgroup g = {s->src, w->block_matrix, w->layout->block_slots, false};
        rs_wstream_load_group(w, e->slots, g, &at, true, w->stage[1]);
    }
    pthread_mutex_lock(&w->lock);
    w->stats.gathers++;
    w->stats.bytes_gathered += (int64_t)(s->image[block] - s->parts[rs_comm_rank(s->gang)]);
    w->stats.gather_s += rs_now() - s->since;
    pthread_mutex_unlock(&w->lock);
    return RS_OK;
}
