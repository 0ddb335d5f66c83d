#!/bin/sh
# On a machine with an NVIDIA GPU, torch and triton: are its bits the law's, and what does it take? Less than 8 minutes.
# Needs no network. The native library is built where g++ and pybind11 are, for the functions on all 2^32 inputs.
# Usage: bench/gpu.sh [FILE.json [arguments of bench/gpu.py]]
set -eu
begin=$(date +%s)
cd "$(dirname "$0")/.."
export TRITON_DEFAULT_FP_FUSION=0 PYTHONUNBUFFERED=1 ISOBIT_JOBS="${ISOBIT_JOBS:-8}"
python=${PYTHON:-python3}
# What the engine needs and the machine lacks may lie here: pip install --target gpu-packages cbor2 obstore safetensors
# sqlalchemy eth-account. Without it the sections that need the engine are errors of the report.
[ ! -d gpu-packages ] || export PYTHONPATH="$PWD/gpu-packages${PYTHONPATH:+:$PYTHONPATH}"
$python setup.py -q build_ext --inplace || echo "gpu.sh: the native library is not built; the exhaustive check will say so"
file=${1:-bench/results/gpu.json}
[ $# -eq 0 ] || shift
# What the build took is no longer there for the sections.
exec "$python" bench/gpu.py --json "$file" --seconds $((460 - $(date +%s) + begin)) "$@"
