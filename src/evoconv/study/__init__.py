"""What is remembered, and the loop."""
