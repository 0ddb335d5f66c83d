#!/bin/sh
# On a machine with an NVIDIA GPU, torch and triton: conformance of the Triton kernels, then products beside cuBLAS.
# Needs no network and no build; less than 8 minutes. Usage: bench/gpu.sh [FILE.json]
set -eu
cd "$(dirname "$0")/.."
export TRITON_DEFAULT_FP_FUSION=0 PYTHONUNBUFFERED=1
python3 bench/gpu.py --json "${1:-bench/results/gpu.json}"
