# Nothing of the machine that a file was made on: home folders, absolute work folders, private hosts.
. "$(dirname "$0")/lib.sh"

# Written in pieces so that this file does not match itself.
roots='/wo''rk/|/ho''me/[a-z]|/ro''ot/|/Us''ers/|/mn''t/[a-z]|/scr''atch/'
hosts='https?://[^/ ]*\.(inter''nal|lo''cal|co''rp|la''n)([:/ ]|$)|https?://(10|127|192\.168)\.|index-''url'
bad_lines < <(
    all_files | tr '\n' '\0' | xargs -0 grep -nHIE "$roots|$hosts" 2>/dev/null |
        awk -F: '{ print $1 ":" $2 ": machine path or private host" }'
)
finish private
