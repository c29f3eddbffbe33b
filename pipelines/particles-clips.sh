#!/bin/sh
# Simulated recordings, with their truth, to train the particle model on:
#     sh pipelines/particles-clips.sh FOLDER
# gives FOLDER/first (for training from nothing) and FOLDER/second (to go on with, beside labelled
# tiles). Light, steel, noise, flow and particles differ from clip to clip. The seeds from 1000 on
# are left for tests.
set -eu
folder=$1
PITFLOW=${PITFLOW:-pitflow}

clip() { # set seed pits rate noise kappa radius height k brightness scratches degrees specks drift shake codec
    mkdir -p "$folder/$1"
    settings=$folder/$1/clip-$2.toml
    cat > "$settings" <<END
frames = 120
height = 720
width = 720
pits = $3
rate = $4
noise = $5
preference = $6
codec = "${16}"
[optics]
radius_px = $7
k_px_per_um = $9
[motion]
height_um = $8
stray_burst_share = 0.1
[steel]
brightness = ${10}
scratches = ${11}
scratch_deg = ${12}
specks_per_mpx = ${13}
[camera]
drift_px = ${14}
shake_px = ${15}
END
    $PITFLOW simulate "$folder/$1/clip-$2.avi" --truth "$folder/$1/clip-$2" --seed "$2" \
        --config "$settings" --overwrite
}

#           seed pits rate noise kappa radius height k brightness scratches deg specks drift shake codec
clip first     1 3 0.30 2.6 4.0 1.6 12 0.25 0.83 1.0   29  450 1.0 0.0 mjpeg
clip first     2 2 0.60 2.2 2.0 1.5 16 0.25 0.80 0.8   29  300 1.0 0.0 mjpeg
clip first     3 4 0.25 3.2 6.0 1.7 10 0.25 0.85 1.2  120  600 2.0 0.0 mjpeg
clip first     4 1 0.80 2.6 4.0 1.4 20 0.20 0.70 1.0   75  450 0.5 0.1 mjpeg
clip first     5 3 0.40 1.5 0.0 1.6 14 0.30 0.90 0.6    0  200 1.0 0.0 ffv1
clip first     6 5 0.20 2.6 4.0 1.8 12 0.25 0.83 1.4   29  800 1.0 0.0 mjpeg
clip first     7 2 0.50 4.0 4.0 1.9 12 0.22 0.60 1.0  150  450 1.5 0.2 mjpeg
clip first     8 3 0.15 2.0 8.0 1.3  8 0.25 0.83 1.0   29  450 1.0 0.0 raw
clip first     9 4 0.50 2.6 3.0 1.6 18 0.25 0.78 0.9   29  400 0.0 0.0 mjpeg
clip first    10 2 0.30 3.0 4.0 2.2 12 0.25 0.83 1.1   60  500 3.0 0.0 mjpeg
clip first    11 3 0.70 2.6 1.0 1.6 12 0.28 0.88 1.0   29  350 1.0 0.0 mjpeg
clip first    12 0 0.30 2.4 4.0 1.6 14 0.25 0.83 1.0   29  700 1.0 0.0 mjpeg
clip first    13 6 0.30 2.6 4.0 1.5 12 0.25 0.83 1.0   29  450 1.0 0.0 mjpeg
clip first    14 3 0.40 3.5 5.0 1.6 24 0.22 0.75 1.3  100  450 1.0 0.1 mjpeg
clip second   21 3 0.30 2.6 4.0 1.6 12 0.25 0.83 1.0   29  450 1.0 0.0 mjpeg
clip second   22 2 0.60 2.6 4.0 1.6 14 0.25 0.82 1.0   29  450 1.0 0.0 mjpeg
clip second   23 4 0.30 2.2 2.0 1.5 10 0.28 0.86 0.8   45  300 0.5 0.0 mjpeg
clip second   24 3 0.45 3.0 6.0 1.8 16 0.22 0.80 1.2   29  600 2.0 0.1 mjpeg
clip second   25 5 0.25 2.6 4.0 1.6 12 0.25 0.83 1.0  140  450 1.0 0.0 mjpeg
clip second   26 2 0.30 1.8 4.0 1.4 18 0.25 0.88 0.9   29  500 1.0 0.0 ffv1
clip second   27 3 0.80 2.6 3.0 1.6 12 0.25 0.83 1.0   29  450 1.0 0.0 mjpeg
clip second   28 1 0.50 3.6 4.0 1.9 20 0.20 0.68 1.1   80  350 1.5 0.0 mjpeg
