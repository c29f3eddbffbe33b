#!/bin/sh
# The panel model that comes with the program (pitflow/models/panels), made anew:
#     sh pipelines/panel-model.sh PHOTOGRAPHS WORKDIR
# PHOTOGRAPHS holds labelled photographs of rust, NAME.jpg with NAME_mask.png beside it. Scribed
# panels are rendered, every second with a coating of the colour of rust, and all are learned from.
# The model is WORKDIR/model. On one processor core this takes about half an hour.
set -eu
photographs=$1
work=$2
PITFLOW=${PITFLOW:-pitflow}
export OMP_NUM_THREADS=1
here=$(dirname "$0")

mkdir -p "$work"
[ -d "$work/rendered" ] || $PITFLOW simulate-panels "$work/rendered" --panels 96 \
    --size 320 --scale 0.2 --rust-coloured 0.5
$PITFLOW train panel --recipe "$here/panel-included.toml" --data "$photographs" \
    --data "$work/rendered" -o "$work/model" --device cpu --workers 1 \
    --note "Photographs of rust: yolov8_corrosion_segmentation, CC BY 4.0; panels: rendered"
