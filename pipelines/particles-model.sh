#!/bin/sh
# The weights that come with the program (pitflow/models/particles), made anew:
#     sh pipelines/particles-model.sh TILES WORKDIR
# TILES holds labelled tiles, NAME.png with NAME_mask.png beside it (paper 002, supporting data).
# First recordings are simulated and learned from; then, from those weights on, tiles and further
# recordings. The model is WORKDIR/model. On one processor core this takes about two hours; one
# thread, because sums in another order give other roundings.
set -eu
tiles=$1
work=$2
PITFLOW=${PITFLOW:-pitflow}
export PITFLOW OMP_NUM_THREADS=1
here=$(dirname "$0")

mkdir -p "$work"
sh "$here/particles-clips.sh" "$work/clips"
$PITFLOW train particles --recipe particles-first --data "$work/clips/first" -o "$work/first" \
    --device cpu --workers 1
$PITFLOW train particles --data "$tiles" --data "$work/clips/second" --initial "$work/first" \
    --folds 5 -o "$work/model" --device cpu --workers 1
