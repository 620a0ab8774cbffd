/* The memory of a machine, from files like those of /proc and /sys. */
#include "base/fsio.h"
#include "harness/test.h"
#include "job/plan_sizes.h"

static void put(const char *path, const char *text)
{
    const char *full = rs_arena_printf(t_arena(), "%s%s", t_tmpdir(), path);
    T_OK(rs_make_dirs(rs_path_dirname(t_arena(), full)));
    T_OK(rs_write_file_atomic(full, text, strlen(text)));
}

static int64_t found(void)
{
    return rs_plan_machine_bytes(t_tmpdir());
}

static void t_nothing_to_read(void)
{
    T_EQ_I(found(), 0);
}

static void t_the_whole_machine(void)
{
    put("/proc/meminfo", "MemTotal:       1000 kB\nMemFree: 3 kB\n");
    T_EQ_I(found(), 1024000);
    put("/proc/self/cgroup", "0::/a/b\n");
    put("/sys/fs/cgroup/a/b/memory.max", "max\n");
    T_EQ_I(found(), 1024000);
}

/* The narrowest of a group and those around it. */
static void t_control_groups_2(void)
{
    put("/proc/meminfo", "MemTotal:       1000 kB\n");
    put("/proc/self/cgroup", "0::/a/b/c\n");
    put("/sys/fs/cgroup/a/b/c/memory.max", "700000\n");
    T_EQ_I(found(), 700000);
    put("/sys/fs/cgroup/a/memory.max", "600000\n");
    T_EQ_I(found(), 600000);
    put("/sys/fs/cgroup/memory.max", "500000\n");
    T_EQ_I(found(), 500000);
    put("/sys/fs/cgroup/a/b/memory.max", "2000000\n");
    T_EQ_I(found(), 500000);
}

static void t_control_groups_1(void)
{
    put("/proc/meminfo", "MemTotal:       1000 kB\n");
    put("/proc/self/cgroup", "12:cpu,cpuacct:/x\n9:memory:/slurm/job_7\n");
    put("/sys/fs/cgroup/memory/slurm/job_7/memory.limit_in_bytes", "9223372036854771712\n");
    put("/sys/fs/cgroup/x/memory.max", "1\n"); /* another controller's group */
    T_EQ_I(found(), 1024000);
    put("/sys/fs/cgroup/memory/slurm/job_7/memory.limit_in_bytes", "800000\n");
    T_EQ_I(found(), 800000);
}

static void t_this_machine(void)
{
    T_CHECK(rs_plan_machine_bytes("") > 100 << 20);
}

static const rs_test_case k_cases[] = {
    T_CASE(t_nothing_to_read),  T_CASE(t_the_whole_machine), T_CASE(t_control_groups_2),
    T_CASE(t_control_groups_1), T_CASE(t_this_machine),
};
RS_TEST_MAIN(k_cases)
