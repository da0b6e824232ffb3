#!/usr/bin/env bash
# Gets the FIB-25 sample and its published FFN, and prints where they are, as shell assignments:
#   raw=FILE:/DATASET  truth=FILE:/DATASET  checkpoint=PATH  published=FILE:/DATASET (Google's own segmentation)
#   scripts/get_fib25.sh EXACONN FOLDER
# From $EXACONN_DATA_DIR (default ../shared/data) if it is there, else by downloading the public files of
# github.com/google/ffn and github.com/janelia-flyem/neuroproof_examples into FOLDER, checked against fib25.sha256.
#   EXACONN_DOWNLOAD_URL   another server with the same files (default https://raw.githubusercontent.com)
#   EXACONN_CHECKSUMS      another list of checksums
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
exaconn=${1:?usage: get_fib25.sh EXACONN FOLDER}
folder=${2:?usage: get_fib25.sh EXACONN FOLDER}
data=${EXACONN_DATA_DIR:-$here/../../shared/data}
url=${EXACONN_DOWNLOAD_URL:-https://raw.githubusercontent.com}
sums=${EXACONN_CHECKSUMS:-$here/fib25.sha256}
say() { echo "get_fib25: $*" >&2; }
tell() { printf '%s=%q\n' "$1" "$2"; } # safe to eval

if [ -e "$data/fib25_sample2.h5" ] && [ -e "$data/ffn_fib25_tf/model.ckpt-27465036.index" ]; then
    data=$(cd "$data" && pwd)
    say "using the sample in $data"
    tell raw "$data/fib25_sample2.h5:/raw"
    tell truth "$data/fib25_sample2.h5:/groundtruth"
    tell checkpoint "$data/ffn_fib25_tf/model.ckpt-27465036"
    tell published "$data/fib25_sample2.h5:/ffn_reference"
    exit 0
fi

# A Python with h5py, only for the ground truth's two-table form.
python=
for p in python3 /usr/bin/python3; do
    if "$p" -c 'import h5py' 2>/dev/null; then python=$p; break; fi
done
[ -n "$python" ] || { say "no python3 with h5py: run scripts/install_deps.sh"; exit 1; }

mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
if ! (cd "$folder" && sha256sum --quiet --check "$sums" >/dev/null 2>&1); then
    say "downloading 19 MB from $url into $folder"
    config=$(mktemp)
    trap 'rm -f "$config" "$config.err"' EXIT
    while read -r sum path; do
        if echo "$sum  $folder/$path" | sha256sum --status --check 2>/dev/null; then continue; fi
        mkdir -p "$folder/$(dirname "$path")"
        printf 'url = "%s/%s"\noutput = "%s/%s"\n' "$url" "$path" "$folder" "$path"
    done < "$sums" > "$config"
    if ! curl --fail --fail-early --silent --no-progress-meter --show-error --location --retry 2 --parallel \
         --connect-timeout 10 --speed-limit 1000 --speed-time 30 --config "$config" 2> "$config.err" >&2; then
        tail -n 1 "$config.err" >&2
        say "the download failed. Is $url reachable? With the files already at hand, set EXACONN_DATA_DIR."
        exit 1
    fi
    if ! (cd "$folder" && sha256sum --quiet --check "$sums" >&2); then
        say "a downloaded file is not the published one (checksum above); remove it and run again"
        exit 1
    fi
fi

sample=$folder/janelia-flyem/neuroproof_examples/master/training_sample2
[ -e "$folder/raw.h5" ] ||
    "$exaconn" import-images "$sample/grayscale_maps" -o "$folder/raw.h5:/raw" --voxel-size 10,10,10 >&2
[ -e "$folder/groundtruth.h5" ] ||
    "$python" "$here/import_neuroproof.py" "$sample/groundtruth.h5.gz" "$folder/groundtruth.h5" >&2
[ -e "$folder/published.h5" ] ||
    "$python" "$here/import_ffn_result.py" "$folder/google/ffn/master/results/fib25/sample-training2.npz" \
        "$folder/published.h5" >&2
tell raw "$folder/raw.h5:/raw"
tell truth "$folder/groundtruth.h5:/groundtruth"
tell checkpoint "$folder/google/ffn/master/models/fib25/model.ckpt-27465036"
tell published "$folder/published.h5:/segmentation"
