/* cp.async as late as it may be: the destination is poison from the issue on and gets its data when
 * the group is waited for. Compiled with the kernels, so that the thread sanitizer sees both. */
#ifndef RS_TESTS_EMU_EMU_ASYNC_HH
#define RS_TESTS_EMU_EMU_ASYNC_HH

#include "tests/emu/emu_launch.hh"

namespace emu
{
struct async_copy {
    void *dst;
    const void *src;
    short bytes, from_src; /* the rest is zero */
    unsigned group;
};
struct async_queue {
    enum { MOST = 256 };
    async_copy copy[MOST];
    int n;
    unsigned group; /* open group */
};
/* Of the thread that runs. The queue is the runtime's, which no sanitizer looks at: it is memory of
 * several CUDA threads, one after the other. */
async_queue *async_of_thread();
void async_check(void *dst, const void *src, int bytes, int from_src, place p);
void async_push(const async_copy &c, place p);
/* Takes the first copy that must have arrived out of the queue. */
bool async_take(async_copy *c, unsigned open, bool uncommitted);
void async_commit();

static inline void cp_async(void *dst, const void *src, int bytes, int from_src, EMU_HERE)
{
    async_check(dst, src, bytes, from_src, p);
    for (int i = 0; i < bytes; i++)
        ((volatile unsigned char *)dst)[i] = 0xff;
    async_push({dst, src, (short)bytes, (short)from_src, 0}, p);
}

static inline void cp_async_commit()
{
    async_commit();
}

/* Done: all groups but the last `open` committed ones; `uncommitted` too when all are waited for.
 */
static inline void cp_async_wait(unsigned open, bool uncommitted)
{
    async_copy c = {};
    while (async_take(&c, open, uncommitted))
        for (int k = 0; k < c.bytes; k++)
            ((volatile unsigned char *)c.dst)[k] =
                k < c.from_src ? ((const volatile unsigned char *)c.src)[k] : (unsigned char)0;
}
} // namespace emu

#endif
