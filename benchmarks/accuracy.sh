#!/usr/bin/env bash
# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
#
# Make the result files behind docs/ACCURACY.md again:
#   bash benchmarks/accuracy.sh DAVIS RENDERED OUT
# DAVIS is a folder in its layout with expressions.csv; RENDERED holds the sets text/ and lost/ of
# `python -m fast_sam2_ros.evaluation.rendered`. JOBS (2) processes run at a time with a thread each:
# the masks do not depend on it, the frames a second do. A piece that is there already is kept.
set -euo pipefail
davis=$1 rendered=$2
export out=$3 OMP_NUM_THREADS=1
mkdir -p "$out/pieces"

pieces() {  # GROUP.NAME ARGUMENT...: one run of `fast-sam2 evaluate` a line
    local router
    local named="$davis --expressions $davis/expressions.csv"
    local lost_named="$rendered/lost --every 2 --expressions $rendered/lost/expressions.csv"
    for router in analytic prior-only random learned learned-prior; do
        echo "routers.$router $named --router $router --keep-ratio 0.5,0.3,0.1"
        echo "slow.$router $named --every 4 --router $router --keep-ratio 0.3"
    done
    for router in analytic prior-only learned; do
        echo "lost.$router $lost_named --router $router --keep-ratio 0.3"
    done
    for router in analytic prior-only random learned; do
        echo "rendered.$router $rendered/text --prompt text --router $router --keep-ratio 0.3"
    done
    for router in analytic learned; do
        echo "rendered.half_$router $rendered/text --prompt text --router $router --keep-ratio 0.5"
        echo "text.$router $davis --prompt text --router $router --keep-ratio 0.5"
    done
    echo "routers.whole $named --router analytic --keep-ratio 1.0"
    echo "slow.whole $named --every 4 --router analytic --keep-ratio 1.0"
    echo "lost.whole $lost_named --router analytic --keep-ratio 1.0"
    echo "rendered.whole $rendered/text --prompt text --router analytic --keep-ratio 1.0"
    echo "text.whole $davis --prompt text --router analytic --keep-ratio 1.0"
    echo "rendered.pointed $rendered/text --prompt mask --router analytic --keep-ratio 0.5"
    echo "rendered.boxed $rendered/text --prompt box --router analytic --keep-ratio 0.5"
    echo "wordless.davis_learned $davis --router learned --keep-ratio 0.3"
    echo "other.288px $named --router analytic --keep-ratio 1.0 --image-size 288"
    echo "other.224px $named --router analytic --keep-ratio 1.0 --image-size 224"
    echo "other.1frame $named --router analytic --keep-ratio 1.0 --memory-frames 1"
    echo "other.5percent $named --router analytic --keep-ratio 1.0 --memory-keep-ratio 0.05"
}

evaluate() {
    local name=$1
    shift
    [ -e "$out/pieces/$name.json" ] && return
    fast-sam2 evaluate "$@" --model embedded --json "$out/pieces/$name.running" \
        > "$out/pieces/$name.log" 2>&1
    mv "$out/pieces/$name.running" "$out/pieces/$name.json"
}

merge() {  # GROUP: its pieces as one result
    local found=("$out"/pieces/"$1".*.json)
    fast-sam2 evaluate --from "$(IFS=,; echo "${found[*]}")" --json "$out/accuracy_$1.json" \
        > "$out/accuracy_$1.log"
}

export -f evaluate
pieces | xargs -P "${JOBS:-2}" -I{} bash -euc 'evaluate {}'
for group in routers text rendered lost slow wordless other; do
    merge "$group"
done
fast-sam2 evaluate --from "$out/accuracy_routers.json" --plot "$out/accuracy.png" > "$out/plot.log"
