#ifndef RS_TESTS_EMU_EMU_STREAM_HH
#define RS_TESTS_EMU_EMU_STREAM_HH

#include <deque>
#include <vector>

#include "tests/emu/emu.hh"

namespace emu
{
struct stream {
    std::deque<item *> queue;
    uint64_t issued = 0, done = 0; /* sequence numbers of its items */
    bool blocking = false;
    bool busy = false; /* its first item runs */
    order ord = ORDER_RR;
    uint64_t seed = 0;
    void *tsan = nullptr;
};

struct event {
    stream *on = nullptr; /* NULL: its stream is gone, so it has happened */
    uint64_t seq = 0;
    bool ever = false;
};
} // namespace emu

#endif
