#include "base/hash.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const uint32_t k_round[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotr(uint32_t x, int n)
{
    return (x >> n) | (x << (32 - n));
}

static void compress(uint32_t s[8], const uint8_t *p)
{
    uint32_t w[64];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 |
               (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + (rotr(a, 7) ^ rotr(a, 18) ^ (a >> 3)) + w[i - 7] +
               (rotr(b, 17) ^ rotr(b, 19) ^ (b >> 10));
    }
    uint32_t v[8];
    memcpy(v, s, sizeof v);
    for (int i = 0; i < 64; i++) {
        uint32_t e = v[4], a = v[0];
        uint32_t t1 = v[7] + (rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25)) + ((e & v[5]) ^ (~e & v[6])) +
                      k_round[i] + w[i];
        uint32_t t2 =
            (rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22)) + ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 7 * sizeof v[0]);
        v[4] += t1;
        v[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++)
        s[i] += v[i];
}

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
        compress(h->state, h->buffer);
    }
    for (; bytes >= 64; p += 64, bytes -= 64)
        compress(h->state, p);
    if (bytes)
        memcpy(h->buffer, p, bytes);
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
