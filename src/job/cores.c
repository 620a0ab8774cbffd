#include "job/cores.h"

#include <string.h>
#include <unistd.h>

rs_rank_cores rs_rank_cores_here(void)
{
    rs_rank_cores c;
    char host[256] = {0};
    rs_hash h;
    memset(&c, 0, sizeof c);
    gethostname(host, sizeof host - 1);
    if (sched_getaffinity(0, sizeof c.set, &c.set) != 0)
        CPU_SET(0, &c.set);
    rs_hash_init(&h);
    rs_hash_string(&h, host);
    rs_hash_final_hex(&h, c.host);
    return c;
}

int rs_rank_cores_share(const rs_rank_cores *all, int n, int me)
{
    double share = 1e-9; /* thirds of three cores are one */
    for (size_t core = 0; core < CPU_SETSIZE; core++) {
        int users = 0;
        if (!CPU_ISSET(core, &all[me].set))
            continue;
        for (int r = 0; r < n; r++)
            users += memcmp(all[r].host, all[me].host, sizeof all[r].host) == 0 &&
                     CPU_ISSET(core, &all[r].set);
        share += 1.0 / users;
    }
    return share >= 1 ? (int)share : 1;
}
