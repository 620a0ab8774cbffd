# shellcheck shell=bash disable=SC2154,SC2034
# What the batch scripts share: signals, requeue, the model on node-local disks. Sourced by them with $root, the
# repository; launch/local.sh, which they start, launches the ranks and relaunches them.
rs_name=job
# shellcheck source=launch/lib.sh
. "$root/launch/lib.sh"

# rs_load: the site's modules, one list for all jobs
rs_load() {
    [ -z "${RS_MODULES:-}" ] || {
        command -v module >/dev/null || rs_die 2 "RS_MODULES is set, but there is no command module here"
        # shellcheck disable=SC2086
        module load $RS_MODULES || rs_die 2 "module load $RS_MODULES failed"
    }
    if [ -n "${RS_ENV:-}" ]; then
        # shellcheck disable=SC1090
        . "$RS_ENV" || rs_die 2 "RS_ENV=$RS_ENV: failed"
    fi
}

# on_nodes COMMAND: once on every node of the job
on_nodes() {
    srun --overlap --mpi=none --nodes="$SLURM_JOB_NUM_NODES" --ntasks="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 \
        bash -c "$1" </dev/null
}

# rs_stage_model MODEL: copies the model's folder to $RS_SCRATCH on every node; the copy in $staged, empty where there
# is no room. Nodes that share the folder do not disturb each other: who is first puts the copy in place.
rs_stage_model() {
    local dir=$RS_SCRATCH/reshoot-$SLURM_JOB_ID command
    staged=''
    printf -v command 'set -e; umask 077; mkdir -p %q; if [ ! -d %q ]; then
        need=$(du -sLk %q | cut -f1) free=$(df -Pk %q | awk "NR == 2 { print \\$4 }")
        [ "$free" -gt $((need + need / 10)) ] || { echo "$SLURMD_NODENAME: $need KiB do not fit into $free KiB" >&2; exit 1; }
        t=%q/.copy.$SLURMD_NODENAME.$$
        cp -rL %q "$t"; mv -T "$t" %q 2>/dev/null || { rm -rf "$t"; [ -d %q ]; }; fi' \
        "$dir" "$dir/model" "$1" "$dir" "$dir" "$1" "$dir/model" "$dir/model"
    if on_nodes "$command"; then
        staged=$dir/model
        rs_say "the model is in $staged on every node"
    else
        rs_warn "the model is not copied to $RS_SCRATCH (above); it is read from $1"
        rs_unstage
    fi
}
rs_unstage() {
    local command
    [ -z "${RS_SCRATCH:-}" ] || {
        printf -v command 'rm -rf %q' "$RS_SCRATCH/reshoot-$SLURM_JOB_ID"
        on_nodes "$command" 2>/dev/null || true
    }
}

# rs_job EXP.yaml [options of launch/local.sh]: the run of this allocation; ends the script
rs_job() {
    local arg sets=() plan model output before pid='' stop='' staged args=("$@")
    [ $# -gt 0 ] || rs_die 2 "no experiment: sbatch slurm/run.sbatch EXP.yaml [options of launch/local.sh]"
    rs_load
    for ((arg = 1; arg < $#; arg++)); do
        [ "${args[arg]}" != --set ] || sets+=(--set "${args[arg + 1]:-}")
    done
    plan=$("$(rs_find_reshoot "$root")" plan "$1" --json ${sets[@]+"${sets[@]}"}) || exit $?
    output=$(rs_json run.output <<<"$plan")
    model=$(rs_json run.model <<<"$plan")
    rs_say "job $SLURM_JOB_ID, start $((${SLURM_RESTART_COUNT:-0} + 1)), on $SLURM_JOB_NODELIST: $1"
    if [ -n "${RS_SCRATCH:-}" ]; then
        rs_stage_model "$model"
        [ -z "$staged" ] || args+=(--set "model.path=$staged")
    fi
    before=$(rs_progress "$output")

    # USR1 comes $lead seconds before the time limit (--signal) or from a person; TERM from preemption or scancel.
    trap 'rs_interrupted=1 stop=${stop:-USR1}; [ -z "$pid" ] || kill -USR1 "$pid" 2>/dev/null' USR1
    trap 'rs_interrupted=1 stop=TERM; [ -z "$pid" ] || kill -USR1 "$pid" 2>/dev/null' TERM
    "$root/launch/local.sh" "${args[@]}" &
    pid=$!
    rs_wait "$pid"
    rs_unstage
    # What Slurm ends it also requeues, if it was preempted, and not, if it was cancelled.
    [ $rc -ne 75 ] || [ "$stop" = TERM ] || rs_requeue "$output" "$before"
    rs_say "job $SLURM_JOB_ID ends with exit code $rc"
    exit $rc
}

# rs_requeue OUTPUT BEFORE: to the queue again, unless all this time was for nothing
rs_requeue() {
    [ "$(rs_progress "$1")" != "$2" ] ||
        rs_die 1 "stopped, and nothing was finished or saved since the start: not requeued; is the time limit too short?"
    rs_say "stopped and saved: job $SLURM_JOB_ID goes to the queue again"
    scontrol requeue "$SLURM_JOB_ID" || rs_die 75 "scontrol requeue failed: sbatch it again by hand"
    # Slurm ends this script; if it came to an end by itself the job would count as failed.
    sleep 60
}
