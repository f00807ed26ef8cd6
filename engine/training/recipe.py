"""How the paper trains (A.4; spec §6): numbers and the prompt around an instruction.

Knows no trainer. What the paper leaves open (template, masking, weight decay, warm-up, precision)
is chosen as in spec §6.3.
"""

from typing import Annotated

from msgspec import Meta, Struct, structs

ALPACA = (
    "Below is an instruction that describes a task. Write a response that appropriately completes"
    " the request.\n\n### Instruction:\n{instruction}\n\n### Response:\n"
)
"""Alpaca's template without input, with a line break before the response, as axolotl and
LLaMA-Factory have it."""

ALPACA_CHAT = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}"
    + ALPACA.replace("{instruction}", "{{ message['content'] }}").replace("\n", "{{ '\\n' }}")
    + "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token }}{% endif %}"
    "{% endfor %}"
)
"""`ALPACA` as a chat template, so that servers put a tuned model's questions as in training."""


class Recipe(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Full fine-tuning with AdamW, the loss on the response only, without warm-up or dropout."""

    epochs: Annotated[float, Meta(gt=0)] = 15.0
    learning_rate: Annotated[float, Meta(gt=0)] = 1e-5
    last_learning_rate: Annotated[float, Meta(ge=0)] = 1e-6
    """Reached linearly with the last step."""
    batch: Annotated[int, Meta(ge=1)] = 64
    """Examples of one optimiser step, over all devices."""
    device_batch: Annotated[int, Meta(ge=1)] = 8
    """Examples one device takes at a time; what is missing to ``batch`` is accumulated."""
    max_length: Annotated[int, Meta(ge=8)] = 2048
    """Tokens, template included; the right end of longer examples is cut off."""
    beta1: float = 0.9
    beta2: float = 0.95
    weight_decay: Annotated[float, Meta(ge=0)] = 0.1
    seed: int = 0

    def shared_by(self, devices: int) -> "Recipe":
        """Return the recipe with the batch nearest to its own that *devices* can share evenly.

        Above ``batch`` devices, one example each.
        """
        if self.batch % (self.device_batch * devices) == 0:
            return self
        share = max(1, round(self.batch / devices))
        at_once = max(n for n in range(1, self.device_batch + 1) if share % n == 0)
        return structs.replace(self, batch=share * devices, device_batch=at_once)

    def accumulation(self, devices: int = 1) -> int:
        """Return how often each of *devices* goes forward for one optimiser step.

        Raises:
            ValueError: ``batch`` cannot be shared out evenly.
        """
        share = self.device_batch * devices
        if self.batch % share:
            raise ValueError(
                f"a batch of {self.batch} cannot be shared by {devices} device(s) that take"
                f" {self.device_batch} at a time: choose numbers that divide it"
            )
        return self.batch // share


def alpaca(instruction: str) -> str:
    """Put *instruction* into Alpaca's template."""
    return ALPACA.replace("{instruction}", instruction)
