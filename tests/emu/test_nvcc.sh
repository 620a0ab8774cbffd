# Every .cu file by nvcc for sm_80, sm_90 and sm_100, warnings are errors; registers, spills and shared memory of each
# kernel into <build>/registers.txt. A spill fails: nothing here is cold enough for one. Arguments: source, build folder.
set -u
cd "$1" || exit 1
build=$2
nvcc=$(launch/cuda-headers.sh --nvcc 2>/dev/null) || { echo "no nvcc, and none can be had"; exit 77; }
include=$(launch/cuda-headers.sh 2>/dev/null)
export CUDAFLAGS="-std=c++17 -Isrc -I. -I$include -D_GNU_SOURCE --expt-relaxed-constexpr -Werror=all-warnings
    -gencode=arch=compute_80,code=sm_80 -gencode=arch=compute_90,code=sm_90 -gencode=arch=compute_100,code=sm_100
    -Xptxas=-v,-warn-spills --fatbin"
logs=$build/nvcc
mkdir -p "$logs"

# A file is compiled again when it, a header of the kernels, or the compiler has changed.
stamp=$({ "$nvcc" --version; echo "$CUDAFLAGS"; find kernels src/base -name '*.cuh' -o -name '*.h' | sort | xargs cat; } | sha256sum)
export nvcc logs stamp
compile() {
    log=$logs/$(basename "$1").log
    key=$(printf '%s' "$stamp" | cat - "$1" | sha256sum)
    [ "$(head -1 "$log" 2>/dev/null)" = "$key" ] && return 0
    # shellcheck disable=SC2086
    if "$nvcc" $CUDAFLAGS -o /dev/null "$1" >"$log.new" 2>&1; then
        { echo "$key"; cat "$log.new"; } >"$log"
    else
        echo "$1: nvcc failed"
        head -30 "$log.new"
        rm -f "$log"
        return 1
    fi
}
export -f compile
find kernels -name '*.cu' | sort | xargs -P 2 -n 1 bash -c 'compile "$0"' || exit 1

for cu in $(find kernels -name '*.cu' | sort); do
    awk -v file="$cu" '
        /Compiling entry function/ { split($0, q, "\047"); kernel = q[2]; arch = q[4] }
        /bytes stack frame/ { spill = $5 + $9; stack = $1 }
        /Used [0-9]+ registers/ {
            match($0, /Used [0-9]+/); regs = substr($0, RSTART + 5, RLENGTH - 5)
            smem = match($0, /[0-9]+ bytes smem/) ? substr($0, RSTART, RLENGTH - 11) : 0
            print file, arch, regs, spill, stack, smem, kernel }' "$logs/$(basename "$cu").log"
done | { c++filt -p 2>/dev/null || cat; } >"$build/registers.txt"
awk '{ n++; if ($3 > most) { most = $3; which = $1 } if ($4 > 0) { print "spills " $4 " bytes: " $0; bad++ } }
    END { printf "nvcc: %d kernels (instances, three architectures), most registers %d in %s, %d spill\n", n, most, which, bad
          exit n == 0 || bad > 0 }' "$build/registers.txt"
