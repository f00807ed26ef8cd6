"""From the dataset to a tuned model: folders for trainers, cards, tuning on this machine."""
