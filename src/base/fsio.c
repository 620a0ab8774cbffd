#include "base/fsio.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fence.h"
#include "base/num.h"

bool rs_path_exists(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0;
}

bool rs_path_is_dir(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

int64_t rs_file_size(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISREG(s.st_mode) ? (int64_t)s.st_size : -1;
}

bool rs_path_newer(const char *path, const char *than)
{
    struct stat a, b;
    if (stat(path, &a) != 0 || stat(than, &b) != 0)
        return false;
    return a.st_mtim.tv_sec != b.st_mtim.tv_sec ? a.st_mtim.tv_sec > b.st_mtim.tv_sec
                                                : a.st_mtim.tv_nsec >= b.st_mtim.tv_nsec;
}

char *rs_path_join(rs_arena *a, const char *base, const char *name)
{
    if (name[0] == '/' || base[0] == 0)
        return rs_arena_strdup(a, name);
    size_t n = strlen(base);
    return rs_arena_printf(a, base[n - 1] == '/' ? "%s%s" : "%s/%s", base, name);
}

char *rs_path_dirname(rs_arena *a, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return rs_arena_strdup(a, ".");
    return slash == path ? rs_arena_strdup(a, "/")
                         : rs_arena_strndup(a, path, (size_t)(slash - path));
}

const char *rs_path_basename(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

rs_status rs_make_dirs(const char *path)
{
    char buffer[4096];
    int n = snprintf(buffer, sizeof buffer, "%s", path);
    if (n < 0 || (size_t)n >= sizeof buffer)
        return RS_FAIL(IO, "%s: path too long", path);
    for (char *p = buffer + 1;; p++) {
        if (*p != '/' && *p != 0)
            continue;
        char keep = *p;
        *p = 0;
        if (mkdir(buffer, 0777) != 0 && errno != EEXIST)
            return RS_FAIL(IO, "%s: cannot create folder: %s", buffer, strerror(errno));
        *p = keep;
        if (keep == 0)
            break;
    }
    if (!rs_path_is_dir(path))
        return RS_FAIL(IO, "%s: exists and is not a folder", path);
    return RS_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static rs_status list(char ***names, int64_t *n, rs_arena *a, const char *path, bool folders)
{
    DIR *d = opendir(path);
    if (!d)
        return RS_FAIL(IO, "%s: cannot open folder: %s", path, strerror(errno));
    char **found = NULL;
    size_t count = 0, cap = 0;
    for (struct dirent *e = readdir(d); e; e = readdir(d)) {
        if (e->d_name[0] == '.')
            continue;
        char *full = rs_path_join(a, path, e->d_name);
        if (folders ? !rs_path_is_dir(full) : rs_file_size(full) < 0)
            continue;
        found = rs_arena_grow(a, found, &cap, count + 1, sizeof *found);
        found[count++] = rs_arena_strdup(a, e->d_name);
    }
    closedir(d);
    if (count)
        qsort(found, count, sizeof *found, compare_names);
    *names = found;
    *n = (int64_t)count;
    return RS_OK;
}

rs_status rs_list_dir(char ***names, int64_t *n, rs_arena *a, const char *path)
{
    return list(names, n, a, path, false);
}

rs_status rs_list_folders(char ***names, int64_t *n, rs_arena *a, const char *path)
{
    return list(names, n, a, path, true);
}

rs_status rs_remove_tree(const char *path)
{
    struct stat s;
    if (lstat(path, &s) != 0)
        return RS_OK;
    if (S_ISDIR(s.st_mode)) {
        DIR *d = opendir(path);
        if (!d)
            return RS_FAIL(IO, "%s: cannot open folder: %s", path, strerror(errno));
        rs_status st = RS_OK;
        for (struct dirent *e = readdir(d); e && st == RS_OK; e = readdir(d)) {
            if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
                continue;
            char child[4096];
            snprintf(child, sizeof child, "%s/%s", path, e->d_name);
            st = rs_remove_tree(child);
        }
        closedir(d);
        RS_TRY(st);
    }
    if (remove(path) != 0)
        return RS_FAIL(IO, "%s: cannot remove: %s", path, strerror(errno));
    return RS_OK;
}

rs_status rs_read_file(char **data, size_t *bytes, rs_arena *a, const char *path)
{
    int64_t size = rs_file_size(path);
    FILE *f = size < 0 ? NULL : fopen(path, "rb");
    if (!f)
        return RS_FAIL(IO, "%s: cannot open: %s", path,
                       rs_path_is_dir(path) ? "is a folder" : strerror(errno ? errno : ENOENT));
    char *buffer = rs_arena_alloc(a, (size_t)size + 1, 1);
    size_t n = fread(buffer, 1, (size_t)size, f);
    bool bad = ferror(f) || n != (size_t)size;
    fclose(f);
    if (bad)
        return RS_FAIL(IO, "%s: read error", path);
    *data = buffer;
    *bytes = n;
    return RS_OK;
}

char *rs_atomic_temp(rs_arena *a, const char *path)
{
    uint64_t drawn = 0; /* process ids of two hosts may be equal */
    if (getrandom(&drawn, sizeof drawn, 0) != sizeof drawn)
        drawn = (uint64_t)time(NULL);
    char *name = rs_arena_printf(a, ".%s.tmp.%ld%012llu", rs_path_basename(path), (long)getpid(),
                                 (unsigned long long)(drawn % 1000000000000));
    return rs_path_join(a, rs_path_dirname(a, path), name);
}

static rs_status sync_path(const char *path, int flags)
{
    int fd = open(path, flags);
    if (fd < 0)
        return RS_FAIL(IO, "%s: cannot open: %s", path, strerror(errno));
    int rc = fsync(fd);
    int err = errno;
    close(fd);
    if (rc != 0)
        return RS_FAIL(IO, "%s: fsync failed: %s", path, strerror(err));
    return RS_OK;
}

rs_status rs_atomic_commit(const char *temp, const char *path)
{
    rs_arena *a = rs_arena_create();
    rs_status st = RS_OK;
    RS_TRY_OUT(sync_path(temp, O_RDONLY));
    RS_TRY_OUT(rs_fence_enter());
    if (rename(temp, path) != 0)
        st = RS_FAIL(IO, "%s: cannot rename into place: %s", path, strerror(errno));
    rs_fence_leave();
    RS_TRY_OUT(st);
    RS_TRY_OUT(sync_path(rs_path_dirname(a, path), O_RDONLY | O_DIRECTORY));
out:
    rs_arena_destroy(&a);
    return st;
}

static rs_status write_temp(const char *temp, const char *path, const void *data, size_t bytes)
{
    FILE *f = fopen(temp, "wb");
    if (!f)
        return RS_FAIL(IO, "%s: cannot create: %s", path, strerror(errno));
    size_t n = bytes ? fwrite(data, 1, bytes, f) : 0;
    if (fclose(f) != 0 || n != bytes)
        return RS_FAIL(IO, "%s: write failed: %s", path, strerror(errno));
    return RS_OK;
}

rs_status rs_write_file_quick(const char *path, const void *data, size_t bytes)
{
    rs_arena *a = rs_arena_create();
    char *temp = rs_atomic_temp(a, path);
    rs_status st = write_temp(temp, path, data, bytes);
    if (st == RS_OK && rename(temp, path) != 0)
        st = RS_FAIL(IO, "%s: cannot rename into place: %s", path, strerror(errno));
    if (st != RS_OK)
        unlink(temp);
    rs_arena_destroy(&a);
    return st;
}

rs_status rs_write_file_atomic(const char *path, const void *data, size_t bytes)
{
    rs_arena *a = rs_arena_create();
    char *temp = rs_atomic_temp(a, path);
    rs_status st = RS_OK;
    RS_TRY_OUT(write_temp(temp, path, data, bytes));
    RS_TRY_OUT(rs_atomic_commit(temp, path));
out:
    if (st != RS_OK)
        unlink(temp);
    rs_arena_destroy(&a);
    return st;
}

/* ".<name>.tmp.<digits>" of that name, or of any. */
static bool is_temp(const char *entry, const char *name)
{
    const char *tag = NULL;
    for (const char *at = strstr(entry, ".tmp."); at; at = strstr(at + 1, ".tmp."))
        tag = at;
    if (entry[0] != '.' || !tag || !tag[5] || tag[5 + strspn(tag + 5, "0123456789")])
        return false;
    return !name || (strlen(name) == (size_t)(tag - entry - 1) &&
                     strncmp(entry + 1, name, strlen(name)) == 0);
}

rs_status rs_atomic_sweep(const char *folder, const char *name)
{
    DIR *d = opendir(folder);
    if (!d)
        return errno == ENOENT ? RS_OK
                               : RS_FAIL(IO, "%s: cannot open folder: %s", folder, strerror(errno));
    rs_status st = rs_fence_enter();
    if (st != RS_OK) {
        closedir(d);
        return st;
    }
    for (struct dirent *e = readdir(d); e; e = readdir(d)) {
        char full[4096];
        if (!is_temp(e->d_name, name))
            continue;
        snprintf(full, sizeof full, "%s/%s", folder, e->d_name);
        unlink(full);
    }
    rs_fence_leave();
    closedir(d);
    return RS_OK;
}
