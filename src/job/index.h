/* catalog.h5: links to every archive of a run directory and one table row per (video, edit). Made
 * from the archives alone, so it can be rebuilt at any time. */
#ifndef RS_JOB_INDEX_H
#define RS_JOB_INDEX_H

#include "base/status.h"

/* Write <output>/catalog.h5 from <output>/archive/<video>.h5. Archives that cannot be read are left
 * out with a warning. */
rs_status rs_index_write(const char *output) RS_NODISCARD;

#endif
