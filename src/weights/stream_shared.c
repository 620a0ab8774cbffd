/* One piece of host memory for all ranks of a machine: an anonymous file of one of them, which the
 * others open by way of its process. It has no name that could be left behind, is not limited by
 * /dev/shm, and is gone with the last rank however that ends. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "comm/agree.h"
#include "weights/stream_priv.h"

/* What the maker tells the others. */
typedef struct offer {
    int64_t pid, fd;
    uint64_t device, inode;
} offer;

/* MemAvailable in bytes; 0 where it cannot be read. */
static double available(void)
{
    char line[128];
    long long kib = 0;
    FILE *f = fopen("/proc/meminfo", "re");
    while (f && kib == 0 && fgets(line, sizeof line, f))
        (void)!sscanf(line, "MemAvailable: %lld kB", &kib);
    if (f)
        fclose(f);
    return (double)kib * 1024;
}

static rs_status failed(const char *what)
{
    return RS_FAIL(IO, "weights: no memory shared by the ranks of this machine: %s: %s", what,
                   strerror(errno));
}

static rs_status identify(offer *o, int fd, size_t bytes)
{
    struct stat s;
    if (fstat(fd, &s) != 0 || (size_t)s.st_size != bytes)
        return failed("size");
    o->device = (uint64_t)s.st_dev;
    o->inode = (uint64_t)s.st_ino;
    return RS_OK;
}

/* Pages come when they are written to, near the rank that does. */
static rs_status make(offer *o, int *fd, size_t bytes)
{
    double there = available();
    if (there > 0 && (double)bytes > there)
        return RS_FAIL(NOMEM,
                       "weights: home host takes %.1f GiB of this machine's memory, of which %.1f "
                       "GiB are available",
                       (double)bytes / 0x1p30, there / 0x1p30);
    *fd = memfd_create("reshoot-weights", MFD_CLOEXEC);
    if (*fd < 0)
        return failed("memfd_create");
    if (ftruncate(*fd, (off_t)bytes) != 0)
        return failed("its size");
    o->pid = getpid();
    o->fd = *fd;
    return identify(o, *fd, bytes);
}

static rs_status find(const offer *o, int *fd, size_t bytes)
{
    char path[64];
    offer found = *o;
    snprintf(path, sizeof path, "/proc/%lld/fd/%lld", (long long)o->pid, (long long)o->fd);
    *fd = open(path, O_RDWR | O_CLOEXEC);
    if (*fd < 0)
        return failed(path);
    RS_TRY(identify(&found, *fd, bytes));
    if (found.device != o->device || found.inode != o->inode)
        return RS_FAIL(IO, "weights: process %lld is another one here", (long long)o->pid);
    return RS_OK;
}

static rs_status map(rs_wshared *s, int fd)
{
    void *p = mmap(NULL, s->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return failed("mmap");
    s->memory = p;
    (void)madvise(p, s->bytes, MADV_HUGEPAGE); /* a hint */
    return RS_OK;
}

rs_status rs_wshared_open(rs_wshared *s, rs_comm *node, size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    offer o = {0};
    int fd = -1;
    bool maker = rs_comm_rank(node) == 0;
    *s = (rs_wshared){.bytes = (bytes + page - 1) / page * page};
    rs_status st = rs_comm_agree(node, maker ? make(&o, &fd, s->bytes) : RS_OK);
    if (st == RS_OK) {
        st = rs_comm_broadcast(&o, node, sizeof o, 0, "shared memory");
        if (st == RS_OK && !maker)
            st = find(&o, &fd, s->bytes);
        if (st == RS_OK)
            st = map(s, fd);
        st = rs_comm_agree(node, st); /* and the maker's file has been opened by all */
    }
    if (fd >= 0)
        close(fd);
    if (st != RS_OK)
        rs_wshared_close(s);
    return st;
}

void rs_wshared_close(rs_wshared *s)
{
    if (s->memory)
        munmap(s->memory, s->bytes);
    s->memory = NULL;
}
