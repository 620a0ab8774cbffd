# shellcheck shell=bash disable=SC2154,SC2015
# Functions of launch/local.sh and launch/submit.sh. Sourced.

# $rs_name: the caller in messages
rs_say() { echo "$rs_name: $*"; }
rs_warn() { echo "$rs_name: $*" >&2; }
# rs_die CODE TEXT
rs_die() {
    local code=$1
    shift
    rs_warn "$@"
    exit "$code"
}
# rs_number OPTION VALUE LO HI: VALUE is a whole number within LO..HI, or the program ends
rs_number() {
    [[ $2 =~ ^[0-9]{1,9}$ ]] && [ "$((10#$2))" -ge "$3" ] && [ "$((10#$2))" -le "$4" ] ||
        rs_die 2 "$1 must be a whole number $3..$4, got \"$2\""
}

# rs_find_reshoot ROOT: the program: $RS_BIN, or that of this checkout
rs_find_reshoot() {
    local bin
    if [ -n "${RS_BIN:-}" ]; then
        [ -x "$RS_BIN" ] && [ ! -d "$RS_BIN" ] || rs_die 2 "RS_BIN=$RS_BIN is no program"
        echo "$RS_BIN"
        return
    fi
    for bin in "$1"/build-release/reshoot "$1"/build-dev/reshoot; do
        if [ -x "$bin" ]; then
            echo "$bin"
            return
        fi
    done
    rs_die 2 "reshoot is not built: cmake --preset release && cmake --build --preset release (or set RS_BIN)"
}

# rs_json PATH <TEXT: the scalar a.b.c of what `reshoot plan --json` printed (one member a line, two blanks a
# level); empty where it is null or absent
rs_json() {
    awk -v want="$1" '
        match($0, /^ */) { depth = RLENGTH / 2; line = substr($0, RLENGTH + 1); sub(/,$/, "", line) }
        match(line, /^"[^"]*": /) {
            key[depth] = substr(line, 2, RLENGTH - 4)
            value = substr(line, RLENGTH + 1)
            full = key[1]
            for (i = 2; i <= depth; i++) full = full "." key[i]
            if (full == want && value != "null") {
                if (sub(/^"/, "", value)) { sub(/"$/, "", value); gsub(/\\\//, "/", value); gsub(/\\"/, "\"", value); gsub(/\\\\/, "\\", value) }
                print value
                exit
            }
        }'
}

# rs_progress FOLDER: a number that changes when finished work or checkpoints of a run do
rs_progress() {
    [ -d "$1" ] || { echo none; return; }
    find "$1" -type f \( -name '*.safetensors' -o -name '*.mp4' -o -path '*/archive/*.h5' \) -printf '%p %s %T@\n' \
        2>/dev/null | LC_ALL=C sort | cksum
}

# rs_sweep ID: what Open MPI leaves on this host of the launch ID when mpirun or a rank was killed: processes (they
# carry RS_LAUNCH=ID, orted the name of the session folder), the session folder, shared memory of its jobs.
# Needs nothing from outside: local.sh sends its text to other hosts.
rs_sweep() {
    local id=$1 base=${TMPDIR:-/tmp}/reshoot-ompi.$1 signal p pids file job
    for signal in TERM KILL; do
        pids=
        for p in $(grep -lsz -- "^RS_LAUNCH=$id\$" /proc/[0-9]*/environ; grep -lsF -- "reshoot-ompi.$id" /proc/[0-9]*/cmdline); do
            p=${p#/proc/}
            p=${p%%/*}
            case "$(cat "/proc/$p/comm" 2>/dev/null)" in
            '' | bash | sh | ssh | sshd | grep) ;;
            *) pids="$pids $p" ;;
            esac
        done
        # shellcheck disable=SC2086
        [ -z "$pids" ] || kill -"$signal" $pids 2>/dev/null
        for p in 1 2 3 4 5 6 7 8 9 10; do
            # shellcheck disable=SC2086
            [ -n "$pids" ] && kill -0 $pids 2>/dev/null || break
            sleep 0.1
        done
    done
    # PMIx files are named by the job's number, segments by the same in hexadecimal.
    for file in "$base"/*/*/*/smdataseg-*; do
        [ -e "$file" ] || continue
        job=${file##*/smdataseg-}
        job=$(printf %x "${job%%-*}" 2>/dev/null) && rm -f /dev/shm/vader_segment.*."$job".*
    done
    rm -rf "$base"
}

# rs_forward_stop PID ID: SIGUSR1 to the launcher, which hands it to the ranks: once a rank of this host is there
# to catch it (before, mpirun would hand it to nobody or the rank would die of it), at the latest after 20 s
rs_forward_stop() {
    local i p caught
    for ((i = 0; i < 100; i++)); do
        kill -0 "$1" 2>/dev/null || return 0
        # shellcheck disable=SC2013
        for p in $(grep -lsz -- "^RS_LAUNCH=$2\$" /proc/[0-9]*/environ); do
            p=${p#/proc/}
            p=${p%%/*}
            [ "$(cat "/proc/$p/comm" 2>/dev/null)" = reshoot ] || continue
            caught=$(sed -n 's/^SigCgt:\t*//p' "/proc/$p/status" 2>/dev/null) || continue
            if [ -n "$caught" ] && [ $((0x$caught >> 9 & 1)) -eq 1 ]; then # SIGUSR1 is number 10
                kill -USR1 "$1" 2>/dev/null
                return 0
            fi
        done
        sleep 0.2
    done
    kill -USR1 "$1" 2>/dev/null || true
}

# rs_guard PID FILE: ends mpirun when it hangs after a rank has called the end of the run (the watchdog, say): it waits
# for its daemon on a host that is cut off, and with data on the way TCP does not give up for a quarter of an hour
rs_guard() {
    grep -m1 -q 'MPI_ABORT was invoked' < <(exec tail -n +1 -f --pid="$1" "$2" 2>/dev/null) || return 0
    sleep "${RS_ABORT_S:-20}"
    if kill -KILL "$1" 2>/dev/null; then
        rs_warn "the ranks have ended, $launcher had to be killed"
    fi
}

# rs_await_lock OUTPUT: until the last attempt's ranks, wherever they are, have let go of the run's folder
rs_await_lock() {
    local file=$1/.lock
    [ -e "$file" ] && command -v flock >/dev/null || return 0
    flock -s -n "$file" true && return 0
    rs_say "waiting for the former ranks to let go of $file"
    flock -s -w 120 "$file" true || rs_warn "$file is still locked; is another run using the folder?"
}

# rs_wait PID: its exit status in $rc, whatever signals come meanwhile; their traps set rs_interrupted=1
rs_wait() {
    local last=127
    while :; do
        rs_interrupted=0 rc=0
        wait "$1" || rc=$?
        [ $rs_interrupted -eq 1 ] || break
        last=$rc
    done
    # The end may have been reported by the wait that a signal ended.
    [ "$rc" -ne 127 ] || rc=$last
}
