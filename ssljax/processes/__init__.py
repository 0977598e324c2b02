"""Several processes that are one run: how they join, who decides, who is lost, and who is asked to stop."""
