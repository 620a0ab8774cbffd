# shellcheck shell=bash disable=SC2154
# A Slurm cluster of several virtual nodes on this host, for tests: sourced after harness/shell.sh, in a place of
# its own (isolate), with which all of it ends. A node is a process namespace with shared memory of its own, so that
# killing it kills what runs there, as when a machine loses power.

slurm_needs() {
    local program
    for program in slurmctld slurmd munged srun sbatch scontrol mpirun; do
        command -v $program >/dev/null || skip "there is no $program (launch/deps.sh --tests)"
    done
}

slurm_conf() { # NODES CPUS MB
    local host i
    host=$(hostname -s)
    cat <<END
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$S/run/munge.sock
SlurmctldPort=6817
SlurmdPort=6818
StateSaveLocation=$S/state
SlurmdSpoolDir=$S/spool/%n
SlurmctldPidFile=$S/run/slurmctld.pid
SlurmdPidFile=$S/run/slurmd.%n.pid
SlurmctldLogFile=$S/log/slurmctld.log
SlurmdLogFile=$S/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
ReturnToService=2
SlurmctldTimeout=30
SlurmdTimeout=${SLURM_TEST_TIMEOUT:-300}
KillWait=2
MinJobAge=300
BatchStartTimeout=1
MessageTimeout=10
SlurmdParameters=config_overrides
END
    for ((i = 1; i <= $1; i++)); do
        echo "NodeName=n$i NodeHostname=$host NodeAddr=127.0.0.1 Port=$((6900 + i)) CPUs=$2 RealMemory=$3"
    done
    echo "PartitionName=main Nodes=n[1-$1] Default=YES MaxTime=8:00:00 PriorityTier=1 PreemptMode=REQUEUE"
    echo "PartitionName=urgent Nodes=n[1-$1] MaxTime=1:00:00 PriorityTier=10 PreemptMode=OFF"
}

slurm_node_up() { # NAME
    mkdir -p "$S/spool/$1"
    # PMIx keeps one folder per job and host: a mount of its own where hosts share a file system.
    unshare --pid --fork --kill-child --mount-proc --mount sh -c \
        "mount -t tmpfs none '$S/px' && mount -t tmpfs none /dev/shm && exec slurmd -D -N $1" >"$S/log/$1.out" 2>&1 &
    echo $! >"$S/run/$1.unshare"
    disown $! # the shell is not to report its end
}

# As when it loses power: slurmd and all that runs on the node.
slurm_node_kill() { kill -9 "$(cat "$S/run/$1.unshare")"; }

slurm_idle() { [ "$(sinfo -h -N -p main -o %T | grep -c idle)" = "$1" ]; }

# slurm_up NODES CPUS MB: the cluster, ready for jobs; partitions main and urgent, which preempts it by requeue
slurm_up() {
    local i
    S=$T/slurm
    mkdir -p "$S"/{state,spool,log,run,px}
    export SLURM_CONF=$S/slurm.conf
    slurm_conf "$@" >"$S/slurm.conf"
    printf 'CgroupPlugin=cgroup/v1\nCgroupAutomount=no\nConstrainCores=no\nConstrainRAMSpace=no\n' >"$S/cgroup.conf"
    echo "PMIxCliTmpDirBase=$S/px" >"$S/mpi.conf"
    (umask 077 && head -c 1024 /dev/urandom >"$S/run/munge.key")
    munged --socket="$S/run/munge.sock" --key-file="$S/run/munge.key" --pid-file="$S/run/munged.pid" \
        --log-file="$S/log/munged.log" --seed-file="$S/run/munge.seed" --force >"$S/log/munged.out" 2>&1 ||
        skip "munged does not start: $(tail -1 "$S/log/munged.out")"
    slurmctld -c -i >"$S/log/slurmctld.out" 2>&1 || skip "slurmctld does not start: $(tail -1 "$S/log/slurmctld.out")"
    for ((i = 1; i <= $1; i++)); do slurm_node_up "n$i"; done
    await 20 slurm_idle "$1" ||
        skip "the nodes do not get ready: $(sinfo -h -N -o '%N %T %E' 2>&1 | tr '\n' ' ') $(tail -2 "$S/log/slurmctld.log")"
}

job_state() { squeue -h -j "$1" -o %T 2>/dev/null; }
job_is() { [ "$(job_state "$1")" = "$2" ]; }
# Field of a job that runs, waits or ended lately: job_field ID ExitCode
job_field() { scontrol -o show job "$1" | tr ' ' '\n' | awk -v f="$2=" 'index($0, f) == 1 { print substr($0, length(f) + 1) }'; }
job_ended() { case "$(job_field "$1" JobState)" in COMPLETED | FAILED | CANCELLED | TIMEOUT | NODE_FAIL) ;; *) return 1 ;; esac; }
# A requeued job is not to wait for the two minutes that give nodes a rest; but within the second of its requeue
# slurmd takes it for the job that was just killed.
job_now() {
    sleep 2
    scontrol update JobId="$1" StartTime=now
}
# slurm_told ID: what Slurm has to say about a job, for failures
slurm_told() {
    scontrol show job "$1"
    tail -n 15 "$S/log/slurmctld.log"
    tail -qn 8 "$S"/log/slurmd.n*.log
}

# ---- jobs of reshoot ----

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
    await "$2" job_ended "$job" || { log_of "$1"; slurm_told "$job"; fail "job $job does not end"; }
    [ "$(job_field "$job" JobState) $(job_field "$job" ExitCode)" = "COMPLETED 0:0" ] || {
        log_of "$1"
        slurm_told "$job"
        fail "job $job was not successful"
    }
}
# Ranks wait while the test looks, so that they cannot be done before it is. Slurm and mpirun end them all the same.
hold() {
    local p
    for p in /proc/[0-9]*; do
        [ "$(cat "$p/comm" 2>/dev/null)" != reshoot ] || kill -STOP "${p#/proc/}" 2>/dev/null
    done
}
