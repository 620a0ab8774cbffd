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
/* Of the thread that runs. */
async_queue *async_of_thread();
void async_check(void *dst, const void *src, int bytes, int from_src, place p);

static inline void cp_async(void *dst, const void *src, int bytes, int from_src, EMU_HERE)
{
    async_check(dst, src, bytes, from_src, p);
    async_queue *q = async_of_thread();
    if (q->n == async_queue::MOST)
        kernel_error(p, "more than %d cp.async of a thread in flight", (int)async_queue::MOST);
    for (int i = 0; i < bytes; i++)
        ((volatile unsigned char *)dst)[i] = 0xff;
    q->copy[q->n++] = {dst, src, (short)bytes, (short)from_src, q->group};
}

static inline void cp_async_commit()
{
    async_of_thread()->group++;
}

/* Done: all groups but the last `open` committed ones; `uncommitted` too when all are waited for.
 */
static inline void cp_async_wait(unsigned open, bool uncommitted)
{
    async_queue *q = async_of_thread();
    int kept = 0;
    for (int i = 0; i < q->n; i++) {
        async_copy c = q->copy[i];
        if (!uncommitted && c.group + open >= q->group) {
            q->copy[kept++] = c;
            continue;
        }
        for (int k = 0; k < c.bytes; k++)
            ((volatile unsigned char *)c.dst)[k] =
                k < c.from_src ? ((const volatile unsigned char *)c.src)[k] : (unsigned char)0;
    }
    q->n = kept;
}
} // namespace emu

#endif
