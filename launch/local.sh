#!/usr/bin/env bash
# Supervises `reshoot run` on several ranks; see --help. launch/lib.sh and launch/hosts.sh have the parts.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
rs_name=local
. "$root/launch/lib.sh"
. "$root/launch/hosts.sh"

usage() {
    cat <<'EOF'
usage: launch/local.sh EXP.yaml [-n RANKS] [options] [-- options of reshoot run]

Runs an experiment on several ranks through mpirun and starts it again when a rank or a host is lost, with the
ranks that are left; what was finished or saved is not repeated. No scheduler is needed; inside a Slurm
allocation (slurm/run.sbatch) the allocation's nodes are used.

  -n RANKS          ranks; default: the slots of --hosts, the tasks of a Slurm allocation, else 1
  --hosts LIST      h1:4,h2:4: machines and their slots; they see the same files under the same paths
  --agent CMD       how to run a command on a host: CMD HOST COMMAND; default: ssh
  --launcher NAME   mpirun (default) or srun (in an allocation, where Slurm has PMIx)
  --fails N         give up after N attempts in a row that finished and saved nothing; default 3
  --pause S         seconds before the next attempt, doubled after each that achieved nothing; default 2
  --min-ranks N     give up below N ranks; default 1
  --keep-ranks      as many ranks as before after one was killed; otherwise one fewer, as most are killed for
                    want of memory
  --set K=V, --videos GLOB, --only STAGE, --arms GLOB    go to reshoot run

SIGINT (Ctrl-C), SIGTERM, SIGUSR1: the ranks finish their step, save and stop; the exit code is 75. A second one
ends them at once. Exit codes: 0, 2, 3 and 75 as reshoot run; 1 when it gave up.
Environment: RS_BIN (the program), RS_MPIRUN_ARGS (more arguments of mpirun or srun), RS_HOST_S (a host that
takes longer to answer is lost; 30 s), and launch/env.sh.
EOF
}

exp='' ranks='' hosts='' agent='ssh -o BatchMode=yes -o ConnectTimeout=10' launcher=mpirun
fails_max=3 pause=2 min_ranks=1 keep=0 run_args=() sets=()
while [ $# -gt 0 ]; do
    case "$1" in
    -n | --hosts | --agent | --launcher | --fails | --pause | --min-ranks | --set | --videos | --only | --arms)
        [ $# -ge 2 ] || rs_die 2 "$1 wants a value; see launch/local.sh --help" ;;
    esac
    case "$1" in
    -h | --help) usage; exit 0 ;;
    -n) rs_number "$1" "$2" 1 1000000; ranks=$((10#$2)); shift ;;
    --hosts) hosts=$2; shift ;;
    --agent) agent=$2; shift ;;
    --launcher) launcher=$2; shift ;;
    --fails) rs_number "$1" "$2" 1 1000; fails_max=$((10#$2)); shift ;;
    --pause) rs_number "$1" "$2" 0 3600; pause=$((10#$2)); shift ;;
    --min-ranks) rs_number "$1" "$2" 1 1000000; min_ranks=$((10#$2)); shift ;;
    --keep-ranks) keep=1 ;;
    --set) sets+=("$1" "$2"); shift ;;
    --videos | --only | --arms) run_args+=("$1" "$2"); shift ;;
    --) shift; run_args+=("$@"); break ;;
    -*) rs_die 2 "unknown option $1; see launch/local.sh --help" ;;
    *) [ -z "$exp" ] || rs_die 2 "one experiment at a time: $exp and $1"; exp=$1 ;;
    esac
    shift
done
[ -n "$exp" ] || { usage >&2; exit 2; }
case "$launcher" in mpirun | srun) ;; *) rs_die 2 "--launcher must be mpirun or srun, got \"$launcher\"" ;; esac
bin=$(rs_find_reshoot "$root")
. "$root/launch/env.sh"
rs_hosts_init
command -v "$launcher" >/dev/null || rs_die 2 "there is no $launcher here"
[ -n "$ranks" ] || ranks=$(rs_hosts_slots)
[ "$ranks" -ge "$min_ranks" ] || rs_die 2 "$ranks ranks are below --min-ranks $min_ranks"
[ ${#host_list[@]} -eq 0 ] || [ "$ranks" -le "$(rs_hosts_slots)" ] ||
    rs_die 2 "-n $ranks, but the hosts have $(rs_hosts_slots) slots"

# Mistakes in the experiment end here, with reshoot's own words, before ranks are started.
plan=$("$bin" plan "$exp" --json ${sets[@]+"${sets[@]}"}) || exit $?
output=$(rs_json run.output <<<"$plan")
# Bits depend on the threads of a rank, so they must not change with the number of ranks that are left.
if [ "$(rs_json run.threads <<<"$plan")" = 0 ]; then
    sets+=(--set "cluster.threads=$(rs_hosts_threads)")
fi

# ---- signals: once, the ranks save and stop; twice, they are ended ----
id=$(hostname -s).$$.$(date +%s)
pid='' stops=0
on_signal() {
    rs_interrupted=1
    stops=$((stops + 1))
    if [ $stops -eq 1 ]; then
        rs_warn "asked to stop: the ranks finish their step and save; once more ends them at once"
        [ -z "$pid" ] || rs_forward_stop "$pid" "$id" & # else attempt does it
    else
        rs_warn "ending the ranks at once"
        [ -z "$pid" ] || { kill -TERM "$pid"; sleep 5; kill -KILL "$pid"; } 2>/dev/null &
    fi
}
trap on_signal INT TERM USR1
trap 'rs_sweep "$id"' EXIT

# attempt: one world, until it ends; its exit status in $rc, what the launcher and the ranks said on stderr in $said
attempt() {
    local line=() more=() fd teller i
    read -ra more <<<"${RS_MPIRUN_ARGS:-}"
    rs_hosts_line
    said=$(mktemp "${TMPDIR:-/tmp}/reshoot-said.XXXXXX")
    exec {fd}> >(exec setsid tee "$said" >&2)
    teller=$!
    # A session of its own: Ctrl-C on the terminal is for this script, which asks the ranks nicely.
    env "RS_LAUNCH=$id" "OMPI_MCA_orte_tmpdir_base=${TMPDIR:-/tmp}/reshoot-ompi.$id" setsid "${line[@]}" \
        ${more[@]+"${more[@]}"} "$bin" run "$exp" ${sets[@]+"${sets[@]}"} ${run_args[@]+"${run_args[@]}"} \
        </dev/null 2>&"$fd" {fd}>&- &
    pid=$!
    exec {fd}>&-
    rs_guard "$pid" "$said" &
    # A signal that came just before the process existed was not sent on.
    [ $stops -eq 0 ] || rs_forward_stop "$pid" "$id" &
    rs_wait "$pid"
    pid=''
    for ((i = 0; i < 20; i++)); do # the last lines are still on their way to the file
        kill -0 "$teller" 2>/dev/null || break
        sleep 0.1
    done
}

# Seconds that a signal may cut short.
nap() {
    sleep "$1" &
    wait $! || true
}

fails=0
while :; do
    rs_hosts_choose
    before=$(rs_progress "$output")
    rs_say "$exp: $ranks rank$([ "$ranks" -eq 1 ] || echo s)$(rs_hosts_text)"
    attempt
    reason=$(rs_reason "$rc" "$said")
    lost=$(rs_lost_rank "$said")
    rm -f "$said"
    rs_sweep "$id"
    case $rc in
    0 | 2 | 3 | 75) exit "$rc" ;;
    126 | 127) rs_die 1 "$launcher cannot be started (exit code $rc)" ;;
    esac
    if [ $stops -gt 0 ]; then
        rs_warn "$reason while stopping; what was saved is there, the same command continues"
        exit 75
    fi
    if [ "$(rs_progress "$output")" = "$before" ]; then
        fails=$((fails + 1))
        note="nothing was finished or saved ($fails of $fails_max)"
        wait_s=$((pause << (fails < 6 ? fails - 1 : 5)))
    else
        fails=0 note="what was saved counts" wait_s=$pause
    fi
    rs_warn "$reason; $note"
    [ $fails -lt "$fails_max" ] ||
        rs_die 1 "gave up: $fails attempts in a row without progress; the last one: $reason"
    # Nobody was named, but it happens again and again.
    [ -n "$lost" ] || [ $fails -eq 0 ] || ! rs_is_signal "$rc" || lost=-
    [ -z "$lost" ] || [ $keep -eq 1 ] || rs_hosts_drop "$lost"
    nap "$wait_s"
    [ $stops -eq 0 ] || exit 75
    rs_await_lock "$output"
done
