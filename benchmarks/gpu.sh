#!/usr/bin/env bash
# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
#
# Time the tracker on a GPU, beside the two references and Meta's own compiled variant:
#   bash benchmarks/gpu.sh [OUT [MODEL...]]
# OUT is benchmarks/results unless given, the models are all four sizes and the embedded one. A
# process each, since a model's graphs keep their memory as long as it runs. Needs a CUDA build of
# PyTorch and requirements/official.txt.
# At the end all gpu_*.json that are in OUT are put together in gpu.md and gpu.png.
set -euo pipefail
out=${1:-$(dirname "$0")/results}
[ $# -eq 0 ] || shift
models=${*:-tiny small base-plus large embedded}

time_piece() {  # NAME ARGUMENT...: one run of `fast-sam2 benchmark`
    local name=$1 code=0
    shift
    echo "== $name"
    rm -f "$out/gpu_$name.json"
    fast-sam2 benchmark --device cuda --warm-up 5 --repeats 50 "$@" \
        --json "$out/gpu_$name.json" || code=$?
    [ "$code" -le 1 ]  # 1: some variant could not be run, and the file names it
}

for model in $models; do
    against=hf,official
    [ "$model" != embedded ] || against=hf  # Meta's predictor has no such backbone
    for dtype in float32 bfloat16; do
        time_piece "${model}_$dtype" --model "$model" --keep-ratio 1.0,0.5,0.3,0.1 \
            --against $against --dtype $dtype --compile off,on
        time_piece "${model}_${dtype}_pruned_conditioning" --model "$model" \
            --keep-ratio 1.0,0.5,0.3,0.1 --dtype $dtype --compile off,on --prune-conditioning
    done
    time_piece "${model}_targets" --model "$model" --keep-ratio 1.0,0.3 --against $against \
        --dtype bfloat16 --compile off,on --targets 1,2,4,8
done

found=("$out"/gpu_*.json)
fast-sam2 benchmark --from "$(IFS=,; echo "${found[*]}")" --markdown "$out/gpu.md" \
    --plot "$out/gpu.png" > /dev/null
