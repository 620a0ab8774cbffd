# Lines at most 100 columns, functions 100 lines, files 700 lines (.cu 1000); no tabs, no trailing blanks.
. "$(dirname "$0")/lib.sh"

files=$({ sources '*.[ch]' src kernels tests datasets; sources '*.cu*' src kernels; sources '*.cc' src; } | sort -u)
bad_lines < <(
    # shellcheck disable=SC2086
    {
        grep -nHE '^.{101,}$' $files | awk -F: '{ print $1 ":" $2 ": line is longer than 100 columns" }'
        grep -nHP '\t' $files | awk -F: '{ print $1 ":" $2 ": tab" }'
        grep -nHE ' +$' $files | awk -F: '{ print $1 ":" $2 ": trailing blanks" }'
        wc -l $files | awk '$2 != "total" { limit = $2 ~ /\.cuh?$/ ? 1000 : 700
            if ($1 > limit) print $2 ":" limit ": file has " $1 " lines, at most " limit }'
        # House style puts the braces of a function body, and nothing else, alone in column 1.
        awk 'FNR == 1 { start = 0 }
            /^{/ { start = FNR }
            /^}/ { if (start && FNR - start - 1 > 100)
                       print FILENAME ":" start ": function has " FNR - start - 1 " lines, at most 100"
                   start = 0 }' $files
    }
)
finish sizes
