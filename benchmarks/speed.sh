#!/usr/bin/env bash
# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
#
# Time the tracker on the CPU of a quiet machine, beside the two references:
#   bash benchmarks/speed.sh [OUT [PIECE...]]
# OUT is benchmarks/results unless given, the pieces are all of those below; they run one after the
# other, since two would slow each other. On two cores all take about 25 minutes, SIZES ten of them.
# At the end all speed_*.json that are in OUT are put together in speed.md and speed.png.
set -euo pipefail
out=${1:-$(dirname "$0")/results}
[ $# -eq 0 ] || shift
pieces=${*:-tiny tiny_pruned_conditioning tiny_bfloat16 embedded embedded_targets tiny_compiled sizes}

time_piece() {  # NAME ARGUMENT...: one run of `fast-sam2 benchmark`
    local name=$1 code=0
    shift
    echo "== $name"
    rm -f "$out/speed_$name.json"
    fast-sam2 benchmark --device cpu "$@" --json "$out/speed_$name.json" || code=$?
    [ "$code" -le 1 ]  # 1: some variant could not be run, and the file names it
}

for piece in $pieces; do
    case $piece in
        tiny)
            time_piece $piece --model tiny --keep-ratio 1.0,0.5,0.3,0.1 --against hf,official \
                --repeats 7 ;;
        tiny_pruned_conditioning)
            time_piece $piece --model tiny --keep-ratio 1.0,0.5,0.3,0.1 --against hf,official \
                --prune-conditioning --repeats 5 ;;
        tiny_bfloat16)
            time_piece $piece --model tiny --keep-ratio 1.0,0.5,0.3,0.1 --against hf,official \
                --dtype bfloat16 --repeats 5 ;;
        tiny_compiled)
            time_piece $piece --model tiny --keep-ratio 1.0,0.3 --compile off,on --repeats 3 ;;
        embedded)
            time_piece $piece --model embedded --keep-ratio 1.0,0.5,0.3,0.1 --against hf \
                --dtype float32,bfloat16 --targets 1,8 --repeats 15 ;;
        embedded_targets)
            time_piece $piece --model embedded --keep-ratio 0.3 --compile off,on \
                --targets 1,2,4,8 --repeats 25 ;;
        sizes)
            time_piece $piece --model small,base-plus,large --keep-ratio 1.0,0.3 \
                --against hf,official --warm-up 1 --repeats 3 ;;
        *)
            echo "no such piece: $piece" >&2
            exit 2 ;;
    esac
done

found=("$out"/speed_*.json)
fast-sam2 benchmark --from "$(IFS=,; echo "${found[*]}")" --markdown "$out/speed.md" \
    --plot "$out/speed.png" > /dev/null
