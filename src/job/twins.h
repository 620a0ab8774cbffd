/* NCCL's communicators of a run on GPUs: all are made when gangs and lanes are, and used once, so
 * that nothing is connected or allocated while jobs run. */
#ifndef RS_JOB_TWINS_H
#define RS_JOB_TWINS_H

#include "config/config.h"
#include "device/device.h"
#include "job/world.h"

/* Device bytes that they may take in a rank of a gang of so many ranks (1: weights are not
 * sharded), where lanes may have so many. */
int64_t rs_twins_bytes(const rs_config *c, int64_t gang, int64_t lane);
/* Collective over the world. Weights and tokens travel between the memories of GPUs: gathers on a
 * queue of their own beside the ops, exchanges of a lane in line with them. *taken: what they have
 * taken of the device. Nothing where computing is done in host memory. */
rs_status rs_twins_attach(int64_t *taken, const rs_world *w, rs_device *d,
                          const rs_config *c) RS_NODISCARD;
/* Collective, before the device is closed. */
void rs_twins_detach(const rs_world *w);

#endif
