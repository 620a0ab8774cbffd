// Leases: one holder at a time, tokens that grow, takeover from who is gone or silent, and a fence
// that keeps out whoever has lost its lease.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fsio.h"
#include "base/log.h"
#include "harness/test.h"
#include "job/lease.h"

static char *in(const char *dir, const char *name)
{
    return rs_path_join(t_arena(), dir, name);
}

static rs_leases *open_world(const char *dir, const char *world, double seconds)
{
    char id[RS_WORLD_ID];
    rs_leases *l;
    snprintf(id, sizeof id, "%-32s", world);
    for (char *c = id; *c; c++)
        *c = *c == ' ' ? '0' : *c;
    T_OK(rs_leases_open(&l, dir, id, seconds, "test\n"));
    return l;
}

static rs_lease *take(rs_leases *l, const char *video)
{
    rs_lease *lease;
    const char *holder;
    T_OK(rs_lease_take(&lease, &holder, t_arena(), l, video));
    return lease;
}

static rs_lease *take_within(rs_leases *l, const char *video, double seconds)
{
    double begin = rs_now();
    rs_lease *lease = take(l, video);
    while (!lease && rs_now() - begin < seconds) {
        usleep(20000);
        lease = take(l, video);
    }
    return lease;
}

/* A file written inside the lease's fence. */
static rs_status publish(rs_lease *lease, const char *path, const char *text)
{
    const rs_fence *before = rs_fence_use(rs_lease_fence(lease));
    rs_status st = rs_write_file_atomic(path, text, strlen(text));
    rs_fence_use(before);
    return st;
}

static const char *content(const char *path)
{
    char *text;
    size_t bytes;
    T_OK(rs_read_file(&text, &bytes, t_arena(), path));
    return text;
}

static void t_one_world_at_a_time(void)
{
    const char *dir = t_tmpdir(), *holder;
    rs_leases *a = open_world(dir, "a", 60), *b = open_world(dir, "b", 60);
    rs_lease *x = take(a, "one"), *y = take(b, "two"), *z;
    T_CHECK(x && y);
    T_EQ_I(rs_lease_token(x), 1);
    T_OK(rs_lease_take(&z, &holder, t_arena(), b, "one"));
    T_CHECK(!z);
    T_EQ_S(holder,
           rs_arena_printf(t_arena(), "process %d on %s", (int)getpid(), rs_tenant_self("").host));
    T_OK(publish(x, in(dir, "file"), "a"));
    rs_lease_give_back(&x);
    T_CHECK(!x);
    z = take(b, "one");
    T_CHECK(z);
    T_EQ_I(rs_lease_token(z), 2);
    rs_leases_close(&a);
    rs_lease_give_back(&y);
    rs_leases_close(&b); /* gives the other one back */
    a = open_world(dir, "c", 60);
    z = take(a, "one");
    T_CHECK(z);
    T_EQ_I(rs_lease_token(z), 3);
    rs_leases_close(&a);
    T_CHECK(t_shell(NULL, "ls %s/leases/alive | grep .", dir) != 0);
}

static void t_ranks_of_a_world_hold_together(void)
{
    const char *dir = t_tmpdir();
    rs_leases *a = open_world(dir, "a", 60), *b = open_world(dir, "a", 60);
    rs_leases *other = open_world(dir, "b", 60);
    rs_lease *x = take(a, "v"), *y = take(b, "v");
    T_CHECK(x && y);
    T_EQ_I(rs_lease_token(y), rs_lease_token(x));
    T_OK(publish(x, in(dir, "file"), "x"));
    T_OK(publish(y, in(dir, "file"), "y"));
    T_CHECK(take(a, "v") == x); /* not a second one */
    T_CHECK(!take(other, "v"));
    rs_lease_give_back(&y); /* for both */
    T_FAILS(publish(x, in(dir, "file"), "late"), HELD, "v: this run has given its lease back");
    x = take(a, "v");
    T_CHECK(x);
    T_EQ_I(rs_lease_token(x), 2);
    rs_lease_give_back(&x);
    x = take(a, "v");
    T_EQ_I(rs_lease_token(x), 3);
    y = take(b, "v");
    T_CHECK(y);
    rs_lease_give_back(&y);
    rs_lease *z = take(other, "v");
    T_CHECK(z);
    T_FAILS(publish(x, in(dir, "file"), "late"), HELD, "v: lease lost to process");
    T_EQ_S(content(in(dir, "file")), "y");
    rs_lease_give_back(&x); /* must not give away what is not its own */
    T_OK(rs_lease_check(z));
    rs_leases_close(&a);
    rs_leases_close(&b);
    rs_leases_close(&other);
}

/* A child that holds "v" in a world of its own, or does nothing but exist. */
static pid_t start_holder(const char *dir, double seconds, rs_lease **mine, rs_leases **all)
{
    int ready[2];
    char c;
    T_CHECK(pipe(ready) == 0);
    pid_t pid = fork();
    T_CHECK(pid >= 0);
    if (pid == 0) {
        *all = open_world(dir, "child", seconds);
        *mine = take(*all, "v");
        _exit(write(ready[1], "x", 1) == 1 && *mine ? (pause(), 1) : 1);
    }
    close(ready[1]);
    T_CHECK(read(ready[0], &c, 1) == 1);
    close(ready[0]);
    return pid;
}

static void t_who_is_killed_is_followed_at_once(void)
{
    const char *dir = t_tmpdir();
    rs_lease *x;
    rs_leases *child, *b;
    pid_t pid = start_holder(dir, 3600, &x, &child);
    b = open_world(dir, "b", 3600);
    T_CHECK(!take(b, "v"));
    T_CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
    x = take(b, "v"); /* not an hour later: the kernel has dropped its lock */
    T_CHECK(x);
    T_EQ_I(rs_lease_token(x), 2);
    rs_leases_close(&b);
}

static void t_who_is_silent_is_followed_after_a_while(void)
{
    const char *dir = t_tmpdir();
    rs_lease *x;
    rs_leases *child, *b = open_world(dir, "b", 0.4);
    pid_t pid = start_holder(dir, 0.4, &x, &child);
    T_CHECK(!take_within(b, "v", 1.5)); /* renewed all the time */
    T_CHECK(kill(pid, SIGSTOP) == 0);
    T_CHECK(!take(b, "v"));
    x = take_within(b, "v", 30);
    T_CHECK(x);
    T_EQ_I(rs_lease_token(x), 2);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    rs_leases_close(&b);
}

/* In the child: publishes for as long as it may; 0 if it was stopped by the fence and not before.
 */
static int publish_for_ever(const char *dir, int ready)
{
    rs_leases *l = open_world(dir, "zombie", 0.4);
    rs_lease *x = take(l, "v");
    rs_status st = RS_OK;
    for (int i = 0; st == RS_OK && i < 100000; i++) {
        st = publish(x, in(dir, "result"), rs_arena_printf(t_arena(), "zombie %d", i));
        if (i == 10 && write(ready, "x", 1) != 1)
            return 2;
    }
    return st == RS_HELD && strstr(rs_error_message(), "v: lease lost to process") ? 0 : 3;
}

static void t_zombies_cannot_publish(void)
{
    const char *dir = t_tmpdir();
    for (int round = 0; round < 5; round++) {
        int ready[2], state;
        char c;
        const char *folder = in(dir, rs_arena_printf(t_arena(), "%d", round));
        T_OK(rs_make_dirs(folder));
        T_CHECK(pipe(ready) == 0);
        pid_t pid = fork();
        T_CHECK(pid >= 0);
        if (pid == 0)
            _exit(publish_for_ever(folder, ready[1]));
        close(ready[1]);
        T_CHECK(read(ready[0], &c, 1) == 1);
        close(ready[0]);
        usleep((useconds_t)(1000 * round));
        T_CHECK(kill(pid, SIGSTOP) == 0); /* anywhere, perhaps between token and rename */
        rs_leases *b = open_world(folder, "b", 0.4);
        rs_lease *x = take_within(b, "v", 2);
        if (!x) { /* it was stopped inside of its fence: safe, and nobody can take over */
            T_CHECK(kill(pid, SIGKILL) == 0);
            x = take_within(b, "v", 5);
        }
        T_CHECK(x);
        T_OK(publish(x, in(folder, "result"), "b"));
        kill(pid, SIGCONT);
        T_CHECK(waitpid(pid, &state, 0) == pid);
        T_CHECK(WIFSIGNALED(state) || WEXITSTATUS(state) == 0);
        T_EQ_S(content(in(folder, "result")), "b");
        T_CHECK(t_shell(NULL, "ls -A %s | grep tmp", folder) != 0 || WIFSIGNALED(state));
        rs_leases_close(&b);
    }
}

/* Clearing temporaries away is fenced too: those of the new holder would go. */
static void t_zombies_cannot_sweep(void)
{
    const char *dir = t_tmpdir();
    rs_leases *a = open_world(dir, "a", 60), *b = open_world(dir, "b", 60);
    rs_lease *x = take(a, "v");
    T_EQ_I(t_shell(NULL, "touch %s/.x.tmp.1", dir), 0);
    T_EQ_I(t_shell(NULL, "sed -i 's/^state held/state free/' %s/leases/v.lease", dir), 0);
    T_CHECK(take(b, "v"));
    const rs_fence *before = rs_fence_use(rs_lease_fence(x));
    rs_status st = rs_atomic_sweep(dir, NULL);
    rs_fence_use(before);
    T_EQ_I(st, RS_HELD);
    T_CHECK(rs_path_exists(in(dir, ".x.tmp.1")));
    T_OK(rs_atomic_sweep(dir, NULL));
    T_CHECK(!rs_path_exists(in(dir, ".x.tmp.1")));
    rs_leases_close(&a);
    rs_leases_close(&b);
}

/* The renewing thread opens one for moments. */
static void await_open_files(int n)
{
    char *out = NULL;
    for (int i = 0; i < 200; i++) {
        t_shell(&out, "ls -l /proc/%d/fd | grep -c '[.]lease$'", (int)getpid());
        if (atoi(out) == n)
            return;
        usleep(20000);
    }
    T_CHECKF(false, "%s open files, want %d", out, n);
}

/* What a rank is not working on stays in its run's hands, and costs no open file. */
static void t_left_leases_are_renewed(void)
{
    const char *dir = t_tmpdir();
    rs_leases *a = open_world(dir, "a", 0.4), *b = open_world(dir, "b", 0.4);
    for (int i = 0; i < 5; i++) {
        rs_lease *x = take(a, rs_arena_printf(t_arena(), "v%d", i));
        T_CHECK(x);
        rs_lease_leave(&x);
        T_CHECK(!x);
    }
    for (int i = 0; i < 5; i++)
        T_CHECK(!take_within(b, rs_arena_printf(t_arena(), "v%d", i), 0.5));
    await_open_files(0);
    rs_lease *x = take(a, "v3");
    T_CHECK(x);
    T_EQ_I(rs_lease_token(x), 1);
    T_OK(publish(x, in(dir, "file"), "x"));
    await_open_files(1);
    rs_lease_give_back(&x);
    T_CHECK(take(b, "v3"));
    rs_leases_give_back(a);
    for (int i = 0; i < 5; i++)
        T_CHECK(take(b, rs_arena_printf(t_arena(), "v%d", i)));
    rs_leases_close(&a);
    rs_leases_close(&b);
}

static void t_damage_is_safe(void)
{
    const char *dir = t_tmpdir();
    rs_leases *a = open_world(dir, "a", 60), *b = open_world(dir, "b", 60);
    rs_lease *x = take(a, "v"), *y = take(a, "w");
    T_OK(rs_write_file_atomic(in(dir, "leases/v.lease"), "garbage", 7));
    T_FAILS(publish(x, in(dir, "file"), "x"), HELD, "v.lease is gone");
    T_CHECK(take(b, "v")); /* another file: the old one's lock guards nothing */
    T_EQ_I(t_shell(NULL, "printf garbage > %s/leases/w.lease", dir), 0);
    T_FAILS(publish(y, in(dir, "file"), "y"), HELD, "lease lost");
    T_CHECK(take(b, "w"));
    T_CHECK(!rs_path_exists(in(dir, "file")));
    rs_leases_close(&a);
    rs_leases_close(&b);
}

static const rs_test_case cases[] = {
    T_CASE(t_one_world_at_a_time),
    T_CASE(t_ranks_of_a_world_hold_together),
    T_CASE(t_who_is_killed_is_followed_at_once),
    T_CASE(t_who_is_silent_is_followed_after_a_while),
    T_CASE(t_zombies_cannot_publish),
    T_CASE(t_zombies_cannot_sweep),
    T_CASE(t_left_leases_are_renewed),
    T_CASE(t_damage_is_safe),
};
RS_TEST_MAIN(cases)
