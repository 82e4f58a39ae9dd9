"""What networks learn from: images and labels, their splits, and batches of them."""
