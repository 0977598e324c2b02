"""Data: sources, label budgets, batches and augmentation."""
