"""The paper's hyperparameters (A.4; docs/algorithm.md §6)."""

from typing import Annotated

from msgspec import Meta, Struct, structs


class Hyperparameters(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Full fine-tuning with AdamW, the loss on the response only, without warm-up or dropout.

    The paper does not give the weight decay; docs/algorithm.md §6.3 says why it is 0.1.
    """

    epochs: Annotated[float, Meta(gt=0)] = 15.0
    learning_rate: Annotated[float, Meta(gt=0)] = 1e-5
    last_learning_rate: Annotated[float, Meta(ge=0)] = 1e-6
    """Reached linearly at the last step."""
    batch: Annotated[int, Meta(ge=1)] = 64
    """Examples per optimiser step, over all devices."""
    device_batch: Annotated[int, Meta(ge=1)] = 8
    """Examples that one device takes at a time; gradients accumulate up to ``batch``."""
    max_length: Annotated[int, Meta(ge=8)] = 2048
    """Tokens, template included; longer examples are truncated on the right."""
    beta1: float = 0.9
    beta2: float = 0.95
    weight_decay: Annotated[float, Meta(ge=0)] = 0.1
    seed: int = 0

    def shared_by(self, devices: int) -> "Hyperparameters":
        """Return these with the nearest batch that *devices* can share evenly.

        With more devices than ``batch``, each takes one example.
        """
        if self.batch % (self.device_batch * devices) == 0:
            return self
        share = max(1, round(self.batch / devices))
        at_once = max(n for n in range(1, self.device_batch + 1) if share % n == 0)
        return structs.replace(self, batch=share * devices, device_batch=at_once)

    def accumulation(self, devices: int = 1) -> int:
        """Return the forward passes of each of *devices* per optimiser step.

        Raises:
            ValueError: ``batch`` cannot be shared evenly.
        """
        share = self.device_batch * devices
        if self.batch % share:
            raise ValueError(
                f"a batch of {self.batch} cannot be shared by {devices} device(s) that take"
                f" {self.device_batch} examples at a time: the product must divide the batch"
            )
        return self.batch // share
