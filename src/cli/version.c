#include "cli/version.h"

#include "cli/commit.h" /* written by cmake/commit.cmake in the build folder */

const char *rs_version_commit(void)
{
    return RS_COMMIT;
}
