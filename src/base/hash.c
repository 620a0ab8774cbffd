#include "base/hash.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/sha256.h"

void rs_hash_init(rs_hash *h)
{
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memset(h, 0, sizeof *h);
    memcpy(h->state, start, sizeof start);
}

void rs_hash_update(rs_hash *h, const void *data, size_t bytes)
{
    const uint8_t *p = data;
    size_t fill = (size_t)(h->bytes % 64);
    h->bytes += bytes;
    if (fill) {
        size_t take = 64 - fill < bytes ? 64 - fill : bytes;
        memcpy(h->buffer + fill, p, take);
        p += take;
        bytes -= take;
        if (fill + take < 64)
            return;
        rs_sha256_blocks(h->state, h->buffer, 1);
    }
    rs_sha256_blocks(h->state, p, bytes / 64);
    if (bytes % 64)
        memcpy(h->buffer, p + bytes / 64 * 64, bytes % 64);
}

void rs_hash_i64(rs_hash *h, int64_t v)
{
    uint8_t b[8];
    for (int i = 0; i < 8; i++)
        b[i] = (uint8_t)((uint64_t)v >> (8 * i));
    rs_hash_update(h, b, sizeof b);
}

void rs_hash_string(rs_hash *h, const char *s)
{
    size_t n = strlen(s);
    rs_hash_i64(h, (int64_t)n);
    rs_hash_update(h, s, n);
}

void rs_hash_f64(rs_hash *h, double v)
{
    int64_t bits;
    v += 0.0; /* -0 and 0 are the same value */
    memcpy(&bits, &v, sizeof bits);
    rs_hash_i64(h, bits);
}

void rs_hash_final(rs_hash *h, uint8_t out[32])
{
    uint64_t bits = h->bytes * 8;
    uint8_t tail[72] = {0x80};
    size_t fill = (size_t)(h->bytes % 64);
    size_t pad = (fill < 56 ? 56 : 120) - fill;
    for (int i = 0; i < 8; i++)
        tail[pad + (size_t)i] = (uint8_t)(bits >> (56 - 8 * i));
    rs_hash_update(h, tail, pad + 8);
    for (int i = 0; i < 32; i++)
        out[i] = (uint8_t)(h->state[i / 4] >> (24 - 8 * (i % 4)));
}

void rs_hash_final_hex(rs_hash *h, char out[RS_HASH_HEX])
{
    uint8_t raw[32];
    rs_hash_final(h, raw);
    for (int i = 0; i < 32; i++) {
        out[2 * i] = "0123456789abcdef"[raw[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[raw[i] & 15];
    }
    out[64] = 0;
}

rs_status rs_hash_file(char out[RS_HASH_HEX], const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return RS_FAIL(IO, "%s: cannot open: %s", path, strerror(errno));
    rs_hash h;
    rs_hash_init(&h);
    char buffer[65536];
    size_t n;
    while ((n = fread(buffer, 1, sizeof buffer, f)) > 0)
        rs_hash_update(&h, buffer, n);
    int bad = ferror(f);
    fclose(f);
    if (bad)
        return RS_FAIL(IO, "%s: read error", path);
    rs_hash_final_hex(&h, out);
    return RS_OK;
}

static bool hash_range(rs_hash *h, FILE *f, int64_t at, size_t bytes)
{
    char buffer[65536];
    if (fseeko(f, (off_t)at, SEEK_SET) != 0)
        return false;
    size_t n = fread(buffer, 1, bytes, f);
    rs_hash_update(h, buffer, n);
    return !ferror(f);
}

rs_status rs_hash_file_sampled(char out[RS_HASH_HEX], const char *path)
{
    enum { EDGE = 65536, SAMPLE = 4096, SAMPLES = 64 };
    FILE *f = fopen(path, "rb");
    struct stat info;
    if (!f || fstat(fileno(f), &info) != 0) {
        rs_status st = RS_FAIL(IO, "%s: cannot open: %s", path, strerror(errno));
        if (f)
            fclose(f);
        return st;
    }
    rs_hash h;
    rs_hash_init(&h);
    int64_t size = (int64_t)info.st_size;
    rs_hash_i64(&h, size);
    bool ok = hash_range(&h, f, 0, EDGE);
    if (size > EDGE)
        ok = ok && hash_range(&h, f, size > 2 * EDGE ? size - EDGE : EDGE, EDGE);
    for (int i = 0; i < SAMPLES && size > 2 * EDGE; i++)
        ok = ok && hash_range(&h, f, (size - SAMPLE) / SAMPLES * i, SAMPLE);
    fclose(f);
    if (!ok)
        return RS_FAIL(IO, "%s: read error", path);
    rs_hash_final_hex(&h, out);
    return RS_OK;
}

uint64_t rs_hash64_string(const char *s)
{
    rs_hash h;
    uint8_t raw[32];
    rs_hash_init(&h);
    rs_hash_update(&h, s, strlen(s));
    rs_hash_final(&h, raw);
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | raw[i];
    return v;
}

uint64_t rs_hash64_mix(uint64_t a, uint64_t b)
{
    uint64_t z = a * 0x9E3779B97F4A7C15u + b;
    for (int i = 0; i < 2; i++) {
        z += 0x9E3779B97F4A7C15u;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        z ^= z >> 31;
    }
    return z;
}
