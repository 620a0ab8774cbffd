# .clang-format, in the version of Debian 12 (others differ in details).
. "$(dirname "$0")/lib.sh"

command -v clang-format >/dev/null || { echo "no clang-format"; exit 77; }
clang-format --version | grep -q 'version 14\.' || { clang-format --version; exit 77; }
bad_lines < <(
    { sources '*.[ch]' src kernels tests datasets; sources '*.cc' src; } |
        xargs clang-format --dry-run -ferror-limit=1 2>&1 |
        grep -E 'warning: code should be clang-formatted' |
        awk -F: '!seen[$1]++ { print $1 ":" $2 ": not formatted (clang-format -i)" }'
)
finish format
