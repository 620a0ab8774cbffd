/* The stand-in for NCCL: communicators and what is under way in them. */
#ifndef RS_TESTS_EMU_EMU_NCCL_HH
#define RS_TESTS_EMU_EMU_NCCL_HH

#define cudaLaunchKernelEx emu_nvidia_cudaLaunchKernelEx /* as in cuda_emu.hh */
#include <nccl.h>
#undef cudaLaunchKernelEx

#include <atomic>
#include <memory>
#include <vector>

#include "tests/emu/emu.hh"

/* Connections and their buffers, of one communicator or of all that were split from it to share. */
struct emu_links {
    int channels;
    long long bytes = 0;
    bool point = false; /* made for sends and receives, too */
    ~emu_links();
};

/* NCCL's own opaque name. */
struct ncclComm {
    int id;                 /* the same on all its ranks, unique among those alive */
    int rank;               /* in it */
    std::vector<int> world; /* MPI ranks of its ranks */
    int device;
    unsigned seq = 0; /* collectives so far */
    std::atomic<bool> aborted{false};
    std::atomic<int> under_way{0};
    std::shared_ptr<emu_links> links;
};

namespace emu
{
enum nccl_kind { NCCL_ALLGATHER, NCCL_BROADCAST, NCCL_ALLREDUCE, NCCL_SEND, NCCL_RECV };
const char *nccl_kind_name(int kind);
size_t nccl_size(ncclDataType_t t);

struct nccl_call {
    nccl_kind kind;
    ncclComm *comm;
    cudaStream_t stream;
    const char *src;
    char *dst;
    size_t count;
    ncclDataType_t type;
    int peer; /* or root */
};
/* One collective, or all sends and receives of a group. Enqueues. */
void nccl_launch(const std::vector<nccl_call> &calls, unsigned seq);

/* MPI rank and size; 0 and 1 where MPI is not initialised. */
int nccl_world_rank();
/* Every rank's `bytes` of `mine`, one after the other, into `all`: waits, false if it was aborted.
 */
bool nccl_exchange(ncclComm *c, const void *mine, void *all, int bytes);
/* The first meeting: members tell the maker who they are, it tells them all. */
bool nccl_meet(ncclComm *c, int ranks, int maker);
} // namespace emu

#endif
