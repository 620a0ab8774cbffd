# ctest: TIMEOUT 240
# launch/local.sh: a run goes on after a killed rank, stops when it is asked to, gives up when nothing helps, and
# leaves nothing behind.
SOURCE=$1 BUILD=$2
shift 2
. "$SOURCE/tests/harness/shell.sh"
command -v mpirun >/dev/null || skip "there is no mpirun"
isolate "$0" "$SOURCE" "$BUILD" "$@"
LOCAL=$SOURCE/launch/local.sh

# start DIR ARGS...: local.sh in the background, its output in DIR/log
start() {
    local dir=$1
    shift
    # A shell starts what runs in the background with SIGINT ignored.
    env --default-signal=INT "$LOCAL" "$dir/exp.yaml" --pause 0 "$@" >"$dir/log" 2>&1 &
    job=$!
}
finish() { # DIR: the exit status
    local rc=0
    wait "$job" || rc=$?
    clean "$1"
    echo "$rc" >"$1/rc"
}
# Processes of the launcher's world, by name.
of_world() {
    local p
    for p in $(grep -lsz '^RS_LAUNCH=' /proc/[0-9]*/environ); do
        p=${p#/proc/} p=${p%%/*}
        [ "$(cat "/proc/$p/comm" 2>/dev/null)" != "$1" ] || echo "$p"
    done
}
# Nothing of Open MPI is left: processes, session folders, shared memory.
clean() {
    local left
    left=$(ls -d "$TMPDIR"/* /dev/shm/* 2>/dev/null; of_world reshoot; of_world mpirun)
    [ -z "$left" ] || { tail -20 "$1/log"; fail "left behind: $left"; }
}

reference() { # DIR: what an uninterrupted run gives, in DIR/alone
    "$RS_BIN" run "$1/exp.yaml" --set "output=$1/alone" >"$1/alone.log" 2>&1 || fail "$(tail -5 "$1/alone.log")"
}

t_a_killed_rank() {
    local d=$T/killed
    world "$d" 3 100
    reference "$d"
    start "$d" -n 3
    await 30 training "$d/run" || fail "$(cat "$d/log")"
    of_world reshoot | xargs kill -STOP # so that they cannot be done before
    kill -9 "$(of_world reshoot | tail -1)"
    finish "$d"
    expect 0 "$(cat "$d/rc")" "$(tail -5 "$d/log")"
    grep -q "was killed by signal 9.*what was saved counts" "$d/log" || fail "$(cat "$d/log")"
    grep -q "going on with the 2 ranks that are left" "$d/log" || fail "$(cat "$d/log")"
    same_run "$d/alone" "$d/run" 15
}

t_a_killed_mpirun() {
    local d=$T/mpirun
    world "$d" 2 100
    reference "$d"
    start "$d" -n 2
    await 30 training "$d/run" || fail "$(cat "$d/log")"
    of_world reshoot | xargs kill -STOP
    kill -9 "$(of_world mpirun)"
    finish "$d"
    expect 0 "$(cat "$d/rc")" "$(tail -5 "$d/log")"
    same_run "$d/alone" "$d/run" 10
}

# Ctrl-C and SIGTERM save and exit 75, early ones too (SIGUSR1: test_slurm_more.sh); another number of ranks goes on.
t_signals_stop_and_another_run_goes_on() {
    local d=$T/signals signal
    world "$d" 2 500
    reference "$d"
    for signal in INT TERM; do
        start "$d" -n 2
        [ $signal = TERM ] && await 5 grep -q ranks "$d/log" || await 30 grep -q "motion step" "$d/log" || fail "$(cat "$d/log")"
        kill -$signal $job
        finish "$d"
        expect 75 "$(cat "$d/rc")" "$signal: $(tail -5 "$d/log")"
        grep -q "asked to stop" "$d/log" || fail "$(cat "$d/log")"
        # not mpirun's own SIGTERM, which leaves the ranks one second
        grep -q "Forwarding signal 10" "$d/log" || fail "$signal was not made SIGUSR1: $(cat "$d/log")"
        # at once: before a video was begun
        [ $signal = TERM ] || grep -q "stopped after step" "$d/log" || fail "not saved by $signal: $(cat "$d/log")"
    done
    start "$d" -n 1
    finish "$d"
    expect 0 "$(cat "$d/rc")" "$(tail -5 "$d/log")"
    same_run "$d/alone" "$d/run" 10
}

t_a_second_signal_ends_at_once() {
    local d=$T/twice
    world "$d" 1 100000
    start "$d" -n 2
    await 30 training "$d/run" || fail "$(cat "$d/log")"
    kill -STOP "$(of_world reshoot | head -1)" # it cannot finish its step
    kill -INT $job
    sleep 0.5
    kill -INT $job
    finish "$d"
    expect 75 "$(cat "$d/rc")" "$(tail -5 "$d/log")"
    grep -q "ending the ranks at once" "$d/log" || fail "$(cat "$d/log")"
}

# A program that dies each time: reasons and an end, not a loop for ever.
t_endless_failure_stops_with_a_reason() {
    local d=$T/endless
    world "$d" 1 10
    cat >"$d/dies" <<END
#!/bin/sh
[ "\$1" = run ] || exec "$RS_BIN" "\$@"
kill -SEGV \$\$
END
    chmod +x "$d/dies"
    RS_BIN=$d/dies start "$d" -n 2 --fails 2
    finish "$d"
    expect 1 "$(cat "$d/rc")" "$(cat "$d/log")"
    expect 2 "$(grep -c "was killed by signal 11.*nothing was finished or saved" "$d/log")" "attempts"
    grep -q "gave up: 2 attempts in a row without progress; .*signal 11" "$d/log" || fail "$(cat "$d/log")"
}

# Failed jobs and bad settings are not tried again.
t_exit_codes_pass() {
    local d=$T/codes out
    world "$d" 2 10
    rm -r "$d/catalog/clip-01/masks"
    start "$d" -n 2
    finish "$d"
    expect 3 "$(cat "$d/rc")" "$(cat "$d/log")"
    expect 1 "$(grep -c '^local: .* 2 ranks$' "$d/log")" "attempts"
    start "$d" -n 2 --set motion.steps=many
    finish "$d"
    expect 2 "$(cat "$d/rc")" "$(cat "$d/log")"
    grep -q 'motion.steps' "$d/log" || fail "$(cat "$d/log")"
    for bad in "-n 0" "-n x" "--fails" "--hosts a:b -n 1" "--hosts a:1,a:1" "--launcher rsh" "--frobnicate" "--launcher srun"; do
        # shellcheck disable=SC2086
        out=$(env -u SLURM_JOB_ID "$LOCAL" "$d/exp.yaml" $bad 2>&1)
        expect 2 $? "$bad: $out"
        expect 1 "$(wc -l <<<"$out")" "lines about $bad: $out"
    done
    out=$("$LOCAL" "$d/exp.yaml" -n 2 --min-ranks 3 2>&1)
    expect 2 $? "$out"
}

run_cases t_a_killed_rank t_a_killed_mpirun t_signals_stop_and_another_run_goes_on t_a_second_signal_ends_at_once \
    t_endless_failure_stops_with_a_reason t_exit_codes_pass -- "$@"
