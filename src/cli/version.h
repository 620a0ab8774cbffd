/* What this program was built from. */
#ifndef RS_CLI_VERSION_H
#define RS_CLI_VERSION_H

/* "4a24e5c0b1d2", with "-dirty" behind it when the sources had changes; "unknown" outside of git.
 */
const char *rs_version_commit(void);

#endif
