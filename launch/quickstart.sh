#!/usr/bin/env bash
# From a fresh Debian 12 to edited videos: installs what is missing (apt), builds, makes a small catalog and a small
# randomly initialised model with the project's own generator, and runs configs/quickstart.yaml.
# Safe to run again: finished work is not repeated.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

launch/deps.sh
bin=build-release
mkdir -p $bin
echo "quickstart: building ($bin/, about a minute the first time)"
{
    cmake --preset release && cmake --build --preset release -j "$(nproc)" --target reshoot reshoot-world
} >$bin/build.log 2>&1 || { tail -50 $bin/build.log; echo "quickstart: does not build, see $PWD/$bin/build.log" >&2; exit 1; }

if [ ! -f runs/quickstart-data/done ]; then
    echo "quickstart: making the catalog and the model (runs/quickstart-data/)"
    rm -rf runs/quickstart-data
    mkdir -p runs/quickstart-data
    $bin/reshoot-world quickstart runs/quickstart-data/catalog
    $bin/reshoot-world model runs/quickstart-data/model
    touch runs/quickstart-data/done
fi

echo "quickstart: $bin/reshoot run configs/quickstart.yaml"
$bin/reshoot run configs/quickstart.yaml
echo "quickstart: the files named above are in $PWD"
echo "quickstart: the model is randomly initialised, so the edits are noise: with real weights see README.md"
