/* Ranks that run certain stages only: "0-1=ingest,motion; 2=edit,decode" (cluster.pin). Stages are
 * ingest, motion, appearance, edit, decode, publish. */
#ifndef RS_JOB_PIN_H
#define RS_JOB_PIN_H

#include "sched/director.h"

/* Sets .stages of the named ones of n ranks; of the others it stays. RS_CONFIG tells what is wrong;
 * a rank that does not exist is wrong too. */
rs_status rs_pin_parse(rs_sched_gang *ranks, int64_t n, const char *text) RS_NODISCARD;

#endif
