#!/usr/bin/env bash
# From a fresh Debian 12 to edited videos: installs what is missing (apt), builds, makes a few clips of the small world
# and edits them with the small trained model of this repository (configs/quickstart.yaml). Where OpenCV's
# vtest.avi is installed (apt install opencv-doc), a real video follows (configs/pedestrians.yaml).
# Safe to run again: finished work is not repeated.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

launch/deps.sh
bin=build-release
data=runs/quickstart-data
mkdir -p $bin
echo "quickstart: building ($bin/, about a minute the first time)"
{
    cmake --preset release && cmake --build --preset release -j "$(nproc)" --target reshoot reshoot-world
} >$bin/build.log 2>&1 || { tail -50 $bin/build.log; echo "quickstart: does not build, see $PWD/$bin/build.log" >&2; exit 1; }

if [ ! -f $data/catalog.yaml ]; then
    echo "quickstart: making four clips, their edits and the catalog ($data/)"
    $bin/reshoot-world smallworld $data --count 4
fi
echo "quickstart: $bin/reshoot run configs/quickstart.yaml"
$bin/reshoot run configs/quickstart.yaml

vtest=${RS_VTEST:-/usr/share/doc/opencv-doc/examples/data/vtest.avi}
if [ -s "$vtest" ]; then
    [ -f runs/pedestrians-data/catalog.yaml ] || $bin/reshoot-world pedestrians "$vtest" runs/pedestrians-data
    echo "quickstart: $bin/reshoot run configs/pedestrians.yaml"
    $bin/reshoot run configs/pedestrians.yaml
    echo "quickstart: the small model knows nothing but the small world: the pedestrians show the road, not quality"
fi
echo "quickstart: the files named above are in $PWD; look at the contact sheets first (runs/quickstart/sheets/)"
echo "quickstart: with real weights and your own videos see README.md"
