# ctest: TIMEOUT 400
# slurm/*.sbatch and launch/submit.sh on a real cluster of three virtual nodes: to the end, after a signal, after
# preemption, after a lost node, with the bits of an uninterrupted run.
SOURCE=$1 BUILD=$2
shift 2
. "$SOURCE/tests/harness/shell.sh"
. "$SOURCE/tests/harness/slurm.sh"
slurm_needs
isolate "$0" "$SOURCE" "$BUILD" "$@"
slurm_up 3 4 4000
export RS_ROOT=$SOURCE

# catalog DIR VIDEOS STEPS: a world, and in DIR/alone what an uninterrupted run gives
catalog() {
    world "$@"
    "$RS_BIN" run "$1/exp.yaml" --set "output=$1/alone" >"$1/alone.log" 2>&1 || fail "$(tail -5 "$1/alone.log")"
}
# submit DIR ARGS...: the number of the job in $job, its output in DIR/log
submit() {
    local dir=$1
    shift
    job=$(cd "$dir" && sbatch --parsable --output="$dir/log" --mem=500 --cpus-per-task=1 "$@") || fail "sbatch: $*"
}
log_of() { tail -n 40 "$1/log"; }
# ends DIR SECONDS: the job is over and was successful
ends() {
    await "$2" job_ended "$job" || { log_of "$1"; scontrol show job "$job"; fail "job $job does not end: $(job_state "$job")"; }
    expect "COMPLETED 0:0" "$(job_field "$job" JobState) $(job_field "$job" ExitCode)" "$(log_of "$1")"
}

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
    await 30 job_is "$job" PENDING || fail "$(scontrol show job "$job")"
    job_now "$job"
    ends "$d" 60
    grep -q "stopped after step" "$d/log" || fail "$(log_of "$d")"
    grep -q "job $job, start 2" "$d/log" || fail "$(log_of "$d")"
    same_run "$d/alone" "$d/run" 10
}

t_a_preempted_job_goes_on() {
    local d=$T/preempted urgent
    catalog "$d" 3 600
    submit "$d" --nodes=3 --ntasks-per-node=1 --exclusive "$SOURCE/slurm/run.sbatch" "$d/exp.yaml"
    await 60 training "$d/run" || fail "$(log_of "$d")"
    urgent=$(sbatch --parsable --partition=urgent --nodes=3 --exclusive --output=/dev/null --wrap "sleep 1")
    await 30 job_is "$job" PENDING || fail "not preempted: $(scontrol show job "$job")"
    training "$d/run" || fail "it was finished already"
    await 30 job_ended "$urgent" || fail "$(scontrol show job "$urgent")"
    job_now "$job"
    ends "$d" 60
    grep -q "job $job, start 2" "$d/log" || fail "$(log_of "$d")"
    same_run "$d/alone" "$d/run" 15
}

# A node loses power: the ranks that are left go on, until Slurm gives the node up and starts the job anew.
t_a_lost_node() {
    local d=$T/node
    catalog "$d" 3 600
    submit "$d" --nodes=3 --ntasks-per-node=1 "$SOURCE/slurm/run.sbatch" "$d/exp.yaml" --pause 0
    await 60 training "$d/run" || fail "$(log_of "$d")"
    slurm_node_kill n3
    await 60 grep -q "host n3 does not answer" "$d/log" || fail "$(log_of "$d")"
    scontrol update NodeName=n3 State=DOWN Reason=test
    await 30 job_is "$job" PENDING || job_ended "$job" || fail "$(scontrol show job "$job")"
    slurm_node_up n3
    scontrol update NodeName=n3 State=RESUME
    job_now "$job"
    ends "$d" 90
    same_run "$d/alone" "$d/run" 15
}

run_cases t_a_catalog_runs_to_the_end t_a_signal_requeues t_a_preempted_job_goes_on t_a_lost_node -- "$@"
