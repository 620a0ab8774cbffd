#include "tests/emu/emu_warp.hh"

#include "tests/emu/emu_sched.hh"

namespace emu
{
namespace
{
thread *lane_thread(const thread *me, int lane)
{
    int id = me->linear / WARP * WARP + lane;
    return id < g_block.threads ? &g_block.t[id] : nullptr;
}

/* True when every lane of the mask is here. */
bool all_here(thread *me, place p)
{
    bool all = true;
    for (int l = 0; l < WARP; l++) {
        if (!(me->meet.mask >> l & 1))
            continue;
        thread *o = lane_thread(me, l);
        if (!o)
            kernel_error(p, "%s: lane %d of mask %08x is beyond the block", me->meet.what, l,
                         me->meet.mask);
        if (o->state == T_DONE)
            kernel_error(p, "%s: lane %d of mask %08x has returned", me->meet.what, l,
                         me->meet.mask);
        if (o->meet.mask != me->meet.mask) { /* not yet: it may be in an operation of fewer */
            all = false;
            continue;
        }
        if (o->meet.what != me->meet.what || o->meet.at.line != p.line)
            kernel_error(p, "%s, but lane %d of its mask is in %s at %s:%d", me->meet.what, l,
                         o->meet.what, o->meet.at.file, o->meet.at.line);
    }
    return all;
}

/* A warp operation that is nobody's order must not look like one, nor like a race. */
void combine_all(thread *me, char *sync)
{
    void *operand[WARP] = {nullptr};
    unsigned mask = me->meet.mask;
    for (int l = 0; l < WARP; l++)
        if (mask >> l & 1)
            operand[l] = lane_thread(me, l)->meet.operand;
    if (me->meet.combine) {
        tsan_ignore(true);
        me->meet.combine(operand, mask, me->meet.at);
        tsan_ignore(false);
    }
    bool rev = g_block.job->ord == ORDER_REV;
    for (int i = 0; i < WARP; i++) {
        int l = rev ? WARP - 1 - i : i;
        if (!(mask >> l & 1))
            continue;
        thread *o = lane_thread(me, l);
        o->meet.mask = 0;
        o->meet.sync = sync;
        if (o != me)
            wake(o);
    }
}
} // namespace

int lane()
{
    return g_block.current->linear % WARP;
}

void warp_meet(unsigned mask, const char *what, combine_fn *combine, void *operand, bool sync,
               place p)
{
    thread *me = g_block.current;
    if (!(mask >> lane() & 1))
        kernel_error(p, "%s: mask %08x leaves out the calling lane %d", what, mask, lane());
    char *first = nullptr;
    for (int l = 0; l < WARP && sync && !first; l++)
        if ((mask >> l & 1) && lane_thread(me, l) && lane_thread(me, l)->meet.mask == mask)
            first = lane_thread(me, l)->meet.sync;
    if (sync && !first)
        first = &g_block.meeting_sync[g_block.meetings++ % sizeof g_block.meeting_sync];
    me->meet = {mask, what, combine, operand, first, p};
    if (first)
        tsan_release(first);
    if (all_here(me, p))
        combine_all(me, first);
    else
        wait_for(what, p);
    if (first)
        tsan_acquire(first);
}

void combine_shuffle(void *operand[WARP], unsigned mask, place p)
{
    for (int l = 0; l < WARP; l++) {
        if (!operand[l])
            continue;
        shuffle *s = (shuffle *)operand[l];
        if (s->width <= 0 || s->width > WARP || (s->width & (s->width - 1)))
            kernel_error(p, "shuffle of width %d", s->width);
        int low = l / s->width * s->width, from = l;
        switch (s->kind) {
        case SHFL_IDX:
            from = low + (s->by & (s->width - 1));
            break;
        case SHFL_UP:
            from = l - s->by < low ? l : l - s->by;
            break;
        case SHFL_DOWN:
            from = l + s->by >= low + s->width ? l : l + s->by;
            break;
        case SHFL_XOR:
            /* A partner in a later segment gives the own value back, one in an earlier may be read.
             */
            from = (l ^ s->by) >= low + s->width ? l : l ^ s->by;
            break;
        }
        if (!(mask >> from & 1))
            kernel_error(p, "shuffle: lane %d reads lane %d, which mask %08x leaves out", l, from,
                         mask);
        const shuffle *o = (const shuffle *)operand[from];
        for (int i = 0; i < s->bytes; i++)
            s->result[i] = o->value[i];
    }
}

void combine_ballot(void *operand[WARP], unsigned, place)
{
    unsigned all = 0;
    for (int l = 0; l < WARP; l++)
        if (operand[l] && ((vote *)operand[l])->value)
            all |= 1u << l;
    for (int l = 0; l < WARP; l++)
        if (operand[l])
            ((vote *)operand[l])->result = all;
}

void combine_match(void *operand[WARP], unsigned, place)
{
    for (int l = 0; l < WARP; l++)
        for (int o = 0; operand[l] && o < WARP; o++)
            if (operand[o] && ((match *)operand[o])->value == ((match *)operand[l])->value)
                ((match *)operand[l])->result |= 1u << o;
}

void combine_reduce(void *operand[WARP], unsigned, place)
{
    long long sum = 0;
    bool first = true;
    for (int l = 0; l < WARP; l++) {
        if (!operand[l])
            continue;
        const reduce *r = (const reduce *)operand[l];
        long long v = r->value;
        if (first)
            sum = v;
        else if (r->op == '+')
            sum += v;
        else if (r->op == '<')
            sum = v < sum ? v : sum;
        else if (r->op == '>')
            sum = v > sum ? v : sum;
        else
            sum = r->op == '&' ? sum & v : r->op == '|' ? sum | v : sum ^ v;
        first = false;
    }
    for (int l = 0; l < WARP; l++)
        if (operand[l])
            ((reduce *)operand[l])->result = sum;
}
} // namespace emu
