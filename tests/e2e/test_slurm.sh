# ctest: TIMEOUT 400
# slurm/run.sbatch and launch/submit.sh on a real cluster of three virtual nodes: to the end, after preemption and
# after a lost node, with the bits of an uninterrupted run. test_slurm_more.sh has the rest.
SOURCE=$1 BUILD=$2
shift 2
. "$SOURCE/tests/harness/shell.sh"
. "$SOURCE/tests/harness/slurm.sh"
slurm_needs
isolate "$0" "$SOURCE" "$BUILD" "$@"
slurm_up 3 4 4000
export RS_ROOT=$SOURCE

t_a_preempted_job_goes_on() {
    local d=$T/preempted urgent
    catalog "$d" 3 200
    submit "$d" --nodes=3 --ntasks-per-node=1 --exclusive "$SOURCE/slurm/run.sbatch" "$d/exp.yaml"
    await 60 training "$d/run" || fail "$(log_of "$d")"
    hold
    urgent=$(sbatch --parsable --partition=urgent --nodes=3 --exclusive --output=/dev/null --wrap "sleep 1")
    await 30 job_is "$job" PENDING || fail "not preempted: $(slurm_told "$job")"
    await 30 job_ended "$urgent" || fail "$(slurm_told "$urgent")"
    job_now "$job"
    ends "$d" 60
    grep -q "job $job, start 2" "$d/log" || fail "$(log_of "$d")"
    same_run "$d/alone" "$d/run" 15
}

# A node loses power: the ranks that are left go on, until Slurm gives the node up and starts the job anew.
t_a_lost_node() {
    local d=$T/node
    catalog "$d" 3 1500
    RS_HOST_S=4 submit "$d" --nodes=3 --ntasks-per-node=1 "$SOURCE/slurm/run.sbatch" "$d/exp.yaml" --pause 0
    await 60 training "$d/run" || fail "$(log_of "$d")"
    hold
    slurm_node_kill n3
    await 30 grep -q "lost the connection to host n3" "$d/log" || fail "$(log_of "$d")"
    await 30 grep -q "host n3 does not answer: going on without it" "$d/log" || fail "$(log_of "$d")"
    await 30 grep -q "2 ranks on n1:1, n2:1" "$d/log" || fail "$(log_of "$d")"
    await 30 grep -q "motion resumes" "$d/log" || fail "$(log_of "$d")"
    hold
    scontrol update NodeName=n3 State=DOWN Reason=test
    await 30 job_is "$job" PENDING || fail "$(slurm_told "$job")"
    slurm_node_up n3
    scontrol update NodeName=n3 State=RESUME
    job_now "$job"
    ends "$d" 60
    grep -q "job $job, start 2" "$d/log" || fail "$(log_of "$d")"
    same_run "$d/alone" "$d/run" 15
}

# submit.sh: sizes from the plan, the script in the run's folder, the job to its end.
t_submit_end_to_end() {
    local d=$T/submit out
    catalog "$d" 4 20 && sed -i 's/^cluster:.*//' "$d/exp.yaml"
    out=$(cd "$d" && "$SOURCE/launch/submit.sh" exp.yaml --nodes 2 --cpus 1 2>&1) || fail "$out"
    job=$(sed -n 's/^submit: submitted job \([0-9]*\);.*/\1/p' <<<"$out")
    [ -n "$job" ] || fail "$out"
    grep -q "ranks      4 (4 videos, 4 ranks fit on a node)" <<<"$out" || fail "$out"
    grep -q "time       4:00:00 (nothing is measured" <<<"$out" || fail "$out"
    expect "4 2 1 04:00:00" "$(for f in NumTasks NumNodes CPUs/Task TimeLimit; do job_field "$job" $f | sed 's/-.*//'; done | paste -sd' ')" "job"
    [ "$(job_field "$job" MinMemoryNode | tr -d M)" -gt 250 ] || fail "$(scontrol show job "$job")"
    ln -sf "$d/run/slurm-$job.log" "$d/log"
    ends "$d" 60
    same_run "$d/alone" "$d/run" 20
    # Again: seconds are known now, and the partition has a limit.
    out=$(cd "$d" && "$SOURCE/launch/submit.sh" exp.yaml --ranks 3 --nodes 3 --cpus 2 --partition urgent --dry-run \
        --set edit.steps=4 -- --exclusive 2>&1) || fail "$out"
    grep -q "nodes      3 of urgent, 1 ranks on each" <<<"$out" || fail "$out"
    grep -q "time       0:12:00 (0.00 h by $d/run" <<<"$out" || fail "$out"
    grep -q "#SBATCH --ntasks=3" <<<"$out" || fail "$out"
    grep -q -- "--set cluster.threads=2 --set edit.steps=4" <<<"$out" || fail "$out"
    printf '{"stages": {' >"$d/costs.json"
    for stage in ingest motion appearance edit decode; do printf '"%s": {"mean": 600},' $stage; done >>"$d/costs.json"
    printf '"publish": {"mean": 1}}}' >>"$d/costs.json"
    out=$(cd "$d" && "$SOURCE/launch/submit.sh" exp.yaml --ranks 2 --cpus 1 --partition urgent --costs costs.json --dry-run 2>&1) || fail "$out"
    grep -q "time       1:00:00 (the limit of urgent; 1.67 h by costs.json" <<<"$out" || fail "$out"
}

t_submit_refuses_what_cannot_be() {
    local d=$T/refuse out i
    world "$d" 2 20
    local bad=(
        "there is no partition nowhere" "--partition nowhere"
        "--nodes 4, but partition main has 3" "--nodes 4"
        "64 ranks need 16 nodes of main" "--ranks 64"
        "does not fit on a node of main with 4 cores" "--cpus 5"
        "--mem 5000, but a node of main has 4000 MB" "--mem 5000"
        "is no time" "--time soon"
        "partition main allows" "--time 9:00:00"
        "too short" "--time 3"
        "--ranks must be a whole number" "--ranks many"
        "--time wants a value" "--time"
        "unknown option" "--gpus 1"
        "motion.steps" "--set motion.steps=many"
        "nothing.json" "--costs nothing.json"
    )
    for ((i = 0; i < ${#bad[@]}; i += 2)); do
        # shellcheck disable=SC2086
        out=$("$SOURCE/launch/submit.sh" "$d/exp.yaml" ${bad[i + 1]} 2>&1) && fail "${bad[i + 1]}: accepted: $out"
        grep -q -- "${bad[i]}" <<<"$out" || fail "${bad[i + 1]}: $out"
        expect 1 "$(wc -l <<<"$out")" "lines about ${bad[i + 1]}: $out"
    done
    out=$("$SOURCE/launch/submit.sh" "$d/nothing.yaml" 2>&1) && fail "$out"
    expect "" "$(squeue -h)" "jobs"
    [ ! -e "$d/run/submit.sbatch" ] || fail "a script was written"
}

run_cases t_a_preempted_job_goes_on t_a_lost_node \
    t_submit_end_to_end t_submit_refuses_what_cannot_be -- "$@"
