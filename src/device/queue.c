#include "device/queue.h"

#include <unistd.h>

#include "device/device_priv.h"

rs_status rs_event_create(rs_event **out, rs_device *d)
{
    rs_event *e = rs_alloc(1, sizeof *e);
    e->dev = d;
    if (d->backend->queues) {
        rs_status st = d->backend->queues->event_create(d, &e->handle);
        if (st != RS_OK) {
            rs_dealloc(e);
            return rs_relay_at(st, __FILE__, __LINE__, __func__);
        }
    }
    *out = e;
    return RS_OK;
}

void rs_event_destroy(rs_event **e)
{
    if (!*e)
        return;
    if ((*e)->dev->backend->queues)
        (*e)->dev->backend->queues->event_destroy((*e)->dev, (*e)->handle);
    rs_dealloc(*e);
    *e = NULL;
}

void rs_event_record(rs_event *e, rs_queue q)
{
    if (e->dev->backend->queues)
        e->dev->backend->queues->event_record(e->dev, e->handle, q);
}

void rs_event_wait(rs_event *e, rs_queue q)
{
    if (e->dev->backend->queues)
        e->dev->backend->queues->event_wait(e->dev, e->handle, q);
}

bool rs_event_done(rs_event *e)
{
    return !e->dev->backend->queues || e->dev->backend->queues->event_done(e->dev, e->handle);
}

rs_status rs_device_pin(rs_device *d, void **out, size_t bytes)
{
    void *p = d->backend->queues ? d->backend->queues->pin(d, bytes) : rs_alloc_large(bytes);
    if (!p)
        return RS_FAIL(NOMEM, "%s device: no %.1f MiB of page-locked memory", d->backend->name,
                       (double)bytes / 0x1p20);
    *out = p;
    return RS_OK;
}

void rs_device_unpin(rs_device *d, void *p)
{
    if (!p)
        return;
    if (d->backend->queues)
        d->backend->queues->unpin(d, p);
    else
        rs_dealloc(p);
}

rs_status rs_device_register(rs_device *d, void *p, size_t bytes)
{
    return d->backend->queues ? d->backend->queues->enlist(d, p, bytes) : RS_OK;
}

void rs_device_unregister(rs_device *d, void *p)
{
    if (d->backend->queues)
        d->backend->queues->delist(d, p);
}

void rs_device_send(rs_device *d, void *dst_device, const void *src_pinned, size_t bytes,
                    rs_queue q)
{
    if (bytes == 0)
        return;
    if (d->backend->queues)
        d->backend->queues->send(d, dst_device, src_pinned, bytes, q);
    else
        d->backend->put(d, dst_device, src_pinned, bytes);
}

void rs_device_fetch(rs_device *d, void *dst_pinned, const void *src_device, size_t bytes,
                     rs_queue q)
{
    if (bytes == 0)
        return;
    if (d->backend->queues)
        d->backend->queues->fetch(d, dst_pinned, src_device, bytes, q);
    else
        d->backend->get(d, dst_pinned, src_device, bytes);
}

void rs_device_sync(rs_device *d)
{
    if (d->backend->queues)
        d->backend->queues->sync(d);
}

void rs_device_room(rs_device *d, size_t *free_bytes, size_t *all_bytes)
{
    if (d->backend->queues) {
        d->backend->queues->room(d, free_bytes, all_bytes);
        return;
    }
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    *free_bytes = (size_t)sysconf(_SC_AVPHYS_PAGES) * page;
    *all_bytes = (size_t)sysconf(_SC_PHYS_PAGES) * page;
}

void *rs_device_queue(rs_device *d, rs_queue q)
{
    return d->backend->queues ? d->backend->queues->handle(d, q) : NULL;
}
