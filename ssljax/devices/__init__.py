"""Devices: the mesh and what lies where, sharded weights, memory that runs out, backend options."""
