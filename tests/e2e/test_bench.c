// reshoot bench misused: one clear line each.
#include <string.h>

#include "harness/test.h"
#include "harness/world.h"

static const t_bad_case k_cases[] = {
    {"unknown benchmark",
     "",
     "bench setp",
     2,
     {"unknown benchmark \"setp\"; there is: ", " op, ", " comm, io, "}},
    {"unknown op", "", "bench op gmm", 2, {"unknown op \"gmm\"; did you mean \"gemm\"?"}},
    {"unknown case", "", "bench op gemm --case nix", 2, {"bench: no such case"}},
    {"no time at all", "", "bench op gemm --seconds 0", 2, {"--seconds must be above 0"}},
    {"unknown option",
     "",
     "bench comm --itres 3",
     2,
     {"bench comm: unknown option --itres", "--iters"}},
    {"unknown collective",
     "",
     "bench comm --ops allgather,allgathre",
     2,
     {"--ops: unknown \"allgathre\"; did you mean \"allgather\"?"}},
    {"empty collective",
     "",
     "bench comm --ops allgather,,alltoall",
     2,
     {"--ops: \"allgather,,alltoall\" is not a list"}},
    {"size in words", "", "bench comm --max big", 2, {"--max: \"big\" is not a size such as"}},
    {"size of an unknown unit", "", "bench comm --max 64KB", 2, {"--max: \"64KB\" is not a size"}},
    {"size too large",
     "",
     "bench comm --max 99999999999G",
     2,
     {"--max: \"99999999999G\" is not a size"}},
    {"size of nothing", "", "bench comm --min 0", 2, {"--min: \"0\" is not a size"}},
    {"sizes the wrong way",
     "",
     "bench comm --min 1M --max 1K",
     2,
     {"--max 1K is less than --min 1M"}},
    {"sizes that never grow", "", "bench comm --factor 1", 2, {"--factor must be 2..1024"}},
    {"no samples", "", "bench comm --iters 0", 2, {"--iters must be 1.."}},
    {"unknown mover",
     "",
     "bench comm --progress hope",
     2,
     {"--progress: \"hope\" is neither calls nor thread"}},
    {"trace without a folder",
     "",
     "bench comm --ops broadcast --max 8 --trace nix/trace",
     3,
     {"nix/trace.0"}},
    {"fault that is none",
     "",
     "bench comm --max 8 --fault op=dance,do=fail",
     2,
     {"bad op \"dance\""}},
    {"argument too many", "", "bench comm now", 2, {"usage: reshoot bench comm [options]"}},
    {"folder that is not there", "", "bench io --dir nix", 2, {"--dir nix: no such folder"}},
    {"folder that is a file", "", "bench io --dir exp.yaml", 2, {"--dir exp.yaml: no such folder"}},
    {"unknown kind of file",
     "",
     "bench io --kinds frames,movies",
     2,
     {"--kinds: \"movies\" is not one of"}},
    {"more ranks than there are",
     "",
     "bench io --ranks 1,2",
     2,
     {"--ranks: \"2\" is not a whole number from 1 to 1"}},
    {"no files", "", "bench io --files 0", 2, {"--files must be 1.."}},
    {"rank counts in words",
     "",
     "bench catalog exp.yaml --ranks 1,two",
     2,
     {"--ranks: \"two\" is not a whole number from 1 to"}},
    {"launcher without ranks",
     "",
     "bench catalog exp.yaml --launch mpirun",
     2,
     {"--launch: \"mpirun\" has no {ranks}"}},
    {"launcher with half a quote",
     "",
     "bench catalog exp.yaml --launch \"x 'y {ranks}\"",
     2,
     {"--launch: the quote at"}},
    {"nothing that varies",
     "",
     "bench catalog exp.yaml --vary motion.lr",
     2,
     {"--vary: \"motion.lr\" is not KEY=VALUE"}},
    {"a size without weights",
     "",
     "bench step --model wan21-14b",
     2,
     {"--model: no directory wan21-14b; a model's name wants --random-weights"}},
    {"a size that is not known",
     "",
     "bench step --model wan21-15b --random-weights",
     2,
     {"--model: no size \"wan21-15b\" is known"}},
    {"a grid of two", "", "bench step --grid 4,8", 2, {"--grid wants three numbers"}},
    {"a third precision",
     "",
     "bench step --precision fp16",
     2,
     {"--precision must be fp32 or bf16, got \"fp16\""}},
    {"heads that do not divide",
     "",
     "bench step --dim 50 --heads 12",
     2,
     {"12 heads do not divide a width of 50"}},
    {"an unknown part", "", "bench tower nix --parts vae", 2, {"--parts: unknown \"vae\""}},
    {"no such model", "", "bench catalog --model nix", 2, {"--model nix: no such folder"}},
};

static void t_misuse(void)
{
    const char *world = rs_arena_printf(t_arena(), "%s/world", t_tmpdir());
    t_world_make(world, false);
    t_bad_cases(world, k_cases, (int)(sizeof k_cases / sizeof k_cases[0]));
}

static void t_each_says_what_it_does(void)
{
    static const char *const names[] = {"op", "comm", "io", "catalog", "step", "tower"};
    char *text, *list;
    T_EQ_I(t_reshoot(&list, "bench --help"), 0);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        T_EQ_I(t_reshoot(&text, "bench %s --help", names[i]), 0);
        T_CHECKF(strstr(text, rs_arena_printf(t_arena(), "usage: reshoot bench %s ", names[i])) ==
                     text,
                 "%s", text);
        T_CHECKF(strstr(list, rs_arena_printf(t_arena(), "\n  %s ", names[i])), "%s", list);
    }
}

static const rs_test_case k_tests[] = {T_CASE(t_misuse), T_CASE(t_each_says_what_it_does)};
RS_TEST_MAIN(k_tests)
