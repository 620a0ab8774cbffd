# Calls that have one wrapping file: memory, process exit, terminal output, unchecked parsing, copying.
. "$(dirname "$0")/lib.sh"

# The file that wraps a function; standard output belongs to the command line.
allowed() { # FUNCTION FILE
    case $1 in
    malloc | calloc | realloc | free | aligned_alloc | posix_memalign) echo src/base/arena.c ;;
    abort) echo src/base/status.c ;;
    exit | _exit | quick_exit) echo src/cli/main.c ;;
    printf | vprintf | puts | putchar) case $2 in src/cli/*) echo "$2" ;; esac ;;
    esac
}

names='malloc|calloc|realloc|free|aligned_alloc|posix_memalign|strcpy|strcat|sprintf|vsprintf|gets|strtok'
names="$names|atoi|atol|atoll|atof|rand|srand|random|drand48|exit|_exit|quick_exit|abort|printf|vprintf|puts"
names="$names|putchar|system|alloca|setlocale"
bad_lines < <(
    { sources '*.[ch]' src kernels datasets; sources '*.cu*' src kernels; sources '*.cc' src; } |
        while read -r file; do
            code_of "$file" | grep -noE "(^|[^A-Za-z0-9_.>])($names) *\(" |
                while IFS=: read -r line call; do
                    name=$(grep -oE "($names) *\($" <<<"$call" | tr -d ' (')
                    [ "$(allowed "$name" "$file")" = "$file" ] || echo "$file:$line: banned call $name()"
                done
        done
)
finish banned
