// store: state files: round trip, and every damage is noticed.
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#include "base/fsio.h"
#include "harness/test.h"
#include "store/state.h"

static const rs_state_id k_id = {"0123abcd", "motion", 40};

static rs_tensor_list sample(float first)
{
    rs_arena *a = t_arena();
    rs_tensor_list l = {0};
    rs_tensor x = rs_tensor_new(a, RS_SHAPE(4, 6));
    for (int i = 0; i < 24; i++)
        rs_f32(x)[i] = first + (float)i;
    rs_tensor_list_add(&l, a, "a", x);
    rs_tensor_list_add(&l, a, "columns", rs_tensor_cols_view(x, 2, 5));
    return l;
}

static char *save_sample(const char *name)
{
    char *path = rs_path_join(t_arena(), t_tmpdir(), name);
    rs_tensor_list l = sample(0.5f);
    rs_meta_list m = {0};
    rs_meta_add(&m, t_arena(), "note", "a b");
    rs_meta_add_i64(&m, t_arena(), "n", -7);
    rs_meta_add_f64(&m, t_arena(), "loss", 0.1);
    T_OK(rs_state_save(path, &k_id, &l, &m));
    return path;
}

static void t_round_trip(void)
{
    rs_state *s = NULL;
    char *path = save_sample("s.state");
    T_OK(rs_state_load(&s, path));
    rs_state_id id = rs_state_identity(s);
    T_EQ_S(id.key, "0123abcd");
    T_EQ_S(id.stage, "motion");
    T_EQ_I(id.step, 40);
    T_EQ_I(rs_state_count(s), 2);
    T_EQ_S(rs_state_name(s, 1), "columns");
    rs_tensor t;
    T_OK(rs_state_get(&t, s, "columns", RS_SHAPE(4, 3)));
    T_CHECK(rs_f32(t)[3] == 8.5f && rs_state_at(s, 1)->data == t.data && !rs_state_find(s, "z"));
    T_FAILS(rs_state_get(&t, s, "a", RS_SHAPE(24)), FORMAT, "tensor 'a' is F32[4,6]");
    int64_t n;
    double loss;
    const char *note;
    T_OK(rs_state_meta_i64(&n, s, "n"));
    T_OK(rs_state_meta_f64(&loss, s, "loss"));
    T_OK(rs_state_meta_string(&note, s, "note"));
    T_CHECK(n == -7 && loss == 0.1 && strcmp(note, "a b") == 0);
    T_FAILS(rs_state_meta_i64(&n, s, "note"), FORMAT, "state value 'note' is no integer: 'a b'");
    T_FAILS(rs_state_meta_f64(&loss, s, "x"), FORMAT, "s.state: state lacks the value 'x'");
    T_CHECK(!rs_state_meta(s, "x"));
    rs_state_close(&s);
    T_CHECK(!s);
    rs_tensor_list none = {0};
    T_OK(rs_state_save(path, &k_id, &none, NULL));
    T_OK(rs_state_load(&s, path));
    T_EQ_I(rs_state_count(s), 0);
    rs_state_close(&s);
}

static void t_every_flipped_or_missing_byte_is_noticed(void)
{
    char *path = save_sample("s.state"), *bytes;
    char *bad = rs_path_join(t_arena(), t_tmpdir(), "bad.state");
    size_t n;
    T_OK(rs_read_file(&bytes, &n, t_arena(), path));
    for (size_t i = 0; i < n; i++) {
        rs_state *s = NULL;
        char keep = bytes[i];
        /* the header's padding and the spaces of its JSON carry nothing; a flip there makes no
         * space */
        bytes[i] = (char)(keep ^ 4);
        T_OK(rs_write_file_atomic(bad, bytes, n));
        rs_status st = rs_state_load(&s, bad);
        bytes[i] = keep;
        T_CHECKF(st == RS_FORMAT && strstr(rs_error_message(), "bad.state"), "byte %zu: %s %s", i,
                 rs_status_name(st), rs_error_message());
    }
    for (size_t k = 0; k < n; k += 7) {
        rs_state *s = NULL;
        T_OK(rs_write_file_atomic(bad, bytes, k));
        T_FAILS(rs_state_load(&s, bad), FORMAT, "torn or foreign state file: ");
    }
}

static void t_foreign_and_newer_files_say_so(void)
{
    rs_state *s = NULL;
    char *path = rs_path_join(t_arena(), t_tmpdir(), "f.safetensors");
    rs_tensor_list l = sample(1);
    T_OK(rs_safetensors_write(path, &l, NULL, 0));
    T_FAILS(rs_state_load(&s, path), FORMAT, "a safetensors file, but not a state of reshoot");
    const rs_meta newer[] = {{"reshoot.format", "reshoot state"}, {"reshoot.version", "2"}};
    T_OK(rs_safetensors_write(path, &l, newer, 2));
    T_FAILS(rs_state_load(&s, path), FORMAT, "state of format version 2, this program reads");
    const rs_meta unsigned_[] = {{"reshoot.format", "reshoot state"}, {"reshoot.version", "1"}};
    T_OK(rs_safetensors_write(path, &l, unsigned_, 2));
    T_FAILS(rs_state_load(&s, path), FORMAT, "do not match their SHA-256");
    T_FAILS(rs_state_load(&s, "/nonexistent/s"), IO, "/nonexistent/s: cannot open");
}

/* A full disk (here: a limit on file sizes) keeps the old state and leaves no temporary. */
static void t_failed_save_keeps_the_old_state(void)
{
    char *path = save_sample("s.state");
    struct rlimit old, small = {64, 64};
    T_CHECK(getrlimit(RLIMIT_FSIZE, &old) == 0);
    small.rlim_max = old.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    rs_tensor_list l = sample(9);
    T_CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
    rs_status st = rs_state_save(path, &k_id, &l, NULL);
    T_CHECK(setrlimit(RLIMIT_FSIZE, &old) == 0);
    signal(SIGXFSZ, SIG_DFL);
    T_FAILS(st, IO, "s.state: write failed: File too large");
    rs_state *s = NULL;
    T_OK(rs_state_load(&s, path));
    T_CHECK(rs_f32(*rs_state_find(s, "a"))[0] == 0.5f);
    rs_state_close(&s);
    char *out;
    t_shell(&out, "ls -A %s", t_tmpdir());
    T_EQ_S(out, "s.state\n");
}

/* kill -9 while saving in a loop: the file is always a whole state; a temporary may stay and is
 * swept. */
static void t_killed_writer_leaves_a_whole_state(void)
{
    for (int round = 0; round < 5; round++) {
        char *path = save_sample("s.state");
        rs_tensor_list l = sample((float)round);
        pid_t pid = fork();
        T_CHECK(pid >= 0);
        if (pid == 0)
            for (;;)
                if (rs_state_save(path, &k_id, &l, NULL) != RS_OK)
                    _exit(1);
        usleep(20000 + 3000 * (unsigned)round);
        kill(pid, SIGKILL);
        int rc;
        T_CHECK(waitpid(pid, &rc, 0) == pid && WIFSIGNALED(rc));
        rs_state *s = NULL;
        T_OK(rs_state_load(&s, path));
        rs_state_close(&s);
        T_OK(rs_atomic_sweep(t_tmpdir(), NULL));
        char *out;
        t_shell(&out, "ls -A %s", t_tmpdir());
        T_EQ_S(out, "s.state\n");
    }
}

static const rs_test_case cases[] = {
    T_CASE(t_round_trip),
    T_CASE(t_every_flipped_or_missing_byte_is_noticed),
    T_CASE(t_foreign_and_newer_files_say_so),
    T_CASE(t_failed_save_keeps_the_old_state),
    T_CASE(t_killed_writer_leaves_a_whole_state),
};
RS_TEST_MAIN(cases)
