"""Volumes: where shared files lie, who may write them, and how a process of this node reaches them."""
