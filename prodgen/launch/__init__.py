"""Starting a program in several processes: on this machine, on Slurm, on Kubernetes, on TPU VMs.

`python -m prodgen.launch COMMAND` starts processes, or prints a script for a scheduler
(docs/pods.md).
"""
