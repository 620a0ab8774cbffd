/* Warp operations: each lane leaves its operands and blocks; the last lane of the mask to arrive
 * computes everybody's result. A lane that does not name itself, lanes of one mask in different
 * operations or at different lines, and reads of lanes outside of the mask are errors. */
#ifndef RS_TESTS_EMU_EMU_WARP_HH
#define RS_TESTS_EMU_EMU_WARP_HH

#include "tests/emu/emu_launch.hh"

namespace emu
{
enum { WARP = 32 };
/* operand[lane] of each lane in the mask, NULL elsewhere. */
typedef void combine_fn(void *operand[WARP], unsigned mask, place p);
/* Wait for the lanes of `mask`; `sync`: memory is ordered among them (only __syncwarp says so). */
void warp_meet(unsigned mask, const char *what, combine_fn *combine, void *operand, bool sync,
               place p);
int lane();

enum shuffle_kind { SHFL_IDX, SHFL_UP, SHFL_DOWN, SHFL_XOR };
struct shuffle {
    unsigned char value[8];
    int bytes;
    shuffle_kind kind;
    int by;
    int width;
    unsigned char result[8];
};
combine_fn combine_shuffle;
struct vote {
    int value;
    unsigned result;
};
combine_fn combine_ballot;
struct reduce {
    long long value, result;
    int op; /* '+', '<', '>', '&', '|', '^' */
};
combine_fn combine_reduce;
struct match {
    unsigned long long value;
    unsigned result;
};
combine_fn combine_match;

template <typename T> T shfl(shuffle_kind k, unsigned mask, T v, int by, int width, place p)
{
    static_assert(sizeof(T) <= 8, "shuffles move at most 8 bytes");
    shuffle s;
    s.bytes = (int)sizeof(T), s.kind = k, s.by = by, s.width = width;
    __builtin_memcpy(s.value, &v, sizeof(T));
    warp_meet(mask, "shuffle", combine_shuffle, &s, false, p);
    __builtin_memcpy(&v, s.result, sizeof(T));
    return v;
}
template <typename T> T reduction(unsigned mask, T v, int op, place p)
{
    reduce r = {(long long)v, 0, op};
    warp_meet(mask, "reduce", combine_reduce, &r, false, p);
    return (T)r.result;
}
static inline unsigned ballot(unsigned mask, int value, const char *what, place p)
{
    vote v = {value, 0};
    warp_meet(mask, what, combine_ballot, &v, false, p);
    return v.result;
}
} // namespace emu

template <typename T>
static inline T __shfl_sync(unsigned mask, T v, int src, int width = 32, EMU_HERE)
{
    return emu::shfl(emu::SHFL_IDX, mask, v, src, width, p);
}
template <typename T>
static inline T __shfl_up_sync(unsigned mask, T v, unsigned d, int width = 32, EMU_HERE)
{
    return emu::shfl(emu::SHFL_UP, mask, v, (int)d, width, p);
}
template <typename T>
static inline T __shfl_down_sync(unsigned mask, T v, unsigned d, int width = 32, EMU_HERE)
{
    return emu::shfl(emu::SHFL_DOWN, mask, v, (int)d, width, p);
}
template <typename T>
static inline T __shfl_xor_sync(unsigned mask, T v, int with, int width = 32, EMU_HERE)
{
    return emu::shfl(emu::SHFL_XOR, mask, v, with, width, p);
}
static inline void __syncwarp(unsigned mask = 0xffffffffu, EMU_HERE)
{
    emu::warp_meet(mask, "__syncwarp", nullptr, nullptr, true, p);
}
static inline unsigned __ballot_sync(unsigned mask, int value, EMU_HERE)
{
    return emu::ballot(mask, value, "__ballot_sync", p);
}
static inline int __any_sync(unsigned mask, int value, EMU_HERE)
{
    return emu::ballot(mask, value, "__any_sync", p) != 0;
}
static inline int __all_sync(unsigned mask, int value, EMU_HERE)
{
    return emu::ballot(mask, value, "__all_sync", p) == mask;
}
template <typename T> static inline unsigned __match_any_sync(unsigned mask, T value, EMU_HERE)
{
    emu::match m = {0, 0};
    __builtin_memcpy(&m.value, &value, sizeof(T));
    emu::warp_meet(mask, "__match_any_sync", emu::combine_match, &m, false, p);
    return m.result;
}
#define EMU_REDUCE(name, op)                                                                       \
    static inline unsigned name(unsigned mask, unsigned v, EMU_HERE)                               \
    {                                                                                              \
        return emu::reduction(mask, v, op, p);                                                     \
    }
EMU_REDUCE(__reduce_and_sync, '&')
EMU_REDUCE(__reduce_or_sync, '|')
EMU_REDUCE(__reduce_xor_sync, '^')
EMU_REDUCE(__reduce_add_sync, '+')
EMU_REDUCE(__reduce_min_sync, '<')
EMU_REDUCE(__reduce_max_sync, '>')
#undef EMU_REDUCE
static inline int __reduce_add_sync(unsigned mask, int v, EMU_HERE)
{
    return emu::reduction(mask, v, '+', p);
}
static inline int __reduce_min_sync(unsigned mask, int v, EMU_HERE)
{
    return emu::reduction(mask, v, '<', p);
}
static inline int __reduce_max_sync(unsigned mask, int v, EMU_HERE)
{
    return emu::reduction(mask, v, '>', p);
}

#endif
