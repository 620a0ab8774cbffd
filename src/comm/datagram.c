#include "comm/datagram_priv.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/hash.h"

static const uint64_t MAGIC = 0x7265736864670001; /* "reshdg", version 1 */

/* In front of every body. */
typedef struct envelope {
    uint64_t magic, token[2];
    int32_t from, to;
} envelope;

struct rs_datagram {
    int fd;
    bool v6; /* of both families; else IPv4 only */
    int rank, size;
    uint64_t token[2];
    rs_datagram_card *cards; /* (size) */
    struct sockaddr_storage last;
    socklen_t last_bytes;
};

/* ---- the card ---- */

static const uint8_t MAPPED[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool to_address(uint8_t out[16], const struct sockaddr *a)
{
    if (a->sa_family == AF_INET) {
        memcpy(out, MAPPED, sizeof MAPPED);
        memcpy(out + sizeof MAPPED, &((const struct sockaddr_in *)(const void *)a)->sin_addr, 4);
        return true;
    }
    if (a->sa_family != AF_INET6)
        return false;
    const struct in6_addr *v6 = &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr;
    memcpy(out, v6, 16);
    return !IN6_IS_ADDR_LINKLOCAL(v6); /* means nothing without the name of a link */
}

static void add_addresses(rs_datagram_card *card)
{
    struct ifaddrs *all = NULL;
    if (getifaddrs(&all) != 0)
        return;
    for (struct ifaddrs *i = all; i && card->n < RS_DATAGRAM_ADDRESSES; i = i->ifa_next)
        if (i->ifa_addr && (i->ifa_flags & IFF_UP) && !(i->ifa_flags & IFF_LOOPBACK))
            card->n += to_address(card->address[card->n], i->ifa_addr);
    freeifaddrs(all);
}

/* The kernel's boot and the network namespace: a loopback of their own. */
static uint64_t machine(void)
{
    char boot[64] = "";
    struct stat ns = {0};
    FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (f) {
        size_t n = fread(boot, 1, sizeof boot - 1, f);
        boot[n] = 0;
        fclose(f);
    }
    if (!boot[0])
        gethostname(boot, sizeof boot - 1);
    (void)stat("/proc/self/ns/net", &ns);
    return rs_hash64_mix(rs_hash64_string(boot), (uint64_t)ns.st_ino);
}

static int open_socket(bool *v6, uint16_t *port)
{
    struct sockaddr_in6 a6 = {.sin6_family = AF_INET6};
    struct sockaddr_in a4 = {.sin_family = AF_INET};
    int off = 0, fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    *v6 = fd >= 0 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) == 0 &&
          bind(fd, (struct sockaddr *)&a6, sizeof a6) == 0;
    if (!*v6) {
        if (fd >= 0)
            close(fd);
        fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0 || bind(fd, (struct sockaddr *)&a4, sizeof a4) != 0)
            goto failed;
    }
    socklen_t n = *v6 ? sizeof a6 : sizeof a4;
    if (getsockname(fd, *v6 ? (struct sockaddr *)&a6 : (struct sockaddr *)&a4, &n) != 0)
        goto failed;
    *port = ntohs(*v6 ? a6.sin6_port : a4.sin_port);
    return fd;
failed:
    if (fd >= 0)
        close(fd);
    return -1;
}

rs_status rs_datagram_open(rs_datagram **out, rs_datagram_card *mine)
{
    bool v6;
    *out = NULL;
    *mine = (rs_datagram_card){.machine = machine()};
    if (getrandom(mine->random, sizeof mine->random, 0) != (ssize_t)sizeof mine->random)
        return RS_FAIL(IO, "no random numbers: %s", strerror(errno));
    int fd = open_socket(&v6, &mine->port);
    if (fd < 0)
        return RS_FAIL(IO, "no socket for datagrams: %s", strerror(errno));
    add_addresses(mine);
    rs_datagram *d = rs_alloc(1, sizeof *d);
    d->fd = fd;
    d->v6 = v6;
    *out = d;
    return RS_OK;
}

void rs_datagram_know(rs_datagram *d, const rs_datagram_card *cards, int rank, int size)
{
    d->rank = rank;
    d->size = size;
    d->cards = rs_alloc((size_t)size, sizeof *d->cards);
    memcpy(d->cards, cards, (size_t)size * sizeof *cards);
    for (int r = 0; r < size; r++) {
        d->token[0] ^= cards[r].random[0];
        d->token[1] ^= cards[r].random[1];
    }
}

void rs_datagram_close(rs_datagram **d)
{
    if (!*d)
        return;
    close((*d)->fd);
    rs_dealloc((*d)->cards);
    rs_dealloc(*d);
    *d = NULL;
}

int rs_datagram_fd(const rs_datagram *d)
{
    return d->fd;
}

bool rs_datagram_near(const rs_datagram_card *a, const rs_datagram_card *b)
{
    return a->machine == b->machine;
}

/* ---- traffic ---- */

static size_t pack(char *out, const rs_datagram *d, int to, const void *body, size_t bytes)
{
    envelope e = {.magic = MAGIC, .from = d->rank, .to = to};
    RS_ASSERT(bytes <= RS_DATAGRAM_MOST && d->cards);
    memcpy(e.token, d->token, sizeof e.token);
    memcpy(out, &e, sizeof e);
    memcpy(out + sizeof e, body, bytes);
    return sizeof e + bytes;
}

static void send_to(const rs_datagram *d, const uint8_t address[16], uint16_t port,
                    const char *data, size_t bytes)
{
    struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    memcpy(&a6.sin6_addr, address, 16);
    memcpy(&a4.sin_addr, address + sizeof MAPPED, 4);
    if (d->v6)
        (void)sendto(d->fd, data, bytes, MSG_DONTWAIT, (struct sockaddr *)&a6, sizeof a6);
    else if (memcmp(address, MAPPED, sizeof MAPPED) == 0)
        (void)sendto(d->fd, data, bytes, MSG_DONTWAIT, (struct sockaddr *)&a4, sizeof a4);
}

void rs_datagram_send(rs_datagram *d, int to, const void *body, size_t bytes)
{
    static const uint8_t loopback[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1};
    char data[sizeof(envelope) + RS_DATAGRAM_MOST];
    const rs_datagram_card *card = &d->cards[to];
    size_t all = pack(data, d, to, body, bytes);
    if (card->port == 0)
        return;
    if (rs_datagram_near(card, &d->cards[d->rank]))
        send_to(d, loopback, card->port, data, all);
    else
        for (int i = 0; i < card->n && i < RS_DATAGRAM_ADDRESSES; i++)
            send_to(d, card->address[i], card->port, data, all);
}

void rs_datagram_answer(rs_datagram *d, int to, const void *body, size_t bytes)
{
    char data[sizeof(envelope) + RS_DATAGRAM_MOST];
    size_t all = pack(data, d, to, body, bytes);
    (void)sendto(d->fd, data, all, MSG_DONTWAIT, (struct sockaddr *)&d->last, d->last_bytes);
}

bool rs_datagram_take(rs_datagram *d, int *from, void *body, size_t bytes)
{
    char data[sizeof(envelope) + RS_DATAGRAM_MOST + 1]; /* one more shows what is too long */
    envelope e;
    enum { TRIES = 256 }; /* strangers shall not keep a watchdog from its work */
    for (int i = 0; i < TRIES; i++) {
        d->last_bytes = sizeof d->last;
        ssize_t n = recvfrom(d->fd, data, sizeof data, MSG_DONTWAIT, (struct sockaddr *)&d->last,
                             &d->last_bytes);
        if (n < 0 && (errno == EINTR || errno == ECONNREFUSED))
            continue; /* the second one: of what was sent before */
        if (n < 0)
            return false;
        if ((size_t)n != sizeof e + bytes)
            continue;
        memcpy(&e, data, sizeof e);
        if (e.magic != MAGIC || memcmp(e.token, d->token, sizeof e.token) != 0 || e.to != d->rank ||
            e.from < 0 || e.from >= d->size)
            continue;
        *from = e.from;
        memcpy(body, data + sizeof e, bytes);
        return true;
    }
    return false;
}
