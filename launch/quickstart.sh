#!/usr/bin/env bash
# From a fresh Debian 12 to edited videos: installs what is missing (apt), builds, makes a small catalog and a small
# randomly initialised model with the project's own generator, and runs configs/quickstart.yaml.
# Safe to run again: finished work is not repeated.
set -euo pipefail
cd "$(dirname "$0")/.."
source launch/env.sh

launch/deps.sh
echo "quickstart: building (build-release/)"
cmake --preset release >build-release.log 2>&1 || { cat build-release.log; exit 1; }
cmake --build --preset release -j "$(nproc)" >>build-release.log 2>&1 || { tail -50 build-release.log; exit 1; }
rm -f build-release.log
bin=build-release

if [ ! -f runs/quickstart-data/done ]; then
    echo "quickstart: making the catalog and the model (runs/quickstart-data/)"
    rm -rf runs/quickstart-data
    mkdir -p runs/quickstart-data
    $bin/reshoot-world quickstart runs/quickstart-data/catalog
    $bin/reshoot-world model runs/quickstart-data/model
    touch runs/quickstart-data/done
fi

echo "quickstart: reshoot run configs/quickstart.yaml"
$bin/reshoot run configs/quickstart.yaml
