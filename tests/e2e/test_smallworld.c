// ctest: TIMEOUT 400
// The method works: on two held-out clips of the small world, with the trained model, two arms of
// configs/proof.yaml. The motion adapter brings the edit closer to the truth than no adapter, and
// keeps the background.
#include <stdio.h>
#include <string.h>

#include "base/fsio.h"
#include "base/str.h"
#include "harness/test.h"

/* Every second clip of the catalog shows its back, which no arm here can know; two of the others.
 */
enum { CLIPS = 2 };
static const char k_videos[] = "'clip-0[13]'";

/* Bounds, from the proof's 24 clips (docs/proof.md): the mean gain is several times the margin. */
static const double k_gain_inside = 1.0; /* dB of the masked error, mean of the clips */
static const double k_outside = 26.0;    /* dB, every clip */

static const char *run_arm(const char *dir, const char *arm)
{
    char *out;
    int rc =
        t_reshoot(&out,
                  "run " T_SRC "/configs/proof.yaml --set output=%s/run --set "
                  "catalog=%s/catalog/catalog.yaml --set motion.steps=60 --arms %s --videos %s",
                  dir, dir, arm, k_videos);
    T_CHECKF(rc == 0, "%s", out);
    T_CHECKF(strstr(out, "PSNRin"), "no table of measures: %s", out);
    return rs_arena_printf(t_arena(), "%s/run/arms/%s/measures.csv", dir, arm);
}

/* The n-th field of a line, without what follows. */
static const char *field(const char *line, int n)
{
    for (; n > 0; n--)
        line += strcspn(line, ",\n") + 1;
    return rs_arena_strndup(t_arena(), line, strcspn(line, ",\n"));
}

static int column(const char *text, const char *name)
{
    int n = 0;
    for (const char *p = text; *p && *p != '\n';
         p += strcspn(p, ",\n") + (p[strcspn(p, ",\n")] == ','), n++)
        if (strcmp(field(p, 0), name) == 0)
            return n;
    rs_test_fail(__FILE__, __LINE__, "no column \"%s\" in %s", name, text);
}

/* Of the clips that this run edited: the table has all of the catalog. */
static void read_measure(double out[CLIPS], const char *csv, const char *name)
{
    char *text;
    size_t bytes;
    T_OK(rs_read_file(&text, &bytes, t_arena(), csv));
    int n = column(text, name), state = column(text, "state"), found = 0;
    for (const char *line = strchr(text, '\n') + 1; *line; line += strcspn(line, "\n") + 1) {
        if (strcmp(field(line, state), "done") != 0)
            continue;
        T_CHECK(found < CLIPS);
        T_CHECKF(rs_parse_f64(&out[found++], field(line, n)), "%s: %s", name, text);
    }
    T_EQ_I(found, CLIPS);
}

static void the_motion_adapter_beats_none(void)
{
    char *out;
    const char *dir = t_tmpdir();
    double none[CLIPS], motion[CLIPS], outside[CLIPS], gain = 0;
    T_CHECKF(t_shell(&out, T_BIN "/reshoot-world smallworld %s/catalog --count 4", dir) == 0, "%s",
             out);
    const char *without = run_arm(dir, "no-lora"), *with = run_arm(dir, "motion");
    read_measure(none, without, "psnr_inside");
    read_measure(motion, with, "psnr_inside");
    read_measure(outside, with, "psnr_outside");
    for (int i = 0; i < CLIPS; i++) {
        printf("     clip %d: inside %.2f -> %.2f dB, outside %.2f dB\n", i, none[i], motion[i],
               outside[i]);
        gain += (motion[i] - none[i]) / CLIPS;
        T_CHECKF(outside[i] > k_outside, "clip %d: background at %.2f dB", i, outside[i]);
    }
    T_CHECKF(gain > k_gain_inside, "masked error: only %.2f dB better than without adapter", gain);
}

static const rs_test_case cases[] = {T_CASE(the_motion_adapter_beats_none)};
RS_TEST_MAIN(cases)
