/* Datagrams between watchdogs: who is heard and who is not. */
#include <poll.h>
#include <string.h>

#include "comm/datagram_priv.h"
#include "harness/test.h"

enum { RANKS = 3, BODY = 200 };

typedef struct end {
    rs_datagram *d;
    rs_datagram_card card;
} end;

static void open_ends(end *e)
{
    rs_datagram_card cards[RANKS];
    for (int r = 0; r < RANKS; r++) {
        T_OK(rs_datagram_open(&e[r].d, &e[r].card));
        cards[r] = e[r].card;
    }
    for (int r = 0; r < RANKS; r++)
        rs_datagram_know(e[r].d, cards, r, RANKS);
}

static void close_ends(end *e)
{
    for (int r = 0; r < RANKS; r++) {
        rs_datagram_close(&e[r].d);
        T_CHECK(!e[r].d);
    }
}

static bool take(end *e, int *from, char *body, size_t bytes)
{
    struct pollfd in = {.fd = rs_datagram_fd(e->d), .events = POLLIN};
    return poll(&in, 1, 2000) > 0 && rs_datagram_take(e->d, from, body, bytes);
}

static void t_question_and_answer(void)
{
    end e[RANKS];
    char body[BODY], got[BODY] = {0};
    int from = -1;
    open_ends(e);
    for (int i = 0; i < BODY; i++)
        body[i] = (char)i;
    for (int to = 1; to < RANKS; to++) {
        rs_datagram_send(e[0].d, to, body, BODY);
        T_CHECK(take(&e[to], &from, got, BODY));
        T_EQ_I(from, 0);
        T_CHECK(memcmp(body, got, BODY) == 0);
        got[0] = (char)to;
        rs_datagram_answer(e[to].d, from, got, BODY);
        T_CHECK(take(&e[0], &from, got, BODY));
        T_EQ_I(from, to);
        T_EQ_I(got[0], to);
        T_CHECK(!rs_datagram_take(e[to].d, &from, got, BODY));
    }
    close_ends(e);
}

/* Each is followed by a good one, which shows that it has been looked at. */
static void is_dropped(end *e, end *sender, size_t bytes)
{
    char body[RS_DATAGRAM_MOST] = {0}, got[BODY];
    int from = -1;
    rs_datagram_send(sender->d, 1, body, bytes);
    body[0] = 1;
    rs_datagram_send(e[0].d, 1, body, BODY);
    T_CHECK(take(&e[1], &from, got, BODY));
    T_EQ_I(got[0], 1);
    T_EQ_I(from, 0);
    T_CHECK(!rs_datagram_take(e[1].d, &from, got, BODY));
}

static void t_strangers_are_not_heard(void)
{
    end e[RANKS], other[RANKS];
    rs_datagram_card cards[RANKS];
    open_ends(e);
    for (int r = 0; r < RANKS; r++) {
        T_OK(rs_datagram_open(&other[r].d, &other[r].card));
        cards[r] = r == 1 ? e[1].card : other[r].card; /* another world that has the address */
    }
    for (int r = 0; r < RANKS; r++)
        rs_datagram_know(other[r].d, cards, r, RANKS);
    is_dropped(e, &other[0], BODY);
    is_dropped(e, &e[0], BODY - 1);
    is_dropped(e, &e[0], BODY + 1);
    is_dropped(e, &e[0], RS_DATAGRAM_MOST);
    close_ends(other);
    close_ends(e);
}

/* One that has moved to another rank's old address, or a number that is no rank. */
static void t_only_this_rank_is_meant(void)
{
    end e[RANKS], wrong = {0};
    rs_datagram_card cards[RANKS + 1], mine;
    char body[BODY] = {0}, got[BODY];
    int from;
    open_ends(e);
    T_OK(rs_datagram_open(&wrong.d, &mine));
    for (int r = 0; r < RANKS; r++)
        cards[r] = e[r].card;
    cards[RANKS] = (rs_datagram_card){.machine = mine.machine}; /* the token stays */
    rs_datagram_know(wrong.d, cards, RANKS, RANKS + 1);         /* sends as rank 3 of 3 */
    is_dropped(e, &wrong, BODY);
    rs_datagram_close(&wrong.d);
    T_OK(rs_datagram_open(&wrong.d, &mine));
    cards[2].port = e[1].card.port;
    rs_datagram_know(wrong.d, cards, 0, RANKS);
    rs_datagram_send(wrong.d, 2, body, BODY); /* to rank 2, arrives at rank 1 */
    T_CHECK(!take(&e[1], &from, got, BODY));
    rs_datagram_close(&wrong.d);
    close_ends(e);
}

static void t_a_rank_without_a_socket_is_left_out(void)
{
    end e[RANKS];
    rs_datagram_card cards[RANKS];
    char body[BODY] = {0};
    open_ends(e);
    for (int r = 0; r < RANKS; r++)
        cards[r] = r == 2 ? (rs_datagram_card){0} : e[r].card;
    T_CHECK(rs_datagram_near(&cards[0], &cards[1]) && !rs_datagram_near(&cards[0], &cards[2]));
    rs_datagram *d;
    rs_datagram_card mine;
    T_OK(rs_datagram_open(&d, &mine));
    rs_datagram_know(d, cards, 0, RANKS);
    rs_datagram_send(d, 2, body, BODY); /* nowhere to go */
    rs_datagram_close(&d);
    close_ends(e);
}

static const rs_test_case cases[] = {
    T_CASE(t_question_and_answer),
    T_CASE(t_strangers_are_not_heard),
    T_CASE(t_only_this_rank_is_meant),
    T_CASE(t_a_rank_without_a_socket_is_left_out),
};
RS_TEST_MAIN(cases)
