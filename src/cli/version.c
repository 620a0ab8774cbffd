#include "cli/version.h"

#include "cli/cli.h"
#include "cli/commit.h" /* written by cmake/commit.cmake in the build folder */
#include "comm/comm.h"

const char *rs_version_commit(void)
{
    return RS_COMMIT;
}

const char *rs_version_kernels(rs_arena *a, const char *backend)
{
    rs_device *d;
    if (rs_device_open(&d, &(rs_device_opts){.backend = backend, .threads = 1}) != RS_OK)
        return NULL;
    const char *text = rs_arena_strdup(a, rs_device_fingerprint(d));
    rs_device_destroy(&d);
    return text;
}

void rs_version_show(rs_arena *a, const rs_device_info *cuda)
{
    rs_out("cpu kernels: %s\n", rs_version_kernels(a, "cpu"));
    for (int i = 0; i < cuda->devices; i++)
        rs_out("cuda device %d: %s\n", i, cuda->device[i]);
    if (cuda->devices > 0) {
        const char *kernels = rs_version_kernels(a, "cuda");
        rs_out("cuda kernels: %s\n", kernels ? kernels : rs_error_message());
    } else {
        rs_out("cuda device: none (%s)\n", cuda->why_none);
    }
    if (cuda->libraries)
        rs_out("cuda libraries: %s\n", cuda->libraries);
    rs_out("nccl: %s\n", rs_comm_nccl_library(a));
    rs_out("mpi: %s\n", rs_comm_mpi_library(a));
}
