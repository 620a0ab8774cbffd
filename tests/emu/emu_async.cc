/* The queues of cp.async. */
#include "tests/emu/emu_async.hh"

namespace emu
{
void async_push(const async_copy &c, place p)
{
    async_queue *q = async_of_thread();
    if (q->n == async_queue::MOST)
        kernel_error(p, "more than %d cp.async of a thread in flight", (int)async_queue::MOST);
    q->copy[q->n] = c;
    q->copy[q->n++].group = q->group;
}

void async_commit()
{
    async_of_thread()->group++;
}

bool async_take(async_copy *c, unsigned open, bool uncommitted)
{
    async_queue *q = async_of_thread();
    int i = 0;
    while (i < q->n && !uncommitted && q->copy[i].group + open >= q->group)
        i++;
    if (i == q->n)
        return false;
    *c = q->copy[i];
    for (q->n--; i < q->n; i++)
        q->copy[i] = q->copy[i + 1];
    return true;
}
} // namespace emu
