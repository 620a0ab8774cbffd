# ctest: LABELS long TIMEOUT 600
# What else slurm/*.sbatch can do, on a real cluster of three virtual nodes: stop and go on by itself, the model on
# node-local disks, srun, several worlds on one folder, benchmarks.
SOURCE=$1 BUILD=$2
shift 2
. "$SOURCE/tests/harness/shell.sh"
. "$SOURCE/tests/harness/slurm.sh"
slurm_needs
isolate "$0" "$SOURCE" "$BUILD" "$@"
# before the nodes, which have mounts of their own
mkdir "$T/small" && mount -t tmpfs -o size=64k none "$T/small" || skip "no tmpfs in a namespace here"
slurm_up 3 4 4000
export RS_ROOT=$SOURCE

t_a_catalog_runs_to_the_end() {
    local d=$T/end
    catalog "$d" 4 20
    submit "$d" --nodes=2 --ntasks-per-node=2 "$SOURCE/slurm/run.sbatch" "$d/exp.yaml"
    ends "$d" 60
    grep -q "4 ranks on n1:2, n2:2" "$d/log" || fail "$(log_of "$d")"
    same_run "$d/alone" "$d/run" 20
}

# As at the time limit: the batch script gets SIGUSR1; all is saved, the job goes to the queue, and on.
t_a_signal_requeues() {
    local d=$T/signal
    catalog "$d" 2 600
    submit "$d" --nodes=1 --ntasks-per-node=2 "$SOURCE/slurm/run.sbatch" "$d/exp.yaml"
    await 60 training "$d/run" || fail "$(log_of "$d")"
    scancel --signal=USR1 --batch "$job"
    await 60 grep -q "goes to the queue again" "$d/log" || fail "$(log_of "$d")"
    await 30 job_is "$job" PENDING || fail "$(slurm_told "$job")"
    job_now "$job"
    ends "$d" 60
    grep -q "stopped after step" "$d/log" || fail "$(log_of "$d")"
    grep -q "job $job, start 2" "$d/log" || fail "$(log_of "$d")"
    same_run "$d/alone" "$d/run" 10
}

# A cancelled job saves, and does not come back.
t_a_cancelled_job_stays_away() {
    local d=$T/cancel
    world "$d" 1 100000
    submit "$d" --nodes=1 --ntasks-per-node=1 "$SOURCE/slurm/run.sbatch" "$d/exp.yaml"
    await 60 training "$d/run" || fail "$(log_of "$d")"
    scancel "$job"
    await 30 job_ended "$job" || fail "$(slurm_told "$job")"
    expect CANCELLED "$(job_field "$job" JobState)" "$(log_of "$d")"
    sleep 3
    expect "CANCELLED 0" "$(job_field "$job" JobState) $(job_field "$job" Restarts)" "$(log_of "$d")"
    training "$d/run" || fail "nothing is saved"
}

# Requeued for nothing, a job would go round for ever.
t_no_progress_no_requeue() {
    local d=$T/idle
    world "$d" 1 10
    printf '#!/bin/sh\n[ "$1" = run ] || exec %s "$@"\nexit 75\n' "$RS_BIN" >"$d/stops"
    chmod +x "$d/stops"
    RS_BIN=$d/stops submit "$d" --nodes=1 --ntasks-per-node=1 "$SOURCE/slurm/run.sbatch" "$d/exp.yaml"
    await 60 job_ended "$job" || fail "$(log_of "$d")"
    expect "FAILED 1:0 0" "$(job_field "$job" JobState) $(job_field "$job" ExitCode) $(job_field "$job" Restarts)" "$(log_of "$d")"
    grep -q "nothing was finished or saved since the start: not requeued" "$d/log" || fail "$(log_of "$d")"
}

t_the_model_on_local_disks() {
    local d=$T/stage
    catalog "$d" 2 20
    RS_SCRATCH=$T/local submit "$d" --nodes=2 --ntasks-per-node=1 "$SOURCE/slurm/run.sbatch" "$d/exp.yaml"
    ends "$d" 60
    grep -q "the model is in $T/local/reshoot-$job/model on every node" "$d/log" || fail "$(log_of "$d")"
    grep -q "path: .*$T/local/reshoot-$job/model" "$d/run/config.yaml" || fail "not used: $(grep path: "$d/run/config.yaml")"
    [ -z "$(ls "$T/local")" ] || fail "left behind: $(find "$T/local" | head)"
    same_run "$d/alone" "$d/run" 10
    # a disk that is too small: said, and the run takes the model where it is
    RS_SCRATCH=$T/small submit "$d" --nodes=1 --ntasks-per-node=1 "$SOURCE/slurm/run.sbatch" "$d/exp.yaml"
    ends "$d" 60
    grep -q "do not fit into" "$d/log" && grep -q "it is read from $d/model" "$d/log" || fail "$(log_of "$d")"
}

t_srun_starts_the_ranks() {
    local d=$T/srun
    grep -q pmix <<<"$(srun --mpi=list 2>&1)" || skip "Slurm has no PMIx here"
    catalog "$d" 3 20
    submit "$d" --nodes=3 --ntasks-per-node=1 "$SOURCE/slurm/run.sbatch" "$d/exp.yaml" --launcher srun
    ends "$d" 60
    grep -q "3 ranks on n1:1, n2:1, n3:1" "$d/log" || fail "$(log_of "$d")"
    same_run "$d/alone" "$d/run" 15
}

# Three worlds on one output folder.
t_an_array_shares_a_catalog() {
    local d=$T/array task
    catalog "$d" 6 100
    submit "$d" --output="$d/log-%a" --array=0-2 --nodes=1 --ntasks-per-node=1 "$SOURCE/slurm/array.sbatch" "$d/exp.yaml"
    for task in 0 1 2; do
        await 90 job_ended "${job}_$task" || { tail -n 20 "$d"/log-*; fail "task $task does not end"; }
        expect "COMPLETED 0:0" "$(job_field "${job}_$task" JobState) $(job_field "${job}_$task" ExitCode)" "$(tail -n 20 "$d/log-$task")"
    done
    expect 6 "$(cat "$d"/log-* | grep -c 'motion done')" "videos trained by three worlds"
    same_run "$d/alone" "$d/run" 30
    # by patterns
    submit "$d" --output="$d/log-%a" --array=0-1 --nodes=1 --ntasks-per-node=1 "$SOURCE/slurm/array.sbatch" "$d/exp.yaml" \
        --set "output=$d/split" --shards 'clip-0[0-2],clip-0[3-5]'
    for task in 0 1; do await 90 job_ended "${job}_$task" || fail "task $task does not end"; done
    same_run "$d/alone" "$d/split" 30
}

t_bench() {
    local d=$T/bench out
    mkdir -p "$d"
    RS_BENCH_COMM="--max 4K --iters 2" RS_BENCH_IO="--size 1M --iters 1 --files 4" RS_BENCH_CATALOG="--videos 2" \
        submit "$d" --nodes=2 --ntasks-per-node=1 "$SOURCE/slurm/bench.sbatch" "$d/out"
    await 120 job_ended "$job" || { log_of "$d"; slurm_told "$job"; fail "it does not end"; }
    expect "COMPLETED 0:0" "$(job_field "$job" JobState) $(job_field "$job" ExitCode)" "$(log_of "$d")"
    for out in comm io catalog; do
        head -1 "$d/out/$out.json" | grep -q '^{' || fail "$out.json: $(head -5 "$d/out/$out.json")"
    done
}

run_cases t_a_catalog_runs_to_the_end t_a_signal_requeues t_a_cancelled_job_stays_away t_no_progress_no_requeue \
    t_the_model_on_local_disks t_srun_starts_the_ranks t_an_array_shares_a_catalog t_bench -- "$@"
