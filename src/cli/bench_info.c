/* reshoot bench info: what this program can compute with here. */
#include <unistd.h>

#include "cli/bench.h"
#include "cli/version.h"
#include "comm/comm.h"
#include "device/select.h"

typedef struct info_opts {
    bool json;
} info_opts;

static const info_opts k_defaults = {0};

static const rs_opt k_opts[] = {
    {"--json", RS_OPT_FLAG, offsetof(info_opts, json), NULL, "machine-readable"},
};

static void print_text(rs_arena *a, const rs_device_info *cuda)
{
    rs_out("cpu: %s, %ld processors\n", rs_bench_cpu(a), sysconf(_SC_NPROCESSORS_ONLN));
    rs_version_show(a, cuda);
}

static void print_json(rs_arena *a, const rs_device_info *cuda)
{
    rs_jsonw *w = rs_jsonw_create(a, true);
    rs_bench_json_head(w, a, "reshoot bench info", NULL);
    rs_jsonw_string(w, "cpu", rs_bench_cpu(a));
    rs_jsonw_i64(w, "processors", sysconf(_SC_NPROCESSORS_ONLN));
    rs_jsonw_string(w, "cpu_kernels", rs_version_kernels(a, "cpu"));
    rs_jsonw_array(w, "cuda_devices");
    for (int i = 0; i < cuda->devices; i++)
        rs_jsonw_string(w, NULL, cuda->device[i]);
    rs_jsonw_end(w);
    if (cuda->devices > 0) {
        const char *kernels = rs_version_kernels(a, "cuda");
        rs_jsonw_string(w, kernels ? "cuda_kernels" : "cuda_error",
                        kernels ? kernels : rs_error_message());
    } else {
        rs_jsonw_string(w, "cuda_none", cuda->why_none);
    }
    if (cuda->libraries)
        rs_jsonw_string(w, "cuda_libraries", cuda->libraries);
    rs_jsonw_string(w, "nccl", rs_comm_nccl_library(a));
    rs_jsonw_string(w, "mpi", rs_comm_mpi_library(a));
    rs_jsonw_end(w);
    rs_out("%s\n", rs_jsonw_text(w));
}

static rs_status run(const rs_call *call)
{
    const info_opts *o = call->opts;
    rs_device_info cuda = rs_device_look(call->arena, "cuda");
    if (o->json)
        print_json(call->arena, &cuda);
    else
        print_text(call->arena, &cuda);
    return RS_OK;
}

const rs_command rs_bench_info = {
    .name = "bench info",
    .summary = "devices, libraries and kernels that this program has here",
    .args = "[options]",
    .about = "Measures nothing. The kernels line of a device is what the bits of results depend\n"
             "on.\n",
    .n_min = 0,
    .n_max = 0,
    RS_COMMAND_OPTS(k_opts, info_opts),
    .defaults = &k_defaults,
    .run = run,
};
