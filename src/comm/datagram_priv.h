/* Datagrams between the watchdogs of a world: UDP, so that a question can be asked and answered
 * whatever state MPI is in. May be lost, come twice, or come from strangers; those are dropped by
 * a token that only the ranks know.
 *
 * Every rank makes a card, all ranks exchange theirs by whatever collective they have, and from
 * then on a rank is known by its number. Ranks of one machine meet on its loopback; others are sent
 * to at each of their machine's addresses, as it is not known which ones lead there. An answer goes
 * to where the question came from. */
#ifndef RS_COMM_DATAGRAM_PRIV_H
#define RS_COMM_DATAGRAM_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { RS_DATAGRAM_MOST = 512, RS_DATAGRAM_ADDRESSES = 8 };

typedef struct rs_datagram rs_datagram;

/* How to reach a rank. */
typedef struct rs_datagram_card {
    uint64_t random[2]; /* all ranks' together are the token */
    uint64_t machine;   /* equal: on one machine, in one network namespace */
    uint16_t port;      /* 0: not to be reached */
    uint16_t n;
    uint8_t address[RS_DATAGRAM_ADDRESSES][16]; /* (n) IPv6, or IPv4 mapped */
} rs_datagram_card;

/* Local. `mine` is this rank's card. RS_IO: no socket, and a card that says so. */
rs_status rs_datagram_open(rs_datagram **out, rs_datagram_card *mine) RS_NODISCARD;
/* Local. Cards of all ranks, by rank; copied. Nothing is sent or received before. */
void rs_datagram_know(rs_datagram *d, const rs_datagram_card *cards, int rank, int size);
void rs_datagram_close(rs_datagram **d); /* accepts NULL, nulls the pointer */

/* To poll for input. */
int rs_datagram_fd(const rs_datagram *d);
/* At most RS_DATAGRAM_MOST bytes to a rank. Does not wait; what cannot be sent is lost. */
void rs_datagram_send(rs_datagram *d, int to, const void *body, size_t bytes);
/* The same to where the last datagram came from. */
void rs_datagram_answer(rs_datagram *d, int to, const void *body, size_t bytes);
/* The next one of exactly `bytes` bytes for this rank; false: none is there. */
bool rs_datagram_take(rs_datagram *d, int *from, void *body, size_t bytes);

/* Whether the ranks share a machine, by their cards. */
bool rs_datagram_near(const rs_datagram_card *a, const rs_datagram_card *b);

#endif
