# Shared by the lint tests (arguments: source folder, build folder): feed violations to bad_lines, then call
# `finish NAME`.
set -u
export LC_ALL=C.UTF-8
SOURCE=$(cd "$1" && pwd)
BUILD=$2
FAILED=0
cd "$SOURCE" || exit 1

# Tracked and new source files below the given folders, by name pattern.
sources() { # sources 'PATTERN' FOLDER...
    local pattern=$1
    shift
    for folder in "$@"; do
        [ -d "$folder" ] && find "$folder" -type f -name "$pattern"
    done | sort
}

# Every text file that belongs to the repository.
all_files() {
    if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
        git ls-files --cached --others --exclude-standard
    else
        find . -type f -not -path './.git/*' -not -name .git -not -path './build*' -not -path './runs/*' | sed 's|^\./||'
    fi
}

# Read violations ("FILE:LINE: reason") from standard input. Those of files listed in tests/lint/pending
# ("LINT FILE") are shown but do not fail.
bad_lines() {
    local line lint
    lint=$(basename "$0" .sh)
    while IFS= read -r line; do
        [ -n "$line" ] || continue
        if grep -qxF "${lint#test_} ${line%%:*}" tests/lint/pending 2>/dev/null; then
            echo "$line (pending)"
        else
            echo "$line"
            FAILED=$((FAILED + 1))
        fi
    done
}

finish() {
    if [ "$FAILED" -gt 0 ]; then
        echo "$1: $FAILED violations"
        exit 1
    fi
    echo "$1: ok"
}
