#!/bin/sh
# The weights that come with the program (pitflow/models/micrographs):
#     sh pipelines/micrographs-model.sh EMPS WORKDIR
# EMPS holds electron micrographs of particles, NAME.png with NAME_labels.png beside it (Yildirim and
# Cole 2021, MIT licence). The first split of `pitflow sem-study` is kept away for testing. The model
# is WORKDIR/micrographs. On one processor core with bfloat16 this takes about an hour; one thread,
# because sums in another order give other roundings.
set -eu
data=$1
work=$2
PITFLOW=${PITFLOW:-pitflow}
PYTHON=${PYTHON:-python}
export OMP_NUM_THREADS=1
here=$(dirname "$0")

mkdir -p "$work/emps-train" "$work/emps-test"
$PYTHON - "$data" "$work" <<'END'
import shutil
import sys
from pathlib import Path

from pitflow.domains.sem.labels import read_labelled
from pitflow.domains.sem.study import TEST_SHARE
from pitflow.domains.sem.study_task import test_split

data, work = Path(sys.argv[1]), Path(sys.argv[2])
sides = test_split(read_labelled([data]), 0, TEST_SHARE)
for name, side in zip(("emps-train", "emps-test"), sides):
    for one in side:
        for end in (".png", "_labels.png"):
            shutil.copy(data / (one.name + end), work / name)
END
$PITFLOW train sem --recipe "$here/micrographs-first.toml" --data "$work/emps-train" \
    -o "$work/first" --device cpu --workers 1
$PITFLOW train sem --recipe "$here/micrographs-second.toml" --data "$work/emps-train" \
    --initial "$work/first" -o "$work/second" --device cpu --workers 1
$PITFLOW train sem --recipe "$here/micrographs.toml" --data "$work/emps-train" \
    --initial "$work/second" -o "$work/model" --device cpu --workers 1
$PYTHON "$here/included.py" "$work/model" "$work/micrographs" --micrographs "$work/emps-test" \
    --command "sh pipelines/micrographs-model.sh EMPS WORKDIR" \
    --note "EMPS, particles in electron micrographs (Yildirim and Cole 2021), MIT licence"
