#include "harness/kills.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fsio.h"
#include "base/hash.h"
#include "harness/catalog.h"
#include "harness/mpirun.h"
#include "harness/test.h"
#include "store/state.h"

enum { VIDEOS = 4, EVERY = 10, MOST_DELAY_MS = 1200, MOST_RANKS = 4, JOBS = 64 };

static const char k_settings[] = "--set motion.steps=200 --set appearance.steps=40 --set "
                                 "edit.steps=25 --set checkpoint.every=10";

/* A stage of a job, as its files are named: "clip-00/motion", "clip-00/edit@recolour". */
typedef struct stage_seen {
    char name[128];
    int64_t step;           /* of its checkpoint, 0: none */
    bool done;              /* its state is there */
    bool resumed, reported; /* in the logs of the present run */
} stage_seen;

typedef struct kills {
    const char *dir, *output;
    unsigned long long seed, drawn;
    int wanted, killed, resumed, ranks;
    stage_seen seen[JOBS];
    int n;
} kills;

static unsigned draw(kills *k, unsigned below)
{
    return (unsigned)(rs_hash64_mix(k->seed, ++k->drawn) % below);
}

static stage_seen *stage_of(kills *k, const char *name)
{
    for (int i = 0; i < k->n; i++)
        if (strcmp(k->seen[i].name, name) == 0)
            return &k->seen[i];
    T_CHECK(k->n < JOBS);
    stage_seen *s = &k->seen[k->n++];
    *s = (stage_seen){0};
    snprintf(s->name, sizeof s->name, "%s", name);
    return s;
}

/* ---- what is on disk ---- */

/* mpirun sends SIGTERM to those that are left when a rank is killed: they save where they are. */
static void look_at_checkpoint(const kills *k, stage_seen *s, const char *path)
{
    rs_state *state;
    T_OK(rs_state_load(&state, path)); /* not torn */
    int64_t step = rs_state_identity(state).step;
    T_CHECKF(step >= s->step && (step % EVERY == 0 || step == s->step || k->ranks > 1),
             "%s: step %lld after %lld", path, (long long)step, (long long)s->step);
    s->step = step;
    rs_state_close(&state);
}

/* All of a run's states; which are done must stay so. */
static void look_at_states(kills *k)
{
    char *list;
    bool was_done[JOBS];
    const char *root = rs_arena_printf(t_arena(), "%s/%s/state", k->dir, k->output);
    if (!rs_path_is_dir(root))
        return;
    for (int i = 0; i < k->n; i++) {
        was_done[i] = k->seen[i].done;
        k->seen[i].done = false;
    }
    int known = k->n;
    T_EQ_I(t_shell(&list, "cd %s && find * -name '*.safetensors'", root), 0);
    for (char *file = strtok(list, "\n"); file; file = strtok(NULL, "\n")) {
        const char *path = rs_path_join(t_arena(), root, file);
        char *suffix = strstr(file, "~checkpoint");
        if (!suffix)
            suffix = strstr(file, ".safetensors");
        bool checkpoint = *suffix == '~';
        *suffix = 0;
        stage_seen *s = stage_of(k, file);
        if (checkpoint)
            look_at_checkpoint(k, s, path);
        else
            s->done = true;
    }
    for (int i = 0; i < known; i++)
        T_CHECKF(!was_done[i] || k->seen[i].done, "%s: finished, and gone", k->seen[i].name);
}

/* ---- what the logs say ---- */

/* "<time> I r1 clip-00#recolour | edit resumes after step 10 of 25": its stage, NULL if it is no
 * such line. */
static stage_seen *stage_in_line(kills *k, const char *line, char what[16], int64_t *number)
{
    char job[64], stage[32], name[128];
    const char *bar = strstr(line, " | ");
    if (!bar)
        return NULL;
    const char *start = bar;
    while (start > line && start[-1] != ' ')
        start--;
    snprintf(job, sizeof job, "%.*s", (int)(bar - start), start);
    long long n;
    if (sscanf(bar + 3, "%31s resumes after step %lld of", stage, &n) == 2)
        snprintf(what, 16, "resumes");
    else if (sscanf(bar + 3, "%31s step %lld/", stage, &n) == 2)
        snprintf(what, 16, "step");
    else
        return NULL;
    char *hash = strchr(job, '#');
    if (hash)
        *hash = 0;
    snprintf(name, sizeof name, "%s/%s%s%s", job, stage, hash ? "@" : "", hash ? hash + 1 : "");
    *number = n;
    return stage_of(k, name);
}

/* Each stage has gone on where its checkpoint was when the run began. */
static void check_line(kills *k, const char *line)
{
    char what[16];
    int64_t n;
    stage_seen *s = stage_in_line(k, line, what, &n);
    if (!s)
        return;
    bool trains = !strstr(s->name, "/edit");
    if (strcmp(what, "resumes") == 0) {
        T_CHECKF(n == s->step, "%s: resumed after step %lld, its checkpoint was of %lld", s->name,
                 (long long)n, (long long)s->step);
        s->resumed = true;
        k->resumed++;
    } else if (!s->reported) {
        s->reported = true; /* a training stage says its first step, an edit stage its last */
        T_CHECKF(s->resumed == (s->step > 0) && (!trains || n == s->step + 1),
                 "%s: began with step %lld, its checkpoint was of %lld", s->name, (long long)n,
                 (long long)s->step);
    }
}

static void check_logs(kills *k)
{
    char *text;
    t_shell(&text, "cd %s/%s && cat reshoot*.log 2>/dev/null && rm reshoot*.log", k->dir,
            k->output);
    for (int i = 0; i < k->n; i++)
        k->seen[i].resumed = k->seen[i].reported = false;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        check_line(k, line);
}

/* ---- runs ---- */

static bool has_ended(pid_t pid)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid;
}

static void await_work(kills *k, pid_t mpirun)
{
    const char *logs = rs_arena_printf(
        t_arena(), "cat %s/%s/reshoot*.log 2>/dev/null | grep -q ' | '", k->dir, k->output);
    while (!has_ended(mpirun) && t_shell(NULL, "%s", logs) != 0)
        usleep(20000);
}

/* A random rank of the run that mpirun is; false if it ended before. */
static bool kill_one(kills *k, pid_t mpirun)
{
    pid_t pids[MOST_RANKS];
    const char *mine = rs_arena_printf(t_arena(), "output=%s/%s ", k->dir, k->output);
    while (!has_ended(mpirun)) {
        int n = t_processes(pids, MOST_RANKS, RS_BUILD_DIR "/reshoot run", mine);
        if (n > 0 && kill(pids[draw(k, (unsigned)n)], SIGKILL) == 0)
            return true;
        usleep(1000);
    }
    return false;
}

/* One run on some ranks, with a kill while there are any to come; true if the catalog is done. */
static bool run_once(kills *k)
{
    static const char *const batches[] = {"off", "2", "4"};
    char *out;
    const char *log = rs_path_join(t_arena(), k->dir, "mpirun.log");
    k->ranks = 1 + (int)draw(k, MOST_RANKS);
    const char *more =
        rs_arena_printf(t_arena(), "%s --set cluster.batch=%s", k_settings, batches[draw(k, 3)]);
    pid_t pid = t_mpirun_start(log, k->ranks, t_catalog_args(k->dir, k->output, more));
    if (k->killed < k->wanted) {
        if (draw(k, 4) > 0) /* else perhaps before the work begins */
            await_work(k, pid);
        usleep(1000 * draw(k, MOST_DELAY_MS));
        k->killed += kill_one(k, pid);
    }
    int rc = t_mpirun_wait(&out, pid, log);
    T_CHECKF(rc != 124 && (rc == 0 || k->killed > 0), "%d: %s", rc, out);
    if (rs_path_is_dir(rs_path_join(t_arena(), k->dir, k->output)))
        check_logs(k);
    look_at_states(k);
    return rc == 0;
}

static long long from_environment(const char *name, long long otherwise)
{
    const char *value = getenv(name);
    return value ? atoll(value) : otherwise;
}

void t_kills(unsigned long long seed, int wanted)
{
    static kills k;
    char *out;
    int rounds = 0, runs = 0;
    k = (kills){.dir = t_catalog_world(VIDEOS)};
    k.seed = (unsigned long long)from_environment("RS_TEST_SEED", (long long)seed);
    k.wanted = (int)from_environment("RS_TEST_KILLS", wanted);
    printf("seed %llu (RS_TEST_SEED)\n", k.seed);
    fflush(stdout);
    T_CHECKF(t_catalog_run(&out, 0, k.dir, "alone", k_settings) == 0, "%s", out);
    while (k.killed < k.wanted) {
        k.output = rs_arena_printf(t_arena(), "run%d", rounds++);
        k.n = 0;
        do {
            runs++;
            T_CHECKF(runs < 20 * k.wanted, "no progress");
        } while (!run_once(&k));
        t_catalog_same(k.dir, "alone", k.output, VIDEOS * 5);
        t_catalog_clean(k.dir, k.output);
        T_EQ_I(t_shell(&out, "rm -r %s/%s", k.dir, k.output), 0);
    }
    printf("%d kills in %d runs of %d catalogs; %d stages resumed in their middle\n", k.killed,
           runs, rounds, k.resumed);
    T_CHECK(wanted < 50 || k.resumed > wanted / 10);
}
