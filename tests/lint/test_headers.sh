# Every header compiles alone, and has a guard of its own that ends with its name.
. "$(dirname "$0")/lib.sh"

flags=$(grep -oE -- '(-I|-isystem )[^ "]+' "$BUILD/compile_commands.json" 2>/dev/null | sort -u | tr '\n' ' ')
export flags
compile() {
    # shellcheck disable=SC2086
    gcc -std=c17 -D_GNU_SOURCE -Wall -Wextra -Werror -fsyntax-only -Isrc -I. -Itests -DRS_SOURCE_DIR=\"\" -DRS_BUILD_DIR=\"\" $flags \
        -include "$1" -x c /dev/null 2>&1 | grep -m1 error | sed "s|^|$1:1: not alone: |"
}
export -f compile
guards=$(mktemp)
headers=$(sources '*.h' src kernels tests datasets)
bad_lines < <(
    xargs -P 4 -n 1 bash -c 'compile "$0"' <<<"$headers"
    for header in $headers; do
        base=$(basename "$header" | sed 's/[^A-Za-z0-9]/_/g' | tr a-z A-Z)
        guard=$(grep -m1 -oE '^#(ifndef RS_[A-Z0-9_]+|pragma once)' "$header")
        case $guard in
        "#ifndef RS_"*"_$base") echo "$guard" >>"$guards" ;;
        *) echo "$header:1: guard is '$guard', want '#ifndef RS_..._$base'" ;;
        esac
    done
    sort "$guards" | uniq -d | sed 's/#ifndef //' | while read -r guard; do
        grep -lx "#ifndef $guard" $headers | sed "s/$/:1: guard $guard is used twice/"
    done
)
rm -f "$guards"
finish headers
