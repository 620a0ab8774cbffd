#include "store/mapped.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

rs_status rs_map_open(rs_map *m, const char *path)
{
    *m = (rs_map){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return RS_FAIL(IO, "%s: cannot open: %s", path, strerror(errno));
    struct stat info;
    rs_status st = RS_OK;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        st = RS_FAIL(IO, "%s: not a regular file", path);
    } else if (info.st_size > 0) {
        void *p = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED)
            st = RS_FAIL(IO, "%s: cannot map into memory: %s", path, strerror(errno));
        else
            *m = (rs_map){p, (size_t)info.st_size};
    }
    close(fd);
    return st;
}

void rs_map_close(rs_map *m)
{
    if (m->data)
        munmap((void *)(uintptr_t)m->data, m->bytes);
    *m = (rs_map){0};
}

uint16_t rs_le16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

uint32_t rs_le32(const uint8_t *p)
{
    return (uint32_t)rs_le16(p) | (uint32_t)rs_le16(p + 2) << 16;
}

uint64_t rs_le64(const uint8_t *p)
{
    return (uint64_t)rs_le32(p) | (uint64_t)rs_le32(p + 4) << 32;
}
