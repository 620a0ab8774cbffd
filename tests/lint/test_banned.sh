# Calls that have one wrapping file: memory, process exit, terminal output, unchecked parsing, copying.
. "$(dirname "$0")/lib.sh"

bad_lines < <(
    { sources '*.[ch]' src kernels datasets; sources '*.cu*' src kernels; sources '*.cc' src; } | xargs perl -e '
        # function -> the file that wraps it; standard output belongs to the programs
        my %wrapper = (map({ $_ => qr{^src/base/arena\.c$} }
                           qw(malloc calloc realloc free aligned_alloc posix_memalign)),
                       abort => qr{^src/base/status\.c$},
                       map({ $_ => qr{^src/cli/main\.c$} } qw(exit quick_exit)),
                       _exit => qr{^src/comm/exit\.c$},
                       map({ $_ => qr{^(src/cli|datasets)/} } qw(printf vprintf puts putchar)));
        my $names = join "|", keys %wrapper, qw(strcpy strcat sprintf vsprintf gets strtok atoi atol atoll atof
            rand srand random drand48 system alloca setlocale);
        for my $file (@ARGV) {
            open(my $f, "<", $file) or die "$file: $!";
            my $text = do { local $/; <$f> };
            # comments and string contents away, line breaks kept
            $text =~ s{(/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\x27(?:\\.|[^\x27\\\n])*\x27)}
                      {my $n = ($1 =~ tr/\n//); " " . "\n" x $n}gse;
            my $line = 0;
            for (split /\n/, $text, -1) {
                $line++;
                while (/(?<![A-Za-z0-9_.>])($names)\s*\(/g) {
                    next if $wrapper{$1} && $file =~ $wrapper{$1};
                    print "$file:$line: banned call $1()\n";
                }
            }
        }'
)
finish banned
