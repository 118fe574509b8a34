"""Plans: what a run costs on accelerators, compiled and computed without having one."""
