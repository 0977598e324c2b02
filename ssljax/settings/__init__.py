"""The fields of a config: what each may be, what is chosen where one is left open, and what does not fit."""
