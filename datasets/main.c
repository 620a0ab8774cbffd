#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "datasets/smallworld/smallworld.h"
#include "datasets/world.h"
#include "media/mask.h"
#include "model/synth.h"

static const char k_usage[] =
    "usage: reshoot-world COMMAND ...\n"
    "  formats OUT_DIR                   a catalog with every way to give a source and a mask\n"
    "  car-shadow DATA_DIR OUT_DIR       edits and catalog for DAVIS car-shadow (frames/, masks/)\n"
    "  pedestrians VTEST_AVI OUT_DIR     edits and catalog for OpenCV's vtest.avi\n"
    "  model OUT_DIR [TOKENIZER_DIR]     a small randomly initialised Wan2.1-I2V model\n"
    "  smallworld OUT_DIR                held-out small-world clips, their edits and catalog\n"
    "  clips OUT_DIR                     small-world clips for training, as flat files\n"
    "  recolour --source S --mask M --frame N --hue DEG --out PNG\n"
    "                                    one frame of a clip, recoloured inside its mask\n"
    "clip options (they must be those of the experiment that uses the result):\n"
    "  --frames N       frames of the clip (13; small world: 17; recolour: all)\n"
    "  --width W --height H   its size (208x112; small world: 96x96; recolour: the source's)\n"
    "  --sampling even|first  which frames (even; pedestrians: first)\n"
    "small-world options:\n"
    "  --seed N         from this seed on (clips: 0; smallworld: 1000000, which nothing is trained "
    "on)\n"
    "  --count N        clips (1; smallworld: 24)\n"
    "model options:\n"
    "  --preset small|tiny    2.4 or 0.4 million parameters (small)\n"
    "recolour options:\n"
    "  --saturation S   0..1 (0.7)\n"
    "  --lift L         0..1, brighten first (0)\n"
    "  --dark-below V   only pixels darker than V of 255 (0: all)\n";

typedef struct arguments {
    rs_clip_opts clip;
    world_recolour colour;
    const char *source, *mask, *out, *preset;
    int64_t frame, seed, count;
    bool hue_given;
} arguments;

enum {
    OPT_FRAMES = 256,
    OPT_WIDTH,
    OPT_HEIGHT,
    OPT_SAMPLING,
    OPT_SOURCE,
    OPT_MASK,
    OPT_FRAME,
    OPT_HUE,
    OPT_OUT,
    OPT_SATURATION,
    OPT_LIFT,
    OPT_DARK,
    OPT_PRESET,
    OPT_SEED,
    OPT_COUNT
};

enum { MODEL_SEED = 20250611 };

static const struct option k_options[] = {
    {"frames", required_argument, NULL, OPT_FRAMES},
    {"width", required_argument, NULL, OPT_WIDTH},
    {"height", required_argument, NULL, OPT_HEIGHT},
    {"sampling", required_argument, NULL, OPT_SAMPLING},
    {"source", required_argument, NULL, OPT_SOURCE},
    {"mask", required_argument, NULL, OPT_MASK},
    {"frame", required_argument, NULL, OPT_FRAME},
    {"hue", required_argument, NULL, OPT_HUE},
    {"out", required_argument, NULL, OPT_OUT},
    {"saturation", required_argument, NULL, OPT_SATURATION},
    {"lift", required_argument, NULL, OPT_LIFT},
    {"dark-below", required_argument, NULL, OPT_DARK},
    {"preset", required_argument, NULL, OPT_PRESET},
    {"seed", required_argument, NULL, OPT_SEED},
    {"count", required_argument, NULL, OPT_COUNT},
    {0},
};

static rs_status number(int64_t *out, const char *name, int64_t least, int64_t most)
{
    if (!rs_parse_i64(out, optarg) || *out < least || *out > most)
        return RS_FAIL(USAGE, "--%s %s: a whole number from %lld to %lld is wanted", name, optarg,
                       (long long)least, (long long)most);
    return RS_OK;
}

static rs_status real(double *out, const char *name, double least, double most)
{
    if (!rs_parse_f64(out, optarg) || *out < least || *out > most)
        return RS_FAIL(USAGE, "--%s %s: a number from %g to %g is wanted", name, optarg, least,
                       most);
    return RS_OK;
}

static rs_status sampling(rs_sampling *out)
{
    if (strcmp(optarg, "even") != 0 && strcmp(optarg, "first") != 0)
        return RS_FAIL(USAGE, "--sampling %s: even or first is wanted", optarg);
    *out = optarg[0] == 'e' ? RS_SAMPLING_EVEN : RS_SAMPLING_FIRST;
    return RS_OK;
}

static rs_status take_option(arguments *a, int option)
{
    switch (option) {
    case OPT_FRAMES:
        return number(&a->clip.frames, "frames", 1, 10000);
    case OPT_WIDTH:
        return number(&a->clip.width, "width", 2, 16384);
    case OPT_HEIGHT:
        return number(&a->clip.height, "height", 2, 16384);
    case OPT_SAMPLING:
        return sampling(&a->clip.sampling);
    case OPT_SOURCE:
        a->source = optarg;
        return RS_OK;
    case OPT_MASK:
        a->mask = optarg;
        return RS_OK;
    case OPT_PRESET:
        a->preset = optarg;
        return RS_OK;
    case OPT_OUT:
        a->out = optarg;
        return RS_OK;
    case OPT_FRAME:
        return number(&a->frame, "frame", 0, 10000);
    case OPT_SEED:
        return number(&a->seed, "seed", 0, INT64_MAX / 2);
    case OPT_COUNT:
        return number(&a->count, "count", 1, 1000000);
    case OPT_HUE:
        a->hue_given = true;
        return real(&a->colour.hue, "hue", -360, 360);
    case OPT_SATURATION:
        return real(&a->colour.saturation, "saturation", 0, 1);
    case OPT_LIFT:
        return real(&a->colour.lift, "lift", 0, 1);
    case OPT_DARK:
        return real(&a->colour.dark_below, "dark-below", 0, 255);
    default:
        return RS_FAIL(USAGE, "unknown option, or one without its value; see --help");
    }
}

static rs_status recolour(const arguments *o)
{
    if (!o->source || !o->mask || !o->out || !o->hue_given)
        return RS_FAIL(USAGE, "recolour wants --source, --mask, --hue and --out");
    if ((o->clip.width > 0) != (o->clip.height > 0))
        return RS_FAIL(USAGE, "--width and --height go together");
    const rs_mask_opts exact = {.shape = RS_MASK_EXACT, .threshold = 127};
    rs_arena *a = rs_arena_create();
    rs_clip clip;
    rs_tensor mask;
    rs_status st = RS_OK;
    RS_TRY_OUT(rs_clip_load(&clip, a, o->source, &o->clip));
    RS_TRY_OUT(rs_mask_load(&mask, a, o->mask, &clip, &exact));
    RS_TRY_OUT(world_write_recoloured(o->out, a, &clip, mask, o->frame, &o->colour));
out:
    rs_arena_destroy(&a);
    return st;
}

static rs_status catalog(const char *out, const arguments *a)
{
    const sw_catalog_opts o = {.first_seed = a->seed,
                               .count = a->count,
                               .frames = a->clip.frames,
                               .width = a->clip.width,
                               .height = a->clip.height};
    return sw_catalog(out, &o);
}

static rs_status clips(const char *out, const arguments *a)
{
    const sw_dump_opts o = {.first_seed = a->seed,
                            .count = a->count,
                            .frames = a->clip.frames,
                            .width = a->clip.width,
                            .height = a->clip.height};
    return sw_dump(out, &o);
}

static rs_status run(int argc, char **argv)
{
    if (argc < 2)
        return RS_FAIL(USAGE, "no command; see --help");
    const char *command = argv[1];
    bool is_recolour = strcmp(command, "recolour") == 0;
    arguments a = {.colour = {.saturation = 0.7}, .preset = "small", .count = 1};
    bool is_catalog = strcmp(command, "smallworld") == 0;
    bool is_small_world = is_catalog || strcmp(command, "clips") == 0;
    if (is_catalog) {
        a.seed = SW_HELD_OUT;
        a.count = 24;
    }
    if (!is_recolour)
        a.clip = (rs_clip_opts){.frames = 13, .width = 208, .height = 112};
    if (is_small_world)
        a.clip = (rs_clip_opts){.frames = 17, .width = 96, .height = 96};
    if (strcmp(command, "pedestrians") == 0)
        a.clip.sampling = RS_SAMPLING_FIRST;
    opterr = 0;
    for (int c; (c = getopt_long(argc - 1, argv + 1, "", k_options, NULL)) != -1;)
        RS_TRY(take_option(&a, c));
    char **rest = argv + 1 + optind;
    int n = argc - 1 - optind;
    if (is_recolour && n == 0)
        return recolour(&a);
    if (strcmp(command, "formats") == 0 && n == 1)
        return world_formats(rest[0]);
    if (is_small_world && n == 1)
        return is_catalog ? catalog(rest[0], &a) : clips(rest[0], &a);
    if (strcmp(command, "car-shadow") == 0 && n == 2)
        return world_car_shadow(rest[0], rest[1], &a.clip);
    if (strcmp(command, "pedestrians") == 0 && n == 2)
        return world_pedestrians(rest[0], rest[1], &a.clip);
    if (strcmp(command, "model") == 0 && (n == 1 || n == 2))
        return rs_synth_model(rest[0], a.preset, MODEL_SEED,
                              n == 2 ? rest[1] : "datasets/smallmodel/tokenizer");
    return RS_FAIL(USAGE, "%s: unknown command, or not its arguments; see --help", command);
}

int main(int argc, char **argv)
{
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        fputs(k_usage, stdout);
        return 0;
    }
    rs_status st = run(argc, argv);
    if (st != RS_OK)
        RS_LOG(ERROR, "%s", rs_error_message());
    return rs_status_exit_code(st);
}
