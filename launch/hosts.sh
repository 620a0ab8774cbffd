# shellcheck shell=bash disable=SC2154,SC2034,SC2015
# Hosts of launch/local.sh: where ranks may run, which of them answer, how mpirun is told. Sourced; works on
# local.sh's variables: hosts, agent, launcher, ranks, min_ranks, id, keep.

host_list=() in_slurm=0 # in order; empty: this machine only
declare -A slots=() gone=()

add_host() { # HOST SLOTS
    rs_number "slots of $1" "$2" 1 100000
    [ -z "${slots[$1]:-}" ] || rs_die 2 "--hosts names $1 twice"
    host_list+=("$1")
    slots[$1]=$((10#$2))
}

# Hosts of --hosts, or of the allocation.
rs_hosts_init() {
    local entry entries tasks=() i host
    if [ -n "$hosts" ]; then
        IFS=, read -ra entries <<<"$hosts"
        for entry in "${entries[@]}"; do
            [[ $entry =~ ^([A-Za-z0-9_.-]+)(:([^:]*))?$ ]] || rs_die 2 "--hosts: \"$entry\" is not HOST:SLOTS"
            add_host "${BASH_REMATCH[1]}" "${BASH_REMATCH[3]-1}"
        done
    elif [ -n "${SLURM_JOB_ID:-}" ] && [ -n "${SLURM_JOB_NODELIST:-}" ]; then
        in_slurm=1
        IFS=, read -ra entries <<<"${SLURM_TASKS_PER_NODE:-1}" # "4(x2),3": tasks of the nodes in order
        for entry in "${entries[@]}"; do
            [[ $entry =~ ^([0-9]+)(\(x([0-9]+)\))?$ ]] ||
                rs_die 1 "SLURM_TASKS_PER_NODE=$SLURM_TASKS_PER_NODE is not understood"
            for ((i = 0; i < ${BASH_REMATCH[3]:-1}; i++)); do tasks+=("${BASH_REMATCH[1]}"); done
        done
        for host in $(scontrol show hostnames "$SLURM_JOB_NODELIST"); do
            add_host "$host" "${tasks[${#host_list[@]}]:-1}"
        done
    elif [ "$launcher" = srun ]; then
        rs_die 2 "--launcher srun is for jobs of Slurm: there is no allocation here"
    fi
}

# Slots of the hosts that are there; 1 without hosts.
rs_hosts_slots() {
    local host n=0
    for host in ${host_list[@]+"${host_list[@]}"}; do
        [ -n "${gone[$host]:-}" ] || n=$((n + slots[$host]))
    done
    echo $((${#host_list[@]} > 0 ? n : 1))
}

# on_host HOST COMMAND: one string for a shell there; a host that takes longer than RS_HOST_S seconds is lost
on_host() {
    local words limit=${RS_HOST_S:-30}
    read -ra words <<<"$agent"
    [ $in_slurm -eq 0 ] ||
        words=(srun --overlap --immediate="$limit" --nodes=1 --ntasks=1 --mpi=none --nodelist)
    set -- "$1" "$2"
    [ $in_slurm -eq 0 ] || set -- "$1" bash -c "$2"
    # In braces: the shell itself reports a timeout that had to kill.
    { timeout -k 2 "$limit" "${words[@]}" "$@" </dev/null; } 2>/dev/null
}

# Threads of a rank where the settings leave them open: a share of the cores, the same everywhere.
rs_hosts_threads() {
    local host cores share min=4096
    if [ -n "${SLURM_CPUS_PER_TASK:-}" ] && [ $in_slurm -eq 1 ]; then
        echo "$SLURM_CPUS_PER_TASK"
        return
    elif [ ${#host_list[@]} -eq 0 ] || [ $in_slurm -eq 1 ]; then
        min=$(($(nproc) / (in_slurm == 1 ? slots[${host_list[0]}] : ranks)))
    else
        for host in "${host_list[@]}"; do
            cores=$(on_host "$host" nproc) || continue # rs_hosts_choose says so
            share=$((cores / slots[$host]))
            min=$((share < min ? share : min))
        done
    fi
    echo $((min > 1 ? min : 1))
}

# Before an attempt: clears up what a former one left on the hosts, and which hosts answer? Those that do not are left out until they do. The first attempt in an
# allocation takes them all: the scheduler has just looked.
rs_hosts_choose() {
    local host n answers command i=0 pids=()
    [ ${#host_list[@]} -gt 0 ] || return 0
    if [ $in_slurm -eq 0 ] || [ -n "${asked:-}" ]; then
        answers=$(mktemp -d "${TMPDIR:-/tmp}/reshoot-hosts.XXXXXX")
        printf -v command '%s; rs_sweep %q' "$(declare -f rs_sweep)" "$id"
        for host in "${host_list[@]}"; do
            { on_host "$host" "$command" && : >"$answers/$host"; } &
            pids+=($!)
            [ $((++i % 64)) -ne 0 ] || { wait "${pids[@]}" || true; pids=(); }
        done
        wait ${pids[@]+"${pids[@]}"} || true
        for host in "${host_list[@]}"; do
            if [ -e "$answers/$host" ]; then
                [ -z "${gone[$host]:-}" ] || rs_say "host $host is back"
                unset "gone[$host]"
            else
                [ -n "${gone[$host]:-}" ] || rs_warn "host $host does not answer: going on without it"
                gone[$host]=1
            fi
        done
        rm -rf "$answers"
    fi
    asked=1
    n=$(rs_hosts_slots)
    [ "$n" -gt 0 ] || rs_die 1 "gave up: no host answers"
    [ -n "${most:-}" ] || most=$ranks # what the user asked for
    ranks=$((n < most ? n : most))
    [ "$ranks" -ge "$min_ranks" ] || rs_die 1 "gave up: $ranks ranks are left, below --min-ranks $min_ranks"
}

# Where the ranks are, in words.
rs_hosts_text() {
    local host text=''
    for host in ${host_list[@]+"${host_list[@]}"}; do
        [ -n "${gone[$host]:-}" ] || text="$text, $host:${slots[$host]}"
    done
    [ -z "$text" ] || echo " on ${text#, }"
}

# The launcher's command line, up to the program, into the caller's `line`.
rs_hosts_line() {
    local host there=''
    for host in ${host_list[@]+"${host_list[@]}"}; do
        [ -n "${gone[$host]:-}" ] || there="$there,$host:${slots[$host]}"
    done
    if [ "$launcher" = srun ]; then
        line=(srun --overlap --mpi=pmix --kill-on-bad-exit=1 --ntasks="$ranks")
        if [ ${#gone[@]} -gt 0 ]; then
            there=$(tr ',' '\n' <<<"${there#,}" | sed 's/:.*//' | paste -sd,)
            line+=(--nodes="$(tr ',' '\n' <<<"$there" | wc -l)" --nodelist="$there")
        fi
        return
    fi
    line=(mpirun -x RS_LAUNCH -n "$ranks")
    if [ $in_slurm -eq 1 ]; then
        # The allocation says where; only what is left of it has to be named. Overlap: the step of an attempt that
        # ended with its node holds its processors until Slurm gives the node up.
        line+=(--mca plm_slurm_args "--overlap")
        [ ${#gone[@]} -eq 0 ] && [ "$ranks" -eq "$(rs_hosts_slots)" ] || line+=(--host "${there#,}")
    elif [ -n "$there" ]; then
        line+=(--host "${there#,}" --mca plm rsh --mca plm_rsh_agent "$agent" --mca plm_rsh_no_tree_spawn 1)
    else
        # One machine needs no network, and may have more ranks than cores.
        line+=(--oversubscribe --mca pml ob1 --mca btl "self,vader")
    fi
}

# rs_hosts_drop NODE: a rank was killed there ("-": not known where)
rs_hosts_drop() {
    local host=$1
    if [ ${#host_list[@]} -eq 0 ]; then
        [ "$ranks" -gt 1 ] || return 0
        ranks=$((ranks - 1))
        [ "$ranks" -ge "$min_ranks" ] || rs_die 1 "gave up: $ranks ranks are left, below --min-ranks $min_ranks"
        rs_say "going on with the $ranks ranks that are left (--keep-ranks: with all)"
    elif [ -n "${slots[$host]:-}" ] && [ "$(rs_hosts_slots)" -gt 1 ]; then
        if [ "${slots[$host]}" -gt 1 ]; then
            slots[$host]=$((slots[$host] - 1))
            rs_say "one slot less on $host (--keep-ranks: as before)"
        fi
    fi
}

# rs_reason RC FILE: why the launcher ended, in one line, from what was said
rs_reason() {
    local pattern text=''
    for pattern in 's/.* E .*\(rank [0-9]* of [0-9]*: waited .*\)/\1/p' \
        's/.*noticed that process rank \([0-9]*\) with PID [0-9]* on node \([^ ]*\) exited on signal \([0-9]*\).*/rank \1 on \2 was killed by signal \3/p' \
        's/.*Remote daemon: *\[\[.*\] on node \(.*\)/lost the connection to host \1/p'; do
        [ -n "$text" ] || text=$(sed -n "$pattern" "$2" | tail -1)
    done
    if [ -z "$text" ]; then # mpirun does not always name the rank
        text="$launcher ended"
        ! rs_is_signal "$1" || text="a rank, or $launcher itself, was killed by signal $(($1 - 128))"
    fi
    echo "$text (exit code $1)"
}

# rs_is_signal RC: does this exit status say that a process died of a signal?
rs_is_signal() { [ "$1" -gt 128 ] && [ "$1" -le 192 ]; }

# rs_lost_rank FILE: the node of a rank that was killed; nothing if none was, or if mpirun did not live to say so
rs_lost_rank() {
    sed -n 's/.*noticed that process rank .* on node \([^ ]*\) exited on signal.*/\1/p' "$1" | tail -1
}
