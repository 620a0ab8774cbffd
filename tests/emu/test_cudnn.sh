#!/usr/bin/env bash
# emu_cudnn with the toolkit's libraries, and its stub in place of the driver's.
#   test_cudnn.sh PROGRAM FOLDER_OF_LIBRARIES
set -uo pipefail
stub=$(mktemp -d)
trap 'rm -rf "$stub"' EXIT
if [ -e "$2/stubs/libcuda.so" ]; then
    ln -s "$2/stubs/libcuda.so" "$stub/libcuda.so.1"
    export RS_TEST_STUB=1
fi
LD_LIBRARY_PATH=$2:$stub${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} "$1"
