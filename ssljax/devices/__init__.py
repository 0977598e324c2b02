"""Devices: the mesh and what lies where, weights that are split, memory that runs out, backend options."""
