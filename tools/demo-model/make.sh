#!/usr/bin/env bash
# Makes the demo model again on one GPU. Every stage works in the folder OUT and goes on from the files it finds there.
#
#   make.sh text OUT      train the text model and ask it the held-out set: text-N.safetensors, log.json, eval.jsonl, scores.json
#   make.sh towers OUT    train the towers for it: vision-0 and audio-0.safetensors, vision.json, audio.json
#   make.sh file OUT      export and quantise: f16.gguf, rullama-demo.gguf (no GPU)
#   make.sh score OUT     score the files: towers.json, f16.json, quantised.json, fixtures.json, fixtures.safetensors
#   make.sh install OUT   put the results where the project keeps them
#   make.sh all OUT
#
# PYTHON   python with torch, transformers, tokenizers, safetensors, numpy, pillow, and gguf for `score` and TEXT
# VOICES   recordings of voices.py; made with espeak-ng where they are missing (OUT/voices.npz)
# TEXT     a GGUF file whose text model to train the towers for, where OUT has no text-N.safetensors
# RULLAMA  the program; built with cargo where it is not given
# TRAIN_ARGS, EVALUATE_ARGS, TOWERS_ARGS, SCORE_TOWERS_ARGS, SCORE_ARGS   more arguments, such as those of a small trial
set -euo pipefail
shopt -s inherit_errexit
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
usage() { sed -n '2,16s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2; }
[ $# -eq 2 ] || usage
stage=$1
case $stage in text | towers | file | score | install | all) ;; *) usage ;; esac
mkdir -p "$2"
out=$(cd "$2" && pwd)
export PYTHONUNBUFFERED=1
# Programs run in the caller's folder, so that relative paths in the environment mean what they say there.
py() { local script=$1; shift; "${PYTHON:-python3}" "$here/$script" "$@"; }
rullama() {
  if [ -n "${RULLAMA:-}" ]; then "$RULLAMA" "$@"
  else cargo run --quiet --release --manifest-path "$here/../../Cargo.toml" -p rullama-cli -- "$@"; fi
}
say() { echo "[$(date +%T)] $*"; }
# A file appears under its name only when it is whole.
whole() { local file=$1; shift; "$@" > "$file.part" && mv "$file.part" "$file"; }

text() {
  [ -f "$out/log.json" ] || { say "training the text model"; py train.py "$out" --resume ${TRAIN_ARGS:-}; }
  [ -f "$out/set.jsonl" ] || py data.py --eval "$out/set.jsonl"
  [ -f "$out/scores.json" ] || { say "asking the held-out set"; py evaluate.py "$out" --set "$out/set.jsonl" --out "$out/eval.jsonl" --draws 8 ${EVALUATE_ARGS:-}; }
}

voices() {
  local file=${VOICES:-$out/voices.npz}
  [ -f "$file" ] || { say "recording voices" >&2; py voices.py "$file" >&2; }
  echo "$file"
}

towers() {
  local from=() recordings kind
  compgen -G "$out/text-*.safetensors" > /dev/null || from=(--text "${TEXT:?"$out has no text model: run $0 text first, or name a GGUF file in TEXT"}")
  recordings=$(voices)
  for kind in vision audio; do
    [ -f "$out/$kind.json" ] || { say "training the $kind tower"; py towers.py "$out" --only "$kind" --voices "$recordings" "${from[@]}" ${TOWERS_ARGS:-}; }
  done
}

file() {
  [ -f "$out/f16.gguf" ] || { py export_gguf.py "$out" "$out/f16.part" --check && mv "$out/f16.part" "$out/f16.gguf"; }
  [ -f "$out/rullama-demo.gguf" ] || rullama quantize "$out/f16.gguf" "$out/rullama-demo.gguf" --type q4_k_m --tensor-type per_layer_token_embd=q4_k \
    --tensor-type 'a.blk.*.ffn_up*.weight=q8_0' --tensor-type 'a.blk.*.ffn_down*.weight=q8_0'
  local size
  size=$(wc -c < "$out/rullama-demo.gguf")
  say "rullama-demo.gguf: $size bytes"
  [ "$size" -lt 16000000 ] || { echo "error: the file is 16 MB or more" >&2; exit 1; }
}

score() {
  local recordings
  recordings=$(voices)
  [ -f "$out/towers.json" ] || { say "asking the towers of the quantised file"; py score_towers.py "$out/rullama-demo.gguf" --voices "$recordings" --out "$out/towers.json" ${SCORE_TOWERS_ARGS:-}; }
  [ -f "$out/senses.jsonl" ] || { say "asking the towers about the set's media"; py senses_set.py "$out/f16.gguf" "$out/senses.jsonl.part" --voices "$recordings" --held-out --each 16 --bits 8 && mv "$out/senses.jsonl.part" "$out/senses.jsonl"; }
  grep -q '"type": "image"' "$out/eval.jsonl" || cat "$out/senses.jsonl" >> "$out/eval.jsonl"
  [ -f "$out/fixtures.json" ] || py fixtures.py "$out" "$out"
  [ -f "$out/f16.json" ] || { say "asking rullama, f16 file"; whole "$out/f16.json" rullama score "$out/f16.gguf" --set "$out/eval.jsonl" --kv f32 --json ${SCORE_ARGS:-}; }
  [ -f "$out/quantised.json" ] || { say "asking rullama, quantised file"; whole "$out/quantised.json" rullama score "$out/rullama-demo.gguf" --set "$out/eval.jsonl" --kv f16 --json ${SCORE_ARGS:-}; }
}

install() { py install.py "$out"; }

if [ "$stage" = all ]; then text; towers; file; score; install; else "$stage"; fi
