"""What action plugins share."""
