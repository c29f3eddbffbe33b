#!/bin/sh
# Simulated recordings, with their truth, to train the particle model on:
#     sh pipelines/particles-clips.sh FOLDER
# Light, steel, noise, flow, particles, the shape of their blur and how crowded it is differ from clip
# to clip. The seeds from
# 1000 on are left for tests.
set -eu
folder=$1
PITFLOW=${PITFLOW:-pitflow}
mkdir -p "$folder"

clip() { # seed pits rate noise kappa radius height k brightness scratches degrees specks drift shake codec [speed flight defocus]
    settings=$folder/clip-$1.toml
    cat > "$settings" <<END
frames = 120
height = 720
width = 720
pits = $2
rate = $3
noise = $4
preference = $5
codec = "${15}"
[optics]
radius_px = $6
k_px_per_um = $8
defocus = "${18:-gaussian}"
[motion]
height_um = $7
stray_burst_share = 0.1
speed_px = ${16:-5}
flight_frames = ${17:-70}
[steel]
brightness = $9
scratches = ${10}
scratch_deg = ${11}
specks_per_mpx = ${12}
[camera]
drift_px = ${13}
shake_px = ${14}
END
    $PITFLOW simulate "$folder/clip-$1.avi" --truth "$folder/clip-$1" --seed "$1" \
        --config "$settings" --overwrite
}

#    seed pits rate noise kappa radius height k brightness scratches deg specks drift shake codec speed flight
clip 1 3 0.30 2.6 4.0 1.6 12 0.25 0.83 1.0   29  450 1.0 0.0 mjpeg
clip 2 2 0.60 2.2 2.0 1.5 16 0.25 0.80 0.8   29  300 1.0 0.0 mjpeg
clip 3 4 0.25 3.2 6.0 1.7 10 0.25 0.85 1.2  120  600 2.0 0.0 mjpeg
clip 4 1 0.80 2.6 4.0 1.4 20 0.20 0.70 1.0   75  450 0.5 0.1 mjpeg
clip 5 3 0.40 1.5 0.0 1.6 14 0.30 0.90 0.6    0  200 1.0 0.0 ffv1
clip 6 5 0.20 2.6 4.0 1.8 12 0.25 0.83 1.4   29  800 1.0 0.0 mjpeg
clip 7 2 0.50 4.0 4.0 1.9 12 0.22 0.60 1.0  150  450 1.5 0.2 mjpeg
clip 8 3 0.15 2.0 8.0 1.3  8 0.25 0.83 1.0   29  450 1.0 0.0 raw
clip 9 4 0.50 2.6 3.0 1.6 18 0.25 0.78 0.9   29  400 0.0 0.0 mjpeg
clip 10 2 0.30 3.0 4.0 2.2 12 0.25 0.83 1.1   60  500 3.0 0.0 mjpeg
clip 11 3 0.70 2.6 1.0 1.6 12 0.28 0.88 1.0   29  350 1.0 0.0 mjpeg
clip 12 0 0.30 2.4 4.0 1.6 14 0.25 0.83 1.0   29  700 1.0 0.0 mjpeg
clip 13 6 0.30 2.6 4.0 1.5 12 0.25 0.83 1.0   29  450 1.0 0.0 mjpeg
clip 14 3 0.40 3.5 5.0 1.6 24 0.22 0.75 1.3  100  450 1.0 0.1 mjpeg
clip 21 3 0.30 2.6 4.0 1.6 12 0.25 0.83 1.0   29  450 1.0 0.0 mjpeg
clip 22 2 0.60 2.6 4.0 1.6 14 0.25 0.82 1.0   29  450 1.0 0.0 mjpeg
clip 23 4 0.30 2.2 2.0 1.5 10 0.28 0.86 0.8   45  300 0.5 0.0 mjpeg
clip 24 3 0.45 3.0 6.0 1.8 16 0.22 0.80 1.2   29  600 2.0 0.1 mjpeg
clip 25 5 0.25 2.6 4.0 1.6 12 0.25 0.83 1.0  140  450 1.0 0.0 mjpeg
clip 26 2 0.30 1.8 4.0 1.4 18 0.25 0.88 0.9   29  500 1.0 0.0 ffv1
clip 27 3 0.80 2.6 3.0 1.6 12 0.25 0.83 1.0   29  450 1.0 0.0 mjpeg
clip 28 1 0.50 3.6 4.0 1.9 20 0.20 0.68 1.1   80  350 1.5 0.0 mjpeg
clip 31 8 0.60 2.6 4.0 1.6 12 0.25 0.83 1.0   29  450 1.0 0.0 mjpeg
clip 32 6 0.90 2.8 3.0 1.5 14 0.25 0.80 1.0   29  450 1.0 0.0 mjpeg
clip 33 4 0.50 2.6 4.0 1.6 12 0.25 0.83 1.0   60  450 1.0 0.0 mjpeg 2.0 120
clip 34 3 0.30 2.4 4.0 1.7 10 0.25 0.85 0.9  110  600 0.5 0.0 mjpeg 1.0 100
clip 35 5 0.40 2.6 6.0 1.5  6 0.25 0.83 1.1   29  500 1.0 0.0 mjpeg
clip 36 3 0.60 2.6 2.0 1.6 14 0.25 0.78 1.0   29  450 1.5 0.0 mjpeg 10
clip 37 4 0.30 2.6 4.0 1.8 25 0.25 0.83 1.0  140  450 1.0 0.0 mjpeg
clip 38 7 0.40 3.4 4.0 1.7 12 0.23 0.72 1.2   29  450 1.0 0.0 mjpeg
clip 39 2 0.30 2.6 0.0 1.6 12 0.25 0.83 1.0    0 1200 1.0 0.0 mjpeg
clip 40 4 0.50 2.6 5.0 2.4 14 0.25 0.83 1.0   29  450 2.0 0.1 mjpeg
clip 41 5 0.70 2.2 4.0 1.5 12 0.28 0.86 0.8   45  350 1.0 0.0 mjpeg 3.0 90
clip 42 3 0.40 2.6 4.0 1.6 16 0.25 0.83 1.3   29  600 3.0 0.3 mjpeg
clip 43 6 0.30 3.2 4.0 1.6 12 0.22 0.65 1.0   90  450 1.0 0.0 mjpeg
clip 44 4 0.60 1.2 3.0 1.4 18 0.28 0.88 0.7   29  300 1.0 0.0 ffv1
clip 51 3 0.30 2.6 4.0 1.6 12 0.25 0.83 1.0   29  450 1.0 0.0 mjpeg 5  70 disc
clip 52 2 0.50 2.2 3.0 1.8 25 0.25 0.80 0.9   60  350 1.0 0.0 mjpeg 5  70 disc
clip 53 4 0.30 2.6 4.0 1.6 14 0.25 0.83 1.0   29  450 1.0 0.0 mjpeg 5  70 ring
clip 54 3 0.40 3.0 2.0 1.5 30 0.25 0.83 1.1  110  500 1.5 0.0 mjpeg 5  70 ring
clip 55 5 0.30 2.6 6.0 2.4 12 0.25 0.83 1.0   29  450 1.0 0.1 mjpeg 5  70 disc
clip 56 2 0.60 2.0 4.0 2.0 20 0.25 0.86 0.8   75  300 1.0 0.0 ffv1  5  70 ring
clip 57 1 0.80 3.4 4.0 1.5 40 0.22 0.70 1.0   29  450 1.0 0.0 mjpeg 5  70 disc
clip 58 6 0.30 2.6 4.0 1.7 10 0.25 0.83 1.2  140  450 2.0 0.0 mjpeg 5  70 ring
clip 59 3 0.50 2.6 4.0 3.5 14 0.25 0.83 1.0   29  450 1.0 0.0 mjpeg 5  70 disc
clip 60 3 0.40 2.6 3.0 3.0 18 0.25 0.80 1.0   45  600 1.0 0.0 mjpeg 5  70 ring
clip 61 3 0.40 2.6 4.0 3.5 12 0.25 0.83 1.0   29  450 1.0 0.0 mjpeg 4  70
clip 62 4 0.50 2.6 4.0 1.6 14 0.25 0.83 1.0   29  450 1.0 0.0 mjpeg 2 120 ring
