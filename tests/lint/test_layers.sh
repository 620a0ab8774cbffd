# A module includes only what its line in src/LAYERS lists, private headers stay in their folder, and each
# foreign library is included in one module.
. "$(dirname "$0")/lib.sh"

includes() { # FILE:LINE:HEADER of every include of a module, quotes or angle brackets kept
    grep -rnoE '^ *# *include *("[^"]+"|<[^>]+>)' "$1" --include='*.[ch]' --include='*.cc' \
        --include='*.cu' --include='*.cuh' --include='*.def' | sed -E 's/ *# *include *//'
}

# header pattern -> modules that may include it
foreign() {
    cat <<'TABLE'
yaml.h config
hdf5 store
H5 store
jansson.h store
libav media
libsw media
cblas kernels
openblas kernels
lapack kernels
sentencepiece text
cuda kernels,device
cublas kernels,device
cudnn kernels,device
nccl comm
mpi.h comm
TABLE
}

check_module() { # MODULE FOLDER ALLOWED...
    local module=$1 folder=$2
    shift 2
    [ -d "$folder" ] || return 0
    includes "$folder" | awk -v module="$module" -v allowed=" $* $module " '
        { split($0, f, ":"); file = f[1]; line = f[2]; header = f[3] }
        header ~ /^"/ {
            gsub(/"/, "", header)
            n = split(header, part, "/")
            if (n == 1) { print file ":" line ": " header ": name the module: \"" module "/" header "\""; next }
            if (index(allowed, " " part[1] " ") == 0)
                print file ":" line ": " module " must not include " header " (src/LAYERS)"
            else if (header ~ /_priv\.h$/ && part[1] != module)
                print file ":" line ": " header " is private to " part[1]
        }'
    foreign | while read -r pattern modules; do
        case ",$modules," in *",$module,"*) continue ;; esac
        includes "$folder" | awk -v p="$pattern" -v m="$module" -v where="$modules" '
            { split($0, f, ":") }
            f[3] ~ /^</ && index(f[3], "<" p) == 1 {
                print f[1] ":" f[2] ": " m " must not include " f[3] " (only " where ")" }'
    done
}

layers=$(sed -E 's/#.*//' src/LAYERS | grep ':')
bad_lines < <(
    while IFS=: read -r module allowed; do
        folder=src/$module
        [ "$module" = kernels ] && folder=kernels
        # shellcheck disable=SC2086
        check_module "$module" "$folder" $allowed
    done <<<"$layers"
    for folder in src/*/; do
        module=$(basename "$folder")
        grep -q "^$module:" <<<"$layers" || echo "src/$module: module is not in src/LAYERS"
    done
    # Lowest first: a module may list only what stands above it.
    awk -F: '{ n = split($2, a, " "); for (i = 1; i <= n; i++) if (!(a[i] in seen))
        print "src/LAYERS: " $1 " lists " a[i] ", which is not below it"; seen[$1] = 1 }' <<<"$layers"
)
finish layers
