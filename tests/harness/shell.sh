# shellcheck shell=bash
# For shell tests of whole runs: a small world, comparing of runs, a place of its own. Sourced after
#   SOURCE=... BUILD=...
# Each case is a function; run_cases calls those that are named on the command line after the two folders, or all.
set -uo pipefail
: "${SOURCE:?}" "${BUILD:?}"
export RS_BIN=$BUILD/reshoot

# Ends a program, or a case, that cannot run here; launch/test.sh counts both.
skip() {
    echo "${IN_CASE:+    skipped: }$*"
    exit 77
}
fail() { echo "FAILED: $*"; exit 1; }
# expect WANT GOT WHAT
expect() { [ "$1" = "$2" ] || fail "$3: got \"$2\", want \"$1\""; }

# isolate SCRIPT ARGS...: the script again with process ids, network, mounts and shared memory of its own. Whatever
# it starts ends with it, however it ends, and nothing that it does is seen by others. $T: an empty folder in memory.
isolate() {
    if [ -z "${RS_ISOLATED:-}" ]; then
        local how=(unshare --pid --fork --kill-child --mount-proc --mount --net)
        command -v unshare >/dev/null || skip "there is no unshare (util-linux)"
        command -v ip >/dev/null || skip "there is no ip (iproute2)"
        "${how[@]}" true 2>/dev/null || skip "namespaces are not permitted here (unshare --pid --mount --net)"
        mkdir -p "$BUILD/iso"
        RS_ISOLATED=1 exec "${how[@]}" bash "$@"
    fi
    unset RS_ISOLATED
    T=$BUILD/iso
    mount -t tmpfs none "$T" && mount -t tmpfs none /dev/shm || skip "no tmpfs in a namespace here"
    # An address besides loopback: without one, getaddrinfo knows no addresses and Open MPI no interfaces.
    ip link set lo up && ip link add e0 type veth peer name e1 && ip addr add 10.99.0.1/24 dev e0 &&
        ip link set e0 up && ip link set e1 up || skip "no interfaces in a network namespace here"
    printf '127.0.0.1 localhost\n10.99.0.1 %s\n' "$(hostname)" >"$T/hosts"
    mount --bind "$T/hosts" /etc/hosts || skip "no bind mount in a namespace here"
    export TMPDIR=$T/tmp
    mkdir -p "$TMPDIR"
}

# world DIR VIDEOS STEPS [LINE...]: clips, a random model and $DIR/exp.yaml, as in tests/dist; more lines of settings
world() {
    local dir=$1 videos=$2 steps=$3
    shift 3
    "$BUILD/reshoot-world" smallworld "$dir/catalog" --count "$videos" --frames 9 --width 64 --height 48 >/dev/null &&
        "$BUILD/reshoot-world" model --preset tiny "$dir/model" "$SOURCE/datasets/smallmodel/tokenizer" >/dev/null ||
        fail "no world in $dir"
    cat >"$dir/exp.yaml" <<END
name: small
output: $dir/run
catalog: catalog/catalog.yaml
model: {path: model}
clip: {frames: 9, width: 64, height: 48}
mask: {min_area: 4}
lora: {rank: 4, alpha: 4}
motion: {steps: $steps, lr: 1.0e-3}
appearance: {schedule: paper, steps: 4, repeats: 1}
edit: {steps: 3}
checkpoint: {every: 2}
video: {preset: ultrafast}
cluster: {threads: 1}
END
    [ $# -eq 0 ] || printf '%s\n' "$@" >>"$dir/exp.yaml"
}

# tensors FILE: the data of a safetensors file, without its header (which holds seconds)
tensors() {
    local header
    header=$(od -An -tu8 -N8 "$1" | tr -d ' ')
    tail -c +$((header + 9)) "$1"
}

# same_run A B COUNT: the states of two runs are the same COUNT files with the same bits, and nothing temporary is left
same_run() {
    local list file
    list=$(cd "$1" && find state -name '*.safetensors' | sort)
    expect "$list" "$(cd "$2" && find state -name '*.safetensors' | sort)" "states of $2"
    expect "$3" "$(wc -l <<<"$list")" "number of states of $1"
    for file in $list; do
        cmp <(tensors "$1/$file") <(tensors "$2/$file") || fail "$2/$file differs from $1"
        [ "$(tensors "$2/$file" | wc -c)" -gt 0 ] || fail "$2/$file is empty"
    done
    [ -z "$(find "$2" -name '*.tmp.*' -o -name '*checkpoint*')" ] || fail "temporary files are left in $2"
}

# await SECONDS COMMAND...: until it succeeds
await() {
    local end=$((SECONDS + $1))
    shift
    while ! "$@" >/dev/null 2>&1; do
        [ $SECONDS -le $end ] || return 1
        sleep 0.1
    done
}
# Some state of running training is saved in a run's folder.
training() { compgen -G "$1/state/*/*checkpoint*" >/dev/null; }

# run_cases ALL... -- CHOSEN...
run_cases() {
    local all=() name begin rc
    while [ "$1" != -- ]; do all+=("$1"); shift; done
    shift
    [ $# -gt 0 ] || set -- "${all[@]}"
    for name in "$@"; do
        begin=$SECONDS
        # A subshell: a case that fails or skips ends itself.
        (IN_CASE=1 && "$name")
        rc=$?
        if [ $rc -eq 77 ]; then
            echo "skip $name"
            continue
        elif [ $rc -ne 0 ]; then
            echo "FAIL $name"
            echo "rerun: bash $0 $SOURCE $BUILD $name"
            exit 1
        fi
        echo "ok   $name ($((SECONDS - begin)) s)"
    done
}
