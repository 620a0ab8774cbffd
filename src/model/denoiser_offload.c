/* What blocks keep for their backward, in host memory until then: block inputs, and what the family
 * keeps by its policies. A spill (device/spill.h) for each of these kinds. */
#include "base/num.h"
#include "device/spill.h"
#include "model/denoiser_priv.h"

enum { INPUTS, PARTS = 1 + RS_FAMILY_PARTS };

struct rs_offload {
    bool on; /* the present binding is for it */
    rs_kept_part parts[PARTS];
    rs_spill *spills[PARTS];
    void *host; /* grows, so that changing between sizes does not lock pages each time */
    size_t host_bytes;
};

static void find_parts(const rs_denoiser *m, rs_kept_part parts[PARTS])
{
    rs_tensor s = m->stream;
    size_t bytes = (size_t)(s.shape[1] * s.shape[2]) * rs_dtype_size(s.dtype);
    parts[INPUTS] = (rs_kept_part){s.data, bytes, 0, m->info.blocks + 1};
    m->family->kept(m->state, parts + 1);
}

static size_t away(const rs_kept_part *p)
{
    return (size_t)rs_spill_away(p->n) * p->bytes;
}

size_t rs_offload_bytes(const rs_denoiser *m)
{
    rs_kept_part parts[PARTS];
    size_t sum = 0;
    if (!m->dims.kept.offload)
        return 0;
    find_parts(m, parts);
    for (int i = 0; i < PARTS; i++)
        sum += away(&parts[i]);
    return sum;
}

static rs_status make(rs_denoiser *m)
{
    if (m->offload)
        return RS_OK;
    m->offload = rs_alloc(1, sizeof *m->offload);
    for (int i = 0; i < PARTS; i++)
        RS_TRY(rs_spill_create(&m->offload->spills[i], m->dev));
    return RS_OK;
}

static rs_status grow(rs_denoiser *m, size_t bytes)
{
    rs_offload *o = m->offload;
    if (bytes <= o->host_bytes)
        return RS_OK;
    rs_device_unpin(m->dev, o->host);
    o->host = NULL;
    o->host_bytes = 0;
    RS_TRY(rs_device_pin(m->dev, &o->host, bytes));
    o->host_bytes = bytes;
    return RS_OK;
}

rs_status rs_offload_bind(rs_denoiser *m)
{
    if (m->offload) { /* the ring's old memory may be the new binding's */
        rs_device_sync(m->dev);
        m->offload->on = false;
    }
    if (!m->dims.kept.offload)
        return RS_OK;
    RS_TRY(make(m));
    rs_offload *o = m->offload;
    RS_TRY(grow(m, rs_offload_bytes(m)));
    find_parts(m, o->parts);
    char *at = o->host;
    for (int i = 0; i < PARTS; i++) {
        const rs_kept_part *p = &o->parts[i];
        rs_spill_bind(o->spills[i], p->memory, at, p->bytes, p->n);
        at = at ? at + away(p) : NULL;
    }
    o->on = true;
    return RS_OK;
}

void rs_offload_close(rs_denoiser *m)
{
    rs_offload *o = m->offload;
    if (!o)
        return;
    rs_device_sync(m->dev);
    for (int i = 0; i < PARTS; i++)
        rs_spill_destroy(&o->spills[i]);
    rs_device_unpin(m->dev, o->host);
    rs_dealloc(o);
    m->offload = NULL;
}

/* ---- passes ---- */

typedef void spill_fn(rs_spill *s, int64_t k);

/* fn(what block i keeps) of the kinds from..to-1. */
static void each(rs_denoiser *m, int from, int to, int64_t i, spill_fn *fn)
{
    rs_offload *o = m->offload;
    if (!o || !o->on)
        return;
    for (int p = from; p < to; p++) {
        int64_t k = i - o->parts[p].first;
        if (k >= 0 && k < o->parts[p].n)
            fn(o->spills[p], k);
    }
}

void rs_offload_begin(rs_denoiser *m)
{
    for (int p = 0; m->offload && p < PARTS; p++)
        rs_spill_restart(m->offload->spills[p]);
}

void rs_offload_may_write_input(rs_denoiser *m, int64_t i)
{
    each(m, INPUTS, INPUTS + 1, i, rs_spill_write);
}

void rs_offload_wrote_input(rs_denoiser *m, int64_t i)
{
    each(m, INPUTS, INPUTS + 1, i, rs_spill_written);
}

void rs_offload_may_write(rs_denoiser *m, int64_t i)
{
    each(m, INPUTS + 1, PARTS, i, rs_spill_write);
    rs_offload_may_write_input(m, i + 1);
}

void rs_offload_wrote(rs_denoiser *m, int64_t i)
{
    each(m, INPUTS + 1, PARTS, i, rs_spill_written);
    rs_offload_wrote_input(m, i + 1);
}

void rs_offload_ended(rs_denoiser *m)
{
    each(m, INPUTS, INPUTS + 1, m->info.blocks, rs_spill_done);
}

void rs_offload_ahead(rs_denoiser *m, int64_t i)
{
    each(m, INPUTS, PARTS, i, rs_spill_fetch);
}

void rs_offload_read(rs_denoiser *m, int64_t i)
{
    each(m, INPUTS, PARTS, i, rs_spill_read);
}

void rs_offload_done(rs_denoiser *m, int64_t i)
{
    each(m, INPUTS, PARTS, i, rs_spill_done);
}
