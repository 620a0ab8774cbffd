// Media that are decoded ahead: the same pixels, for the inputs and settings they were read with
// only, an error of reading as the stage would have it, and an end when the run is to stop.
#include <string.h>

#include "base/fsio.h"
#include "harness/catalog.h"
#include "harness/test.h"
#include "stage/ahead.h"
#include "store/state.h"

typedef struct fixture {
    const char *dir;
    rs_config *cfg;
    rs_catalog *catalog;
    rs_run run;
    volatile sig_atomic_t stop;
    const rs_catalog_video *next;
    int asked;
} fixture;

static const rs_catalog_video *next(void *ctx)
{
    fixture *f = ctx;
    f->asked++;
    return f->next;
}

static void setup(fixture *f)
{
    rs_problems *problems = rs_problems_create();
    *f = (fixture){.dir = t_catalog_world(2)};
    const char *file = rs_path_join(t_arena(), f->dir, "exp.yaml");
    T_OK(rs_config_load_all(&f->cfg, problems, file, NULL, 0));
    T_OK(rs_catalog_load_all(&f->catalog, problems, f->cfg->catalog, f->cfg->catalog_root));
    T_EQ_I(rs_problems_count(problems), 0);
    rs_problems_destroy(&problems);
    f->run = (rs_run){.cfg = f->cfg,
                      .catalog = f->catalog,
                      .output = rs_path_join(t_arena(), f->dir, f->cfg->output),
                      .stop = &f->stop};
    f->next = &f->catalog->videos[0];
}

static void teardown(fixture *f)
{
    rs_ahead_stop(&f->run.ahead);
    T_CHECK(f->run.ahead == NULL);
    rs_catalog_destroy(&f->catalog);
    rs_config_destroy(&f->cfg);
}

static rs_job job_of(fixture *f, int video)
{
    rs_job job = {.video = &f->catalog->videos[video], .arena = t_arena()};
    job.name = job.video->id;
    T_OK(rs_job_keys(&f->run, &job));
    return job;
}

/* It has begun to read the video. */
static void begin(fixture *f)
{
    if (!f->run.ahead)
        T_OK(rs_ahead_start(&f->run.ahead, &f->run, next, f));
    rs_ahead_look(f->run.ahead, &f->catalog->videos[1]);
}

static void t_pixels_are_the_same(void)
{
    fixture f;
    rs_stage_media ahead, now;
    bool there;
    setup(&f);
    rs_job job = job_of(&f, 0), other = job_of(&f, 1);
    T_OK(rs_stage_load_media(&now, &f.run, &job, NULL));
    begin(&f);
    T_OK(rs_ahead_take(&ahead, &there, f.run.ahead, &other));
    T_CHECK(!there);
    T_OK(rs_ahead_take(&ahead, &there, f.run.ahead, &job));
    T_CHECK(there);
    T_CHECK(rs_tensor_same_shape(ahead.clip.rgb, now.clip.rgb));
    T_CHECK(memcmp(ahead.clip.rgb.data, now.clip.rgb.data, rs_tensor_bytes(now.clip.rgb)) == 0);
    T_CHECK(memcmp(ahead.mask.data, now.mask.data, rs_tensor_bytes(now.mask)) == 0);
    T_CHECK(memcmp(&ahead.clip.fit, &now.clip.fit, sizeof now.clip.fit) == 0);
    rs_arena_destroy(&ahead.arena);
    f.next = NULL;
    T_OK(rs_ahead_take(&ahead, &there, f.run.ahead, &job)); /* once, unless it is read again */
    rs_arena_destroy(&now.arena);
    if (there)
        rs_arena_destroy(&ahead.arena);
    teardown(&f);
}

/* The files have changed between the stage's look at them and that of the thread. */
static void t_other_inputs_are_not_taken(void)
{
    fixture f;
    rs_stage_media m;
    bool there = true;
    char *out;
    setup(&f);
    rs_job before = job_of(&f, 0);
    T_EQ_I(t_shell(&out, "cd %s/catalog/clip-00/frames && cp *0003.png *0004.png", f.dir), 0);
    begin(&f);
    f.next = NULL;
    T_OK(rs_ahead_take(&m, &there, f.run.ahead, &before));
    T_CHECK(!there);
    rs_job after = job_of(&f, 0);
    f.next = after.video;
    begin(&f);
    T_OK(rs_ahead_take(&m, &there, f.run.ahead, &after));
    T_CHECK(there);
    rs_arena_destroy(&m.arena);
    teardown(&f);
}

static void t_an_error_is_that_of_the_stage(void)
{
    fixture f;
    rs_stage_media m;
    bool there;
    char *out;
    setup(&f);
    T_EQ_I(t_shell(&out, "truncate -s 300 %s/catalog/clip-00/frames/*0005.png", f.dir), 0);
    rs_job job = job_of(&f, 0);
    T_FAILS(rs_stage_load_media(&m, &f.run, &job, NULL), INPUT, "0005.png");
    const char *said = rs_arena_strdup(t_arena(), rs_error_message());
    begin(&f);
    T_FAILS(rs_ahead_take(&m, &there, f.run.ahead, &job), INPUT, "0005.png");
    T_EQ_S(rs_error_message(), said);
    T_CHECK(!there);
    rs_error_clear();
    teardown(&f);
}

static void t_a_stop_ends_it(void)
{
    fixture f;
    rs_stage_media m;
    bool there;
    setup(&f);
    rs_job job = job_of(&f, 0);
    f.stop = 1;
    begin(&f);
    T_FAILS(rs_ahead_take(&m, &there, f.run.ahead, &job), STOPPED, "stopped at frame 0");
    rs_error_clear();
    f.stop = 0;
    f.next = &f.catalog->videos[1];
    rs_ahead_look(f.run.ahead, &f.catalog->videos[0]);
    teardown(&f); /* while it reads, or has read and nobody came for it */
}

static void t_a_finished_ingest_is_not_read_again(void)
{
    fixture f;
    rs_stage_media m;
    bool there = true;
    rs_tensor_list l = {0};
    setup(&f);
    rs_job job = job_of(&f, 0);
    rs_state_id id = {.key = job.key[RS_STAGE_INGEST], .stage = "ingest"};
    const char *path = rs_stage_path(&f.run, &job, RS_STAGE_INGEST);
    rs_tensor_list_add(&l, t_arena(), "x0", rs_tensor_new(t_arena(), RS_SHAPE(4)));
    T_OK(rs_make_dirs(rs_path_dirname(t_arena(), path)));
    T_OK(rs_state_save(path, &id, &l, NULL));
    begin(&f);
    T_OK(rs_ahead_take(&m, &there, f.run.ahead, &job));
    T_CHECK(!there && f.asked > 0);
    teardown(&f);
}

static const rs_test_case cases[] = {
    T_CASE(t_pixels_are_the_same),
    T_CASE(t_other_inputs_are_not_taken),
    T_CASE(t_an_error_is_that_of_the_stage),
    T_CASE(t_a_stop_ends_it),
    T_CASE(t_a_finished_ingest_is_not_read_again),
};
RS_TEST_MAIN(cases)
