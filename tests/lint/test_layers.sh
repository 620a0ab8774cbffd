# A module includes only what its line in src/LAYERS lists, private headers stay in their folder, and each
# foreign library is included in one module.
. "$(dirname "$0")/lib.sh"

foreign='
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
cuda kernels device
cublas kernels device
cudnn kernels device
nccl comm
mpi.h comm
'
folders=src
[ -d kernels ] && folders="src kernels"

bad_lines < <(
    # shellcheck disable=SC2086
    { sed 's/#.*//' src/LAYERS | grep ':'; echo ---; echo "$foreign"; echo ---
        find src -mindepth 1 -maxdepth 1 -type d; echo ---
        grep -rnoE '^ *# *include *("[^"]+"|<[^>]+>)' $folders --include='*.[ch]' --include='*.cc' \
            --include='*.cu' --include='*.cuh' --include='*.def'; } | awk '
        $0 == "---" { part++; next }
        part == 0 {
            split($0, f, ":"); n = split(f[2], below, " ")
            for (i = 1; i <= n; i++) {
                if (!(below[i] in known))
                    print "src/LAYERS:1: " f[1] " lists " below[i] ", which is not below it"
                allowed[f[1], below[i]] = 1
            }
            known[f[1]] = 1; allowed[f[1], f[1]] = 1; next }
        part == 1 && NF { pattern[++patterns] = $1; for (i = 2; i <= NF; i++) home[$1, $i] = 1
            where[$1] = $0; next }
        part == 2 { sub("src/", ""); if (!($0 in known)) print "src/" $0 ":1: module is not in src/LAYERS"; next }
        part == 3 {
            split($0, f, ":"); at = f[1] ":" f[2] ": "; header = f[3]; sub(/^ *# *include */, "", header)
            n = split(f[1], dir, "/"); module = dir[1] == "kernels" ? "kernels" : dir[2]
            if (header ~ /^"/) {
                gsub(/"/, "", header); n = split(header, h, "/")
                if (n == 1) print at header ": name the module: \"" module "/" header "\""
                else if (!((module, h[1]) in allowed)) print at module " must not include " header " (src/LAYERS)"
                else if (header ~ /_priv\.h$/ && h[1] != module) print at header " is private to " h[1]
            } else
                for (i = 1; i <= patterns; i++)
                    if (index(header, "<" pattern[i]) == 1 && !((pattern[i], module) in home))
                        print at module " must not include " header " (only: " where[pattern[i]] ")"
        }'
)
finish layers
