#!/bin/sh
# The weights that come with the program (pitflow/models/particles), made anew:
#     sh pipelines/particles-model.sh TILES WORKDIR
# TILES holds labelled tiles, NAME.png with NAME_mask.png beside it (paper 002, supporting data).
# The network for recordings learns from simulated ones, that for single images from the tiles. The
# model is WORKDIR/particles. On one processor core with bfloat16 this takes about two hours, and 14 GB of
# disk for a while; one thread, because sums in another order give other roundings.
set -eu
tiles=$1
work=$2
PITFLOW=${PITFLOW:-pitflow}
PYTHON=${PYTHON:-python}
export PITFLOW OMP_NUM_THREADS=1
here=$(dirname "$0")

mkdir -p "$work"
sh "$here/particles-clips.sh" "$work/clips"
$PITFLOW train particles --data "$work/clips" -o "$work/model" --device cpu --workers 1
$PITFLOW train particles --data "$tiles" --folds 5 -o "$work/model/stills" --device cpu --workers 1
for part in . stills; do
    $PYTHON "$here/included.py" "$work/model/$part" "$work/particles/$part" \
        --command "sh pipelines/particles-model.sh TILES WORKDIR" \
        --note "simulated recordings (pipelines/particles-clips.sh); labelled tiles of paper 002"
done
