"""What the modes share: their options, and how files and the manifest reach the disk."""
