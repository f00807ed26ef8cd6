"""Alpaca's prompt around an instruction, as text and as a chat template."""

ALPACA = (
    "Below is an instruction that describes a task. Write a response that appropriately completes"
    " the request.\n\n### Instruction:\n{instruction}\n\n### Response:\n"
)
"""Alpaca's template without input, with a line break before the response, as in axolotl and
LLaMA-Factory."""

ALPACA_CHAT = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}"
    + ALPACA.replace("{instruction}", "{{ message['content'] }}").replace("\n", "{{ '\\n' }}")
    + "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token }}{% endif %}"
    "{% endfor %}"
)
"""`ALPACA` as a chat template, so that a server prompts the tuned model as in training."""


def alpaca(instruction: str) -> str:
    """Put *instruction* into Alpaca's template."""
    return ALPACA.replace("{instruction}", instruction)
