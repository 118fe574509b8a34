"""What a trained run does with a product's photo: inversion, variations, views and edits."""

FIT_STEPS = 60  # optimisation steps of an inversion
STRENGTH = 0.4  # of a variation: 0 gives the product back, 1 is a fresh sample
