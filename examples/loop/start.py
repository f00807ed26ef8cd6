"""Make what a loop starts from: a small model that knows short tasks, seeds and a test set.

    python examples/loop/start.py FOLDER [--steps N]

The model is a Llama of 112,000 parameters with random weights, taught tasks of two and three
letters for a minute: weak, as the target must be. No weights are downloaded.
"""

import argparse
import json
from pathlib import Path
from random import Random
from typing import Any

import tokenizers
import torch
import transformers
from letters import ALPHABET, TASKS, solve, write_task

TEST = 200
SEEDS = 24
TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'user' %}{{ message['content'] }} = "
    "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token }}{% endif %}"
    "{% endfor %}"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=600, help="of training (default: 600)")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    kinds, random = list(TASKS), Random("seeds")
    seeds = [write_task(kinds[n % 4], 3, random) for n in range(SEEDS)]
    random = Random("test")
    tasks = [write_task(kinds[n % 4], 3 + n // 4 % 4, random) for n in range(TEST)]
    write_lines(args.folder / "seeds.jsonl", [{"instruction": task} for task in seeds])
    rows = [{"id": n, "instruction": task, "text": solve(task)} for n, task in enumerate(tasks)]
    write_lines(args.folder / "test.jsonl", rows)
    train(args.folder / "model", args.steps)


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")


def make_tokenizer() -> Any:
    """Make a tokenizer whose tokens are words and letters."""
    wording = " ".join(wording.format("") for wording, _ in TASKS.values())
    words = ["</s>", "<unk>", "=", *ALPHABET, *sorted(set(wording.split()) - set(ALPHABET))]
    vocabulary = {word: number for number, word in enumerate(words)}
    raw = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    raw.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token="</s>", unk_token="<unk>", pad_token="</s>"
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def train(folder: Path, steps: int) -> None:
    """Train on tasks of two and three letters, and save the model."""
    torch.manual_seed(0)
    tokenizer = make_tokenizer()
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=192,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = transformers.LlamaForCausalLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    random = Random("start")
    for step in range(1, steps + 1):
        loss = model(**batch(tokenizer, random)).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if step % 50 == 0:
            print(f"step {step} of {steps}: loss {loss.item():.3f}", flush=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def batch(tokenizer: Any, random: Random, size: int = 64) -> dict[str, Any]:
    """Return a batch of new tasks with their answers; the loss is on the answers only."""
    rows: list[tuple[list[int], list[int]]] = []
    for _ in range(size):
        task = write_task(random.choice(list(TASKS)), random.randint(2, 3), random)
        prompt = tokenizer(f"{task} =").input_ids
        answer = [*tokenizer(solve(task)).input_ids, tokenizer.eos_token_id]
        rows.append((prompt, answer))
    width = max(len(prompt) + len(answer) for prompt, answer in rows)
    ids = [pad([*prompt, *answer], width, tokenizer.eos_token_id) for prompt, answer in rows]
    labels = [pad([-100] * len(prompt) + answer, width, -100) for prompt, answer in rows]
    mask = [pad([1] * (len(prompt) + len(answer)), width, 0) for prompt, answer in rows]
    names = ("input_ids", "labels", "attention_mask")
    return dict(zip(names, map(torch.tensor, (ids, labels, mask)), strict=True))


def pad(row: list[int], width: int, fill: int) -> list[int]:
    return [*row, *[fill] * (width - len(row))]


if __name__ == "__main__":
    main()
