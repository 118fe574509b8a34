"""What a trained run does with a product it is shown: give it back, vary it, turn it, change it."""
