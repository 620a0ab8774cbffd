# ctest: TIMEOUT 200
# launch/local.sh over several hosts: network namespaces with an interface, a name and shared memory of their own.
# A link that is cut during a run ends the attempt with the host's name; the rest goes on, with the bits of an
# uninterrupted run; the host is taken again once it answers.
SOURCE=$1 BUILD=$2
shift 2
. "$SOURCE/tests/harness/shell.sh"
command -v mpirun >/dev/null || skip "there is no mpirun"
isolate "$0" "$SOURCE" "$BUILD" "$@"

# A bridge, and hosts h1..hN on it, 10.77.0.N, seen from here as 10.77.0.254.
hosts_up() {
    local i
    mount -t tmpfs none /run || skip "no tmpfs on /run"
    { ip link add name bridge0 type bridge && ip addr add 10.77.0.254/24 dev bridge0 && ip link set bridge0 up; } 2>"$T/ip.err" ||
        skip "no network bridge here: $(cat "$T/ip.err")"
    for ((i = 1; i <= $1; i++)); do
        { ip netns add "h$i" && ip link add "v$i" type veth peer name eth0 netns "h$i" && ip link set "v$i" master bridge0 up &&
            ip -n "h$i" addr add "10.77.0.$i/24" dev eth0 && ip -n "h$i" link set eth0 up && ip -n "h$i" link set lo up; } \
            2>"$T/ip.err" || skip "no network namespaces here: $(cat "$T/ip.err")"
        echo "10.77.0.$i h$i" >>/etc/hosts
    done
}
# The remote shell: agent HOST COMMAND. It asks through the wire first, as ssh does: a host that is cut off neither
# accepts nor refuses a connection.
write_agent() {
    cat >"$T/agent" <<'END'
#!/bin/bash
host=$1; shift
timeout 3 bash -c ": </dev/tcp/$host/1" 2>&1 | grep -q refused || exit 255
exec ip netns exec "$host" unshare --uts --mount sh -c \
    'hostname "$0" && mount -t tmpfs none /dev/shm && exec bash -c "$*"' "$host" "$@"
END
    chmod +x "$T/agent"
}

hosts_up 3
write_agent
"$T/agent" h3 true || skip "no connections between network namespaces here"
# Loopback and the other interface are on every host: only the wire counts.
export OMPI_MCA_oob_tcp_if_include=10.77.0.0/24 OMPI_MCA_btl_tcp_if_include=10.77.0.0/24
export OMPI_MCA_pml=ob1 OMPI_MCA_btl=self,vader,tcp
# A cut is noticed after 5 seconds.
export OMPI_MCA_oob_tcp_keepalive_time=2 OMPI_MCA_oob_tcp_keepalive_intvl=1 OMPI_MCA_oob_tcp_keepalive_probes=3

start() { # DIR ARGS...
    local dir=$1
    shift
    "$SOURCE/launch/local.sh" "$dir/exp.yaml" --agent "$T/agent" --pause 0 "$@" >"$dir/log" 2>&1 &
    job=$!
}
expects() { await "$2" grep -q -- "$3" "$1/log" || { tail -40 "$1/log"; fail "not within $2 s: $3"; }; }
rank_on() { # HOST: process of a rank there
    local p
    for p in $(ip netns pids "$1"); do
        case "$(cat "/proc/$p/comm" 2>/dev/null)" in reshoot | dist_ranks) echo "$p" ;; esac
    done
}
nobody_on() { [ -z "$(for host in "$@"; do rank_on "$host"; done)" ]; }
# Ranks wait while the test looks, so that they cannot be done before it is.
hold() { for host in h1 h2 h3; do rank_on $host; done | xargs -r kill -STOP; }

t_a_cut_link() {
    local d=$T/cut rc=0
    world "$d" 3 1500
    "$RS_BIN" run "$d/exp.yaml" --set "output=$d/alone" >"$d/alone.log" 2>&1 || fail "$(tail -5 "$d/alone.log")"
    start "$d" --hosts h1:1,h2:1,h3:1
    await 60 training "$d/run" || { cat "$d/log"; fail "no training"; }
    hold
    ip link set v2 down
    expects "$d" 30 "lost the connection to host h2"
    expects "$d" 30 "host h2 does not answer: going on without it"
    expects "$d" 30 "2 ranks on h1:1, h3:1"
    expects "$d" 30 "motion resumes"
    hold
    ip link set v2 up
    await 20 nobody_on h2 || fail "a rank still runs on h2"
    kill -9 "$(rank_on h3)"
    expects "$d" 30 "rank 1 on h3 was killed by signal 9"
    expects "$d" 30 "host h2 is back"
    expects "$d" 30 "3 ranks on h1:1, h2:1, h3:1"
    wait "$job" || rc=$?
    expect 0 $rc "$(tail -5 "$d/log")"
    same_run "$d/alone" "$d/run" 15
    await 5 nobody_on h1 h2 h3 || fail "ranks are left"
}

# Ranks that wait for each other: the watchdog says who waits for whom, and where, and mpirun, which waits for its
# daemon on the host that is cut off, is ended.
t_the_watchdog_names_who_is_cut_off() {
    local d=$T/dog rc=0
    world "$d" 1 10
    cat >"$d/waits" <<END
#!/bin/sh
[ "\$1" = run ] || exec "$RS_BIN" "\$@"
exec "$BUILD/dist_ranks" lead 6 2
END
    chmod +x "$d/waits"
    # long before keepalive would notice
    OMPI_MCA_oob_tcp_keepalive_time=60 RS_ABORT_S=3 RS_BIN=$d/waits start "$d" --hosts h1:1,h2:1 --fails 1
    await 20 talking || { cat "$d/log"; fail "no ranks"; }
    sleep 2 # rank 0 is busy for 6 s, rank 1 waits for it; the start of MPI itself is not watched
    ip link set v2 down
    await 40 gave_up "$d" || { cat "$d/log"; fail "it hangs"; }
    wait "$job" || rc=$?
    ip link set v2 up
    expect 1 $rc "$(cat "$d/log")"
    grep -q "gave up: 1 attempts in a row without progress; .*rank 0 of 2: waited .* in barrier (together again).*rank 1 does not answer" "$d/log" ||
        fail "$(cat "$d/log")"
    await 20 nobody_on h1 h2 || fail "ranks are left"
}
# Watchdogs of different hosts hear each other: a rank that hangs on the other one answers for itself.
t_the_watchdog_asks_over_the_wire() {
    local d=$T/asks rc=0
    world "$d" 1 10
    cat >"$d/hangs" <<END
#!/bin/sh
[ "\$1" = run ] || exec "$RS_BIN" "\$@"
exec "$BUILD/dist_ranks" steps rank=1,op=allgather,call=3,do=hang 0 2
END
    chmod +x "$d/hangs"
    RS_ABORT_S=3 RS_BIN=$d/hangs start "$d" --hosts h1:1,h2:1 --fails 1
    await 40 gave_up "$d" || { cat "$d/log"; fail "it hangs"; }
    wait "$job" || rc=$?
    expect 1 $rc "$(cat "$d/log")"
    grep -q "rank 0 of 2: waited .* in allgather (step).*rank 1 has not arrived (it is not in a call" "$d/log" ||
        fail "$(cat "$d/log")"
    await 20 nobody_on h1 h2 || fail "ranks are left"
}
gave_up() { grep -q "gave up" "$1/log"; }
# The ranks of h1 and h2 have met: there is a connection between the two, not only with mpirun.
talking() { ip netns exec h1 ss -Htn state established | grep -q '10\.77\.0\.2:'; }

run_cases t_a_cut_link t_the_watchdog_names_who_is_cut_off t_the_watchdog_asks_over_the_wire -- "$@"
