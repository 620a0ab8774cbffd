# Scripts that people run are clean by shellcheck, and start only what they can say how to call.
. "$(dirname "$0")/lib.sh"

command -v shellcheck >/dev/null || { echo "there is no shellcheck"; exit 77; }
bad_lines < <(
    shellcheck -f gcc -s bash -S warning -x -P SCRIPTDIR .ci/run launch/*.sh slurm/*.sbatch slurm/*.sh tests/harness/*.sh \
        tests/e2e/*.sh tests/emu/*.sh 2>&1
    for script in launch/local.sh launch/submit.sh; do
        bash "$script" --help 2>&1 | grep -q "^usage: $script EXP.yaml" || echo "$script:1: no --help"
    done
)
finish shell
