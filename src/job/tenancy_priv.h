/* Private to job/tenancy.c and job/tenancy_settings.c. */
#ifndef RS_JOB_TENANCY_PRIV_H
#define RS_JOB_TENANCY_PRIV_H

#include "job/tenancy.h"

/* Hash of the settings, catalog, arms and model that all runs of a folder must have. */
rs_status rs_tenancy_settings(char hex[RS_HASH_HEX], const rs_run *run,
                              const rs_arms *arms) RS_NODISCARD;
/* The first of them that two dumps (rs_config_dump) differ in, for a message. */
const char *rs_tenancy_difference(rs_arena *a, const char *theirs, const char *ours);

#endif
