"""From the dataset to the tuned model: files for trainers, a card, and tuning on this machine."""
