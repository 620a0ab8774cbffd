/* UTF-8 in and out, one character at a time. */
#ifndef RS_TEXT_UTF8_H
#define RS_TEXT_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Write c (a Unicode scalar value) to out, 1 to 4 bytes; returns how many. */
static inline size_t rs_utf8_put(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3F));
    static const uint8_t lead[5] = {0, 0, 0xC0, 0xE0, 0xF0};
    out[0] = (char)(lead[n] | c);
    return n;
}

/* Read the character at s (zero-terminated); returns its length, 0 at the end, or -1 if the bytes
 * are not UTF-8 (overlong forms and surrogates included). */
static inline int rs_utf8_get(uint32_t *c, const char *text)
{
    const uint8_t *s = (const uint8_t *)text;
    if (s[0] < 0x80) {
        *c = s[0];
        return s[0] != 0;
    }
    int n = s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : 2;
    if (s[0] < 0xC2 || s[0] > 0xF4)
        return -1;
    uint32_t v = s[0] & (0xFFu >> (n + 1));
    for (int i = 1; i < n; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return -1;
        v = v << 6 | (s[i] & 0x3F);
    }
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    if (v < least[n] || v > 0x10FFFF || (v >= 0xD800 && v <= 0xDFFF))
        return -1;
    *c = v;
    return n;
}

#endif
