# Generated references are those of the built binary.
. "$(dirname "$0")/lib.sh"

[ -x "$BUILD/reshoot" ] || { echo "no $BUILD/reshoot"; exit 77; }
"$BUILD/reshoot" help 2>&1 | grep -qw schema || { echo "no reshoot schema"; exit 77; }
fresh() { # FILE COMMAND...
    local file=$1
    shift
    "$@" >"$BUILD/lint-docs.tmp" 2>&1 && cmp -s "$BUILD/lint-docs.tmp" "$file" ||
        echo "$file:1: stale: $(basename "$1") ${*:2} > $file"
}
bad_lines < <(
    fresh configs/REFERENCE.md "$BUILD/reshoot" schema --md
    fresh configs/reference.yaml "$BUILD/reshoot" schema --yaml
)
rm -f "$BUILD/lint-docs.tmp"
finish docs
