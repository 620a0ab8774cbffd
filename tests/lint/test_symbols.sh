# Global functions carry the project prefix (a missing `static` shows here), and there is no mutable global
# state outside the error record, the log, the fence and an answer of the processor.
. "$(dirname "$0")/lib.sh"

library=$BUILD/librs.a
[ -f "$library" ] || { echo "no $library"; exit 77; }
nm "$library" 2>/dev/null | grep -q '__asan_\|__ubsan_' && { echo "sanitizers add symbols"; exit 77; }
bad_lines < <(
    objdump -t "$library" 2>/dev/null | awk '
        /:     file format / { object = $1; sub(/:$/, "", object); next }
        NF < 5 { next }
        { name = $NF; bind = substr($0, 18, 1); type = substr($0, 24, 1); split(substr($0, 26), f, "\t| ")
          section = f[1] }
        name ~ /^(_Z|__|\.|DW\.|_GLOBAL_)/ { next }
        bind == "g" && type ~ /[FO]/ && name !~ /^rs_/ {
            print object ":1: " name " is global but not rs_*" }
        # status and log: the error record of a thread; fence: a pointer per thread, so that no layer between a
        # job and the files it puts into place can forget it; av: the callback of libav has no user pointer;
        # sha256: what the processor can do, asked once (CPUID traps on virtual machines)
        section ~ /^(\.data|\.bss|\.tdata|\.tbss|\*COM\*)$/ &&
            object !~ /^(status|log|fence|av|sha256)\.c\.o$/ {
            print object ":1: " name " is mutable global state (" section ")" }'
)
finish symbols
