/* Queues: work that a device does beside its ops. Ops, put, get, copy and zero are on COMPUTE, in
 * the order of their calls; what comes from the host arrives on COPY, what goes there leaves on
 * BACK (a bus carries both at once), collectives run on GATHER. What queues owe each other is said
 * by events, which no host thread waits for. On the CPU everything is done when its call returns,
 * and events say nothing.
 *
 * Any thread may use these functions, one at a time per event. Failures are kept by the device
 * (rs_device_check), like those of ops. */
#ifndef RS_DEVICE_QUEUE_H
#define RS_DEVICE_QUEUE_H

#include "device/device.h"

typedef enum rs_queue {
    RS_QUEUE_COMPUTE,
    RS_QUEUE_GATHER,
    RS_QUEUE_COPY,
    RS_QUEUE_BACK,
    RS_QUEUES
} rs_queue;

typedef struct rs_event rs_event;

rs_status rs_event_create(rs_event **out, rs_device *d) RS_NODISCARD;
void rs_event_destroy(rs_event **e); /* accepts NULL, nulls the pointer */
/* The event is what the queue has been given so far. */
void rs_event_record(rs_event *e, rs_queue q);
/* What the queue is given from now on begins after the event as last recorded; at once if it never
 * was. */
void rs_event_wait(rs_event *e, rs_queue q);
bool rs_event_done(rs_event *e);

/* Host memory that a device reads by itself (page-locked), 64-byte aligned. RS_NOMEM. */
rs_status rs_device_pin(rs_device *d, void **out, size_t bytes) RS_NODISCARD;
void rs_device_unpin(rs_device *d, void *p); /* accepts NULL */
/* Make existing host memory such (whole pages; shared memory of several processes), and undo it. */
rs_status rs_device_register(rs_device *d, void *p, size_t bytes) RS_NODISCARD;
void rs_device_unregister(rs_device *d, void *p);
/* Enqueue a copy of pinned memory to the device. src stays as it is until the queue has done it. */
void rs_device_send(rs_device *d, void *dst_device, const void *src_pinned, size_t bytes,
                    rs_queue q);
/* The other way. src is read, and dst written, when the queue gets there. */
void rs_device_fetch(rs_device *d, void *dst_pinned, const void *src_device, size_t bytes,
                     rs_queue q);
/* The host waits until all queues are empty. */
void rs_device_sync(rs_device *d);

/* Device memory that is free now and that there is; for the CPU that of the machine. */
void rs_device_room(rs_device *d, size_t *free_bytes, size_t *all_bytes);
/* The backend's own handle of a queue (cudaStream_t), for libraries that enqueue by themselves;
 * NULL on the CPU. */
void *rs_device_queue(rs_device *d, rs_queue q);

#endif
