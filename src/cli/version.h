/* What this program was built from, and what it has here. */
#ifndef RS_CLI_VERSION_H
#define RS_CLI_VERSION_H

#include "device/select.h"

/* "4a24e5c0b1d2", with "-dirty" behind it when the sources had changes; "unknown" outside of git.
 */
const char *rs_version_commit(void);
/* What the backend would compute with, which bits of results depend on; NULL with the error set
 * where it does not open. */
const char *rs_version_kernels(rs_arena *a, const char *backend);
/* Devices, kernels and libraries, a line each. */
void rs_version_show(rs_arena *a, const rs_device_info *cuda);

#endif
