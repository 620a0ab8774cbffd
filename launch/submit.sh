#!/usr/bin/env bash
# Writes the batch script of an experiment from what `reshoot plan` says, and submits it; see --help.
# shellcheck disable=SC2015,SC2034
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
rs_name=submit
. "$root/launch/lib.sh"

usage() {
    cat <<'END'
usage: launch/submit.sh EXP.yaml [options] [-- options of sbatch]

Takes ranks, nodes, memory and time from `reshoot plan` and from the partition's nodes, says what it chose and why,
writes <output>/submit.sbatch and submits it. The job requeues itself until everything is done (slurm/README.md).

  --ranks N         MPI ranks; default: one per video, as far as --nodes go
  --nodes N         at most so many nodes; default 1
  --cpus N          threads of a rank; default: cluster.threads, else a share of a node for the ranks on it, at most 16
  --mem MB          memory of a node; default: the plan's bytes of a rank times its ranks, and a quarter more
  --time T          limit of one start: minutes, H:M:S or D-H:M:S; default: the plan's hours and a third more, at most
                    the partition's limit; 4:00:00 where no seconds are known
  --costs PATH      measured seconds: a finished run's folder or JSON (reshoot plan); default: this run's own folder
                    once it has archives
  --partition P     default: the cluster's
  --account A, --qos Q
  --worlds W        an array of W jobs of this size on the same output folder (slurm/array.sbatch)
  --scratch DIR     copy the model to this folder on every node first
  --set K=V, --videos GLOB, --arms GLOB, --only STAGE    go to reshoot run
  --dry-run         write and show the script, submit nothing
  --wait            wait for the end of the job; its exit code (sbatch --wait)

Environment: RS_BIN (the program), RS_MODULES (modules to load in the job), RS_ENV (a file to source there).
END
}

exp='' ranks='' nodes=1 cpus='' mem='' limit='' costs='' partition='' account='' qos='' worlds='' scratch='' dry=0
sets=() run_args=() more=() wait=()
while [ $# -gt 0 ]; do
    case "$1" in
    --ranks | --nodes | --cpus | --mem | --time | --costs | --partition | --account | --qos | --worlds | --scratch | \
        --set | --videos | --arms | --only)
        [ $# -ge 2 ] && [ -n "$2" ] || rs_die 2 "$1 wants a value; see launch/submit.sh --help" ;;
    esac
    case "$1" in
    -h | --help) usage; exit 0 ;;
    --ranks) rs_number "$1" "$2" 1 1000000; ranks=$((10#$2)); shift ;;
    --nodes) rs_number "$1" "$2" 1 100000; nodes=$((10#$2)); shift ;;
    --cpus) rs_number "$1" "$2" 1 4096; cpus=$((10#$2)); shift ;;
    --mem) rs_number "$1" "$2" 1 100000000; mem=$((10#$2)); shift ;;
    --worlds) rs_number "$1" "$2" 1 10000; worlds=$((10#$2)); shift ;;
    --time) limit=$2; shift ;;
    --costs) costs=$2; shift ;;
    --partition) partition=$2; shift ;;
    --account) account=$2; shift ;;
    --qos) qos=$2; shift ;;
    --scratch) scratch=$2; shift ;;
    --set) sets+=("$1" "$2"); shift ;;
    --videos | --arms | --only) run_args+=("$1" "$2"); shift ;;
    --dry-run) dry=1 ;;
    --wait) wait=(--wait) ;;
    --) shift; more=("$@"); break ;;
    -*) rs_die 2 "unknown option $1; see launch/submit.sh --help" ;;
    *) [ -z "$exp" ] || rs_die 2 "one experiment at a time: $exp and $1"; exp=$1 ;;
    esac
    shift
done
[ -n "$exp" ] || { usage >&2; exit 2; }
command -v sbatch >/dev/null || rs_die 2 "there is no sbatch here: log in to the cluster, or use launch/local.sh"
bin=$(rs_find_reshoot "$root")

# minutes TIME: of Slurm's forms; empty for UNLIMITED
minutes() {
    local d=0 h=0 m=0 s=0 t=$1
    case "$t" in UNLIMITED | infinite) return ;; esac
    if [[ $t =~ ^([0-9]+)-([0-9]+)(:([0-9]+))?(:([0-9]+))?$ ]]; then
        d=${BASH_REMATCH[1]} h=${BASH_REMATCH[2]} m=${BASH_REMATCH[4]:-0} s=${BASH_REMATCH[6]:-0}
    elif [[ $t =~ ^([0-9]+):([0-9]+):([0-9]+)$ ]]; then
        h=${BASH_REMATCH[1]} m=${BASH_REMATCH[2]} s=${BASH_REMATCH[3]}
    elif [[ $t =~ ^([0-9]+)(:([0-9]+))?$ ]]; then
        m=${BASH_REMATCH[1]} s=${BASH_REMATCH[3]:-0}
    else
        return 1
    fi
    echo $(((10#$d * 24 + 10#$h) * 60 + 10#$m + (10#$s + 59) / 60))
}
clock() { printf '%d:%02d:00' $(($1 / 60)) $(($1 % 60)); }
member() { rs_json "$1" <<<"$plan"; }

# ---- the partition: its smallest node, its limit ----
nodes_of=$(sinfo -h -e ${partition:+-p "$partition"} -o '%P|%c|%m|%D|%l' 2>/dev/null) ||
    rs_die 2 "sinfo does not answer: is the Slurm controller up?"
[ -z "$partition" ] || [ -n "$nodes_of" ] ||
    rs_die 2 "there is no partition $partition: $(sinfo -h -o %R | sort -u | paste -sd' ')"
[ -n "$partition" ] || nodes_of=$(grep -F '*|' <<<"$nodes_of") || rs_die 2 "no default partition: give --partition"
partition=${nodes_of%%[*|]*}
read -r node_cpus node_mem node_count max < <(awk -F'|' '
    { if (!cpus || $2 + 0 < cpus) cpus = $2 + 0; if (!mem || $3 + 0 < mem) mem = $3 + 0; n += $4; limit = $5 }
    END { print cpus, mem, n, limit }' <<<"$nodes_of")
[ "$nodes" -le "$node_count" ] || rs_die 2 "--nodes $nodes, but partition $partition has $node_count"

# ---- the plan ----
ask() { # RANKS ARGS...
    local n=$1
    shift
    "$bin" plan "$exp" --json --ranks "$n" ${sets[@]+"${sets[@]}"} "$@"
}
plan=$(ask 1) || exit $?
output=$(member run.output)
videos=$(member videos)
own_costs=0
if [ -z "$costs" ] && compgen -G "$output/archive/*.h5" >/dev/null; then costs=$output own_costs=1; fi

# ---- ranks, threads, nodes ----
[ -n "$cpus" ] || { cpus=$(member run.threads); [ "$cpus" != 0 ] || cpus=; }
if [ -z "$cpus" ]; then
    per_node=$(((${ranks:-$videos} + nodes - 1) / nodes))
    cpus=$((node_cpus / per_node))
    cpus=$((cpus < 1 ? 1 : cpus > 16 ? 16 : cpus))
    why_cpus="a share of $node_cpus cores"
else
    why_cpus=given
fi
[ "$cpus" -le "$node_cpus" ] || rs_die 2 "a rank of $cpus threads does not fit on a node of $partition with $node_cpus cores"
bytes=$(member bytes.total)
if [ -z "$bytes" ]; then
    bytes=0
    for part in transformer_resident vae adapter_training; do bytes=$((bytes + $(member bytes.$part))); done
    train=$(member bytes.activations_training) sample=$(member bytes.activations_sampling)
    bytes=$((bytes + (train > sample ? train : sample)))
fi
# A quarter for encoders, codecs and the allocator, and what every process has.
rank_mb=$((bytes * 5 / 4 / 1048576 + 128))
fit=$((node_cpus / cpus))
# A cluster that does not manage memory says 1 MB for every node.
if [ -z "$mem" ] && [ "$node_mem" -gt 1 ] && [ $((node_mem / rank_mb)) -lt $fit ]; then fit=$((node_mem / rank_mb)); fi
[ $fit -ge 1 ] || rs_die 2 "a rank needs $rank_mb MB, a node of $partition has $node_mem MB: see reshoot plan $exp"
if [ -z "$ranks" ]; then
    ranks=$((fit * nodes < videos ? fit * nodes : videos))
    why_ranks="$videos videos, $fit ranks fit on a node"
else
    [ "$ranks" -le $((fit * nodes)) ] ||
        rs_die 2 "$ranks ranks need $(((ranks + fit - 1) / fit)) nodes of $partition ($fit ranks of $cpus threads and $rank_mb MB on one), got --nodes $nodes"
    why_ranks=given
fi
per_node=$(((ranks + nodes - 1) / nodes))
nodes=$(((ranks + per_node - 1) / per_node))
[ -z "$mem" ] || [ "$node_mem" -le 1 ] || [ "$mem" -le "$node_mem" ] || rs_die 2 "--mem $mem, but a node of $partition has $node_mem MB"
why_mem=given
if [ -z "$mem" ]; then
    why_mem="not managed by this cluster; $per_node ranks of $rank_mb MB"
    [ "$node_mem" -le 1 ] || mem=$((rank_mb * per_node)) why_mem="$per_node ranks of $rank_mb MB"
fi

# ---- time ----
seconds=''
if [ -n "$costs" ]; then
    if [ $own_costs -eq 0 ] || "$bin" plan "$exp" --json ${sets[@]+"${sets[@]}"} --costs "$costs" --simulate >/dev/null 2>&1; then
        plan=$(ask $((ranks * ${worlds:-1})) --costs "$costs" --simulate) || exit $?
    fi # else: the run's own folder does not know all stages yet
    seconds=$({ member simulation.whole_videos.makespan; member simulation.stages.makespan; } | sort -g | tail -1)
fi
step=$({ member stages.motion.step; member stages.appearance.step; member stages.edit.step; } | sort -g | tail -1)
# Before the end: twice the longest step, and a minute to save.
lead=$(awk -v s="${step:-0}" 'BEGIN { s = 2 * s + 60; print int(s < 120 ? 120 : s > 3600 ? 3600 : s) }')
longest=$(minutes "$max")
if [ -n "$limit" ]; then
    limit_min=$(minutes "$limit") || rs_die 2 "--time: \"$limit\" is no time; minutes, H:M:S or D-H:M:S"
    [ -n "$limit_min" ] && [ "$limit_min" -gt 0 ] || rs_die 2 "--time: \"$limit\" is no limit"
    [ -z "$longest" ] || [ "$limit_min" -le "$longest" ] || rs_die 2 "--time $limit: partition $partition allows $max"
    why_time=given
elif [ -n "$seconds" ]; then
    limit_min=$(awk -v s="$seconds" -v l="$lead" 'BEGIN { print int((s * 4 / 3 + l) / 60) + 10 }')
    why_time="$(awk -v s="$seconds" 'BEGIN { printf "%.2f", s / 3600 }') h by $costs, a third more, and 10 minutes"
else
    limit_min=240
    why_time="nothing is measured yet (--costs): a piece, after which the job goes on by itself"
fi
if [ -n "$longest" ] && [ "$limit_min" -gt "$longest" ]; then
    limit_min=$longest why_time="the limit of $partition; $why_time; it goes on by itself"
fi
[ $((limit_min * 60)) -gt $((lead * 2)) ] ||
    rs_die 2 "a limit of $(clock "$limit_min") is too short: ranks are asked to save $lead s before the end"

# ---- the script ----
mkdir -p "$output" || rs_die 2 "$output: cannot create"
output=$(cd "$output" && pwd)
script=$output/submit.sbatch
log=$output/slurm-%j.log kind=run
[ -z "$worlds" ] || log=$output/slurm-%A_%a.log kind=array
{
    echo "#!/usr/bin/env bash"
    echo "# By launch/submit.sh. The same job again: sbatch $(printf %q "$script")"
    echo "#SBATCH --job-name=$(member run.name | tr -c 'A-Za-z0-9_.\n-' _)"
    printf '#SBATCH --%s\n' "partition=$partition" "nodes=$nodes" "ntasks=$ranks" "ntasks-per-node=$per_node" \
        "cpus-per-task=$cpus" ${mem:+"mem=${mem}M"} "time=$(clock "$limit_min")" "signal=B:USR1@$lead" requeue \
        open-mode=append "chdir=$PWD" "output=$log" ${account:+"account=$account"} ${qos:+"qos=$qos"} \
        ${worlds:+"array=0-$((worlds - 1))"}
    printf 'export RS_ROOT=%q RS_BIN=%q\n' "$root" "$bin"
    for name in RS_MODULES RS_ENV; do
        [ -z "${!name:-}" ] || printf 'export %s=%q\n' "$name" "${!name}"
    done
    [ -z "$scratch" ] || printf 'export RS_SCRATCH=%q\n' "$scratch"
    printf 'exec bash %q' "$root/slurm/$kind.sbatch"
    printf ' %q' "$exp" --set "cluster.threads=$cpus" ${sets[@]+"${sets[@]}"} ${run_args[@]+"${run_args[@]}"}
    echo
} >"$script.tmp.$$"
mv "$script.tmp.$$" "$script"

rs_say "ranks      $ranks ($why_ranks)"
rs_say "nodes      $nodes of $partition, $per_node ranks on each"
rs_say "threads    $cpus per rank ($why_cpus)"
rs_say "memory     ${mem:+$mem MB per node }($why_mem)"
rs_say "time       $(clock "$limit_min") ($why_time); asked to save $lead s before the end"
[ -z "$worlds" ] || rs_say "worlds     $worlds jobs of this size share $output"
rs_say "script     $script"
if [ $dry -eq 1 ]; then
    sed 's/^/  | /' "$script"
    exit 0
fi
rc=0
job=$(sbatch --parsable ${wait[@]+"${wait[@]}"} ${more[@]+"${more[@]}"} "$script") || rc=$?
[ -n "$job" ] || rs_die 2 "sbatch refused $script (above)"
job=${job%%;*}
rs_say "submitted job $job; its log: ${log/\%[jA]/$job}; stop: scancel $job; stop and go on later: scancel --signal=USR1 --batch $job"
exit $rc
